//! What several tests need: a sandbox, an account on it, and requests that suit a provider's rules.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use mbx::adapters::{self, Account};
use mbx::error::{Error, Kind, Result};
use mbx::http::Gate;
use mbx::model::{Address, DomainName, Mailbox, NewMailbox};
use mbx::provider::{Checked, NameRule, Op, Pace, PasswordRule, Provider, ProviderId, Spec, Support};
use mbx::sandbox::{self, Sandbox};

/// A password that every provider takes.
pub(crate) const PASSWORD: &str = "Canary-Passw0rd-7";

/// A fresh sandbox with one provider opened on it.
pub(crate) struct Ctx {
    pub(crate) id: ProviderId,
    pub(crate) spec: &'static Spec,
    pub(crate) facts: Facts,
    pub(crate) sandbox: Sandbox,
    pub(crate) provider: Checked,
}

/// What a test has to know of a provider that no spec says, and that its documents do. The conformance suite checks it.
pub(crate) struct Facts {
    /// A piece of every path that creates a mailbox, where faults strike.
    pub(crate) create_path: &'static str,
    /// How a listing shows creation times.
    pub(crate) stamps: Stamps,
    /// Whether a listing shows ids, so that a deleted mailbox and its successor differ.
    pub(crate) has_ids: bool,
}

/// How a host shows creation times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stamps {
    /// In UTC.
    Zone,
    /// In a zone that it does not name, which is two hours ahead of UTC.
    NoZone,
    /// Not at all.
    None,
}

/// Returns the facts about a provider.
pub(crate) fn facts(id: ProviderId) -> Facts {
    let (create_path, stamps, has_ids) = match id {
        ProviderId::Hybridbox => ("/mailboxes", Stamps::Zone, true),
        ProviderId::Emboux => ("/users/", Stamps::NoZone, true),
        ProviderId::Litemail => ("/mailboxes/assign", Stamps::Zone, true),
        ProviderId::Qboxmail => ("/email_accounts", Stamps::Zone, true),
        ProviderId::Mailinabox => ("/mail/users/add", Stamps::None, false),
    };
    Facts { create_path, stamps, has_ids }
}

/// Returns true when the provider can do this at all.
pub(crate) fn can(id: ProviderId, op: Op) -> bool {
    !matches!((adapters::spec(id).support)(op), Support::No(_))
}

/// Returns the names and the password that a new mailbox needs, by the columns of a file.
pub(crate) fn needed(id: ProviderId) -> Vec<(&'static str, &'static str)> {
    let rules = &adapters::spec(id).rules;
    let (first, last) = (("first_name", "Ada"), ("last_name", "Byron"));
    let mut cells = match rules.names {
        NameRule::Both => vec![first, last],
        NameRule::First => vec![first],
        NameRule::Optional | NameRule::Never(_) => Vec::new(),
    };
    if matches!(rules.password, PasswordRule::Required { .. }) {
        cells.push(("password", PASSWORD));
    }
    cells
}

/// Returns a change that the provider can make to a mailbox, as a column and a cell of a file; `None` where it can make
/// none.
pub(crate) fn change(id: ProviderId) -> Option<(&'static str, &'static str)> {
    if can(id, Op::SetQuota) {
        Some(("quota", "2G"))
    } else {
        can(id, Op::SetNames).then_some(("last_name", "Lovelace"))
    }
}

/// As fast as the machine allows, and quick to give up: what waits in a test waits for nothing.
pub(crate) fn test_pace() -> Pace {
    let limit = Duration::from_secs(5);
    Pace {
        concurrency: 8,
        per_minute: None,
        burst: 1,
        read: limit,
        write: limit,
        poll: Duration::from_millis(5),
        machines: 1,
    }
}

/// Returns an account of the sandbox.
pub(crate) fn account(sandbox: &Sandbox, id: ProviderId) -> Account {
    let spec = adapters::spec(id);
    let settings = spec.settings.iter().filter_map(|s| Some((s.key.to_owned(), s.sandbox?.to_owned()))).collect();
    let pace = test_pace();
    Account {
        profile: "test".to_owned(),
        flags: "-P test".to_owned(),
        user: Some(sandbox::BOX_USER.to_owned()),
        settings,
        pace,
        gate: Arc::new(Gate::new(pace)),
        allow_unverified: true,
        no_wait: true,
        ..Account::new(id, sandbox.base_url(id), sandbox::KEY.into())
    }
}

impl Ctx {
    pub(crate) async fn new(id: ProviderId) -> Self {
        let sandbox = Sandbox::start().await.expect("the sandbox starts");
        let provider = adapters::open(&account(&sandbox, id)).expect("the account opens");
        Ctx { id, spec: adapters::spec(id), facts: facts(id), sandbox, provider }
    }

    /// Opens the same account again, changed.
    pub(crate) fn open(&self, change: impl FnOnce(&mut Account)) -> Checked {
        let mut account = account(&self.sandbox, self.id);
        change(&mut account);
        adapters::open(&account).expect("the account opens")
    }

    /// Returns the adapter without its checks.
    pub(crate) fn bare(&self) -> Box<dyn Provider> {
        adapters::bare(&account(&self.sandbox, self.id)).expect("the account opens").1
    }

    /// Returns true when the provider can do this at all.
    pub(crate) fn can(&self, op: Op) -> bool {
        can(self.id, op)
    }

    /// Returns true when domains are things of their own, with limits; on a box they are not.
    pub(crate) fn has_domains(&self) -> bool {
        self.sandbox.addresses(self.id).iter().any(|address| address.ends_with("@full.example"))
    }

    /// Returns a new mailbox with all that the provider's rules ask for.
    pub(crate) fn mailbox(&self, address: &str) -> NewMailbox {
        let mut new = NewMailbox::at(address.parse().expect("a good address"));
        if matches!(self.spec.rules.names, NameRule::Both | NameRule::First) {
            (new.first_name, new.last_name) = (Some("Ada".to_owned()), Some("Byron".to_owned()));
        }
        if matches!(self.spec.rules.password, PasswordRule::Required { .. }) {
            new.password = Some(PASSWORD.into());
        }
        new
    }

    pub(crate) async fn create(&self, address: &str) -> Mailbox {
        self.provider.create_mailbox(&self.mailbox(address)).await.expect("the mailbox is created").value
    }

    /// Returns the listed addresses of a domain, sorted.
    pub(crate) async fn listed(&self, domain: &str) -> Vec<String> {
        let name = name(domain);
        let all: Vec<Mailbox> =
            self.provider.list_mailboxes(Some(&name)).try_collect().await.expect("the list is read");
        let mut all: Vec<_> = all.iter().map(|m| m.address.to_string()).collect();
        all.sort();
        all
    }
}

pub(crate) fn at(address: &str) -> Address {
    address.parse().expect("a good address")
}

pub(crate) fn name(domain: &str) -> DomainName {
    domain.parse().expect("a good domain name")
}

/// Asserts the kind of an error, and shows the whole error when it is another.
#[track_caller]
pub(crate) fn assert_kind<T: std::fmt::Debug>(result: Result<T>, kind: Kind) -> Error {
    match result {
        Err(error) if error.kind == kind => error,
        other => panic!("expected {kind:?}, got {other:#?}"),
    }
}
