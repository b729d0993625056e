//! A list that is read while it arrives, so that a million mailboxes take the memory of one.

use std::time::Duration;

use async_stream::try_stream;
use futures_util::{FutureExt, StreamExt};
use hyper::body::Bytes;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::array::ITEM_MAX;
use super::call::BODY;
use super::{Call, Items, Listing};
use crate::error::Result;

/// The longest list, after unpacking: ten million mailboxes. More is a server that never ends.
const LIST_MAX: usize = 1 << 30;

/// How much longer than [`BODY`] a list may keep us waiting for each item it has brought: a hundred items a second are
/// slow, less is a drip.
const ITEM_WAIT: Duration = Duration::from_millis(10);

/// One wait for the next bytes counts as no more than this. Between two looks at the connection whoever reads the list
/// may be busy, or stand still because its own reader does, and that is not the server's doing.
const WAIT: Duration = Duration::from_secs(1);

impl<'h> Call<'h> {
    /// Sends, and reads the answer, a JSON array, item by item as it arrives. What is no array is read whole, and judged
    /// as every answer is. The request may be repeated until the first item is there, and never after that.
    pub fn stream<T: DeserializeOwned + Send + 'static>(self) -> Listing<'h, T> {
        try_stream! {
            // The slot is given back once the list flows: who reads it may send requests of its own meanwhile.
            let (ready, rest) = self.send(|call, response| call.open::<T>(response).boxed()).await?;
            for item in ready {
                yield item;
            }
            if let Some(mut list) = rest {
                while let Some(item) = list.next(&self).await? {
                    yield item;
                }
                tracing::debug!(target: "mbx::http", "< a list of {} items", list.items.count());
            }
        }
        .boxed()
    }

    /// Reads an answer until its first item is there: returns that, and the list from which the others come.
    async fn open<T: DeserializeOwned>(&self, response: Response) -> Result<(Vec<T>, Option<List>)> {
        let is_success = response.status().is_success();
        let mut list = List { response, items: Items::default(), waited: Duration::ZERO, size: 0 };
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
            let first = list.next(self).await?;
            return Ok((first.into_iter().collect(), Some(list)));
        }
        Ok((self.whole(list.response, head).await?.json()?, None))
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
}

impl List {
    async fn next<T: DeserializeOwned>(&mut self, call: &Call<'_>) -> Result<Option<T>> {
        let status = self.response.status().as_u16();
        let odd = |words: String| {
            let mut error = call.odd(words);
            error.http_status = Some(status);
            error
        };
        loop {
            if let Some(item) = self.items.next().map_err(odd)? {
                let item = serde_json::from_slice(item);
                return item
                    .map(Some)
                    .map_err(|_| odd(format!("(item {} of the list cannot be read)", self.items.count())));
            }
            match self.piece(call).await? {
                Some(piece) => self.items.push(&piece),
                None => return self.items.end().map(|()| None).map_err(odd),
            }
        }
    }

    /// Returns the next bytes, whatever their number.
    async fn piece(&mut self, call: &Call<'_>) -> Result<Option<Bytes>> {
        let patience = BODY + ITEM_WAIT.saturating_mul(u32::try_from(self.items.count()).unwrap_or(u32::MAX));
        while self.waited < patience {
            let began = Instant::now();
            let piece = timeout(WAIT, self.response.chunk()).await;
            self.waited += began.elapsed().min(WAIT);
            if let Ok(piece) = piece {
                let piece = piece.map_err(|error| call.lost(error))?;
                self.size += piece.as_ref().map_or(0, Bytes::len);
                if self.size > LIST_MAX {
                    return Err(call.odd(format!("the list is longer than {} MiB", LIST_MAX >> 20)));
                }
                return Ok(piece);
            }
        }
        Err(call.maybe_done(format!("the list was not complete after {patience:?} of waiting")))
    }
}
