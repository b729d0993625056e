//! A profile: one account, put together from what the environment and the file say of it, each value with its origin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use toml::{Table, Value};

use super::layers::{BaseUrl, Headers, Layers, Origin, Rate, Sourced};
use super::{Config, SecretRef, variable};
use crate::adapters;
use crate::error::{Error, Kind, Result};
use crate::http::is_loopback_url;
use crate::provider::{AuthScheme, Pace, ProviderId, Spec};
use crate::sandbox;

/// The profile that stands for environment variables alone.
pub(super) const ENV_PROFILE: &str = "env";

/// The profile that stands for the built-in sandbox.
pub(super) const SANDBOX_PROFILE: &str = "sandbox";

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
    pub base_url: Option<Sourced<BaseUrl>>,
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
    pub pace: Pace,
    /// Whether undocumented routes may be used.
    pub allow_unverified: Sourced<bool>,
    /// Whether the built-in sandbox stands in for the provider.
    pub sandbox: Sourced<bool>,
    /// What the file says and a variable overrules: the key and the variable.
    pub overruled: Vec<(String, String)>,
    /// Every value with its origin, in the order of `config show`, secrets as `(set)`.
    pub values: Vec<(String, String, Origin)>,
}

impl Profile {
    /// Returns the flags that choose this account again.
    pub fn flags(&self) -> String {
        match (self.is_stand_in(), self.name.as_str()) {
            (true, _) => format!("-p {} --sandbox", self.provider),
            (false, ENV_PROFILE) => format!("-p {}", self.provider),
            (false, name) => format!("-P {}", shell_words::quote(name)),
        }
    }

    /// Whether the sandbox was asked for by flag or variable; a profile that is a sandbox keeps its name.
    fn is_stand_in(&self) -> bool {
        self.sandbox.value && self.name == SANDBOX_PROFILE && self.sandbox.origin != Origin::Profile
    }

    /// Returns an error that names everything this account lacks.
    pub fn missing(&self) -> Option<Error> {
        let spec = adapters::spec(self.provider);
        // What is needed, the end of its variable, and its key.
        let mut lacks: Vec<(String, &str, &str)> = Vec::new();
        let mut why = "";
        if let (None, false, Err(reason)) = (&self.base_url, self.sandbox.value, spec.base_url) {
            lacks.push(("a base URL".to_owned(), "base_url", "base_url"));
            why = reason;
        }
        if self.user.is_none() && spec.auth == AuthScheme::Basic {
            lacks.push(("a user".to_owned(), "user", "user"));
        }
        if self.secret.is_none() {
            lacks.push((format!("a secret ({})", spec.secret_name), spec.secret_name, "secret"));
        }
        for setting in spec.settings.iter().filter(|s| s.required && !self.settings.contains_key(s.key)) {
            lacks.push((format!("{} ({})", setting.key, setting.help), setting.key, setting.key));
        }
        if lacks.is_empty() {
            return None;
        }
        let what = and(lacks.iter().map(|(what, ..)| what.clone()));
        let variables = and(lacks.iter().map(|(_, end, _)| variable(self.provider, end)));
        let keys = and(lacks.iter().map(|(.., key)| format!("`{key}`")));
        let message = match (lacks.len(), why) {
            (1, why) if !why.is_empty() => why.to_owned(),
            (_, "") => format!("{} needs {what}, and none is set", spec.title),
            (_, why) => format!("{} needs {what}, and none is set; {why}", spec.title),
        };
        let mut hint =
            format!("set {variables}, or {keys} in a profile, or add --sandbox to try it without an account");
        if spec.auth == AuthScheme::Basic {
            let [totp, ca] = ["totp_secret", "ca_file"].map(|key| variable(self.provider, key));
            hint += &format!("; {totp} is for a second factor, {ca} for a certificate of its own");
        }
        Some(Error::new(Kind::Config, message).hint(hint))
    }
}

/// Joins words as a sentence does.
fn and(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last } else { format!("{} and {last}", words.join(", ")) }
}

impl Config {
    /// Reads a profile from its layers. With `stand_in` the sandbox takes its place, for that reason.
    pub(super) fn read(
        &self,
        name: &str,
        table: &Table,
        spec: &'static Spec,
        stand_in: Option<Origin>,
    ) -> Result<Profile> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut layers = Layers::new(&self.env, folder, name, table, spec.id);
        let above = stand_in.clone().map(|origin| Sourced::new(true, origin));
        let sandbox = layers.value(layers.key("sandbox").variable("MBX_SANDBOX").above(above).or(false))?;
        // A profile that is a sandbox has no account besides it. One that a variable overrules is shown as it is.
        let in_sandbox = stand_in.is_some() || sandbox.value && is_sandbox(table);
        let logs_in = spec.auth == AuthScheme::Basic;

        let base_url = layers.key::<BaseUrl>("base_url").or(spec.base_url.ok().map(BaseUrl::new));
        let base_url = layers.read(base_url.fixed(in_sandbox, None))?;
        let user = layers.key("user").fixed(in_sandbox, Some(sandbox::BOX_USER.to_owned()));
        let user = if logs_in { layers.read(user)? } else { None };
        let secret = layers.key("secret").variable(variable(spec.id, spec.secret_name));
        let secret = layers.read(secret.fixed(in_sandbox, Some(SecretRef::Sandbox(sandbox::KEY))))?;
        let totp = layers.key("totp").variable(variable(spec.id, "totp_secret")).fixed(in_sandbox, None);
        let totp = if logs_in { layers.read(totp)? } else { None };
        let mut settings = BTreeMap::new();
        for setting in spec.settings {
            let key = layers.key(setting.key).fixed(in_sandbox, setting.sandbox.map(str::to_owned));
            settings.extend(layers.read(key)?.map(|value| (setting.key.to_owned(), value)));
        }
        let headers = layers.read::<Headers>(layers.key("headers").in_file_only().fixed(in_sandbox, None))?;
        let ca_file = layers.read(layers.key("ca_file").fixed(in_sandbox, None))?;
        let is_local = in_sandbox || base_url.as_ref().is_some_and(|url| is_loopback_url(url.value.as_str()));
        let concurrency = layers.value(layers.key("pace.concurrency").in_file_only().or(spec.pace.concurrency))?;
        // No rate limit on localhost.
        let per_minute = layers.key("pace.per_minute").in_file_only().or(Rate(spec.pace.per_minute));
        let per_minute = layers.value(per_minute.fixed(is_local, Some(Rate(None))))?;
        // In the sandbox an undocumented route can do no harm, and a tour without it would stop half-way.
        let allow_unverified = layers.key("allow_unverified").or(false).fixed(in_sandbox, Some(true));
        let allow_unverified = layers.value(allow_unverified)?;
        let is_default = layers.read(layers.key("default").in_file_only())?;
        layers.refuse_unknown(|key| why_unknown(key, spec))?;

        let Layers { shown: mut values, overruled, .. } = layers;
        values.rotate_left(1);
        let origin = if table.contains_key("provider") { Origin::Profile } else { Origin::BuiltIn };
        values.insert(0, ("provider".to_owned(), spec.id.to_string(), origin));
        Ok(Profile {
            name: if stand_in.is_some() { SANDBOX_PROFILE } else { name }.to_owned(),
            provider: spec.id,
            is_default: is_default.is_some_and(|it| it.value),
            base_url,
            user,
            secret,
            totp,
            settings,
            headers: headers.map(|headers| headers.value).unwrap_or_default(),
            ca_file,
            pace: Pace {
                concurrency: concurrency.value,
                per_minute: per_minute.value.0,
                poll: if is_local { Duration::from_millis(100) } else { spec.pace.poll },
                ..spec.pace
            },
            allow_unverified,
            sandbox,
            overruled: if in_sandbox { Vec::new() } else { overruled },
            values,
        })
    }
}

/// Returns whether a profile of the file says that it is a sandbox.
pub(super) fn is_sandbox(table: &Table) -> bool {
    table.get("sandbox").and_then(Value::as_bool) == Some(true)
}

/// Returns why a key that other profiles have has no place in this one.
fn why_unknown(key: &str, spec: &Spec) -> Option<String> {
    let others = ProviderId::ALL.into_iter().map(adapters::spec);
    if let Some(other) = others.into_iter().find(|other| other.settings.iter().any(|s| s.key == key)) {
        return Some(format!("has `{key}`, which is a key of {} and not of {}", other.id, spec.id));
    }
    matches!(key, "user" | "totp")
        .then(|| format!("has `{key}`, and {} logs in with its {} alone", spec.id, spec.secret_name.to_lowercase()))
}
