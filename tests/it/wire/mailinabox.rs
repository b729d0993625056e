//! Mail-in-a-Box: what a box lists and says, beyond the recordings of `replay.rs`; logins with a second factor; the
//! brakes. `users.json` has every form of a user that was recorded, in few lines.

use futures_util::TryStreamExt;
use mbx::adapters;
use mbx::error::{Effect, Kind};
use mbx::http::Method;
use mbx::model::{Alias, AliasSource, Bytes, DnsRecord, Domain, Mailbox, MailboxChange, Quota, Removal, Status};
use mbx::provider::{Provider, ProviderId, Rules};
use mbx::sandbox::{Answer, BOX_USER, Fault};
use serde_json::{Value, json};

use super::{answer_with, ask, assert_same_shape};
use crate::replay::{SEED, TOTP_USER, answer, recorded};
use crate::support::{Ctx, PASSWORD, account, assert_kind, at, name};

const USERS: &str = include_str!("mailinabox/users.json");

/// `me@box.example.com` with the sandbox's password.
const BASIC: &[(&str, &str)] = &[("authorization", "Basic bWVAYm94LmV4YW1wbGUuY29tOnNhbmRib3g=")];

async fn context() -> Ctx {
    Ctx::new(ProviderId::Mailinabox).await
}

fn said(body: &str) -> Answer {
    let headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
    Answer::Raw { status: 200, headers, body: body.into() }
}

/// Returns the paths below `/admin` that the sandbox was asked for.
fn asked(ctx: &Ctx) -> Vec<String> {
    ctx.sandbox
        .take_seen()
        .iter()
        .map(|r| format!("{} {}", r.method, r.path.replace("/mailinabox/admin", "")))
        .collect()
}

#[tokio::test]
async fn every_form_of_a_user_is_read() {
    let ctx = context().await;
    answer_with(&ctx, Method::GET, "/mail/users", 200, USERS);
    let all: Vec<Mailbox> = ctx.provider.list_mailboxes(None).try_collect().await.expect("the sample is read");
    let unlimited = Some(Quota { limit: None, unlimited: true, used: None });
    let wanted = [
        ("me", Some(true), unlimited, Some("14.3K")),
        ("one", Some(false), Some(Quota::of(1 << 30)), Some("273")),
        ("unmeasured", Some(false), Some(Quota::of(500 << 20)), Some("?")),
        ("zero", Some(false), unlimited, Some("0.0")),
        ("old-box", Some(false), None, None),
        ("nulls", None, None, None),
    ];
    assert_eq!(all.len(), wanted.len(), "an inactive entry is a folder that remained");
    for (mailbox, (local, admin, quota, size)) in all.iter().zip(wanted) {
        assert_eq!((mailbox.address.local_part(), mailbox.admin, mailbox.quota), (local, admin, quota));
        assert_eq!(mailbox.extra.get("box_size").and_then(Value::as_str), size);
        assert_eq!((&mailbox.id, &mailbox.created_at, &mailbox.first_name), (&None, &None, &None));
    }
    assert_eq!((&all[1].status, &all[5].status), (&Status::Active, &Status::Other("locked".to_owned())));
    assert_eq!(all[1].extra["privileges"], json!(["wizard"]));
    // The filter goes by the addresses: the group's name is in Unicode.
    let domain = name("bücher.example");
    let some: Vec<Mailbox> = ctx.provider.list_mailboxes(Some(&domain)).try_collect().await.expect("it is read");
    assert_eq!(some.len(), 5);
}

#[tokio::test]
async fn the_sandbox_prints_what_the_box_prints() {
    let ctx = context().await;
    ctx.create("ada@example.com").await;
    for (path, exchange) in [
        ("/mail/users?format=json", "users.list.json.after_remove"),
        ("/mail/aliases?format=json", "aliases.list.json.populated"),
        ("/dns/zones", "dns.zones"),
    ] {
        let (status, body) = ask(&ctx, Method::GET, path, BASIC, None).await;
        assert_eq!(status, 200);
        let sample = recorded(exchange)["answer"]["body"].as_str().expect("a body");
        let sample: Value = serde_json::from_str(sample).expect("the sample is JSON");
        assert_same_shape(&sample, &serde_json::from_str(&body).expect("the body is JSON"), path);
    }
}

#[tokio::test]
async fn archived_mailboxes_are_listed_by_the_box_and_not_by_mbx() {
    let ctx = context().await;
    ctx.create("ada@example.com").await;
    let removal = ctx.provider.delete_mailbox(&at("ada@example.com")).await.expect("it is removed");
    assert_eq!(removal.value, Removal::Done(Some("the mail is kept on the box")));
    let (_, body) = ask(&ctx, Method::GET, "/mail/users?format=json", BASIC, None).await;
    assert!(body.contains("\"mailbox\": \"/home/user-data/mail/mailboxes/example.com/ada\""), "{body}");
    assert_eq!(ctx.listed("example.com").await, Vec::<String>::new());
    let notes = async |address: &str| {
        ctx.provider.create_mailbox(&ctx.mailbox(address)).await.expect("the mailbox is created").notes
    };
    let kept = "the box keeps the mail of a former ada@example.com; the new mailbox opens with it";
    assert_eq!(notes("ada@example.com").await, [kept]);
    assert!(notes("bob@example.com").await.is_empty());
}

#[tokio::test]
async fn one_look_serves_all_creates_of_a_run() {
    let ctx = context().await;
    let adapter = ctx.bare();
    for address in ["ada@example.com", "bob@example.com"] {
        adapter.create_mailbox(&ctx.mailbox(address)).await.expect("it is created");
    }
    assert_eq!(asked(&ctx), ["GET /mail/users", "POST /mail/users/add", "POST /mail/users/add"]);
}

#[tokio::test]
async fn a_quota_on_an_old_box_is_refused_rather_than_lost() {
    let ctx = context().await;
    ctx.sandbox.fault(Fault::instead(Method::GET, "/mail/users", answer(recorded("v72.users.list.json"))));
    let mut new = ctx.mailbox("ada@example.com");
    new.quota = Some("2G".parse().expect("a size"));
    let error = assert_kind(ctx.provider.create_mailbox(&new).await, Kind::Unsupported);
    assert!(error.message.contains("v73"), "{error}");
    assert!(asked(&ctx).iter().all(|request| request == "GET /mail/users"));
    ctx.create("ada@example.com").await;
}

#[tokio::test]
async fn each_sentence_has_its_meaning() {
    // Those of section "errors" in the notes that were not recorded, or not with this request.
    let table = [
        (400, "Passwords cannot contain spaces.", Kind::Invalid),
        (400, "A sentence of a later release.", Kind::Invalid),
        (400, "User already exists.\nwith a second line", Kind::Conflict),
        (400, "  User already exists.  ", Kind::Conflict),
        (400, "Invalid quota.", Kind::Invalid),
        (401, "That's not a user (me@box.example.com).", Kind::Auth),
        (401, "A reason of a later release.", Kind::Auth),
        (403, "A reason of a later release.", Kind::Auth),
        (403, "You are not an administrator.", Kind::Denied),
        (404, "", Kind::Unsupported),
    ];
    for (status, text, kind) in table {
        let ctx = context().await;
        answer_with(&ctx, Method::POST, "/mail/users/add", status, text);
        let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, kind);
        assert_eq!(error.effect, Effect::None);
        let line = text.trim().lines().next().map(str::to_owned);
        assert_eq!(error.provider_message, line);
    }
}

#[tokio::test]
async fn only_the_first_line_of_an_answer_counts() {
    let ctx = context().await;
    let add = |answer: Answer| Fault::instead(Method::POST, "/mail/users/add", answer).times(1);
    for body in ["mail user added", "mail user added\n", "mail user added\r\nremoved alias x\nweb updated\n"] {
        ctx.sandbox.fault(add(said(body)));
        ctx.create("ada@example.com").await;
    }
    // Anything else may be a page of some machine on the way: then the box is asked what there is.
    for body in ["", "OK", "web updated\nmail user added\n", "<html>mail user added</html>"] {
        ctx.sandbox.fault(add(said(body)));
        let error = assert_kind(ctx.bare().create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Provider);
        assert_eq!(error.effect, Effect::Unknown);
    }
    ctx.sandbox.fault(Fault::instead(Method::POST, "/mail/users/password", said("")));
    assert_kind(ctx.provider.set_password(&at(BOX_USER), &PASSWORD.into()).await, Kind::Unknown);
}

#[tokio::test]
async fn texts_that_no_box_sends_are_no_lists() {
    for answer in [said(""), Answer::html(200)] {
        let ctx = context().await;
        ctx.sandbox.fault(Fault::instead(Method::GET, "/", answer));
        assert_kind(ctx.provider.check_account().await, Kind::Provider);
        assert_kind(ctx.provider.list_domains().try_collect::<Vec<Domain>>().await, Kind::Provider);
        assert_kind(ctx.provider.list_mailboxes(None).try_collect::<Vec<_>>().await, Kind::Provider);
        let example = name("example.com");
        assert_kind(ctx.provider.list_aliases(&example).try_collect::<Vec<_>>().await, Kind::Provider);
        assert_kind(ctx.provider.domain_dns(&example).await, Kind::Provider);
    }
}

#[tokio::test]
async fn a_wrong_base_url_is_told_with_a_hint() {
    let ctx = context().await;
    let wrong = ctx.open(|account| account.base_url = account.base_url.replace("/admin", "/elsewhere"));
    let error = assert_kind(wrong.check_account().await, Kind::Unsupported);
    assert!(error.hint.as_deref().unwrap_or_default().contains("/admin"), "{error:?}");
}

#[tokio::test]
async fn aliases_are_read_as_the_box_lists_them() {
    let ctx = context().await;
    let list = recorded("aliases.list.json.populated");
    ctx.sandbox.fault(Fault::instead(Method::GET, "/mail/aliases", answer(list)));
    let all = async |domain: &str| {
        let domain = name(domain);
        ctx.provider.list_aliases(&domain).try_collect::<Vec<Alias>>().await.expect("it is read")
    };
    let example = all("example.com").await;
    let find = |all: &[Alias], source: &str| {
        let source: AliasSource = source.parse().expect("a source");
        all.iter().find(|a| a.source == source).expect("it is listed").clone()
    };
    let targets = |alias: &Alias| alias.targets.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(targets(&find(&example, "team@example.com")), ["alice@example.com", "bob@example.com"]);
    assert_eq!(targets(&find(&example, "@example.com")), ["alice@example.com"]);
    // Made by the box itself: they take mail, so they are shown, and marked.
    assert_eq!(find(&example, "postmaster@example.com").extra["auto"], json!(true));
    assert_eq!(find(&example, "team@example.com").extra["auto"], json!(false));
    let sender = find(&example, "noreply@example.com");
    assert_eq!((targets(&sender), &sender.extra["permitted_senders"]), (Vec::new(), &json!(["bob@example.com"])));
    // A target's domain is listed in Unicode, and a whole domain may be a target.
    assert_eq!(targets(&find(&all("bücher.example").await, "info@bücher.example")), ["carol@xn--bcher-kva.example"]);
    assert_eq!(targets(&find(&all("example.org").await, "@example.org")), ["@example.com"]);
    // Up to v0.54 the mark had another name.
    let old = r#"[{"domain":"example.com","aliases":[{"address":"a@example.com","forwards_to":["b@example.com"],"required":true}]}]"#;
    let ctx = context().await;
    answer_with(&ctx, Method::GET, "/mail/aliases", 200, old);
    let example = name("example.com");
    let all: Vec<Alias> = ctx.provider.list_aliases(&example).try_collect().await.expect("it is read");
    assert_eq!((all.len(), &all[0].extra["auto"]), (1, &json!(true)));
}

fn alias(source: &str, target: &str) -> Alias {
    Alias::to(source.parse().expect("a source"), vec![at(target)])
}

#[tokio::test]
async fn an_alias_that_the_box_removes_at_once_was_not_created() {
    let ctx = context().await;
    let body = "alias added\nremoved alias postmaster@new.example (was to administrator@box.example.com; domain no \
                longer used for email)\nweb updated\n";
    ctx.sandbox.fault(Fault::instead(Method::POST, "/mail/aliases/add", said(body)));
    let new = alias("Postmaster@new.example", "administrator@box.example.com");
    let error = assert_kind(ctx.provider.create_alias(&new).await, Kind::Invalid);
    assert_eq!(error.effect, Effect::None);
    assert!(error.message.contains("nothing else uses new.example"), "{error}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("create a mailbox on new.example"), "{error:?}");
    // What the box removes besides is named with the result.
    let done = ctx.provider.create_alias(&alias("info@new.example", BOX_USER)).await.expect("it is created");
    assert_eq!(done.notes, ["the box also removed the alias postmaster@new.example"]);
    ctx.create("ada@example.com").await;
    ctx.sandbox.fault(Fault::instead(
        Method::POST,
        "/mail/users/remove",
        said("mail user removed\nremoved alias abuse@example.com (was to administrator@box.example.com; no)\n"),
    ));
    let done = ctx.provider.delete_mailbox(&at("ada@example.com")).await.expect("it is removed");
    assert_eq!(done.notes, ["the box also removed the alias abuse@example.com"]);
}

#[tokio::test]
async fn an_alias_that_the_box_makes_itself_is_marked_and_stays() {
    let ctx = context().await;
    ctx.create("ada@example.com").await;
    let domain = name("example.com");
    let all: Vec<Alias> = ctx.provider.list_aliases(&domain).try_collect().await.expect("they are listed");
    let abuse = all.iter().find(|alias| alias.source.to_string() == "abuse@example.com").expect("it is listed");
    assert_eq!((&abuse.status, &abuse.extra["auto"]), (&Status::Other("auto".to_owned()), &json!(true)));
    // To call it missing would be untrue, and fine with `--if-missing ok`.
    let error = assert_kind(ctx.provider.delete_alias(&abuse.source).await, Kind::Invalid);
    assert!(error.message.contains("the box makes it itself"), "{error}");
    assert_kind(ctx.provider.delete_alias(&"info@example.com".parse().expect("a source")).await, Kind::NotFound);

    let new = alias("Abuse@example.com", BOX_USER);
    let done = ctx.provider.create_alias(&new).await.expect("it is created");
    assert_eq!(done.source.to_string(), "abuse@example.com");
    assert_eq!(done.notes, ["the box also makes abuse@example.com itself; this one takes its mail"]);
    // A real box may list its own one although the other one takes the mail: what was created cannot be seen then.
    let own = r#"[{"domain":"example.com","aliases":[{"address":"abuse@example.com","forwards_to":["administrator@box.example.com"],"auto":true}]}]"#;
    answer_with(&ctx, Method::GET, "/mail/aliases", 200, own);
    let error = assert_kind(ctx.provider.create_alias(&new).await, Kind::Conflict);
    assert!(error.message.contains("the box lists its own alias in its place"), "{error}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("mbx alias delete abuse@example.com"), "{error:?}");
}

#[tokio::test]
async fn what_would_lock_the_mailbox_is_refused_before_it_is_sent() {
    let ctx = context().await;
    ctx.create("ada@example.com").await;
    ctx.sandbox.take_seen();
    let quota = |bytes| MailboxChange { quota: Some(Bytes(bytes)), ..MailboxChange::default() };
    let most = i64::MAX as u64;
    let error = assert_kind(ctx.provider.update_mailbox(&at("ada@example.com"), &quota(most + 1)).await, Kind::Invalid);
    assert!(error.message.contains(&format!("at most {most} bytes")), "{error}");
    for password in ["é".repeat(256), "a\0bcdefgh".to_owned()] {
        let error =
            assert_kind(ctx.provider.set_password(&at("ada@example.com"), &password.into()).await, Kind::Invalid);
        assert!(error.message.contains("at most 511 bytes") || error.message.contains("NUL"), "{error}");
    }
    assert!(ctx.sandbox.take_seen().is_empty());
    ctx.provider.update_mailbox(&at("ada@example.com"), &quota(most)).await.expect("the largest is taken");
    let longest = "a".repeat(511);
    ctx.provider.set_password(&at("ada@example.com"), &longest.into()).await.expect("the longest is taken");
}

#[tokio::test]
async fn dns_records_are_those_of_the_domain_and_below() {
    let ctx = context().await;
    ctx.sandbox.fault(Fault::instead(Method::GET, "/dns/dump", answer(recorded("dns.dump.abridged"))));
    let records = ctx.provider.domain_dns(&name("example.com")).await.expect("there are records");
    let names: Vec<_> = records.iter().map(|r| (r.name.as_str(), r.kind.as_str())).collect();
    assert_eq!(names, [("example.com", "A"), ("example.com", "MX"), ("box.example.com", "A")]);
    let mx = DnsRecord {
        name: "example.com".to_owned(),
        kind: "MX".to_owned(),
        value: "box.example.com.".to_owned(),
        priority: Some(10),
        ttl: None,
        note: Some("Required. (shortened)".to_owned()),
    };
    assert_eq!(records[1], mx);
    let below = ctx.provider.domain_dns(&name("box.example.com")).await.expect("there are records");
    assert_eq!(below.len(), 1);
    let text = ctx.provider.domain_dns(&name("example.org")).await.expect("there are records");
    assert_eq!((text[2].priority, text[2].value.as_str()), (None, "v=spf1 mx -all"));
}

#[tokio::test]
async fn mbx_does_not_saw_off_the_branch_it_sits_on() {
    let ctx = context().await;
    let demote = MailboxChange { admin: Some(false), ..MailboxChange::default() };
    for address in [BOX_USER, "ME@Box.Example.com"] {
        assert_kind(ctx.provider.delete_mailbox(&at(address)).await, Kind::Refused);
        assert_kind(ctx.provider.update_mailbox(&at(address), &demote).await, Kind::Refused);
    }
    assert!(ctx.sandbox.take_seen().iter().all(|request| request.method == Method::GET));
    // Another administrator may go.
    ctx.provider.update_mailbox(&at(TOTP_USER), &demote).await.expect("it is no administrator any more");
    ctx.provider.delete_mailbox(&at(TOTP_USER)).await.expect("it is removed");
}

#[tokio::test]
async fn a_privilege_that_fails_after_the_quota_says_what_was_done() {
    let ctx = context().await;
    ctx.create("ada@example.com").await;
    answer_with(&ctx, Method::POST, "/privileges/add", 400, "That's not a valid privilege (admin).");
    let quota = Some("2G".parse().expect("a size"));
    let change = MailboxChange { quota, admin: Some(true), ..MailboxChange::default() };
    let error = assert_kind(ctx.provider.update_mailbox(&at("ada@example.com"), &change).await, Kind::Invalid);
    assert_eq!(error.effect, Effect::Partial);
    assert_eq!(error.message, "the quota of ada@example.com was changed, but its privilege was not");
}

#[test]
fn the_address_rule_is_that_of_the_box() {
    let Rules { address: problem, .. } = adapters::spec(ProviderId::Mailinabox).rules;
    for good in ["ada@example.com", "c.a-r_ol9@bücher.example", "adminx@example.com", "u1@foo.example"] {
        assert_eq!(problem(&at(good)), None, "{good}");
    }
    let label = "b".repeat(60);
    let long = format!("a@{label}.{label}.{label}.{label}.example");
    for bad in [
        "Ada@example.com",
        "ada+tag@example.com",
        "o'neil@example.com",
        "admin@example.com",
        "administrator@example.com",
        "postmaster@example.com",
        "hostmaster@example.com",
        "webmaster@example.com",
        "abuse@example.com",
        "u1@foo.test",
        "u1@foo.local",
        "u1@foo.localhost",
        "u1@foo.invalid",
        "u1@foo.onion",
        "u1@foo.arpa",
        long.as_str(),
    ] {
        assert!(problem(&at(bad)).is_some(), "{bad}");
    }
}

#[tokio::test]
async fn a_login_that_can_never_work_is_not_tried() {
    let ctx = context().await;
    for change in [
        ("me@box.example.com", "pässword", None),
        ("mé@box.example.com", "sandbox", None),
        ("me@box.example.com", "sandbox", Some("no seed!")),
    ] {
        let mut account = account(&ctx.sandbox, ctx.id);
        (account.user, account.secret, account.totp) =
            (Some(change.0.to_owned()), change.1.into(), change.2.map(Into::into));
        let error = adapters::open(&account).err().expect("it is refused");
        assert_eq!(error.kind, Kind::Config);
        assert!(!error.to_json().to_string().contains("pässword"));
    }
    assert!(ctx.sandbox.take_seen().is_empty());
}

fn secured(ctx: &Ctx, dry_run: bool) -> mbx::provider::Checked {
    ctx.open(|account| {
        // As an app shows it.
        let seed = SEED.to_lowercase().replace("pxp", "pxp ");
        (account.user, account.totp, account.dry_run) = (Some(TOTP_USER.to_owned()), Some(seed.into()), dry_run);
    })
}

#[tokio::test]
async fn one_code_serves_a_whole_run() {
    let ctx = context().await;
    let door = secured(&ctx, false);
    assert_eq!(door.check_account().await.expect("the code is good"), TOTP_USER);
    door.create_mailbox(&ctx.mailbox("ada@example.com")).await.expect("it is created");
    let (ada, domain) = (at("ada@example.com"), name("example.com"));
    let (one, two) = tokio::join!(door.get_mailbox(&ada), door.list_aliases(&domain).try_collect::<Vec<_>>());
    assert!(one.is_ok() && two.is_ok());
    door.close().await;
    let asked = asked(&ctx);
    assert_eq!(asked.iter().filter(|r| *r == "POST /login").count(), 1, "{asked:?}");
    assert_eq!((asked[0].as_str(), asked[asked.len() - 1].as_str()), ("POST /login", "POST /logout"));
}

#[tokio::test]
async fn a_run_that_was_stopped_still_ends_its_session() {
    let ctx = context().await;
    let door = secured(&ctx, false);
    door.check_account().await.expect("the code is good");
    door.stop();
    assert_kind(door.check_account().await, Kind::Interrupted);
    door.close().await;
    assert_eq!(asked(&ctx).last().map(String::as_str), Some("POST /logout"));
}

#[tokio::test]
async fn a_used_code_is_refused_with_advice() {
    let ctx = context().await;
    secured(&ctx, false).check_account().await.expect("the code is good");
    let error = assert_kind(secured(&ctx, false).check_account().await, Kind::Auth);
    assert_eq!((error.http_status, error.provider_message.as_deref()), (Some(200), Some("invalid-totp-token")));
    assert!(error.hint.as_deref().unwrap_or_default().contains("next one"), "{error:?}");
    // Without the seed there is no code at all.
    let bare = ctx.open(|account| account.user = Some(TOTP_USER.to_owned()));
    let error = assert_kind(bare.check_account().await, Kind::Auth);
    assert!(error.hint.as_deref().unwrap_or_default().contains("set `totp`"), "{error:?}");
}

#[tokio::test]
async fn a_dead_key_is_replaced_once() {
    let ctx = context().await;
    let wrong = answer(recorded("auth.wrong_password.accept_json"));
    ctx.sandbox.fault(Fault::instead(Method::POST, "/login", answer(recorded("totp.login.ok"))));
    ctx.sandbox.fault(Fault::instead(Method::GET, "/privileges", wrong.clone()).times(1));
    ctx.sandbox.fault(Fault::instead(Method::GET, "/privileges", said("admin")).times(1));
    ctx.sandbox.fault(Fault::instead(Method::GET, "/privileges", wrong));
    let door = secured(&ctx, false);
    door.check_account().await.expect("the second key is good");
    let (login, ask) = ("POST /login", "GET /mail/users/privileges");
    assert_eq!(asked(&ctx), [login, ask, login, ask]);
    // A second death in a row is a refusal: every try counts towards the ban.
    let error = assert_kind(door.check_account().await, Kind::Auth);
    assert_eq!(asked(&ctx), [ask, login, ask]);
    assert!(!error.to_json().to_string().contains("0123456789abcdef"));
}

#[tokio::test]
async fn a_lost_login_leaves_nothing_in_doubt() {
    let ctx = context().await;
    ctx.sandbox.fault(Fault::instead(Method::POST, "/login", Answer::Cut));
    let error = assert_kind(secured(&ctx, false).create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Network);
    assert_eq!(error.effect, Effect::None);
    assert_eq!(asked(&ctx), ["POST /login"]);
}

#[tokio::test]
async fn a_dry_run_logs_in_and_out_and_does_nothing_else() {
    let ctx = context().await;
    let dry = secured(&ctx, true);
    assert_kind(dry.create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Planned);
    dry.close().await;
    let asked = asked(&ctx);
    assert_eq!((asked[0].as_str(), asked[asked.len() - 1].as_str()), ("POST /login", "POST /logout"));
    assert!(asked[1..asked.len() - 1].iter().all(|request| request == "GET /mail/users"), "{asked:?}");
}

#[tokio::test]
async fn a_list_of_domains_that_a_box_does_not_give_is_no_empty_list() {
    for body in ["", "\n \n", "[]", r#"{"domains":[]}"#] {
        let ctx = context().await;
        ctx.sandbox.fault(Fault::instead(Method::GET, "/mail/domains", said(body)));
        let all: Result<Vec<Domain>, _> = ctx.provider.list_domains().try_collect().await;
        assert_kind(all, Kind::Provider);
    }
}
