//! What may be shown of a request or an answer. Three nets: by type (secrets are `SecretString`), by name (fields that
//! hold secrets), and by value (the secrets of this run, wherever they appear and however they are spelled: `spelling`).

use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::spelling::Spellings;
use crate::lock::held;
use crate::text::escape;

/// What stands where a secret was.
pub(super) const MASK: &str = "(redacted)";

/// Names of fields whose values are never shown: those that contain one of these, in lower case and without `_` and `-`.
const SECRET_NAMES: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "cookie",
    "credential",
    "signature",
    "bearer",
    "session",
    "recoveryemail",
];

/// Names of which one word is one of these: as parts of words they stand in harmless names, such as `mapping`.
const SECRET_WORDS: [&str; 14] =
    ["pass", "pwd", "pw", "pin", "otp", "totp", "mfa", "jwt", "auth", "sid", "sig", "hmac", "csrf", "code"];

/// What a code of something else than a login is called.
const HARMLESS_CODES: [&str; 6] = ["country", "customer", "error", "exit", "resource", "status"];

/// The longest excerpt of a provider's words in an error, in characters.
const EXCERPT: usize = 400;

/// How much of a provider's words is searched for an excerpt, in characters: a server may send megabytes.
const SEARCHED: usize = 1 << 16;

/// The longest body that a trace shows, in bytes.
const BODY_SHOWN: usize = 1 << 20;

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
        self.spellings().mask(text)
    }

    /// Works out how the secrets may be spelled. That is done here and not when a secret is learned: every password is
    /// learned, and few answers are shown.
    fn spellings(&self) -> Spellings {
        let values = held(&self.values);
        Spellings::of(values.iter().map(ExposeSecret::expose_secret))
    }

    /// Returns a bounded, one-line excerpt of a provider's words.
    pub fn excerpt(&self, text: &str) -> String {
        let mut line = text.split_whitespace().flat_map(|word| [" ", word]).flat_map(str::chars).skip(1);
        let searched: String = line.by_ref().take(SEARCHED).collect();
        let spellings = self.spellings();
        let scrubbed = spellings.mask(&searched);
        // A secret that the cut has halved is not known any more.
        let doubtful = line.next().map_or(0, |_| spellings.longest());
        let sure = scrubbed.chars().count().saturating_sub(doubtful);
        match scrubbed.char_indices().nth(EXCERPT.min(sure)) {
            Some((end, _)) => format!("{}…", &scrubbed[..end]),
            None => scrubbed,
        }
    }

    /// Returns a body as it may stand in a trace.
    pub fn body(&self, body: &[u8]) -> String {
        if body.len() > BODY_SHOWN {
            return format!("({} bytes)", body.len());
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start();
        let shown = match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                mask_by_name(&mut value);
                self.scrub(&value.to_string())
            }
            // Without its structure it is not known which part of it is a secret.
            Err(_) if text.starts_with(['{', '[']) => format!("({} bytes that are no whole JSON)", body.len()),
            Err(_) if text.starts_with('<') => format!("({} bytes of markup)", body.len()),
            Err(_) => self.excerpt(text),
        };
        escape(&shown).into_owned()
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

/// Returns whether a field of this name holds a secret.
fn is_secret_name(name: &str) -> bool {
    let mut words = Vec::from([String::new()]);
    let mut is_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || is_lower && c.is_uppercase() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().into_iter().for_each(|word| word.extend(c.to_lowercase()));
        }
        is_lower = c.is_lowercase();
    }
    let whole = words.concat();
    let is_harmless = || words.iter().any(|word| HARMLESS_CODES.contains(&word.as_str()));
    SECRET_NAMES.iter().any(|secret| whole.contains(secret))
        || words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()) && !(word == "code" && is_harmless()))
        || whole == "qrcode"
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

    #[test]
    fn names_of_secrets_are_known_and_harmless_ones_are_not_taken_for_them() {
        for name in [
            "pass",
            "PIN",
            "otp",
            "code",
            "session",
            "session_id",
            "jwt",
            "access_key",
            "accessKeyId",
            "private-key",
            "credential",
            "auth",
            "x-auth",
            "bearer",
            "signature",
            "user_pass",
            "userPass",
            "X-Api-Key",
            "verification_code",
            "totpCode",
            "qr_code",
            "newPassword",
            "refresh_token",
            "recovery_email",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "address",
            "email",
            "status_code",
            "statusCode",
            "resource_code",
            "customer_code",
            "country_code",
            "error_code",
            "author",
            "shipping",
            "mapping",
            "passed",
            "encoded",
            "decoder",
            "page",
            "per",
            "name",
            "first_name",
            "domain",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_body_that_is_too_long_is_not_shown() {
        let shown = Redactor::default().body(&vec![b'x'; BODY_SHOWN + 1]);
        assert_eq!(shown, "(1048577 bytes)");
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
