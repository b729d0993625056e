//! A list that is read while it arrives, so that a million mailboxes take the memory of a few.

use std::time::Duration;

use async_stream::try_stream;
use futures_util::FutureExt;
use hyper::body::Bytes;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::array::ITEM_MAX;
use super::call::BODY;
use super::verdict::Failed;
use super::{Call, Items, Listing};
use crate::error::Result;

/// The longest list, after unpacking: ten million mailboxes. More is a server that never ends.
const LIST_MAX: usize = 1 << 30;

/// How many items are passed on together: enough that passing them costs little, and few enough to stay in the cache.
const BATCH: usize = 128;

/// How long a list may keep us waiting in all, an array or pages: half an hour. A million mailboxes are some 150 MB, which
/// is 83 kB a second.
pub(super) const LIST_WAIT: Duration = Duration::from_secs(30 * 60);

/// What each [`BODY`] of waiting must bring at least, in items or in bytes: a hundred items or seven kilobytes a second
/// are slow, less is a drip.
const LEAST: Progress = Progress { items: 12_000, bytes: 768 << 10 };

/// One wait for the next bytes counts as no more than this. Between two looks at the connection whoever reads the list
/// may be busy, or stand still because its own reader does, and that is not the server's doing.
const WAIT: Duration = Duration::from_secs(1);

impl<'h> Call<'h> {
    /// Sends, and reads the answer, a JSON array, as it arrives. What is no array is read whole, and judged
    /// as every answer is. The request may be repeated until the first item is there, and never after that.
    pub fn stream<T: DeserializeOwned + Send + 'static>(self) -> Listing<'h, T> {
        Listing::new(try_stream! {
            // The slot is given back once the list flows: who reads it may send requests of its own meanwhile.
            let (ready, rest) = self.send(|call, response| call.open::<T>(response).boxed()).await?;
            yield ready;
            if let Some(mut list) = rest {
                loop {
                    let mut ready = Vec::with_capacity(BATCH);
                    let more = list.next(&self, &mut ready, BATCH).await;
                    // What came before something went wrong has come.
                    yield ready;
                    if !more.map_err(|failed| failed.error)? {
                        break;
                    }
                }
                tracing::debug!(target: "mbx::http", "< a list of {} items", list.items.count());
            }
        })
    }

    /// Reads an answer until its first item is there: returns that, and the list from which the others come.
    async fn open<T: DeserializeOwned>(&self, response: Response) -> Result<(Vec<T>, Option<List>), Failed> {
        let is_success = response.status().is_success();
        let mut list =
            List { response, items: Items::default(), waited: Duration::ZERO, size: 0, measured: Default::default() };
        let mut head = Vec::new();
        let is_array = loop {
            match head.iter().find(|byte: &&u8| !byte.is_ascii_whitespace()) {
                Some(byte) => break is_success && *byte == b'[',
                None if head.len() > ITEM_MAX => break false,
                None => {}
            }
            match list.piece(self).await? {
                Some(piece) => head.extend_from_slice(&piece),
                None => break false,
            }
        };
        if is_array {
            list.items.push(&head);
            let mut first = Vec::new();
            let more = list.next(self, &mut first, 1).await?;
            return Ok((first, more.then_some(list)));
        }
        let reply = self.whole(list.response, head).await?;
        Ok((reply.json()?, None))
    }
}

/// A list that is arriving.
struct List {
    response: Response,
    items: Items,
    /// How long the server has kept us waiting.
    waited: Duration,
    /// How many bytes have arrived.
    size: usize,
    /// When progress was measured last, in time waited, and what had arrived then.
    measured: (Duration, Progress),
}

/// What of a list has arrived.
#[derive(Clone, Copy, Default)]
struct Progress {
    items: u64,
    bytes: usize,
}

impl List {
    /// Reads what is there, or waits for it: `max` items at most, at least one. Returns false at the end of the list.
    async fn next<T: DeserializeOwned>(
        &mut self,
        call: &Call<'_>,
        ready: &mut Vec<T>,
        max: usize,
    ) -> Result<bool, Failed> {
        let status = self.response.status().as_u16();
        let unreadable = |words: String| {
            let Failed { error, repeat } = call.unreadable_answer(words);
            Failed { error: error.http_status(status), repeat }
        };
        loop {
            while ready.len() < max
                && let Some(item) = self.items.read().map_err(unreadable)?
            {
                ready.push(item);
            }
            if !ready.is_empty() {
                return Ok(true);
            }
            match self.piece(call).await? {
                Some(piece) => self.items.push(&piece),
                None => return self.items.end().map(|()| false).map_err(unreadable),
            }
        }
    }

    /// Returns the next bytes, whatever their number.
    async fn piece(&mut self, call: &Call<'_>) -> Result<Option<Bytes>, Failed> {
        while self.is_fast_enough() {
            let began = Instant::now();
            let piece = timeout(WAIT, self.response.chunk()).await;
            self.waited += began.elapsed().min(WAIT);
            if let Ok(piece) = piece {
                let piece = piece.map_err(|error| call.lost(error))?;
                self.size += piece.as_ref().map_or(0, Bytes::len);
                if self.size > LIST_MAX {
                    return Err(call.unreadable_answer(format!("the list is longer than {} MiB", LIST_MAX >> 20)));
                }
                return Ok(piece);
            }
        }
        let (count, waited) = (self.items.count(), self.waited);
        Err(call
            .error_after_send(format!("the list was not complete after {waited:.0?} of waiting; {count} items came")))
    }

    /// Returns whether the list may keep us waiting any longer.
    fn is_fast_enough(&mut self) -> bool {
        let (at, before) = self.measured;
        if self.waited >= at + BODY {
            let now = Progress { items: self.items.count(), bytes: self.size };
            if now.items - before.items < LEAST.items && now.bytes - before.bytes < LEAST.bytes {
                return false;
            }
            self.measured = (self.waited, now);
        }
        self.waited < LIST_WAIT
    }
}
