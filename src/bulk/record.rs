//! What a journal says when it is read: how far each row of a run has come.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::journal::{Done, Header, Line, path_of};
use super::{Fingerprint, Summary, Verb};
use crate::error::{Error, Kind, Result};
use crate::model::Address;
use crate::output::Outcome;

/// How far a row has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// No request has left for it.
    #[default]
    Open,
    /// A request may have left, and nothing is known of it.
    Sent {
        /// Whether somebody had the address before this run, where that is sure.
        was_there: Option<bool>,
    },
    /// Looking could not settle what became of it.
    Unknown {
        /// Whether somebody had the address before this run, where that is sure.
        was_there: Option<bool>,
    },
    /// The row is done.
    Done(Outcome),
    /// The row has failed, and something of it may be there all the same.
    Halfway {
        /// Whether somebody had the address before this run, where that is sure.
        was_there: Option<bool>,
    },
    /// It is to be tried again after that: looked for, and sent if it is not there.
    Retried {
        /// Whether somebody had the address before this run, where that is sure.
        was_there: Option<bool>,
    },
}

impl State {
    /// Returns whether somebody had the address before this run, where that is sure.
    pub(super) fn was_there(self) -> Option<bool> {
        match self {
            State::Open | State::Done(_) => None,
            State::Sent { was_there }
            | State::Unknown { was_there }
            | State::Halfway { was_there }
            | State::Retried { was_there } => was_there,
        }
    }

    /// Returns how far a row has come once it is to be tried again.
    fn retried(self) -> Self {
        match self {
            State::Done(Outcome::Failed) => State::Open,
            State::Halfway { was_there } => State::Retried { was_there },
            other => other,
        }
    }
}

impl Done {
    /// Returns whether a resumed run leaves the row as it is.
    pub fn is_final(&self) -> bool {
        self.outcome != Outcome::Unknown
    }

    /// Returns whether a password that was made up for the row has surely become nobody's.
    pub fn wastes_password(&self, verb: Verb) -> bool {
        match self.outcome {
            Outcome::Exists | Outcome::Failed => !self.touched,
            // It was there before its create, and has kept its password.
            Outcome::Updated | Outcome::Unchanged => verb == Verb::Create,
            _ => false,
        }
    }

    /// Returns how far this brings a row that has come as far as `before`.
    fn state(&self, before: State) -> State {
        match self.outcome {
            Outcome::Unknown => State::Unknown { was_there: before.was_there() },
            Outcome::Failed if self.touched => State::Halfway { was_there: before.was_there() },
            outcome => State::Done(outcome),
        }
    }
}

/// What a journal says.
#[derive(Debug)]
pub struct Record {
    /// What the run was asked to do.
    pub header: Header,
    /// How far each row has come.
    pub rows: Vec<State>,
    /// Whether all rows have been worked on.
    pub ended: bool,
}

impl Record {
    /// Reads the journal of a run.
    pub fn read(folder: &Path, run: &str) -> Result<Self> {
        let mut lines = Lines::open(folder, run)?;
        let header = lines.header.clone();
        let mut rows = vec![State::Open; header.rows as usize];
        let mut ended = false;
        for line in &mut lines {
            match line? {
                Line::Intent { intent, was_there, .. } => {
                    if let Some(state) = rows.get_mut(intent as usize) {
                        *state = State::Sent { was_there };
                    }
                }
                Line::Done(done) => {
                    if let Some(state) = rows.get_mut(done.row as usize) {
                        *state = done.state(*state);
                    }
                }
                Line::Retry { .. } => {
                    ended = false;
                    rows.iter_mut().for_each(|state| *state = state.retried());
                }
                Line::Ended { .. } => ended = true,
            }
        }
        Ok(Record { header, rows, ended })
    }

    /// Returns how many rows have come to what.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::new(self.header.rows);
        for state in &self.rows {
            match state {
                // It is looked for again.
                State::Open | State::Sent { .. } | State::Unknown { .. } | State::Retried { .. } => {}
                State::Done(outcome) => summary.count(*outcome),
                State::Halfway { .. } => summary.count(Outcome::Failed),
            }
        }
        summary
    }

    /// Returns the addresses of rows that are done, in order, as far as `wanted` wants them.
    pub fn settled(folder: &Path, run: &str, wanted: impl Fn(&Done) -> bool) -> Result<Vec<Fingerprint>> {
        let lines = Lines::open(folder, run)?;
        let mut settled = vec![None; lines.header.rows as usize];
        for line in lines {
            let (row, now) = match line? {
                Line::Done(done) if wanted(&done) => {
                    (done.row, Some((Fingerprint::of(&Address::told(&done.address)), done.outcome)))
                }
                Line::Intent { intent: row, .. } | Line::Done(Done { row, .. }) => (row, None),
                Line::Retry { .. } => {
                    settled.iter_mut().for_each(|row| *row = row.filter(|(_, outcome)| *outcome != Outcome::Failed));
                    continue;
                }
                Line::Ended { .. } => continue,
            };
            if let Some(known) = settled.get_mut(row as usize) {
                *known = now;
            }
        }
        let mut settled: Vec<_> = settled.into_iter().flatten().map(|(print, _)| print).collect();
        settled.sort_unstable();
        Ok(settled)
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
    /// Opens the journal of a run.
    pub fn open(folder: &Path, run: &str) -> Result<Self> {
        let path = path_of(folder, run);
        // A name with a folder in it is none that was ever printed.
        let is_name = run.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let file = match File::open(&path) {
            Ok(file) if is_name => file,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unreadable(&path, &error)),
            _ => {
                return Err(Error::new(Kind::NotFound, format!("there is no run {run}"))
                    .hint("`mbx bulk list` shows those there are"));
            }
        };
        let mut reader = BufReader::new(file);
        let mut text = String::new();
        let read = reader.read_line(&mut text).map_err(|error| unreadable(&path, &error))?;
        match serde_json::from_str(&text) {
            Ok(header) if read > 0 && text.ends_with('\n') => Ok(Lines { header, reader, path, number: 1 }),
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
        serde_json::from_slice(&text).map(Some).map_err(|_| {
            Error::new(Kind::Config, format!("line {} of {} cannot be read", self.number, self.path.display()))
                .hint("the journal was changed by something else than mbx; see by hand what is there")
        })
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
