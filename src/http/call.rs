//! One request: put together, sent as often as the policy allows, and its answer read within bounds.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::pace::PATIENCE;
use super::reply::{self, Failure, Reply};
use super::verdict::{Failed, Intent, What};
use super::{Clock, Credential, Http, Method, pages};
use crate::error::{Error, Kind, Result};
use crate::lock::held;
use crate::text::escape;

/// What may stand in a path segment as it is; `@` because vendors' samples leave it so.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// How long an answer may go on after it has begun, so that a byte a second does not last for ever.
pub(super) const BODY: Duration = Duration::from_secs(120);

/// The largest answer, after unpacking.
const BODY_MAX: usize = 16 << 20;

/// How many values such an answer holds at most. A value may take fifty times the memory of its text, so that a compressed
/// answer of a few kilobytes could fill the memory. A Mail-in-a-Box with twenty thousand mailboxes stays below the limit.
const VALUES_MAX: usize = 250_000;

/// Four attempts in all: a hiccup passes, a refusal is reported within seconds and a silence within a minute or two.
const REPEATS: usize = 3;

/// Joins segments to a path; each is encoded, and one that a URL parser would resolve is refused.
fn path(segments: &[&str]) -> Result<String> {
    let mut path = String::new();
    for segment in segments {
        // An empty one would name the collection where one thing in it is meant.
        if matches!(*segment, "" | "." | "..") {
            return Err(Error::new(Kind::Invalid, format!("{segment:?} cannot be part of a path")));
        }
        path.push('/');
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    Ok(path)
}

enum Body {
    None,
    Json(Vec<u8>),
    Form(Vec<(String, String)>),
}

/// What makes something of an answer that has begun.
type Read<R> = for<'c> fn(&'c Call<'_>, Response) -> BoxFuture<'c, Result<R, Failed>>;

/// A request being put together; one of [`Call::json`], [`Call::done`], [`Call::stream`] and [`Call::reply`] sends it.
#[must_use]
pub struct Call<'h> {
    http: &'h Http,
    method: Method,
    path: Result<String>,
    intent: Intent,
    in_dry_run: bool,
    query: Vec<(String, String)>,
    body: Body,
    headers: Vec<(&'static str, SecretString)>,
}

impl<'h> Call<'h> {
    pub(super) fn new(http: &'h Http, method: Method, segments: &[&str], intent: Intent) -> Self {
        Call {
            http,
            method,
            path: path(segments),
            intent,
            in_dry_run: false,
            query: Vec::new(),
            body: Body::None,
            headers: Vec::new(),
        }
    }

    /// Ends the path with the slash that some APIs insist on.
    pub fn with_slash(mut self) -> Self {
        self.path = self.path.map(|path| path + "/");
        self
    }

    /// Adds query parameters.
    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.query.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// Sends a JSON body.
    pub fn body(mut self, body: &impl Serialize) -> Self {
        self.body = Body::Json(serde_json::to_vec(body).expect("wire types have string keys and finite numbers"));
        self
    }

    /// Sends a form body.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.body = Body::Form(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        self
    }

    /// Adds a header that is a secret, such as a one-time code.
    pub fn header(mut self, name: &'static str, value: SecretString) -> Self {
        self.http.guard(Some(&value));
        self.headers.push((name, value));
        self
    }

    /// Lets a write through in a dry run: for logging in and out, which changes nothing that was asked for.
    pub fn in_dry_run(mut self) -> Self {
        self.in_dry_run = true;
        self
    }

    /// Sends, and reads the answer as JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let intent = self.intent;
        let reply = self.reply().await?;
        reply.json().map_err(|error| Failed::new(intent, What::Unreadable, error).error)
    }

    /// Sends what is answered with no more than an acknowledgement: an empty body, or an object that the adapter's judge
    /// accepts. Anything else does not show that the request was carried out.
    pub async fn done(self) -> Result<()> {
        let reply = self.answer().await?;
        if reply.is_acknowledgement() {
            return Ok(());
        }
        let failed = self.unreadable_answer("(an answer that does not confirm the request)".to_owned());
        Err(failed.error.http_status(reply.status.as_u16()))
    }

    /// Sends, and returns the answer once the adapter's judge has found nothing wrong with it.
    pub async fn reply(self) -> Result<Reply> {
        self.answer().await
    }

    async fn answer(&self) -> Result<Reply> {
        self.send(|call, response| call.whole(response, Vec::new()).boxed()).await
    }

    /// Sends, as often as the policy allows, until `read` has made something of an answer.
    pub(super) async fn send<R>(&self, read: Read<R>) -> Result<R> {
        let shared = &self.http.shared;
        let mut url = shared.base_url.clone();
        url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), self.path.clone()?));
        if self.intent == Intent::Write && shared.dry_run && !self.in_dry_run {
            let message = format!("{} {}", self.shown(&url), self.shown_body());
            return Err(Error::new(Kind::Planned, message.trim_end()));
        }
        let (first, last) = if shared.no_wait { (0, 0) } else { (500, 8000) };
        let waits = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(first))
            .with_max_delay(Duration::from_millis(last))
            .with_max_times(REPEATS)
            .with_jitter();
        // What the host refused as too fast is held back by the gate, which protects it already.
        let in_budget = |failed: &Failed| is_too_fast(&failed.error) || shared.gate.may_repeat();
        shared.gate.earn_repeat();
        let gate = shared.gate.clone();
        (|| self.attempt(&url, read))
            .retry(waits)
            .sleep(move |time| gate.clone().wait(time))
            .when(|failed| failed.repeat && failed.error.retry_after.is_none_or(|wait| wait <= PATIENCE))
            .adjust(|failed, wait| wait.filter(|_| in_budget(failed)))
            .await
            .map_err(|failed| failed.error)
    }

    async fn attempt<R>(&self, url: &Url, read: Read<R>) -> Result<R, Failed> {
        let shared = &self.http.shared;
        let request = self.signed(url)?;
        let turn = shared.gate.pass().await?;
        // What is shown is worked out when somebody looks: the macros do nothing otherwise.
        tracing::debug!(target: "mbx::http", "> {}", self.shown(url));
        if !matches!(self.body, Body::None) {
            tracing::trace!(target: "mbx::http", "> {}", self.shown_body());
        }
        let (began, sent) = (Instant::now(), super::now());
        let first_byte = match self.intent {
            Intent::Read => shared.pace.read,
            Intent::Write => shared.pace.write,
        };
        let answer = async {
            #[cfg(fuzzing)]
            if let Some(canned) = super::canned::answer() {
                return Ok(canned);
            }
            request.send().await
        };
        let result = match timeout(first_byte, answer).await {
            Ok(Ok(response)) => {
                self.note_time(&response, sent);
                let status = response.status();
                read(self, response).await.map(|read| (status, read))
            }
            Ok(Err(error)) => Err(self.lost(error)),
            Err(_) => Err(self.error_after_send(format!("no answer began within {first_byte:?}"))),
        };
        let took = began.elapsed();
        pages::waited(took);
        let took = took.as_millis();
        match &result {
            Ok((status, _)) => tracing::info!(target: "mbx::http", "{} → {status} in {took} ms", self.shown(url)),
            Err(Failed { error, .. }) => {
                let said = escape(error.provider_message.as_deref().unwrap_or_default());
                let status =
                    error.http_status.map_or_else(|| error.kind.code().to_owned(), |status| status.to_string());
                tracing::info!(target: "mbx::http", "{} → {status} {said} in {took} ms", self.shown(url));
            }
        }
        match &result {
            Ok(_) => turn.accepted(),
            Err(_) if shared.no_wait => {}
            Err(Failed { error, .. }) => match error.retry_after {
                wait if is_too_fast(error) => turn.refused(wait),
                Some(wait) => shared.gate.pause(wait),
                // An answer, whatever it says, is none about our speed.
                None if error.http_status.is_some() => turn.accepted(),
                None => {}
            },
        }
        result.map(|(_, read)| read)
    }

    fn signed(&self, url: &Url) -> Result<reqwest::RequestBuilder> {
        let shared = &self.http.shared;
        let secret = |value: &str| -> Result<HeaderValue> {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                Error::new(
                    Kind::Config,
                    "the secret holds characters that cannot travel in a header, such as a line break",
                )
            })?;
            value.set_sensitive(true);
            Ok(value)
        };
        let mut url = url.clone();
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = shared
            .client
            .request(self.method.clone(), url)
            .header(ACCEPT, "application/json")
            .headers(shared.headers.clone());
        request = match &self.http.credential {
            None => request,
            Some(Credential::Bearer(token)) => {
                request.header(AUTHORIZATION, secret(&format!("Bearer {}", token.expose_secret()))?)
            }
            Some(Credential::Header(name, key)) => request.header(*name, secret(key.expose_secret())?),
            Some(Credential::Basic(user, password)) => request.basic_auth(user, Some(password.expose_secret())),
        };
        for (name, value) in &self.headers {
            request = request.header(*name, secret(value.expose_secret())?);
        }
        Ok(match &self.body {
            Body::None => request,
            Body::Json(bytes) => request.header(CONTENT_TYPE, "application/json").body(bytes.clone()),
            Body::Form(fields) => request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()),
        })
    }

    /// Sets the server's clock by its answer.
    fn note_time(&self, response: &Response, sent: Timestamp) {
        if let Some(date) = reply::date(response.headers(), "date").and_then(|date| Timestamp::try_from(date).ok()) {
            let clock = Clock { date, sent, received: super::now() };
            *held(&self.http.shared.clock) = Some(clock);
        }
    }

    /// Reads the rest of an answer whose body begins with `body`, and judges it.
    pub(super) async fn whole(&self, mut response: Response, mut body: Vec<u8>) -> Result<Reply, Failed> {
        let shared = &self.http.shared;
        let (status, headers) = (response.status(), response.headers().clone());
        let too_large = || self.unreadable_answer(format!("the answer is larger than {} MiB", BODY_MAX >> 20));
        if response.content_length().is_some_and(|length| length > BODY_MAX as u64) {
            return Err(too_large());
        }
        let reading = async {
            while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(error))? {
                if body.len() + chunk.len() > BODY_MAX {
                    return Err(too_large());
                }
                body.extend_from_slice(&chunk);
            }
            Ok(())
        };
        match timeout(BODY, reading).await {
            Ok(read) => read?,
            Err(_) => return Err(self.error_after_send(format!("the answer was not complete within {BODY:?}"))),
        }
        // A comma or an opening bracket stands before each value. The few that stand within texts do not matter.
        let values = body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        if values > VALUES_MAX {
            return Err(self.unreadable_answer(format!("the answer holds more than {VALUES_MAX} values")));
        }
        let reply = Reply { status, headers, body };
        match Failure::of((shared.judge)(&reply), &reply) {
            Some(failure) => {
                let what = What::Answered(status.as_u16(), failure.kind);
                Err(self.failed(what, failure.into_error(&reply, &shared.redactor)))
            }
            None => {
                tracing::trace!(target: "mbx::http", "< {}", shared.redactor.body(&reply.body));
                Ok(reply)
            }
        }
    }

    fn failed(&self, what: What, error: Error) -> Failed {
        Failed::new(self.intent, what, error)
    }

    /// Returns the failure of an exchange that broke off.
    pub(super) fn lost(&self, error: reqwest::Error) -> Failed {
        let shared = &self.http.shared;
        if !error.is_connect() {
            return self.error_after_send(shared.redactor.excerpt(&causes(error)));
        }
        let (host, is_untrusted) = (&shared.host, is_untrusted(&error));
        let cause = shared.redactor.excerpt(&plain_cause(error));
        if is_untrusted {
            let words = format!("the certificate of {host} is not trusted: {cause}");
            let hint = match &shared.endpoint {
                None => "if the server has a certificate of its own, name it with `ca_file` in the profile".to_owned(),
                Some(endpoint) => format!(
                    "the certificate of the server differs from the one in `ca_file`; fetch it with `openssl s_client \
                     -connect {endpoint} </dev/null | openssl x509`, and compare its fingerprint with the one on the server"
                ),
            };
            return self.failed(What::Untrusted, Error::new(Kind::Network, words).hint(hint));
        }
        self.failed(What::NotSent, Error::new(Kind::Network, format!("could not reach {host}: {cause}")))
    }

    /// Returns the failure of a request that was sent and not answered as a whole.
    pub(super) fn error_after_send(&self, words: String) -> Failed {
        self.failed(What::Lost, Error::general(Kind::Network).said(None, words))
    }

    /// Returns the failure of a request whose answer makes no sense.
    pub(super) fn unreadable_answer(&self, words: String) -> Failed {
        self.failed(What::Unreadable, Error::general(Kind::Provider).said(None, words))
    }

    /// Returns the method and the URL as they may be shown.
    fn shown(&self, url: &Url) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{} {url}{mark}{}", self.method, self.http.shared.redactor.fields(&self.query))
    }

    fn shown_body(&self) -> String {
        match &self.body {
            Body::None => String::new(),
            Body::Json(bytes) => self.http.shared.redactor.body(bytes),
            Body::Form(fields) => self.http.shared.redactor.fields(fields),
        }
    }
}

/// Returns true when the host refused a request as one too many.
fn is_too_fast(error: &Error) -> bool {
    error.kind == Kind::RateLimited
}

/// Returns an error and its causes, the innermost last. An I/O error hides the error that it carries; it is there too.
fn chain<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'e (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

/// Returns whether a connection failed because of the server's certificate.
fn is_untrusted(error: &reqwest::Error) -> bool {
    chain(error)
        .filter_map(|cause| cause.downcast_ref())
        .any(|cause| matches!(cause, rustls::Error::InvalidCertificate(_) | rustls::Error::UnsupportedNameType))
}

/// Returns the causes of an error, without the URL.
pub(super) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words: Vec<String> = Vec::new();
    for cause in chain(&error).skip(1).map(ToString::to_string) {
        if !words.iter().any(|known| known.contains(&cause)) {
            words.push(cause);
        }
    }
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}

/// Returns why a connection was not made, as a person would say it: the innermost cause, without its number.
fn plain_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let words = chain(&error).last().map(ToString::to_string).unwrap_or_default();
    let words = words.split_once(" (os error").map_or(words.as_str(), |(words, _)| words);
    let mut letters = words.chars();
    match letters.next() {
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => words.to_owned(),
    }
}
