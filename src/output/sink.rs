//! Standard output: written in large pieces, and what its failures mean.

use std::io::{self, IsTerminal, Write};

use super::cells::{Line, Picked, Record};
use super::column::Column;
use super::text::{escape_data, guard_formula};
use crate::error::{Error, Kind, Result};

/// As much as a pipe holds: one piece, one turn of its reader.
const PIECE: usize = 64 << 10;

const MEMORY: &str = "writing to memory does not fail";

/// Standard output, in pieces of whole rows. A reader that has gone away ends the program quietly.
pub(super) struct Sink {
    out: io::Stdout,
    on_terminal: bool,
    rows: Vec<u8>,
}

impl Sink {
    pub(super) fn new() -> Self {
        let out = io::stdout();
        Sink { on_terminal: out.is_terminal(), out, rows: Vec::new() }
    }

    pub(super) fn write(&mut self, text: std::fmt::Arguments<'_>) -> Result<()> {
        self.rows.write_fmt(text).expect(MEMORY);
        self.flush_piece()
    }

    /// Writes one JSON object a line.
    pub(super) fn json<R: Record>(&mut self, rows: &[R]) -> Result<()> {
        for row in rows {
            let mut line = Line::new(&mut self.rows);
            row.write_cells(&mut line);
            line.end();
        }
        self.flush_piece()
    }

    /// Writes one line of CSV a row, guarded against what a spreadsheet or a terminal would do with it.
    pub(super) fn csv<R: Record>(&mut self, columns: &[Column], rows: &[R]) -> Result<()> {
        let mut picked = Picked::new(columns);
        let mut csv = csv::Writer::from_writer(&mut self.rows);
        for row in rows {
            for cell in picked.of(row) {
                csv.write_field(guard_formula(&escape_data(cell, self.on_terminal)).as_bytes()).expect(MEMORY);
            }
            csv.write_record(None::<&[u8]>).expect(MEMORY);
        }
        drop(csv);
        self.flush_piece()
    }

    /// Writes the heading of CSV.
    pub(super) fn csv_head(&mut self, columns: &[Column]) -> Result<()> {
        csv::Writer::from_writer(&mut self.rows).write_record(columns.iter().map(|column| column.key)).expect(MEMORY);
        self.flush_piece()
    }

    /// Writes the one column, bare, a line each.
    pub(super) fn values<R: Record>(&mut self, columns: &[Column], rows: &[R]) -> Result<()> {
        let mut picked = Picked::new(columns);
        for row in rows {
            for cell in picked.of(row) {
                self.rows.extend_from_slice(escape_data(cell, self.on_terminal).as_bytes());
                self.rows.push(b'\n');
            }
        }
        self.flush_piece()
    }

    fn flush_piece(&mut self) -> Result<()> {
        if self.rows.len() < PIECE { Ok(()) } else { self.flush() }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        let written = self.out.write_all(&self.rows).and_then(|()| self.out.flush());
        self.rows.clear();
        check(written)
    }
}

fn check(result: io::Result<()>) -> Result<()> {
    result.map_err(|error| match error.kind() {
        // The reader of standard output has closed it, which is not a failure.
        io::ErrorKind::BrokenPipe => Error::new(Kind::Closed, "the reader of standard output has gone away"),
        _ => Error::new(Kind::Refused, format!("cannot write to standard output: {error}")),
    })
}
