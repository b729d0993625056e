//! From "fetch one page" to one stream.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use async_stream::try_stream;
use tokio::task::JoinSet;

use super::Listing;
use crate::error::{Error, Kind, Result};

/// A hundred thousand pages: more than two million mailboxes at the smallest page that is asked for. More is a server
/// that never ends.
const PAGES_MAX: u32 = 100_000;

/// One page of a list.
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Whether the provider says that there is more.
    pub more: bool,
    /// How many items, or pages, the provider counts in all. `None`: it does not say.
    pub total: Option<u64>,
}

/// Turns a page fetcher into a listing. Pages count from one, and the next one is on its way while a page is looked at.
///
/// Lists shift while they are read. An item whose `key` was seen before is dropped; when the total moves, something may
/// have slipped from one page to another unseen, and the list is read once more for what is new. A page without items is
/// the last, since a total may count what a filter leaves out; one that claims more and does not advance is an error.
pub fn pages<'a, S, T, K, F, Fut>(source: &S, key: impl Fn(&T) -> K + Send + 'a, fetch: F) -> Listing<'a, T>
where
    S: Clone + Send + 'static,
    T: Send + 'static,
    K: Hash,
    F: Fn(S, u32) -> Fut + Send + 'a,
    Fut: Future<Output = Result<Page<T>>> + Send + 'static,
{
    let source = source.clone();
    Listing::new(try_stream! {
        let mut seen = Seen::default();
        // A task of its own: a request that only its reader drives would keep its slot from whatever the reader sends.
        let mut ahead = JoinSet::new();
        for is_first_pass in [true, false] {
            let (mut total, mut has_moved, mut last) = (None, false, None);
            ahead.spawn(fetch(source.clone(), 1));
            for number in 1.. {
                let page = ahead.join_next().await.expect("a page is under way").map_err(|_| {
                    Error::new(Kind::Internal, format!("page {number} was given up"))
                })??;
                has_moved |= total.is_some_and(|before| page.total.is_some_and(|now| now != before));
                total = page.total.or(total);
                let goes_on = page.more && !page.items.is_empty();
                let hashes: Vec<u64> = page.items.iter().map(|item| hash(&key(item))).collect();
                let all = page.items.into_iter().zip(&hashes);
                let new: Vec<T> = all.filter_map(|(item, hash)| seen.insert(*hash).then_some(item)).collect();
                // The second time nothing new is no surprise, but the same page again is.
                if goes_on && (is_first_pass && new.is_empty() || last.as_ref() == Some(&hashes)) {
                    let words = format!("the list does not advance: page {number} brings nothing new");
                    Err(Error::new(Kind::Provider, words))?;
                }
                if goes_on && number == PAGES_MAX {
                    Err(Error::new(Kind::Provider, format!("the list has more than {PAGES_MAX} pages")))?;
                }
                last = Some(hashes);
                if goes_on {
                    ahead.spawn(fetch(source.clone(), number + 1));
                }
                yield new;
                if !goes_on {
                    break;
                }
            }
            if !has_moved {
                return;
            }
        }
    })
}

fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// What was seen, as hashes: two of a million are the same by chance once in tens of millions of lists.
///
/// Many short sorted lists take about nine bytes an item and grow a little at a time. A hash set takes up to eighteen,
/// and half as much again while it grows.
struct Seen(Vec<Vec<u64>>);

impl Default for Seen {
    fn default() -> Self {
        Seen(vec![Vec::new(); 1024])
    }
}

impl Seen {
    /// Returns whether the hash was not there before.
    fn insert(&mut self, hash: u64) -> bool {
        let count = self.0.len() as u64;
        let list = &mut self.0[(hash % count) as usize];
        match list.binary_search(&hash) {
            Ok(_) => false,
            Err(at) => {
                list.insert(at, hash);
                true
            }
        }
    }
}
