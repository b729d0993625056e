//! What travels between mbx and EmBoux, and what its answers mean.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::MEGABYTE;
use crate::adapters::words::{contradiction, said};
use crate::error::Kind;
use crate::http::{Failure, Reply};
use crate::model::{Address, Alias, AliasSource, Domain, DomainName, Extra, Mailbox, Quota, Stamp, Status};

#[derive(Deserialize)]
struct WireUser<'a> {
    id: u64,
    #[serde(borrow)]
    email: WireText<'a>,
    #[serde(borrow)]
    created_at: Option<WireText<'a>>,
}

/// A text that stays where it arrived, unless it has escapes.
#[derive(Deserialize)]
struct WireText<'a>(#[serde(borrow)] Cow<'a, str>);

/// A mailbox that is read as EmBoux's user. There is one list of all of them, and it may be long: each is mapped where it
/// is read, so that its texts are copied once.
pub(super) struct Listed(pub(super) Mailbox);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WireUser::deserialize(deserializer).map(|user| Listed(mailbox_from(&user)))
    }
}

#[derive(Serialize)]
pub(super) struct WireNewUser<'a> {
    pub(super) domain_name: &'a str,
    pub(super) email: &'a str,
    pub(super) password: &'a str,
}

#[derive(Serialize)]
pub(super) struct WireSetPassword<'a> {
    pub(super) password: &'a str,
}

#[derive(Deserialize)]
pub(super) struct WireQuota {
    pub(super) quota_mb: Option<u64>,
}

/// The answer to a new quota; without the number it would not confirm anything.
#[derive(Deserialize)]
pub(super) struct WireQuotaSet {
    pub(super) quota_mb: u64,
}

#[derive(Serialize)]
pub(super) struct WireSetQuota {
    pub(super) quota_mb: u64,
}

#[derive(Deserialize)]
pub(super) struct WireDomain {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) created_at: Option<String>,
}

#[derive(Serialize)]
pub(super) struct WireNewDomain<'a> {
    pub(super) name: &'a str,
}

#[derive(Deserialize)]
pub(super) struct WireSuspension {
    pub(super) suspended: bool,
}

#[derive(Deserialize)]
pub(super) struct WireOutbound {
    pub(super) ses_verified: Option<bool>,
    pub(super) outbound_status: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct WireAlias {
    pub(super) id: u64,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) created_at: Option<String>,
}

#[derive(Serialize)]
pub(super) struct WireNewAlias<'a> {
    pub(super) domain_name: &'a str,
    pub(super) source: &'a str,
    pub(super) destination: &'a str,
}

fn mailbox_from(user: &WireUser<'_>) -> Mailbox {
    Mailbox {
        id: Some(user.id.to_string()),
        // A mailbox works at once and has no state of its own (docs: introduction); only its domain can be suspended.
        status: Status::Active,
        created_at: user.created_at.as_ref().map(|text| Stamp::lenient(&text.0)),
        ..Mailbox::at(Address::lenient(&user.email.0))
    }
}

/// Adds the quota; `extra` keeps the vendor's own number, because what a megabyte is stays open.
pub(super) fn with_quota(mailbox: Mailbox, quota: WireQuota) -> Mailbox {
    let Some(megabytes) = quota.quota_mb else { return mailbox };
    // Whether zero means no limit is not documented, so nothing is claimed for it.
    let limit = (megabytes > 0).then(|| Quota::of(megabytes.saturating_mul(MEGABYTE)));
    Mailbox { quota: limit, extra: Extra::from([("quota_mb", Value::from(megabytes))]), ..mailbox }
}

pub(super) fn domain_from(domain: WireDomain) -> Domain {
    Domain {
        id: Some(domain.id.to_string()),
        created_at: domain.created_at.as_deref().map(Stamp::lenient),
        ..Domain::named(DomainName::lenient(&domain.name))
    }
}

pub(super) fn alias_from(alias: WireAlias) -> Alias {
    Alias {
        id: Some(alias.id.to_string()),
        created_at: alias.created_at.as_deref().map(Stamp::lenient),
        ..Alias::to(AliasSource::lenient(&alias.source), vec![Address::lenient(&alias.destination)])
    }
}

pub(in crate::adapters) fn judge(reply: &Reply) -> Option<Failure> {
    let Some(failure) = Failure::by_status(reply, || said(reply)) else { return contradiction(reply) };
    let text = failure.message.to_lowercase();
    let kind = match reply.status.as_u16() {
        // 403 stands for all three (docs: errors); only the text distinguishes them.
        403 if text.contains("api key") || text.contains("authorization header") => Kind::Auth,
        403 if text.contains("quota exceeded") => Kind::Limit,
        400 if text.contains("already exists") || text.contains("ya existe") => Kind::Conflict,
        // FastAPI's own words for a path that it does not have: they say nothing about a mailbox.
        404 if text == "not found" => Kind::Unsupported,
        _ => return Some(failure),
    };
    Some(failure.is(kind))
}
