//! One run: begun or gone on with, worked through, concluded.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::merge::Total;
use super::{BeginArgs, FlowArgs, GenerateArgs, OnError, RunArgs, folder, run_named, survey, tell_unused};
use crate::adapters;
use crate::app::{App, Opened, private_folder};
use crate::bulk::input::{Input, Shard, Survey, Trouble};
use crate::bulk::journal::{AccountMark, Done, FORMAT, Header, Journal, Line, RunOptions, no_lock, path_of, this_boot};
use crate::bulk::record::{self, Lines, Record, Same};
use crate::bulk::sink::{self, Sink};
use crate::bulk::{self, Options, Report, RunIo, STAND_IN, Summary, Verb, nothing_to_do_is_fine};
use crate::commands::lists::close;
use crate::commands::password::generate;
use crate::commands::prompt::{aside, confirm};
use crate::config::Profile;
use crate::error::{Effect, Error, Kind, Result};
use crate::model::{Mailbox, NewMailbox};
use crate::output::{self, Cells, Live, Outcome, Progress, Row, Source, rows};
use crate::provider::case::OnExisting;
use crate::provider::{PasswordRule, Problem, Spec};

/// How many problems of a file fit into an error; `mbx bulk check` shows all.
const PROBLEMS: usize = 10;

/// How long a row may wait to be shown with others.
const SOON: Duration = Duration::from_millis(20);

/// A run that is to begin.
pub(super) struct Start<'a> {
    pub(super) verb: Verb,
    pub(super) begin: &'a BeginArgs,
    pub(super) generate: &'a GenerateArgs,
    pub(super) on_existing: OnExisting,
    pub(super) missing_is_fine: bool,
}

/// How a run that has begun is taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The rows that are left are sent.
    Resume,
    /// The rows that failed are sent again as well.
    Retry,
    /// Rows in doubt are looked for, and nothing is sent.
    Settle,
}

/// Begins a run, or resumes it if it has a name and was begun before.
pub(super) async fn begin(app: &mut App, start: &Start<'_>) -> Result<()> {
    app.out.check_live(&rows::BULK)?;
    let Start { verb, begin, generate: GenerateArgs { generate_password: generates, password_out }, .. } = *start;
    let BeginArgs { file, run: name, flow } = begin;
    let profile = app.one_profile()?;
    let spec = adapters::spec(profile.provider);
    let allow_unverified = profile.allow_unverified.value;
    if let Some(refusal) = verb.op().and_then(|op| spec.refusal(op, allow_unverified)) {
        return Err(refusal);
    }
    if *generates {
        if let PasswordRule::Never(why) = spec.rules.password {
            return Err(Error::unsupported("take a password", why));
        }
        if password_out.is_none() {
            return Err(
                Error::new(Kind::Usage, "generated passwords must go somewhere").hint("add --password-out FILE")
            );
        }
    }
    let rules = rules(verb, spec, allow_unverified, *generates, start.on_existing);
    let (input, survey) = file.survey(app, verb, rules).await?;
    accept(app, verb, &input, &survey)?;
    if survey.rows == 0 {
        app.out.note(&format!("{} has no rows", input.name));
        return app.out.all(&rows::BULK, Vec::<Row>::new()).await;
    }
    if start.on_existing == OnExisting::Update && spec.rules.takes_password() {
        app.out.note_for_people("existing mailboxes keep their passwords; `mbx bulk passwd` sets them");
    }
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let mut header = Header {
        format: FORMAT,
        run: name.clone().unwrap_or_else(new_name),
        boot: this_boot(),
        started: jiff::Timestamp::now(),
        verb,
        provider: profile.provider.to_string(),
        profile: profile.name.clone(),
        account: AccountMark::default(),
        file: input.path.clone(),
        digest: survey.digest.clone(),
        rows: survey.rows,
        options: RunOptions {
            map: file.map.clone(),
            select: file.select(app),
            on_existing: start.on_existing,
            missing_is_fine: start.missing_is_fine,
            password_out: password_out.as_ref().map(absolute),
            sandbox: profile.sandbox.value,
        },
    };
    let folder = folder(app)?;
    let is_begun = || name.as_ref().map_or(Ok(false), |name| record::was_begun(&folder, name));
    if !app.dry_run {
        private_folder(&folder)?;
        // What is left of a run that ended while it began is removed, which nobody may be in the middle of.
        let was_begun = || lock_beginning(&folder).and_then(|_beginning| is_begun());
        if name.is_some() && was_begun()? {
            let opened = open(app, profile, flow, header.options.select.shard).await?;
            return same_run(app, opened, &header, flow, (input, survey)).await;
        }
    }
    ask(app, verb, spec, &profile, survey.rows).await?;
    let opened = open(app, profile, flow, header.options.select.shard).await?;
    header.account = account_mark(&opened, &header.run);
    let (mut journal, mut sink) = (None, None);
    if !app.dry_run {
        let begun = patiently(flow.wait_lock, || {
            // Two processes that begin the same work at the same time meet here.
            let _beginning = lock_beginning(&folder)?;
            if is_begun()? {
                return Ok(None);
            }
            // Who gives a digest has said which file is meant.
            if file.input_digest.is_none() {
                refuse_edited(&folder, &header)?;
            }
            begin_journal(app, &folder, &header).map(Some)
        });
        match begun.await? {
            Some(begun) => (journal, sink) = (Some(begun.0), begun.1),
            None => return same_run(app, opened, &header, flow, (input, survey)).await,
        }
    }
    let all = Work { input, survey, journal, sink, record: None, only_looks: false };
    work(app, opened, flow, &header, all).await
}

/// Resumes the run of this name, where it is the run that the command would have begun.
async fn same_run(
    app: &App,
    opened: Opened,
    header: &Header,
    flow: &FlowArgs,
    (input, survey): (Input, Survey),
) -> Result<()> {
    let begun = Lines::open(&folder(app)?, &header.run)?.header;
    refuse_other_format(&begun)?;
    refuse_other_file(&begun, &input, &survey)?;
    let differs = [
        ("verb", begun.verb != header.verb),
        ("provider", begun.provider != header.provider),
        ("profile", begun.profile != header.profile),
        ("--map", begun.options.map != header.options.map),
        ("rows that are selected (--where, --skip, --limit, --shard)", begun.options.select != header.options.select),
        ("--if-exists", begun.options.on_existing != header.options.on_existing),
        ("--if-missing", begun.options.missing_is_fine != header.options.missing_is_fine),
        ("--password-out", begun.options.password_out != header.options.password_out),
        ("--sandbox", begun.options.sandbox != header.options.sandbox),
    ];
    let differs: Vec<_> = differs.into_iter().filter_map(|(what, differs)| differs.then_some(what)).collect();
    if !differs.is_empty() {
        let message = format!("run {} was begun in another way: another {}", header.run, differs.join(", another "));
        return Err(
            Error::new(Kind::Usage, message).hint("repeat the command as it was, or give another name with --run")
        );
    }
    take_up(app, opened, flow, &begun, (input, survey), Again::Retry, false).await
}

/// Begins the journal of a run and its file of passwords.
fn begin_journal(app: &App, folder: &Path, header: &Header) -> Result<(Journal, Option<Sink>)> {
    refuse_same_work(app, folder, header)?;
    let Some(path) = &header.options.password_out else { return Ok((Journal::begin(folder, header)?, None)) };
    // A process that ends between the two leaves a journal that says where the passwords go, and none was made yet.
    sink::refuse_existing(path)?;
    let journal = Journal::begin(folder, header)?;
    match Sink::create(path, generate) {
        Ok(sink) => Ok((journal, Some(sink))),
        Err(error) => {
            let _ = std::fs::remove_file(path_of(folder, &header.run));
            Err(error)
        }
    }
}

/// How often a lock that another process holds is asked for again.
const LOCK_POLL: Duration = Duration::from_millis(500);

/// Does what another process may be in the way of, and tries again while `wait` is not over.
async fn patiently<T>(wait: Option<Duration>, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = std::time::Instant::now();
    loop {
        match attempt() {
            Err(error) if error.kind == Kind::Busy && wait.is_some_and(|wait| begun.elapsed() < wait) => {
                tokio::time::sleep(LOCK_POLL).await;
            }
            Err(error) if error.kind == Kind::Busy && wait.is_none() => {
                return Err(error.hint("wait until it has ended, or add --wait-lock 5m"));
            }
            result => return result,
        }
    }
}

/// Asks before anything is changed, and says what it costs.
async fn ask(app: &App, verb: Verb, spec: &Spec, profile: &Profile, count: u32) -> Result<()> {
    if let Some(costs) = spec.rules.costs.filter(|_| verb == Verb::Create) {
        app.out.note_for_people(costs);
    }
    let what = match verb {
        Verb::Create => "create",
        Verb::Update => "change",
        Verb::Passwd => "set the password of",
        Verb::Delete => "delete",
    };
    let mailboxes = if count == 1 { "mailbox" } else { "mailboxes" };
    confirm(app, &format!("{what} {count} {mailboxes} at {} (profile {})", spec.title, profile.name)).await
}

/// Adds what the provider would refuse.
pub(super) fn rules(
    verb: Verb,
    spec: &'static Spec,
    allow_unverified: bool,
    generates: bool,
    on_existing: OnExisting,
) -> impl FnMut(&mut NewMailbox) -> Vec<Problem> {
    let stand_in = SecretString::from(STAND_IN);
    move |new| {
        if generates && new.password.is_none() && spec.rules.takes_password() {
            new.password = Some(stand_in.clone());
        }
        match on_existing == OnExisting::Update {
            true => spec.new_or_change_problems(new, allow_unverified),
            false => verb.problems(spec, new, allow_unverified),
        }
    }
}

/// Refuses a file that has problems, and tells of columns that mean nothing.
fn accept(app: &App, verb: Verb, input: &Input, survey: &Survey) -> Result<()> {
    tell_unused(app, survey);
    let count = survey.troubles.len();
    if count == 0 {
        return Ok(());
    }
    let words = |t: &Trouble| format!("line {}, {}: {}", t.line, t.column, t.why);
    let shown: Vec<_> = survey.troubles.iter().take(PROBLEMS).map(words).collect();
    let more = if count > PROBLEMS { format!("; and {} more", count - PROBLEMS) } else { String::new() };
    let problems = if count == 1 { "problem" } else { "problems" };
    let message = format!("{} has {count} {problems}: {}{more}", input.name, shown.join("; "));
    let lacks_password = survey.troubles.iter().any(|t| t.is_missing && t.column == "password");
    let hint = match (lacks_password, &input.path) {
        (true, _) => "add a column `password`, or --generate-password --password-out FILE".to_owned(),
        (false, path) => {
            let file = if path.is_some() { &input.name } else { "-" };
            let purpose = if verb == Verb::Create { String::new() } else { format!(" --for {}", verb.name()) };
            format!("nothing was sent; `mbx bulk check {file}{purpose}` lists every problem")
        }
    };
    Err(Error::new(Kind::Invalid, message).hint(hint))
}

/// Returns a name that sorts by time.
fn new_name() -> String {
    let mut random = [0; 4];
    getrandom::fill(&mut random).expect("the system has randomness");
    format!("{}-{:08x}", jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S"), u32::from_be_bytes(random))
}

/// Opens the profile at the pace of the run: the part of the account's that this shard may take.
async fn open(app: &mut App, mut profile: Profile, flow: &FlowArgs, shard: Option<Shard>) -> Result<Opened> {
    if let Some(concurrency) = flow.concurrency {
        profile.pace.concurrency = usize::from(concurrency);
    }
    if flow.rate.is_some() {
        profile.pace.per_minute = flow.rate.map(f64::from);
    }
    if let Some(shard) = shard {
        profile.pace = profile.pace.shared_by(shard.of);
    }
    app.open(profile).await
}

/// Everything a run works with.
struct Work {
    input: Input,
    survey: Survey,
    journal: Option<Journal>,
    sink: Option<Sink>,
    record: Option<Record>,
    only_looks: bool,
}

async fn work(app: &App, opened: Opened, flow: &FlowArgs, header: &Header, work: Work) -> Result<()> {
    let Work { input, survey, journal, sink, record, only_looks } = work;
    let pace = opened.profile.pace;
    let options = Options {
        verb: header.verb,
        concurrency: pace.concurrency,
        on_existing: header.options.on_existing,
        missing_is_fine: header.options.missing_is_fine,
        max_failures: if flow.on_error == OnError::Stop { Some(1) } else { flow.max_failures },
        dry_run: app.dry_run,
        only_looks,
        poll: if app.no_wait { Duration::ZERO } else { pace.poll },
    };
    let source = opened.source();
    let left = record.as_ref().map_or(survey.rows, |record| record.summary().left);
    let shown = RefCell::new(Shown {
        live: app.out.live(&rows::BULK)?,
        progress: app.out.progress(doing(header.verb), Some(left.into())),
        result: Ok(()),
    });
    let mut report_row = |done: &Done, mailbox: Option<&Mailbox>| {
        let mut shown = shown.borrow_mut();
        shown.write(|live| live.push(&BulkRow { done, mailbox, source: &source }));
        shown.progress.advance(1);
        if done.outcome == Outcome::Failed {
            shown.progress.fail();
        }
    };
    let io = RunIo {
        input: &input,
        size: (survey.rows, survey.domains),
        journal: journal.as_ref(),
        sink,
        record: record.as_ref(),
        interrupt: &app.interrupt,
        notice: &|text| {
            shown.borrow_mut().write(|_| {
                app.out.note(text);
                Ok(())
            });
        },
    };
    // Rows that happen together are written together: a write a row would take longer than the rest of its work.
    let flush = async {
        loop {
            tokio::time::sleep(SOON).await;
            shown.borrow_mut().write(Live::flush);
        }
    };
    let report = tokio::select! {
        report = bulk::run(&opened.provider, io, options.clone(), &mut report_row) => report,
        never = flush => never,
    };
    let Shown { live, progress, result: shown } = shown.into_inner();
    drop(progress);
    close(&opened).await;
    drop(journal);
    let mut report = report?;
    shown.and_then(|()| live.finish())?;
    if let (Some(path), false) = (&header.options.password_out, app.dry_run)
        && let Err(error) = remove_unused(app, path, header)
    {
        report.stopped.get_or_insert(error);
    }
    conclude(app, header, &options, report)
}

/// What a run shows while it is under way.
struct Shown<'a> {
    live: Live<'a>,
    progress: Progress,
    /// The first failure to show something; nothing more is shown after it.
    result: Result<()>,
}

impl<'a> Shown<'a> {
    fn write(&mut self, write: impl FnOnce(&mut Live<'a>) -> Result<()>) {
        let Shown { live, progress, result } = self;
        if result.is_ok() {
            *result = progress.around(|| write(live));
        }
    }
}

/// Returns a verb as it is told while it is done.
fn doing(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "creating",
        Verb::Update => "updating",
        Verb::Passwd => "setting passwords",
        Verb::Delete => "deleting",
    }
}

/// Takes the passwords out of the file that were certainly not used.
fn remove_unused(app: &App, path: &Path, Header { run, .. }: &Header) -> Result<()> {
    let unused = Record::settled(&folder(app)?, run, Done::wastes_password)?;
    if unused.is_empty() { Ok(()) } else { sink::remove_unused(path, &unused) }
}

/// Says what a run came to, with the exit code that tells scripts.
fn conclude(app: &App, header: &Header, options: &Options, Report { summary, stopped }: Report) -> Result<()> {
    let run = &header.run;
    let counts = words(&summary);
    let input = if header.file.is_none() { " < FILE" } else { "" };
    if let Some(error) = stopped {
        let words = format!("{}; {counts}, {} left", error.message, summary.left);
        let way = format!("`mbx bulk resume {run}{input}` resumes it");
        let hint = error.hint.as_ref().map_or(way.clone(), |hint| format!("{hint}; then {way}"));
        let error = error.message(words);
        return Err(if app.dry_run { error } else { error.hint(hint) });
    }
    if summary.failures(options.nothing_to_do_is_fine()) > 0 {
        let error = Error::new(Kind::Partial, format!("{counts} (of {} rows)", header.rows));
        return Err(match (summary.of(Outcome::Failed), header.verb) {
            (0, Verb::Delete) => error.hint("add --if-missing ok to treat missing mailboxes as done"),
            (0, _) => error.hint("add --if-exists ok to leave existing mailboxes as they are, or update to change them"),
            _ if app.dry_run => error,
            _ => error.hint(format!(
                "`mbx bulk show {run} --only failed` shows the failed rows, `mbx bulk retry {run}{input}` sends them again"
            )),
        });
    }
    let unknown = summary.of(Outcome::Unknown);
    if unknown > 0 {
        let message = format!("{counts} (of {} rows)", header.rows);
        let hint = format!(
            "`mbx bulk show {run} --only unknown` shows what is known, `mbx bulk settle {run}{input}` looks again"
        );
        return Err(Error::new(Kind::Unknown, message).hint(hint).effect(Effect::Unknown));
    }
    let run = if app.dry_run { String::new() } else { format!(" (run {run})") };
    app.out.note(&format!("{counts}{run}"));
    if let (Verb::Create, Some(path), 1..) = (header.verb, &header.options.password_out, summary.of(Outcome::Exists)) {
        app.out.note_for_people(&format!(
            "no passwords of mailboxes that already existed are in {}; if a lost machine had made them, `mbx bulk passwd \
             --help` says how --from-run sets new ones",
            path.display()
        ));
    }
    Ok(())
}

/// Says what the shards of a file came to together, with the exit code that a single run would have had.
pub(super) fn judge(app: &App, total: &Total) -> Result<()> {
    let Total { header, summary, unknown, rows } = total;
    let counts = words(summary);
    let nothing_is_fine =
        nothing_to_do_is_fine(header.verb, header.options.on_existing, header.options.missing_is_fine);
    if summary.failures(nothing_is_fine) > 0 {
        return Err(Error::new(Kind::Partial, format!("{counts} (of {rows} rows)"))
            .hint("`mbx bulk retry RUN` sends the failed rows of a shard again"));
    }
    if *unknown > 0 {
        return Err(Error::new(Kind::Unknown, format!("{counts} (of {rows} rows)"))
            .hint("`mbx bulk settle RUN` looks again for the rows of a shard")
            .effect(Effect::Unknown));
    }
    app.out.note(&format!("{counts} (of {rows} rows)"));
    Ok(())
}

fn words(summary: &Summary) -> String {
    let word = |outcome| match outcome {
        Outcome::Created => "created",
        Outcome::Exists => "already existed",
        Outcome::Updated => "updated",
        Outcome::Unchanged => "unchanged",
        Outcome::Deleted => "deleted",
        Outcome::Scheduled => "scheduled",
        Outcome::Absent => "did not exist",
        Outcome::Planned => "planned",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    };
    let words: Vec<_> = summary.all().map(|(outcome, count)| format!("{count} {}", word(outcome))).collect();
    if words.is_empty() { "nothing done".to_owned() } else { words.join(", ") }
}

/// What became of a row, as it is shown.
pub(super) struct BulkRow<'a> {
    pub(super) done: &'a Done,
    pub(super) mailbox: Option<&'a Mailbox>,
    pub(super) source: &'a Source,
}

impl output::Record for BulkRow<'_> {
    fn write_cells(&self, cells: &mut impl Cells) {
        let BulkRow { done, mailbox, source } = self;
        cells.json("outcome", &done.outcome);
        cells.text("address", Some(&done.address));
        cells.json("line", &done.line);
        cells.text("id", done.id.as_deref());
        cells.json("status", &mailbox.map(|mailbox| &mailbox.status));
        cells.text("error", done.error.as_deref());
        cells.text("message", done.message.as_deref());
        cells.json("password_state", &done.password_state);
        cells.json("notes", &done.notes);
        cells.text("provider", Some(source.provider.as_str()));
        cells.text("profile", Some(&source.profile));
    }
}

/// Takes a run up again.
pub(super) async fn again(app: &mut App, args: &RunArgs, how: Again) -> Result<()> {
    app.out.check_live(&rows::BULK)?;
    let folder = folder(app)?;
    let run = run_named(&folder, &args.run)?;
    if app.dry_run {
        return Err(Error::new(Kind::Usage, "a run that has begun cannot be resumed as a dry run")
            .hint(format!("`mbx bulk show {run}` shows what became of its rows")));
    }
    // Read once to refuse early, and held by its lock before anything is decided by it.
    let header = Record::read(&folder, &run)?.header;
    refuse_other_format(&header)?;
    let profile = profile_of(app, &header)?;
    let spec = adapters::spec(profile.provider);
    let path = match &header.file {
        Some(path) => path.to_string_lossy().into_owned(),
        None => "-".to_owned(),
    };
    let (verb, options) = (header.verb, header.options.clone());
    let input = aside(move || Input::open(&path, verb.columns(), options.map, options.select)).await??;
    let generates = header.options.password_out.is_some();
    let rules = rules(verb, spec, profile.allow_unverified.value, generates, header.options.on_existing);
    let (input, survey) = survey(input, rules).await?;
    refuse_other_file(&header, &input, &survey)?;
    accept(app, header.verb, &input, &survey)?;
    let opened = open(app, profile, &args.flow, header.options.select.shard).await?;
    take_up(app, opened, &args.flow, &header, (input, survey), how, args.allow_other_credential).await
}

fn refuse_other_format(header: &Header) -> Result<()> {
    if header.format == FORMAT {
        return Ok(());
    }
    Err(Error::new(Kind::Config, format!("run {} was begun by another version of mbx", header.run))
        .hint("resume it with that version, or begin a new run with --if-exists ok"))
}

fn refuse_other_file(header: &Header, input: &Input, survey: &Survey) -> Result<()> {
    if survey.digest == header.digest {
        return Ok(());
    }
    let message = format!("{} is not the file that run {} began with", input.name, header.run);
    Err(Error::new(Kind::Refused, message).hint("bring that file back, or begin a new run"))
}

/// Works on a run that was begun before.
async fn take_up(
    app: &App,
    opened: Opened,
    flow: &FlowArgs,
    header: &Header,
    (input, survey): (Input, Survey),
    how: Again,
    allow_other_credential: bool,
) -> Result<()> {
    let folder = folder(app)?;
    refuse_other_account(header, &account_mark(&opened, &header.run), allow_other_credential)?;
    let journal = patiently(flow.wait_lock, || Journal::reopen(&folder, &header.run)).await?;
    journal.append(&Line::Resumed { resumed: jiff::Timestamp::now(), boot: this_boot() });
    if how == Again::Retry {
        journal.append(&Line::Retry { retry: jiff::Timestamp::now() });
    }
    journal.commit().await?;
    let record = Record::read(&folder, &header.run)?;
    let sink = match &header.options.password_out {
        // It ended before it had made the file, or any password.
        Some(path) if record.states().is_empty() && !path.exists() => Some(Sink::create(path, generate)?),
        Some(path) => Some(Sink::reopen(path, generate, &Record::settled(&folder, &header.run, Done::is_final)?)?),
        None => None,
    };
    let only_looks = how == Again::Settle;
    let all = Work { input, survey, journal: Some(journal), sink, record: Some(record), only_looks };
    work(app, opened, flow, header, all).await
}

/// Holds off other processes that begin a run.
fn lock_beginning(folder: &Path) -> Result<File> {
    let path = folder.join("beginning.lock");
    let failed = |error| no_lock(&path, &error);
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// Refuses work that another process does, and points to a run of the same work that was not finished.
fn refuse_same_work(app: &App, folder: &Path, header: &Header) -> Result<()> {
    match record::same_work(folder, header)? {
        Some(Same::Held(run)) => {
            let message = format!("another mbx works on the same rows of the same file (run {run})");
            Err(Error::new(Kind::Busy, message).hint("wait until it has ended, and run the command again"))
        }
        Some(Same::Open(run)) => {
            app.out.note_for_people(&format!(
                "run {run} began the same work and is not finished: `mbx bulk resume {run}` resumes it"
            ));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Refuses a shard of a file that was edited since another shard of it began.
fn refuse_edited(folder: &Path, header: &Header) -> Result<()> {
    match (record::edited(folder, header)?, &header.file) {
        (Some(run), Some(file)) => {
            let message = format!("{} was edited since run {run} began with another shard of it", file.display());
            Err(Error::new(Kind::Refused, message).hint(
                "bring that file back; if this is another list, give each shard --input-digest, as `sha256sum` prints it",
            ))
        }
        _ => Ok(()),
    }
}

/// Returns which account a profile works on, without its secret.
pub(super) fn account_mark(opened: &Opened, run: &str) -> AccountMark {
    let profile = &opened.profile;
    let base_url = if profile.sandbox.value { None } else { profile.base_url.as_ref() };
    let settings = profile.settings.iter().map(|(key, setting)| format!("{key}={}", setting.value));
    let user = profile.user.as_ref().map(|user| format!("user={}", user.value));
    let key = opened.provider.key_mark(run).map(|mark| format!("key={mark}"));
    AccountMark {
        base_url: base_url.map(|url| url.value.to_string()).unwrap_or_default(),
        login: user.into_iter().chain(settings).chain(key).collect::<Vec<_>>().join(" "),
    }
}

pub(super) fn refuse_other_account(header: &Header, now: &AccountMark, is_allowed: bool) -> Result<()> {
    let begun = &header.account;
    if is_allowed || begun == now {
        return Ok(());
    }
    let differs = match begun.base_url == now.base_url {
        true => format!("logged in as {:?}, and the profile now has {:?}", begun.login, now.login),
        false => format!("at {:?}, and the profile now has {:?}", begun.base_url, now.base_url),
    };
    Err(Error::new(Kind::Refused, format!("run {} was begun on another account: {differs}", header.run))
        .hint(format!(
            "set the profile up as it was; if it is the same account, `mbx bulk resume {} --allow-other-credential` resumes it",
            header.run
        )))
}

/// Returns the profile that a run was begun with.
fn profile_of(app: &App, header: &Header) -> Result<Profile> {
    let provider =
        header.provider.parse().map_err(|why| Error::new(Kind::Config, format!("the journal's provider: {why}")))?;
    app.config.again(&header.profile, provider, header.options.sandbox)
}
