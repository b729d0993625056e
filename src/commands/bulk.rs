//! `mbx bulk create | check | resume | retry | list | show`: many mailboxes from a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::lists::close;
use super::password::generate;
use super::prompt::confirm;
use crate::adapters;
use crate::app::{App, Opened, private_folder};
use crate::bulk::input::{Input, Mapping, Select, Shard, Survey, Trouble, parse_mapping, parse_match};
use crate::bulk::journal::{self, Done, Header, Journal, Line, Lines, Record, RunOptions, State};
use crate::bulk::sink::{self, Sink};
use crate::bulk::{self, Ends, Options, Report, Summary};
use crate::config::{Choice, Profile};
use crate::error::{Effect, Error, Kind, Result};
use crate::model::{Mailbox, NewMailbox};
use crate::output::{Outcome, Row, Source, rows};
use crate::provider::{Op, PasswordRule, Problem, Spec};

/// How many problems of a file fit into an error; `mbx bulk check` shows all.
const PROBLEMS: usize = 10;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create the mailboxes of a file
    Create(CreateArgs),
    /// Show everything that is wrong with a file, without a request
    Check(FileArgs),
    /// Go on with a run that ended early
    Resume(RunArgs),
    /// Try the rows of a run again that failed
    Retry(RunArgs),
    /// List the runs
    List,
    /// Show what became of the rows of a run
    Show {
        /// The run's name
        run: String,
        /// Only the rows that came to this
        #[arg(long, value_name = "OUTCOME")]
        only: Option<Only>,
    },
}

/// What became of a row, or that it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Only {
    /// Made by the run
    Created,
    /// There before
    Exists,
    /// Not done
    Failed,
    /// Made or not: it could not be settled
    Unknown,
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// CSV, TSV or JSON lines with the columns address, first_name, last_name, quota, admin, password; `-` is standard
    /// input
    file: String,
    /// Take a column by another heading, such as address=E-Mail
    #[arg(long, value_name = "COLUMN=HEADING", value_parser = parse_mapping)]
    map: Vec<Mapping>,
    /// Only the rows with this value under this heading
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = parse_match)]
    matching: Vec<(String, String)>,
    /// Leave out so many rows at the beginning; --limit takes so many after that
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    skip: u64,
    /// Only one part of the rows, so that N machines can each take theirs: 0/N, 1/N, …
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Make up a password for each row that has none
    #[arg(long)]
    generate_password: bool,
}

impl FileArgs {
    fn select(&self, app: &App) -> Select {
        let limit = app.out.limit.map(|limit| limit as u64);
        Select { matching: self.matching.clone(), skip: self.skip, limit, shard: self.shard }
    }

    fn open(&self, app: &App) -> Result<Input> {
        Input::open(&self.file, self.map.clone(), self.select(app))
    }
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Write the passwords that are made up to a new CSV file that only you can read, before the requests are sent
    #[arg(long, value_name = "FILE", requires = "generate_password")]
    password_out: Option<PathBuf>,
    /// What to do about mailboxes that exist already
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_exists: IfThere,
    #[command(flatten)]
    flow: FlowArgs,
}

/// What to do about mailboxes that exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum IfThere {
    /// Count them as failures
    Fail,
    /// Take them as they are
    Ok,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The run's name
    run: String,
    #[command(flatten)]
    flow: FlowArgs,
}

/// How a run flows; a resumed run may flow otherwise.
#[derive(Debug, Args)]
pub(crate) struct FlowArgs {
    /// Requests in the air at the same time [default: the provider's]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Option<u16>,
    /// How fast requests may follow each other, such as 100/s or 600/m [default: the provider's]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rate: Option<u32>,
    /// What to do when a row fails
    #[arg(long, value_name = "WHAT", default_value = "continue")]
    on_error: OnError,
    /// Stop when so many rows have failed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: Option<u32>,
}

/// What to do when a row fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnError {
    /// Go on with the others
    Continue,
    /// Send nothing more
    Stop,
}

/// Reads a rate, and returns it by the minute.
fn parse_rate(text: &str) -> Result<u32, String> {
    let by_minute = |(count, unit): (&str, &str)| match unit {
        "s" => count.parse::<u32>().ok()?.checked_mul(60),
        "m" => count.parse().ok(),
        _ => None,
    };
    let rate = text.split_once('/').and_then(by_minute).filter(|rate| *rate > 0);
    rate.ok_or_else(|| "write a rate like 100/s or 600/m".to_owned())
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(args) => create(app, args).await,
        Verb::Check(args) => check(app, &args).await,
        Verb::Resume(args) => resume(app, &args, false).await,
        Verb::Retry(args) => resume(app, &args, true).await,
        Verb::List => list(app).await,
        Verb::Show { run, only } => show(app, &run, only),
    }
}

fn folder(app: &App) -> Result<PathBuf> {
    Ok(app.state_dir()?.join("runs"))
}

/// Adds what the provider would refuse.
fn rules(spec: &'static Spec, allow_unverified: bool, generates: bool) -> impl FnMut(&mut NewMailbox) -> Vec<Problem> {
    let stand_in = SecretString::from("Stand-in-Passw0rd-20");
    move |new| {
        if generates && new.password.is_none() && takes_password(spec) {
            new.password = Some(stand_in.clone());
        }
        spec.new_problems(new, allow_unverified)
    }
}

fn takes_password(spec: &Spec) -> bool {
    !matches!(spec.rules.password, PasswordRule::Never(_))
}

/// Refuses a file that has problems, and tells of columns that mean nothing.
fn accept(app: &App, input: &Input, survey: &Survey) -> Result<()> {
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
    let lacks_password = survey.troubles.iter().any(|t| t.why == "a password is needed");
    let hint = match (lacks_password, &input.path) {
        (true, _) => "add a column `password`, or --generate-password --password-out FILE".to_owned(),
        (false, Some(_)) => format!("nothing was sent; `mbx bulk check {}` lists every problem", input.name),
        (false, None) => "nothing was sent; `mbx bulk check -` lists every problem".to_owned(),
    };
    Err(Error::new(Kind::Invalid, message).hint(hint))
}

fn tell_unused(app: &App, survey: &Survey) {
    if !survey.unused.is_empty() && !app.out.format.is_json() {
        app.out.note(&format!("not used: {}", survey.unused.join(", ")));
    }
}

async fn check(app: &mut App, args: &FileArgs) -> Result<()> {
    let is_named = app.choice.provider.is_some() || !app.choice.profiles.is_empty();
    let profile = match app.one_profile() {
        Err(error) if is_named => return Err(error),
        profile => profile.ok(),
    };
    let mut input = args.open(app)?;
    let survey = match &profile {
        Some(profile) => {
            let spec = adapters::spec(profile.provider);
            input.survey(rules(spec, profile.allow_unverified.value, args.generate_password))?
        }
        None => input.survey(|_| Vec::new())?,
    };
    let problems = survey
        .troubles
        .iter()
        .map(|t| rows::row([("line", json!(t.line)), ("column", json!(t.column)), ("problem", json!(t.why))]));
    app.out.all(&rows::TROUBLE, problems.collect()).await?;
    if !survey.troubles.is_empty() {
        let count = survey.troubles.len();
        return Err(Error::new(Kind::Invalid, format!("{} has problems: {count}", input.name)));
    }
    tell_unused(app, &survey);
    let rules = match &profile {
        Some(profile) => format!("by the rules of {}", adapters::spec(profile.provider).title),
        None => "as a file; with --provider by that one's rules too".to_owned(),
    };
    app.out.note(&format!("rows: {}, domains: {}; nothing wrong {rules}", survey.rows, survey.domains));
    Ok(())
}

async fn create(app: &mut App, args: CreateArgs) -> Result<()> {
    app.out.check_live(&rows::BULK)?;
    let profile = app.one_profile()?;
    let spec = adapters::spec(profile.provider);
    let generates = args.file.generate_password;
    if generates {
        if let PasswordRule::Never(why) = spec.rules.password {
            return Err(Error::unsupported("take a password", why));
        }
        if args.password_out.is_none() {
            return Err(
                Error::new(Kind::Usage, "generated passwords must go somewhere").hint("add --password-out FILE")
            );
        }
    }
    let mut input = args.file.open(app)?;
    let survey = input.survey(rules(spec, profile.allow_unverified.value, generates))?;
    accept(app, &input, &survey)?;
    if let Some(refusal) = spec.refusal(Op::CreateMailbox, profile.allow_unverified.value) {
        return Err(refusal);
    }
    if survey.rows == 0 {
        app.out.note(&format!("{} has no rows", input.name));
        return app.out.all(&rows::BULK, Vec::<Row>::new()).await;
    }
    ask(app, spec, &profile, survey.rows).await?;
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let header = Header {
        run: new_name(),
        started: jiff::Timestamp::now(),
        verb: "create".to_owned(),
        provider: profile.provider.to_string(),
        profile: profile.name.clone(),
        file: input.path.clone(),
        digest: survey.digest.clone(),
        rows: survey.rows,
        options: RunOptions {
            map: args.file.map.clone(),
            select: args.file.select(app),
            exists_is_fine: args.if_exists == IfThere::Ok,
            password_out: args.password_out.as_ref().map(absolute),
            sandbox: profile.sandbox.value,
        },
    };
    let opened = open(app, profile, &args.flow).await?;
    let (mut journal, mut sink) = (None, None);
    if !app.dry_run {
        let folder = folder(app)?;
        private_folder(&folder)?;
        sink = header.options.password_out.as_deref().map(|path| Sink::create(path, generate)).transpose()?;
        let begun = Journal::begin(&folder, &header);
        if let (Err(_), Some(path)) = (&begun, &header.options.password_out) {
            let _ = std::fs::remove_file(path);
        }
        journal = Some(begun?);
    }
    work(app, opened, &args.flow, &header, Work { input, survey, journal, sink, record: None }).await
}

/// Asks before mailboxes are made, and says what they cost.
async fn ask(app: &App, spec: &Spec, profile: &Profile, count: u32) -> Result<()> {
    let mailboxes = if count == 1 { "mailbox" } else { "mailboxes" };
    if let Some(costs) = spec.rules.costs
        && !app.out.format.is_json()
    {
        app.out.note(costs);
    }
    confirm(app, &format!("create {count} {mailboxes} at {} (profile {})", spec.title, profile.name)).await
}

/// Returns a name that sorts by time.
fn new_name() -> String {
    let mut random = [0; 2];
    getrandom::fill(&mut random).expect("the system has randomness");
    format!("{}-{:04x}", jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S"), u16::from_be_bytes(random))
}

async fn open(app: &mut App, mut profile: Profile, flow: &FlowArgs) -> Result<Opened> {
    if let Some(concurrency) = flow.concurrency {
        profile.pace.value.concurrency = usize::from(concurrency);
    }
    if flow.rate.is_some() {
        profile.pace.value.per_minute = flow.rate;
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
}

async fn work(app: &App, opened: Opened, flow: &FlowArgs, header: &Header, work: Work) -> Result<()> {
    let Work { input, survey, journal, sink, record } = work;
    let pace = opened.profile.pace.value;
    let options = Options {
        concurrency: pace.concurrency,
        exists_is_fine: header.options.exists_is_fine,
        max_failures: if flow.on_error == OnError::Stop { Some(1) } else { flow.max_failures },
        dry_run: app.dry_run,
        poll: if app.no_wait { Duration::ZERO } else { pace.poll },
    };
    let source = opened.source();
    let mut live = app.out.live(&rows::BULK)?;
    let mut shown = Ok(());
    let left = record.as_ref().map_or(survey.rows, |record| record.summary().left);
    let mut progress = app.out.progress("creating", Some(left.into()));
    let mut tell = |done: &Done, mailbox: Option<&Mailbox>| {
        if shown.is_ok() {
            shown = progress.around(|| live.push(&row_of(done, mailbox, &source)));
        }
        progress.advance(1);
        if done.outcome == Outcome::Failed {
            progress.fail();
        }
    };
    let ends = Ends {
        input: &input,
        size: (survey.rows, survey.domains),
        journal: journal.as_ref(),
        sink,
        record: record.as_ref(),
        interrupt: &app.interrupt,
    };
    let report = bulk::create(&opened.provider, ends, options, &mut tell).await;
    drop(progress);
    close(&opened).await;
    drop(journal);
    let mut report = report?;
    shown.and_then(|()| live.finish())?;
    if let (Some(path), false) = (&header.options.password_out, app.dry_run)
        && let Err(error) = strike(app, path, &header.run)
    {
        report.stopped.get_or_insert(error);
    }
    conclude(app, header, report)
}

/// Takes the passwords out of the file that have become nobody's.
fn strike(app: &App, path: &Path, run: &str) -> Result<()> {
    let is_nobodys =
        |done: &Done| done.outcome == Outcome::Exists || (done.outcome == Outcome::Failed && !done.touched);
    let gone = Record::settled(&folder(app)?, run, is_nobodys)?;
    if gone.is_empty() { Ok(()) } else { sink::strike(path, &gone) }
}

/// Says what a run came to, with the exit code that tells scripts.
fn conclude(app: &App, header: &Header, Report { summary, stopped }: Report) -> Result<()> {
    let run = &header.run;
    let counts = words(&summary);
    let input = if header.file.is_none() { " < FILE" } else { "" };
    if let Some(mut error) = stopped {
        error.message = format!("{}; {counts}, {} left", error.message, summary.left);
        if !app.dry_run {
            let way = format!("`mbx bulk resume {run}{input}` goes on");
            error.hint = Some(error.hint.take().map_or(way.clone(), |hint| format!("{hint}; then {way}")));
        }
        return Err(error);
    }
    let failed = summary.failed + if header.options.exists_is_fine { 0 } else { summary.exists };
    if failed > 0 {
        let error = Error::new(Kind::Partial, format!("{failed} of {} rows failed: {counts}", header.rows));
        return Err(error.hint(match summary.failed {
            0 => "`--if-exists ok` takes those that exist as they are".to_owned(),
            _ => format!(
                "`mbx bulk show {run} --only failed` shows them, `mbx bulk retry {run}{input}` tries them again"
            ),
        }));
    }
    if summary.unknown > 0 {
        let message = format!("{} of {} rows are unknown: {counts}", summary.unknown, header.rows);
        let hint =
            format!("`mbx bulk show {run} --only unknown` shows them, `mbx bulk resume {run}{input}` looks again");
        return Err(Error::new(Kind::Unknown, message).hint(hint).effect(Effect::Unknown));
    }
    let run = if app.dry_run { String::new() } else { format!(" (run {run})") };
    app.out.note(&format!("{counts}{run}"));
    Ok(())
}

fn words(summary: &Summary) -> String {
    let Summary { created, exists, planned, failed, unknown, left: _ } = *summary;
    let all = [
        (created, "created"),
        (exists, "there before"),
        (planned, "planned"),
        (failed, "failed"),
        (unknown, "unknown"),
    ];
    let words: Vec<_> = all.into_iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if words.is_empty() { "nothing done".to_owned() } else { words.join(", ") }
}

fn row_of(done: &Done, mailbox: Option<&Mailbox>, source: &Source) -> Row {
    rows::row([
        ("outcome", json!(done.outcome)),
        ("address", json!(done.address)),
        ("line", json!(done.line)),
        ("id", json!(done.id)),
        ("status", mailbox.map_or(Value::Null, |mailbox| json!(mailbox.status))),
        ("error", json!(done.error)),
        ("message", json!(done.message)),
        ("provider", json!(source.provider)),
        ("profile", json!(source.profile)),
    ])
}

/// Goes on with a run; `again` takes up the rows that failed.
async fn resume(app: &mut App, args: &RunArgs, again: bool) -> Result<()> {
    app.out.check_live(&rows::BULK)?;
    if app.dry_run {
        return Err(Error::new(Kind::Usage, "a run that has begun cannot be gone on with as a dry run")
            .hint(format!("`mbx bulk show {}` shows what became of its rows", args.run)));
    }
    let folder = folder(app)?;
    // Read once to refuse early, and held by its lock before anything is decided by it.
    let header = Record::read(&folder, &args.run)?.header;
    let profile = profile_of(app, &header)?;
    let spec = adapters::spec(profile.provider);
    let path = match &header.file {
        Some(path) => path.to_string_lossy().into_owned(),
        None => "-".to_owned(),
    };
    let mut input = Input::open(&path, header.options.map.clone(), header.options.select.clone())?;
    let generates = header.options.password_out.is_some();
    let survey = input.survey(rules(spec, profile.allow_unverified.value, generates))?;
    if survey.digest != header.digest {
        return Err(Error::new(
            Kind::Refused,
            format!("{} is not the file that run {} began with", input.name, header.run),
        )
        .hint("bring that file back, or begin a new run with --if-exists ok"));
    }
    accept(app, &input, &survey)?;
    let opened = open(app, profile, &args.flow).await?;
    let journal = Journal::reopen(&folder, &header.run)?;
    if again {
        journal.append(&Line::Retry { retry: jiff::Timestamp::now() });
        journal.commit().await?;
    }
    let record = Record::read(&folder, &header.run)?;
    let is_final = |done: &Done| done.outcome != Outcome::Unknown;
    let sink = match &header.options.password_out {
        Some(path) => Some(Sink::reopen(path, generate, &Record::settled(&folder, &header.run, is_final)?)?),
        None => None,
    };
    let all = Work { input, survey, journal: Some(journal), sink, record: Some(record) };
    work(app, opened, &args.flow, &header, all).await
}

/// Returns the profile that a run was begun with.
fn profile_of(app: &App, header: &Header) -> Result<Profile> {
    let provider =
        header.provider.parse().map_err(|why| Error::new(Kind::Config, format!("the journal's provider: {why}")))?;
    let sandbox = header.options.sandbox;
    let known =
        app.config.choose(&Choice { provider: None, profiles: vec![header.profile.clone()], all: false, sandbox });
    let found = match known {
        Ok(found) => found,
        // Profiles that stand for the environment or the sandbox have no name in the file.
        Err(_) => app.config.choose(&Choice { provider: Some(provider), profiles: Vec::new(), all: false, sandbox })?,
    };
    found.into_iter().find(|profile| profile.name == header.profile && profile.provider == provider).ok_or_else(|| {
        let message = format!("run {} was begun with profile {} of {provider}", header.run, header.profile);
        Error::new(Kind::Config, message).hint("set it up as it was")
    })
}

async fn list(app: &App) -> Result<()> {
    let folder = folder(app)?;
    let mut all = Vec::new();
    for run in journal::runs(&folder)? {
        match Record::read(&folder, &run) {
            Ok(record) => all.push(run_row(&record)),
            Err(error) => app.out.warn(&error.to_string()),
        }
    }
    app.out.all(&rows::RUN, all).await
}

fn run_row(record: &Record) -> Row {
    let (header, summary) = (&record.header, record.summary());
    let unknown = record.rows.iter().filter(|state| matches!(state, State::Unknown { .. })).count();
    let left = summary.left as usize - unknown;
    rows::row([
        ("run", json!(header.run)),
        ("state", json!(if record.ended && left == 0 { "ended" } else { "open" })),
        ("verb", json!(header.verb)),
        ("provider", json!(header.provider)),
        ("profile", json!(header.profile)),
        ("file", json!(header.file)),
        ("started", json!(header.started)),
        ("rows", json!(header.rows)),
        ("created", json!(summary.created)),
        ("exists", json!(summary.exists)),
        ("failed", json!(summary.failed)),
        ("unknown", json!(unknown)),
        ("left", json!(left)),
    ])
}

fn show(app: &App, run: &str, only: Option<Only>) -> Result<()> {
    let folder: &Path = &folder(app)?;
    let record = Record::read(folder, run)?;
    let provider = record.header.provider.parse().map_err(|why| Error::new(Kind::Config, format!("{run}: {why}")))?;
    let source = Source { provider, profile: record.header.profile.clone() };
    let wanted = only.map(|only| match only {
        Only::Created => Outcome::Created,
        Only::Exists => Outcome::Exists,
        Only::Failed => Outcome::Failed,
        Only::Unknown => Outcome::Unknown,
    });
    // A row that was tried again has several outcomes; the last one stands.
    let mut last = vec![0; record.rows.len()];
    for (number, line) in Lines::open(folder, run)?.enumerate() {
        if let Line::Done(done) = line?
            && let Some(last) = last.get_mut(done.row as usize)
        {
            *last = number;
        }
    }
    let mut live = app.out.live(&rows::BULK)?;
    let mut left = app.out.limit.unwrap_or(usize::MAX);
    for (number, line) in Lines::open(folder, run)?.enumerate() {
        if let Line::Done(done) = line?
            && last.get(done.row as usize) == Some(&number)
            && wanted.is_none_or(|wanted| wanted == done.outcome)
            && left > 0
        {
            left -= 1;
            live.push(&row_of(&done, None, &source))?;
        }
    }
    live.finish()
}
