//! Doubts: creates whose answers were lost, settled together by one listing.

use std::collections::HashMap;

use futures_util::TryStreamExt;

use super::feed::Item;
use super::{ATTEMPTS, Job, Run};
use crate::error::{Effect, Error, Kind, Result};
use crate::http::Made;
use crate::model::{Address, DomainName, Mailbox};
use crate::output::Outcome;
use crate::provider::Provider;

/// How often a listing that lags is read before it is given up.
const LOOKS: u32 = 4;

/// Domains in one wave, from which one listing of everything is cheaper.
const DOMAINS: usize = 20;

type Open = HashMap<Address, Job>;

impl Run<'_> {
    /// Settles the doubts so far. Those that prove undone are made ready again.
    pub(super) async fn settle(&mut self) {
        let mut by_domain: HashMap<Option<DomainName>, Open> = HashMap::new();
        let domains: std::collections::HashSet<_> =
            self.doubts.iter().map(|job| job.new.address.domain().clone()).collect();
        for job in std::mem::take(&mut self.doubts) {
            let key = (domains.len() <= DOMAINS).then(|| job.new.address.domain().clone());
            by_domain.entry(key).or_default().insert(job.new.address.clone(), job);
        }
        for (domain, mut open) in by_domain {
            let looked = tokio::select! {
                looked = self.look(domain.as_ref(), &mut open) => looked,
                error = self.interrupt.wait() => {
                    self.stop(error);
                    return;
                }
            };
            let (found, looked) = looked;
            found.into_iter().for_each(|(job, mailbox)| self.judge(job, mailbox));
            match looked {
                Ok(()) => {
                    let mut missing: Vec<_> = open.into_values().collect();
                    missing.sort_by_key(|job| job.row);
                    missing.into_iter().for_each(|job| self.judge_missing(job));
                }
                Err(look) => open.into_values().for_each(|job| {
                    let why =
                        format!("whether it was created is not known: its answer was lost, and looking failed: {look}");
                    self.leave(&job, why);
                }),
            }
        }
    }

    /// Reads one listing and takes out of `open` what it shows; says whether it was read to its end.
    async fn look(&self, domain: Option<&DomainName>, open: &mut Open) -> (Vec<(Job, Mailbox)>, Result<()>) {
        let lags = self.provider.spec().rules.listing_lags;
        let mut found = Vec::new();
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
                Ok(()) if open.is_empty() || !lags => break,
                // What was found is found; the rest is looked for again.
                Ok(()) => {}
                Err(error) if look == LOOKS || error.kind == Kind::Unsupported => return (found, Err(error)),
                Err(_) => {}
            }
            if look < LOOKS {
                tokio::time::sleep(self.options.poll * (1 << look)).await;
            }
        }
        (found, Ok(()))
    }

    /// Says of a mailbox that is there who made it.
    fn judge(&mut self, job: Job, mailbox: Mailbox) {
        let was_before = match self.provider.made(&mailbox, self.began) {
            _ if job.was_absent => Some(false),
            Made::Before => Some(true),
            Made::Since => Some(false),
            // Nobody else has made it within the seconds after the listing.
            Made::About if job.unlisted => Some(false),
            Made::About | Made::Untold => None,
        };
        match was_before {
            // A second request would have set them, and the first one's answer was lost.
            Some(false) if !job.new.extras().is_met_by(&mailbox) => {
                self.ready.push_back(Item::Send(job.complete(mailbox)));
            }
            Some(false) => self.finish(&job, Outcome::Created, Some(&mailbox), None),
            Some(true) => self.finish(&job, Outcome::Exists, Some(&mailbox), None),
            None => self.leave(&job, "it is there, but whether this run made it cannot be told".to_owned()),
        }
    }

    /// Takes up again what is not there.
    fn judge_missing(&mut self, mut job: Job) {
        if self.provider.spec().rules.listing_lags {
            return self.leave(&job, "its answer was lost, and it is not there yet".to_owned());
        }
        job.attempts += 1;
        if job.attempts >= ATTEMPTS {
            let message =
                format!("it was not created: its answer was lost {ATTEMPTS} times, and looking did not find it");
            return self.finish(&job, Outcome::Failed, None, Some(&Error::new(Kind::Network, message)));
        }
        if !std::mem::replace(&mut job.was_absent, true)
            && let Some(journal) = self.journal
        {
            journal.append(&job.intent());
        }
        self.ready.push_back(Item::Send(job));
    }

    /// Leaves a row as unknown.
    fn leave(&mut self, job: &Job, why: String) {
        let error = Error::new(Kind::Unknown, why).effect(Effect::Unknown);
        self.finish(job, Outcome::Unknown, None, Some(&error));
    }
}
