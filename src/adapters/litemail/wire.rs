//! What travels between mbx and LiteMail, and what its answers mean.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::adapters::words::{contradiction, said};
use crate::error::{Error, Kind, Result};
use crate::http::{Failure, Page, Reply, Total};
use crate::model::{Address, DnsRecord, Domain, DomainName, Mailbox, NewMailbox, Stamp, Status};

#[derive(Deserialize)]
pub(super) struct WireEnvelope<T> {
    pub(super) data: T,
}

/// Every shape in which rows may come. An object that is none of these is an answer that cannot be read: to take it
/// for an empty list would deny what is there.
#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum WireRows {
    Bare(Vec<WireRow>),
    Named {
        #[serde(alias = "mailboxes", alias = "domains", alias = "records", alias = "domainDnsRecords")]
        rows: Vec<WireRow>,
        total_pages: Option<Value>,
    },
    One {
        id: Value,
        #[serde(flatten)]
        rest: Map<String, Value>,
    },
    Nothing,
}

/// A mailbox, a domain, a DNS record or the user. Only five fields of a mailbox are documented, so no field has to be
/// there or to have a type.
#[derive(Deserialize)]
pub(super) struct WireRow(pub(super) Map<String, Value>);

impl WireRow {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
    }

    pub(super) fn stamp(&self, name: &str) -> Option<Stamp> {
        self.text(name).as_deref().map(Stamp::lenient)
    }
}

impl WireRows {
    /// Returns page `number`. Without `totalPages` it is the last; Zapmail's `nextPage` counts on for ever.
    pub(super) fn page(self, number: u32) -> Page<WireRow> {
        let (items, total) = match self {
            WireRows::Bare(rows) => (rows, None),
            WireRows::Named { rows, total_pages } => (rows, total_pages.as_ref().and_then(count)),
            WireRows::One { id, mut rest } => {
                rest.insert("id".to_owned(), id);
                (vec![WireRow(rest)], None)
            }
            WireRows::Nothing => (Vec::new(), None),
        };
        Page { items, more: total.is_some_and(|total| u64::from(number) < total), total: total.map(Total::Pages) }
    }
}

/// Reads a number, which may stand in a string.
pub(super) fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Refuses a thing without an id: an empty one in a path or list would mean all of them.
pub(super) fn known_id(id: Option<String>, of: impl Display) -> Result<String> {
    id.ok_or_else(|| Error::new(Kind::Provider, format!("LiteMail lists {of} without an id, which this needs")))
}

/// Returns an object of the fields that are given.
pub(super) fn given(fields: &[(&str, Option<&str>)]) -> Value {
    fields.iter().filter_map(|&(name, text)| Some((name.to_owned(), Value::from(text?)))).collect()
}

pub(super) fn wire_from(new: &NewMailbox, username: &str) -> Value {
    given(&[
        (username, Some(new.address.local_part())),
        ("domain", Some(new.address.domain().as_str())),
        ("firstName", new.first_name.as_deref()),
        ("lastName", new.last_name.as_deref()),
    ])
}

/// Returns a row and the mailboxes in it. The row of a domain stays: a page of domains without mailboxes is not the
/// end of the list.
pub(super) fn flat(mut row: WireRow) -> Vec<WireRow> {
    let inner = row.0.remove("mailboxes").unwrap_or_default();
    let inner = inner.as_array().into_iter().flatten().filter_map(Value::as_object).cloned().map(WireRow);
    let inner: Vec<_> = inner.map(|mailbox| on_domain(mailbox, row.text("domain").as_deref())).collect();
    std::iter::once(row).chain(inner).collect()
}

/// Names the domain of a mailbox that does not do so itself.
pub(super) fn on_domain(mut row: WireRow, domain: Option<&str>) -> WireRow {
    if row.0.get("domain").is_none_or(Value::is_null) {
        row.0.insert("domain".to_owned(), domain.into());
    }
    row
}

/// Returns nothing for a row that names no mailbox, such as that of a domain.
pub(super) fn mailbox_from(row: &WireRow) -> Option<Mailbox> {
    let name = row.text("email").filter(|email| email.contains('@')).or_else(|| row.text("username"))?;
    // A name, or an object that holds it.
    let domain = row.0.get("domain").and_then(|d| d.as_str().or(d["domain"].as_str()).or(d["name"].as_str()));
    let address = match domain {
        Some(domain) if !name.contains('@') => Address::lenient_on(&name, &DomainName::lenient(domain)),
        _ => Address::lenient(&name),
    };
    let more = [("domain_id", "domainId"), ("full_name", "fullName"), ("expires_on", "expireOn")];
    Some(Mailbox {
        id: row.text("id"),
        status: status_of(row),
        first_name: row.text("firstName"),
        last_name: row.text("lastName"),
        created_at: row.stamp("createdAt"),
        extra: more.into_iter().filter_map(|(key, name)| Some((key, row.text(name)?.into()))).collect(),
        ..Mailbox::at(address)
    })
}

pub(super) fn domain_from(row: WireRow) -> Domain {
    Domain {
        id: row.text("id"),
        status: status_of(&row),
        mailboxes: row.0.get("assignedMailboxesCount").and_then(count),
        created_at: row.stamp("createdAt"),
        updated_at: row.stamp("updatedAt"),
        ..Domain::named(DomainName::lenient(&row.text("domain").unwrap_or_default()))
    }
}

pub(super) fn record_from(row: WireRow) -> DnsRecord {
    let text = |name| row.text(name).unwrap_or_default();
    let priority = row.0.get("priority").and_then(count).and_then(|priority| priority.try_into().ok());
    DnsRecord { name: text("host"), kind: text("recordType"), value: text("value"), priority, ttl: None, note: None }
}

/// PENDING is LiteMail's own word; the others are Zapmail's. The set is open.
fn status_of(row: &WireRow) -> Status {
    let Some(word) = row.text("status") else { return Status::Unknown };
    match word.to_ascii_uppercase().as_str() {
        "PENDING" | "IN_PROGRESS" => Status::Pending,
        "ACTIVE" => Status::Active,
        _ => Status::Other(word),
    }
}

pub(in crate::adapters) fn judge(reply: &Reply) -> Option<Failure> {
    // The body repeats the status, and may be the only one that shows an error: the stricter one counts.
    let inner = reply.member("status").as_ref().and_then(count).and_then(|status| u16::try_from(status).ok());
    let status = reply.status.as_u16().max(inner.filter(|&status| status >= 400).unwrap_or_default());
    let Some(failure) = Failure::of_status(status, || said(reply)) else { return contradiction(reply) };
    let text = failure.message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let kind = match status {
        // A 404 without LiteMail's envelope speaks of the route, not of what was asked for.
        404 if inner.is_none() && (reply.member("message").is_none() || has(&["cannot "])) => Kind::Unsupported,
        400 | 422 if has(&["already exist", "already assigned"]) => Kind::Conflict,
        400 | 422 if has(&["enough mailboxes", "insufficient"]) => Kind::Limit,
        400 | 422 if has(&["domain"]) && has(&["not found", "not exist"]) => Kind::NotFound,
        _ => return Some(failure),
    };
    Some(failure.is(kind))
}
