//! What travels between mbx and Qboxmail, and what its answers mean.

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::adapters::words::{contradiction, said};
use crate::error::{Effect, Kind, Result};
use crate::http::{Call, Failure, Page, Reply, Total};
use crate::model::{
    Address, Alias, AliasSource, DnsRecord, Domain, DomainName, Extra, Mailbox, NewDomain, NewMailbox, Quota, Stamp,
    Status,
};

const G: u64 = 1 << 30;

/// The only sizes the pages list for a quota (docs: postApiDomains).
pub(super) const SIZES: &[u64] =
    &[50 << 20, G, 2 * G, 3 * G, 4 * G, 5 * G, 6 * G, 7 * G, 8 * G, 16 * G, 25 * G, 50 * G, 100 * G];

/// Twice the documented default; the largest page is not documented, so the service's own count of pages is trusted.
pub(super) const PER: &str = "50";

/// Addresses an alias may deliver to (guide: email aliases).
pub(super) const TARGETS: usize = 20;

/// The collections of a domain. What the pages call `aliases` are domain aliases.
pub(super) const MAILBOXES: &str = "email_accounts";
pub(super) const ALIASES: &str = "alias_email_accounts";

/// The SPF record (guide: SPF record settings).
const SPF: &str = "v=spf1 include:spf.qboxmail.com mx a -all";

/// Words that mean a limit of the plan.
const FULL: &[&str] = &["limit", "limits", "exceed", "exceeds", "exceeded", "reached", "maximum"];

/// What a domain holds beyond the model.
const DOMAIN_EXTRA: &[&str] =
    &["customer_code", "default_quota", "is_healthy", "max_email_accounts", "max_email_quota", "possession_a_record"];

/// The envelope of every read.
#[derive(Deserialize)]
pub(super) struct WireList {
    pub(super) resources: Vec<WireResource>,
    pub(super) pagination: Option<WirePagination>,
}

impl WireList {
    /// Returns what is on page `number`, and whether there is more.
    pub(super) fn page(self, number: u32) -> Page<WireResource> {
        let pagination = self.pagination.unwrap_or_default();
        let more = pagination.total_pages.is_some_and(|pages| number < pages);
        let items = pagination.total_records.map(Total::Items);
        Page {
            items: self.resources,
            more,
            total: items.or(pagination.total_pages.map(|pages| Total::Pages(pages.into()))),
        }
    }
}

/// Empty on single reads.
#[derive(Deserialize, Default)]
pub(super) struct WirePagination {
    pub(super) total_pages: Option<u32>,
    pub(super) total_records: Option<u64>,
}

/// What domains, mailboxes and aliases have in common, and the rest of their members as they are.
#[derive(Deserialize)]
pub(super) struct WireResource {
    pub(super) code: String,
    /// A domain's name; the local part of a mailbox or alias.
    name: Option<String>,
    status: Option<String>,
    status_detail: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct WireMade {
    resource_code: Option<String>,
}

impl WireResource {
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.rest.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn domain(&self) -> DomainName {
        DomainName::lenient(self.name.as_deref().unwrap_or_default())
    }

    pub(super) fn address(&self, domain: &DomainName) -> Address {
        match self.text("email_address") {
            Some(address) => Address::lenient(&address),
            None => Address::lenient_on(self.name.as_deref().unwrap_or_default(), domain),
        }
    }

    fn status(&self) -> Status {
        match (self.status.as_deref(), self.status_detail.as_deref()) {
            (Some("enabled"), None | Some("" | "ok")) => Status::Active,
            // Any other detail means work that is queued (docs: create-domain-and-mailbox).
            (Some("enabled" | "ownership_check"), _) => Status::Pending,
            (Some("disabled"), _) => Status::Suspended,
            (Some(word), _) => Status::Other(word.to_owned()),
            (None, _) => Status::Unknown,
        }
    }

    fn extra(&self, keys: &[&'static str]) -> Extra {
        keys.iter().filter_map(|key| Some((*key, self.rest.get(*key).filter(|v| !v.is_null())?.clone()))).collect()
    }
}

pub(super) fn wire_from(new: &NewMailbox) -> Value {
    let password = new.password.as_ref().map(ExposeSecret::expose_secret);
    json!({
        "name": new.address.local_part(), "firstname": new.first_name, "lastname": new.last_name,
        "password": password, "password_confirmation": password, "max_email_quota": new.quota.map(|size| size.0),
    })
}

/// `customer_code` is for administrators' tokens only (docs: create-domain-and-mailbox).
pub(super) fn wire_from_domain(new: &NewDomain, customer_code: Option<&str>) -> Value {
    let password = new.postmaster_password.as_ref().map(ExposeSecret::expose_secret);
    json!({
        "name": new.name, "customer_code": customer_code, "plan": new.plan,
        "postmaster_password": password, "postmaster_password_confirmation": password,
        "default_quota": new.default_quota.map(|size| size.0), "max_email_quota": new.max_quota.map(|size| size.0),
        "max_email_accounts": new.max_mailboxes,
        "catch_all_enabled": new.catch_all.is_some().then_some(true), "catch_all_destination": new.catch_all,
    })
}

/// Leaves out of a body what was not asked for.
pub(super) fn asked(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    body
}

/// Reads an envelope; `None` for a 404.
pub(super) async fn envelope(call: Call<'_>) -> Result<Option<WireList>> {
    match call.json().await {
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}

/// Returns the code of what was just made: from the body, else from `Location`, a code, path or URL. Without a code
/// nothing shows that it was made, so it is to be looked up by its name.
pub(super) fn code_from(reply: &Reply) -> Result<String> {
    let made: Option<WireMade> = reply.json().ok();
    let location = || reply.headers.get("location")?.to_str().ok()?.rsplit('/').find(|part| !part.is_empty());
    let code = made.and_then(|made| made.resource_code).or_else(|| location().map(str::to_owned));
    code.filter(|code| !code.is_empty())
        .ok_or_else(|| reply.unreadable("(an answer that does not name what was made)").effect(Effect::Unknown))
}

pub(super) fn mailbox_from(resource: WireResource, domain: &DomainName) -> Mailbox {
    let quota = resource.rest.get("max_email_quota").and_then(Value::as_u64);
    Mailbox {
        id: Some(resource.code.clone()),
        status: resource.status(),
        first_name: resource.text("firstname"),
        last_name: resource.text("lastname"),
        // What zero would mean is not documented, so nothing is claimed for it.
        quota: quota.filter(|bytes| *bytes > 0).map(Quota::of),
        created_at: resource.created_at.as_deref().map(Stamp::lenient),
        updated_at: resource.updated_at.as_deref().map(Stamp::lenient),
        extra: resource.extra(&["lastauth_datetime"]),
        ..Mailbox::at(resource.address(domain))
    }
}

pub(super) fn domain_from(resource: WireResource) -> Domain {
    let status = resource.status();
    Domain {
        // Enabled and settled is when mail can be set up (docs: create-domain-and-mailbox).
        verified: match resource.status.as_deref() {
            Some("ownership_check") => Some(false),
            _ => (status == Status::Active).then_some(true),
        },
        status,
        mailboxes: resource.rest.get("no_email_accounts").and_then(Value::as_u64),
        created_at: resource.created_at.as_deref().map(Stamp::lenient),
        updated_at: resource.updated_at.as_deref().map(Stamp::lenient),
        extra: resource.extra(DOMAIN_EXTRA),
        id: Some(resource.code.clone()),
        ..Domain::named(resource.domain())
    }
}

pub(super) fn alias_from(resource: WireResource, domain: &DomainName) -> Alias {
    let targets = resource.rest.get("destinations").and_then(Value::as_array);
    let targets = targets.into_iter().flatten().filter_map(Value::as_str).map(Address::lenient).collect();
    Alias {
        status: resource.status(),
        created_at: resource.created_at.as_deref().map(Stamp::lenient),
        id: Some(resource.code.clone()),
        ..Alias::to(AliasSource::Address(resource.address(domain)), targets)
    }
}

pub(super) fn records_from(domain: &WireResource) -> Vec<DnsRecord> {
    let name = domain.domain();
    let txt = |name: String, value: String, note: &str| {
        let (kind, note) = ("TXT".to_owned(), Some(note.to_owned()));
        DnsRecord { name, kind, value, priority: None, ttl: None, note }
    };
    let mut records = vec![txt(name.to_string(), SPF.to_owned(), "SPF, as the vendor's guide gives it")];
    // Both are those of the domain's own signature. Without one, mail is signed with a shared signature (guide: DKIM).
    if let (Some(selector), Some(key)) = (domain.text("dkim_selector"), domain.text("dkim_public_key")) {
        let selector = selector.trim().trim_end_matches('.').to_lowercase();
        // The panel's form of the selector ends in `._domainkey`, perhaps with the domain after it.
        let selector = selector.split_once("._domainkey").map_or(&*selector, |(bare, _)| bare);
        let key = key.trim();
        let has_tag = key.split(';').any(|tag| tag.trim_start().to_lowercase().starts_with("p="));
        let value = if has_tag { key.to_owned() } else { format!("v=DKIM1; k=rsa; p={key}") };
        records.push(txt(
            format!("{selector}._domainkey.{name}"),
            value,
            "DKIM public key of the domain's own signature",
        ));
    }
    records
}

pub(in crate::adapters) fn judge(reply: &Reply) -> Option<Failure> {
    let status = reply.status.as_u16();
    let Some(failure) = Failure::by_status(reply, || said(reply)) else { return contradiction(reply) };
    let text = failure.message.to_lowercase();
    // Names of fields, such as outbound_limit, are no words of the sentence.
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mut has = |of: &[&str]| words.any(|word| of.contains(&word));
    let kind = match status {
        422 if text.contains("already exists") => Kind::Conflict,
        422 if !text.contains("character") && has(FULL) => Kind::Limit,
        // Permission, ownership, billing and plan share this status; only the words distinguish them.
        403 if has(FULL) || text.contains(" plan") => Kind::Limit,
        // The API's own 404 is JSON; any other comes from something else at this address.
        404 if !reply.body.starts_with(b"{") => Kind::Provider,
        _ => return Some(failure),
    };
    Some(failure.is(kind))
}
