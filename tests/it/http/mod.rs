//! The sender: what it repeats, how long it waits, what it refuses to send, read or show.
//!
//! Tests that wait run on paused time: it jumps to the next timer whenever everybody waits.

mod answers;
mod clock;
mod limits;
mod pace;
mod repeats;
mod secrets;
mod targets;
mod tls;
mod waits;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use mbx::adapters;
use mbx::error::{Effect, Error, Kind, Result};
use mbx::http::{Credential, Failure, Gate, Http, Method, Options, Redactor, check_base_url};
use mbx::model::{Alias, Bytes, Domain, Mailbox, MailboxChange, NewDomain};
use mbx::provider::{Checked, Pace, Provider, ProviderId};
use mbx::sandbox::{self, Answer, Fault, Sandbox};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls;

use crate::support::{Ctx, account, assert_kind, at, name, test_pace};

/// A secret and a password with characters that JSON, forms, URLs and HTML spell otherwise. All spellings of both
/// begin with the same letters, so that a piece of one gives it away as well.
const KEY: &str = "c4n\"a+r  y&key";
const PASSWORD: &str = "c4n\"a+r y&é";
const CANARY: &str = "c4n";

fn options(base_url: &str) -> Options {
    let pace = test_pace();
    Options {
        base_url: base_url.to_owned(),
        credential: Credential::Bearer(sandbox::KEY.into()),
        headers: Vec::new(),
        ca_pem: None,
        pace,
        gate: Arc::new(Gate::new(pace)),
        redactor: Redactor::default(),
        dry_run: false,
        no_wait: true,
        judge: |reply| Failure::by_status(reply, || reply.words()),
    }
}

/// Returns a sender that is as fast as the machine allows, changed as the test needs it.
pub(crate) fn sender(base_url: &str, change: impl FnOnce(&mut Options)) -> Http {
    let mut options = options(base_url);
    change(&mut options);
    Http::new(options).expect("the options are good")
}

/// Returns a sender that really waits, at this pace.
fn patient(base_url: &str, pace: Pace) -> Http {
    sender(base_url, |options| {
        options.no_wait = false;
        options.pace = pace;
        options.gate = Arc::new(Gate::new(pace));
    })
}

async fn read(http: &Http) -> Result<Value> {
    http.read(Method::GET, &["domains"]).with_slash().json().await
}

async fn write(http: &Http) -> Result<Value> {
    let body = json!({ "domain_name": "example.com", "email": "ada@example.com", "password": PASSWORD });
    http.write(Method::POST, &["users"]).with_slash().body(&body).json().await
}

/// Reads or writes, and returns the error.
async fn failure(http: &Http, is_write: bool) -> Error {
    let result = if is_write { write(http).await } else { read(http).await };
    result.expect_err("trouble is not a success")
}

async fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let base_url = sandbox.base_url(ProviderId::Emboux);
    (sandbox, base_url)
}

/// Makes every request of the sandbox's EmBoux meet this trouble.
fn trouble(sandbox: &Sandbox, answer: &Answer, times: usize) {
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
        sandbox.fault(Fault::instead(method, "/", answer.clone()).times(times));
    }
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> Answer {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Answer::Raw { status, headers, body: body.into() }
}

/// Starts a server that lets `script` do what it likes with each connection, and counts them.
pub(crate) async fn serve(
    script: impl Fn(usize, TcpStream) -> BoxFuture<'static, io::Result<()>> + Send + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let base_url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(counter.fetch_add(1, Ordering::SeqCst), stream));
        }
    });
    (base_url, count)
}

/// Starts a server that answers each request with these bytes and closes the connection.
pub(crate) async fn serve_bytes(bytes: impl Into<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let bytes: Arc<[u8]> = Arc::from(bytes.into());
    serve(move |_, stream| respond(stream, bytes.clone()).boxed()).await
}

async fn respond(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: Arc<[u8]>) -> io::Result<()> {
    swallow(&mut stream).await?;
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

/// Reads one request.
pub(crate) async fn swallow(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let (mut head, mut byte) = (String::new(), [0]);
    while !head.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).await?;
        head.push(byte[0].into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    stream.read_exact(&mut vec![0; length.parse().expect("a number")]).await.map(drop)
}

pub(crate) fn reply(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.as_ref().len());
    [head.as_bytes(), body.as_ref()].concat()
}

/// Everything of an error that a person or a program may get to see.
fn shown(error: &Error) -> String {
    format!("{error} {error:?} {} {:?}", error.to_json(), error.lines())
}

/// What `tracing` says on this thread, at its most talkative, until this is dropped.
struct Trace {
    lines: Lines,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Trace {
    fn start() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Trace { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().expect("no panic").clone()).expect("traces are text")
    }
}
