//! One gate per credential: how many requests may be in the air, how fast they may follow each other, and the pause
//! that everybody keeps after the provider asked for one.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::{Error, Kind, Result};

/// Two minutes: longer than any documented Retry-After, shorter than a coffee.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A day: as long as for ever to a program that lives for minutes, and no clock overflows.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// Nobody sends before this.
    hold: Mutex<Instant>,
    /// Whether nobody sends any more.
    is_closed: watch::Sender<bool>,
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
            hold: Mutex::new(now),
            is_closed: watch::Sender::new(false),
        }
    }

    /// Lets nobody pass any more, those who wait included. Who has passed goes on.
    pub fn close(&self) {
        self.is_closed.send_replace(true);
    }

    /// Waits so long before a repeat, or until the gate is closed.
    pub(super) async fn wait(self: Arc<Self>, time: Duration) {
        let mut closing = self.is_closed.subscribe();
        let _ = timeout(time, closing.wait_for(|is_closed| *is_closed)).await;
    }

    /// Waits for a slot and for this request's turn. The slot is held until the returned permit is dropped. Fails at
    /// once when the provider asked for a pause that is beyond patience, or when the gate is closed.
    pub async fn pass(&self) -> Result<SemaphorePermit<'_>> {
        let mut closing = self.is_closed.subscribe();
        tokio::select! {
            biased;
            _ = closing.wait_for(|is_closed| *is_closed) => Err(Error::new(Kind::Interrupted, "interrupted before it was sent")),
            passed = self.turn() => passed,
        }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let mut due = self.due.lock().await;
        // A hold may be set or moved while this request is waiting, and a turn is taken only by who really goes.
        loop {
            let (now, hold) = (Instant::now(), *self.hold());
            let pause = hold.saturating_duration_since(now);
            if pause > PATIENCE {
                let mut error = Error::new(Kind::RateLimited, "");
                error.retry_after = Some(pause);
                return Err(error);
            }
            let wait = pause.max(due.saturating_duration_since(now).saturating_sub(self.slack));
            if wait.is_zero() {
                *due = due.max(now) + self.interval;
                return Ok(slot);
            }
            sleep_until(now + wait).await;
        }
    }

    /// Lets nobody pass before `wait` is over.
    pub fn pause(&self, wait: Duration) {
        let mut hold = self.hold();
        *hold = (*hold).max(Instant::now() + wait.min(LONGEST_HOLD));
    }

    fn hold(&self) -> MutexGuard<'_, Instant> {
        self.hold.lock().expect("no code panics while it holds this lock")
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
    async fn a_closed_gate_sends_home_who_waits() {
        let gate = Arc::new(Gate::new(pace(4, Some(1), 1)));
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
}
