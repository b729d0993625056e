//! Small files that may be anything: a pipe that stays empty, a device that never ends.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// The longest secret, in bytes: far beyond any key, far below a file named by mistake.
pub(super) const SECRET_MAX: u64 = 64 << 10;

/// Runs something that may block for ever in a thread of its own, so that the program can end meanwhile.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("reading does not panic")
}

/// Reads a file of at most so many bytes, without blocking the program. The error is a reason.
pub(crate) async fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let path = path.to_owned();
    aside(move || File::open(&path).and_then(|file| read(file, most))).await.map_err(|error| error.to_string())
}

/// Reads a small file that holds a secret; refuses one that others can read.
pub(super) fn read_private(path: &Path) -> Result<String> {
    let failed = |why: String| unreadable(path, &why);
    let bytes = read(open_private(path)?, SECRET_MAX).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| failed("it is not valid UTF-8".to_owned()))
}

/// Opens a file that holds a secret; refuses one that others can read.
pub(crate) fn open_private(path: &Path) -> Result<File> {
    let failed = |error: io::Error| unreadable(path, &error.to_string());
    let file = File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let about = file.metadata().map_err(failed)?;
        if about.is_file() && about.permissions().mode() & 0o077 != 0 {
            return Err(unreadable(path, "others can read it").hint(format!("chmod 600 {}", path.display())));
        }
    }
    Ok(file)
}

/// Returns the error for a file with a secret that cannot be read.
pub(crate) fn unreadable(path: &Path, why: &str) -> Error {
    Error::new(Kind::Config, format!("cannot read {}: {why}", path.display()))
}

/// Reads at most so many bytes; more is an error.
pub(super) fn read(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {} KiB", most >> 10)));
    }
    Ok(bytes)
}
