//! What a journal says when it is read: how far each row of a run has come.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::journal::{Done, Header, Line, Listed, path_of, this_boot};
use super::{Fingerprint, Summary, Witness};
use crate::error::{Error, Kind, Result};
use crate::model::{Address, Outcome};
use crate::provider::case::Sent;

/// How far a row has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// No request has left for it.
    #[default]
    Open,
    /// It was made ready, and no mark says that its request left. True: it certainly did not, since every mark would
    /// still be there; false: the machine was stopped since, or is another one, and a mark may be lost.
    Ready(Listed, bool),
    /// Its request has left, and nothing is known of it.
    Sent(Listed, Sent),
    /// Its mailbox was created, and what takes a second request is not set yet. True: that was sent, and its answer was
    /// lost each time.
    Made(Listed, Option<Sent>, bool),
    /// Looking could not settle what became of it.
    Unknown(Listed, Option<Sent>),
    /// The row is done.
    Done(Outcome),
    /// The row has failed, and something of it may be there all the same.
    Halfway(Listed, Option<Sent>),
    /// It is to be tried again after that: looked for, and sent if it is not there.
    Retried(Listed, Option<Sent>),
}

impl State {
    /// Returns what a listing showed before the first request, and when the requests left, as far as the journal says.
    pub(super) fn history(self) -> (Listed, Option<Sent>) {
        match self {
            State::Open | State::Done(_) => (Listed::NotKnown, None),
            State::Ready(listed, _) => (listed, None),
            State::Sent(listed, sent) => (listed, Some(sent)),
            State::Made(listed, sent, _)
            | State::Unknown(listed, sent)
            | State::Halfway(listed, sent)
            | State::Retried(listed, sent) => (listed, sent),
        }
    }

    /// Returns whether a request may have left whose answer nobody knows.
    pub(super) fn is_doubted(self) -> bool {
        !matches!(self, State::Open | State::Ready(_, true) | State::Made(_, _, false) | State::Done(_))
    }

    /// Returns how far a row has come once it is to be tried again.
    fn retried(self) -> Self {
        match self {
            State::Done(Outcome::Failed) => State::Open,
            State::Halfway(listed, sent) => State::Retried(listed, sent),
            other => other,
        }
    }
}

impl Done {
    /// Returns whether a resumed run leaves the row as it is.
    pub fn is_final(&self) -> bool {
        self.outcome != Outcome::Unknown
    }

    /// Returns whether the password that was made for the row was certainly not used.
    pub fn wastes_password(&self) -> bool {
        self.is_final() && self.password_state.is_none()
    }

    /// Returns how far this brings a row that has come as far as `before`.
    fn state(&self, before: State) -> State {
        let (listed, sent) = before.history();
        match self.outcome {
            // What is in doubt is the second request alone.
            Outcome::Unknown if matches!(before, State::Made(..)) => State::Made(listed, sent, true),
            Outcome::Unknown => State::Unknown(listed, sent),
            Outcome::Failed if self.touched => State::Halfway(listed, sent),
            outcome => State::Done(outcome),
        }
    }
}

/// What a journal says.
#[derive(Debug)]
pub struct Record {
    /// What the run was asked to do.
    pub header: Header,
    /// How far each row has come that the journal names; the others are open.
    rows: Vec<State>,
    /// Whether all rows have been worked on.
    pub ended: bool,
    /// Whether all that was ever written is certainly there: the machine has not been stopped since the run began.
    pub is_whole: bool,
    /// When the machine was first used again after it had stopped, if it has: marks of before may be lost, and all requests
    /// that they were about had left by then.
    pub restarted: Option<jiff::Timestamp>,
    /// Some of the mailboxes that were created last, with the time before which their requests left.
    pub created: Vec<Witness>,
}

/// How many created mailboxes are kept to prove that a listing is new.
const WITNESSES: usize = 64;

/// How far a line may be ahead of the others: rows are worked on in groups, and within one in any order.
const AHEAD: u64 = 1 << 16;

/// What the line takes at most that says that a run has ended.
const SHORT: u64 = 256;

impl Record {
    /// Reads the journal of a run.
    pub fn read(folder: &Path, run: &str) -> Result<Self> {
        let mut lines = Lines::open(folder, run)?;
        let header = lines.header.clone();
        let here = this_boot();
        // Whether what was written by the process so far is certainly all there, since the machine has not stopped.
        let mut is_whole = here.is_some() && header.boot == here;
        let mut was_always = is_whole;
        let (mut last_boot, mut restarted) = (header.boot.clone(), None);
        let mut rows = Vec::new();
        let mut created: VecDeque<Witness> = VecDeque::new();
        let mut ended = false;
        while let Some(line) = lines.next().transpose()? {
            match line {
                Line::Intent { intent, listed, .. } => {
                    *lines.row(&mut rows, intent)? = State::Ready(listed, true);
                }
                Line::Sent { sent, at } => {
                    for row in sent {
                        let state = lines.row(&mut rows, row)?;
                        let (listed, before) = state.history();
                        let first = match (&state, before) {
                            (State::Ready(_, true), _) => Some(at),
                            (_, before) => before.and_then(|sent| sent.first),
                        };
                        let sent = Sent { first, last: at };
                        *state = match state {
                            State::Made(_, _, is_lost) => State::Made(listed, Some(sent), *is_lost),
                            _ => State::Sent(listed, sent),
                        };
                    }
                }
                Line::Made { made } => {
                    let state = lines.row(&mut rows, made)?;
                    let (listed, sent) = state.history();
                    *state = State::Made(listed, sent, false);
                }
                Line::Unsent { unsent } => {
                    for row in unsent {
                        let state = lines.row(&mut rows, row)?;
                        if matches!(state, State::Sent(..) | State::Ready(..)) {
                            *state = State::Open;
                        }
                    }
                }
                Line::Done(done) => {
                    let state = lines.row(&mut rows, done.row)?;
                    // Of one that was sent again it is not known when it was created.
                    if let (Outcome::Created, (_, Some(sent))) = (done.outcome, state.history())
                        && sent.first == Some(sent.last)
                    {
                        created.truncate(WITNESSES - 1);
                        let (address, id) = (Address::lenient(&done.address), done.id.clone());
                        created.push_front(Witness { address, id, after: sent.last });
                    }
                    *state = done.state(*state);
                }
                Line::Retry { .. } => {
                    ended = false;
                    rows.iter_mut().for_each(|state: &mut State| *state = state.retried());
                }
                Line::Resumed { resumed, boot } => {
                    if boot.is_none() || boot != last_boot {
                        restarted = Some(resumed);
                        for state in &mut rows {
                            if let State::Ready(listed, _) = *state {
                                *state = State::Ready(listed, false);
                            }
                        }
                    }
                    is_whole = here.is_some() && boot == here;
                    last_boot = boot;
                    was_always &= is_whole;
                }
                Line::Ended { .. } => ended = true,
            }
        }
        Ok(Record { header, rows, ended, is_whole: was_always, restarted, created: created.into() })
    }

    /// Returns how far a row has come.
    pub fn state(&self, row: u32) -> State {
        self.rows.get(row as usize).copied().unwrap_or_default()
    }

    /// Returns how far the rows have come that the journal names.
    pub fn states(&self) -> &[State] {
        &self.rows
    }

    /// Returns how many rows have come to what.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::new(self.header.rows);
        for state in &self.rows {
            match state {
                // It is looked for again.
                State::Open
                | State::Ready(..)
                | State::Sent(..)
                | State::Made(..)
                | State::Unknown(..)
                | State::Retried(..) => {}
                State::Done(outcome) => summary.count(*outcome),
                State::Halfway(..) => summary.count(Outcome::Failed),
            }
        }
        summary
    }

    /// Returns how many rows are in doubt: a look may settle them.
    pub fn unknown(&self) -> u32 {
        let is_unknown = |state: &&State| matches!(state, State::Unknown(..) | State::Made(_, _, true));
        u32::try_from(self.rows.iter().filter(is_unknown).count()).unwrap_or(u32::MAX)
    }

    /// Returns how many rows have come to nothing yet; those in doubt are not among them.
    pub fn left(&self) -> u32 {
        self.summary().left.saturating_sub(self.unknown())
    }

    /// Returns whether the run was worked on to its end.
    pub fn is_finished(&self) -> bool {
        self.ended && self.left() == 0
    }

    /// Returns the addresses of rows whose last outcome is `wanted`, in order.
    pub fn settled(folder: &Path, run: &str, wanted: impl Fn(&Done) -> bool) -> Result<Vec<Fingerprint>> {
        let mut lines = Lines::open(folder, run)?;
        let mut settled: Vec<Option<(Fingerprint, Outcome)>> = Vec::new();
        while let Some(line) = lines.next().transpose()? {
            let (row, now) = match line {
                Line::Done(done) if wanted(&done) => {
                    (done.row, Some((Fingerprint::of(&Address::lenient(&done.address)), done.outcome)))
                }
                Line::Intent { intent: row, .. } | Line::Done(Done { row, .. }) => (row, None),
                Line::Retry { .. } => {
                    settled.iter_mut().for_each(|row| *row = row.filter(|(_, outcome)| *outcome != Outcome::Failed));
                    continue;
                }
                Line::Sent { .. }
                | Line::Made { .. }
                | Line::Unsent { .. }
                | Line::Resumed { .. }
                | Line::Ended { .. } => continue,
            };
            *lines.row(&mut settled, row)? = now;
        }
        let mut settled: Vec<_> = settled.into_iter().flatten().map(|(print, _)| print).collect();
        settled.sort_unstable();
        Ok(settled)
    }
}

/// Says whether a text may be the name of a run. One that leads to another folder is none.
pub fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=100).contains(&text.len()) && text.bytes().all(is_letter)
}

/// Says whether a run was begun. What is left of one that ended before its first line was written is removed; nobody
/// else may be beginning a run meanwhile.
pub fn was_begun(folder: &Path, run: &str) -> Result<bool> {
    let path = path_of(folder, run);
    match File::open(&path).map(|mut file| super::journal::whole_lines(&mut file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Ok(Ok(0)) => fs::remove_file(&path).map(|()| false).map_err(|error| unreadable(&path, &error)),
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) | Err(error) => Err(unreadable(&path, &error)),
    }
}

/// The lines of a journal after the first, one after the other, up to the last one that was written to its end.
pub struct Lines {
    /// What the run was asked to do.
    pub header: Header,
    reader: BufReader<File>,
    path: PathBuf,
    number: u64,
}

impl Lines {
    /// Returns what is kept of a row. A journal names rows nearly in order, so that one which names a row far ahead of
    /// its lines is damaged: memory is taken for the rows that are there, not for those that a number claims.
    pub fn row<'a, T: Default + Clone>(&self, rows: &'a mut Vec<T>, row: u32) -> Result<&'a mut T> {
        let at = row as usize;
        if u64::from(row) >= self.number + AHEAD || row >= self.header.rows {
            return Err(self.damaged());
        }
        if at >= rows.len() {
            rows.resize(at + 1, T::default());
        }
        Ok(&mut rows[at])
    }

    fn damaged(&self) -> Error {
        Error::new(Kind::Config, format!("line {} of {} cannot be read", self.number, self.path.display()))
            .hint("the journal was changed by something else than mbx; see by hand what is there")
    }
}

impl Lines {
    /// Opens the journal of a run.
    pub fn open(folder: &Path, run: &str) -> Result<Self> {
        let path = path_of(folder, run);
        let file = match File::open(&path) {
            Ok(file) if is_name(run) => file,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unreadable(&path, &error)),
            _ => {
                return Err(Error::new(Kind::NotFound, format!("there is no run {run}"))
                    .hint("`mbx bulk list` shows those there are"));
            }
        };
        let mut reader = BufReader::new(file);
        let mut text = String::new();
        reader.read_line(&mut text).map_err(|error| unreadable(&path, &error))?;
        match serde_json::from_str(&text) {
            Ok(header) if text.ends_with('\n') => Ok(Lines { header, reader, path, number: 1 }),
            _ => Err(Error::new(Kind::Config, format!("the journal {} has no first line", path.display()))
                .hint("see with `mbx list` what is there, and start the run again with --if-exists ok")),
        }
    }

    fn read(&mut self) -> Result<Option<Line>> {
        let mut text = Vec::new();
        let read = self.reader.read_until(b'\n', &mut text).map_err(|error| unreadable(&self.path, &error))?;
        self.number += 1;
        if read == 0 || text.last() != Some(&b'\n') {
            return Ok(None);
        }
        serde_json::from_slice(&text).map(Some).map_err(|_| self.damaged())
    }
}

impl Iterator for Lines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::Config, format!("cannot read the journal {}: {error}", path.display()))
}

/// A run that has begun the same work.
#[derive(Debug, PartialEq, Eq)]
pub enum Same {
    /// Another process works on it.
    Held(String),
    /// It was not worked on to its end.
    Open(String),
}

/// Finds a run that has begun the same work as `header`: the same verb over the same rows with the same account.
pub fn same_work(folder: &Path, header: &Header) -> Result<Option<Same>> {
    let mut open = None;
    for run in runs(folder)? {
        // A damaged journal is one of no known work.
        let Ok(Lines { header: known, reader, .. }) = Lines::open(folder, &run) else { continue };
        let is_same = (&known.verb, &known.provider, &known.profile, &known.account.base_url, &known.digest)
            == (&header.verb, &header.provider, &header.profile, &header.account.base_url, &header.digest)
            && known.options.select == header.options.select;
        if !is_same {
            continue;
        }
        let mut file = reader.into_inner();
        if matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return Ok(Some(Same::Held(run)));
        }
        let is_open = match last_line(&mut file) {
            Ok(Some(Line::Ended { .. })) => false,
            // The run never ended, or it was resumed after it had ended.
            _ => Record::read(folder, &run).is_ok_and(|record| !record.ended),
        };
        if is_open {
            open = Some(Same::Open(run));
        }
    }
    Ok(open)
}

/// Finds a run of another shard of the same file, where that was edited since: the shards of an earlier content are not
/// complete. Where they are, the file is a new list.
pub fn edited(folder: &Path, header: &Header) -> Result<Option<String>> {
    let Some(shard) = header.options.select.shard.filter(|_| header.file.is_some()) else { return Ok(None) };
    // By digest: the runs, and which shards they are.
    let mut earlier: HashMap<String, (String, HashSet<u64>)> = HashMap::new();
    for run in runs(folder)? {
        let Ok(Lines { header: known, .. }) = Lines::open(folder, &run) else { continue };
        let is_of_file = (&known.verb, &known.provider, &known.profile, &known.account.base_url, &known.file)
            == (&header.verb, &header.provider, &header.profile, &header.account.base_url, &header.file);
        if let Some(other) = known.options.select.shard.filter(|other| other.of == shard.of && is_of_file)
            && known.digest != header.digest
        {
            let (_, shards) = earlier.entry(known.digest).or_insert_with(|| (run, HashSet::new()));
            shards.insert(other.index);
        }
    }
    Ok(earlier.into_values().find(|(_, shards)| (shards.len() as u64) < shard.of).map(|(run, _)| run))
}

/// Returns the last line of a journal, where it is a short one that was written to its end.
fn last_line(file: &mut File) -> io::Result<Option<Line>> {
    let begin = file.seek(SeekFrom::End(0))?.saturating_sub(SHORT);
    file.seek(SeekFrom::Start(begin))?;
    let mut end = Vec::new();
    file.take(SHORT).read_to_end(&mut end)?;
    let line = end.strip_suffix(b"\n").and_then(|text| text.rsplit(|byte| *byte == b'\n').next());
    Ok(line.and_then(|line| serde_json::from_slice(line).ok()))
}

/// Returns the names of all runs, the oldest first.
pub fn runs(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut runs: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".jsonl")?.to_owned())).collect();
    runs.sort();
    Ok(runs)
}

#[cfg(test)]
mod tests;
