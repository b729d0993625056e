//! Writes results to standard output, in the format that was asked for, and messages to standard error. Whether something
//! is for people or for programs is decided here: a command never asks for the format.

mod cells;
mod column;
mod live;
mod progress;
pub mod rows;
mod sink;
mod table;
mod text;

use std::cmp::Ordering;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use futures_util::{FutureExt, TryStreamExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub use cells::{Cells, Record};
pub use column::{Column, Shape};
pub use live::Live;
pub use progress::Progress;
pub use rows::{Outcome, Row, Source};
pub use text::{escape, escape_json, guard_formula, unguard_formula};

use self::cells::Picker;
use self::column::plain;
use self::live::Writer;
use self::sink::Sink;
use self::text::{escape_data, pretty};
use crate::error::{Effect, Error, Kind, Result};
use crate::http::Listing;
use crate::model::Stamp;

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
    fn is_json(self) -> bool {
        matches!(self, Format::Json | Format::Jsonl)
    }
}

/// How results are shown.
#[derive(Debug, Clone)]
pub struct Out {
    /// The format.
    pub format: Format,
    /// The columns asked for, which are the keys of JSON.
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
    /// Says something besides the result, on standard error, unless notes are hidden.
    pub fn note(&self, note: &str) {
        if !self.quiet {
            message("note", note);
        }
    }

    /// Says something that only helps a person who reads along; a program that asked for JSON has no use for it.
    pub fn note_for_people(&self, note: &str) {
        if !self.format.is_json() {
            self.note(note);
        }
    }

    /// Warns the user on standard error, also when notes are left out.
    pub fn warn(&self, warning: &str) {
        message("warning", warning);
    }

    /// Shows an error on standard error: lines for people, one JSON object for programs.
    pub fn error(&self, error: &Error) {
        self.error_or(error, || error.lines().iter().for_each(|(label, text)| message(label, text)));
    }

    /// Shows an error to programs, and lets `show` show it to people in a way of its own.
    pub fn error_or(&self, error: &Error, show: impl FnOnce()) {
        if self.format.is_json() {
            let _ = writeln!(io::stderr(), "{}", escape_json(&error.to_json().to_string()));
        } else {
            show();
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

    /// Shows lines that are made for a shell to people, and the same as rows to programs.
    pub async fn lines_or_all<R: Record + Send>(&self, lines: &str, shape: &Shape, rows: Vec<R>) -> Result<()> {
        match self.format {
            Format::Table => self.text(lines),
            Format::Json | Format::Jsonl | Format::Csv | Format::Value => self.all(shape, rows).await,
        }
    }

    /// Refuses to show a secret where it would be lost or changed, before anything is done with it.
    pub fn check_secret(&self, secret: &SecretString) -> Result<()> {
        check_open()?;
        let (secret, on_terminal) = (secret.expose_secret(), io::stdout().is_terminal());
        let (shown, format) = match self.format {
            Format::Json | Format::Jsonl => return Ok(()),
            Format::Csv => (guard_formula(&escape_data(secret, on_terminal)).into_owned(), "csv"),
            Format::Value => (escape_data(secret, on_terminal).into_owned(), "value"),
            Format::Table => (escape(secret).trim().to_owned(), "table"),
        };
        if shown == secret {
            return Ok(());
        }
        Err(Error::new(Kind::Invalid, format!("-o {format} cannot show this password as it is"))
            .hint("use -o json, or another password"))
    }

    /// Shows one thing, and to people the notes that it has. When that fails, the error still says what was done.
    pub fn one(&self, shape: &Shape, row: Row) -> Result<()> {
        row.notes().for_each(|note| self.note_for_people(note));
        self.show_one(shape, &row).map_err(|error| match row.get("outcome").and_then(Value::as_str) {
            Some(outcome) if error.kind == Kind::Refused && outcome != "planned" => {
                let words = format!("{outcome}, but {}", error.message);
                error.message(words).effect(Effect::Partial)
            }
            _ => error,
        })
    }

    fn show_one(&self, shape: &Shape, row: &Row) -> Result<()> {
        let columns = self.columns(shape, Some(row))?;
        if self.format == Format::Json {
            return self.text(&format!("{}\n", pretty(&self.object(row.clone()))));
        }
        if self.format == Format::Table
            && !self.no_headers
            && let Some(lines) = table::lines_if_too_wide(&columns, row)
        {
            return self.text(&lines);
        }
        let mut writer = Writer::new(self, columns);
        writer.rows(std::slice::from_ref(row))?;
        writer.end()
    }

    /// Shows a list that is at hand.
    pub async fn all<R: Record + Send>(&self, shape: &Shape, rows: Vec<R>) -> Result<()> {
        self.list(shape, Listing::once(async { Ok(rows) })).await
    }

    /// Shows a list as it arrives; one that is to be sorted when all of it has arrived.
    pub async fn list<R: Record + Send>(&self, shape: &Shape, rows: Listing<'_, R>) -> Result<()> {
        let sort = self.sort.as_deref().map(|key| sort_key(shape, key)).transpose()?;
        let mut writer = Writer::new(self, self.columns(shape, None)?);
        let progress = self.progress("listing", None);
        let Some(order) = sort else { return self.stream(writer, &progress, rows).await };
        let rows: Vec<R> = rows.inspect_ok(|_| progress.advance(1)).try_collect().await?;
        drop(progress);
        let mut rows: Vec<(Value, R)> = rows.into_iter().map(|row| (Picker::pick(order.0, &row), row)).collect();
        rows.sort_by(|(a, _), (b, _)| compare(a, b, order.1));
        let limit = self.limit.unwrap_or(usize::MAX);
        for (_, row) in rows.iter().take(limit) {
            writer.rows(std::slice::from_ref(row))?;
        }
        if rows.len() > limit {
            self.note_cut(limit);
        }
        writer.end()
    }

    async fn stream<R: Record + Send>(
        &self,
        mut writer: Writer<'_>,
        progress: &Progress,
        rows: Listing<'_, R>,
    ) -> Result<()> {
        let mut rows = rows.into_batches();
        let mut left = self.limit.unwrap_or(usize::MAX);
        let end = loop {
            // What is written is sent on before anything is waited for.
            let next = match rows.try_next().now_or_never() {
                Some(next) => next,
                None => {
                    progress.around(|| writer.flush())?;
                    rows.try_next().await
                }
            };
            let batch = match next {
                Ok(Some(batch)) => batch,
                Ok(None) => break Ok(false),
                Err(error) => break Err(error),
            };
            let room = batch.len().min(left);
            progress.advance(room as u64);
            progress.around(|| writer.rows(&batch[..room]))?;
            left -= room;
            if room < batch.len() {
                break Ok(true);
            }
        };
        let shown = writer.shown();
        if matches!(end, Ok(true)) {
            progress.around(|| self.note_cut(shown));
        }
        // What came before an error is shown. Where nothing came, an error stands alone.
        if end.is_ok() || shown > 0 {
            progress.around(|| writer.end())?;
        }
        end.map(drop).map_err(|error| {
            if shown == 0 {
                return error;
            }
            let words = format!("{}; the list ends too early, after {shown} rows", error.message);
            error.message(words)
        })
    }

    fn note_cut(&self, shown: impl std::fmt::Display) {
        self.note(&format!("there are more; --limit {shown} cut the list here"));
    }

    /// Returns the JSON object of a row: all of it, or the keys asked for.
    fn object(&self, row: Row) -> Row {
        match &self.columns {
            Some(keys) => row.only(keys),
            None => row,
        }
    }

    /// Returns the columns to show: those asked for, or the usual ones of the format.
    fn columns(&self, shape: &Shape, one: Option<&Row>) -> Result<Vec<Column>> {
        let columns = match (&self.columns, self.format) {
            (Some(wanted), _) => wanted.iter().map(|key| shape.find(key)).collect::<Result<_>>()?,
            (None, Format::Table) => shape.of_table(one),
            (None, Format::Value) => vec![shape.columns[0]],
            (None, Format::Json | Format::Jsonl | Format::Csv) => shape.of_data(one),
        };
        if self.format == Format::Value && columns.len() != 1 {
            return Err(Error::new(Kind::Usage, "-o value prints one column: name one with --columns"));
        }
        Ok(columns)
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

/// Returns the column to sort by, and whether the last comes first.
fn sort_key(shape: &Shape, key: &str) -> Result<(Column, bool)> {
    match key.strip_prefix('-') {
        Some(key) => Ok((shape.find(key)?, true)),
        None => Ok((shape.find(key)?, false)),
    }
}

/// Orders cells: numbers by value, times by instant, texts without regard to case. What a provider does not say comes last
/// either way.
fn compare(a: &Value, b: &Value, descending: bool) -> Ordering {
    let order = match (a, b) {
        (Value::Null, Value::Null) => return Ordering::Equal,
        (Value::Null, _) => return Ordering::Greater,
        (_, Value::Null) => return Ordering::Less,
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (a, b) => {
            let (a, b) = (plain(a), plain(b));
            match (Stamp::lenient(&a).sort_key(), Stamp::lenient(&b).sort_key()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.to_lowercase().cmp(&b.to_lowercase()),
            }
        }
    };
    if descending { order.reverse() } else { order }
}

/// Refuses a standard output that keeps nothing: one that was closed when the program began, which then stands open on the
/// null device, or the null device itself.
pub fn check_open() -> Result<()> {
    if is_null() {
        return Err(Error::new(Kind::Refused, "standard output is closed, so nothing can be shown there")
            .hint("open it, or use --password-out FILE instead of --show-password"));
    }
    Ok(())
}

#[cfg(unix)]
fn is_null() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let about = || {
        let stdout = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?).metadata()?;
        Ok::<_, io::Error>((stdout, std::fs::metadata("/dev/null")?))
    };
    about().is_ok_and(|(stdout, null)| stdout.file_type().is_char_device() && stdout.rdev() == null.rdev())
}

#[cfg(not(unix))]
fn is_null() -> bool {
    false
}
