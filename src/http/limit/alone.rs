//! The limit of a key that nobody else uses.
//!
//! Hosts use token buckets, fixed windows and sliding windows, and all that they show of them is a wait in whole seconds.
//! The first refusal gives an estimate: the requests admitted since the count began, divided by the time from there to the
//! end of the pause. It may be far too low, after a small burst or a stray refusal, or twice too high, when the count
//! covered parts of two windows. So the rate then doubles quickly until a second refusal confirms or corrects it: a bucket
//! that was full when the rate passed its refill is empty when it refuses, and its size is the number of requests admitted
//! before the first refusal. That costs hardly any time: it uses up what the host allows, and the host would have made us
//! wait for the rest anyway. From there on requests follow each other evenly, a little below the limit. The rate rises so
//! slowly that a refusal comes at most once in half a minute, and each refusal lowers it again.
//!
//! Some refusals have nothing to do with our speed: a web application firewall may refuse a few requests in a hundred by
//! chance. When a host is full, it is full for the requests behind the refused one too; those of them that it lets through
//! show how fast it really takes requests. What it let through over minutes shows that as well. The rate is lowered below
//! neither. And a lower rate brings fewer refusals where there is a limit; where two in a row come early all the same, the
//! rate is tried anew.

use std::f64::consts::LN_2;
use std::time::Duration;

use tokio::time::Instant;

use super::{Limit, SECOND, pause_after};

/// How much of what the host seems to allow is used.
const MARGIN: f64 = 0.97;

/// The lowest rate that is learned, in requests a second: one small count by chance must not stop a run.
const SLOWEST: f64 = 1.0 / 3.0;

/// The second estimate counts when it is this much higher than the first: then the first came from a small burst.
const HIGHER: f64 = 1.4;

/// The time in which the rate doubles after a single refusal.
const TRIAL: Duration = Duration::from_millis(500);

/// The time in which it doubles once it is known: three percent, the margin, in half a minute.
const KNOWN: Duration = Duration::from_secs(600);

/// After so many doublings without a refusal, a thousandfold, there is no limit.
const FORGOTTEN: f64 = 10.0;

/// So many requests must have been sent after a refused one and before the pause, so that their answers prove something.
const WITNESSES: u32 = 2;

/// How much later than others a request may arrive that was sent at the same time.
const JITTER: Duration = Duration::from_millis(5);

/// A refusal comes early when it comes so soon after the last one: a rate near the limit is refused every half a minute.
const SOON: Duration = Duration::from_secs(15);

/// After so many early refusals in a row, although the limit seemed to be known, the rate is tried anew.
const EARLY: u32 = 2;

/// What was let through longer ago than this counts less and less: a limit may change.
const LONG: f64 = 120.0;

/// The rate learned from refusals.
#[derive(Clone, Copy)]
struct Rate {
    /// Requests a second at `since`.
    start: f64,
    since: Instant,
    /// In which time it doubles.
    doubling: Duration,
    /// The lower one of the first two estimates.
    low: f64,
    /// How many requests were admitted before the first refusal: a burst that the host allows is no larger.
    burst: f64,
}

impl Rate {
    fn at(self, now: Instant) -> Option<f64> {
        let doublings = now.saturating_duration_since(self.since).as_secs_f64() / self.doubling.as_secs_f64();
        (doublings < FORGOTTEN).then(|| self.start * doublings.exp2())
    }
}

/// How many requests were admitted in a time without a pause.
#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    passed: u32,
}

/// What was let through over a long time, its pauses included. No limit is below it.
#[derive(Clone, Copy)]
struct Average {
    /// How many requests were let through, without the burst at first; `None` before the first refusal.
    accepted: Option<f64>,
    /// From when on they count.
    since: Instant,
}

impl Average {
    fn add(&mut self, accepted: u32, burst: f64, now: Instant) {
        let mut sum = self.accepted.unwrap_or(-burst) + f64::from(accepted);
        let time = now.saturating_duration_since(self.since);
        if time.as_secs_f64() > LONG {
            sum /= 2.0;
            self.since += time / 2;
        }
        self.accepted = Some(sum);
    }

    /// Returns it in requests a second.
    fn at(&self, now: Instant) -> f64 {
        let time = now.saturating_duration_since(self.since).max(SECOND);
        self.accepted.unwrap_or_default() / time.as_secs_f64()
    }
}

/// A refusal.
#[derive(Clone, Copy)]
struct Refused {
    sent: Instant,
    at: Instant,
    /// What became of those that were sent after it and before the pause.
    accepted: u32,
    refused: u32,
    /// When the last of them that was accepted had been sent.
    latest: Instant,
}

impl Refused {
    /// Returns the rate in requests a second which the host is proven to allow by what it let through after this refusal;
    /// zero where it refused most of that, and `None` where too little was sent to tell.
    fn proves(self) -> Option<f64> {
        if self.accepted + self.refused < WITNESSES {
            return None;
        }
        let time = self.latest.duration_since(self.sent) + JITTER;
        // One of them may have found room that was there before.
        let surely = f64::from(self.accepted.saturating_sub(1)) / time.as_secs_f64();
        Some(if self.refused < self.accepted { surely } else { 0.0 })
    }
}

/// What the only user of a key knows about its limit.
pub(super) struct Alone {
    rate: Option<Rate>,
    count: Count,
    /// The last count with an accepted request, before the running one.
    before: Count,
    /// When the last request was admitted.
    latest: Instant,
    /// The first refusal in the running count.
    refused: Option<Refused>,
    /// The rate that the host was seen to allow right after a refusal.
    proven: f64,
    average: Average,
    /// How many refusals in a row came early.
    early: u32,
    /// How many counts in a row had only refusals.
    misses: u32,
}

impl Alone {
    pub(super) fn new(now: Instant) -> Self {
        let count = Count { since: now, passed: 0 };
        Alone {
            rate: None,
            count,
            before: count,
            latest: now,
            refused: None,
            proven: 0.0,
            average: Average { accepted: None, since: now },
            early: 0,
            misses: 0,
        }
    }

    /// Returns the rate that follows from the running count, as far as the refusal is one of a limit.
    fn corrected(&mut self, refused: Refused, held: Instant) -> Option<Rate> {
        let was_known = self.rate.is_some_and(|rate| rate.doubling == KNOWN);
        let mut rate = self.learn(refused, held)?;
        match refused.proves() {
            None => {}
            // By halves: one burst of refusals by chance does not take back what was proven.
            Some(0.0) => self.proven /= 2.0,
            Some(proven) => self.proven = self.proven.max(MARGIN * proven),
        }
        self.average.add(self.count.passed, rate.burst, held);
        rate.start = rate.start.max(self.proven).max(MARGIN * self.average.at(held));
        let is_early = was_known && refused.at.saturating_duration_since(self.count.since) < SOON;
        self.early = if is_early { self.early + 1 } else { 0 };
        if self.early == EARLY {
            self.early = 0;
            rate.doubling = TRIAL;
        }
        Some(rate)
    }

    /// Returns the rate that follows from the running count, which was refused and paused until `held`.
    fn learn(&self, refused: Refused, held: Instant) -> Option<Rate> {
        let is_miss = self.count.passed == 0;
        let Count { since, passed } = if is_miss { self.before } else { self.count };
        if passed == 0 {
            return self.rate;
        }
        // A Retry-After counts whole seconds and is rounded up, so that the host may have had room up to a second earlier;
        // and hosts that count at all count by the second or longer.
        let spent = held.saturating_duration_since(since).saturating_sub(SECOND).max(SECOND);
        let estimate = MARGIN * f64::from(passed) / spent.as_secs_f64();
        let burst = self.rate.map_or(f64::from(passed), |rate| rate.burst);
        let known = self.rate.and_then(|rate| Some((rate, rate.at(refused.sent)?)));
        let (start, doubling, low) = match known {
            None => (estimate, TRIAL, estimate),
            // The pause was too short: the previous estimate came from the same count and was too high.
            Some((rate, _)) if is_miss => (rate.start.min(estimate), rate.doubling, rate.low.min(estimate)),
            Some((rate, last)) if rate.doubling == TRIAL => {
                let low = rate.low.min(estimate);
                let start = if estimate > HIGHER * rate.low { low.max(MARGIN * refill(last, burst)) } else { low };
                (start, KNOWN, low)
            }
            Some((rate, last)) => {
                let ran = refused.at.saturating_duration_since(since).as_secs_f64();
                let waited = held.saturating_duration_since(refused.at).as_secs_f64();
                // A refusal this early means that the rate was far too high. Otherwise it was right over the whole time,
                // the pause included.
                let right = if ran < 2.0 * waited { rate.low.max(last / 2.0) } else { last * ran / (ran + waited) };
                // Unless the excess has emptied a bucket.
                let filled = MARGIN * (last - burst / ran);
                (right.max(filled).min(MARGIN * last), KNOWN, rate.low)
            }
        };
        Some(Rate { start: start.max(SLOWEST), since: held, doubling, low, burst })
    }
}

impl Limit for Alone {
    fn interval(&self, now: Instant) -> Option<Duration> {
        Some(Duration::from_secs_f64(1.0 / self.rate?.at(now)?))
    }

    /// For the first request after a refusal it updates the rate and starts a new count.
    fn pass(&mut self, now: Instant, held: Instant) -> bool {
        let refused = self.refused.take();
        if let Some(refused) = refused {
            self.rate = self.corrected(refused, held).map(|rate| Rate { since: now, ..rate });
            if self.count.passed > 0 {
                self.before = self.count;
                self.misses = 0;
            } else {
                self.misses += 1;
            }
        }
        // Only back-to-back requests measure a rate; a pause starts a new count.
        if refused.is_some() || now.saturating_duration_since(self.latest) > SECOND {
            self.count = Count { since: now, passed: 0 };
        }
        self.latest = now;
        self.count.passed += 1;
        refused.is_some()
    }

    fn accept(&mut self, sent: Instant, _now: Instant) {
        if let Some(first) = self.refused.as_mut().filter(|first| sent > first.sent) {
            first.accepted += 1;
            first.latest = first.latest.max(sent);
        }
    }

    /// Takes the request out of the count. One that was sent before the last pause is ignored: it shows nothing new.
    fn refuse(&mut self, sent: Instant, now: Instant) {
        if sent < self.count.since {
            return;
        }
        self.count.passed = self.count.passed.saturating_sub(1);
        match &mut self.refused {
            None => self.refused = Some(Refused { sent, at: now, accepted: 0, refused: 0, latest: sent }),
            Some(first) => first.refused += u32::from(sent > first.sent),
        }
    }

    fn wait(&self) -> Duration {
        pause_after(self.misses)
    }

    /// Nobody else was refused.
    fn spread(&self) -> Duration {
        Duration::ZERO
    }
}

/// Returns how fast a bucket is refilled that holds so many requests, was full when the trial came past that rate, and
/// was empty when it had come to `last`.
fn refill(last: f64, holds: f64) -> f64 {
    // What is sent beyond the refill, from one rate to the other, of a rate that doubles in the time of the trial.
    let beyond = |refill: f64| TRIAL.as_secs_f64() / LN_2 * (last - refill - refill * (last / refill).ln());
    // It falls as the refill rises, and is nothing at `last`.
    let (mut low, mut high) = (0.0, last);
    while high - low > last / 1000.0 {
        let middle = f64::midpoint(low, high);
        if beyond(middle) > holds { low = middle } else { high = middle }
    }
    low
}
