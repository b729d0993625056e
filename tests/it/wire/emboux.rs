//! EmBoux: samples after <https://docs.emboux.com/api/mailboxes>, `/api/domains`, `/api/aliases` and `/reference/errors`.

use futures_util::TryStreamExt;
use mbx::error::{Effect, Kind};
use mbx::http::Method;
use mbx::model::{Bytes, Mailbox, MailboxChange, Stamp};
use mbx::provider::{Provider, ProviderId};
use mbx::sandbox::{Answer, Fault};
use serde_json::{Value, json};

use super::{answer_with, ask, assert_same_shape};
use crate::support::{Ctx, PASSWORD, assert_kind, at, name};

const USERS: &str = include_str!("emboux/users.json");
const DOMAINS: &str = include_str!("emboux/domains.json");
const BEARER: &[(&str, &str)] = &[("authorization", "Bearer sandbox")];

#[tokio::test]
async fn the_documented_list_is_read() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    answer_with(&ctx, Method::GET, "/users/", 200, USERS);
    let all: Vec<Mailbox> = ctx.provider.list_mailboxes(None).try_collect().await.expect("the sample is read");
    assert_eq!(all[0].address, at("hello@mycompany.com"));
    assert_eq!(all[0].id.as_deref(), Some("7"));
    assert_eq!(all[0].created_at, Some(Stamp::lenient("2025-01-15T10:31:00")));
    assert_eq!(all[0].quota, None);
}

#[tokio::test]
async fn the_sandbox_prints_what_the_vendor_prints() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.create("ada@example.com").await;
    for (path, sample) in [("/users/", USERS), ("/domains/", DOMAINS)] {
        let (status, body) = ask(&ctx, Method::GET, path, BEARER, None).await;
        assert_eq!(status, 200);
        let sample: Value = serde_json::from_str(sample).expect("the sample is JSON");
        assert_same_shape(&sample, &serde_json::from_str(&body).expect("the body is JSON"), path);
    }
}

#[tokio::test]
async fn each_documented_error_text_has_its_meaning() {
    let table = [
        (403, "Invalid API key", Kind::Auth),
        (403, "Invalid authorization header format", Kind::Auth),
        (403, "API key is deactivated", Kind::Auth),
        (403, "API key has expired", Kind::Auth),
        (403, "Master token required", Kind::Denied),
        (403, "Mailbox quota exceeded for this domain: 3/3", Kind::Limit),
        (400, "Email already exists", Kind::Conflict),
        (400, "Este email (buzón) ya existe en el servidor SaaS", Kind::Conflict),
        (400, "something else", Kind::Invalid),
        (404, "El dominio asociado no existe", Kind::NotFound),
        // What the server says of a path that it does not have proves nothing about a mailbox.
        (404, "Not Found", Kind::Unsupported),
        (422, "does not fit", Kind::Invalid),
    ];
    for (status, text, kind) in table {
        let ctx = Ctx::new(ProviderId::Emboux).await;
        answer_with(&ctx, Method::POST, "/users/", status, &json!({ "detail": text }).to_string());
        let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, kind);
        assert_eq!(error.provider_message.as_deref(), Some(text));
    }
}

#[tokio::test]
async fn a_list_in_detail_is_read_as_problems() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    let body = json!({ "detail": [{ "loc": ["body", "password"], "msg": "field required", "type": "missing" }] });
    answer_with(&ctx, Method::POST, "/users/", 422, &body.to_string());
    let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Invalid);
    assert_eq!(error.provider_message.as_deref(), Some("password: field required"));
}

#[tokio::test]
async fn a_quota_that_fails_after_the_create_says_what_was_done() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    answer_with(&ctx, Method::PUT, "/quota", 422, r#"{"detail":"quota too large"}"#);
    let mut new = ctx.mailbox("ada@example.com");
    new.quota = Some("2G".parse().expect("a size"));
    let error = assert_kind(ctx.provider.create_mailbox(&new).await, Kind::Invalid);
    assert_eq!(error.effect, Effect::Partial);
    assert!(error.message.contains("ada@example.com was created, but"), "{error}");
    let command = "`mbx update ada@example.com --quota 2147483648 -P test`";
    assert!(error.hint.as_deref().unwrap_or_default().contains(command), "{error:?}");
    assert!(ctx.sandbox.password_is(ctx.id, "ada@example.com", PASSWORD));
}

#[tokio::test]
async fn the_sandbox_refuses_what_the_pages_do_not_allow() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    let alias =
        |source: Value| json!({ "domain_name": "example.com", "source": source, "destination": "ada@example.com" });
    for (method, path, body, wanted) in [
        (Method::POST, "/domains/", json!({ "name": 5 }), 422),
        (Method::PUT, "/users/one@full.example", json!({ "password": 5 }), 422),
        (Method::PUT, "/users/one@full.example", json!({ "password": null }), 422),
        (Method::POST, "/aliases/", alias(json!(5)), 422),
        // An alias outside its domain would belong to no domain that the list could name.
        (Method::POST, "/aliases/", alias(json!("info@elsewhere.example")), 400),
        (Method::POST, "/aliases/", alias(json!("info")), 400),
        (Method::POST, "/aliases/", alias(json!("info@Example.com")), 201),
    ] {
        let (status, answer) = ask(&ctx, method, path, BEARER, Some(body.clone())).await;
        assert_eq!(status, wanted, "{path} {body}: {answer}");
    }
}

#[tokio::test]
async fn a_quota_that_was_never_sent_because_the_first_answer_was_lost_is_sent_after_the_look() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    let mut new = ctx.mailbox("ada@example.com");
    new.quota = Some("5G".parse().expect("a size"));
    ctx.sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut).times(1));
    let made = ctx.provider.create_mailbox(&new).await.expect("it is found, and the quota is sent then");
    assert_eq!(made.quota.and_then(|quota| quota.limit), Some(5 << 30));
    // The quota that a new mailbox has anyway is the one that was asked for.
    new = ctx.mailbox("bob@example.com");
    new.quota = Some("2G".parse().expect("a size"));
    ctx.sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut).times(1));
    let made = ctx.provider.create_mailbox(&new).await.expect("looking finds it as it was asked for");
    assert_eq!(made.quota.and_then(|quota| quota.limit), Some(2 << 30));
}

#[tokio::test]
async fn a_mailbox_in_another_spelling_is_not_called_missing() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    let listed = json!([{ "id": 7, "domain_id": 1, "email": "Ada@example.com", "created_at": "2025-01-15T10:31:00" }]);
    answer_with(&ctx, Method::GET, "/users/", 200, &listed.to_string());
    answer_with(&ctx, Method::DELETE, "/users/ada@", 404, r#"{"detail":"Usuario (buzón) no encontrado"}"#);
    answer_with(&ctx, Method::DELETE, "/users/Ada@", 204, "");
    ctx.provider.delete_mailbox(&at("ADA@example.com")).await.expect("the spelling of the list is found");
    let error = assert_kind(ctx.provider.delete_mailbox(&at("bob@example.com")).await, Kind::NotFound);
    assert_eq!(error.effect, Effect::None);
}

#[tokio::test]
async fn a_change_shows_the_address_as_it_is_stored() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    assert_eq!(ctx.create("Ada@example.com").await.address.as_str(), "ada@example.com");
    let change = MailboxChange { quota: Some(Bytes(1 << 30)), ..MailboxChange::default() };
    let changed = ctx.provider.update_mailbox(&at("ADA@example.com"), &change).await.expect("it is changed");
    assert_eq!(changed.address.as_str(), "ada@example.com");
}

#[tokio::test]
async fn a_proxys_page_is_not_a_missing_mailbox() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.create("ada@example.com").await;
    ctx.sandbox.fault(Fault::instead(Method::DELETE, "/users/", Answer::html(404)));
    let error = assert_kind(ctx.provider.delete_mailbox(&at("ada@example.com")).await, Kind::Provider);
    assert_eq!(error.effect, Effect::None);
    // Nor is it proof that a mailbox is gone, or was not created, after a lost answer.
    ctx.sandbox.fault(Fault::instead(Method::GET, "/", Answer::html(404)));
    ctx.sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::Cut));
    assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("bob@example.com")).await, Kind::Unknown);
}

#[tokio::test]
async fn a_look_that_fails_does_not_undo_a_verification() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.fault(Fault::instead(Method::GET, "/", Answer::status(500)));
    let domain = ctx.provider.verify_domain(&name("example.com")).await.expect("it was started");
    assert_eq!((domain.name, domain.verified), (name("example.com"), None));
}
