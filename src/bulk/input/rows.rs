//! From records to rows: which cell stands for what, and which rows cannot be used.

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::records::{Csv, Lines, Source};
use super::{Bad, COLUMNS, Mapping, Row, Select, Trouble};
use crate::error::{Error, Kind, Result};
use crate::model::{Address, Bytes, DomainName, NewMailbox, PASSWORD_MAX};
use crate::output::unguard_formula;

/// How `mbx list` calls the columns of a quota: its limit, and whether there is none.
const LIMIT: &str = "quota.limit";
const UNLIMITED: &str = "quota.unlimited";

/// How many headings are named in a message, or different things that are left out.
const NAMED: usize = 20;

/// How many characters of each are shown: what is read as a heading may be a megabyte of something else.
const SHOWN: usize = 80;

enum Reading {
    Csv(Box<Csv>),
    Json(Lines),
}

/// The rows of a file, one after the other. An item is an error when the file cannot be read on, and [`Bad`] when
/// this one row cannot be used.
pub struct Rows {
    reading: Reading,
    name: String,
    columns: &'static [&'static str],
    map: Vec<Mapping>,
    select: Select,
    /// How many cells the heading has.
    width: usize,
    /// Where in a record the cells stand that must match, and what must stand there.
    matching: Vec<(usize, String)>,
    /// Matching rows so far.
    seen: u64,
    /// Where in a record each of [`COLUMNS`] stands.
    places: Vec<Option<usize>>,
    /// Where in a record the cell stands that says that there is no limit.
    unlimited: Option<usize>,
    /// What is left out so far: headings, and catch-alls with their lines.
    pub(super) unused: Vec<String>,
    next: u32,
}

/// What a record is.
enum Found {
    /// A row, or one that cannot be used.
    Row(Result<Row, Bad>),
    /// None of those that the user selects.
    Other,
    /// A catch-all of a list that mbx has written; it is not a mailbox.
    CatchAll(String),
}

/// Returns what separates the cells: the likeliest of comma, tab and semicolon in the first line.
fn delimiter(start: &[u8]) -> u8 {
    let mut lines = start.split(|byte| matches!(byte, b'\r' | b'\n'));
    let head = lines.find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let count = |wanted: u8| head.iter().filter(|&&byte| byte == wanted).count();
    [b',', b'\t', b';'].into_iter().rev().max_by_key(|&byte| count(byte)).unwrap_or(b',')
}

/// Returns the beginning of a text.
fn beginning(text: &str) -> String {
    let cut = text.char_indices().nth(SHOWN).map(|(at, _)| format!("{}…", &text[..at]));
    cut.unwrap_or_else(|| text.to_owned())
}

/// Returns the first headings as they are shown in a message.
fn list(headings: &[String]) -> String {
    let more = (headings.len() > NAMED).then(|| "…".to_owned());
    headings.iter().take(NAMED).map(|heading| beginning(heading)).chain(more).collect::<Vec<_>>().join(", ")
}

/// A heading as it is compared.
fn folded(heading: &str) -> String {
    heading.trim().to_lowercase().replace([' ', '-'], "_")
}

impl Rows {
    /// Reads the heading, if the file has one.
    pub(super) fn new(
        mut source: Source,
        name: &str,
        columns: &'static [&'static str],
        map: &[Mapping],
        select: &Select,
    ) -> Result<Self> {
        let start = source.fill()?;
        let reading = match start.trim_ascii_start().first() {
            Some(b'{') => Reading::Json(Lines::new(source)),
            Some(b'[') => {
                return Err(Error::new(Kind::Usage, format!("{name} is one JSON array, not JSON lines"))
                    .hint("`jq -c '.[]'` turns it into lines"));
            }
            _ => {
                let delimiter = delimiter(start);
                Reading::Csv(Box::new(Csv::new(source, delimiter)))
            }
        };
        let mut rows = Rows {
            reading,
            name: name.to_owned(),
            columns,
            map: map.to_vec(),
            select: select.clone(),
            width: 0,
            matching: Vec::new(),
            seen: 0,
            places: Vec::new(),
            unlimited: None,
            unused: Vec::new(),
            next: 0,
        };
        rows.read_head()?;
        Ok(rows)
    }

    /// Returns the column that a heading stands for.
    fn column_of(&self, heading: &str) -> Option<usize> {
        let heading = folded(heading);
        COLUMNS.iter().position(|column| {
            self.columns.contains(column)
                && match self.map.iter().find(|(name, _)| name == column) {
                    Some((_, mapped)) => folded(mapped) == heading,
                    None => *column == heading || (*column == "quota" && heading == LIMIT),
                }
        })
    }

    /// Returns whether a heading says that there is no quota.
    fn is_unlimited(&self, heading: &str) -> bool {
        folded(heading) == UNLIMITED
            && self.columns.contains(&"quota")
            && self.map.iter().all(|(name, _)| name != "quota")
    }

    fn read_head(&mut self) -> Result<()> {
        let Reading::Csv(csv) = &mut self.reading else { return Ok(()) };
        let wrong = |why: String| Error::new(Kind::Usage, format!("{}: {why}", self.name));
        if !csv.read()? {
            return Err(Error::new(Kind::Usage, format!("{} is empty", self.name))
                .hint(format!("it begins with the names of its columns: {}", COLUMNS.join(", "))));
        }
        let line = csv.line();
        let headings: Vec<String> = csv.cells().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
        let columns: Vec<Option<usize>> = headings.iter().map(|heading| self.column_of(heading)).collect();
        let mut places = vec![None; COLUMNS.len()];
        let unlimited = headings.iter().position(|heading| self.is_unlimited(heading));
        let mut unused = Vec::new();
        for (heading, (at, column)) in headings.iter().zip(columns.into_iter().enumerate()) {
            match column {
                Some(column) if places[column].is_some() => {
                    return Err(wrong(format!("line {line} has two columns that stand for {}", COLUMNS[column])));
                }
                Some(column) => places[column] = Some(at),
                None if self.select.matching.iter().any(|(known, _)| folded(known) == folded(heading)) => {}
                None if heading.is_empty() || unlimited == Some(at) => {}
                None => unused.push(heading.clone()),
            }
        }
        let place_of = |wanted: &str| headings.iter().position(|heading| folded(heading) == folded(wanted));
        for (name, heading) in &self.map {
            place_of(heading)
                .ok_or_else(|| wrong(format!("line {line} has no column {heading:?} to take as {name}")))?;
        }
        let mut matching = Vec::new();
        for (heading, value) in &self.select.matching {
            let at = place_of(heading)
                .ok_or_else(|| wrong(format!("line {line} has no column {heading:?} to select by")))?;
            matching.push((at, value.trim().to_owned()));
        }
        if places[0].is_none() {
            return Err(wrong(format!("line {line} has no column `address`: {}", list(&headings)))
                .hint("name the column with --map address=HEADING"));
        }
        (self.width, self.matching, self.places) = (headings.len(), matching, places);
        self.unlimited = unlimited;
        unused.into_iter().for_each(|heading| self.leave_out(&heading));
        Ok(())
    }

    /// Returns the digest of all that was read.
    pub(super) fn digest(&self) -> String {
        match &self.reading {
            Reading::Csv(csv) => csv.source().digest(),
            Reading::Json(lines) => lines.source().digest(),
        }
    }

    /// Reads the next record.
    fn read(&mut self) -> Option<Result<Found>> {
        match &mut self.reading {
            Reading::Csv(csv) => match csv.read() {
                Ok(false) => None,
                Ok(true) => Some(Ok(self.of_cells())),
                Err(error) => Some(Err(error)),
            },
            Reading::Json(lines) => match lines.read() {
                Ok(None) => None,
                Ok(Some((text, line))) => {
                    let object = parse_object(text, line);
                    Some(Ok(self.of_object(line, object)))
                }
                Err(error) => Some(Err(error)),
            },
        }
    }

    fn of_cells(&self) -> Found {
        let Reading::Csv(record) = &self.reading else { return Found::Other };
        let line = record.line();
        let matches =
            |(at, value): &(usize, String)| record.get(*at).is_some_and(|cell| cell.trim_ascii() == value.as_bytes());
        if !self.matching.iter().all(matches) {
            return Found::Other;
        }
        let trouble = |column: &str, why: String| Trouble { line, column: column.to_owned(), why, is_missing: false };
        if record.len() != self.width {
            let why = format!("{} cells where the heading has {}", record.len(), self.width);
            return Found::Row(Err(trouble("(all)", why).into()));
        }
        let mut cells: [Option<&str>; COLUMNS.len()] = [None; COLUMNS.len()];
        let mut troubles = Vec::new();
        for (column, place) in self.places.iter().enumerate() {
            let Some(cell) = place.and_then(|at| record.get(at)) else { continue };
            match std::str::from_utf8(cell) {
                // A password may be made of blanks, and so it is refused rather than cut.
                Ok(text) if COLUMNS[column] == "password" => cells[column] = Some(text).filter(|text| !text.is_empty()),
                // mbx guards the cells that it writes against spreadsheets, all but passwords.
                Ok(text) => cells[column] = Some(unguard_formula(text.trim())).filter(|text| !text.is_empty()),
                Err(_) => troubles.push(trouble(COLUMNS[column], "it is not UTF-8".to_owned())),
            }
        }
        let is_unlimited = self.unlimited.and_then(|at| record.get(at)).is_some_and(|cell| cell == b"true");
        found(line, cells, is_unlimited, troubles)
    }

    fn of_object(&mut self, line: u64, object: Result<Map<String, Value>, Trouble>) -> Found {
        let object = match object {
            Ok(object) => object,
            Err(trouble) => return Found::Row(Err(trouble.into())),
        };
        let matches = |(heading, value): &(String, String)| {
            let found = object.iter().find(|(key, _)| folded(key) == folded(heading)).map(|(_, found)| found);
            found.is_some_and(|found| match found {
                Value::String(text) => text.trim() == value.trim(),
                other => *value.trim() == other.to_string()[..],
            })
        };
        if !self.select.matching.iter().all(matches) {
            return Found::Other;
        }
        let mut cells: [Option<String>; COLUMNS.len()] = Default::default();
        let mut is_unlimited = false;
        let mut troubles = Vec::new();
        for (key, value) in &object {
            let Some(column) = self.column_of(key) else {
                self.leave_out(key);
                continue;
            };
            cells[column] = match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
                Value::Bool(yes) if COLUMNS[column] == "admin" => Some(yes.to_string()),
                Value::Number(bytes) if COLUMNS[column] == "quota" => Some(bytes.to_string()),
                Value::Object(quota) if COLUMNS[column] == "quota" => {
                    is_unlimited = quota.get("unlimited") == Some(&Value::Bool(true));
                    quota.get("limit").and_then(Value::as_u64).map(|limit| limit.to_string())
                }
                _ => {
                    let why = "it is not text".to_owned();
                    troubles.push(Trouble { line, column: COLUMNS[column].to_owned(), why, is_missing: false });
                    None
                }
            };
        }
        found(line, cells.each_ref().map(Option::as_deref), is_unlimited, troubles)
    }

    fn leave_out(&mut self, what: &str) {
        let what = beginning(what);
        if self.unused.len() < NAMED && !self.unused.contains(&what) {
            self.unused.push(what);
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Result<Row, Bad>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = match self.read()? {
                Ok(Found::Row(row)) => row,
                Ok(Found::Other) => continue,
                Ok(Found::CatchAll(what)) => {
                    self.leave_out(&what);
                    continue;
                }
                Err(error) => return Some(Err(error)),
            };
            self.seen += 1;
            let address = match &row {
                Ok(row) => Some(&row.new.address),
                Err(bad) => bad.address.as_ref().map(|(address, _)| address),
            };
            if self.select.has(self.seen, address) {
                let number = self.next;
                self.next += 1;
                return Some(Ok(row.map(|row| Row { number, ..row })));
            }
        }
    }
}

/// Reads a line of JSON.
fn parse_object(text: &[u8], line: u64) -> Result<Map<String, Value>, Trouble> {
    serde_json::from_slice(text).map_err(|error| {
        // The words of the error may quote the line, and there may be a password in it.
        let why = match std::str::from_utf8(text) {
            Err(_) => "it is not UTF-8",
            Ok(_) if error.is_data() => "it is not a JSON object",
            Ok(_) => "it is not JSON",
        };
        Trouble { line, column: format!("character {}", error.column().max(1)), why: why.to_owned(), is_missing: false }
    })
}

/// Says what the cells of a record are, in the order of [`COLUMNS`].
fn found(line: u64, mut cells: [Option<&str>; COLUMNS.len()], is_unlimited: bool, troubles: Vec<Trouble>) -> Found {
    if let Some(address) = cells[0]
        && address.strip_prefix('@').is_some_and(|domain| DomainName::parse(domain).is_ok())
    {
        return Found::CatchAll(format!("the catch-all {address} on line {line}"));
    }
    let quota = &mut cells[3];
    *quota = quota.or(is_unlimited.then_some("unlimited"));
    Found::Row(row_of(line, cells, troubles))
}

/// Builds a row from its cells, in the order of [`COLUMNS`].
fn row_of(
    line: u64,
    cells @ [address, first_name, last_name, quota, admin, password]: [Option<&str>; COLUMNS.len()],
    mut troubles: Vec<Trouble>,
) -> Result<Row, Bad> {
    let is_known = troubles.iter().any(|trouble| trouble.column == "address");
    let mut add =
        |column: &str, why: String| troubles.push(Trouble { line, column: column.to_owned(), why, is_missing: false });
    let address = match address.map(Address::parse) {
        Some(Ok(address)) => Some(address),
        Some(Err(why)) => {
            add("address", why.to_string());
            None
        }
        None => {
            if !is_known {
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
    for (column, text) in COLUMNS.into_iter().zip(cells) {
        // The other columns have rules of their own that let none pass.
        if matches!(column, "first_name" | "last_name" | "password")
            && text.is_some_and(|t| t.contains(char::is_control))
        {
            add(column, "it has a line break or another control character; a quote may be left open".to_owned());
        }
    }
    if password.is_some_and(|password| password.len() > PASSWORD_MAX) {
        add("password", format!("it is longer than {PASSWORD_MAX} bytes"));
    }
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
        address => Err(Bad { address: address.map(|address| (address, line)), troubles }),
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
        assert_eq!(delimiter(b"address;first_name\ra,b,c\r"), b';');
    }
}
