//! A table: columns as wide as the widest cell so far, and cells that are folded where a terminal is too narrow.

use std::borrow::Cow;
use std::io::{self, IsTerminal};

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};
use unicode_width::UnicodeWidthStr;

use super::column::Column;

/// The blanks between two columns.
const GAP: usize = 3;

/// The widest a column becomes whose rows are shown as they happen, so that one long message does not push the others off
/// the screen.
const WIDEST: usize = 48;

/// A table is measured by so many rows, or so many bytes of them, and the rows after them follow in the same columns.
const MEASURED_ROWS: usize = 1000;
const MEASURED_BYTES: usize = 64 << 10;

/// The layout of a table.
pub(super) struct Table {
    widths: Vec<usize>,
    /// The rows to measure by, heading included; `None` once they are written.
    held: Option<Vec<Vec<String>>>,
    held_bytes: usize,
    widest: usize,
    /// How wide the terminal is that the table must fit.
    fits: Option<usize>,
}

impl Table {
    /// Begins a table that is measured by its first rows and fits the terminal, if there is one.
    pub(super) fn measured(columns: &[Column]) -> Self {
        let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        Table {
            widths: vec![0; columns.len()],
            held: Some(Vec::new()),
            held_bytes: 0,
            widest: usize::MAX,
            fits: terminal.map(|(width, _)| usize::from(width.0)),
        }
    }

    /// Begins a table whose rows are written at once, from the first on.
    pub(super) fn live(columns: &[Column]) -> Self {
        let widths = columns.iter().map(|column| column.width).collect();
        Table { widths, held: None, held_bytes: 0, widest: WIDEST, fits: None }
    }

    /// Adds a row to `text`, at once or when there are enough rows to measure by.
    pub(super) fn add(&mut self, cells: Vec<String>, text: &mut String) {
        let Some(held) = &mut self.held else { return self.write(&cells, text) };
        self.held_bytes += cells.iter().map(String::len).sum::<usize>();
        held.push(cells);
        if held.len() > MEASURED_ROWS || self.held_bytes > MEASURED_BYTES {
            self.release(text);
        }
    }

    /// Adds the rows to `text` that were held to measure by.
    pub(super) fn release(&mut self, text: &mut String) {
        let Some(held) = self.held.take() else { return };
        held.iter().for_each(|cells| self.grow(cells));
        if let Some(terminal) = self.fits {
            self.shrink(terminal);
        }
        held.iter().for_each(|cells| self.write(cells, text));
    }

    fn grow(&mut self, cells: &[String]) {
        for (cell, width) in cells.iter().zip(&mut self.widths) {
            *width = (*width).max(cell.width().min(self.widest));
        }
    }

    /// Makes the widest columns narrower, those on the right first, until all of them fit.
    fn shrink(&mut self, terminal: usize) {
        let gaps = GAP * self.widths.len().saturating_sub(1);
        let mut excess = (self.widths.iter().sum::<usize>() + gaps).saturating_sub(terminal);
        while excess > 0
            && let Some(widest) = self.widths.iter_mut().max().filter(|width| **width > 1)
        {
            *widest -= 1;
            excess -= 1;
        }
    }

    fn write(&mut self, cells: &[String], text: &mut String) {
        // At a terminal the columns stay as they were measured.
        if self.fits.is_none() {
            self.grow(cells);
        }
        let folded: Vec<Vec<Cow<'_, str>>> =
            cells.iter().zip(&self.widths).map(|(cell, width)| self.fold(cell, *width)).collect();
        for line in 0..folded.iter().map(Vec::len).max().unwrap_or_default() {
            let start = text.len();
            for (parts, width) in folded.iter().zip(&self.widths) {
                let part = parts.get(line).map_or("", |part| part);
                text.push_str(part);
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(part.width()) + GAP));
            }
            text.truncate(start + text[start..].trim_end().len());
            text.push('\n');
        }
    }

    /// Folds a cell into the lines that fit its column at a terminal.
    fn fold<'a>(&self, cell: &'a str, width: usize) -> Vec<Cow<'a, str>> {
        if self.fits.is_none() || cell.width() <= width {
            return vec![Cow::Borrowed(cell)];
        }
        let options = Options::new(width)
            .wrap_algorithm(WrapAlgorithm::FirstFit)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        textwrap::wrap(cell, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::column::column;

    fn table(fits: Option<usize>, rows: &[[&str; 2]]) -> String {
        let mut table = Table { fits, ..Table::measured(&[column("a"), column("b")]) };
        let mut text = String::new();
        rows.iter().for_each(|row| table.add(row.map(str::to_owned).to_vec(), &mut text));
        table.release(&mut text);
        text
    }

    #[test]
    fn columns_are_as_wide_as_they_are_seen() {
        assert_eq!(table(None, &[["東京", "x"], ["abc", "y"]]), "東京   x\nabc    y\n");
    }

    #[test]
    fn cells_are_folded_between_words_to_fit_a_terminal() {
        let rows = [["name", "value of it"], ["verylongname", "a"]];
        let folded = ["name     value", "         of it", "verylo   a", "ngname"];
        assert_eq!(table(Some(14), &rows).lines().collect::<Vec<_>>(), folded);
    }

    #[test]
    fn rows_after_the_measured_ones_only_widen_the_columns() {
        let mut rows = vec![["ab", "c"]; MEASURED_ROWS + 1];
        rows.extend([["abcd", "e"], ["ab", "c"]]);
        let text = table(None, &rows);
        let last: Vec<_> = text.lines().skip(MEASURED_ROWS).collect();
        assert_eq!(last, ["ab   c", "abcd   e", "ab     c"]);
    }
}
