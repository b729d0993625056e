//! LiteMail: <https://docs.litemail.ai/>, the set named v3. Contract notes: `docs/providers/litemail.md`.
//!
//! Quirks: no page names a host; one call is documented in full, four by method and path only, and what the others do
//! is read from Zapmail, whose pages LiteMail's resemble; errors travel inside 200; the answer to a create has no
//! address; passwords are made there; removal is a note for the next renewal.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Account;
use crate::error::{Effect, Error, Kind, Result};
use crate::http::{Failure, Http, Method, Page, Reply, pages};
use crate::model::{
    Address, Alias, AliasSource, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewDomain, NewMailbox, Removal,
    Stamp, Status,
};
use crate::provider::{
    AuthScheme, Listing, NameRule, Op, Pace, PasswordRule, Provider, ProviderId, QuotaRule, Rules, Setting, Spec,
    Support, any_address,
};

const NO_PASSWORDS: &str = "LiteMail makes the passwords; no call that takes one was found";
const NO_QUOTA: &str = "no LiteMail call that takes a quota was found";
const NO_ADMINS: &str = "LiteMail mailboxes have no privileges";
const NO_ALIASES: &str = "LiteMail lists no call for aliases";
const NO_SUSPENDING: &str = "LiteMail lists no call that switches something off and on again";
const NO_CREDENTIALS: &str = "LiteMail's pages show no call for keys that could be read";
const NAMED_ONLY: &str = "LiteMail documents that the call exists; path and fields are those of Zapmail's";

pub(super) static SPEC: Spec = Spec {
    id: ProviderId::Litemail,
    title: "LiteMail",
    base_url: None,
    auth: AuthScheme::Header("x-api-key"),
    secret_name: "API_KEY",
    settings: &[Setting {
        key: "create_route",
        help: "`assign` (the default) or `legacy`, the older call that makes one mailbox and whose body is a guess",
        required: false,
        sandbox: None,
    }],
    // LiteMail names no limit. Zapmail's are 5 a second and 20 a minute.
    pace: Pace {
        concurrency: 1,
        per_minute: Some(20),
        burst: 5,
        read: Duration::from_secs(30),
        write: Duration::from_secs(60),
        poll: Duration::from_secs(60),
    },
    rules: Rules {
        password: PasswordRule::Never(NO_PASSWORDS),
        names: NameRule::Optional,
        quota: QuotaRule::Never(NO_QUOTA),
        address: any_address,
        // LiteMail names no bound. Users of Zapmail report five mailboxes a domain and call.
        batch_max: 5,
        listing_lags: true,
        costs: Some("each mailbox is charged for; whether by slots bought before or from the wallet is not documented"),
    },
    support: |op| match op {
        Op::CheckAccount | Op::ListMailboxes | Op::CreateMailbox | Op::CreateMailboxes | Op::DeleteMailbox => {
            Support::Native
        }
        Op::GetMailbox => Support::Emulated("lists all mailboxes and picks one"),
        Op::SetNames => {
            Support::Unverified("the method is documented; path and fields are inferred from its neighbours")
        }
        Op::SetPassword => Support::No(NO_PASSWORDS),
        Op::SetQuota => Support::No(NO_QUOTA),
        Op::SetAdmin => Support::No(NO_ADMINS),
        Op::SuspendMailbox | Op::SuspendDomain => Support::No(NO_SUSPENDING),
        Op::ListDomains => Support::Unverified(NAMED_ONLY),
        Op::GetDomain => Support::Unverified("lists the domains, by a call whose path and fields are Zapmail's"),
        Op::CreateDomain => Support::Unverified(NAMED_ONLY),
        Op::VerifyDomain => {
            Support::Unverified("checks the name servers, by a call whose path and fields are Zapmail's")
        }
        Op::DomainDns => Support::Unverified("shows the whole zone, by a call whose path and fields are Zapmail's"),
        Op::DeleteDomain => Support::Unverified("for unused domains, by a call whose path and fields are Zapmail's"),
        Op::ListAliases => Support::No("LiteMail lists no call that shows aliases or catch-alls"),
        Op::CreateAlias => Support::No(NO_ALIASES),
        Op::CreateCatchAll => Support::Unverified(NAMED_ONLY),
        Op::DeleteAlias => Support::Unverified("for catch-alls only, by a call whose path and fields are Zapmail's"),
        Op::ListCredentials | Op::CreateCredential | Op::DeleteCredential => Support::No(NO_CREDENTIALS),
    },
};

pub(super) struct Litemail {
    http: Http,
    legacy: bool,
}

impl Litemail {
    pub(super) fn new(http: Http, account: &Account) -> Result<Self> {
        let refused = |message: &str| Err(Error::new(Kind::Config, message));
        match account.setting("create_route") {
            None | Some("assign") => Ok(Litemail { http, legacy: false }),
            Some("legacy") if account.allow_unverified => Ok(Litemail { http, legacy: true }),
            Some("legacy") => {
                refused("create_route `legacy` sends what no page shows; it needs `allow_unverified = true`")
            }
            Some(_) => refused("create_route is `assign` or `legacy`"),
        }
    }

    async fn page<T: DeserializeOwned>(&self, what: &str, number: u32) -> Result<Page<T>> {
        let call = self.http.read(Method::GET, &["v1", what]).query(&[("page", &number.to_string())]);
        Ok(call.json::<WireEnvelope<WireList<T>>>().await?.data.page(number))
    }

    /// Sends a create for one domain and returns what the answer says of each.
    async fn create(&self, path: &[&str], body: Value, batch: &[NewMailbox]) -> Result<Vec<Result<Mailbox>>> {
        let call = self.http.write(Method::POST, path).body(&body);
        let made = call.json::<WireEnvelope<WireList<WireMailbox>>>().await?.data.page(1).items;
        // The records have no address: the domain asked for stands in.
        let domain = batch.first().map(|new| Value::from(new.address.domain().as_str()));
        let made = made.into_iter().map(|row| WireMailbox { domain: row.domain.or_else(|| domain.clone()), ..row });
        let made: Vec<_> = made.filter_map(mailbox_from).collect();
        let find = |new: &NewMailbox| {
            made.iter().find(|mailbox| mailbox.address == new.address).cloned().ok_or_else(|| {
                let message = format!("LiteMail's answer does not mention {}: it may exist or not", new.address);
                Error::new(Kind::Provider, message).effect(Effect::Unknown)
            })
        };
        Ok(batch.iter().map(find).collect())
    }

    async fn domain_id(&self, name: &DomainName) -> Result<String> {
        known_id(self.get_domain(name).await?.id, name)
    }
}

#[async_trait]
impl Provider for Litemail {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    async fn check_account(&self) -> Result<String> {
        let user: WireEnvelope<Option<WireUser>> = self.http.read(Method::GET, &["v1", "users"]).json().await?;
        let named = user.data.and_then(|user| user.email.or(user.id));
        Ok(named.unwrap_or_else(|| "an account that LiteMail does not name".to_owned()))
    }

    fn list_mailboxes<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        let rows = pages(
            |row: &WireMailbox| row.id.clone(),
            move |number| async move {
                let page: Page<WireMailbox> = self.page("mailboxes", number).await?;
                Ok(Page { items: page.items.into_iter().flat_map(flat).collect(), more: page.more })
            },
        );
        rows.try_filter_map(move |row| async move {
            let told = mailbox_from(row);
            match (domain, &told) {
                // Leaving it out would claim that it is on another domain.
                (Some(_), Some(lost)) if lost.address.domain().as_str().is_empty() => {
                    Err(Error::new(Kind::Provider, format!("LiteMail does not tell the domain of {}", lost.address)))
                }
                _ => Ok(told.filter(|mailbox| domain.is_none_or(|name| mailbox.address.domain() == name))),
            }
        })
        .boxed()
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Mailbox> {
        let batch = std::slice::from_ref(new);
        let mut made = if self.legacy {
            self.create(&["v1", "mailboxes"], wire_from(new, "userName"), batch).await?
        } else {
            self.create_mailboxes(batch).await?
        };
        made.remove(0)
    }

    async fn create_mailboxes(&self, batch: &[NewMailbox]) -> Result<Vec<Result<Mailbox>>> {
        if self.legacy {
            return Ok(stream::iter(batch).then(|new| self.create_mailbox(new)).collect().await);
        }
        let mailboxes: Value = batch.iter().map(|new| wire_from(new, "mailboxUsername")).collect();
        self.create(&["v1", "mailboxes", "assign"], json!({ "mailboxes": mailboxes }), batch).await
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Mailbox> {
        let impossible = [(change.quota.is_some(), Op::SetQuota), (change.admin.is_some(), Op::SetAdmin)];
        if let Some((_, op)) = impossible.into_iter().find(|(asked, _)| *asked) {
            return Err(Error::unsupported(op.phrase(), (SPEC.support)(op).reason().unwrap_or_default()));
        }
        let id = known_id(self.get_mailbox(address).await?.id, address)?;
        let body = present([("firstName", change.first_name.as_deref()), ("lastName", change.last_name.as_deref())]);
        self.http.write(Method::PUT, &["v1", "mailboxes", &id]).body(&body).done().await?;
        // The answer is an acknowledgement, and at Zapmail the change comes later.
        Ok(Mailbox { id: Some(id), ..Mailbox::at(address.clone()) })
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Removal> {
        let found = self.get_mailbox(address).await?;
        let on = found.extra.get("expires_on").and_then(Value::as_str).map(Stamp::told);
        let id = known_id(found.id, address)?;
        self.http.write(Method::DELETE, &["v1", "mailboxes", &id]).done().await.map_err(|mut error| {
            // The listing has just shown it: to call it gone would be a false comfort while it may be charged for.
            if error.kind == Kind::NotFound {
                error.kind = Kind::Provider;
                error.message = format!("LiteMail lists {address}, and does not find it when asked to remove it");
            }
            error
        })?;
        Ok(Removal::Scheduled { on, note: "removed at the next renewal; exists and is charged for until then" })
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        let rows = pages(|row: &WireDomain| row.domain.clone(), move |number| self.page("domains", number));
        rows.map_ok(domain_from).boxed()
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Domain> {
        let body = json!({ "domainNames": [new.name] });
        self.http.write(Method::POST, &["v1", "domains", "connect-domain"]).body(&body).done().await?;
        Ok(Domain::named(new.name.clone()))
    }

    async fn verify_domain(&self, name: &DomainName) -> Result<Domain> {
        // A write although it is a GET: a check may move the domain on.
        let call = self.http.write(Method::GET, &["v1", "domains", "name-servers", "verify"]);
        let reply = call.query(&[("domainName", name.as_str())]).reply().await?;
        let mut domain = self.get_domain(name).await?;
        domain.extra.extend(reply.member("message").filter(Value::is_string).map(|words| ("verification", words)));
        Ok(domain)
    }

    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        let id = self.domain_id(name).await?;
        let call = self.http.read(Method::GET, &["v1", "dns"]).query(&[("id", &id)]);
        let records = call.json::<WireEnvelope<WireList<WireRecord>>>().await?.data.page(1).items;
        Ok(records.into_iter().map(record_from).collect())
    }

    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        let body = json!({ "ids": [self.domain_id(name).await?] });
        self.http.write(Method::DELETE, &["v1", "domains"]).body(&body).done().await?;
        Ok(Removal::Done(None))
    }

    async fn create_alias(&self, new: &Alias) -> Result<Alias> {
        let AliasSource::CatchAll(name) = &new.source else {
            return Err(Error::unsupported(Op::CreateAlias.phrase(), NO_ALIASES));
        };
        let [target] = new.targets.as_slice() else {
            return Err(Error::new(
                Kind::Invalid,
                format!("{}: a LiteMail catch-all has exactly one target", new.source),
            ));
        };
        let body = json!({ "domainIds": [self.domain_id(name).await?], "email": target });
        self.http.write(Method::POST, &["v1", "domains", "catch-all"]).body(&body).done().await?;
        Ok(Alias::to(new.source.clone(), new.targets.clone()))
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Removal> {
        let AliasSource::CatchAll(name) = source else {
            return Err(Error::unsupported(Op::DeleteAlias.phrase(), NO_ALIASES));
        };
        let body = json!({ "domainIds": [self.domain_id(name).await?] });
        self.http.write(Method::DELETE, &["v1", "domains", "catch-all"]).body(&body).done().await?;
        Ok(Removal::Done(None))
    }
}

#[derive(Deserialize)]
struct WireEnvelope<T> {
    data: T,
}

/// Every shape in which a list may come. An object that is none of these is an answer that cannot be read: to take it
/// for an empty list would deny what is there.
#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum WireList<T> {
    Bare(Vec<T>),
    Named {
        #[serde(alias = "mailboxes", alias = "domains", alias = "records", alias = "domainDnsRecords")]
        items: Vec<T>,
        total_pages: Option<Value>,
    },
    One(T),
    Nothing,
}

#[derive(Deserialize)]
struct WireUser {
    id: Option<String>,
    email: Option<String>,
}

/// A mailbox, or a domain as the heading of its mailboxes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMailbox {
    id: String,
    username: Option<String>,
    email: Option<String>,
    /// A name, or an object that holds it.
    domain: Option<Value>,
    domain_id: Option<String>,
    full_name: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    status: Option<String>,
    assigned_on: Option<String>,
    expire_on: Option<String>,
    created_at: Option<String>,
    mailboxes: Option<Vec<WireMailbox>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDomain {
    id: Option<String>,
    domain: String,
    status: Option<String>,
    assigned_mailboxes_count: Option<Value>,
    forward_to: Option<String>,
    dmarc_email: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRecord {
    host: String,
    value: String,
    record_type: String,
    priority: Option<u16>,
}

impl<T> WireList<T> {
    /// Returns page `number`. Without `totalPages` it is the last; Zapmail's `nextPage` counts on for ever.
    fn page(self, number: u32) -> Page<T> {
        let (items, total) = match self {
            WireList::Bare(items) => (items, None),
            WireList::Named { items, total_pages } => (items, total_pages.as_ref().and_then(count)),
            WireList::One(item) => (vec![item], None),
            WireList::Nothing => (Vec::new(), None),
        };
        Page { items, more: total.is_some_and(|total| u64::from(number) < total) }
    }
}

/// Reads a number, which may stand in a string.
fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Refuses a thing without an id: an empty one in a path or list would mean all of them.
fn known_id(id: Option<String>, of: impl Display) -> Result<String> {
    let id = id.filter(|id| !id.trim().is_empty());
    id.ok_or_else(|| Error::new(Kind::Provider, format!("LiteMail lists {of} without an id, which this needs")))
}

/// Keeps the fields that have a value.
fn present<T, const N: usize>(fields: [(&'static str, Option<T>); N]) -> BTreeMap<&'static str, T> {
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn wire_from(new: &NewMailbox, username: &'static str) -> Value {
    json!(present([
        (username, Some(new.address.local_part())),
        ("domain", Some(new.address.domain().as_str())),
        ("firstName", new.first_name.as_deref()),
        ("lastName", new.last_name.as_deref()),
    ]))
}

/// Returns a row and the mailboxes below it. The row of a domain stays: a page of domains without mailboxes is not
/// the end of the list.
fn flat(mut row: WireMailbox) -> Vec<WireMailbox> {
    let below = row.mailboxes.take().unwrap_or_default();
    let domain = row.domain.clone();
    let below = below.into_iter().map(|m| WireMailbox { domain: m.domain.or_else(|| domain.clone()), ..m });
    std::iter::once(row).chain(below).collect()
}

/// Returns nothing for the row of a domain.
fn mailbox_from(row: WireMailbox) -> Option<Mailbox> {
    let name = row.email.filter(|email| email.contains('@')).or(row.username)?;
    let domain = row.domain.as_ref().map(|told| told.get("domain").or_else(|| told.get("name")).unwrap_or(told));
    let address = match domain.and_then(Value::as_str) {
        Some(domain) if !name.contains('@') => Address::told_on(&name, &DomainName::told(domain)),
        _ => Address::told(&name),
    };
    let more = [
        ("domain_id", row.domain_id),
        ("full_name", row.full_name),
        ("assigned_on", row.assigned_on),
        ("expires_on", row.expire_on),
    ];
    Some(Mailbox {
        id: Some(row.id),
        status: status_from(row.status),
        first_name: row.first_name.filter(|name| !name.is_empty()),
        last_name: row.last_name.filter(|name| !name.is_empty()),
        created_at: row.created_at.as_deref().map(Stamp::told),
        extra: present(more.map(|(name, told)| (name, told.map(Value::from)))),
        ..Mailbox::at(address)
    })
}

fn domain_from(row: WireDomain) -> Domain {
    let more = [("forward_to", row.forward_to), ("dmarc_email", row.dmarc_email)];
    Domain {
        id: row.id,
        status: status_from(row.status),
        mailboxes: row.assigned_mailboxes_count.as_ref().and_then(count),
        created_at: row.created_at.as_deref().map(Stamp::told),
        updated_at: row.updated_at.as_deref().map(Stamp::told),
        extra: present(more.map(|(name, told)| (name, told.map(Value::from)))),
        ..Domain::named(DomainName::told(&row.domain))
    }
}

fn record_from(record: WireRecord) -> DnsRecord {
    let WireRecord { host, value, record_type, priority } = record;
    DnsRecord { name: host, kind: record_type, value, priority, ttl: None, note: None }
}

/// PENDING is LiteMail's own word; the others are Zapmail's. The set is open.
fn status_from(word: Option<String>) -> Status {
    let Some(word) = word.filter(|word| !word.is_empty()) else { return Status::Unknown };
    match word.to_ascii_uppercase().as_str() {
        "PENDING" | "IN_PROGRESS" => Status::Pending,
        "ACTIVE" => Status::Active,
        _ => Status::Other(word),
    }
}

/// Reads a text, a list of texts, or an object with such a `message`; nothing else, for it may hold secrets.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "),
        Value::Object(map) => map.get("message").map(words).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

pub(super) fn judge(reply: &Reply) -> Option<Failure> {
    // The body repeats the status, and may be the only one to tell of an error: the stricter one holds.
    let inner = reply.member("status").as_ref().and_then(count).and_then(|status| u16::try_from(status).ok());
    let status = reply.status.as_u16().max(inner.filter(|&status| status >= 400).unwrap_or_default());
    let told = ["message", "errors", "error"].map(|name| reply.member(name).as_ref().map(words).unwrap_or_default());
    let told = told.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| reply.words());
    let failure = Failure::of_status(status, told)?;
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
