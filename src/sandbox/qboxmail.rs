//! Qboxmail as its pages describe it: <https://docs.qboxmail.com/en/api/> and its neighbours. The pages are summed up in
//! `docs/providers/qboxmail.md`.
//!
//! Where the pages leave something open, the dialect takes the more awkward reading: changes answer without a body,
//! a domain without mailboxes answers 404, pages are smaller than asked for.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::{get, put};
use serde_json::{Map, Value, json};

use super::store::{Account, Alias, Domain, KEY, Mailbox, Store};
use super::wire::{Answer, Refusal, central, empty, json, object, page, refuse, text};
use crate::model::ProviderId;

/// The only sizes a quota may have (docs: postApiDomains).
const SIZES: [u64; 13] = [
    50 << 20,
    1 << 30,
    2 << 30,
    3 << 30,
    4 << 30,
    5 << 30,
    6 << 30,
    7 << 30,
    8 << 30,
    16 << 30,
    25 << 30,
    50 << 30,
    100 << 30,
];

/// The quota of a new mailbox when none is named: 8 GB, the default of the older reference.
const DEFAULT_QUOTA: u64 = 8 << 30;

/// The fixed quota of a postmaster.
const POSTMASTER_QUOTA: u64 = 50 << 20;

/// The largest page. The documented default is 25; no page says how many the service gives at most.
const PER_MAX: usize = 10;

/// Addresses an alias may deliver to (guide: email aliases).
const DESTINATIONS: usize = 20;

const ACCOUNT_FIELDS: &[&str] = &[
    "firstname",
    "lastname",
    "description",
    "password",
    "password_confirmation",
    "max_email_quota",
    "autoresponder_enabled",
    "autoresponder_subject",
    "autoresponder_body",
    "spam_in_inbox",
    "timezone",
    "language",
    "password_change_disabled",
    "outbound_limit",
    "tags",
];

const DOMAIN_FIELDS: &[&str] = &[
    "postmaster_password",
    "postmaster_password_confirmation",
    "catch_all_enabled",
    "catch_all_destination",
    "default_quota",
    "max_email_quota",
    "antispam_level",
    "allow_nets",
    "imap_disabled",
    "pop_disabled",
    "smtp_disabled",
    "webmail_disabled",
    "chat",
    "activesync",
    "meeting",
    "calendar",
    "dav",
    "max_email_accounts",
    "max_email_accounts_25gb",
    "max_email_accounts_50gb",
    "max_email_accounts_100gb",
    "max_email_accounts_archive",
];

type Shared = State<Arc<Store>>;
type Fields = Map<String, Value>;

pub(super) fn routes() -> Router<Arc<Store>> {
    Router::new()
        .route("/api/domains", get(list_domains).post(create_domain))
        .route("/api/domains/{domain}", get(get_domain).put(update_domain).delete(delete_domain))
        .route("/api/domains/{domain}/status", put(set_domain_status))
        .route("/api/domains/{domain}/dns_ownership_check", put(check_ownership))
        .route("/api/domains/{domain}/email_accounts", get(list_accounts).post(create_account))
        .route(
            "/api/domains/{domain}/email_accounts/{code}",
            get(get_account).put(update_account).delete(delete_account),
        )
        .route("/api/domains/{domain}/email_accounts/{code}/status", put(set_account_status))
        .route("/api/domains/{domain}/alias_email_accounts", get(list_aliases).post(create_alias))
        .route(
            "/api/domains/{domain}/alias_email_accounts/{code}",
            get(get_alias).put(update_alias).delete(delete_alias),
        )
        .fallback(|| async { refuse(missing()) })
}

fn refusal(status: u16, message: &str) -> Refusal {
    (status, json!({ "message": message, "errors": [] }))
}

fn missing() -> Refusal {
    refusal(404, "Not found")
}

fn invalid(field: &str, description: &str) -> Refusal {
    let errors = json!([{ "field": field, "description": description }]);
    (422, json!({ "message": "Validation failed", "errors": errors }))
}

/// Checks the token, then works on the account.
fn with(store: &Store, headers: &HeaderMap, work: impl FnOnce(&mut Account) -> Answer) -> Response {
    let token = headers.get("x-api-token").and_then(|v| v.to_str().ok());
    if token != Some(KEY) {
        return refuse(refusal(401, "Unauthorized"));
    }
    store.with(ProviderId::Qboxmail, |account| work(account).unwrap_or_else(refuse))
}

fn fields(headers: &HeaderMap, body: &Bytes, required: &[&str], optional: &[&str]) -> Result<Fields, Refusal> {
    let fields = object(headers, body, required, optional).map_err(|(field, why)| invalid(&field, why))?;
    if fields.is_empty() { Err(invalid("body", "is empty")) } else { Ok(fields) }
}

/// Checks a password and its confirmation, if the request has either.
fn password(fields: &Fields, name: &str) -> Result<Option<String>, Refusal> {
    let confirmation = format!("{name}_confirmation");
    let Some(password) = text(fields, name) else {
        return if fields.contains_key(&confirmation) { Err(invalid(name, "is required")) } else { Ok(None) };
    };
    let good = password.chars().count() >= 8
        && password.chars().any(char::is_alphabetic)
        && password.chars().any(|c| c.is_ascii_digit());
    if !good {
        return Err(invalid(name, "is not valid"));
    }
    if text(fields, &confirmation).as_deref() != Some(&password) {
        return Err(invalid(&confirmation, "does not match"));
    }
    Ok(Some(password))
}

fn size(fields: &Fields, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let size = value.as_u64().filter(|size| SIZES.contains(size));
    size.map(Some).ok_or_else(|| invalid(name, "is not valid"))
}

fn status(fields: &Fields) -> Result<&'static str, Refusal> {
    match text(fields, "status").as_deref() {
        Some("enabled") => Ok("active"),
        Some("disabled") => Ok("suspended"),
        _ => Err(invalid("status", "is not valid")),
    }
}

/// The service's word for a state.
fn word(status: &str) -> &'static str {
    match status {
        "suspended" => "disabled",
        "pending" => "ownership_check",
        _ => "enabled",
    }
}

fn created(path: &str, code: &str) -> Response {
    let mut response = json(201, json!({ "message": "Resource created", "resource_code": code }));
    let location = HeaderValue::from_str(&format!("{path}/{code}")).expect("codes are ASCII");
    response.headers_mut().insert("location", location);
    response
}

/// A single read: the same envelope as a list.
fn one(resource: Value) -> Response {
    json(200, json!({ "resources": [resource], "pagination": {} }))
}

/// One page of a list whose items hold `search` in their names, if it is given.
fn many(query: &Fields, items: impl Iterator<Item = Value>) -> Answer {
    if let Some(unknown) = query.keys().find(|key| !matches!(key.as_str(), "page" | "per" | "query")) {
        return Err(invalid(unknown, "is not valid"));
    }
    let number = |key: &str, default: usize| match text(query, key) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|n| *n > 0).ok_or_else(|| invalid(key, "is not valid")),
    };
    let (at, per) = (number("page", 1)?, number("per", 25)?.min(PER_MAX));
    let search = text(query, "query").map(|search| search.to_lowercase());
    let found = |item: &Value| match (&search, item["name"].as_str()) {
        (Some(search), Some(name)) => name.to_lowercase().contains(search),
        _ => true,
    };
    let all: Vec<_> = items.filter(found).collect();
    let total = all.len();
    let (resources, pages) = page(all, at, per);
    let pagination = json!({
        "per": per, "page": at, "total_pages": pages, "total_records": total,
        "query": search, "filter": null, "status": null, "sort_field": null, "sort": null,
    });
    Ok(json(200, json!({ "resources": resources, "pagination": pagination })))
}

fn domain_code(domain: &Domain) -> String {
    format!("D{}", 123_456_000 + domain.serial)
}

fn account_code(mailbox: &Mailbox) -> String {
    format!("EA{}", 12_345_000 + mailbox.serial)
}

fn alias_code(alias: &Alias) -> String {
    format!("AE{}", 12_345_000 + alias.serial)
}

fn postmaster_code(domain: &Domain) -> String {
    format!("P{}", 123_456_000 + domain.serial)
}

fn find_domain<'a>(account: &'a Account, code: &str) -> Result<&'a Domain, Refusal> {
    account.domains.iter().find(|d| domain_code(d) == code).ok_or_else(missing)
}

fn find_domain_mut<'a>(account: &'a mut Account, code: &str) -> Result<&'a mut Domain, Refusal> {
    account.domains.iter_mut().find(|d| domain_code(d) == code).ok_or_else(missing)
}

fn find_account<'a>(account: &'a mut Account, domain: &str, code: &str) -> Result<&'a mut Mailbox, Refusal> {
    account.mailboxes.iter_mut().find(|m| m.domain == domain && account_code(m) == code).ok_or_else(missing)
}

fn find_alias<'a>(account: &'a mut Account, domain: &str, code: &str) -> Result<&'a mut Alias, Refusal> {
    account.aliases.iter_mut().find(|a| split(&a.source).1 == domain && alias_code(a) == code).ok_or_else(missing)
}

fn split(address: &str) -> (&str, &str) {
    address.rsplit_once('@').unwrap_or((address, ""))
}

fn domain_json(account: &Account, domain: &Domain) -> Value {
    let settled = domain.status != "pending";
    let stored = |key: &str| domain.extra.get(key).cloned().unwrap_or_default();
    let created = central(domain.created);
    let limit = domain.limit.map_or_else(|| json!(-1), |limit| json!(limit));
    let (accounts, _) = account.room(&domain.name);
    let aliases = account.aliases.iter().filter(|a| split(&a.source).1 == domain.name).count();
    let mut whole = json!({
        "activated_at": settled.then_some(&created), "archive_activated_at": null,
        "created_at": created, "updated_at": created,
        "status": word(&domain.status), "status_detail": "ok", "archive_status": "disabled",
        "code": domain_code(domain), "is_healthy": settled, "name": domain.name,
        "customer_fullname": "Ada Byron", "customer_code": "C12345678", "customer_catch_all": true,
        "allow_nets": [null], "antispam_level": 2, "archive": false,
        "manager_fullname": null, "manager_code": null,
        "default_retention": 0, "default_archive": false, "email_services": 0,
        "default_quota": stored("default_quota"), "max_email_quota": stored("max_email_quota"),
        "dkim_public_key": settled.then_some("MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB"), "dkim_selector": "qboxmail",
        "has_dkim": i32::from(settled), "dkim_last_checked_at": null, "dkim_last_check_ok": settled,
        "max_email_accounts": limit, "no_alias_email_accounts": aliases, "no_email_accounts": accounts,
        "ownership_verification_email_address": null,
        "possession_a_record": domain_code(domain).to_lowercase(),
    });
    // Members that nothing here depends on.
    for (value, keys) in [
        (json!(false), &["imap_disabled", "smtp_disabled", "pop_disabled", "webmail_disabled"][..]),
        (json!(true), &["calendar", "meeting", "activesync", "chat", "dav"]),
        (json!(-1), &["max_email_accounts_archive", "max_email_accounts_25gb"]),
        (json!(-1), &["max_email_accounts_50gb", "max_email_accounts_100gb"]),
        (json!(0), &["no_alias_domains", "no_email_accounts_archive", "no_email_accounts_25gb"]),
        (json!(0), &["no_email_accounts_50gb", "no_email_accounts_100gb"]),
    ] {
        for key in keys {
            whole[*key] = value.clone();
        }
    }
    whole
}

fn account_json(mailbox: &Mailbox) -> Value {
    json!({
        "code": account_code(mailbox), "name": mailbox.local, "email_address": mailbox.address(),
        "firstname": mailbox.first, "lastname": mailbox.last,
        "status": word(&mailbox.status), "status_detail": "ok",
        "max_email_quota": if mailbox.quota == 0 { DEFAULT_QUOTA } else { mailbox.quota },
        "created_at": central(mailbox.created), "updated_at": central(mailbox.updated), "lastauth_datetime": null,
    })
}

fn postmaster_json(domain: &Domain) -> Value {
    json!({
        "code": postmaster_code(domain), "name": "postmaster", "email_address": format!("postmaster@{}", domain.name),
        "firstname": "postmaster", "lastname": null, "status": word(&domain.status), "status_detail": "ok",
        "max_email_quota": POSTMASTER_QUOTA,
        "created_at": central(domain.created), "updated_at": central(domain.created), "lastauth_datetime": null,
    })
}

fn alias_json(alias: &Alias) -> Value {
    let (name, domain_name) = split(&alias.source);
    json!({
        "code": alias_code(alias), "name": name, "domain_name": domain_name, "destinations": alias.targets,
        "status": "enabled", "status_detail": "ok",
        "created_at": central(alias.created), "updated_at": central(alias.updated),
    })
}

async fn list_domains(State(store): Shared, headers: HeaderMap, Query(mut query): Query<Fields>) -> Response {
    with(&store, &headers, |account| {
        let wanted = ["pick", "only"].iter().find_map(|key| query.remove(*key));
        let wanted = wanted.as_ref().and_then(Value::as_str);
        let items = account.domains.iter().map(|domain| {
            let mut item = domain_json(account, domain);
            if let (Some(wanted), Some(item)) = (wanted, item.as_object_mut()) {
                item.retain(|key, _| key == "code" || wanted.split(',').any(|w| w == key));
            }
            item
        });
        many(&query, items)
    })
}

/// Checks what creating and updating a domain have in common, and keeps what later requests depend on.
fn apply(domain: &mut Domain, fields: &Fields) -> Result<(), Refusal> {
    password(fields, "postmaster_password")?;
    let (default, max) = (size(fields, "default_quota")?, size(fields, "max_email_quota")?);
    if let Some(limit) = fields.get("max_email_accounts") {
        let limit = limit.as_i64().ok_or_else(|| invalid("max_email_accounts", "is not valid"))?;
        domain.limit = usize::try_from(limit).ok();
    }
    if let Some(enabled) = fields.get("catch_all_enabled") {
        let destination = text(fields, "catch_all_destination").filter(|d| d.contains('@'));
        match (enabled.as_bool(), destination) {
            (Some(true), Some(destination)) => domain.extra.insert("catch_all".to_owned(), destination.into()),
            (Some(true), None) => return Err(invalid("catch_all_destination", "is not valid")),
            (Some(false), _) => domain.extra.remove("catch_all"),
            (None, _) => return Err(invalid("catch_all_enabled", "is not valid")),
        };
    }
    for (key, size) in [("default_quota", default), ("max_email_quota", max)] {
        if let Some(size) = size {
            domain.extra.insert(key.to_owned(), size.into());
        }
    }
    Ok(())
}

async fn create_domain(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let required = ["name", "postmaster_password", "postmaster_password_confirmation"];
        let optional = [DOMAIN_FIELDS, &["plan", "customer_code", "outbound_limit"]].concat();
        let fields = fields(&headers, &body, &required, &optional)?;
        let name = text(&fields, "name").unwrap_or_default().to_lowercase();
        if !name.contains('.') || name.starts_with("www.") {
            return Err(invalid("name", "is not valid"));
        }
        let plan = text(&fields, "plan").unwrap_or_else(|| "basic".to_owned());
        if !["basic", "professional", "enterprise"].contains(&plan.as_str()) {
            return Err(invalid("plan", "is not valid"));
        }
        if account.domain(&name).is_some() {
            return Err(invalid("name", "already exists"));
        }
        let extra = Map::from_iter([("max_email_quota".to_owned(), DEFAULT_QUOTA.into())]);
        let created_at = account.now();
        let mut domain =
            Domain { serial: 0, name, status: "pending".to_owned(), limit: None, created: created_at, extra };
        apply(&mut domain, &fields)?;
        domain.serial = account.serial("domain");
        let answer = created("/api/domains", &domain_code(&domain));
        account.domains.push(domain);
        Ok(answer)
    })
}

async fn get_domain(State(store): Shared, headers: HeaderMap, Path(code): Path<String>) -> Response {
    with(&store, &headers, |account| Ok(one(domain_json(account, find_domain(account, &code)?))))
}

async fn update_domain(State(store): Shared, headers: HeaderMap, Path(code): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let domain = find_domain_mut(account, &code)?;
        apply(domain, &fields(&headers, &body, &[], DOMAIN_FIELDS)?)?;
        Ok(empty(200))
    })
}

async fn delete_domain(State(store): Shared, headers: HeaderMap, Path(code): Path<String>) -> Response {
    with(&store, &headers, |account| {
        let name = find_domain(account, &code)?.name.clone();
        account.remove_domain(&name);
        Ok(empty(204))
    })
}

async fn set_domain_status(
    State(store): Shared,
    headers: HeaderMap,
    Path(code): Path<String>,
    body: Bytes,
) -> Response {
    with(&store, &headers, |account| {
        let domain = find_domain_mut(account, &code)?;
        domain.status = status(&fields(&headers, &body, &["status"], &[])?)?.to_owned();
        Ok(empty(200))
    })
}

/// Accepts every domain as proven, because the sandbox has no DNS to check.
async fn check_ownership(State(store): Shared, headers: HeaderMap, Path(code): Path<String>) -> Response {
    with(&store, &headers, |account| {
        let domain = find_domain_mut(account, &code)?;
        if domain.status == "pending" {
            domain.status = "active".to_owned();
        }
        Ok(empty(200))
    })
}

async fn list_accounts(
    State(store): Shared,
    headers: HeaderMap,
    Path(code): Path<String>,
    Query(query): Query<Fields>,
) -> Response {
    with(&store, &headers, |account| {
        let name = &find_domain(account, &code)?.name;
        let mut items = account.mailboxes.iter().filter(|m| m.domain == *name).map(account_json).peekable();
        // A domain without mailboxes was seen to answer as one that is not there.
        if items.peek().is_none() { Err(missing()) } else { many(&query, items) }
    })
}

async fn create_account(State(store): Shared, headers: HeaderMap, Path(code): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let domain = find_domain(account, &code)?.clone();
        let fields =
            fields(&headers, &body, &["name", "firstname", "password", "password_confirmation"], ACCOUNT_FIELDS)?;
        if domain.status != "active" {
            return Err(refusal(403, "Forbidden: the domain is not enabled"));
        }
        let local = text(&fields, "name").filter(|name| !name.contains('@'));
        let Some(local) = local else { return Err(invalid("name", "is not valid")) };
        let (secret, quota) = (password(&fields, "password")?, size(&fields, "max_email_quota")?);
        let default = domain.extra.get("default_quota").and_then(Value::as_u64);
        let address = format!("{local}@{}", domain.name);
        let is_alias = account.aliases.iter().any(|a| a.source.eq_ignore_ascii_case(&address));
        if account.is_taken(&address) || is_alias || local.eq_ignore_ascii_case("postmaster") {
            return Err(invalid("name", "already exists"));
        }
        if let (used, Some(limit)) = account.room(&domain.name)
            && used >= limit
        {
            return Err(refusal(403, "Forbidden: the plan allows no more email accounts on this domain"));
        }
        let mailbox = account.add_mailbox(&local, &domain.name, secret.as_deref());
        mailbox.quota = quota.or(default).unwrap_or(0);
        (mailbox.first, mailbox.last) = (text(&fields, "firstname"), text(&fields, "lastname"));
        Ok(created(&format!("/api/domains/{code}/email_accounts"), &account_code(mailbox)))
    })
}

type Codes = Path<(String, String)>;

async fn get_account(State(store): Shared, headers: HeaderMap, Path((domain, code)): Codes) -> Response {
    with(&store, &headers, |account| {
        let domain = find_domain(account, &domain)?.clone();
        if code == postmaster_code(&domain) {
            return Ok(one(postmaster_json(&domain)));
        }
        Ok(one(account_json(find_account(account, &domain.name, &code)?)))
    })
}

async fn update_account(
    State(store): Shared,
    headers: HeaderMap,
    Path((domain, code)): Codes,
    body: Bytes,
) -> Response {
    with(&store, &headers, |account| {
        let domain = find_domain(account, &domain)?.clone();
        let optional = [
            ACCOUNT_FIELDS,
            &[
                "autoresponder_start_date",
                "autoresponder_end_date",
                "autoresponder_intervals_enabled",
                "force_new_password",
                "hide_from_addressbook_company",
            ],
        ]
        .concat();
        let fields = fields(&headers, &body, &[], &optional)?;
        let (secret, quota) = (password(&fields, "password")?, size(&fields, "max_email_quota")?);
        if code == postmaster_code(&domain) {
            return if quota.is_some() { Err(invalid("max_email_quota", "is not valid")) } else { Ok(empty(200)) };
        }
        let now = account.now();
        let mailbox = find_account(account, &domain.name, &code)?;
        if let Some(secret) = secret {
            mailbox.set_password(&secret);
        }
        mailbox.quota = quota.unwrap_or(mailbox.quota);
        mailbox.first = text(&fields, "firstname").or(mailbox.first.take());
        mailbox.last = text(&fields, "lastname").or(mailbox.last.take());
        mailbox.updated = now;
        Ok(empty(200))
    })
}

async fn set_account_status(
    State(store): Shared,
    headers: HeaderMap,
    Path((domain, code)): Codes,
    body: Bytes,
) -> Response {
    with(&store, &headers, |account| {
        let name = find_domain(account, &domain)?.name.clone();
        let now = account.now();
        let mailbox = find_account(account, &name, &code)?;
        mailbox.status = status(&fields(&headers, &body, &["status"], &["bounce_msg"])?)?.to_owned();
        mailbox.updated = now;
        Ok(empty(200))
    })
}

async fn delete_account(State(store): Shared, headers: HeaderMap, Path((domain, code)): Codes) -> Response {
    with(&store, &headers, |account| {
        let domain = find_domain(account, &domain)?.clone();
        if code == postmaster_code(&domain) {
            return Err(refusal(403, "Forbidden"));
        }
        let address = find_account(account, &domain.name, &code)?.address();
        account.mailboxes.retain(|m| m.address() != address);
        Ok(empty(204))
    })
}

async fn list_aliases(
    State(store): Shared,
    headers: HeaderMap,
    Path(code): Path<String>,
    Query(query): Query<Fields>,
) -> Response {
    with(&store, &headers, |account| {
        let name = &find_domain(account, &code)?.name;
        many(&query, account.aliases.iter().filter(|a| split(&a.source).1 == name).map(alias_json))
    })
}

/// Reads the addresses that an alias delivers to; duplicates are ignored.
fn destinations(fields: &Fields) -> Result<Vec<String>, Refusal> {
    let bad = || invalid("destinations", "is not valid");
    let mut all: Vec<String> = Vec::new();
    for item in fields["destinations"].as_array().ok_or_else(bad)? {
        let address = item.as_str().filter(|address| address.contains('@')).ok_or_else(bad)?;
        if !all.iter().any(|known| known == address) {
            all.push(address.to_owned());
        }
    }
    if all.is_empty() || all.len() > DESTINATIONS { Err(bad()) } else { Ok(all) }
}

async fn create_alias(State(store): Shared, headers: HeaderMap, Path(code): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let domain = find_domain(account, &code)?.name.clone();
        let fields = fields(&headers, &body, &["name", "destinations"], &[])?;
        let name = text(&fields, "name").filter(|name| !name.contains('@'));
        let Some(name) = name else { return Err(invalid("name", "is not valid")) };
        let (source, targets) = (format!("{name}@{domain}"), destinations(&fields)?);
        let is_taken = account.aliases.iter().any(|a| a.source.eq_ignore_ascii_case(&source));
        if is_taken || account.mailbox(&source).is_some() {
            return Err(invalid("name", "already exists"));
        }
        let (serial, now) = (account.serial("alias"), account.now());
        let alias = Alias { serial, source, targets, created: now, updated: now, extra: Map::new() };
        let answer = created(&format!("/api/domains/{code}/alias_email_accounts"), &alias_code(&alias));
        account.aliases.push(alias);
        Ok(answer)
    })
}

async fn get_alias(State(store): Shared, headers: HeaderMap, Path((domain, code)): Codes) -> Response {
    with(&store, &headers, |account| {
        let name = find_domain(account, &domain)?.name.clone();
        Ok(one(alias_json(find_alias(account, &name, &code)?)))
    })
}

async fn update_alias(State(store): Shared, headers: HeaderMap, Path((domain, code)): Codes, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let name = find_domain(account, &domain)?.name.clone();
        let targets = destinations(&fields(&headers, &body, &["destinations"], &[])?)?;
        let now = account.now();
        let alias = find_alias(account, &name, &code)?;
        (alias.targets, alias.updated) = (targets, now);
        Ok(empty(200))
    })
}

async fn delete_alias(State(store): Shared, headers: HeaderMap, Path((domain, code)): Codes) -> Response {
    with(&store, &headers, |account| {
        let name = find_domain(account, &domain)?.name.clone();
        let source = find_alias(account, &name, &code)?.source.clone();
        account.aliases.retain(|a| a.source != source);
        Ok(empty(204))
    })
}
