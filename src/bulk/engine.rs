//! The engine: takes rows as they become ready, keeps as many requests in the air as asked for, and writes down and tells
//! what became of each.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::task::Poll;

use futures_util::poll;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::task::yield_now;

use super::feed::{Feeder, Item};
use super::job::{Job, send};
use super::journal::{Done, Journal, Line};
use super::record::Record;
use super::{Ends, Fate, Interrupt, Options, Report, Summary, Verb};
use crate::error::{Effect, Error, Kind, Result};
use crate::http::Moment;
use crate::model::{DomainName, Mailbox};
use crate::output::Outcome;
use crate::provider::{Checked, Op, Provider};

/// How often a row is sent.
pub(super) const ATTEMPTS: u32 = 8;

/// How many rows are made ready at a time, at least and at most: as many as all requests take that may come back at the
/// same time. One flush to the disk is shared by that many.
const GROUP: std::ops::RangeInclusive<usize> = 256..=4096;

/// How many doubts are gathered at most before they are settled, so that a server which answers nothing does not fill
/// the memory.
const WAVE: usize = 4096;

/// A run.
pub(super) struct Run<'a> {
    pub(super) provider: &'a Checked,
    pub(super) options: Options,
    pub(super) journal: Option<&'a Journal>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) notice: &'a dyn Fn(&str),
    pub(super) tell: &'a mut dyn FnMut(&Done, Option<&Mailbox>),
    pub(super) began: Moment,
    pub(super) ready: VecDeque<Item>,
    pub(super) doubts: Vec<Job>,
    /// Domains on which every further request would fail the same way.
    pub(super) closed: HashMap<DomainName, Error>,
    /// How many mailboxes one request makes at most.
    pub(super) batch_max: usize,
    /// How many rows are made ready at a time.
    pub(super) group: usize,
    pub(super) stopped: Option<Error>,
    pub(super) summary: Summary,
}

/// Works through the rows of a file. `tell` hears what became of each as it happens.
pub async fn run(
    provider: &Checked,
    ends: Ends<'_>,
    options: Options,
    tell: &mut dyn FnMut(&Done, Option<&Mailbox>),
) -> Result<Report> {
    let Ends { size, journal, record, interrupt, notice, .. } = ends;
    interrupt.listen();
    let summary = record.map_or_else(|| Summary::new(size.0), Record::summary);
    let began = record.map_or_else(Moment::now, |record| Moment::at(record.header.started));
    let batch_max = match provider.check_op(Op::CreateMailboxes) {
        Ok(()) if options.verb == Verb::Create => provider.spec().rules.batch_max,
        _ => 1,
    };
    let group = (options.concurrency * batch_max).clamp(*GROUP.start(), *GROUP.end());
    let feeder = Feeder::new(provider, &options, ends, group)?;
    let run = Run {
        provider,
        journal,
        interrupt,
        notice,
        tell,
        began,
        ready: VecDeque::new(),
        doubts: Vec::new(),
        closed: HashMap::new(),
        batch_max,
        group,
        options,
        stopped: None,
        summary,
    };
    run.work(feeder).await
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
                    let mut request = Box::pin(send(self.provider, jobs));
                    // It leaves now, before the answers that have come meanwhile are taken in: what they take would add
                    // to the time of every request, and all would come back at the same time again.
                    match poll!(&mut request) {
                        Poll::Ready((jobs, results)) => self.take_all(jobs, results),
                        Poll::Pending => air.push(request),
                    }
                    yield_now().await;
                }
                let wants_rows = rows_left && self.may_send() && self.ready.len() < self.group;
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
                    error = self.interrupt.wait(), if self.stopped.is_none() => self.stop(error),
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
        if jobs.len() < most && more_come && self.ready.len() + jobs.len() < self.group {
            // The next group may fill the request.
            jobs.into_iter().rev().for_each(|job| self.ready.push_front(Item::Send(job)));
            return None;
        }
        // What an earlier part of the run left in doubt may never have been sent.
        let is_repeat = jobs.iter().any(|job| job.doubted && job.attempts > 0);
        if is_repeat && !self.provider.may_repeat() {
            // The rows are left in doubt: the resumed run looks for them.
            let error = Error::new(Kind::Network, "so many answers were lost that nothing more is sent again");
            self.stop(error.hint("see whether the provider is well"));
            return None;
        }
        jobs.iter_mut().for_each(|job| job.attempts += 1);
        Some(jobs)
    }

    /// Returns the next row to send.
    fn next_job(&mut self) -> Option<Job> {
        while self.may_send() {
            match self.ready.pop_front()? {
                Item::Done(job, fate) => self.finish(&job, *fate),
                Item::Doubt(job) => self.doubts.push(job),
                Item::Send(job) => match self.closed.get(job.new.address.domain()).filter(|_| job.makes()) {
                    Some(reason) => {
                        let mut error = reason.clone();
                        error.message = format!("not tried: {}", error.message);
                        self.finish(&job, Fate::failed(error));
                    }
                    None => return Some(job),
                },
            }
        }
        None
    }

    /// Ends the run: nothing more is sent, not even what waits for its turn. The first reason is the one that is told.
    pub(super) fn stop(&mut self, error: Error) {
        self.provider.stop();
        self.stopped.get_or_insert(error);
    }

    /// Takes in what came back of one request.
    fn take_all(&mut self, jobs: Vec<Job>, results: Result<Vec<Result<Fate>>>) {
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
    fn take(&mut self, mut job: Job, result: Result<Fate>) {
        let error = match result {
            Ok(fate) => return self.finish(&job, fate),
            Err(error) => error,
        };
        let verb = job.verb;
        if error.kind == Kind::Interrupted {
            // Left to the resumed run, which looks: half of it may have been sent.
            return;
        }
        if error.effect == Effect::Unknown {
            job.doubted = true;
            return self.doubts.push(job);
        }
        if let Some(outcome) = verb.nothing_to_do(error.kind) {
            return match outcome {
                // It may be so because an earlier request was carried out after all.
                Outcome::Exists if job.doubted => self.doubts.push(job),
                Outcome::Exists => self.exists(job, None),
                Outcome::Absent if job.doubted => self.finish(&job, Fate::gone()),
                outcome => self.finish(&job, Fate::of(outcome)),
            };
        }
        match (error.kind, error.effect) {
            (Kind::Planned, _) => {
                self.finish(&job, Fate { note: Some(error.message.clone()), ..Fate::of(Outcome::Planned) })
            }
            (_, Effect::Partial) if verb == Verb::Create && job.half_made.is_none() && !job.new.extras().is_empty() => {
                let made = Mailbox::at(job.new.address.clone());
                self.complete(job, made);
            }
            (_, Effect::Partial | Effect::Unknown) => self.finish(&job, Fate::failed(error)),
            // The sender gave up on one request; the gate has learned from it, and the run has more patience.
            (Kind::RateLimited, Effect::None) if job.attempts < ATTEMPTS => {
                self.ready.push_back(Item::Send(job));
            }
            // The next row would fail the same way. This one was not done, and is left to the resumed run.
            (
                Kind::Auth | Kind::Denied | Kind::Config | Kind::Unsupported | Kind::RateLimited | Kind::Network,
                Effect::None,
            ) => self.stop(error),
            (kind, Effect::None) => {
                if verb == Verb::Create && matches!(kind, Kind::Limit | Kind::NotFound) {
                    self.closed.insert(job.new.address.domain().clone(), error.clone());
                }
                self.finish(&job, Fate::failed(error));
            }
        }
    }

    /// Makes ready what is still to be set on a mailbox that this run has made.
    pub(super) fn complete(&mut self, mut job: Job, made: Mailbox) {
        self.note_before(&mut job, false);
        self.ready.push_back(Item::Send(Job { half_made: Some(Box::new(made)), alone: true, ..job }));
    }

    /// Says of a mailbox that was there before its create what that means.
    pub(super) fn exists(&mut self, mut job: Job, mailbox: Option<Mailbox>) {
        if !self.options.adopts {
            return self.finish(&job, Fate { mailbox, ..Fate::of(Outcome::Exists) });
        }
        self.note_before(&mut job, true);
        let job = Job { doubted: false, attempts: 0, ..job.adopt() };
        match mailbox {
            Some(mailbox) => self.judge(job, mailbox),
            // One look for many tells which of them need a request.
            None => self.doubts.push(job),
        }
    }

    /// Writes down whether somebody had the address before this run. Where nobody had, whoever has it now has it from
    /// this run.
    pub(super) fn note_before(&self, job: &mut Job, was_there: bool) {
        if job.was_there.replace(was_there) != Some(was_there)
            && let Some(journal) = self.journal
        {
            journal.append(&job.intent());
        }
    }

    /// Writes down and tells what became of a row.
    pub(super) fn finish(&mut self, job: &Job, fate: Fate) {
        let Fate { outcome, mailbox, error, note } = fate;
        self.summary.count(outcome);
        let done = Done {
            row: job.row,
            line: job.line,
            address: job.new.address.to_string(),
            outcome,
            id: mailbox.as_ref().and_then(|mailbox| mailbox.id.clone()),
            error: error.as_ref().map(|error| error.kind.code().to_owned()),
            message: error.as_ref().map(whole_message).or(note),
            touched: error.as_ref().is_some_and(|error| error.effect != Effect::None),
        };
        if let Some(journal) = self.journal {
            journal.done(&done);
        }
        (self.tell)(&done, mailbox.as_ref());
        if let Some(most) = self.options.max_failures {
            let failures = self.summary.failures(self.options.already_is_fine);
            if failures >= most {
                let rows = if failures == 1 { "a row" } else { "rows" };
                self.stop(Error::new(Kind::Partial, format!("stopped after {failures} failed {rows}")));
            }
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
