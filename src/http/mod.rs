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
//! cannot be read counts as half a minute. After a 429 that names no wait they pause for a second, and longer each time
//! while nothing is accepted.
//!
//! A 429 also teaches the gate the rate that the host allows. Its requests then follow each other evenly, a little below
//! that, instead of meeting the limit all at once again and again. The rate rises while all goes well and is lowered by
//! the next refusal; the configured pace is never exceeded. `limit` explains the estimate.
//!
//! A run may send a hundred repeats, and one more for each five first attempts; then an error is returned as it is, so
//! that a host that fails all the time is not asked four times as often as one that is well. Repeats after a 429 are not
//! counted: they wait at the gate, and the host did no work for them.

mod array;
mod call;
#[cfg(fuzzing)]
mod canned;
mod limit;
mod listing;
mod pace;
mod pages;
mod redact;
mod reply;
mod spelling;
mod stream;
mod tls;
mod verdict;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
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
#[cfg(fuzzing)]
pub use canned::{Canned, answer_with};
pub use listing::Listing;
pub use pace::{Gate, Pace, Turn};
pub use pages::{Page, Total, pages};
pub use redact::{Learned, Redactor};
pub use reply::{Failure, Reply};
pub use reqwest::Method;

use crate::error::{Error, Kind, Result};
use crate::lock::held;

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
    base_url: reqwest::Url,
    /// The host of the base URL, with its port where that is given: for messages.
    host: String,
    /// The host and the port, for a hint about its certificate; `None` without a `ca_file`.
    endpoint: Option<String>,
    headers: HeaderMap,
    pace: Pace,
    gate: Arc<Gate>,
    redactor: Redactor,
    dry_run: bool,
    no_wait: bool,
    judge: fn(&Reply) -> Option<Failure>,
    /// The server's clock, as of its last answer.
    clock: Mutex<Option<Clock>>,
}

/// What an answer showed of the server's clock: it read `date` at some time between sending and receiving.
#[derive(Clone, Copy)]
struct Clock {
    date: Timestamp,
    sent: Timestamp,
    received: Timestamp,
}

/// Returns the present time. It runs evenly from the first call on, whatever is done to the system's clock, so that two
/// of its times can be compared.
pub fn now() -> Timestamp {
    static START: LazyLock<(Timestamp, Instant)> = LazyLock::new(|| (Timestamp::now(), Instant::now()));
    let (began, instant) = *START;
    began.checked_add(instant.elapsed()).unwrap_or(began)
}

/// Returns the problem with a base URL, if there is one, in words that do not repeat it: it may hold a secret. https is
/// needed, except on loopback.
pub fn check_base_url(text: &str) -> Result<reqwest::Url, String> {
    let url: reqwest::Url = text.parse().map_err(|_| "it is not a URL".to_owned())?;
    let host = url.host().ok_or_else(|| "it names no host".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("a base URL has no user, password, query or fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&host) => Ok(url),
        "http" => Err("it would send the secret unencrypted; plain http is for loopback only".to_owned()),
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

/// Returns the host and the port of a URL.
fn endpoint(url: &reqwest::Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
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
            let hint = "see whether `ca_file` is a certificate";
            let tls = tls::config(url.host_str().unwrap_or_default(), pem);
            builder = builder.tls_backend_preconfigured(tls.map_err(|message| config(message).hint(hint))?);
        }
        let client = builder.build().map_err(|error| {
            config(format!("cannot set up TLS: {}", causes(error)))
                .hint("install the system's CA certificates (ca-certificates) or set SSL_CERT_FILE")
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
                host: url.authority().to_owned(),
                endpoint: options.ca_pem.as_ref().map(|_| endpoint(&url)),
                base_url: url,

                headers,
                pace,
                gate: options.gate,
                redactor: options.redactor,
                dry_run: options.dry_run,
                no_wait: options.no_wait,
                judge: options.judge,
                clock: Mutex::new(None),
            }),
            credential: Some(options.credential),
        })
    }

    /// Returns the same sender with another credential, such as a session key.
    pub fn with_credential(&self, credential: Credential) -> Http {
        credential.guard(&self.shared.redactor);
        Http { shared: self.shared.clone(), credential: Some(credential) }
    }

    /// Takes one of the repeats that this run has left; false when there is none.
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

    /// Sends no more requests: those that are queued or wait to be repeated fail as interrupted. Requests already sent
    /// continue.
    pub fn stop_sending(&self) {
        self.shared.gate.close();
    }

    /// Sends requests again.
    pub fn resume_sending(&self) {
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
        Error::general(failure.kind).said(None, self.shared.redactor.excerpt(&failure.message))
    }

    /// Returns how far the server's clock is ahead of ours, at least and at most, by its last answer. `None`: it does not
    /// say.
    pub fn server_clock(&self) -> Option<(SignedDuration, SignedDuration)> {
        let clock = (*held(&self.shared.clock))?;
        // A Date header leaves out what is beyond whole seconds.
        let second = SignedDuration::from_secs(1);
        Some((clock.date.duration_since(clock.received), clock.date.duration_since(clock.sent) + second))
    }

    /// Returns a mark of the key that signs requests, different for each `salt`: it says whether two runs use the same key
    /// and nothing about the key. `None` where a user logs in with a password, which could be guessed from a mark.
    pub fn key_mark(&self, salt: &str) -> Option<String> {
        use sha2::{Digest, Sha256};
        let (Credential::Bearer(key) | Credential::Header(_, key)) = self.credential.as_ref()? else { return None };
        let digest = Sha256::digest(format!("mbx {salt} {}", key.expose_secret()));
        Some(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns whether waits between requests are kept; tests leave them out.
    pub fn waits(&self) -> bool {
        !self.shared.no_wait
    }
}
