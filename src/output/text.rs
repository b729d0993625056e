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

/// Guards a cell that a spreadsheet would run as a formula, by an apostrophe in front. Some take the full-width signs too.
pub fn guard_formula(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%', '＝', '＋', '－', '＠']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
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

    proptest! {
        #[test]
        fn nothing_harmful_is_left(text in ".{0,200}") {
            prop_assert!(escape(&text).chars().all(is_harmless));
        }
    }
}
