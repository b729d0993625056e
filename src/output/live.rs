//! Rows that are shown as they happen, in every format: a table whose columns only grow, an array that is written bit by
//! bit.

use super::*;

/// The widest a column grows, so that one long message does not push the others off the screen.
const WIDEST: usize = 48;

/// The width an address column begins with, so that most addresses stand below each other from the first row on.
const ADDRESS: usize = 28;

/// The width an outcome column begins with: that of the longest ones.
const OUTCOME: usize = "unchanged".len();

/// An open output of rows. When its reader has gone away the rows are dropped: what makes them goes on.
pub struct Live<'a> {
    out: &'a Out,
    columns: Vec<Column>,
    sink: Option<Sink>,
    widths: Vec<usize>,
    shown: usize,
}

impl Out {
    /// Says whether rows can be shown as they happen, before anything is begun.
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
        let width = |key: &str| match key {
            "address" => ADDRESS,
            "outcome" => OUTCOME,
            _ => 0,
        };
        let widths = columns.iter().map(|column| width(column.key)).collect();
        let mut live = Live { out: self, columns, sink: Some(Sink::new()), widths, shown: 0 };
        live.try_write(|live, sink| match live.out.format {
            Format::Table if !live.out.no_headers => {
                let heads =
                    live.columns.iter().map(|column| column.head.to_uppercase().replace(['.', '_'], " ")).collect();
                live.cells(sink, heads)
            }
            Format::Json => sink.write(format_args!("[")),
            _ => live.out.head(sink, &live.columns),
        })?;
        Ok(live)
    }
}

impl Live<'_> {
    /// Adds one row; [`Live::flush`] shows it.
    pub fn push<R: Record>(&mut self, record: &R) -> Result<()> {
        self.try_write(|live, sink| {
            live.shown += 1;
            match live.out.format {
                Format::Table => {
                    let row = rows::record(record);
                    let cells = live.columns.iter().map(|column| escape(&shown(&row, column)).into_owned()).collect();
                    live.cells(sink, cells)
                }
                Format::Json => {
                    let comma = if live.shown > 1 { "," } else { "" };
                    let row = rows::record(record);
                    let text = serde_json::to_string_pretty(&row).expect("rows are plain JSON").replace('\n', "\n  ");
                    sink.write(format_args!("{comma}\n  {}", escape_json(&text)))
                }
                Format::Jsonl | Format::Csv | Format::Value => {
                    live.out.lines(sink, &live.columns, std::slice::from_ref(record))
                }
            }
        })
    }

    /// Shows the rows so far.
    pub fn flush(&mut self) -> Result<()> {
        self.try_write(|_, sink| sink.flush())
    }

    /// Ends the output.
    pub fn finish(mut self) -> Result<()> {
        self.try_write(|live, sink| match live.out.format {
            Format::Json if live.shown > 0 => sink.write(format_args!("\n]\n")),
            Format::Json => sink.write(format_args!("]\n")),
            _ => Ok(()),
        })?;
        self.flush()
    }

    fn try_write(&mut self, write: impl FnOnce(&mut Self, &mut Sink) -> Result<()>) -> Result<()> {
        let Some(mut sink) = self.sink.take() else { return Ok(()) };
        match write(self, &mut sink) {
            Err(error) if error.kind == Kind::Closed => Ok(()),
            result => {
                self.sink = Some(sink);
                result
            }
        }
    }

    fn cells(&mut self, sink: &mut Sink, cells: Vec<String>) -> Result<()> {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&mut self.widths) {
            *width = (*width).max(cell.chars().count().min(WIDEST));
            line.push_str(&format!("{cell:<width$}   ", width = *width));
        }
        sink.write(format_args!("{}\n", line.trim_end()))
    }
}
