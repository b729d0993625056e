//! The conformance cases, in the order in which one writes an adapter. Each is a sentence, gets a fresh sandbox and
//! never asks which provider it runs on; what differs is read from the spec.

use futures_util::TryStreamExt;
use mbx::error::{Effect, Kind, Result};
use mbx::http::Method;
use mbx::model::{
    Alias, AliasSource, Bytes, Credential, Domain, Mailbox, MailboxChange, NewCredential, NewDomain, Removal, Status,
};
use mbx::provider::case::OnExisting;
use mbx::provider::{EmptyDomain, Op, Provider, QuotaRule, Support};
use mbx::sandbox::{Answer, Fault, Seen, Times};
use serde_json::Value;

use crate::support::{Ctx, PASSWORD, Stamps, assert_kind, at, name};
use crate::wire::ask_at;

pub(crate) const ADA: &str = "ada@example.com";

/// Calls the operation with arguments that break no rule, and forgets what came of it unless it is an error.
pub(crate) async fn call(provider: &dyn Provider, ctx: &Ctx, op: Op) -> Result<()> {
    let (ada, domain) = (at(ADA), name("example.com"));
    let change = |first_name: Option<&str>, quota, admin| MailboxChange {
        first_name: first_name.map(str::to_owned),
        last_name: None,
        quota,
        admin,
    };
    let alias = |source: &str| Alias::to(source.parse::<AliasSource>().expect("a good source"), vec![at(ADA)]);
    match op {
        Op::CheckAccount => provider.check_account().await.map(drop),
        Op::ListMailboxes => provider.list_mailboxes(Some(&domain)).try_collect::<Vec<Mailbox>>().await.map(drop),
        Op::GetMailbox => provider.get_mailbox(&ada).await.map(drop),
        Op::CreateMailbox => provider.create_mailbox(&ctx.mailbox("new@example.com")).await.map(drop),
        Op::CreateMailboxes => provider.create_mailboxes(&[ctx.mailbox("batch@example.com")]).await.map(drop),
        Op::SetNames => provider.update_mailbox(&ada, &change(Some("Augusta"), None, None)).await.map(drop),
        Op::SetQuota => provider.update_mailbox(&ada, &change(None, Some(quota(ctx)), None)).await.map(drop),
        Op::SetAdmin => provider.update_mailbox(&ada, &change(None, None, Some(true))).await.map(drop),
        Op::SetPassword => provider.set_password(&ada, &PASSWORD.into()).await.map(drop),
        Op::SuspendMailbox => {
            provider.suspend_mailbox(&ada).await?;
            provider.resume_mailbox(&ada).await.map(drop)
        }
        Op::DeleteMailbox => provider.delete_mailbox(&ada).await.map(drop),
        Op::ListDomains => provider.list_domains().try_collect::<Vec<Domain>>().await.map(drop),
        Op::GetDomain => provider.get_domain(&domain).await.map(drop),
        Op::CreateDomain => provider.create_domain(&new_domain()).await.map(drop),
        Op::VerifyDomain => provider.verify_domain(&domain).await.map(drop),
        Op::DomainDns => provider.domain_dns(&domain).await.map(drop),
        Op::SuspendDomain => {
            provider.suspend_domain(&domain).await?;
            provider.resume_domain(&domain).await.map(drop)
        }
        Op::DeleteDomain => provider.delete_domain(&domain).await.map(drop),
        Op::ListAliases => provider.list_aliases(&domain).try_collect::<Vec<Alias>>().await.map(drop),
        Op::CreateAlias => provider.create_alias(&alias("info@example.com")).await.map(drop),
        Op::CreateCatchAll => provider.create_alias(&alias("@example.com")).await.map(drop),
        Op::DeleteAlias => {
            let source = if ctx.can(Op::CreateAlias) { "sales@example.com" } else { "@example.com" };
            if ctx.can(Op::DeleteAlias) {
                provider.create_alias(&alias(source)).await?;
            }
            provider.delete_alias(&source.parse().expect("a good source")).await.map(drop)
        }
        Op::ListCredentials => provider.list_credentials().try_collect::<Vec<Credential>>().await.map(drop),
        Op::CreateCredential => provider.create_credential(&new_credential()).await.map(drop),
        Op::DeleteCredential => {
            if !ctx.can(Op::DeleteCredential) {
                return provider.delete_credential("1").await.map(drop);
            }
            let made = provider.create_credential(&new_credential()).await?;
            provider.delete_credential(made.id.as_deref().expect("an id")).await.map(drop)
        }
    }
}

fn new_domain() -> NewDomain {
    NewDomain { postmaster_password: Some(PASSWORD.into()), ..NewDomain::named(name("new.example")) }
}

pub(crate) fn new_credential() -> NewCredential {
    NewCredential { name: "ci".to_owned(), domain: Some(name("example.com")), secret: PASSWORD.into() }
}

/// A quota the provider takes.
pub(crate) fn quota(ctx: &Ctx) -> Bytes {
    match ctx.spec.rules.quota {
        QuotaRule::OneOf(sizes) => Bytes(sizes[1]),
        QuotaRule::Multiple { .. } | QuotaRule::Never(_) => Bytes(1 << 30),
    }
}

pub(crate) async fn good_credentials_name_an_account(ctx: Ctx) {
    let account = ctx.provider.check_account().await.expect("the credentials are good");
    assert!(!account.is_empty());
}

pub(crate) async fn wrong_credentials_are_refused_as_such(ctx: Ctx) {
    let wrong = ctx.open(|account| account.secret = "wrong-key-1".into());
    let error = assert_kind(wrong.check_account().await, Kind::Auth);
    assert_eq!(error.provider, Some(ctx.id));
    assert!(error.http_status.is_some());
    ctx.sandbox.take_seen();
    let error = assert_kind(wrong.create_mailbox(&ctx.mailbox(ADA)).await, Kind::Auth);
    let is_create = |seen: &Seen| seen.method == Method::POST && seen.path.contains(ctx.facts.create_path);
    let tried = ctx.sandbox.take_seen().iter().any(is_create);
    assert!(!tried || !wrong.case_rules(OnExisting::Fail, Op::GetMailbox).can_look, "the look before it was refused");
    assert!(!error.to_json().to_string().contains("wrong-key-1"));
    assert!(ctx.sandbox.addresses(ctx.id).iter().all(|a| a != ADA));
}

pub(crate) async fn every_cell_of_the_matrix_is_true(ctx: Ctx) {
    for op in Op::ALL {
        // A fresh account for each: an operation must not live on what another one left behind.
        let fresh = Ctx::new(ctx.id).await;
        // LiteMail offers to remove unused domains only.
        if fresh.can(Op::CreateMailbox) && op != Op::DeleteDomain {
            fresh.create(ADA).await;
        }
        let done = call(fresh.bare().as_ref(), &fresh, op).await;
        match (ctx.spec.support)(op) {
            Support::No(why) => {
                assert!(!why.is_empty());
                assert_kind(done, Kind::Unsupported);
                fresh.sandbox.take_seen();
                assert_kind(call(&fresh.provider, &fresh, op).await, Kind::Unsupported);
                assert!(fresh.sandbox.take_seen().is_empty(), "{op:?} is refused, and something was sent");
            }
            Support::Native | Support::Emulated(_) | Support::Unverified(_) => {
                done.unwrap_or_else(|error| panic!("{op:?} is promised and failed: {error:#?}"));
            }
        }
    }
}

pub(crate) async fn a_success_that_reports_an_error_confirms_nothing(ctx: Ctx) {
    for op in Op::ALL.into_iter().filter(|op| ctx.can(*op)) {
        for body in [r#"{"detail":"no"}"#, r#"{"error":"no"}"#, r#"{"success":false}"#, "gone"] {
            let fresh = Ctx::new(ctx.id).await;
            if op != Op::DeleteDomain {
                fresh.create(ADA).await;
            }
            // What is to be deleted is made first.
            let made_first = usize::from(matches!(op, Op::DeleteAlias | Op::DeleteCredential));
            let answer = Answer::Raw { status: 200, headers: Vec::new(), body: body.into() };
            for (method, skip) in
                [(Method::POST, made_first), (Method::PUT, 0), (Method::PATCH, 0), (Method::DELETE, 0)]
            {
                fresh.sandbox.fault(Fault::instead(method, "/", answer.clone()).skip(skip));
            }
            fresh.sandbox.take_seen();
            let done = call(fresh.bare().as_ref(), &fresh, op).await;
            if fresh.sandbox.take_seen().iter().all(|request| request.method == Method::GET) {
                continue;
            }
            let error = assert_kind(done, Kind::Provider);
            assert_eq!(error.effect, Effect::Unknown, "{op:?}, answered with {body}: {error:?}");
        }
    }
}

pub(crate) async fn an_unverified_operation_is_off_by_default(ctx: Ctx) {
    // Deleting an alias begins with making one, which may be allowed and then needs its mailbox.
    if ctx.can(Op::CreateMailbox) {
        ctx.create(ADA).await;
    }
    let strict = ctx.open(|account| account.allow_unverified = false);
    for op in Op::ALL.into_iter().filter(|&op| matches!((ctx.spec.support)(op), Support::Unverified(_))) {
        ctx.sandbox.take_seen();
        // What a case prepares may be unverified as well; the refusal is what counts.
        let error = assert_kind(call(&strict, &ctx, op).await, Kind::Unsupported);
        assert!(error.hint.as_deref().unwrap_or_default().contains("allow_unverified"), "{op:?}: {error:?}");
    }
}

pub(crate) async fn an_empty_domain_lists_nothing(ctx: Ctx) {
    assert_eq!(ctx.listed("example.com").await, Vec::<String>::new());
}

pub(crate) async fn a_domain_that_is_not_there_is_not_an_empty_one(ctx: Ctx) {
    let elsewhere = name("elsewhere.example");
    let listed: Result<Vec<Mailbox>> = ctx.provider.list_mailboxes(Some(&elsewhere)).try_collect().await;
    match ctx.spec.rules.empty_domain {
        EmptyDomain::IsOpen(why) => {
            assert_eq!(ctx.provider.empty_domain_note(), Some(why));
            assert_eq!(listed.expect("an empty list"), []);
        }
        EmptyDomain::IsThere | EmptyDomain::MustBeRead => {
            assert_kind(listed, Kind::NotFound);
            if ctx.can(Op::ListAliases) {
                let aliases: Result<Vec<Alias>> = ctx.provider.list_aliases(&elsewhere).try_collect().await;
                assert_kind(aliases, Kind::NotFound);
            }
        }
    }
    // Without leave to read domains, the empty list counts and has a note.
    let strict = ctx.open(|account| account.allow_unverified = false);
    if strict.check_op(Op::GetDomain).is_err() {
        let listed: Result<Vec<Mailbox>> = strict.list_mailboxes(Some(&elsewhere)).try_collect().await;
        assert_eq!(listed.expect("an empty list"), []);
        assert!(strict.empty_domain_note().is_some_and(|note| note.contains("allow_unverified")));
    }
    // Where the domain cannot be looked up, the list counts.
    ctx.sandbox.fault(Fault::instead(Method::GET, "/domains/example.com", Answer::status(403)));
    assert_eq!(ctx.listed("example.com").await, Vec::<String>::new());
}

pub(crate) async fn an_alias_is_not_a_mailbox(ctx: Ctx) {
    if !ctx.can(Op::CreateAlias) {
        return;
    }
    ctx.create(ADA).await;
    let info = at("info@example.com");
    let alias = Alias::to("info@example.com".parse::<AliasSource>().expect("a good source"), vec![at(ADA)]);
    ctx.provider.create_alias(&alias).await.expect("it is created");
    assert_kind(ctx.provider.get_mailbox(&info).await, Kind::NotFound);
    assert_eq!(ctx.listed("example.com").await, [ADA]);
    let Err(error) = ctx.provider.create_mailbox(&ctx.mailbox("info@example.com")).await else { return };
    assert_eq!((error.kind, error.effect), (Kind::Conflict, Effect::None), "{error:?}");
}

pub(crate) async fn a_created_mailbox_is_returned_listed_and_read(ctx: Ctx) {
    let made = ctx.create(ADA).await;
    assert_eq!(made.address, at(ADA));
    ctx.create("bob@example.com").await;
    assert_eq!(ctx.listed("example.com").await, [ADA, "bob@example.com"]);
    let read = ctx.provider.get_mailbox(&at("Ada@Example.COM")).await.expect("it is there, whatever the case");
    assert_eq!(read.address, at(ADA));
    assert_eq!(read.id, made.id);
    assert_eq!(read.id.is_some(), ctx.facts.has_ids);
    let stamps = match &read.created_at {
        None => Stamps::None,
        Some(stamp) if stamp.instant().is_none() => Stamps::NoZone,
        Some(_) => Stamps::Zone,
    };
    assert_eq!(stamps, ctx.facts.stamps, "{read:?}");
    let everything: Vec<Mailbox> = ctx.provider.list_mailboxes(None).try_collect().await.expect("the list is read");
    assert!(everything.iter().any(|m| m.address == at(ADA)));
}

pub(crate) async fn a_second_create_is_a_conflict(ctx: Ctx) {
    ctx.create(ADA).await;
    let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox(ADA)).await, Kind::Conflict);
    assert_eq!(error.effect, Effect::None);
    assert!(error.message.contains(ADA), "{error}");
    assert_eq!(ctx.listed("example.com").await, [ADA]);
}

pub(crate) async fn what_breaks_the_rules_is_refused_before_anything_is_sent(ctx: Ctx) {
    let mut bad = ctx.mailbox(ADA);
    bad.quota = Some(Bytes(1_000_003));
    bad.password = Some("".into());
    bad.first_name = Some(String::new());
    ctx.sandbox.take_seen();
    let error = ctx.provider.create_mailbox(&bad).await.expect_err("it breaks rules");
    assert!(matches!(error.kind, Kind::Invalid | Kind::Unsupported), "{error:?}");
    assert!(ctx.sandbox.take_seen().is_empty());
}

pub(crate) async fn a_missing_mailbox_is_not_found(ctx: Ctx) {
    ctx.create("bob@example.com").await;
    let nobody = at("nobody@example.com");
    assert_kind(ctx.provider.get_mailbox(&nobody).await, Kind::NotFound);
    assert_kind(ctx.provider.delete_mailbox(&nobody).await, Kind::NotFound);
    if ctx.can(Op::SetPassword) {
        assert_kind(ctx.provider.set_password(&nobody, &PASSWORD.into()).await, Kind::NotFound);
    }
    if ctx.can(Op::SetQuota) {
        let change = MailboxChange { quota: Some(quota(&ctx)), ..MailboxChange::default() };
        assert_kind(ctx.provider.update_mailbox(&nobody, &change).await, Kind::NotFound);
    }
    if ctx.can(Op::SetNames) {
        let change = MailboxChange { first_name: Some("No".to_owned()), ..MailboxChange::default() };
        assert_kind(ctx.provider.update_mailbox(&nobody, &change).await, Kind::NotFound);
    }
    if ctx.can(Op::SuspendMailbox) {
        assert_kind(ctx.provider.suspend_mailbox(&nobody).await, Kind::NotFound);
    }
    assert_eq!(ctx.listed("example.com").await, ["bob@example.com"]);
}

pub(crate) async fn a_deleted_mailbox_is_gone_or_said_to_end(ctx: Ctx) {
    ctx.create(ADA).await;
    ctx.create("bob@example.com").await;
    match ctx.provider.delete_mailbox(&at(ADA)).await.expect("it is deleted").value {
        Removal::Done(_) => {
            assert_eq!(ctx.listed("example.com").await, ["bob@example.com"]);
            assert_kind(ctx.provider.get_mailbox(&at(ADA)).await, Kind::NotFound);
            assert_kind(ctx.provider.delete_mailbox(&at(ADA)).await, Kind::NotFound);
        }
        Removal::Scheduled { note, .. } => {
            assert!(!note.is_empty());
            assert_eq!(ctx.listed("example.com").await, [ADA, "bob@example.com"]);
        }
    }
}

pub(crate) async fn names_change_one_at_a_time(ctx: Ctx) {
    if !ctx.can(Op::SetNames) {
        return;
    }
    let mut new = ctx.mailbox(ADA);
    (new.first_name, new.last_name) = (Some("Ada".to_owned()), Some("Byron".to_owned()));
    ctx.provider.create_mailbox(&new).await.expect("it is created");
    for _twice in 0..2 {
        let change = MailboxChange { last_name: Some("Lovelace".to_owned()), ..MailboxChange::default() };
        let changed = ctx.provider.update_mailbox(&at(ADA), &change).await.expect("the name changes");
        assert_eq!(changed.address, at(ADA));
        let read = ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there");
        assert_eq!((read.first_name.as_deref(), read.last_name.as_deref()), (Some("Ada"), Some("Lovelace")));
    }
}

pub(crate) async fn a_quota_is_set_on_creation_and_later(ctx: Ctx) {
    if !ctx.can(Op::SetQuota) {
        return;
    }
    let mut new = ctx.mailbox(ADA);
    new.quota = Some(quota(&ctx));
    ctx.provider.create_mailbox(&new).await.expect("it is created");
    let limit = async || ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there").quota.and_then(|q| q.limit);
    assert_eq!(limit().await, Some(quota(&ctx).0));
    let Bytes(other) = match ctx.spec.rules.quota {
        QuotaRule::OneOf(sizes) => Bytes(sizes[2]),
        QuotaRule::Multiple { .. } | QuotaRule::Never(_) => Bytes(3 << 30),
    };
    for _twice in 0..2 {
        let change = MailboxChange { quota: Some(Bytes(other)), ..MailboxChange::default() };
        ctx.provider.update_mailbox(&at(ADA), &change).await.expect("the quota changes");
        assert_eq!(limit().await, Some(other));
    }
}

pub(crate) async fn a_password_is_the_one_the_server_holds(ctx: Ctx) {
    ctx.create(ADA).await;
    assert_eq!(ctx.sandbox.password_is(ctx.id, ADA, PASSWORD), ctx.spec.rules.takes_password());
    if !ctx.can(Op::SetPassword) {
        return;
    }
    for password in ["Another-Passw0rd-8", "a&b=c+d%20e\"'\\$`;#:1 x"] {
        ctx.provider.set_password(&at(ADA), &password.into()).await.expect("the password changes");
        assert!(ctx.sandbox.password_is(ctx.id, ADA, password), "{password:?} arrived as something else");
    }
}

pub(crate) async fn an_administrator_is_made_and_unmade(ctx: Ctx) {
    if !ctx.can(Op::SetAdmin) {
        return;
    }
    let mut new = ctx.mailbox(ADA);
    new.admin = Some(true);
    ctx.provider.create_mailbox(&new).await.expect("it is created");
    let admin = async || ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there").admin;
    assert_eq!(admin().await, Some(true));
    for wanted in [false, false, true, true] {
        let change = MailboxChange { admin: Some(wanted), ..MailboxChange::default() };
        ctx.provider.update_mailbox(&at(ADA), &change).await.expect("the privilege changes");
        assert_eq!(admin().await, Some(wanted));
    }
}

pub(crate) async fn a_mailbox_is_suspended_and_resumed(ctx: Ctx) {
    if !ctx.can(Op::SuspendMailbox) {
        return;
    }
    ctx.create(ADA).await;
    for _twice in 0..2 {
        ctx.provider.suspend_mailbox(&at(ADA)).await.expect("it is suspended");
        assert_eq!(ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there").status, Status::Suspended);
    }
    for _twice in 0..2 {
        ctx.provider.resume_mailbox(&at(ADA)).await.expect("it is resumed");
        assert_eq!(ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there").status, Status::Active);
    }
}

pub(crate) async fn a_full_domain_is_a_limit(ctx: Ctx) {
    if !ctx.has_domains() {
        return;
    }
    let error = assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("four@full.example")).await, Kind::Limit);
    assert!(error.message.contains("full.example"), "{error}");
    assert_eq!(ctx.listed("full.example").await.len(), 3);
}

pub(crate) async fn a_mailbox_on_an_unknown_domain_is_not_found(ctx: Ctx) {
    if !ctx.has_domains() {
        return;
    }
    assert_kind(ctx.provider.create_mailbox(&ctx.mailbox("ada@elsewhere.example")).await, Kind::NotFound);
}

pub(crate) async fn domains_are_listed_and_read(ctx: Ctx) {
    if !ctx.can(Op::ListDomains) {
        return;
    }
    ctx.create(ADA).await;
    let all: Vec<Domain> = ctx.provider.list_domains().try_collect().await.expect("the list is read");
    assert!(all.iter().any(|d| d.name == name("example.com")), "{all:?}");
    let one = ctx.provider.get_domain(&name("EXAMPLE.com")).await.expect("it is there");
    assert_eq!(one.name, name("example.com"));
    assert_kind(ctx.provider.get_domain(&name("elsewhere.example")).await, Kind::NotFound);
}

pub(crate) async fn a_domain_is_created_verified_and_deleted(ctx: Ctx) {
    if !ctx.can(Op::CreateDomain) {
        return;
    }
    let made = ctx.provider.create_domain(&new_domain()).await.expect("it is created");
    assert_eq!(made.name, name("new.example"));
    assert_kind(ctx.provider.create_domain(&new_domain()).await, Kind::Conflict);
    if ctx.can(Op::VerifyDomain) {
        ctx.provider.verify_domain(&name("new.example")).await.expect("it is verified");
        assert_kind(ctx.provider.verify_domain(&name("elsewhere.example")).await, Kind::NotFound);
    }
    ctx.provider.delete_domain(&name("new.example")).await.expect("it is deleted");
    assert_kind(ctx.provider.delete_domain(&name("new.example")).await, Kind::NotFound);
    let all: Vec<Domain> = ctx.provider.list_domains().try_collect().await.expect("the list is read");
    assert!(all.iter().all(|d| d.name != name("new.example")));
}

pub(crate) async fn a_domain_is_suspended_and_resumed(ctx: Ctx) {
    if !ctx.can(Op::SuspendDomain) {
        return;
    }
    for _twice in 0..2 {
        let domain = ctx.provider.suspend_domain(&name("example.com")).await.expect("it is suspended");
        assert_eq!(domain.status, Status::Suspended);
    }
    let domain = ctx.provider.resume_domain(&name("example.com")).await.expect("it is resumed");
    assert_eq!(domain.status, Status::Active);
    assert_kind(ctx.provider.suspend_domain(&name("elsewhere.example")).await, Kind::NotFound);
}

pub(crate) async fn dns_records_are_shown(ctx: Ctx) {
    if !ctx.can(Op::DomainDns) {
        return;
    }
    ctx.create(ADA).await;
    let records = ctx.provider.domain_dns(&name("example.com")).await.expect("there are records");
    assert!(records.iter().any(|r| r.kind == "MX" || r.kind == "TXT"), "{records:?}");
    assert_kind(ctx.provider.domain_dns(&name("elsewhere.example")).await, Kind::NotFound);
}

async fn sources(ctx: &Ctx) -> Vec<String> {
    let domain = name("example.com");
    let all: Vec<Alias> = ctx.provider.list_aliases(&domain).try_collect().await.expect("the list is read");
    all.iter().map(|alias| alias.source.to_string()).collect()
}

pub(crate) async fn an_alias_is_created_listed_and_deleted(ctx: Ctx) {
    if !ctx.can(Op::CreateAlias) {
        return;
    }
    ctx.create(ADA).await;
    let source: AliasSource = "info@example.com".parse().expect("a good source");
    let new = Alias::to(source.clone(), vec![at(ADA)]);
    let made = ctx.provider.create_alias(&new).await.expect("it is created");
    assert_eq!((&made.source, &made.targets), (&new.source, &new.targets));
    assert_kind(ctx.provider.create_alias(&new).await, Kind::Conflict);
    assert!(sources(&ctx).await.contains(&"info@example.com".to_owned()));
    ctx.provider.delete_alias(&source).await.expect("it is deleted");
    assert_kind(ctx.provider.delete_alias(&source).await, Kind::NotFound);
    assert!(!sources(&ctx).await.contains(&"info@example.com".to_owned()));
}

pub(crate) async fn a_catch_all_is_created_and_deleted(ctx: Ctx) {
    if !ctx.can(Op::CreateCatchAll) {
        return;
    }
    ctx.create(ADA).await;
    let source: AliasSource = "@example.com".parse().expect("a good source");
    let made = ctx.provider.create_alias(&Alias::to(source.clone(), vec![at(ADA)])).await.expect("it is created");
    assert_eq!(made.source, source);
    if ctx.can(Op::ListAliases) && matches!((ctx.spec.support)(Op::CreateCatchAll), Support::Native) {
        assert!(sources(&ctx).await.contains(&"@example.com".to_owned()));
    }
    if ctx.can(Op::DeleteAlias) {
        ctx.provider.delete_alias(&source).await.expect("it is deleted");
    }
}

pub(crate) async fn a_credential_is_created_listed_and_deleted(ctx: Ctx) {
    if !ctx.can(Op::CreateCredential) {
        return;
    }
    let made = ctx.provider.create_credential(&new_credential()).await.expect("it is created");
    let id = made.id.expect("credentials have ids");
    let all =
        async || ctx.provider.list_credentials().try_collect::<Vec<Credential>>().await.expect("the list is read");
    assert!(all().await.iter().any(|c| c.id.as_deref() == Some(&id) && c.name == "ci"));
    ctx.provider.delete_credential(&id).await.expect("it is deleted");
    assert_kind(ctx.provider.delete_credential(&id).await, Kind::NotFound);
    assert!(all().await.is_empty());
}

pub(crate) async fn a_long_list_is_complete_and_without_doubles(ctx: Ctx) {
    let mut made = Vec::new();
    for number in 10..65 {
        let address = format!("box{number}@example.com");
        ctx.create(&address).await;
        made.push(address);
    }
    assert_eq!(ctx.listed("example.com").await, made);
}

pub(crate) async fn odd_but_good_addresses_work(ctx: Ctx) {
    let odd = ["first.last@example.com", "under_score@example.com", "dash-ed@example.com", "1@example.com"];
    let odder = ["plus+tag@example.com", "o'neil@example.com", "a&b=c@example.com", "UPPER@example.com"];
    for address in odd.into_iter().chain(odder) {
        let new = ctx.mailbox(address);
        if (ctx.spec.rules.address)(&new.address).is_some() {
            assert_kind(ctx.provider.create_mailbox(&new).await, Kind::Invalid);
            continue;
        }
        ctx.provider.create_mailbox(&new).await.unwrap_or_else(|error| panic!("{address}: {error:?}"));
        let read = ctx.provider.get_mailbox(&at(address)).await.unwrap_or_else(|error| panic!("{address}: {error:?}"));
        assert_eq!(read.address, at(address));
        ctx.provider.delete_mailbox(&at(address)).await.unwrap_or_else(|error| panic!("{address}: {error:?}"));
    }
}

pub(crate) async fn a_batch_says_what_became_of_each(ctx: Ctx) {
    if !ctx.can(Op::CreateMailboxes) {
        return;
    }
    ctx.create("b@example.com").await;
    let batch = ["a@example.com", "b@example.com", "c@example.com"].map(|address| ctx.mailbox(address));
    let results = ctx.provider.create_mailboxes(&batch).await.expect("the request goes through");
    assert_eq!(results.len(), 3);
    for (index, wanted) in [(0, "a@example.com"), (2, "c@example.com")] {
        assert_eq!(results[index].as_ref().expect("it is created").address, at(wanted));
    }
    assert!(results[1].is_err());
    assert_eq!(ctx.listed("example.com").await, ["a@example.com", "b@example.com", "c@example.com"]);
}

/// Counts the requests to create a mailbox since the last count, of which there must be some: a fault at a path that
/// nothing asks for would prove nothing.
fn creates(ctx: &Ctx) -> usize {
    let seen = ctx.sandbox.take_seen();
    let count = seen.iter().filter(|r| r.method == Method::POST && r.path.contains(ctx.facts.create_path)).count();
    assert!(count > 0, "no fault struck: nothing was sent to {}", ctx.facts.create_path);
    count
}

pub(crate) async fn a_cut_after_the_create_is_a_created_mailbox(ctx: Ctx) {
    for (index, answer) in
        [Answer::Cut, Answer::status(504), Answer::html(200), Answer::Truncated].into_iter().enumerate()
    {
        let address = format!("cut{index}@example.com");
        ctx.sandbox.fault(Fault::after(Method::POST, ctx.facts.create_path, answer).times(1));
        let made = ctx.provider.create_mailbox(&ctx.mailbox(&address)).await.expect("looking finds it");
        assert_eq!(made.address, at(&address));
    }
    assert!(creates(&ctx) >= 4);
    let held = ctx.sandbox.addresses(ctx.id);
    assert_eq!(held.iter().filter(|a| a.starts_with("cut")).count(), 4, "none lost, none twice: {held:?}");
}

pub(crate) async fn a_cut_before_the_create_is_sent_again_or_unknown(ctx: Ctx) {
    ctx.sandbox.fault(Fault::instead(Method::POST, ctx.facts.create_path, Answer::Cut).times(1));
    let made = ctx.provider.create_mailbox(&ctx.mailbox(ADA)).await;
    creates(&ctx);
    let count = ctx.sandbox.addresses(ctx.id).iter().filter(|address| *address == ADA).count();
    if ctx.spec.rules.refuses_existing {
        // A second request cannot make a second mailbox, so it is sent.
        assert!(!made.expect("the repeat creates it").assumed);
        assert_eq!(count, 1);
    } else {
        // A listing that lacks it proves nothing: it may lag.
        let error = assert_kind(made, Kind::Unknown);
        assert_eq!((error.effect, count), (Effect::Unknown, 0));
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("UTC")), "{error:?}");
    }
}

pub(crate) async fn an_older_mailbox_is_not_claimed_after_a_lost_answer(ctx: Ctx) {
    let first = ctx.create(ADA).await;
    assert_eq!(creates(&ctx), 1);
    ctx.sandbox.fault(Fault::after(Method::POST, ctx.facts.create_path, Answer::Cut).times(1));
    let settled = ctx.provider.create(&ctx.mailbox(ADA), OnExisting::Fail).await;
    assert_kind(settled.result, Kind::Conflict);
    assert_eq!(settled.password, None, "its password was not sent");
    // A look before the request shows it, so that nothing is sent.
    assert!(ctx.sandbox.take_seen().iter().all(|seen| seen.method == Method::GET));
    let read = ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there");
    assert_eq!(read.id, first.id);
}

pub(crate) async fn trouble_on_a_read_ends_with_the_documented_code(ctx: Ctx) {
    let cases = [
        (Answer::retry_after("1"), Kind::RateLimited, 11),
        (Answer::status(500), Kind::Provider, 13),
        (Answer::status(503), Kind::Provider, 13),
        (Answer::Cut, Kind::Network, 12),
        (Answer::html(200), Kind::Provider, 13),
        (Answer::html(502), Kind::Provider, 13),
        (Answer::status(200), Kind::Provider, 13),
        (Answer::Truncated, Kind::Provider, 13),
    ];
    for (answer, kind, code) in cases {
        let fresh = Ctx::new(ctx.id).await;
        fresh.create(ADA).await;
        fresh.sandbox.fault(Fault::after(Method::GET, "/", answer));
        let error = assert_kind(fresh.provider.get_mailbox(&at(ADA)).await, kind);
        assert_eq!(error.kind.exit_code(), code);
        assert!(!error.message.is_empty() && error.provider.is_some());
    }
}

pub(crate) async fn trouble_on_a_create_ends_with_the_documented_code(ctx: Ctx) {
    for (answer, kind) in [
        (Answer::retry_after("1"), Kind::RateLimited),
        (Answer::status(500), Kind::Provider),
        (Answer::html(503), Kind::Provider),
        (Answer::html(200), Kind::Provider),
        (Answer::Cut, Kind::Network),
    ] {
        let fresh = Ctx::new(ctx.id).await;
        fresh.sandbox.fault(Fault::instead(Method::POST, ctx.facts.create_path, answer));
        let error = fresh.provider.create_mailbox(&fresh.mailbox(ADA)).await.expect_err("nothing was created");
        let is_lost = kind != Kind::RateLimited;
        assert_eq!(error.kind, if is_lost { Kind::Unknown } else { kind }, "{error:?}");
        let most = match (is_lost, fresh.spec.rules.refuses_existing) {
            (false, _) => 4,
            (true, true) => 3,
            (true, false) => 1,
        };
        assert_eq!(creates(&fresh), most, "a write that may have happened is repeated only where that cannot make two");
    }
}

pub(crate) async fn a_dry_run_sends_no_write(ctx: Ctx) {
    ctx.create(ADA).await;
    let dry = ctx.open(|account| account.dry_run = true);
    ctx.sandbox.take_seen();
    let error = assert_kind(dry.create_mailbox(&ctx.mailbox("new@example.com")).await, Kind::Planned);
    assert!(error.message.contains("POST") && !error.message.contains(PASSWORD), "{error}");
    assert_kind(dry.delete_mailbox(&at(ADA)).await, Kind::Planned);
    assert!(ctx.sandbox.take_seen().iter().all(|r| r.method == Method::GET));
    assert!(ctx.sandbox.addresses(ctx.id).contains(&ADA.to_owned()));
}

/// A sandbox that is more patient than the provider would let an adapter's mistake pass.
pub(crate) async fn the_sandbox_takes_no_number_for_a_text(ctx: Ctx) {
    ctx.create(ADA).await;
    let seen = ctx.sandbox.take_seen();
    let is_create = |seen: &&Seen| seen.method == Method::POST && seen.path.contains(ctx.facts.create_path);
    let create = seen.iter().find(is_create).expect("a request creates it");
    // A form holds nothing but text.
    let Ok(body) = serde_json::from_str::<Value>(&create.body) else { return };
    // What is refused is refused for the number alone.
    ctx.sandbox.accept_repeats(ctx.id);
    let names = ["authorization", "x-api-token", "x-api-key"];
    let headers: Vec<_> =
        names.into_iter().filter_map(|name| Some((name, create.headers.get(name)?.as_str()))).collect();
    let send = |body: Value| {
        let url = format!("http://{}{}", ctx.sandbox.address(), create.path);
        ask_at(url, Method::POST, &headers, Some(body))
    };
    let (status, answer) = send(body.clone()).await;
    assert!((200..300).contains(&status), "the same again: {status} {answer}");
    for place in texts(&body, String::new()) {
        let mut odd = body.clone();
        *odd.pointer_mut(&place).expect("it is there") = 7.into();
        let (status, answer) = send(odd).await;
        assert!((400..500).contains(&status), "{place} is a number, and the answer {status} {answer}");
    }
}

/// Tests of hosts without creation times would otherwise prove nothing.
pub(crate) async fn the_sandbox_hides_creation_times(ctx: Ctx) {
    ctx.create(ADA).await;
    ctx.sandbox.show_times(ctx.id, Times { hides_creation: true, ..Times::default() });
    assert_eq!(ctx.provider.get_mailbox(&at(ADA)).await.expect("it is there").created_at, None);
}

/// Returns the places of the texts in a body.
fn texts(value: &Value, place: String) -> Vec<String> {
    match value {
        Value::String(_) => vec![place],
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| texts(item, format!("{place}/{index}"))).collect()
        }
        Value::Object(map) => map.iter().flat_map(|(key, item)| texts(item, format!("{place}/{key}"))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
