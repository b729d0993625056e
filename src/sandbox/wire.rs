//! Small helpers that the dialects in JSON share: reading bodies, showing times, building answers.

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value};

/// A refusal in JSON: its status and its body.
pub(super) type Refusal = (u16, Value);

pub(super) type Answer = Result<Response, Refusal>;

/// Returns a refusal as an answer.
pub(super) fn refuse((status, body): Refusal) -> Response {
    json(status, body)
}

/// Returns a JSON answer.
pub(super) fn json(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).expect("dialects use real statuses"), Json(body)).into_response()
}

/// Returns an answer without a body.
pub(super) fn empty(status: u16) -> Response {
    StatusCode::from_u16(status).expect("dialects use real statuses").into_response()
}

/// The members that hold text in every dialect that has them: a number or a list in their place is refused. Members of
/// other types are checked by the dialect that knows them.
const TEXTS: &[&str] = &[
    "alias",
    "destination",
    "domain",
    "domain_name",
    "email",
    "firstName",
    "first_name",
    "firstname",
    "lastName",
    "last_name",
    "lastname",
    "local_part",
    "mailboxUsername",
    "name",
    "partner_ref",
    "password",
    "source",
    "userName",
    "username",
    "value",
    "workspace_id",
];

/// The members of these that may be null where they may be left out, as Hybridbox's pages say.
const NULLABLE: &[&str] = &["domain", "first_name", "last_name", "value", "workspace_id"];

/// Reads a JSON object that holds the `required` members, none of them null or empty, and at most the `optional` ones
/// besides. The error is the name of the wrong member and what is wrong with it.
pub(super) fn object(
    headers: &HeaderMap,
    body: &Bytes,
    required: &[&str],
    optional: &[&str],
) -> Result<Map<String, Value>, (String, &'static str)> {
    let content_type = headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return Err(("content-type".to_owned(), "is not application/json"));
    }
    let Ok(Value::Object(map)) = serde_json::from_slice(body) else {
        return Err(("body".to_owned(), "is not a JSON object"));
    };
    members(map, required, optional)
}

/// Checks the members of a JSON object as [`object`] does.
pub(super) fn members(
    map: Map<String, Value>,
    required: &[&str],
    optional: &[&str],
) -> Result<Map<String, Value>, (String, &'static str)> {
    if let Some(unknown) = map.keys().find(|key| !required.contains(&key.as_str()) && !optional.contains(&key.as_str()))
    {
        return Err((unknown.clone(), "is not known"));
    }
    if let Some(missing) = required.iter().find(|key| map.get(**key).is_none_or(|value| value.is_null() || value == ""))
    {
        return Err(((*missing).to_owned(), "is required"));
    }
    let is_odd = |key: &str, value: &Value| match value {
        Value::String(_) => false,
        Value::Null => TEXTS.contains(&key) && !NULLABLE.contains(&key),
        _ => TEXTS.contains(&key),
    };
    match map.iter().find(|(key, value)| is_odd(key, value)) {
        Some((odd, _)) => Err((odd.clone(), "is not a string")),
        None => Ok(map),
    }
}

/// Returns a string member, or nothing when it is missing, null or of another type.
pub(super) fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key)?.as_str().map(str::to_owned)
}

/// Shows a time as `2026-01-05T09:00:00`, without a zone.
pub(super) fn civil(seconds: u64) -> String {
    zoned(seconds, Offset::UTC).datetime().to_string()
}

/// Shows a time as `2026-01-05T09:00:00Z`.
pub(super) fn zulu(seconds: u64) -> String {
    zoned(seconds, Offset::UTC).timestamp().to_string()
}

/// Shows a time as `2026-01-05T10:00:00.000+01:00`, the winter time of central Europe.
pub(super) fn central(seconds: u64) -> String {
    zoned(seconds, Offset::constant(1)).strftime("%Y-%m-%dT%H:%M:%S.000%:z").to_string()
}

fn zoned(seconds: u64, offset: Offset) -> Zoned {
    let seconds = i64::try_from(seconds).unwrap_or_default();
    Timestamp::from_second(seconds).unwrap_or_default().to_zoned(TimeZone::fixed(offset))
}

/// Cuts one page out of a list: the items of page `page` (from one) with `size` items each, and the number of pages.
pub(super) fn page<T>(items: Vec<T>, page: usize, size: usize) -> (Vec<T>, usize) {
    let pages = items.len().div_ceil(size.max(1));
    let items = items.into_iter().skip(page.saturating_sub(1).saturating_mul(size)).take(size).collect();
    (items, pages)
}
