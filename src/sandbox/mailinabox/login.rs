//! Who is let in: passwords, second factors and login keys, and the words of a refusal.

use std::time::SystemTime;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use totp_rs::{Builder, Secret};

use super::{Shared, answer, pretty, privileges, user, user_mut};
use crate::model::ProviderId;
use crate::sandbox::store::{Account, Mailbox, Store};

/// Login keys that live at the same time; the oldest goes first.
const KEYS: usize = 64;

const WRONG: &str = "Incorrect email address or password.";
const GARBLED: &str = "Authorization header invalid.";

/// A refusal: told apart by its reason only, with a body that depends on `Accept` and a status that does on scripts.
fn refused(headers: &HeaderMap, reason: &str) -> Response {
    let header = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let script = header("x-requested-with") == Some("XMLHttpRequest");
    let status = if script { 403 } else { 401 };
    let mut response = match header("accept") {
        None | Some("" | "*/*") => answer(status, "text/plain; charset=utf-8", format!("{reason}\n")),
        Some(_) => answer(
            status,
            "application/json",
            format!("{{\"status\": \"error\", \"reason\": {}}}\n", Value::from(reason)),
        ),
    };
    if !script {
        let realm = HeaderValue::from_static("Basic realm=\"Mail-in-a-Box Management Server\"");
        response.headers_mut().insert("www-authenticate", realm);
        response.headers_mut().insert("x-reason", HeaderValue::from_str(reason).expect("reasons are plain text"));
    }
    response
}

/// Decodes base64 as Python does; anything odd is nothing.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    for c in digits.bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, held) = ((bits << 6) | u32::from(digit), held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).expect("eight bits"));
        }
    }
    Some(bytes)
}

/// Reads user and password from the header; the scheme's word is compared exactly, and only ASCII is taken.
fn basic(headers: &HeaderMap) -> Result<(String, String), String> {
    let header = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let decoded = header.strip_prefix("Basic ").and_then(|rest| base64(rest.trim())).ok_or(GARBLED)?;
    if let Some(place) = decoded.iter().position(|byte| !byte.is_ascii()) {
        let byte = decoded[place];
        return Err(format!(
            "'ascii' codec can't decode byte 0x{byte:x} in position {place}: ordinal not in range(128)"
        ));
    }
    let decoded = String::from_utf8(decoded).map_err(|_| GARBLED)?;
    let (user, password) = decoded.split_once(':').ok_or(GARBLED)?;
    match (user, password) {
        ("", _) => Err(GARBLED.to_owned()),
        _ if user.trim().is_empty() && password.trim().is_empty() => {
            Err("No email address, password, session key, or API key provided.".to_owned())
        }
        _ => Ok((user.to_owned(), password.to_owned())),
    }
}

/// What a login key is bound to: it dies when this changes.
fn state(user: &Mailbox) -> Value {
    json!([user.extra.get("version"), user.extra.get("totp"), user.serial])
}

/// Returns who is asking. With `only_password`, as for `/login`, a login key does not do.
fn authenticate(account: &mut Account, headers: &HeaderMap, only_password: bool) -> Result<String, String> {
    let (email, password) = basic(headers)?;
    let key = account.extra.get("keys").and_then(|keys| keys.get(&password)).filter(|key| key["email"] == email);
    if let Some(key) = key.filter(|_| !only_password) {
        return if state(user(account, &email)?) == key["state"] { Ok(email) } else { Err(WRONG.to_owned()) };
    }
    if password.trim().is_empty() {
        return Err("Enter a password.".to_owned());
    }
    let user = user_mut(account, &email).ok().filter(|m| m.password_is(&password)).ok_or(WRONG)?;
    if let Some(seed) = user.extra.get("totp").and_then(Value::as_str) {
        let code = headers.get("x-auth-token").and_then(|v| v.to_str().ok()).ok_or("missing-totp-token")?;
        let secret = Secret::try_from_base32(seed).expect("the seed is base32");
        let totp = Builder::new().with_secret(secret).build().expect("the seed is long enough");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let used = user.extra.get("totp_used").and_then(Value::as_str) == Some(code);
        if used || totp.check(code, now).is_none() {
            return Err("invalid-totp-token".to_owned());
        }
        user.extra.insert("totp_used".to_owned(), code.into());
    }
    Ok(email)
}

/// Lets an administrator work on the account.
pub(super) fn with(store: &Store, headers: &HeaderMap, work: impl FnOnce(&mut Account) -> Response) -> Response {
    store.with(ProviderId::Mailinabox, |account| {
        let admin = authenticate(account, headers, false).and_then(|email| {
            let is_admin = privileges(user(account, &email)?).iter().any(|word| word == "admin");
            is_admin.then_some(()).ok_or_else(|| "You are not an administrator.".to_owned())
        });
        match admin {
            Ok(()) => work(account),
            Err(reason) => refused(headers, &reason),
        }
    })
}

pub(super) async fn login(State(store): Shared, headers: HeaderMap) -> Response {
    store.with(ProviderId::Mailinabox, |account| match authenticate(account, &headers, true) {
        Ok(email) => {
            let digest = Sha256::digest(format!("login key {}", account.serial("login")));
            let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let user = user(account, &email).expect("it has just logged in");
            let (bound, words) = (json!({ "email": email, "state": state(user) }), privileges(user));
            let keys = account.extra.entry("keys").or_insert_with(|| json!({}));
            let keys = keys.as_object_mut().expect("nothing else is kept under this name");
            if keys.len() >= KEYS
                && let Some(oldest) = keys.keys().next().cloned()
            {
                keys.shift_remove(&oldest);
            }
            keys.insert(key.clone(), bound);
            pretty(&json!({ "api_key": key, "email": email, "privileges": words, "status": "ok" }))
        }
        Err(reason) => {
            let status = if reason == "missing-totp-token" { reason.as_str() } else { "invalid" };
            pretty(&json!({ "reason": reason, "status": status }))
        }
    })
}

pub(super) async fn logout(State(store): Shared, headers: HeaderMap) -> Response {
    store.with(ProviderId::Mailinabox, |account| {
        if let (Ok((_, key)), Some(Value::Object(keys))) = (basic(&headers), account.extra.get_mut("keys")) {
            keys.shift_remove(&key);
        }
        pretty(&json!({ "status": "ok" }))
    })
}
