//! What may be shown of a request or an answer. Three nets: by type (secrets are `SecretString`), by name (fields that
//! hold secrets), and by value (the secrets of this run, wherever they appear).

use std::sync::{Arc, Mutex};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::lock::held;

/// What stands where a secret was.
const MASK: &str = "(redacted)";

/// Field names whose values are never shown, compared in lower case without `_` and `-`.
const SECRET_NAMES: [&str; 9] =
    ["password", "passwd", "token", "secret", "apikey", "authorization", "cookie", "recoveryemail", "qrcode"];

/// Shorter texts are not masked by value: they would stand in half of all words.
const SHORTEST: usize = 4;

/// The longest excerpt of a provider's words in an error, in characters.
const EXCERPT: usize = 400;

/// How much of a provider's words is searched for an excerpt, in characters: a server may send megabytes.
const SEARCHED: usize = 1 << 16;

/// What may stand in a URL as it is.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secrets of this run. Cloning shares them.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Arc<Mutex<Vec<SecretString>>>,
}

/// A secret that is masked for as long as this lives.
pub struct Learned {
    redactor: Redactor,
    secret: SecretString,
}

impl Drop for Learned {
    fn drop(&mut self) {
        let mut values = held(&self.redactor.values);
        let same = |known: &SecretString| known.expose_secret() == self.secret.expose_secret();
        if let Some(at) = values.iter().rposition(same) {
            values.remove(at);
        }
    }
}

impl Redactor {
    /// Learns a secret; all its spellings are masked from now on.
    pub fn learn(&self, secret: &SecretString) {
        let mut values = held(&self.values);
        if !values.iter().any(|known| known.expose_secret() == secret.expose_secret()) {
            values.push(secret.clone());
        }
    }

    /// Learns a secret for a while.
    pub fn learn_meanwhile(&self, secret: &SecretString) -> Learned {
        held(&self.values).push(secret.clone());
        Learned { redactor: self.clone(), secret: secret.clone() }
    }

    /// Returns `text` with every known secret masked.
    pub fn scrub(&self, text: &str) -> String {
        let masked = |text: String, value: &String| if text.contains(value) { text.replace(value, MASK) } else { text };
        self.spellings().iter().fold(text.to_owned(), masked)
    }

    /// Returns the secrets in the spellings they may travel in, the longest first, so that no part of a secret outlives
    /// another one inside it. They are worked out here and not when a secret is learned: every password is learned, and
    /// few answers are shown.
    fn spellings(&self) -> Vec<String> {
        let values = held(&self.values);
        let mut all: Vec<String> = values.iter().flat_map(|value| spellings(value.expose_secret())).collect();
        all.retain(|spelling| spelling.chars().count() >= SHORTEST);
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        all
    }

    /// Returns a bounded, one-line excerpt of a provider's words.
    pub fn excerpt(&self, text: &str) -> String {
        let mut line = text.split_whitespace().flat_map(|word| [" ", word]).flat_map(str::chars).skip(1);
        let searched: String = line.by_ref().take(SEARCHED).collect();
        let scrubbed = self.scrub(&searched);
        // A secret that the cut has halved is not known any more.
        let doubtful = line.next().and_then(|_| Some(self.spellings().first()?.len())).unwrap_or_default();
        let sure = scrubbed.chars().count().saturating_sub(doubtful);
        match scrubbed.char_indices().nth(EXCERPT.min(sure)) {
            Some((end, _)) => format!("{}…", &scrubbed[..end]),
            None => scrubbed,
        }
    }

    /// Returns a body as it may stand in a trace.
    pub fn body(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start();
        let shown = match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                mask_by_name(&mut value);
                self.scrub(&value.to_string())
            }
            // Without its structure nothing tells which part of it is a secret.
            Err(_) if text.starts_with(['{', '[']) => format!("({} bytes that are no whole JSON)", body.len()),
            Err(_) if text.starts_with('<') => format!("({} bytes of markup)", body.len()),
            Err(_) => self.excerpt(text),
        };
        visible(&shown)
    }

    /// Returns form or query fields as they may stand in a trace.
    pub fn fields(&self, fields: &[(String, String)]) -> String {
        let shown = fields.iter().map(|(name, value)| {
            let value = if is_secret_name(name) { MASK.to_owned() } else { self.scrub(value) };
            format!("{name}={value}")
        });
        shown.collect::<Vec<_>>().join("&")
    }
}

/// Returns a secret in the spellings it may travel in: as it is, in JSON, in forms and URLs, in HTML.
fn spellings(raw: &str) -> Vec<String> {
    let json = serde_json::to_string(raw).expect("a text is JSON");
    let json = json[1..json.len() - 1].to_owned();
    let mut units = [0; 2];
    let mut escape = |c: char| c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    let ascii = json.chars().map(|c| if c.is_ascii() { c.to_string() } else { escape(c) }).collect();
    let form: String = url::form_urlencoded::byte_serialize(raw.as_bytes()).collect();
    let url = utf8_percent_encode(raw, URL).to_string();
    let html = raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let spellings =
        [raw.to_owned(), json, ascii, form.clone(), lower_escapes(&form), url.clone(), lower_escapes(&url), html];
    // Once more as an excerpt shows them, with single blanks.
    let single = spellings.iter().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    spellings.into_iter().chain(single).collect()
}

/// Returns the same text with `%2b` for `%2B`.
fn lower_escapes(text: &str) -> String {
    let lower = |(index, part): (usize, &str)| match part.split_at_checked(2) {
        Some((digits, rest)) if index > 0 => format!("%{}{rest}", digits.to_lowercase()),
        _ => part.to_owned(),
    };
    text.split('%').enumerate().map(lower).collect()
}

/// Returns a text with everything escaped that a terminal would obey rather than show.
pub(super) fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => c.escape_unicode().to_string(),
        _ if c.is_control() => c.escape_unicode().to_string(),
        _ => c.to_string(),
    };
    text.chars().map(shown).collect()
}

fn is_secret_name(name: &str) -> bool {
    let name: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

fn mask_by_name(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if is_secret_name(name) && !value.is_null() && !value.is_boolean() {
                    *value = Value::from(MASK);
                } else {
                    mask_by_name(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_by_name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_masked_by_name_in_json_and_forms() {
        let redactor = Redactor::default();
        let body = br#"{"email":"a@b.example","password":"one","nested":[{"appPassword":"two","api_key":"three"}],"secret":null}"#;
        let shown = redactor.body(body);
        assert!(!["one", "two", "three"].iter().any(|s| shown.contains(s)), "{shown}");
        assert!(shown.contains("a@b.example"));
        let fields = [("email".to_owned(), "a@b.example".to_owned()), ("password".to_owned(), "one".to_owned())];
        assert_eq!(redactor.fields(&fields), "email=a@b.example&password=(redacted)");
    }

    #[test]
    fn a_secret_learned_for_a_while_is_forgotten_after_it() {
        let redactor = Redactor::default();
        redactor.learn(&"for ever".into());
        let (first, second) =
            (redactor.learn_meanwhile(&"passing".into()), redactor.learn_meanwhile(&"passing".into()));
        drop(first);
        assert_eq!(redactor.scrub("for ever passing"), "(redacted) (redacted)");
        drop(second);
        assert_eq!(redactor.scrub("for ever passing"), "(redacted) passing");
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_masks_nothing() {
        let redactor = Redactor::default();
        for short in ["", "   ", "      ", "abc"] {
            redactor.learn(&short.into());
        }
        assert_eq!(redactor.excerpt("abc  def"), "abc def");
    }

    #[test]
    fn a_secret_at_the_cut_of_an_excerpt_does_not_show() {
        let secret = "x".repeat(3000);
        let redactor = Redactor::default();
        redactor.learn(&secret.as_str().into());
        let shown = redactor.excerpt(&secret.repeat(100));
        assert!(!shown.contains('x'), "{shown}");
    }

    #[test]
    fn a_body_cut_in_half_is_not_shown() {
        assert_eq!(Redactor::default().body(br#"{"password":"hunt"#), "(17 bytes that are no whole JSON)");
    }

    proptest! {
        #[test]
        fn a_known_secret_never_shows(secret in "\\PC{8,40}", around in "\\PC{0,40}") {
            let redactor = Redactor::default();
            redactor.learn(&secret.clone().into());
            let json = serde_json::json!({ "message": format!("{around}{secret}{around}") }).to_string();
            prop_assume!(!around.contains(&secret) && !MASK.contains(&secret));
            let texts = [redactor.scrub(&format!("{around} {secret} {around}")), redactor.body(json.as_bytes())];
            let masked = format!("{around} {MASK} {around}");
            for text in texts {
                prop_assert!(!text.contains(&secret) || masked.contains(&secret), "{}", text);
            }
        }
    }
}
