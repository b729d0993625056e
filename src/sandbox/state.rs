//! The file in which a sandbox keeps its state, so that several processes share it one request after another.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::sync::{Mutex, MutexGuard};

/// The pause between two attempts to take the lock.
const PAUSE: Duration = Duration::from_millis(2);

/// A state file, which requests of this process take in turn.
pub(super) struct StateFile {
    path: PathBuf,
    turn: Mutex<()>,
}

/// The file while one request holds it: no other request, and no other process, reads or writes it.
pub(super) struct Held<'a> {
    path: &'a Path,
    /// What the file held; `None` where there was no file.
    pub(super) bytes: Option<Vec<u8>>,
    _lock: File,
    _turn: MutexGuard<'a, ()>,
}

impl StateFile {
    pub(super) fn at(path: PathBuf) -> Self {
        StateFile { path, turn: Mutex::new(()) }
    }

    /// Waits for the file without blocking the thread, then locks and reads it.
    pub(super) async fn hold(&self) -> io::Result<Held<'_>> {
        let turn = self.turn.lock().await;
        let lock = private(OpenOptions::new().create(true).append(true)).open(self.path.with_extension("lock"))?;
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::WouldBlock => tokio::time::sleep(PAUSE).await,
                TryLockError::Error(error) => return Err(error),
            }
        }
        let bytes = match private(OpenOptions::new().read(true)).open(&self.path) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                Some(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Held { path: &self.path, bytes, _lock: lock, _turn: turn })
    }
}

impl Held<'_> {
    /// Replaces the file as a whole, unless nothing has changed.
    pub(super) fn replace(self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.as_deref() == Some(bytes) {
            return Ok(());
        }
        // A temporary file is private, has a name of its own, and goes away by itself when it cannot be written.
        let mut new = NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new("")))?;
        new.write_all(bytes)?;
        new.persist(self.path)?;
        Ok(())
    }
}

/// Opens a file for its owner alone, and no link in its place.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    options
}
