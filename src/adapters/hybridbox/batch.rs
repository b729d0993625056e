//! A bulk request to Hybridbox, and what became of each of its items.
//!
//! The answer lists what was created with its address, and what was refused with an index only. Whether indices begin
//! at zero or one is not documented, nor that every item is in one of the lists. So nothing is attributed to an address
//! unless the answer leaves no other reading; what stays open is reported as unknown, for the caller to look up.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::Hybridbox;
use super::wire::{WireMailbox, WireNewMailboxes, item_from, mailbox_from, meaning};
use crate::adapters::words::{naming_alias, words};
use crate::error::{Effect, Error, Kind, Result};
use crate::http::{Failure, Method};
use crate::model::{Address, Mailbox, NewMailbox};
use crate::provider::Done;

#[derive(Deserialize)]
struct WireOutcome {
    created: Option<Vec<WireCreated>>,
    failed: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct WireCreated {
    index: Option<i64>,
    mailbox: WireMailbox,
}

impl Hybridbox {
    pub(super) async fn create_batch(&self, batch: &[NewMailbox]) -> Result<Vec<Result<Done<Mailbox>>>> {
        let Some(first) = batch.first() else { return Ok(Vec::new()) };
        let items = batch.iter().map(item_from).collect();
        let body = WireNewMailboxes { domain: first.address.domain().as_str(), items };
        let answer: WireOutcome = self.write(Method::POST, &["mailboxes", "bulk"]).body(&body).json().await?;
        let places: HashMap<_, _> = batch.iter().enumerate().map(|(at, new)| (&new.address, at)).collect();
        let mut results: Vec<Option<Result<Done<Mailbox>>>> = batch.iter().map(|_| None).collect();
        let mut created = Vec::new();
        for WireCreated { index, mailbox } in answer.created.into_iter().flatten() {
            let mailbox = mailbox_from(mailbox);
            if let Some(&at) = places.get(&mailbox.address) {
                created.push((at, index));
                results[at] = Some(Ok(mailbox.into()));
            }
        }
        let failed = answer.failed.unwrap_or_default();
        let indices: Vec<_> = failed.iter().filter_map(|item| item["index"].as_i64()).collect();
        let base = index_base(batch.len(), &created, &indices);
        let mut unattributed = Vec::new();
        for item in &failed {
            let message = words(item).unwrap_or_default();
            // An item has no status of its own; 422 leaves the choice to the words.
            let error = self.http.refusal(meaning(Failure { kind: Kind::Invalid, message }, 422));
            match item["index"].as_i64().zip(base).and_then(|(index, base)| position(batch.len(), index, base)) {
                Some(at) => results[at] = Some(Err(naming_alias(error, &batch[at].address))),
                None => unattributed.push(error),
            }
        }
        let said: Vec<_> = unattributed.into_iter().filter_map(|error| error.provider_message.clone()).collect();
        let each = batch.iter().zip(results);
        Ok(each.map(|(new, result)| result.unwrap_or_else(|| Err(unknown(&new.address, &said)))).collect())
    }
}

/// Returns where an item with this index is in the request.
fn position(len: usize, index: i64, base: i64) -> Option<usize> {
    usize::try_from(index.checked_sub(base)?).ok().filter(|&at| at < len)
}

/// Returns what indices are counted from, zero or one, if only one of them fits the answer: each created item is where
/// its address says, and each failed one is an item that was not created.
fn index_base(len: usize, created: &[(usize, Option<i64>)], failed: &[i64]) -> Option<i64> {
    let fits = |&base: &i64| {
        let is_open = |at| created.iter().all(|&(taken, _)| taken != at);
        created.iter().all(|&(at, index)| index.is_none_or(|index| position(len, index, base) == Some(at)))
            && failed.iter().all(|&index| position(len, index, base).is_some_and(is_open))
    };
    match [0, 1].into_iter().filter(fits).collect::<Vec<_>>()[..] {
        [base] => Some(base),
        _ => None,
    }
}

/// Returns the error of an item that the answer does not account for, with the refusals that may be its own.
fn unknown(address: &Address, refusals: &[String]) -> Error {
    let why = if refusals.is_empty() { "does not name it" } else { "does not say whose its refusals are" };
    let error = Error::new(Kind::Unknown, format!("{address} may exist or not: the answer to the batch {why}"));
    error.said(None, refusals.join("; ")).effect(Effect::Unknown)
}

#[cfg(test)]
mod tests {
    use super::index_base;

    #[test]
    fn the_index_base_is_known_only_where_one_reading_is_left() {
        // A created item is where its address says.
        assert_eq!(index_base(3, &[(0, Some(0))], &[2]), Some(0));
        assert_eq!(index_base(3, &[(0, Some(1))], &[3]), Some(1));
        // Without one, index zero and an index equal to the number of items each leave one reading.
        assert_eq!(index_base(2, &[], &[1, 0]), Some(0));
        assert_eq!(index_base(2, &[], &[2, 1]), Some(1));
        // Failures in the middle leave both.
        assert_eq!(index_base(3, &[], &[1]), None);
        assert_eq!(index_base(4, &[], &[1, 2]), None);
        // A created item without an index still cannot have failed.
        assert_eq!(index_base(3, &[(1, None)], &[1]), Some(1));
        // What fits neither way is not read at all.
        assert_eq!(index_base(2, &[(0, Some(0)), (1, Some(2))], &[]), None);
        assert_eq!(index_base(2, &[], &[7]), None);
        assert_eq!(index_base(2, &[], &[i64::MIN]), None);
    }
}
