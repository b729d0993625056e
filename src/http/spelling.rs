//! How a secret may be spelled where a server repeats it, and where in a text it is.
//!
//! Two views of a text are searched, in each of which many spellings are the same; every character knows where it came
//! from, so that what is found there can be masked in the text itself.
//!
//! | view | what it leaves out | finds a secret that is |
//! |---|---|---|
//! | plain | escapes of JSON, URLs and HTML, nested ones too; case, blanks, quotes, commas | escaped, split, in other case |
//! | letters | all of these, and whatever is no letter or digit | in base64 or hex, and split otherwise |
//!
//! A piece of a secret gives some of it away too, so ten characters in a row are enough. More may be masked than is
//! secret; that is the lesser evil.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};

use super::redact::MASK;

/// Shorter texts are not masked by value: they would stand in half of all words.
const SHORTEST: usize = 4;

/// The shortest base64 or hex that is looked for.
const SHORTEST_CODE: usize = 5;

/// So many characters in a row are taken for a piece of a secret.
const PIECE: usize = 10;

/// A start or an end of a secret is known by so many characters, also where fewer are left of them in a view.
const START: usize = 12;

/// How deep escapes are unpacked: JSON in a URL in HTML in JSON, and one to spare.
const DEPTH: usize = 5;

/// The most characters that one of a secret takes: four bytes, as in a URL twice.
const LONGEST: usize = 20;

/// The letters of Latin-1, and two signs among them, by their names in HTML, from `À` on.
const LATIN: &str = "Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml \
    ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute \
    acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc \
    otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";

/// A character of a view, and the bytes of the text that it came from.
#[derive(Clone)]
struct Seen {
    c: char,
    from: Range<usize>,
}

/// The secrets as they are looked for.
#[derive(Default)]
pub(super) struct Spellings {
    /// As they are: a view may join the ends of a secret with what stands beside it.
    raw: Vec<String>,
    plain: Pieces,
    letters: Pieces,
    longest: usize,
}

/// Hashes of pieces, by their length.
#[derive(Default)]
struct Pieces(BTreeMap<usize, HashSet<u64>>);

impl Spellings {
    pub(super) fn of<'s>(secrets: impl Iterator<Item = &'s str>) -> Self {
        let mut all = Spellings::default();
        for secret in secrets.filter(|secret| secret.trim().chars().count() >= SHORTEST) {
            all.add(secret);
        }
        all
    }

    fn add(&mut self, secret: &str) {
        self.longest = self.longest.max(secret.chars().count());
        // An excerpt shows single blanks.
        let single = secret.split_whitespace().collect::<Vec<_>>().join(" ");
        let chars: Vec<char> = secret.chars().collect();
        let mut parts = Vec::from([secret.to_owned(), single]);
        if chars.len() > START {
            parts.push(chars[..START].iter().collect());
            parts.push(chars[chars.len() - START..].iter().collect());
        }
        for part in parts.into_iter().filter(|part| part.trim().chars().count() >= SHORTEST) {
            let view = plain(&part);
            self.plain.add(view.iter().map(|seen| seen.c), SHORTEST);
            self.letters.add(letters(&view).map(|seen| seen.c), PIECE);
            self.raw.push(part);
        }
        for code in codes(secret.as_bytes()) {
            self.letters.add(code.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase), SHORTEST_CODE);
        }
    }

    /// Returns how many characters a secret takes at most.
    pub(super) fn longest(&self) -> usize {
        self.longest.saturating_mul(LONGEST)
    }

    /// Returns the text with every secret masked.
    pub(super) fn mask(&self, text: &str) -> String {
        if self.raw.is_empty() {
            return text.to_owned();
        }
        let mut found: Vec<Range<usize>> = Vec::new();
        for raw in &self.raw {
            found.extend(text.match_indices(raw.as_str()).map(|(at, raw)| at..at + raw.len()));
        }
        let view = plain(text);
        found.extend(self.plain.find(&view));
        let view: Vec<Seen> = letters(&view).cloned().collect();
        let coded = merged(self.letters.find(&view).collect());
        found.extend(coded.into_iter().map(|range| whole_code(text, range)));
        let (mut masked, mut at) = (String::with_capacity(text.len()), 0);
        for range in merged(found) {
            masked.push_str(&text[at..range.start]);
            masked.push_str(MASK);
            at = range.end;
        }
        masked.push_str(&text[at..]);
        masked
    }
}

/// Joins the ranges that touch.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

impl Pieces {
    /// Adds a secret as a view shows it: whole when it is short, else all its pieces.
    fn add(&mut self, secret: impl Iterator<Item = char>, shortest: usize) {
        let secret: Vec<char> = secret.collect();
        if secret.len() >= shortest {
            let size = secret.len().min(PIECE);
            self.0.entry(size).or_default().extend(hashes(size, secret.iter().copied()).map(|(_, hash)| hash));
        }
    }

    /// Returns where in the text a piece is.
    fn find(&self, view: &[Seen]) -> impl Iterator<Item = Range<usize>> {
        self.0.iter().flat_map(move |(size, known)| {
            hashes(*size, view.iter().map(|seen| seen.c))
                .filter(|(_, hash)| known.contains(hash))
                .map(move |(at, _)| view[at].from.start..view[at + size - 1].from.end)
        })
    }
}

/// Returns where each piece of this size begins, and its hash. Two pieces of the same hash only mask too much.
fn hashes(size: usize, chars: impl Iterator<Item = char> + Clone) -> impl Iterator<Item = (usize, u64)> {
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let leaving = BASE.wrapping_pow(u32::try_from(size).unwrap_or(u32::MAX));
    let before = std::iter::repeat_n(0, size).chain(chars.clone().map(u64::from));
    let rolling = chars.map(u64::from).zip(before).scan(0u64, move |hash, (comes, leaves)| {
        *hash = hash.wrapping_mul(BASE).wrapping_add(comes).wrapping_sub(leaves.wrapping_mul(leaving));
        Some(*hash)
    });
    rolling.enumerate().skip(size - 1).map(move |(at, hash)| (at + 1 - size, hash))
}

/// Returns a secret in hex, and in base64 wherever it begins within three bytes, without what depends on its neighbours.
/// The URL-safe form differs in signs alone, which no view of letters has.
fn codes(secret: &[u8]) -> Vec<String> {
    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = (0..3).map(|before: usize| {
        let bytes = [&[0; 2][..before], secret].concat();
        let code = BASE64_STANDARD_NO_PAD.encode(&bytes);
        let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        code.get(first..last).unwrap_or_default().to_owned()
    });
    [hex].into_iter().chain(base64).collect()
}

/// Returns the range with what stands beside it and may be of the same base64 or hex.
fn whole_code(text: &str, range: Range<usize>) -> Range<usize> {
    let is_code = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'_' | b'=');
    let before = text.as_bytes()[..range.start].iter().rev().take_while(is_code).count();
    let after = text.as_bytes()[range.end..].iter().take_while(is_code).count();
    range.start - before..range.end + after
}

/// Returns the plain view of a text.
fn plain(text: &str) -> Vec<Seen> {
    let mut view: Vec<Seen> = text.char_indices().map(|(at, c)| Seen { c, from: at..at + c.len_utf8() }).collect();
    for _ in 0..DEPTH {
        if !view.iter().any(|seen| matches!(seen.c, '\\' | '%' | '&')) {
            break;
        }
        view = unpack(&view);
    }
    let folded = |seen: Seen| folded(seen.c).map(move |c| Seen { c, from: seen.from.clone() });
    let is_left_out = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | '“' | '”' | '‘' | '’' | '+' | ',' | '\\')
    };
    view.into_iter().filter(|seen| !is_left_out(seen.c)).flat_map(folded).collect()
}

/// Returns a character without its case: `ß`, `ẞ` and `SS` are all `ss`.
fn folded(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Returns the letters and digits of a plain view.
fn letters(view: &[Seen]) -> impl Iterator<Item = &Seen> {
    view.iter().filter(|seen| seen.c.is_alphanumeric())
}

/// Takes one level of escapes from a view.
fn unpack(view: &[Seen]) -> Vec<Seen> {
    let mut out = Vec::with_capacity(view.len());
    let mut at = 0;
    while at < view.len() {
        let rest = &view[at..];
        let (decoded, took) = match rest[0].c {
            '\\' => from_backslash(rest),
            '%' => from_percent(rest),
            '&' => from_entity(rest),
            _ => None,
        }
        .unwrap_or_else(|| (rest[0].c.to_string(), 1));
        let from = rest[0].from.start..rest[took - 1].from.end;
        out.extend(decoded.chars().map(|c| Seen { c, from: from.clone() }));
        at += took;
    }
    out
}

/// Returns the number that so many digits make.
fn number(view: &[Seen], digits: Range<usize>, radix: u32) -> Option<u32> {
    view.get(digits)?.iter().try_fold(0u32, |sum, seen| sum.checked_mul(radix)?.checked_add(seen.c.to_digit(radix)?))
}

/// Reads what begins with a backslash: what it stands for, and how many characters it took.
fn from_backslash(view: &[Seen]) -> Option<(String, usize)> {
    let unit = |at: usize| match view.get(at..at + 2)? {
        [slash, u] if slash.c == '\\' && u.c.eq_ignore_ascii_case(&'u') => {
            u16::try_from(number(view, at + 2..at + 6, 16)?).ok()
        }
        _ => None,
    };
    match view.get(1)?.c.to_ascii_lowercase() {
        'u' => match (unit(0)?, unit(6)) {
            (first @ 0xd800..=0xdbff, Some(second)) => Some((String::from_utf16_lossy(&[first, second]), 12)),
            (first, _) => Some((String::from_utf16_lossy(&[first]), 6)),
        },
        'x' => Some((char::from_u32(number(view, 2..4, 16)?)?.to_string(), 4)),
        'n' | 'r' | 't' | 'b' | 'f' => Some((" ".to_owned(), 2)),
        _ => Some((view[1].c.to_string(), 2)),
    }
}

/// Reads escaped bytes as of a URL, as many as there are in a row.
fn from_percent(view: &[Seen]) -> Option<(String, usize)> {
    let byte = |at: usize| {
        (view.get(at)?.c == '%').then_some(())?;
        u8::try_from(number(view, at + 1..at + 3, 16)?).ok()
    };
    let bytes: Vec<u8> = (0..).map_while(|at| byte(at * 3)).collect();
    (!bytes.is_empty()).then(|| (String::from_utf8_lossy(&bytes).into_owned(), bytes.len() * 3))
}

/// Reads an entity of HTML, if it is known.
fn from_entity(view: &[Seen]) -> Option<(String, usize)> {
    let end = view.iter().take(LONGEST).position(|seen| seen.c == ';')?;
    let name: String = view[1..end].iter().map(|seen| seen.c).collect();
    let decoded = match name.strip_prefix('#') {
        Some(digits) => {
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)?.to_string()
        }
        None if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) => return None,
        None => match name.to_ascii_lowercase().as_str() {
            "amp" => "&".to_owned(),
            "lt" => "<".to_owned(),
            "gt" => ">".to_owned(),
            _ => {
                let letter = LATIN.split(' ').zip('À'..='ÿ').find(|(known, _)| known.eq_ignore_ascii_case(&name));
                letter.map(|(_, letter)| letter.to_string()).or_else(|| named_sign(&name))?
            }
        },
    };
    Some((decoded, end + 1))
}

/// Returns the sign of ASCII with this name in HTML.
fn named_sign(name: &str) -> Option<String> {
    let sign = match name {
        "quot" | "apos" | "nbsp" | "Tab" | "NewLine" | "comma" | "plus" | "grave" | "bsol" => ' ',
        "excl" => '!',
        "num" => '#',
        "dollar" => '$',
        "percnt" => '%',
        "lpar" => '(',
        "rpar" => ')',
        "ast" => '*',
        "hyphen" | "dash" => '-',
        "period" => '.',
        "sol" => '/',
        "colon" => ':',
        "semi" => ';',
        "equals" => '=',
        "quest" => '?',
        "commat" => '@',
        "lsqb" | "lbrack" => '[',
        "rsqb" | "rbrack" => ']',
        "Hat" => '^',
        "lowbar" => '_',
        "lcub" | "lbrace" => '{',
        "verbar" | "vert" => '|',
        "rcub" | "rbrace" => '}',
        _ => return None,
    };
    Some(sign.to_string())
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// Returns a text in every spelling that a server might show it in.
    fn spelled(text: &str) -> Vec<String> {
        let each = |spell: fn(char) -> String| text.chars().map(spell).collect::<String>();
        let url = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let json = serde_json::to_string(text).expect("a text is JSON");
        let json = json[1..json.len() - 1].to_owned();
        let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let html = html.replace('"', "&quot;").replace('\'', "&#39;");
        vec![
            text.to_owned(),
            json.replace('/', "\\/").replace('&', "\\u0026").replace('<', "\\u003c"),
            serde_json::to_string(&json).expect("a text is JSON"),
            each(|c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect()),
            url(&json),
            json,
            html.replace('&', "&amp;"),
            html,
            each(|c| format!("&#{};", u32::from(c))),
            each(|c| format!("&#x{:x};", u32::from(c))),
            each(|c| format!("&#X{:06X};", u32::from(c))),
            url(text),
            url(text).to_lowercase(),
            url(&url(text)),
            url_form(text),
            text.to_uppercase(),
            text.to_lowercase(),
        ]
    }

    fn url_form(text: &str) -> String {
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }

    /// Returns a text in base64 and hex, with so many bytes before it and after it.
    fn coded(text: &str, before: usize, after: usize) -> Vec<String> {
        let bytes = [vec![b'u'; before], text.into(), vec![b'u'; after]].concat();
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let standard = BASE64_STANDARD.encode(&bytes);
        vec![
            hex.to_uppercase(),
            hex,
            BASE64_URL_SAFE_NO_PAD.encode(&bytes),
            standard.replace('/', "\\/"),
            url_form(&standard),
            standard.as_bytes().chunks(7).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\r\n"),
            standard,
        ]
    }

    /// Returns what is left of a text beside its masks.
    fn left(secret: &str, text: &str) -> String {
        Spellings::of([secret].into_iter()).mask(text).replace(MASK, "")
    }

    proptest! {
        #[test]
        fn a_secret_is_masked_in_every_spelling(signs in "[!-~é東]{4,20}", word in "[A-Za-z0-9]{6,20}") {
            let secret = signs + &word;
            let head: String = secret.chars().take(START).collect();
            let tail: String = secret.chars().skip(secret.chars().count().saturating_sub(START)).collect();
            for part in [&secret, &head, &tail] {
                for text in spelled(part) {
                    let left = left(&secret, &format!("(: {text} :)"));
                    prop_assert!(letters(&plain(&left)).count() <= 1, "{:?} in {}: {}", secret, text, left);
                }
            }
        }

        #[test]
        fn a_secret_is_masked_in_base64_and_hex(secret in "[!-~é東]{8,40}", before in 0usize..4, after in 0usize..4) {
            for text in coded(&secret, before, after) {
                let left = left(&secret, &format!("(: {text} :)"));
                // What else was in the same base64 may stay, and what it shares with the secret.
                prop_assert!(left.chars().filter(|c| c.is_alphanumeric()).count() <= 12, "{:?} in {}: {}", secret, text, left);
            }
        }

        #[test]
        fn a_secret_that_is_split_is_masked(
            secret in "[A-Za-z0-9!$(-/:-@_]{8,40}",
            at in any::<[Index; 3]>(),
            by in prop::sample::select(vec![" ", "\n", "\" \"", "'", "\",\"", "\r\n\t"]),
        ) {
            let mut text = secret.clone();
            at.iter().for_each(|at| text.insert_str(at.index(secret.len()), by));
            let left = left(&secret, &format!("(: {text} :)"));
            prop_assert!(left.trim_matches(['(', ':', ' ', ')', '"', ',', '\'', '\r', '\n', '\t']).len() <= 1, "{secret:?}: {left}");
        }

        #[test]
        fn any_text_can_be_searched(secret in "\\PC{0,20}", text in ".{0,60}|[\\\\%&#;xu0-9a-f]{0,40}") {
            let spellings = Spellings::of([secret.as_str()].into_iter());
            let masked = spellings.mask(&text);
            prop_assert!(masked == text || masked.contains(MASK));
        }
    }

    #[test]
    fn a_secret_is_masked_in_other_case_whatever_its_letters() {
        for secret in ["Straße-Ünal9", "STRAẞE-ÜNAL9", "ŉaïveté", "Ὀδυσσεύς", "İstanbul"] {
            for text in [secret.to_uppercase(), secret.to_lowercase()] {
                assert_eq!(left(secret, &text), "", "{secret}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let secrets = ["hunter-2-Hunter", "sk_live_51H8cK2eZvKYlo2C", "Tr0ub4dor&3"];
        let text = "POST https://api.example.com/v1/users/ada@example.com: \"not found\", 100 % of \\u00fcber & co";
        assert_eq!(Spellings::of(secrets.into_iter()).mask(text), text);
    }
}
