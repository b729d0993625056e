//! What the box holds: accounts, aliases, its own and other people's, and the domains that follow from them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::http::{Refusal, bad};
use super::names::{ADMINISTRATOR, PRIMARY, domain_of, in_order, unicode, zone_of};
use crate::sandbox::store::{Account, Alias, Mailbox};

/// The local parts of the aliases that the box makes for every domain with mail of its own.
const AUTOMATIC: [&str; 3] = ["abuse", "admin", "postmaster"];

/// Finds an account by its exact address: the daemon compares with case.
pub(super) fn user<'a>(account: &'a Account, email: &str) -> Result<&'a Mailbox, Refusal> {
    account.mailbox(email).filter(|m| m.address() == email).ok_or_else(|| bad(no_user(email)))
}

/// Finds an account by its exact address, as [`user`] does.
pub(super) fn user_mut<'a>(account: &'a mut Account, email: &str) -> Result<&'a mut Mailbox, Refusal> {
    account.mailbox_mut(email).filter(|m| m.address() == email).ok_or_else(|| bad(no_user(email)))
}

fn no_user(email: &str) -> String {
    format!("That's not a user ({email}).")
}

pub(super) fn privileges(user: &Mailbox) -> Vec<String> {
    texts(user.extra.get("privileges"))
}

pub(super) fn is_admin(account: &Account, email: &str) -> bool {
    user(account, email).is_ok_and(|user| privileges(user).iter().any(|word| word == "admin"))
}

/// The removed accounts, whose mail the box keeps.
pub(super) fn archive(account: &Account) -> BTreeSet<String> {
    texts(account.extra.get("archive")).into_iter().collect()
}

pub(super) fn set_archive(account: &mut Account, archive: &BTreeSet<String>) {
    account.extra.insert("archive".to_owned(), json!(archive));
}

fn texts(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(super) fn put_alias(account: &mut Account, source: &str, targets: Vec<String>, senders: Vec<String>) {
    account.aliases.retain(|a| a.source != source);
    let (serial, created) = (account.serial("alias"), account.now());
    let extra = [("senders".to_owned(), json!(senders))].into_iter().collect();
    account.aliases.push(Alias { serial, source: source.to_owned(), targets, created, updated: created, extra });
}

/// An alias as the daemon lists it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    pub(super) source: String,
    /// Separated by commas.
    pub(super) targets: String,
    /// Separated by commas.
    pub(super) senders: Option<String>,
    /// Whether the box made it.
    pub(super) auto: bool,
}

/// Lists all aliases by source. Of two with the same source, one made by people and one by the box, the daemon shows
/// the one that sorts last by targets, senders and maker. So the automatic one hides the other when the targets of the
/// other sort at or before its own.
pub(super) fn listed(account: &Account) -> Vec<Listed> {
    let own = account.aliases.iter().map(|alias| {
        let senders = texts(alias.extra.get("senders"));
        let senders = (!senders.is_empty()).then(|| senders.join(","));
        Listed { source: alias.source.clone(), targets: alias.targets.join(","), senders, auto: false }
    });
    let made = |source: String, targets: String| Listed { source, targets, senders: None, auto: true };
    let required = required(account).into_iter().map(|source| made(source, ADMINISTRATOR.to_owned()));
    let domains = domains(account);
    let in_unicode = domains.iter().filter(|name| unicode(name) != **name);
    let maps = in_unicode.map(|name| made(format!("@{}", unicode(name)), format!("@{name}")));
    let mut all: Vec<_> = own.chain(required).chain(maps).collect();
    all.sort();
    all.into_iter().map(|alias| (alias.source.clone(), alias)).collect::<BTreeMap<_, _>>().into_values().collect()
}

/// The aliases that the box makes to its administrator.
fn required(account: &Account) -> BTreeSet<String> {
    let is_automatic = |source: &str| {
        let (local, _) = source.split_once('@').unwrap_or_default();
        local.is_empty() || AUTOMATIC.contains(&local)
    };
    let users = account.mailboxes.iter().map(|m| m.domain.as_str());
    let aliases = account.aliases.iter().filter(|a| !is_automatic(&a.source)).map(|a| domain_of(&a.source));
    let served = users.chain(aliases);
    let all = served.flat_map(|domain| AUTOMATIC.map(|local| format!("{local}@{domain}")));
    all.chain([format!("hostmaster@{PRIMARY}")]).collect()
}

/// The domains in use, automatic aliases left aside.
pub(super) fn domains(account: &Account) -> BTreeSet<String> {
    let users = account.mailboxes.iter().map(|m| m.domain.clone());
    users.chain(account.aliases.iter().map(|a| domain_of(&a.source).to_owned())).collect()
}

/// The zones in their order, each with the domains in it.
pub(super) fn zones(account: &Account) -> Vec<(String, Vec<String>)> {
    let mut all = domains(account);
    all.insert(PRIMARY.to_owned());
    let zones: BTreeSet<String> = all.iter().map(|name| zone_of(name, &all).to_owned()).collect();
    let inside = |zone: &str| all.iter().filter(|name| zone_of(name, &all) == zone).cloned().collect();
    in_order(&zones).into_iter().map(|zone| (zone.clone(), inside(&zone))).collect()
}

/// Rebuilds what follows from accounts and aliases, after one was added or removed, and returns the daemon's notes.
pub(super) fn rebuild(account: &mut Account) -> String {
    let mut notes = String::new();
    // An alias to the administrator with a name that the box uses itself is taken for a leftover of a domain that is no
    // longer served.
    let required = required(account);
    for alias in listed(account) {
        let (local, _) = alias.source.split_once('@').unwrap_or_default();
        let is_stray = !alias.auto && AUTOMATIC.contains(&local) && alias.targets == ADMINISTRATOR;
        if is_stray && !required.contains(&alias.source) {
            account.aliases.retain(|other| other.source != alias.source);
            let was = format!("(was to {ADMINISTRATOR}; domain no longer used for email)");
            notes += &format!("removed alias {} {was}\n", alias.source);
        }
    }
    // A zone's file says more of a domain with accounts, and stays on disk when the zone goes.
    let has_account = |name: &String| account.mailboxes.iter().any(|m| m.domain == *name);
    let contents =
        |names: Vec<String>| names.into_iter().map(|name| (name.clone(), json!(has_account(&name)))).collect();
    let zones: Map<_, _> =
        zones(account).into_iter().map(|(zone, names)| (zone, Value::Object(contents(names)))).collect();
    let mut files = account.extra.get("zone_files").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut updated: Vec<_> =
        zones.iter().filter(|(zone, now)| files.get(*zone) != Some(*now)).map(|(zone, _)| zone.clone()).collect();
    let before = account.extra.get("zones").and_then(Value::as_object).cloned().unwrap_or_default();
    if updated.is_empty() && !before.keys().eq(zones.keys()) {
        updated.push("DNS configuration".to_owned());
    }
    if !updated.is_empty() {
        notes += &format!("updated DNS: {}\n", updated.join(","));
    }
    if before != zones {
        notes += "web updated\n";
    }
    files.extend(zones.clone());
    account.extra.insert("zone_files".to_owned(), files.into());
    account.extra.insert("zones".to_owned(), zones.into());
    notes
}
