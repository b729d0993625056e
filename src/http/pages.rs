//! From "fetch one page" to one stream.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use async_stream::try_stream;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::error::{Error, Kind, Result};

/// Ten thousand pages: a million mailboxes at a hundred a page. More is a server that never ends.
const PAGES_MAX: u32 = 10_000;

/// A page-by-page answer as one stream. An error ends it.
pub type Listing<'a, T> = BoxStream<'a, Result<T>>;

/// One page of a list.
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Whether the provider says that there is more.
    pub more: bool,
}

/// Turns a page fetcher into a listing. Pages count from one. An item whose `key` was seen before is dropped, because
/// lists shift while they are read. A page without items is the last, since a total may count what a filter leaves out; one
/// that repeats items, claims more and brings nothing new is an error.
pub fn pages<'a, T, K, F, Fut>(key: impl Fn(&T) -> K + Send + 'a, fetch: F) -> Listing<'a, T>
where
    T: Send + 'a,
    K: Hash,
    F: Fn(u32) -> Fut + Send + 'a,
    Fut: Future<Output = Result<Page<T>>> + Send + 'a,
{
    try_stream! {
        let mut seen = HashSet::new();
        for number in 1..=PAGES_MAX {
            let page = fetch(number).await?;
            let mut new = 0;
            let empty = page.items.is_empty();
            for item in page.items {
                let mut hasher = DefaultHasher::new();
                key(&item).hash(&mut hasher);
                if seen.insert(hasher.finish()) {
                    new += 1;
                    yield item;
                }
            }
            if !page.more || empty {
                return;
            }
            if new == 0 {
                Err(Error::new(Kind::Provider, format!("the list does not advance: page {number} brings nothing new")))?;
            }
        }
        Err(Error::new(Kind::Provider, format!("the list has more than {PAGES_MAX} pages")))?;
    }
    .boxed()
}
