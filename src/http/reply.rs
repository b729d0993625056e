//! An answer, and what an adapter's judge makes of it.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::Redactor;
use crate::error::{Error, Kind, Result};

/// Half a minute: how long we wait when a server asks to wait and how long cannot be read. Longer than most waits that
/// servers ask for, and well within our patience.
const WAIT_UNREADABLE: Duration = Duration::from_secs(30);

/// A whole answer: status, headers and a bounded body.
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means for the user.
    pub kind: Kind,
    /// The provider's own words; empty when it had none.
    pub message: String,
}

impl Reply {
    /// Reads the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            self.unreadable(match () {
                () if self.body.is_empty() => "(an empty body)".to_owned(),
                () => format!("(an answer that cannot be read: line {}, column {})", error.line(), error.column()),
            })
        })
    }

    /// Returns the error of an answer that makes no sense, with what is wrong with it.
    pub fn unreadable(&self, words: impl Into<String>) -> Error {
        Error::general(Kind::Provider).said(Some(self.status.as_u16()), words)
    }

    /// Returns a member of the body, when the body is a JSON object.
    pub fn member(&self, name: &str) -> Option<Value> {
        match serde_json::from_slice(&self.body).ok()? {
            Value::Object(mut map) => map.remove(name),
            _ => None,
        }
    }

    /// Returns the body as words for people: plain text as it is, never an HTML page, never JSON.
    pub fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        if self.is_html() {
            return "(an HTML page)".to_owned();
        }
        if text.starts_with(['{', '[']) { String::new() } else { text.to_owned() }
    }

    /// Returns true when the body says no more than that a request was carried out: it is empty, `null`, `true` or an
    /// object.
    pub fn is_acknowledgement(&self) -> bool {
        match self.body.trim_ascii() {
            b"" | b"null" | b"true" => true,
            body => body.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(body).is_ok(),
        }
    }

    /// Returns true when the body is a page for people.
    pub fn is_html(&self) -> bool {
        let start = self.body.trim_ascii_start();
        let begins = |with: &str| start.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with.as_bytes()));
        begins("<!doctype") || begins("<html")
    }

    /// Returns how long the server asks to wait. A date counts by the server's own clock, if it sends that. What cannot be
    /// read asks for patience all the same: see [`WAIT_UNREADABLE`].
    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get("retry-after")?;
        let seconds = value.to_str().ok().and_then(|text| seconds(text.trim()));
        let until = || {
            let now = date(&self.headers, "date").unwrap_or_else(SystemTime::now);
            Some(date(&self.headers, "retry-after")?.duration_since(now).unwrap_or_default())
        };
        Some(seconds.or_else(until).unwrap_or(WAIT_UNREADABLE))
    }
}

/// Reads a number of seconds, rounded up. One that is too large is as long as can be said, and longer than anybody waits.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    if digits {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let seconds: f64 = text.parse().ok().filter(|seconds| *seconds >= 0.0)?;
    Some(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Reads a header that holds a date.
pub(super) fn date(headers: &HeaderMap, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(header(headers, name)?).ok()
}

impl Failure {
    /// Does the ordinary mapping from the reply's status to a meaning; `None` for a success. `message` looks for the
    /// provider's words, which a success does not need.
    pub fn by_status(reply: &Reply, message: impl FnOnce() -> String) -> Option<Failure> {
        Failure::of_status(reply.status.as_u16(), message)
    }

    /// Returns what is wrong with an answer of which the adapter's judge thinks this. A page for people where data was
    /// asked for is some proxy's: it proves neither a success nor that something is missing.
    pub(super) fn of(judged: Option<Failure>, reply: &Reply) -> Option<Failure> {
        match judged {
            Some(failure) if failure.kind == Kind::NotFound && reply.is_html() => Some(failure.is(Kind::Provider)),
            None if reply.is_html() => Some(Failure { kind: Kind::Provider, message: reply.words() }),
            judged => judged,
        }
    }

    /// Does the ordinary mapping for a status that travels elsewhere, such as inside a body.
    pub fn of_status(status: u16, message: impl FnOnce() -> String) -> Option<Failure> {
        let kind = match status {
            200..=299 => return None,
            401 => Kind::Auth,
            402 => Kind::Limit,
            403 => Kind::Denied,
            404 | 410 => Kind::NotFound,
            405 | 501 => Kind::Unsupported,
            // The server gave up waiting for the rest of the request; a proxy says so after the work was done, too.
            408 => Kind::Network,
            429 => Kind::RateLimited,
            409 => Kind::Conflict,
            400..=499 => Kind::Invalid,
            _ => Kind::Provider,
        };
        Some(Failure { kind, message: message() })
    }

    /// Returns the same failure with another meaning.
    pub fn is(self, kind: Kind) -> Failure {
        Failure { kind, ..self }
    }

    pub(super) fn into_error(self, reply: &Reply, redactor: &Redactor) -> Error {
        let words = match reply.headers.get("location") {
            Some(target) if reply.status.is_redirection() => {
                // A query may hold what nobody else is to see.
                let target = String::from_utf8_lossy(target.as_bytes());
                let target = target.split(['?', '#']).next().unwrap_or_default();
                format!("(a redirect to {}, which is never followed)", redactor.excerpt(target))
            }
            _ => redactor.excerpt(&self.message),
        };
        Error::general(self.kind).said(Some(reply.status.as_u16()), words).retry_after(reply.retry_after())
    }
}
