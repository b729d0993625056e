//! Who may work on the box: passwords, second factors and login keys, and the reasons of a refusal.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use totp_rs::{Builder, Secret};

use super::http::{self, Answer, answer, ascii, header, pretty};
use super::records::{is_admin, privileges, user, user_mut};
use crate::model::ProviderId;
use crate::sandbox::store::{Account, Mailbox, Store};

/// Login keys that live at the same time; the one that was not used for the longest time goes first.
const KEYS: usize = 64;

const WRONG: &str = "Incorrect email address or password.";
const GARBLED: &str = "Authorization header invalid.";

/// What the credentials of a request are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Any call: a login key opens it, and is used.
    Call,
    /// A login: only a password opens it.
    Login,
    /// A logout: a login key is forgotten.
    Logout,
}

/// A refusal: only its reason shows which, its body depends on `Accept` and its status on `X-Requested-With`.
fn refused(headers: &HeaderMap, reason: &str) -> Response {
    let is_script = header(headers, "x-requested-with") == Some("XMLHttpRequest");
    let status = if is_script { 403 } else { 401 };
    let mut response = match header(headers, "accept") {
        None | Some("" | "*/*") => answer(status, "text/plain; charset=utf-8", format!("{reason}\n")),
        Some(_) => {
            let reason = ascii(&Value::from(reason).to_string());
            answer(status, "application/json", format!("{{\"status\": \"error\", \"reason\": {reason}}}\n"))
        }
    };
    if !is_script {
        let realm = HeaderValue::from_static("Basic realm=\"Mail-in-a-Box Management Server\"");
        response.headers_mut().insert("www-authenticate", realm);
        response.headers_mut().insert("x-reason", HeaderValue::from_str(reason).expect("reasons are plain text"));
    }
    response
}

/// Decodes base64 as Python does: foreign characters are skipped, and what follows the padding is not read.
fn base64(text: &str) -> Result<Vec<u8>, String> {
    let (mut bits, mut digits, mut pads, mut bytes) = (0u32, 0usize, 0, Vec::new());
    for c in text.bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' if digits % 4 >= 2 => {
                pads += 1;
                if digits % 4 + pads >= 4 {
                    return Ok(bytes);
                }
                continue;
            }
            _ => continue,
        };
        (bits, digits, pads) = ((bits << 6) | u32::from(digit), digits + 1, 0);
        if digits % 4 != 1 {
            let unread = 2 * (3 - (digits + 3) % 4);
            bytes.push(u8::try_from((bits >> unread) & 0xff).expect("eight bits"));
        }
    }
    match digits % 4 {
        0 => Ok(bytes),
        1 => Err(format!(
            "Invalid base64-encoded string: number of data characters ({digits}) cannot be 1 more than a multiple of 4"
        )),
        _ => Err("Incorrect padding".to_owned()),
    }
}

/// Reads user and password from the header; the scheme's word is compared exactly, and only ASCII is taken.
fn basic(headers: &HeaderMap) -> Result<(String, String), String> {
    let header: String = headers
        .get("authorization")
        .map(|value| value.as_bytes().iter().map(|&b| char::from(b)).collect())
        .unwrap_or_default();
    let encoded = header.strip_prefix("Basic ").map(str::trim_start).filter(|rest| !rest.is_empty()).ok_or(GARBLED)?;
    if let Some(place) = encoded.chars().position(|c| !c.is_ascii()) {
        let run: Vec<_> = encoded.chars().skip(place).take_while(|c| !c.is_ascii()).collect();
        let what = match run[..] {
            [c] => format!("character '\\x{:x}' in position {place}", u32::from(c)),
            _ => format!("characters in position {place}-{}", place + run.len() - 1),
        };
        return Err(format!("'ascii' codec can't encode {what}: ordinal not in range(128)"));
    }
    let decoded = base64(encoded)?;
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

/// What a login key is bound to: the key dies when this changes.
fn state(user: &Mailbox) -> Value {
    json!([user.extra.get("version"), user.extra.get("totp"), user.serial])
}

/// The login keys, the longest unused first.
fn keys(account: &mut Account) -> &mut Map<String, Value> {
    let keys = account.extra.entry("keys").or_insert_with(|| json!({}));
    keys.as_object_mut().expect("nothing else is kept under this name")
}

/// Returns whether `key` is a live login key of `email`; that of a removed account is refused.
fn is_key(account: &mut Account, email: &str, key: &str) -> Result<bool, String> {
    let Some(bound) = keys(account).get(key).filter(|bound| bound["email"] == email).cloned() else { return Ok(false) };
    let user = user(account, email).map_err(|(_, reason)| reason)?;
    Ok(bound["state"] == state(user))
}

/// Checks a password, and a second factor where there is one.
fn check_password(account: &mut Account, headers: &HeaderMap, email: &str, password: &str) -> Result<(), String> {
    if password.trim().is_empty() {
        return Err("Enter a password.".to_owned());
    }
    let user = user_mut(account, email).ok().filter(|user| user.password_is(password)).ok_or(WRONG)?;
    let Some(seed) = user.extra.get("totp").and_then(Value::as_str) else { return Ok(()) };
    let code = header(headers, "x-auth-token").filter(|code| !code.is_empty()).ok_or("missing-totp-token")?;
    let secret = Secret::try_from_base32(seed).expect("the seed is base32");
    let totp = Builder::new().with_secret(secret).build().expect("the seed is long enough");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let is_used = user.extra.get("totp_used").and_then(Value::as_str) == Some(code);
    if is_used || totp.check(code, now).is_none() {
        return Err("invalid-totp-token".to_owned());
    }
    user.extra.insert("totp_used".to_owned(), code.into());
    Ok(())
}

/// Returns who is asking, or the reason of the refusal.
fn authenticate(account: &mut Account, headers: &HeaderMap, purpose: Purpose) -> Result<String, String> {
    let (email, password) = basic(headers)?;
    if is_key(account, &email, &password)? && purpose != Purpose::Login {
        let key = keys(account).shift_remove(&password);
        if let (Some(key), Purpose::Call) = (key, purpose) {
            keys(account).insert(password, key);
        }
    } else {
        check_password(account, headers, &email, &password)?;
    }
    Ok(email)
}

/// Lets an administrator work on the account.
pub(super) fn with(store: &Store, headers: &HeaderMap, work: impl FnOnce(&mut Account) -> Answer) -> Response {
    store.with(ProviderId::Mailinabox, |account| match authenticate(account, headers, Purpose::Call) {
        Ok(email) if is_admin(account, &email) => work(account).unwrap_or_else(http::refuse),
        Ok(_) => refused(headers, "You are not an administrator."),
        Err(reason) => refused(headers, &reason),
    })
}

pub(super) async fn login(State(store): State<Arc<Store>>, headers: HeaderMap) -> Response {
    store.with(ProviderId::Mailinabox, |account| match authenticate(account, &headers, Purpose::Login) {
        Ok(email) => {
            let digest = Sha256::digest(format!("login key {}", account.serial("login")));
            let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let user = user(account, &email).expect("it has just logged in");
            let (bound, words) = (json!({ "email": email, "state": state(user) }), privileges(user));
            let keys = keys(account);
            if keys.len() >= KEYS
                && let Some(unused) = keys.keys().next().cloned()
            {
                keys.shift_remove(&unused);
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

/// Forgets the login key. A password is checked as for any call, so that a code is used up.
pub(super) async fn logout(State(store): State<Arc<Store>>, headers: HeaderMap) -> Response {
    store.with(ProviderId::Mailinabox, |account| {
        let _ = authenticate(account, &headers, Purpose::Logout);
        pretty(&json!({ "status": "ok" }))
    })
}
