//! What a box lists, as JSON, and what it means. Lists are complete; users and aliases are grouped by domain.

use serde::Deserialize;
use serde_json::Value;

use crate::model::{Address, Alias, AliasSource, Bytes, DnsRecord, Extra, Mailbox, Quota, Status};

#[derive(Deserialize)]
pub(super) struct WireUserGroup {
    pub(super) users: Vec<WireUser>,
}

/// `quota`, `box_quota` and `box_size` came with v73; `box_quota` is a number of bytes or the text `?`.
#[derive(Deserialize)]
pub(super) struct WireUser {
    pub(super) email: String,
    status: String,
    privileges: Option<Vec<String>>,
    pub(super) quota: Option<String>,
    box_quota: Option<Value>,
    box_size: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct WireAliasGroup {
    pub(super) aliases: Vec<WireAlias>,
}

#[derive(Deserialize)]
pub(super) struct WireAlias {
    address: String,
    forwards_to: Vec<String>,
    permitted_senders: Option<Vec<String>>,
    /// Made by the box itself; called `required` up to v0.54.
    #[serde(alias = "required")]
    auto: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct WireRecord {
    pub(super) qname: String,
    rtype: String,
    value: String,
    explanation: Option<String>,
}

impl WireUser {
    pub(super) fn is_active(&self) -> bool {
        self.status != "inactive"
    }
}

pub(super) fn mailbox_from(user: WireUser) -> Mailbox {
    // The setting. What Dovecot has cached of it, `box_quota`, may be hours old, or `?` where it has not measured yet.
    let set = user.quota.as_deref().and_then(|text| text.parse().ok()).map(|Bytes(bytes)| bytes);
    let limit = set.or_else(|| user.box_quota.as_ref().and_then(Value::as_u64));
    let mut extra = Extra::new();
    // Rounded for display, so it is no number of bytes.
    extra.extend(user.box_size.map(|size| ("box_size", Value::from(size))));
    let admin = user.privileges.as_ref().map(|words| words.iter().any(|word| word == "admin"));
    extra.extend(user.privileges.map(|words| ("privileges", Value::from(words))));
    Mailbox {
        status: if user.status == "active" { Status::Active } else { Status::Other(user.status) },
        admin,
        quota: limit.map(Quota::of),
        extra,
        ..Mailbox::at(Address::lenient(&user.email))
    }
}

pub(super) fn alias_from(alias: WireAlias) -> Alias {
    // An alias for sending only has one target, which is empty.
    let targets = alias.forwards_to.iter().filter(|text| !text.is_empty()).map(|text| Address::lenient(text)).collect();
    let mut extra = Extra::new();
    extra.extend(alias.auto.map(|auto| ("auto", Value::from(auto))));
    extra.extend(alias.permitted_senders.map(|senders| ("permitted_senders", Value::from(senders))));
    let status = if alias.auto == Some(true) { Status::Other("auto".to_owned()) } else { Status::Unknown };
    Alias { extra, status, ..Alias::to(AliasSource::lenient(&alias.address), targets) }
}

pub(super) fn record_from(record: WireRecord) -> DnsRecord {
    let split = record.value.split_once(' ').filter(|_| record.rtype == "MX");
    let mx = split.and_then(|(priority, host)| Some((priority.parse().ok()?, host.to_owned())));
    let (priority, value) = mx.map_or((None, record.value), |(priority, host)| (Some(priority), host));
    DnsRecord { name: record.qname, kind: record.rtype, value, priority, ttl: None, note: record.explanation }
}
