//! The engine: takes rows as they become ready, keeps as many requests under way as asked for, and writes down and reports
//! what became of each.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::task::Poll;

use futures_util::poll;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::task::yield_now;

use super::feed::{Feeder, Item};
use super::job::{Answered, Job, send};
use super::journal::{Done, Journal, Line};
use super::looks::{Witnesses, read};
use super::record::Record;
use super::{Interrupt, Options, Report, RunIo, Summary, Verb};
use crate::error::{Effect, Error, Kind, Result};
use crate::http;
use crate::model::{DomainName, Mailbox, Outcome};
use crate::provider::case::{Answer, Event, LAG, NEAR, Rules, Step, Verdict, Why};
use crate::provider::{self, Checked, Op, Provider, event_of, words};

/// How often a row is sent.
const ATTEMPTS: u32 = 8;

/// For how long lost answers are looked for, at least: a listing that is a minute late is waited for.
const PATIENCE: SignedDuration = SignedDuration::from_secs(90);

/// How many rows are made ready at a time, at least and at most: as many as all requests take that may come back at the
/// same time. One flush to the disk is shared by that many.
const GROUP: std::ops::RangeInclusive<usize> = 256..=4096;

/// How many rows wait for a look at most before no more are sent, so that a server which answers nothing does not fill
/// the memory.
const WAVE: usize = 4096;

/// A run.
pub(super) struct Run<'a> {
    pub(super) provider: &'a Checked,
    pub(super) options: Options,
    pub(super) rules: Rules,
    pub(super) journal: Option<&'a Journal>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) notice: &'a dyn Fn(&str),
    report_row: &'a mut dyn FnMut(&Done, Option<&Mailbox>),
    pub(super) ready: VecDeque<Item>,
    /// Rows that need a look, each not before a time.
    pub(super) looking: Vec<(Timestamp, Job)>,
    pub(super) witnesses: Witnesses,
    /// When the last look ended, and how long it took.
    pub(super) last_look: Option<(Timestamp, SignedDuration)>,
    /// Domains on which every further create would fail in the same way.
    closed: HashMap<DomainName, Error>,
    /// Whether passwords are made up, so that a mailbox without one in the file of passwords is worth a word.
    makes_passwords: bool,
    batch: Batch,
    pub(super) stopped: Option<Error>,
    summary: Summary,
}

/// How rows travel together.
#[derive(Clone, Copy)]
struct Batch {
    /// How many mailboxes one request creates at most.
    most: usize,
    /// How many rows are made ready at a time.
    group: usize,
}

/// Works through the rows of a file. `report_row` is called with what became of each as it happens.
pub async fn run(
    provider: &Checked,
    io: RunIo<'_>,
    options: Options,
    report_row: &mut dyn FnMut(&Done, Option<&Mailbox>),
) -> Result<Report> {
    let RunIo { size, journal, record, interrupt, notice, .. } = io;
    interrupt.listen();
    let summary = record.map_or_else(|| Summary::new(size.0), Record::summary);
    let most = match provider.check_op(Op::CreateMailboxes) {
        Ok(()) if options.verb == Verb::Create => provider.spec().rules.batch_max,
        _ => 1,
    };
    let group = (options.concurrency * most).clamp(*GROUP.start(), *GROUP.end());
    let rules = rules(provider.case_rules(options.on_existing, Op::ListMailboxes), &options);
    let makes_passwords = io.sink.is_some();
    let feeder = Feeder::new(provider, &options, io, rules, group)?;
    let run = Run {
        provider,
        rules,
        journal,
        interrupt,
        notice,
        report_row,
        ready: VecDeque::new(),
        looking: Vec::new(),
        witnesses: Witnesses::new(record.into_iter().flat_map(|record| record.created.iter().cloned())),
        last_look: None,
        closed: HashMap::new(),
        makes_passwords,
        batch: Batch { most, group },
        options,
        stopped: None,
        summary,
    };
    run.work(feeder).await
}

/// Returns how the cases of a run are driven, given how the provider's single requests are.
pub fn rules(single: Rules, options: &Options) -> Rules {
    let pause = SignedDuration::try_from(options.poll).unwrap_or(LAG);
    let mut rules = Rules { resends: !options.only_looks, attempts: ATTEMPTS, looks: 2, pause, ..single };
    // Where the listing lags by the provider's own account, how long it is looked for follows from how often.
    if rules.is_costly {
        rules.lag = rules.lag.min(pause * 14);
    }
    let patience = match rules {
        Rules { is_costly: true, .. } => rules.lag + rules.grace(),
        // It is sent again at last, which is safe.
        Rules { refuses_existing: true, .. } => PATIENCE.min(pause * 20) / 3,
        _ => PATIENCE.min(pause * 60),
    };
    while rules.patience() < patience {
        rules.looks += 1;
    }
    rules
}

impl Run<'_> {
    async fn work(mut self, feeder: Feeder<'_>) -> Result<Report> {
        let groups = stream::unfold(feeder, |mut feeder| async {
            let group = feeder.group().await.transpose()?;
            Some((group, feeder))
        });
        let mut groups = pin!(groups.fuse());
        let mut rows_left = true;
        let mut under_way = FuturesUnordered::new();
        // One listing at a time, beside the requests.
        let mut reading = FuturesUnordered::new();
        loop {
            while under_way.len() < self.options.concurrency
                && let Some(jobs) = self.next_jobs(rows_left)
            {
                let mut request = Box::pin(send(self.provider, jobs));
                // It leaves now, before the answers that have come meanwhile are taken in: what they take would add
                // to the time of every request, and all would come back at the same time again.
                match poll!(&mut request) {
                    Poll::Ready((jobs, results)) => self.take_all(jobs, results),
                    Poll::Pending => under_way.push(request),
                }
                yield_now().await;
            }
            // Also where so many rows wait for a look that no more are sent.
            let is_idle = under_way.is_empty() && (!self.may_send() || (self.ready.is_empty() && !rows_left));
            let mut wait = None;
            if self.stopped.is_some() {
                // Nothing more is sent, looks included: the resumed run looks. What is under way is waited for.
                reading.clear();
            } else if reading.is_empty() {
                match self.next_look(is_idle) {
                    Some(looks) => reading.push(read(self.provider, looks)),
                    None => wait = self.time_to_look(is_idle),
                }
            }
            let wants_rows = rows_left && self.may_send() && self.ready.len() < self.batch.group;
            if under_way.is_empty() && reading.is_empty() && !wants_rows && wait.is_none() {
                break;
            }
            tokio::select! {
                Some((jobs, results)) = under_way.next(), if !under_way.is_empty() => self.take_all(jobs, results),
                Some(looked) = reading.next(), if !reading.is_empty() => self.take_looks(looked),
                group = groups.next(), if wants_rows => match group {
                    Some(Ok(items)) => self.ready.extend(items),
                    Some(Err(error)) => self.stop(error),
                    None => rows_left = false,
                },
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                error = self.interrupt.wait(), if self.stopped.is_none() => self.stop(error),
            }
            if let Some(failure) = self.journal.and_then(Journal::failure) {
                self.stop(failure);
            }
        }
        let unsent = self.ready.iter().filter(|(job, step)| *step == Step::Send && job.is_untouched());
        self.note_unsent(unsent.map(|(job, _)| job.row).collect());
        if let Some(journal) = self.journal {
            if self.stopped.is_none() && !self.options.only_looks {
                journal.append(&Line::Ended { ended: Timestamp::now() });
            }
            if let Err(failure) = journal.commit().await {
                self.stop(failure);
            }
        }
        Ok(Report { summary: self.summary, stopped: self.stopped })
    }

    fn may_send(&self) -> bool {
        self.stopped.is_none() && self.looking.len() < WAVE
    }

    /// Returns the next rows to send in one request: one, or several of a domain where the provider takes them. Rows
    /// that need no request are finished on the way.
    fn next_jobs(&mut self, more_come: bool) -> Option<Vec<Job>> {
        let first = self.next_job()?;
        let most = if fits_a_batch(&first) { self.batch.most } else { 1 };
        let mut jobs = vec![first];
        let mut at = 0;
        while jobs.len() < most
            && let Some((job, step)) = self.ready.get(at)
        {
            let fits =
                *step == Step::Send && fits_a_batch(job) && job.new.address.domain() == jobs[0].new.address.domain();
            if fits && let Some((job, _)) = self.ready.remove(at) {
                jobs.push(job);
            } else {
                at += 1;
            }
        }
        if may_wait_to_be_filled(jobs.len(), most, self.ready.len(), self.batch.group, more_come) {
            jobs.into_iter().rev().for_each(|job| self.ready.push_front((job, Step::Send)));
            return None;
        }
        // What an earlier part of the run left in doubt may never have been sent.
        let is_repeat = jobs.iter().any(|job| job.case.is_doubted() && job.case.attempts() > 0);
        if is_repeat && !self.provider.may_repeat() {
            // The rows are left in doubt: the resumed run looks for them.
            let error = Error::new(Kind::Network, "so many answers were lost that nothing more is sent again");
            self.stop(error.hint("check whether the provider works"));
            return None;
        }
        let now = http::now();
        jobs.iter_mut().for_each(|job| job.case.send(now));
        if let Some(failure) = self.mark(&mut jobs, now) {
            // A request that is not written down must not leave.
            jobs.iter_mut().for_each(|job| job.case.unsend());
            self.stop(failure);
            return None;
        }
        jobs.iter_mut().for_each(|job| job.is_marked = false);
        Some(jobs)
    }

    /// Writes down that the requests of these rows leave. The next rows are marked with them, as many as leave at a time:
    /// a write for each row would take longer than the rest of its work. Returns why nothing can be written, if so.
    fn mark(&mut self, jobs: &mut [Job], now: Timestamp) -> Option<Error> {
        let journal = self.journal?;
        if jobs.iter().any(|job| !job.is_marked) {
            let next = self.ready.iter_mut().filter(|(_, step)| *step == Step::Send).map(|(job, _)| job);
            let next = next.take(self.options.concurrency.saturating_sub(1));
            let (mut rows, mut corrected) = (Vec::new(), Vec::new());
            for job in jobs.iter_mut().chain(next).filter(|job| !job.is_marked) {
                job.is_marked = true;
                rows.push(job.row);
                // A look has shown since that it is gone: it is created, and its password leaves.
                if job.was_listed && job.creates() {
                    job.was_listed = false;
                    corrected.push(job.intent());
                }
            }
            journal.sent(corrected, rows, now);
        }
        journal.failure()
    }

    /// Returns the next row to send.
    fn next_job(&mut self) -> Option<Job> {
        while self.may_send() {
            let (job, step) = self.ready.pop_front()?;
            if step != Step::Send {
                self.step(job, step);
                continue;
            }
            match self.closed.get(job.new.address.domain()).filter(|_| job.creates() && !job.case.is_doubted()) {
                Some(reason) => {
                    let error = reason.clone().message(format!("not tried: {}", reason.message));
                    let verdict = Verdict {
                        outcome: Outcome::Failed,
                        password: job.case.password(),
                        why: Why::Answered,
                        settles_at: None,
                    };
                    self.finish(Job { error: Some(error), ..job }, verdict);
                }
                None => return Some(job),
            }
        }
        None
    }

    /// Ends the run: nothing more is sent, not even what waits for its turn. The first reason is the one that is reported.
    pub(super) fn stop(&mut self, error: Error) {
        self.provider.stop();
        self.stopped.get_or_insert(error);
    }

    /// Takes in what came back of one request.
    fn take_all(&mut self, jobs: Vec<Job>, results: Result<Vec<Result<provider::Done<Answered>>>>) {
        match results {
            Ok(results) => jobs.into_iter().zip(results).for_each(|(job, result)| self.take(job, result)),
            // One row may be the reason that all were refused: each is sent alone to get its own answer.
            Err(error)
                if jobs.len() > 1
                    && error.effect == Effect::None
                    && matches!(error.kind, Kind::Conflict | Kind::Invalid | Kind::Limit | Kind::NotFound) =>
            {
                for mut job in jobs.into_iter().rev() {
                    job.case.unsend();
                    self.ready.push_front((Job { alone: true, ..job }, Step::Send));
                }
            }
            Err(error) => jobs.into_iter().for_each(|job| self.take(job, Err(error.clone()))),
        }
    }

    /// Takes in what came back of one row.
    fn take(&mut self, mut job: Job, result: Result<provider::Done<Answered>>) {
        let now = http::now();
        let event = event_of(&result, now);
        match result {
            Ok(done) => {
                if job.creates() {
                    self.witnesses.add(job.witness(Job::id(&done), now));
                    self.witnesses.clock.learn(Job::created_at(&done), now);
                }
                job.take(done);
            }
            Err(error) if error.kind == Kind::Planned => {
                job.notes.push(error.message.clone());
                let verdict =
                    Verdict { outcome: Outcome::Planned, password: None, why: Why::Answered, settles_at: None };
                return self.finish(job, verdict);
            }
            Err(error) if error.effect == Effect::None && ends_run(&job, &error) => {
                return self.leave(job, error);
            }
            // The sender gave up on one request; the gate has learned from it, and the run has more patience.
            Err(error) if error.effect == Effect::None && error.kind == Kind::RateLimited => {
                job.case.unsend();
                return self.ready.push_back((job, Step::Send));
            }
            Err(error) => {
                if job.creates()
                    && !job.case.is_doubted()
                    && error.effect == Effect::None
                    && matches!(error.kind, Kind::Limit | Kind::NotFound)
                {
                    self.closed.insert(job.new.address.domain().clone(), error.clone());
                }
                if event == Event::Answered(Answer::Partial) && job.creates() {
                    job.mailbox.get_or_insert_with(|| Box::new(Mailbox::at(job.new.address.clone())));
                    job.alone = true;
                    if let Some(journal) = self.journal {
                        journal.made(job.row);
                    }
                }
                job.error = Some(error);
            }
        }
        let step = job.case.on(event);
        // It was refused as existing, which a look is to confirm.
        if matches!(step, Step::Look(_)) && job.is_untouched() {
            self.note_unsent(vec![job.row]);
        }
        self.step(job, step);
    }

    /// Writes down that nothing was carried out of what was sent for these rows.
    fn note_unsent(&self, rows: Vec<u32>) {
        if let Some(journal) = self.journal
            && !rows.is_empty()
        {
            journal.append(&Line::Unsent { unsent: rows });
        }
    }

    /// Leaves a row whose request was not carried out to the resumed run, and stops this one.
    fn leave(&mut self, job: Job, error: Error) {
        if job.is_untouched() {
            self.note_unsent(vec![job.row]);
        }
        if !matches!(error.kind, Kind::Interrupted | Kind::Terminated) {
            self.stop(error);
        }
    }

    /// Writes down and reports what became of a row.
    pub(super) fn finish(&mut self, mut job: Job, verdict: Verdict) {
        let outcome =
            if job.is_scheduled && verdict.outcome == Outcome::Deleted { Outcome::Scheduled } else { verdict.outcome };
        let error = job.error.as_ref().filter(|_| matches!(outcome, Outcome::Failed | Outcome::Unknown));
        let message = match (outcome, verdict.why) {
            (Outcome::Unknown, why) => {
                let later =
                    verdict.settles_at.map(|at| format!("; a look after {} settles it", at.strftime("%H:%M UTC")));
                let (doubt, reason) = (words::doubt(job.case.task(), &job.new.address), words::reason(why));
                Some(format!("{doubt}: {reason}{}", later.unwrap_or_default()))
            }
            (Outcome::Failed, Why::HeldOtherwise) => Some(
                "the address is refused as existing, but no mailbox is listed there: an alias may hold it".to_owned(),
            ),
            _ => words::not_done(&verdict, &job.case, &job.new.address).or_else(|| error.map(whole_message)),
        };
        let code = match (outcome, verdict.why) {
            (Outcome::Unknown, _) => Some(Kind::Unknown),
            (Outcome::Failed, Why::HeldOtherwise) => Some(Kind::Conflict),
            _ => error.map(|error| error.kind),
        };
        let was_lost = matches!(verdict.why, Why::Shown | Why::NotShown) && job.case.is_doubted();
        let mut notes = std::mem::take(&mut job.notes);
        if was_lost && matches!(outcome, Outcome::Created | Outcome::Updated | Outcome::Deleted) {
            notes.push("its answer was lost; a look found it done".to_owned());
        }
        if outcome == Outcome::Exists && self.makes_passwords && verdict.password.is_none() {
            notes.push("this run holds no password of it".to_owned());
        }
        // Of one that was sent again it is not known when it was created.
        if let (Outcome::Created, true, Some(sent), Some(lost)) = (outcome, was_lost, job.case.sent(), job.case.lost())
            && lost.duration_since(sent) <= NEAR
        {
            let id = job.mailbox.as_ref().and_then(|mailbox| mailbox.id.clone());
            self.witnesses.add(job.witness(id, sent));
        }
        self.summary.count(outcome);
        let is_partial = job.error.as_ref().is_some_and(|error| error.effect != Effect::None);
        let done = Done {
            row: job.row,
            line: job.line,
            address: job.new.address.to_string(),
            outcome,
            id: job.mailbox.as_ref().and_then(|mailbox| mailbox.id.clone()),
            error: code.map(|kind| kind.code().to_owned()),
            message: message.or_else(|| notes.first().cloned()),
            touched: matches!(outcome, Outcome::Failed | Outcome::Unknown) && (job.case.is_doubted() || is_partial),
            password_state: verdict.password.filter(|_| job.new.password.is_some()),
            settles_at: verdict.settles_at,
            notes,
        };
        if let Some(journal) = self.journal {
            journal.done(&done);
        }
        (self.report_row)(&done, job.mailbox.as_deref());
        if let Some(most) = self.options.max_failures {
            let failures = self.summary.failures(self.options.nothing_to_do_is_fine());
            if failures >= most {
                let rows = if failures == 1 { "row" } else { "rows" };
                self.stop(Error::new(Kind::Partial, format!("stopped after {failures} failed {rows}")));
            }
        }
    }
}

/// Says whether the next row would fail in the same way, or the run was asked to stop.
fn ends_run(job: &Job, error: &Error) -> bool {
    match error.kind {
        Kind::Auth | Kind::Denied | Kind::Config | Kind::Unsupported | Kind::Network => true,
        Kind::Interrupted | Kind::Terminated => true,
        Kind::RateLimited => job.case.attempts() >= ATTEMPTS,
        _ => false,
    }
}

/// Says whether a row's request may carry other rows.
fn fits_a_batch(job: &Job) -> bool {
    job.creates() && !job.alone
}

/// Says whether a request waits for rows that would fill it: `held` of `most` rows, while more rows come and what is
/// ready is less than a group.
fn may_wait_to_be_filled(held: usize, most: usize, ready: usize, group: usize, more_come: bool) -> bool {
    held < most && more_come && ready + held < group
}

/// Returns an error's own words and the provider's.
fn whole_message(error: &Error) -> String {
    match &error.provider_message {
        Some(said) => format!("{}: {said}", error.message),
        None => error.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::may_wait_to_be_filled;

    #[test]
    fn a_request_waits_only_while_rows_come_that_would_fill_it() {
        // So many rows are held of at most ten, so many more are ready, and a group is twenty.
        let waits = |held, ready, more_come| may_wait_to_be_filled(held, 10, ready, 20, more_come);
        assert!(waits(1, 0, true) && waits(9, 10, true));
        assert!(!waits(10, 0, true), "it is full");
        assert!(!waits(9, 11, true), "what is ready is a group, so that waiting would fill nothing");
        assert!(!waits(1, 0, false) && !waits(9, 10, false), "nothing comes that would fill it");
        assert!(!may_wait_to_be_filled(1, 1, 0, 1, true), "a request of one row is full at once");
    }
}
