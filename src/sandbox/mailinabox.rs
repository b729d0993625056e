//! Mail-in-a-Box v75 as its management daemon answers: form bodies in, one line of English out, everything but lists
//! and logins labelled `text/html`. What it says was recorded on a running box and is replayed in `tests/it/replay.rs`;
//! the facts are summed up in `docs/providers/mailinabox.md`.
//!
//! There are no domains: one is there as long as a mailbox or an alias uses it.

mod aliases;
mod login;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use self::aliases::{add_alias, list_aliases, put_alias, remove_alias};
use self::login::{login, logout, with};
use super::store::{Account, KEY, Mailbox, Store};
use crate::model::DomainName;

/// The administrator of the sandbox's Mail-in-a-Box.
pub const BOX_USER: &str = "me@box.example.com";

/// The box's own name; it makes the part after the `@` of [`BOX_USER`].
const PRIMARY: &str = "box.example.com";

/// Where the automatic aliases lead.
const ADMINISTRATOR: &str = "administrator@box.example.com";

/// An administrator with a second factor, and the seed of its codes.
const TOTP_USER: &str = "totp";
const TOTP_SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// Local parts that certificate authorities write to.
const RESERVED: [&str; 6] = ["admin", "administrator", "postmaster", "hostmaster", "webmaster", "abuse"];

/// Last labels that never lead to a mail server; `example` is not among them.
const SPECIAL: [&str; 6] = ["test", "local", "localhost", "invalid", "onion", "arpa"];

type Shared = State<Arc<Store>>;
type Fields = BTreeMap<String, String>;
/// A change that is done, or the sentence that refuses it.
type Outcome = Result<String, String>;

pub(super) fn routes() -> Router<Arc<Store>> {
    Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/mail/users", get(list_users))
        .route("/mail/users/add", post(add_user))
        .route("/mail/users/remove", post(remove_user))
        .route("/mail/users/password", post(set_password))
        .route("/mail/users/privileges", get(get_privileges))
        .route("/mail/users/privileges/add", post(add_privilege))
        .route("/mail/users/privileges/remove", post(remove_privilege))
        .route("/mail/users/quota", get(get_quota).post(set_quota))
        .route("/mail/aliases", get(list_aliases))
        .route("/mail/aliases/add", post(add_alias))
        .route("/mail/aliases/remove", post(remove_alias))
        .route("/mail/domains", get(list_domains))
        .route("/dns/zones", get(list_zones))
        .route("/dns/dump", get(dump_dns))
        .route("/system/version", get(version))
        .fallback(|| async { page(404, "Not Found") })
        .method_not_allowed_fallback(|| async { page(405, "Method Not Allowed") })
}

/// What a box has after its set-up: the first account, which is exempt from the rules, and the alias for the rest.
pub(super) fn new_account() -> Account {
    let mut account = Account::empty();
    let (local, domain) = BOX_USER.split_once('@').expect("the administrator has an address");
    for local in [local, TOTP_USER] {
        let user = account.add_mailbox(local, domain, Some(KEY));
        user.extra.insert("privileges".to_owned(), json!(["admin"]));
        user.extra.insert("quota".to_owned(), "0".into());
    }
    let factor = account.mailbox_mut(&format!("{TOTP_USER}@{PRIMARY}")).expect("it was just added");
    factor.extra.insert("totp".to_owned(), TOTP_SEED.into());
    put_alias(&mut account, ADMINISTRATOR, vec![BOX_USER.to_owned()], Vec::new());
    account
}

fn answer(status: u16, content_type: &'static str, body: String) -> Response {
    let mut response = super::wire::empty(status);
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    *response.body_mut() = body.into();
    response
}

fn text(status: u16, body: impl Into<String>) -> Response {
    answer(status, "text/html; charset=utf-8", body.into())
}

/// JSON as Python prints it: indented, with a newline at the end. Keys are given in their order.
fn pretty(body: &Value) -> Response {
    answer(200, "application/json", format!("{body:#}\n"))
}

fn page(status: u16, title: &str) -> Response {
    text(status, format!("<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n"))
}

fn told(outcome: Outcome) -> Response {
    outcome.map_or_else(|refusal| text(400, refusal), |done| text(200, done))
}

/// Finds an account by its exact address: the daemon heeds case.
fn user<'a>(account: &'a Account, email: &str) -> Result<&'a Mailbox, String> {
    account.mailbox(email).filter(|m| m.address() == email).ok_or_else(|| no_user(email))
}

fn user_mut<'a>(account: &'a mut Account, email: &str) -> Result<&'a mut Mailbox, String> {
    account.mailbox_mut(email).filter(|m| m.address() == email).ok_or_else(|| no_user(email))
}

fn no_user(email: &str) -> String {
    format!("That's not a user ({email}).")
}

/// Reads a form. Any other body is not read, which looks as if the fields were missing; unknown fields are ignored.
fn form(headers: &HeaderMap, body: &Bytes) -> Fields {
    let content_type = headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return Fields::new();
    }
    url::form_urlencoded::parse(body).into_owned().collect()
}

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

fn privileges(user: &Mailbox) -> Vec<String> {
    let words = user.extra.get("privileges").and_then(Value::as_array);
    words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn archive(account: &Account) -> BTreeSet<String> {
    let all = account.extra.get("archive").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn set_archive(account: &mut Account, archive: &BTreeSet<String>) {
    account.extra.insert("archive".to_owned(), json!(archive));
}

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

fn unicode(domain: &str) -> String {
    idna::domain_to_unicode(domain).0
}

/// Sorts names as the box does: its own first, then those in its zone, then the rest as people read them.
fn rank(domain: &str) -> (bool, bool, String) {
    (domain != PRIMARY, !format!(".{PRIMARY}").ends_with(&format!(".{domain}")), unicode(domain))
}

/// Groups lines by domain, in the order of the box.
fn grouped<T>(items: impl IntoIterator<Item = (String, T)>) -> Vec<(String, Vec<T>)> {
    let mut groups: Vec<(String, Vec<T>)> = Vec::new();
    for (domain, item) in items {
        match groups.iter_mut().find(|(name, _)| *name == domain) {
            Some((_, group)) => group.push(item),
            None => groups.push((domain, vec![item])),
        }
    }
    groups.sort_by_key(|(name, _)| rank(name));
    groups
}

/// The domains in use, automatic aliases left aside.
fn domains(account: &Account) -> BTreeSet<String> {
    let users = account.mailboxes.iter().map(|m| m.domain.clone());
    users.chain(account.aliases.iter().map(|a| domain_of(&a.source).to_owned())).collect()
}

fn zones(account: &Account) -> Vec<String> {
    let all = domains(account);
    let inside = |name: &str| all.iter().any(|other| name.ends_with(&format!(".{other}")));
    let mut zones: Vec<_> = all.iter().filter(|name| !inside(name)).cloned().collect();
    zones.sort_by_key(|name| (rank(name).1, name.clone()));
    zones
}

/// Ends the first line with what the rebuilding of DNS and web has to add.
fn noted(done: &str, before: &BTreeSet<String>, account: &Account) -> String {
    let after = domains(account);
    let new: Vec<_> = after.difference(before).map(String::as_str).collect();
    match (new.is_empty(), after.len() < before.len()) {
        (false, _) => format!("{done}\nupdated DNS: {}\nweb updated\n", new.join(",")),
        (true, true) => format!("{done}\nupdated DNS: DNS configuration\nweb updated\n"),
        (true, false) => format!("{done}\n"),
    }
}

async fn list_users(State(store): Shared, headers: HeaderMap, Query(query): Query<Fields>) -> Response {
    with(&store, &headers, |account| {
        let mut users: Vec<_> = account.mailboxes.iter().collect();
        users.sort_by_key(|m| m.address());
        let active = users.iter().map(|m| (m.domain.clone(), user_json(m)));
        if field(&query, "format") != "json" {
            let lines = grouped(active).into_iter().flat_map(|(_, group)| group);
            return text(
                200,
                lines.map(|u| format!("{}\n", u["email"].as_str().unwrap_or_default())).collect::<String>(),
            );
        }
        let inactive = archive(account).into_iter().map(|address| {
            let (local, domain) = address.split_once('@').unwrap_or_default();
            let mailbox = format!("/home/user-data/mail/mailboxes/{domain}/{local}");
            let entry = json!({
                "box_quota": "?", "box_size": "?", "email": address, "mailbox": mailbox, "percent": "?",
                "privileges": [], "status": "inactive",
            });
            (domain.to_owned(), entry)
        });
        let groups = grouped(active.chain(inactive).collect::<Vec<_>>());
        pretty(&groups.into_iter().map(|(name, users)| json!({ "domain": unicode(&name), "users": users })).collect())
    })
}

fn user_json(user: &Mailbox) -> Value {
    let quota = user.extra.get("quota").and_then(Value::as_str).unwrap_or("0");
    let percent = match (user.quota, quota) {
        (0, "0") => "",
        (0, _) => "Error",
        _ => "  0%",
    };
    json!({
        "box_quota": user.quota, "box_size": "0.0", "email": user.address(), "percent": percent,
        "privileges": privileges(user), "quota": quota, "status": "active",
    })
}

/// Checks an address as the daemon does for accounts and, with `alias`, for aliases.
fn is_address(text: &str, alias: bool) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let local_fits = (alias && local.is_empty())
        || (!local.is_empty()
            && local.chars().all(atom)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains(".."));
    let domain_fits = domain.trim() == domain
        && DomainName::parse(domain)
            .is_ok_and(|name| !SPECIAL.contains(&name.as_str().rsplit('.').next().unwrap_or_default()));
    local_fits && domain_fits
}

fn is_reserved(address: &str) -> bool {
    RESERVED
        .iter()
        .any(|word| address.strip_prefix(word).is_some_and(|rest| rest.starts_with('@') || rest.starts_with('+')))
}

fn check_password(password: &str) -> Result<(), String> {
    if password.trim().is_empty() {
        return Err("No password provided.".to_owned());
    }
    if password.chars().count() < 8 {
        return Err("Passwords must be at least eight characters.".to_owned());
    }
    Ok(())
}

/// Returns a quota as it is stored, and its bytes.
fn check_quota(quota: &str) -> Result<(String, u64), String> {
    let quota = quota.trim().to_uppercase();
    if quota.is_empty() {
        return Err("No quota provided.".to_owned());
    }
    if quota.contains(|c: char| c.is_whitespace() || c == ',' || c == '.') {
        return Err("Quotas cannot contain spaces, commas, or decimal points.".to_owned());
    }
    let (digits, unit) = match quota.strip_suffix(['G', 'M']) {
        Some(digits) => (digits, if quota.ends_with('G') { 1 << 30 } else { 1 << 20 }),
        None => (quota.as_str(), 1),
    };
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let bytes = number.ok_or("Invalid quota.")?.saturating_mul(unit);
    Ok((quota, bytes))
}

fn check_privilege(word: &str) -> Result<(), String> {
    if word.trim().is_empty() { Err(format!("That's not a valid privilege ({word}).")) } else { Ok(()) }
}

async fn add_user(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = form(&headers, &body);
        told(added(account, &fields))
    })
}

/// The checks in the order in which the daemon makes them.
fn added(account: &mut Account, fields: &Fields) -> Outcome {
    let (email, password) = (field(fields, "email"), field(fields, "password"));
    if email.trim().is_empty() {
        return Err("No email address provided.".to_owned());
    }
    if !is_address(email, false) {
        return Err("Invalid email address.".to_owned());
    }
    if !email.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(c)) {
        return Err("User account email addresses may only use the lowercase ASCII letters a-z, the digits 0-9, \
                    underscore (_), hyphen (-), and period (.)."
            .to_owned());
    }
    if is_reserved(email) {
        return Err("You may not make a user account for that address because it is frequently used for domain \
                    control validation. Use an alias instead if necessary."
            .to_owned());
    }
    check_password(password)?;
    let words: Vec<_> = match field(fields, "privileges") {
        "" => Vec::new(),
        lines => lines.split('\n').collect(),
    };
    words.iter().try_for_each(|word| check_privilege(word))?;
    let (quota, bytes) = check_quota(fields.get("quota").map_or("0", String::as_str))?;
    if password.contains('\0') {
        return Err("embedded null byte".to_owned());
    }
    if account.is_taken(email) {
        return Err("User already exists.".to_owned());
    }
    let before = domains(account);
    let (local, domain) = email.rsplit_once('@').expect("it was checked above");
    let user = account.add_mailbox(local, domain, Some(password));
    user.quota = bytes;
    user.extra.insert("quota".to_owned(), quota.into());
    user.extra.insert("privileges".to_owned(), json!(words));
    // The old mailbox folder is found again, with all that is in it.
    let mut archive = archive(account);
    archive.remove(email);
    set_archive(account, &archive);
    Ok(noted("mail user added", &before, account))
}

async fn remove_user(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = form(&headers, &body);
        let email = field(&fields, "email");
        if let Err(refusal) = user(account, email) {
            return text(400, refusal);
        }
        let before = domains(account);
        account.mailboxes.retain(|m| m.address() != email);
        let mut archive = archive(account);
        archive.insert(email.to_owned());
        set_archive(account, &archive);
        text(200, noted("mail user removed", &before, account))
    })
}

async fn set_password(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = form(&headers, &body);
        let password = field(&fields, "password");
        let outcome = check_password(password).and_then(|()| {
            let version = account.serial("password");
            let user = user_mut(account, field(&fields, "email"))?;
            user.set_password(password);
            user.extra.insert("version".to_owned(), version.into());
            Ok("OK".to_owned())
        });
        told(outcome)
    })
}

async fn get_privileges(State(store): Shared, headers: HeaderMap, Query(query): Query<Fields>) -> Response {
    with(&store, &headers, |account| told(user(account, field(&query, "email")).map(|u| privileges(u).join("\n"))))
}

async fn add_privilege(state: Shared, headers: HeaderMap, body: Bytes) -> Response {
    change_privilege(state, headers, body, true)
}

async fn remove_privilege(state: Shared, headers: HeaderMap, body: Bytes) -> Response {
    change_privilege(state, headers, body, false)
}

fn change_privilege(State(store): Shared, headers: HeaderMap, body: Bytes, wanted: bool) -> Response {
    with(&store, &headers, |account| {
        let fields = form(&headers, &body);
        let word = field(&fields, "privilege");
        let outcome = check_privilege(word).and_then(|()| {
            let user = user_mut(account, field(&fields, "email"))?;
            let mut words = privileges(user);
            words.retain(|held| held != word);
            words.extend(wanted.then(|| word.to_owned()));
            user.extra.insert("privileges".to_owned(), json!(words));
            Ok("OK".to_owned())
        });
        told(outcome)
    })
}

async fn get_quota(State(store): Shared, headers: HeaderMap, Query(query): Query<Fields>) -> Response {
    with(&store, &headers, |account| {
        let email = field(&query, "email");
        let quota = user(account, email).map(|u| u.extra.get("quota").cloned().unwrap_or_default());
        match (quota, field(&query, "text").is_empty()) {
            (Ok(quota), true) => pretty(&json!({ "email": email, "quota": quota })),
            // An array where a string is expected: the daemon's own slip.
            (Err(refusal), true) => pretty(&json!({ "email": email, "quota": [refusal, 400] })),
            (quota, false) => told(quota.map(|q| q.as_str().unwrap_or_default().to_owned())),
        }
    })
}

async fn set_quota(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = form(&headers, &body);
        let Some(quota) = fields.get("quota") else { return page(500, "Internal Server Error") };
        let outcome = check_quota(quota).and_then(|(quota, bytes)| {
            let user = user_mut(account, field(&fields, "email"))?;
            user.quota = bytes;
            user.extra.insert("quota".to_owned(), quota.into());
            Ok("OK".to_owned())
        });
        told(outcome)
    })
}

async fn list_domains(State(store): Shared, headers: HeaderMap) -> Response {
    // In no stable order: nobody may rely on one.
    with(&store, &headers, |account| {
        text(200, domains(account).iter().rev().map(|name| format!("{name}\n")).collect::<String>())
    })
}

async fn list_zones(State(store): Shared, headers: HeaderMap) -> Response {
    with(&store, &headers, |account| pretty(&json!(zones(account))))
}

async fn dump_dns(State(store): Shared, headers: HeaderMap) -> Response {
    with(&store, &headers, |account| {
        let record = |qname: &str, rtype: &str, value: &str, explanation: &str| json!({ "explanation": explanation, "qname": qname, "rtype": rtype, "value": value });
        let zone_json = |zone: String| {
            let all = domains(account);
            let mut inside: Vec<_> = all.iter().filter(|d| **d == zone || d.ends_with(&format!(".{zone}"))).collect();
            inside.sort_by_key(|name| name.len());
            let records = inside.iter().flat_map(|name| {
                [
                    record(name, "A", "203.0.113.10", "Required. The address of the box."),
                    record(name, "MX", &format!("10 {PRIMARY}."), "Required. Where mail for this domain goes."),
                    record(name, "TXT", "v=spf1 mx -all", "Recommended. Who may send for this domain."),
                ]
            });
            json!([zone, records.collect::<Vec<_>>()])
        };
        pretty(&zones(account).into_iter().map(zone_json).collect())
    })
}

async fn version(State(store): Shared, headers: HeaderMap) -> Response {
    with(&store, &headers, |_| text(200, "v75"))
}
