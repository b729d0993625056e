//! The feeder: reads rows, finds out what was there before, gives each its password, and brings the intents to the disk.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use tokio::task::yield_now;

use super::input::{Row, Rows};
use super::journal::Journal;
use super::record::{Record, State};
use super::sink::Sink;
use super::{Ends, Fate, Fingerprint, Job, Options, Verb};
use crate::error::{Error, Kind, Result};
use crate::model::DomainName;
use crate::provider::{Checked, Provider};

/// Rows a domain has on average, from which a listing of its own costs at most a hundredth of its requests.
const ROWS_A_LISTING: u32 = 100;

/// A listing may be longer than the run by so many mailboxes, a few pages, before it is given up.
const LONGER: usize = 1000;

/// So many rows are read before requests and answers have their turn again.
const AT_ONCE: usize = 64;

/// A listing that takes no longer than this is read to its end, whatever its length: some come in one answer.
const SHORT: Duration = Duration::from_secs(10);

/// What the feeder makes of a row.
pub(super) enum Item {
    /// To be sent; its intent is on the disk.
    Send(Job),
    /// Needs no request: what was there before leaves nothing to do.
    Done(Job, Box<Fate>),
    /// May have been sent by an earlier part of the run: to be looked for first.
    Doubt(Job),
}

/// What was there before the first request, in order; `None` when it is not known.
type Before = Option<Vec<Fingerprint>>;

pub(super) struct Feeder<'a> {
    provider: &'a Checked,
    rows: Rows,
    journal: Option<&'a Journal>,
    sink: Option<Sink>,
    record: Option<&'a Record>,
    verb: Verb,
    adopts: bool,
    dry_run: bool,
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
    pub(super) fn new(provider: &'a Checked, options: &Options, ends: Ends<'a>, group: usize) -> Result<Self> {
        let Ends { input, size, journal, sink, record, interrupt: _, notice: _ } = ends;
        let Options { verb, adopts, dry_run, .. } = *options;
        let (rows, longest, scope) = (input.rows()?, size.0 as usize + LONGER, Scope::of(size));
        let before = HashMap::new();
        Ok(Feeder { provider, rows, journal, sink, record, verb, adopts, dry_run, group, longest, scope, before })
    }

    /// Returns the next rows; their intents and passwords are on the disk. Nothing when there are no more.
    pub(super) async fn group(&mut self) -> Result<Option<Vec<Item>>> {
        let mut items = Vec::with_capacity(self.group);
        let mut read: usize = 0;
        while items.len() < self.group
            && let Some(row) = self.rows.next()
        {
            if read.is_multiple_of(AT_ONCE) {
                yield_now().await;
            }
            read += 1;
            let row = row?.map_err(|_| Error::new(Kind::Usage, "the file was changed while it was worked on"))?;
            let state =
                self.record.and_then(|record| record.rows.get(row.number as usize)).copied().unwrap_or_default();
            match state {
                // What could not be settled then may be settled now.
                State::Open | State::Sent { .. } | State::Unknown { .. } | State::Retried { .. } => {
                    items.push(self.item(row, state).await?);
                }
                State::Done(_) | State::Halfway { .. } => {}
            }
        }
        if items.is_empty() {
            return Ok(None);
        }
        if let Some(sink) = &mut self.sink {
            sink.flush().await?;
        }
        if let Some(journal) = self.journal {
            for item in &items {
                if let Item::Send(job) | Item::Doubt(job) = item {
                    journal.append(&job.intent());
                }
            }
            journal.commit().await?;
        }
        Ok(Some(items))
    }

    async fn item(&mut self, row: Row, state: State) -> Result<Item> {
        let Row { number, line, new } = row;
        let was_sent = state != State::Open;
        let before = self.before(new.address.domain()).await?.as_deref();
        let is_listed = before.map(|all| all.binary_search(&Fingerprint::of(&new.address)).is_ok());
        // Where a listing lags, what it does not show may be there all the same.
        let was_there = is_listed.filter(|there| *there || !self.provider.spec().rules.listing_lags);
        // What is there now may come of an earlier part of the run, which has taken a password for it.
        let is_fresh = !was_sent && !self.sink.as_ref().is_some_and(|sink| sink.knows(&new.address));
        let was_there = state.was_there().or(was_there.filter(|there| is_fresh || !there));
        let mut job = Job {
            row: number,
            line,
            new,
            verb: self.verb,
            was_there: was_there.filter(|_| self.verb == Verb::Create),
            unlisted: is_listed == Some(false),
            doubted: was_sent,
            is_retry: matches!(state, State::Retried { .. }),
            alone: false,
            half_made: None,
            attempts: 0,
        };
        if self.adopts && job.was_there == Some(true) {
            return Ok(Item::Doubt(job.adopt()));
        }
        if let Some(was_there) = was_there.filter(|_| is_fresh)
            && let Some(fate) = self.verb.needs_none(&job, was_there)
        {
            return Ok(Item::Done(job, Box::new(fate)));
        }
        if let Some(sink) = &mut self.sink
            && self.provider.spec().rules.takes_password()
            && job.new.password.is_none()
        {
            let (password, is_old) = sink.password_for(&job.new.address);
            job.new.password = Some(password);
            // The journal may have lost its intent, but the password was taken for it.
            job.doubted |= is_old;
        }
        Ok(if job.doubted { Item::Doubt(job) } else { Item::Send(job) })
    }

    /// Returns what was on a domain before its first request, listing it the first time.
    async fn before(&mut self, domain: &DomainName) -> Result<&Before> {
        let key = self.scope.key(domain);
        if !self.before.contains_key(&key) {
            let before = self.look(key.as_ref()).await?;
            self.before.insert(key.clone(), before);
        }
        Ok(&self.before[&key])
    }

    async fn look(&self, domain: Option<&DomainName>) -> Result<Before> {
        if self.dry_run {
            return Ok(None);
        }
        let mut there = Vec::new();
        let mut listing = self.provider.list_mailboxes(domain);
        let began = Instant::now();
        loop {
            match listing.try_next().await {
                Ok(Some(_)) if there.len() >= self.longest && began.elapsed() > SHORT => return Ok(None),
                Ok(Some(mailbox)) => {
                    if self.verb != Verb::Create {
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
