//! The sender: what it repeats, how long it waits, what it refuses to send, read or show.
//!
//! Tests that wait run on paused time: it jumps to the next timer whenever everybody waits.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use mbx::adapters;
use mbx::error::{Effect, Error, Kind, Result};
use mbx::http::{Credential, Failure, Gate, Http, Made, Method, Moment, Options, Redactor, check_base_url};
use mbx::model::{Alias, Bytes, Domain, Mailbox, MailboxChange, NewDomain, Stamp};
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

// Repeats

#[tokio::test]
async fn the_repeat_policy() {
    use Effect::{None, Unknown};
    let cut = (12, Kind::Network);
    let slow = (11, Kind::RateLimited);
    let broken = (13, Kind::Provider);
    // What comes back; exit code and kind; requests and effect of a read, and of a write.
    let table = [
        (Answer::retry_after("1"), slow, (4, None), (4, None)),
        (Answer::status(429), slow, (4, None), (4, None)),
        (Answer::status(408), slow, (4, None), (4, None)),
        (Answer::status(500), broken, (4, None), (1, Unknown)),
        (Answer::status(503), broken, (4, None), (1, Unknown)),
        (answer(503, &[("retry-after", "1")], ""), broken, (4, None), (1, Unknown)),
        (Answer::Cut, cut, (4, None), (1, Unknown)),
        (Answer::status(400), (8, Kind::Invalid), (1, None), (1, None)),
        (Answer::status(401), (4, Kind::Auth), (1, None), (1, None)),
        (Answer::status(403), (5, Kind::Denied), (1, None), (1, None)),
        (Answer::status(404), (6, Kind::NotFound), (1, None), (1, None)),
        (Answer::status(409), (7, Kind::Conflict), (1, None), (1, None)),
        (Answer::redirect(302, "/elsewhere"), broken, (1, None), (1, None)),
        (Answer::html(200), broken, (1, None), (1, Unknown)),
        (Answer::Truncated, broken, (1, None), (1, Unknown)),
    ];
    for (answer, (exit_code, kind), on_read, on_write) in table {
        let (sandbox, base_url) = sandbox().await;
        trouble(&sandbox, &answer, usize::MAX);
        let http = sender(&base_url, |_| {});
        for (is_write, (sent, effect)) in [(false, on_read), (true, on_write)] {
            let error = failure(&http, is_write).await;
            let seen = sandbox.take_seen().len();
            assert_eq!((error.kind, error.kind.exit_code()), (kind, exit_code), "{answer:?}: {error:?}");
            assert_eq!((seen, error.effect), (sent, effect), "{answer:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_page_for_people_is_no_success_whatever_was_asked() {
    let (sandbox, base_url) = sandbox().await;
    trouble(&sandbox, &Answer::html(200), usize::MAX);
    let http = sender(&base_url, |_| {});
    let error = assert_kind(http.write(Method::DELETE, &["users", "ada@example.com"]).done().await, Kind::Provider);
    assert_eq!((error.effect, error.http_status), (Effect::Unknown, Some(200)));
    assert_kind(http.read(Method::GET, &["domains"]).with_slash().text().await, Kind::Provider);
}

#[tokio::test]
async fn what_passes_is_a_success() {
    for answer in [Answer::status(429), Answer::status(503), Answer::Cut] {
        let (sandbox, base_url) = sandbox().await;
        trouble(&sandbox, &answer, 3);
        read(&sender(&base_url, |_| {})).await.expect("the fourth attempt succeeds");
        assert_eq!(sandbox.take_seen().len(), 4);
    }
}

#[tokio::test]
async fn a_connection_that_was_not_made_is_made_again() {
    // The far end hangs up before TLS is agreed on, so nothing of the request has left.
    let (base_url, count) = serve(|_, stream| {
        async move {
            drop(stream);
            Ok(())
        }
        .boxed()
    })
    .await;
    let http = sender(&base_url.replace("http:", "https:"), |_| {});
    for is_write in [false, true] {
        let error = failure(&http, is_write).await;
        let attempts = count.swap(0, Ordering::SeqCst);
        assert_eq!((attempts, error.kind, error.effect), (4, Kind::Network, Effect::None), "{error:?}");
    }
}

// Waits

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_honoured_in_both_forms() {
    // The date counts by the server's own clock, which may be far from ours, and by ours when it tells none.
    let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(21));
    let cases = [
        ("retry-after: 20".to_owned(), 20),
        ("date: Mon, 05 Jan 2026 09:00:00 GMT\r\nretry-after: Mon, 05 Jan 2026 09:00:20 GMT".to_owned(), 20),
        (format!("retry-after: {soon}"), 20),
        // Nothing to go by: the ordinary waits.
        ("retry-after: 0".to_owned(), 0),
        ("retry-after: Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), 0),
        ("retry-after: soon".to_owned(), 0),
        ("retry-after: -1".to_owned(), 0),
        ("retry-after: 1e300".to_owned(), 0),
        ("retry-after: 99999999999999999999999".to_owned(), 0),
    ];
    for (header, wait) in cases {
        let bytes = Arc::from(reply(&format!("429 Slow Down\r\nconnection: close\r\n{header}"), ""));
        let fine = Arc::from(reply("200 OK\r\nconnection: close", "[]"));
        let (base_url, _) = serve(move |count, stream| {
            respond(stream, if count == 0 { Arc::clone(&bytes) } else { Arc::clone(&fine) }).boxed()
        })
        .await;
        let start = Instant::now();
        read(&patient(&base_url, test_pace())).await.expect("the second attempt succeeds");
        let took = start.elapsed().as_secs_f64();
        let least = if wait == 0 { 0.5 } else { f64::from(wait) - 1.0 };
        assert!((least..=least + 2.0).contains(&took), "{header}: waited {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn waits_double_and_are_not_the_same_in_every_process() {
    let (sandbox, base_url) = sandbox().await;
    trouble(&sandbox, &Answer::status(500), usize::MAX);
    let http = patient(&base_url, test_pace());
    let mut waits = Vec::new();
    for _ in 0..2 {
        let start = Instant::now();
        assert_kind(read(&http).await, Kind::Provider);
        waits.push(start.elapsed());
    }
    assert!(waits.iter().all(|wait| (3.5..7.1).contains(&wait.as_secs_f64())), "{waits:?}");
    assert_ne!(waits[0], waits[1], "everybody would come back at the same moment");
}

#[tokio::test(start_paused = true)]
async fn the_whole_credential_waits() {
    // A host that does not say how long to wait gets a second.
    let cases = [
        (Answer::retry_after("60"), 60.0),
        (answer(503, &[("retry-after", "60")], ""), 60.0),
        (Answer::retry_after("0"), 1.0),
        (Answer::status(429), 1.0),
    ];
    for (answer, wait) in cases {
        let (sandbox, base_url) = sandbox().await;
        trouble(&sandbox, &answer, 1);
        let gate = Arc::new(Gate::new(test_pace()));
        let open = || {
            sender(&base_url, |options| {
                options.no_wait = false;
                options.gate = gate.clone();
            })
        };
        let (one, other) = (open(), open());
        let start = Instant::now();
        let late = async {
            sleep(Duration::from_secs_f64(wait / 2.0)).await;
            read(&other).await
        };
        let watch = async {
            sleep(Duration::from_secs_f64(wait - 0.1)).await;
            sandbox.take_seen().len()
        };
        let (one, other, seen) = tokio::join!(read(&one), late, watch);
        one.expect("it succeeds after the wait");
        other.expect("it succeeds after the wait");
        assert_eq!((seen, start.elapsed().as_secs_f64().floor()), (1, wait), "{answer:?}");
    }
}

#[tokio::test]
async fn a_host_that_fails_all_the_time_is_not_hammered() {
    let (sandbox, base_url) = sandbox().await;
    trouble(&sandbox, &Answer::status(500), usize::MAX);
    let gate = Arc::new(Gate::new(test_pace()));
    let http = sender(&base_url, |options| options.gate = gate.clone());
    let tries = 500;
    for _ in 0..tries {
        assert_kind(read(&http).await, Kind::Provider);
    }
    // A repeat for each fifth try, and the reserve of a run.
    let seen = sandbox.take_seen().len();
    assert!((tries + 1..=tries + tries / 5 + 100).contains(&seen), "{seen}");
    assert!(!http.may_repeat(), "nothing is left for rows that would be sent again");
    // What is refused as too fast is repeated all the same: the gate holds it back.
    let (busy, base_url) = self::sandbox().await;
    trouble(&busy, &Answer::status(429), usize::MAX);
    assert_kind(read(&sender(&base_url, |options| options.gate = gate.clone())).await, Kind::RateLimited);
    assert_eq!(busy.take_seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_patience_ends_at_once_and_for_all() {
    for (value, told) in
        [("121", 121), ("18446744073709551615", u64::MAX), ("Fri, 31 Dec 9999 23:59:59 GMT", 250_000_000_000)]
    {
        let (sandbox, base_url) = sandbox().await;
        trouble(&sandbox, &Answer::retry_after(value), usize::MAX);
        let http = patient(&base_url, test_pace());
        let start = Instant::now();
        let error = assert_kind(write(&http).await, Kind::RateLimited);
        let wait = error.retry_after.expect("it is told").as_secs();
        assert!(wait == told || told == 250_000_000_000 && wait > told, "{value}: {wait}");
        assert!(shown(&error).contains(&wait.to_string()));
        // Who comes next is not sent to be refused again.
        let error = assert_kind(read(&http).await, Kind::RateLimited);
        assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_secs(120)), "{error:?}");
        assert_eq!((sandbox.take_seen().len(), start.elapsed().as_secs()), (1, 0), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_and_a_rate_are_kept() {
    let (sandbox, base_url) = sandbox().await;
    let http = patient(&base_url, Pace { per_minute: Some(60), burst: 3, ..test_pace() });
    let start = Instant::now();
    let all = futures_util::future::join_all((0..7).map(|_| read(&http))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((sandbox.take_seen().len(), start.elapsed().as_secs()), (7, 4));
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_is_told_by_the_clock_of_the_server() {
    let (base_url, _) = serve_bytes(reply("200 OK\r\ndate: Mon, 05 Jan 2026 09:00:00 GMT", "[]")).await;
    let http = sender(&base_url, |_| {});
    let early = Moment::now();
    let stamp = |time: &str| Stamp::told(&format!("2026-01-05T{time}Z"));
    assert_eq!(http.made(Some(&stamp("08:00:00")), early), Made::Untold, "the server has told no time yet");
    sleep(Duration::from_secs(60)).await;
    read(&http).await.expect("it answers");
    sleep(Duration::from_secs(60)).await;
    let cases = [
        // Begun a minute before the server told its time, and a minute after.
        (early, "08:58:57", Made::Before),
        (early, "08:58:58", Made::About),
        (early, "08:59:00.9", Made::About),
        (early, "08:59:01", Made::Since),
        (Moment::now(), "09:00:57", Made::Before),
        (Moment::now(), "09:01:00", Made::About),
        (Moment::now(), "09:01:01", Made::Since),
    ];
    for (began, created, made) in cases {
        assert_eq!(http.made(Some(&stamp(created)), began), made, "{created}");
    }
    assert_eq!(http.made(None, early), Made::Untold);
    assert_eq!(http.made(Some(&Stamp::told("2026-01-05T08:00:00")), early), Made::Untold, "no zone is invented");
}

// Where nothing may be sent

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let (other, elsewhere) = sandbox().await;
    let (home, base_url) = sandbox().await;
    let http = sender(&base_url, |_| {});
    for status in [301, 302, 303, 307, 308] {
        for to in [format!("{elsewhere}/domains/"), "/emboux/aliases/".to_owned()] {
            home.fault(Fault::instead(Method::GET, "/", Answer::redirect(status, &to)).times(1));
            home.fault(Fault::instead(Method::POST, "/", Answer::redirect(status, &to)).times(1));
            for is_write in [false, true] {
                let error = failure(&http, is_write).await;
                assert_eq!((error.kind.exit_code(), error.effect), (13, Effect::None));
                assert!(error.provider_message.as_deref().is_some_and(|m| m.contains("redirect")), "{error:?}");
                assert_eq!(home.take_seen().len(), 1);
            }
        }
    }
    assert!(other.take_seen().is_empty(), "neither the key nor the body goes elsewhere");
}

#[test]
fn plain_http_is_for_loopback_only() {
    let good = [
        "https://api.example.com",
        "https://127.0.0.1.example.com/v1",
        "http://127.0.0.1:8025/emboux",
        "http://127.8.8.8",
        "http://[::1]:8025",
        "http://localhost",
        "http://LOCALHOST:1",
        "http://0x7f.1",
        "http://127.0.0.1\\@evil.example",
    ];
    for url in good {
        check_base_url(url).unwrap_or_else(|problem| panic!("{url}: {problem}"));
    }
    let bad = [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://example.com/localhost",
        "http://localhost@evil.example",
        "http://[::ffff:8.8.8.8]",
        "http://[::ffff:127.0.0.1]",
        "http://0x7f.1.example",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://user:pw@127.0.0.1",
        "http://127.0.0.1@evil.example",
        "https://user:pw@api.example.com",
        "https://api.example.com?key=1",
        "https://api.example.com#part",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "127.0.0.1:8025",
        "api.example.com",
        "",
    ];
    for url in bad {
        check_base_url(url).expect_err(url);
        let error = Http::new(options(url)).err().unwrap_or_else(|| panic!("{url} is taken"));
        assert_eq!(error.kind, Kind::Config, "{url}");
        assert!(!shown(&error).contains("pw@"), "{url}: {error}");
    }
}

/// Returns the URL that a write on these segments would go to.
fn url_of(http: &Http, segments: &[&str]) -> Result<url::Url> {
    let planned = http.write(Method::DELETE, segments).done().now_or_never().expect("a dry run sends nothing");
    let planned = planned.expect_err("a dry run ends with a plan");
    match planned.message.strip_prefix("DELETE ") {
        Some(url) if planned.kind == Kind::Planned => Ok(url.parse().expect("a URL")),
        _ => Err(planned),
    }
}

proptest! {
    #[test]
    fn a_segment_stays_a_segment(segments in prop::collection::vec("\\PC{1,12}|[./\\\\%?#@:;a2eE\r\n\t]{1,6}", 1..4)) {
        let http = sender("http://127.0.0.1:1/base/path/", |options| options.dry_run = true);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match url_of(&http, &segments) {
            Err(error) => {
                prop_assert_eq!(error.kind, Kind::Invalid);
                prop_assert!(segments.iter().any(|segment| matches!(*segment, "." | "..")));
            }
            Ok(url) => {
                let decode = |part| percent_encoding::percent_decode_str(part).decode_utf8().expect("UTF-8").into_owned();
                let found: Vec<String> = url.path_segments().expect("a path").map(decode).collect();
                prop_assert_eq!(&found[..2], ["base", "path"]);
                prop_assert_eq!(&found[2..], &segments[..]);
                prop_assert_eq!((url.port(), url.query(), url.fragment()), (Some(1), None, None));
            }
        }
    }
}

#[test]
fn segments_that_a_url_resolves_are_refused() {
    let http = sender("http://127.0.0.1:1", |options| options.dry_run = true);
    for segments in [["users", "."], ["users", ".."], ["..", "users"], ["", "users"], ["users", ""]] {
        assert_kind(url_of(&http, &segments), Kind::Invalid);
    }
    assert_eq!(url_of(&http, &["users", "%2e%2e"]).expect("it is no dot segment").path(), "/users/%252e%252e");
}

// Time limits

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_host_that_takes_no_connection_is_given_up() {
    // Once its queue is full, a listener that accepts nobody ignores whoever comes.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        queue.push(stream);
    }
    for limit in [5, 60].map(Duration::from_secs) {
        let http = patient(&format!("http://{address}"), Pace { read: limit, write: limit, ..test_pace() });
        let start = Instant::now();
        let error = assert_kind(write(&http).await, Kind::Network);
        assert_eq!(error.effect, Effect::None, "nothing has left: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn an_answer_must_begin_in_time() {
    let (sandbox, base_url) = sandbox().await;
    trouble(&sandbox, &Answer::Hang, usize::MAX);
    let limit = Duration::from_millis(50);
    let http = sender(&base_url, |options| options.pace = Pace { read: limit, write: limit, ..test_pace() });
    for (is_write, sent, effect) in [(false, 4, Effect::None), (true, 1, Effect::Unknown)] {
        let error = failure(&http, is_write).await;
        let seen = sandbox.take_seen().len();
        assert_eq!((seen, error.kind, error.effect), (sent, Kind::Network, effect), "{error:?}");
        assert!(error.provider_message.as_deref().is_some_and(|m| m.contains("50ms")), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_does_not_last_for_ever() {
    let (base_url, count) = serve(|_, mut stream| {
        async move {
            swallow(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
            loop {
                stream.write_all(b" ").await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        .boxed()
    })
    .await;
    let http = patient(&base_url, test_pace());
    for (is_write, attempts, effect) in [(false, 4, Effect::None), (true, 1, Effect::Unknown)] {
        let error = failure(&http, is_write).await;
        let count = count.swap(0, Ordering::SeqCst);
        assert_eq!((count, error.kind, error.effect), (attempts, Kind::Network, effect), "{error:?}");
        assert!(error.provider_message.as_deref().is_some_and(|m| m.contains("120s")), "{error:?}");
    }
}

// Hostile answers

#[tokio::test]
async fn odd_answers_are_errors_with_bounded_words() {
    let fill = "x".repeat(10 << 20);
    let chunks = "1\r\n \r\n".repeat(100_000);
    let zipped = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n";
    let answers: [Vec<u8>; 13] = [
        reply("400 Bad Request", &fill),
        reply("400 Bad Request", " ".repeat(1 << 20) + &fill),
        reply("400 Bad Request", b"\xff\xfe\x00 no text"),
        reply("200 OK", b"\xff\xfe\x00 no text"),
        reply("400 Böse", "\u{1b}[31mred\u{202e}der\u{0}"),
        reply("200 OK", "[".repeat(100_000)),
        b"HTTP/1.1 400 Bad\r\nx-odd: \xff\xfe\r\nretry-after: \xff\r\ndate: \xff\r\nlocation: \xff\r\ncontent-length: 0\r\n\r\n"
            .to_vec(),
        b"HTTP/1.1 302 Found\r\nlocation: //\xff/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"\xff\xfe no HTTP at all\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_vec(),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes(),
        format!("{zipped}content-length: 9\r\n\r\nno gzip !").into_bytes(),
        // A gzip stream that ends where its data should begin.
        [zipped.as_bytes(), b"content-length: 10\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff"].concat(),
    ];
    for bytes in answers {
        let (base_url, _) = serve_bytes(bytes.clone()).await;
        let http = sender(&base_url, |_| {});
        let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        for is_write in [false, true] {
            let error = failure(&http, is_write).await;
            assert!(matches!(error.kind, Kind::Invalid | Kind::Provider | Kind::Network), "{begin}: {error:?}");
            assert!(shown(&error).len() < 8_000, "{begin}");
        }
    }
}

#[tokio::test]
async fn the_value_of_a_header_of_the_profile_is_a_secret() {
    let (base_url, _) = serve_bytes(reply("400 Bad Request", "no workspace w0rk-space-k3y")).await;
    let http = sender(&base_url, |options| {
        options.headers = vec![("x-workspace-key".to_owned(), "w0rk-space-k3y".into())];
    });
    let error = failure(&http, false).await;
    assert_eq!(error.provider_message.as_deref(), Some("no workspace (redacted)"));
}

#[tokio::test]
async fn control_characters_are_kept_as_data_and_escaped_in_the_trace() {
    let (sandbox, _) = sandbox().await;
    let trace = Trace::start();
    let body = r#"{"detail":"\u001b[31mred\u001b[0m \u202etxt.exe"}"#;
    trouble(&sandbox, &answer(400, &[], body), usize::MAX);
    let provider = adapters::open(&account(&sandbox, ProviderId::Emboux)).expect("the account opens");
    let error = assert_kind(provider.check_account().await, Kind::Invalid);
    assert_eq!(error.provider_message.as_deref(), Some("\u{1b}[31mred\u{1b}[0m \u{202e}txt.exe"));
    assert!(!trace.text().contains(['\u{1b}', '\u{202e}']), "{}", trace.text());
}

#[tokio::test]
async fn a_secret_that_the_server_echoes_is_masked() {
    let basic = "Basic bWU6YzRuImErciAgeSZrZXk=";
    let spellings = [
        KEY.to_owned(),
        PASSWORD.to_owned(),
        r#"c4n\"a+r y&\u00e9"#.to_owned(),
        "c4n%22a%2Br+y%26%C3%A9".to_owned(),
        "c4n%22a%2br%20y%26%c3%a9".to_owned(),
        "c4n&quot;a+r y&amp;é".to_owned(),
        basic.to_owned(),
    ];
    let long = "-".repeat(390);
    for text in &spellings {
        for bytes in [
            reply("400 Bad Request", format!("not accepted: {text}")),
            reply("400 Bad Request", format!("{long}{text}")),
            reply("400 Bad Request", format!("{}{text}", " ".repeat(16_380))),
            reply("400 Bad Request", format!(r#"{{"detail": "not accepted: {text}"}}"#)),
            reply("400 Bad Request", format!("<html><body>not accepted: {text}</body></html>")),
            reply("200 OK", format!("not JSON: {text}")),
            reply("200 OK", format!("<html><body>not JSON: {text}</body></html>")),
            reply("200 OK", format!(r#"{{"not JSON": "{text}"#)),
            reply(&format!("302 Found\r\nlocation: https://evil.example/?{text}"), text),
            reply(&format!("400 {text}"), text),
            format!("HTTP/1.1 200 {text}\r\n{text}\r\n\r\n").into_bytes(),
        ] {
            let trace = Trace::start();
            let (base_url, _) = serve_bytes(bytes).await;
            let http = sender(&base_url, |options| {
                options.credential = Credential::Basic("me".to_owned(), KEY.into());
                options.judge = |reply| Failure::by_status(reply, || String::from_utf8_lossy(&reply.body).into_owned());
            });
            http.guard(Some(&PASSWORD.into()));
            for is_write in [false, true] {
                let error = failure(&http, is_write).await;
                let all = shown(&error) + &trace.text();
                assert!(!all.contains(CANARY) && !all.contains(&basic[6..]), "{text}: {all}");
            }
        }
    }
}

// Traces

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

/// Calls everything EmBoux can do, and returns the errors.
async fn everything(provider: &Checked) -> Vec<Error> {
    let (ada, domain) = (at("ada@example.com"), name("new.example"));
    let mut new = mbx::model::NewMailbox::at(ada.clone());
    (new.password, new.quota) = (Some(PASSWORD.into()), Some(Bytes(1 << 30)));
    let quota = MailboxChange { first_name: None, last_name: None, quota: new.quota, admin: None };
    let alias = Alias::to("info@example.com".parse().expect("a good source"), vec![ada.clone()]);
    let results = [
        provider.check_account().await.map(drop),
        provider.create_mailbox(&new).await.map(drop),
        provider.list_mailboxes(None).try_collect::<Vec<Mailbox>>().await.map(drop),
        provider.get_mailbox(&ada).await.map(drop),
        provider.update_mailbox(&ada, &quota).await.map(drop),
        provider.set_password(&ada, &PASSWORD.into()).await.map(drop),
        provider.create_alias(&alias).await.map(drop),
        provider.list_aliases(ada.domain()).try_collect::<Vec<Alias>>().await.map(drop),
        provider.delete_alias(&alias.source).await.map(drop),
        provider.delete_mailbox(&ada).await.map(drop),
        provider.create_domain(&NewDomain::named(domain.clone())).await.map(drop),
        provider.list_domains().try_collect::<Vec<Domain>>().await.map(drop),
        provider.get_domain(&domain).await.map(drop),
        provider.verify_domain(&domain).await.map(drop),
        provider.suspend_domain(&domain).await.map(drop),
        provider.resume_domain(&domain).await.map(drop),
        provider.delete_domain(&domain).await.map(drop),
    ];
    results.into_iter().filter_map(Result::err).collect()
}

#[tokio::test]
async fn no_secret_is_traced_when_all_goes_well() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    let trace = Trace::start();
    let errors = everything(&ctx.provider).await;
    assert!(errors.is_empty(), "{errors:?}");
    let text = trace.text();
    assert!(text.contains("ada@example.com") && text.contains("(redacted)"), "{text}");
    assert!(!text.contains(CANARY) && !text.contains(sandbox::KEY), "{text}");
}

#[tokio::test]
async fn no_secret_is_traced_or_told_when_all_goes_wrong() {
    let echo = format!("{KEY} and {PASSWORD}");
    let json =
        json!({ "detail": format!("no: {echo}"), "password": PASSWORD, "request": { "API-Key": KEY } }).to_string();
    let answers = [
        None,
        Some(answer(400, &[], json.clone())),
        Some(answer(500, &[], json.clone())),
        Some(answer(200, &[], json)),
        Some(answer(400, &[], echo.clone())),
        Some(answer(200, &[], echo.clone())),
        Some(answer(200, &[], format!("<html>{echo}</html>"))),
        Some(Answer::retry_after("0")),
        Some(Answer::Cut),
    ];
    for trouble_is in answers {
        let ctx = Ctx::new(ProviderId::Emboux).await;
        if let Some(answer) = &trouble_is {
            trouble(&ctx.sandbox, answer, usize::MAX);
        }
        let trace = Trace::start();
        // Without trouble the key itself is the trouble: the sandbox does not know it.
        let provider = ctx.open(|account| {
            account.secret = KEY.into();
            // As if a request with it had been sent before.
            account.redactor.learn(&PASSWORD.into());
        });
        let errors = everything(&provider).await;
        assert!(errors.len() > 8, "{trouble_is:?}: {errors:?}");
        let all = errors.iter().map(shown).collect::<String>() + &trace.text() + &provider.take_notes().concat();
        let line = all.lines().find(|line| line.contains(CANARY));
        assert_eq!(line, None, "{trouble_is:?}");
    }
}

// TLS, and what errors say

/// A server with a certificate of its own, for these names.
async fn serve_tls(names: &[&str]) -> (String, Vec<u8>, Arc<AtomicUsize>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("good names");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring speaks them")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they belong together");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let fine: Arc<[u8]> = Arc::from(reply("200 OK\r\nconnection: close", "[]"));
    let (base_url, count) = serve(move |_, stream| {
        let (acceptor, fine) = (acceptor.clone(), fine.clone());
        async move { respond(acceptor.accept(stream).await?, fine).await }.boxed()
    })
    .await;
    (base_url.replace("http:", "https:"), made.cert.pem().into_bytes(), count)
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_once_with_a_hint() {
    let (base_url, pem, count) = serve_tls(&["127.0.0.1", "localhost"]).await;
    for base_url in [base_url.clone(), base_url.replace("127.0.0.1", "localhost")] {
        for is_write in [false, true] {
            let error = failure(&sender(&base_url, |_| {}), is_write).await;
            assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("ca_file")), "{error:?}");
            let attempts = count.swap(0, Ordering::SeqCst);
            assert_eq!((attempts, error.kind, error.effect), (1, Kind::Network, Effect::None), "{error:?}");
        }
        let http = sender(&base_url, |options| options.ca_pem = Some(pem.clone()));
        read(&http).await.expect("it is trusted now");
        count.store(0, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_trusted_certificate_of_another_name_is_refused_once() {
    let (base_url, pem, count) = serve_tls(&["box.example"]).await;
    let http = sender(&base_url, |options| options.ca_pem = Some(pem));
    let error = assert_kind(read(&http).await, Kind::Network);
    assert_eq!(count.load(Ordering::SeqCst), 1, "{error:?}");
}

#[test]
fn a_ca_file_without_a_certificate_is_said_to_be_so() {
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let changed = Options { ca_pem: Some(pem.into()), ..options("https://api.example.com") };
        let error = Http::new(changed).err().expect("it holds none");
        assert_eq!(error.kind, Kind::Config);
        assert!(shown(&error).contains("ca_file"), "{error:?}");
    }
}

#[tokio::test]
async fn an_error_names_its_causes_and_no_query() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let (cut, _) = serve(|_, mut stream| async move { swallow(&mut stream).await }.boxed()).await;
    for (base_url, cause) in [(format!("http://{address}"), "refused"), (cut, "closed")] {
        let http = sender(&base_url, |_| {});
        let call = http.read(Method::GET, &["users"]).with_slash().query(&[("q", "c4n=1")]);
        let error = assert_kind(call.done().await, Kind::Network);
        let said = error.provider_message.as_deref().unwrap_or_default();
        assert!(said.contains(cause) && !said.contains("?") && !said.contains(CANARY), "{error:?}");
    }
}
