//! LiteMail as far as its pages describe it: <https://docs.litemail.ai/assign-mailboxes-to-domain-36496186e0> and its
//! neighbours. Where they say nothing it answers as Zapmail, on which LiteMail's pages are modelled;
//! `docs/providers/litemail.md` says which is which.
//!
//! No call that spends money is served.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post, put};
use serde_json::{Map, Value, json};

use super::store::{Account, Domain, KEY, Mailbox, Store};
use super::wire::{Answer, Refusal, civil, json, members, object, page, refuse, text};
use crate::model::ProviderId;

/// Domains on a page, of the list of mailboxes too: there, pages count domains and not mailboxes.
const PAGE: usize = 2;

/// Thirty days, in seconds: how far off a renewal is.
const RENEWAL: u64 = 30 * 24 * 60 * 60;

/// How many listings do not show a mailbox yet.
const LATE: &str = "late";

type Shared = State<Arc<Store>>;
type Params = Query<Map<String, Value>>;

pub(super) fn routes() -> Router<Arc<Store>> {
    Router::new()
        .route("/v1/users", get(user))
        .route("/v1/mailboxes", get(list_mailboxes).post(create_mailbox))
        .route("/v1/mailboxes/assign", post(assign))
        .route("/v1/mailboxes/{id}", put(update_mailbox).delete(remove_mailbox))
        .route("/v1/domains", get(list_domains).delete(remove_domains))
        .route("/v1/domains/connect-domain", post(connect_domains))
        .route("/v1/domains/name-servers/verify", get(verify_name_servers))
        .route("/v1/domains/catch-all", post(set_catch_all).delete(remove_catch_all))
        .route("/v1/dns", get(list_records))
        .fallback(|| async { refuse(refusal(404, "Cannot find this route")) })
        .method_not_allowed_fallback(|| async { refuse(refusal(405, "Method Not Allowed")) })
}

fn envelope(status: u16, message: &str, data: Value) -> Response {
    json(status, json!({ "status": status, "message": message, "data": data }))
}

fn refusal(status: u16, message: &str) -> Refusal {
    (status, json!({ "status": status, "message": message }))
}

/// A body that does not fit; here `message` is a list.
fn unfit((field, why): (String, &'static str)) -> Refusal {
    (400, json!({ "status": 400, "message": [format!("{field} {why}")], "error": "Bad Request" }))
}

/// An error that travels inside a success.
fn no_domain(name: &str) -> Refusal {
    (200, json!({ "status": 400, "message": format!("Domain {name} not found"), "errorId": "sandbox-1" }))
}

/// Checks the key, then works on the account.
fn with(store: &Store, headers: &HeaderMap, work: impl FnOnce(&mut Account) -> Answer) -> Response {
    match headers.get("x-api-key").and_then(|key| key.to_str().ok()) {
        Some(KEY) => store.with(ProviderId::Litemail, |account| work(account).unwrap_or_else(refuse)),
        Some(_) => refuse(refusal(401, "Invalid API key")),
        None => refuse(refusal(401, "API key is missing")),
    }
}

fn stamp(seconds: u64) -> String {
    format!("{}.000Z", civil(seconds))
}

/// An id in the looks of the page's example: 25 lower-case letters and digits.
fn mailbox_id(mailbox: &Mailbox) -> String {
    format!("cmb{:022}", mailbox.serial)
}

fn domain_id(domain: &Domain) -> String {
    format!("cmd{:022}", domain.serial)
}

fn domain_by_id<'a>(account: &'a mut Account, id: &str) -> Result<&'a mut Domain, Refusal> {
    account.domains.iter_mut().find(|domain| domain_id(domain) == id).ok_or_else(|| refusal(404, "Domain not found"))
}

fn full_name(mailbox: &Mailbox) -> String {
    let names = [&mailbox.first, &mailbox.last];
    names.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The record in the answer to an assignment: no address, no domain name, no password.
fn assigned_json(account: &Account, mailbox: &Mailbox) -> Value {
    json!({
        "id": mailbox_id(mailbox),
        "username": mailbox.local,
        "fullName": full_name(mailbox),
        "status": mailbox.status.to_uppercase(),
        "domainId": account.domain(&mailbox.domain).map(domain_id),
    })
}

/// The record in a listing. The secrets are made up: they are here so that clients can prove they drop them.
fn listed_json(account: &Account, mailbox: &Mailbox) -> Value {
    json!({
        "id": mailbox_id(mailbox),
        "username": mailbox.local,
        "fullName": full_name(mailbox),
        "firstName": mailbox.first.clone().unwrap_or_default(),
        "lastName": mailbox.last.clone().unwrap_or_default(),
        "email": mailbox.address(),
        "domain": mailbox.domain,
        "domainId": account.domain(&mailbox.domain).map(domain_id),
        "status": mailbox.status.to_uppercase(),
        "password": "sandbox-mail-password",
        "appPassword": "sandbox app password",
        "secret": "sandbox-otp-seed",
        "recoveryEmail": "sandbox-recovery@example.com",
        "profilePicture": null,
        "isWarmedUp": false,
        "assignedOn": stamp(mailbox.created),
        "expireOn": mailbox.extra.get("expire_on"),
        "createdAt": stamp(mailbox.created),
    })
}

fn domain_json(account: &Account, domain: &Domain) -> Value {
    json!({
        "id": domain_id(domain),
        "domain": domain.name,
        "status": domain.status.to_uppercase(),
        "forwardTo": null,
        "dmarcEmail": null,
        "nameServers": ["ns1.sandbox.example", "ns2.sandbox.example"],
        // A number in a string, as at Zapmail.
        "assignedMailboxesCount": account.room(&domain.name).0.to_string(),
        "createdAt": stamp(domain.created),
        "updatedAt": stamp(domain.created),
    })
}

/// Cuts the page that is asked for out of the domains. `nextPage` counts on for ever, as at Zapmail.
fn domains_page(account: &Account, query: &Map<String, Value>) -> Result<(Vec<Domain>, Value), Refusal> {
    if let Some(unknown) = query.keys().find(|key| !["page", "limit", "contains"].contains(&key.as_str())) {
        return Err(unfit((unknown.clone(), "is not known")));
    }
    let number = |key: &str, otherwise: usize| match query.get(key).and_then(Value::as_str) {
        None => Ok(otherwise),
        Some(digits) => digits.parse().ok().filter(|&n| n > 0).ok_or_else(|| unfit((key.to_owned(), "is not valid"))),
    };
    let (current, size) = (number("page", 1)?, number("limit", PAGE)?.min(PAGE));
    let part = text(query, "contains").unwrap_or_default();
    let all: Vec<_> = account.domains.iter().filter(|domain| domain.name.contains(&part)).cloned().collect();
    let total = all.len();
    let (domains, pages) = page(all, current, size);
    let paging = json!({
        "totalSearchedCount": total, "currentPage": current, "nextPage": current + 1, "totalPages": pages,
    });
    Ok((domains, paging))
}

async fn user(State(store): Shared, headers: HeaderMap) -> Response {
    with(&store, &headers, |account| {
        let data = json!({
            "id": "cmu0000000000000000000001",
            "email": "operator@sandbox.example",
            "firstName": "Sandbox",
            "lastName": "Operator",
            "activePlan": null,
            "planEndsOn": null,
            "purchasedMailboxes": 100,
            "assignedMailboxes": account.mailboxes.len(),
            "userCreatedAt": stamp(account.now()),
            "walletBalance": 0.5,
            "domains": [],
        });
        Ok(envelope(200, "User details retrieved successfully", data))
    })
}

/// Says whether a listing shows a mailbox, and counts it: one is ready from the second listing on that shows it.
fn is_shown(mailbox: &mut Mailbox) -> bool {
    if let Some(left @ 1..) = mailbox.extra.get(LATE).and_then(Value::as_u64) {
        mailbox.extra.insert(LATE.to_owned(), (left - 1).into());
        return false;
    }
    if mailbox.status == "pending" && mailbox.extra.insert("seen".to_owned(), true.into()).is_some() {
        mailbox.status = "active".to_owned();
    }
    true
}

async fn list_mailboxes(State(store): Shared, headers: HeaderMap, Query(query): Params) -> Response {
    with(&store, &headers, |account| {
        let (domains, mut data) = domains_page(account, &query)?;
        let mut rows = Vec::new();
        for domain in &domains {
            let here = account.mailboxes.iter_mut().filter(|m| m.domain == domain.name);
            let shown: Vec<Mailbox> = here.filter_map(|mailbox| is_shown(mailbox).then(|| mailbox.clone())).collect();
            let mut row = domain_json(account, domain);
            row["mailboxes"] = shown.iter().map(|mailbox| listed_json(account, mailbox)).collect();
            rows.push(row);
        }
        data["purchasedMailboxes"] = 100.into();
        data["totalAssignedMailboxes"] = account.mailboxes.len().into();
        data["domains"] = rows.into();
        Ok(envelope(200, "Mailboxes retrieved successfully", data))
    })
}

/// A mailbox somebody wants.
struct Wanted {
    local: String,
    domain: String,
    first: Option<String>,
    last: Option<String>,
}

fn wanted(place: &str, entry: Map<String, Value>) -> Result<Wanted, Refusal> {
    let fields = members(entry, &["domain"], &["mailboxUsername", "userName", "firstName", "lastName"])
        .map_err(|(field, why)| unfit((format!("{place}{field}"), why)))?;
    let local = text(&fields, "mailboxUsername").or_else(|| text(&fields, "userName")).unwrap_or_default();
    if local.is_empty() || local.contains(['@', ' ']) {
        return Err(unfit((format!("{place}mailboxUsername"), "is not valid")));
    }
    let domain = text(&fields, "domain").unwrap_or_default().to_lowercase();
    Ok(Wanted { local, domain, first: text(&fields, "firstName"), last: text(&fields, "lastName") })
}

/// Adds mailboxes, all of whose domains must have room. What exists is left out, unless nothing else is left.
fn add(account: &mut Account, all: Vec<Wanted>) -> Result<Vec<Value>, Refusal> {
    for new in &all {
        let Some(domain) = account.domain(&new.domain) else { return Err(no_domain(&new.domain)) };
        if domain.status != "active" {
            return Err(refusal(400, "The domain is not active"));
        }
    }
    let is_new = |new: &Wanted| !account.is_taken(&format!("{}@{}", new.local, new.domain));
    let fresh: Vec<Wanted> = all.into_iter().filter(is_new).collect();
    if fresh.is_empty() {
        return Err(refusal(400, "Mailbox already exists"));
    }
    for new in &fresh {
        let asked = fresh.iter().filter(|other| other.domain == new.domain).count();
        if let (used, Some(limit)) = account.room(&new.domain)
            && used + asked > limit
        {
            return Err(refusal(400, "You do not have enough mailboxes"));
        }
    }
    let mut made = Vec::new();
    for new in fresh {
        let lag = account.lag;
        let mailbox = account.add_mailbox(&new.local, &new.domain, None);
        (mailbox.first, mailbox.last) = (new.first, new.last);
        mailbox.extra.insert(LATE.to_owned(), lag.into());
        mailbox.status = "pending".to_owned();
        let mailbox = mailbox.clone();
        made.push(assigned_json(account, &mailbox));
    }
    Ok(made)
}

async fn assign(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = object(&headers, &body, &["mailboxes"], &[]).map_err(unfit)?;
        let Some(entries) = fields["mailboxes"].as_array().filter(|entries| !entries.is_empty()) else {
            return Err(unfit(("mailboxes".to_owned(), "should be a list that is not empty")));
        };
        let all = entries.iter().enumerate().map(|(index, entry)| {
            wanted(&format!("mailboxes.{index}."), entry.as_object().cloned().unwrap_or_default())
        });
        let made = add(account, all.collect::<Result<_, _>>()?)?;
        Ok(envelope(201, "Mailboxes assigned successfully", json!({ "created": made.len(), "mailboxes": made })))
    })
}

/// The older call. Its page shows no body; this one takes the fields of the newer call and answers with the record.
async fn create_mailbox(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = ["mailboxUsername", "userName", "firstName", "lastName"];
        let new = wanted("", object(&headers, &body, &["domain"], &fields).map_err(unfit)?)?;
        let mut made = add(account, vec![new])?;
        Ok(envelope(201, "Mailbox assigned successfully", made.remove(0)))
    })
}

fn mailbox_by_id<'a>(account: &'a mut Account, id: &str) -> Result<&'a mut Mailbox, Refusal> {
    account.mailboxes.iter_mut().find(|m| mailbox_id(m) == id).ok_or_else(|| refusal(404, "Mailbox not found"))
}

async fn update_mailbox(State(store): Shared, headers: HeaderMap, Path(id): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let known = ["firstName", "lastName", "username", "profilePicture", "removeProfilePicture"];
        let fields = object(&headers, &body, &[], &known).map_err(unfit)?;
        if fields.is_empty() {
            return Err(unfit(("body".to_owned(), "should not be empty")));
        }
        let mailbox = mailbox_by_id(account, &id)?;
        mailbox.first = text(&fields, "firstName").or(mailbox.first.take());
        mailbox.last = text(&fields, "lastName").or(mailbox.last.take());
        mailbox.local = text(&fields, "username").unwrap_or_else(|| mailbox.local.clone());
        Ok(envelope(200, "The update is in progress", Value::Null))
    })
}

async fn remove_mailbox(State(store): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    with(&store, &headers, |account| {
        let mailbox = mailbox_by_id(account, &id)?;
        let renewal = stamp(mailbox.created + RENEWAL);
        mailbox.extra.insert("expire_on".to_owned(), renewal.into());
        Ok(envelope(200, "The mailbox will be removed on the next renewal", Value::Null))
    })
}

async fn list_domains(State(store): Shared, headers: HeaderMap, Query(query): Params) -> Response {
    with(&store, &headers, |account| {
        let (domains, mut data) = domains_page(account, &query)?;
        data["domains"] = domains.iter().map(|domain| domain_json(account, domain)).collect();
        Ok(envelope(200, "Domains retrieved successfully", data))
    })
}

/// Reads a list of texts that must not be empty.
fn texts(fields: &Map<String, Value>, key: &str) -> Result<Vec<String>, Refusal> {
    let list = fields[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if texts.is_empty() || texts.len() < list.len() {
        return Err(unfit((key.to_owned(), "should be a list of texts")));
    }
    Ok(texts)
}

async fn connect_domains(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let names = texts(&object(&headers, &body, &["domainNames"], &[]).map_err(unfit)?, "domainNames")?;
        if names.iter().any(|name| account.domain(name).is_some()) {
            return Err(refusal(400, "Domain already exists"));
        }
        for name in names {
            let (serial, created) = (account.serial("domain"), account.now());
            let status = "pending".to_owned();
            account.domains.push(Domain { serial, name, status, limit: None, created, extra: Map::new() });
        }
        Ok(envelope(200, "The connection is in progress", Value::Null))
    })
}

async fn verify_name_servers(State(store): Shared, headers: HeaderMap, Query(query): Params) -> Response {
    with(&store, &headers, |account| {
        let name = text(&query, "domainName").ok_or_else(|| unfit(("domainName".to_owned(), "is required")))?;
        let domain = account.domain_mut(&name).ok_or_else(|| no_domain(&name))?;
        if domain.status == "pending" {
            domain.status = "active".to_owned();
        }
        Ok(envelope(200, "Name servers have propagated", Value::Null))
    })
}

async fn remove_domains(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        for id in texts(&object(&headers, &body, &["ids"], &[]).map_err(unfit)?, "ids")? {
            let name = domain_by_id(account, &id)?.name.clone();
            if account.room(&name).0 > 0 {
                return Err(refusal(400, "The domain is in use"));
            }
            account.remove_domain(&name);
        }
        Ok(envelope(200, "The domain is removed", Value::Null))
    })
}

async fn set_catch_all(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = object(&headers, &body, &["domainIds", "email"], &[]).map_err(unfit)?;
        for id in texts(&fields, "domainIds")? {
            domain_by_id(account, &id)?.extra.insert("catch_all".to_owned(), fields["email"].clone());
        }
        Ok(envelope(200, "Catch-all is enabled", Value::Null))
    })
}

async fn remove_catch_all(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        for id in texts(&object(&headers, &body, &["domainIds"], &[]).map_err(unfit)?, "domainIds")? {
            domain_by_id(account, &id)?.extra.remove("catch_all");
        }
        Ok(envelope(200, "Catch-all is disabled", Value::Null))
    })
}

async fn list_records(State(store): Shared, headers: HeaderMap, Query(query): Params) -> Response {
    with(&store, &headers, |account| {
        let id = text(&query, "id").ok_or_else(|| unfit(("id".to_owned(), "is required")))?;
        let domain = domain_by_id(account, &id)?;
        let records = [
            ("MX", domain.name.clone(), "mx.sandbox.example", Some(1)),
            ("TXT", domain.name.clone(), "v=spf1 include:spf.sandbox.example ~all", None),
            ("TXT", format!("_dmarc.{}", domain.name), "v=DMARC1; p=none", None),
        ];
        let rows = records.iter().zip(1u32..).map(|((kind, host, value, priority), number)| {
            json!({
                "id": format!("cmr{:016}{number:06}", domain.serial), "assignedDomainId": id, "host": host,
                "value": value, "recordType": kind, "priority": priority, "createdAt": stamp(domain.created),
            })
        });
        let data = json!({ "records": rows.collect::<Value>(), "disabledRecords": [] });
        Ok(envelope(200, "DNS records retrieved successfully", data))
    })
}
