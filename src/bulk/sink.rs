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
    /// Those of an earlier try: a mailbox that may have been created with one must keep it.
    known: HashMap<Fingerprint, SecretString>,
    waiting: Vec<u8>,
}

impl Sink {
    /// Creates a new file; `make` generates a password.
    pub fn create(path: &Path, make: fn() -> SecretString) -> Result<Self> {
        let failed = |error| unwritable(path, &error);
        let mut file = private().create_new(true).open(path).map_err(failed)?;
        head(&mut file).map_err(failed)?;
        Ok(Sink { path: path.to_owned(), file: Arc::new(file), make, known: HashMap::new(), waiting: Vec::new() })
    }

    /// Opens the file of a run that is resumed. Passwords of rows that are done, `settled` in order, are only kept.
    pub fn reopen(path: &Path, make: fn() -> SecretString, settled: &[Fingerprint]) -> Result<Self> {
        let failed = |error| unwritable(path, &error);
        let mut file = cut(path)?;
        if file.metadata().map_err(failed)?.len() == 0 {
            head(&mut file).map_err(failed)?;
        }
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

    /// Returns whether an earlier try has generated a password for a mailbox.
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

    /// Writes what is waiting to the disk.
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

/// Refuses a file of passwords that is there: it is never overwritten.
pub fn refuse_existing(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(unwritable(path, &io::ErrorKind::AlreadyExists.into())),
        Err(_) => Ok(()),
    }
}

/// Removes passwords from a file: those of the addresses in `unused`, in order. A password that may be in use must not be
/// among them.
pub fn remove_unused(path: &Path, unused: &[Fingerprint]) -> Result<()> {
    let failed = |error| unwritable(path, &error);
    // A last line that was not written to its end belongs to a mailbox that was never asked for.
    cut(path)?;
    // The new file takes the place of the old one, wherever a link leads.
    let path = &fs::canonicalize(path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    // It has a name that no other file has, and only its owner can read it. On an error it goes.
    let mut new = tempfile::Builder::new().prefix(".mbx-").tempfile_in(folder).map_err(failed)?;
    copy_without(path, &mut new, unused)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(path).map(drop).map_err(|error| failed(error.error))
}

/// Opens a file, and cuts off a last line that was not written to its end.
fn cut(path: &Path) -> Result<File> {
    let failed = |error| unwritable(path, &error);
    let mut file = private().open(path).map_err(failed)?;
    let whole = super::journal::whole_lines(&mut file).map_err(failed)?;
    file.set_len(whole).map_err(failed)?;
    Ok(file)
}

fn copy_without(path: &Path, new: impl Write, unused: &[Fingerprint]) -> Result<()> {
    let failed = |error: csv::Error| unwritable(path, &io::Error::other(error));
    let mut writer = csv::Writer::from_writer(new);
    writer.write_record(["address", "password"]).map_err(failed)?;
    for line in lines(path)? {
        let (address, password) = line?;
        if unused.binary_search(&Fingerprint::of(&address)).is_err() {
            writer.write_record([&address.to_string(), password.expose_secret()]).map_err(failed)?;
        }
    }
    writer.flush().map_err(|error| unwritable(path, &error))
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
        Ok((Address::lenient(record.get(0).unwrap_or_default()), record.get(1).unwrap_or_default().into()))
    }))
}

/// Writes the first line.
fn head(file: &mut File) -> io::Result<()> {
    file.write_all(b"address,password\n")?;
    file.sync_all()
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
        .hint("mbx writes a password before it sends the request, so nothing was sent without one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_used_is_removed_and_no_other_file_is_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("PW.csv");
        let addresses = ["a@b.example", "c@b.example", "d@b.example"].map(|text| Address::parse(text).expect("one"));
        let mut sink = Sink::create(&path, || "secret".into()).expect("it is new");
        addresses.iter().for_each(|address| drop(sink.password_for(address)));
        sink.file.as_ref().write_all(&sink.waiting).expect("it is written");
        // A file of the user, and a link to the file of passwords.
        let other = folder.path().join("PW.csv.new");
        fs::write(&other, "precious").expect("it is written");
        let link = folder.path().join("link");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&path, &link).expect("it is linked");
        #[cfg(not(unix))]
        fs::hard_link(&path, &link).expect("it is linked");
        remove_unused(&link, &[Fingerprint::of(&addresses[1])]).expect("it is removed");
        let left = fs::read_to_string(&path).expect("it is there");
        assert_eq!(left, "address,password\na@b.example,secret\nd@b.example,secret\n");
        assert_eq!(fs::read_to_string(&other).expect("it is there"), "precious");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
            assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        }
    }
}
