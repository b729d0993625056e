//! Columns: one statement of all that is particular to each, from its key to how a cell of it is shown to people.

use serde_json::Value;

use super::Row;
use crate::error::{Error, Kind, Result};
use crate::model::Bytes;

/// What a table shows where a provider says nothing.
const NOTHING: &str = "–";

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The key in the JSON object, in `--columns` and in CSV; a dot leads into an inner object.
    pub key: &'static str,
    /// Another spelling of the key that `--columns` and `--sort` accept.
    also: Option<&'static str>,
    /// The heading in a table, where it differs from the key.
    head: Option<&'static str>,
    /// Returns the cell of a row for people.
    show: fn(&Row, &Column) -> String,
    /// Whether only some rows have such a cell; lists leave the column out then.
    is_optional: bool,
    /// The word that goes without saying: a table of one row leaves such a cell out, and a table of many the column.
    usual: Option<&'static str>,
    /// Whether a table shows it only after an update, and there only what is known.
    of_updates: bool,
    /// Whether a narrow terminal may fold a cell between its words: it is text to read. Every other cell is a value to copy,
    /// which stays whole.
    pub(super) folds: bool,
    /// The width it begins with in a table whose rows are shown as they happen.
    pub(super) width: usize,
}

/// Returns a column whose cells are shown as they are, below its key in capitals.
pub(super) const fn column(key: &'static str) -> Column {
    Column {
        key,
        also: None,
        head: None,
        show: text,
        is_optional: false,
        usual: None,
        of_updates: false,
        folds: false,
        width: 0,
    }
}

impl Column {
    pub(super) const fn head(self, head: &'static str) -> Self {
        Column { head: Some(head), ..self }
    }

    pub(super) const fn also(self, also: &'static str) -> Self {
        Column { also: Some(also), ..self }
    }

    pub(super) const fn shown(self, show: fn(&Row, &Column) -> String) -> Self {
        Column { show, ..self }
    }

    pub(super) const fn optional(self) -> Self {
        Column { is_optional: true, ..self }
    }

    pub(super) const fn unless(self, usual: &'static str) -> Self {
        Column { usual: Some(usual), ..self }
    }

    pub(super) const fn of_updates(self) -> Self {
        Column { of_updates: true, ..self }
    }

    pub(super) const fn folds(self) -> Self {
        Column { folds: true, ..self }
    }

    pub(super) const fn width(self, width: usize) -> Self {
        Column { width, ..self }
    }

    /// Returns the heading in a table.
    pub(super) fn heading(&self) -> String {
        self.head.unwrap_or(self.key).to_uppercase().replace(['.', '_'], " ")
    }

    /// Returns the cell of a row as a JSON value; null where there is none.
    pub(super) fn of<'a>(&self, row: &'a Row) -> &'a Value {
        row.at(self.key)
    }

    /// Returns the cell of a row for people.
    pub(super) fn show(&self, row: &Row) -> String {
        (self.show)(row, self)
    }

    /// Returns whether a table shows the column without being asked to, of one row or of a list.
    fn is_in_table(&self, one: Option<&Row>) -> bool {
        let stays_out = self.is_optional || self.usual.is_some() || self.of_updates;
        let Some(row) = one else { return !stays_out };
        if self.show(row) == NOTHING {
            // The answer to a change often says little of the thing itself.
            return !stays_out && !row.is_of_a_change();
        }
        self.usual.is_none_or(|usual| self.of(row) != usual) && (!self.of_updates || row.is_of_an_update())
    }

    /// Returns whether CSV has the column without being asked to.
    fn is_in_data(&self, one: Option<&Row>) -> bool {
        !self.is_optional || one.is_some_and(|row| !self.of(row).is_null())
    }
}

/// What a kind of row looks like.
#[derive(Debug)]
pub struct Shape {
    /// Every column there is, in the order of CSV. The first is the one that `-o value` prints.
    pub columns: &'static [Column],
    /// The keys of those that a table shows, in its order.
    pub table: &'static [&'static str],
}

impl Shape {
    /// Finds a column by the key that a person typed.
    pub(super) fn find(&self, key: &str) -> Result<Column> {
        let key = key.trim();
        let found = self.columns.iter().find(|column| column.key == key || column.also == Some(key));
        found.copied().ok_or_else(|| {
            let keys: Vec<_> = self.columns.iter().map(|column| column.key).collect();
            Error::new(Kind::Usage, format!("there is no column {key:?}"))
                .hint(format!("the columns are {}", keys.join(", ")))
        })
    }

    /// Returns the columns of a table, of one row or of a list.
    pub(super) fn of_table(&self, one: Option<&Row>) -> Vec<Column> {
        let by_key = |key: &&str| self.columns.iter().find(|column| column.key == *key);
        self.table.iter().filter_map(by_key).filter(|column| column.is_in_table(one)).copied().collect()
    }

    /// Returns the columns of CSV, of one row or of a list.
    pub(super) fn of_data(&self, one: Option<&Row>) -> Vec<Column> {
        self.columns.iter().filter(|column| column.is_in_data(one)).copied().collect()
    }
}

/// Shows a cell as it is.
fn text(row: &Row, column: &Column) -> String {
    match column.of(row) {
        Value::Null => NOTHING.to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(items) if items.is_empty() => NOTHING.to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => plain(other),
    }
}

/// Shows a time to the minute.
pub(super) fn time(row: &Row, column: &Column) -> String {
    match column.of(row).as_str().and_then(|text| text.split_once('T')) {
        Some((date, time)) if time.len() >= 5 => format!("{date} {}", time.get(..5).unwrap_or(time)),
        _ => text(row, column),
    }
}

/// Shows a number of bytes, as `2 GiB`.
pub(super) fn size(row: &Row, column: &Column) -> String {
    match column.of(row).as_u64() {
        Some(bytes) => Bytes(bytes).to_string(),
        None => text(row, column),
    }
}

/// Shows the limit of a quota, or that there is none.
pub(super) fn limit(row: &Row, column: &Column) -> String {
    match row.at("quota.unlimited") {
        Value::Bool(true) => "unlimited".to_owned(),
        _ => size(row, column),
    }
}

/// Returns a cell for programs: nothing for null, lists with blanks between.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
