//! Carries out the steps: begins runs, kills them, takes them up again as `mbx bulk` does, and has each judged.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::poll;
use jiff::Timestamp;
use mbx::bulk::input::{Input, Select};
use mbx::bulk::journal::{self, AccountMark, Done, FORMAT, Header, Journal, Line, RunOptions, this_boot};
use mbx::bulk::record::{Lines, Record, State};
use mbx::bulk::sink::{self, Sink};
use mbx::bulk::{self, Interrupt, OnExisting, Options, RunIo, Verb};
use mbx::error::Kind;
use mbx::http;
use mbx::model::{Mailbox, Outcome};
use mbx::provider::{NameRule, ProviderId};
use mbx::sandbox::Sandbox;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use super::clock;
use super::judge::{self, Case};
use super::steps::{Again, Begin, Day, Host, Step, Who};
use super::world::{Death, Watch, World, passwords_in};

/// Between the last step and the last look at each run, and between that and the settling of what is left.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Longer than a host works on after its answer was lost.
const LATE: Duration = Duration::from_secs(3);

/// One run with its files.
pub(super) struct Run {
    pub(super) number: usize,
    pub(super) begin: Begin,
    pub(super) began: Timestamp,
    input: Input,
    size: (u32, usize),
    header: Header,
    /// Whether an answer may have been lost so far, or the journal.
    pub(super) has_lost: bool,
}

impl Run {
    pub(super) fn out(&self) -> Option<&Path> {
        self.header.options.password_out.as_deref()
    }

    pub(super) fn passwords(&self) -> HashMap<Who, String> {
        self.out().map(passwords_in).unwrap_or_default()
    }
}

/// Some runs at one host.
pub(super) struct Life {
    runtime: Runtime,
    folder: TempDir,
    pub(super) world: World,
    pub(super) runs: Vec<Run>,
    /// The run that was worked on last.
    last: usize,
}

/// Generates a password that is not the same twice.
fn generate() -> SecretString {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("Made-up-Passw0rd-{}", MADE.fetch_add(1, Ordering::Relaxed)).into()
}

/// Returns a folder whose files cost no time to flush, where there is one.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

impl Life {
    pub(super) fn new(host: &Host) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            // In order, so that what a killed process has begun to write is written before the next one begins.
            .max_blocking_threads(1)
            .build()
            .expect("the runtime starts");
        let sandbox = runtime.block_on(Sandbox::start()).expect("the sandbox starts");
        let world = runtime.block_on(async { World::new(host.clone(), sandbox) });
        Life { runtime, folder: folder(), world, runs: Vec::new(), last: 0 }
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Begin(begin) => self.begin(begin),
            Step::Again(how, run, day) => self.work(run, Some(how), &day),
            Step::Somebody(act) => self.runtime.block_on(async { self.world.act(act) }),
            Step::Pass(seconds) => self.pass(Duration::from_secs(seconds.into())),
        }
        self.judge_world();
    }

    fn judge_world(&mut self) {
        let Life { runtime, world, runs, .. } = self;
        runtime.block_on(async {
            world.notice();
            judge::judge_world(world, runs);
        });
    }

    fn pass(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Takes up each run that is left until nothing changes any more, at a host that is well.
    pub(super) fn end(mut self) {
        for run in 0..self.runs.len() {
            self.pass(PATIENCE);
            if self.summary_left(run) > 0 {
                self.work(run, Some(Again::Resume), &Day::default());
            }
            if self.summary_left(run) > 0 {
                self.pass(PATIENCE);
                self.work(run, Some(Again::Settle), &Day::default());
            }
            self.judge_world();
            let last = last(self.folder.path(), &self.runs[run].header.run);
            self.runtime.block_on(async { judge::judge_end(&self.world, &self.runs[run], &last) });
        }
    }

    fn summary_left(&self, run: usize) -> u32 {
        let header = &self.runs[run].header;
        Record::read(self.folder.path(), &header.run).expect("the journal is read").summary().left
    }

    fn begin(&mut self, begin: Begin) {
        let number = self.runs.len();
        self.wait_for_host(number);
        let path = self.folder.path().join(format!("people{number}.csv"));
        std::fs::write(&path, file_of(&self.world, &begin)).expect("the file is written");
        let columns = begin.verb.columns();
        let mut input = Input::open(&path.to_string_lossy(), columns, Vec::new(), Select::default()).expect("it opens");
        let survey = input.survey(|_| Vec::new()).expect("it is read");
        assert_eq!(survey.troubles, []);
        let generates = self.world.takes_password() && matches!(begin.verb, Verb::Create | Verb::Passwd);
        let header = Header {
            format: FORMAT,
            run: format!("run{number}"),
            boot: this_boot(),
            account: AccountMark::default(),
            started: jiff::Timestamp::now(),
            verb: begin.verb,
            provider: self.world.id().to_string(),
            profile: "test".to_owned(),
            file: Some(path),
            digest: survey.digest,
            rows: survey.rows,
            options: RunOptions {
                on_existing: begin.on_existing,
                password_out: generates.then(|| self.folder.path().join(format!("passwords{number}.csv"))),
                ..RunOptions::default()
            },
        };
        let began = self.runtime.block_on(async { http::now() });
        self.world.verbs.push((begin.verb, begin.rows.clone()));
        let (size, day) = ((survey.rows, survey.domains), begin.day.clone());
        self.runs.push(Run { number, begin, began, input, size, header, has_lost: false });
        self.work(number, None, &day);
    }

    /// Waits, before another run is worked on, for what the host still does of the last one's requests: it would be taken
    /// for that run's.
    fn wait_for_host(&mut self, number: usize) {
        if std::mem::replace(&mut self.last, number) != number {
            self.pass(LATE);
            self.judge_world();
        }
    }

    /// Has a process work on a run.
    fn work(&mut self, number: usize, how: Option<Again>, day: &Day) {
        self.wait_for_host(number);
        let Life { runtime, folder, world, runs, .. } = self;
        let (folder, run) = (folder.path(), &mut runs[number]);
        run.has_lost |= day.faults.iter().any(|fault| fault.trouble.loses());
        day.faults.iter().for_each(|fault| world.add_fault(run.begin.verb, fault));
        let done = done(folder, run, how);
        let (before, sends) = (last(folder, &run.header.run), world.sends.len());
        let started = runtime.block_on(async {
            let now = http::now();
            let death = process(folder, world, run, how, day).await;
            run.has_lost |= death.is_some();
            now
        });
        world.sandbox.forgive();
        let after = last(folder, &run.header.run);
        let lines = Lines::open(folder, &run.header.run).expect("the journal is there");
        for line in lines.filter_map(Result::ok) {
            if let Line::Sent { sent, at } = line {
                world.left.extend(sent.iter().map(|row| (number, run.begin.rows[*row as usize], at)));
            }
        }
        runtime.block_on(async {
            world.notice();
            judge::judge_run(&Case { world, run, started, sends, before: &before, after: &after, done: &done });
        });
    }
}

/// Returns the file of a run.
fn file_of(world: &World, begin: &Begin) -> String {
    let (id, is_create) = (world.id(), begin.verb == Verb::Create);
    let has_names = !matches!(world.spec.rules.names, NameRule::Never(_));
    let takes_quota = matches!(id, ProviderId::Emboux | ProviderId::Mailinabox);
    let (head, cells) = match begin.verb {
        Verb::Create | Verb::Update if has_names => {
            (",first_name,last_name", if is_create { ",Ada,Byron" } else { ",Ada,King" })
        }
        Verb::Create if takes_quota && begin.asks_more => (",quota", ",1GiB"),
        Verb::Update => (",quota", ",2GiB"),
        Verb::Create | Verb::Passwd | Verb::Delete => ("", ""),
    };
    let rows = begin.rows.iter().map(|who| format!("{}{cells}\n", who.address()));
    format!("address{head}\n{}", rows.collect::<String>())
}

/// Reads what became of each row, and in which line the journal says it.
fn last(folder: &Path, run: &str) -> BTreeMap<u32, (usize, Done)> {
    let Ok(lines) = Lines::open(folder, run) else { return BTreeMap::new() };
    let lines = lines.map(|line| line.expect("the journal is whole")).enumerate();
    lines
        .filter_map(|(at, line)| if let Line::Done(done) = line { Some((done.row, (at, done))) } else { None })
        .collect()
}

/// Returns the rows that a process has nothing to do for.
fn done(folder: &Path, run: &Run, how: Option<Again>) -> Vec<u32> {
    if how.is_none() {
        return Vec::new();
    }
    let record = Record::read(folder, &run.header.run).expect("the journal is read");
    let is_done = |row: &u32| match record.state(*row) {
        State::Done(Outcome::Failed) | State::Halfway(..) => how != Some(Again::Retry),
        State::Done(_) => true,
        State::Open | State::Ready(..) | State::Sent(..) => false,
        State::Made(..) | State::Unknown(..) | State::Retried(..) => false,
    };
    (0..run.header.rows).filter(is_done).collect()
}

/// Opens the journal of a run that ended. A process that another test begins holds a copy of the lock until it runs its
/// own program.
fn reopen(folder: &Path, name: &str) -> Journal {
    for _ in 0..500 {
        match Journal::reopen(folder, name) {
            Err(error) if error.kind == Kind::Busy => std::thread::sleep(std::time::Duration::from_millis(10)),
            opened => return opened.expect("the journal opens"),
        }
    }
    panic!("the journal of {name} stays locked");
}

/// Is one process of the program that works on a run; returns how it died, if it did.
async fn process(folder: &Path, world: &mut World, run: &Run, how: Option<Again>, day: &Day) -> Option<Death> {
    let name = &run.header.run;
    let (journal, record, sink) = match how {
        None => {
            let sink = run.out().map(|path| Sink::create(path, generate).expect("the passwords begin"));
            (Journal::begin(folder, &run.header).expect("the journal begins"), None, sink)
        }
        Some(how) => {
            let journal = reopen(folder, name);
            journal.append(&Line::Resumed { resumed: http::now(), boot: this_boot() });
            if how == Again::Retry {
                journal.append(&Line::Retry { retry: http::now() });
            }
            commit(&journal).await;
            let settled = Record::settled(folder, name, Done::is_final).expect("it is read");
            let sink = run.out().map(|path| Sink::reopen(path, generate, &settled).expect("the passwords open"));
            (journal, Some(Record::read(folder, name).expect("the journal is read")), sink)
        }
    };
    let provider = world.open(run.begin.at_once);
    let options = Options {
        verb: run.begin.verb,
        concurrency: run.begin.at_once,
        on_existing: run.begin.on_existing,
        missing_is_fine: false,
        max_failures: None,
        dry_run: false,
        only_looks: how == Some(Again::Settle),
        poll: world.spec.pace.poll,
    };
    let interrupt = Interrupt::default();
    let mut told = BTreeMap::new();
    let mut report_row = |done: &Done, _: Option<&Mailbox>| {
        let before = told.insert(done.row, done.clone());
        assert_eq!(before, None, "a row is reported once");
    };
    let io = RunIo {
        input: &run.input,
        size: run.size,
        journal: Some(&journal),
        sink,
        record: record.as_ref(),
        interrupt: &interrupt,
        notice: &|_| (),
    };
    let path = journal::path_of(folder, name);
    let mut watch = Watch::new(world, run.number, &interrupt, day.events.clone().into(), path.clone());
    watch.synced = std::fs::metadata(&path).expect("the journal is there").len();
    let work = bulk::run(&provider, io, options, &mut report_row);
    let ended = clock::drive(work, &journal, &mut watch).await;
    let (synced, death) = (watch.synced, watch.death);
    let written = std::fs::metadata(&path).expect("the journal is there").len();
    drop(journal);
    // What it had begun to write to the file of passwords is written.
    tokio::task::spawn_blocking(|| ()).await.expect("it ends");
    let Some(report) = ended else {
        let death = death.expect("only a death ends it before");
        die(&path, written, synced, death);
        return Some(death);
    };
    report.expect("it runs");
    let shown: BTreeMap<u32, Done> = last(folder, name).into_iter().map(|(row, (_, done))| (row, done)).collect();
    for (row, done) in &told {
        assert_eq!(shown.get(row), Some(done), "what is reported is what is shown later");
    }
    if let Some(out) = run.out() {
        let before = passwords_in(out);
        let unused = Record::settled(folder, name, Done::wastes_password).expect("it is read");
        if !unused.is_empty() {
            sink::remove_unused(out, &unused).expect("it is written");
        }
        let after = passwords_in(out);
        world.removed.extend(before.into_iter().filter(|(who, _)| !after.contains_key(who)));
    }
    None
}

/// Waits for the journal, without a jump of the clock.
async fn commit(journal: &Journal) {
    let mut commit = std::pin::pin!(journal.commit());
    while poll!(commit.as_mut()).is_pending() {
        yield_now().await;
    }
}

/// Leaves of the journal what a death leaves.
fn die(path: &PathBuf, written: u64, synced: u64, death: Death) {
    let mut text = std::fs::read(path).expect("the journal is there");
    // What the process had not written yet is lost.
    text.truncate(usize::try_from(written).expect("it is short"));
    if let Death::PowerCut(percent) = death {
        let whole = String::from_utf8_lossy(&text).into_owned();
        // Intents are on the disk before their requests leave.
        let intents = whole.rfind("{\"intent\"").map_or(0, |at| at + whole[at..].find('\n').map_or(0, |end| end + 1));
        let least = intents.max(usize::try_from(synced).expect("it is short")).min(whole.len());
        let lost = (whole.len() - least) * usize::from(percent) / 100;
        let boot = this_boot().expect("the system names its boot");
        text = whole[..whole.len() - lost].replace(&boot, &boot.replace(|c: char| c != '-', "0")).into_bytes();
    }
    std::fs::write(path, text).expect("it is cut");
}

/// Returns whether a run may change a mailbox that exists.
pub(super) fn adopts(run: &Run) -> bool {
    run.begin.verb == Verb::Create && run.begin.on_existing == OnExisting::Update
}
