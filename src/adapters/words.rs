//! What an answer says in words, whatever the shape in which a host wraps them.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Error, Kind};
use crate::http::{Failure, Reply};
use crate::model::Address;

/// The members that hold what went wrong. `errors` comes first: a `message` beside it says only that something did.
const WORDS: [&str; 7] = ["errors", "full_messages", "message", "msg", "description", "detail", "error"];

/// Returns what an answer says about an error; empty when it says nothing.
pub(super) fn said(reply: &Reply) -> String {
    reply.json().ok().as_ref().and_then(words).unwrap_or_else(|| reply.words())
}

/// Reads the words of an error: a text, an object that holds one, perhaps with a code or with the field it is about, or
/// a list of either. No other member is read, because it may be a secret.
pub(super) fn words(value: &Value) -> Option<String> {
    let said = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(words).collect::<Vec<_>>().join("; "),
        Value::Object(map) => {
            let said = WORDS.iter().find_map(|name| match map.get(*name)? {
                Value::Object(fields) if *name == "errors" => words(&map["errors"]).or_else(|| by_field(fields)),
                value => words(value),
            });
            let code = ["code", "error_code"].iter().find_map(|name| match map.get(*name)? {
                Value::String(code) => Some(code.clone()).filter(|code| !code.is_empty()),
                Value::Number(code) => Some(code.to_string()),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            });
            match (said, code) {
                (Some(said), Some(code)) => format!("{}{said} ({code})", place(map)),
                (Some(said), None) => format!("{}{said}", place(map)),
                (None, code) => code?,
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    (!said.is_empty()).then_some(said)
}

/// Reads an object that maps the name of each field to what is wrong with it.
fn by_field(fields: &Map<String, Value>) -> Option<String> {
    let said: Vec<_> = fields.iter().filter_map(|(field, value)| Some(format!("{field} {}", words(value)?))).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// Returns which field an error is about: FastAPI's `loc` is a path that ends in it.
fn place(error: &Map<String, Value>) -> String {
    let loc = || Some(format!("{}: ", error.get("loc")?.as_array()?.last()?.as_str()?));
    let field = || Some(format!("{} ", error.get("field")?.as_str()?));
    loc().or_else(field).unwrap_or_default()
}

/// The members by which the body of a success contradicts its status.
#[derive(Deserialize)]
struct Marks {
    error: Option<Value>,
    errors: Option<Value>,
    detail: Option<Value>,
    success: Option<Value>,
    ok: Option<Value>,
}

/// Judges a success by its body: where that reports an error, nobody knows whether the request was carried out.
pub(super) fn contradiction(reply: &Reply) -> Option<Failure> {
    if !reply.body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let marks: Marks = reply.json().ok()?;
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(set) => *set,
        Value::Number(number) => number.as_i64() != Some(0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    };
    let reports_error = [marks.error, marks.errors, marks.detail].iter().flatten().any(is_set);
    let denies_success = [marks.success, marks.ok].iter().flatten().any(|value| *value == Value::Bool(false));
    (reports_error || denies_success).then(|| Failure { kind: Kind::Provider, message: said(reply) })
}

/// Names the alias where a refusal says that one holds the address of a new mailbox: the conflict is not a mailbox then.
pub(super) fn naming_alias(error: Error, address: &Address) -> Error {
    let says_alias = |said: &str| said.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(is_alias_word);
    if error.kind != Kind::Conflict || !error.provider_message.as_deref().is_some_and(says_alias) {
        return error;
    }
    error
        .message(format!("{address} is the address of an alias, so no mailbox was created"))
        .hint(format!("`mbx alias delete {address}` removes the alias"))
}

fn is_alias_word(word: &str) -> bool {
    matches!(word, "alias" | "aliases")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::words;

    #[test]
    fn every_shape_of_an_error_is_read() {
        for (error, said) in [
            (json!("it is odd"), Some("it is odd")),
            (json!(["it is odd", { "message": "it is long" }]), Some("it is odd; it is long")),
            (json!({ "message": "it is odd", "code": "odd" }), Some("it is odd (odd)")),
            (json!({ "error": { "code": 7 } }), Some("7")),
            (json!({ "detail": [{ "loc": ["body", "name"], "msg": "is odd" }] }), Some("name: is odd")),
            (json!({ "message": "no", "errors": [{ "field": "name", "description": "is odd" }] }), Some("name is odd")),
            (json!({ "errors": { "name": ["is odd", "is long"] } }), Some("name is odd; is long")),
            (json!({ "message": "no", "errors": [] }), Some("no")),
            // What no error is made of may be a secret.
            (json!({ "password": "canary" }), None),
            (json!({ "message": { "password": "canary" } }), None),
            (json!(5), None),
            (json!(""), None),
        ] {
            assert_eq!(words(&error).as_deref(), said, "{error}");
        }
    }
}
