//! Looks for many rows at once: one listing serves all rows of a domain that need one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use super::engine::Run;
use super::job::Job;
use crate::error::{Error, Result};
use crate::http;
use crate::model::{Address, DomainName};
use crate::provider::Provider;
use crate::provider::case::{Event, Found, Look, Rules, Step};

/// From how long on people are told what is waited for.
const LONG: SignedDuration = SignedDuration::from_secs(10);

/// Domains in one wave, from which one listing of everything is cheaper.
const DOMAINS: usize = 20;

/// How many created mailboxes are kept to prove that a listing is new.
const WITNESSES: usize = 64;

/// What proves that a listing is new: mailboxes that were certainly created, and how soon they were listed.
#[derive(Default)]
pub(super) struct Witnesses {
    /// Mailboxes that exist, and a time after which they were created.
    created: VecDeque<(Address, Timestamp)>,
    /// The shortest time in which one was seen to be listed: the provider lists no later than that.
    lag: Option<SignedDuration>,
}

impl Witnesses {
    /// Begins with what an earlier part of the run has created.
    pub(super) fn new(created: impl IntoIterator<Item = (Address, Timestamp)>) -> Self {
        Witnesses { created: created.into_iter().take(WITNESSES).collect(), lag: None }
    }

    /// Adds a mailbox whose creation was answered at this time.
    pub(super) fn add(&mut self, address: &Address, at: Timestamp) {
        self.created.truncate(WITNESSES - 1);
        self.created.push_front((address.clone(), at));
    }

    fn times(&self) -> HashMap<Address, Timestamp> {
        self.created.iter().cloned().collect()
    }

    /// Returns up to when a listing that began at `at` is proven to show what was done, given the newest witness that it
    /// shows.
    fn as_of(&mut self, at: Timestamp, newest: Option<Timestamp>, rules: &Rules) -> Option<Timestamp> {
        if let Some(newest) = newest {
            let lag = at.duration_since(newest).max(SignedDuration::ZERO);
            self.lag = Some(self.lag.map_or(lag, |known| known.min(lag)));
        }
        // Twice what was seen, and a little more: it need not be the same each time.
        let slack = rules.pause.min(SignedDuration::from_secs(1));
        let by_lag = self.lag.map(|lag| at - (lag + lag + slack));
        newest.map(|newest| newest.min(at)).max(by_lag)
    }
}

/// What one listing showed.
struct Listed {
    /// When it began.
    at: Timestamp,
    /// The newest witness that it showed.
    newest: Option<Timestamp>,
    /// Whether it was read to its end.
    is_complete: bool,
}

impl Run<'_> {
    /// Looks for the rows whose time has come, waiting for the first of them.
    pub(super) async fn look_around(&mut self) {
        let Some(first) = self.looking.iter().map(|(not_before, _)| *not_before).min() else { return };
        let wait = first.duration_since(http::now());
        if wait >= LONG {
            let (count, seconds) = (self.looking.len(), wait.as_secs());
            (self.notice)(&format!("answers were lost ({count}); the next look for what they did is in {seconds} s"));
        }
        if let Ok(wait) = Duration::try_from(wait) {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                error = self.interrupt.wait() => return self.stop(error),
            }
        }
        // Rows whose time comes within the time that a look takes need none of their own.
        let now = http::now() + SignedDuration::from_millis(20);
        let (due, later) = std::mem::take(&mut self.looking).into_iter().partition(|(at, _)| *at <= now);
        self.looking = later;
        let due: Vec<(Timestamp, Job)> = due;
        let domains: HashSet<_> = due.iter().map(|(_, job)| job.new.address.domain().clone()).collect();
        let mut by_domain: HashMap<Option<DomainName>, HashMap<Address, Job>> = HashMap::new();
        for (_, job) in due {
            let key = (domains.len() <= DOMAINS).then(|| job.new.address.domain().clone());
            by_domain.entry(key).or_default().insert(job.new.address.clone(), job);
        }
        for (domain, mut open) in by_domain {
            if self.stopped.is_some() {
                // Nothing more is sent, looks included: the resumed run looks.
                return self.looking.extend(open.into_values().map(|job| (now, job)));
            }
            let provider = self.provider;
            let times = self.witnesses.times();
            let interrupt = self.interrupt;
            let listed = tokio::select! {
                listed = list(provider, domain.as_ref(), &times, &mut open) => listed,
                error = interrupt.wait() => return self.stop(error),
            };
            let (found, Listed { at, newest, is_complete }) = listed;
            // Where orders are carried out in an order of their own, one that shows proves nothing about another.
            let lags = provider.spec().rules.listing_lags;
            let as_of = if lags { None } else { self.witnesses.as_of(at, newest, &self.rules) };
            for (mut job, mailbox) in found {
                let seen = job.see(provider, mailbox).await;
                self.looked(job, Look { at, as_of, found: Found::There(seen) });
            }
            let found = if is_complete { Found::Missing } else { Found::Incomplete };
            let mut missing: Vec<_> = open.into_values().collect();
            missing.sort_by_key(|job| job.row);
            missing.into_iter().for_each(|job| self.looked(job, Look { at, as_of, found }));
        }
    }

    fn looked(&mut self, mut job: Job, look: Look) {
        let step = job.case.on(Event::Looked(look));
        self.step(job, step);
    }
}

/// Reads a listing and takes out of `open` what it shows.
async fn list(
    provider: &crate::provider::Checked,
    domain: Option<&DomainName>,
    witnesses: &HashMap<Address, Timestamp>,
    open: &mut HashMap<Address, Job>,
) -> (Vec<(Job, crate::model::Mailbox)>, Listed) {
    let (at, mut newest, mut found) = (http::now(), None, Vec::new());
    let mut listing = provider.list_mailboxes(domain);
    let read = async {
        while let Some(mailbox) = listing.try_next().await? {
            newest = newest.max(witnesses.get(&mailbox.address).copied());
            if let Some(job) = open.remove(&mailbox.address) {
                found.push((job, mailbox));
            }
        }
        Ok::<_, Error>(())
    };
    let result: Result<()> = read.await;
    (found, Listed { at, newest, is_complete: result.is_ok() })
}

impl Run<'_> {
    /// Takes the next step of a row.
    pub(super) fn step(&mut self, job: Job, step: Step) {
        match step {
            Step::Send => self.ready.push_back((job, Step::Send)),
            Step::Look(not_before) => self.looking.push((not_before, job)),
            Step::Finish(verdict) => self.finish(job, verdict),
        }
    }
}
