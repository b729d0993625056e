//! What the sandbox holds: one account per provider, in memory or in a file that several processes may share.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::fault::Other;
use super::state::{Held, StateFile};
use crate::lock::held;
use crate::model::ProviderId;

/// The key, token and password of every provider in the sandbox.
pub const KEY: &str = "sandbox";

/// 2026-01-05 08:59 UTC: the first request that may change something happens at nine on a Monday.
const START: u64 = 1_767_603_540;

tokio::task_local! {
    /// Is set while a request is answered that only reads.
    pub(super) static IN_READ: ();
}

/// What the sandbox holds for one provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    /// Requests so far that may have changed something; each takes a minute of the sandbox's time.
    ticks: u64,
    /// The next serial number of each kind of thing.
    serials: BTreeMap<String, u64>,
    pub(super) domains: Vec<Domain>,
    pub(super) mailboxes: Vec<Mailbox>,
    pub(super) aliases: Vec<Alias>,
    pub(super) credentials: Vec<Credential>,
    /// What only one dialect needs, such as login keys.
    pub(super) extra: Map<String, Value>,
    /// Whether an address that is taken can be taken again.
    #[serde(skip)]
    pub(super) accepts_repeats: bool,
    /// How many listings do not show a new mailbox yet.
    #[serde(skip)]
    pub(super) lag: u64,
    /// How late reads show a new mailbox; a request that changes something knows it at once.
    #[serde(skip)]
    pub(super) late: Option<Duration>,
    /// The time that its clock had when it began to run as ours does, and since when it runs; `None`: a request that may
    /// change something takes a minute.
    #[serde(skip)]
    running: Option<(u64, Instant)>,
    #[serde(skip)]
    pub(super) times: Times,
}

/// How a provider shows its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How many seconds the `Date` header is ahead of the provider's clock; `None`: it shows no time.
    pub date_ahead: Option<i64>,
    /// How many seconds the creation times of new mailboxes are ahead of that clock.
    pub creation_ahead: i64,
    /// Whether no creation time is shown.
    pub hides_creation: bool,
}

impl Default for Times {
    fn default() -> Self {
        Times { date_ahead: Some(0), creation_ahead: 0, hides_creation: false }
    }
}

/// A domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Domain {
    pub(super) serial: u64,
    pub(super) name: String,
    /// `active`, `suspended` or `pending`; dialects use their own words for these.
    pub(super) status: String,
    /// How many mailboxes it may have.
    pub(super) limit: Option<usize>,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) extra: Map<String, Value>,
}

/// A mailbox.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Mailbox {
    pub(super) serial: u64,
    pub(super) local: String,
    pub(super) domain: String,
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
    /// Bytes or the dialect's own unit; zero is the dialect's default.
    pub(super) quota: u64,
    /// `active`, `suspended`, `pending` or `ending`; dialects use their own words for these.
    pub(super) status: String,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) extra: Map<String, Value>,
    /// A digest: the sandbox keeps no password.
    password: Option<String>,
    /// When it was made, if that was in this process.
    #[serde(skip)]
    made: Option<Instant>,
}

/// An alias.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Alias {
    pub(super) serial: u64,
    /// The address, or `@domain`.
    pub(super) source: String,
    pub(super) targets: Vec<String>,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) extra: Map<String, Value>,
}

/// A login that opens more than one mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Credential {
    pub(super) serial: u64,
    pub(super) name: String,
    pub(super) scope: String,
    pub(super) scope_id: String,
    pub(super) created: u64,
    pub(super) updated: u64,
}

impl Account {
    /// Makes an account that holds nothing.
    pub(super) fn empty() -> Self {
        Account {
            ticks: 0,
            serials: BTreeMap::new(),
            domains: Vec::new(),
            mailboxes: Vec::new(),
            aliases: Vec::new(),
            credentials: Vec::new(),
            extra: Map::new(),
            accepts_repeats: false,
            lag: 0,
            late: None,
            running: None,
            times: Times::default(),
        }
    }

    /// Makes an account with a domain to use, one that is full and one that is suspended.
    pub(super) fn with_domains() -> Self {
        let mut account = Account::empty();
        for (name, status, limit) in [
            ("example.com", "active", None),
            ("full.example", "active", Some(3)),
            ("suspended.example", "suspended", None),
        ] {
            let serial = account.serial("domain");
            let created = START;
            account.domains.push(Domain {
                serial,
                name: name.to_owned(),
                status: status.to_owned(),
                limit,
                created,
                extra: Map::new(),
            });
        }
        for (index, local) in ["one", "two", "three"].into_iter().enumerate() {
            account.mailboxes.push(Mailbox {
                // Far from the numbers that new mailboxes get, which count from one.
                serial: 9001 + index as u64,
                local: local.to_owned(),
                domain: "full.example".to_owned(),
                first: Some(local.to_owned()),
                last: Some("Full".to_owned()),
                status: "active".to_owned(),
                created: START,
                updated: START,
                ..Mailbox::default()
            });
        }
        account
    }

    /// Returns the next serial number of a kind of thing; each kind counts from one.
    pub(super) fn serial(&mut self, kind: &str) -> u64 {
        let next = self.serials.entry(kind.to_owned()).or_insert(0);
        *next += 1;
        *next
    }

    /// Returns the sandbox's time in seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        match self.running {
            Some((began, since)) => began + since.elapsed().as_secs(),
            None => START + self.ticks * 60,
        }
    }

    /// Sets the clock, and lets it run as ours does from then on.
    pub(super) fn run_clock(&mut self, time: u64) {
        self.running = Some((time, Instant::now()));
    }

    /// Shows each mailbox only so long after its creation, but for those that are there.
    pub(super) fn list_late(&mut self, late: Duration) {
        self.late = Some(late);
        self.mailboxes.iter_mut().for_each(|mailbox| mailbox.made = None);
    }

    pub(super) fn domain(&self, name: &str) -> Option<&Domain> {
        self.domains.iter().find(|d| d.name == name)
    }

    pub(super) fn domain_mut(&mut self, name: &str) -> Option<&mut Domain> {
        self.domains.iter_mut().find(|d| d.name == name)
    }

    /// Finds a mailbox by address, without regard to case.
    pub(super) fn mailbox(&self, address: &str) -> Option<&Mailbox> {
        let (local, domain) = address.rsplit_once('@')?;
        self.mailboxes.iter().find(|m| m.is_at(local, domain))
    }

    /// Finds a mailbox by address, without regard to case.
    pub(super) fn mailbox_mut(&mut self, address: &str) -> Option<&mut Mailbox> {
        let (local, domain) = address.rsplit_once('@')?;
        self.mailboxes.iter_mut().find(|m| m.is_at(local, domain))
    }

    /// Returns whether a new mailbox is refused because another has its address.
    pub(super) fn is_taken(&self, address: &str) -> bool {
        !self.accepts_repeats && self.mailbox(address).is_some()
    }

    /// Returns how many mailboxes a domain has, and how many it may have.
    pub(super) fn room(&self, domain: &str) -> (usize, Option<usize>) {
        let used = self.mailboxes.iter().filter(|m| m.domain == domain).count();
        (used, self.domain(domain).and_then(|d| d.limit))
    }

    /// Adds a mailbox; the caller has checked that it may be added.
    pub(super) fn add_mailbox(&mut self, local: &str, domain: &str, password: Option<&str>) -> &mut Mailbox {
        let serial = self.serial("mailbox");
        let now = self.now().saturating_add_signed(self.times.creation_ahead);
        let mut mailbox = Mailbox {
            serial,
            local: local.to_owned(),
            domain: domain.to_owned(),
            status: "active".to_owned(),
            created: now,
            updated: now,
            made: Some(Instant::now()),
            ..Mailbox::default()
        };
        if let Some(password) = password {
            mailbox.set_password(password);
        }
        self.mailboxes.push(mailbox);
        self.mailboxes.last_mut().expect("one was just pushed")
    }

    /// Does what another client does.
    pub(super) fn let_other(&mut self, other: &Other) {
        match other {
            Other::CreatesMailbox(address) => {
                let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
                self.add_mailbox(local, domain, None);
            }
            Other::DeletesMailbox(address) => self.mailboxes.retain(|m| m.address() != *address),
            Other::SetsPassword(address, password) => {
                if let Some(mailbox) = self.mailbox_mut(address) {
                    mailbox.set_password(password);
                }
            }
            Other::CreatesAlias(source, target) => {
                let (serial, created) = (self.serial("alias"), self.now());
                let (source, targets) = (source.clone(), vec![target.clone()]);
                self.aliases.push(Alias { serial, source, targets, created, updated: created, extra: Map::new() });
            }
            Other::DeletesAlias(source) => self.aliases.retain(|a| a.source != *source),
        }
    }

    /// Removes a domain with its mailboxes and aliases.
    pub(super) fn remove_domain(&mut self, name: &str) {
        self.domains.retain(|d| d.name != name);
        self.mailboxes.retain(|m| m.domain != name);
        self.aliases.retain(|a| a.source.rsplit_once('@').is_none_or(|(_, domain)| domain != name));
    }
}

impl Mailbox {
    pub(super) fn address(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    fn is_at(&self, local: &str, domain: &str) -> bool {
        self.local.eq_ignore_ascii_case(local) && self.domain.eq_ignore_ascii_case(domain)
    }

    pub(super) fn set_password(&mut self, password: &str) {
        self.password = Some(self.digest(password));
    }

    /// Leaves the mailbox with a password that nothing matches.
    pub(super) fn lock_out(&mut self) {
        self.password = None;
    }

    pub(super) fn password_is(&self, password: &str) -> bool {
        self.password.as_deref() == Some(self.digest(password).as_str())
    }

    fn digest(&self, password: &str) -> String {
        let digest = Sha256::digest(format!("{}\n{password}", self.address()));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

type Accounts = BTreeMap<String, Account>;

/// All accounts, in memory or in a file.
pub(super) struct Store {
    accounts: Mutex<Accounts>,
    file: Option<StateFile>,
    /// Makes the account with which a provider starts.
    new_account: fn(ProviderId) -> Account,
}

/// The store while one request works on it. Accounts in memory are shared; those in a file are held, and read anew.
pub(super) struct Session<'a> {
    store: &'a Store,
    held: Option<Held<'a>>,
}

impl Store {
    /// Opens the file, if one is named; a file that is broken or cannot be locked is an error.
    pub(super) async fn open(file: Option<PathBuf>, new_account: fn(ProviderId) -> Account) -> io::Result<Self> {
        let store = Store { accounts: Mutex::default(), file: file.map(StateFile::at), new_account };
        store.begin().await?;
        Ok(store)
    }

    /// Begins to work on the store. Only what [`Session::keep`] follows is written to the file.
    pub(super) async fn begin(&self) -> io::Result<Session<'_>> {
        let Some(file) = &self.file else { return Ok(Session { store: self, held: None }) };
        let held = file.hold().await?;
        let accounts = held.bytes.as_deref().map(serde_json::from_slice).transpose()?;
        *self.accounts() = accounts.unwrap_or_default();
        Ok(Session { store: self, held: Some(held) })
    }

    /// Works on a provider's account.
    pub(super) fn with<T>(&self, provider: ProviderId, work: impl FnOnce(&mut Account) -> T) -> T {
        let mut accounts = self.accounts();
        let account = accounts.entry(provider.to_string()).or_insert_with(|| (self.new_account)(provider));
        match account.late.filter(|_| IN_READ.try_with(|()| ()).is_ok()) {
            None => work(account),
            Some(late) => {
                let mut view = account.clone();
                view.mailboxes.retain(|mailbox| mailbox.made.is_none_or(|made| made.elapsed() >= late));
                work(&mut view)
            }
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        held(&self.accounts)
    }

    /// Lets a minute pass at a provider, unless its clock runs as ours does.
    pub(super) fn tick(&self, provider: ProviderId) {
        self.with(provider, |account| account.ticks += u64::from(account.running.is_none()));
    }

    /// Returns a provider's time, so many seconds ahead.
    pub(super) fn date(&self, provider: ProviderId, ahead: i64) -> SystemTime {
        let now = self.with(provider, |account| account.now()).saturating_add_signed(ahead);
        SystemTime::UNIX_EPOCH + Duration::from_secs(now)
    }
}

impl Session<'_> {
    /// Writes what was changed to the file, if there is one.
    pub(super) fn keep(self) -> io::Result<()> {
        let Some(held) = self.held else { return Ok(()) };
        let bytes = serde_json::to_vec(&*self.store.accounts())?;
        held.replace(&bytes)
    }
}
