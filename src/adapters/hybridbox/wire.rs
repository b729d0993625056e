//! What travels between mbx and Hybridbox, and what it means.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapters::words::{contradiction, said};
use crate::error::{Effect, Error, Kind};
use crate::http::{Failure, Page, Reply, Total};
use crate::model::{
    Address, Alias, AliasSource, Credential, DnsRecord, Domain, DomainName, Extra, Mailbox, NewMailbox, Stamp, Status,
};

#[derive(Deserialize)]
pub(super) struct WireAccount {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct WirePage<T> {
    pub(super) items: Vec<T>,
    pub(super) page_size: u64,
    pub(super) total: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum WireList<T> {
    Page(WirePage<T>),
    Bare(Vec<T>),
}

#[derive(Deserialize)]
pub(super) struct WireMailbox {
    pub(super) id: String,
    pub(super) primary_email: String,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) quota: Option<Value>,
    pub(super) created_at: Option<String>,
    pub(super) updated_at: Option<String>,
    pub(super) aliases: Option<Vec<WireAlias>>,
    pub(super) workspace_id: Option<String>,
    pub(super) workspace_name: Option<String>,
}

#[derive(Serialize)]
pub(super) struct WireNewMailbox<'a> {
    pub(super) domain: &'a str,
    #[serde(flatten)]
    pub(super) item: WireItem<'a>,
}

#[derive(Serialize)]
pub(super) struct WireNewMailboxes<'a> {
    pub(super) domain: &'a str,
    pub(super) items: Vec<WireItem<'a>>,
}

#[derive(Serialize)]
pub(super) struct WireItem<'a> {
    pub(super) first_name: &'a str,
    pub(super) last_name: &'a str,
    pub(super) local_part: &'a str,
}

/// A name that is left out stays; what null does is not documented.
#[derive(Serialize)]
pub(super) struct WireNames<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_name: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireAlias {
    pub(super) alias: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_catch_all: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct WireDomain {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: Option<String>,
    pub(super) outbound_routing_ready: Option<bool>,
    pub(super) workspace_id: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) updated_at: Option<String>,
    pub(super) dns_records: Option<Vec<WireRecord>>,
}

#[derive(Deserialize)]
pub(super) struct WireRecord {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) value: String,
    pub(super) ttl: Option<i64>,
    pub(super) priority: Option<u16>,
    pub(super) is_system_managed: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct WireCredential {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scope_type: Option<String>,
    pub(super) scope_id: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) updated_at: Option<String>,
}

#[derive(Serialize)]
pub(super) struct WireNewCredential<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workspace_id: Option<&'a str>,
}

impl<T> WirePage<T> {
    /// Returns the page with this number. Its size is the one in the answer, which may be less than was asked for.
    pub(super) fn of(self, number: u32) -> Page<T> {
        let more = u64::from(number).saturating_mul(self.page_size) < self.total;
        Page { items: self.items, more, total: Some(Total::Items(self.total)) }
    }
}

impl WireMailbox {
    pub(super) fn address(&self) -> Address {
        Address::lenient(&self.primary_email)
    }
}

pub(super) fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}

pub(super) fn item_from(new: &NewMailbox) -> WireItem<'_> {
    WireItem {
        first_name: new.first_name.as_deref().unwrap_or_default(),
        last_name: new.last_name.as_deref().unwrap_or_default(),
        local_part: new.address.local_part(),
    }
}

fn stamp(text: Option<String>) -> Option<Stamp> {
    text.as_deref().map(Stamp::lenient)
}

/// Reads a status; no page lists the words, so any other than the plainest is kept as it is.
fn status_from(word: Option<String>) -> Status {
    match word {
        None => Status::Unknown,
        Some(word) if word.eq_ignore_ascii_case("active") => Status::Active,
        Some(word) if word.eq_ignore_ascii_case("pending") => Status::Pending,
        Some(word) if word.eq_ignore_ascii_case("paused") || word.eq_ignore_ascii_case("suspended") => {
            Status::Suspended
        }
        Some(word) => Status::Other(word),
    }
}

pub(super) fn mailbox_from(mailbox: WireMailbox) -> Mailbox {
    let address = mailbox.address();
    let own = |alias: &WireAlias| match alias_from(alias, &address).source {
        AliasSource::Address(address) => Some(address),
        AliasSource::CatchAll(_) => None,
    };
    let aliases = mailbox.aliases.as_ref().map(|all| all.iter().filter_map(own).collect());
    // The unit of the quota is not documented, so the model cannot hold it.
    let extra = [
        ("quota", mailbox.quota),
        ("workspace_id", mailbox.workspace_id.map(Value::from)),
        ("workspace_name", mailbox.workspace_name.map(Value::from)),
    ];
    Mailbox {
        id: Some(mailbox.id),
        status: status_from(mailbox.status),
        first_name: mailbox.first_name,
        last_name: mailbox.last_name,
        aliases,
        created_at: stamp(mailbox.created_at),
        updated_at: stamp(mailbox.updated_at),
        extra: extra.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        ..Mailbox::at(address)
    }
}

pub(super) fn alias_from(alias: &WireAlias, target: &Address) -> Alias {
    let source = match alias.alias.as_str() {
        _ if alias.is_catch_all == Some(true) => AliasSource::CatchAll(target.domain().clone()),
        local if !local.contains('@') => AliasSource::Address(Address::lenient_on(local, target.domain())),
        address => AliasSource::lenient(address),
    };
    Alias::to(source, vec![target.clone()])
}

pub(super) fn domain_from(domain: WireDomain) -> Domain {
    Domain {
        id: Some(domain.id),
        status: status_from(domain.status),
        verified: domain.outbound_routing_ready,
        created_at: stamp(domain.created_at),
        updated_at: stamp(domain.updated_at),
        extra: Extra::from_iter(domain.workspace_id.map(|id| ("workspace_id", Value::from(id)))),
        ..Domain::named(DomainName::lenient(&domain.name))
    }
}

pub(super) fn record_from(record: WireRecord) -> DnsRecord {
    let managed = (record.is_system_managed == Some(true)).then(|| "kept by Hybridbox".to_owned());
    let ttl = record.ttl.map(|ttl| format!("TTL {ttl}, of a unit not documented"));
    let note = [managed, ttl].into_iter().flatten().collect::<Vec<_>>().join("; ");
    DnsRecord {
        name: record.name,
        kind: record.kind,
        value: record.value,
        priority: record.priority,
        ttl: None,
        note: (!note.is_empty()).then_some(note),
    }
}

pub(super) fn credential_from(credential: WireCredential) -> Credential {
    Credential {
        name: credential.name,
        id: Some(credential.id),
        scope: credential.scope_type,
        scope_id: credential.scope_id,
        created_at: stamp(credential.created_at),
        updated_at: stamp(credential.updated_at),
        extra: Extra::new(),
    }
}

/// Lets the words decide where the status alone may mean several things: no page lists statuses or codes.
pub(super) fn meaning(failure: Failure, status: u16) -> Failure {
    let text = failure.message.to_lowercase().replace('_', " ");
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let kind = match status {
        400 | 409 | 422 if says(&["already exists", "duplicate", "taken"]) => Kind::Conflict,
        403 | 409 | 422 if says(&["quota", "limit"]) => Kind::Limit,
        _ => return failure,
    };
    failure.is(kind)
}

pub(in crate::adapters) fn judge(reply: &Reply) -> Option<Failure> {
    match Failure::by_status(reply, || said(reply)) {
        Some(failure) => Some(meaning(failure, reply.status.as_u16())),
        None => contradiction(reply),
    }
}

/// Gives a 404 the words of a look-up that found nothing; other errors stay.
pub(super) fn missing(error: Error, found_nothing: Error) -> Error {
    if error.kind != Kind::NotFound {
        return error;
    }
    found_nothing.said(error.http_status, error.provider_message.clone().unwrap_or_default())
}

/// Says which mailboxes have lost the alias already, if any; a lost answer leaves that open.
pub(super) fn partly(error: Error, source: &AliasSource, done: &[String]) -> Error {
    if done.is_empty() || error.effect == Effect::Unknown {
        return error;
    }
    error.message(format!("{source} was removed from {} only", done.join(", "))).effect(Effect::Partial)
}
