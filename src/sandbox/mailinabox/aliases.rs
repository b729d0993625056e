//! The routes of aliases.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::http::{Answer, Fields, Form, Query, bad, pretty, text};
use super::login::with;
use super::names::{domain_of, encoded, grouped, is_address, is_reserved, shown, unicode};
use super::records::{is_admin, listed, put_alias, rebuild, user};
use crate::sandbox::store::{Account, Store};

type Shared = State<Arc<Store>>;

pub(super) async fn list(State(store): Shared, headers: HeaderMap, Query(query): Query) -> Response {
    with(&store, &headers, |account| {
        let mut all = listed(account);
        if query.text("format") != "json" {
            let lines = grouped(all.into_iter().map(|alias| {
                let line = format!("{}\t{}\t{}\n", alias.source, alias.targets, alias.senders.unwrap_or_default());
                (domain_of(&alias.source).to_owned(), line)
            }));
            return Ok(text(lines.into_iter().flat_map(|(_, group)| group).collect::<String>()));
        }
        all.retain(|alias| !alias.auto || !alias.source.starts_with('@'));
        all.sort_by_key(|alias| alias.auto);
        let addresses = |list: &str| list.split(',').map(shown).collect::<Vec<_>>();
        let groups = grouped(all.into_iter().map(|alias| {
            let entry = json!({
                "address": alias.source, "address_display": shown(&alias.source), "auto": alias.auto,
                "forwards_to": addresses(&alias.targets),
                "permitted_senders": alias.senders.as_deref().map(addresses),
            });
            (unicode(domain_of(&alias.source)), entry)
        }));
        let groups = groups.into_iter().map(|(name, all)| json!({ "aliases": all, "domain": name }));
        Ok(pretty(&groups.collect::<Value>()))
    })
}

/// Splits a list at commas and line breaks.
fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty())
}

pub(super) async fn add(State(store): Shared, headers: HeaderMap, Form(form): Form) -> Response {
    with(&store, &headers, |account| added(account, &form))
}

/// The checks in the order in which the daemon makes them.
fn added(account: &mut Account, form: &Fields) -> Answer {
    let address = encoded(form.text("address")).to_lowercase().trim().to_owned();
    if address.is_empty() {
        return Err(bad("No email address provided."));
    }
    if !is_address(&address, true) {
        return Err(bad(format!("Invalid email address ({address}).")));
    }
    let targets: Vec<_> = split(form.text("forwards_to")).map(encoded).collect();
    let is_whole_domain = targets.len() == 1 && targets[0].starts_with('@') && !is_reserved(&address);
    for target in &targets {
        if !is_address(target, is_whole_domain) {
            return Err(bad(format!("Invalid receiver email address ({target}).")));
        }
        if is_reserved(&address) && !is_reserved(target) && !is_admin(account, &untagged(target)) {
            return Err(bad("This alias can only have administrators of this system as destinations because the \
                            address is frequently used for domain control validation."));
        }
    }
    // The names of senders are compared as they were sent.
    let senders: Vec<_> = split(form.text("permitted_senders")).map(str::to_owned).collect();
    if let Some(stranger) = senders.iter().find(|sender| user(account, sender).is_err()) {
        return Err(bad(format!("Invalid permitted sender: {stranger} is not a user on this system.")));
    }
    if targets.is_empty() && senders.is_empty() {
        return Err(bad("The alias must either forward to an address or have a permitted sender."));
    }
    let is_there = account.aliases.iter().any(|alias| alias.source == address);
    if is_there && form.text("update_if_exists") != "1" {
        return Err(bad(format!("Alias already exists ({address}).")));
    }
    put_alias(account, &address, targets, senders);
    let done = if is_there { "alias updated" } else { "alias added" };
    Ok(text(format!("{done}\n{}", rebuild(account))))
}

/// Returns an address without the tag that begins with a plus sign.
fn untagged(address: &str) -> String {
    match (address.split_once('+'), address.rsplit_once('@')) {
        (Some((local, _)), Some((_, domain))) => format!("{local}@{domain}"),
        _ => address.to_owned(),
    }
}

pub(super) async fn remove(State(store): Shared, headers: HeaderMap, Form(form): Form) -> Response {
    with(&store, &headers, |account| {
        let address = encoded(form.text("address"));
        let held = account.aliases.len();
        account.aliases.retain(|alias| alias.source != address);
        if account.aliases.len() == held {
            return Err(bad(format!("That's not an alias ({address}).")));
        }
        Ok(text(format!("alias removed\n{}", rebuild(account))))
    })
}
