//! Many mailboxes from a file: what is reported is what the sandbox really holds, whatever happens on the way.
//!
//! [`engine`] runs the engine alone, [`faults`] on bad days, [`runs`] the program, and [`crashes`] ends it at any moment.

mod crashes;
mod engine;
mod faults;
mod late;
mod merged;
mod owned;
mod runs;
mod takeover;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mbx::bulk::input::{Input, Select};
use mbx::bulk::journal::{self, AccountMark, Done, FORMAT, Header, Journal, Line, RunOptions, this_boot};
use mbx::bulk::record::Record;
use mbx::bulk::sink::{self, Sink};
use mbx::bulk::{self, Interrupt, OnExisting, Options, Report, RunIo, Verb};
use mbx::error::Error;
use mbx::http::Method;
use mbx::model::Mailbox;
use mbx::provider::ProviderId;
use mbx::sandbox::Sandbox;
use secrecy::SecretString;
use tempfile::TempDir;

use crate::program::{Mbx, Ran};
use crate::support::{Ctx, PASSWORD};

/// Small random numbers from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Returns a file of so many rows with passwords.
pub(crate) fn rows(count: usize) -> String {
    let rows = (0..count).map(|n| format!("user{n}@example.com,{PASSWORD}\n"));
    "address,password\n".to_owned() + &rows.collect::<String>()
}

/// Returns how a run flows.
fn options(verb: Verb) -> Options {
    Options {
        concurrency: 8,
        verb,
        on_existing: OnExisting::Keep,
        missing_is_fine: true,
        only_looks: false,
        max_failures: None,
        dry_run: false,
        poll: Duration::from_millis(1),
    }
}

/// Runs the engine over a file, without a journal.
pub(crate) async fn engine(
    ctx: &Ctx,
    text: &str,
    change: impl FnOnce(&mut Options),
) -> (Report, BTreeMap<String, Done>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("people.csv");
    std::fs::write(&path, text).expect("the file is written");
    let mut input =
        Input::open(&path.to_string_lossy(), Verb::Create.columns(), Vec::new(), Select::default()).expect("it opens");
    let survey = input.survey(|_| Vec::new()).expect("it is read");
    assert_eq!(survey.troubles, []);
    let mut options = options(Verb::Create);
    change(&mut options);
    let interrupt = Interrupt::default();
    let mut all = BTreeMap::new();
    let mut tell = |done: &Done, _: Option<&mbx::model::Mailbox>| {
        let before = all.insert(done.address.clone(), done.clone());
        assert_eq!(before, None, "a row is told once");
    };
    let io = RunIo {
        input: &input,
        size: (survey.rows, survey.domains),
        journal: None,
        sink: None,
        record: None,
        interrupt: &interrupt,
        notice: &|_| (),
    };
    let report = bulk::run(&ctx.provider, io, options, &mut tell).await.expect("it runs");
    (report, all)
}

/// The program with a file of rows, on a sandbox.
pub(crate) async fn on_emboux(text: &str) -> (Sandbox, Mbx, String) {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux");
    let file = mbx.file("people.csv", text).to_string_lossy().into_owned();
    (sandbox, mbx, file)
}

/// Returns the one run there is.
pub(crate) async fn run_of(mbx: &Mbx) -> String {
    let list = mbx.run(&["bulk", "list", "-o", "value"]).await.ok().stdout;
    assert_eq!(list.lines().count(), 1, "{list}");
    list.trim().to_owned()
}

/// Returns the passwords of a file that mbx wrote.
pub(crate) fn passwords(mbx: &Mbx) -> BTreeMap<String, String> {
    passwords_in(&mbx.home.path().join("passwords.csv"))
}

fn passwords_in(path: &Path) -> BTreeMap<String, String> {
    let mut reader = csv::Reader::from_path(path).expect("the file is there");
    let records = reader.records().map(|record| record.expect("it is CSV"));
    let mut all = BTreeMap::new();
    for record in records {
        let before = all.insert(record[0].to_lowercase(), record[1].to_owned());
        assert_eq!(before, None, "{} has two passwords", &record[0]);
    }
    all
}

#[track_caller]
pub(crate) fn assert_passwords_are_true(sandbox: &Sandbox, passwords: &BTreeMap<String, String>) {
    for (address, password) in passwords {
        assert!(sandbox.password_is(ProviderId::Emboux, address, password), "{address} has another password");
    }
}

pub(crate) fn addresses(count: usize) -> String {
    "address\n".to_owned() + &(0..count).map(|n| format!("user{n}@example.com\n")).collect::<String>()
}

pub(crate) const GENERATE: [&str; 3] = ["--generate-password", "--yes", "--password-out"];

/// Waits until a create has arrived.
pub(crate) async fn first_create(sandbox: &Sandbox) {
    while sandbox.take_seen().iter().all(|seen| seen.method != Method::POST) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Goes on with a run.
pub(crate) async fn resume(mbx: &Mbx, run: &str) -> Ran {
    mbx.run(&["bulk", "resume", run, "-o", "jsonl"]).await
}

/// A run of the engine with all that the program gives it: a journal, and a file for the passwords it makes up.
pub(crate) struct Rig {
    folder: TempDir,
    input: Input,
    size: (u32, usize),
    header: Header,
}

/// What a run came to, what it told of each row, and why it took long.
pub(crate) struct Told {
    pub(crate) stopped: Option<Error>,
    pub(crate) rows: BTreeMap<String, Done>,
    pub(crate) notices: Vec<String>,
}

/// Makes up a password that is not the same twice.
fn made_up() -> SecretString {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("Made-up-Passw0rd-{}", MADE.fetch_add(1, Ordering::Relaxed)).into()
}

impl Rig {
    /// Prepares a run over a file; rows get passwords where the provider takes any.
    pub(crate) fn new(ctx: &Ctx, text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.csv");
        std::fs::write(&path, text).expect("the file is written");
        let mut input = Input::open(&path.to_string_lossy(), Verb::Create.columns(), Vec::new(), Select::default())
            .expect("it opens");
        let survey = input.survey(|_| Vec::new()).expect("it is read");
        assert_eq!(survey.troubles, []);
        let takes_one = ctx.spec.rules.takes_password();
        let header = Header {
            format: FORMAT,
            run: "test".to_owned(),
            boot: this_boot(),
            account: AccountMark::default(),
            started: jiff::Timestamp::now(),
            verb: Verb::Create,
            provider: ctx.id.to_string(),
            profile: "test".to_owned(),
            file: Some(path),
            digest: survey.digest,
            rows: survey.rows,
            options: RunOptions {
                password_out: takes_one.then(|| folder.path().join("passwords.csv")),
                ..RunOptions::default()
            },
        };
        Rig { folder, input, size: (survey.rows, survey.domains), header }
    }

    /// Begins the run, or goes on with it.
    pub(crate) async fn run(&self, ctx: &Ctx, options: Options) -> Told {
        let (folder, run) = (self.folder.path(), &self.header.run);
        let out = self.header.options.password_out.as_deref();
        let has_begun = journal::path_of(folder, run).exists();
        let (journal, record, sink) = if has_begun {
            let journal = Journal::reopen(folder, run).expect("the journal opens");
            journal.append(&Line::Resumed { resumed: jiff::Timestamp::now(), boot: this_boot() });
            let settled = Record::settled(folder, run, Done::is_final).expect("it is read");
            let sink = out.map(|path| Sink::reopen(path, made_up, &settled).expect("the passwords open"));
            (journal, Some(Record::read(folder, run).expect("the journal is read")), sink)
        } else {
            let sink = out.map(|path| Sink::create(path, made_up).expect("the passwords begin"));
            (Journal::begin(folder, &self.header).expect("the journal begins"), None, sink)
        };
        let interrupt = Interrupt::default();
        let notices = RefCell::new(Vec::new());
        let io = RunIo {
            input: &self.input,
            size: self.size,
            journal: Some(&journal),
            sink,
            record: record.as_ref(),
            interrupt: &interrupt,
            notice: &|text| notices.borrow_mut().push(text.to_owned()),
        };
        let mut rows = BTreeMap::new();
        let mut tell = |done: &Done, _: Option<&Mailbox>| {
            let before = rows.insert(done.address.to_lowercase(), done.clone());
            assert_eq!(before, None, "a row is told once");
        };
        let report = bulk::run(&ctx.provider, io, options, &mut tell).await.expect("it runs");
        drop(journal);
        if let Some(out) = out {
            sink::remove_unused(out, &Record::settled(folder, run, Done::wastes_password).expect("it is read"))
                .expect("it is written");
        }
        Told { stopped: report.stopped, rows, notices: notices.into_inner() }
    }

    /// Has the rows that failed tried again by the next run.
    pub(crate) fn retry(&self) {
        let journal = Journal::reopen(self.folder.path(), &self.header.run).expect("the journal opens");
        journal.append(&journal::Line::Retry { retry: jiff::Timestamp::now() });
    }

    /// Returns the passwords it has written, by address in lower case; none where the provider takes none.
    pub(crate) fn passwords(&self) -> BTreeMap<String, String> {
        self.header.options.password_out.as_deref().map(passwords_in).unwrap_or_default()
    }
}
