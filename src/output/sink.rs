//! Standard output: written in large pieces, and what its failures mean.

use std::io::{self, BufWriter, Write};

use crate::error::{Error, Kind, Result};

/// Standard output. A reader that has gone away ends the program quietly.
pub(super) struct Sink(BufWriter<io::Stdout>);

impl Sink {
    pub(super) fn new() -> Self {
        Sink(BufWriter::new(io::stdout()))
    }

    pub(super) fn write(&mut self, text: std::fmt::Arguments<'_>) -> Result<()> {
        check(self.0.write_fmt(text))
    }

    pub(super) fn csv<T: AsRef<[u8]>>(&mut self, cells: impl Iterator<Item = T>) -> Result<()> {
        let mut line = csv::Writer::from_writer(Vec::new());
        line.write_record(cells).expect("writing to memory does not fail");
        check(self.0.write_all(&line.into_inner().expect("writing to memory does not fail")))
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        check(self.0.flush())
    }
}

fn check(result: io::Result<()>) -> Result<()> {
    result.map_err(|error| match error.kind() {
        // The reader of standard output has had enough, which is no failure.
        io::ErrorKind::BrokenPipe => Error::new(Kind::Closed, "the reader of standard output has gone away"),
        _ => Error::new(Kind::Refused, format!("cannot write to standard output: {error}")),
    })
}
