//! Hybridbox: samples shaped after <https://docs.hybridbox.io/en/api/v1/public/accounts/account_id/mailboxes/mailbox/get>
//! and its neighbours. Like the pages' own, they leave out members with a fixed set of values, such as `scope_type`.

use futures_util::TryStreamExt;
use mbx::adapters;
use mbx::error::{Effect, Kind, Result};
use mbx::http::Method;
use mbx::model::{Alias, Credential, Domain, Mailbox, MailboxChange, NewCredential, Removal, Stamp, Status};
use mbx::provider::{Op, Provider, ProviderId, Support};
use mbx::sandbox::{Answer, Fault};
use serde_json::{Value, json};

use super::{answer_with, ask, assert_same_shape};
use crate::support::{Ctx, PASSWORD, account, assert_kind, at, name};

const ACCOUNT: &str = include_str!("hybridbox/account.json");
const MAILBOX: &str = include_str!("hybridbox/mailbox.json");
const MAILBOXES: &str = include_str!("hybridbox/mailboxes.json");
const BULK: &str = include_str!("hybridbox/bulk.json");
const ALIAS: &str = include_str!("hybridbox/alias.json");
const CREDENTIAL: &str = include_str!("hybridbox/credential.json");
const DOMAIN: &str = include_str!("hybridbox/domain.json");

const ADA: &str = "ada@example.com";
const BEARER: &[(&str, &str)] = &[("authorization", "Bearer sandbox")];
const PREFIX: &str = "/v1/public/accounts/3c90c3cc-0d44-4b50-8888-8dd25736052a";
const WORKSPACES: [&str; 2] = ["00000000-0000-4000-8004-000000000001", "00000000-0000-4000-8004-000000000002"];

async fn hybridbox() -> Ctx {
    Ctx::new(ProviderId::Hybridbox).await
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

/// Returns the body of the one request with this method.
#[track_caller]
fn sent(ctx: &Ctx, method: Method) -> Value {
    let seen = ctx.sandbox.take_seen();
    let bodies: Vec<_> = seen.iter().filter(|r| r.method == method).map(|r| r.body.clone()).collect();
    assert_eq!(bodies.len(), 1, "{seen:?}");
    parse(&bodies[0])
}

fn credential(domain: Option<&str>, secret: &str) -> NewCredential {
    NewCredential { name: "ci".to_owned(), domain: domain.map(name), secret: secret.into() }
}

fn assert_is_the_sample(mailbox: &Mailbox) {
    assert_eq!(mailbox.address, at(ADA));
    assert_eq!(mailbox.id.as_deref(), Some("0d9a7a10-94b1-4a7b-8c55-1d2e3f405162"));
    assert_eq!((mailbox.first_name.as_deref(), mailbox.last_name.as_deref()), (Some("Ada"), Some("Byron")));
    assert_eq!(mailbox.status, Status::Other("warming_up".to_owned()));
    assert_eq!(mailbox.created_at, Some(Stamp::lenient("2025-06-01 08:15:00")));
    // The catch-all is no address of its own, and a quota without a unit is no quota.
    assert_eq!(mailbox.aliases, Some(vec![at("countess@example.com")]));
    assert_eq!(mailbox.quota, None);
    assert_eq!(mailbox.extra["quota"], json!({ "allowed": 123, "used": 45 }));
    assert_eq!(mailbox.extra["workspace_name"], "Example Workspace");
}

#[tokio::test]
async fn an_answer_about_another_domain_is_not_taken_for_the_one_that_was_asked_for() {
    let ctx = Ctx::new(ProviderId::Hybridbox).await;
    answer_with(&ctx, Method::GET, "/domains/", 200, DOMAIN);
    let error = assert_kind(ctx.provider.get_domain(&name("other.example")).await, Kind::Provider);
    assert_eq!(error.message, "the answer is about example.com and not about other.example");
    assert_eq!(error.effect, Effect::None);
}

#[tokio::test]
async fn the_documented_mailbox_is_read() {
    let ctx = hybridbox().await;
    answer_with(&ctx, Method::GET, "/mailboxes", 200, MAILBOXES);
    let all: Vec<Mailbox> = ctx.provider.list_mailboxes(None).try_collect().await.expect("the sample is read");
    assert_eq!(all.len(), 1);
    assert_is_the_sample(&all[0]);
    assert_is_the_sample(&ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there"));

    let ctx = hybridbox().await;
    answer_with(&ctx, Method::POST, "/mailboxes", 200, MAILBOX);
    assert_is_the_sample(&ctx.create(ADA).await);
}

#[tokio::test]
async fn the_documented_account_and_domain_are_read() {
    let ctx = hybridbox().await;
    answer_with(&ctx, Method::GET, "/domains/", 200, DOMAIN);
    answer_with(&ctx, Method::GET, "/accounts/", 200, ACCOUNT);
    assert_eq!(ctx.provider.check_account().await.expect("the sample is read"), "Example Account");
    let domain = ctx.provider.get_domain(&name("example.com")).await.expect("the sample is read");
    assert_eq!((domain.name, domain.status, domain.verified), (name("example.com"), Status::Pending, Some(true)));
    // Whether the list inside is whole is not documented, so it is not counted.
    assert_eq!(domain.mailboxes, None);
    let records = ctx.provider.domain_dns(&name("example.com")).await.expect("the sample is read");
    assert_eq!((records[0].kind.as_str(), records[0].priority, records[0].ttl), ("MX", Some(10), None));
    assert_eq!(records[0].note.as_deref(), Some("kept by Hybridbox; TTL 3600, of a unit not documented"));
    assert_eq!((records[1].kind.as_str(), records[1].priority), ("A", None));
    for odd in [json!(null), json!([])] {
        let ctx = hybridbox().await;
        let mut sample = parse(DOMAIN);
        sample["dns_records"] = odd;
        answer_with(&ctx, Method::GET, "/domains/", 200, &sample.to_string());
        assert_eq!(ctx.provider.domain_dns(&name("example.com")).await.expect("it is read"), []);
    }
}

#[tokio::test]
async fn the_documented_alias_and_credential_are_read() {
    let ctx = hybridbox().await;
    ctx.create(ADA).await;
    answer_with(&ctx, Method::POST, "/aliases", 200, ALIAS);
    let new = Alias::to("countess@example.com".parse().expect("a good source"), vec![at(ADA)]);
    assert_eq!(ctx.provider.create_alias(&new).await.expect("the sample is read").value, new);

    answer_with(&ctx, Method::POST, "/credentials", 200, CREDENTIAL);
    let made = ctx.provider.create_credential(&credential(None, PASSWORD)).await.expect("the sample is read");
    assert_eq!((made.name.as_str(), made.scope.as_deref()), ("ci", None));
    assert_eq!(made.scope_id.as_deref(), Some("7b1f1a52-5f0e-4c7e-9d2b-0f3a4c5d6e7f"));
    assert!(!format!("{made:?}").contains("Once-Shown-Secret-9"), "a secret of the answer is in the model");
}

#[tokio::test]
async fn the_sandbox_prints_what_the_vendor_prints() {
    let ctx = hybridbox().await;
    ctx.create(ADA).await;
    let alias = json!({ "alias": "countess@example.com" });
    let box_path = format!("{PREFIX}/mailboxes/00000000-0000-4000-8002-000000000001");
    let items = json!([
        { "first_name": "Ada", "last_name": "Again", "local_part": "ada" },
        { "first_name": "Bob", "last_name": "Base", "local_part": "bob" },
    ]);
    let secret = json!({ "name": "ci", "generate": true });
    for (method, path, body, sample) in [
        (Method::GET, PREFIX.to_owned(), None, ACCOUNT),
        (Method::POST, format!("{box_path}/aliases"), Some(alias), ALIAS),
        (Method::GET, box_path, None, MAILBOX),
        (Method::GET, format!("{PREFIX}/mailboxes?page_size=1000&search=ada"), None, MAILBOXES),
        (
            Method::POST,
            format!("{PREFIX}/mailboxes/bulk"),
            Some(json!({ "domain": "example.com", "items": items })),
            BULK,
        ),
        (Method::POST, format!("{PREFIX}/credentials"), Some(secret), CREDENTIAL),
        (Method::GET, format!("{PREFIX}/domains/example.com"), None, DOMAIN),
    ] {
        let (status, body) = ask(&ctx, method, &path, BEARER, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        let mut sample = parse(sample);
        if path.contains("bulk") {
            // The sandbox leaves the aliases out where there are none.
            sample["created"][0]["mailbox"].as_object_mut().expect("an object").remove("aliases");
        }
        assert_same_shape(&sample, &parse(&body), &path);
    }
}

#[tokio::test]
async fn what_is_sent_is_what_the_pages_ask_for() {
    let ctx = hybridbox().await;
    ctx.create(ADA).await;
    let names = json!({ "domain": "example.com", "first_name": "Ada", "last_name": "Byron", "local_part": "ada" });
    assert_eq!(sent(&ctx, Method::POST), names);

    let change = MailboxChange { first_name: Some("Augusta".to_owned()), ..MailboxChange::default() };
    ctx.provider.update_mailbox(&at(ADA), &change).await.expect("the name changes");
    assert_eq!(sent(&ctx, Method::PATCH), json!({ "first_name": "Augusta" }));

    for (source, body) in [
        ("info@example.com", json!({ "alias": "info@example.com" })),
        ("@example.com", json!({ "alias": "@example.com", "is_catch_all": true })),
    ] {
        let new = Alias::to(source.parse().expect("a good source"), vec![at(ADA)]);
        ctx.provider.create_alias(&new).await.expect("it is created");
        assert_eq!(sent(&ctx, Method::POST), body);
    }

    for (workspace, domain, scope) in
        [(None, None, "account"), (Some(0), None, "workspace"), (Some(0), Some("example.com"), "domain")]
    {
        let provider = ctx.open(|account| {
            account.settings.extend(workspace.map(|n: usize| ("workspace_id".to_owned(), WORKSPACES[n].to_owned())));
        });
        let made = provider.create_credential(&credential(domain, PASSWORD)).await.expect("it is created");
        assert_eq!(made.scope.as_deref(), Some(scope));
        let mut body = json!({ "name": "ci", "value": PASSWORD });
        match scope {
            "workspace" => body["workspace_id"] = WORKSPACES[0].into(),
            "domain" => body["domain"] = "example.com".into(),
            _ => {}
        }
        assert_eq!(sent(&ctx, Method::POST), body);
    }
}

#[tokio::test]
async fn settings_that_are_no_uuids_are_refused() {
    let ctx = hybridbox().await;
    for (key, value) in
        [("account_id", "acme"), ("account_id", ""), ("workspace_id", "3c90c3cc0d444b5088888dd25736052a")]
    {
        let mut account = account(&ctx.sandbox, ctx.id);
        account.settings.insert(key.to_owned(), value.to_owned());
        let error = assert_kind(adapters::open(&account).map(drop), Kind::Config);
        assert!(error.message.contains(key), "{error}");
    }
    let mut account = account(&ctx.sandbox, ctx.id);
    account.settings.clear();
    assert_kind(adapters::open(&account).map(drop), Kind::Config);
}

#[tokio::test]
async fn an_account_that_is_hidden_is_told_as_such() {
    let ctx = hybridbox().await;
    let other = ctx.open(|account| {
        account.settings.insert("account_id".to_owned(), "11111111-2222-4333-8444-555555555555".to_owned());
    });
    let error = assert_kind(other.check_account().await, Kind::NotFound);
    assert!(error.message.contains("11111111-2222"), "{error}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("account_id"));
}

#[tokio::test]
async fn a_workspace_limits_lists_and_not_look_ups() {
    let ctx = hybridbox().await;
    ctx.create(ADA).await;
    let second = ctx.open(|account| {
        account.settings.insert("workspace_id".to_owned(), WORKSPACES[1].to_owned());
    });
    let all: Vec<Mailbox> = second.list_mailboxes(None).try_collect().await.expect("the list is read");
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|m| m.address.domain() == &name("full.example")));
    let domains: Vec<Domain> = second.list_domains().try_collect().await.expect("the list is read");
    assert_eq!(domains.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["full.example"]);
    second.get_mailbox(&at(ADA)).await.expect("an address exists or not, whatever the workspace");
}

#[tokio::test]
async fn a_search_that_finds_nothing_proves_nothing() {
    let ctx = hybridbox().await;
    ctx.create(ADA).await;
    let nothing = json!({ "items": [], "page": 1, "page_size": 25, "total": 0 }).to_string();
    let answer = Answer::Raw { status: 200, headers: Vec::new(), body: nothing.into_bytes() };
    ctx.sandbox.fault(Fault::instead(Method::GET, "/mailboxes", answer).times(1));
    ctx.sandbox.take_seen();
    assert_eq!(ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there").address, at(ADA));
    let queries: Vec<_> = ctx.sandbox.take_seen().into_iter().map(|r| r.query).collect();
    assert!(queries[0].contains("search=ada") && !queries[1].contains("search"), "{queries:?}");
}

#[tokio::test]
async fn a_filter_that_is_ignored_shows_no_other_domain() {
    let ctx = hybridbox().await;
    answer_with(&ctx, Method::GET, "/mailboxes", 200, MAILBOXES);
    assert_eq!(ctx.listed("suspended.example").await, Vec::<String>::new());
    assert_kind(ctx.provider.get_mailbox(&at("ada@suspended.example")).await, Kind::NotFound);
}

#[tokio::test]
async fn a_list_that_does_not_end_is_an_error() {
    let ctx = hybridbox().await;
    let mut sample = parse(MAILBOXES);
    sample["total"] = 1000.into();
    answer_with(&ctx, Method::GET, "/mailboxes", 200, &sample.to_string());
    let all: Result<Vec<Mailbox>> = ctx.provider.list_mailboxes(None).try_collect().await;
    assert_kind(all, Kind::Provider);
    // A page that is empty before the total is reached ends a list that is not complete.
    sample["items"] = json!([]);
    let ctx = hybridbox().await;
    answer_with(&ctx, Method::GET, "/mailboxes", 200, &sample.to_string());
    let all: Result<Vec<Mailbox>> = ctx.provider.list_mailboxes(None).try_collect().await;
    assert!(assert_kind(all, Kind::Provider).message.contains("0 of 1000 items"));
}

#[tokio::test]
async fn inferred_lists_may_be_bare_arrays_or_pages() {
    let item = json!({ "id": "7b1f1a52-5f0e-4c7e-9d2b-0f3a4c5d6e7f", "name": "example.com" });
    for body in [json!([item]), json!({ "items": [item], "page": 1, "page_size": 25, "total": 1 })] {
        let ctx = hybridbox().await;
        answer_with(&ctx, Method::GET, "/domains", 200, &body.to_string());
        let all: Vec<Domain> = ctx.provider.list_domains().try_collect().await.expect("either form is read");
        assert_eq!((all.len(), &all[0].status, all[0].verified), (1, &Status::Unknown, None));
        answer_with(&ctx, Method::GET, "/credentials", 200, &body.to_string());
        let all: Vec<Credential> = ctx.provider.list_credentials().try_collect().await.expect("either form is read");
        assert_eq!((all.len(), all[0].scope.as_deref()), (1, None));
    }
}

#[tokio::test]
async fn a_mailbox_without_its_optional_members_is_read() {
    let ctx = hybridbox().await;
    let mut sample = parse(MAILBOX);
    for key in ["aliases", "workspace_id", "workspace_name", "quota", "status", "created_at"] {
        sample.as_object_mut().expect("an object").remove(key);
    }
    sample["something_new"] = json!({ "deep": [1, 2] });
    answer_with(&ctx, Method::POST, "/mailboxes", 207, &sample.to_string());
    let made = ctx.create(ADA).await;
    assert_eq!((made.address, made.aliases, made.status), (at(ADA), None, Status::Unknown));
    assert_eq!((made.created_at, made.extra.len()), (None, 0));
}

#[tokio::test]
async fn each_shape_of_an_error_has_its_words_and_its_meaning() {
    let table = [
        (401, r#"{"error":{"code":"unauthorized","message":"bad token"}}"#, Kind::Auth, "bad token (unauthorized)"),
        (402, r#"{"detail":"payment required"}"#, Kind::Limit, "payment required"),
        (403, r#"{"error":"missing capability mailbox.create"}"#, Kind::Denied, "missing capability mailbox.create"),
        (403, r#"{"message":"Mailbox quota reached"}"#, Kind::Limit, "Mailbox quota reached"),
        (422, r#"{"code":"mailbox_limit","message":"too many"}"#, Kind::Limit, "too many (mailbox_limit)"),
        (404, r#"{"detail":"Domain not found"}"#, Kind::NotFound, "Domain not found"),
        (409, "{}", Kind::Conflict, ""),
        (409, r#"{"error_code":"address_taken"}"#, Kind::Conflict, "address_taken"),
        (400, r#"{"detail":"Mailbox already exists"}"#, Kind::Conflict, "Mailbox already exists"),
        (422, r#"{"error":{"error_code":"DUPLICATE_ENTRY"}}"#, Kind::Conflict, "DUPLICATE_ENTRY"),
        (
            422,
            r#"{"detail":[{"loc":["body","local_part"],"msg":"field required","type":"missing"},{"msg":"odd"}]}"#,
            Kind::Invalid,
            "local_part: field required; odd",
        ),
        (400, "plain words", Kind::Invalid, "plain words"),
        (400, r#""quoted words""#, Kind::Invalid, "quoted words"),
        (400, "", Kind::Invalid, ""),
        (400, "<!DOCTYPE html><html></html>", Kind::Invalid, "(an HTML page)"),
        (400, r#"{"detail":null}"#, Kind::Invalid, ""),
        (405, r#"{"detail":"Method Not Allowed"}"#, Kind::Unsupported, "Method Not Allowed"),
    ];
    for (status, body, kind, words) in table {
        let ctx = hybridbox().await;
        answer_with(&ctx, Method::POST, "/mailboxes", status, body);
        let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox(ADA)).await, kind);
        assert_eq!(error.provider_message.as_deref().unwrap_or_default(), words, "{status} {body}");
        assert_eq!((error.http_status, error.effect), (Some(status), Effect::None));
    }
}

#[tokio::test]
async fn an_inferred_route_that_is_absent_is_not_a_missing_thing() {
    let ctx = hybridbox().await;
    ctx.create(ADA).await;
    let made = ctx.provider.create_credential(&credential(None, PASSWORD)).await.expect("it is created");
    let id = made.id.expect("credentials have ids");
    for status in [404, 405] {
        ctx.sandbox.fault(Fault::instead(Method::DELETE, "/", Answer::status(status)).times(2));
        for error in [
            assert_kind(ctx.provider.delete_mailbox(&at(ADA)).await, Kind::Unsupported),
            assert_kind(ctx.provider.delete_credential(&id).await, Kind::Unsupported),
        ] {
            assert!(error.message.contains("not available on this account"), "{error}");
        }
    }
    ctx.sandbox.fault(Fault::instead(Method::GET, "/domains", Answer::status(404)));
    let all: Result<Vec<Domain>> = ctx.provider.list_domains().try_collect().await;
    assert_kind(all, Kind::Unsupported);
    for no_id in ["ci", ".."] {
        assert_kind(ctx.provider.delete_credential(no_id).await, Kind::NotFound);
    }
    // Appended to the path it would name all credentials.
    for empty in ["", " "] {
        assert_kind(ctx.provider.delete_credential(empty).await, Kind::Invalid);
    }
}

#[tokio::test]
async fn a_deletion_is_confirmed_by_any_acknowledgement() {
    for (status, body) in [(200, "{}"), (204, ""), (202, r#"{"message":"gone"}"#), (200, "null")] {
        let ctx = hybridbox().await;
        ctx.create(ADA).await;
        answer_with(&ctx, Method::DELETE, "/", status, body);
        assert_eq!(
            ctx.provider.delete_mailbox(&at(ADA)).await.expect("any success will do").value,
            Removal::Done(None)
        );
        assert!(matches!(ctx.provider.delete_domain(&name("example.com")).await, Ok(Removal::Done(Some(_)))));
    }
}

#[tokio::test]
async fn a_token_that_makes_mailboxes_may_be_refused_credentials() {
    let ctx = hybridbox().await;
    let editor = ctx.open(|account| account.secret = "editor".into());
    editor.create_mailbox(&ctx.mailbox(ADA)).await.expect("mailboxes are allowed");
    assert_kind(editor.create_credential(&credential(None, PASSWORD)).await, Kind::Denied);
}

#[tokio::test]
async fn a_credential_outside_the_documented_lengths_is_not_sent() {
    let ctx = hybridbox().await;
    ctx.sandbox.take_seen();
    for (named, secret) in [("", PASSWORD), (&*"n".repeat(101), PASSWORD), ("ci", "abc"), ("ci", &*"s".repeat(257))] {
        let new = NewCredential { name: named.to_owned(), domain: None, secret: secret.into() };
        let error = assert_kind(ctx.provider.create_credential(&new).await, Kind::Invalid);
        assert!(!error.message.contains(secret), "{error}");
    }
    assert!(ctx.sandbox.take_seen().is_empty());
}

#[tokio::test]
async fn an_alias_has_one_target_and_may_be_told_by_its_local_part() {
    let ctx = hybridbox().await;
    ctx.create(ADA).await;
    let source = "countess@example.com".parse().expect("a good source");
    let two = Alias::to(source, vec![at(ADA), at("bob@example.com")]);
    assert_kind(ctx.provider.create_alias(&two).await, Kind::Invalid);
    answer_with(&ctx, Method::POST, "/aliases", 201, r#"{"alias":"countess","is_catch_all":null}"#);
    let one = Alias { targets: vec![at(ADA)], ..two };
    assert_eq!(ctx.provider.create_alias(&one).await.expect("it is read").source, one.source);
}

#[tokio::test]
async fn the_catch_all_is_listed_and_is_no_fact() {
    let ctx = hybridbox().await;
    assert!(matches!((ctx.spec.support)(Op::CreateCatchAll), Support::Unverified(_)));
    answer_with(&ctx, Method::GET, "/mailboxes", 200, MAILBOXES);
    let domain = name("example.com");
    let all: Vec<Alias> = ctx.provider.list_aliases(&domain).try_collect().await.expect("the list is read");
    let told: Vec<_> = all.iter().map(|alias| (alias.source.to_string(), alias.targets[0].clone())).collect();
    assert_eq!(told, [("countess@example.com".to_owned(), at(ADA)), ("@example.com".to_owned(), at(ADA))]);
}

/// Asks for ada, bob and eve in one request that is answered with `body`.
async fn batch(ctx: &Ctx, body: Value) -> Vec<Result<Mailbox>> {
    let batch = [ADA, "bob@example.com", "eve@example.com"].map(|address| ctx.mailbox(address));
    answer_with(ctx, Method::POST, "/bulk", 200, &body.to_string());
    let results = ctx.provider.create_mailboxes(&batch).await.expect("the request goes through");
    results.into_iter().map(|result| result.map(|done| done.value)).collect()
}

fn failed(index: i64, message: &str) -> Value {
    json!({ "code": "no", "index": index, "message": message })
}

#[tokio::test]
async fn the_documented_bulk_answer_is_read() {
    let ctx = hybridbox().await;
    let batch = [ADA, "bob@example.com"].map(|address| ctx.mailbox(address));
    answer_with(&ctx, Method::POST, "/bulk", 207, BULK);
    let results = ctx.provider.create_mailboxes(&batch).await.expect("the request goes through");
    assert_is_the_sample(results[0].as_ref().expect("it is created"));
    let error = assert_kind(results[1].clone(), Kind::Conflict);
    assert!(error.message.contains("bob@example.com") && error.provider.is_some(), "{error}");
    assert_eq!(error.provider_message.as_deref(), Some("bob@example.com already exists (mailbox_exists)"));
    let (_, items) = (ctx.sandbox.take_seen(), ctx.sandbox.addresses(ctx.id));
    assert!(!items.contains(&"bob@example.com".to_owned()));
}

#[tokio::test]
async fn a_refusal_is_put_down_to_an_address_only_where_it_must_be_its_own() {
    let ada = parse(MAILBOX);
    for (created, refusals, who) in [
        // Counted from one: ada is the first item and has index 1.
        (json!([{ "index": 1, "mailbox": ada }]), [failed(3, "eve is odd"), failed(2, "bob is odd")].to_vec(), [1, 2]),
        (json!([{ "index": 0, "mailbox": ada }]), [failed(2, "eve is odd"), failed(1, "bob is odd")].to_vec(), [1, 2]),
    ] {
        let ctx = hybridbox().await;
        let results = batch(&ctx, json!({ "created": created, "failed": refusals })).await;
        assert_is_the_sample(results[0].as_ref().expect("it is created"));
        for (at, words) in who.into_iter().zip(["bob is odd (no)", "eve is odd (no)"]) {
            let error = assert_kind(results[at].clone(), Kind::Invalid);
            assert_eq!(error.provider_message.as_deref(), Some(words));
        }
    }
}

#[tokio::test]
async fn what_a_bulk_answer_leaves_open_is_unknown_and_not_looked_up() {
    for (body, why, said) in [
        // Index 1 is ada or bob, and nothing shows which; eve is in neither list.
        (
            json!({ "failed": [failed(1, "it is odd")], "created": null }),
            "whose its refusals are",
            Some("it is odd (no)"),
        ),
        (json!({}), "does not name it", None),
    ] {
        let ctx = hybridbox().await;
        let results = batch(&ctx, body).await;
        for (result, address) in results.into_iter().zip([ADA, "bob@example.com", "eve@example.com"]) {
            let error = assert_kind(result, Kind::Unknown);
            assert_eq!(error.effect, Effect::Unknown);
            assert!(error.message.starts_with(&format!("{address} may exist or not")), "{error}");
            assert!(error.message.contains(why), "{error}");
            assert_eq!(error.provider_message.as_deref(), said);
        }
        assert_eq!(ctx.sandbox.take_seen().len(), 1, "the caller looks for many at once");
    }
    // A mailbox that was not asked for is nobody's.
    let ctx = hybridbox().await;
    let mut other = parse(MAILBOX);
    other["primary_email"] = json!("mallory@example.com");
    for result in batch(&ctx, json!({ "created": [{ "index": 0, "mailbox": other }] })).await {
        assert_kind(result, Kind::Unknown);
    }
}

#[tokio::test]
async fn an_alias_in_the_way_is_named() {
    let ctx = hybridbox().await;
    let refusal = json!({ "code": "address_taken", "message": "the address is taken by an alias" });
    answer_with(&ctx, Method::POST, "/mailboxes", 409, &refusal.to_string());
    let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox(ADA)).await, Kind::Conflict);
    assert!(error.message.contains("is the address of an alias"), "{error}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("mbx alias delete"), "{error:?}");
    let ctx = hybridbox().await;
    let taken = "an alias: already exists";
    let results =
        batch(&ctx, json!({ "created": [], "failed": [failed(0, taken), failed(1, taken), failed(2, taken)] })).await;
    for result in results {
        let error = assert_kind(result, Kind::Conflict);
        assert!(error.message.contains("is the address of an alias"), "{error}");
    }
}

#[tokio::test]
async fn the_sandbox_takes_texts_only_where_the_pages_show_texts() {
    let ctx = hybridbox().await;
    let item = |first: Value| json!({ "first_name": first, "last_name": "Byron", "local_part": "ada" });
    let one = |first: Value| {
        let mut body = item(first);
        body["domain"] = json!("example.com");
        body
    };
    let bulk = |items: Value| json!({ "domain": "example.com", "items": items });
    let credential = |value: Value| json!({ "name": "ci", "value": PASSWORD, "domain": value });
    for (path, body, wanted) in [
        ("/mailboxes", one(json!(5)), 422),
        ("/mailboxes", one(Value::Null), 422),
        ("/mailboxes/bulk", bulk(json!([item(json!(5))])), 422),
        ("/mailboxes/bulk", bulk(json!({ "0": item(json!("Ada")) })), 422),
        ("/mailboxes/bulk", bulk(json!([item(json!("Ada"))])), 201),
        ("/credentials", credential(json!(5)), 422),
        ("/credentials", credential(Value::Null), 201),
    ] {
        let (status, answer) = ask(&ctx, Method::POST, &format!("{PREFIX}{path}"), BEARER, Some(body.clone())).await;
        assert_eq!(status, wanted, "{path} {body}: {answer}");
    }
}
