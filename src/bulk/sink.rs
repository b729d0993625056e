//! Where generated passwords go: CSV that only its owner can read, on the disk before the request that uses them. At the
//! end of a run it holds the passwords of mailboxes that have them, and no others.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::Fingerprint;
use crate::error::{Error, Kind, Result};
use crate::model::Address;

/// An open file of passwords.
pub struct Sink {
    path: PathBuf,
    file: Arc<File>,
    make: fn() -> SecretString,
    /// Those of an earlier try: a mailbox that may have been made with one must keep it.
    known: HashMap<Fingerprint, SecretString>,
    waiting: Vec<u8>,
}

impl Sink {
    /// Makes a new file; `make` makes up a password.
    pub fn create(path: &Path, make: fn() -> SecretString) -> Result<Self> {
        let failed = |error| unwritable(path, &error);
        let mut file = private().create_new(true).open(path).map_err(failed)?;
        file.write_all(b"address,password\n").and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(Sink { path: path.to_owned(), file: Arc::new(file), make, known: HashMap::new(), waiting: Vec::new() })
    }

    /// Opens the file of a run that is gone on with. Passwords of rows that are done, `settled` in order, are only kept.
    pub fn reopen(path: &Path, make: fn() -> SecretString, settled: &[Fingerprint]) -> Result<Self> {
        let file = cut(path)?;
        let mut known = HashMap::new();
        for line in lines(path)? {
            let (address, password) = line?;
            let print = Fingerprint::of(&address);
            if settled.binary_search(&print).is_err() {
                known.insert(print, password);
            }
        }
        Ok(Sink { path: path.to_owned(), file: Arc::new(file), make, known, waiting: Vec::new() })
    }

    /// Returns whether an earlier try has made up a password for a mailbox.
    pub fn knows(&self, address: &Address) -> bool {
        self.known.contains_key(&Fingerprint::of(address))
    }

    /// Returns the password for a mailbox, and whether an earlier try may have used it.
    pub fn password_for(&mut self, address: &Address) -> (SecretString, bool) {
        if let Some(known) = self.known.remove(&Fingerprint::of(address)) {
            return (known, true);
        }
        let password = (self.make)();
        let mut line = csv::Writer::from_writer(&mut self.waiting);
        line.write_record([&address.to_string(), password.expose_secret()]).expect("writing to memory does not fail");
        drop(line);
        (password, false)
    }

    /// Brings what is waiting to the disk.
    pub async fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (file, text) = (self.file.clone(), std::mem::take(&mut self.waiting));
        let written = tokio::task::spawn_blocking(move || (&*file).write_all(&text).and_then(|()| file.sync_data()));
        written
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| unwritable(&self.path, &error))
    }
}

/// Takes the passwords out of a file that have become nobody's: those of `gone`, in order.
pub fn strike(path: &Path, gone: &[Fingerprint]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // One that was left half written when a run was killed is of no use.
    let _ = fs::remove_file(&new);
    // Nor is a last line that found no room: its mailbox was never asked for.
    cut(path)?;
    let copied = copy_without(path, &new, gone);
    if copied.is_err() {
        let _ = fs::remove_file(&new);
    }
    copied
}

/// Opens a file, and cuts off a last line that was not written to its end.
fn cut(path: &Path) -> Result<File> {
    let failed = |error| unwritable(path, &error);
    let mut file = private().open(path).map_err(failed)?;
    let whole = super::journal::whole_lines(&mut file).map_err(failed)?;
    file.set_len(whole).map_err(failed)?;
    Ok(file)
}

fn copy_without(path: &Path, new: &Path, gone: &[Fingerprint]) -> Result<()> {
    let failed = |error| unwritable(path, &error);
    let bad = |error: csv::Error| failed(io::Error::other(error));
    let mut writer = csv::Writer::from_writer(private().create_new(true).open(new).map_err(failed)?);
    writer.write_record(["address", "password"]).map_err(bad)?;
    for line in lines(path)? {
        let (address, password) = line?;
        if gone.binary_search(&Fingerprint::of(&address)).is_err() {
            writer.write_record([&address.to_string(), password.expose_secret()]).map_err(bad)?;
        }
    }
    let file = writer.into_inner().map_err(|error| failed(io::Error::other(error.to_string())))?;
    file.sync_all().and_then(|()| fs::rename(new, path)).map_err(failed)
}

fn lines(path: &Path) -> Result<impl Iterator<Item = Result<(Address, SecretString)>>> {
    // The words of the error may quote a line.
    let shown = path.display().to_string();
    let failed = move |error: csv::Error| {
        let why = match error.kind() {
            csv::ErrorKind::Io(error) => error.to_string(),
            _ => "it is not as mbx wrote it".to_owned(),
        };
        Error::new(Kind::Config, format!("cannot read the passwords so far in {shown}: {why}"))
    };
    let reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(&failed)?;
    Ok(reader.into_records().map(move |record| {
        let record = record.map_err(&failed)?;
        Ok((Address::told(record.get(0).unwrap_or_default()), record.get(1).unwrap_or_default().into()))
    }))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::Refused, format!("cannot write {}: {error}", path.display()))
        .hint("a password must be there before its mailbox is made: nothing is sent without it")
}
