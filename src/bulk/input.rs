//! The rows of a file: CSV, TSV or JSON lines, from a file or standard input. The file is read twice, once to check all
//! of it before the first request and once to work on it, so that a million rows need little memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Seek};
use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Fingerprint;
use crate::error::{Error, Kind, Result};
use crate::model::{Address, Bytes, NewMailbox};
use crate::provider::Problem;

/// The columns that mean something. Others are left alone.
pub const COLUMNS: [&str; 6] = ["address", "first_name", "last_name", "quota", "admin", "password"];

/// The longest line of JSON, so that a file which is none does not fill the memory.
const LINE_MAX: u64 = 1 << 20;

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

/// Which rows of a file are worked on. It is kept in the journal, so that a resumed run means the same rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// Headings and what must stand in the cells under them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matching: Vec<(String, String)>,
    /// How many of the matching rows are left out at the beginning.
    #[serde(default)]
    pub skip: u64,
    /// How many are taken after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Which part of those, by their addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

/// One part of a file that several machines work on without talking to each other. The address decides which part a row
/// is in, so that two spellings of one address meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, counted from zero.
    pub index: u64,
    /// How many parts there are.
    pub of: u64,
}

impl std::str::FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of => Ok(Shard { index, of }),
            _ => Err("write I/N with I from 0 to N-1, such as 0/4".to_owned()),
        }
    }
}

impl Shard {
    fn has(self, address: Fingerprint) -> bool {
        address.number() % self.of == self.index
    }
}

/// Reads `COLUMN=VALUE`.
pub fn parse_match(text: &str) -> Result<(String, String), String> {
    let (heading, value) = text.split_once('=').ok_or("write COLUMN=VALUE")?;
    Ok((heading.to_owned(), value.to_owned()))
}

/// A file of rows, open.
pub struct Input {
    file: File,
    /// What it is called in messages: its path, or `standard input`.
    pub name: String,
    /// Where it lies; `None` for standard input.
    pub path: Option<PathBuf>,
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

/// A row that makes no sense.
#[derive(Debug)]
pub struct Bad {
    /// The address, if that much can be read, with its line.
    address: Option<(Fingerprint, u64)>,
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
    /// Headings that mean nothing here.
    pub unused: Vec<String>,
    /// Identifies the content.
    pub digest: String,
}

impl Input {
    /// Opens a file, or standard input for `-`. What cannot be read twice is kept in a temporary file without a name.
    pub fn open(path: &str, map: Vec<Mapping>, select: Select) -> Result<Self> {
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
        Ok(Input { file, name, path, map, select })
    }

    /// Reads the whole file and finds everything that is wrong with it; `rules` adds what the provider would refuse. A
    /// heading that makes no sense is an error of its own.
    pub fn survey(&mut self, mut rules: impl FnMut(&mut NewMailbox) -> Vec<Problem>) -> Result<Survey> {
        let mut troubles = Vec::new();
        // Sixteen bytes a row: a hash map of addresses would need ten times as much for a million of them.
        let mut seen: Vec<(Fingerprint, u32)> = Vec::new();
        let mut domains = std::collections::HashSet::new();
        let mut count: u64 = 0;
        let mut rows = self.rows()?;
        let unused = rows.unused.clone();
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
                    }));
                }
                Err(bad) => {
                    seen.extend(bad.address.map(|(print, line)| (print, short(line))));
                    troubles.extend(bad.troubles);
                }
            }
        }
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
            });
        }
        troubles.sort_by_key(|trouble| trouble.line);
        Ok(Survey { rows, domains: domains.len(), troubles, unused, digest })
    }

    /// Reads the file from its beginning, row by row.
    pub fn rows(&self) -> Result<Rows> {
        let failed = |error: io::Error| Error::new(Kind::Usage, format!("cannot read {}: {error}", self.name));
        let mut file = self.file.try_clone().map_err(failed)?;
        file.rewind().map_err(failed)?;
        let mut reader = BufReader::with_capacity(1 << 16, Hashing { file, digest: Sha256::new() });
        let start = reader.fill_buf().map_err(failed)?;
        let has_mark = start.starts_with(b"\xef\xbb\xbf");
        if has_mark {
            reader.consume(3);
        }
        let start = reader.buffer();
        let kind = match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Reading::Json { reader, line: 0, buffer: Vec::new() },
            Some(b'[') => {
                return Err(Error::new(Kind::Usage, format!("{} is one JSON array, not JSON lines", self.name))
                    .hint("`jq -c '.[]'` turns it into lines"));
            }
            _ => {
                let delimiter = delimiter(start);
                let mut csv = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .flexible(true)
                    .delimiter(delimiter)
                    .from_reader(reader);
                let mut head = csv::ByteRecord::new();
                csv.read_byte_record(&mut head)
                    .map_err(|error| Error::new(Kind::Usage, format!("cannot read {}: {error}", self.name)))?;
                Reading::Csv { csv: Box::new(csv), head, record: csv::ByteRecord::new() }
            }
        };
        let mut rows = Rows {
            reading: kind,
            name: self.name.clone(),
            map: self.map.clone(),
            select: self.select.clone(),
            matching: Vec::new(),
            seen: 0,
            places: Vec::new(),
            unused: Vec::new(),
            next: 0,
        };
        rows.read_head()?;
        Ok(rows)
    }
}

/// Returns a line number that is kept for a message; files with more lines than this are refused.
fn short(line: u64) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Copies what can be read only once into a file that nobody else can open and that goes when the program ends.
fn spool(mut from: impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut from, &mut file)?;
    Ok(file)
}

/// Returns what separates the cells: the likeliest of comma, tab and semicolon in the first line.
fn delimiter(start: &[u8]) -> u8 {
    let head = start.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let count = |wanted: u8| head.iter().filter(|&&byte| byte == wanted).count();
    [b',', b'\t', b';'].into_iter().rev().max_by_key(|&byte| count(byte)).unwrap_or(b',')
}

/// A file that is digested as it is read.
struct Hashing {
    file: File,
    digest: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

type Source = BufReader<Hashing>;

enum Reading {
    Csv { csv: Box<csv::Reader<Source>>, head: csv::ByteRecord, record: csv::ByteRecord },
    Json { reader: Source, line: u64, buffer: Vec<u8> },
}

/// The rows of a file, one after the other. An item is an error when the file cannot be read on, and [`Bad`] when
/// this one row makes no sense.
pub struct Rows {
    reading: Reading,
    name: String,
    map: Vec<Mapping>,
    select: Select,
    /// Where in a record the cells stand that must match, and what must stand there.
    matching: Vec<(usize, String)>,
    /// Matching rows so far.
    seen: u64,
    /// Where in a record each of [`COLUMNS`] stands.
    places: Vec<Option<usize>>,
    unused: Vec<String>,
    next: u32,
}

/// A heading as it is compared.
fn folded(heading: &str) -> String {
    heading.trim().to_lowercase().replace([' ', '-'], "_")
}

impl Rows {
    /// Returns the column that a heading stands for.
    fn column_of(&self, heading: &str) -> Option<usize> {
        let heading = folded(heading);
        COLUMNS.iter().position(|column| match self.map.iter().find(|(name, _)| name == column) {
            Some((_, mapped)) => folded(mapped) == heading,
            None => *column == heading,
        })
    }

    fn read_head(&mut self) -> Result<()> {
        let Reading::Csv { head, .. } = &self.reading else { return Ok(()) };
        let headings: Vec<String> = head.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
        let wrong = |why: String| Err(Error::new(Kind::Usage, format!("{}: {why}", self.name)));
        let columns: Vec<Option<usize>> = headings.iter().map(|heading| self.column_of(heading)).collect();
        let mut places = vec![None; COLUMNS.len()];
        let mut unused = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            match *column {
                Some(column) if places[column].is_some() => {
                    return wrong(format!("line 1 has two columns that stand for {}", COLUMNS[column]));
                }
                Some(column) => places[column] = Some(at),
                None if self.select.matching.iter().any(|(known, _)| folded(known) == folded(&headings[at])) => {}
                None => unused.push(headings[at].clone()),
            }
        }
        if let Some((name, heading)) =
            self.map.iter().find(|(_, heading)| !headings.iter().any(|known| folded(known) == folded(heading)))
        {
            return wrong(format!("line 1 has no column {heading:?} to take as {name}"));
        }
        let mut matching = Vec::new();
        for (heading, value) in &self.select.matching {
            let Some(at) = headings.iter().position(|known| folded(known) == folded(heading)) else {
                return wrong(format!("line 1 has no column {heading:?} to select by"));
            };
            matching.push((at, value.trim().to_owned()));
        }
        self.matching = matching;
        if places[0].is_none() {
            let found = headings.join(", ");
            let error = Error::new(Kind::Usage, format!("{}: line 1 has no column `address`: {found}", self.name));
            return Err(error.hint("name the column with --map address=HEADING"));
        }
        (self.places, self.unused) = (places, unused);
        Ok(())
    }

    /// Returns the digest of all that was read.
    fn digest(&self) -> String {
        let source = match &self.reading {
            Reading::Csv { csv, .. } => csv.get_ref(),
            Reading::Json { reader, .. } => reader,
        };
        source.get_ref().digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the next row; nothing inside when it does not match.
    fn next_csv(&mut self) -> Option<Result<Option<Result<Row, Bad>>>> {
        let Reading::Csv { csv, head, record } = &mut self.reading else { return None };
        match csv.read_byte_record(record) {
            Ok(false) => return None,
            Ok(true) => {}
            Err(error) => return Some(Err(Error::new(Kind::Usage, format!("cannot read {}: {error}", self.name)))),
        }
        let line = record.position().map_or(0, csv::Position::line);
        let matches =
            |(at, value): &(usize, String)| record.get(*at).is_some_and(|cell| cell.trim_ascii() == value.as_bytes());
        if !self.matching.iter().all(matches) {
            return Some(Ok(None));
        }
        let trouble = |column: &str, why: String| Trouble { line, column: column.to_owned(), why };
        if record.len() != head.len() {
            let why = format!("{} cells where the heading has {}", record.len(), head.len());
            return Some(Ok(Some(Err(trouble("(all)", why).into()))));
        }
        let mut cells: [Option<&str>; COLUMNS.len()] = [None; COLUMNS.len()];
        let mut troubles = Vec::new();
        for (column, place) in self.places.iter().enumerate() {
            let Some(cell) = place.and_then(|at| record.get(at)) else { continue };
            match std::str::from_utf8(cell) {
                // A password may be made of blanks, and so it is refused rather than cut.
                Ok(text) if COLUMNS[column] == "password" => cells[column] = Some(text).filter(|text| !text.is_empty()),
                Ok(text) => cells[column] = Some(text.trim()).filter(|text| !text.is_empty()),
                Err(_) => troubles.push(trouble(COLUMNS[column], "it is not UTF-8".to_owned())),
            }
        }
        Some(Ok(Some(row_of(line, cells, troubles))))
    }

    fn next_json(&mut self) -> Option<Result<Option<Result<Row, Bad>>>> {
        let (text, line) = loop {
            let Reading::Json { reader, line, buffer } = &mut self.reading else { return None };
            buffer.clear();
            match reader.take(LINE_MAX).read_until(b'\n', buffer) {
                Ok(0) => return None,
                Ok(_) => *line += 1,
                Err(error) => return Some(Err(Error::new(Kind::Usage, format!("cannot read {}: {error}", self.name)))),
            }
            if !buffer.trim_ascii().is_empty() {
                break (std::mem::take(buffer), *line);
            }
        };
        let trouble = |column: &str, why: String| Trouble { line, column: column.to_owned(), why };
        let object: Map<String, Value> = match serde_json::from_slice(&text) {
            Ok(object) => object,
            Err(error) => {
                // The words of the error may quote the line, and there may be a password in it.
                let why = if error.is_data() { "it is not a JSON object" } else { "it is not JSON" };
                return Some(Ok(Some(Err(trouble(&format!("character {}", error.column()), why.to_owned()).into()))));
            }
        };
        let matches = |(heading, value): &(String, String)| {
            let found = object.iter().find(|(key, _)| folded(key) == folded(heading)).map(|(_, found)| found);
            found.is_some_and(|found| match found {
                Value::String(text) => text.trim() == value.trim(),
                other => *value.trim() == other.to_string()[..],
            })
        };
        if !self.select.matching.iter().all(matches) {
            return Some(Ok(None));
        }
        let mut cells: [Option<String>; COLUMNS.len()] = Default::default();
        let mut troubles = Vec::new();
        for (key, value) in &object {
            let Some(column) = self.column_of(key) else {
                if !self.unused.contains(key) && self.unused.len() < 20 {
                    self.unused.push(key.clone());
                }
                continue;
            };
            cells[column] = match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
                Value::Bool(yes) if COLUMNS[column] == "admin" => Some(yes.to_string()),
                Value::Number(bytes) if COLUMNS[column] == "quota" => Some(bytes.to_string()),
                _ => {
                    troubles.push(trouble(COLUMNS[column], "it is not a text".to_owned()));
                    None
                }
            };
        }
        Some(Ok(Some(row_of(line, cells.each_ref().map(Option::as_deref), troubles))))
    }
}

impl Iterator for Rows {
    type Item = Result<Result<Row, Bad>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = match self.reading {
                Reading::Csv { .. } => self.next_csv()?,
                Reading::Json { .. } => self.next_json()?,
            };
            let row = match next {
                Ok(Some(row)) => row,
                Ok(None) => continue,
                Err(error) => return Some(Err(error)),
            };
            self.seen += 1;
            let end = self.select.limit.map(|limit| self.select.skip.saturating_add(limit));
            if self.seen <= self.select.skip || end.is_some_and(|end| self.seen > end) {
                continue;
            }
            if let Some(shard) = self.select.shard {
                let address = match &row {
                    Ok(row) => Some(Fingerprint::of(&row.new.address)),
                    Err(bad) => bad.address.map(|(print, _)| print),
                };
                // A row without an address is everybody's: it is refused everywhere.
                if address.is_some_and(|address| !shard.has(address)) {
                    continue;
                }
            }
            let number = self.next;
            self.next += 1;
            return Some(Ok(row.map(|row| Row { number, ..row })));
        }
    }
}

/// Builds a row from its cells, in the order of [`COLUMNS`].
fn row_of(
    line: u64,
    [address, first_name, last_name, quota, admin, password]: [Option<&str>; COLUMNS.len()],
    mut troubles: Vec<Trouble>,
) -> Result<Row, Bad> {
    let is_told = troubles.iter().any(|trouble| trouble.column == "address");
    let mut add = |column: &str, why: String| troubles.push(Trouble { line, column: column.to_owned(), why });
    let address = match address.map(Address::parse) {
        Some(Ok(address)) => Some(address),
        Some(Err(why)) => {
            add("address", why.to_string());
            None
        }
        None => {
            if !is_told {
                add("address", "it is empty".to_owned());
            }
            None
        }
    };
    let quota = quota.and_then(|text| text.parse::<Bytes>().map_err(|why| add("quota", why)).ok());
    let admin = admin.and_then(|text| match text.to_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => {
            add("admin", "it is neither yes nor no".to_owned());
            None
        }
    });
    match address {
        Some(address) if troubles.is_empty() => Ok(Row {
            number: 0,
            line,
            new: NewMailbox {
                address,
                first_name: first_name.map(str::to_owned),
                last_name: last_name.map(str::to_owned),
                password: password.map(SecretString::from),
                quota,
                admin,
            },
        }),
        address => Err(Bad { address: address.map(|address| (Fingerprint::of(&address), line)), troubles }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_likeliest_of_the_first_line() {
        assert_eq!(delimiter(b"address\nada@example.com\n"), b',');
        assert_eq!(delimiter(b"address;first_name\n"), b';');
        assert_eq!(delimiter(b"\naddress\tfirst, or given, name\tlast_name\n"), b',');
        assert_eq!(delimiter(b"address\tfirst_name\tlast_name\n"), b'\t');
    }

    #[test]
    fn a_shard_is_one_of_so_many() {
        assert_eq!("3/4".parse(), Ok(Shard { index: 3, of: 4 }));
        for wrong in ["4/4", "1", "0/0", "-1/2", "a/b", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mapping_names_a_known_column() {
        assert_eq!(parse_mapping("address=E-Mail"), Ok(("address".to_owned(), "E-Mail".to_owned())));
        for wrong in ["adress=E-Mail", "address", "address=", "=E-Mail"] {
            assert!(parse_mapping(wrong).is_err(), "{wrong}");
        }
    }
}
