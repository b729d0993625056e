//! The rows of a file: CSV, TSV or JSON lines, from a file or standard input. The file is read twice, once to check all
//! of it before the first request and once to work on it, so that a million rows need little memory.

mod records;
mod rows;
mod select;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

pub use records::LONGEST;
pub use rows::Rows;
pub use select::{Select, Shard, parse_match};

use self::records::Source;
use super::Fingerprint;
use crate::error::{Error, Kind, Result};
use crate::model::{Address, NewMailbox};
use crate::provider::Problem;

/// The columns that can mean something.
pub const COLUMNS: [&str; 6] = ["address", "first_name", "last_name", "quota", "admin", "password"];

/// `NAME=HEADING`: which heading of the file stands for a column.
pub type Mapping = (String, String);

/// Reads `address=E-Mail`.
pub fn parse_mapping(text: &str) -> Result<Mapping, String> {
    match text.split_once('=') {
        Some((name, heading)) if COLUMNS.contains(&name) && !heading.trim().is_empty() => {
            Ok((name.to_owned(), heading.to_owned()))
        }
        _ => Err(format!("write COLUMN=HEADING, where COLUMN is one of {}", COLUMNS.join(", "))),
    }
}

/// A file of rows, open.
pub struct Input {
    file: File,
    /// What it is called in messages: its path, or `standard input`.
    pub name: String,
    /// Where it lies; `None` for standard input.
    pub path: Option<PathBuf>,
    columns: &'static [&'static str],
    map: Vec<Mapping>,
    select: Select,
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Which one of the selected rows it is, counted from zero.
    pub number: u32,
    /// The line it begins on, counted from one.
    pub line: u64,
    /// What it asks for.
    pub new: NewMailbox,
}

/// A row that cannot be used.
#[derive(Debug)]
pub struct Bad {
    /// The address, if that much can be read, with its line.
    address: Option<(Address, u64)>,
    /// What is wrong with it.
    pub troubles: Vec<Trouble>,
}

impl From<Trouble> for Bad {
    fn from(trouble: Trouble) -> Self {
        Bad { address: None, troubles: vec![trouble] }
    }
}

/// Something wrong with a line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The line, counted from one.
    pub line: u64,
    /// The column, or the place in a line of JSON.
    pub column: String,
    /// Why, in a sentence that repeats no password.
    pub why: String,
    /// Whether the column is needed and holds nothing.
    pub is_missing: bool,
}

/// What the first reading of a file found.
#[derive(Debug)]
pub struct Survey {
    /// How many rows are selected, the bad ones included.
    pub rows: u32,
    /// How many different domains they lie on.
    pub domains: usize,
    /// Everything that is wrong, by line.
    pub troubles: Vec<Trouble>,
    /// What is left out: headings that mean nothing here, and catch-alls.
    pub unused: Vec<String>,
    /// Identifies the content.
    pub digest: String,
}

impl Input {
    /// Opens a file, or standard input for `-`, of which `columns` are read and the others left alone. What cannot be read
    /// twice is kept in a temporary file without a name.
    pub fn open(path: &str, columns: &'static [&'static str], map: Vec<Mapping>, select: Select) -> Result<Self> {
        let (name, path, source) = match path {
            "-" => ("standard input".to_owned(), None, None),
            path => (path.to_owned(), Some(PathBuf::from(path)), Some(path)),
        };
        let failed = |error: io::Error| Error::new(Kind::Usage, format!("cannot read {name}: {error}"));
        let file = match source {
            Some(path) => {
                let file = File::open(path).map_err(failed)?;
                let about = file.metadata().map_err(failed)?;
                if about.is_dir() {
                    return Err(Error::new(Kind::Usage, format!("cannot read {name}: it is a folder")));
                }
                if about.is_file() { file } else { spool(file).map_err(failed)? }
            }
            None if io::stdin().is_terminal() => {
                return Err(Error::new(Kind::Usage, "standard input is a terminal").hint("name a file, or pipe one in"));
            }
            None => spool(io::stdin().lock()).map_err(failed)?,
        };
        let path = path.map(|path| std::path::absolute(&path).unwrap_or(path));
        Ok(Input { file, name, path, columns, map, select })
    }

    /// Reads the whole file and finds everything that is wrong with it; `rules` adds what the provider would refuse. A
    /// heading that cannot be used is an error of its own.
    pub fn survey(&mut self, mut rules: impl FnMut(&mut NewMailbox) -> Vec<Problem>) -> Result<Survey> {
        let mut troubles = Vec::new();
        // Sixteen bytes a row: a hash map of addresses would need ten times as much for a million of them.
        let mut seen: Vec<(Fingerprint, u32)> = Vec::new();
        let mut domains = std::collections::HashSet::new();
        let mut count: u64 = 0;
        let mut rows = self.rows()?;
        for row in &mut rows {
            count += 1;
            match row? {
                Ok(mut row) => {
                    if !domains.contains(row.new.address.domain()) {
                        domains.insert(row.new.address.domain().clone());
                    }
                    seen.push((Fingerprint::of(&row.new.address), short(row.line)));
                    troubles.extend(rules(&mut row.new).into_iter().map(|problem| Trouble {
                        line: row.line,
                        column: problem.field.to_owned(),
                        why: problem.why,
                        is_missing: problem.is_missing,
                    }));
                }
                Err(bad) => {
                    seen.extend(bad.address.map(|(address, line)| (Fingerprint::of(&address), short(line))));
                    troubles.extend(bad.troubles);
                }
            }
        }
        let unused = std::mem::take(&mut rows.unused);
        let digest = rows.digest();
        let rows = u32::try_from(count).map_err(|_| {
            Error::new(Kind::Usage, format!("{} has more rows than fit into one run", self.name)).hint("split it")
        })?;
        seen.sort_unstable();
        for pair in seen.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            troubles.push(Trouble {
                line: u64::from(pair[1].1),
                column: "address".to_owned(),
                why: format!("the same mailbox as on line {}", pair[0].1),
                is_missing: false,
            });
        }
        troubles.sort_by_key(|trouble| trouble.line);
        Ok(Survey { rows, domains: domains.len(), troubles, unused, digest })
    }

    /// Reads the file from its beginning, row by row.
    pub fn rows(&self) -> Result<Rows> {
        Rows::new(Source::new(&self.file, &self.name)?, &self.name, self.columns, &self.map, &self.select)
    }
}

/// Returns a line number that is kept for a message; files with more lines than this are refused.
fn short(line: u64) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Copies what can be read only once into a file that no other user can open and that is gone when the program ends.
fn spool(mut from: impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut from, &mut file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_a_known_column() {
        assert_eq!(parse_mapping("address=E-Mail"), Ok(("address".to_owned(), "E-Mail".to_owned())));
        for wrong in ["adress=E-Mail", "address", "address=", "=E-Mail"] {
            assert!(parse_mapping(wrong).is_err(), "{wrong}");
        }
    }
}
