//! Aliases: those that people make, and those that the box makes for itself.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::login::with;
use super::{
    ADMINISTRATOR, Fields, Outcome, PRIMARY, Shared, domain_of, domains, field, form, grouped, is_address, is_reserved,
    noted, pretty, privileges, text, told, unicode, user,
};
use crate::sandbox::store::{Account, Alias};

pub(super) fn put_alias(account: &mut Account, source: &str, targets: Vec<String>, senders: Vec<String>) {
    account.aliases.retain(|a| a.source != source);
    let (serial, created) = (account.serial("alias"), account.now());
    let extra = [("senders".to_owned(), json!(senders))].into_iter().collect();
    account.aliases.push(Alias { serial, source: source.to_owned(), targets, created, updated: created, extra });
}

fn senders(alias: &Alias) -> Vec<String> {
    let all = alias.extra.get("senders").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The aliases the box makes for itself, less those that somebody has made.
pub(super) fn automatic(account: &Account) -> Vec<String> {
    let ours = |source: &str| ["postmaster@", "admin@", "abuse@", "@"].iter().any(|start| source.starts_with(start));
    let users = account.mailboxes.iter().map(|m| m.domain.as_str());
    let aliases = account.aliases.iter().filter(|a| !ours(&a.source)).map(|a| domain_of(&a.source));
    let real: BTreeSet<_> = users.chain(aliases).collect();
    let mut all = vec![format!("hostmaster@{PRIMARY}")];
    for domain in real {
        all.extend(["abuse", "admin", "postmaster"].map(|local| format!("{local}@{domain}")));
    }
    all.retain(|source| account.aliases.iter().all(|a| a.source != *source));
    all
}

/// An address as people read it, with its domain in Unicode.
fn shown(address: &str) -> String {
    address.rsplit_once('@').map_or(address.to_owned(), |(local, domain)| format!("{local}@{}", unicode(domain)))
}

pub(super) async fn list_aliases(State(store): Shared, headers: HeaderMap, Query(query): Query<Fields>) -> Response {
    with(&store, &headers, |account| {
        let mut all: Vec<_> =
            account.aliases.iter().map(|a| (a.source.clone(), a.targets.clone(), senders(a), false)).collect();
        all.extend(
            automatic(account).into_iter().map(|source| (source, vec![ADMINISTRATOR.to_owned()], Vec::new(), true)),
        );
        if field(&query, "format") != "json" {
            for domain in domains(account).into_iter().filter(|d| unicode(d) != *d) {
                all.push((format!("@{}", unicode(&domain)), vec![format!("@{domain}")], Vec::new(), true));
            }
            all.sort();
            let lines = grouped(all.into_iter().map(|(source, targets, senders, _)| {
                let line = format!("{source}\t{}\t{}\n", targets.join(","), senders.join(","));
                (idna::domain_to_ascii(domain_of(&source)).unwrap_or_default(), line)
            }));
            return text(200, lines.into_iter().flat_map(|(_, group)| group).collect::<String>());
        }
        all.sort_by_key(|(source, _, _, auto)| (*auto, source.clone()));
        let groups = grouped(all.into_iter().map(|(source, targets, senders, auto)| {
            let targets: Vec<_> =
                if targets.is_empty() { vec![String::new()] } else { targets.iter().map(|t| shown(t)).collect() };
            let senders = if senders.is_empty() { Value::Null } else { json!(senders) };
            let entry = json!({
                "address": source, "address_display": shown(&source), "auto": auto, "forwards_to": targets,
                "permitted_senders": senders,
            });
            (domain_of(&source).to_owned(), entry)
        }));
        pretty(&groups.into_iter().map(|(name, all)| json!({ "aliases": all, "domain": unicode(&name) })).collect())
    })
}

/// Turns the domain of an address into A-labels; what is no address stays as it is.
fn encoded(address: &str) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else { return address.to_owned() };
    // Only Unicode is turned: the case of a target stays as it was sent.
    if domain.is_ascii() {
        return address.to_owned();
    }
    format!("{local}@{}", idna::domain_to_ascii(domain).unwrap_or_default())
}

pub(super) fn split(list: &str) -> Vec<String> {
    list.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty()).map(encoded).collect()
}

pub(super) async fn add_alias(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = form(&headers, &body);
        told(alias_added(account, &fields))
    })
}

fn alias_added(account: &mut Account, fields: &Fields) -> Outcome {
    let address = encoded(field(fields, "address").trim()).to_lowercase();
    if address.is_empty() {
        return Err("No email address provided.".to_owned());
    }
    if !is_address(&address, true) {
        return Err(format!("Invalid email address ({address})."));
    }
    let targets = split(field(fields, "forwards_to"));
    let whole_domain = targets.len() == 1 && targets[0].starts_with('@');
    for target in &targets {
        if !is_address(target, whole_domain) {
            return Err(format!("Invalid receiver email address ({target})."));
        }
        let admin = user(account, target).is_ok_and(|u| privileges(u).iter().any(|word| word == "admin"));
        if is_reserved(&address) && !is_reserved(target) && !admin {
            return Err("This alias can only have administrators of this system as destinations because the address \
                        is frequently used for domain control validation."
                .to_owned());
        }
    }
    let senders = split(field(fields, "permitted_senders"));
    if let Some(stranger) = senders.iter().find(|sender| user(account, sender).is_err()) {
        return Err(format!("Invalid permitted sender: {stranger} is not a user on this system."));
    }
    if targets.is_empty() && senders.is_empty() {
        return Err("The alias must either forward to an address or have a permitted sender.".to_owned());
    }
    let exists = account.aliases.iter().any(|a| a.source == address);
    if exists && field(fields, "update_if_exists") != "1" {
        return Err(format!("Alias already exists ({address})."));
    }
    let before = domains(account);
    put_alias(account, &address, targets, senders);
    Ok(noted(if exists { "alias updated" } else { "alias added" }, &before, account))
}

pub(super) async fn remove_alias(State(store): Shared, headers: HeaderMap, body: Bytes) -> Response {
    with(&store, &headers, |account| {
        let fields = form(&headers, &body);
        let address = encoded(field(&fields, "address"));
        let before = domains(account);
        let held = account.aliases.len();
        account.aliases.retain(|a| a.source != address);
        if account.aliases.len() == held {
            return text(400, format!("That's not an alias ({address})."));
        }
        text(200, noted("alias removed", &before, account))
    })
}
