//! The loopback server: accepts connections, keeps a record of requests, plays the scripted trouble.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tower_service::Service;

use super::fault::{Acts, Answer, Fault};
use super::store::{Account, Store};
use super::{BOX_USER, KEY, base_path, router};
use crate::error::{Error, Kind, Result};
use crate::model::ProviderId;

/// The largest request body it reads: a megabyte, as a box's web server does.
const BODY_MAX: usize = 1 << 20;

/// A running sandbox; it stops when dropped.
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// A request the sandbox has received.
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

struct Shared {
    store: Arc<Store>,
    router: Router,
    faults: Mutex<Vec<Fault>>,
    seen: Mutex<Vec<Seen>>,
    /// A key that is taken besides the usual one.
    key: Mutex<Option<String>>,
}

impl Sandbox {
    /// Starts a sandbox that keeps its state in memory, on a free port.
    pub async fn start() -> Result<Self> {
        Sandbox::start_on(0, None).await
    }

    /// Starts a sandbox on `port` (0: a free one) that keeps its state in `file`, if one is named.
    pub async fn start_on(port: u16, file: Option<PathBuf>) -> Result<Self> {
        let failed = |error: io::Error| {
            Error::new(Kind::Config, format!("cannot listen on 127.0.0.1:{port}: {error}"))
                .hint("--port 0 takes a port that is free")
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let place = file.clone().unwrap_or_default();
        let store = Arc::new(Store::open(file).map_err(|error| {
            Error::new(Kind::Config, format!("cannot use the sandbox's state in {}: {error}", place.display()))
                .hint("`mbx sandbox reset` starts anew; XDG_STATE_HOME names another place for it")
        })?);
        let shared = Arc::new(Shared {
            router: router(store.clone()),
            store,
            faults: Mutex::new(Vec::new()),
            seen: Mutex::new(Vec::new()),
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
        lock(&self.shared.faults).push(fault);
    }

    /// Takes another key besides [`KEY`], at every provider: one that can be told from an ordinary word.
    pub fn take_key(&self, key: &str) {
        self.shared.store.with(ProviderId::Mailinabox, |account| {
            if let Some(user) = account.mailbox_mut(BOX_USER) {
                user.set_password(key);
            }
        });
        *lock(&self.shared.key) = Some(key.to_owned());
    }

    /// Forgets all trouble that has not struck yet.
    pub fn forgive(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Puts a mailbox there in this spelling, as another client would have left it.
    pub fn add_mailbox(&self, provider: ProviderId, address: &str) {
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        self.shared.store.with(provider, |account| {
            account.add_mailbox(local, domain, None);
        });
    }

    /// Lets a provider take the same address again and again: each create makes one more mailbox.
    pub fn accept_repeats(&self, provider: ProviderId) {
        self.shared.store.with(provider, |account| account.accepts_repeats = true);
    }

    /// Lets so many listings not show a new mailbox yet, at LiteMail: it sets them up after its answer.
    pub fn lag(&self, listings: u64) {
        self.shared.store.with(ProviderId::Litemail, |account| account.lag = listings);
    }

    /// Lets an hour pass at a provider, and its clock run as ours does from then on.
    pub fn run_clock(&self, provider: ProviderId) {
        self.shared.store.with(provider, Account::run_clock);
    }

    /// Returns the requests received so far, and forgets them.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    /// Returns the addresses a provider's store really holds, sorted.
    pub fn addresses(&self, provider: ProviderId) -> Vec<String> {
        self.shared.store.with(provider, |account| {
            let mut all: Vec<_> = account.mailboxes.iter().map(super::store::Mailbox::address).collect();
            all.sort();
            all
        })
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
    fn fault(&self, method: &Method, path: &str) -> Option<(Acts, Answer)> {
        let mut faults = lock(&self.faults);
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds this lock")
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

/// Answers one request. An error makes the server drop the connection without a word, which is what a cut is.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (mut parts, body) = request.into_parts();
    if let Some(key) = lock(&shared.key).as_deref() {
        for value in parts.headers.values_mut() {
            if let Some(same) = value.to_str().ok().filter(|text| text.contains(key)) {
                *value = HeaderValue::from_str(&same.replace(key, KEY)).unwrap_or_else(|_| value.clone());
            }
        }
    }
    let body = axum::body::to_bytes(Body::new(body), BODY_MAX).await.unwrap_or_else(|_| Bytes::new());
    lock(&shared.seen).push(Seen {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let provider = ProviderId::ALL.into_iter().find(|id| parts.uri.path().starts_with(&format!("/{id}/")));
    if let Some(id) = provider.filter(|_| parts.method != Method::GET) {
        shared.store.tick(id);
    }
    let fault = shared.fault(&parts.method, parts.uri.path());
    let said = fault.as_ref().map(|_| format!("{} {:?}", String::from_utf8_lossy(&body), parts.headers));
    let said = said.unwrap_or_default();
    let mut router = shared.router.clone();
    let work = async move {
        let response = router.call(Request::from_parts(parts, Body::from(body))).await;
        response.unwrap_or_else(|never| match never {})
    };
    let mut response = match fault {
        None => work.await,
        Some((Acts::First, trouble)) => trouble.play(work.await, &said).await?,
        Some((acts, trouble)) => {
            if let Acts::Later(delay) = acts {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    work.await
                });
            }
            trouble.play(Response::new(Body::empty()), &said).await?
        }
    };
    if let Some(trouble) = shared.store.trouble() {
        response = Response::new(Body::from(format!("the stand-in cannot keep its state: {trouble}")));
        *response.status_mut() = StatusCode::INSUFFICIENT_STORAGE;
    }
    if let Some(id) = provider {
        let date = httpdate::fmt_http_date(shared.store.now(id));
        response.headers_mut().insert("date", HeaderValue::from_str(&date).expect("a date is ASCII"));
    }
    Ok(response)
}

impl Answer {
    async fn play(self, real: Response<Body>, said: &str) -> io::Result<Response<Body>> {
        match self {
            Answer::Echo => {
                let mut response = Response::new(Body::from(json!({ "detail": said, "message": said }).to_string()));
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
