//! One gate per credential: how many requests may be in the air, how fast they may follow each other, the pause that
//! everybody keeps after the provider asked for one, and how many repeats a run may send.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::limit::Limit;
use crate::error::{Error, Kind, Result};

/// Two minutes: longer than any documented Retry-After, shorter than a coffee.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A day: as long as for ever to a program that lives for minutes, and no clock overflows.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// How far a learned rate may be behind and catch up: timers are a little late, and a rate is not to suffer by that.
const CATCH_UP: Duration = Duration::from_millis(50);

/// How many repeats a run may send at first, and at most in store: three for each of 32 requests that were in the air
/// when a host broke down for a moment, and more than any single command needs.
const RESERVE: u32 = 100;

/// So many first attempts add one repeat to the store: a host that fails all the time is asked a fifth more, not four
/// times as much.
const EARN: u32 = 5;

/// How fast a provider may be asked, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Requests in the air at the same time.
    pub concurrency: usize,
    /// Requests a minute; `None`: no limit is known.
    pub per_minute: Option<u32>,
    /// How many of them may follow each other without a pause.
    pub burst: u32,
    /// How long a read may take to begin its answer.
    pub read: Duration,
    /// How long a write may take to begin its answer.
    pub write: Duration,
    /// How long to wait between looks while something is being set up; doubled each time up to sixteenfold.
    pub poll: Duration,
}

/// The gate that every request of one credential passes.
pub struct Gate {
    slots: Semaphore,
    /// Time between two requests at the steady rate.
    interval: Duration,
    /// How far ahead of the steady rate a burst may run.
    slack: Duration,
    /// When the next request is due at the steady rate. Who holds the lock is next, the others queue for it.
    due: tokio::sync::Mutex<Instant>,
    state: Mutex<State>,
}

struct State {
    /// Nobody sends before this.
    hold: Instant,
    limit: Limit,
    /// Repeats in store, times [`EARN`].
    repeats: u32,
}

/// A request that has passed the gate. It holds its slot until it is dropped.
pub struct Turn<'g> {
    gate: &'g Gate,
    sent: Instant,
    _slot: SemaphorePermit<'g>,
}

impl Gate {
    /// Builds the gate for a pace.
    pub fn new(pace: Pace) -> Self {
        let interval = pace.per_minute.map_or(Duration::ZERO, |n| Duration::from_secs(60) / n.max(1));
        let now = Instant::now();
        Gate {
            slots: Semaphore::new(pace.concurrency.max(1)),
            interval,
            slack: interval * pace.burst.saturating_sub(1),
            due: tokio::sync::Mutex::new(now),
            state: Mutex::new(State { hold: now, limit: Limit::new(now), repeats: RESERVE * EARN }),
        }
    }

    /// Waits for a slot and for this request's turn. Fails at once when the provider asked for a pause that is beyond
    /// patience.
    pub async fn pass(&self) -> Result<Turn<'_>> {
        let slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let mut due = self.due.lock().await;
        // A hold may be set or moved while this request is waiting, and a turn is taken only by who really goes.
        loop {
            let now = Instant::now();
            let until = {
                let mut state = self.state();
                let pause = state.hold.saturating_duration_since(now);
                if pause > PATIENCE {
                    let mut error = Error::new(Kind::RateLimited, "");
                    error.retry_after = Some(pause);
                    return Err(error);
                }
                let (_, slack) = self.steady(&state.limit, now);
                let wait = pause.max(due.saturating_duration_since(now).saturating_sub(slack));
                if wait.is_zero() {
                    let is_afresh = state.limit.pass(now);
                    let (interval, slack) = self.steady(&state.limit, now);
                    // No burst after a refusal: what is over the limit by five is over it.
                    let earliest = if is_afresh { now + slack } else { now };
                    *due = due.max(earliest) + interval;
                    return Ok(Turn { gate: self, sent: now, _slot: slot });
                }
                now + wait
            };
            sleep_until(until).await;
        }
    }

    /// Lets nobody pass before `wait` is over.
    pub fn pause(&self, wait: Duration) {
        let mut state = self.state();
        state.hold = state.hold.max(Instant::now() + wait.min(LONGEST_HOLD));
    }

    /// Counts a request that is sent for the first time, of which so many allow a repeat.
    pub(super) fn earn_repeat(&self) {
        let mut state = self.state();
        state.repeats = (state.repeats + 1).min(RESERVE * EARN);
    }

    /// Takes one of the repeats that are left to this run; false when there is none.
    pub fn may_repeat(&self) -> bool {
        let mut state = self.state();
        let left = state.repeats.checked_sub(EARN);
        state.repeats = left.unwrap_or(state.repeats);
        left.is_some()
    }

    /// Returns the time between two requests, and how far ahead of it a burst may run: as learned if that is slower
    /// than what is configured.
    fn steady(&self, limit: &Limit, now: Instant) -> (Duration, Duration) {
        match limit.interval(now) {
            Some(learned) if self.interval.is_zero() => (learned, CATCH_UP),
            Some(learned) if learned > self.interval => (learned, CATCH_UP.min(self.slack)),
            _ => (self.interval, self.slack),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }
}

impl Turn<'_> {
    /// Says that the host refused this request as one too many. Nobody passes before `wait` is over, or before a second
    /// is, longer each time, when the host does not say; and then slower than before.
    pub fn refused(&self, wait: Option<Duration>) {
        let mut state = self.gate.state();
        state.limit.refuse(self.sent, Instant::now());
        let wait = wait.filter(|wait| !wait.is_zero()).unwrap_or_else(|| state.limit.wait());
        drop(state);
        self.gate.pause(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(concurrency: usize, per_minute: Option<u32>, burst: u32) -> Pace {
        let second = Duration::from_secs(1);
        Pace { concurrency, per_minute, burst, read: second, write: second, poll: second }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let gate = Gate::new(pace(1, Some(20), 5));
        let start = Instant::now();
        for _ in 0..5 {
            drop(gate.pass().await);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(gate.pass().await);
        assert_eq!(start.elapsed().as_secs(), 3);
        drop(gate.pass().await);
        assert_eq!(start.elapsed().as_secs(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_stops_those_who_already_wait_and_the_rate_holds_after_it() {
        let gate = Gate::new(pace(4, Some(60), 2));
        let start = Instant::now();
        let passes = futures_util::future::join_all((0..6).map(|_| async {
            drop(gate.pass().await);
            start.elapsed().as_secs()
        }));
        let pause = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            gate.pause(Duration::from_secs(30));
            gate.pause(Duration::from_secs(10));
        };
        let (passed, ()) = tokio::join!(passes, pause);
        assert_eq!(passed, [0, 0, 1, 31, 31, 32]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_takes_no_turn() {
        let gate = Gate::new(pace(4, Some(1), 1));
        let start = Instant::now();
        drop(gate.pass().await);
        for _ in 0..3 {
            tokio::time::timeout(Duration::from_secs(1), gate.pass()).await.map(drop).expect_err("it is not its turn");
        }
        drop(gate.pass().await);
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_beyond_patience_is_an_error_for_all() {
        let gate = Gate::new(pace(4, None, 1));
        gate.pause(Duration::MAX);
        for _ in 0..2 {
            let error = gate.pass().await.map(drop).expect_err("nobody waits for that");
            assert_eq!((error.kind, error.retry_after), (Kind::RateLimited, Some(LONGEST_HOLD)));
        }
    }
}
