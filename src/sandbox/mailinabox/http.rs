//! How requests are read and answers are written: as Flask and Werkzeug do it for the daemon.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::sandbox::wire::empty;

/// A refusal: its status and its body. The body is one sentence, or a page for people.
pub(super) type Refusal = (u16, String);

pub(super) type Answer = Result<Response, Refusal>;

/// The fields of a form or a query. Of a field that is sent twice, the first counts.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the text of a field; one that was not sent is empty.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    fn put(&mut self, name: String, text: String) {
        self.0.entry(name).or_insert(text);
    }
}

/// The fields of the query.
pub(super) struct Query(pub(super) Fields);

/// The fields of the body. A body of another type than a form is not read, which looks as if the fields were missing.
pub(super) struct Form(pub(super) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Query(urlencoded(parts.uri.query().unwrap_or_default())))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let kind = header(&parts.headers, "content-type").unwrap_or_default();
        let (name, rest) = kind.split_once(';').unwrap_or((kind, ""));
        Ok(Form(match name.trim().to_ascii_lowercase().as_str() {
            // A raw byte that is not UTF-8 leaves no field at all.
            "application/x-www-form-urlencoded" => str::from_utf8(&body).map(urlencoded).unwrap_or_default(),
            "multipart/form-data" => multipart(rest, &body).unwrap_or_default(),
            _ => Fields::default(),
        }))
    }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn urlencoded(text: &str) -> Fields {
    let mut fields = Fields::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        fields.put(decoded(name), decoded(text));
    }
    fields
}

/// Decodes `+` and percent signs. A byte that is not UTF-8 stays encoded.
fn decoded(text: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(&text.replace('+', " ")).collect();
    let mut decoded = String::new();
    for chunk in bytes.utf8_chunks() {
        decoded.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(decoded, "%{byte:02X}");
        }
    }
    decoded
}

/// Reads the texts of a multipart body, files left aside; nothing of a body that is not whole.
fn multipart(parameters: &str, body: &[u8]) -> Option<Fields> {
    let body = String::from_utf8_lossy(body);
    let delimiter = format!("\r\n--{}", parameter(parameters, "boundary")?);
    let body = format!("\r\n{body}");
    let (_, mut rest) = body.split_once(&delimiter)?;
    let mut fields = Fields::default();
    while !rest.starts_with("--") {
        let (part, next) = rest.split_once(&delimiter)?;
        let (head, text) = part.split_once("\r\n\r\n")?;
        let disposition = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
        if parameter(disposition, "filename").is_none() {
            fields.put(parameter(disposition, "name")?.to_owned(), text.to_owned());
        }
        rest = next;
    }
    Some(fields)
}

/// Returns a parameter of a header, such as `boundary` or `name`.
fn parameter<'a>(header: &'a str, wanted: &str) -> Option<&'a str> {
    let pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
    found.next().map(|(_, value)| value.trim().trim_matches('"'))
}

pub(super) fn answer(status: u16, content_type: &'static str, body: String) -> Response {
    let mut response = empty(status);
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    *response.body_mut() = body.into();
    response
}

pub(super) fn text(body: impl Into<String>) -> Response {
    answer(200, "text/html; charset=utf-8", body.into())
}

pub(super) fn refuse((status, body): Refusal) -> Response {
    answer(status, "text/html; charset=utf-8", body)
}

pub(super) fn bad(sentence: impl Into<String>) -> Refusal {
    (400, sentence.into())
}

/// The page that the framework writes by itself.
pub(super) fn page(status: u16) -> Refusal {
    let (title, words) = match status {
        404 => (
            "Not Found",
            "The requested URL was not found on the server. If you entered the URL manually please check your \
             spelling and try again.",
        ),
        405 => ("Method Not Allowed", "The method is not allowed for the requested URL."),
        _ => (
            "Internal Server Error",
            "The server encountered an internal error and was unable to complete your request. Either the server is \
             overloaded or there is an error in the application.",
        ),
    };
    let head = format!("<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n");
    (status, format!("{head}<p>{words}</p>\n"))
}

/// JSON as Python prints it: indented, with a newline at the end. Keys are given in their order.
pub(super) fn pretty(body: &Value) -> Response {
    answer(200, "application/json", format!("{}\n", ascii(&format!("{body:#}"))))
}

/// Escapes all but printable ASCII, and the line breaks between members.
pub(super) fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c <= '~' {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

/// Answers OPTIONS with the methods of a route.
pub(super) fn allow(methods: &'static str) -> Response {
    let mut response = text("");
    response.headers_mut().insert("allow", HeaderValue::from_static(methods));
    response
}
