//! The feeder: reads rows, finds out what was there before, gives each its password, and brings the intents to the disk.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::task::yield_now;

use super::input::{Row, Rows};
use super::job::Job;
use super::journal::{Journal, Listed};
use super::record::{Record, State};
use super::sink::Sink;
use super::{Fingerprint, OnExisting, Options, RunIo, Verb};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::model::{DomainName, NewMailbox, Outcome};
use crate::provider::case::{self, Case, Step, Verdict, Why};
use crate::provider::{Checked, Provider};

/// Rows a domain has on average, from which a listing of its own costs at most a hundredth of its requests.
const ROWS_A_LISTING: u32 = 100;

/// A listing may be longer than the run by so many mailboxes, a few pages, before it is given up.
const LONGER: usize = 1000;

/// So many rows are read before requests and answers have their turn again.
const AT_ONCE: usize = 64;

/// A listing that takes no longer than this is read to its end, whatever its length: some come in one answer.
const SHORT: Duration = Duration::from_secs(10);

/// How long a listing counts as the state before a request, if it is read again in less than [`QUICK`].
const RECENT: SignedDuration = SignedDuration::from_secs(60);

/// A listing that takes no longer than this is read again during a long run.
const QUICK: SignedDuration = SignedDuration::from_secs(5);

/// Stands for a password that a dry run does not make.
pub const STAND_IN: &str = "Stand-in-Passw0rd-20";

/// A row with its next step.
pub(super) type Item = (Job, Step);

/// What was there before the first requests.
struct Before {
    /// When the listing began.
    began: Timestamp,
    took: SignedDuration,
    /// Who was there, in order; `None` when it is not known.
    there: Option<Vec<Fingerprint>>,
}

pub(super) struct Feeder<'a> {
    provider: &'a Checked,
    rows: Rows,
    journal: Option<&'a Journal>,
    sink: Option<Sink>,
    record: Option<&'a Record>,
    options: Options,
    rules: case::Rules,
    /// How many rows are made ready at a time: what one flush to the disk is shared by.
    group: usize,
    /// How many mailboxes a listing that takes its time may have before it is given up.
    longest: usize,
    scope: Scope,
    before: HashMap<Option<DomainName>, Before>,
}

/// What one listing is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// One domain.
    Domain,
    /// All that the credentials can see: for many domains with few rows each.
    All,
}

impl Scope {
    fn of((rows, domains): (u32, usize)) -> Self {
        let each = usize::try_from(rows / ROWS_A_LISTING).unwrap_or(usize::MAX);
        if domains > each.max(1) { Scope::All } else { Scope::Domain }
    }

    fn key(self, domain: &DomainName) -> Option<DomainName> {
        (self == Scope::Domain).then(|| domain.clone())
    }
}

impl<'a> Feeder<'a> {
    /// Begins to read; `group` rows are made ready at a time.
    pub(super) fn new(
        provider: &'a Checked,
        options: &Options,
        io: RunIo<'a>,
        rules: case::Rules,
        group: usize,
    ) -> Result<Self> {
        let RunIo { input, size, journal, sink, record, interrupt: _, notice: _ } = io;
        let (rows, longest, scope) = (input.rows()?, size.0 as usize + LONGER, Scope::of(size));
        let (options, before) = (options.clone(), HashMap::new());
        Ok(Feeder { provider, rows, journal, sink, record, options, rules, group, longest, scope, before })
    }

    /// Returns the next rows; their intents and passwords are on the disk. `None` when there are no more.
    pub(super) async fn group(&mut self) -> Result<Option<Vec<Item>>> {
        let mut items = Vec::with_capacity(self.group);
        let mut intents = Vec::new();
        let mut read: usize = 0;
        while items.len() < self.group
            && let Some(row) = self.rows.next()
        {
            if read.is_multiple_of(AT_ONCE) {
                yield_now().await;
            }
            read += 1;
            let row = row?.map_err(|_| Error::new(Kind::Usage, "the file was changed while it was worked on"))?;
            let state = self.record.map_or(State::Open, |record| record.state(row.number));
            let is_open = match state {
                State::Done(_) | State::Halfway(..) => false,
                state => state.is_doubted() || !self.options.only_looks,
            };
            if is_open {
                let (job, step) = self.item(row, state).await?;
                let is_known = job.case.is_doubted() || matches!(state, State::Made(..));
                if !is_known && !matches!(step, Step::Finish(_)) {
                    intents.push(job.intent());
                }
                items.push((job, step));
            }
        }
        if items.is_empty() {
            return Ok(None);
        }
        if let Some(sink) = &mut self.sink {
            sink.flush().await?;
        }
        if let Some(journal) = self.journal {
            intents.iter().for_each(|intent| journal.append(intent));
            journal.commit().await?;
        }
        Ok(Some(items))
    }

    async fn item(&mut self, row: Row, state: State) -> Result<Item> {
        let Row { number, line, new } = row;
        let case = self.case(&new, state).await?;
        let mut job = Job {
            row: number,
            line,
            new,
            was_listed: case.before() == case::Before::Yes,
            case,
            is_marked: false,
            alone: false,
            mailbox: None,
            error: None,
            notes: Vec::new(),
            is_scheduled: false,
        };
        if let Some(step) = self.without_request(&mut job) {
            return Ok((job, step));
        }
        if self.options.dry_run && job.new.password.is_none() {
            // A password is still to be made for the row; rows that lack one were refused before.
            job.new.password = matches!(self.options.verb, Verb::Create | Verb::Passwd)
                .then(|| STAND_IN.into())
                .filter(|_| self.provider.spec().rules.takes_password());
        }
        if let Some(sink) = &mut self.sink
            && self.provider.spec().rules.takes_password()
            && job.new.password.is_none()
        {
            job.new.password = Some(sink.password_for(&job.new.address).0);
        }
        let step = job.case.begin(http::now());
        Ok((job, step))
    }

    /// Begins the case of a row: what the journal knows of it, and what a listing shows.
    async fn case(&mut self, new: &NewMailbox, state: State) -> Result<Case> {
        let (listed, sent) = state.history();
        let task = self.options.verb.task();
        if let State::Made(_, _, is_lost) = state {
            let mut case = Case::new(task, self.rules);
            case.on(case::Event::Answered(case::Answer::Partial));
            if is_lost {
                // When it was lost is not written down; so long after it left nobody waited for it any more.
                case.on(case::Event::Lost(sent.map_or_else(http::now, |sent| sent.last + self.rules.answer)));
            }
            return Ok(case);
        }
        // A power cut may have taken the intent of a row from the journal, but not the password that was made before it.
        let is_lost = self.record.is_some_and(|record| !record.is_whole)
            && self.sink.as_ref().is_some_and(|sink| sink.knows(&new.address));
        if state.is_doubted() || (state == State::Open && is_lost) {
            let mut rules = self.rules;
            // A person wants it tried again, after all that looking could find out.
            rules.is_costly &= !matches!(state, State::Retried(..));
            let left_by = self.record.and_then(|record| record.restarted).unwrap_or_else(http::now);
            return Ok(Case::resumed(task, rules, listed == Listed::Yes, sent, left_by));
        }
        let (print, rules) = (Fingerprint::of(&new.address), self.rules);
        let before = self.before(new.address.domain()).await?;
        let mut case = Case::new(task, rules);
        case.set_before(match &before.there {
            None => case::Before::NotKnown,
            Some(there) if there.binary_search(&print).is_ok() => case::Before::Yes,
            Some(_) => case::Before::No(before.began),
        });
        Ok(case)
    }

    /// Returns the last step of a row for which the listing from before the run leaves nothing to do.
    fn without_request(&self, job: &mut Job) -> Option<Step> {
        if job.case.is_doubted() {
            return None;
        }
        let outcome = match (self.options.verb, job.case.before()) {
            (Verb::Create, case::Before::Yes) if self.options.on_existing != OnExisting::Update => Outcome::Exists,
            (Verb::Delete, case::Before::No(_)) => Outcome::Absent,
            (Verb::Update | Verb::Passwd, case::Before::No(_)) => {
                job.error = Some(Error::no_mailbox(&job.new.address));
                Outcome::Failed
            }
            _ => return None,
        };
        Some(Step::Finish(Verdict { outcome, password: None, why: Why::Shown, settles_at: None }))
    }

    /// Returns what was on a domain before its requests, listing it the first time, and again during a long run.
    async fn before(&mut self, domain: &DomainName) -> Result<&Before> {
        let key = self.scope.key(domain);
        let is_recent = self.before.get(&key).is_some_and(|before| {
            let age = http::now().duration_since(before.began);
            before.there.is_none() || before.took > QUICK || age < RECENT
        });
        if !is_recent {
            let began = http::now();
            let there = self.look(key.as_ref()).await?;
            let took = http::now().duration_since(began);
            self.before.insert(key.clone(), Before { began, took, there });
        }
        Ok(&self.before[&key])
    }

    async fn look(&self, domain: Option<&DomainName>) -> Result<Option<Vec<Fingerprint>>> {
        if self.options.dry_run || self.options.only_looks {
            return Ok(None);
        }
        let mut there = Vec::new();
        let mut listing = match self.options.verb {
            Verb::Create => self.provider.list_before_creates(domain),
            Verb::Update | Verb::Passwd | Verb::Delete => self.provider.list_mailboxes(domain),
        };
        let began = Instant::now();
        loop {
            match listing.try_next().await {
                Ok(Some(_)) if there.len() >= self.longest && began.elapsed() > SHORT => return Ok(None),
                Ok(Some(mailbox)) => {
                    if self.options.verb != Verb::Create {
                        self.provider.cache_listed(&mailbox);
                    }
                    there.push(Fingerprint::of(&mailbox.address));
                }
                Ok(None) => break,
                Err(error) if matches!(error.kind, Kind::Auth | Kind::Config | Kind::RateLimited) => return Err(error),
                // Creating may be allowed where listing is not, and says itself what is wrong with a domain.
                Err(_) => return Ok(None),
            }
        }
        there.sort_unstable();
        Ok(Some(there))
    }
}
