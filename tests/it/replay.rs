//! Recordings of a running Mail-in-a-Box (v75, and v72 where the name says so), against both sides: the adapter asks
//! as the recorded program asked and reads what the box answered; the sandbox answers as the box did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use futures_util::TryStreamExt;
use mbx::error::{Error, Kind, Result};
use mbx::http::Method;
use mbx::model::{Address, Alias, AliasSource, Bytes, MailboxChange};
use mbx::provider::{Checked, Provider, ProviderId};
use mbx::sandbox::{Answer, BOX_USER, Fault, KEY, Seen};
use serde_json::Value;
use totp_rs::{Builder, Secret};

use crate::support::{Ctx, PASSWORD, at, name};

/// The seed of the sandbox's administrator with a second factor.
pub(crate) const SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
pub(crate) const TOTP_USER: &str = "totp@box.example.com";

type Fields = BTreeMap<String, String>;

static RECORDED: LazyLock<Vec<Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("wire/mailinabox/exchanges.json")).expect("the recordings are JSON")
});

/// Returns one recorded exchange.
pub(crate) fn recorded(name: &str) -> &'static Value {
    RECORDED.iter().find(|e| e["name"] == name).unwrap_or_else(|| panic!("{name} is not among the recordings"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is not a string in {value}"))
}

fn pairs(value: &Value) -> Fields {
    let object = value.as_object().into_iter().flatten();
    object.map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned())).collect()
}

fn parsed(form: &str) -> Fields {
    url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

fn method(exchange: &Value) -> Method {
    text(exchange, "method").parse().expect("a method")
}

/// Splits a recorded path into path, without the box's prefix, and query.
fn place(exchange: &Value) -> (String, Fields) {
    let (path, query) = text(exchange, "path").split_once('?').unwrap_or((text(exchange, "path"), ""));
    (path.trim_start_matches("/admin").to_owned(), parsed(query))
}

/// Returns the recorded answer, to be played back.
pub(crate) fn answer(exchange: &Value) -> Answer {
    let headers = pairs(&exchange["answer"]["headers"]).into_iter().map(|(name, value)| {
        let known = ["allow", "content-type", "location", "www-authenticate", "x-reason"];
        (known.into_iter().find(|k| *k == name).expect("a header that was kept"), value)
    });
    let status = exchange["answer"]["status"].as_u64().and_then(|s| u16::try_from(s).ok()).expect("a status");
    Answer::Raw { status, headers: headers.collect(), body: text(&exchange["answer"], "body").into() }
}

fn quota(bytes: u64) -> MailboxChange {
    MailboxChange { quota: Some(Bytes(bytes)), ..MailboxChange::default() }
}

fn admin(wanted: bool) -> MailboxChange {
    MailboxChange { admin: Some(wanted), ..MailboxChange::default() }
}

fn source(text: &str) -> AliasSource {
    text.parse().expect("a good source")
}

fn alias(from: &str, targets: &[&str]) -> Alias {
    Alias::to(source(from), targets.iter().map(|t| at(t)).collect())
}

/// Makes a mailbox with the password of a recorded request, its quota and its admin flag.
async fn create(ctx: &Ctx, exchange: &str, change: MailboxChange) -> Result<()> {
    let form = pairs(&recorded(exchange)["form"]);
    let mut new = ctx.mailbox(&form["email"]);
    new.password = Some(form["password"].clone().into());
    (new.quota, new.admin) = (change.quota, change.admin);
    ctx.provider.create_mailbox(&new).await.map(drop)
}

/// Asserts that the last request the sandbox has seen is the recorded one.
#[track_caller]
fn assert_asked(ctx: &Ctx, exchange: &str, result: Result<()>) {
    result.unwrap_or_else(|error| panic!("{exchange}: {error:?}"));
    let seen: Vec<Seen> = ctx.sandbox.take_seen();
    let (last, before) = seen.split_last().expect("something was sent");
    // Only a first look at a list may come before a write.
    let is_list = |path: &str| ["users", "aliases"].iter().any(|list| path == format!("/mailinabox/admin/mail/{list}"));
    assert!(before.iter().all(|r| is_list(&r.path) && r.query == "format=json"), "{before:?}");
    let wanted = recorded(exchange);
    let (path, query) = place(wanted);
    assert_eq!((&last.method, &last.path), (&method(wanted), &format!("/mailinabox/admin{path}")), "{exchange}");
    assert_eq!(parsed(&last.query), query, "{exchange}");
    // The recorded list of two targets ends in a line break, which changes nothing.
    let trimmed = |fields: Fields| fields.into_iter().map(|(k, v)| (k, v.trim_end().to_owned())).collect::<Fields>();
    assert_eq!(trimmed(parsed(&last.body)), trimmed(pairs(&wanted["form"])), "{exchange}");
    let form = last.headers.get("content-type").map(String::as_str);
    assert_eq!(form, (!last.body.is_empty()).then_some("application/x-www-form-urlencoded"), "{exchange}");
    let codes = last.headers.get("x-auth-token").map(String::len);
    assert_eq!(codes, wanted["headers"]["x-auth-token"].as_str().map(str::len), "{exchange}");
}

#[tokio::test]
async fn every_request_of_the_adapter_is_a_recorded_one() {
    let ctx = Ctx::new(ProviderId::Mailinabox).await;
    let none = MailboxChange::default;
    let p = &ctx.provider;
    let drained = async |domain: &str| {
        let domain = name(domain);
        p.list_aliases(&domain).try_collect::<Vec<_>>().await.map(drop)
    };
    assert_asked(&ctx, "users.privileges.get.self", p.check_account().await.map(drop));
    assert_asked(&ctx, "users.add.ok.new_domain", create(&ctx, "users.add.ok.new_domain", none()).await);
    assert_asked(&ctx, "users.add.ok.password_specials", create(&ctx, "users.add.ok.password_specials", none()).await);
    assert_asked(&ctx, "users.add.ok.punycode_domain", create(&ctx, "users.add.ok.punycode_domain", none()).await);
    assert_asked(
        &ctx,
        "users.add.ok.privileges_admin",
        create(&ctx, "users.add.ok.privileges_admin", admin(true)).await,
    );
    for (exchange, bytes) in [
        ("users.add.ok.quota_1G", 1 << 30),
        ("users.add.ok.quota_0", 0),
        ("users.add.ok.quota_500M", 500 << 20),
        ("users.add.ok.quota_bare_number", 1_000_000),
    ] {
        assert_asked(&ctx, exchange, create(&ctx, exchange, quota(bytes)).await);
    }
    let all = p.list_mailboxes(Some(&name("example.com"))).try_collect::<Vec<_>>().await;
    assert_asked(&ctx, "users.list.json.after_remove", all.map(drop));
    assert_asked(&ctx, "users.list.json.after_remove", p.get_mailbox(&at("alice@example.com")).await.map(drop));
    let new = pairs(&recorded("users.password.ok2")["form"])["password"].clone().into();
    assert_asked(&ctx, "users.password.ok2", p.set_password(&at("Alice@example.com"), &new).await.map(drop));
    for (exchange, address, change) in [
        ("users.quota.set.ok_1G", "q2@example.com", quota(1 << 30)),
        ("users.quota.set.ok_0", "q2@example.com", quota(0)),
        ("users.quota.set.ok_below_usage", "q3@example.com", quota(1000)),
        ("users.privileges.add.ok", "alice@example.com", admin(true)),
        ("users.privileges.add.again", "alice@example.com", admin(true)),
        ("users.privileges.remove.ok", "alice@example.com", admin(false)),
        ("users.privileges.remove.not_held", "alice@example.com", admin(false)),
    ] {
        assert_asked(&ctx, exchange, p.update_mailbox(&at(address), &change).await.map(drop));
    }
    assert_asked(&ctx, "users.remove.ok.with_mail", p.delete_mailbox(&at("q1@example.com")).await.map(drop));
    for (exchange, new) in [
        ("aliases.add.ok", alias("sales@example.com", &["alice@example.com"])),
        ("aliases.add.ok.multiple_newline", alias("team2@example.com", &["alice@example.com", "bob@example.com"])),
        ("aliases.add.ok.catch_all", alias("@example.com", &["alice@example.com"])),
    ] {
        assert_asked(&ctx, exchange, p.create_alias(&new).await.map(drop));
    }
    assert_asked(&ctx, "aliases.list.json.populated", drained("example.com").await);
    assert_asked(&ctx, "domains.list", p.list_domains().try_collect::<Vec<_>>().await.map(drop));
    assert_asked(&ctx, "domains.list", p.get_domain(&name("example.com")).await.map(drop));
    assert_asked(&ctx, "dns.dump.abridged", p.domain_dns(&name("example.com")).await.map(drop));
    assert_asked(&ctx, "aliases.remove.ok", p.delete_alias(&source("Sales@Example.com")).await.map(drop));
    assert_asked(&ctx, "aliases.remove.catch_all", p.delete_alias(&source("@example.com")).await.map(drop));
}

#[tokio::test]
async fn a_login_with_a_code_and_its_end_are_recorded_ones() {
    let ctx = Ctx::new(ProviderId::Mailinabox).await;
    let secured = secured(&ctx);
    secured.check_account().await.expect("the code is good");
    let seen = ctx.sandbox.take_seen();
    let (login, wanted) = (&seen[0], recorded("totp.login.ok"));
    assert_eq!((login.path.as_str(), login.method.as_str()), ("/mailinabox/admin/login", text(wanted, "method")));
    assert_eq!(login.body, "");
    let (code, wanted) = (&login.headers["x-auth-token"], text(&wanted["headers"], "x-auth-token"));
    assert!(code.len() == wanted.len() && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
    assert!(!seen[1].headers.contains_key("x-auth-token"));
    secured.close().await;
    assert_asked(&ctx, "logout.ok", Ok(()));
}

/// Opens the administrator with a second factor.
fn secured(ctx: &Ctx) -> Checked {
    ctx.open(|account| (account.user, account.totp) = (Some(TOTP_USER.to_owned()), Some(SEED.into())))
}

/// What each recorded answer means to the adapter call that asks for it: `None` is a success.
const MEANINGS: &[(Option<Kind>, &[&str])] = &[
    (
        None,
        &[
            "aliases.add.ok",
            "aliases.add.ok.new_domain",
            "aliases.list.json.populated",
            "aliases.remove.ok",
            "aliases.remove.ok.last_in_domain",
            "dns.dump.abridged",
            "domains.list",
            "login.ok.admin",
            "totp.login.ok",
            "users.add.ok.existing_domain",
            "users.add.ok.new_domain",
            "users.add.ok.privileges_admin",
            "users.add.ok.restore_archived",
            "users.list.json.after_remove",
            "users.list.json.size_unknown",
            "users.password.ok",
            "users.privileges.add.again",
            "users.privileges.add.ok",
            "users.privileges.get.self",
            "users.privileges.get.two",
            "users.privileges.remove.not_held",
            "users.privileges.remove.ok",
            "users.quota.set.ok_0",
            "users.quota.set.ok_1G",
            "users.remove.ok.domain_still_used",
            "users.remove.ok.last_in_domain",
            "v72.aliases.list.json",
            "v72.login.ok",
            "v72.users.add.quota_is_ignored",
            "v72.users.list.json",
        ],
    ),
    (
        Some(Kind::Auth),
        &[
            "auth.empty_password",
            "auth.non_ascii_password",
            "auth.none.accept_any",
            "auth.none.xhr_accept_json",
            "auth.wrong_password.accept_json",
            "login.no_auth_header",
            "login.session_key_of_removed_user",
            "login.wrong_password",
            "totp.basic.invalid_token",
            "totp.basic.no_token.accept_json",
            "totp.login.invalid_token",
            "totp.login.no_token",
            "totp.login.same_token_again",
        ],
    ),
    (Some(Kind::Denied), &["auth.non_admin.accept_json", "auth.non_admin.xhr", "login.ok.non_admin"]),
    (
        Some(Kind::NotFound),
        &[
            "aliases.remove.again",
            "aliases.remove.auto_alias",
            "aliases.remove.uppercase",
            "users.password.archived_user",
            "users.password.unknown_user",
            "users.privileges.add.unknown_user",
            "users.privileges.get.unknown_user",
            "users.privileges.remove.unknown_user",
            "users.quota.set.unknown_user",
            "users.quota.set.uppercase_email",
            "users.remove.again",
            "users.remove.uppercase",
        ],
    ),
    (Some(Kind::Conflict), &["aliases.add.duplicate", "failure.dovecot_down.users.add.again", "users.add.duplicate"]),
    (
        Some(Kind::Invalid),
        &[
            "aliases.add.bad_permitted_sender",
            "aliases.add.dcv.to_non_admin",
            "aliases.add.invalid_address",
            "aliases.add.invalid_receiver_second",
            "aliases.add.missing_address",
            "aliases.add.missing_forwards_to",
            "users.add.blank_email",
            "users.add.charset.plus",
            "users.add.charset.unicode_domain",
            "users.add.charset.uppercase_local",
            "users.add.dcv.administrator",
            "users.add.invalid.no_at",
            "users.add.invalid.special_use_tld_test",
            "users.add.missing_all",
            "users.add.missing_password",
            "users.add.password.nul_byte",
            "users.add.password.short7",
            "users.add.precedence.dup_and_bad_quota",
            "users.add.privileges_trailing_newline",
            "users.add.quota.decimal",
            "users.add.quota.empty",
            "users.add.quota.negative",
            "users.password.missing",
            "users.password.short",
            "users.privileges.add.missing_privilege",
            "users.privileges.remove.missing_privilege",
            "users.quota.set.bad_decimal",
            "users.quota.set.bad_word",
            "users.quota.set.empty",
            "web.body_over_1MB",
        ],
    ),
    (Some(Kind::Unsupported), &["v72.users.quota.set.no_such_endpoint", "web.admin_missing_prefix_on_https"]),
    (Some(Kind::Provider), &["failure.daemon_down", "users.privileges.get.none", "web.plain_http_redirects_to_https"]),
    // What was changed cannot be seen; a mailbox that no look shows may come later; and "alias updated" does not answer
    // what the adapter asks.
    (
        Some(Kind::Unknown),
        &[
            "aliases.add.ok.update_if_exists_1",
            "failure.dovecot_down.users.add",
            "failure.dovecot_down.users.quota.set",
            "failure.overlong_domain.users.add",
            "web.gateway_timeout_after_60s",
        ],
    ),
];

/// Makes the adapter call that asks for a path.
async fn call(ctx: &Ctx, method: &Method, path: &str) -> Result<()> {
    let (alice, p) = (at("alice@example.com"), &ctx.provider);
    match (method.as_str(), path) {
        ("POST", "/login") => secured(ctx).check_account().await.map(drop),
        ("GET", "/mail/users") => p.list_mailboxes(None).try_collect::<Vec<_>>().await.map(drop),
        ("POST", "/mail/users/add") => p.create_mailbox(&ctx.mailbox("new@example.com")).await.map(drop),
        ("POST", "/mail/users/remove") => p.delete_mailbox(&alice).await.map(drop),
        ("POST", "/mail/users/password") => p.set_password(&alice, &PASSWORD.into()).await.map(drop),
        ("POST", "/mail/users/quota") => p.update_mailbox(&alice, &quota(1 << 30)).await.map(drop),
        ("GET", "/mail/users/privileges") => p.check_account().await.map(drop),
        ("POST", "/mail/users/privileges/add") => p.update_mailbox(&alice, &admin(true)).await.map(drop),
        ("POST", "/mail/users/privileges/remove") => p.update_mailbox(&alice, &admin(false)).await.map(drop),
        ("GET", "/mail/aliases") => p.list_aliases(&name("example.com")).try_collect::<Vec<_>>().await.map(drop),
        ("POST", "/mail/aliases/add") => p.create_alias(&alias("a@example.com", &["b@example.com"])).await.map(drop),
        ("POST", "/mail/aliases/remove") => p.delete_alias(&source("a@example.com")).await.map(drop),
        ("GET", "/mail/domains") => p.list_domains().try_collect::<Vec<_>>().await.map(drop),
        ("GET", "/dns/dump") => p.domain_dns(&name("example.com")).await.map(drop),
        other => panic!("no operation asks for {other:?}"),
    }
}

#[tokio::test]
async fn every_recorded_answer_has_its_meaning() {
    for (meaning, names) in MEANINGS {
        for name in *names {
            let ctx = Ctx::new(ProviderId::Mailinabox).await;
            ctx.create("alice@example.com").await;
            let exchange = recorded(name);
            let (path, _) = place(exchange);
            // After a login that went well the rest is asked of the sandbox, to which the recorded key is unknown.
            let at_path = format!("/admin{path}");
            ctx.sandbox.fault(Fault::instead(method(exchange), at_path, answer(exchange)));
            let login = path == "/login" && meaning.is_none();
            if login {
                let admin = answer(recorded("users.privileges.get.self"));
                ctx.sandbox.fault(Fault::instead(Method::GET, "/privileges", admin));
            }
            let result = call(&ctx, &method(exchange), &path).await;
            assert_eq!(result.as_ref().err().map(|e: &Error| e.kind), *meaning, "{name}: {result:?}");
            if let Err(error) = result {
                assert!(!error.message.is_empty(), "{name}: {error:?}");
                let html = error.provider_message.as_deref().is_some_and(|words| words.contains("<html"));
                assert!(!html, "{name}: a page is never shown");
            }
        }
    }
}

/// Sends a recorded request to the sandbox as `user`.
async fn ask(ctx: &Ctx, exchange: &Value, login: Option<(&str, &str)>, code: Option<&str>) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client without TLS");
    let path = text(exchange, "path").trim_start_matches("/admin");
    let mut request = client.request(method(exchange), format!("{}{path}", ctx.sandbox.base_url(ctx.id)));
    for (name, value) in pairs(&exchange["headers"]).into_iter().filter(|(name, _)| name != "x-auth-token") {
        request = request.header(name, value);
    }
    if let Some((user, password)) = login {
        request = request.basic_auth(user, Some(password));
    }
    if let Some(code) = code {
        request = request.header("x-auth-token", code);
    }
    if !exchange["form"].is_null() {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs(&exchange["form"])).finish();
        request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    }
    let response = request.send().await.expect("the sandbox answers");
    (response.status().as_u16(), response.text().await.expect("the body arrives"))
}

/// Asserts that the sandbox answered what the box answered: the same JSON, or the same text.
#[track_caller]
fn assert_same(exchange: &Value, (status, body): (u16, String)) {
    let (name, wanted) = (text(exchange, "name"), text(&exchange["answer"], "body"));
    assert_eq!(u64::from(status), exchange["answer"]["status"].as_u64().expect("a status"), "{name}: {body}");
    match (serde_json::from_str::<Value>(wanted), serde_json::from_str::<Value>(&body)) {
        (Ok(Value::Object(mut wanted)), Ok(Value::Object(mut body))) => {
            // Keys are random, and the recorded addresses are not those of the sandbox.
            for key in ["api_key", "email"] {
                assert_eq!(wanted.remove(key).is_some(), body.remove(key).is_some(), "{name}: {key}");
            }
            assert_eq!(wanted, body, "{name}");
        }
        (Ok(wanted), Ok(body)) => assert_eq!(wanted, body, "{name}"),
        _ if name == "domains.list" => {
            let set = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(set(wanted), set(&body), "{name}");
        }
        _ => assert_eq!(wanted, body, "{name}"),
    }
}

#[tokio::test]
async fn the_sandbox_says_what_the_box_said() {
    let ctx = Ctx::new(ProviderId::Mailinabox).await;
    // In their order the recorded requests make the state that each needs; lists hold what other requests made as well.
    let starts = ["users.", "aliases.", "domains.", "unknown_path", "system."];
    let ours = RECORDED.iter().filter(|e| starts.iter().any(|start| text(e, "name").starts_with(start)));
    let mut asked = 0;
    for exchange in ours.filter(|e| !text(e, "name").contains("list.json")) {
        assert_same(exchange, ask(&ctx, exchange, Some((BOX_USER, KEY)), None).await);
        asked += 1;
    }
    assert!(asked > 100, "{asked}");
    assert_same(recorded("dns.zones"), ask(&ctx, recorded("dns.zones"), Some((BOX_USER, KEY)), None).await);
}

#[tokio::test]
async fn the_sandbox_lists_aliases_as_the_box_does() {
    let ctx = Ctx::new(ProviderId::Mailinabox).await;
    let list = recorded("aliases.list.json.populated");
    for exchange in RECORDED.iter().take_while(|e| e["name"] != list["name"]) {
        let name = text(exchange, "name");
        if name.starts_with("users.add.ok") || name.starts_with("users.remove.ok") || name.starts_with("aliases.add.ok")
        {
            ask(&ctx, exchange, Some((BOX_USER, KEY)), None).await;
        }
    }
    let (_, body) = ask(&ctx, list, Some((BOX_USER, KEY)), None).await;
    let groups = |text: &str| -> Vec<(String, Vec<Value>)> {
        let all: Vec<Value> = serde_json::from_str(text).expect("JSON");
        all.iter()
            .map(|g| {
                (g["domain"].as_str().expect("a name").to_owned(), g["aliases"].as_array().expect("a list").clone())
            })
            .collect()
    };
    let (box_said, sandbox_says) = (groups(text(&list["answer"], "body")), groups(&body));
    // The box held a few aliases more, so the sandbox's are looked for among them, in their order.
    let names = |groups: &[(String, Vec<Value>)]| groups.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&box_said), names(&sandbox_says));
    for ((domain, theirs), (_, ours)) in box_said.iter().zip(&sandbox_says) {
        let mut theirs = theirs.iter();
        for alias in ours {
            assert!(theirs.any(|other| other == alias), "{domain}: {alias} was not recorded, or not here");
        }
    }
}

#[tokio::test]
async fn the_sandbox_refuses_credentials_as_the_box_does() {
    let ctx = Ctx::new(ProviderId::Mailinabox).await;
    ctx.create("alice@example.com").await;
    let alice: Address = at("alice@example.com");
    ctx.provider.set_password(&alice, &PASSWORD.into()).await.expect("it is set");
    let totp = Builder::new().with_secret(Secret::try_from_base32(SEED).expect("base32")).build().expect("a good seed");
    let code = totp.generate_current().to_string();
    let wrong = if code == "000000" { "111111" } else { "000000" };
    let (me, secured) = (Some((BOX_USER, KEY)), Some((TOTP_USER, KEY)));
    for (name, login, code) in [
        ("auth.none.accept_any", None, None),
        ("auth.none.xhr_accept_json", None, None),
        ("auth.wrong_password.accept_json", Some((BOX_USER, "wrong-password")), None),
        ("auth.empty_password", Some((BOX_USER, "")), None),
        ("auth.non_ascii_password", Some((BOX_USER, "pässword")), None),
        ("auth.non_admin.accept_json", Some(("alice@example.com", PASSWORD)), None),
        ("auth.non_admin.xhr", Some(("alice@example.com", PASSWORD)), None),
        ("login.ok.admin", me, None),
        ("login.wrong_password", Some((BOX_USER, "wrong-password")), None),
        ("login.no_auth_header", None, None),
        ("login.ok.non_admin", Some(("alice@example.com", PASSWORD)), None),
        ("login.get_method", me, None),
        ("logout.ok", me, None),
        ("totp.basic.no_token.accept_json", secured, None),
        ("totp.basic.invalid_token", secured, Some(wrong)),
        ("totp.login.no_token", secured, None),
        ("totp.login.invalid_token", secured, Some(wrong)),
        ("totp.login.ok", secured, Some(code.as_str())),
        ("totp.login.same_token_again", secured, Some(code.as_str())),
    ] {
        assert_same(recorded(name), ask(&ctx, recorded(name), login, code).await);
    }
}

#[test]
fn every_recording_is_put_to_use() {
    let meant: BTreeSet<_> = MEANINGS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let replayed = ["users.", "aliases.", "domains.", "dns.", "system.", "unknown_path", "login.get_method", "logout."];
    for exchange in RECORDED.iter() {
        let name = text(exchange, "name");
        assert!(meant.contains(name) || replayed.iter().any(|start| name.starts_with(start)), "{name} tests nothing");
    }
}
