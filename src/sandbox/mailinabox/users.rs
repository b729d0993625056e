//! The routes of accounts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::http::{Answer, Fields, Form, Query, Refusal, bad, page, pretty, text};
use super::login::with;
use super::names::{domain_of, grouped, is_address, is_digit, is_reserved, unicode};
use super::records::{archive, privileges, rebuild, set_archive, user, user_mut};
use crate::sandbox::store::{Account, Mailbox, Store};

/// From so many bytes on, crypt makes no hash of a password.
const HASHED: usize = 512;

/// From so many bytes on, a password does not fit into the argument of a program.
const ARGUMENT: usize = 128 << 10;

type Shared = State<Arc<Store>>;

pub(super) async fn list(State(store): Shared, headers: HeaderMap, Query(query): Query) -> Response {
    with(&store, &headers, |account| {
        let mut users: Vec<_> = account.mailboxes.iter().collect();
        users.sort_by_key(|user| user.address());
        if query.text("format") != "json" {
            let lines = grouped(users.into_iter().map(|user| (user.domain.clone(), format!("{}\n", user.address()))));
            return Ok(text(lines.into_iter().flat_map(|(_, group)| group).collect::<String>()));
        }
        let active = users.into_iter().map(|user| (unicode(&user.domain), user_json(user)));
        let inactive = archive(account).into_iter().map(|address| {
            let (local, domain) = address.split_once('@').unwrap_or_default();
            let mailbox = format!("/home/user-data/mail/mailboxes/{domain}/{local}");
            let entry = json!({
                "box_quota": "?", "box_size": "?", "email": address, "mailbox": mailbox, "percent": "?",
                "privileges": [], "status": "inactive",
            });
            (unicode(domain_of(&address)), entry)
        });
        let groups = grouped(active.chain(inactive));
        let groups = groups.into_iter().map(|(name, users)| json!({ "domain": name, "users": users }));
        Ok(pretty(&groups.collect::<Value>()))
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

fn check_password(password: &str) -> Result<(), Refusal> {
    if password.trim().is_empty() {
        return Err(bad("No password provided."));
    }
    if password.chars().count() < 8 {
        return Err(bad("Passwords must be at least eight characters."));
    }
    Ok(())
}

/// Returns the password to store. `None`: the stored hash is one that nothing matches.
fn hashed(password: &str) -> Result<Option<&str>, Refusal> {
    if password.contains('\0') {
        return Err(bad("embedded null byte"));
    }
    match password.len() {
        ARGUMENT.. => Err(page(500)),
        HASHED.. => Ok(None),
        _ => Ok(Some(password)),
    }
}

/// Returns a quota as it is stored, and its bytes.
fn check_quota(quota: &str) -> Result<(String, u64), Refusal> {
    let quota = quota.trim().to_uppercase();
    if quota.is_empty() {
        return Err(bad("No quota provided."));
    }
    if quota.contains(|c: char| c.is_whitespace() || c == ',' || c == '.') {
        return Err(bad("Quotas cannot contain spaces, commas, or decimal points."));
    }
    let (digits, unit) = match quota.strip_suffix(['G', 'M']) {
        Some(digits) => (digits, if quota.ends_with('G') { 1 << 30 } else { 1 << 20 }),
        None => (quota.as_str(), 1),
    };
    if digits.is_empty() || !digits.chars().all(is_digit) {
        return Err(bad("Invalid quota."));
    }
    // No number is too large to be stored. The digits of other scripts are stored as well, and count as nothing here.
    let bytes = match digits.parse::<u64>() {
        Ok(number) => number.saturating_mul(unit),
        Err(_) if digits.is_ascii() => u64::MAX,
        Err(_) => 0,
    };
    Ok((quota, bytes))
}

fn check_privilege(word: &str) -> Result<(), Refusal> {
    let is_good = !word.contains('\n') && !word.trim().is_empty();
    is_good.then_some(()).ok_or_else(|| bad(format!("That's not a valid privilege ({word}).")))
}

pub(super) async fn add(State(store): Shared, headers: HeaderMap, Form(form): Form) -> Response {
    with(&store, &headers, |account| added(account, &form))
}

/// The checks in the order in which the daemon makes them.
fn added(account: &mut Account, form: &Fields) -> Answer {
    let (email, password) = (form.text("email"), form.text("password"));
    if email.trim().is_empty() {
        return Err(bad("No email address provided."));
    }
    if !is_address(email, false) {
        return Err(bad("Invalid email address."));
    }
    if !email.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(c)) {
        return Err(bad("User account email addresses may only use the lowercase ASCII letters a-z, the digits 0-9, \
                        underscore (_), hyphen (-), and period (.)."));
    }
    if is_reserved(email) {
        return Err(bad("You may not make a user account for that address because it is frequently used for domain \
                        control validation. Use an alias instead if necessary."));
    }
    check_password(password)?;
    let words: Vec<_> = match form.text("privileges") {
        lines if lines.trim().is_empty() => Vec::new(),
        lines => lines.split('\n').collect(),
    };
    words.iter().try_for_each(|word| check_privilege(word))?;
    let (quota, bytes) = check_quota(form.get("quota").unwrap_or("0"))?;
    let password = hashed(password)?;
    if account.is_taken(email) {
        return Err(bad("User already exists."));
    }
    let (local, domain) = email.rsplit_once('@').expect("it was checked above");
    let user = account.add_mailbox(local, domain, password);
    user.quota = bytes;
    user.extra.insert("quota".to_owned(), quota.into());
    user.extra.insert("privileges".to_owned(), json!(words));
    // The old mailbox folder is found again, with all that is in it.
    let mut archive = archive(account);
    archive.remove(email);
    set_archive(account, &archive);
    Ok(text(format!("mail user added\n{}", rebuild(account))))
}

pub(super) async fn remove(State(store): Shared, headers: HeaderMap, Form(form): Form) -> Response {
    with(&store, &headers, |account| {
        let email = form.text("email");
        user(account, email)?;
        account.mailboxes.retain(|user| user.address() != email);
        let mut archive = archive(account);
        archive.insert(email.to_owned());
        set_archive(account, &archive);
        Ok(text(format!("mail user removed\n{}", rebuild(account))))
    })
}

pub(super) async fn set_password(State(store): Shared, headers: HeaderMap, Form(form): Form) -> Response {
    with(&store, &headers, |account| {
        let password = form.text("password");
        check_password(password)?;
        let password = hashed(password)?;
        let version = account.serial("password");
        let user = user_mut(account, form.text("email"))?;
        match password {
            Some(password) => user.set_password(password),
            None => user.lock_out(),
        }
        user.extra.insert("version".to_owned(), version.into());
        Ok(text("OK"))
    })
}

pub(super) async fn get_privileges(State(store): Shared, headers: HeaderMap, Query(query): Query) -> Response {
    with(&store, &headers, |account| Ok(text(privileges(user(account, query.text("email"))?).join("\n"))))
}

pub(super) async fn add_privilege(State(store): Shared, headers: HeaderMap, Form(form): Form) -> Response {
    change_privileges(&store, &headers, &form, |words, word| {
        if !words.contains(&word) {
            words.push(word);
        }
    })
}

pub(super) async fn remove_privilege(State(store): Shared, headers: HeaderMap, Form(form): Form) -> Response {
    change_privileges(&store, &headers, &form, |words, word| words.retain(|held| *held != word))
}

fn change_privileges(
    store: &Store,
    headers: &HeaderMap,
    form: &Fields,
    change: impl FnOnce(&mut Vec<String>, String),
) -> Response {
    with(store, headers, |account| {
        let word = form.text("privilege");
        check_privilege(word)?;
        let user = user_mut(account, form.text("email"))?;
        let mut words = privileges(user);
        change(&mut words, word.to_owned());
        user.extra.insert("privileges".to_owned(), json!(words));
        Ok(text("OK"))
    })
}

pub(super) async fn get_quota(State(store): Shared, headers: HeaderMap, Query(query): Query) -> Response {
    with(&store, &headers, |account| {
        let email = query.text("email");
        let quota = user(account, email).map(|user| user.extra.get("quota").cloned().unwrap_or_default());
        if !query.text("text").is_empty() {
            return Ok(text(quota?.as_str().unwrap_or_default()));
        }
        // An array where a string is expected: the daemon's own slip.
        let quota = quota.unwrap_or_else(|(status, refusal)| json!([refusal, status]));
        Ok(pretty(&json!({ "email": email, "quota": quota })))
    })
}

pub(super) async fn set_quota(State(store): Shared, headers: HeaderMap, Form(form): Form) -> Response {
    with(&store, &headers, |account| {
        let (quota, bytes) = check_quota(form.get("quota").ok_or_else(|| page(500))?)?;
        let user = user_mut(account, form.text("email"))?;
        user.quota = bytes;
        user.extra.insert("quota".to_owned(), quota.into());
        Ok(text("OK"))
    })
}
