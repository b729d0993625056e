//! What a huge answer costs: little time and little memory. A binary of its own, because the peak it reads is that of
//! the whole process.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};
use futures_util::TryStreamExt;
use mbx::adapters::{self, Account};
use mbx::error::{Effect, Kind};
use mbx::http::{Credential, Failure, Gate, Http, Method, Options, Redactor};
use mbx::provider::{Pace, Provider, ProviderId};
use mbx::sandbox::{Answer, Fault, Sandbox};

const MIB: usize = 1 << 20;

/// Returns two megabytes that unpack to two gibibytes: one compressed piece of zeros, many times over.
fn bomb() -> Vec<u8> {
    let mut piece = Vec::with_capacity(MIB);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(&vec![0; MIB], &mut piece, FlushCompress::Full).expect("zeros compress");
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    (0..2048).for_each(|_| bytes.extend_from_slice(&piece));
    // The empty last block. What follows it is never looked at, unless somebody really unpacks all of it.
    bytes.extend_from_slice(&[3, 0]);
    bytes.extend_from_slice(&Crc::new().sum().to_le_bytes());
    bytes.extend_from_slice(&(1u32 << 31).to_le_bytes());
    bytes
}

/// Returns some kilobytes that unpack to a list of half a million mailboxes.
fn list_bomb() -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::best());
    let piece = r#"{"id":1,"email":"ada@example.com"},"#.repeat(1000);
    zip.write_all(b"[").expect("memory takes all");
    (0..500).for_each(|_| zip.write_all(piece.as_bytes()).expect("memory takes all"));
    zip.write_all(br#"{"id":2,"email":"bob@example.com"}]"#).expect("memory takes all");
    zip.finish().expect("memory takes all")
}

/// Starts a server that reads a request from each connection and answers it; returns where it listens.
fn serve(answer: impl Fn(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base_url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            answer(&mut stream);
        }
    });
    base_url
}

/// Starts a server that answers with a gibibyte of blanks after `first` and says so beforehand; returns where it listens.
fn serve_a_gibibyte(first: &'static str) -> String {
    serve(move |stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{first}", 1 << 30);
        while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
    })
}

/// Starts a sandbox that answers everything with this.
async fn sandbox(answer: Answer) -> Sandbox {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    for method in [Method::GET, Method::POST] {
        sandbox.fault(Fault::instead(method, "/", answer.clone()));
    }
    sandbox
}

/// Returns the most memory a process has held so far, in bytes; `None` when it has ended.
fn peak_of(process: &str) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<usize>().ok()? << 10)
}

fn peak() -> usize {
    peak_of("self").expect("this is Linux")
}

#[tokio::test]
async fn a_huge_answer_is_refused_soon_and_takes_little_memory() {
    let bomb = bomb();
    assert!(bomb.len() < 3 * MIB, "{}", bomb.len());
    let gzip = vec![("content-encoding", "gzip".to_owned())];
    let zipped = sandbox(Answer::Raw { status: 200, headers: gzip, body: bomb }).await;
    let endless = sandbox(Answer::Endless).await;
    let limit = Duration::from_secs(30);
    let pace = Pace { concurrency: 1, per_minute: None, burst: 1, read: limit, write: limit, poll: limit, machines: 1 };
    for (what, base_url) in [
        ("a gzip bomb", zipped.base_url(ProviderId::Emboux)),
        ("no length", endless.base_url(ProviderId::Emboux)),
        ("a length", serve_a_gibibyte("")),
        ("an array", serve_a_gibibyte("[1 ")),
    ] {
        let http = Http::new(Options {
            base_url,
            credential: Credential::Bearer("sandbox".into()),
            headers: Vec::new(),
            ca_pem: None,
            pace,
            gate: Arc::new(Gate::new(pace)),
            redactor: Redactor::default(),
            dry_run: false,
            no_wait: true,
            judge: |reply| Failure::by_status(reply, || reply.words()),
        })
        .expect("the options are good");
        let calls = [
            (http.read(Method::GET, &["users"]).with_slash(), Effect::None),
            (http.write(Method::POST, &["users"]).with_slash(), Effect::Unknown),
        ];
        for (call, effect) in calls {
            let (start, before) = (Instant::now(), peak());
            let error = call.reply().await.err().expect(what);
            let (took, grown) = (start.elapsed(), peak() - before);
            assert_eq!((error.kind, error.effect), (Kind::Provider, effect), "{what}: {error:?}");
            assert!(error.provider_message.as_deref().is_some_and(|m| m.contains("16 MiB")), "{what}: {error:?}");
            assert!(took < Duration::from_secs(2), "{what}: took {took:?}");
            assert!(grown < 64 * MIB, "{what}: {} MiB", grown / MIB);
        }
        let (start, before) = (Instant::now(), peak());
        let mut list = http.read(Method::GET, &["users"]).with_slash().stream::<u8>();
        let error = list.try_next().await.expect_err(what);
        let (took, grown) = (start.elapsed(), peak() - before);
        assert_eq!((error.kind, error.effect), (Kind::Provider, Effect::None), "{what}: {error:?}");
        assert!(took < Duration::from_secs(2), "{what}: took {took:?}");
        assert!(grown < 64 * MIB, "{what}: {} MiB", grown / MIB);
    }
    let bomb = list_bomb();
    assert!(bomb.len() < MIB / 4, "{}", bomb.len());
    let gzip = vec![("content-encoding", "gzip".to_owned())];
    let listed = sandbox(Answer::Raw { status: 200, headers: gzip, body: bomb }).await;
    let account = Account::new(ProviderId::Emboux, listed.base_url(ProviderId::Emboux), "sandbox".into());
    let provider = adapters::open(&account).expect("the account opens");
    let (mut count, before) = (0, peak());
    let mut list = provider.list_mailboxes(None);
    while let Some(mailbox) = list.try_next().await.expect("a list that can be read") {
        count += usize::from(mailbox.address.domain().as_str() == "example.com");
    }
    let grown = peak() - before;
    assert_eq!(count, 500_001);
    assert!(grown < 16 * MIB, "{} MiB for half a million mailboxes", grown / MIB);
    for sandbox in [zipped, endless] {
        assert_eq!(sandbox.take_seen().len(), 3, "what is too large is not asked for again");
    }
}

/// Starts a server whose account has so many mailboxes, or whose list breaks off after them; returns where it listens.
fn serve_mailboxes(count: usize, breaks_off: bool) -> String {
    serve(move |stream| {
        let mut out = std::io::BufWriter::new(stream);
        let _ = write!(out, "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut chunk = |text: &str| write!(out, "{:x}\r\n{text}\r\n", text.len()).is_ok();
        for id in 1..=count {
            let mark = if id == 1 { "[" } else { "," };
            let item = format!(
                r#"{mark}{{"id":{id},"email":"user{id:07}@example.com","domain_id":1,"created_at":"2026-01-05T09:00:00"}}"#
            );
            if !chunk(&item) {
                break;
            }
        }
        if !breaks_off {
            let _ = chunk("]") && chunk("");
        }
    })
}

/// Runs a list with the real program; returns its exit code, its output, what it says, and the most memory it held.
fn list(base_url: &str, format: &str) -> (Option<i32>, String, String, usize) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mbx"))
        .args(["list", "-p", "emboux", "-o", format])
        .env_clear()
        .env("MBX_NO_WAIT", "1")
        .env("HOME", std::env::temp_dir())
        .env("MBX_EMBOUX_BASE_URL", base_url)
        .env("MBX_EMBOUX_API_KEY", "key")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let (mut stdout, mut text, mut most) = (child.stdout.take().expect("a pipe"), Vec::new(), 0);
    let process = child.id().to_string();
    let mut piece = vec![0; 1 << 20];
    while let Ok(read @ 1..) = stdout.read(&mut piece) {
        text.extend_from_slice(&piece[..read]);
        most = most.max(peak_of(&process).unwrap_or(0));
    }
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stderr).expect("it is text");
    (output.status.code(), String::from_utf8(text).expect("it is text"), said, most)
}

#[test]
fn a_long_list_takes_little_memory_in_every_format() {
    let count = 25_000;
    let base_url = serve_mailboxes(count, false);
    for format in ["table", "json", "jsonl", "csv", "value"] {
        let (code, text, said, most) = list(&base_url, format);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{format}");
        // Such a list as objects in memory would take four kibibytes a row.
        assert!((1..64 * MIB).contains(&most), "{format}: {} MiB", most / MIB);
        let rows = match format {
            "json" => serde_json::from_str::<Vec<serde_json::Value>>(&text).expect("one array").len(),
            "table" | "csv" => text.lines().count() - 1,
            _ => text.lines().count(),
        };
        assert_eq!(rows, count, "{format}");
    }
}

#[test]
fn a_list_that_breaks_off_shows_what_came_and_says_so() {
    let base_url = serve_mailboxes(5000, true);
    for format in ["table", "json", "jsonl", "csv", "value"] {
        let (code, text, said, _) = list(&base_url, format);
        assert_eq!(code, Some(12), "{format}: {said}");
        assert!(said.contains("the list ends too early, after 4"), "{format}: {said}");
        assert!(text.contains("user0004000@example.com"), "{format}");
        if format == "json" {
            let rows = serde_json::from_str::<Vec<serde_json::Value>>(&text).expect("an array that has its end");
            assert!(said.contains(&format!("after {} rows", rows.len())), "{said}");
        }
    }
    let nothing = serve_mailboxes(0, true);
    for format in ["table", "json", "jsonl", "csv", "value"] {
        let (code, text, said, _) = list(&nothing, format);
        assert_eq!((code, text.as_str()), (Some(12), ""), "{format}: {said}");
    }
}
