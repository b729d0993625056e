//! From the model to rows: the JSON object of each thing, which always has the same keys, and its columns.

use std::borrow::Borrow;
use std::ops::{Deref, DerefMut};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cells::{Cells, Record, to_value as value};
use super::column::{Column, Shape, column, limit, size, time};
pub use crate::model::Outcome;
use crate::model::{
    Address, Alias, AliasSource, Credential, DnsRecord, Domain, DomainName, Mailbox, PasswordState, ProviderId, Stamp,
};

/// One row of output: a JSON object whose keys are a promise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(Map<String, Value>);

impl Deref for Row {
    type Target = Map<String, Value>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Row {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl FromIterator<(String, Value)> for Row {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(pairs: T) -> Self {
        Row(pairs.into_iter().collect())
    }
}

impl Row {
    /// Returns a row without cells.
    pub fn new() -> Self {
        Row::default()
    }

    /// Sets a cell; a key that the row has already stays at its place.
    pub fn set(&mut self, key: &str, cell: impl Serialize) {
        self.insert(key.to_owned(), value(&cell));
    }

    /// Adds a sentence to the notes of the row. [`Out::one`](super::Out::one) shows them to people as well.
    pub fn add_note(&mut self, note: impl Into<String>) {
        if let Value::Array(notes) = self.entry("notes").or_insert(Value::Array(Vec::new())) {
            notes.push(Value::String(note.into()));
        }
    }

    /// Returns the notes of the row.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Adds to what the row says beyond the model.
    pub fn add_extra(&mut self, key: &str, cell: impl Serialize) {
        if let Some(Value::Object(extra)) = self.get_mut("extra") {
            extra.insert(key.to_owned(), value(&cell));
        }
    }

    /// Shows a password, and what is known about it, in front of `extra`.
    pub fn set_password(&mut self, password: &SecretString, state: PasswordState) {
        for key in ["password", "password_state"] {
            self.shift_remove(key);
        }
        let at = self.keys().position(|key| key == "extra").unwrap_or(self.len());
        self.shift_insert(at, "password".to_owned(), value(&password.expose_secret()));
        self.shift_insert(at + 1, "password_state".to_owned(), value(&state));
    }

    /// Returns the value at a key, where a dot leads into an inner object; null where there is none.
    pub(super) fn at(&self, key: &str) -> &Value {
        let mut parts = key.split('.');
        let first = parts.next().and_then(|part| self.get(part)).unwrap_or(&Value::Null);
        parts.fold(first, |value, part| value.get(part).unwrap_or(&Value::Null))
    }

    /// Returns the cells at these keys alone, in this order; a dot leads into an inner object, here as there.
    pub(super) fn only(&self, keys: &[String]) -> Row {
        let mut only = Row::new();
        for key in keys.iter().map(|key| key.trim()) {
            let cell = self.at(key).clone();
            match key.split_once('.') {
                None => only.set(key, cell),
                Some((outer, inner)) => {
                    if let Value::Object(object) = only.entry(outer).or_insert_with(|| Map::new().into()) {
                        object.insert(inner.to_owned(), cell);
                    }
                }
            }
        }
        only
    }

    /// Returns whether the row is what an update has left.
    pub(super) fn is_of_an_update(&self) -> bool {
        self.get("outcome").is_some_and(|outcome| outcome == "updated" || outcome == "unchanged")
    }

    /// Returns whether the row is what came of a change, rather than a thing that was read or made.
    pub(super) fn is_of_a_change(&self) -> bool {
        self.get("outcome").is_some_and(|outcome| !outcome.is_null() && outcome != "created")
    }
}

/// What became of a request; lists and things that were just made do without it in a table.
const OUTCOME: Column = column("outcome").unless("created");

/// A password that is to be shown.
const PASSWORD: Column = column("password").optional();

/// What is known about a password that is shown; a table does without it where the provider has accepted it.
const PASSWORD_STATE: Column = column("password_state").optional().unless("accepted");

const CREATED_AT: Column = column("created_at").head("CREATED").shown(time);

/// Mailboxes.
pub static MAILBOX: Shape = Shape {
    columns: &[
        column("address"),
        column("local_part"),
        column("domain"),
        column("provider"),
        column("profile"),
        column("id"),
        column("status"),
        column("first_name").of_updates(),
        column("last_name").of_updates(),
        column("admin").of_updates(),
        column("quota.limit").also("quota").head("QUOTA").shown(limit),
        column("quota.unlimited"),
        column("quota.used").shown(size),
        column("aliases").folds(),
        CREATED_AT,
        column("updated_at").shown(time),
        OUTCOME,
        PASSWORD,
        PASSWORD_STATE,
        column("notes").folds(),
    ],
    table: &[
        "address",
        "provider",
        "status",
        "first_name",
        "last_name",
        "admin",
        "quota.limit",
        "created_at",
        "outcome",
        "password",
        "password_state",
    ],
};

/// Domains.
pub static DOMAIN: Shape = Shape {
    columns: &[
        column("name").head("DOMAIN"),
        column("provider"),
        column("profile"),
        column("id"),
        column("status"),
        column("verified"),
        column("mailboxes"),
        CREATED_AT,
        column("updated_at").shown(time),
        OUTCOME,
        PASSWORD,
        PASSWORD_STATE,
        column("notes").folds(),
    ],
    table: &[
        "name",
        "provider",
        "status",
        "verified",
        "mailboxes",
        "created_at",
        "outcome",
        "password",
        "password_state",
    ],
};

/// Aliases.
pub static ALIAS: Shape = Shape {
    columns: &[
        column("source"),
        column("local_part"),
        column("domain"),
        column("catch_all"),
        column("targets").folds(),
        column("provider"),
        column("profile"),
        column("id"),
        column("status"),
        CREATED_AT,
        OUTCOME,
        column("notes").folds(),
    ],
    table: &["source", "targets", "provider", "status", "created_at", "outcome"],
};

/// Credentials.
pub static CREDENTIAL: Shape = Shape {
    columns: &[
        column("name"),
        column("id"),
        column("scope"),
        column("scope_id"),
        column("provider"),
        column("profile"),
        CREATED_AT,
        column("updated_at").shown(time),
        OUTCOME,
        PASSWORD,
        PASSWORD_STATE,
        column("notes").folds(),
    ],
    table: &["name", "id", "scope", "provider", "created_at", "outcome", "password", "password_state"],
};

/// DNS records.
pub static DNS: Shape = Shape {
    columns: &[
        column("name"),
        column("type"),
        column("value"),
        column("priority"),
        column("ttl"),
        column("note").folds(),
        column("domain"),
        column("provider"),
        column("profile"),
    ],
    table: &["name", "type", "priority", "value"],
};

/// Rows of a bulk run.
pub static BULK: Shape = Shape {
    columns: &[
        // Most addresses stand below each other from the first row on.
        column("address").width(28),
        // As wide as the longest outcomes.
        column("outcome").width("unchanged".len()),
        column("line"),
        column("id"),
        column("status"),
        column("error"),
        column("message").folds(),
        column("provider"),
        column("profile"),
        column("password_state"),
        column("notes").folds(),
    ],
    table: &["outcome", "address", "message"],
};

/// What is wrong with a file.
pub static TROUBLE: Shape = Shape {
    columns: &[column("problem").folds(), column("line"), column("column")],
    table: &["line", "column", "problem"],
};

/// Bulk runs.
pub static RUN: Shape = Shape {
    columns: &[
        column("run"),
        column("state"),
        column("verb"),
        column("provider"),
        column("profile"),
        column("file"),
        column("started"),
        column("rows"),
        column("created"),
        column("exists"),
        column("updated"),
        column("unchanged"),
        column("deleted"),
        column("scheduled"),
        column("absent"),
        column("failed"),
        column("unknown"),
        column("left"),
    ],
    table: &["run", "state", "verb", "file", "rows", "failed", "unknown", "left"],
};

/// The capability matrix: a column for each provider.
pub static MATRIX: Shape = Shape { columns: &MATRIX_COLUMNS, table: &MATRIX_KEYS };

const MATRIX_COLUMNS: [Column; 1 + ProviderId::ALL.len()] = {
    let mut columns = [column("operation").folds(); 1 + ProviderId::ALL.len()];
    let mut at = 0;
    while at < ProviderId::ALL.len() {
        columns[at + 1] = column(ProviderId::ALL[at].as_str()).folds();
        at += 1;
    }
    columns
};

const MATRIX_KEYS: [&str; MATRIX_COLUMNS.len()] = {
    let mut keys = [""; MATRIX_COLUMNS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = MATRIX_COLUMNS[at].key;
        at += 1;
    }
    keys
};

/// What one provider is and can do.
pub static ABOUT: Shape = Shape {
    columns: &[column("topic").folds(), column("value").folds(), column("note").folds()],
    table: &["topic", "value", "note"],
};

/// Profiles.
pub static PROFILE: Shape = Shape {
    columns: &[
        column("name").head("PROFILE"),
        column("provider"),
        column("default"),
        column("base_url"),
        column("secret"),
        column("sandbox"),
    ],
    table: &["name", "provider", "default", "base_url", "secret"],
};

/// Configuration values with their origin.
pub static SETTING: Shape = Shape {
    columns: &[column("key"), column("value"), column("origin").folds(), column("profile")],
    table: &["profile", "key", "value", "origin"],
};

/// The configuration file.
pub static PATH: Shape = Shape { columns: &[column("path"), column("exists")], table: &["path", "exists"] };

/// Environment variables.
pub static VARIABLE: Shape = Shape { columns: &[column("name"), column("value")], table: &["name", "value"] };

/// Checked profiles.
pub static CHECK: Shape = Shape {
    columns: &[column("profile"), column("provider"), column("result").folds(), column("account")],
    table: &["profile", "provider", "result", "account"],
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

/// Builds a row from a record.
pub fn record(item: &impl Record) -> Row {
    let mut row = Row::new();
    item.write_cells(&mut row);
    row
}

/// What there is to say about most rows.
const NO_NOTES: [&str; 0] = [];

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
    fn write_cells(&self, cells: &mut impl Cells) {
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
        cells.text("status", status.word());
        cells.text("first_name", first_name.as_deref());
        cells.text("last_name", last_name.as_deref());
        cells.json("admin", admin);
        cells.json("quota", quota);
        cells.json("aliases", aliases);
        cells.text("created_at", created_at.as_ref().map(Stamp::as_str));
        cells.text("updated_at", updated_at.as_ref().map(Stamp::as_str));
        cells.json("extra", extra);
        cells.json("notes", &NO_NOTES);
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
        ("notes", value(&NO_NOTES)),
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
        ("catch_all", value(&matches!(from, AliasSource::CatchAll(_)))),
        ("targets", value(&targets.iter().map(Address::to_string).collect::<Vec<_>>())),
        ("provider", value(&source.provider)),
        ("profile", value(&source.profile)),
        ("id", value(id)),
        ("status", value(status)),
        ("created_at", value(created_at)),
        ("extra", value(extra)),
        ("notes", value(&NO_NOTES)),
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
        ("notes", value(&NO_NOTES)),
    ])
}

/// Returns a DNS record as a row.
pub fn dns(item: &DnsRecord, domain: &DomainName, source: &Source) -> Row {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Quota, Status};

    #[test]
    fn every_column_has_its_cell_and_every_cell_its_column() {
        let source = Source { provider: ProviderId::Emboux, profile: "test".to_owned() };
        let address: Address = "ada@example.com".parse().expect("an address");
        let name: DomainName = "example.com".parse().expect("a name");
        let alias = Alias::to(AliasSource::CatchAll(name.clone()), vec![address.clone()]);
        for (shape, row) in [
            (&MAILBOX, mailbox(&Mailbox::at(address), &source, None)),
            (&DOMAIN, domain(&Domain::named(name), &source, None)),
            (&ALIAS, super::alias(&alias, &source, None)),
        ] {
            let first = |key: &'static str| key.split('.').next().unwrap_or(key);
            let mut row = row;
            row.set_password(&"secret".into(), PasswordState::Assumed);
            for column in shape.columns {
                let is_there = row.contains_key(first(column.key)) || column.key.starts_with("password");
                assert!(is_there, "{} is in no row", column.key);
            }
            for key in row.keys().filter(|key| !matches!(key.as_str(), "extra" | "password" | "password_state")) {
                assert!(shape.columns.iter().any(|column| first(column.key) == key), "{key} is no column");
            }
            assert!(shape.table.iter().all(|key| shape.columns.iter().any(|column| column.key == *key)), "{shape:?}");
        }
        for shape in [&CREDENTIAL, &DNS, &BULK, &TROUBLE, &RUN, &MATRIX, &ABOUT, &PROFILE, &SETTING, &CHECK] {
            assert!(shape.table.iter().all(|key| shape.columns.iter().any(|column| column.key == *key)), "{shape:?}");
        }
    }

    #[test]
    fn some_keys_of_a_row_stand_in_the_order_of_their_names() {
        let row =
            row([("a", json!(1)), ("quota", json!({ "limit": 5, "used": 3, "unlimited": false })), ("b", json!(2))]);
        for (keys, expected) in [
            (&["b", " a"][..], r#"{"b":2,"a":1}"#),
            (&["quota.used", "a", "quota.limit"], r#"{"quota":{"used":3,"limit":5},"a":1}"#),
            (&["quota", "quota.limit"], r#"{"quota":{"limit":5,"used":3,"unlimited":false}}"#),
            (&["absent", "a.b", "absent.c"], r#"{"absent":null,"a":{"b":null}}"#),
        ] {
            let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(value(&row.only(&keys)).to_string(), expected);
        }
    }

    #[test]
    fn a_table_shows_what_was_changed() {
        let source = Source { provider: ProviderId::Mailinabox, profile: "test".to_owned() };
        let mut item = Mailbox::at("ada@example.com".parse().expect("an address"));
        item.admin = Some(false);
        item.quota = Some(Quota { limit: None, unlimited: true, used: None });
        let shown = |outcome| {
            let columns = MAILBOX.of_table(Some(&mailbox(&item, &source, outcome)));
            columns.iter().map(|column| column.key).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(Some(Outcome::Updated)), "address provider admin quota.limit outcome");
        assert_eq!(shown(Some(Outcome::Exists)), "address provider quota.limit outcome");
        assert_eq!(shown(Some(Outcome::Created)), "address provider status quota.limit created_at");
        assert_eq!(shown(None), "address provider status quota.limit created_at");
    }

    #[test]
    fn a_row_says_what_is_known_and_null_for_the_rest() {
        let source = Source { provider: ProviderId::Emboux, profile: "test".to_owned() };
        let mut row = mailbox(&Mailbox::at("ada@example.com".parse().expect("an address")), &source, None);
        assert_eq!((row.at("status"), row.at("notes")), (&Value::Null, &Value::Array(Vec::new())));
        row.set_password(&"secret".into(), PasswordState::Accepted);
        row.set_password(&"secret".into(), PasswordState::PossiblyInUse);
        row.add_note("something to say");
        let end: Vec<_> = row.iter().skip(row.len() - 4).map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            r#"password="secret""#,
            r#"password_state="possibly_in_use""#,
            "extra={}",
            r#"notes=["something to say"]"#,
        ];
        assert_eq!(end, expected);
        assert_eq!(value(&Status::Other("odd".to_owned())), "odd");
    }
}
