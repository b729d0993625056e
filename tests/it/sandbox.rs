//! The sandbox answers as the real hosts do, also where no adapter of mbx asks: requests over a socket, and the answers
//! that were seen at a running Mail-in-a-Box v75 or that a vendor's document demands.

use std::time::Duration;

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{BOX_USER, KEY, Sandbox};
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::program::Mbx;

const FORM: &str = "application/x-www-form-urlencoded";

/// A provider of a fresh sandbox, asked without an adapter.
struct Host {
    sandbox: Sandbox,
    base: String,
    client: reqwest::Client,
}

/// An answer: its status and body.
#[derive(Debug)]
struct Got {
    status: u16,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?} is not JSON"))
    }

    fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body), "{self:?}");
    }
}

impl Host {
    async fn new(id: ProviderId) -> Self {
        let sandbox = Sandbox::start().await.expect("the sandbox starts");
        // reqwest builds no client without a provider of cryptography, not even one that never uses TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client without TLS");
        Host { base: sandbox.base_url(id), sandbox, client }
    }

    async fn mailinabox() -> Self {
        Host::new(ProviderId::Mailinabox).await
    }

    fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Logs in, and returns the answer's status and reason.
    async fn login(&self, user: &str, password: &str) -> Value {
        got(self.ask(Method::POST, "/login").basic_auth(user, Some(password))).await.json()
    }

    /// Logs the administrator in, and returns the key.
    async fn key(&self) -> String {
        text(&self.login(BOX_USER, KEY).await["api_key"])
    }
}

async fn got(request: reqwest::RequestBuilder) -> Got {
    let response = request.send().await.expect("the sandbox answers");
    let status = response.status().as_u16();
    Got { status, body: response.text().await.expect("the body arrives") }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned()
}

/// S12.
#[tokio::test]
async fn a_body_over_a_megabyte_is_refused_by_every_provider() {
    for id in ProviderId::ALL {
        let host = Host::new(id).await;
        let sent = host.ask(Method::POST, "/mail/users/add").header(CONTENT_TYPE, FORM).body("x".repeat(1_200_000));
        let got = got(sent).await;
        assert_eq!(got.status, 413, "{id}: {got:?}");
        assert_eq!(got.body, text(&crate::replay::recorded("web.body_over_1MB")["answer"]["body"]), "{id}");
    }
}

/// C17.
#[tokio::test]
async fn only_programs_of_this_machine_are_served() {
    let host = Host::mailinabox().await;
    let ask = |name: &'static str, value: &str| {
        got(host.ask(Method::GET, "/system/version").basic_auth(BOX_USER, Some(KEY)).header(name, value))
    };
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "evil.example:8025"),
        ("host", "127.0.0.1.evil.example"),
        ("host", "localhost@evil.example"),
        ("origin", "https://evil.example"),
        ("origin", "http://localhost.evil.example"),
        ("origin", "null"),
    ] {
        let got = ask(name, value).await;
        assert_eq!(got.status, 403, "{name}: {value}: {got:?}");
        assert!(!got.body.contains("v75"), "{got:?}");
    }
    for (name, value) in [
        ("host", "localhost"),
        ("host", "LocalHost:1"),
        ("host", "127.0.0.1:8025"),
        ("host", "[::1]"),
        ("host", "[::1]:8025"),
        ("origin", "http://localhost:3000"),
        ("origin", "http://127.0.0.1"),
    ] {
        ask(name, value).await.is(200, "v75");
    }
}

/// C17.
#[tokio::test]
async fn requests_are_kept_in_tests_only() {
    let host = Host::mailinabox().await;
    host.key().await;
    assert_eq!(host.sandbox.take_seen().len(), 1);
    let sandbox = Sandbox::start_on(0, None).await.expect("the sandbox starts");
    let host = Host { base: sandbox.base_url(ProviderId::Mailinabox), sandbox, client: host.client };
    host.key().await;
    assert_eq!(host.sandbox.take_seen().len(), 0);
}

const LIST: [&str; 4] = ["list", "-p", "emboux", "--sandbox"];
const STATE: &str = ".local/state/mbx/sandbox.json";

/// C17.
#[cfg(unix)]
#[tokio::test]
async fn the_state_is_private_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let mbx = Mbx::new();
    let folder = mbx.file(".local/state/mbx/x", "").parent().expect("a folder").to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("its mode is set");
    let ran = mbx.run_after("umask 0", &LIST).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let mode = |path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(folder.clone()), 0o700);
    assert_eq!(mode(folder.join("sandbox.json")), 0o600);
    assert_eq!(mode(folder.join("sandbox.lock")), 0o600);
}

/// C17.
#[cfg(unix)]
#[tokio::test]
async fn no_link_is_followed_to_the_state() {
    for name in ["sandbox.json", "sandbox.lock"] {
        let mbx = Mbx::new();
        let link = mbx.file(STATE, "").with_file_name(name);
        let other = mbx.file("other", "{}");
        std::fs::remove_file(mbx.home.path().join(STATE)).expect("it is removed");
        std::os::unix::fs::symlink(&other, &link).expect("the link is made");
        assert_eq!(mbx.run(&LIST).await.code, 3, "{name}");
        assert_eq!(std::fs::read_to_string(&other).expect("it is read"), "{}", "{name}");
        // Nor to a file of the name that was once the temporary one.
        std::fs::remove_file(&link).expect("it is removed");
        std::os::unix::fs::symlink(&other, link.with_file_name("sandbox.new")).expect("the link is made");
        mbx.run(&LIST).await.ok();
        assert_eq!(std::fs::read_to_string(&other).expect("it is read"), "{}", "{name}");
    }
}

/// C13.
#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_the_wait_for_the_state() {
    let mbx = Mbx::new();
    mbx.run(&LIST).await.ok();
    let lock = std::fs::File::open(mbx.home.path().join(STATE).with_file_name("sandbox.lock")).expect("it is there");
    lock.lock().expect("it is free");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = mbx.command(&LIST).stderr(std::process::Stdio::null()).spawn().expect("it runs");
        let waits = tokio::time::timeout(Duration::from_millis(500), child.wait()).await;
        assert!(waits.is_err(), "it waits for the lock");
        let id = child.id().expect("it runs").to_string();
        tokio::process::Command::new("kill").args(["-s", signal, &id]).status().await.expect("the signal is sent");
        let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.expect("it ends");
        assert_eq!(ended.expect("it ends").code(), Some(code));
    }
}
