//! The records of a file, CSV or lines of JSON, each with the line it begins on. None is so long that it fills the memory:
//! a quote that is never closed would make one record of all that follows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use csv_core::ReadRecordResult;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};

/// The longest record, in bytes.
pub const LONGEST: usize = 1 << 20;

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

/// A file of text, from its beginning, without the mark of UTF-8.
pub(super) struct Source {
    reader: BufReader<Hashing>,
    name: String,
}

impl Source {
    /// Reads a file that is called `name` in messages.
    pub(super) fn new(file: &File, name: &str) -> Result<Self> {
        let name = name.to_owned();
        let rewound = file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
        let file = rewound.map_err(|error| unreadable(&name, &error))?;
        let reader = BufReader::with_capacity(1 << 16, Hashing { file, digest: Sha256::new() });
        let mut source = Source { reader, name };
        let start = source.fill()?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(Error::new(Kind::Usage, format!("{} is UTF-16, not UTF-8", source.name))
                .hint("`iconv -f UTF-16 -t UTF-8` turns it into UTF-8"));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            source.reader.consume(3);
        }
        Ok(source)
    }

    /// Returns what is read next, without taking it; nothing at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        self.reader.fill_buf().map_err(|error| unreadable(&self.name, &error))
    }

    /// Returns the digest of all that was read.
    pub(super) fn digest(&self) -> String {
        self.reader.get_ref().digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn too_long(&self, line: u64) -> Error {
        Error::new(Kind::Usage, format!("{}: line {line} is longer than {} MiB", self.name, LONGEST >> 20))
            .hint("the file must have a line for each mailbox")
    }
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    Error::new(Kind::Usage, format!("cannot read {name}: {error}"))
}

/// The records of a CSV file, one at a time.
pub(super) struct Csv {
    source: Source,
    core: csv_core::Reader,
    /// The cells of the record, one after the other, and where each of them ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    len: usize,
    /// The line the record begins on, counted from one, and the line of what follows it.
    line: u64,
    next_line: u64,
    after_return: bool,
}

impl Csv {
    pub(super) fn new(source: Source, delimiter: u8) -> Self {
        let core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let (text, ends) = (vec![0; 1 << 10], vec![0; 16]);
        Csv { source, core, text, ends, len: 0, line: 1, next_line: 1, after_return: false }
    }

    /// Reads the next record; returns false at the end.
    pub(super) fn read(&mut self) -> Result<bool> {
        self.skip_empty_lines()?;
        self.line = self.next_line;
        let (mut bytes, mut filled, mut ended) = (0, 0, 0);
        loop {
            let rest = self.source.fill()?;
            let is_end = rest.is_empty();
            if is_end && bytes == 0 {
                return Ok(false);
            }
            // The last line may lack its end, which ends a record unless a quote is open.
            let input = if is_end { b"\n" } else { rest };
            let (result, taken, more_filled, more_ended) =
                self.core.read_record(input, &mut self.text[filled..], &mut self.ends[ended..]);
            (filled, ended) = (filled + more_filled, ended + more_ended);
            if !is_end {
                bytes += taken;
                self.take(taken);
            }
            let is_whole = result == ReadRecordResult::Record;
            let is_quoted = !is_whole && (is_end || self.next_line > self.line);
            if bytes > LONGEST || (is_end && result == ReadRecordResult::InputEmpty) {
                return Err(if is_quoted { self.open_quote() } else { self.source.too_long(self.line) });
            }
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
        self.len = ended;
        Ok(true)
    }

    /// Returns the line that the record begins on, counted from one.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Returns how many cells the record has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns a cell of the record.
    pub(super) fn get(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends[..self.len].get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        Some(&self.text[start..end])
    }

    /// Returns the cells of the record.
    pub(super) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len).map_while(|at| self.get(at))
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Skips the ends of lines, so that the line of a record is the one that it begins on.
    fn skip_empty_lines(&mut self) -> Result<()> {
        loop {
            let rest = self.source.fill()?;
            let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if ends == 0 {
                return Ok(());
            }
            self.take(ends);
        }
    }

    /// Takes so many bytes of what was read, and counts the lines that end there, with any of the three line ends.
    fn take(&mut self, count: usize) {
        for &byte in &self.source.reader.buffer()[..count] {
            if byte == b'\r' || (byte == b'\n' && !self.after_return) {
                self.next_line += 1;
            }
            self.after_return = byte == b'\r';
        }
        self.source.reader.consume(count);
    }

    fn open_quote(&self) -> Error {
        let message = format!("{}: the record that begins on line {} has a quote open", self.source.name, self.line);
        Error::new(Kind::Usage, message).hint("close the quote, or write \"\" for one that is part of a text")
    }
}

/// The lines of a file that have something on them, one at a time.
pub(super) struct Lines {
    source: Source,
    text: Vec<u8>,
    line: u64,
}

impl Lines {
    pub(super) fn new(source: Source) -> Self {
        Lines { source, text: Vec::new(), line: 0 }
    }

    /// Reads the next line and returns it without its end, with its number, counted from one.
    pub(super) fn read(&mut self) -> Result<Option<(&[u8], u64)>> {
        loop {
            self.text.clear();
            let read = self.source.reader.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut self.text);
            if read.map_err(|error| unreadable(&self.source.name, &error))? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if self.text.len() > LONGEST {
                return Err(self.source.too_long(self.line));
            }
            if !self.text.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some((self.text.trim_ascii_end(), self.line)))
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }
}
