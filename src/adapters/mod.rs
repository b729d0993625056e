//! The registry: from a provider's name to its spec and its adapter behind the checks.

mod emboux;
mod hybridbox;
mod known;
mod litemail;
mod mailinabox;
mod qboxmail;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;

use crate::error::{Error, Kind, Result};
use crate::http::{Credential, Failure, Gate, Http, Options, Redactor, Reply};
use crate::provider::{AuthScheme, Checked, Pace, Provider, ProviderId, Spec};

/// What is needed to talk to one account: a profile with its secrets read.
pub struct Account {
    /// The provider.
    pub provider: ProviderId,
    /// The profile's name, for messages.
    pub profile: String,
    /// The flags that choose this account again, for the commands in hints.
    pub flags: String,
    /// Where the API lives.
    pub base_url: String,
    /// The token, key or password.
    pub secret: SecretString,
    /// Who logs in, where the provider asks for a user.
    pub user: Option<String>,
    /// The seed of one-time codes.
    pub totp: Option<SecretString>,
    /// The provider's own settings.
    pub settings: BTreeMap<String, String>,
    /// Further headers; their values may be secrets.
    pub headers: Vec<(String, SecretString)>,
    /// A certificate to trust besides the system's, as PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Speed and patience.
    pub pace: Pace,
    /// The gate of this credential, shared by all profiles that use it.
    pub gate: Arc<Gate>,
    /// The secrets of this run.
    pub redactor: Redactor,
    /// Whether undocumented routes may be used.
    pub allow_unverified: bool,
    /// Whether a write only says what it would send.
    pub dry_run: bool,
    /// Whether waits are left out, for tests.
    pub no_wait: bool,
}

impl Account {
    /// Returns an account with a provider, an address and a secret; everything else has its default.
    pub fn new(provider: ProviderId, base_url: impl Into<String>, secret: SecretString) -> Self {
        let pace = spec(provider).pace;
        Account {
            provider,
            profile: provider.to_string(),
            flags: format!("-p {provider}"),
            base_url: base_url.into(),
            secret,
            user: None,
            totp: None,
            settings: BTreeMap::new(),
            headers: Vec::new(),
            ca_pem: None,
            pace,
            gate: Arc::new(Gate::new(pace)),
            redactor: Redactor::default(),
            allow_unverified: false,
            dry_run: false,
            no_wait: false,
        }
    }

    /// Returns one of the provider's own settings.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }
}

/// What the registry knows of a provider.
struct Entry {
    spec: &'static Spec,
    judge: fn(&Reply) -> Option<Failure>,
    open: fn(Http, &Account) -> Result<Box<dyn Provider>>,
}

fn entry(provider: ProviderId) -> Entry {
    match provider {
        ProviderId::Hybridbox => Entry {
            spec: &hybridbox::SPEC,
            judge: hybridbox::judge,
            open: |http, account| Ok(Box::new(hybridbox::Hybridbox::new(http, account)?)),
        },
        ProviderId::Emboux => {
            Entry { spec: &emboux::SPEC, judge: emboux::judge, open: |http, _| Ok(Box::new(emboux::Emboux::new(http))) }
        }
        ProviderId::Litemail => Entry {
            spec: &litemail::SPEC,
            judge: litemail::judge,
            open: |http, account| Ok(Box::new(litemail::Litemail::new(http, account)?)),
        },
        ProviderId::Qboxmail => Entry {
            spec: &qboxmail::SPEC,
            judge: qboxmail::judge,
            open: |http, account| Ok(Box::new(qboxmail::Qboxmail::new(http, account))),
        },
        ProviderId::Mailinabox => Entry {
            spec: &mailinabox::SPEC,
            judge: mailinabox::judge,
            open: |http, account| Ok(Box::new(mailinabox::Mailinabox::new(http, account)?)),
        },
    }
}

/// Returns what a provider is and can do.
pub fn spec(provider: ProviderId) -> &'static Spec {
    entry(provider).spec
}

/// Opens an account: builds its sender and its adapter, and puts the adapter behind the checks.
pub fn open(account: &Account) -> Result<Checked> {
    let (http, adapter) = bare(account)?;
    Ok(Checked::new(adapter, http, &account.profile, &account.flags, account.allow_unverified))
}

/// Opens an account without the checks; the conformance suite asks bare adapters what they refuse by themselves.
pub fn bare(account: &Account) -> Result<(Http, Box<dyn Provider>)> {
    let Entry { spec, judge, open } = entry(account.provider);
    let secret = account.secret.clone();
    let credential = match spec.auth {
        AuthScheme::Bearer => Credential::Bearer(secret),
        AuthScheme::Header(name) => Credential::Header(name, secret),
        AuthScheme::Basic => {
            let user = account.user.clone().ok_or_else(|| Error::new(Kind::Config, "this profile needs `user`"))?;
            Credential::Basic(user, secret)
        }
    };
    let http = Http::new(Options {
        base_url: account.base_url.clone(),
        credential,
        headers: account.headers.clone(),
        ca_pem: account.ca_pem.clone(),
        pace: account.pace,
        gate: account.gate.clone(),
        redactor: account.redactor.clone(),
        dry_run: account.dry_run,
        no_wait: account.no_wait,
        judge,
    })?;
    let adapter = open(http.clone(), account)?;
    Ok((http, adapter))
}
