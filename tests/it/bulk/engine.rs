//! The engine alone, without a journal: what becomes of a row by each kind of answer, and when a run ends early.

use std::collections::BTreeSet;
use std::time::Duration;

use mbx::bulk::{OnExisting, Options, Verb};
use mbx::error::Kind;
use mbx::http::Method;
use mbx::output::Outcome;
use mbx::provider::{Provider, ProviderId};
use mbx::sandbox::{Answer, Fault, Other};

use super::{Rig, Told, engine, options, rows};
use crate::support::{Ctx, PASSWORD, at};

/// Returns rows of two domains in turn, with names.
fn named(count: usize) -> String {
    let row = |n| format!("u{n}@example.com,Ada,Byron\nu{n}@suspended.example,Ada,Byron\n");
    "address,first_name,last_name\n".to_owned() + &(0..count).map(row).collect::<String>()
}

#[tokio::test]
async fn where_a_request_takes_several_they_travel_together() {
    const EACH: usize = 60;
    for id in [ProviderId::Hybridbox, ProviderId::Litemail] {
        let ctx = Ctx::new(id).await;
        let (report, told) = engine(&ctx, &named(EACH), |_| ()).await;
        assert!(report.stopped.is_none(), "{:?}", report.stopped);
        let seen = ctx.sandbox.take_seen();
        let sent = seen.iter().filter(|seen| seen.method == Method::POST).count();
        let most = ctx.spec.rules.batch_max;
        assert!(most > 1);
        assert!(sent >= 2 * EACH.div_ceil(most), "{id}: {sent}");
        let created = told.values().filter(|done| done.outcome == Outcome::Created).count();
        let held = ctx.sandbox.addresses(id);
        assert_eq!(held.iter().filter(|address| address.starts_with('u')).count(), created, "{id}: {told:#?}");
        // A domain that takes all of its rows needs no more requests than they fill.
        let (domains, _) = told.values().partition::<Vec<_>, _>(|done| done.address.ends_with("@example.com"));
        assert!(domains.iter().all(|done| done.outcome == Outcome::Created), "{id}: {domains:#?}");
        if created == 2 * EACH {
            assert_eq!(sent, 2 * EACH.div_ceil(most), "{id}");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_to_several_is_settled_for_each() {
    const EACH: usize = 40;
    let ctx = Ctx::new(ProviderId::Hybridbox).await;
    ctx.create("u3@example.com").await;
    ctx.sandbox.fault(Fault::after(Method::POST, "/bulk", Answer::Cut).times(1));
    ctx.sandbox.fault(Fault::instead(Method::POST, "/bulk", Answer::Cut).times(1));
    ctx.sandbox.fault(Fault::after(Method::POST, "/bulk", Answer::Truncated).times(1));
    // Long enough for the listing of one domain to prove what another one's shows.
    let (report, told) = engine(&ctx, &named(EACH), |options| options.poll = Duration::from_millis(50)).await;
    assert!(report.stopped.is_none(), "{:?}", report.stopped);
    let held: BTreeSet<_> = ctx.sandbox.addresses(ProviderId::Hybridbox).into_iter().collect();
    for (address, done) in &told {
        let truth = if address == "u3@example.com" { Outcome::Exists } else { Outcome::Created };
        let refused = done.outcome == Outcome::Failed && !held.contains(address);
        assert!(refused || (done.outcome == truth && held.contains(address)), "{done:?}");
    }
    let good = told.values().filter(|done| done.address.ends_with("@example.com"));
    assert!(good.clone().all(|done| done.outcome != Outcome::Failed), "{told:#?}");
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_unknown() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut));
    ctx.sandbox.fault(Fault::instead(Method::GET, "/", Answer::status(400)));
    let (report, told) = engine(&ctx, &rows(5), |_| ()).await;
    assert_eq!(report.summary.of(Outcome::Unknown), 5);
    assert!(told.values().all(|done| done.outcome == Outcome::Unknown && done.touched));
}

#[tokio::test]
async fn a_row_that_is_lost_each_time_is_unknown() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::Cut));
    let (report, told) = engine(&ctx, &rows(3), |_| ()).await;
    // No mailbox of the run is there to prove that the listing is new.
    assert_eq!(report.summary.of(Outcome::Unknown), 3, "{told:?}");
    assert!(told.values().all(|done| done.settles_at.is_some()), "{told:?}");
    assert!(!ctx.sandbox.addresses(ProviderId::Emboux).contains(&"user0@example.com".to_owned()));
}

#[tokio::test]
async fn a_host_that_loses_every_answer_is_not_asked_for_ever() {
    const ROWS: usize = 1000;
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::Cut));
    let (report, told) = engine(&ctx, &rows(ROWS), |_| ()).await;
    assert_eq!(report.stopped.map(|error| error.kind), Some(Kind::Network));
    assert_eq!((told.len(), report.summary.left), (0, ROWS as u32), "each row is left to the resumed run");
    let sent = ctx.sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count();
    assert!(sent < ROWS * 3 / 2, "{sent} requests");
}

#[tokio::test]
async fn too_fast_is_no_reason_to_end() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::retry_after("0")).times(20));
    let (report, _) = engine(&ctx, &rows(3), |options| options.concurrency = 1).await;
    assert_eq!((report.stopped.is_some(), report.summary.of(Outcome::Created)), (false, 3));
}

#[tokio::test]
async fn refused_credentials_stop_the_run_at_once() {
    let mut ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.provider = ctx.open(|account| account.secret = "revoked".into());
    let (report, told) = engine(&ctx, &rows(2000), |_| ()).await;
    assert_eq!(report.stopped.map(|error| error.kind), Some(Kind::Auth));
    assert_eq!((told.len(), report.summary.left), (0, 2000));
    assert!(ctx.sandbox.take_seen().len() < 20);
}

#[tokio::test]
async fn a_full_domain_is_left_and_the_others_go_on() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    let full: String =
        (0..100).map(|n| format!("u{n}@full.example,{PASSWORD}\nu{n}@nowhere.example,{PASSWORD}\n")).collect();
    let (report, told) = engine(&ctx, &(rows(100) + &full), |_| ()).await;
    assert!(report.stopped.is_none());
    assert_eq!((report.summary.of(Outcome::Created), report.summary.of(Outcome::Failed)), (100, 200));
    let sent = ctx.sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count();
    assert!(sent < 100 + 40, "{sent} requests");
    let codes: BTreeSet<_> = told.values().filter_map(|done| done.error.as_deref()).collect();
    assert_eq!(codes, BTreeSet::from(["limit", "not_found"]));
}

#[tokio::test]
async fn a_run_stops_after_so_many_failures() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(422)));
    let (report, told) = engine(&ctx, &rows(100), |options| options.max_failures = Some(5)).await;
    assert_eq!(report.stopped.map(|error| error.kind), Some(Kind::Partial));
    // Those in the air when the fifth failed are told as well.
    assert!((5..5 + 8).contains(&told.len()), "{}", told.len());
    assert_eq!(report.summary.left as usize + told.len(), 100);
}

#[tokio::test]
async fn a_quota_that_takes_a_second_request_is_set_after_a_lost_answer() {
    const ROWS: usize = 10;
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut).skip(2).times(3));
    ctx.sandbox.fault(Fault::instead(Method::PUT, "/quota", Answer::status(503)).skip(1).times(1));
    ctx.sandbox.fault(Fault::after(Method::PUT, "/quota", Answer::Cut).skip(2).times(1));
    let file: String = (0..ROWS).map(|n| format!("user{n}@example.com,{PASSWORD},2147483648\n")).collect();
    let (_, told) = engine(&ctx, &("address,password,quota\n".to_owned() + &file), |_| ()).await;
    assert_eq!(told.len(), ROWS);
    for (address, done) in told {
        assert_eq!(done.outcome, Outcome::Created, "{done:?}");
        let held = ctx.provider.get_mailbox(&at(&address)).await.expect("it is there");
        assert_eq!(held.quota.and_then(|quota| quota.limit), Some(2_147_483_648), "{done:?}");
    }
}

/// LiteMail shows a new mailbox after a while, and bills it: what has not come after that is for a person to order again.
#[tokio::test]
async fn what_a_lagging_listing_does_not_show_is_sent_again_by_a_retry_alone() {
    const ROWS: usize = 10;
    let ctx = Ctx::new(ProviderId::Litemail).await;
    ctx.sandbox.run_clock(ctx.id);
    let rows: String = (0..ROWS).map(|n| format!("user{n}@example.com,Ada,Byron\n")).collect();
    let rig = Rig::new(&ctx, &("address,first_name,last_name\n".to_owned() + &rows));
    // Five travel together: the first are lost on their way, the second are made and come to light very late.
    ctx.sandbox.lag(8);
    ctx.sandbox.fault(Fault::instead(Method::POST, "/mailboxes", Answer::Cut).times(1));
    ctx.sandbox.fault(Fault::after(Method::POST, "/mailboxes", Answer::Cut).times(1));
    let count = |told: &Told, outcome| told.rows.values().filter(|done| done.outcome == outcome).count();
    let sent = || ctx.sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count();

    let told = rig.run(&ctx, options(Verb::Create)).await;
    assert_eq!((count(&told, Outcome::Failed), sent()), (ROWS, 2), "{:?}", told.rows);
    let told = rig.run(&ctx, options(Verb::Create)).await;
    assert_eq!((told.rows.len(), sent()), (0, 0), "a resumed run leaves them alone");
    rig.retry();
    let told = rig.run(&ctx, options(Verb::Create)).await;
    assert_eq!(count(&told, Outcome::Created), ROWS, "{:?}", told.rows);
    let held = ctx.sandbox.addresses(ctx.id);
    assert_eq!(held.iter().filter(|address| address.starts_with("user")).count(), ROWS);
}

#[tokio::test]
async fn a_retry_completes_what_was_made_by_half() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.run_clock(ctx.id);
    let rig = Rig::new(&ctx, "address,quota\nuser0@example.com,2147483648\nuser1@example.com,\n");
    ctx.sandbox.fault(Fault::instead(Method::PUT, "/quota", Answer::status(422)).times(2));
    let told = rig.run(&ctx, options(Verb::Create)).await;
    let failed: Vec<_> = told.rows.values().filter(|done| done.outcome == Outcome::Failed).collect();
    assert_eq!(failed.len(), 1, "{:?}", told.rows);
    let before = rig.passwords();
    assert_eq!(before.len(), 2, "what is there has a password");
    rig.retry();
    let told = rig.run(&ctx, options(Verb::Create)).await;
    assert_eq!(told.rows.values().map(|done| done.outcome).collect::<Vec<_>>(), [Outcome::Created], "{:?}", told.rows);
    assert_eq!(rig.passwords(), before);
    for (address, password) in before {
        assert!(ctx.sandbox.password_is(ctx.id, &address, &password), "{address}");
    }
    let held = ctx.provider.get_mailbox(&at("user0@example.com")).await.expect("it is there");
    assert_eq!(held.quota.and_then(|quota| quota.limit), Some(2_147_483_648));
}

#[tokio::test]
async fn a_long_wait_is_announced() {
    let ctx = Ctx::new(ProviderId::Litemail).await;
    ctx.sandbox.run_clock(ctx.id);
    ctx.sandbox.fault(Fault::after(Method::POST, "/mailboxes", Answer::Cut).times(1));
    let rig = Rig::new(&ctx, "address,first_name,last_name\nada@example.com,Ada,Byron\n");
    let poll = Duration::from_secs(60);
    let told = rig.run(&ctx, Options { poll, ..options(Verb::Create) }).await;
    assert_eq!(told.notices, Vec::<String>::new(), "the first look is at once");
    assert_eq!(told.rows["ada@example.com"].outcome, Outcome::Created, "it was found at once");
}

/// A file says how mailboxes are to be; those that are not are brought there, and the same file again sends nothing.
#[tokio::test]
async fn what_exists_is_brought_to_what_is_asked_for() {
    let ctx = Ctx::new(ProviderId::Hybridbox).await;
    ctx.sandbox.run_clock(ctx.id);
    let file = |last: &str| {
        let row = |n| format!("user{n}@example.com,Ada,{last}\n");
        "address,first_name,last_name\n".to_owned() + &(0..20).map(row).collect::<String>()
    };
    let adopts = || Options { on_existing: OnExisting::Update, ..options(Verb::Create) };
    let writes = || ctx.sandbox.take_seen().iter().filter(|seen| seen.method != Method::GET).count();
    let count = |told: &Told, outcome| told.rows.values().filter(|done| done.outcome == outcome).count();
    let told = Rig::new(&ctx, &file("Byron").replace("user1", "new1")).run(&ctx, adopts()).await;
    assert_eq!((count(&told, Outcome::Created), writes()), (20, 1));

    // Ten are there by these names and eleven are not, and one answer is lost.
    ctx.sandbox.fault(Fault::after(Method::PATCH, "/mailboxes", Answer::Cut).times(1));
    ctx.sandbox.fault(Fault::after(Method::PUT, "/mailboxes", Answer::Cut).times(1));
    let told = Rig::new(&ctx, &file("King")).run(&ctx, adopts()).await;
    assert_eq!((count(&told, Outcome::Created), count(&told, Outcome::Updated)), (11, 9), "{:?}", told.rows);
    assert_eq!(writes(), 1 + 9);
    for n in 0..20 {
        let held = ctx.provider.get_mailbox(&at(&format!("user{n}@example.com"))).await.expect("it is there");
        assert_eq!(held.last_name.as_deref(), Some("King"));
    }
    let told = Rig::new(&ctx, &file("King")).run(&ctx, adopts()).await;
    assert_eq!((count(&told, Outcome::Unchanged), writes()), (20, 0), "{:?}", told.rows);
}

#[tokio::test]
async fn what_exists_keeps_its_password() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.run_clock(ctx.id);
    ctx.create("old@example.com").await;
    // Nothing tells before that one of them is there.
    ctx.sandbox.fault(Fault::instead(Method::GET, "/users/", Answer::status(400)).times(1));
    let rig = Rig::new(&ctx, "address,quota\nold@example.com,3221225472\nnew@example.com,3221225472\n");
    let told = rig.run(&ctx, Options { on_existing: OnExisting::Update, ..options(Verb::Create) }).await;
    let outcomes: Vec<_> = told.rows.values().map(|done| done.outcome).collect();
    assert_eq!(outcomes, [Outcome::Created, Outcome::Updated], "{:?}", told.rows);
    assert_eq!(rig.passwords().into_keys().collect::<Vec<_>>(), ["new@example.com"]);
    assert!(ctx.sandbox.password_is(ctx.id, "old@example.com", PASSWORD));
    let held = ctx.provider.get_mailbox(&at("old@example.com")).await.expect("it is there");
    assert_eq!(held.quota.and_then(|quota| quota.limit), Some(3_221_225_472));
}

#[tokio::test]
async fn what_exists_is_changed_also_where_a_look_fails() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.create("old@example.com").await;
    ctx.sandbox.fault(Fault::instead(Method::GET, "/users/", Answer::status(400)).skip(1).times(4));
    let rig = Rig::new(&ctx, "address,quota\nold@example.com,2147483648\n");
    let told = rig.run(&ctx, Options { on_existing: OnExisting::Update, ..options(Verb::Create) }).await;
    assert_eq!(told.rows["old@example.com"].outcome, Outcome::Updated, "{:?}", told.rows);
}

/// A resumed run knows which mailboxes were there before the run, also where their creation time does not tell.
#[tokio::test]
async fn a_resumed_run_knows_what_was_there_before() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.create("old@example.com").await;
    // Listed before; every answer to the change is lost, and looks fail.
    ctx.sandbox.fault(Fault::instead(Method::GET, "/users/", Answer::status(400)).skip(2));
    ctx.sandbox.fault(Fault::after(Method::PUT, "/quota", Answer::Cut));
    let rig = Rig::new(&ctx, "address,quota\nold@example.com,2147483648\n");
    let adopts = || Options { on_existing: OnExisting::Update, ..options(Verb::Create) };
    let told = rig.run(&ctx, adopts()).await;
    assert_eq!(told.rows["old@example.com"].outcome, Outcome::Unknown);
    ctx.sandbox.forgive();
    let told = rig.run(&ctx, adopts()).await;
    // The change was made, and is now seen.
    assert_eq!(told.rows["old@example.com"].outcome, Outcome::Unchanged);
    assert!(rig.passwords().is_empty());
}

#[tokio::test]
async fn a_resumed_run_keeps_the_password_of_what_was_listed_and_created_anew() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.create("old@example.com").await;
    // Listed before; gone when it is looked at; the answer to its creation is lost, and looks fail.
    let gone = Other::DeletesMailbox("old@example.com".to_owned());
    let look = Fault::after(Method::GET, "/users/", Answer::Delay(Duration::ZERO));
    ctx.sandbox.fault(look.skip(1).times(1).meanwhile(gone));
    ctx.sandbox.fault(Fault::instead(Method::GET, "/users/", Answer::status(400)).skip(1));
    ctx.sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut));
    let rig = Rig::new(&ctx, "address,quota\nold@example.com,2147483648\n");
    let adopts = || Options { on_existing: OnExisting::Update, ..options(Verb::Create) };
    let told = rig.run(&ctx, adopts()).await;
    assert_eq!(told.rows["old@example.com"].outcome, Outcome::Unknown, "{:?}", told.rows);
    ctx.sandbox.forgive();
    rig.run(&ctx, adopts()).await;
    let passwords = rig.passwords();
    let password = passwords.get("old@example.com").expect("it may be in use, and is");
    assert!(ctx.sandbox.password_is(ProviderId::Emboux, "old@example.com", password));
}
