//! Many mailboxes from a file: checked as a whole, journaled ahead, resumable, and honest about every row.
//!
//! A feeder reads the rows and brings their intents to the disk in groups; requests leave as many at a time as asked
//! for, in no order. A create whose answer was lost is a doubt. Doubts are gathered and settled by one listing, never by
//! a look-up each (where a provider takes several mailboxes in one request, rows of a domain travel together):
//!
//! | the listing shows | and | then |
//! |---|---|---|
//! | it is there | it was not there before this run | `created` |
//! | it is there | its creation time tells | `created` or `exists` |
//! | it is there | nothing tells | `unknown` |
//! | it is not there | the provider's listing is up to date | it is sent again |
//!
//! What was there before is known from a listing that is taken before the first request of a domain, unless that would
//! take longer than the run itself. A row that is found there is `exists`, and nothing is sent for it. Where a listing
//! lags, what it does not show may be there all the same, and the creation time has to tell.

pub mod input;
pub mod journal;
pub mod sink;

mod feed;
mod settle;

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use self::feed::{Feeder, Item};
use self::input::Input;
use self::journal::{Done, Journal, Line, Record};
use self::sink::Sink;
use crate::error::{Effect, Error, Kind, Result};
use crate::http::Moment;
use crate::model::{Address, DomainName, Mailbox, NewMailbox};
use crate::output::Outcome;
use crate::provider::{Checked, Op, Provider};

/// How many rows are made ready at a time: what one flush to the disk is shared by.
const GROUP: usize = 256;

/// How many doubts are gathered at most before they are settled, so that a server which answers nothing does not fill
/// the memory.
const WAVE: usize = 4096;

/// How often a row is sent that proves not to be there each time.
const ATTEMPTS: u32 = 8;

/// Identifies an address without keeping it. Two of a million are the same with a chance of one in 10^17.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 12]);

impl Fingerprint {
    /// Returns the fingerprint of an address; its case does not matter.
    pub fn of(address: &Address) -> Self {
        let digest = Sha256::digest(address.lower());
        let mut short = [0; 12];
        short.copy_from_slice(&digest[..12]);
        Fingerprint(short)
    }

    /// Returns a number that is spread evenly.
    fn number(self) -> u64 {
        self.0[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// The wish to end early, told from outside.
#[derive(Debug, Default)]
pub struct Interrupt {
    heard: AtomicBool,
    kind: Mutex<Option<Kind>>,
    told: Notify,
}

impl Interrupt {
    /// Tells a run that is under way to end; returns false when there is none.
    pub fn tell(&self, kind: Kind) -> bool {
        *self.kind.lock().expect("no code panics while it holds this lock") = Some(kind);
        self.told.notify_one();
        self.heard.load(Ordering::Relaxed)
    }

    async fn wait(&self) -> Error {
        self.told.notified().await;
        let kind = self.kind.lock().expect("no code panics while it holds this lock").unwrap_or(Kind::Interrupted);
        Error::new(kind, "interrupted; the requests under way were let end")
    }
}

/// How a run is carried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests in the air at the same time.
    pub concurrency: usize,
    /// Whether a mailbox that was there before is no failure.
    pub exists_is_fine: bool,
    /// After how many failures nothing more is sent.
    pub max_failures: Option<u32>,
    /// Whether requests are only shown.
    pub dry_run: bool,
    /// How long to wait before a listing is read again.
    pub poll: Duration,
}

/// How many rows came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Made by this run.
    pub created: u32,
    /// There before.
    pub exists: u32,
    /// Only shown.
    pub planned: u32,
    /// Refused, or not tried because the next would fail the same way.
    pub failed: u32,
    /// Made or not: looking could not settle it.
    pub unknown: u32,
    /// Not worked on, or in doubt still: what a resumed run does.
    pub left: u32,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// How many rows came to what, those of earlier parts of the run included.
    pub summary: Summary,
    /// Why it ended before all rows were worked on.
    pub stopped: Option<Error>,
}

/// A row on its way.
struct Job {
    row: u32,
    line: u64,
    new: NewMailbox,
    /// Whether it is sure that it was not there before this run.
    was_absent: bool,
    /// Whether the listing from before this run did not show it, which proves little where listings lag.
    unlisted: bool,
    /// Whether a request for it may have been carried out.
    doubted: bool,
    /// Whether a request for several was refused as a whole, so that it goes alone to be told its own fate.
    alone: bool,
    /// What is there of it, made by this run, when the quota or privilege asked for is still to be set.
    half_made: Option<Mailbox>,
    attempts: u32,
}

impl Job {
    /// Returns the job of setting what is still to be set on what is there.
    fn complete(self, made: Mailbox) -> Self {
        Job { half_made: Some(made), alone: true, ..self }
    }

    fn intent(&self) -> Line {
        Line::Intent {
            intent: self.row,
            line: self.line,
            address: self.new.address.to_string(),
            absent: self.was_absent,
        }
    }
}

/// A run of creates.
pub struct Run<'a> {
    provider: &'a Checked,
    options: Options,
    journal: Option<&'a Journal>,
    interrupt: &'a Interrupt,
    tell: &'a mut dyn FnMut(&Done, Option<&Mailbox>),
    began: Moment,
    ready: VecDeque<Item>,
    doubts: Vec<Job>,
    /// Domains on which every further request would fail the same way.
    closed: HashMap<DomainName, Error>,
    /// How many mailboxes one request makes at most.
    batch_max: usize,
    stopped: Option<Error>,
    summary: Summary,
}

/// Where a run reads from and writes to.
pub struct Ends<'a> {
    /// The rows, checked.
    pub input: &'a Input,
    /// How many rows and domains there are.
    pub size: (u32, usize),
    /// Where the run is journaled; a dry run is not.
    pub journal: Option<&'a Journal>,
    /// Where generated passwords go, if they are generated.
    pub sink: Option<Sink>,
    /// What an earlier part of the run has done.
    pub record: Option<&'a Record>,
    /// Who may ask for an early end.
    pub interrupt: &'a Interrupt,
}

/// Makes the mailboxes of a file. `tell` hears what became of each row as it happens.
pub async fn create(
    provider: &Checked,
    ends: Ends<'_>,
    options: Options,
    tell: &mut dyn FnMut(&Done, Option<&Mailbox>),
) -> Result<Report> {
    let Ends { input, size, journal, sink, record, interrupt } = ends;
    interrupt.heard.store(true, Ordering::Relaxed);
    let summary = record.map_or(Summary { left: size.0, ..Summary::default() }, Record::summary);
    let feeder = Feeder::new(provider, input.rows()?, journal, sink, record, size, options.dry_run);
    let began = record.map_or_else(Moment::now, |record| Moment::at(record.header.started));
    let run = Run {
        provider,
        options,
        journal,
        interrupt,
        tell,
        began,
        ready: VecDeque::new(),
        doubts: Vec::new(),
        closed: HashMap::new(),
        batch_max: match provider.check_op(Op::CreateMailboxes) {
            Ok(()) => provider.spec().rules.batch_max,
            Err(_) => 1,
        },
        stopped: None,
        summary,
    };
    run.work(feeder).await
}

impl Summary {
    fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Exists => &mut self.exists,
            Outcome::Planned => &mut self.planned,
            Outcome::Unknown => &mut self.unknown,
            _ => &mut self.failed,
        };
        *counter += 1;
        self.left = self.left.saturating_sub(1);
    }
}

impl Run<'_> {
    async fn work(mut self, feeder: Feeder<'_>) -> Result<Report> {
        let groups = stream::unfold(feeder, |mut feeder| async {
            let group = feeder.group().await.transpose()?;
            Some((group, feeder))
        });
        let mut groups = pin!(groups.fuse());
        let mut rows_left = true;
        loop {
            let mut air = FuturesUnordered::new();
            loop {
                while air.len() < self.options.concurrency
                    && let Some(jobs) = self.next_jobs(rows_left)
                {
                    air.push(send(self.provider, jobs));
                }
                let wants_rows = rows_left && self.may_send() && self.ready.len() < GROUP;
                if air.is_empty() && !wants_rows {
                    break;
                }
                tokio::select! {
                    Some((jobs, results)) = air.next(), if !air.is_empty() => self.take_all(jobs, results),
                    group = groups.next(), if wants_rows => match group {
                        Some(Ok(items)) => self.ready.extend(items),
                        Some(Err(error)) => self.stop(error),
                        None => rows_left = false,
                    },
                    error = self.interrupt.wait(), if self.stopped.is_none() => {
                        self.provider.stop();
                        self.stop(error);
                    }
                }
                if let Some(failure) = self.journal.and_then(Journal::failure) {
                    self.stop(failure);
                }
            }
            if self.stopped.is_some() || (self.doubts.is_empty() && self.ready.is_empty()) {
                break;
            }
            self.settle().await;
        }
        if let Some(journal) = self.journal {
            if self.stopped.is_none() {
                journal.append(&Line::Ended { ended: jiff::Timestamp::now() });
            }
            if let Err(failure) = journal.commit().await {
                self.stop(failure);
            }
        }
        Ok(Report { summary: self.summary, stopped: self.stopped })
    }

    fn may_send(&self) -> bool {
        self.stopped.is_none() && self.doubts.len() < WAVE
    }

    /// Returns the next rows to send in one request: one, or several of a domain where the provider takes them. Rows
    /// that need no request are finished on the way.
    fn next_jobs(&mut self, more_come: bool) -> Option<Vec<Job>> {
        let first = self.next_job()?;
        let most = if first.alone { 1 } else { self.batch_max };
        let mut jobs = vec![first];
        let mut at = 0;
        while jobs.len() < most
            && let Some(item) = self.ready.get(at)
        {
            let fits = |job: &Job| !job.alone && job.new.address.domain() == jobs[0].new.address.domain();
            if matches!(item, Item::Send(job) if fits(job))
                && let Some(Item::Send(job)) = self.ready.remove(at)
            {
                jobs.push(job);
            } else {
                at += 1;
            }
        }
        if jobs.len() < most && more_come && self.ready.len() + jobs.len() < GROUP {
            // The next group may fill the request.
            jobs.into_iter().rev().for_each(|job| self.ready.push_front(Item::Send(job)));
            return None;
        }
        Some(jobs)
    }

    /// Returns the next row to send.
    fn next_job(&mut self) -> Option<Job> {
        while self.may_send() {
            match self.ready.pop_front()? {
                Item::There(job) => self.finish(&job, Outcome::Exists, None, None),
                Item::Doubt(job) => self.doubts.push(job),
                Item::Send(job) => match self.closed.get(job.new.address.domain()) {
                    Some(reason) => {
                        let mut error = reason.clone();
                        error.message = format!("not tried: {}", error.message);
                        self.finish(&job, Outcome::Failed, None, Some(&error));
                    }
                    None => return Some(job),
                },
            }
        }
        None
    }

    /// Ends the run: nothing more is sent. The first reason is the one that is told.
    fn stop(&mut self, error: Error) {
        self.stopped.get_or_insert(error);
    }

    /// Takes in what came back of one request.
    fn take_all(&mut self, jobs: Vec<Job>, results: Result<Vec<Result<Mailbox>>>) {
        match results {
            Ok(results) => jobs.into_iter().zip(results).for_each(|(job, result)| self.take(job, result)),
            // One row may be the reason that all were refused: each is sent alone to be told its own.
            Err(error)
                if jobs.len() > 1
                    && error.effect == Effect::None
                    && matches!(error.kind, Kind::Conflict | Kind::Invalid | Kind::Limit | Kind::NotFound) =>
            {
                let alone = |job| Item::Send(Job { alone: true, ..job });
                jobs.into_iter().rev().for_each(|job| self.ready.push_front(alone(job)));
            }
            Err(error) => jobs.into_iter().for_each(|job| self.take(job, Err(error.clone()))),
        }
    }

    /// Takes in what came back of one row.
    fn take(&mut self, mut job: Job, result: Result<Mailbox>) {
        let error = match result {
            Ok(mailbox) => return self.finish(&job, Outcome::Created, Some(&mailbox), None),
            Err(error) => error,
        };
        match (error.kind, error.effect) {
            // Left to the resumed run, which looks: half of it may have been sent.
            (Kind::Interrupted, _) => {}
            (Kind::Planned, _) => self.finish(&job, Outcome::Planned, None, Some(&error)),
            (_, Effect::Unknown) => {
                job.doubted = true;
                self.doubts.push(job);
            }
            (_, Effect::Partial) if job.half_made.is_none() && !job.new.extras().is_empty() => {
                let made = Mailbox::at(job.new.address.clone());
                self.ready.push_back(Item::Send(job.complete(made)));
            }
            (_, Effect::Partial) => self.finish(&job, Outcome::Failed, None, Some(&error)),
            // It may be there because an earlier request was carried out after all.
            (Kind::Conflict, _) if job.doubted => self.doubts.push(job),
            (Kind::Conflict, _) => self.finish(&job, Outcome::Exists, None, None),
            // The next row would fail the same way. This one was not done, and is left to the resumed run.
            (
                Kind::Auth | Kind::Denied | Kind::Config | Kind::Unsupported | Kind::RateLimited | Kind::Network,
                Effect::None,
            ) => self.stop(error),
            (kind, Effect::None) => {
                self.finish(&job, Outcome::Failed, None, Some(&error));
                if matches!(kind, Kind::Limit | Kind::NotFound) {
                    self.closed.insert(job.new.address.domain().clone(), error);
                }
            }
        }
    }

    /// Writes down and tells what became of a row.
    fn finish(&mut self, job: &Job, outcome: Outcome, mailbox: Option<&Mailbox>, error: Option<&Error>) {
        self.summary.count(outcome);
        let done = Done {
            row: job.row,
            line: job.line,
            address: job.new.address.to_string(),
            outcome,
            id: mailbox.and_then(|mailbox| mailbox.id.clone()),
            error: error.filter(|_| outcome != Outcome::Planned).map(|error| error.kind.code().to_owned()),
            message: error.map(whole_message),
            touched: error.is_some_and(|error| error.effect != Effect::None),
        };
        if let Some(journal) = self.journal {
            journal.append(&Line::Done(done.clone()));
        }
        (self.tell)(&done, mailbox);
        let is_failure = outcome == Outcome::Failed || (outcome == Outcome::Exists && !self.options.exists_is_fine);
        let failures = self.summary.failed + if self.options.exists_is_fine { 0 } else { self.summary.exists };
        if is_failure && self.options.max_failures.is_some_and(|most| failures >= most) {
            let rows = if failures == 1 { "a row" } else { "rows" };
            self.stop(Error::new(Kind::Partial, format!("stopped after {failures} failed {rows}")));
        }
    }
}

/// Sends one request. Its results are in the order of the rows.
async fn send(provider: &Checked, jobs: Vec<Job>) -> (Vec<Job>, Result<Vec<Result<Mailbox>>>) {
    let results = if let [job] = &jobs[..] {
        Ok(vec![match &job.half_made {
            Some(made) => set_extras(provider, &job.new, made).await,
            None => provider.create_without_look(&job.new).await,
        }])
    } else {
        let batch: Vec<NewMailbox> = jobs.iter().map(|job| job.new.clone()).collect();
        provider.create_mailboxes(&batch).await
    };
    (jobs, results)
}

/// Sets what a mailbox that this run has made still lacks.
async fn set_extras(provider: &Checked, new: &NewMailbox, made: &Mailbox) -> Result<Mailbox> {
    match provider.update_mailbox(&new.address, &new.extras()).await {
        Ok(now) => Ok(Mailbox { quota: now.quota, admin: now.admin, ..made.clone() }),
        Err(error) if error.kind == Kind::Interrupted => Err(error),
        Err(mut error) => {
            error.message = format!("{} was created, but {}", new.address, error.message);
            Err(error.effect(Effect::Partial))
        }
    }
}

/// Returns an error's own words and the provider's.
fn whole_message(error: &Error) -> String {
    match &error.provider_message {
        Some(said) => format!("{}: {said}", error.message),
        None => error.message.clone(),
    }
}
