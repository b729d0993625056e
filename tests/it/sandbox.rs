//! The sandbox answers as the real hosts do, also where no adapter of mbx asks: requests over a socket, and the answers
//! that were seen at a running Mail-in-a-Box v75 or that a vendor's document demands.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use mbx::adapters;
use mbx::http::Method;
use mbx::provider::{NameRule, ProviderId};
use mbx::sandbox::{BOX_USER, KEY, Sandbox};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use totp_rs::{Builder, Secret};

use crate::program::Mbx;
use crate::replay::{SEED, TOTP_USER};

const ADMINISTRATOR: &str = "administrator@box.example.com";
const FORM: &str = "application/x-www-form-urlencoded";
const GOOD: &str = "Canary-Passw0rd-7";

/// A provider of a fresh sandbox, asked without an adapter.
struct Host {
    sandbox: Sandbox,
    base: String,
    client: reqwest::Client,
}

/// An answer: its status, headers and body.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
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

    /// Sends a form to the box as its administrator.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.post_raw(path, FORM, body).await
    }

    /// Sends a body to the box as its administrator.
    async fn post_raw(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Got {
        let request = self.ask(Method::POST, path).basic_auth(BOX_USER, Some(KEY));
        got(request.header(CONTENT_TYPE, content_type).body(body)).await
    }

    /// Reads from the box as its administrator.
    async fn get(&self, path: &str) -> Got {
        got(self.ask(Method::GET, path).basic_auth(BOX_USER, Some(KEY))).await
    }

    async fn add_user(&self, email: &str) -> Got {
        self.post("/mail/users/add", &[("email", email), ("password", GOOD)]).await
    }

    async fn add_alias(&self, address: &str, forwards_to: &str) -> Got {
        self.post("/mail/aliases/add", &[("address", address), ("forwards_to", forwards_to)]).await
    }

    /// Returns the aliases that the box lists, as address, targets and whether it made them.
    async fn aliases(&self) -> Vec<(String, Value, bool)> {
        let groups = self.get("/mail/aliases?format=json").await.json();
        let all = groups.as_array().into_iter().flatten().flat_map(|group| group["aliases"].as_array()).flatten();
        all.map(|alias| (text(&alias["address"]), alias["forwards_to"].clone(), alias["auto"] == true)).collect()
    }

    async fn alias(&self, address: &str) -> Option<(Value, bool)> {
        let all = self.aliases().await;
        all.into_iter().find(|(source, _, _)| source == address).map(|(_, targets, auto)| (targets, auto))
    }

    /// Logs in, and returns the answer's status and reason.
    async fn login(&self, user: &str, password: &str) -> Value {
        got(self.ask(Method::POST, "/login").basic_auth(user, Some(password))).await.json()
    }

    /// Logs the administrator in, and returns the key.
    async fn key(&self) -> String {
        text(&self.login(BOX_USER, KEY).await["api_key"])
    }

    /// Returns the status of a call with these credentials.
    async fn opens(&self, user: &str, password: &str) -> u16 {
        got(self.ask(Method::GET, "/system/version").basic_auth(user, Some(password))).await.status
    }

    /// Returns the answer to a call with this `Authorization`.
    async fn authorized(&self, header: &[u8]) -> Got {
        let value = HeaderValue::from_bytes(header).expect("a header");
        got(self.ask(Method::GET, "/system/version").header(AUTHORIZATION, value)).await
    }
}

async fn got(request: reqwest::RequestBuilder) -> Got {
    let response = request.send().await.expect("the sandbox answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Got { status, headers, body: response.text().await.expect("the body arrives") }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned()
}

fn code() -> String {
    let secret = Secret::try_from_base32(SEED).expect("base32");
    Builder::new().with_secret(secret).build().expect("a good seed").generate_current().to_string()
}

/// S1.
#[tokio::test]
async fn a_box_removes_an_alias_that_it_takes_for_its_own_leftover() {
    let host = Host::mailinabox().await;
    let note = format!(
        "alias added\nremoved alias postmaster@lone.example (was to {ADMINISTRATOR}; domain no longer used for email)\n"
    );
    host.add_alias("postmaster@lone.example", ADMINISTRATOR).await.is(200, &note);
    let with_sender =
        [("address", "abuse@lone.example"), ("forwards_to", ADMINISTRATOR), ("permitted_senders", BOX_USER)];
    let got = host.post("/mail/aliases/add", &with_sender).await;
    assert!(got.body.starts_with("alias added\nremoved alias abuse@lone.example ("), "{got:?}");
    assert_eq!(host.alias("postmaster@lone.example").await, None);
    assert_eq!(host.alias("abuse@lone.example").await, None);
    // With another target it stays.
    host.add_alias("admin@lone.example", BOX_USER)
        .await
        .is(200, "alias added\nupdated DNS: lone.example\nweb updated\n");
    assert_eq!(host.alias("admin@lone.example").await, Some((json!([BOX_USER]), false)));
}

/// S2.
#[tokio::test]
async fn an_automatic_alias_hides_one_of_the_same_name() {
    let host = Host::mailinabox().await;
    let add = [("email", "adm@one.example"), ("password", GOOD), ("privileges", "admin")];
    host.post("/mail/users/add", &add).await;
    host.add_alias("abuse@one.example", "adm@one.example").await.is(200, "alias added\n");
    assert_eq!(host.alias("abuse@one.example").await, Some((json!([ADMINISTRATOR]), true)));
    host.add_alias("abuse@one.example", "adm@one.example").await.is(400, "Alias already exists (abuse@one.example).");
    host.post("/mail/aliases/remove", &[("address", "abuse@one.example")]).await.is(200, "alias removed\n");
    // One whose target sorts behind that of the automatic one is shown.
    host.add_alias("abuse@one.example", BOX_USER).await.is(200, "alias added\n");
    assert_eq!(host.alias("abuse@one.example").await, Some((json!([BOX_USER]), false)));
}

/// S3.
#[tokio::test]
async fn a_very_long_password_opens_nothing() {
    let host = Host::mailinabox().await;
    for (user, length, status) in [("short", 511, "ok"), ("long", 512, "invalid")] {
        let (email, password) = (format!("{user}@one.example"), "x".repeat(length));
        assert_eq!(host.post("/mail/users/add", &[("email", &email), ("password", &password)]).await.status, 200);
        assert_eq!(host.login(&email, &password).await["status"], status, "{length}");
        host.post("/mail/users/password", &[("email", &email), ("password", GOOD)]).await.is(200, "OK");
        assert_eq!(host.login(&email, GOOD).await["status"], "ok");
        host.post("/mail/users/password", &[("email", &email), ("password", &password)]).await.is(200, "OK");
        assert_eq!(host.login(&email, &password).await["status"], status, "{length}");
    }
    for (length, status) in [(131_071, 200), (131_072, 500)] {
        let fields = [("email", "long@one.example"), ("password", &"x".repeat(length))];
        assert_eq!(host.post("/mail/users/password", &fields).await.status, status, "{length}");
    }
}

/// S4.
#[tokio::test]
async fn a_password_with_a_nul_is_refused() {
    let host = Host::mailinabox().await;
    for email in [BOX_USER, "nobody@one.example"] {
        let fields = [("email", email), ("password", "Passw0rd\0long")];
        host.post("/mail/users/password", &fields).await.is(400, "embedded null byte");
    }
}

/// S5, S6, S7.
#[tokio::test]
async fn privileges_are_single_lines_that_keep_their_order() {
    let host = Host::mailinabox().await;
    for path in ["/mail/users/privileges/add", "/mail/users/privileges/remove"] {
        let got = host.post(path, &[("email", BOX_USER), ("privilege", "a\nb")]).await;
        got.is(400, "That's not a valid privilege (a\nb).");
    }
    host.post("/mail/users/privileges/add", &[("email", BOX_USER), ("privilege", "other")]).await.is(200, "OK");
    host.post("/mail/users/privileges/add", &[("email", BOX_USER), ("privilege", "admin")]).await.is(200, "OK");
    host.get(&format!("/mail/users/privileges?email={BOX_USER}")).await.is(200, "admin\nother");
    for (local, blank) in [("a", " "), ("b", "\n\n"), ("c", "\t")] {
        let email = format!("{local}@one.example");
        let fields = [("email", email.as_str()), ("password", GOOD), ("privileges", blank)];
        assert_eq!(host.post("/mail/users/add", &fields).await.status, 200, "{blank:?}");
        host.get(&format!("/mail/users/privileges?email={email}")).await.is(200, "");
    }
}

/// S8.
#[tokio::test]
async fn no_quota_is_too_large_for_a_box() {
    let host = Host::mailinabox().await;
    for quota in ["18446744073709551616", "99999999999999999999G", "\u{663}G", "\u{ff11}G"] {
        host.post("/mail/users/quota", &[("email", BOX_USER), ("quota", quota)]).await.is(200, "OK");
        host.get(&format!("/mail/users/quota?email={BOX_USER}&text=1")).await.is(200, quota);
    }
    for quota in ["G", "-1", "1K", "\u{b2}G", "\u{bd}"] {
        host.post("/mail/users/quota", &[("email", BOX_USER), ("quota", quota)]).await.is(400, "Invalid quota.");
    }
    let fields = [("email", "a@one.example"), ("password", GOOD), ("quota", "18446744073709551616")];
    assert_eq!(host.post("/mail/users/add", &fields).await.status, 200);
}

/// S9.
#[tokio::test]
async fn the_first_of_a_field_that_is_sent_twice_counts() {
    let host = Host::mailinabox().await;
    let twice = [("address", "a@one.example"), ("forwards_to", "x@one.example"), ("forwards_to", "y@one.example")];
    host.post("/mail/aliases/add", &twice).await;
    assert_eq!(host.alias("a@one.example").await, Some((json!(["x@one.example"]), false)));
    assert!(host.get("/mail/users?format=json&format=text").await.body.starts_with('['));
    assert!(!host.get("/mail/users?format=text&format=json").await.body.starts_with('['));
}

/// S10.
#[tokio::test]
async fn forms_are_read_by_their_media_type() {
    let host = Host::mailinabox().await;
    let boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
    let part = |name: &str, more: &str, text: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{text}\r\n")
    };
    let whole = part("email", "", "mp@one.example")
        + &part("password", "; filename=\"a.txt\"", "a file is not a field")
        + &part("password", "", GOOD)
        + &part("password", "", "the second does not count")
        + &format!("--{boundary}--\r\n");
    let kind = format!("Multipart/Form-Data; boundary={boundary}");
    let got = host.post_raw("/mail/users/add", &kind, whole.clone()).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(host.login("mp@one.example", GOOD).await["status"], "ok");
    // A body that breaks off, and one without a boundary, hold no fields.
    let half = whole[..whole.len() / 2].to_owned();
    host.post_raw("/mail/users/add", &kind, half).await.is(400, "No email address provided.");
    host.post_raw("/mail/users/add", "multipart/form-data", whole).await.is(400, "No email address provided.");
    let body = format!("email=a%40one.example&password={GOOD}");
    let got = host.post_raw("/mail/users/add", "Application/X-WWW-Form-Urlencoded; charset=utf-8", body.clone()).await;
    assert_eq!(got.status, 200, "{got:?}");
    let got = host.post_raw("/mail/users/add", "application/x-www-form-urlencodedish", body).await;
    got.is(400, "No email address provided.");
}

/// S11.
#[tokio::test]
async fn bytes_that_are_not_utf_8_are_not_made_up() {
    let host = Host::mailinabox().await;
    let raw = b"email=b\xfc%40one.example&password=Passw0rd-long".to_vec();
    host.post_raw("/mail/users/remove", FORM, raw).await.is(400, "That's not a user ().");
    let got = host.post_raw("/mail/users/remove", FORM, "email=b%ff%C3%BC%40one.example").await;
    got.is(400, "That's not a user (b%FFü@one.example).");
    let got = host.get("/mail/users/privileges?email=b%ff").await;
    got.is(400, "That's not a user (b%FF).");
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

/// S13.
#[tokio::test]
async fn addresses_are_as_good_as_the_validator_says() {
    let host = Host::mailinabox().await;
    let long = format!("{}@one.example", "a".repeat(243));
    for bad in ["a@one.example.", "a@ab--cd.example", "a@-a.example", "a@a_b.example", "a@one.e1", long.as_str()] {
        host.add_user(bad).await.is(400, "Invalid email address.");
        host.add_alias(bad, BOX_USER).await.is(400, &format!("Invalid email address ({bad})."));
        let refusal = format!("Invalid receiver email address ({bad}).");
        host.add_alias("a@one.example", bad).await.is(400, &refusal);
    }
    assert_eq!(host.add_user(&long[1..]).await.status, 200);
}

/// S14.
#[tokio::test]
async fn an_alias_that_strict_idna_does_not_take_is_stored_in_unicode_and_stays() {
    let host = Host::mailinabox().await;
    assert_eq!(host.add_alias("a@b\u{fc}cher.example", BOX_USER).await.status, 200);
    for odd in ["a@B\u{dc}CHER.example", "a@bu\u{308}cher.example"] {
        let stored = odd.to_lowercase();
        assert_eq!(host.add_alias(odd, BOX_USER).await.status, 200, "{odd}");
        let domain = stored.split_once('@').expect("an address").1;
        assert!(host.get("/mail/domains").await.body.lines().any(|line| line == domain), "{odd}");
    }
    let sources = host.aliases().await.into_iter().filter(|(source, _, _)| source.starts_with("a@"));
    let sources: Vec<_> = sources.map(|(source, _, _)| source).collect();
    for source in ["a@xn--bcher-kva.example", "a@b\u{fc}cher.example", "a@bu\u{308}cher.example"] {
        assert!(sources.iter().any(|known| known == source), "{source}: {sources:?}");
    }
    // The lower-case form is turned into A-labels, and so takes the other one away.
    host.post("/mail/aliases/remove", &[("address", "a@b\u{fc}cher.example")]).await;
    let got = host.post("/mail/aliases/remove", &[("address", "a@b\u{fc}cher.example")]).await;
    got.is(400, "That's not an alias (a@xn--bcher-kva.example).");
}

/// S15.
#[tokio::test]
async fn symbols_are_refused_and_senders_are_compared_as_they_are_sent() {
    let host = Host::mailinabox().await;
    host.add_alias("a@\u{2603}.example", BOX_USER).await.is(400, "Invalid email address (a@\u{2603}.example).");
    let got = host.add_alias("a@one.example", "a@\u{2603}.example").await;
    got.is(400, "Invalid receiver email address (a@\u{2603}.example).");
    host.add_user("s@xn--bcher-kva.example").await;
    host.add_user("s1@al.example").await;
    for sender in ["s@b\u{fc}cher.example", "s1@\u{ff41}l.example"] {
        let fields = [("address", "a@one.example"), ("forwards_to", BOX_USER), ("permitted_senders", sender)];
        let refusal = format!("Invalid permitted sender: {sender} is not a user on this system.");
        host.post("/mail/aliases/add", &fields).await.is(400, &refusal);
    }
}

/// S16.
#[tokio::test]
async fn a_reserved_alias_leads_to_administrators_and_reserved_addresses() {
    let host = Host::mailinabox().await;
    for target in ["Admin@y.example", "ABUSE+x@y.example", "me+tag@box.example.com"] {
        assert_eq!(host.add_alias("webmaster@one.example", target).await.status, 200, "{target}");
        host.post("/mail/aliases/remove", &[("address", "webmaster@one.example")]).await;
    }
    let got = host.add_alias("webmaster@one.example", "@y.example").await;
    got.is(400, "Invalid receiver email address (@y.example).");
    let got = host.add_alias("webmaster@one.example", "you@y.example").await;
    assert!(got.body.starts_with("This alias can only have administrators"), "{got:?}");
}

/// S17.
#[tokio::test]
async fn lists_go_by_zone_and_then_from_right_to_left() {
    let host = Host::mailinabox().await;
    let users =
        ["u@a.b.org", "u@b.a.org", "u@org.example", "u@sub.box.example.com", "u@example.com", "u@a.org", "u@b.org"];
    for email in users {
        assert_eq!(host.add_user(email).await.status, 200, "{email}");
    }
    let (listed, groups) = (host.get("/mail/users").await.body, host.get("/mail/users?format=json").await.json());
    let domains: Vec<_> = listed.lines().filter_map(|line| line.split_once('@')).map(|(_, domain)| domain).collect();
    let wanted = ["box.example.com", "box.example.com", "sub.box.example.com", "example.com"];
    let wanted = [&wanted[..], &["a.org", "b.a.org", "b.org", "a.b.org", "org.example"]].concat();
    assert_eq!(domains, wanted);
    let groups: Vec<_> = groups.as_array().into_iter().flatten().map(|group| text(&group["domain"])).collect();
    assert_eq!(groups, wanted[1..]);
    let zones = host.get("/dns/zones").await.json();
    assert_eq!(zones, json!(["example.com", "a.org", "b.org", "org.example"]));
}

/// S18.
#[tokio::test]
async fn json_is_ascii() {
    let host = Host::mailinabox().await;
    host.add_user("u@xn--bcher-kva.example").await;
    let listed = host.get("/mail/users?format=json").await.body;
    assert!(listed.contains("b\\u00fccher.example"), "{listed}");
    assert!(listed.is_ascii() && !listed.contains('\u{7f}'));
    let query = "/mail/users/quota?email=%f0%9f%98%80%7f";
    let refusal = r#""That's not a user (\ud83d\ude00\u007f).""#;
    assert!(host.get(query).await.body.contains(refusal));
}

/// S19.
#[tokio::test]
async fn the_notes_name_the_zones_that_change() {
    let host = Host::mailinabox().await;
    let added = |zone: &str| format!("mail user added\nupdated DNS: {zone}\nweb updated\n");
    host.add_user("u@zeta.example").await.is(200, &added("zeta.example"));
    host.add_user("u@alpha.zeta.example").await.is(200, &added("zeta.example"));
    host.add_user("v@alpha.zeta.example").await.is(200, "mail user added\n");
    host.add_user("u@back.example").await.is(200, &added("back.example"));
    let remove = async |email| host.post("/mail/users/remove", &[("email", email)]).await;
    let gone = "mail user removed\nupdated DNS: DNS configuration\nweb updated\n";
    remove("u@back.example").await.is(200, gone);
    // The file of the zone is still there.
    host.add_user("u@back.example").await.is(200, &added("DNS configuration"));
    host.add_alias("a@back.example", BOX_USER).await.is(200, "alias added\n");
    // The domain stays with its alias, and without an account.
    let changed = "mail user removed\nupdated DNS: back.example\nweb updated\n";
    remove("u@back.example").await.is(200, changed);
    host.add_user("u@back.example").await.is(200, &added("back.example"));
}

/// S20.
#[tokio::test]
async fn a_login_key_lives_while_it_is_used_by_its_owner() {
    let host = Host::mailinabox().await;
    let (used, unused) = (host.key().await, host.key().await);
    for _ in 0..62 {
        host.key().await;
    }
    assert_eq!(host.opens(BOX_USER, &used).await, 200);
    host.key().await;
    assert_eq!((host.opens(BOX_USER, &used).await, host.opens(BOX_USER, &unused).await), (200, 401));
    // Nobody else can log the owner out.
    got(host.ask(Method::POST, "/logout").basic_auth(TOTP_USER, Some(&used)))
        .await
        .is(200, "{\n  \"status\": \"ok\"\n}\n");
    assert_eq!(host.opens(BOX_USER, &used).await, 200);
    got(host.ask(Method::POST, "/logout").basic_auth(BOX_USER, Some(&used))).await;
    assert_eq!(host.opens(BOX_USER, &used).await, 401);
    host.add_user("gone@one.example").await;
    let key = text(&host.login("gone@one.example", GOOD).await["api_key"]);
    host.post("/mail/users/remove", &[("email", "gone@one.example")]).await;
    let wanted = json!({ "reason": "That's not a user (gone@one.example).", "status": "invalid" });
    assert_eq!(host.login("gone@one.example", &key).await, wanted);
}

/// S21.
#[tokio::test]
async fn a_code_is_asked_for_and_used_up_once() {
    let host = Host::mailinabox().await;
    let ask = |path, code: &str| {
        let method = if path == "/logout" { Method::POST } else { Method::GET };
        got(host.ask(method, path).basic_auth(TOTP_USER, Some(KEY)).header("x-auth-token", code))
    };
    ask("/system/version", "").await.is(401, "missing-totp-token\n");
    let code = code();
    ask("/logout", &code).await;
    ask("/system/version", &code).await.is(401, "invalid-totp-token\n");
}

/// S22.
#[tokio::test]
async fn base64_is_read_as_python_reads_it() {
    let host = Host::mailinabox().await;
    // `me@box.example.com:sandbox`
    let good = "bWVAYm94LmV4YW1wbGUuY29tOnNhbmRib3g=";
    for odd in [good.replace("Ym94", "Y!m-9\u{2d}4"), format!("{good} word"), format!("{good}==")] {
        host.authorized(format!("Basic {odd}").as_bytes()).await.is(200, "v75");
    }
    let got = host.authorized(format!("Basic {}", good.trim_end_matches('=')).as_bytes()).await;
    got.is(401, "Incorrect padding\n");
    assert_eq!(got.headers["x-reason"], "Incorrect padding");
    let got = host.authorized(b"Basic bW\xe9V").await;
    got.is(401, "'ascii' codec can't encode character '\\xe9' in position 2: ordinal not in range(128)\n");
    for garbled in [&b"basic x"[..], b"Basic", b"Bearer x", b"Basic Og=="] {
        host.authorized(garbled).await.is(401, "Authorization header invalid.\n");
    }
}

/// S23.
#[tokio::test]
async fn options_are_answered_and_named() {
    let host = Host::mailinabox().await;
    for (method, status) in [(Method::OPTIONS, 200), (Method::GET, 405)] {
        let got = got(host.ask(method, "/mail/users/add")).await;
        let allowed = got.headers["allow"].to_str().expect("methods");
        let allowed: BTreeSet<_> = allowed.split(',').map(str::trim).collect();
        assert_eq!((got.status, allowed), (status, BTreeSet::from(["OPTIONS", "POST"])), "{got:?}");
    }
    assert_eq!(got(host.ask(Method::OPTIONS, "/mail/nope")).await.status, 404);
}

/// S25, S26: a request to EmBoux.
async fn emboux(host: &Host, method: Method, path: &str, body: Option<Value>) -> Got {
    let request = host.ask(method, path).bearer_auth(KEY);
    got(match body {
        Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
        None => request,
    })
    .await
}

/// S25.
#[tokio::test]
async fn a_parameter_is_refused_as_one_of_the_query() {
    let host = Host::new(ProviderId::Emboux).await;
    for path in ["/users/", "/aliases/"] {
        emboux(&host, Method::GET, &format!("{path}?domain_id=-1"), None).await.is(200, "[]");
        let got = emboux(&host, Method::GET, &format!("{path}?domain_id=x"), None).await;
        assert_eq!((got.status, &got.json()["detail"][0]["loc"]), (422, &json!(["query", "domain_id"])));
    }
    let host = Host::new(ProviderId::Hybridbox).await;
    let got = hybridbox_list(&host, "color=red").await;
    assert_eq!((got.status, &got.json()["detail"][0]["loc"]), (422, &json!(["query", "color"])));
}

async fn hybridbox_list(host: &Host, query: &str) -> Got {
    let path = format!("/v1/public/accounts/3c90c3cc-0d44-4b50-8888-8dd25736052a/mailboxes?{query}");
    got(host.ask(Method::GET, &path).bearer_auth(KEY)).await
}

/// S26.
#[tokio::test]
async fn emboux_takes_domains_with_members_of_the_documented_types() {
    let host = Host::new(ProviderId::Emboux).await;
    let create = |body| emboux(&host, Method::POST, "/domains/", Some(body));
    assert_eq!(create(json!({ "name": "no domain at all" })).await.status, 400);
    assert_eq!(create(json!({ "name": "one.example", "partner_ref": [1] })).await.status, 422);
    assert_eq!(create(json!({ "name": "one.example", "partner_ref": "p" })).await.status, 201);
}

/// S27.
#[tokio::test]
async fn hybridbox_wants_uuids_of_workspaces() {
    let host = Host::new(ProviderId::Hybridbox).await;
    for odd in ["abc", ""] {
        assert_eq!(hybridbox_list(&host, &format!("workspace_id={odd}")).await.status, 422, "{odd}");
    }
    let unknown = "workspace_id=00000000-0000-4000-8004-999999999999";
    assert_eq!(hybridbox_list(&host, unknown).await.json()["items"], json!([]));
}

/// A19.
#[tokio::test]
async fn litemail_shows_a_removal_that_is_scheduled_by_its_date() {
    let host = Host::new(ProviderId::Litemail).await;
    host.sandbox.add_mailbox(ProviderId::Litemail, "a@example.com");
    host.sandbox.add_mailbox(ProviderId::Litemail, "b@example.com");
    let ask = |method, path: &str| got(host.ask(method, path).header("x-api-key", KEY));
    let listed = ask(Method::GET, "/v1/mailboxes").await.json();
    let id = text(&listed["data"]["domains"][0]["mailboxes"][0]["id"]);
    assert_eq!(ask(Method::DELETE, &format!("/v1/mailboxes/{id}")).await.status, 200);
    let listed = ask(Method::GET, "/v1/mailboxes").await.json();
    let shown = &listed["data"]["domains"][0]["mailboxes"];
    assert_eq!((&shown[0]["id"], shown[0]["expireOn"].is_string()), (&json!(id), true), "{shown}");
    assert_eq!(shown[1]["expireOn"], Value::Null, "{shown}");
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

#[tokio::test]
async fn a_served_sandbox_has_a_fixed_time_or_ours() {
    for (clock, is_ours) in [(&["--clock", "now"][..], true), (&[], false)] {
        let mut mbx = Mbx::new();
        let line = [&["sandbox", "serve", "--port", "0", "-q", "-o", "json"][..], clock].concat();
        let mut serving = mbx.command(&line).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut stdout = BufReader::new(serving.stdout.take().expect("a pipe")).lines();
        let mut printed = String::new();
        while let Some(line) = stdout.next_line().await.expect("it is text") {
            printed.push_str(&line);
            if line == "]" {
                break;
            }
        }
        let variables: Value = serde_json::from_str(&printed).expect("it is JSON");
        for variable in variables.as_array().expect("an array") {
            mbx.set(variable["name"].as_str().expect("a name"), variable["value"].as_str().expect("a value"));
        }
        for id in ProviderId::ALL {
            let mut line = vec!["create", "ada@example.com", "-p", id.as_str(), "-o", "json"];
            let rules = &adapters::spec(id).rules;
            let (has_names, takes_password) = (!matches!(rules.names, NameRule::Never(_)), rules.takes_password());
            line.extend(["--first-name", "Ada", "--last-name", "Byron"].iter().filter(|_| has_names));
            line.extend(["--password-stdin"].iter().filter(|_| takes_password));
            let made = mbx.run_with_input(&line, GOOD).await.ok().json();
            assert_eq!(made["outcome"], "created", "{made}");
            // Some providers do not say when a mailbox was made.
            if let Some(created) = made["created_at"].as_str() {
                assert_eq!(!created.starts_with("2026-01-05T"), is_ours, "{made}");
            }
        }
    }
}
