//! A table: drawn in blocks of rows, with columns as wide as the widest cell so far, and with cells that are folded where a
//! terminal is too narrow.

use std::io::{self, IsTerminal};

use tabled::builder::Builder;
use tabled::grid::dimension::PeekableGridDimension;
use tabled::settings::object::Segment;
use tabled::settings::peaker::PriorityMax;
use tabled::settings::{Alignment, Format, Padding, Style, Width};

use super::column::Column;

/// The blanks between two columns.
const GAP: usize = 3;

/// The widest a column becomes whose rows are shown as they happen, so that one long message does not push the others off
/// the screen.
const WIDEST: usize = 48;

/// A block has at most so many rows, or so many bytes of them. The first block measures the columns, and every later block
/// only widens them.
const BLOCK_ROWS: usize = 1000;
const BLOCK_BYTES: usize = 64 << 10;

/// The layout of a table.
pub(super) struct Table {
    /// The widths so far, each with its gap.
    widths: Vec<usize>,
    /// The rows of the next block, heading included.
    held: Vec<Vec<String>>,
    held_bytes: usize,
    /// How many rows a block has at most.
    block: usize,
    /// Whether the first block, which measures the columns, is still to be drawn.
    is_measuring: bool,
    widest: usize,
    /// How wide the terminal is that the table must fit.
    fits: Option<usize>,
}

impl Table {
    /// Begins a table that is measured by its first block and fits the terminal, if there is one.
    pub(super) fn measured(columns: &[Column]) -> Self {
        let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        Table {
            widths: vec![0; columns.len()],
            held: Vec::new(),
            held_bytes: 0,
            block: BLOCK_ROWS,
            is_measuring: true,
            widest: usize::MAX,
            fits: terminal.map(|(width, _)| usize::from(width.0)),
        }
    }

    /// Begins a table whose rows are drawn one by one, from the first on.
    pub(super) fn live(columns: &[Column]) -> Self {
        let widths = columns.iter().map(|column| column.width + GAP).collect();
        Table { widths, block: 1, is_measuring: false, widest: WIDEST + GAP, fits: None, ..Table::measured(columns) }
    }

    /// Adds a row, and draws the block that is full with it.
    pub(super) fn add(&mut self, cells: Vec<String>, text: &mut String) {
        self.held_bytes += cells.iter().map(String::len).sum::<usize>();
        self.held.push(cells);
        if self.held.len() >= self.block || self.held_bytes > BLOCK_BYTES {
            self.draw(text);
        }
    }

    /// Draws the rows so far, unless they still measure the columns.
    pub(super) fn flush(&mut self, text: &mut String) {
        if !self.is_measuring {
            self.draw(text);
        }
    }

    /// Draws the rows that are left.
    pub(super) fn draw(&mut self, text: &mut String) {
        self.is_measuring = false;
        self.held_bytes = 0;
        if self.held.is_empty() {
            return;
        }
        let mut table = Builder::from_iter(self.held.drain(..)).build();
        table.with(Style::empty()).with(Alignment::left()).with(Padding::new(0, GAP, 0, 0));
        let seen = PeekableGridDimension::width(table.get_records(), table.get_config());
        let drawn = seen.iter().zip(&self.widths).map(|(seen, width)| *seen.max(width));
        table.with(Width::list(drawn));
        for (width, seen) in self.widths.iter_mut().zip(seen) {
            *width = (*width).max(seen.min(self.widest));
        }
        if let Some(terminal) = self.fits {
            table.with(Width::wrap(terminal + GAP).keep_words(true).priority(PriorityMax::right()));
            if let Some(widths) = table.get_dimension().get_widths() {
                self.widths = widths.to_vec();
            }
            table.modify(Segment::all(), Format::content(tidy)).with(Width::list(self.widths.clone()));
        }
        for line in table.to_string().lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
}

/// Takes the blanks off at which a cell was folded: where a line was full, the blank begins the next line, or stands alone.
fn tidy(cell: &str) -> String {
    cell.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::column::column;

    fn table(fits: Option<usize>, rows: &[[&str; 2]]) -> String {
        let mut table = Table { fits, ..Table::measured(&[column("a"), column("b")]) };
        let mut text = String::new();
        rows.iter().for_each(|row| table.add(row.map(str::to_owned).to_vec(), &mut text));
        table.draw(&mut text);
        text
    }

    #[test]
    fn columns_are_as_wide_as_they_are_seen() {
        assert_eq!(table(None, &[["東京", "x"], ["abc", "y"]]), "東京   x\nabc    y\n");
    }

    #[test]
    fn cells_are_folded_between_words_to_fit_a_terminal() {
        let rows = [["name", "value of it"], ["verylongname", "a"]];
        let folded = ["name     value", "         of", "         it", "verylo   a", "ngname"];
        assert_eq!(table(Some(14), &rows).lines().collect::<Vec<_>>(), folded);
    }

    #[test]
    fn rows_after_the_measured_ones_only_widen_the_columns() {
        let mut rows = vec![["ab", "c"]; BLOCK_ROWS];
        rows.extend([["abcd", "e"], ["ab", "c"]]);
        let text = table(None, &rows);
        let last: Vec<_> = text.lines().skip(BLOCK_ROWS - 1).collect();
        assert_eq!(last, ["ab   c", "abcd   e", "ab     c"]);
    }
}
