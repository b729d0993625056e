//! One gate per credential: how many requests may be in the air, how fast they may follow each other, and the pause
//! that everybody keeps after the provider asked for one.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::provider::Pace;

/// The gate that every request of one credential passes.
pub struct Gate {
    slots: Semaphore,
    /// Time between two requests at the steady rate.
    interval: Duration,
    /// How far ahead of the steady rate a burst may run.
    slack: Duration,
    clock: Mutex<Clock>,
}

struct Clock {
    /// When the next request would be due at the steady rate.
    due: Instant,
    /// Nobody sends before this.
    hold: Instant,
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
            clock: Mutex::new(Clock { due: now, hold: now }),
        }
    }

    /// Waits for a slot and for this request's turn. The slot is held until the returned permit is dropped.
    pub async fn pass(&self) -> SemaphorePermit<'_> {
        let slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let turn = {
            let mut clock = self.lock();
            let due = clock.due.max(Instant::now());
            clock.due = due + self.interval;
            due.checked_sub(self.slack).unwrap_or(due)
        };
        sleep_until(turn).await;
        // A hold may have been set or moved while this request was waiting.
        loop {
            let hold = self.lock().hold;
            if hold <= Instant::now() {
                return slot;
            }
            sleep_until(hold).await;
        }
    }

    /// Lets nobody pass before `wait` is over.
    pub fn hold(&self, wait: Duration) {
        let mut clock = self.lock();
        clock.hold = clock.hold.max(Instant::now() + wait);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Clock> {
        self.clock.lock().expect("no code panics while it holds this lock")
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
    async fn a_hold_stops_those_who_already_wait() {
        let gate = std::sync::Arc::new(Gate::new(pace(4, Some(60), 1)));
        let start = Instant::now();
        drop(gate.pass().await);
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move {
                drop(gate.pass().await);
                Instant::now()
            }
        });
        tokio::task::yield_now().await;
        gate.hold(Duration::from_secs(30));
        assert_eq!((waiting.await.expect("no panic") - start).as_secs(), 30);
    }
}
