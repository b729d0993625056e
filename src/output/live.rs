//! Rows that are written as they come, in every format: a table whose columns only grow, an array that is written bit by
//! bit.

use super::cells::Record;
use super::column::Column;
use super::sink::Sink;
use super::table::Table;
use super::text::{escape, pretty};
use super::{Format, Out, Row, Shape, rows};
use crate::error::{Error, Kind, Result};

/// Writes rows to standard output, the first after whatever stands in front of all of them.
pub(super) struct Writer<'a> {
    out: &'a Out,
    columns: Vec<Column>,
    sink: Sink,
    table: Table,
    shown: u64,
    has_begun: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a Out, columns: Vec<Column>) -> Self {
        let table = Table::measured(&columns);
        Writer { out, columns, sink: Sink::new(), table, shown: 0, has_begun: false }
    }

    /// Writes what stands in front of the first row.
    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        match self.out.format {
            Format::Table if !self.out.no_headers => self.table_row(self.columns.iter().map(Column::heading).collect()),
            Format::Csv if !self.out.no_headers => self.sink.csv_head(&self.columns),
            Format::Table | Format::Csv | Format::Json | Format::Jsonl | Format::Value => Ok(()),
        }
    }

    /// Adds rows; [`Writer::flush`] shows them.
    pub(super) fn rows<R: Record>(&mut self, rows: &[R]) -> Result<()> {
        self.begin()?;
        match self.out.format {
            Format::Table => {
                for row in rows.iter().map(rows::record) {
                    let cells = self.columns.iter().map(|column| escape(&column.show(&row)).into_owned());
                    self.table_row(cells.collect())?;
                }
            }
            Format::Json => {
                for (row, number) in rows.iter().map(rows::record).zip(self.shown..) {
                    self.element(&self.out.object(row), number)?;
                }
            }
            Format::Jsonl if self.out.columns.is_some() => {
                let objects: Vec<_> = rows.iter().map(|row| self.out.object(rows::record(row))).collect();
                self.sink.json(&objects)?;
            }
            Format::Jsonl => self.sink.json(rows)?,
            Format::Csv => self.sink.csv(&self.columns, rows)?,
            Format::Value => self.sink.values(&self.columns, rows)?,
        }
        self.shown += rows.len() as u64;
        Ok(())
    }

    fn table_row(&mut self, cells: Vec<String>) -> Result<()> {
        let mut text = String::new();
        self.table.add(cells, &mut text);
        self.sink.write(format_args!("{text}"))
    }

    /// Writes an element of the array up to its last line: whether a comma stands there only the next row can say, and a
    /// line that is not ended would be in the way of whatever else a terminal shows.
    fn element(&mut self, row: &Row, number: u64) -> Result<()> {
        let before = if number == 0 { "[" } else { "  }," };
        let text = pretty(row).replace('\n', "\n  ");
        let text = text.trim_end_matches('}').trim_end();
        self.sink.write(format_args!("{before}\n  {text}\n"))
    }

    /// Shows the rows so far; those that still measure a table wait.
    pub(super) fn flush(&mut self) -> Result<()> {
        let mut text = String::new();
        self.table.flush(&mut text);
        self.sink.write(format_args!("{text}"))?;
        self.sink.flush()
    }

    /// Returns how many rows were written.
    pub(super) fn shown(&self) -> u64 {
        self.shown
    }

    /// Writes what stands behind the last row.
    pub(super) fn end(&mut self) -> Result<()> {
        self.begin()?;
        let mut text = String::new();
        self.table.draw(&mut text);
        match self.out.format {
            Format::Json if self.shown > 0 => text.push_str("  }\n]\n"),
            Format::Json => text.push_str("[]\n"),
            Format::Table | Format::Jsonl | Format::Csv | Format::Value => {}
        }
        self.sink.write(format_args!("{text}"))?;
        self.flush()
    }
}

/// An open output of rows that are shown as they happen. After its reader has closed the pipe,
/// rows are dropped, and the work that produces them continues.
pub struct Live<'a> {
    writer: Option<Writer<'a>>,
}

impl Out {
    /// Refuses what rows that are shown as they happen cannot have, before anything is begun.
    pub fn check_live(&self, shape: &Shape) -> Result<()> {
        if self.sort.is_some() {
            return Err(Error::new(Kind::Usage, "--sort cannot be used here: rows are shown as they happen"));
        }
        self.columns(shape, None).map(drop)
    }

    /// Opens an output of rows that are shown as they happen.
    pub fn live(&self, shape: &Shape) -> Result<Live<'_>> {
        self.check_live(shape)?;
        let columns = self.columns(shape, None)?;
        let table = Table::live(&columns);
        let mut live = Live { writer: Some(Writer { table, ..Writer::new(self, columns) }) };
        live.write(Writer::begin)?;
        Ok(live)
    }
}

impl<'a> Live<'a> {
    /// Adds one row; [`Live::flush`] shows it.
    pub fn push<R: Record>(&mut self, record: &R) -> Result<()> {
        self.write(|writer| writer.rows(std::slice::from_ref(record)))
    }

    /// Shows the rows so far.
    pub fn flush(&mut self) -> Result<()> {
        self.write(Writer::flush)
    }

    /// Ends the output.
    pub fn finish(mut self) -> Result<()> {
        self.write(Writer::end)
    }

    fn write(&mut self, write: impl FnOnce(&mut Writer<'a>) -> Result<()>) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        match write(writer) {
            Err(error) if error.kind == Kind::Closed => {
                self.writer = None;
                Ok(())
            }
            result => result,
        }
    }
}
