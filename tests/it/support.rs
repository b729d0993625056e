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
    pub(crate) sandbox: Sandbox,
    pub(crate) provider: Checked,
}

/// As fast as the machine allows, and quick to give up: what waits in a test waits for nothing.
pub(crate) fn test_pace() -> Pace {
    let limit = Duration::from_secs(5);
    Pace { concurrency: 8, per_minute: None, burst: 1, read: limit, write: limit, poll: Duration::from_millis(5) }
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
        Ctx { id, spec: adapters::spec(id), sandbox, provider }
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
        !matches!((self.spec.support)(op), Support::No(_))
    }

    /// Returns true when domains are things of their own, with limits; on a box they are not.
    pub(crate) fn has_domains(&self) -> bool {
        self.id != ProviderId::Mailinabox
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
