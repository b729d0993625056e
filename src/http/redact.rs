//! What may be shown of a request or an answer. Three nets: by type (secrets are `SecretString`), by name (fields that
//! hold secrets), and by value (the secrets of this run, wherever they appear).

use std::sync::{Arc, RwLock};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// What stands where a secret was.
const MASK: &str = "(redacted)";

/// Field names whose values are never shown, compared in lower case without `_` and `-`.
const SECRET_NAMES: [&str; 9] =
    ["password", "passwd", "token", "secret", "apikey", "authorization", "cookie", "recoveryemail", "qrcode"];

/// Shorter texts are not masked by value: they would stand in half of all words.
const SHORTEST: usize = 4;

/// The longest excerpt of a provider's words in an error, in characters.
const EXCERPT: usize = 400;

/// The secrets of this run. Cloning shares them.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Arc<RwLock<Vec<SecretString>>>,
}

impl Redactor {
    /// Learns a secret, in the spellings it may travel in.
    pub fn learn(&self, secret: &SecretString) {
        let raw = secret.expose_secret();
        if raw.chars().count() < SHORTEST {
            return;
        }
        let json = serde_json::to_string(raw).unwrap_or_default();
        let form: String = url::form_urlencoded::byte_serialize(raw.as_bytes()).collect();
        let mut values = self.values.write().expect("no code panics while it holds this lock");
        for spelling in [raw, json.trim_matches('"'), &form] {
            if !values.iter().any(|known| known.expose_secret() == spelling) {
                values.push(spelling.to_owned().into());
            }
        }
        // The longest first, so that no part of a secret outlives another one inside it.
        values.sort_by_key(|value| std::cmp::Reverse(value.expose_secret().len()));
    }

    /// Returns `text` with every known secret masked.
    pub fn scrub(&self, text: &str) -> String {
        let values = self.values.read().expect("no code panics while it holds this lock");
        values.iter().fold(text.to_owned(), |text, value| text.replace(value.expose_secret(), MASK))
    }

    /// Returns a bounded, one-line excerpt of a provider's words.
    pub fn excerpt(&self, text: &str) -> String {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = self.scrub(&line);
        match line.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// Returns a body as it may stand in a trace.
    pub fn body(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let start = text.trim_start();
        if start.starts_with(['{', '[']) {
            return match serde_json::from_str::<Value>(start) {
                Ok(mut value) => {
                    mask_by_name(&mut value);
                    self.scrub(&value.to_string())
                }
                // Without its structure nothing tells which part of it is a secret.
                Err(_) => format!("({} bytes that are no whole JSON)", body.len()),
            };
        }
        self.excerpt(&text)
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
            for text in texts {
                prop_assert!(!text.contains(&secret) || format!("{around} {MASK} {around}").contains(&secret));
            }
        }
    }
}
