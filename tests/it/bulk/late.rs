//! Hosts that list late, what a killed or repeated run may claim, and dry runs: each test names the fault it was found by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mbx::bulk::{OnExisting, Options, Verb};
use mbx::http::{Gate, Method};
use mbx::model::Alias;
use mbx::output::Outcome;
use mbx::provider::{NameRule, Pace, Provider, ProviderId};
use mbx::sandbox::{Answer, Fault};

use super::crashes::creates;
use super::{Dice, GENERATE, Rig, addresses, engine, first_create, on_emboux, resume, rows, run_of};
use crate::support::{Ctx, PASSWORD, at};

/// How late the hosts list.
const LATE: Duration = Duration::from_millis(1500);

/// Runs a file against a host that lists late and loses some answers; compares every claim with what the host holds.
async fn nothing_is_claimed_wrongly(id: ProviderId, path: &str, takes_repeats: bool, seed: u64) {
    const ROWS: usize = 300;
    let mut ctx = Ctx::new(id).await;
    ctx.provider = ctx.open(|account| {
        account.pace = Pace { concurrency: 16, write: LATE, ..account.pace };
        account.gate = Arc::new(Gate::new(account.pace));
    });
    ctx.sandbox.run_clock(id);
    ctx.sandbox.list_late(id, LATE);
    if takes_repeats {
        ctx.sandbox.accept_repeats(id);
    }
    let mut dice = Dice(seed);
    for at in 0..ROWS * 2 {
        let fault = match dice.roll(100) {
            0..3 => Fault::after(Method::POST, path, Answer::Cut),
            3..5 => Fault::before(Method::POST, path, Answer::status(504), Duration::from_millis(dice.roll(800))),
            5..7 => Fault::after(Method::POST, path, Answer::status(504)),
            7..8 => Fault::after(Method::POST, path, Answer::Hang),
            8..10 => Fault::instead(Method::POST, path, Answer::Cut),
            _ => continue,
        };
        ctx.sandbox.fault(fault.skip(at).times(1));
    }
    let has_names = !matches!(ctx.spec.rules.names, NameRule::Never(_));
    let row = |n| if has_names { format!("user{n}@example.com,Ada,Byron\n") } else { format!("user{n}@example.com\n") };
    let head = if has_names { "address,first_name,last_name\n" } else { "address\n" };
    let rig = Rig::new(&ctx, &(head.to_owned() + &(0..ROWS).map(row).collect::<String>()));
    let poll = Duration::from_secs(2);
    let options = Options { concurrency: 16, poll, on_existing: OnExisting::Fail, ..super::options(Verb::Create) };
    let told = rig.run(&ctx, options).await;
    assert!(told.stopped.is_none(), "{:?}", told.stopped);
    let mut held = BTreeMap::new();
    for address in ctx.sandbox.addresses(id).into_iter().filter(|address| address.starts_with("user")) {
        *held.entry(address).or_insert(0) += 1;
    }
    assert!(held.values().all(|times| *times == 1), "{id}: made twice: {held:?}");
    let passwords = rig.passwords();
    for (address, done) in &told.rows {
        assert_eq!(done.outcome, Outcome::Created, "{id}: {done:?}");
        assert!(held.contains_key(address), "{id}: {done:?}");
        if let Some(password) = passwords.get(address) {
            assert!(ctx.sandbox.password_is(id, address, password), "{id}: {address} has another password");
        }
    }
    assert_eq!(told.rows.len(), ROWS);
}

/// A4: rows were sent up to eight times, answered "it exists" each time, and called failed.
#[tokio::test]
async fn a_host_that_lists_late_and_refuses_repeats_makes_every_row() {
    nothing_is_claimed_wrongly(ProviderId::Emboux, "/users/", false, 4).await;
}

/// A5 and A28: every doubt was made twice.
#[tokio::test]
async fn a_host_that_lists_late_and_takes_repeats_makes_no_row_twice() {
    for seed in 1..=2 {
        nothing_is_claimed_wrongly(ProviderId::Hybridbox, "/mailboxes", true, seed).await;
    }
    nothing_is_claimed_wrongly(ProviderId::Emboux, "/users/", true, 3).await;
}

/// C4: a row that was only read when the run was killed, and then made by somebody else, was claimed by the resumed run.
#[tokio::test]
async fn a_row_that_was_not_sent_before_a_kill_is_not_claimed() {
    let (sandbox, mbx, file) = on_emboux(&addresses(10)).await;
    sandbox.run_clock(ProviderId::Emboux);
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Hang).skip(3));
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let args = [&["bulk", "create", &file, "-j", "1"], &GENERATE[..], &[&out]].concat();
    let mut child = mbx.command(&args).spawn().expect("it runs");
    let held = || sandbox.addresses(ProviderId::Emboux).iter().filter(|a| a.starts_with("user")).count();
    while held() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().await.expect("it is killed");
    sandbox.forgive();
    sandbox.add_mailbox(ProviderId::Emboux, "user8@example.com");
    let ran = resume(&mbx, &run_of(&mbx).await).await;
    let row = ran.stdout.lines().find(|line| line.contains("user8@example.com")).expect("the row is reported");
    assert!(row.contains("\"exists\"") && row.contains("\"password_state\":null"), "{row}");
    assert!(!super::passwords(&mbx).contains_key("user8@example.com"), "no password is claimed for it");
    let sent = ran.stdout.lines().find(|line| line.contains("user3@example.com")).expect("the row is reported");
    assert!(sent.contains("\"created\"") && sent.contains("\"password_state\":\"assumed\""), "{sent}");
}

/// A6: a row that was never sent became `unknown` for ever, because the run had stopped before it.
#[tokio::test]
async fn a_row_that_was_never_sent_is_sent_by_a_retry() {
    let text = "address\none@nowhere.example\ntwo@example.com\nthree@nowhere.example\n";
    let (sandbox, mbx, file) = on_emboux(text).await;
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let stop = ["-j", "1", "--on-error", "stop"];
    let ran = mbx.run(&[&["bulk", "create", &file], &GENERATE[..], &[&out], &stop[..]].concat()).await;
    assert_eq!(ran.code, 14, "{ran:?}");
    let ran = mbx.run(&["bulk", "retry", "last", "-o", "jsonl"]).await;
    assert_eq!(ran.code, 14, "{ran:?}");
    let outcome = |address: &str, outcome: &str| {
        ran.stdout.lines().any(|line| line.contains(address) && line.contains(&format!("\"outcome\":\"{outcome}\"")))
    };
    assert!(outcome("one@nowhere", "failed") && outcome("two@", "created") && outcome("three@", "failed"), "{ran:?}");
    assert_eq!(creates(&sandbox), 4, "one before the stop, and each row of the retry");
}

/// A1 and A2: a dry run with generated passwords panicked, or asked for passwords and named a run that does not exist.
#[tokio::test]
async fn a_dry_run_makes_no_password_and_plans_every_row() {
    let (sandbox, mbx, file) = on_emboux(&addresses(3)).await;
    sandbox.add_mailbox(ProviderId::Emboux, "user0@example.com");
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    for verb in ["create", "passwd"] {
        let args = [&["bulk", verb, &file, "--dry-run", "-o", "jsonl"], &GENERATE[..], &[&out]].concat();
        let ran = mbx.run(&args).await.ok();
        assert_eq!(ran.stdout.lines().filter(|line| line.contains("\"planned\"")).count(), 3, "{verb}: {ran:?}");
        assert!(!std::path::Path::new(&out).exists(), "{verb}: no password is written");
    }
    assert_eq!(mbx.run(&["bulk", "list", "-o", "json"]).await.ok().stdout.trim(), "[]");
}

/// A24: an address that only an alias holds was `exists`, and no mailbox was there.
#[tokio::test]
async fn an_address_that_an_alias_holds_is_not_called_a_mailbox() {
    for id in [ProviderId::Hybridbox, ProviderId::Qboxmail] {
        let ctx = Ctx::new(id).await;
        ctx.create("ada@example.com").await;
        let source = "info@example.com".parse().expect("a good source");
        let alias = Alias::to(source, vec![at("ada@example.com")]);
        ctx.provider.create_alias(&alias).await.expect("it is created");
        let text = format!("address,first_name,last_name,password\ninfo@example.com,Ada,Byron,{PASSWORD}\n");
        let text = if id == ProviderId::Hybridbox { text.replace(&format!(",{PASSWORD}"), ",") } else { text };
        let (report, told) = engine(&ctx, &text, |_| ()).await;
        assert!(report.stopped.is_none(), "{:?}", report.stopped);
        let done = &told["info@example.com"];
        assert_eq!((done.outcome, done.error.as_deref()), (Outcome::Failed, Some("conflict")), "{id}: {done:?}");
        assert!(done.message.as_deref().is_some_and(|message| message.contains("alias")), "{id}: {done:?}");
    }
}

/// C5: the same file, run twice at once, was claimed by both.
#[tokio::test]
async fn the_same_file_is_worked_on_by_one_process() {
    let (sandbox, mbx, file) = on_emboux(&rows(30)).await;
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(100))));
    let args = ["bulk", "create", &file, "--yes", "-q", "-o", "json"];
    let mut first = mbx.command(&args).stdout(std::process::Stdio::null()).spawn().expect("it runs");
    first_create(&sandbox).await;
    let second = mbx.run(&args).await;
    assert_eq!((second.code, second.error()["code"].as_str()), (19, Some("busy")), "{second:?}");
    assert!(first.wait().await.expect("it ends").success());
}

/// C9: a run was resumed with another account.
#[tokio::test]
async fn a_run_is_not_resumed_on_another_account() {
    let (sandbox, mbx, file) = on_emboux(&rows(4)).await;
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(401)).times(1));
    assert_eq!(mbx.run(&["bulk", "create", &file, "--yes"]).await.code, 4);
    let run = run_of(&mbx).await;
    sandbox.take_key("another-key");
    let other = mbx.run_with_env(&["bulk", "resume", &run, "-o", "json"], "MBX_EMBOUX_API_KEY", "another-key").await;
    assert_eq!((other.code, other.error()["code"].as_str()), (17, Some("refused")), "{other:?}");
    let args = ["bulk", "resume", &run, "--allow-other-credential", "-o", "json"];
    mbx.run_with_env(&args, "MBX_EMBOUX_API_KEY", "another-key").await.ok();
    let journal = std::fs::read_to_string(mbx.home.path().join(format!(".local/state/mbx/runs/{run}.jsonl")));
    assert!(!journal.expect("it is there").contains("another-key"), "no secret is in the journal");
}

/// C20: a journal that claims four billion rows took eight gigabytes, and broke the list of all runs.
#[tokio::test]
async fn a_journal_that_claims_billions_of_rows_is_one_line_of_the_list() {
    let (_sandbox, mbx, file) = on_emboux(&rows(2)).await;
    mbx.run(&["bulk", "create", &file, "--yes"]).await.ok();
    let run = run_of(&mbx).await;
    let runs = mbx.home.path().join(".local/state/mbx/runs");
    let text = std::fs::read_to_string(runs.join(format!("{run}.jsonl"))).expect("it is there");
    let huge = text.replacen("\"rows\":2", "\"rows\":4294967295", 1).replacen("\"done\":1", "\"done\":4294967294", 1);
    std::fs::write(runs.join("20260101-000000-00000000.jsonl"), huge).expect("it is written");
    let many = text.replacen("\"rows\":2", "\"rows\":4294967295", 1);
    std::fs::write(runs.join("20260101-000000-00000001.jsonl"), many).expect("it is written");
    let list = mbx.run(&["bulk", "list", "-o", "jsonl"]).await.ok();
    assert_eq!(
        list.stdout.lines().count(),
        2,
        "the good one and the one that names only rows that are there: {list:?}"
    );
    assert!(list.stderr.contains("cannot be read"), "{list:?}");
}
