//! A table: drawn in blocks of rows, with columns as wide as the widest cell so far, and with cells that are folded where a
//! terminal is too narrow.

use std::io::{self, IsTerminal};

use tabled::builder::Builder;
use tabled::grid::dimension::PeekableGridDimension;
use tabled::grid::util::string::get_string_width;
use tabled::settings::object::Columns;
use tabled::settings::peaker::Peaker;
use tabled::settings::{Alignment, Format, Padding, Style, Width};

use super::Row;
use super::column::Column;
use super::text::escape;

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
    /// Which columns may be folded.
    folds: Vec<bool>,
    /// How wide the terminal is that the table must fit.
    fits: Option<usize>,
}

impl Table {
    /// Begins a table that is measured by its first block and fits the terminal, if there is one.
    pub(super) fn measured(columns: &[Column]) -> Self {
        Table {
            widths: vec![0; columns.len()],
            held: Vec::new(),
            held_bytes: 0,
            block: BLOCK_ROWS,
            is_measuring: true,
            widest: usize::MAX,
            folds: columns.iter().map(|column| column.folds).collect(),
            fits: terminal_width(),
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
        let least = self.fits.map(|_| self.least_widths()).unwrap_or_default();
        let mut table = Builder::from_iter(self.held.drain(..)).build();
        table.with(Style::empty()).with(Alignment::left()).with(Padding::new(0, GAP, 0, 0));
        let seen = PeekableGridDimension::width(table.get_records(), table.get_config());
        let drawn = seen.iter().zip(&self.widths).map(|(seen, width)| *seen.max(width));
        table.with(Width::list(drawn));
        for (width, seen) in self.widths.iter_mut().zip(seen) {
            *width = (*width).max(seen.min(self.widest));
        }
        if let Some(terminal) = self.fits {
            table.with(Width::wrap(terminal + GAP).keep_words(true).priority(Foldable(least)));
            if let Some(widths) = table.get_dimension().get_widths() {
                self.widths = widths.to_vec();
            }
            for column in (0..self.folds.len()).filter(|column| self.folds[*column]) {
                table.modify(Columns::one(column), Format::content(tidy));
            }
            table.with(Width::list(self.widths.clone()));
        }
        for line in table.to_string().lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }

    /// Returns the width of the longest word in each column that may be folded.
    fn least_widths(&self) -> Vec<Option<usize>> {
        let longest = |column: usize| {
            self.held.iter().flat_map(|cells| cells[column].split(' ')).map(get_string_width).max().unwrap_or(0)
        };
        self.folds.iter().enumerate().map(|(column, folds)| folds.then(|| longest(column))).collect()
    }
}

/// Makes the widest of the columns narrower that may be folded, down to the longest word in it. What does not fit even then
/// is left to the terminal, which shows a long line in several and still copies it as one.
struct Foldable(Vec<Option<usize>>);

impl Peaker for Foldable {
    fn peak(&mut self, gaps: &[usize], widths: &[usize]) -> Option<usize> {
        let can_shrink = |column: &usize| self.0[*column].is_some_and(|least| widths[*column] > gaps[*column] + least);
        (0..widths.len()).filter(can_shrink).max_by_key(|column| widths[*column])
    }
}

fn terminal_width() -> Option<usize> {
    let size = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    size.map(|(width, _)| usize::from(width.0))
}

/// Returns one row as lines of `key: value` where it is wider than the terminal as a table.
pub(super) fn lines_if_too_wide(columns: &[Column], row: &Row) -> Option<String> {
    let terminal = terminal_width()?;
    let cells: Vec<_> = columns.iter().map(|column| (column, escape(&column.show(row)).into_owned())).collect();
    let width = |(column, cell): &(&Column, String)| get_string_width(cell).max(get_string_width(&column.heading()));
    let total = cells.iter().map(width).sum::<usize>() + GAP * cells.len().saturating_sub(1);
    (total > terminal).then(|| cells.iter().map(|(column, cell)| format!("{}: {cell}\n", column.key)).collect())
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
        let mut table = Table { fits, ..Table::measured(&[column("a"), column("b").folds()]) };
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
    fn text_is_folded_between_words_and_values_stay_whole() {
        let rows = [["name", "value of it"], ["very long name", "a"]];
        let folded = ["name             value", "                 of it", "very long name   a"];
        assert_eq!(table(Some(23), &rows).lines().collect::<Vec<_>>(), folded);
        let folded = ["name             value", "                 of", "                 it", "very long name   a"];
        for terminal in [22, 14, 1] {
            assert_eq!(table(Some(terminal), &rows).lines().collect::<Vec<_>>(), folded, "{terminal}");
        }
    }

    #[test]
    fn later_blocks_fit_the_terminal_too() {
        let mut rows = vec![["ab", "some words"]; BLOCK_ROWS];
        rows.push(["abcd", "some words more"]);
        let text = table(Some(17), &rows);
        let last: Vec<_> = text.lines().skip(BLOCK_ROWS - 1).collect();
        assert_eq!(last, ["ab   some words", "abcd   some words", "       more"]);
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
