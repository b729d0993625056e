//! `mbx bulk create | update | passwd | delete | check | resume | retry | settle | list | show`: many mailboxes from a file.

mod from_run;
mod merge;
mod run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use self::run::{Again, BulkRow, Start, again, begin, rules};
use super::prompt::aside;
use super::{IfMissing, Result};
use crate::adapters;
use crate::app::App;
use crate::bulk;
use crate::bulk::input::{Input, Mapping, Select, Shard, Survey, parse_mapping, parse_match};
use crate::bulk::journal::Line;
use crate::bulk::record::{self, Lines, Record};
use crate::error::{Error, Kind};
use crate::global::duration;
use crate::model::NewMailbox;
use crate::output::{Outcome, Row, Source, rows};
use crate::provider::Problem;
use crate::provider::case::OnExisting;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create the mailboxes of a file
    Create(CreateArgs),
    /// Change names, quota or privilege of the mailboxes of a file
    Update(UpdateArgs),
    /// Set the passwords of the mailboxes of a file
    Passwd(PasswdArgs),
    /// Delete the mailboxes of a file
    Delete(DeleteArgs),
    /// Show everything that is wrong with a file, without a request
    Check(CheckArgs),
    /// Resume a run that ended early
    Resume(RunArgs),
    /// Send the failed rows of a run again
    Retry(RunArgs),
    /// Look again for the rows of a run whose outcome is unknown; send nothing that changes anything
    Settle(RunArgs),
    /// List the runs
    List,
    /// Show what became of the rows of a run
    Show {
        /// The run's name, the beginning of it, or `last`; with --merge what the names of the runs begin with
        #[arg(required_unless_present = "merge")]
        run: Option<String>,
        /// Show the shards of one file as one run, from all state folders of the machines that worked on them
        #[arg(long, value_name = "FOLDER", num_args = 1..)]
        merge: Vec<PathBuf>,
        /// Only the rows with this outcome; may be given several times
        #[arg(long, value_name = "OUTCOME", value_delimiter = ',')]
        only: Vec<Outcome>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct FileArgs {
    /// CSV, TSV or JSON lines with the columns address, first_name, last_name, quota, admin, password; `-` is standard
    /// input
    #[arg(required = true)]
    file: Option<String>,
    /// Take a column by another heading, such as address=E-Mail
    #[arg(long, value_name = "COLUMN=HEADING", value_parser = parse_mapping)]
    map: Vec<Mapping>,
    /// Only the rows with this value under this heading
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = parse_match)]
    matching: Vec<(String, String)>,
    /// Leave out so many rows at the beginning; --limit takes so many after that
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    skip: u64,
    /// Only one part of the rows, so that N machines can each take theirs: 0/N, 1/N, … Each also takes an Nth of the
    /// account's rate and of its parallel requests
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// The SHA-256 digest of the file, as `sha256sum` prints it: a file that was edited since is refused
    #[arg(long, value_name = "SHA256", value_parser = parse_digest)]
    input_digest: Option<String>,
}

impl FileArgs {
    fn select(&self, app: &App) -> Select {
        let limit = app.out.limit.map(|limit| limit as u64);
        Select { matching: self.matching.clone(), skip: self.skip, limit, shard: self.shard }
    }

    async fn open(&self, app: &App, verb: bulk::Verb) -> Result<Input> {
        let file = self.file.clone().unwrap_or_default();
        let (map, select) = (self.map.clone(), self.select(app));
        aside(move || Input::open(&file, verb.columns(), map, select)).await?
    }

    /// Reads the file to its end, and finds everything that is wrong with it.
    async fn survey(
        &self,
        app: &App,
        verb: bulk::Verb,
        rules: impl FnMut(&mut NewMailbox) -> Vec<Problem> + Send + 'static,
    ) -> Result<(Input, Survey)> {
        let (input, survey) = survey(self.open(app, verb).await?, rules).await?;
        match &self.input_digest {
            Some(expected) if *expected != survey.digest => {
                let (name, digest) = (&input.name, &survey.digest);
                let message = format!("{name} is not the file of --input-digest: its digest is {digest}");
                Err(Error::new(Kind::Refused, message).hint("bring that file back, or begin anew with a new digest"))
            }
            _ => Ok((input, survey)),
        }
    }
}

/// Reads a file to its end, and finds everything that is wrong with it.
async fn survey(
    mut input: Input,
    rules: impl FnMut(&mut NewMailbox) -> Vec<Problem> + Send + 'static,
) -> Result<(Input, Survey)> {
    aside(move || input.survey(rules).map(|survey| (input, survey))).await?
}

/// A run that a command begins, or resumes where it has a name and was begun before.
#[derive(Debug, Clone, Args)]
pub(crate) struct BeginArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Give the run this name. If it was begun before, the same command resumes it and sends the rows again that failed
    #[arg(long, value_name = "NAME", value_parser = parse_run_name)]
    run: Option<String>,
    #[command(flatten)]
    flow: FlowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    begin: BeginArgs,
    #[command(flatten)]
    generate: GenerateArgs,
    /// What to do about mailboxes that already exist: `fail` counts them as failures, `ok` leaves them as they are,
    /// `update` changes names, quota and privilege to what their rows say; passwords stay
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_exists: OnExisting,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    begin: BeginArgs,
}

#[derive(Debug, Args)]
#[command(mut_arg("file", |file| file.required(false).required_unless_present("from_run")))]
pub(crate) struct PasswdArgs {
    #[command(flatten)]
    begin: BeginArgs,
    #[command(flatten)]
    generate: GenerateArgs,
    #[command(flatten)]
    from: FromArgs,
}

/// Which rows of an earlier run are worked on in place of a file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rows of an earlier run")]
pub(crate) struct FromArgs {
    /// In place of a file: the mailboxes of this run. Where a machine was lost with its passwords and another one took its
    /// part over, the mailboxes that the lost machine had made are `exists` there
    #[arg(long, value_name = "RUN", conflicts_with = "file", requires = "generate_password")]
    from_run: Option<String>,
    /// Only those with this outcome in that run; may be given several times
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',', default_value = "exists", requires = "from_run")]
    only: Vec<Outcome>,
    /// Only those that were created since then, such as 2026-01-05T09:00:00Z. Those whose creation time does not tell are
    /// shown and need a yes: somebody may use them
    #[arg(long, value_name = "TIME", requires = "from_run")]
    created_since: Option<jiff::Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    begin: BeginArgs,
    /// What to do about mailboxes that are not there
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_missing: IfMissing,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    file: FileArgs,
    /// What the file is for
    #[arg(long = "for", value_name = "VERB", default_value = "create")]
    verb: bulk::Verb,
    /// Passwords will be made up for the rows that have none
    #[arg(long)]
    generate_password: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct GenerateArgs {
    /// Make up a password for each row that has none
    #[arg(long)]
    generate_password: bool,
    /// Write the passwords that are made up to a new CSV file that only you can read, before the requests are sent
    #[arg(long, value_name = "FILE", requires = "generate_password")]
    password_out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The run's name, the beginning of it, or `last`
    run: String,
    /// Resume it although the key or login of the profile has changed since, such as a rotated key
    #[arg(long)]
    allow_other_credential: bool,
    #[command(flatten)]
    flow: FlowArgs,
}

/// How fast a run works; a resumed run may use other values.
#[derive(Debug, Clone, Args)]
pub(crate) struct FlowArgs {
    /// Parallel requests of the account, all shards together [default: the provider's]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Option<u16>,
    /// How fast requests of the account may follow each other, all shards together, such as 100/s or 600/m [default:
    /// the provider's]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rate: Option<u32>,
    /// What to do when a row fails
    #[arg(long, value_name = "WHAT", default_value = "continue")]
    on_error: OnError,
    /// Stop when so many rows have failed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: Option<u32>,
    /// Wait up to this time, such as 5m, while another process works on the same rows
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait_lock: Option<Duration>,
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

/// Reads the digest of a file.
fn parse_digest(text: &str) -> Result<String, String> {
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "write the 64 digits that `sha256sum FILE` prints".to_owned())
}

/// Reads a name for a run.
fn parse_run_name(text: &str) -> Result<String, String> {
    let is_name = record::is_name(text) && text != LAST;
    is_name.then(|| text.to_owned()).ok_or_else(|| "write letters, digits, `-` and `_`, 100 at most".to_owned())
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    let none = GenerateArgs::default();
    let fail = OnExisting::Fail;
    let start = match &verb {
        Verb::Create(CreateArgs { begin, generate, if_exists }) => {
            Start { verb: bulk::Verb::Create, begin, generate, on_existing: *if_exists, missing_is_fine: false }
        }
        Verb::Update(UpdateArgs { begin }) => {
            Start { verb: bulk::Verb::Update, begin, generate: &none, on_existing: fail, missing_is_fine: false }
        }
        Verb::Passwd(PasswdArgs { begin, generate, from }) => {
            let mut begin = begin.clone();
            if let Some(run) = &from.from_run {
                let Some(file) = from_run::file(app, run, from).await? else { return Ok(()) };
                begin.file.file = Some(file);
            }
            let start =
                Start { verb: bulk::Verb::Passwd, begin: &begin, generate, on_existing: fail, missing_is_fine: false };
            return run::begin(app, &start).await;
        }
        Verb::Delete(DeleteArgs { begin, if_missing }) => {
            let missing_is_fine = *if_missing == IfMissing::Ok;
            Start { verb: bulk::Verb::Delete, begin, generate: &none, on_existing: fail, missing_is_fine }
        }
        Verb::Check(args) => return check(app, args).await,
        Verb::Resume(args) => return again(app, args, Again::Resume).await,
        Verb::Retry(args) => return again(app, args, Again::Retry).await,
        Verb::Settle(args) => return again(app, args, Again::Settle).await,
        Verb::List => return list(app).await,
        Verb::Show { run, only, merge } if !merge.is_empty() => return show_merged(app, merge, run.as_deref(), only),
        Verb::Show { run, only, .. } => return show(app, run.as_deref().unwrap_or(LAST), only),
    };
    begin(app, &start).await
}

fn folder(app: &App) -> Result<PathBuf> {
    Ok(app.state_dir()?.join("runs"))
}

fn tell_unused(app: &App, survey: &Survey) {
    if !survey.unused.is_empty() {
        app.out.note_for_people(&format!("not used: {}", survey.unused.join(", ")));
    }
}

async fn check(app: &mut App, args: &CheckArgs) -> Result<()> {
    let is_named = app.choice.provider.is_some() || !app.choice.profiles.is_empty();
    let profile = match app.one_profile() {
        Err(error) if is_named => return Err(error),
        profile => profile.ok(),
    };
    let (input, survey) = match &profile {
        Some(profile) => {
            let spec = adapters::spec(profile.provider);
            let allow_unverified = profile.allow_unverified.value;
            let rules = rules(args.verb, spec, allow_unverified, args.generate_password, OnExisting::Fail);
            args.file.survey(app, args.verb, rules).await?
        }
        None => args.file.survey(app, args.verb, |_| Vec::new()).await?,
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

async fn list(app: &App) -> Result<()> {
    let folder = folder(app)?;
    let mut all = Vec::new();
    for run in record::runs(&folder)? {
        match Record::read(&folder, &run) {
            Ok(record) => all.push((record.header.started, run_row(&record))),
            Err(error) => app.out.warn(&error.to_string()),
        }
    }
    // Names tell the second only.
    all.sort_by_key(|(started, _)| *started);
    app.out.all(&rows::RUN, all.into_iter().map(|(_, row)| row).collect()).await
}

fn run_row(record: &Record) -> Row {
    let (header, summary) = (&record.header, record.summary());
    let count = |outcome| json!(summary.of(outcome));
    rows::row([
        ("run", json!(header.run)),
        ("state", json!(if record.is_finished() { "ended" } else { "open" })),
        ("verb", json!(header.verb)),
        ("provider", json!(header.provider)),
        ("profile", json!(header.profile)),
        ("file", json!(header.file)),
        ("started", json!(header.started)),
        ("rows", json!(header.rows)),
        ("created", count(Outcome::Created)),
        ("exists", count(Outcome::Exists)),
        ("updated", count(Outcome::Updated)),
        ("unchanged", count(Outcome::Unchanged)),
        ("deleted", count(Outcome::Deleted)),
        ("scheduled", count(Outcome::Scheduled)),
        ("absent", count(Outcome::Absent)),
        ("failed", count(Outcome::Failed)),
        ("unknown", json!(record.unknown())),
        ("left", json!(record.left())),
    ])
}

/// What stands for the run that began last.
const LAST: &str = "last";

/// Returns the name of the run that is meant: the name itself, the beginning of one name alone, or `last`.
fn run_named(folder: &Path, text: &str) -> Result<String> {
    let mut names = record::runs(folder)?;
    if names.iter().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    if text == LAST {
        // When a run began is in its first line. A damaged journal is none of these.
        let begun = |name: String| Some((Lines::open(folder, &name).ok()?.header.started, name));
        let latest = names.into_iter().filter_map(begun).max();
        return latest.map(|(_, name)| name).ok_or_else(|| {
            Error::new(Kind::NotFound, "there is no run yet").hint("`mbx bulk create FILE` begins one")
        });
    }
    names.retain(|name| !text.is_empty() && name.starts_with(text));
    match &names[..] {
        [name] => Ok(name.clone()),
        [] => Err(Error::new(Kind::NotFound, format!("there is no run {text}"))
            .hint("`mbx bulk list` shows the runs there are")),
        several => {
            Err(Error::new(Kind::NotFound, format!("{text} is the beginning of several runs: {}", several.join(", ")))
                .hint("give more of the name"))
        }
    }
}

fn show(app: &App, run: &str, wanted: &[Outcome]) -> Result<()> {
    let folder = folder(app)?;
    let run = run_named(&folder, run)?;
    show_rows(app, &[(folder, run)], wanted)
}

/// Shows the rows of runs, each with what became of it last.
fn show_rows(app: &App, runs: &[(PathBuf, String)], wanted: &[Outcome]) -> Result<()> {
    let mut live = app.out.live(&rows::BULK)?;
    let mut left = app.out.limit.unwrap_or(usize::MAX);
    for (folder, run) in runs {
        let mut lines = Lines::open(folder, run)?;
        let header = lines.header.clone();
        let provider = header.provider.parse().map_err(|why| Error::new(Kind::Config, format!("{run}: {why}")))?;
        let source = Source { provider, profile: header.profile };
        // A row that was tried again has several outcomes; the last one counts.
        let mut last: Vec<u64> = Vec::new();
        let mut number = 0;
        while let Some(line) = lines.next().transpose()? {
            number += 1;
            if let Line::Done(done) = line {
                *lines.row(&mut last, done.row)? = number;
            }
        }
        for (line, number) in Lines::open(folder, run)?.zip(1..) {
            if let Line::Done(done) = line?
                && last.get(done.row as usize) == Some(&number)
                && (wanted.is_empty() || wanted.contains(&done.outcome))
                && left > 0
            {
                left -= 1;
                live.push(&BulkRow { done: &done, mailbox: None, source: &source })?;
            }
        }
    }
    live.finish()
}

/// Shows the shards of one file as one run, once each of them is there and was worked on to its end.
fn show_merged(app: &App, folders: &[PathBuf], prefix: Option<&str>, wanted: &[Outcome]) -> Result<()> {
    let shards = merge::find(folders, prefix.unwrap_or_default())?;
    let total = merge::total(&shards)?;
    let runs: Vec<_> = shards.into_iter().map(|shard| (shard.folder, shard.record.header.run)).collect();
    show_rows(app, &runs, wanted)?;
    run::judge(app, &total)
}
