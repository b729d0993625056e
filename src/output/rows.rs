//! From the model to rows: the JSON object of each thing, the same keys always, and the columns it has as a table.

use std::borrow::Borrow;

use serde_json::{Map, Value};

use super::cells::{Cells, Record, to_value as value};
pub use crate::model::Outcome;
use crate::model::ProviderId;
use crate::model::{Address, Alias, Credential, DnsRecord, Domain, Mailbox, Stamp};

/// One row of output: a JSON object whose keys are a promise.
pub type Row = Map<String, Value>;

/// How a cell is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As it is.
    Text,
    /// A number of bytes, as `2 GiB`.
    Bytes,
    /// A time, to the minute.
    Time,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The key in the JSON object; a dot leads into an inner one.
    pub key: &'static str,
    /// The heading; no promise.
    pub head: &'static str,
    /// How its cells are shown.
    pub look: Look,
}

/// What a kind of row looks like.
#[derive(Debug)]
pub struct Shape {
    /// Every key that can be a column, in the order of CSV. The first is the one `-o value` prints.
    pub keys: &'static [&'static str],
    /// The columns of the table.
    pub table: &'static [Column],
}

const fn text(key: &'static str, head: &'static str) -> Column {
    Column { key, head, look: Look::Text }
}

const fn time(key: &'static str, head: &'static str) -> Column {
    Column { key, head, look: Look::Time }
}

/// Mailboxes.
pub static MAILBOX: Shape = Shape {
    keys: &[
        "address",
        "local_part",
        "domain",
        "provider",
        "profile",
        "id",
        "status",
        "first_name",
        "last_name",
        "admin",
        "quota.limit",
        "quota.unlimited",
        "quota.used",
        "aliases",
        "created_at",
        "updated_at",
        "outcome",
        "password",
    ],
    table: &[
        text("address", "ADDRESS"),
        text("provider", "PROVIDER"),
        text("status", "STATUS"),
        Column { key: "quota.limit", head: "QUOTA", look: Look::Bytes },
        time("created_at", "CREATED"),
    ],
};

/// Domains.
pub static DOMAIN: Shape = Shape {
    keys: &[
        "name",
        "provider",
        "profile",
        "id",
        "status",
        "verified",
        "mailboxes",
        "created_at",
        "updated_at",
        "outcome",
        "password",
    ],
    table: &[
        text("name", "DOMAIN"),
        text("provider", "PROVIDER"),
        text("status", "STATUS"),
        text("verified", "VERIFIED"),
        text("mailboxes", "MAILBOXES"),
        time("created_at", "CREATED"),
    ],
};

/// Aliases.
pub static ALIAS: Shape = Shape {
    keys: &[
        "source",
        "local_part",
        "domain",
        "catch_all",
        "targets",
        "provider",
        "profile",
        "id",
        "status",
        "created_at",
        "outcome",
    ],
    table: &[
        text("source", "SOURCE"),
        text("targets", "TARGETS"),
        text("provider", "PROVIDER"),
        time("created_at", "CREATED"),
    ],
};

/// Credentials.
pub static CREDENTIAL: Shape = Shape {
    keys: &[
        "name",
        "id",
        "scope",
        "scope_id",
        "provider",
        "profile",
        "created_at",
        "updated_at",
        "outcome",
        "password",
    ],
    table: &[
        text("name", "NAME"),
        text("id", "ID"),
        text("scope", "SCOPE"),
        text("provider", "PROVIDER"),
        time("created_at", "CREATED"),
    ],
};

/// DNS records.
pub static DNS: Shape = Shape {
    keys: &["name", "type", "value", "priority", "ttl", "note", "domain", "provider", "profile"],
    table: &[text("name", "NAME"), text("type", "TYPE"), text("priority", "PRIORITY"), text("value", "VALUE")],
};

/// Rows of a bulk run.
pub static BULK: Shape = Shape {
    keys: &["address", "outcome", "line", "id", "status", "error", "message", "provider", "profile"],
    table: &[text("outcome", "OUTCOME"), text("address", "ADDRESS"), text("message", "MESSAGE")],
};

/// What is wrong with a file.
pub static TROUBLE: Shape = Shape {
    keys: &["problem", "line", "column"],
    table: &[text("line", "LINE"), text("column", "COLUMN"), text("problem", "PROBLEM")],
};

/// Bulk runs.
pub static RUN: Shape = Shape {
    keys: &[
        "run",
        "state",
        "verb",
        "provider",
        "profile",
        "file",
        "started",
        "rows",
        "created",
        "exists",
        "updated",
        "unchanged",
        "deleted",
        "scheduled",
        "absent",
        "failed",
        "unknown",
        "left",
    ],
    table: &[
        text("run", "RUN"),
        text("state", "STATE"),
        text("verb", "VERB"),
        text("file", "FILE"),
        text("rows", "ROWS"),
        text("failed", "FAILED"),
        text("unknown", "UNKNOWN"),
        text("left", "LEFT"),
    ],
};

/// The capability matrix.
pub static MATRIX: Shape = Shape {
    keys: &["operation", "hybridbox", "emboux", "litemail", "qboxmail", "mailinabox"],
    table: &[
        text("operation", "OPERATION"),
        text("hybridbox", "HYBRIDBOX"),
        text("emboux", "EMBOUX"),
        text("litemail", "LITEMAIL"),
        text("qboxmail", "QBOXMAIL"),
        text("mailinabox", "MAILINABOX"),
    ],
};

/// What one provider is and can do.
pub static ABOUT: Shape = Shape {
    keys: &["topic", "value", "note"],
    table: &[text("topic", "TOPIC"), text("value", "VALUE"), text("note", "NOTE")],
};

/// Profiles.
pub static PROFILE: Shape = Shape {
    keys: &["name", "provider", "default", "base_url", "secret", "sandbox"],
    table: &[
        text("name", "PROFILE"),
        text("provider", "PROVIDER"),
        text("default", "DEFAULT"),
        text("base_url", "BASE URL"),
        text("secret", "SECRET"),
    ],
};

/// Configuration values with their origin.
pub static SETTING: Shape = Shape {
    keys: &["key", "value", "origin", "profile"],
    table: &[text("profile", "PROFILE"), text("key", "KEY"), text("value", "VALUE"), text("origin", "ORIGIN")],
};

/// The configuration file.
pub static PATH: Shape = Shape { keys: &["path", "exists"], table: &[text("path", "PATH"), text("exists", "EXISTS")] };

/// Environment variables.
pub static VARIABLE: Shape = Shape { keys: &["name", "value"], table: &[text("name", "NAME"), text("value", "VALUE")] };

/// Checked profiles.
pub static CHECK: Shape = Shape {
    keys: &["profile", "provider", "result", "account"],
    table: &[
        text("profile", "PROFILE"),
        text("provider", "PROVIDER"),
        text("result", "RESULT"),
        text("account", "ACCOUNT"),
    ],
};

/// The account a row comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The provider.
    pub provider: ProviderId,
    /// The profile.
    pub profile: String,
}

/// Builds a row from pairs, in their order.
pub fn row(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Row {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Builds a row from what is told cell by cell.
pub fn record(item: &impl Record) -> Row {
    let mut row = Row::new();
    item.tell(&mut row);
    row
}

/// A mailbox with where it comes from and what became of it.
pub struct MailboxRow<M, S> {
    /// The mailbox.
    pub item: M,
    /// The account it comes from.
    pub source: S,
    /// What became of it; `None` for a mailbox that was only read.
    pub outcome: Option<Outcome>,
}

impl<M: Borrow<Mailbox>, S: Borrow<Source>> Record for MailboxRow<M, S> {
    fn tell(&self, cells: &mut impl Cells) {
        let Source { provider, profile } = self.source.borrow();
        let Mailbox {
            address,
            id,
            status,
            first_name,
            last_name,
            admin,
            quota,
            aliases,
            created_at,
            updated_at,
            extra,
        } = self.item.borrow();
        cells.json("outcome", &self.outcome);
        cells.text("address", Some(address.as_str()));
        cells.text("local_part", Some(address.local_part()));
        cells.text("domain", Some(address.domain().as_str()));
        cells.text("provider", Some(provider.as_str()));
        cells.text("profile", Some(profile));
        cells.text("id", id.as_deref());
        cells.text("status", Some(status.as_str()));
        cells.text("first_name", first_name.as_deref());
        cells.text("last_name", last_name.as_deref());
        cells.json("admin", admin);
        cells.json("quota", quota);
        cells.json("aliases", aliases);
        cells.text("created_at", created_at.as_ref().map(Stamp::as_str));
        cells.text("updated_at", updated_at.as_ref().map(Stamp::as_str));
        cells.json("extra", extra);
    }
}

/// Returns a mailbox as a row; the outcome is null for a mailbox that was only read.
pub fn mailbox(item: &Mailbox, source: &Source, outcome: Option<Outcome>) -> Row {
    record(&MailboxRow { item, source, outcome })
}

/// Returns a domain as a row.
pub fn domain(item: &Domain, source: &Source, outcome: Option<Outcome>) -> Row {
    let Domain { name, id, status, verified, mailboxes, created_at, updated_at, extra } = item;
    row([
        ("outcome", value(&outcome)),
        ("name", value(name)),
        ("provider", value(&source.provider)),
        ("profile", value(&source.profile)),
        ("id", value(id)),
        ("status", value(status)),
        ("verified", value(verified)),
        ("mailboxes", value(mailboxes)),
        ("created_at", value(created_at)),
        ("updated_at", value(updated_at)),
        ("extra", value(extra)),
    ])
}

/// Returns an alias as a row.
pub fn alias(item: &Alias, source: &Source, outcome: Option<Outcome>) -> Row {
    let Alias { source: from, targets, id, status, created_at, extra } = item;
    row([
        ("outcome", value(&outcome)),
        ("source", value(from)),
        ("local_part", value(&from.local_part())),
        ("domain", value(from.domain())),
        ("catch_all", value(&matches!(from, crate::model::AliasSource::CatchAll(_)))),
        ("targets", value(&targets.iter().map(Address::to_string).collect::<Vec<_>>())),
        ("provider", value(&source.provider)),
        ("profile", value(&source.profile)),
        ("id", value(id)),
        ("status", value(status)),
        ("created_at", value(created_at)),
        ("extra", value(extra)),
    ])
}

/// Returns a credential as a row; the secret is never part of it.
pub fn credential(item: &Credential, source: &Source, outcome: Option<Outcome>) -> Row {
    let Credential { name, id, scope, scope_id, created_at, updated_at, extra } = item;
    row([
        ("outcome", value(&outcome)),
        ("name", value(name)),
        ("id", value(id)),
        ("scope", value(scope)),
        ("scope_id", value(scope_id)),
        ("provider", value(&source.provider)),
        ("profile", value(&source.profile)),
        ("created_at", value(created_at)),
        ("updated_at", value(updated_at)),
        ("extra", value(extra)),
    ])
}

/// Returns a DNS record as a row.
pub fn dns(item: &DnsRecord, domain: &crate::model::DomainName, source: &Source) -> Row {
    let DnsRecord { name, kind, value: text, priority, ttl, note } = item;
    row([
        ("name", value(name)),
        ("type", value(kind)),
        ("value", value(text)),
        ("priority", value(priority)),
        ("ttl", value(ttl)),
        ("note", value(note)),
        ("domain", value(domain)),
        ("provider", value(&source.provider)),
        ("profile", value(&source.profile)),
    ])
}
