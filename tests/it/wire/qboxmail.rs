//! Qboxmail: samples after <https://docs.qboxmail.com/en/api/getApiDomains/> and its neighbours, and after
//! `/en/api/concepts/errors-retries/`. The samples of mailboxes are put together from what public clients read.

use futures_util::TryStreamExt;
use mbx::error::{Effect, Kind};
use mbx::http::Method;
use mbx::model::{Alias, Bytes, Domain, Mailbox, MailboxChange, NewDomain, Quota, Stamp, Status};
use mbx::provider::{Provider, ProviderId};
use mbx::sandbox::{Answer, Fault};
use serde_json::{Value, json};

use super::{answer_with, ask, assert_same_shape};
use crate::support::{Ctx, PASSWORD, assert_kind, at, name};

const DOMAINS: &str = include_str!("qboxmail/domains.json");
const ACCOUNT: &str = include_str!("qboxmail/account.json");
const ALIASES: &str = include_str!("qboxmail/aliases.json");
const MADE: &str = include_str!("qboxmail/made.json");
const ERROR: &str = include_str!("qboxmail/error.json");
const TOKEN: &[(&str, &str)] = &[("X-Api-Token", "sandbox")];

/// The code that the sandbox gives to example.com.
const EXAMPLE: &str = "/api/domains/D123456001";

async fn ctx() -> Ctx {
    Ctx::new(ProviderId::Qboxmail).await
}

/// Answers like `sample`, its one resource changed.
fn changed(sample: &str, changes: Value) -> String {
    let mut sample: Value = serde_json::from_str(sample).expect("the sample is JSON");
    for (key, value) in changes.as_object().expect("changes are members") {
        sample["resources"][0][key] = value.clone();
    }
    sample.to_string()
}

#[tokio::test]
async fn an_answer_about_another_mailbox_is_not_taken_for_the_one_that_was_asked_for() {
    let ctx = ctx().await;
    ctx.create("ada@example.com").await;
    let other = changed(ACCOUNT, json!({ "name": "bob", "email_address": "bob@example.com" }));
    answer_with(&ctx, Method::GET, "/email_accounts/", 200, &other);
    let error = assert_kind(ctx.provider.get_mailbox(&at("ada@example.com")).await, Kind::Provider);
    assert_eq!(error.message, "the answer is about bob@example.com and not about ada@example.com");
    assert_eq!(error.effect, Effect::None);
    let error = ctx.provider.suspend_mailbox(&at("ada@example.com")).await.expect_err("it says nothing about ada");
    assert_eq!(error.effect, Effect::Unknown);
}

#[tokio::test]
async fn the_documented_domain_is_read() {
    let ctx = ctx().await;
    answer_with(&ctx, Method::GET, "/api/domains", 200, DOMAINS);
    let all: Vec<Domain> = ctx.provider.list_domains().try_collect().await.expect("the sample is read");
    assert_eq!(all.len(), 1);
    let domain = &all[0];
    assert_eq!((domain.name.as_str(), domain.id.as_deref()), ("example.test", Some("D123456789")));
    assert_eq!((&domain.status, domain.verified, domain.mailboxes), (&Status::Active, Some(true), Some(2)));
    assert_eq!(domain.created_at, Some(Stamp::lenient("2025-01-02T03:04:05.000+01:00")));
    assert_eq!(domain.extra["max_email_quota"], json!(107_374_182_400_u64));
    let records = ctx.provider.domain_dns(&name("example.test")).await.expect("there are records");
    let records: Vec<_> = records.iter().map(|r| (r.name.as_str(), r.value.as_str())).collect();
    assert_eq!(
        records,
        [
            ("example.test", "v=spf1 include:spf.qboxmail.com mx a -all"),
            ("qboxmail._domainkey.example.test", "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB"),
        ]
    );
}

#[tokio::test]
async fn the_documented_alias_is_read() {
    let ctx = ctx().await;
    answer_with(&ctx, Method::GET, "/alias_email_accounts", 200, ALIASES);
    let all: Vec<Alias> =
        ctx.provider.list_aliases(&name("example.com")).try_collect().await.expect("the sample is read");
    assert_eq!(all[0].source.to_string(), "info@example.com");
    assert_eq!((all[0].id.as_deref(), &all[0].status), (Some("AE12345678"), &Status::Active));
    assert_eq!(all[0].targets, [at("ada@example.test")]);
}

#[tokio::test]
async fn a_mailbox_as_public_clients_read_it_is_read() {
    let ctx = ctx().await;
    answer_with(&ctx, Method::GET, "/email_accounts", 200, ACCOUNT);
    let all: Vec<Mailbox> =
        ctx.provider.list_mailboxes(Some(&name("example.com"))).try_collect().await.expect("the sample is read");
    assert_eq!((&all[0].address, all[0].id.as_deref()), (&at("ada@example.test"), Some("EA12345678")));
    assert_eq!((all[0].first_name.as_deref(), all[0].last_name.as_deref()), (Some("Ada"), Some("Byron")));
    assert_eq!(all[0].quota, Some(Quota::of(8 << 30)));
    assert_eq!(all[0].created_at, Some(Stamp::lenient("2025-09-03T11:32:26.000+02:00")));
    assert_eq!((all[0].status.clone(), all[0].admin, &all[0].aliases), (Status::Active, None, &None));
}

#[tokio::test]
async fn members_may_be_null_missing_new_or_of_another_type() {
    let ctx = ctx().await;
    let sparse = json!({ "resources": [{ "code": "EA1", "name": "ada", "max_email_quota": null, "created_at": null,
        "firstname": null, "quota": { "new": 1 } }], "pagination": null });
    answer_with(&ctx, Method::GET, "/email_accounts", 200, &sparse.to_string());
    let read = ctx.provider.get_mailbox(&at("ada@example.com")).await.expect("it is read");
    assert_eq!(read, Mailbox { id: Some("EA1".to_owned()), ..Mailbox::at(at("ada@example.com")) });
    let odd = changed(ALIASES, json!({ "destinations": [null, "ada@example.test"], "status": null }));
    answer_with(&ctx, Method::GET, "/alias_email_accounts", 200, &odd);
    let all: Vec<Alias> = ctx.provider.list_aliases(&name("example.com")).try_collect().await.expect("it is read");
    assert_eq!((all[0].targets.len(), &all[0].status), (1, &Status::Unknown));
    let odd = changed(DOMAINS, json!({ "has_dkim": true, "no_email_accounts": "2", "dkim_public_key": "" }));
    answer_with(&ctx, Method::GET, "/api/domains", 200, &odd);
    let all: Vec<Domain> = ctx.provider.list_domains().try_collect().await.expect("it is read");
    assert_eq!(all[0].mailboxes, None);
}

#[tokio::test]
async fn each_state_has_its_meaning() {
    let table = [
        (json!("enabled"), json!("ok"), Status::Active, Some(true)),
        (json!("enabled"), Value::Null, Status::Active, Some(true)),
        (json!("enabled"), json!("updating"), Status::Pending, None),
        (json!("ownership_check"), json!("ok"), Status::Pending, Some(false)),
        (json!("disabled"), json!("ok"), Status::Suspended, None),
        (json!("rejected"), json!("ok"), Status::Other("rejected".to_owned()), None),
        (Value::Null, Value::Null, Status::Unknown, None),
    ];
    for (status, detail, meaning, verified) in table {
        let ctx = ctx().await;
        let sample = changed(DOMAINS, json!({ "status": status, "status_detail": detail }));
        answer_with(&ctx, Method::GET, "/api/domains", 200, &sample);
        let read = ctx.provider.get_domain(&name("example.test")).await.expect("it is read");
        assert_eq!((read.status, read.verified), (meaning, verified), "{status} {detail}");
    }
}

#[tokio::test]
async fn the_sandbox_prints_what_the_vendor_prints() {
    let ctx = ctx().await;
    let mut new = ctx.mailbox("ada@example.com");
    new.quota = Some(Bytes(50 << 20));
    ctx.provider.create_mailbox(&new).await.expect("it is created");
    let alias = json!({ "name": "info", "destinations": ["ada@example.com"] });
    let (status, body) =
        ask(&ctx, Method::POST, &format!("{EXAMPLE}/alias_email_accounts"), TOKEN, Some(alias.clone())).await;
    let shape = |sample: &str, body: &str, path: &str| {
        let sample: Value = serde_json::from_str(sample).expect("the sample is JSON");
        assert_same_shape(&sample, &serde_json::from_str(body).expect("the body is JSON"), path);
    };
    assert_eq!(status, 201);
    shape(MADE, &body, "create");
    let (status, body) = ask(&ctx, Method::POST, &format!("{EXAMPLE}/alias_email_accounts"), TOKEN, Some(alias)).await;
    assert_eq!(status, 422);
    shape(ERROR, &body, "create again");
    for (path, sample) in [
        ("/api/domains".to_owned(), DOMAINS),
        (format!("{EXAMPLE}/alias_email_accounts"), ALIASES),
        (format!("{EXAMPLE}/email_accounts/EA12345001"), ACCOUNT),
        // The postmaster's code is taken where a mailbox's is.
        (format!("{EXAMPLE}/email_accounts/P123456001"), ACCOUNT),
    ] {
        let (status, body) = ask(&ctx, Method::GET, &path, TOKEN, None).await;
        assert_eq!(status, 200, "{path}");
        shape(sample, &body, &path);
    }
    let (status, body) = ask(&ctx, Method::GET, "/api/domains", &[], None).await;
    assert_eq!((status, body.as_str()), (401, r#"{"message":"Unauthorized","errors":[]}"#));
}

#[tokio::test]
async fn the_sandbox_keeps_the_documented_rules() {
    let ctx = ctx().await;
    let accounts = format!("{EXAMPLE}/email_accounts");
    let good = json!({ "name": "ada", "firstname": "Ada", "password": PASSWORD, "password_confirmation": PASSWORD });
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    for body in [
        with("firstname", json!("")),
        with("lastname", json!(5)),
        with("lastname", Value::Null),
        with("password_confirmation", json!("Other-Passw0rd")),
        with("password", json!("12345678")),
        with("max_email_quota", json!(1_000_000)),
        with("name", json!("ada@example.com")),
        with("surprise", json!(true)),
    ] {
        let (status, answer) = ask(&ctx, Method::POST, &accounts, TOKEN, Some(body.clone())).await;
        assert_eq!(status, 422, "{body}: {answer}");
    }
    // An empty list, and every change that answers nothing.
    assert_eq!(ask(&ctx, Method::GET, &accounts, TOKEN, None).await.0, 404);
    assert_eq!(ask(&ctx, Method::POST, &accounts, TOKEN, Some(good)).await.0, 201);
    let (account, off) = (format!("{accounts}/EA12345001"), json!({ "status": "disabled" }));
    assert_eq!(ask(&ctx, Method::PUT, &format!("{account}/status"), TOKEN, Some(off)).await, (200, String::new()));
    assert_eq!(ask(&ctx, Method::DELETE, &account, TOKEN, None).await, (204, String::new()));
}

#[tokio::test]
async fn each_documented_error_has_its_meaning() {
    let invalid = |field: &str, description: &str| json!({ "message": "Validation failed", "errors": [{ "field": field, "description": description }] });
    let bare = |message: &str| json!({ "message": message, "errors": [] });
    let table = [
        (401, bare("Unauthorized"), Kind::Auth, "Unauthorized"),
        (403, bare("Forbidden"), Kind::Denied, "Forbidden"),
        (403, bare("The plan allows no more accounts"), Kind::Limit, "The plan allows no more accounts"),
        (403, bare("Accounts limit exceeded"), Kind::Limit, "Accounts limit exceeded"),
        (403, bare("No billing profile"), Kind::Denied, "No billing profile"),
        (404, bare("Not found"), Kind::NotFound, "Not found"),
        (422, invalid("name", "already exists"), Kind::Conflict, "name already exists"),
        (422, invalid("name", "is not valid"), Kind::Invalid, "name is not valid"),
        (422, invalid("outbound_limit", "is not valid"), Kind::Invalid, "outbound_limit is not valid"),
        (422, invalid("max_email_quota", "quota reached"), Kind::Limit, "max_email_quota quota reached"),
        (422, invalid("name", "exceeds 64 characters"), Kind::Invalid, "name exceeds 64 characters"),
        (409, bare("Conflict"), Kind::Conflict, "Conflict"),
    ];
    for (status, body, kind, words) in table {
        let ctx = ctx().await;
        answer_with(&ctx, Method::POST, "/email_accounts", status, &body.to_string());
        let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, kind);
        assert_eq!((error.provider_message.as_deref(), error.effect), (Some(words), Effect::None));
    }
}

#[tokio::test]
async fn an_alias_in_the_way_is_named() {
    let ctx = ctx().await;
    let refusal = json!({ "message": "Validation failed", "errors": [{ "field": "name", "description": "already exists as an alias" }] });
    answer_with(&ctx, Method::POST, "/email_accounts", 422, &refusal.to_string());
    let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Conflict);
    assert!(error.message.contains("is the address of an alias"), "{error}");
}

#[tokio::test]
async fn the_dkim_record_is_right_in_either_form_of_its_members() {
    for (selector, key, wanted) in [
        ("qbm1", "MIIB", "v=DKIM1; k=rsa; p=MIIB"),
        ("Qbm1._domainkey", "v=DKIM1; k=rsa; p=MIIB", "v=DKIM1; k=rsa; p=MIIB"),
        ("qbm1._domainkey.example.com.", " p=MIIB ", "p=MIIB"),
    ] {
        let ctx = ctx().await;
        let domain =
            changed(DOMAINS, json!({ "name": "example.com", "dkim_selector": selector, "dkim_public_key": key }));
        answer_with(&ctx, Method::GET, "/api/domains", 200, &domain);
        let records = ctx.provider.domain_dns(&name("example.com")).await.expect("there are records");
        let dkim = records.iter().find(|record| record.name.contains("_domainkey")).expect("a DKIM record");
        assert_eq!((dkim.name.as_str(), dkim.value.as_str()), ("qbm1._domainkey.example.com", wanted));
    }
    for (selector, key) in [(json!(""), json!("")), (Value::Null, Value::Null), (json!("qbm1"), json!(""))] {
        // Without a signature of its own a domain's mail is signed with a shared one.
        let ctx = ctx().await;
        let domain =
            changed(DOMAINS, json!({ "name": "example.com", "dkim_selector": selector, "dkim_public_key": key }));
        answer_with(&ctx, Method::GET, "/api/domains", 200, &domain);
        let records = ctx.provider.domain_dns(&name("example.com")).await.expect("there are records");
        assert_eq!(records.len(), 1, "{records:?}");
    }
}

#[tokio::test]
async fn errors_are_read_in_any_form() {
    let table = [
        (json!({ "message": "Validation failed", "errors": null }), Some("Validation failed")),
        (json!({ "message": "Validation failed" }), Some("Validation failed")),
        (json!({ "errors": [] }), None),
        (json!({}), None),
        (json!({ "errors": { "name": ["is not valid", "is odd"] } }), Some("name is not valid; is odd")),
        (json!({ "errors": { "name": "is not valid" } }), Some("name is not valid")),
        (json!({ "errors": ["name is not valid"] }), Some("name is not valid")),
        (json!({ "errors": [{ "field": null, "description": "is not valid" }] }), Some("is not valid")),
        (json!({ "full_messages": ["Name is not valid"] }), Some("Name is not valid")),
        (json!({ "error": "bad name" }), Some("bad name")),
        (json!({ "detail": "bad name" }), Some("bad name")),
    ];
    for (body, words) in table {
        let ctx = ctx().await;
        answer_with(&ctx, Method::POST, "/email_accounts", 422, &body.to_string());
        let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Invalid);
        assert_eq!(error.provider_message.as_deref(), words, "{body}");
    }
    let ctx = ctx().await;
    ctx.sandbox.fault(Fault::instead(Method::POST, "/email_accounts", Answer::html(403)));
    let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Denied);
    assert_eq!(error.provider_message.as_deref(), Some("(an HTML page)"));
}

#[tokio::test]
async fn a_404_that_is_not_the_apis_own_says_nothing_about_what_is_there() {
    let ctx = ctx().await;
    ctx.sandbox.fault(Fault::instead(Method::GET, "/api/domains", Answer::html(404)));
    assert_kind(ctx.provider.check_account().await, Kind::Provider);
    assert_kind(ctx.provider.list_domains().try_collect::<Vec<Domain>>().await, Kind::Provider);
}

#[tokio::test]
async fn an_empty_list_is_not_a_domain_out_of_sight() {
    let ctx = ctx().await;
    assert_eq!(ctx.listed("example.com").await, Vec::<String>::new());
    answer_with(&ctx, Method::GET, EXAMPLE, 404, r#"{"message":"Not found","errors":[]}"#);
    let all = ctx.provider.list_mailboxes(Some(&name("example.com"))).try_collect::<Vec<Mailbox>>().await;
    assert_kind(all, Kind::NotFound);
}

#[tokio::test]
async fn the_code_is_found_in_the_body_or_in_location() {
    let raw = |headers: &[(&'static str, &str)], body: &str| Answer::Raw {
        status: 202,
        headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        body: body.as_bytes().to_vec(),
    };
    let id = "EA12345001";
    let url = format!("https://api.qboxmail.com{EXAMPLE}/email_accounts/{id}");
    let body = json!({ "message": "...", "resource_code": id }).to_string();
    for answer in [
        raw(&[], &body),
        raw(&[("location", id)], ""),
        raw(&[("location", &url)], "{}"),
        raw(&[("location", &url)], "not JSON"),
    ] {
        let ctx = ctx().await;
        ctx.sandbox.fault(Fault::after(Method::POST, "/email_accounts", answer));
        let new = ctx.mailbox("ada@example.com");
        let made = ctx.bare().create_mailbox(&new).await.expect("it is created").value;
        assert_eq!(made.address, at("ada@example.com"));
        assert_eq!((made.id.as_deref(), made.status), (Some(id), Status::Active));
    }
    for answer in [
        raw(&[], ""),
        raw(&[], r#"{"message":"Accepted"}"#),
        raw(&[], r#"{"resource_code":""}"#),
        raw(&[], r#"{"error":"it is odd"}"#),
        raw(&[("location", id)], r#"{"error":"it is odd"}"#),
    ] {
        // Nothing shows that it was made: whoever called must look it up by its name.
        let ctx = ctx().await;
        ctx.sandbox.fault(Fault::after(Method::POST, "/email_accounts", answer));
        let error = assert_kind(ctx.bare().create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Provider);
        assert_eq!(error.effect, Effect::Unknown);
    }
}

#[tokio::test]
async fn a_new_mailbox_that_cannot_be_read_yet_is_pending() {
    let ctx = ctx().await;
    answer_with(&ctx, Method::GET, "/email_accounts/EA", 404, r#"{"message":"Not found","errors":[]}"#);
    let made = ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await.expect("it is created").value;
    assert_eq!((made.id.as_deref(), made.status), (Some("EA12345001"), Status::Pending));
}

#[tokio::test]
async fn only_what_was_asked_for_is_sent() {
    let ctx = ctx().await;
    ctx.create("ada@example.com").await;
    let sent = async |ctx: &Ctx| {
        let seen = ctx.sandbox.take_seen();
        let put = seen.iter().find(|request| request.method != Method::GET).expect("a write was sent");
        (put.path.clone(), serde_json::from_str::<Value>(&put.body).expect("the body is JSON"))
    };
    ctx.sandbox.take_seen();
    let change = MailboxChange { last_name: Some("Lovelace".to_owned()), ..MailboxChange::default() };
    ctx.provider.update_mailbox(&at("ada@example.com"), &change).await.expect("it is changed");
    let (path, body) = sent(&ctx).await;
    assert!(path.ends_with("/email_accounts/EA12345001"), "{path}");
    assert_eq!(body, json!({ "lastname": "Lovelace" }));
    let admin = ctx.open(|account| {
        account.settings.insert("customer_code".to_owned(), "C12345678".to_owned());
    });
    let new = NewDomain {
        postmaster_password: Some(PASSWORD.into()),
        max_mailboxes: Some(5),
        catch_all: Some(at("ada@example.com")),
        ..NewDomain::named(name("new.example"))
    };
    let made = admin.create_domain(&new).await.expect("it is created").value;
    assert_eq!((made.status, made.verified), (Status::Pending, Some(false)));
    assert_eq!(
        sent(&ctx).await.1,
        json!({
            "name": "new.example", "customer_code": "C12345678", "max_email_accounts": 5,
            "postmaster_password": PASSWORD, "postmaster_password_confirmation": PASSWORD,
            "catch_all_enabled": true, "catch_all_destination": "ada@example.com",
        })
    );
    let verified = ctx.provider.verify_domain(&name("new.example")).await.expect("it is verified");
    assert_eq!((verified.status, verified.verified), (Status::Active, Some(true)));
}

#[tokio::test]
async fn a_domain_needs_a_postmaster_password() {
    let ctx = ctx().await;
    ctx.sandbox.take_seen();
    let error = assert_kind(ctx.provider.create_domain(&NewDomain::named(name("new.example"))).await, Kind::Invalid);
    assert!(error.message.contains("postmaster password"), "{error}");
    assert!(ctx.sandbox.take_seen().iter().all(|request| request.method == Method::GET));
}

#[tokio::test]
async fn an_alias_has_up_to_twenty_targets_and_a_catch_all_one() {
    let ctx = ctx().await;
    let targets = |count: usize| (0..count).map(|n| at(&format!("box{n}@elsewhere.example"))).collect::<Vec<_>>();
    let source = |text: &str| text.parse().expect("a good source");
    let made = ctx.provider.create_alias(&Alias::to(source("all@example.com"), targets(20))).await;
    assert_eq!(made.expect("it is created").targets, targets(20));
    for (text, count) in [("more@example.com", 21), ("none@example.com", 0), ("@example.com", 2), ("@example.com", 0)] {
        assert_kind(ctx.provider.create_alias(&Alias::to(source(text), targets(count))).await, Kind::Invalid);
    }
}

#[tokio::test]
async fn documented_routes_alone_create_a_mailbox_and_leave_a_lost_answer_open() {
    let ctx = ctx().await;
    let strict = ctx.open(|account| account.allow_unverified = false);
    let made = strict.create_mailbox(&ctx.mailbox("ada@example.com")).await.expect("it is created").value;
    assert_eq!((made.id.as_deref(), made.status), (Some("EA12345001"), Status::Active));
    ctx.sandbox.fault(Fault::after(Method::POST, "/email_accounts", Answer::Cut));
    let error = assert_kind(strict.create_mailbox(&ctx.mailbox("bob@example.com")).await, Kind::Unknown);
    assert_eq!(error.effect, Effect::Unknown);
}

#[tokio::test]
async fn no_password_is_claimed_for_an_older_domain_after_a_lost_answer() {
    let ctx = Ctx::new(ProviderId::Qboxmail).await;
    let mut new = NewDomain::named(name("new.example"));
    new.postmaster_password = Some(PASSWORD.into());
    ctx.provider.create_domain(&new).await.expect("it is created");
    ctx.sandbox.fault(Fault::after(Method::POST, "/domains", Answer::Cut).times(1));
    let again = ctx.provider.create_domain(&new).await;
    assert_kind(again, Kind::Conflict);
}

#[tokio::test]
async fn a_look_that_fails_does_not_undo_a_change_of_a_domain() {
    let ctx = Ctx::new(ProviderId::Qboxmail).await;
    // The first look finds the code, the second is for the result.
    ctx.sandbox.fault(Fault::instead(Method::GET, "/domains", Answer::status(500)).skip(1));
    let domain = ctx.provider.suspend_domain(&name("example.com")).await.expect("it is suspended");
    assert_eq!((domain.name, domain.status), (name("example.com"), Status::Unknown));
}
