//! The one sender for all adapters: dry run, repeat, slot, pace, trace, sign, attempt, judge, in this order from the
//! outside in.
//!
//! An adapter says what to send and what the answer means. When to send, whether to repeat, how long to wait and what
//! may be shown of it is decided here, once.
//!
//! Which requests are repeated, and what a failed one did there, is the table in `verdict`.
//!
//! A repeat waits half a second at first, then longer, and never less than a Retry-After. That one binds all requests
//! of the credential, also with a 503; when it is longer than two minutes, they fail at once until it is over. One that
//! cannot be read counts as half a minute. After a 429 that names no wait they hold for a second, and longer each time while nothing at all is accepted.
//!
//! A 429 also teaches the gate the rate that the host allows. Its requests then follow each other evenly, a little below
//! that, instead of meeting the limit all at once again and again. The rate rises while all goes well and is lowered by
//! the next refusal; the pace that is configured is never exceeded. How it is estimated is told in `limit`.
//!
//! A run may send a hundred repeats, and one more for each five first attempts; then an error is returned as it is, so
//! that a host that fails all the time is not asked four times as often as one that is well. Repeats after a 429 are not
//! counted: they wait at the gate, and the host did no work for them.

mod array;
mod call;
mod limit;
mod listing;
mod pace;
mod pages;
mod redact;
mod reply;
mod spelling;
mod stream;
mod verdict;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use call::causes;
use verdict::Intent;

pub use array::Items;
pub use call::Call;
pub use listing::Listing;
pub use pace::{Gate, Pace, Turn};
pub use pages::{Page, Total, pages};
pub use redact::{Learned, Redactor};
pub use reply::{Failure, Reply};
pub use reqwest::Method;

use crate::error::{Error, Kind, Result};
use crate::model::Stamp;

/// Ten seconds: a host that does not take a connection by then is down or has banned us.
const CONNECT: Duration = Duration::from_secs(10);

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
    /// The host of the base URL, with its port where that is given: for messages.
    host: String,
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
            config(format!("cannot set up TLS: {}", causes(error))).hint(match options.ca_pem {
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
                host: url.authority().to_owned(),
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

    /// Takes one of the repeats that are left to this run; false when there is none.
    pub fn may_repeat(&self) -> bool {
        self.shared.gate.may_repeat()
    }

    /// Starts a request that changes nothing there and may be repeated.
    pub fn read(&self, method: Method, segments: &[&str]) -> Call<'_> {
        Call::new(self, method, segments, Intent::Read)
    }

    /// Starts a request that changes something and is never repeated once it may have arrived.
    pub fn write(&self, method: Method, segments: &[&str]) -> Call<'_> {
        Call::new(self, method, segments, Intent::Write)
    }

    /// Sends nothing more, not even what waits for its turn or to be repeated: that fails as interrupted. What is under
    /// way goes on.
    pub fn stop(&self) {
        self.shared.gate.close();
    }

    /// Sends again.
    pub fn go_on(&self) {
        self.shared.gate.open();
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
