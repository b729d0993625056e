//! What a terminal, a table cell and a CSV cell may hold of what a server sent.

use std::borrow::Cow;

pub use crate::text::escape;
pub(super) use crate::text::is_plain;

use crate::text::is_harmless;

/// Escapes the same characters in JSON text, where it changes nothing of what the text means.
pub fn escape_json(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| is_harmless(c) || c == '\n') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_harmless(c) || c == '\n' {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Cow::Owned(shown)
}

/// Returns JSON over several lines, escaped.
pub(super) fn pretty(value: &impl serde::Serialize) -> String {
    escape_json(&serde_json::to_string_pretty(value).expect("rows are plain JSON")).into_owned()
}

/// Escapes in a cell for programs what would run the terminal that it may end up on or end its line, and nothing else:
/// names have invisible letters and marks that belong to them. What turns the direction of text is escaped where the cell is shown
/// on a terminal right now.
pub(super) fn escape_data(text: &str, on_terminal: bool) -> Cow<'_, str> {
    let runs = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}')
            || on_terminal
                && matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if is_plain(text.as_bytes()) || !text.contains(runs) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if runs(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Returns whether a spreadsheet would run a cell as a formula; some accept the full-width signs too.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%', '＝', '＋', '－', '＠'])
}

/// Guards a cell that a spreadsheet would run as a formula, by an apostrophe in front. A cell that looks guarded gets one
/// more, so that [`unguard_formula`] returns every cell as it was.
pub fn guard_formula(cell: &str) -> Cow<'_, str> {
    if is_formula(cell.trim_start_matches('\'')) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Takes the apostrophe off again that [`guard_formula`] has put in front of a cell.
pub fn unguard_formula(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest.trim_start_matches('\'')) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_stay_and_tricks_show() {
        assert_eq!(escape("Ada Lovelace, 100 %, Müller, 東京"), "Ada Lovelace, 100 %, Müller, 東京");
        assert_eq!(escape("a\u{1b}[31mb\u{202e}c\n"), "a\\u{1b}[31mb\\u{202e}c\\n");
        assert_eq!(guard_formula("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(guard_formula("＝1+1"), "'＝1+1");
        assert_eq!(guard_formula("ada@example.com"), "ada@example.com");
    }

    #[test]
    fn json_means_the_same_when_escaped() {
        let text = serde_json::json!({ "a\u{9b}": "\u{202e}\u{7f}\u{e0041}\n\"東京" });
        let escaped = escape_json(&serde_json::to_string_pretty(&text).expect("it is plain JSON")).into_owned();
        assert!(escaped.chars().all(|c| is_harmless(c) || c == '\n'), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).expect("it is JSON still"), text);
    }

    #[test]
    fn data_carries_the_letters_of_names() {
        let name = "\u{0645}\u{06cc}\u{200c}\u{062e}, \u{1f468}\u{200d}\u{1f469}, a\u{00ad}b, \u{202e}x";
        assert_eq!(escape_data(name, false), name);
        assert_eq!(escape_data(name, true), name.replace('\u{202e}', "\\u{202e}"));
        for on_terminal in [false, true] {
            assert_eq!(escape_data("a\u{1b}[31m\u{9b}\n", on_terminal), "a\\u{1b}[31m\\u{9b}\\n");
        }
    }

    proptest! {
        #[test]
        fn a_guard_is_taken_off_again(cell in "['=+@|a-]{0,6}") {
            let guarded = guard_formula(&cell);
            prop_assert!(!is_formula(&guarded));
            prop_assert_eq!(unguard_formula(&guarded), &cell);
        }

        #[test]
        fn nothing_harmful_is_left(text in ".{0,200}") {
            prop_assert!(escape(&text).chars().all(is_harmless));
        }
    }
}
