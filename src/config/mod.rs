//! From file, environment and flags to profiles, each value with its origin.
//!
//! Precedence: flag, `MBX_*` variable, profile, `[defaults]`, built in.

mod env;
mod profile;
mod secret;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use toml::{Table, Value};

pub use env::Env;
use profile::{ENV_PROFILE, check_profile_keys, finish, provider_of};
pub use profile::{Origin, Profile, Sourced};
pub use secret::{SecretRef, read_private};

use crate::adapters;
use crate::error::{Error, Kind, Result};
use crate::provider::{AuthScheme, Op, ProviderId, Support};
use crate::sandbox;

/// Which profiles a command is for.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// `--provider`.
    pub provider: Option<ProviderId>,
    /// `--profile`, possibly several.
    pub profiles: Vec<String>,
    /// `--all-profiles`.
    pub all: bool,
    /// `--sandbox`.
    pub sandbox: bool,
}

/// The configuration: the file, if there is one, and the environment.
#[derive(Debug)]
pub struct Config {
    /// The file it was or would be read from.
    pub path: PathBuf,
    /// Whether the file exists.
    pub exists: bool,
    env: Env,
    default_profile: Option<String>,
    defaults: BTreeMap<String, String>,
    profiles: BTreeMap<String, Table>,
}

const TOP_KEYS: &[&str] = &["default_profile", "defaults", "profiles"];
const DEFAULT_KEYS: &[&str] = &["color", "output"];

impl Config {
    /// Reads the file named by the flag, else by `MBX_CONFIG`, else at its usual place, where it may be missing.
    pub fn load(flag: Option<&Path>, env: Env) -> Result<Self> {
        let named = flag.map(Path::to_owned).or_else(|| env.get("MBX_CONFIG").map(PathBuf::from));
        let must_exist = named.is_some();
        let path = match named {
            Some(path) => path,
            None => etcetera::choose_base_strategy()
                .map_err(|_| {
                    Error::new(Kind::Config, "there is no home folder to look for a configuration in")
                        .hint("set HOME or MBX_CONFIG")
                })?
                .config_dir()
                .join("mbx/config.toml"),
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => None,
            Err(error) => return Err(Error::new(Kind::Config, format!("cannot read {}: {error}", path.display()))),
        };
        let mut config = Config {
            exists: text.is_some(),
            env,
            default_profile: None,
            defaults: BTreeMap::new(),
            profiles: BTreeMap::new(),
            path,
        };
        let wrong =
            |config: &Config, why: String| Error::new(Kind::Config, format!("{}: {why}", config.path.display()));
        if let Some(text) = text {
            let table: Table = text.parse().map_err(|error: toml::de::Error| wrong(&config, syntax(&error, &text)))?;
            config.take(table).map_err(|why| wrong(&config, why))?;
        }
        Ok(config)
    }

    fn take(&mut self, table: Table) -> Result<(), String> {
        check_keys(&table, TOP_KEYS, "")?;
        for (key, value) in table {
            match (key.as_str(), value) {
                ("default_profile", Value::String(name)) => self.default_profile = Some(name),
                ("defaults", Value::Table(defaults)) => {
                    check_keys(&defaults, DEFAULT_KEYS, "in [defaults] ")?;
                    for (key, value) in defaults {
                        let text = value.as_str().ok_or_else(|| format!("`defaults.{key}` is a text"))?;
                        self.defaults.insert(key, text.to_owned());
                    }
                }
                ("profiles", Value::Table(profiles)) => {
                    for (name, value) in profiles {
                        let Value::Table(profile) = value else { return Err(format!("[profiles.{name}] is a table")) };
                        self.profiles.insert(name, profile);
                    }
                }
                (key, _) => return Err(format!("`{key}` is of the wrong type")),
            }
        }
        if let Some(name) = self.default_profile.as_ref().filter(|name| !self.profiles.contains_key(*name)) {
            return Err(format!("default_profile is {name:?}, and there is no [profiles.{name}]"));
        }
        // Every profile is read once here, so that a mistake in any of them is found by any command.
        for name in self.profiles.keys() {
            self.profile(name).map_err(|error| error.message.clone())?;
        }
        Ok(())
    }

    /// Returns the environment.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Returns the names of the profiles in the file.
    pub fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// Returns the name of the default profile.
    pub fn default_profile(&self) -> Option<&str> {
        self.default_profile.as_deref()
    }

    /// Returns a value that has a flag, a variable and a place in `[defaults]`.
    pub fn general(&self, key: &str, flag: Option<String>, built_in: &str) -> Sourced<String> {
        let variable = format!("MBX_{}", key.to_uppercase());
        if let Some(value) = flag {
            return Sourced::new(value, Origin::Flag);
        }
        if let Some(value) = self.env.get(&variable) {
            return Sourced::new(value.to_owned(), Origin::Env(variable));
        }
        match self.defaults.get(key) {
            Some(value) => Sourced::new(value.clone(), Origin::Defaults),
            None => Sourced::new(built_in.to_owned(), Origin::BuiltIn),
        }
    }

    /// Reads one profile of the file, with the environment over it.
    pub fn profile(&self, name: &str) -> Result<Profile> {
        let Some(table) = self.profiles.get(name) else {
            let known: Vec<_> = self.profile_names().collect();
            let error = Error::new(Kind::Config, format!("there is no profile {name}"));
            return Err(if known.is_empty() {
                error.hint(format!("{} has none", self.path.display()))
            } else {
                error.hint(format!("the profiles are {}", known.join(", ")))
            });
        };
        let wrong = |why: String| Error::new(Kind::Config, format!("[profiles.{name}] {why}"));
        let provider: ProviderId = match table.get("provider").and_then(Value::as_str) {
            Some(text) => text.parse().map_err(|why| wrong(format!("has an unknown `provider` {text:?}: {why}")))?,
            None => return Err(wrong("lacks `provider`".to_owned())),
        };
        let spec = adapters::spec(provider);
        check_profile_keys(table, spec).map_err(wrong)?;
        let mut profile = self.environment(name, spec)?;
        self.add_table(&mut profile, table, spec).map_err(wrong)?;
        Ok(if profile.sandbox.origin == Origin::Profile { finish(profile, false) } else { profile })
    }

    /// Finds the profiles a command is for; one, unless several were asked for.
    pub fn choose(&self, choice: &Choice) -> Result<Vec<Profile>> {
        let mut chosen = if choice.all {
            let all = self.profile_names().map(|name| self.profile(name)).collect::<Result<Vec<_>>>()?;
            if all.is_empty() {
                return Err(Error::new(Kind::Config, format!("there are no profiles in {}", self.path.display())));
            }
            all
        } else if choice.profiles.is_empty() {
            vec![self.one(choice)?]
        } else {
            choice.profiles.iter().map(|name| self.profile(name)).collect::<Result<Vec<_>>>()?
        };
        if let Some(wanted) = choice.provider {
            if let Some(other) = chosen.iter().find(|profile| profile.provider != wanted && !choice.all) {
                let message = format!("profile {} is for {}, not for {wanted}", other.name, other.provider);
                return Err(Error::new(Kind::Config, message));
            }
            chosen.retain(|profile| profile.provider == wanted);
            if chosen.is_empty() {
                return Err(Error::new(Kind::Config, format!("no profile is for {wanted}"))
                    .hint("`mbx profile list` shows them"));
            }
        }
        Ok(chosen.into_iter().map(|profile| finish(profile, choice.sandbox)).collect())
    }

    fn one(&self, choice: &Choice) -> Result<Profile> {
        let all = self.profile_names().map(|name| self.profile(name)).collect::<Result<Vec<_>>>()?;
        let fitting: Vec<&Profile> =
            all.iter().filter(|profile| choice.provider.is_none_or(|wanted| profile.provider == wanted)).collect();
        let marked = fitting.iter().filter(|profile| profile.is_default).collect::<Vec<_>>();
        match (fitting.as_slice(), marked.as_slice()) {
            (_, [marked]) if choice.provider.is_some() => return Ok((**marked).clone()),
            ([only], _) => return Ok((*only).clone()),
            _ => {}
        }
        if let Some(default) = fitting.iter().find(|p| Some(p.name.as_str()) == self.default_profile.as_deref()) {
            return Ok((*default).clone());
        }
        if let [_, _, ..] = fitting[..] {
            let names: Vec<_> = fitting.iter().map(|profile| profile.name.as_str()).collect();
            let kind = choice.provider.map(|id| format!(" for {id}")).unwrap_or_default();
            return Err(Error::new(Kind::Config, format!("there are several profiles{kind}: {}", names.join(", ")))
                .hint("name one with --profile, or mark one with `default = true`"));
        }
        if let Some(provider) = choice.provider {
            return self.environment(ENV_PROFILE, adapters::spec(provider));
        }
        match <[Profile; 1]>::try_from(self.of_environment()?) {
            Ok([only]) => Ok(only),
            Err(none) if none.is_empty() => {
                Err(Error::new(Kind::Config, "which provider? none is named and no profile is the default one")
                    .hint("add --provider NAME, or --provider NAME --sandbox to try mbx without an account"))
            }
            Err(several) => {
                let names: Vec<_> = several.iter().map(|profile| profile.provider.as_str()).collect();
                let names = names.join(", ");
                Err(Error::new(Kind::Config, format!("which provider? the environment has secrets for {names}"))
                    .hint("name one with --provider, or with MBX_PROVIDER"))
            }
        }
    }

    /// Returns the accounts that environment variables make by themselves, where the file has no profile of that kind.
    pub fn of_environment(&self) -> Result<Vec<Profile>> {
        let mut found = Vec::new();
        for id in ProviderId::ALL {
            let profile = self.environment(ENV_PROFILE, adapters::spec(id))?;
            if profile.secret.is_some() && !self.profiles.values().any(|table| provider_of(table) == Some(id)) {
                found.push(profile);
            }
        }
        Ok(found)
    }
}

/// Returns the `export` lines that point mbx at a sandbox listening on `address`.
pub fn sandbox_exports(base_url: impl Fn(ProviderId) -> String) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for id in ProviderId::ALL {
        let spec = adapters::spec(id);
        let prefix = format!("MBX_{}", id.as_str().to_uppercase());
        let mut add = |key: &str, value: &str| lines.push((format!("{prefix}_{key}"), value.to_owned()));
        add("BASE_URL", &base_url(id));
        if spec.auth == AuthScheme::Basic {
            add("USER", sandbox::BOX_USER);
        }
        add(spec.secret_name, sandbox::KEY);
        for setting in spec.settings {
            if let Some(value) = setting.sandbox {
                add(&setting.key.to_uppercase(), value);
            }
        }
        if Op::ALL.into_iter().any(|op| matches!((spec.support)(op), Support::Unverified(_))) {
            add("ALLOW_UNVERIFIED", "true");
        }
    }
    lines
}

fn check_keys(table: &Table, known: &[&str], place: &str) -> Result<(), String> {
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let near = known.iter().map(|known| (strsim::jaro_winkler(known, key), *known)).max_by(|a, b| a.0.total_cmp(&b.0));
    Err(match near {
        Some((likeness, near)) if likeness > 0.8 => {
            format!("{place}has an unknown key `{key}`; did you mean `{near}`?")
        }
        _ => format!("{place}has an unknown key `{key}`; the keys are {}", known.join(", ")),
    })
}

/// Returns the place and kind of a syntax error, without the line itself: it may hold a secret.
fn syntax(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
    format!("line {line}: {}", error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str, env: &[(&str, &str)]) -> Result<Config> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        fs::write(&path, text).expect("the file is written");
        Config::load(Some(&path), Env::from_pairs(env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))))
    }

    #[track_caller]
    fn refused(text: &str, words: &str) {
        let error = config(text, &[]).expect_err("it is wrong");
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.contains(words), "{error}");
    }

    const TWO: &str = r#"
        [profiles.a]
        provider = "emboux"
        secret = { env = "A" }
        [profiles.b]
        provider = "emboux"
        secret = { env = "B" }
        default = true
    "#;

    #[test]
    fn mistakes_are_named_with_a_next_step() {
        refused("[profiles.a]\nprovidr = \"emboux\"", "lacks `provider`");
        refused("[profiles.a]\nprovider = \"embux\"", "the providers are");
        refused("[profiles.a]\nprovider = \"emboux\"\nsecert = 1", "did you mean `secret`?");
        refused("[profiles.a]\nprovider = \"emboux\"\nsecret = \"hunter22\"", "a secret as it is");
        refused("[profiles.a]\nprovider = \"emboux\"\nuser = \"x\"", "logs in with a api_key alone");
        refused(
            "[profiles.a]\nprovider = \"emboux\"\nbase_url = \"http://example.com\"",
            "plain http is for loopback only",
        );
        refused("default_profile = \"x\"", "there is no [profiles.x]");
        refused("a = ", "line 1");
    }

    #[test]
    fn a_literal_secret_is_not_repeated() {
        for text in
            ["[profiles.a]\nprovider = \"emboux\"\nsecret = \"hunter22\"", "[profiles.a]\nsecret = \"hunter22\" x"]
        {
            let error = config(text, &[]).expect_err("it is wrong");
            assert!(!error.message.contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn a_variable_goes_before_the_profile() {
        let config = config(TWO, &[("MBX_EMBOUX_API_KEY", "k")]).expect("it is good");
        let profile = config.profile("a").expect("it is there");
        assert_eq!(profile.overruled, [("secret".to_owned(), "MBX_EMBOUX_API_KEY".to_owned())]);
        assert_eq!(profile.secret.expect("set").origin, Origin::Env("MBX_EMBOUX_API_KEY".to_owned()));
    }

    #[test]
    fn the_marked_profile_of_several_is_taken() {
        let config = config(TWO, &[]).expect("it is good");
        let choice = Choice { provider: Some(ProviderId::Emboux), ..Choice::default() };
        assert_eq!(config.choose(&choice).expect("one is marked")[0].name, "b");
        let error = config.choose(&Choice::default()).expect_err("two are there");
        assert!(error.message.contains("a, b"), "{error}");
    }

    #[test]
    fn the_environment_alone_is_enough() {
        let config = config("", &[("MBX_LITEMAIL_API_KEY", "k"), ("MBX_EMBOUX_API_KEY", "")]).expect("it is good");
        let profile = &config.choose(&Choice::default()).expect("one provider has a key")[0];
        assert_eq!((profile.name.as_str(), profile.provider), ("env", ProviderId::Litemail));
    }

    #[test]
    fn several_accounts_of_the_environment_are_named() {
        let config = config("", &[("MBX_LITEMAIL_API_KEY", "k"), ("MBX_EMBOUX_API_KEY", "k")]).expect("it is good");
        let error = config.choose(&Choice::default()).expect_err("there are two");
        assert!(error.message.contains("emboux, litemail"), "{error}");
        let choice = Choice { all: true, provider: Some(ProviderId::Qboxmail), ..Choice::default() };
        let two = super::tests::config(TWO, &[]).expect("it is good");
        assert!(two.choose(&choice).expect_err("none fits").message.contains("no profile is for qboxmail"));
    }

    #[test]
    fn the_sandbox_is_never_fallen_into() {
        let config = config("", &[]).expect("it is good");
        let choice = Choice { provider: Some(ProviderId::Emboux), ..Choice::default() };
        let profile = &config.choose(&choice).expect("a bare one")[0];
        assert!(!profile.sandbox.value && profile.secret.is_none());
        let profile = &config.choose(&Choice { sandbox: true, ..choice }).expect("the sandbox")[0];
        assert_eq!((profile.name.as_str(), profile.sandbox.value), ("sandbox", true));
    }
}
