//! Standard output: written in large pieces, and what its failures mean.

use std::io::{self, Write};

use serde::Serialize;

use super::text::escape_json;
use crate::error::{Error, Kind, Result};

/// As much as a pipe holds: one piece, one turn of its reader.
const PIECE: usize = 64 << 10;

/// Standard output, in pieces of whole rows. A reader that has gone away ends the program quietly.
pub(super) struct Sink {
    out: io::Stdout,
    rows: Vec<u8>,
}

impl Sink {
    pub(super) fn new() -> Self {
        Sink { out: io::stdout(), rows: Vec::new() }
    }

    pub(super) fn write(&mut self, text: std::fmt::Arguments<'_>) -> Result<()> {
        self.rows.write_fmt(text).expect("writing to memory does not fail");
        self.flush_piece()
    }

    /// Writes one JSON object as a line. What could play tricks on a terminal is escaped, which means the same in JSON.
    pub(super) fn json(&mut self, row: &impl Serialize) -> Result<()> {
        let start = self.rows.len();
        serde_json::to_writer(&mut self.rows, row).expect("rows are plain JSON");
        // Almost every row is plain ASCII, and serde_json has escaped its control characters but the last.
        if self.rows[start..].iter().any(|byte| !byte.is_ascii() || *byte == 0x7f) {
            let line = String::from_utf8(self.rows.split_off(start)).expect("JSON is UTF-8");
            self.rows.extend_from_slice(escape_json(&line).as_bytes());
        }
        self.rows.push(b'\n');
        self.flush_piece()
    }

    pub(super) fn csv<T: AsRef<[u8]>>(&mut self, cells: impl Iterator<Item = T>) -> Result<()> {
        csv::Writer::from_writer(&mut self.rows).write_record(cells).expect("writing to memory does not fail");
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
        // The reader of standard output has had enough, which is no failure.
        io::ErrorKind::BrokenPipe => Error::new(Kind::Closed, "the reader of standard output has gone away"),
        _ => Error::new(Kind::Refused, format!("cannot write to standard output: {error}")),
    })
}
