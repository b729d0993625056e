//! Senders that share one key at a host with a limit, in a time that costs nothing: each sender has a [`Gate`] of its own,
//! as each machine has, and the host sees one key. The clock must be paused (`tokio::time::pause`).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{StreamExt, future, stream};
use mbx::http::{Gate, Pace};
use tokio::time::{Instant, sleep};

/// How a host limits one key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// A bucket of so many tokens that is refilled by so many a second.
    Bucket { a_second: f64, holds: f64 },
    /// So many requests in each window of so many seconds; the first one has begun a share of its length before the
    /// start.
    Window { most: u32, seconds: f64, begun: f64 },
    /// So many requests in any so many seconds.
    Sliding { most: usize, seconds: f64 },
    /// No limit: a share of the requests is refused by chance, each with this wait in seconds.
    Chance { share: f64, wait: f64 },
    /// No limit: one request, the nth, is refused with this wait in seconds.
    Once { nth: u32, wait: f64 },
}

impl Rule {
    /// Returns the shortest time in seconds in which it lets so many requests through, when all goes well. Of refusals
    /// by chance it is the sum of their waits, since nothing else bounds it.
    pub(crate) fn bound(self, requests: u32) -> f64 {
        let requests = f64::from(requests);
        match self {
            Rule::Bucket { a_second, holds } => (requests - holds) / a_second,
            Rule::Window { most, seconds, .. } => requests / f64::from(most) * seconds,
            Rule::Sliding { most, seconds } => (requests - most as f64) / most as f64 * seconds,
            Rule::Chance { share, wait } => requests * share * wait,
            Rule::Once { wait, .. } => wait,
        }
    }
}

/// A host that keeps a rule.
pub(crate) struct Host {
    rule: Rule,
    random: fastrand::Rng,
    /// Tokens that are left, or requests in the window.
    left: f64,
    /// When it was last asked, in seconds; or which window that was in.
    last: f64,
    times: VecDeque<f64>,
    seen: u32,
}

impl Host {
    /// Returns a host that has not been asked yet.
    pub(crate) fn new(rule: Rule, seed: u64) -> Self {
        let left = if let Rule::Bucket { holds, .. } = rule { holds } else { 0.0 };
        Host { rule, random: fastrand::Rng::with_seed(!seed), left, last: 0.0, times: VecDeque::new(), seen: 0 }
    }

    /// Decides about a request that arrives so many seconds after the start: `None` when it is let through, else the
    /// wait in seconds that a Retry-After would name, which is whole.
    pub(crate) fn ask(&mut self, now: f64) -> Option<f64> {
        self.seen += 1;
        let whole = |wait: f64| Some(wait.ceil().max(1.0));
        match self.rule {
            Rule::Bucket { a_second, holds } => {
                self.left = holds.min(self.left + (now - self.last) * a_second);
                self.last = now;
                if self.left < 1.0 {
                    return whole((1.0 - self.left) / a_second);
                }
                self.left -= 1.0;
                None
            }
            Rule::Window { most, seconds, begun } => {
                let at = now / seconds + begun;
                if at.floor() > self.last {
                    (self.last, self.left) = (at.floor(), 0.0);
                }
                self.left += 1.0;
                if self.left > f64::from(most) { whole((1.0 - at.fract()) * seconds) } else { None }
            }
            Rule::Sliding { most, seconds } => {
                while self.times.front().is_some_and(|time| now - time >= seconds) {
                    self.times.pop_front();
                }
                if self.times.len() >= most {
                    return whole(seconds - (now - self.times[0]));
                }
                self.times.push_back(now);
                None
            }
            Rule::Chance { share, wait } => (self.random.f64() < share).then_some(wait),
            Rule::Once { nth, wait } => (self.seen == nth).then_some(wait),
        }
    }
}

/// What is sent, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// The account's pace, as the provider's spec has it.
    pub(crate) pace: Pace,
    /// How many machines share the key.
    pub(crate) machines: u64,
    /// How many requests they send together.
    pub(crate) requests: u32,
    /// How long an answer takes, in seconds.
    pub(crate) latency: f64,
    /// Whether a refusal names the wait.
    pub(crate) names_wait: bool,
    /// What the chances are drawn from.
    pub(crate) seed: u64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Run {
    /// How long it took, in seconds.
    pub(crate) took: f64,
    /// How many requests were refused.
    pub(crate) refused: u32,
    /// How many requests a machine sent before the wait was over that the host had named to it.
    pub(crate) early: u32,
}

/// Sends a load to a host until all of it was let through.
pub(crate) async fn run(load: Load, rule: Rule) -> Run {
    fastrand::seed(load.seed);
    let start = Instant::now();
    let host = RefCell::new(Host::new(rule, load.seed));
    let (refused, early) = (Cell::new(0), Cell::new(0));
    let machines = (0..load.machines).map(|machine| {
        let (host, refused, early) = (&host, &refused, &early);
        async move {
            let pace = load.pace.shared_by(load.machines);
            let gate = Gate::new(pace);
            let not_before = Cell::new(start);
            let request = || async {
                loop {
                    let turn = gate.pass().await.expect("no hold is beyond patience");
                    early.set(early.get() + u32::from(Instant::now() < not_before.get()));
                    let half = load.latency / 2.0 * (0.9 + 0.2 * fastrand::f64());
                    // It arrives after one half of the time, and the answer after the other. A sleep takes a millisecond
                    // at least.
                    wait(half).await;
                    let answer = host.borrow_mut().ask(start.elapsed().as_secs_f64());
                    wait(half).await;
                    let Some(wait) = answer else {
                        turn.accepted();
                        break;
                    };
                    refused.set(refused.get() + 1);
                    let wait = Duration::from_secs_f64(wait);
                    if load.names_wait {
                        not_before.set(not_before.get().max(Instant::now() + wait));
                    }
                    turn.refused(load.names_wait.then_some(wait));
                }
            };
            let (part, rest) = (u64::from(load.requests) / load.machines, u64::from(load.requests) % load.machines);
            let part = part + u64::from(machine < rest);
            // As many as a run has in hand, which is more than pass at once.
            stream::iter(0..part).map(|_| request()).buffer_unordered(pace.concurrency + 1).collect::<()>().await;
        }
    });
    future::join_all(machines).await;
    Run { took: start.elapsed().as_secs_f64(), refused: refused.get(), early: early.get() }
}

async fn wait(seconds: f64) {
    if seconds < 0.001 { tokio::task::yield_now().await } else { sleep(Duration::from_secs_f64(seconds)).await }
}
