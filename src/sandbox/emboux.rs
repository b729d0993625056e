//! EmBoux as its pages describe it: <https://docs.emboux.com/api/mailboxes> and its neighbours. The pages are
//! summed up in `docs/providers/emboux.md`.
//!
//! Texts of errors are the Spanish and English ones of <https://docs.emboux.com/reference/errors>.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use serde_json::{Map, Value, json};

use super::store::{Account, Alias, Domain, KEY, Mailbox, Store};
use super::wire::{Answer, Refusal, civil, empty, json, object, refuse, text};
use crate::model::ProviderId;

/// The storage limit a new mailbox starts with, in megabytes: what the page's example reads.
const QUOTA_MB: u64 = 2048;

/// Aliases a mailbox may have: the default of a client key.
const ALIASES: usize = 5;

/// Domains the partner may have.
const DOMAINS: usize = 5;

type Shared = State<Arc<Store>>;
type Fields = Map<String, Value>;

pub(super) fn routes() -> Router<Arc<Store>> {
    Router::new()
        .route("/domains/", get(list_domains).post(create_domain))
        .route("/domains/{name}", delete(delete_domain))
        .route("/domains/{name}/suspend", put(suspend_domain))
        .route("/domains/{name}/activate", put(activate_domain))
        .route("/domains/{name}/verify", post(verify_domain))
        .route("/domains/{name}/outbound", get(outbound))
        .route("/users/", get(list_users).post(create_user))
        .route("/users/{email}", put(set_password).delete(delete_user))
        .route("/users/{email}/quota", get(get_quota).put(set_quota))
        .route("/aliases/", get(list_aliases).post(create_alias))
        .route("/aliases/{source}", delete(delete_alias))
        .fallback(|| async { refuse(detail(404, "Not Found")) })
        .method_not_allowed_fallback(|| async { refuse(detail(405, "Method Not Allowed")) })
}

fn detail(status: u16, text: &str) -> Refusal {
    (status, json!({ "detail": text }))
}

/// FastAPI's answer to a part of a request, `body` or `query`, that does not fit the schema.
fn unfit(part: &str, field: &str, why: &str) -> Refusal {
    (422, json!({ "detail": [{ "loc": [part, field], "msg": why, "type": "value_error" }] }))
}

/// Reads the body, which holds these members, and none but these and the `optional` ones.
fn fields(headers: &HeaderMap, body: &Bytes, required: &[&str], optional: &[&str]) -> Result<Fields, Refusal> {
    object(headers, body, required, optional).map_err(|(field, why)| unfit("body", &field, why))
}

/// Checks the key, then works on the account.
fn with(store: &Store, headers: &HeaderMap, work: impl FnOnce(&mut Account) -> Answer) -> Response {
    let header = headers.get("authorization").and_then(|v| v.to_str().ok());
    let refusal = match header.and_then(|h| h.strip_prefix("Bearer ")) {
        Some(KEY) => return store.with(ProviderId::Emboux, |account| work(account).unwrap_or_else(refuse)),
        None => "Invalid authorization header format",
        Some("revoked") => "API key is deactivated",
        Some("expired") => "API key has expired",
        Some("client") => "Master token required",
        Some(_) => "Invalid API key",
    };
    refuse(detail(403, refusal))
}

fn no_domain() -> Refusal {
    detail(404, "Dominio no encontrado")
}

fn no_user() -> Refusal {
    detail(404, "Usuario (buzón) no encontrado")
}

fn domain_json(domain: &Domain) -> Value {
    json!({ "id": domain.serial, "name": domain.name, "created_at": civil(domain.created) })
}

fn user_json(account: &Account, user: &Mailbox) -> Value {
    let domain_id = account.domain(&user.domain).map(|d| d.serial);
    json!({ "id": user.serial, "domain_id": domain_id, "email": user.address(), "created_at": civil(user.created) })
}

fn alias_json(account: &Account, alias: &Alias) -> Value {
    let domain = alias.source.rsplit_once('@').map_or("", |(_, domain)| domain);
    json!({
        "id": alias.serial,
        "domain_id": account.domain(domain).map(|d| d.serial),
        "source": alias.source,
        "destination": alias.targets[0],
        "created_at": civil(alias.created),
    })
}

async fn list_domains(State(store): Shared, headers: HeaderMap) -> Response {
    // The one documented example runs from the higher id to the lower.
    with(&store, &headers, |account| Ok(json(200, account.domains.iter().rev().map(domain_json).collect())))
}

async fn create_domain(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = fields(&headers, &body, &["name"], &["partner_ref"])?;
        let name = text(&fields, "name").unwrap_or_default().to_lowercase();
        if !name.contains('.') || name.contains(|c: char| c.is_whitespace() || "@/".contains(c)) {
            return Err(detail(400, "Invalid domain name"));
        }
        if account.domain(&name).is_some() {
            return Err(detail(400, "El dominio ya existe en el servidor SaaS"));
        }
        if account.domains.len() >= DOMAINS {
            return Err(detail(403, &format!("Domain quota exceeded: {}/{DOMAINS}", account.domains.len())));
        }
        let (serial, created) = (account.serial("domain"), account.now());
        let domain = Domain { serial, name, status: "active".to_owned(), limit: None, created, extra: Map::new() };
        let answer = json(201, domain_json(&domain));
        account.domains.push(domain);
        Ok(answer)
    })
}

async fn delete_domain(State(store): Shared, headers: HeaderMap, Path(name): Path<String>) -> Response {
    with(&store, &headers, |account| {
        account.domain(&name).ok_or_else(no_domain)?;
        account.remove_domain(&name);
        Ok(empty(204))
    })
}

async fn suspend_domain(state: Shared, headers: HeaderMap, Path(name): Path<String>) -> Response {
    freeze(state, headers, name, true)
}

async fn activate_domain(state: Shared, headers: HeaderMap, Path(name): Path<String>) -> Response {
    freeze(state, headers, name, false)
}

fn freeze(State(store): Shared, headers: HeaderMap, name: String, suspended: bool) -> Response {
    with(&store, &headers, |account| {
        let domain = account.domain_mut(&name).ok_or_else(no_domain)?;
        domain.status = if suspended { "suspended" } else { "active" }.to_owned();
        let message = if suspended { "Domain suspended" } else { "Domain activated" };
        Ok(json(200, json!({ "name": name, "suspended": suspended, "message": message })))
    })
}

async fn verify_domain(State(store): Shared, headers: HeaderMap, Path(name): Path<String>) -> Response {
    with(&store, &headers, |account| {
        let domain = account.domain_mut(&name).ok_or_else(no_domain)?;
        domain.extra.insert("verified".to_owned(), true.into());
        // The page does not show the answer's fields.
        Ok(json(200, json!({ "message": "Verification started" })))
    })
}

async fn outbound(State(store): Shared, headers: HeaderMap, Path(name): Path<String>) -> Response {
    with(&store, &headers, |account| {
        let domain = account.domain(&name).ok_or_else(no_domain)?;
        Ok(json(
            200,
            json!({
                "name": name, "outbound_tier": "shared", "outbound_status": "active",
                "outbound_daily_limit": 500, "outbound_monthly_limit": 10000,
                "outbound_sent_today": 0, "outbound_sent_month": 0, "outbound_enforcement": "soft",
                "bounce_count": 0, "complaint_count": 0, "bounce_rate": 0, "complaint_rate": 0.0,
                "ses_verified": domain.extra.contains_key("verified"),
            }),
        ))
    })
}

/// Answers with the items whose domain is the one that `domain_id` names, or with all.
fn filtered(query: &Fields, items: impl Iterator<Item = Value>) -> Answer {
    let wanted = query.get("domain_id").and_then(Value::as_str).map(str::parse::<i64>);
    let wanted = wanted.transpose().map_err(|_| unfit("query", "domain_id", "is not an integer"))?;
    Ok(json(200, items.filter(|item| wanted.is_none_or(|id| item["domain_id"] == id)).collect()))
}

async fn list_users(State(store): Shared, headers: HeaderMap, Query(query): Query<Fields>) -> Response {
    with(&store, &headers, |account| filtered(&query, account.mailboxes.iter().map(|user| user_json(account, user))))
}

async fn create_user(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = fields(&headers, &body, &["domain_name", "email", "password"], &[])?;
        let get = |key| text(&fields, key).unwrap_or_default();
        let (domain, email, password) = (get("domain_name"), get("email"), get("password"));
        account.domain(&domain).ok_or_else(|| detail(404, "El dominio asociado no existe"))?;
        let (local, of) = email.rsplit_once('@').ok_or_else(|| detail(400, "Invalid email"))?;
        if of != domain {
            return Err(detail(400, "The email does not belong to the domain"));
        }
        if account.is_taken(&email) {
            return Err(detail(400, "Este email (buzón) ya existe en el servidor SaaS"));
        }
        if let (used, Some(limit)) = account.room(&domain)
            && used >= limit
        {
            return Err(detail(403, &format!("Mailbox quota exceeded for this domain: {used}/{limit}")));
        }
        let user = account.add_mailbox(local, &domain, Some(&password));
        user.quota = QUOTA_MB;
        let user = user.clone();
        Ok(json(201, user_json(account, &user)))
    })
}

async fn set_password(State(store): Shared, headers: HeaderMap, Path(email): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = fields(&headers, &body, &["password"], &[])?;
        let user = account.mailbox_mut(&email).ok_or_else(no_user)?;
        user.set_password(&text(&fields, "password").unwrap_or_default());
        Ok(json(200, json!({ "message": "Contraseña actualizada correctamente" })))
    })
}

async fn delete_user(State(store): Shared, headers: HeaderMap, Path(email): Path<String>) -> Response {
    with(&store, &headers, |account| {
        account.mailbox(&email).ok_or_else(no_user)?;
        account.mailboxes.retain(|m| !m.address().eq_ignore_ascii_case(&email));
        Ok(empty(204))
    })
}

async fn get_quota(State(store): Shared, headers: HeaderMap, Path(email): Path<String>) -> Response {
    with(&store, &headers, |account| {
        let user = account.mailbox(&email).ok_or_else(no_user)?;
        Ok(json(200, json!({ "email": user.address(), "quota_mb": user.quota })))
    })
}

async fn set_quota(State(store): Shared, headers: HeaderMap, Path(email): Path<String>, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = fields(&headers, &body, &["quota_mb"], &[])?;
        let quota = fields["quota_mb"].as_u64().ok_or_else(|| unfit("body", "quota_mb", "is not an integer"))?;
        let user = account.mailbox_mut(&email).ok_or_else(no_user)?;
        user.quota = quota;
        Ok(json(200, json!({ "email": user.address(), "quota_mb": quota })))
    })
}

async fn list_aliases(State(store): Shared, headers: HeaderMap, Query(query): Query<Fields>) -> Response {
    with(&store, &headers, |account| filtered(&query, account.aliases.iter().map(|alias| alias_json(account, alias))))
}

async fn create_alias(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = fields(&headers, &body, &["domain_name", "source", "destination"], &[])?;
        let get = |key| text(&fields, key).unwrap_or_default();
        let (domain, source, destination) = (get("domain_name"), get("source"), get("destination"));
        account.domain(&domain).ok_or_else(no_domain)?;
        if source.rsplit_once('@').is_none_or(|(_, of)| !of.eq_ignore_ascii_case(&domain)) {
            return Err(detail(400, "The source does not belong to the domain"));
        }
        if destination.contains(',') || !destination.contains('@') {
            return Err(detail(400, "Invalid destination"));
        }
        if account.aliases.iter().any(|alias| alias.source.eq_ignore_ascii_case(&source)) {
            return Err(detail(400, "Alias source already exists"));
        }
        let used = account.aliases.iter().filter(|alias| alias.targets[0].eq_ignore_ascii_case(&destination)).count();
        if used >= ALIASES {
            return Err(detail(403, &format!("Alias quota exceeded: {used}/{ALIASES}")));
        }
        let (serial, created) = (account.serial("alias"), account.now());
        let alias = Alias { serial, source, targets: vec![destination], created, updated: created, extra: Map::new() };
        let answer = json(201, alias_json(account, &alias));
        account.aliases.push(alias);
        Ok(answer)
    })
}

async fn delete_alias(State(store): Shared, headers: HeaderMap, Path(source): Path<String>) -> Response {
    with(&store, &headers, |account| {
        let before = account.aliases.len();
        account.aliases.retain(|alias| !alias.source.eq_ignore_ascii_case(&source));
        if account.aliases.len() == before {
            return Err(detail(404, "Alias not found"));
        }
        Ok(empty(204))
    })
}
