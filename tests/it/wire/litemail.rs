//! LiteMail: the assign sample after <https://docs.litemail.ai/assign-mailboxes-to-domain-36496186e0>; the lists after
//! Zapmail's pages of the same names, because LiteMail's show no body. `docs/providers/litemail.md` says which is which.

use futures_util::TryStreamExt;
use mbx::adapters::{self, Account};
use mbx::error::{Effect, Kind, Result};
use mbx::http::Method;
use mbx::model::{Alias, Domain, Mailbox, MailboxChange, Removal, Stamp, Status};
use mbx::provider::{Provider, ProviderId};
use mbx::sandbox::{Answer, Fault};
use serde_json::{Value, json};

use super::{answer_with, ask, assert_same_shape};
use crate::support::{Ctx, account, assert_kind, at, name};

const ASSIGN: &str = include_str!("litemail/assign.json");
const MAILBOXES: &str = include_str!("litemail/mailboxes.json");
const DOMAINS: &str = include_str!("litemail/domains.json");
const RECORDS: &str = include_str!("litemail/records.json");
const KEY: &[(&str, &str)] = &[("x-api-key", "sandbox")];

async fn ctx() -> Ctx {
    Ctx::new(ProviderId::Litemail).await
}

/// Lists what LiteMail would list if its answer had this `data`.
async fn listed(data: Value) -> Result<Vec<Mailbox>> {
    let ctx = ctx().await;
    answer_with(&ctx, Method::GET, "/v1/mailboxes", 200, &json!({ "status": 200, "data": data }).to_string());
    ctx.provider.list_mailboxes(None).try_collect().await
}

fn value(sample: &str) -> Value {
    serde_json::from_str(sample).expect("the sample is JSON")
}

#[tokio::test]
async fn the_documented_assignment_is_read() {
    let ctx = ctx().await;
    answer_with(&ctx, Method::POST, "/v1/mailboxes/assign", 201, ASSIGN);
    let made = ctx.provider.create_mailbox(&ctx.mailbox("Ada@example.org")).await.expect("the sample is read").value;
    assert_eq!(made.address, at("ada@example.org"));
    assert_eq!((made.id.as_deref(), made.status), (Some("mb_1"), Status::Pending));
    // A full name is not split: where the first name ends is anybody's guess.
    assert_eq!((made.first_name, made.last_name, made.created_at), (None, None, None));
    assert_eq!(made.extra["full_name"], "Ada Byron");
    assert_eq!(made.extra["domain_id"], "cm0000000000000000000000a");
}

#[tokio::test]
async fn an_assignment_sends_the_documented_fields_and_no_more() {
    let ctx = ctx().await;
    let mut new = ctx.mailbox("ada@example.com");
    ctx.provider.create_mailbox(&new).await.expect("it is created");
    new = ctx.mailbox("bob@example.com");
    (new.first_name, new.last_name) = (Some("Bob".to_owned()), Some("Bee".to_owned()));
    ctx.provider.create_mailbox(&new).await.expect("it is created");
    let seen = ctx.sandbox.take_seen();
    let bodies: Vec<_> = seen.iter().filter(|seen| seen.method == Method::POST).map(|seen| value(&seen.body)).collect();
    let wanted = [
        json!({ "mailboxes": [{ "mailboxUsername": "ada", "domain": "example.com" }] }),
        json!({ "mailboxes": [
            { "mailboxUsername": "bob", "domain": "example.com", "firstName": "Bob", "lastName": "Bee" },
        ] }),
    ];
    assert_eq!(bodies, wanted);
}

#[tokio::test]
async fn a_list_by_domain_is_read_without_its_secrets() {
    let ctx = ctx().await;
    answer_with(&ctx, Method::GET, "/v1/mailboxes", 200, MAILBOXES);
    let all: Vec<Mailbox> = ctx.provider.list_mailboxes(None).try_collect().await.expect("the sample is read");
    let [ada] = all.as_slice() else { panic!("one mailbox, not {all:?}") };
    assert_eq!(ada.address, at("ada@example.org"));
    assert_eq!((ada.id.as_deref(), &ada.status), (Some("mb_1"), &Status::Active));
    assert_eq!((ada.first_name.as_deref(), ada.last_name.as_deref()), (Some("Ada"), Some("Byron")));
    assert_eq!(ada.created_at, Some(Stamp::lenient("2025-01-15T10:30:00.000Z")));
    assert_eq!(ada.extra["expires_on"], "2025-02-15T10:31:00.000Z");
    assert!(!format!("{ada:?}").contains("canary"), "{ada:?}");
    assert!(!serde_json::to_string(&ada).expect("it serializes").contains("canary"));
    // `nextPage` says 2, and `totalPages` says that there is none.
    assert!(ctx.sandbox.take_seen().iter().all(|request| !request.path.contains("/v1/domains")));
}

#[tokio::test]
async fn no_secret_of_the_sandbox_reaches_the_model() {
    let ctx = ctx().await;
    let all: Vec<Mailbox> = ctx.provider.list_mailboxes(None).try_collect().await.expect("the list is read");
    let (_, body) = ask(&ctx, Method::GET, "/v1/mailboxes", KEY, None).await;
    for secret in ["sandbox-mail-password", "sandbox app password", "sandbox-otp-seed", "sandbox-recovery"] {
        assert!(body.contains(secret), "the sandbox sends {secret}");
        assert!(!format!("{all:?}").contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_sandbox_prints_what_the_vendor_prints() {
    let ctx = ctx().await;
    let body = json!({ "mailboxes": [{ "mailboxUsername": "ada", "domain": "example.com", "firstName": "Ada" }] });
    let (status, answer) = ask(&ctx, Method::POST, "/v1/mailboxes/assign", KEY, Some(body)).await;
    assert_eq!(status, 201);
    assert_same_shape(&value(ASSIGN), &value(&answer), "assign");
    let id = ctx.provider.get_domain(&name("example.com")).await.expect("it is there").id.expect("an id");
    let dns = format!("/v1/dns?id={id}");
    for (path, sample) in [("/v1/mailboxes", MAILBOXES), ("/v1/domains", DOMAINS), (&dns, RECORDS)] {
        let (status, answer) = ask(&ctx, Method::GET, path, KEY, None).await;
        assert_eq!(status, 200);
        assert_same_shape(&value(sample), &value(&answer), path);
    }
}

#[tokio::test]
async fn the_sandbox_refuses_as_the_notes_say() {
    let ctx = ctx().await;
    let entry = |username: &str, domain: &str| json!({ "mailboxUsername": username, "domain": domain });
    let unknown = json!({ "userName": "ada", "domain": "example.com", "password": "x" });
    let table = [
        (json!({ "mailboxes": [entry("ada", "elsewhere.example")] }), (200, 400)),
        (json!({ "mailboxes": [entry("one", "full.example")] }), (400, 400)),
        (json!({ "mailboxes": [entry("four", "full.example")] }), (400, 400)),
        (json!({ "mailboxes": [entry("ada", "suspended.example")] }), (400, 400)),
        (json!({ "mailboxes": [entry("a@b", "example.com")] }), (400, 400)),
        (json!({ "mailboxes": [{ "domain": "example.com" }] }), (400, 400)),
        (json!({ "mailboxes": [unknown] }), (400, 400)),
        (json!({ "mailboxes": [{ "mailboxUsername": "ada", "domain": 5 }] }), (400, 400)),
        (
            json!({ "mailboxes": [{ "mailboxUsername": "ada", "domain": "example.com", "firstName": null }] }),
            (400, 400),
        ),
        (json!({ "mailboxes": [] }), (400, 400)),
        (json!({}), (400, 400)),
    ];
    for (body, wanted) in table {
        let (status, answer) = ask(&ctx, Method::POST, "/v1/mailboxes/assign", KEY, Some(body.clone())).await;
        assert_eq!((status, value(&answer)["status"].as_u64()), (wanted.0, Some(wanted.1)), "{body}");
    }
    assert_eq!(ask(&ctx, Method::GET, "/v1/users", &[], None).await.0, 401);
    assert_eq!(ask(&ctx, Method::GET, "/v1/wallet/balance", KEY, None).await.0, 404);
}

#[tokio::test]
async fn each_shape_of_a_list_is_read() {
    let ada = json!({ "id": "mb_1", "username": "ada", "domain": "example.org", "status": "PENDING" });
    let bare = json!({ "id": "mb_1", "username": "ada" });
    let shapes = [
        json!([ada]),
        json!({ "mailboxes": [ada] }),
        json!({ "domains": [{ "id": "d1", "domain": "example.org", "mailboxes": [bare] }] }),
        json!({ "mailboxes": [{ "id": "mb_1", "email": "ada@example.org", "username": null, "later": [1, {}] }] }),
        json!([{ "id": "mb_1", "username": "ada", "domain": { "id": "d1", "domain": "example.org" } }]),
        json!([{ "id": "mb_1", "username": "ada", "domain": { "name": "Example.org" }, "createdAt": 17 }]),
    ];
    for shape in shapes {
        let all = listed(shape.clone()).await.unwrap_or_else(|error| panic!("{shape}: {error:?}"));
        assert_eq!(all.len(), 1, "{shape}");
        assert_eq!((&all[0].address, all[0].id.as_deref()), (&at("ada@example.org"), Some("mb_1")), "{shape}");
    }
    for none in [json!([]), json!(null), json!({ "mailboxes": [] }), json!({ "domains": [], "totalPages": 0 })] {
        assert_eq!(listed(none.clone()).await.expect("there is nothing to list"), [], "{none}");
    }
}

#[tokio::test]
async fn what_is_no_list_is_not_taken_for_an_empty_one() {
    for odd in [json!({ "inboxes": [] }), json!({}), json!("none"), json!({ "mailboxes": 3 })] {
        assert_kind(listed(odd).await, Kind::Provider);
    }
    for body in ["", "{}", "null", r#"{"status":200,"message":"ok"}"#, "<html>ok</html>"] {
        let ctx = ctx().await;
        answer_with(&ctx, Method::GET, "/v1/mailboxes", 200, body);
        assert_kind(ctx.provider.get_mailbox(&at("ada@example.com")).await, Kind::Provider);
    }
}

#[tokio::test]
async fn a_mailbox_whose_domain_is_not_told_is_shown_and_never_denied() {
    let lost = json!([{ "id": "mb_1", "username": "ada", "domainId": "d1", "status": "ACTIVE" }]);
    let all = listed(lost.clone()).await.expect("it is listed");
    assert_eq!((all[0].address.to_string().as_str(), &all[0].extra["domain_id"]), ("ada", &json!("d1")));
    let ctx = ctx().await;
    answer_with(&ctx, Method::GET, "/v1/mailboxes", 200, &json!({ "data": lost }).to_string());
    let error = assert_kind(ctx.provider.get_mailbox(&at("ada@example.com")).await, Kind::Provider);
    assert!(error.message.contains("does not name the domain of ada"), "{error}");
}

#[tokio::test]
async fn a_page_of_domains_without_mailboxes_is_not_the_end() {
    let ctx = ctx().await;
    let page = |total: Value, domain: &str, mailboxes: Value| {
        let row = json!({ "id": format!("id-{domain}"), "domain": domain, "mailboxes": mailboxes });
        let data = json!({ "totalPages": total, "nextPage": 2, "domains": [row] });
        Answer::Raw { status: 200, headers: Vec::new(), body: json!({ "data": data }).to_string().into_bytes() }
    };
    let some = json!([{ "id": "mb_1", "username": "ada", "email": "ada@b.example" }]);
    for answer in [
        page(json!("3"), "a.example", json!([])),
        page(json!(3), "b.example", some),
        page(json!(3), "c.example", json!(null)),
    ] {
        ctx.sandbox.fault(Fault::instead(Method::GET, "/v1/mailboxes", answer).times(1));
    }
    let all: Vec<Mailbox> = ctx.provider.list_mailboxes(None).try_collect().await.expect("the list is read");
    assert_eq!(all.len(), 1);
    let queries: Vec<_> = ctx.sandbox.take_seen().iter().map(|seen| seen.query.clone()).collect();
    assert_eq!(queries, ["page=1", "page=2", "page=3"]);
}

#[tokio::test]
async fn each_status_word_has_its_meaning() {
    let other = |word: &str| Status::Other(word.to_owned());
    let table = [
        (json!("PENDING"), Status::Pending),
        (json!("pending"), Status::Pending),
        (json!("IN_PROGRESS"), Status::Pending),
        (json!("ACTIVE"), Status::Active),
        (json!("FAILED"), other("FAILED")),
        (json!("ERROR_ON_DOMAIN"), other("ERROR_ON_DOMAIN")),
        (json!("Paused"), other("Paused")),
        (json!(null), Status::Unknown),
    ];
    for (word, status) in table {
        let all = listed(json!([{ "id": "1", "email": "ada@example.org", "status": word }])).await.expect("it is read");
        assert_eq!(all[0].status, status);
    }
}

#[tokio::test]
async fn each_error_has_its_meaning_wherever_its_status_travels() {
    let table = [
        (400, json!({ "status": 400, "message": "Mailbox already exists" }), Kind::Conflict),
        (200, json!({ "status": 400, "message": "ada is already assigned" }), Kind::Conflict),
        (409, json!({ "status": 409, "message": "duplicate" }), Kind::Conflict),
        (400, json!({ "status": 400, "message": "There are not enough mailboxes" }), Kind::Limit),
        (400, json!({ "status": 400, "message": "Insufficient wallet balance" }), Kind::Limit),
        (402, json!({}), Kind::Limit),
        (200, json!({ "status": 402, "message": "pay first" }), Kind::Limit),
        (400, json!({ "status": 400, "message": "Domain example.com does not exist" }), Kind::NotFound),
        (200, json!({ "status": 404, "message": "Domain not found", "errorId": "e1" }), Kind::NotFound),
        (400, json!({ "status": 400, "message": ["firstName is required"], "error": "Bad Request" }), Kind::Invalid),
        (422, json!({ "errors": [{ "message": "bad name" }] }), Kind::Invalid),
        (401, json!({ "status": 401, "message": "Unauthorized" }), Kind::Auth),
        (200, json!({ "status": "401", "message": "Unauthorized" }), Kind::Auth),
        (200, json!({ "status": 403, "message": "Forbidden" }), Kind::Denied),
        (400, json!({ "status": 403, "error": { "message": "Forbidden" } }), Kind::Denied),
        (200, json!({ "status": 429, "message": "Too many requests" }), Kind::RateLimited),
        (404, json!({ "message": "Cannot POST /v1/mailboxes/assign", "statusCode": 404 }), Kind::Unsupported),
        (404, json!([]), Kind::Unsupported),
        (404, json!({ "status": 404, "message": "Domain not found" }), Kind::NotFound),
        // After a server fault mbx looks, and here finds nothing.
        (500, json!({ "status": 500, "message": "Internal server error" }), Kind::Unknown),
        (200, json!({ "status": 500, "message": "Internal server error" }), Kind::Unknown),
    ];
    for (status, body, kind) in table {
        let ctx = ctx().await;
        answer_with(&ctx, Method::POST, "/v1/mailboxes/assign", status, &body.to_string());
        let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, kind);
        let said = body["message"].as_str().or(body["message"][0].as_str()).or(body["errors"][0]["message"].as_str());
        let said = said.or(body["error"]["message"].as_str());
        assert_eq!(error.provider_message.as_deref(), said, "{body}");
    }
}

#[tokio::test]
async fn a_wrong_base_url_is_not_a_missing_mailbox() {
    for answer in [Answer::html(404), Answer::status(404), Answer::html(405)] {
        let ctx = ctx().await;
        ctx.sandbox.fault(Fault::instead(Method::GET, "/v1/", answer));
        assert_kind(ctx.provider.check_account().await, Kind::Unsupported);
        assert_kind(ctx.provider.get_mailbox(&at("ada@example.com")).await, Kind::Unsupported);
    }
}

#[tokio::test]
async fn an_answer_without_our_record_is_looked_up() {
    for data in [json!(null), json!({ "created": 0, "mailboxes": [] }), json!({ "created": 1 })] {
        let ctx = ctx().await;
        let body = json!({ "status": 201, "message": "ok", "data": data }).to_string().into_bytes();
        let answer = Answer::Raw { status: 201, headers: Vec::new(), body };
        ctx.sandbox.fault(Fault::after(Method::POST, "/v1/mailboxes/assign", answer).times(1));
        let made = ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await.expect("looking finds it");
        assert_eq!(made.address, at("ada@example.com"));
        assert!(made.assumed && !made.notes.is_empty(), "{made:?}");
    }
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_calls_nothing_failed_that_may_exist() {
    let ctx = ctx().await;
    let record = |id: &str, username: &str| json!({ "id": id, "username": username, "status": "PENDING" });
    let body = json!({ "status": 201, "data": { "created": 2, "mailboxes": [record("3", "CY"), record("1", "ada")] } });
    answer_with(&ctx, Method::POST, "/v1/mailboxes/assign", 201, &body.to_string());
    let batch = ["ada@example.com", "bob@example.com", "cy@example.com"].map(|address| ctx.mailbox(address));
    let results = ctx.provider.create_mailboxes(&batch).await.expect("the request goes through");
    let ids: Vec<_> = results.iter().map(|result| result.as_ref().ok().and_then(|m| m.id.as_deref())).collect();
    assert_eq!(ids, [Some("1"), None, Some("3")]);
    let error = assert_kind(results[1].clone(), Kind::Unknown);
    assert_eq!(error.effect, Effect::Unknown);
    assert!(error.message.contains("bob@example.com"), "{error}");
}

#[tokio::test]
async fn a_new_mailbox_is_pending_until_the_second_look() {
    let ctx = ctx().await;
    assert_eq!(ctx.create("ada@example.com").await.status, Status::Pending);
    for status in [Status::Pending, Status::Active, Status::Active] {
        assert_eq!(ctx.provider.get_mailbox(&at("ada@example.com")).await.expect("it is there").status, status);
    }
}

#[tokio::test]
async fn a_removal_is_scheduled_whatever_the_answer_holds() {
    let on = |removal: Removal| match removal {
        Removal::Scheduled { on, note } => {
            assert!(note.contains("renewal"));
            on
        }
        Removal::Done(_) => panic!("it is scheduled, not done"),
    };
    let ctx = ctx().await;
    ctx.create("ada@example.com").await;
    assert_eq!(on(ctx.provider.delete_mailbox(&at("ada@example.com")).await.expect("it is scheduled").value), None);
    let again = on(ctx.provider.delete_mailbox(&at("ada@example.com")).await.expect("it is scheduled again").value);
    assert_eq!(again, Some(Stamp::lenient("2026-02-04T09:00:00.000Z")));
    for answer in [Answer::status(204), Answer::status(200), Answer::status(202)] {
        ctx.sandbox.fault(Fault::instead(Method::DELETE, "/v1/mailboxes/", answer).times(1));
        ctx.provider.delete_mailbox(&at("ada@example.com")).await.expect("any success will do");
    }
}

#[tokio::test]
async fn what_is_listed_is_not_called_gone() {
    let ctx = ctx().await;
    ctx.create("ada@example.com").await;
    answer_with(&ctx, Method::DELETE, "/v1/mailboxes/", 404, r#"{"status":404,"message":"Mailbox not found"}"#);
    let error = assert_kind(ctx.provider.delete_mailbox(&at("ada@example.com")).await, Kind::Provider);
    assert!(error.message.contains("lists ada@example.com"), "{error}");
}

#[tokio::test]
async fn nothing_is_removed_or_changed_without_an_id() {
    for id in [json!(""), json!(null)] {
        let ctx = ctx().await;
        let body = json!({ "data": [{ "id": id, "email": "ada@example.com" }] }).to_string();
        answer_with(&ctx, Method::GET, "/v1/mailboxes", 200, &body);
        let body = json!({ "data": [{ "id": id, "domain": "example.com" }] }).to_string();
        answer_with(&ctx, Method::GET, "/v1/domains", 200, &body);
        let change = MailboxChange { first_name: Some("Ada".to_owned()), ..MailboxChange::default() };
        assert_kind(ctx.provider.delete_mailbox(&at("ada@example.com")).await, Kind::Provider);
        assert_kind(ctx.provider.update_mailbox(&at("ada@example.com"), &change).await, Kind::Provider);
        assert_kind(ctx.provider.delete_domain(&name("example.com")).await, Kind::Provider);
        let source = "@example.com".parse().expect("a good source");
        assert_kind(ctx.provider.delete_alias(&source).await, Kind::Provider);
        assert!(ctx.sandbox.take_seen().iter().all(|seen| seen.method == Method::GET));
    }
}

#[tokio::test]
async fn the_list_of_domains_is_read() {
    let ctx = ctx().await;
    answer_with(&ctx, Method::GET, "/v1/domains", 200, DOMAINS);
    let all: Vec<Domain> = ctx.provider.list_domains().try_collect().await.expect("the sample is read");
    let [domain] = all.as_slice() else { panic!("one domain, not {all:?}") };
    assert_eq!((&domain.name, &domain.status, domain.mailboxes), (&name("example.org"), &Status::Active, Some(2)));
    assert_eq!(domain.created_at, Some(Stamp::lenient("2025-01-10T08:00:00.000Z")));
    assert_eq!(domain.verified, None);
}

#[tokio::test]
async fn dns_records_are_read_under_each_of_their_names() {
    let rows = value(RECORDS)["data"]["records"].clone();
    for data in [rows.clone(), json!({ "records": rows }), json!({ "domainDnsRecords": rows, "disabledRecords": [] })] {
        let ctx = ctx().await;
        answer_with(&ctx, Method::GET, "/v1/dns", 200, &json!({ "status": 200, "data": data }).to_string());
        let records = ctx.provider.domain_dns(&name("example.com")).await.expect("the sample is read");
        assert_eq!((records[0].kind.as_str(), records[0].value.as_str()), ("MX", "mx.example.net"));
        assert_eq!((records[0].name.as_str(), records[0].priority, records[0].ttl), ("example.org", Some(1), None));
    }
}

#[tokio::test]
async fn a_catch_all_names_its_domain_by_id_and_has_one_target() {
    let ctx = ctx().await;
    let source: mbx::model::AliasSource = "@example.com".parse().expect("a good source");
    let two = Alias::to(source.clone(), vec![at("ada@example.com"), at("bob@example.com")]);
    assert_kind(ctx.provider.create_alias(&two).await, Kind::Invalid);
    ctx.provider.create_alias(&Alias::to(source.clone(), vec![at("ada@example.com")])).await.expect("it is made");
    ctx.provider.delete_alias(&source).await.expect("it is removed");
    let seen = ctx.sandbox.take_seen();
    let bodies: Vec<Value> = seen.iter().filter(|s| s.method != Method::GET).map(|s| value(&s.body)).collect();
    let id = "cmd0000000000000000000001";
    assert_eq!(bodies, [json!({ "domainIds": [id], "email": "ada@example.com" }), json!({ "domainIds": [id] })]);
    let alias = "info@example.com".parse().expect("a good source");
    assert_kind(ctx.provider.delete_alias(&alias).await, Kind::Unsupported);
}

#[tokio::test]
async fn the_account_may_have_no_name() {
    for (body, wanted) in [
        (json!({ "data": { "id": "u1", "email": "me@example.org" } }), "me@example.org"),
        (json!({ "data": { "id": "u1", "email": null, "domains": [] } }), "u1"),
        (json!({ "status": 200, "message": "ok", "data": null }), "an account that LiteMail does not name"),
        (json!({ "status": 200, "message": "ok" }), "an account that LiteMail does not name"),
    ] {
        let ctx = ctx().await;
        answer_with(&ctx, Method::GET, "/v1/users", 200, &body.to_string());
        assert_eq!(ctx.provider.check_account().await.expect("the key is good"), wanted);
    }
}

fn with_route(ctx: &Ctx, route: &str, allow_unverified: bool) -> Account {
    let mut account = account(&ctx.sandbox, ctx.id);
    account.settings.insert("create_route".to_owned(), route.to_owned());
    account.allow_unverified = allow_unverified;
    account
}

#[tokio::test]
async fn the_older_call_is_off_unless_asked_for_twice() {
    let ctx = ctx().await;
    for (route, allowed, words) in
        [("legacy", false, "allow_unverified"), ("older", true, "`assign` or `legacy`"), ("", true, "`assign`")]
    {
        let Err(error) = adapters::open(&with_route(&ctx, route, allowed)) else { panic!("{route:?} opens") };
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.contains(words), "{error}");
    }
    assert!(adapters::open(&with_route(&ctx, "assign", false)).is_ok());
}

#[tokio::test]
async fn the_older_call_makes_mailboxes_one_by_one() {
    let ctx = ctx().await;
    let legacy = adapters::open(&with_route(&ctx, "legacy", true)).expect("the account opens");
    let batch = ["ada@example.com", "bob@example.com"].map(|address| ctx.mailbox(address));
    for (result, new) in legacy.create_mailboxes(&batch).await.expect("the requests go through").iter().zip(&batch) {
        assert_eq!(result.as_ref().expect("it is created").address, new.address);
    }
    let bodies: Vec<Value> = ctx.sandbox.take_seen().iter().map(|seen| value(&seen.body)).collect();
    assert_eq!(bodies[0], json!({ "userName": "ada", "domain": "example.com" }));
    assert_kind(legacy.create_mailbox(&batch[0]).await, Kind::Conflict);
    // The older answer may as well have the newer shape.
    answer_with(&ctx, Method::POST, "/v1/mailboxes", 201, ASSIGN);
    let made = legacy.create_mailbox(&ctx.mailbox("ada@example.org")).await.expect("the sample is read");
    assert_eq!(made.id.as_deref(), Some("mb_1"));
}

#[tokio::test]
async fn a_domain_is_looked_up_only_where_undocumented_routes_are_allowed() {
    let (ctx, elsewhere) = (ctx().await, name("elsewhere.example"));
    let strict = ctx.open(|account| account.allow_unverified = false);
    ctx.sandbox.take_seen();
    let all: Vec<Mailbox> = strict.list_mailboxes(Some(&elsewhere)).try_collect().await.expect("an empty list");
    assert_eq!(all, []);
    assert!(ctx.sandbox.take_seen().iter().all(|request| !request.path.contains("/v1/domains")));
}
