//! Many mailboxes from a file: what is reported is what the sandbox really holds, whatever happens on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use mbx::bulk::input::{Input, Select};
use mbx::bulk::journal::Done;
use mbx::bulk::{self, Ends, Interrupt, Options, Report};
use mbx::error::Kind;
use mbx::http::Method;
use mbx::output::Outcome;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use serde_json::Value;

use crate::program::{Mbx, Ran};
use crate::support::{Ctx, PASSWORD};

/// Small random numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Returns a file of so many rows with passwords.
fn rows(count: usize) -> String {
    let rows = (0..count).map(|n| format!("user{n}@example.com,{PASSWORD}\n"));
    "address,password\n".to_owned() + &rows.collect::<String>()
}

/// Runs the engine over a file, without a journal.
async fn engine(ctx: &Ctx, text: &str, change: impl FnOnce(&mut Options)) -> (Report, BTreeMap<String, Done>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("people.csv");
    std::fs::write(&path, text).expect("the file is written");
    let mut input = Input::open(&path.to_string_lossy(), Vec::new(), Select::default()).expect("it opens");
    let survey = input.survey(|_| Vec::new()).expect("it is read");
    assert_eq!(survey.troubles, []);
    let mut options = Options {
        concurrency: 8,
        exists_is_fine: true,
        max_failures: None,
        dry_run: false,
        poll: Duration::from_millis(1),
    };
    change(&mut options);
    let interrupt = Interrupt::default();
    let mut all = BTreeMap::new();
    let mut tell = |done: &Done, _: Option<&mbx::model::Mailbox>| {
        let before = all.insert(done.address.clone(), done.clone());
        assert_eq!(before, None, "a row is told once");
    };
    let ends = Ends {
        input: &input,
        size: (survey.rows, survey.domains),
        journal: None,
        sink: None,
        record: None,
        interrupt: &interrupt,
    };
    let report = bulk::create(&ctx.provider, ends, options, &mut tell).await.expect("it runs");
    (report, all)
}

/// Scripts the trouble of a bad day: some answers are lost after the mailbox was made, some requests are refused.
fn bad_day(sandbox: &Sandbox, requests: usize, dice: &mut Dice) {
    for at in 0..requests {
        let fault = match dice.roll(100) {
            0..3 => Fault::after(Method::POST, "/users/", Answer::Cut),
            3..5 => Fault::after(Method::POST, "/users/", Answer::status(504)),
            5 => Fault::after(Method::POST, "/users/", Answer::Truncated),
            6 => Fault::after(Method::POST, "/users/", Answer::html(200)),
            7 => Fault::after(Method::POST, "/users/", Answer::status(200)),
            8 => Fault::after(Method::POST, "/users/", Answer::Hang),
            9..12 => Fault::instead(Method::POST, "/users/", Answer::Cut),
            12..14 => Fault::instead(Method::POST, "/users/", Answer::status(503)),
            14..16 => Fault::instead(Method::POST, "/users/", Answer::retry_after("0")),
            _ => continue,
        };
        sandbox.fault(fault.skip(at).times(1));
    }
}

#[tokio::test]
async fn on_a_bad_day_the_report_is_what_the_server_holds() {
    const ROWS: usize = 300;
    for seed in [1, 2, 3] {
        let mut ctx = Ctx::new(ProviderId::Emboux).await;
        for n in 0..10 {
            ctx.create(&format!("user{}@example.com", n * 7)).await;
        }
        ctx.provider = ctx.open(|account| account.pace.write = Duration::from_millis(300));
        bad_day(&ctx.sandbox, ROWS * 2, &mut Dice(seed));
        ctx.sandbox.take_seen();
        let (report, told) = engine(&ctx, &rows(ROWS), |_| ()).await;
        assert!(report.stopped.is_none(), "{:?}", report.stopped);
        assert_eq!(told.len(), ROWS);
        let held: BTreeSet<_> = ctx.sandbox.addresses(ProviderId::Emboux).into_iter().collect();
        for (address, done) in &told {
            let was_there = address[4..]
                .split_once('@')
                .and_then(|(n, _)| n.parse().ok())
                .is_some_and(|n: u32| n.is_multiple_of(7) && n < 70);
            let truth = if was_there { Outcome::Exists } else { Outcome::Created };
            assert_eq!(done.outcome, truth, "{done:?}");
            assert!(held.contains(address), "{address} is lost");
        }
        assert_eq!((report.summary.created, report.summary.exists), (ROWS as u32 - 10, 10));
        // A request is repeated only after a look, so that a host which takes repeats makes nothing twice; and there is
        // a look for many, not for each.
        let (mut sent, mut looks) = (BTreeMap::new(), 0);
        for seen in ctx.sandbox.take_seen() {
            if seen.method == Method::GET && seen.path.ends_with("/users/") {
                looks += 1;
            }
            if seen.method == Method::POST {
                let body: Value = serde_json::from_str(&seen.body).expect("it is JSON");
                let address = body["email"].as_str().expect("an address").to_owned();
                *sent.entry((address, looks)).or_insert(0) += 1;
            }
        }
        assert!(looks < 12, "{looks} looks");
        // Only a 429, which says that nothing was done, is repeated without one.
        assert!(sent.values().filter(|times| **times > 1).count() < ROWS / 15);
    }
}

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
    let (report, told) = engine(&ctx, &named(EACH), |_| ()).await;
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
    assert_eq!(report.summary.unknown, 5);
    assert!(told.values().all(|done| done.outcome == Outcome::Unknown && done.touched));
}

#[tokio::test]
async fn a_row_that_is_lost_each_time_fails_and_is_not_there() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    ctx.sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::Cut));
    let (report, told) = engine(&ctx, &rows(3), |_| ()).await;
    assert_eq!(report.summary.failed, 3, "{told:?}");
    assert!(!ctx.sandbox.addresses(ProviderId::Emboux).contains(&"user0@example.com".to_owned()));
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
    assert_eq!((report.summary.created, report.summary.failed), (100, 200));
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

/// The program with a file of rows, on a sandbox.
async fn on_emboux(text: &str) -> (Sandbox, Mbx, String) {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux");
    let file = mbx.file("people.csv", text).to_string_lossy().into_owned();
    (sandbox, mbx, file)
}

/// Returns the one run there is.
async fn run_of(mbx: &Mbx) -> String {
    let list = mbx.run(&["bulk", "list", "-o", "value"]).await.ok().stdout;
    assert_eq!(list.lines().count(), 1, "{list}");
    list.trim().to_owned()
}

/// Returns the passwords of a file that mbx wrote.
fn passwords(mbx: &Mbx) -> BTreeMap<String, String> {
    let mut reader = csv::Reader::from_path(mbx.home.path().join("passwords.csv")).expect("the file is there");
    let records = reader.records().map(|record| record.expect("it is CSV"));
    let mut all = BTreeMap::new();
    for record in records {
        let before = all.insert(record[0].to_owned(), record[1].to_owned());
        assert_eq!(before, None, "{} has two passwords", &record[0]);
    }
    all
}

#[track_caller]
fn assert_passwords_are_true(sandbox: &Sandbox, passwords: &BTreeMap<String, String>) {
    for (address, password) in passwords {
        assert!(sandbox.password_is(ProviderId::Emboux, address, password), "{address} has another password");
    }
}

fn addresses(count: usize) -> String {
    "address\n".to_owned() + &(0..count).map(|n| format!("user{n}@example.com\n")).collect::<String>()
}

const GENERATE: [&str; 3] = ["--generate-password", "--yes", "--password-out"];

#[tokio::test]
async fn every_problem_of_a_file_is_told_before_the_first_request() {
    let text = "E-Mail,First Name,QUOTA,admin,password\n\
                ada@example.com,,2G,,secret-Canary-1\n\
                not an address,,lots,maybe,secret-Canary-2\n\
                \"ADA@example.com\",,,,secret-Canary-3\n\
                ben@example.com,Ben,1000,,\n\
                short\n\
                ada@EXAMPLE.com,,3X,,secret-Canary-4\n";
    let (sandbox, mbx, file) = on_emboux(text).await;
    let map = ["--map", "address=e-mail"];
    let check = mbx.run(&[&["bulk", "check", &file, "-o", "csv", "--columns", "line,column"], &map[..]].concat()).await;
    assert_eq!(check.code, 8);
    let places = "line,column\n3,address\n3,quota\n3,admin\n4,address\n5,first_name\n5,quota\n5,password\n6,(all)\n7,quota\n7,address\n";
    assert_eq!(check.stdout, places, "{check:?}");
    let create = mbx.run(&[&["bulk", "create", &file, "--yes"], &map[..]].concat()).await;
    assert_eq!((create.code, create.stdout.as_str()), (8, ""));
    assert!(create.stderr.contains("line 4, address: the same mailbox as on line 2"), "{}", create.stderr);
    assert!(sandbox.take_seen().is_empty(), "nothing was sent");
    for shown in [&check, &create] {
        assert!(!format!("{shown:?}").contains("Canary"), "{shown:?}");
    }
    assert_eq!(mbx.run(&["bulk", "check", &file]).await.code, 2, "there is no column address");
    assert_eq!(mbx.run(&["bulk", "create", "nowhere.csv", "--yes"]).await.code, 2);
}

#[tokio::test]
async fn the_formats_of_a_file_are_told_apart() {
    let (sandbox, mbx, _) = on_emboux("").await;
    for (n, text) in [
        format!("address,password\r\na0@example.com,{PASSWORD}\r\n"),
        format!("Address\tPASSWORD\na1@example.com\t{PASSWORD}\n"),
        format!("\u{feff}password;address\n{PASSWORD};a2@example.com\n"),
        format!("{{\"address\":\"a3@example.com\",\"password\":\"{PASSWORD}\",\"quota\":1048576}}\n\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let ran = mbx.run_with_input(&["bulk", "create", "-", "--yes", "-o", "value"], &text).await.ok();
        assert_eq!(ran.stdout, format!("a{n}@example.com\n"));
        assert!(sandbox.password_is(ProviderId::Emboux, &format!("a{n}@example.com"), PASSWORD));
    }
    let array = mbx.run_with_input(&["bulk", "check", "-"], "[{\"address\":\"a@example.com\"}]").await;
    assert_eq!(array.code, 2);
    assert!(array.stderr.contains("jq"), "{}", array.stderr);
}

#[tokio::test]
async fn creating_needs_a_yes_and_a_dry_run_needs_none() {
    let (sandbox, mbx, file) = on_emboux(&rows(3)).await;
    assert_eq!(mbx.run(&["bulk", "create", &file]).await.code, 17);
    let dry = mbx.run(&["bulk", "create", &file, "--dry-run", "-o", "jsonl"]).await.ok();
    assert!(dry.stdout.lines().all(|line| line.contains("\"planned\"") && !line.contains(PASSWORD)), "{dry:?}");
    assert!(sandbox.take_seen().is_empty());
    for wrong in [["--sort", "address"], ["--columns", "adress"]] {
        assert_eq!(mbx.run(&[&["bulk", "create", &file, "--yes"], &wrong[..]].concat()).await.code, 2);
    }
    assert!(mbx.files().iter().all(|(path, _)| path.ends_with("people.csv")), "nothing is left behind");
}

#[tokio::test]
async fn the_exit_code_tells_what_a_run_came_to() {
    let (sandbox, mbx, file) = on_emboux(&rows(4)).await;
    let create = ["bulk", "create", &file, "--yes", "-o", "jsonl"];
    let first = mbx.run(&create).await.ok();
    assert_eq!(first.stdout.lines().filter(|line| line.contains("\"created\"")).count(), 4);
    let again = mbx.run(&create).await;
    assert_eq!((again.code, again.error()["code"].as_str()), (14, Some("partial")));
    assert_eq!(again.stdout.lines().filter(|line| line.contains("\"exists\"")).count(), 4);
    let fine = mbx.run(&[&create[..], &["--if-exists", "ok"]].concat()).await;
    assert_eq!(fine.code, 0, "{fine:?}");
    assert_eq!(sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count(), 4);
    // One answer is lost for good, and then found.
    let other = mbx.file("other.csv", &rows(1).replace("user0", "other")).to_string_lossy().into_owned();
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut).times(1));
    sandbox.fault(Fault::instead(Method::GET, "/users/", Answer::status(400)).skip(1).times(4));
    let lost = mbx.run(&["bulk", "create", &other, "--yes", "-o", "json"]).await;
    assert_eq!((lost.code, lost.json()[0]["outcome"].as_str()), (15, Some("unknown")), "{lost:?}");
    let hint = lost.error()["hint"].as_str().expect("a hint").to_owned();
    let run = hint.split("resume ").nth(1).and_then(|rest| rest.split('`').next()).expect("the run's name").to_owned();
    let found = mbx.run(&["bulk", "resume", &run, "-o", "json"]).await.ok();
    assert_eq!(found.json()[0]["outcome"], "created", "it was not there when the run began");
}

#[tokio::test]
async fn failed_rows_can_be_tried_again() {
    let text = "address\nfirst@example.com\nsecond@full.example\n";
    let (sandbox, mbx, file) = on_emboux(text).await;
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let ran = mbx.run(&[&["bulk", "create", &file, "-o", "jsonl"], &GENERATE[..], &[&out]].concat()).await;
    assert_eq!(ran.code, 14);
    assert_eq!(
        passwords(&mbx).keys().collect::<Vec<_>>(),
        ["first@example.com"],
        "no password is claimed for a refusal"
    );
    let run = run_of(&mbx).await;
    let failed = mbx.run(&["bulk", "show", &run, "--only", "failed", "-o", "json"]).await.ok().json();
    assert_eq!(
        (failed[0]["address"].as_str(), failed[0]["error"].as_str()),
        (Some("second@full.example"), Some("limit"))
    );
    assert_eq!(mbx.run(&["bulk", "retry", &run]).await.code, 14);
    mbx.run(&["delete", "one@full.example", "--yes"]).await.ok();
    let ran = mbx.run(&["bulk", "retry", &run, "-o", "json"]).await.ok();
    assert_eq!(ran.json()[0]["outcome"], "created");
    assert_eq!(mbx.run(&["bulk", "show", &run, "-o", "value"]).await.ok().stdout.lines().count(), 2);
    assert_eq!(passwords(&mbx).len(), 2);
    assert_passwords_are_true(&sandbox, &passwords(&mbx));
    std::fs::write(&file, "address\nother@example.com\n").expect("the file is changed");
    assert_eq!(mbx.run(&["bulk", "resume", &run]).await.code, 17, "another file is refused");
    assert_eq!(mbx.run(&["bulk", "resume", "no-such-run"]).await.code, 6);
}

/// Waits until a create has arrived.
async fn first_create(sandbox: &Sandbox) {
    while sandbox.take_seen().iter().all(|seen| seen.method != Method::POST) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Goes on with a run.
async fn resume(mbx: &Mbx, run: &str) -> Ran {
    mbx.run(&["bulk", "resume", run, "-o", "jsonl"]).await
}

#[cfg(unix)]
#[tokio::test]
async fn a_run_that_is_killed_again_and_again_ends_as_if_it_was_not() {
    const ROWS: usize = 300;
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(10))));
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let mut dice = Dice(7);
    let mut killed = 0u64;
    let mut args: Vec<String> =
        ["bulk", "create", &file].into_iter().chain(GENERATE).chain([out.as_str()]).map(str::to_owned).collect();
    let last = loop {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = mbx.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        let moment = Duration::from_millis(40 + 20 * killed + dice.roll(80));
        match tokio::time::timeout(moment, child.wait()).await {
            Ok(ended) => break ended.expect("it ended"),
            Err(_) => child.kill().await.expect("it is killed"),
        }
        killed += 1;
        if mbx.home.path().join(".local/state/mbx/runs").read_dir().is_ok_and(|mut all| all.next().is_some()) {
            args = ["bulk", "resume", &run_of(&mbx).await].map(str::to_owned).to_vec();
        } else {
            // It was killed before anything was sent.
            let _ = std::fs::remove_file(&out);
        }
    };
    assert!(last.success() && killed > 0, "{last:?} after {killed}");
    let shown = mbx.run(&["bulk", "show", &run_of(&mbx).await, "-o", "csv", "--columns", "outcome,address"]).await.ok();
    let told: BTreeSet<_> = shown.stdout.lines().skip(1).map(str::to_owned).collect();
    let truth: BTreeSet<_> = (0..ROWS).map(|n| format!("created,user{n}@example.com")).collect();
    assert_eq!(told, truth);
    let held = sandbox.addresses(ProviderId::Emboux);
    assert_eq!(held.iter().filter(|address| address.ends_with("@example.com")).count(), ROWS);
    assert_eq!(passwords(&mbx).len(), ROWS);
    assert_passwords_are_true(&sandbox, &passwords(&mbx));
}

#[tokio::test]
async fn a_journal_that_is_cut_anywhere_stays_honest() {
    const ROWS: usize = 30;
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    mbx.run(&[&["bulk", "create", &file], &GENERATE[..], &[&out]].concat()).await.ok();
    let run = run_of(&mbx).await;
    let journal = mbx.home.path().join(format!(".local/state/mbx/runs/{run}.jsonl"));
    let (whole, all) = (std::fs::read(&journal).expect("it is there"), passwords(&mbx));
    let mut dice = Dice(11);
    for _ in 0..40 {
        let cut = dice.roll(whole.len() as u64) as usize;
        std::fs::write(&journal, &whole[..cut]).expect("it is cut");
        let ran = resume(&mbx, &run).await;
        assert!([0, 3, 15].contains(&ran.code), "cut at {cut}: {ran:?}");
        // Every mailbox is there, and nobody says otherwise; what the journal has lost is found or left in doubt.
        let doubtful = ["\"created\"", "\"unknown\""];
        assert!(
            ran.stdout.lines().all(|line| doubtful.iter().any(|word| line.contains(word))),
            "cut at {cut}: {ran:?}"
        );
        assert_eq!(passwords(&mbx), all, "cut at {cut}");
    }
    assert_eq!(sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count(), ROWS);
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupted_run_tells_what_it_did_and_how_to_go_on() {
    const ROWS: usize = 400;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(20))));
    let args = ["bulk", "create", &file, "--yes", "-o", "jsonl"];
    let child = mbx.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    first_create(&sandbox).await;
    let id = child.id().expect("it runs").to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().expect("it is told");
    let output = child.wait_with_output().await.expect("it ends");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let run = run_of(&mbx).await;
    assert!(stderr.contains(&format!("mbx bulk resume {run}")), "{stderr}");
    let held = || sandbox.addresses(ProviderId::Emboux).iter().filter(|a| a.starts_with("user")).count();
    assert_eq!(stdout.lines().count(), held(), "what was made is told, and nothing else");
    assert!(held() < ROWS);
    let rest = resume(&mbx, &run).await.ok();
    assert_eq!((stdout.lines().count() + rest.stdout.lines().count(), held()), (ROWS, ROWS));
}

#[cfg(unix)]
#[tokio::test]
async fn without_room_for_the_journal_nothing_is_sent() {
    const ROWS: usize = 800;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    // No file may grow beyond 64 blocks of 512 or 1024 bytes: the journal's, after some hundred rows.
    let script =
        format!("ulimit -f 64; trap '' XFSZ; exec '{}' bulk create '{file}' --yes -o jsonl", env!("CARGO_BIN_EXE_mbx"));
    let mut command = tokio::process::Command::new("bash");
    let plain = mbx.command(&[]);
    let env: Vec<_> =
        plain.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    let output = command.args(["-c", &script]).env_clear().envs(env).output().await.expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(17), "{stderr}");
    let told = String::from_utf8_lossy(&output.stdout).lines().count();
    let held = || sandbox.addresses(ProviderId::Emboux).iter().filter(|a| a.starts_with("user")).count();
    assert_eq!(told, held(), "what was made is told");
    assert!(told < ROWS);
    resume(&mbx, &run_of(&mbx).await).await.ok();
    assert_eq!(held(), ROWS);
}

#[tokio::test]
async fn no_password_is_in_the_journal_and_nobody_else_can_read_a_file() {
    let (_sandbox, mbx, file) = on_emboux(&rows(20)).await;
    mbx.run(&["bulk", "create", &file, "--yes", "-vvv"]).await.ok();
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let more = mbx.file("more.csv", &addresses(20).replace("user", "more")).to_string_lossy().into_owned();
    mbx.run(&[&["bulk", "create", &more], &GENERATE[..], &[&out]].concat()).await.ok();
    let made = passwords(&mbx);
    assert_eq!(made.len(), 20);
    for (path, content) in mbx.files() {
        let text = String::from_utf8_lossy(&content);
        let is_source = path.ends_with("people.csv") || path.ends_with("passwords.csv");
        assert!(is_source || !text.contains(PASSWORD), "{}", path.display());
        assert!(is_source || made.values().all(|password| !text.contains(password)), "{}", path.display());
        #[cfg(unix)]
        if !path.ends_with("people.csv") {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn one_run_is_worked_on_by_one_process() {
    let (sandbox, mbx, file) = on_emboux(&rows(50)).await;
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(50))));
    let mut child =
        mbx.command(&["bulk", "create", &file, "--yes", "-q"]).stdout(Stdio::null()).spawn().expect("it runs");
    first_create(&sandbox).await;
    let second = resume(&mbx, &run_of(&mbx).await).await;
    assert_eq!(second.code, 17, "{second:?}");
    assert!(child.wait().await.expect("it ends").success());
}

#[tokio::test]
async fn shards_make_each_row_once_and_two_spellings_meet() {
    const ROWS: usize = 90;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    let mut told = BTreeSet::new();
    for shard in ["0/4", "1/4", "2/4", "3/4"] {
        let ran = mbx.run(&["bulk", "create", &file, "--yes", "--shard", shard, "-o", "value"]).await.ok();
        let part: Vec<_> = ran.stdout.lines().map(str::to_owned).collect();
        assert!(part.len() > ROWS / 10, "{shard}: {part:?}");
        assert!(part.into_iter().all(|address| told.insert(address)), "{shard} has rows of another");
    }
    assert_eq!(told.len(), ROWS);
    assert_eq!(sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count(), ROWS);
    let twice = mbx
        .file("twice.csv", &format!("address,password\nÄ@b,x\nA@example.com,{PASSWORD}\na@EXAMPLE.com,{PASSWORD}\n"));
    let mut codes = BTreeMap::new();
    for shard in ["0/2", "1/2"] {
        let check = mbx.run(&["bulk", "check", &twice.to_string_lossy(), "--shard", shard, "-o", "jsonl"]).await;
        assert_eq!(check.code, 8, "a row that is no address is refused everywhere");
        codes.insert(shard, check.stdout.lines().count());
    }
    assert_eq!(codes.values().sum::<usize>(), 3, "{codes:?}");
}

#[tokio::test]
async fn rows_can_be_selected_and_a_resumed_run_means_the_same_ones() {
    let all: String = (0..20).map(|n| format!("u{n}@example.com,{},{PASSWORD}\n", ["Sales", "IT"][n % 2])).collect();
    let (sandbox, mbx, file) = on_emboux(&("address,Team,password\nbroken,Sales,\n".to_owned() + &all)).await;
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(422)).skip(2).times(1));
    let select = ["--where", "team=IT", "--skip", "1", "--limit", "6", "--on-error", "stop", "-j", "1"];
    let first = mbx.run(&[&["bulk", "create", &file, "--yes", "-o", "value"], &select[..]].concat()).await;
    assert_eq!((first.code, first.stdout.as_str()), (14, "u3@example.com\nu5@example.com\nu7@example.com\n"));
    let run = run_of(&mbx).await;
    assert_eq!(mbx.run(&["bulk", "resume", &run, "--dry-run"]).await.code, 2);
    let rest = mbx.run(&["bulk", "resume", &run, "-o", "value", "--rate", "1000/s"]).await;
    assert_eq!(rest.stdout, "u9@example.com\nu11@example.com\nu13@example.com\n", "{rest:?}");
    assert_eq!(mbx.run(&["bulk", "retry", &run, "-o", "value"]).await.ok().stdout, "u7@example.com\n");
    assert_eq!(sandbox.addresses(ProviderId::Emboux).iter().filter(|address| address.starts_with('u')).count(), 6);
    let unknown = mbx.run(&["bulk", "check", &file, "--where", "Group=IT"]).await;
    assert_eq!(unknown.code, 2);
}
