//! Estimates a host's rate limit from its refusals. Nothing is sent here and nothing waits; these modules only count.
//!
//! A machine that has a key to itself measures the limit. Machines that share a key, and know nothing of each other, each
//! look for their part of it.

mod alone;
mod shared;

use std::time::Duration;

use tokio::time::Instant;

use self::alone::Alone;
use self::shared::Shared;

const SECOND: Duration = Duration::from_secs(1);

/// What is known about a host's limit.
pub(super) trait Limit: Send {
    /// Returns the time between two requests that was learned, if there is any.
    fn interval(&self, now: Instant) -> Option<Duration>;

    /// Counts a request that is about to be sent; the last pause ended at `held`. Returns true for the first request after
    /// a refusal.
    fn pass(&mut self, now: Instant, held: Instant) -> bool;

    /// Takes note of a request that was sent at `sent` and let through.
    fn accept(&mut self, sent: Instant, now: Instant);

    /// Takes note of a request that was sent at `sent` and refused.
    fn refuse(&mut self, sent: Instant, now: Instant);

    /// Returns how long to pause after a refusal for which the host names no wait: one second, doubled as long as nothing
    /// is accepted.
    fn wait(&self) -> Duration;

    /// Returns how much longer than the host asks a pause lasts, so that machines that were refused together do not come
    /// back together.
    fn spread(&self) -> Duration;
}

/// Returns how long to pause when the host names no wait, and so many refusals before this one came without an accepted
/// request.
fn pause_after(misses: u32) -> Duration {
    SECOND * (1 << misses.min(6))
}

/// Returns what so many machines that share a key know about its limit at first, which is nothing.
pub(super) fn unknown(machines: u64, now: Instant) -> Box<dyn Limit> {
    if machines > 1 { Box::new(Shared::new(machines, now)) } else { Box::new(Alone::new(now)) }
}
