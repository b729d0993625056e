//! Doubts: requests whose answers were lost, settled together by one listing. The table is in the module above.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::engine::{ATTEMPTS, Run};
use super::feed::Item;
use super::{Fate, Job, Verb};
use crate::error::{Effect, Error, Kind, Result};
use crate::http::Made;
use crate::model::{Address, DomainName, Mailbox, Status};
use crate::output::Outcome;
use crate::provider::Provider;

/// How often a listing that lags is read before it is given up, each time after twice as long.
const LOOKS: u32 = 4;

/// How long that takes, in polls. At LiteMail, which is asked each minute, it is a quarter of an hour; what is not there
/// after some minutes was not made, as far as its pages tell, but it is for a person to order it again.
const POLLS: u32 = (1 << LOOKS) - 2;

/// From how long on people are told what is waited for.
const LONG: Duration = Duration::from_secs(10);

/// Domains in one wave, from which one listing of everything is cheaper.
const DOMAINS: usize = 20;

type Open = HashMap<Address, Job>;

impl Run<'_> {
    /// Settles the doubts so far. Those that prove undone are made ready again.
    pub(super) async fn settle(&mut self) {
        if self.options.verb == Verb::Passwd {
            // No listing tells a password, and setting the same one twice is setting it once.
            return std::mem::take(&mut self.doubts).into_iter().for_each(|job| self.again(job));
        }
        let mut by_domain: HashMap<Option<DomainName>, Open> = HashMap::new();
        let domains: std::collections::HashSet<_> =
            self.doubts.iter().map(|job| job.new.address.domain().clone()).collect();
        for job in std::mem::take(&mut self.doubts) {
            let key = (domains.len() <= DOMAINS).then(|| job.new.address.domain().clone());
            by_domain.entry(key).or_default().insert(job.new.address.clone(), job);
        }
        for (domain, mut open) in by_domain {
            if self.stopped.is_some() {
                // Nothing more is sent, looks included: the resumed run looks.
                return;
            }
            let looked = tokio::select! {
                looked = self.look(domain.as_ref(), &mut open) => looked,
                error = self.interrupt.wait() => return self.stop(error),
            };
            let (found, looked) = looked;
            found.into_iter().for_each(|(job, mailbox)| self.judge(job, mailbox));
            match looked {
                Ok(()) => {
                    let mut missing: Vec<_> = open.into_values().collect();
                    missing.sort_by_key(|job| job.row);
                    missing.into_iter().for_each(|job| self.judge_missing(job));
                }
                Err(look) => open.into_values().for_each(|job| match job.doubted {
                    true => self.leave(&job, format!("its answer was lost, and looking failed: {look}")),
                    // Nothing was changed yet; a look would only have told whether there is something to change.
                    false => self.again(job),
                }),
            }
        }
    }

    /// Reads a listing and takes out of `open` what it shows; says whether it was read to its end. Where that tells that
    /// something is to be made again, or where a listing lags, it is read more than once.
    async fn look(&self, domain: Option<&DomainName>, open: &mut Open) -> (Vec<(Job, Mailbox)>, Result<()>) {
        let looks = |job: &Job| match job.verb {
            // Every listing shows it.
            _ if job.was_there == Some(true) => 1,
            _ if self.provider.spec().rules.listing_lags && !job.is_wanted_again() => LOOKS,
            // A host that was too slow to answer may still be at it: two looks, some time apart, tell more than one.
            Verb::Create => 2,
            Verb::Update | Verb::Passwd | Verb::Delete => 1,
        };
        let enough = open.values().map(looks).max().unwrap_or_default();
        if enough == LOOKS && self.longest_look() >= LONG {
            let count = open.values().filter(|job| looks(job) == LOOKS).count();
            let minutes = self.longest_look().as_secs().div_ceil(60);
            (self.notice)(&format!(
                "answers were lost ({count}); looking for what they made, for {minutes} minutes at most"
            ));
        }
        let (mut found, mut seen) = (Vec::new(), 0);
        for look in 1..=LOOKS {
            let mut listing = self.provider.list_mailboxes(domain);
            let read = async {
                while let Some(mailbox) = listing.try_next().await? {
                    if let Some(job) = open.remove(&mailbox.address) {
                        found.push((job, mailbox));
                    }
                }
                Ok::<_, Error>(())
            };
            match read.await {
                // What was found is found; the rest is looked for again.
                Ok(()) => seen += 1,
                Err(error) if look == LOOKS || error.kind == Kind::Unsupported => return (found, Err(error)),
                Err(_) => {}
            }
            if open.is_empty() || seen == enough {
                break;
            }
            if look < LOOKS {
                tokio::time::sleep(self.options.poll * (1 << look)).await;
            }
        }
        (found, Ok(()))
    }

    /// Returns how long it takes until a listing that lags is given up.
    fn longest_look(&self) -> Duration {
        self.options.poll * POLLS
    }

    /// Says of a mailbox that is there what that means.
    pub(super) fn judge(&mut self, job: Job, mailbox: Mailbox) {
        let told = |outcome, mailbox| Fate { mailbox: Some(mailbox), ..Fate::of(outcome) };
        match job.verb {
            Verb::Create => {
                let was_there = job.was_there.or_else(|| match self.provider.made(&mailbox, self.began) {
                    Made::Before => Some(true),
                    Made::Since => Some(false),
                    // Nobody else has made it within the seconds after the listing.
                    Made::About if job.unlisted => Some(false),
                    Made::About | Made::Untold => None,
                });
                match was_there {
                    // A second request would have set them, and the first one's answer was lost.
                    Some(false) if !job.new.extras().is_met_by(&mailbox) => {
                        self.complete(job, mailbox);
                    }
                    Some(false) => self.finish(&job, told(Outcome::Created, mailbox)),
                    Some(true) => self.exists(job, Some(mailbox)),
                    None => self.leave(&job, "it is there, but whether this run made it cannot be told".to_owned()),
                }
            }
            Verb::Update if job.new.as_change().is_met_by(&mailbox) => {
                let outcome = if job.doubted { Outcome::Updated } else { Outcome::Unchanged };
                self.finish(&job, told(outcome, mailbox));
            }
            Verb::Delete if mailbox.status == Status::Ending => {
                self.finish(&job, told(Outcome::Scheduled, mailbox));
            }
            Verb::Update | Verb::Passwd | Verb::Delete => self.again(job),
        }
    }

    /// Says of a mailbox that is not there what that means.
    fn judge_missing(&mut self, job: Job) {
        match job.verb {
            Verb::Create if self.provider.spec().rules.listing_lags && !job.is_wanted_again() => {
                let waited = self.longest_look();
                if waited.is_zero() {
                    return self.leave(&job, "its answer was lost, and it is not there yet".to_owned());
                }
                let why = format!("its answer was lost, and {} s later it was not there", waited.as_secs_f32());
                let error = Error::new(Kind::Network, why).effect(Effect::Unknown);
                self.finish(&job, Fate::failed(error));
            }
            Verb::Delete => self.finish(&job, Fate::gone()),
            Verb::Create | Verb::Update | Verb::Passwd => self.again(job),
        }
    }

    /// Makes a row ready to be sent again.
    fn again(&mut self, mut job: Job) {
        if job.attempts >= ATTEMPTS {
            return self.give_up(&job);
        }
        if job.verb == Verb::Create {
            self.note_before(&mut job, false);
        }
        self.ready.push_back(Item::Send(job));
    }

    /// Says of a row whose answers were lost each time what can be said.
    fn give_up(&mut self, job: &Job) {
        let undone = |what| {
            let message = format!("it {what}: its answer was lost {ATTEMPTS} times, and looking showed it undone");
            Fate::failed(Error::new(Kind::Network, message))
        };
        match job.verb {
            Verb::Create => self.finish(job, undone("was not created")),
            Verb::Delete => self.finish(job, undone("was not deleted")),
            Verb::Update | Verb::Passwd => {
                self.leave(job, format!("its answer was lost {ATTEMPTS} times, and no look can tell"));
            }
        }
    }

    /// Leaves a row as unknown.
    fn leave(&mut self, job: &Job, why: String) {
        let error = Error::new(Kind::Unknown, why).effect(Effect::Unknown);
        self.finish(job, Fate { error: Some(error), ..Fate::of(Outcome::Unknown) });
    }
}
