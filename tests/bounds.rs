//! What a huge answer costs: little time and little memory. A binary of its own, because the peak it reads is that of
//! the whole process.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::TcpListener;
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

/// Starts a server that answers with a gibibyte of blanks after `first` and says so beforehand; returns where it listens.
fn serve_a_gibibyte(first: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base_url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ =
                stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{first}", 1 << 30).as_bytes());
            while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
        }
    });
    base_url
}

/// Starts a sandbox that answers everything with this.
async fn sandbox(answer: Answer) -> Sandbox {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    for method in [Method::GET, Method::POST] {
        sandbox.fault(Fault::instead(method, "/", answer.clone()));
    }
    sandbox
}

/// Returns the most memory this process has held so far, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts it");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

#[tokio::test]
async fn a_huge_answer_is_refused_soon_and_takes_little_memory() {
    let bomb = bomb();
    assert!(bomb.len() < 3 * MIB, "{}", bomb.len());
    let gzip = vec![("content-encoding", "gzip".to_owned())];
    let zipped = sandbox(Answer::Raw { status: 200, headers: gzip, body: bomb }).await;
    let endless = sandbox(Answer::Endless).await;
    let limit = Duration::from_secs(30);
    let pace = Pace { concurrency: 1, per_minute: None, burst: 1, read: limit, write: limit, poll: limit };
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
