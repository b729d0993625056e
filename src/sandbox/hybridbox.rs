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
use super::wire::{empty, json, members, object, page, text, zulu};
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
        .fallback(|| async { json(404, json!({ "detail": "Not Found" })) })
        .method_not_allowed_fallback(|| async { json(405, json!({ "detail": "Method Not Allowed" })) })
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

fn problem(status: u16, code: &str, message: &str) -> Response {
    json(status, json!({ "code": code, "message": message }))
}

fn hidden(what: &str) -> Response {
    json(404, json!({ "detail": format!("{what} not found") }))
}

fn unfit(field: &str, why: &str) -> Response {
    json(422, json!({ "detail": [{ "loc": ["body", field], "msg": why, "type": "value_error" }] }))
}

/// Checks token and account, then works on the account. What a token may not see is answered as if it were not there.
fn with(store: &Store, headers: &HeaderMap, id: &str, work: impl FnOnce(&mut Account) -> Response) -> Response {
    let header = headers.get("authorization").and_then(|v| v.to_str().ok());
    match header.and_then(|h| h.strip_prefix("Bearer ")) {
        Some(KEY | "editor") if !id.eq_ignore_ascii_case(ACCOUNT) => hidden("Account"),
        Some(KEY | "editor") => store.with(ProviderId::Hybridbox, work),
        _ => {
            let mut refusal = json(401, json!({ "error": { "code": "unauthorized", "message": "Invalid token" } }));
            refusal.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
            refusal
        }
    }
}

/// As [`with`], for master passwords: the role that makes mailboxes may not touch them.
fn with_manager(store: &Store, headers: &HeaderMap, id: &str, work: impl FnOnce(&mut Account) -> Response) -> Response {
    if headers.get("authorization").is_some_and(|v| v == "Bearer editor") {
        return json(403, json!({ "error": "missing capability credential.manage" }));
    }
    with(store, headers, id, work)
}

/// Finds a domain by name or UUID.
fn domain_of<'a>(account: &'a Account, wanted: &str) -> Option<&'a Domain> {
    account.domains.iter().find(|d| d.name.eq_ignore_ascii_case(wanted) || uuid("domain", d.serial) == wanted)
}

/// Finds a mailbox by UUID; that an address works as well is not on any page.
fn mailbox_of<'a>(account: &'a Account, wanted: &str) -> Option<&'a Mailbox> {
    account.mailboxes.iter().find(|m| uuid("mailbox", m.serial) == wanted)
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
fn paged<T>(items: Vec<T>, query: &Fields, show: impl Fn(T) -> Value) -> Response {
    let number = |key: &str, default: u64| match query.get(key).and_then(Value::as_str) {
        None => Some(default),
        Some(text) => text.parse().ok().filter(|&number: &u64| number > 0),
    };
    let (Some(number), Some(size)) = (number("page", 1), number("page_size", 25)) else {
        return json(422, json!({ "detail": "page and page_size are positive integers" }));
    };
    let (size, total) = (size.min(PAGE_MAX), items.len());
    let (items, _) = page(items, number as usize, size as usize);
    let items: Vec<_> = items.into_iter().map(show).collect();
    json(200, json!({ "items": items, "page": number, "page_size": size, "total": total }))
}

async fn get_account(State(store): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    with(&store, &headers, &id, |account| {
        let created = account.domains.first().map_or(0, |d| d.created);
        json(
            200,
            json!({
                "client": { "id": "00000000-0000-4000-8009-000000000001", "name": "Sandbox Client" },
                "created_at": zulu(created), "id": ACCOUNT, "name": "Sandbox", "status": "active",
                "updated_at": zulu(created),
            }),
        )
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
        if let Err((field, why)) = members(query.clone(), &[], &known) {
            return unfit(&field, why);
        }
        let wanted = |key| text(&query, key);
        let domain = wanted("domain").map(|text| domain_of(account, &text).map(|d| d.name.clone()).unwrap_or_default());
        let (search, of) = (wanted("search").map(|s| s.to_lowercase()), wanted("workspace_id"));
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

/// Adds a mailbox, or says with which status, code and words it is refused.
fn add(account: &mut Account, domain: &str, item: &Fields) -> Result<Value, (u16, &'static str, String)> {
    let get = |key| text(item, key).unwrap_or_default();
    let local = get("local_part").to_lowercase();
    let Some(found) = domain_of(account, domain) else {
        return Err((404, "domain_not_found", "no such domain".into()));
    };
    let (name, status) = (found.name.clone(), found.status.clone());
    if status != "active" {
        return Err((422, "domain_not_active", format!("domain {name} is {status}")));
    }
    let address = format!("{local}@{name}");
    if account.is_taken(&address) || account.aliases.iter().any(|a| a.source == address) {
        return Err((409, "mailbox_exists", format!("{address} already exists")));
    }
    if let (used, Some(limit)) = account.room(&name)
        && used >= limit
    {
        return Err((422, "mailbox_limit", format!("mailbox limit of {name} reached: {used}/{limit}")));
    }
    let mailbox = account.add_mailbox(&local, &name, None);
    (mailbox.first, mailbox.last) = (Some(get("first_name")), Some(get("last_name")));
    let mailbox = mailbox.clone();
    Ok(mailbox_json(account, &mailbox))
}

async fn create_mailbox(State(store): Shared, headers: HeaderMap, Path(id): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, &id, |account| {
        let fields = match object(&headers, &body, &["domain", "first_name", "last_name", "local_part"], &[]) {
            Ok(fields) => fields,
            Err((field, why)) => return unfit(&field, why),
        };
        match add(account, &text(&fields, "domain").unwrap_or_default(), &fields) {
            Ok(mailbox) => json(201, mailbox),
            Err((status, code, message)) => problem(status, code, &message),
        }
    })
}

async fn create_mailboxes(State(store): Shared, headers: HeaderMap, Path(id): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, &id, |account| {
        let fields = match object(&headers, &body, &["domain", "items"], &[]) {
            Ok(fields) => fields,
            Err((field, why)) => return unfit(&field, why),
        };
        let domain = text(&fields, "domain").unwrap_or_default();
        if domain_of(account, &domain).is_none() {
            return hidden("Domain");
        }
        let Value::Array(wanted) = &fields["items"] else { return unfit("items", "is not a list") };
        let mut items = Vec::new();
        for item in wanted.iter().cloned() {
            let Value::Object(item) = item else { return unfit("items", "is not an object") };
            match members(item, &["first_name", "last_name", "local_part"], &[]) {
                Ok(item) => items.push(item),
                Err((field, why)) => return unfit(&field, why),
            }
        }
        let (mut created, mut failed) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            match add(account, &domain, item) {
                Ok(mailbox) => created.push(json!({ "index": index, "mailbox": mailbox })),
                Err((_, code, message)) => failed.push(json!({ "code": code, "index": index, "message": message })),
            }
        }
        // No page promises an order, so there is none to rely on.
        created.reverse();
        failed.reverse();
        let status = if failed.is_empty() { 201 } else { 207 };
        json(status, json!({ "created": created, "failed": failed }))
    })
}

type MailboxPath = Path<(String, String)>;

async fn get_mailbox(State(store): Shared, headers: HeaderMap, Path((id, mailbox)): MailboxPath) -> Response {
    with(&store, &headers, &id, |account| match mailbox_of(account, &mailbox) {
        Some(found) => {
            let mut shown = mailbox_json(account, found);
            shown["aliases"] = aliases_of(account, found).into();
            json(200, shown)
        }
        None => hidden("Mailbox"),
    })
}

async fn rename_mailbox(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, mailbox)): MailboxPath,
    body: Bytes,
) -> Response {
    with(&store, &headers, &id, |account| {
        let fields = match object(&headers, &body, &[], &["first_name", "last_name"]) {
            Ok(fields) => fields,
            Err((field, why)) => return unfit(&field, why),
        };
        let now = account.now();
        let Some(address) = mailbox_of(account, &mailbox).map(Mailbox::address) else { return hidden("Mailbox") };
        if let Some(found) = account.mailbox_mut(&address) {
            found.first = text(&fields, "first_name").or(found.first.take());
            found.last = text(&fields, "last_name").or(found.last.take());
            found.updated = now;
        }
        json(200, account.mailbox(&address).map(|m| mailbox_json(account, m)).unwrap_or_default())
    })
}

async fn delete_mailbox(State(store): Shared, headers: HeaderMap, Path((id, mailbox)): MailboxPath) -> Response {
    with(&store, &headers, &id, |account| {
        let Some(address) = mailbox_of(account, &mailbox).map(Mailbox::address) else { return hidden("Mailbox") };
        account.mailboxes.retain(|m| m.address() != address);
        account.aliases.retain(|a| a.targets[0] != address);
        empty(204)
    })
}

async fn create_alias(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, mailbox)): MailboxPath,
    body: Bytes,
) -> Response {
    with(&store, &headers, &id, |account| {
        let fields = match object(&headers, &body, &["alias"], &["is_catch_all"]) {
            Ok(fields) => fields,
            Err((field, why)) => return unfit(&field, why),
        };
        let Some(target) = mailbox_of(account, &mailbox) else { return hidden("Mailbox") };
        let (target, domain) = (target.address(), target.domain.clone());
        let source = text(&fields, "alias").unwrap_or_default().to_lowercase();
        let is_catch_all = fields.get("is_catch_all") == Some(&Value::Bool(true));
        match source.rsplit_once('@') {
            Some((local, of)) if of == domain && (is_catch_all || !local.is_empty()) => {}
            _ => return unfit("alias", "is no address on the mailbox's domain"),
        }
        if account.mailbox(&source).is_some() || account.aliases.iter().any(|a| a.source == source) {
            return problem(409, "alias_exists", "alias already exists");
        }
        let (serial, created) = (account.serial("alias"), account.now());
        let extra = Map::from_iter(is_catch_all.then(|| ("is_catch_all".to_owned(), true.into())));
        let alias = Alias { serial, source, targets: vec![target], created, updated: created, extra };
        let answer = json(201, alias_json(&alias));
        account.aliases.push(alias);
        answer
    })
}

async fn delete_alias(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, mailbox, alias)): Path<(String, String, String)>,
) -> Response {
    with(&store, &headers, &id, |account| {
        let Some(target) = mailbox_of(account, &mailbox).map(Mailbox::address) else { return hidden("Mailbox") };
        let before = account.aliases.len();
        account.aliases.retain(|a| a.targets[0] != target || !a.source.eq_ignore_ascii_case(&alias));
        if account.aliases.len() == before { hidden("Alias") } else { empty(204) }
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
    with_manager(&store, &headers, &id, |account| json(200, account.credentials.iter().map(credential_json).collect()))
}

/// Returns the name, if it has the documented length.
fn credential_name(fields: &Fields) -> Option<String> {
    text(fields, "name").filter(|name| (1..=100).contains(&name.chars().count()))
}

async fn create_credential(State(store): Shared, headers: HeaderMap, Path(id): Path<String>, body: Bytes) -> Response {
    with_manager(&store, &headers, &id, |account| {
        let fields = match object(&headers, &body, &["name"], &["domain", "generate", "value", "workspace_id"]) {
            Ok(fields) => fields,
            Err((field, why)) => return unfit(&field, why),
        };
        let Some(name) = credential_name(&fields) else { return unfit("name", "has 1 to 100 characters") };
        let is_generated = fields.get("generate") == Some(&Value::Bool(true));
        match text(&fields, "value").map(|value| value.chars().count()) {
            Some(4..=256) if !is_generated => {}
            None if is_generated => {}
            Some(4..=256) | None => return unfit("value", "give either value or generate"),
            Some(_) => return unfit("value", "has 4 to 256 characters"),
        }
        let (scope, scope_id) = match (text(&fields, "domain"), text(&fields, "workspace_id")) {
            (Some(_), Some(_)) => return unfit("domain", "give either domain or workspace_id"),
            (Some(domain), None) => match domain_of(account, &domain) {
                Some(domain) => ("domain", uuid("domain", domain.serial)),
                None => return hidden("Domain"),
            },
            (None, Some(of)) if [1, 2].iter().any(|&n| uuid("workspace", n) == of) => ("workspace", of),
            (None, Some(_)) => return hidden("Workspace"),
            (None, None) => ("account", ACCOUNT.to_owned()),
        };
        let (serial, created) = (account.serial("credential"), account.now());
        let credential = Credential { serial, name, scope: scope.to_owned(), scope_id, created, updated: created };
        let mut shown = credential_json(&credential);
        shown["generated_secret"] = if is_generated { format!("generated-{serial}").into() } else { Value::Null };
        account.credentials.push(credential);
        json(201, shown)
    })
}

async fn rename_credential(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, wanted)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    with_manager(&store, &headers, &id, |account| {
        let fields = match object(&headers, &body, &["name"], &[]) {
            Ok(fields) => fields,
            Err((field, why)) => return unfit(&field, why),
        };
        let Some(name) = credential_name(&fields) else { return unfit("name", "has 1 to 100 characters") };
        let now = account.now();
        match account.credentials.iter_mut().find(|c| uuid("credential", c.serial) == wanted) {
            Some(found) => {
                (found.name, found.updated) = (name, now);
                json(200, credential_json(found))
            }
            None => hidden("Credential"),
        }
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
        if account.credentials.len() == before { hidden("Credential") } else { empty(204) }
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
        let Some(domain) = domain_of(account, &wanted) else { return hidden("Domain") };
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
        json(
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
        )
    })
}

async fn delete_domain(
    State(store): Shared,
    headers: HeaderMap,
    Path((id, wanted)): Path<(String, String)>,
) -> Response {
    with(&store, &headers, &id, |account| {
        let Some(name) = domain_of(account, &wanted).map(|d| d.name.clone()) else { return hidden("Domain") };
        account.remove_domain(&name);
        // The function catalog shows an empty object as the result.
        json(200, json!({}))
    })
}
