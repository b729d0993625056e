//! A mail host that takes whatever it is given: mailboxes one at a time as EmBoux does, or many at a time as Hybridbox
//! does. It answers after a while that is set, takes only so many requests a second if that is set, and counts. It keeps
//! nothing, so that its own work stays small.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::header::RETRY_AFTER;
use axum::http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::Result;

/// How many requests a second a host with a limit takes.
pub(crate) const LIMIT: usize = 100;

/// How long whoever is refused is told to wait.
const PAUSE: Duration = Duration::from_secs(1);

/// How long an answer may take to be read: a request that comes before that may have left before the answer came.
const UNDER_WAY: Duration = Duration::from_millis(5);

/// How a host limits what it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// It takes everything.
    None,
    /// So many a second, steadily, and so many at once after a pause.
    Bucket(f64, f64),
    /// [`LIMIT`] in each second of its clock.
    Window,
    /// It takes everything but this share of the requests, which are drawn by chance.
    Chance(f64),
}

/// What a host has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Requests that create, the refused ones included.
    pub(crate) requests: usize,
    /// Mailboxes made.
    pub(crate) created: usize,
    /// Requests refused for their number.
    pub(crate) refused: usize,
    /// Requests that came although a told pause was not over.
    pub(crate) early: usize,
}

struct Door {
    limit: Limit,
    opened: Instant,
    /// How many more it would take now, and when that was so.
    tokens: (f64, Instant),
    /// When a refusal was last sent off, for as long as its pause lasts: the earliest one first.
    told: Vec<Instant>,
    seen: Seen,
}

impl Door {
    /// Counts a request, and returns whether it is taken.
    fn takes(&mut self) -> bool {
        let now = Instant::now();
        self.seen.requests += 1;
        self.told.retain(|told| now < *told + PAUSE);
        if self.told.iter().any(|told| now > *told + UNDER_WAY) {
            self.seen.early += 1;
        }
        let (left, at) = self.tokens;
        let left = match self.limit {
            Limit::None => return true,
            Limit::Bucket(rate, most) => (left + now.duration_since(at).as_secs_f64() * rate).min(most),
            Limit::Window if self.second(now) > self.second(at) => LIMIT as f64,
            Limit::Window => left,
            Limit::Chance(share) => f64::from(u8::from(fastrand::f64() >= share)),
        };
        let takes = left >= 1.0;
        self.tokens = (if takes { left - 1.0 } else { left }, now);
        self.seen.refused += usize::from(!takes);
        takes
    }

    fn second(&self, at: Instant) -> u64 {
        at.duration_since(self.opened).as_secs()
    }
}

/// A running host.
pub(crate) struct Host {
    /// Where it listens.
    pub(crate) base_url: String,
    door: Arc<Mutex<Door>>,
    /// The threads it runs on.
    _runtime: tokio::runtime::Runtime,
}

impl Host {
    /// Starts a host on a thread of its own.
    pub(crate) fn start(latency: Duration, limit: Limit) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let opened = Instant::now();
        let holds = if let Limit::Bucket(_, holds) = limit { holds } else { LIMIT as f64 };
        let (tokens, told, seen) = ((holds, opened), Vec::new(), Seen::default());
        let door = Arc::new(Mutex::new(Door { limit, opened, tokens, told, seen }));
        let shared = door.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let door = shared.clone();
                let service = service_fn(move |request| answer(request, latency, door.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Host { base_url, door, _runtime: runtime })
    }

    /// Returns what it has seen, and forgets it.
    pub(crate) fn seen(&self) -> Seen {
        std::mem::take(&mut self.door.lock().expect("no code panics while it holds this lock").seen)
    }
}

async fn answer(
    request: Request<Incoming>,
    latency: Duration,
    door: Arc<Mutex<Door>>,
) -> std::result::Result<Response<Body>, Infallible> {
    let lock = || door.lock().expect("no code panics while it holds this lock");
    let is_create = request.method() == Method::POST;
    let takes = !is_create || lock().takes();
    let path = request.uri().path().to_owned();
    let body = to_bytes(Body::new(request.into_body()), 1 << 20).await.unwrap_or_default();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if !takes {
        lock().told.push(Instant::now());
        let mut refusal = Response::new(Body::from(r#"{"detail":"too many requests"}"#));
        *refusal.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        refusal.headers_mut().insert(RETRY_AFTER, PAUSE.as_secs().into());
        return Ok(refusal);
    }
    let (made, text) = match path.as_str() {
        "/users/" if is_create => one(&body),
        "/users/" => (0, "[]".to_owned()),
        "/domains/" => (0, r#"[{"id":1,"name":"bulk.example","created_at":"2026-01-05T09:00:00"}]"#.to_owned()),
        _ if is_create => several(&body),
        _ => (0, r#"{"items":[],"page":1,"page_size":25,"total":0}"#.to_owned()),
    };
    lock().seen.created += made;
    Ok(Response::new(Body::from(text)))
}

/// Makes a mailbox in EmBoux's way.
fn one(body: &[u8]) -> (usize, String) {
    #[derive(Deserialize)]
    struct New<'a> {
        email: &'a str,
    }
    let Ok(New { email }) = serde_json::from_slice(body) else { return (0, "{}".to_owned()) };
    (1, format!(r#"{{"id":7,"email":"{email}","domain_id":1,"created_at":"2026-01-05T09:00:00"}}"#))
}

/// Makes mailboxes in Hybridbox's way.
fn several(body: &[u8]) -> (usize, String) {
    #[derive(Deserialize)]
    struct New<'a> {
        domain: &'a str,
        #[serde(borrow)]
        items: Vec<Item<'a>>,
    }
    #[derive(Deserialize)]
    struct Item<'a> {
        local_part: &'a str,
    }
    let Ok(New { domain, items }) = serde_json::from_slice(body) else { return (0, "{}".to_owned()) };
    let mut text = String::from(r#"{"created":["#);
    for (index, Item { local_part }) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"index":{index},"mailbox":{{"id":"7","local_part":"{local_part}","primary_email":"{local_part}@{domain}","status":"active","created_at":"2026-01-05T09:00:00Z"}}}}"#
        );
    }
    text.push_str(r#"],"failed":[]}"#);
    (items.len(), text)
}
