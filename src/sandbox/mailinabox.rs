//! Mail-in-a-Box v75 as its management daemon answers: form bodies in, one line of English out, everything but lists
//! and logins labelled `text/html`. Its sentences were recorded on a running box and are replayed in
//! `tests/it/replay.rs`; the facts are summed up in `docs/providers/mailinabox.md`.
//!
//! There are no domains: a domain exists as long as a mailbox or an alias uses it.

mod aliases;
mod domains;
mod http;
mod login;
mod names;
mod records;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use serde_json::json;

use self::names::{ADMINISTRATOR, PRIMARY};
use super::store::{Account, KEY, Store};

/// The administrator of the sandbox's Mail-in-a-Box.
pub const BOX_USER: &str = "me@box.example.com";

/// An administrator with a second factor, and the seed of its codes.
const TOTP_USER: &str = "totp";
const TOTP_SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

pub(super) fn routes() -> Router<Arc<Store>> {
    let read = || async { http::allow("GET, HEAD, OPTIONS") };
    let write = || async { http::allow("POST, OPTIONS") };
    let both = || async { http::allow("GET, HEAD, POST, OPTIONS") };
    Router::new()
        .route("/login", post(login::login).options(write))
        .route("/logout", post(login::logout).options(write))
        .route("/mail/users", get(users::list).options(read))
        .route("/mail/users/add", post(users::add).options(write))
        .route("/mail/users/remove", post(users::remove).options(write))
        .route("/mail/users/password", post(users::set_password).options(write))
        .route("/mail/users/privileges", get(users::get_privileges).options(read))
        .route("/mail/users/privileges/add", post(users::add_privilege).options(write))
        .route("/mail/users/privileges/remove", post(users::remove_privilege).options(write))
        .route("/mail/users/quota", get(users::get_quota).post(users::set_quota).options(both))
        .route("/mail/aliases", get(aliases::list).options(read))
        .route("/mail/aliases/add", post(aliases::add).options(write))
        .route("/mail/aliases/remove", post(aliases::remove).options(write))
        .route("/mail/domains", get(domains::list).options(read))
        .route("/dns/zones", get(domains::zones).options(read))
        .route("/dns/dump", get(domains::dump).options(read))
        .route("/system/version", get(domains::version).options(read))
        .fallback(|| async { http::refuse(http::page(404)) })
        .method_not_allowed_fallback(|| async { http::refuse(http::page(405)) })
}

/// What a box has after its set-up: the first account, which is exempt from the rules, one with a second factor, and
/// the alias to which the automatic ones lead.
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
    records::put_alias(&mut account, ADMINISTRATOR, vec![BOX_USER.to_owned()], Vec::new());
    records::rebuild(&mut account);
    account
}
