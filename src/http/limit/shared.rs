//! The rate of one of several machines that share a key and know nothing of each other.
//!
//! This is CUBIC, the rule by which TCP connections share a line (RFC 9438), with rates in place of windows. The first
//! refusal ends the free start; from what was let through in the last second the rate doubles until the next refusal. From
//! then on each refusal lowers it, and it comes back quickly to where it was refused, stays about there for some seconds,
//! and then rises faster and faster, so that a machine that was unlucky at first finds its part soon. How fast it rises is
//! divided among the machines, so that many of them together press upon the limit no harder than a few.
//!
//! `examples/pace` compares such rules on many hosts.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{Limit, SECOND, pause_after};

/// What is left of the rate after a refusal (RFC 9438, section 4.6).
const DECREASE: f64 = 0.7;

/// How fast the rates of all machines together grow, in requests a second per cubic second (RFC 9438, section 5.1).
const GROWTH: f64 = 0.4;

/// The time in which the rate doubles between the first refusal and the second.
const TRIAL: Duration = Duration::from_millis(1500);

/// The lowest rate in requests a second, so that the limit is tried again within seconds.
const LEAST: f64 = 0.2;

/// A pause lasts up to so much longer than the host asks.
const SPREAD: Duration = Duration::from_millis(100);

/// How the rate goes on from the last refusal.
#[derive(Clone, Copy)]
enum Course {
    /// There was no refusal yet.
    Free,
    /// It doubles every [`TRIAL`], from so many requests a second.
    Trial(f64),
    /// It comes back to so many requests a second and goes beyond.
    Cubic(f64),
}

/// What one of several machines knows about the limit.
pub(super) struct Shared {
    growth: f64,
    course: Course,
    /// When the rate went on after the last refusal.
    since: Instant,
    /// When each request of the last second was let through, before the first refusal.
    accepted: VecDeque<Instant>,
    /// A refused request that was sent before this moment shows nothing new.
    round: Instant,
    was_refused: bool,
    /// How many refusals in a row came without a request that was let through.
    misses: u32,
}

impl Shared {
    pub(super) fn new(machines: u64, now: Instant) -> Self {
        Shared {
            growth: GROWTH / machines as f64,
            course: Course::Free,
            since: now,
            accepted: VecDeque::new(),
            round: now,
            was_refused: false,
            misses: 0,
        }
    }

    /// Returns the rate in requests a second.
    fn rate(&self, now: Instant) -> Option<f64> {
        let ran = now.saturating_duration_since(self.since).as_secs_f64();
        let rate = match self.course {
            Course::Free => return None,
            Course::Trial(start) => start * (ran / TRIAL.as_secs_f64()).exp2(),
            Course::Cubic(refused_at) => {
                let back = (refused_at * (1.0 - DECREASE) / self.growth).cbrt();
                refused_at + self.growth * (ran - back).powi(3)
            }
        };
        Some(rate.max(LEAST))
    }

    fn forget(&mut self, now: Instant) {
        while self.accepted.front().is_some_and(|time| now.saturating_duration_since(*time) >= SECOND) {
            self.accepted.pop_front();
        }
    }
}

impl Limit for Shared {
    fn interval(&self, now: Instant) -> Option<Duration> {
        self.rate(now).map(|rate| Duration::from_secs_f64(1.0 / rate))
    }

    fn pass(&mut self, now: Instant, _held: Instant) -> bool {
        let was_refused = std::mem::take(&mut self.was_refused);
        if was_refused {
            self.since = now;
        }
        was_refused
    }

    fn accept(&mut self, _sent: Instant, now: Instant) {
        self.misses = 0;
        if matches!(self.course, Course::Free) {
            self.forget(now);
            self.accepted.push_back(now);
        }
    }

    fn refuse(&mut self, sent: Instant, now: Instant) {
        if sent < self.round {
            return;
        }
        self.forget(now);
        self.course = match (self.course, self.rate(now)) {
            (Course::Free, _) | (_, None) => Course::Trial((DECREASE * self.accepted.len() as f64).max(LEAST)),
            // The trial runs beyond the limit before it is refused.
            (Course::Trial(_), Some(rate)) => Course::Cubic((DECREASE * rate).max(LEAST)),
            // Refused again before it had come back: this machine leaves some of its part to the others.
            (Course::Cubic(before), Some(rate)) if rate < before => Course::Cubic(rate * f64::midpoint(1.0, DECREASE)),
            (Course::Cubic(_), Some(rate)) => Course::Cubic(rate),
        };
        self.accepted = VecDeque::new();
        self.misses += u32::from(self.was_refused);
        self.was_refused = true;
        (self.since, self.round) = (now, now);
    }

    fn wait(&self) -> Duration {
        pause_after(self.misses)
    }

    fn spread(&self) -> Duration {
        SPREAD.mul_f64(fastrand::f64())
    }
}
