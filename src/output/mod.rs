//! Where results and messages go, and in which format. Results go to standard output and nothing else does.

mod cells;
mod live;
mod progress;
pub mod rows;
mod sink;
mod text;

use std::cmp::Ordering;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use serde_json::Value;
use tabled::builder::Builder;
use tabled::settings::object::Segment;
use tabled::settings::peaker::PriorityMax;
use tabled::settings::{Alignment, Modify, Padding, Style, Width};

pub use cells::{Cells, Record};
pub use live::Live;
pub use progress::Progress;
pub use rows::{Column, Look, Outcome, Row, Shape, Source};
pub use text::{escape, escape_json, guard_formula};

use self::sink::Sink;
use crate::error::{Effect, Error, Kind, Result};
use crate::http::Listing;
use crate::model::{Bytes, Stamp};

/// What stands in a table where a provider says nothing.
const NOTHING: &str = "–";

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// One object, or one array.
    Json,
    /// One object a line, as they arrive.
    Jsonl,
    /// Header and rows, as they arrive.
    Csv,
    /// One column, bare, as they arrive.
    Value,
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "table" => Format::Table,
            "json" => Format::Json,
            "jsonl" => Format::Jsonl,
            "csv" => Format::Csv,
            "value" => Format::Value,
            _ => return Err("the formats are table, json, jsonl, csv and value".to_owned()),
        })
    }
}

impl Format {
    /// Returns true when errors are JSON too, one line of it.
    pub fn is_json(self) -> bool {
        matches!(self, Format::Json | Format::Jsonl)
    }
}

/// How results are shown.
#[derive(Debug, Clone)]
pub struct Out {
    /// The format.
    pub format: Format,
    /// The columns asked for.
    pub columns: Option<Vec<String>>,
    /// Whether table and CSV have no heading.
    pub no_headers: bool,
    /// The key to sort by; a minus in front turns the order.
    pub sort: Option<String>,
    /// How many rows at most.
    pub limit: Option<usize>,
    /// Whether notes are left out.
    pub quiet: bool,
}

impl Out {
    /// Tells the user something besides the result, on standard error.
    pub fn note(&self, note: &str) {
        if !self.quiet {
            message("note", note);
        }
    }

    /// Warns the user on standard error, also when notes are left out.
    pub fn warn(&self, warning: &str) {
        message("warning", warning);
    }

    /// Shows an error on standard error: lines for people, one JSON object for programs.
    pub fn error(&self, error: &Error) {
        if self.format.is_json() {
            let _ = writeln!(io::stderr(), "{}", escape_json(&error.to_json().to_string()));
            return;
        }
        for (label, text) in error.lines() {
            message(label, &text);
        }
    }

    /// Shows text that is made for another program, such as a script, as it is.
    pub fn text(&self, text: &str) -> Result<()> {
        let mut sink = Sink::new();
        sink.write(format_args!("{text}"))?;
        sink.flush()
    }

    /// Refuses columns and a sort key that are none, before something is done whose result could not be shown.
    pub fn check(&self, shape: &Shape) -> Result<()> {
        self.columns(shape, None)?;
        self.sort.as_deref().map_or(Ok(()), |key| sort_key(shape, key).map(drop))
    }

    /// Shows one thing. When that fails, the error still tells what was done.
    pub fn one(&self, shape: &Shape, row: Row) -> Result<()> {
        let outcome = cell(&row, "outcome").as_str().map(str::to_owned);
        self.show_one(shape, row).map_err(|mut error| {
            if let Some(outcome) = outcome.filter(|outcome| error.kind == Kind::Refused && outcome != "planned") {
                error.message = format!("{outcome}, but {}", error.message);
                error.effect = Effect::Partial;
            }
            error
        })
    }

    fn show_one(&self, shape: &Shape, row: Row) -> Result<()> {
        let columns = self.columns(shape, Some(&row))?;
        let mut sink = Sink::new();
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(&row).expect("rows are plain JSON");
                sink.write(format_args!("{}\n", escape_json(&text)))?;
            }
            Format::Table => sink.write(format_args!("{}", self.table(&columns, &[row])))?,
            Format::Jsonl | Format::Csv | Format::Value => {
                self.head(&mut sink, &columns)?;
                self.lines(&mut sink, &columns, &[row])?;
            }
        }
        sink.flush()
    }

    /// Shows a list that is at hand.
    pub async fn all<R: Record + Send>(&self, shape: &Shape, rows: Vec<R>) -> Result<()> {
        self.list(shape, Listing::once(async { Ok(rows) })).await
    }

    /// Shows a list as it arrives, where the format allows it; the rest is shown when it is complete.
    pub async fn list<R: Record + Send>(&self, shape: &Shape, rows: Listing<'_, R>) -> Result<()> {
        let columns = self.columns(shape, None)?;
        let sort = self.sort.as_deref().map(|key| sort_key(shape, key)).transpose()?;
        let mut sink = Sink::new();
        if sort.is_none() && matches!(self.format, Format::Jsonl | Format::Csv | Format::Value) {
            self.head(&mut sink, &columns)?;
            let (mut rows, mut shown) = (rows.into_batches(), 0);
            let end = loop {
                // What is written is sent on before anything is waited for.
                let next = match rows.try_next().now_or_never() {
                    Some(next) => next,
                    None => {
                        sink.flush()?;
                        rows.try_next().await
                    }
                };
                let batch = match next {
                    Ok(Some(batch)) => batch,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                };
                let room = self.limit.map_or(batch.len(), |limit| batch.len().min(limit - shown));
                self.lines(&mut sink, &columns, &batch[..room])?;
                shown += room;
                if room < batch.len() {
                    self.tell_cut(shown);
                    break Ok(());
                }
            };
            // What came before an error has come.
            sink.flush()?;
            return end;
        }
        let progress = self.progress("listing", None);
        let rows = rows.map_ok(|row| {
            progress.advance(1);
            rows::record(&row)
        });
        let mut all: Vec<Row> = match (self.limit, &sort) {
            (Some(limit), None) => rows.take(limit.saturating_add(1)).try_collect().await?,
            _ => rows.try_collect().await?,
        };
        drop(progress);
        if let Some((key, descending)) = sort {
            all.sort_by(|a, b| match (cell(a, key), cell(b, key)) {
                // What a provider does not say comes last either way.
                (Value::Null, Value::Null) => Ordering::Equal,
                (Value::Null, _) => Ordering::Greater,
                (_, Value::Null) => Ordering::Less,
                (a, b) if descending => compare(b, a),
                (a, b) => compare(a, b),
            });
        }
        if let Some(limit) = self.limit.filter(|limit| all.len() > *limit) {
            all.truncate(limit);
            self.tell_cut(limit);
        }
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(&all).expect("rows are plain JSON");
                sink.write(format_args!("{}\n", escape_json(&text)))?;
            }
            Format::Table => sink.write(format_args!("{}", self.table(&columns, &all)))?,
            Format::Jsonl | Format::Csv | Format::Value => {
                self.head(&mut sink, &columns)?;
                self.lines(&mut sink, &columns, &all)?;
            }
        }
        sink.flush()
    }

    fn tell_cut(&self, shown: usize) {
        self.note(&format!("there are more; --limit {shown} cut the list here"));
    }

    /// Returns the columns to show: those asked for, or the usual ones of the format.
    fn columns(&self, shape: &Shape, one: Option<&Row>) -> Result<Vec<Column>> {
        let as_column = |key: &'static str| {
            let usual = shape.table.iter().find(|column| column.key == key).copied();
            usual.unwrap_or(Column { key, head: key, look: look_of(key) })
        };
        let columns = match (&self.columns, self.format) {
            (Some(wanted), _) => {
                wanted.iter().map(|key| known_key(shape, key).map(as_column)).collect::<Result<Vec<_>>>()?
            }
            (None, Format::Table) => {
                let Some(row) = one else { return Ok(shape.table.to_vec()) };
                // A single thing shows what became of it, unless that is the plain success of making it; and where a
                // change tells little of the thing itself, the cells it does not tell are left out.
                let outcome = cell(row, "outcome");
                let changed = !outcome.is_null() && outcome != "created";
                let told = |c: &&Column| !changed || !(cell(row, c.key).is_null() || cell(row, c.key) == "unknown");
                let more = [("outcome", "OUTCOME", changed), ("password", "PASSWORD", row.contains_key("password"))];
                let more = more.into_iter().filter(|(_, _, shown)| *shown);
                let more = more.map(|(key, head, _)| Column { key, head, look: Look::Text });
                shape.table.iter().filter(told).copied().chain(more).collect()
            }
            (None, Format::Value) => vec![as_column(shape.keys[0])],
            (None, _) => {
                let shown = |key: &&&str| **key != "password" || one.is_some_and(|row| row.contains_key("password"));
                shape.keys.iter().filter(shown).map(|key| as_column(key)).collect()
            }
        };
        if self.format == Format::Value && columns.len() != 1 {
            return Err(Error::new(Kind::Usage, "-o value prints one column: name one with --columns"));
        }
        Ok(columns)
    }

    fn head(&self, sink: &mut Sink, columns: &[Column]) -> Result<()> {
        if self.format == Format::Csv && !self.no_headers {
            sink.csv_head(columns)?;
        }
        Ok(())
    }

    fn lines<R: Record>(&self, sink: &mut Sink, columns: &[Column], rows: &[R]) -> Result<()> {
        match self.format {
            Format::Csv => sink.csv(columns, rows),
            Format::Value => sink.values(columns, rows),
            Format::Table | Format::Json | Format::Jsonl => sink.json(rows),
        }
    }

    fn table(&self, columns: &[Column], rows: &[Row]) -> String {
        let mut builder = Builder::default();
        if !self.no_headers {
            builder.push_record(columns.iter().map(|column| column.head.to_uppercase().replace(['.', '_'], " ")));
        }
        for row in rows {
            builder.push_record(columns.iter().map(|c| escape(&shown(row, c)).into_owned()));
        }
        let mut table = builder.build();
        table
            .with(Style::empty())
            .with(Modify::new(Segment::all()).with(Alignment::left()).with(Padding::new(0, 3, 0, 0)));
        if io::stdout().is_terminal()
            && let Some((width, _)) = terminal_size::terminal_size()
        {
            table.with(Width::wrap(usize::from(width.0)).keep_words(true).priority(PriorityMax::right()));
        }
        table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// Sets when messages are coloured; `auto` is on a terminal only, with `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb`
/// respected.
pub fn set_color(when: &str) -> Result<(), String> {
    match when {
        "auto" => anstream::ColorChoice::Auto.write_global(),
        "always" => anstream::ColorChoice::Always.write_global(),
        "never" => anstream::ColorChoice::Never.write_global(),
        _ => return Err("say auto, always or never".to_owned()),
    }
    Ok(())
}

/// Writes a labelled line to standard error, coloured on a terminal.
fn message(label: &str, text: &str) {
    let style = match label {
        "error" => anstyle::AnsiColor::Red.on_default().bold(),
        "warning" => anstyle::AnsiColor::Yellow.on_default().bold(),
        _ => anstyle::AnsiColor::Cyan.on_default(),
    };
    let _ = writeln!(anstream::stderr(), "{style}{label}{style:#}: {}", escape(text));
}

/// Finds a key that can be a column.
fn known_key(shape: &Shape, key: &str) -> Result<&'static str> {
    let key = key.trim();
    if let Some(known) = shape.keys.iter().find(|known| **known == key) {
        return Ok(known);
    }
    if key == "quota" && shape.keys.contains(&"quota.limit") {
        return Ok("quota.limit");
    }
    Err(Error::new(Kind::Usage, format!("there is no column {key:?}"))
        .hint(format!("the columns are {}", shape.keys.join(", "))))
}

fn sort_key(shape: &Shape, key: &str) -> Result<(&'static str, bool)> {
    match key.strip_prefix('-') {
        Some(key) => Ok((known_key(shape, key)?, true)),
        None => Ok((known_key(shape, key)?, false)),
    }
}

fn look_of(key: &str) -> Look {
    match key {
        "quota.used" | "quota.limit" => Look::Bytes,
        "created_at" | "updated_at" => Look::Time,
        _ => Look::Text,
    }
}

fn cell<'a>(row: &'a Row, key: &str) -> &'a Value {
    let mut parts = key.split('.');
    let first = parts.next().and_then(|part| row.get(part)).unwrap_or(&Value::Null);
    parts.fold(first, |value, part| value.get(part).unwrap_or(&Value::Null))
}

/// Returns a cell for programs: nothing for null, lists with blanks between.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Returns a cell for people.
fn shown(row: &Row, column: &Column) -> String {
    let value = cell(row, column.key);
    if column.key == "quota.limit" && cell(row, "quota.unlimited") == &Value::Bool(true) {
        return "unlimited".to_owned();
    }
    match (value, column.look) {
        (Value::Null, _) => NOTHING.to_owned(),
        (Value::Bool(yes), _) => if *yes { "yes" } else { "no" }.to_owned(),
        (Value::Number(n), Look::Bytes) => n.as_u64().map_or_else(|| n.to_string(), |n| Bytes(n).to_string()),
        (Value::String(text), Look::Time) => match text.split_once('T') {
            Some((date, time)) if time.len() >= 5 => format!("{date} {}", time.get(..5).unwrap_or(time)),
            _ => text.clone(),
        },
        (Value::Array(items), _) if items.is_empty() => NOTHING.to_owned(),
        (Value::Array(items), _) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        (other, _) => plain(other),
    }
}

/// Orders cells: numbers by value, times by instant, texts without regard to case.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (a, b) => {
            let (a, b) = (plain(a), plain(b));
            match (Stamp::told(&a).sort_key(), Stamp::told(&b).sort_key()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.to_lowercase().cmp(&b.to_lowercase()),
            }
        }
    }
}
