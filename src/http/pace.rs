//! One gate per credential. It limits how many requests run in parallel and how fast they follow each other, holds all of
//! them back when the provider asks for a pause, and counts how many repeats a run may still send.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::limit::{self, Limit};
use crate::error::{Error, Kind, Result};
use crate::lock::held;

/// The longest pause that we wait for: two minutes, longer than any documented Retry-After.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// The longest pause that is kept in mind: a day. No program runs that long, and no clock overflows.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// How far a learned rate may catch up when it is behind: timers fire a little late, and that must not lower the rate.
const CATCH_UP: Duration = Duration::from_millis(50);

/// How many repeats a run may send at first: three for each of 32 parallel requests when a host fails for a moment, and
/// more than any single command needs.
const RESERVE: u32 = 100;

/// How many repeats a long run may save up: a bulk run collects some thousand lost answers before it settles them.
const STORE: u32 = 5000;

/// How many first attempts earn one repeat: a host that fails all the time gets a fifth more requests, not four times as
/// many.
const EARN: u32 = 5;

/// The longest time between two requests at a steady rate, so that no sum of times is too large for a clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How fast requests may be sent to a provider, and how long its answers may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Parallel requests.
    pub concurrency: usize,
    /// Requests a minute; `None`: no limit is known.
    pub per_minute: Option<f64>,
    /// How many of them may be sent without a pause between them.
    pub burst: u32,
    /// How long to wait for the first byte of the answer to a read.
    pub read: Duration,
    /// How long to wait for the first byte of the answer to a write.
    pub write: Duration,
    /// How long to wait between looks while something is being set up; doubled each time up to sixteenfold.
    pub poll: Duration,
    /// How many machines use the credential at the same time and know nothing of each other; the rest is the part of each.
    pub machines: u64,
}

impl Pace {
    /// Returns the part of it that each of `machines` may take which use one credential at the same time, so that they
    /// keep to it together without knowing of each other.
    pub fn shared_by(self, machines: u64) -> Self {
        let part = |whole: u64| (whole / machines.max(1)).max(1);
        Pace {
            concurrency: usize::try_from(part(self.concurrency as u64)).unwrap_or(self.concurrency),
            per_minute: self.per_minute.map(|rate| rate / machines.max(1) as f64),
            burst: u32::try_from(part(self.burst.into())).unwrap_or(self.burst),
            machines: machines.max(1),
            ..self
        }
    }

    /// Returns the time between two requests at the steady rate.
    fn interval(&self) -> Duration {
        let seconds = self.per_minute.map_or(0.0, |rate| 60.0 / rate);
        Duration::try_from_secs_f64(seconds).map_or(LONGEST, |interval| interval.min(LONGEST))
    }
}

/// The gate that every request of one credential passes through.
pub struct Gate {
    slots: Semaphore,
    /// Time between two requests at the steady rate.
    interval: Duration,
    /// How far ahead of the steady rate a burst may run.
    slack: Duration,
    /// When the next request is due at the steady rate. The request that holds the lock is next; the others queue for it.
    due: tokio::sync::Mutex<Instant>,
    state: Mutex<State>,
    /// Whether no more requests are admitted.
    is_closed: watch::Sender<bool>,
}

struct State {
    /// No request is sent before this moment.
    hold: Instant,
    limit: Box<dyn Limit>,
    /// Repeats that are left, times [`EARN`].
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
        let interval = pace.interval();
        let now = Instant::now();
        Gate {
            slots: Semaphore::new(pace.concurrency.max(1)),
            interval,
            slack: interval * pace.burst.saturating_sub(1),
            due: tokio::sync::Mutex::new(now),
            state: Mutex::new(State { hold: now, limit: limit::unknown(pace.machines, now), repeats: RESERVE * EARN }),
            is_closed: watch::Sender::new(false),
        }
    }

    /// Admits no more requests, queued ones included; requests already sent continue.
    pub fn close(&self) {
        self.is_closed.send_replace(true);
    }

    /// Admits requests again.
    pub fn open(&self) {
        self.is_closed.send_replace(false);
    }

    /// Waits this long before a repeat, or until the gate is closed.
    pub(super) async fn wait(self: Arc<Self>, time: Duration) {
        let mut closing = self.is_closed.subscribe();
        let _ = timeout(time, closing.wait_for(|is_closed| *is_closed)).await;
    }

    /// Waits for a slot and for this request's turn. Fails at once when the provider asked for a pause longer than
    /// two minutes, or when the gate is closed.
    pub async fn pass(&self) -> Result<Turn<'_>> {
        let mut closing = self.is_closed.subscribe();
        tokio::select! {
            biased;
            _ = closing.wait_for(|is_closed| *is_closed) => {
                Err(Error::new(Kind::Interrupted, "interrupted before it was sent"))
            }
            passed = self.turn() => passed,
        }
    }

    async fn turn(&self) -> Result<Turn<'_>> {
        let slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let mut due = self.due.lock().await;
        // A pause may begin or grow while this request waits, and only a request that is really sent takes a turn.
        loop {
            let now = Instant::now();
            let until = {
                let mut state = self.state();
                let pause = state.hold.saturating_duration_since(now);
                if pause > PATIENCE {
                    return Err(Error::general(Kind::RateLimited).retry_after(Some(pause)));
                }
                let (_, slack) = self.steady(&*state.limit, now);
                let wait = pause.max(due.saturating_duration_since(now).saturating_sub(slack));
                if wait.is_zero() {
                    let held = state.hold;
                    let is_afresh = state.limit.pass(now, held);
                    let (interval, slack) = self.steady(&*state.limit, now);
                    // No burst after a refusal: it would exceed the limit again.
                    let earliest = if is_afresh { now + slack } else { now };
                    *due = due.max(earliest) + interval;
                    return Ok(Turn { gate: self, sent: now, _slot: slot });
                }
                now + wait
            };
            sleep_until(until).await;
        }
    }

    /// Admits no request before `wait` is over.
    pub fn pause(&self, wait: Duration) {
        let mut state = self.state();
        state.hold = state.hold.max(Instant::now() + wait.min(LONGEST_HOLD));
    }

    /// Counts a request that is sent for the first time: [`EARN`] of them earn one repeat.
    pub(super) fn earn_repeat(&self) {
        let mut state = self.state();
        state.repeats = (state.repeats + 1).min(STORE * EARN);
    }

    /// Takes one of the repeats that this run has left; false when there is none.
    pub fn may_repeat(&self) -> bool {
        let mut state = self.state();
        let left = state.repeats.checked_sub(EARN);
        state.repeats = left.unwrap_or(state.repeats);
        left.is_some()
    }

    /// Returns the time between two requests, and how far ahead of it a burst may run. The learned rate counts if it is
    /// slower than the configured one.
    fn steady(&self, limit: &dyn Limit, now: Instant) -> (Duration, Duration) {
        match limit.interval(now) {
            Some(learned) if self.interval.is_zero() => (learned, CATCH_UP),
            Some(learned) if learned > self.interval => (learned, CATCH_UP.min(self.slack)),
            _ => (self.interval, self.slack),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        held(&self.state)
    }
}

impl Turn<'_> {
    /// Records that the host let this request through.
    pub fn accepted(&self) {
        self.gate.state().limit.accept(self.sent, Instant::now());
    }

    /// Records that the host refused this request as one too many. No request is admitted before `wait` is over; where
    /// the host names no wait, before one second is over, longer each time. After that they follow each other more slowly.
    pub fn refused(&self, wait: Option<Duration>) {
        let mut state = self.gate.state();
        state.limit.refuse(self.sent, Instant::now());
        let wait = wait.filter(|wait| !wait.is_zero()).unwrap_or_else(|| state.limit.wait());
        let wait = wait.saturating_add(state.limit.spread());
        drop(state);
        self.gate.pause(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(concurrency: usize, per_minute: Option<f64>, burst: u32) -> Pace {
        let second = Duration::from_secs(1);
        Pace { concurrency, per_minute, burst, read: second, write: second, poll: second, machines: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let gate = Gate::new(pace(1, Some(20.0), 5));
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

    #[test]
    fn machines_that_share_a_credential_keep_to_its_pace_together() {
        let shared = |machines| {
            let shared = pace(8, Some(120.0), 10).shared_by(machines);
            (shared.concurrency, shared.burst, shared.interval().as_millis())
        };
        assert_eq!(shared(1), (8, 10, 500));
        assert_eq!(shared(4), (2, 2, 2000), "what is left of a division is given to nobody");
        assert_eq!(shared(16), (1, 1, 8000), "each sends one at a time, and less often");
        assert_eq!(shared(u64::MAX), (1, 1, LONGEST.as_millis()));
        let unlimited = pace(8, None, 1).shared_by(4);
        assert_eq!((unlimited.per_minute, unlimited.interval()), (None, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_queued_requests_back_and_the_rate_is_kept_after_it() {
        let gate = Gate::new(pace(4, Some(60.0), 2));
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
    async fn a_request_that_gives_up_takes_no_turn() {
        let gate = Gate::new(pace(4, Some(1.0), 1));
        let start = Instant::now();
        drop(gate.pass().await);
        for _ in 0..3 {
            tokio::time::timeout(Duration::from_secs(1), gate.pass()).await.map(drop).expect_err("it is not its turn");
        }
        drop(gate.pass().await);
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_refuses_queued_requests() {
        let gate = Arc::new(Gate::new(pace(4, Some(1.0), 1)));
        let start = Instant::now();
        let slot = gate.pass().await.expect("it is the first");
        let close = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            gate.close();
        };
        let (passed, (), ()) = tokio::join!(gate.pass(), close, gate.clone().wait(Duration::from_secs(8)));
        assert_eq!(passed.map(drop).map_err(|error| error.kind), Err(Kind::Interrupted));
        assert_eq!(start.elapsed().as_secs(), 2);
        drop(slot);
        assert!(gate.pass().await.is_err());
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

    #[test]
    fn repeats_are_a_reserve_and_a_share_of_the_first_attempts() {
        let gate = Gate::new(pace(1, None, 1));
        let left = |gate: &Gate| (0..).take_while(|_| gate.may_repeat()).count();
        assert_eq!(left(&gate), RESERVE as usize);
        for _ in 0..10 * EARN {
            gate.earn_repeat();
        }
        assert_eq!(left(&gate), 10);
        // What was earned long ago is no licence to hammer a host that breaks down now.
        for _ in 0..2 * STORE * EARN {
            gate.earn_repeat();
        }
        assert_eq!(left(&gate), STORE as usize);
    }
}
