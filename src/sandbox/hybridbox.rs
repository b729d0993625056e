//! Hybridbox as its pages describe it: <https://docs.hybridbox.io/en/api/v1/public/accounts/account_id/mailboxes/get>
//! and its neighbours. The pages are summed up in `docs/providers/hybridbox.md`.
//!
//! No page shows an error body or a status, so its errors come in the several shapes that such services use. The
//! lists of domains and of credentials are on no page either: one is a page object here, the other a bare array.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::{delete, get, patch, post};
use serde_json::{Map, Value, json};

use super::store::{Account, Alias, Credential, Domain, KEY, Mailbox, Store};
use super::wire::{Answer, Refusal, empty, json, members, object, page, refuse, text, zulu};
use crate::model::ProviderId;

/// The account, as the pages' samples write a UUID.
const ACCOUNT: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";

/// Where the lists' pages end. The page size asked for is cut down to it without a word: no page names a maximum.
const PAGE_MAX: u64 = 10;

/// What every mailbox may hold; the pages name no unit.
const ALLOWED: u64 = 5000;

type Shared = State<Arc<Store>>;
type Fields = Map<String, Value>;

pub(super) fn routes() -> Router<Arc<Store>> {
    let account = Router::new()
        .route("/", get(get_account))
        .route("/mailboxes", get(list_mailboxes).post(create_mailbox))
        .route("/mailboxes/bulk", post(create_mailboxes))
        .route("/mailboxes/{mailbox}", get(get_mailbox).patch(rename_mailbox).delete(delete_mailbox))
        .route("/mailboxes/{mailbox}/aliases", post(create_alias))
        .route("/mailboxes/{mailbox}/aliases/{alias}", delete(delete_alias))
        .route("/credentials", get(list_credentials).post(create_credential))
        .route("/credentials/{credential}", patch(rename_credential).delete(delete_credential))
        .route("/domains", get(list_domains))
        .route("/domains/{domain}", get(get_domain).delete(delete_domain));
    Router::new()
        .nest("/v1/public/accounts/{account}", account)
        .fallback(|| async { refuse((404, json!({ "detail": "Not Found" }))) })
        .method_not_allowed_fallback(|| async { refuse((405, json!({ "detail": "Method Not Allowed" }))) })
}

/// Returns the id of the thing with this serial number.
fn uuid(kind: &str, serial: u64) -> String {
    let digit = match kind {
        "domain" => 1,
        "mailbox" => 2,
        "credential" => 3,
        "workspace" => 4,
        _ => 0,
    };
    format!("00000000-0000-4000-800{digit}-{serial:012}")
}

/// Returns the number of the workspace a domain is in: the full one is in another than the rest.
fn workspace(domain: &str) -> u64 {
    if domain == "full.example" { 2 } else { 1 }
}

fn problem(status: u16, code: &str, message: &str) -> Refusal {
    (status, json!({ "code": code, "message": message }))
}

fn hidden(what: &str) -> Refusal {
    (404, json!({ "detail": format!("{what} not found") }))
}

/// The answer to a part of a request, `body` or `query`, that does not fit the schema.
fn unfit_in(part: &str, field: &str, why: &str) -> Refusal {
    (422, json!({ "detail": [{ "loc": [part, field], "msg": why, "type": "value_error" }] }))
}

fn unfit(field: &str, why: &str) -> Refusal {
    unfit_in("body", field, why)
}

/// Reads the body, which holds these members, and none but these and the `optional` ones.
fn fields(headers: &HeaderMap, body: &Bytes, required: &[&str], optional: &[&str]) -> Result<Fields, Refusal> {
    object(headers, body, required, optional).map_err(|(field, why)| unfit(&field, why))
}

/// Checks token and account, then works on the account. What a token may not see is answered as if it were not there.
fn with(store: &Store, headers: &HeaderMap, id: &str, work: impl FnOnce(&mut Account) -> Answer) -> Response {
    let header = headers.get("authorization").and_then(|v| v.to_str().ok());
    match header.and_then(|h| h.strip_prefix("Bearer ")) {
        Some(KEY | "editor") if !id.eq_ignore_ascii_case(ACCOUNT) => refuse(hidden("Account")),
        Some(KEY | "editor") => store.with(ProviderId::Hybridbox, |account| work(account).unwrap_or_else(refuse)),
        _ => {
            let mut refusal = json(401, json!({ "error": { "code": "unauthorized", "message": "Invalid token" } }));
            refusal.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
            refusal
        }
    }
}

/// As [`with`], for master passwords: the role that makes mailboxes may not touch them.
fn with_manager(store: &Store, headers: &HeaderMap, id: &str, work: impl FnOnce(&mut Account) -> Answer) -> Response {
    if headers.get("authorization").is_some_and(|v| v == "Bearer editor") {
        return refuse((403, json!({ "error": "missing capability credential.manage" })));
    }
    with(store, headers, id, work)
}

/// Finds a domain by name or UUID.
fn domain_of<'a>(account: &'a Account, wanted: &str) -> Result<&'a Domain, Refusal> {
    let mut all = account.domains.iter();
    let found = all.find(|d| d.name.eq_ignore_ascii_case(wanted) || uuid("domain", d.serial) == wanted);
    found.ok_or_else(|| hidden("Domain"))
}

/// Finds a mailbox by UUID; that an address works as well is not on any page.
fn mailbox_of<'a>(account: &'a Account, wanted: &str) -> Result<&'a Mailbox, Refusal> {
    let found = account.mailboxes.iter().find(|m| uuid("mailbox", m.serial) == wanted);
    found.ok_or_else(|| hidden("Mailbox"))
}

fn aliases_of(account: &Account, mailbox: &Mailbox) -> Vec<Value> {
    let address = mailbox.address();
    account.aliases.iter().filter(|a| a.targets[0] == address).map(alias_json).collect()
}

fn alias_json(alias: &Alias) -> Value {
    json!({ "alias": alias.source, "is_catch_all": alias.extra.contains_key("is_catch_all") })
}

/// Shows a mailbox. `aliases` is optional: lists and creations leave it out when there are none.
fn mailbox_json(account: &Account, mailbox: &Mailbox) -> Value {
    let domain_id = account.domain(&mailbox.domain).map(|d| uuid("domain", d.serial));
    let mut shown = json!({
        "created_at": zulu(mailbox.created),
        "domain_id": domain_id,
        "domain_name": mailbox.domain,
        "first_name": mailbox.first,
        "id": uuid("mailbox", mailbox.serial),
        "last_name": mailbox.last,
        "local_part": mailbox.local,
        "primary_email": mailbox.address(),
        "quota": { "allowed": ALLOWED, "used": 0 },
        "status": mailbox.status,
        "updated_at": zulu(mailbox.updated),
        "workspace_id": uuid("workspace", workspace(&mailbox.domain)),
        "workspace_name": null,
    });
    let aliases = aliases_of(account, mailbox);
    if !aliases.is_empty() {
        shown["aliases"] = aliases.into();
    }
    shown
}

/// Returns one page of a list as a page object; only its items are made JSON.
fn paged<T>(items: Vec<T>, query: &Fields, show: impl Fn(T) -> Value) -> Answer {
    let number = |key: &str, default: u64| match query.get(key).and_then(Value::as_str) {
        None => Some(default),
        Some(text) => text.parse().ok().filter(|&number: &u64| number > 0),
    };
    let (Some(number), Some(size)) = (number("page", 1), number("page_size", 25)) else {
        return Err((422, json!({ "detail": "page and page_size are positive integers" })));
    };
    let (size, total) = (size.min(PAGE_MAX), items.len());
    let (items, _) = page(items, number as usize, size as usize);
    let items: Vec<_> = items.into_iter().map(show).collect();
    Ok(json(200, json!({ "items": items, "page": number, "page_size": size, "total": total })))
}

/// Returns whether a text has the form of a UUID.
fn is_uuid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.split('-').all(is_hex)
}

async fn get_account(State(store): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    with(&store, &headers, &id, |account| {
        let created = account.domains.first().map_or(0, |d| d.created);
        Ok(json(
            200,
            json!({
                "client": { "id": "00000000-0000-4000-8009-000000000001", "name": "Sandbox Client" },
                "created_at": zulu(created), "id": ACCOUNT, "name": "Sandbox", "status": "active",
                "updated_at": zulu(created),
            }),
        ))
    })
}

async fn list_mailboxes(
    State(store): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<Fields>,
) -> Response {
    with(&store, &headers, &id, |account| {
        let known = ["page", "page_size", "domain", "workspace_id", "search"];
        members(query.clone(), &[], &known).map_err(|(field, why)| unfit_in("query", &field, why))?;
        let wanted = |key| text(&query, key);
        let domain = wanted("domain").map(|text| domain_of(account, &text).map(|d| d.name.clone()).unwrap_or_default());
        let (search, of) = (wanted("search").map(|s| s.to_lowercase()), wanted("workspace_id"));
        if of.as_ref().is_some_and(|of| !is_uuid(of)) {
            return Err(unfit_in("query", "workspace_id", "is not a UUID"));
        }
        let fits = |m: &&Mailbox| {
            let named = |s: &String| [&m.first, &m.last].into_iter().flatten().any(|n| n.to_lowercase().contains(s));
            domain.as_ref().is_none_or(|name| m.domain == *name)
                && of.as_ref().is_none_or(|of| uuid("workspace", workspace(&m.domain)) == *of)
                && search.as_ref().is_none_or(|s| m.address().contains(s) || named(s))
        };
        // The newest first, so that pages shift while mailboxes are added: no page promises an order.
        let all = account.mailboxes.iter().rev().filter(fits).collect();
        paged(all, &query, |m| mailbox_json(account, m))
    })
}

/// Adds a mailbox.
fn add(account: &mut Account, domain: &str, item: &Fields) -> Result<Value, Refusal> {
    let get = |key| text(item, key).unwrap_or_default();
    let local = get("local_part").to_lowercase();
    let found = domain_of(account, domain).map_err(|_| problem(404, "domain_not_found", "no such domain"))?;
    let (name, status) = (found.name.clone(), found.status.clone());
    if status != "active" {
        return Err(problem(422, "domain_not_active", &format!("domain {name} is {status}")));
    }
    let address = format!("{local}@{name}");
    if account.is_taken(&address) || account.aliases.iter().any(|a| a.source == address) {
        return Err(problem(409, "mailbox_exists", &format!("{address} already exists")));
    }
    if let (used, Some(limit)) = account.room(&name)
        && used >= limit
    {
        return Err(problem(422, "mailbox_limit", &format!("mailbox limit of {name} reached: {used}/{limit}")));
    }
    let mailbox = account.add_mailbox(&local, &name, None);
    (mailbox.first, mailbox.last) = (Some(get("first_name")), Some(get("last_name")));
    let mailbox = mailbox.clone();
    Ok(mailbox_json(account, &mailbox))
}

async fn create_mailbox(State(store): Shared, headers: HeaderMap, Path(id): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, &id, |account| {
        let fields = fields(&headers, &body, &["domain", "first_name", "last_name", "local_part"], &[])?;
        Ok(json(201, add(account, &text(&fields, "domain").unwrap_or_default(), &fields)?))
    })
}

async fn create_mailboxes(State(store): Shared, headers: HeaderMap, Path(id): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, &id, |account| {
        let fields = fields(&headers, &body, &["domain", "items"], &[])?;
        let domain = text(&fields, "domain").unwrap_or_default();
        domain_of(account, &domain)?;
        let wanted = fields["items"].as_array().ok_or_else(|| unfit("items", "is not a list"))?;
        let mut items = Vec::new();
        for item in wanted.iter().cloned() {
            let Value::Object(item) = item else { return Err(unfit("items", "is not an object")) };
            let item = members(item, &["first_name", "last_name", "local_part"], &[]);
            items.push(item.map_err(|(field, why)| unfit(&field, why))?);
        }
        let (mut created, mut failed) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            match add(account, &domain, item) {
                Ok(mailbox) => created.push(json!({ "index": index, "mailbox": mailbox })),
                Err((_, why)) => {
                    failed.push(json!({ "code": why["code"], "index": index, "message": why["message"] }));
                }
            }
        }
        // No page promises an order, so there is none to rely on.
        created.reverse();
        failed.reverse();
        let status = if failed.is_empty() { 201 } else { 207 };
        Ok(json(status, json!({ "created": created, "failed": failed })))
    })
}

type MailboxPath = Path<(String, String)>;

async fn get_mailbox(State(store): Shared, headers: HeaderMap, Path((id, mailbox)): MailboxPath) -> Response {
    with(&store, &headers, &id, |account| {
        let found = mailbox_of(account, &mailbox)?;
        let mut shown = mailbox_json(account, found);
        shown["aliases"] = aliases_of(account, found).into();
        Ok(json(200, shown))
    })
}

async fn rename_mailbox(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, mailbox)): MailboxPath,
    body: Bytes,
) -> Response {
    with(&store, &headers, &id, |account| {
        let fields = fields(&headers, &body, &[], &["first_name", "last_name"])?;
        let now = account.now();
        let address = mailbox_of(account, &mailbox)?.address();
        if let Some(found) = account.mailbox_mut(&address) {
            found.first = text(&fields, "first_name").or(found.first.take());
            found.last = text(&fields, "last_name").or(found.last.take());
            found.updated = now;
        }
        Ok(json(200, account.mailbox(&address).map(|m| mailbox_json(account, m)).unwrap_or_default()))
    })
}

async fn delete_mailbox(State(store): Shared, headers: HeaderMap, Path((id, mailbox)): MailboxPath) -> Response {
    with(&store, &headers, &id, |account| {
        let address = mailbox_of(account, &mailbox)?.address();
        account.mailboxes.retain(|m| m.address() != address);
        account.aliases.retain(|a| a.targets[0] != address);
        Ok(empty(204))
    })
}

async fn create_alias(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, mailbox)): MailboxPath,
    body: Bytes,
) -> Response {
    with(&store, &headers, &id, |account| {
        let fields = fields(&headers, &body, &["alias"], &["is_catch_all"])?;
        let target = mailbox_of(account, &mailbox)?;
        let (target, domain) = (target.address(), target.domain.clone());
        let source = text(&fields, "alias").unwrap_or_default().to_lowercase();
        let is_catch_all = fields.get("is_catch_all") == Some(&Value::Bool(true));
        match source.rsplit_once('@') {
            Some((local, of)) if of == domain && (is_catch_all || !local.is_empty()) => {}
            _ => return Err(unfit("alias", "is not an address on the mailbox's domain")),
        }
        if account.mailbox(&source).is_some() || account.aliases.iter().any(|a| a.source == source) {
            return Err(problem(409, "alias_exists", "alias already exists"));
        }
        let (serial, created) = (account.serial("alias"), account.now());
        let extra = Map::from_iter(is_catch_all.then(|| ("is_catch_all".to_owned(), true.into())));
        let alias = Alias { serial, source, targets: vec![target], created, updated: created, extra };
        let answer = json(201, alias_json(&alias));
        account.aliases.push(alias);
        Ok(answer)
    })
}

async fn delete_alias(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, mailbox, alias)): Path<(String, String, String)>,
) -> Response {
    with(&store, &headers, &id, |account| {
        let target = mailbox_of(account, &mailbox)?.address();
        let before = account.aliases.len();
        account.aliases.retain(|a| a.targets[0] != target || !a.source.eq_ignore_ascii_case(&alias));
        if account.aliases.len() == before { Err(hidden("Alias")) } else { Ok(empty(204)) }
    })
}

fn credential_json(credential: &Credential) -> Value {
    json!({
        "created_at": zulu(credential.created),
        "id": uuid("credential", credential.serial),
        "name": credential.name,
        "scope_id": credential.scope_id,
        "scope_type": credential.scope,
        "updated_at": zulu(credential.updated),
    })
}

async fn list_credentials(State(store): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    with_manager(&store, &headers, &id, |account| {
        Ok(json(200, account.credentials.iter().map(credential_json).collect()))
    })
}

/// Returns the name, which has the documented length.
fn credential_name(fields: &Fields) -> Result<String, Refusal> {
    let name = text(fields, "name").filter(|name| (1..=100).contains(&name.chars().count()));
    name.ok_or_else(|| unfit("name", "has 1 to 100 characters"))
}

async fn create_credential(State(store): Shared, headers: HeaderMap, Path(id): Path<String>, body: Bytes) -> Response {
    with_manager(&store, &headers, &id, |account| {
        let fields = fields(&headers, &body, &["name"], &["domain", "generate", "value", "workspace_id"])?;
        let name = credential_name(&fields)?;
        let is_generated = fields.get("generate") == Some(&Value::Bool(true));
        match text(&fields, "value").map(|value| value.chars().count()) {
            Some(4..=256) if !is_generated => {}
            None if is_generated => {}
            Some(4..=256) | None => return Err(unfit("value", "give either value or generate")),
            Some(_) => return Err(unfit("value", "has 4 to 256 characters")),
        }
        let (scope, scope_id) = match (text(&fields, "domain"), text(&fields, "workspace_id")) {
            (Some(_), Some(_)) => return Err(unfit("domain", "give either domain or workspace_id")),
            (Some(domain), None) => ("domain", uuid("domain", domain_of(account, &domain)?.serial)),
            (None, Some(of)) if [1, 2].iter().any(|&n| uuid("workspace", n) == of) => ("workspace", of),
            (None, Some(_)) => return Err(hidden("Workspace")),
            (None, None) => ("account", ACCOUNT.to_owned()),
        };
        let (serial, created) = (account.serial("credential"), account.now());
        let credential = Credential { serial, name, scope: scope.to_owned(), scope_id, created, updated: created };
        let mut shown = credential_json(&credential);
        shown["generated_secret"] = if is_generated { format!("generated-{serial}").into() } else { Value::Null };
        account.credentials.push(credential);
        Ok(json(201, shown))
    })
}

async fn rename_credential(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, wanted)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    with_manager(&store, &headers, &id, |account| {
        let fields = fields(&headers, &body, &["name"], &[])?;
        let name = credential_name(&fields)?;
        let now = account.now();
        let found = account.credentials.iter_mut().find(|c| uuid("credential", c.serial) == wanted);
        let found = found.ok_or_else(|| hidden("Credential"))?;
        (found.name, found.updated) = (name, now);
        Ok(json(200, credential_json(found)))
    })
}

async fn delete_credential(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, wanted)): Path<(String, String)>,
) -> Response {
    with_manager(&store, &headers, &id, |account| {
        let before = account.credentials.len();
        account.credentials.retain(|c| uuid("credential", c.serial) != wanted);
        if account.credentials.len() == before { Err(hidden("Credential")) } else { Ok(empty(204)) }
    })
}

async fn list_domains(
    State(store): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<Fields>,
) -> Response {
    let item = |domain: &Domain| {
        json!({
            "id": uuid("domain", domain.serial), "name": domain.name, "status": domain.status,
            "workspace_id": uuid("workspace", workspace(&domain.name)),
        })
    };
    with(&store, &headers, &id, |account| paged(account.domains.iter().collect(), &query, item))
}

async fn get_domain(State(store): Shared, headers: HeaderMap, Path((id, wanted)): Path<(String, String)>) -> Response {
    with(&store, &headers, &id, |account| {
        let domain = domain_of(account, &wanted)?;
        let short = |m: &Mailbox| {
            json!({
                "active": m.status == "active", "email": m.address(), "first_name": m.first,
                "id": uuid("mailbox", m.serial), "last_name": m.last,
            })
        };
        let record = |id: u64, kind: &str, name: &str, value: String| {
            let id = domain.serial * 100 + id;
            json!({ "id": id, "is_system_managed": true, "name": name, "ttl": 3600, "type": kind, "value": value })
        };
        let name = &domain.name;
        let mut mx = record(1, "MX", "@", format!("mail.{name}"));
        mx["priority"] = 10.into();
        let mut site = record(4, "A", "www", "192.0.2.10".to_owned());
        site["is_system_managed"] = false.into();
        Ok(json(
            200,
            json!({
                "id": uuid("domain", domain.serial),
                "name": name,
                "outbound_routing_ready": domain.status == "active",
                "status": domain.status,
                "workspace_id": uuid("workspace", workspace(name)),
                "auto_renew": false,
                "created_at": zulu(domain.created),
                "dedicated_ip_id": null,
                "dns_records": [
                    mx,
                    record(2, "TXT", "@", format!("v=spf1 mx include:{name} ~all")),
                    record(3, "TXT", "_dmarc", "v=DMARC1; p=none".to_owned()),
                    site,
                ],
                "mailboxes": account.mailboxes.iter().filter(|m| m.domain == *name).map(short).collect::<Vec<_>>(),
                "redirect_url": null,
                "tags": [],
                "updated_at": zulu(domain.created),
            }),
        ))
    })
}

async fn delete_domain(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, wanted)): Path<(String, String)>,
) -> Response {
    with(&store, &headers, &id, |account| {
        let name = domain_of(account, &wanted)?.name.clone();
        account.remove_domain(&name);
        // The function catalog shows an empty object as the result.
        Ok(json(200, json!({})))
    })
}
