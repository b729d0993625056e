//! The one sender for all adapters: dry run, repeat, slot, pace, trace, sign, attempt, judge, in this order from the
//! outside in.
//!
//! An adapter says what to send and what the answer means. When to send, whether to repeat, how long to wait and what
//! may be shown of it is decided here, once.
//!
//! | what came back | `read` | `write` |
//! |---|---|---|
//! | could not connect | repeat | repeat |
//! | 408, 429 | repeat | repeat: the host refused it unprocessed |
//! | time limit, connection cut, 5xx | repeat | never; the effect is `Unknown` |
//! | a page for people, or what cannot be read | no | never; the effect is `Unknown` |
//! | any other 4xx, a redirect, a certificate that is not trusted | no | no |
//!
//! A repeat waits half a second at first, then longer, and never less than a Retry-After. That one binds all requests
//! of the credential; when it is longer than two minutes, they fail at once until it is over.

mod array;
mod pace;
mod pages;
mod redact;
mod reply;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use pace::PATIENCE;

pub use array::Items;
pub use pace::{Gate, Pace};
pub use pages::{Listing, Page, pages};
pub use redact::{Learned, Redactor};
pub use reply::{Failure, Reply};
pub use reqwest::Method;

use crate::error::{Effect, Error, Kind, Result};
use crate::model::Stamp;

/// What may stand in a path segment as it is; `@` because vendors' samples leave it so.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// Ten seconds: a host that does not take a connection by then is down or has banned us.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an answer may go on after it has begun, so that a byte a second does not last for ever.
const BODY: Duration = Duration::from_secs(120);

/// The largest answer, after unpacking. A listing of a hundred thousand mailboxes fits.
const BODY_MAX: usize = 16 << 20;

/// Four attempts in all: a hiccup passes, a refusal is reported within seconds and a silence within a minute or two.
const REPEATS: usize = 3;

/// What signs a request.
#[derive(Clone)]
pub enum Credential {
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// A header of the provider's own.
    Header(&'static str, SecretString),
    /// `Authorization: Basic`.
    Basic(String, SecretString),
}

impl Credential {
    fn guard(&self, redactor: &Redactor) {
        match self {
            Credential::Bearer(secret) | Credential::Header(_, secret) => redactor.learn(secret),
            Credential::Basic(user, password) => {
                redactor.learn(password);
                redactor.learn(&BASE64_STANDARD.encode(format!("{user}:{}", password.expose_secret())).into());
            }
        }
    }
}

/// How a sender is built.
pub struct Options {
    /// Where the API lives, without a trailing slash.
    pub base_url: String,
    /// What signs each request.
    pub credential: Credential,
    /// Further headers of the profile; their values may be secrets.
    pub headers: Vec<(String, SecretString)>,
    /// A certificate to trust besides the system's, as PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Speed and patience.
    pub pace: Pace,
    /// The gate of this credential.
    pub gate: Arc<Gate>,
    /// The secrets of this run.
    pub redactor: Redactor,
    /// Whether a write only says what it would send.
    pub dry_run: bool,
    /// Whether waits between repeats are left out, for tests.
    pub no_wait: bool,
    /// How the provider's answers are read.
    pub judge: fn(&Reply) -> Option<Failure>,
}

/// The sender of one profile. Cloning is cheap and shares the gate.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
    credential: Option<Credential>,
}

struct Shared {
    client: reqwest::Client,
    base_url: String,
    headers: HeaderMap,
    pace: Pace,
    gate: Arc<Gate>,
    redactor: Redactor,
    dry_run: bool,
    no_wait: bool,
    judge: fn(&Reply) -> Option<Failure>,
    /// The server's clock, as of its last answer.
    clock: Mutex<Option<Clock>>,
    notes: Mutex<Vec<String>>,
}

/// What an answer told of the server's clock: it showed this time somewhere between sending and receiving.
#[derive(Clone, Copy)]
struct Clock {
    date: Timestamp,
    sent: Instant,
    received: Instant,
}

/// When something was made, compared with a moment of this run, by the server's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Surely before.
    Before,
    /// Surely not before.
    Since,
    /// Within the seconds around it, which clocks that count whole seconds cannot tell apart.
    About,
    /// The provider does not tell when, or not in which zone.
    Untold,
}

/// A moment on our own clock.
#[derive(Debug, Clone, Copy)]
pub struct Moment(Instant);

impl Moment {
    /// Returns now.
    pub fn now() -> Self {
        Moment(Instant::now())
    }

    /// Returns a moment in the past by the system's clock.
    pub fn at(time: Timestamp) -> Self {
        let ago = Duration::try_from(Timestamp::now().duration_since(time)).unwrap_or_default();
        Moment(Instant::now().checked_sub(ago).unwrap_or_else(Instant::now))
    }
}

/// Returns the trouble with a base URL, if there is one: https is needed, except on loopback.
pub fn check_base_url(text: &str) -> Result<reqwest::Url, String> {
    let url: reqwest::Url = text.parse().map_err(|_| format!("{text:?} is not a URL"))?;
    let host = url.host().ok_or_else(|| format!("{text:?} names no host"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("a base URL has no user, password, query or fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&host) => Ok(url),
        "http" => Err(format!("{text} would send the secret in the clear; plain http is for loopback only")),
        other => Err(format!("{other} is not a scheme mbx speaks; use https")),
    }
}

/// Returns true when a URL points at this machine.
pub fn is_loopback_url(text: &str) -> bool {
    text.parse::<reqwest::Url>().is_ok_and(|url| url.host().is_some_and(|host| is_loopback(&host)))
}

fn is_loopback(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
        url::Host::Domain(name) => *name == "localhost",
    }
}

impl Http {
    /// Builds a sender. Fails when the base URL is not safe to send a secret to, or the machine trusts no authority.
    pub fn new(options: Options) -> Result<Self> {
        let config = |message: String| Error::new(Kind::Config, message);
        // The first sender of the process names the cryptography; later ones find it named, which is no failure.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = check_base_url(&options.base_url).map_err(config)?;
        let pace = options.pace;
        options.credential.guard(&options.redactor);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("mbx/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // Shorter than the wait for an answer, so that a write that never left is not taken for a lost one.
            .connect_timeout(CONNECT.min(pace.read.min(pace.write) * 3 / 4));
        if url.host().is_some_and(|host| is_loopback(&host)) {
            // No proxy, no name server and no certificate authority has a say in what stays on this machine.
            builder = builder.no_proxy().resolve("localhost", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
            if url.scheme() == "http" {
                builder = builder.tls_certs_only([]);
            }
        }
        if let Some(pem) = &options.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).ok().filter(|all| !all.is_empty());
            let certificates =
                certificates.ok_or_else(|| config("ca_file holds no certificate in PEM form".to_owned()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| {
            config(format!("cannot set up TLS: {}", chain(error))).hint(match options.ca_pem {
                Some(_) => "see whether `ca_file` is a certificate",
                None => "install the system's CA certificates (ca-certificates) or set SSL_CERT_FILE",
            })
        })?;
        let mut headers = HeaderMap::new();
        for (name, value) in &options.headers {
            let name: HeaderName = name.parse().map_err(|_| config(format!("{name:?} is not a header name")))?;
            options.redactor.learn(value);
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| config(format!("header {name} has an odd value")))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Http {
            shared: Arc::new(Shared {
                client,
                base_url: url.as_str().trim_end_matches('/').to_owned(),
                headers,
                pace,
                gate: options.gate,
                redactor: options.redactor,
                dry_run: options.dry_run,
                no_wait: options.no_wait,
                judge: options.judge,
                clock: Mutex::new(None),
                notes: Mutex::new(Vec::new()),
            }),
            credential: Some(options.credential),
        })
    }

    /// Returns the same sender with another credential, such as a session key.
    pub fn with_credential(&self, credential: Credential) -> Http {
        credential.guard(&self.shared.redactor);
        Http { shared: self.shared.clone(), credential: Some(credential) }
    }

    /// Starts a request that changes nothing there and may be repeated.
    pub fn read(&self, method: Method, segments: &[&str]) -> Call<'_> {
        self.call(method, segments, false)
    }

    /// Starts a request that changes something and is never repeated once it may have arrived.
    pub fn write(&self, method: Method, segments: &[&str]) -> Call<'_> {
        self.call(method, segments, true)
    }

    fn call(&self, method: Method, segments: &[&str], is_write: bool) -> Call<'_> {
        Call {
            http: self,
            method,
            path: path(segments),
            is_write,
            in_dry_run: false,
            query: Vec::new(),
            body: Body::None,
            headers: Vec::new(),
        }
    }

    /// Learns a password of the running request, so that it is masked wherever it appears.
    pub fn guard(&self, secret: Option<&SecretString>) {
        if let Some(secret) = secret {
            self.shared.redactor.learn(secret);
        }
    }

    /// Learns the password of one request for as long as the returned value lives.
    pub fn guard_meanwhile(&self, secret: &SecretString) -> Learned {
        self.shared.redactor.learn_meanwhile(secret)
    }

    /// Returns the error of one item that the provider refuses inside an answer that is fine as a whole.
    pub fn refusal(&self, failure: Failure) -> Error {
        let mut error = Error::new(failure.kind, "");
        let words = self.shared.redactor.excerpt(&failure.message);
        error.provider_message = (!words.is_empty()).then_some(words);
        error
    }

    /// Keeps something the user must hear besides the result.
    pub fn note(&self, note: impl Into<String>) {
        self.shared.notes.lock().expect("no code panics while it holds this lock").push(note.into());
    }

    /// Returns the notes so far, and forgets them.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.notes.lock().expect("no code panics while it holds this lock"))
    }

    /// Returns when something whose creation time is `created` was made, compared with `began`.
    pub fn made(&self, created: Option<&Stamp>, began: Moment) -> Made {
        let clock = *self.shared.clock.lock().expect("no code panics while it holds this lock");
        let (Some(created), Some(clock)) = (created.and_then(Stamp::instant), clock) else { return Made::Untold };
        // What the server's clock showed at `began`, given that it showed `date` at `seen`.
        let at_began = |seen: Instant, slack: i64| {
            let after = SignedDuration::try_from(seen.saturating_duration_since(began.0)).ok()?;
            let before = SignedDuration::try_from(began.0.saturating_duration_since(seen)).ok()?;
            clock.date.saturating_add(before - after + SignedDuration::from_secs(slack)).ok()
        };
        // A Date header and some creation times leave out what is beyond whole seconds: two seconds too few at the
        // earliest, one at the latest.
        match (at_began(clock.received, -2), at_began(clock.sent, 1)) {
            (Some(earliest), _) if created < earliest => Made::Before,
            (_, Some(latest)) if created >= latest => Made::Since,
            _ => Made::About,
        }
    }
}

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
type Read<R> = for<'c> fn(&'c Call<'_>, Response) -> BoxFuture<'c, Result<R>>;

/// A request being put together; one of [`Call::json`], [`Call::text`], [`Call::done`],
/// [`Call::stream`] and [`Call::reply`] sends it.
#[must_use]
pub struct Call<'h> {
    http: &'h Http,
    method: Method,
    path: Result<String>,
    is_write: bool,
    in_dry_run: bool,
    query: Vec<(String, String)>,
    body: Body,
    headers: Vec<(&'static str, SecretString)>,
}

impl Call<'_> {
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
        let is_write = self.is_write;
        let reply = self.reply().await?;
        reply.json().map_err(|error| if is_write { error.effect(Effect::Unknown) } else { error })
    }

    /// Sends, and reads the answer as text.
    pub async fn text(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.reply().await?.body).into_owned())
    }

    /// Sends; any success will do, with any body or none.
    pub async fn done(self) -> Result<()> {
        self.reply().await.map(drop)
    }

    /// Sends, and returns the answer once the adapter's judge has found nothing wrong with it.
    pub async fn reply(self) -> Result<Reply> {
        self.send(|call, response| call.whole(response, Vec::new()).boxed()).await
    }

    /// Sends, as often as the policy allows, until `read` has made something of an answer.
    async fn send<R>(&self, read: Read<R>) -> Result<R> {
        let shared = &self.http.shared;
        let url = format!("{}{}", shared.base_url, self.path.clone()?);
        if self.is_write && shared.dry_run && !self.in_dry_run {
            let message = format!("{} {}", self.shown(&url), self.shown_body());
            return Err(Error::new(Kind::Planned, message.trim_end()));
        }
        let repeatable = |error: &Error| {
            let may_pass = match error.kind {
                Kind::RateLimited => true,
                // A hint means that it will not pass by itself.
                Kind::Network => error.hint.is_none(),
                Kind::Provider => error.http_status.is_some_and(|status| status >= 500),
                _ => false,
            };
            may_pass && error.effect == Effect::None && error.retry_after.is_none_or(|wait| wait <= PATIENCE)
        };
        let (first, last) = if shared.no_wait { (0, 0) } else { (500, 8000) };
        let waits = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(first))
            .with_max_delay(Duration::from_millis(last))
            .with_max_times(REPEATS)
            .with_jitter();
        (|| self.attempt(&url, read)).retry(waits).when(repeatable).await
    }

    async fn attempt<R>(&self, url: &str, read: Read<R>) -> Result<R> {
        let shared = &self.http.shared;
        let request = self.signed(url)?;
        let _slot = shared.gate.pass().await?;
        let shown = self.shown(url);
        tracing::debug!(target: "mbx::http", "> {shown}");
        if !matches!(self.body, Body::None) {
            tracing::trace!(target: "mbx::http", "> {}", self.shown_body());
        }
        let began = Instant::now();
        let first_byte = if self.is_write { shared.pace.write } else { shared.pace.read };
        let result = match timeout(first_byte, request.send()).await {
            Ok(Ok(response)) => {
                self.note_time(&response, began);
                let status = response.status();
                read(self, response).await.map(|read| (status, read))
            }
            Ok(Err(error)) => Err(self.lost(error)),
            Err(_) => Err(self.maybe_done(format!("no answer began within {first_byte:?}"))),
        };
        let took = began.elapsed().as_millis();
        match &result {
            Ok((status, _)) => tracing::info!(target: "mbx::http", "{shown} → {status} in {took} ms"),
            Err(error) => {
                let said = redact::visible(error.provider_message.as_deref().unwrap_or_default());
                let status =
                    error.http_status.map_or_else(|| error.kind.code().to_owned(), |status| status.to_string());
                tracing::info!(target: "mbx::http", "{shown} → {status} {said} in {took} ms");
            }
        }
        if let Some(wait) = result.as_ref().err().and_then(|error| error.retry_after).filter(|_| !shared.no_wait) {
            shared.gate.pause(wait);
        }
        result.map(|(_, read)| read)
    }

    fn signed(&self, url: &str) -> Result<reqwest::RequestBuilder> {
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
        let mut url: reqwest::Url = url.parse().map_err(|_| Error::new(Kind::Internal, "the URL does not parse"))?;
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
    fn note_time(&self, response: &Response, sent: Instant) {
        if let Some(date) = reply::date(response.headers(), "date").and_then(|date| Timestamp::try_from(date).ok()) {
            let clock = Clock { date, sent, received: Instant::now() };
            *self.http.shared.clock.lock().expect("no code panics while it holds this lock") = Some(clock);
        }
    }

    /// Reads the rest of an answer whose body begins with `body`, and judges it.
    async fn whole(&self, mut response: Response, mut body: Vec<u8>) -> Result<Reply> {
        let shared = &self.http.shared;
        let (status, headers) = (response.status(), response.headers().clone());
        let too_large = || self.odd(format!("the answer is larger than {} MiB", BODY_MAX >> 20));
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
            Err(_) => return Err(self.maybe_done(format!("the answer was not complete within {BODY:?}"))),
        }
        let reply = Reply { status, headers, body };
        match Failure::of((shared.judge)(&reply), &reply) {
            Some(failure) => Err(failure.into_error(&reply, self.is_write, &shared.redactor)),
            None => {
                tracing::trace!(target: "mbx::http", "< {}", shared.redactor.body(&reply.body));
                Ok(reply)
            }
        }
    }

    /// Returns the error of an exchange that broke off.
    fn lost(&self, error: reqwest::Error) -> Error {
        let is_connect = error.is_connect();
        let words = self.http.shared.redactor.excerpt(&chain(error));
        if is_connect {
            let mut lost = Error::new(Kind::Network, "");
            if words.contains("certificate") {
                lost.hint = Some(
                    "if the server has a certificate of its own, name it with `ca_file` in the profile".to_owned(),
                );
            }
            lost.provider_message = Some(words);
            return lost;
        }
        self.maybe_done(words)
    }

    fn maybe_done(&self, words: String) -> Error {
        let mut error = Error::new(Kind::Network, "");
        error.provider_message = Some(words);
        error.effect(if self.is_write { Effect::Unknown } else { Effect::None })
    }

    /// Returns the error of an answer that makes no sense.
    fn odd(&self, words: String) -> Error {
        let mut error = self.maybe_done(words);
        error.kind = Kind::Provider;
        error
    }

    /// Returns the method and the URL as they may be shown.
    fn shown(&self, url: &str) -> String {
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

/// Returns an error with its causes, without the URL.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !words.iter().any(|known| known.contains(&text)) {
            words.push(text);
        }
        next = cause.source();
    }
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}
