//! Looks for many rows at once: one listing serves all rows of a domain that need one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use super::engine::Run;
use super::job::Job;
use crate::error::Result;
use crate::http;
use crate::model::{Address, DomainName, Mailbox, Outcome};
use crate::provider::case::{Event, Found, Look, Rules, Step, Verdict};
use crate::provider::{Checked, CreationClock, Provider};

/// From how long on a pause is explained.
const LONG: SignedDuration = SignedDuration::from_secs(10);

/// While requests are sent, looks take one part of so many of the time.
const PAUSES: i32 = 10;

/// Domains in one wave, from which one listing of everything is cheaper.
const DOMAINS: usize = 20;

/// How many created mailboxes are kept to prove that a listing is new.
const WITNESSES: usize = 64;

/// A mailbox that this run has certainly created.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Its address.
    pub address: Address,
    /// The id of the mailbox; `None` if the provider's answer contained none.
    pub id: Option<String>,
    /// A time after which it was created.
    pub after: Timestamp,
}

impl Witness {
    /// Returns whether a listed mailbox is this one. Somebody else may have put another one in its place.
    fn is(&self, mailbox: &Mailbox) -> bool {
        self.id.is_none() || mailbox.id.is_none() || self.id == mailbox.id
    }
}

/// What proves that a listing is new: mailboxes that were certainly created, and how soon they were listed.
#[derive(Default)]
pub struct Witnesses {
    /// Those that were created last.
    created: VecDeque<Witness>,
    /// The shortest time in which one was seen to be listed: the provider lists no later than that.
    lag: Option<SignedDuration>,
    /// What the creation times of such mailboxes say of the provider's clock.
    pub clock: CreationClock,
}

impl Witnesses {
    /// Begins with what an earlier part of the run has created.
    pub fn new(created: impl IntoIterator<Item = Witness>) -> Self {
        Witnesses { created: created.into_iter().take(WITNESSES).collect(), ..Witnesses::default() }
    }

    /// Adds a mailbox.
    pub fn add(&mut self, witness: Witness) {
        self.created.truncate(WITNESSES - 1);
        self.created.push_front(witness);
    }

    /// Takes in that a listing which ended at `ended` shows a mailbox that was created after `created`.
    fn listed(&mut self, ended: Timestamp, created: Timestamp) {
        let lag = ended.duration_since(created).max(SignedDuration::ZERO);
        self.lag = Some(self.lag.map_or(lag, |known| known.min(lag)));
    }

    fn by_address(&self) -> HashMap<Address, Witness> {
        self.created.iter().map(|witness| (witness.address.clone(), witness.clone())).collect()
    }

    /// Returns up to when a listing is proven to show what was done, given when it began and ended, and the newest witness
    /// that it shows. It may have waited for its turn in between: what it shows is no older than its beginning, and no
    /// newer than its end.
    pub fn as_of(
        &mut self,
        (at, ended): (Timestamp, Timestamp),
        newest: Option<Timestamp>,
        rules: &Rules,
    ) -> Option<Timestamp> {
        if let Some(newest) = newest {
            self.listed(ended, newest);
        }
        // Twice what was seen, and a little more: it need not be the same each time.
        let slack = rules.pause.min(SignedDuration::from_secs(1));
        let by_lag = self.lag.map(|lag| at - (lag + lag + slack));
        newest.map(|newest| newest.min(at)).max(by_lag)
    }
}

/// Rows that one listing is read for.
pub(super) struct Looks {
    domain: Option<DomainName>,
    open: HashMap<Address, Job>,
    witnesses: HashMap<Address, Witness>,
    /// Those that wait for a listing of their own, after this one.
    others: Vec<(Timestamp, Job)>,
}

/// What a listing showed.
pub(super) struct Looked {
    looks: Looks,
    found: Vec<(Job, Mailbox)>,
    /// When it began and ended.
    at: Timestamp,
    ended: Timestamp,
    /// The witnesses that it showed.
    shown: Vec<(Timestamp, Mailbox)>,
    /// Whether it was read to its end.
    is_complete: bool,
}

/// Reads the listing that rows wait for.
pub(super) async fn read(provider: &Checked, mut looks: Looks) -> Looked {
    let at = http::now();
    let (mut found, mut shown) = (Vec::new(), Vec::new());
    let result: Result<()> = async {
        let mut listing = provider.list_mailboxes(looks.domain.as_ref());
        while let Some(mailbox) = listing.try_next().await? {
            if let Some(witness) = looks.witnesses.get(&mailbox.address).filter(|witness| witness.is(&mailbox)) {
                shown.push((witness.after, mailbox.clone()));
            }
            if let Some(job) = looks.open.remove(&mailbox.address) {
                found.push((job, mailbox));
            }
        }
        Ok(())
    }
    .await;
    let ended = http::now();
    // Here and not where they are taken in: while that waits, no request goes on, and one may hold the only free slot.
    for (job, mailbox) in &mut found {
        *mailbox = job.complete(provider, mailbox.clone()).await;
    }
    Looked { looks, found, at, ended, shown, is_complete: result.is_ok() }
}

impl Run<'_> {
    /// Returns when the next look may begin; `None` while nothing waits for one, or something else must happen first. While
    /// requests are sent, a look waits until it costs little beside them; when nothing else is left to do, `is_idle`, it
    /// waits only for the first row's time.
    fn look_time(&self, is_idle: bool) -> Option<Timestamp> {
        let first = self.looking.iter().map(|(not_before, _)| *not_before).min()?;
        if is_idle {
            return Some(first);
        }
        // What a mailbox of this run is needed for, a row that waits must not be judged without.
        if self.witnesses.created.is_empty() {
            return None;
        }
        Some(self.last_look.map_or(first, |(ended, took)| first.max(ended + took * PAUSES)))
    }

    /// Returns how long to wait for the next look, where rows wait for one.
    pub(super) fn time_to_look(&self, is_idle: bool) -> Option<Duration> {
        Some(Duration::try_from(self.look_time(is_idle)?.duration_since(http::now())).unwrap_or_default())
    }

    /// Returns the next listing to read, if it is time for one.
    pub(super) fn next_look(&mut self, is_idle: bool) -> Option<Looks> {
        let now = http::now();
        let time = self.look_time(is_idle)?;
        if is_idle && time.duration_since(now) >= LONG {
            let (count, seconds) = (self.looking.len(), time.duration_since(now).as_secs());
            (self.notice)(&format!("answers were lost ({count}); the next look for what they did is in {seconds} s"));
        }
        if time > now {
            return None;
        }
        // Rows whose time comes within the time that a look takes need none of their own.
        let soon = now + SignedDuration::from_millis(20);
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.looking).into_iter().partition(|(at, _)| *at <= soon);
        self.looking = later;
        let domains: HashSet<_> = due.iter().map(|(_, job)| job.new.address.domain().clone()).collect();
        let domain = domains.iter().min().filter(|_| domains.len() <= DOMAINS).cloned();
        let fits = |job: &Job| domain.as_ref().is_none_or(|domain| job.new.address.domain() == domain);
        let (due, others): (Vec<_>, Vec<_>) = due.into_iter().partition(|(_, job)| fits(job));
        let open = due.into_iter().map(|(_, job)| (job.new.address.clone(), job)).collect();
        Some(Looks { domain, open, witnesses: self.witnesses.by_address(), others })
    }

    /// Takes in what a listing showed.
    pub(super) fn take_looks(&mut self, looked: Looked) {
        let Looked { looks, found, at, ended, shown, is_complete } = looked;
        self.looking.extend(looks.others);
        for (time, mailbox) in &shown {
            self.witnesses.clock.learn(mailbox.created_at.as_ref(), *time);
        }
        // Where orders are carried out in an order of their own, one that shows proves nothing about another.
        let lags = self.provider.spec().rules.listing_lags;
        let newest = shown.iter().map(|(time, _)| *time).max();
        let as_of = if lags { None } else { self.witnesses.as_of((at, ended), newest, &self.rules) };
        for (mut job, mailbox) in found {
            let seen = job.see(self.provider, mailbox, &self.witnesses.clock);
            // By then it was there.
            self.looked(job, Look { at: ended, as_of, found: Found::There(seen) });
        }
        let found = if is_complete { Found::Missing } else { Found::Incomplete };
        let mut missing: Vec<_> = looks.open.into_values().collect();
        missing.sort_by_key(|job| job.row);
        missing.into_iter().for_each(|job| self.looked(job, Look { at, as_of, found }));
        let now = http::now();
        self.last_look = Some((now, now.duration_since(at)));
    }

    fn looked(&mut self, mut job: Job, look: Look) {
        let sent = job.case.sent();
        let step = job.case.on(Event::Looked(look));
        if let (Step::Finish(Verdict { outcome: Outcome::Created, .. }), Some(sent)) = (step, sent) {
            self.witnesses.listed(look.at, sent);
        }
        self.step(job, step);
    }
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
