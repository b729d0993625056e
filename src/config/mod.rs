//! From file, environment and flags to profiles, each value with its origin.
//!
//! Precedence: flag, `MBX_*` variable, profile, `[defaults]`, built in.

pub(crate) mod child;
mod env;
mod file;
mod layers;
mod profile;
mod secret;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use toml::{Table, Value};

pub use env::{Env, variable};
pub(crate) use file::{open_private, read_at_most, unreadable};
pub use layers::{BaseUrl, Origin, Sourced};
use layers::{first, wrong};
pub use profile::Profile;
use profile::{ENV_PROFILE, SANDBOX_PROFILE, is_sandbox};
pub use secret::SecretRef;

use crate::adapters;
use crate::error::{Error, Kind, Result};
use crate::provider::{AuthScheme, Op, ProviderId, Spec, Support};
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

/// A megabyte: some thousand profiles.
const FILE_MAX: u64 = 1 << 20;

const TOP_KEYS: &[&str] = &["default_profile", "defaults", "profiles"];
const DEFAULT_KEYS: &[&str] = &["color", "output"];

impl Config {
    /// Reads the file named by the flag, else by `MBX_CONFIG`, else at its usual place, where it may be missing.
    pub async fn load(flag: Option<&Path>, env: Env) -> Result<Self> {
        let named = flag.map(Path::to_owned).or_else(|| env.get("MBX_CONFIG").map(PathBuf::from));
        let must_exist = named.is_some();
        let path = match named {
            Some(path) => path,
            None => etcetera::choose_base_strategy()
                .map_err(|_| {
                    Error::new(Kind::Config, "no home folder is set, where the configuration file would be")
                        .hint("set HOME or MBX_CONFIG")
                })?
                .config_dir()
                .join("mbx/config.toml"),
        };
        let failed = |why: String| Error::new(Kind::Config, format!("cannot read {}: {why}", path.display()));
        let text = if must_exist || !matches!(path.try_exists(), Ok(false)) {
            let bytes = read_at_most(&path, FILE_MAX).await.map_err(failed)?;
            Some(String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))?)
        } else {
            None
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
        first([
            flag.map(|value| Sourced::new(value, Origin::Flag)),
            self.env.get(&variable).map(|value| Sourced::new(value.to_owned(), Origin::Env(variable.clone()))),
            self.defaults.get(key).map(|value| Sourced::new(value.clone(), Origin::Defaults)),
        ])
        .unwrap_or_else(|| Sourced::new(built_in.to_owned(), Origin::BuiltIn))
    }

    /// Reads one profile of the file, with the environment over it.
    pub fn profile(&self, name: &str) -> Result<Profile> {
        let (table, spec) = self.table(name)?;
        self.read(name, table, spec, None)
    }

    fn table(&self, name: &str) -> Result<(&Table, &'static Spec)> {
        let Some(table) = self.profiles.get(name) else {
            let known: Vec<_> = self.profile_names().collect();
            let error = Error::new(Kind::Config, format!("there is no profile {name}"));
            return Err(if known.is_empty() {
                error.hint(format!("{} has none", self.path.display()))
            } else {
                error.hint(format!("the profiles are {}", known.join(", ")))
            });
        };
        match table.get("provider").and_then(Value::as_str) {
            Some(text) => match text.parse() {
                Ok(provider) => Ok((table, adapters::spec(provider))),
                Err(why) => Err(wrong(name, &format!("has an unknown `provider` {text:?}: {why}"))),
            },
            None => Err(wrong(name, "lacks `provider`")),
        }
    }

    fn of_variables(&self, provider: ProviderId, stand_in: Option<Origin>) -> Result<Profile> {
        self.read(ENV_PROFILE, &Table::new(), adapters::spec(provider), stand_in)
    }

    /// Reads a profile for use: where a flag or a variable asks for the sandbox, that takes its place. A profile that
    /// says itself that it is a sandbox stays what it is.
    fn for_use(&self, which: Which<'_>, flag: bool) -> Result<Profile> {
        let stand_in = |profile: &Profile, is_own: bool| match profile.sandbox.value {
            true if is_own => None,
            _ if flag => Some(Origin::Flag),
            true => Some(profile.sandbox.origin.clone()),
            false => None,
        };
        match which {
            Which::Named(name) => {
                let (table, spec) = self.table(name)?;
                let profile = self.read(name, table, spec, None)?;
                match stand_in(&profile, is_sandbox(table)) {
                    Some(origin) => self.read(name, table, spec, Some(origin)),
                    None => Ok(profile),
                }
            }
            Which::OfVariables(provider) => {
                let profile = self.of_variables(provider, None)?;
                match stand_in(&profile, false) {
                    Some(origin) => self.of_variables(provider, Some(origin)),
                    None => Ok(profile),
                }
            }
        }
    }

    /// Finds the profiles a command is for; one, unless several were asked for. A mistake in one of them leaves the
    /// others usable.
    pub fn choose(&self, choice: &Choice) -> Result<Vec<Result<Profile>>> {
        let chosen: Vec<Which<'_>> = if choice.all {
            let mut names: Vec<&str> = self.profile_names().collect();
            if names.is_empty() {
                return Err(Error::new(Kind::Config, format!("there are no profiles in {}", self.path.display())));
            }
            if let Some(wanted) = choice.provider {
                names.retain(|name| self.provider_of(name) == Some(wanted));
                if names.is_empty() {
                    return Err(Error::new(Kind::Config, format!("no profile is for {wanted}"))
                        .hint("`mbx profile list` shows them"));
                }
            }
            names.into_iter().map(Which::Named).collect()
        } else if choice.profiles.is_empty() {
            vec![self.one(choice.provider)?]
        } else {
            choice.profiles.iter().map(|name| Which::Named(name)).collect()
        };
        let mut profiles: Vec<_> = chosen.into_iter().map(|which| self.for_use(which, choice.sandbox)).collect();
        if let Some(wanted) = choice.provider
            && let Some(other) = profiles.iter().flatten().find(|profile| profile.provider != wanted)
        {
            let message = format!("profile {} is for {}, not for {wanted}", other.name, other.provider);
            return Err(Error::new(Kind::Config, message));
        }
        refuse_twins(&mut profiles);
        Ok(profiles)
    }

    fn one(&self, provider: Option<ProviderId>) -> Result<Which<'_>> {
        let fits = |name: &&str| provider.is_none() || self.provider_of(name) == provider;
        let fitting: Vec<&str> = self.profile_names().filter(fits).collect();
        let is_marked = |name: &&&str| self.profiles[**name].get("default").and_then(Value::as_bool) == Some(true);
        let marked: Vec<&&str> = fitting.iter().filter(is_marked).collect();
        match (fitting.as_slice(), marked.as_slice()) {
            (_, [marked]) if provider.is_some() => return Ok(Which::Named(marked)),
            ([only], _) => return Ok(Which::Named(only)),
            _ => {}
        }
        if let Some(default) = fitting.iter().find(|name| Some(**name) == self.default_profile.as_deref()) {
            return Ok(Which::Named(default));
        }
        if let [_, _, ..] = fitting[..] {
            let kind = provider.map(|id| format!(" for {id}")).unwrap_or_default();
            return Err(Error::new(Kind::Config, format!("there are several profiles{kind}: {}", fitting.join(", ")))
                .hint(match provider {
                    Some(_) => "name one with --profile, or mark one with `default = true`",
                    None => "name one with --profile, or set `default_profile` in the file",
                }));
        }
        if let Some(provider) = provider {
            return Ok(Which::OfVariables(provider));
        }
        match self.of_environment()?.as_slice() {
            [only] => Ok(Which::OfVariables(only.provider)),
            [] => Err(Error::new(Kind::Config, "which provider? none is named and no profile is the default one")
                .hint("add --provider NAME, or --provider NAME --sandbox to try mbx without an account")),
            several => {
                let names: Vec<_> = several.iter().map(|profile| profile.provider.as_str()).collect();
                let names = names.join(", ");
                Err(Error::new(Kind::Config, format!("which provider? the environment has secrets for {names}"))
                    .hint("name one with --provider, or with MBX_PROVIDER"))
            }
        }
    }

    /// Returns the provider of a profile in the file, if it names one.
    pub fn provider_of(&self, name: &str) -> Option<ProviderId> {
        self.profiles.get(name)?.get("provider")?.as_str()?.parse().ok()
    }

    /// Returns the accounts that environment variables make by themselves, where the file has no profile of that kind.
    pub fn of_environment(&self) -> Result<Vec<Profile>> {
        let mut found = Vec::new();
        for id in ProviderId::ALL {
            let profile = self.of_variables(id, None)?;
            if profile.secret.is_some() && !self.profile_names().any(|name| self.provider_of(name) == Some(id)) {
                found.push(profile);
            }
        }
        Ok(found)
    }

    /// Finds the profile that a run was begun with, and names what differs from then.
    pub fn again(&self, name: &str, provider: ProviderId, sandbox: bool) -> Result<Profile> {
        let profile = match name {
            // They stand for variables and for the sandbox, unless the file has profiles of these names.
            ENV_PROFILE if !self.profiles.contains_key(name) => self.for_use(Which::OfVariables(provider), false)?,
            SANDBOX_PROFILE if sandbox && !self.profiles.contains_key(name) => {
                self.for_use(Which::OfVariables(provider), true)?
            }
            name => self.for_use(Which::Named(name), false)?,
        };
        let differs = |what: String, hint: String| {
            Err(Error::new(Kind::Config, format!("the run was begun with another account: {what}")).hint(hint))
        };
        if profile.provider != provider {
            let what = format!("profile {name} was for {provider} and is for {} now", profile.provider);
            return differs(what, format!("set `provider` of profile {name} as it was"));
        }
        if profile.sandbox.value != sandbox {
            let word = |sandbox| if sandbox { "the sandbox" } else { "a real account" };
            let (was, is) = (word(sandbox), word(!sandbox));
            let what = format!("profile {name} was {was} and is {is} now ({})", profile.sandbox.origin);
            return differs(what, format!("set `sandbox` of profile {name}, or MBX_SANDBOX, as it was"));
        }
        Ok(profile)
    }

    /// Returns whether others can read or write the file.
    pub fn is_open_to_others(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::metadata(&self.path).is_ok_and(|about| about.permissions().mode() & 0o066 != 0)
        }
        #[cfg(not(unix))]
        false
    }
}

/// A profile that was chosen.
#[derive(Clone, Copy)]
enum Which<'a> {
    /// One of the file.
    Named(&'a str),
    /// The one that variables make.
    OfVariables(ProviderId),
}

/// Refuses profiles that one variable would make the same account: their secrets are all that one.
fn refuse_twins(profiles: &mut [Result<Profile>]) {
    let variable =
        |profile: &Profile| profile.overruled.iter().find(|(key, _)| key == "secret").map(|(_, v)| v.clone());
    let all: Vec<String> = profiles.iter().flatten().filter_map(variable).collect();
    for profile in profiles {
        let Ok(twin) = profile else { continue };
        let Some(variable) = variable(twin).filter(|one| all.iter().filter(|other| *other == one).count() > 1) else {
            continue;
        };
        let message = format!("{variable} overrides the secret of more than one of these profiles");
        let error = Error::new(Kind::Config, message).hint(format!("unset {variable}, or name one profile"));
        *profile = Err(error.at(twin.provider, &twin.name));
    }
}

/// Returns the `export` lines that point mbx at a sandbox listening on `address`.
pub fn sandbox_exports(base_url: impl Fn(ProviderId) -> String) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for id in ProviderId::ALL {
        let spec = adapters::spec(id);
        let mut add = |key: &str, value: &str| lines.push((variable(id, key), value.to_owned()));
        add("base_url", &base_url(id));
        if spec.auth == AuthScheme::Basic {
            add("user", sandbox::BOX_USER);
        }
        add(spec.secret_name, sandbox::KEY);
        for setting in spec.settings {
            if let Some(value) = setting.sandbox {
                add(setting.key, value);
            }
        }
        if Op::ALL.into_iter().any(|op| matches!((spec.support)(op), Support::Unverified(_))) {
            add("allow_unverified", "true");
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

    #[tokio::main(flavor = "current_thread")]
    async fn config(text: &str, env: &[(&str, &str)]) -> Result<Config> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        fs::write(&path, text).expect("the file is written");
        Config::load(Some(&path), Env::from_pairs(env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))).await
    }

    #[track_caller]
    fn refused(text: &str, words: &str) {
        let error = config(text, &[]).and_then(|config| config.profile("a")).expect_err("it is wrong");
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.contains(words), "{error}");
    }

    /// Returns the one profile of a choice.
    #[track_caller]
    fn chosen(config: &Config, choice: &Choice) -> Profile {
        let mut profiles = config.choose(choice).expect("one fits");
        profiles.remove(0).expect("it is good")
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
        refused("[profiles.a]\nprovider = \"emboux\"\nuser = \"x\"", "logs in with its api_key alone");
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
            let error = config(text, &[]).and_then(|config| config.profile("a")).expect_err("it is wrong");
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
        assert_eq!(chosen(&config, &choice).name, "b");
        let error = config.choose(&Choice::default()).expect_err("two are there");
        assert!(error.message.contains("a, b"), "{error}");
    }

    #[test]
    fn the_environment_alone_is_enough() {
        let config = config("", &[("MBX_LITEMAIL_API_KEY", "k"), ("MBX_EMBOUX_API_KEY", "")]).expect("it is good");
        let profile = chosen(&config, &Choice::default());
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
    fn the_sandbox_is_used_only_when_asked_for() {
        let config = config("", &[]).expect("it is good");
        let choice = Choice { provider: Some(ProviderId::Emboux), ..Choice::default() };
        let profile = chosen(&config, &choice);
        assert!(!profile.sandbox.value && profile.secret.is_none());
        let profile = chosen(&config, &Choice { sandbox: true, ..choice });
        assert_eq!((profile.name.as_str(), profile.sandbox.value), ("sandbox", true));
    }

    #[test]
    fn a_mistake_in_one_profile_leaves_the_others_usable() {
        let text = "[profiles.good]\nprovider = \"emboux\"\n[profiles.bad]\nprovider = \"emboux\"\nsecert = 1";
        let config = config(text, &[]).expect("the file is read");
        let choice = Choice { profiles: vec!["good".to_owned()], ..Choice::default() };
        assert_eq!(chosen(&config, &choice).name, "good");
        let all = config.choose(&Choice { all: true, ..Choice::default() }).expect("there are profiles");
        let names: Vec<_> =
            all.iter().map(|it| it.as_ref().map(|it| it.name.as_str()).map_err(|e| &e.profile)).collect();
        assert_eq!(names, [Err(&Some("bad".to_owned())), Ok("good")]);
    }

    #[test]
    fn one_variable_does_not_stand_for_the_accounts_of_two_profiles() {
        let config = config(TWO, &[("MBX_EMBOUX_API_KEY", "k")]).expect("it is good");
        let all = config.choose(&Choice { all: true, ..Choice::default() }).expect("there are profiles");
        for profile in all {
            let error = profile.expect_err("both would be one account");
            assert!(error.message.contains("MBX_EMBOUX_API_KEY"), "{error}");
        }
        assert_eq!(chosen(&config, &Choice { profiles: vec!["a".to_owned()], ..Choice::default() }).name, "a");
    }

    #[test]
    fn a_run_finds_its_profile_again_or_names_what_differs() {
        let text = "[profiles.embo]\nprovider = \"emboux\"\nsandbox = true\n[profiles.real]\nprovider = \"emboux\"";
        let config_with = |env: &[(&str, &str)]| config(text, env).expect("it is good");
        let config = config_with(&[]);
        for (name, sandbox) in [("embo", true), ("real", false), ("env", false), ("sandbox", true)] {
            let profile = config.again(name, ProviderId::Emboux, sandbox).expect("it is as it was");
            assert_eq!((profile.name.as_str(), profile.sandbox.value), (name, sandbox));
        }
        // A profile that is a sandbox is also chosen with the flag.
        let choice = Choice { profiles: vec!["embo".to_owned()], sandbox: true, ..Choice::default() };
        assert_eq!(chosen(&config, &choice).name, "embo");
        let differs = |config: &Config, name, provider, sandbox, words: &str| {
            let error = config.again(name, provider, sandbox).expect_err("it differs");
            assert!(error.kind == Kind::Config && error.message.contains(words), "{error}");
        };
        differs(&config, "embo", ProviderId::Litemail, true, "was for litemail and is for emboux now");
        differs(&config, "embo", ProviderId::Emboux, false, "was a real account and is the sandbox now (profile)");
        differs(&config, "gone", ProviderId::Emboux, false, "there is no profile gone");
        let config = config_with(&[("MBX_SANDBOX", "1")]);
        differs(&config, "real", ProviderId::Emboux, false, "the sandbox now (variable MBX_SANDBOX)");
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let error = |id| {
            let config = config("", &[]).expect("it is good");
            let error = config.of_variables(id, None).expect("it is read").missing().expect("it lacks something");
            format!("{} | {}", error.message, error.hint.as_deref().unwrap_or_default())
        };
        let text = error(ProviderId::Mailinabox);
        for variable in ["BASE_URL", "USER", "PASSWORD", "TOTP_SECRET", "CA_FILE"] {
            assert!(text.contains(&format!("MBX_MAILINABOX_{variable}")), "{text}");
        }
        let text = error(ProviderId::Hybridbox);
        assert!(text.contains("MBX_HYBRIDBOX_TOKEN and MBX_HYBRIDBOX_ACCOUNT_ID"), "{text}");
    }

    #[test]
    fn what_holds_nothing_is_not_called_set() {
        let text = "[profiles.a]\nprovider = \"emboux\"\nsecret = { env = \"HERE\" }";
        let shown = |env: &[(&str, &str)]| {
            let profile = config(text, env).and_then(|config| config.profile("a")).expect("it is good");
            profile.values.iter().find(|(key, ..)| key == "secret").expect("it is shown").1.clone()
        };
        assert_eq!(shown(&[]), "(not set: HERE)");
        assert_eq!(shown(&[("HERE", "k")]), "(set) from the variable HERE");
    }
}
