//! A profile: one account, put together from what the environment and the file say of it, each value with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::{Serialize, Serializer};
use toml::{Table, Value};

use super::{Config, SecretRef, check_keys};
use crate::adapters;
use crate::error::Result;
use crate::http::{check_base_url, is_loopback_url};
use crate::provider::{AuthScheme, Pace, ProviderId, Spec};
use crate::sandbox;

/// The profile that stands for environment variables alone.
pub(super) const ENV_PROFILE: &str = "env";

/// The profile that stands for the built-in sandbox.
const SANDBOX_PROFILE: &str = "sandbox";

const PROFILE_KEYS: &[&str] = &[
    "allow_unverified",
    "base_url",
    "ca_file",
    "default",
    "headers",
    "pace",
    "provider",
    "sandbox",
    "secret",
    "totp",
    "user",
];
const PACE_KEYS: &[&str] = &["concurrency", "per_minute"];

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A command-line flag.
    Flag,
    /// An environment variable.
    Env(String),
    /// The profile in the file.
    Profile,
    /// `[defaults]` in the file.
    Defaults,
    /// mbx itself.
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Env(name) => write!(f, "variable {name}"),
            Origin::Profile => f.write_str("profile"),
            Origin::Defaults => f.write_str("defaults"),
            Origin::BuiltIn => f.write_str("built in"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value and where it was found.
#[derive(Debug, Clone)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it was found.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// Keeps a value with its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Sourced { value, origin }
    }
}

/// One account: a provider, where its API lives, where its secret comes from. Nothing secret is read yet.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The name in the file, or `env`, or `sandbox`.
    pub name: String,
    /// The provider.
    pub provider: ProviderId,
    /// Whether it is the one to take among several of its kind.
    pub is_default: bool,
    /// Where the API lives.
    pub base_url: Option<Sourced<String>>,
    /// Who logs in, where the provider asks for a user.
    pub user: Option<Sourced<String>>,
    /// The token, key or password.
    pub secret: Option<Sourced<SecretRef>>,
    /// The seed of one-time codes.
    pub totp: Option<Sourced<SecretRef>>,
    /// The provider's own settings.
    pub settings: BTreeMap<String, Sourced<String>>,
    /// Further headers; their values may be secrets.
    pub headers: Vec<(String, SecretString)>,
    /// A file with a certificate to trust besides the system's.
    pub ca_file: Option<Sourced<PathBuf>>,
    /// Speed and patience.
    pub pace: Sourced<Pace>,
    /// Whether undocumented routes may be used.
    pub allow_unverified: Sourced<bool>,
    /// Whether the built-in sandbox stands in for the provider.
    pub sandbox: Sourced<bool>,
    /// What the file says of the account and a variable overrules: the key and the variable.
    pub overruled: Vec<(String, String)>,
}

impl Profile {
    /// Returns the flags that choose this account again.
    pub fn flags(&self) -> String {
        match (self.sandbox.value && self.sandbox.origin != Origin::Profile, self.name.as_str()) {
            (true, _) => format!("-p {} --sandbox", self.provider),
            (false, ENV_PROFILE) => format!("-p {}", self.provider),
            (false, name) => format!("-P {}", shell_words::quote(name)),
        }
    }

    /// Returns every value with its origin, secrets as `(set)`.
    pub fn values(&self) -> Vec<(String, String, Origin)> {
        let provider = if self.name == ENV_PROFILE { Origin::BuiltIn } else { Origin::Profile };
        let mut values = vec![("provider".to_owned(), self.provider.to_string(), provider)];
        let mut add = |key: &str, value: String, origin: &Origin| values.push((key.to_owned(), value, origin.clone()));
        if let Some(url) = &self.base_url {
            add("base_url", url.value.clone(), &url.origin);
        }
        if let Some(user) = &self.user {
            add("user", user.value.clone(), &user.origin);
        }
        for (key, secret) in [("secret", &self.secret), ("totp", &self.totp)] {
            if let Some(secret) = secret {
                add(key, format!("(set) from {}", secret.value), &secret.origin);
            }
        }
        for (key, setting) in &self.settings {
            add(key, setting.value.clone(), &setting.origin);
        }
        for (name, _) in &self.headers {
            add(&format!("headers.{name}"), "(set)".to_owned(), &Origin::Profile);
        }
        if let Some(file) = &self.ca_file {
            add("ca_file", file.value.display().to_string(), &file.origin);
        }
        let pace = self.pace.value;
        add("pace.concurrency", pace.concurrency.to_string(), &self.pace.origin);
        add("pace.per_minute", pace.per_minute.map_or("no limit".to_owned(), |n| n.to_string()), &self.pace.origin);
        add("allow_unverified", self.allow_unverified.value.to_string(), &self.allow_unverified.origin);
        add("sandbox", self.sandbox.value.to_string(), &self.sandbox.origin);
        values
    }
}

impl Config {
    /// Reads what the environment says of a provider.
    pub(super) fn environment(&self, name: &str, spec: &'static Spec) -> Result<Profile> {
        let prefix = format!("MBX_{}", spec.id.as_str().to_uppercase());
        let text = |key: &str| {
            let variable = format!("{prefix}_{key}");
            self.env.get(&variable).map(|value| Sourced::new(value.to_owned(), Origin::Env(variable.clone())))
        };
        let secret = |key: &str| {
            let (variable, file) = (format!("{prefix}_{key}"), format!("{prefix}_{key}_FILE"));
            match (self.env.get(&variable), self.env.get(&file)) {
                (Some(_), _) => Some(Sourced::new(SecretRef::Env(variable.clone()), Origin::Env(variable))),
                (None, Some(path)) => Some(Sourced::new(SecretRef::File(path.into()), Origin::Env(file))),
                (None, None) => None,
            }
        };
        let settings = spec.settings.iter().filter_map(|s| Some((s.key.to_owned(), text(&s.key.to_uppercase())?)));
        let flag = |variable: String| -> Result<Sourced<bool>> {
            Ok(match self.env.flag(&variable)? {
                Some(value) => Sourced::new(value, Origin::Env(variable)),
                None => Sourced::new(false, Origin::BuiltIn),
            })
        };
        Ok(Profile {
            name: name.to_owned(),
            provider: spec.id,
            is_default: false,
            base_url: text("BASE_URL").or_else(|| Some(Sourced::new(spec.base_url?.to_owned(), Origin::BuiltIn))),
            user: text("USER"),
            secret: secret(spec.secret_name),
            totp: secret("TOTP_SECRET"),
            settings: settings.collect(),
            headers: Vec::new(),
            ca_file: text("CA_FILE").map(|file| Sourced::new(file.value.into(), file.origin)),
            pace: Sourced::new(spec.pace, Origin::BuiltIn),
            allow_unverified: flag(format!("{prefix}_ALLOW_UNVERIFIED"))?,
            sandbox: flag("MBX_SANDBOX".to_owned())?,
            overruled: Vec::new(),
        })
    }

    /// Adds what the file says, where the environment has not spoken.
    pub(super) fn add_table(&self, profile: &mut Profile, table: &Table, spec: &Spec) -> Result<(), String> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let silent = |origin: Option<&Origin>| !matches!(origin, Some(Origin::Env(_)));
        let text = |key: &str| match table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(Sourced::new(text.clone(), Origin::Profile))),
            Some(_) => Err(format!("has a `{key}` that is not a text")),
        };
        let flag = |key: &str| match table.get(key) {
            None => Ok(None),
            Some(Value::Boolean(value)) => Ok(Some(*value)),
            Some(_) => Err(format!("has a `{key}` that is neither true nor false")),
        };
        if let Some(url) = text("base_url")?.filter(|_| silent(profile.base_url.as_ref().map(|u| &u.origin))) {
            check_base_url(&url.value).map_err(|why| format!("has a bad `base_url`: {why}"))?;
            profile.base_url = Some(url);
        }
        if let Some(user) = text("user")?.filter(|_| silent(profile.user.as_ref().map(|u| &u.origin))) {
            profile.user = Some(user);
        }
        for (key, place) in [("secret", &mut profile.secret), ("totp", &mut profile.totp)] {
            if let Some(value) = table.get(key) {
                let secret = SecretRef::parse(value, key, folder)?;
                if silent(place.as_ref().map(|s| &s.origin)) {
                    *place = Some(Sourced::new(secret, Origin::Profile));
                }
            }
        }
        for setting in spec.settings {
            if let Some(value) = text(setting.key)? {
                profile.settings.entry(setting.key.to_owned()).or_insert(value);
            }
        }
        if let Some(file) = text("ca_file")?.filter(|_| profile.ca_file.is_none()) {
            profile.ca_file = Some(Sourced::new(folder.join(file.value), Origin::Profile));
        }
        if let Some(headers) = table.get("headers") {
            let headers = headers.as_table().ok_or("has `headers` that are not a table")?;
            for (name, value) in headers {
                let value = value.as_str().ok_or_else(|| format!("has a header {name} that is not a text"))?;
                profile.headers.push((name.clone(), value.into()));
            }
        }
        if let Some(pace) = table.get("pace") {
            let pace = pace.as_table().ok_or("has a `pace` that is not a table")?;
            check_keys(pace, PACE_KEYS, "in `pace` ")?;
            let number = |key: &str| match pace.get(key) {
                None => Ok(None),
                Some(Value::Integer(n @ 1..=100_000)) => Ok(u32::try_from(*n).ok()),
                Some(_) => Err(format!("has a `pace.{key}` that is not a number from 1 to 100000")),
            };
            let built_in = profile.pace.value;
            profile.pace = Sourced::new(
                Pace {
                    concurrency: number("concurrency")?.map_or(built_in.concurrency, |n| n as usize),
                    per_minute: number("per_minute")?.or(built_in.per_minute),
                    ..built_in
                },
                Origin::Profile,
            );
        }
        let account = [
            ("base_url", profile.base_url.as_ref().map(|url| &url.origin)),
            ("user", profile.user.as_ref().map(|user| &user.origin)),
            ("secret", profile.secret.as_ref().map(|secret| &secret.origin)),
            ("totp", profile.totp.as_ref().map(|totp| &totp.origin)),
        ];
        let settings = profile.settings.iter().map(|(key, setting)| (key.as_str(), Some(&setting.origin)));
        let overruled = account.into_iter().chain(settings).filter(|(key, _)| table.contains_key(*key));
        profile.overruled = overruled
            .filter_map(|(key, origin)| match origin {
                Some(Origin::Env(variable)) => Some((key.to_owned(), variable.clone())),
                _ => None,
            })
            .collect();
        profile.is_default = flag("default")?.unwrap_or_default();
        for (key, place) in [("allow_unverified", &mut profile.allow_unverified), ("sandbox", &mut profile.sandbox)] {
            if let Some(value) = flag(key)?.filter(|_| silent(Some(&place.origin))) {
                *place = Sourced::new(value, Origin::Profile);
            }
        }
        Ok(())
    }
}

pub(super) fn provider_of(table: &Table) -> Option<ProviderId> {
    table.get("provider")?.as_str()?.parse().ok()
}

/// Applies what holds for the sandbox and for this machine.
pub(super) fn finish(mut profile: Profile, sandbox_flag: bool) -> Profile {
    let spec = adapters::spec(profile.provider);
    if sandbox_flag {
        profile.sandbox = Sourced::new(true, Origin::Flag);
    }
    // Asked for by flag or variable, it is not the profile's own account; a profile that is a sandbox keeps its name.
    if profile.sandbox.value && profile.sandbox.origin != Origin::Profile {
        SANDBOX_PROFILE.clone_into(&mut profile.name);
    }
    if profile.sandbox.value {
        let set = |value: &str| Some(Sourced::new(value.to_owned(), Origin::BuiltIn));
        profile.base_url = None;
        profile.overruled = Vec::new();
        profile.secret = Some(Sourced::new(SecretRef::Sandbox(sandbox::KEY), Origin::BuiltIn));
        profile.user = (spec.auth == AuthScheme::Basic).then(|| set(sandbox::BOX_USER)).flatten();
        profile.totp = None;
        profile.ca_file = None;
        profile.settings = spec.settings.iter().filter_map(|s| Some((s.key.to_owned(), set(s.sandbox?)?))).collect();
        // What is not documented can do no harm here, and a tour without it would stop half-way.
        profile.allow_unverified = Sourced::new(true, Origin::BuiltIn);
    }
    if profile.sandbox.value || profile.base_url.as_ref().is_some_and(|url| is_loopback_url(&url.value)) {
        // Nothing on this machine needs sparing.
        profile.pace.value.per_minute = None;
        profile.pace.value.poll = Duration::from_millis(100);
    }
    profile
}

pub(super) fn check_profile_keys(table: &Table, spec: &Spec) -> Result<(), String> {
    let own: Vec<&str> = spec.settings.iter().map(|setting| setting.key).collect();
    for key in table.keys().filter(|key| !own.contains(&key.as_str())) {
        let others = ProviderId::ALL.into_iter().map(adapters::spec);
        if let Some(other) = others.into_iter().find(|other| other.settings.iter().any(|s| s.key == key)) {
            return Err(format!("has `{key}`, which is a key of {} and not of {}", other.id, spec.id));
        }
        if matches!(key.as_str(), "user" | "totp") && spec.auth != AuthScheme::Basic {
            return Err(format!(
                "has `{key}`, and {} logs in with a {} alone",
                spec.id,
                spec.secret_name.to_lowercase()
            ));
        }
    }
    let known: Vec<&str> = PROFILE_KEYS.iter().copied().chain(own).collect();
    check_keys(table, &known, "")
}
