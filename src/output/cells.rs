//! Writes a row cell by cell, without building an object: a list of a million rows is written from what its cells borrow,
//! and building an object for each would take most of the time.

use serde::Serialize;
use serde_json::Value;

use super::Row;
use super::column::{Column, plain};
use super::text::{escape_json, is_plain};

/// Something that is shown as a row.
pub trait Record {
    /// Writes its cells, in the order of its JSON object.
    fn write_cells(&self, cells: &mut impl Cells);
}

/// What takes the cells of a row. Keys are our own words, so they need no escape.
pub trait Cells {
    /// Takes a text; `None` is null.
    fn text(&mut self, key: &str, text: Option<&str>);

    /// Takes anything else.
    fn json(&mut self, key: &str, value: &impl Serialize);
}

impl Record for Row {
    fn write_cells(&self, cells: &mut impl Cells) {
        for (key, value) in self.iter() {
            match value {
                Value::String(text) => cells.text(key, Some(text)),
                value => cells.json(key, value),
            }
        }
    }
}

/// Builds the JSON object.
impl Cells for Row {
    fn text(&mut self, key: &str, text: Option<&str>) {
        self.insert(key.to_owned(), Value::from(text));
    }

    fn json(&mut self, key: &str, value: &impl Serialize) {
        self.insert(key.to_owned(), to_value(value));
    }
}

/// Returns the JSON of what is known to have string keys and finite numbers, as all rows have.
pub(super) fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("rows are plain JSON")
}

/// Which bytes stand in a JSON string as they are.
const STANDS: [bool; 256] = {
    let mut stands = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        stands[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    stands
};

/// A JSON object being written as a line. What could play tricks on a terminal is escaped, which means the same in JSON.
pub(super) struct Line<'a> {
    bytes: &'a mut Vec<u8>,
    /// What stands before the next cell.
    mark: u8,
}

impl<'a> Line<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Line { bytes, mark: b'{' }
    }

    pub(super) fn end(self) {
        let empty = if self.mark == b'{' { "{" } else { "" };
        self.bytes.extend_from_slice(empty.as_bytes());
        self.bytes.extend_from_slice(b"}\n");
    }

    #[inline]
    fn key(&mut self, key: &str) {
        self.bytes.extend_from_slice(&[self.mark, b'"']);
        self.mark = b',';
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn quote(&mut self, text: &str) {
        if text.bytes().all(|byte| STANDS[usize::from(byte)]) {
            self.bytes.reserve(text.len() + 2);
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(b'"');
        } else {
            self.value(text);
        }
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        let start = self.bytes.len();
        serde_json::to_writer(&mut *self.bytes, value).expect("rows are plain JSON");
        if !is_plain(&self.bytes[start..]) {
            let text = String::from_utf8(self.bytes.split_off(start)).expect("JSON is UTF-8");
            self.bytes.extend_from_slice(escape_json(&text).as_bytes());
        }
    }
}

impl Cells for Line<'_> {
    #[inline]
    fn text(&mut self, key: &str, text: Option<&str>) {
        self.key(key);
        match text {
            Some(text) => self.quote(text),
            None => self.bytes.extend_from_slice(b"null"),
        }
    }

    fn json(&mut self, key: &str, value: &impl Serialize) {
        self.key(key);
        self.value(value);
    }
}

/// The cells of the columns that are asked for, for programs.
pub(super) struct Picked<'a> {
    columns: &'a [Column],
    /// As many as columns.
    cells: Vec<String>,
}

impl<'a> Picked<'a> {
    pub(super) fn new(columns: &'a [Column]) -> Self {
        Picked { columns, cells: vec![String::new(); columns.len()] }
    }

    /// Picks the cells of the next row.
    pub(super) fn of(&mut self, record: &impl Record) -> &[String] {
        self.cells.iter_mut().for_each(String::clear);
        record.write_cells(self);
        &self.cells
    }
}

impl Cells for Picked<'_> {
    fn text(&mut self, key: &str, text: Option<&str>) {
        for (column, cell) in self.columns.iter().zip(&mut self.cells) {
            if column.key == key {
                cell.push_str(text.unwrap_or_default());
            }
        }
    }

    fn json(&mut self, key: &str, value: &impl Serialize) {
        for (column, cell) in self.columns.iter().zip(&mut self.cells) {
            if let Some(path) = path_below(column.key, key) {
                cell.push_str(&to_value(value).pointer(&path).map(plain).unwrap_or_default());
            }
        }
    }
}

/// The cell of one column, as a JSON value.
pub(super) struct Picker {
    column: Column,
    found: Value,
}

impl Picker {
    /// Picks the cell that a column has in a row.
    pub(super) fn pick(column: Column, record: &impl Record) -> Value {
        let mut picker = Picker { column, found: Value::Null };
        record.write_cells(&mut picker);
        picker.found
    }
}

impl Cells for Picker {
    fn text(&mut self, key: &str, text: Option<&str>) {
        if self.column.key == key {
            self.found = Value::from(text);
        }
    }

    fn json(&mut self, key: &str, value: &impl Serialize) {
        if let Some(path) = path_below(self.column.key, key) {
            self.found = to_value(value).pointer(&path).cloned().unwrap_or_default();
        }
    }
}

/// Returns where in the value at `key` the cell of a column stands, as a JSON pointer; `None` when it stands elsewhere.
fn path_below(column: &str, key: &str) -> Option<String> {
    let path = column.strip_prefix(key)?.replace('.', "/");
    (path.is_empty() || path.starts_with('/')).then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::output::column::column;
    use crate::output::rows;

    fn line(row: &Row) -> String {
        let mut bytes = Vec::new();
        let mut line = Line::new(&mut bytes);
        row.write_cells(&mut line);
        line.end();
        String::from_utf8(bytes).expect("a line is text")
    }

    #[test]
    fn a_row_without_cells_is_an_object() {
        assert_eq!(line(&Row::new()), "{}\n");
    }

    #[test]
    fn columns_are_picked_by_key_and_by_path() {
        let row = rows::row([
            ("address", json!("ada@example.com")),
            ("quota", json!({ "limit": 5, "used": null })),
            ("aliases", json!(["a@example.com", "b@example.com"])),
            ("quotas", json!(7)),
        ]);
        let keys = ["quota.limit", "address", "quota.used", "aliases", "absent", "quota.limit"];
        let columns = keys.map(column);
        let mut picked = Picked::new(&columns);
        let expected = ["5", "ada@example.com", "", "a@example.com b@example.com", "", "5"];
        assert_eq!(picked.of(&row), expected);
        assert_eq!(picked.of(&row), expected, "nothing of one row is left in the next");
        assert_eq!(picked.of(&Row::new()), [""; 6]);
    }

    proptest! {
        #[test]
        fn a_line_means_what_its_cells_are(text in any::<String>(), inner in r#"[ -~"\\\n\u{7f}\u{9b}\u{202e}é東😀]{0,9}"#) {
            let row = rows::row([("address", json!(text)), ("id", json!(inner)), ("extra", json!({ "a": [inner, 1] }))]);
            let line = line(&row);
            prop_assert_eq!(serde_json::from_str::<Row>(&line).expect("it is JSON"), row);
            let line = line.strip_suffix('\n').expect("a line has an end");
            prop_assert_eq!(crate::output::escape(line), line, "nothing in it plays tricks on a terminal");
        }
    }
}
