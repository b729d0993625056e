//! The journal of a run: JSON lines, only ever appended to. Each line is an event of a row's case: what is asked for, that
//! its request leaves, that it did not leave after all, what became of it. It holds no secret, and a run whose journal was
//! cut anywhere can be resumed.
//!
//! An intent is on the disk before its request leaves. The mark that the request leaves is written, but not flushed: it
//! outlives the process and not the machine, and the machine's boot is in the journal, so that a resumed run knows
//! whether a row without a mark was certainly not sent.
//!
//! One thread writes all other lines. Whoever must be sure that a line is on the disk waits for the next group.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::OnExisting;
use super::Verb;
use super::input::Select;
use crate::error::{Error, Kind, Result};
use crate::lock::held;
use crate::model::{Outcome, PasswordState};

/// How long a line may wait for its group.
const GROUP_TIME: Duration = Duration::from_millis(100);

/// How many lines may wait for their group, so that they do not fill the memory. It is time that bounds what a power cut
/// may cost, and that is looks and no mailbox: a disk that takes some milliseconds a flush would bound a run whose
/// requests make hundreds at once if it were asked more often.
const GROUP_LINES: usize = 4096;

/// What a run was asked to do. Everything that decides what its rows mean is here, so that it can be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of these lines.
    #[serde(default)]
    pub format: u32,
    /// The run's name.
    pub run: String,
    /// The boot of the machine it began on, where the system names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// When it began.
    pub started: jiff::Timestamp,
    /// What is done to each mailbox.
    pub verb: Verb,
    /// The provider.
    pub provider: String,
    /// The profile.
    pub profile: String,
    /// Where the API lives and who is logged in there, as far as that can be said without a secret.
    #[serde(default)]
    pub account: AccountMark,
    /// The file, with its folder; `None` for standard input.
    pub file: Option<PathBuf>,
    /// The digest of its content.
    pub digest: String,
    /// How many of its rows are worked on.
    pub rows: u32,
    /// The choices that shape its rows.
    pub options: RunOptions,
}

/// The choices that a resumed run keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Which heading stands for which column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<(String, String)>,
    /// Which rows are worked on.
    #[serde(default)]
    pub select: Select,
    /// What is done about a mailbox that exists before its create.
    #[serde(default)]
    pub on_existing: OnExisting,
    /// Whether a mailbox that does not exist before its delete is no failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing_is_fine: bool,
    /// Where generated passwords go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_out: Option<PathBuf>,
    /// Whether the sandbox inside the program stands for the provider.
    #[serde(default)]
    pub sandbox: bool,
}

/// The version of the lines of a journal that this program writes.
pub const FORMAT: u32 = 2;

/// Which account a run works on, so that it is not resumed on another one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountMark {
    /// Where the API lives; empty for the sandbox inside the program.
    #[serde(default)]
    pub base_url: String,
    /// Who logs in: the user or account id of the profile, else a fingerprint of the key.
    #[serde(default)]
    pub login: String,
}

/// Whether a listing from before a row's first request showed its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listed {
    /// Nobody looked, or the look failed.
    #[default]
    NotKnown,
    /// It did not show it.
    No,
    /// It showed it.
    Yes,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Which row, counted from zero.
    #[serde(rename = "done")]
    pub row: u32,
    /// The line it begins on.
    pub line: u64,
    /// The address it asks for.
    pub address: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The provider's id of the mailbox, when it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The code of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The error in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether something may have been done all the same, so that a retry looks first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub touched: bool,
    /// What is known of the row's password; `None` where it was certainly not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_state: Option<PasswordState>,
    /// For `unknown`: from when on a look can settle it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settles_at: Option<jiff::Timestamp>,
    /// What the user should know besides the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A row is ready to be sent.
    Intent {
        /// Which row.
        intent: u32,
        /// The line it begins on.
        line: u64,
        /// The address it asks for.
        address: String,
        /// Whether a listing showed it before this run sent anything for it.
        #[serde(default)]
        listed: Listed,
    },
    /// The request of these rows leaves.
    Sent {
        /// Which rows.
        sent: Vec<u32>,
        /// When.
        at: jiff::Timestamp,
    },
    /// The mailbox of a row was created, and what takes a second request is not set yet.
    Made {
        /// Which row.
        made: u32,
    },
    /// The request of these rows did not leave after all.
    Unsent {
        /// Which rows.
        unsent: Vec<u32>,
    },
    /// A process resumed the run.
    Resumed {
        /// When.
        resumed: jiff::Timestamp,
        /// The boot of the machine it runs on.
        #[serde(default)]
        boot: Option<String>,
    },
    /// What became of a row.
    Done(Done),
    /// The rows that failed are to be tried again.
    Retry {
        /// When.
        retry: jiff::Timestamp,
    },
    /// All rows have been worked on.
    Ended {
        /// When.
        ended: jiff::Timestamp,
    },
}

/// The writing end of a journal.
pub struct Journal {
    /// The run's name.
    pub run: String,
    waiting: Arc<Mutex<Waiting>>,
    wake: mpsc::Sender<Option<oneshot::Sender<io::Result<()>>>>,
    writer: Option<JoinHandle<()>>,
    /// The same file, for marks that must be written before a request leaves.
    file: File,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    lines: usize,
    /// Why nothing can be written any more.
    failed: Option<(io::ErrorKind, String)>,
}

/// Returns where the journal of a run lies.
pub fn path_of(folder: &Path, run: &str) -> PathBuf {
    folder.join(format!("{run}.jsonl"))
}

impl Journal {
    /// Begins the journal of a new run; it is on the disk when this returns.
    pub fn begin(folder: &Path, header: &Header) -> Result<Self> {
        let path = path_of(folder, &header.run);
        let failed = |error| unwritable(&path, &error);
        let mut options = OpenOptions::new();
        options.append(true).read(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        // Without its lock the run does not begin, so it leaves no journal.
        lock(&file, &path, &header.run).inspect_err(|_| _ = std::fs::remove_file(&path))?;
        let mut text = serde_json::to_vec(header).expect("a header is plain JSON");
        text.push(b'\n');
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        // The name is on the disk as well once its folder is.
        #[cfg(unix)]
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Journal::over(file, header.run.clone()).map_err(failed)
    }

    /// Opens the journal of a run that is resumed. A last line that was not written to its end is cut off.
    pub fn reopen(folder: &Path, run: &str) -> Result<Self> {
        let path = path_of(folder, run);
        let failed = |error| unwritable(&path, &error);
        let mut file = OpenOptions::new().append(true).read(true).open(&path).map_err(failed)?;
        lock(&file, &path, run)?;
        let whole = whole_lines(&mut file).map_err(failed)?;
        file.set_len(whole).and_then(|()| file.sync_all()).map_err(failed)?;
        Journal::over(file, run.to_owned()).map_err(failed)
    }

    fn over(file: File, run: String) -> io::Result<Self> {
        let marks = file.try_clone()?;
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (wake, woken) = mpsc::channel();
        let shared = waiting.clone();
        let writer = std::thread::spawn(move || write(file, &shared, &woken));
        Ok(Journal { run, waiting, wake, writer: Some(writer), file: marks })
    }

    /// Adds a line to the next group.
    pub fn append(&self, line: &Line) {
        self.add(line);
    }

    /// Writes at once that the request of these rows leaves, after what is to be known of them since their first line. A
    /// failure is kept for [`Journal::failure`].
    pub fn sent(&self, mut lines: Vec<Line>, rows: Vec<u32>, at: jiff::Timestamp) {
        lines.push(Line::Sent { sent: rows, at });
        self.mark(&lines);
    }

    /// Writes at once that the mailbox of a row was created, and what takes a second request is not set yet.
    pub fn made(&self, row: u32) {
        self.mark(&[Line::Made { made: row }]);
    }

    fn mark(&self, lines: &[Line]) {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).expect("a line is plain JSON");
            text.push(b'\n');
        }
        // The lock keeps the writer from another attempt once this line may be half there.
        let mut waiting = held(&self.waiting);
        if waiting.failed.is_none()
            && let Err(error) = (&self.file).write_all(&text)
        {
            waiting.failed = Some((error.kind(), error.to_string()));
        }
    }

    /// Adds what became of a row to the next group.
    pub fn done(&self, done: &Done) {
        self.add(done);
    }

    fn add(&self, line: &impl Serialize) {
        let mut waiting = held(&self.waiting);
        serde_json::to_writer(&mut waiting.text, line).expect("a line is plain JSON");
        waiting.text.push(b'\n');
        waiting.lines += 1;
        if waiting.lines == GROUP_LINES {
            let _ = self.wake.send(None);
        }
    }

    /// Waits until all lines so far are on the disk.
    pub async fn commit(&self) -> Result<()> {
        let (done, written) = oneshot::channel();
        let _ = self.wake.send(Some(done));
        let result = written.await.unwrap_or_else(|_| Err(io::Error::other("its writer has ended")));
        result.map_err(|error| self.unwritable(&error))
    }

    /// Returns why nothing can be written any more, if that is so.
    pub fn failure(&self) -> Option<Error> {
        let waiting = held(&self.waiting);
        waiting.failed.as_ref().map(|(kind, why)| self.unwritable(&io::Error::new(*kind, why.clone())))
    }

    fn unwritable(&self, error: &io::Error) -> Error {
        let message = format!("cannot write the journal of run {}: {error}", self.run);
        Error::new(Kind::Refused, message).hint("make room for it; nothing is sent without it")
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The writer writes what is waiting and ends when nobody can wake it any more.
        (self.wake, _) = mpsc::channel();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::Refused, format!("cannot write the journal {}: {error}; nothing was sent", path.display()))
}

/// Returns the boot of this machine: what was written but not flushed is kept until the next one.
pub fn this_boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// Holds the journal against a second process that works on the same run.
fn lock(file: &File, path: &Path, run: &str) -> Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            Error::new(Kind::Busy, format!("run {run} is under way in another process")).hint("wait for it to end")
        }
        TryLockError::Error(error) => no_lock(path, &error),
    })
}

/// Returns the error of a file that cannot be locked though nobody holds it.
pub fn no_lock(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::Config, format!("cannot lock {}: {error}", path.display())).hint(
        "without locks two processes could work on the same run; set XDG_STATE_HOME to a folder whose file system has \
         them, such as a local disk",
    )
}

fn write(mut file: File, shared: &Mutex<Waiting>, woken: &mpsc::Receiver<Option<oneshot::Sender<io::Result<()>>>>) {
    loop {
        let mut asked = Vec::new();
        let is_last = match woken.recv_timeout(GROUP_TIME) {
            Ok(first) => {
                asked.extend(first);
                asked.extend(woken.try_iter().flatten());
                false
            }
            Err(mpsc::RecvTimeoutError::Timeout) => false,
            Err(mpsc::RecvTimeoutError::Disconnected) => true,
        };
        let (text, failed) = {
            let mut waiting = held(shared);
            waiting.lines = 0;
            (std::mem::take(&mut waiting.text), waiting.failed.clone())
        };
        // After a failure nothing more is written: the last line may be half there, and no other may follow it.
        let result = match failed {
            Some((kind, why)) => Err(io::Error::new(kind, why)),
            None if text.is_empty() => Ok(()),
            None => file.write_all(&text).and_then(|()| file.sync_data()),
        };
        if let Err(error) = &result {
            let mut waiting = held(shared);
            waiting.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
        }
        for reply in asked {
            let copy = result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()));
            let _ = reply.send(copy);
        }
        if is_last {
            return;
        }
    }
}

/// Returns how many bytes the lines take that were written to their end.
pub(super) fn whole_lines(file: &mut File) -> io::Result<u64> {
    file.rewind()?;
    let mut reader = BufReader::new(file);
    let (mut whole, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 || line.last() != Some(&b'\n') {
            reader.into_inner().seek(SeekFrom::End(0))?;
            return Ok(whole);
        }
        whole += read as u64;
    }
}

#[cfg(test)]
mod tests;
