//! The loopback server: accepts connections, refuses strangers, plays the scripted trouble, and lets the dialects answer.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, request};
use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tower_service::Service;

use super::dialect::{base_path, new_account, router};
use super::fault::{Acts, Answer, Fault, Other, Struck};
use super::mailinabox::BOX_USER;
use super::store::{IN_READ, KEY, Mailbox, Store, Times};
use crate::error::{Error, Kind, Result};
use crate::lock::held;
use crate::model::ProviderId;

/// The largest request body it takes: a megabyte, as a box's web server does.
const BODY_MAX: usize = 1 << 20;

/// The answer to a larger body, at every provider: that of a box's web server.
const TOO_LARGE: &str = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n\
    <center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// The names of this machine on loopback. A web page elsewhere reaches the sandbox only under another name.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A running sandbox; it stops when dropped.
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// A request that the sandbox has received.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The path as it travelled, still encoded.
    pub path: String,
    /// The query as it travelled.
    pub query: String,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// A mailbox that the sandbox holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Counts the mailboxes that a provider has made: a later one of the same address has another number.
    pub serial: u64,
    /// Its address.
    pub address: String,
    /// The last name, where the provider keeps one.
    pub last_name: Option<String>,
    /// The storage limit in the provider's own unit.
    pub quota: u64,
}

impl Held {
    fn new(mailbox: &Mailbox) -> Self {
        Held {
            serial: mailbox.serial,
            address: mailbox.address(),
            last_name: mailbox.last.clone(),
            quota: mailbox.quota,
        }
    }
}

struct Shared {
    store: Arc<Store>,
    router: Router,
    faults: Mutex<Vec<Fault>>,
    /// The requests received so far. `None`: none is kept.
    seen: Option<Mutex<Vec<Seen>>>,
    /// A key that is taken besides the usual one.
    key: Mutex<Option<String>>,
}

impl Sandbox {
    /// Starts a sandbox for tests: on a free port, with its state in memory. It keeps every request that it receives,
    /// with its body, for [`Sandbox::take_seen`].
    pub async fn start() -> Result<Self> {
        Sandbox::listen(0, None, Some(Mutex::default())).await
    }

    /// Starts a sandbox on `port` (0: a free one) that keeps its state in `file`, if one is named, and no requests.
    pub async fn start_on(port: u16, file: Option<PathBuf>) -> Result<Self> {
        Sandbox::listen(port, file, None).await
    }

    async fn listen(port: u16, file: Option<PathBuf>, seen: Option<Mutex<Vec<Seen>>>) -> Result<Self> {
        let failed = |error: io::Error| {
            Error::new(Kind::Config, format!("cannot listen on 127.0.0.1:{port}: {error}"))
                .hint("--port 0 takes a port that is free")
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let place = file.clone().unwrap_or_default();
        let store = Store::open(file, new_account).await.map_err(|error| {
            Error::new(Kind::Config, format!("cannot use the sandbox's state in {}: {error}", place.display()))
                .hint("`mbx sandbox reset` starts anew; XDG_STATE_HOME names another place for it")
        })?;
        let store = Arc::new(store);
        let shared = Arc::new(Shared {
            router: router(store.clone()),
            store,
            faults: Mutex::new(Vec::new()),
            seen,
            key: Mutex::new(None),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Sandbox { address, shared, accepting })
    }

    /// Returns the base URL of a provider's API.
    pub fn base_url(&self, provider: ProviderId) -> String {
        format!("http://{}{}", self.address, base_path(provider))
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds scripted trouble. Earlier faults come first.
    pub fn fault(&self, fault: Fault) {
        held(&self.shared.faults).push(fault);
    }

    /// Takes another key besides [`KEY`], at every provider: one that differs from every ordinary word.
    pub fn take_key(&self, key: &str) {
        self.shared.store.with(ProviderId::Mailinabox, |account| {
            if let Some(user) = account.mailbox_mut(BOX_USER) {
                user.set_password(key);
            }
        });
        *held(&self.shared.key) = Some(key.to_owned());
    }

    /// Forgets all trouble that has not struck yet.
    pub fn forgive(&self) {
        held(&self.shared.faults).clear();
    }

    /// Puts a mailbox there in this spelling, as another client would have left it.
    pub fn add_mailbox(&self, provider: ProviderId, address: &str) {
        self.let_other(provider, &Other::CreatesMailbox(address.to_owned()));
    }

    /// Lets a provider take the same address again and again: each create makes one more mailbox.
    pub fn accept_repeats(&self, provider: ProviderId) {
        self.shared.store.with(provider, |account| account.accepts_repeats = true);
    }

    /// Lets so many listings not show a new mailbox yet, at LiteMail: it sets them up after its answer.
    pub fn lag(&self, listings: u64) {
        self.shared.store.with(ProviderId::Litemail, |account| account.lag = listings);
    }

    /// Lets a provider show each new mailbox only so long after its creation. Those of before the call are shown.
    pub fn list_late(&self, provider: ProviderId, late: Duration) {
        self.shared.store.with(provider, |account| account.list_late(late));
    }

    /// Lets an hour pass at a provider, and its clock run as ours does from then on.
    pub fn run_clock(&self, provider: ProviderId) {
        self.shared.store.with(provider, |account| account.run_clock(account.now() + 60 * 60));
    }

    /// Lets the clocks of all providers show our time, and run as ours does.
    pub fn show_our_time(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        for provider in ProviderId::ALL {
            self.shared.store.with(provider, |account| account.run_clock(now));
        }
    }

    /// Lets a provider show its times otherwise. New mailboxes get creation times that are so wrong from then on.
    pub fn show_times(&self, provider: ProviderId, times: Times) {
        self.shared.store.with(provider, |account| account.times = times);
    }

    /// Lets another client do this.
    pub fn let_other(&self, provider: ProviderId, other: &Other) {
        self.shared.store.with(provider, |account| account.let_other(other));
    }

    /// Returns the requests received so far, and forgets them. Only [`Sandbox::start`] keeps any.
    pub fn take_seen(&self) -> Vec<Seen> {
        self.shared.seen.as_ref().map(|seen| std::mem::take(&mut *held(seen))).unwrap_or_default()
    }

    /// Returns the addresses a provider's store really holds, sorted.
    pub fn addresses(&self, provider: ProviderId) -> Vec<String> {
        self.shared.store.with(provider, |account| {
            let mut all: Vec<_> = account.mailboxes.iter().map(Mailbox::address).collect();
            all.sort();
            all
        })
    }

    /// Returns the mailboxes that a provider's store really holds.
    pub fn mailboxes(&self, provider: ProviderId) -> Vec<Held> {
        self.shared.store.with(provider, |account| account.mailboxes.iter().map(Held::new).collect())
    }

    /// Returns whether `password` is what the mailbox would log in with.
    pub fn password_is(&self, provider: ProviderId, address: &str, password: &str) -> bool {
        self.shared
            .store
            .with(provider, |account| account.mailbox(address).is_some_and(|mailbox| mailbox.password_is(password)))
    }
}

impl Shared {
    /// Returns the trouble that strikes a request, if any does; what has struck for the last time is forgotten.
    fn fault(&self, method: &Method, path: &str) -> Option<Struck> {
        let mut faults = held(&self.faults);
        let (at, struck) =
            faults.iter_mut().enumerate().find_map(|(at, fault)| Some((at, fault.strikes(method, path)?)))?;
        if faults[at].is_spent() {
            faults.remove(at);
        }
        Some(struck)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(shared.clone(), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Answers one request. An error makes the server drop the connection without an answer: a cut.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (mut parts, body) = request.into_parts();
    if let Some(header) = foreign(&parts) {
        return Ok(plain(StatusCode::FORBIDDEN, format!("the sandbox serves this machine only: foreign {header}\n")));
    }
    if let Some(key) = held(&shared.key).as_deref() {
        for value in parts.headers.values_mut() {
            if let Some(same) = value.to_str().ok().filter(|text| text.contains(key)) {
                *value = HeaderValue::from_str(&same.replace(key, KEY)).unwrap_or_else(|_| value.clone());
            }
        }
    }
    let body = whole(Body::new(body)).await?;
    if let Some(seen) = &shared.seen {
        held(seen).push(Seen::new(&parts, body.as_deref().unwrap_or_default()));
    }
    let Some(body) = body else {
        let mut response = plain(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
        response.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
        return Ok(response);
    };
    act(&shared, parts, body).await.or_else(|failed| match failed {
        Failed::Cut(error) => Err(error),
        Failed::State(error) => {
            let words = format!("the stand-in cannot keep its state: {error}");
            Ok(plain(StatusCode::INSUFFICIENT_STORAGE, words))
        }
    })
}

/// Why a request got no answer.
enum Failed {
    /// The script cuts the connection.
    Cut(io::Error),
    /// The state could not be read or written.
    State(io::Error),
}

/// Lets the dialect answer, or the trouble that strikes the request, and keeps what was changed.
async fn act(shared: &Shared, parts: request::Parts, body: Bytes) -> Result<Response<Body>, Failed> {
    let session = shared.store.begin().await.map_err(Failed::State)?;
    let provider = ProviderId::ALL.into_iter().find(|id| parts.uri.path().starts_with(&format!("/{id}/")));
    if let Some(id) = provider.filter(|_| parts.method != Method::GET) {
        shared.store.tick(id);
    }
    let fault = shared.fault(&parts.method, parts.uri.path());
    let sent = fault.as_ref().map(|_| format!("{} {:?}", String::from_utf8_lossy(&body), parts.headers));
    let sent = sent.unwrap_or_default();
    if let Some((id, other)) = provider.zip(fault.as_ref().and_then(|struck| struck.meanwhile.as_ref())) {
        shared.store.with(id, |account| account.let_other(other));
    }
    let mut router = shared.router.clone();
    let work = async move {
        let is_read = parts.method == Method::GET;
        let call = router.call(Request::from_parts(parts, Body::from(body)));
        let response = if is_read { IN_READ.scope((), call).await } else { call.await };
        response.unwrap_or_else(|never| match never {})
    };
    let mut response = match fault {
        None => work.await,
        Some(Struck { acts: Acts::First, answer, .. }) => answer.play(work.await, &sent).await.map_err(Failed::Cut)?,
        Some(Struck { acts, answer, .. }) => {
            if let Acts::Later(delay) = acts {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    work.await
                });
            }
            answer.play(Response::new(Body::empty()), &sent).await.map_err(Failed::Cut)?
        }
    };
    if let Some(id) = provider {
        let times = shared.store.with(id, |account| account.times);
        if times.hides_creation {
            response = without_creation_times(response).await.map_err(Failed::Cut)?;
        }
        match times.date_ahead {
            Some(ahead) => {
                let date = httpdate::fmt_http_date(shared.store.date(id, ahead));
                response.headers_mut().insert("date", HeaderValue::from_str(&date).expect("a date is ASCII"));
            }
            // A header that is empty keeps the server library from adding its own, and shows no time.
            None => _ = response.headers_mut().insert("date", HeaderValue::from_static("")),
        }
    }
    session.keep().map_err(Failed::State)?;
    Ok(response)
}

/// The names under which the providers show when something was created.
const CREATION_TIMES: [&str; 3] = ["created_at", "createdAt", "assignedOn"];

/// Leaves the creation times out of an answer.
async fn without_creation_times(response: Response<Body>) -> io::Result<Response<Body>> {
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(io::Error::other)?;
    let Ok(mut value) = serde_json::from_slice(&bytes) else { return Ok(Response::from_parts(parts, bytes.into())) };
    remove_creation_times(&mut value);
    parts.headers.remove("content-length");
    Ok(Response::from_parts(parts, value.to_string().into()))
}

fn remove_creation_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_creation_times),
        Value::Object(fields) => {
            fields.retain(|name, _| !CREATION_TIMES.contains(&name.as_str()));
            fields.values_mut().for_each(remove_creation_times);
        }
        _ => {}
    }
}

fn plain(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}

/// Returns the header, if any, by which a request shows that it does not come from a program of this machine: a web page
/// names its own host in `Origin`, and a name of its own that it has pointed at loopback in `Host`.
fn foreign(parts: &request::Parts) -> Option<&'static str> {
    let all = |name, is_good: fn(&str) -> bool| {
        parts.headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(is_good))
    };
    if !all("host", is_local) || parts.uri.authority().is_some_and(|name| !is_local(name.as_str())) {
        return Some("Host");
    }
    let is_home = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| is_local(authority));
    if all("origin", is_home) { None } else { Some("Origin") }
}

/// Returns whether a host name, with or without a port, is one of this machine on loopback.
fn is_local(authority: &str) -> bool {
    let port = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = port.map_or(authority, |(host, _)| host);
    LOCAL.iter().any(|name| host.eq_ignore_ascii_case(name))
}

/// Reads a body to its end, and returns nothing if it is too large. Such a body is read as well, because a client that
/// is still sending would not see the answer.
async fn whole(body: Body) -> io::Result<Option<Bytes>> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(io::Error::other)?;
        length += chunk.len();
        if length <= BODY_MAX {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok((length <= BODY_MAX).then(|| bytes.into()))
}

impl Seen {
    fn new(parts: &request::Parts, body: &[u8]) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Seen {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }
}

impl Answer {
    async fn play(self, real: Response<Body>, sent: &str) -> io::Result<Response<Body>> {
        match self {
            Answer::Echo => {
                let mut response = Response::new(Body::from(json!({ "detail": sent, "message": sent }).to_string()));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                Ok(response)
            }
            Answer::Cut => Err(io::Error::other("scripted: the connection is cut")),
            Answer::Hang => std::future::pending().await,
            Answer::Delay(delay) => {
                tokio::time::sleep(delay).await;
                Ok(real)
            }
            Answer::Truncated => {
                let (mut parts, body) = real.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.map_err(io::Error::other)?;
                parts.headers.remove("content-length");
                Ok(Response::from_parts(parts, Body::from(body.slice(..body.len() / 2))))
            }
            Answer::Endless => {
                let block = Bytes::from(vec![b' '; 1 << 16]);
                let blocks =
                    futures_util::stream::iter((0..1u32 << 14).map(move |_| Ok::<_, io::Error>(block.clone())));
                Ok(Response::new(Body::from_stream(blocks)))
            }
            Answer::Raw { status, headers, body } => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status.try_into().map_err(io::Error::other)?;
                for (name, value) in headers {
                    response.headers_mut().insert(name, HeaderValue::from_str(&value).map_err(io::Error::other)?);
                }
                Ok(response)
            }
        }
    }
}
