//! Time that passes as fast as nothing else happens: work runs on a paused clock, which jumps to the next timer once no
//! request, answer or line of the journal is under way any more.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mbx::bulk::journal::Journal;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// So many turns of the runtime without any progress show that a request and its answer are through: each takes about
/// six, of which the sockets of this machine need one or two.
const QUIET: u32 = 24;

/// Longer than anything that a run waits for at once.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// So many turns are far more than the requests of a run take.
const BUSY: u32 = 5_000;

/// A run that takes longer than this does not end.
const END: Duration = Duration::from_secs(30 * 24 * 3600);

/// Looks on while work is done.
pub(super) trait Watcher {
    /// Called at each turn; false ends the work as a kill does.
    fn turn(&mut self) -> bool;

    /// Called when everything that was written to the journal is on the disk.
    fn on_disk(&mut self);
}

/// Works on a run to its end; `None` if the watcher kills it before.
pub(super) async fn drive<T>(
    work: impl Future<Output = T>,
    journal: &Journal,
    watcher: &mut impl Watcher,
) -> Option<T> {
    let polls = Cell::new(0_u64);
    let mut work = pin!(work);
    let mut works = FuturesUnordered::new();
    // Polled only when it was woken, which is what shows progress.
    works.push(poll_fn(|context| {
        polls.set(polls.get() + 1);
        work.as_mut().poll(context)
    }));
    let began = Instant::now();
    loop {
        let (mut quiet, mut turns) = (0, 0);
        while quiet < QUIET {
            let before = polls.get();
            if let Poll::Ready(Some(done)) = poll!(works.next()) {
                return Some(done);
            }
            if !watcher.turn() {
                return None;
            }
            quiet = if polls.get() == before { quiet + 1 } else { 0 };
            turns += 1;
            assert!(turns < BUSY, "the run is busy without waiting for anything");
            yield_now().await;
        }
        // The writer of the journal waits for a tenth of a second of real time. Nothing waits that long when time jumps.
        let before = polls.get();
        let mut commit = pin!(journal.commit());
        while poll!(commit.as_mut()).is_pending() {
            if let Poll::Ready(Some(done)) = poll!(works.next()) {
                return Some(done);
            }
            yield_now().await;
        }
        watcher.on_disk();
        if polls.get() != before {
            continue;
        }
        assert!(began.elapsed() < END, "the run does not end");
        let mut longest = pin!(sleep(LONG));
        let done = poll_fn(|context| match works.poll_next_unpin(context) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending if polls.get() != before => Poll::Ready(None),
            Poll::Pending => longest.as_mut().poll(context).map(|()| None),
        });
        if let Some(done) = done.await {
            return Some(done);
        }
    }
}
