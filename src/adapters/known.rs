//! A cache of what a listing showed about mailboxes, so that later calls skip the look-up: where only a listing shows an
//! id, that would be one listing for each row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::error::{Effect, Kind, Result};
use crate::lock::held;
use crate::model::Address;

/// How many are kept; the others are looked up. A hundred thousand ids take some ten megabytes.
const MOST: usize = 100_000;

/// What is known of mailboxes, by their addresses. It is used once and forgotten then.
#[derive(Clone)]
pub(super) struct Known<T>(Arc<Mutex<HashMap<Address, T>>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Known(Arc::default())
    }
}

impl<T> Known<T> {
    /// Keeps what is known of a mailbox.
    pub(super) fn keep(&self, address: &Address, what: T) {
        let mut known = held(&self.0);
        if known.len() < MOST {
            known.insert(address.clone(), what);
        }
    }

    /// Calls with what is known of a mailbox, or else with what `find` finds. What was known may be of one that is gone
    /// and was made anew: where it is not found, it is looked up.
    pub(super) async fn on<R, Find, Call>(
        &self,
        address: &Address,
        find: impl Fn() -> Find,
        call: impl Fn(T) -> Call,
    ) -> Result<R>
    where
        Find: Future<Output = Result<T>>,
        Call: Future<Output = Result<R>>,
    {
        let known = held(&self.0).remove(address);
        if let Some(known) = known {
            match call(known).await {
                Err(missing) if missing.kind == Kind::NotFound && missing.effect == Effect::None => {}
                result => return result,
            }
        }
        call(find().await?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[tokio::test]
    async fn what_is_known_is_used_once_and_checked_by_a_look_where_it_is_not_found() {
        let (known, ada) = (Known::default(), "ada@example.com".parse::<Address>().expect("an address"));
        let call = |id: &'static str| async move {
            if id == "old" { Err(Error::new(Kind::NotFound, "gone")) } else { Ok(id) }
        };
        let find = || async { Ok("found") };
        known.keep(&ada, "listed");
        assert_eq!(known.on(&ada, find, call).await.expect("it is there"), "listed");
        assert_eq!(known.on(&ada, find, call).await.expect("it is looked up"), "found");
        known.keep(&ada, "old");
        assert_eq!(known.on(&ada, find, call).await.expect("it was made anew"), "found");
    }
}
