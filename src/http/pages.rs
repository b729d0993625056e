//! From "fetch one page" to one stream.

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use async_stream::try_stream;
use tokio::task::JoinSet;

use super::Listing;
use super::stream::LIST_WAIT;
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
    /// What the provider counts in all. `None`: it does not say.
    pub total: Option<Total>,
}

/// What a provider counts in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Total {
    /// Items.
    Items(u64),
    /// Pages.
    Pages(u64),
}

tokio::task_local! {
    /// How long the server has kept the requests for this page waiting.
    static WAITED: Cell<Duration>;
}

/// Counts the time that a server took for a request, if it was made for a page.
pub(super) fn waited(time: Duration) {
    let _ = WAITED.try_with(|waited| waited.set(waited.get() + time));
}

/// Turns a page fetcher into a listing. Pages count from one, and the next one is on its way while a page is looked at.
///
/// Lists shift while they are read. An item whose `key` was seen before is dropped. When the total falls, something may
/// have slipped from one page to another unseen; when fewer items came than the total, something is missing. Then the list
/// is read once more for what is new, and it ends with an error if it is still not complete. More items than the total
/// are no fault. A page without items is the last; one that claims more and does not advance is an error.
pub fn pages<'a, S, T, K, F, Fut>(source: &S, key: impl Fn(&T) -> K + Send + 'a, fetch: F) -> Listing<'a, T>
where
    S: Clone + Send + 'static,
    T: Send + 'static,
    K: Hash,
    F: Fn(S, u32) -> Fut + Send + 'a,
    Fut: Future<Output = Result<Page<T>>> + Send + 'static,
{
    let source = source.clone();
    let fetch = move |number| {
        let page = fetch(source.clone(), number);
        WAITED.scope(Cell::default(), async move { (page.await, WAITED.with(Cell::get)) })
    };
    Listing::new(try_stream! {
        let (mut seen, mut waited) = (Seen::default(), Duration::ZERO);
        // A task of its own: a request that only its reader drives would keep its slot from whatever the reader sends.
        let mut ahead = JoinSet::new();
        for is_first_pass in [true, false] {
            let (mut pass, mut last) = (Pass::default(), None);
            ahead.spawn(fetch(1));
            for number in 1.. {
                let (page, took) = ahead.join_next().await.expect("a page is under way").map_err(|_| {
                    Error::new(Kind::Internal, format!("page {number} was given up"))
                })?;
                let page = page?;
                waited += took;
                let hashes: Vec<u64> = page.items.iter().map(|item| hash(&key(item))).collect();
                let goes_on = page.more && !page.items.is_empty();
                let all = page.items.into_iter().zip(&hashes);
                let new: Vec<T> = all.filter_map(|(item, hash)| seen.insert(*hash).then_some(item)).collect();
                pass.add(number, page.total, &hashes);
                // The second time nothing new is no surprise, but the same page again is.
                if goes_on && (is_first_pass && new.is_empty() || last.as_ref() == Some(&hashes)) {
                    let words = format!("the list does not advance: page {number} brings nothing new");
                    Err(Error::new(Kind::Provider, words))?;
                }
                if goes_on && number == PAGES_MAX {
                    Err(Error::new(Kind::Provider, format!("the list has more than {PAGES_MAX} pages")))?;
                }
                last = Some(hashes);
                if goes_on && waited < LIST_WAIT {
                    ahead.spawn(fetch(number + 1));
                }
                yield new;
                if !goes_on {
                    break;
                }
                if waited >= LIST_WAIT {
                    let words = format!("the list is incomplete: page {number} was not the last after {waited:.0?} of waiting");
                    Err(Error::new(Kind::Provider, words))?;
                }
            }
            match pass.gap() {
                None => return,
                Some(_) if is_first_pass => {}
                Some(gap) => Err(Error::new(Kind::Provider, format!("the list is incomplete: {gap}")))?,
            }
        }
    })
}

/// What one reading of a list has shown.
#[derive(Default)]
struct Pass {
    seen: Seen,
    pages: u64,
    total: Option<Total>,
    has_fallen: bool,
}

impl Pass {
    fn add(&mut self, number: u32, total: Option<Total>, hashes: &[u64]) {
        self.has_fallen |= total.is_some_and(|now| self.total.is_some_and(|before| now < before));
        self.total = total.or(self.total);
        self.pages = number.into();
        hashes.iter().for_each(|hash| {
            self.seen.insert(*hash);
        });
    }

    /// Says what is missing, or may be; `None` when the list is complete as far as the provider's total shows that.
    fn gap(&self) -> Option<String> {
        let came = self.seen.count();
        match self.total {
            Some(Total::Items(total)) if came < total => Some(format!("{came} of {total} items came")),
            Some(Total::Pages(total)) if self.pages < total => {
                Some(format!("it ended on page {} of {total}, and {came} items came", self.pages))
            }
            _ if self.has_fallen => Some(format!("its total changes while it is read, and {came} items came")),
            _ => None,
        }
    }
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

    fn count(&self) -> u64 {
        self.0.iter().map(|list| list.len() as u64).sum()
    }
}
