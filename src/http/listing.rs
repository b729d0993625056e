//! A list on its way from the wire to the output.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use crate::error::{Error, Result};

/// A list as it arrives. An error ends it.
///
/// It is a stream of items for whoever looks at them one by one. Inside they travel in batches, as they came: a million
/// items that pass through half a dozen streams one by one spend most of their time on the way.
pub struct Listing<'a, T> {
    batches: BoxStream<'a, Result<Vec<T>>>,
    /// What of the last batch was not asked for yet.
    ready: vec::IntoIter<T>,
}

impl<'a, T: Send + 'a> Listing<'a, T> {
    /// Makes a list of batches; one may be empty.
    pub fn new(batches: impl Stream<Item = Result<Vec<T>>> + Send + 'a) -> Self {
        Listing { batches: batches.boxed(), ready: Vec::new().into_iter() }
    }

    /// Makes a list of what comes all at once.
    pub fn once(items: impl Future<Output = Result<Vec<T>>> + Send + 'a) -> Self {
        Listing::new(stream::once(items))
    }

    /// Makes a list of single items.
    pub fn items(items: impl Stream<Item = Result<T>> + Send + 'a) -> Self {
        Listing::new(items.map_ok(|item| Vec::from([item])))
    }

    /// Turns each item into something else.
    pub fn map_ok<U: Send + 'a>(self, mut map: impl FnMut(T) -> U + Send + 'a) -> Listing<'a, U> {
        Listing::new(self.into_batches().map_ok(move |batch| batch.into_iter().map(&mut map).collect()))
    }

    /// Turns the error that ends the list into another.
    pub fn map_err(self, map: impl FnMut(Error) -> Error + Send + 'a) -> Self {
        Listing::new(self.into_batches().map_err(map))
    }

    /// Leaves out the items that `keep` is false of.
    pub fn keep(self, mut keep: impl FnMut(&T) -> bool + Send + 'a) -> Self {
        Listing::new(self.into_batches().map_ok(move |mut batch| {
            batch.retain(&mut keep);
            batch
        }))
    }

    /// Returns the items as they came, any number together.
    pub fn into_batches(self) -> BoxStream<'a, Result<Vec<T>>> {
        match self.ready.as_slice() {
            [] => self.batches,
            _ => stream::once(async { Ok(self.ready.collect()) }).chain(self.batches).boxed(),
        }
    }
}

/// Nothing in it points into itself, whatever its items are.
impl<T> Unpin for Listing<'_, T> {}

impl<T> Stream for Listing<'_, T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        loop {
            if let Some(item) = self.ready.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(self.batches.poll_next_unpin(context)) {
                Some(Ok(batch)) => self.ready = batch.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}
