//! Where a value comes from: the first of several layers that has it, with its origin.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::{Serialize, Serializer};
use toml::{Table, Value};

use super::{Env, SecretRef, check_keys, variable};
use crate::error::{Error, Kind, Result};
use crate::http::check_base_url;
use crate::provider::ProviderId;

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

/// Returns the value of the first layer that has one.
pub(super) fn first<T>(layers: impl IntoIterator<Item = Option<Sourced<T>>>) -> Option<Sourced<T>> {
    layers.into_iter().flatten().next()
}

/// A kind of value: how it is read from a variable and from the file, and how it is shown.
pub(super) trait Setting: Sized {
    /// Reads a variable, if it is set. Values that have no variable keep this.
    fn from_variable(_env: &Env, _name: &str) -> Result<Option<Sourced<Self>>> {
        Ok(None)
    }

    /// Reads a value of the file; `folder` is where the file lies. The error continues "[profiles.NAME] …".
    fn from_file(value: &Value, key: &str, folder: &Path) -> Result<Self, String>;

    /// Returns what `config show` prints: the key, and the value unless it is a secret.
    fn shown(&self, key: &str, env: &Env) -> Vec<(String, String)>;
}

/// Where an API lives. It shows itself without what may be a secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Keeps a URL as it was written.
    pub(super) fn new(url: impl Into<String>) -> Self {
        BaseUrl(url.into())
    }

    /// Returns the whole URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns why no secret may be sent there, if so.
    pub fn problem(&self) -> Option<String> {
        check_base_url(&self.0).err().map(|why| format!("{self}: {why}"))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing is parsed here: what is wrong enough not to be a URL may hold a password all the same.
        let (scheme, rest) = self.0.split_once("://").map_or(("", self.0.as_str()), |(scheme, rest)| (scheme, rest));
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
        let (place, query) = rest.split_once(['?', '#']).map_or((rest, ""), |(place, _)| (place, "?***"));
        let mark = if scheme.is_empty() { "" } else { "://" };
        write!(f, "{scheme}{mark}{user}{place}{query}")
    }
}

/// Requests a minute; `None` is no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate(pub(super) Option<f64>);

/// Further headers; their values may be secrets.
pub(super) type Headers = Vec<(String, SecretString)>;

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| format!("has a `{key}` that is not a text"))
}

fn text_variable(env: &Env, name: &str) -> Option<Sourced<String>> {
    env.get(name).map(|value| Sourced::new(value.to_owned(), Origin::Env(name.to_owned())))
}

fn number(value: &Value, key: &str) -> Result<u32, String> {
    match value {
        Value::Integer(n @ 1..=100_000) => Ok(u32::try_from(*n).expect("it is small")),
        _ => Err(format!("has a `{key}` that is not a number from 1 to 100000")),
    }
}

fn plain(key: &str, value: impl fmt::Display) -> Vec<(String, String)> {
    vec![(key.to_owned(), value.to_string())]
}

impl Setting for String {
    fn from_variable(env: &Env, name: &str) -> Result<Option<Sourced<Self>>> {
        Ok(text_variable(env, name))
    }

    fn from_file(value: &Value, key: &str, _: &Path) -> Result<Self, String> {
        text(value, key).map(str::to_owned)
    }

    fn shown(&self, key: &str, _: &Env) -> Vec<(String, String)> {
        plain(key, self)
    }
}

impl Setting for BaseUrl {
    fn from_variable(env: &Env, name: &str) -> Result<Option<Sourced<Self>>> {
        Ok(text_variable(env, name).map(|url| Sourced::new(BaseUrl(url.value), url.origin)))
    }

    fn from_file(value: &Value, key: &str, _: &Path) -> Result<Self, String> {
        let url = BaseUrl(text(value, key)?.to_owned());
        url.problem().map_or(Ok(url), |why| Err(format!("has a bad `{key}`: {why}")))
    }

    fn shown(&self, key: &str, _: &Env) -> Vec<(String, String)> {
        plain(key, self)
    }
}

impl Setting for bool {
    fn from_variable(env: &Env, name: &str) -> Result<Option<Sourced<Self>>> {
        Ok(env.flag(name)?.map(|value| Sourced::new(value, Origin::Env(name.to_owned()))))
    }

    fn from_file(value: &Value, key: &str, _: &Path) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| format!("has a `{key}` that is neither true nor false"))
    }

    fn shown(&self, key: &str, _: &Env) -> Vec<(String, String)> {
        plain(key, self)
    }
}

impl Setting for PathBuf {
    fn from_variable(env: &Env, name: &str) -> Result<Option<Sourced<Self>>> {
        Ok(text_variable(env, name).map(|path| Sourced::new(path.value.into(), path.origin)))
    }

    fn from_file(value: &Value, key: &str, folder: &Path) -> Result<Self, String> {
        text(value, key).map(|path| folder.join(path))
    }

    fn shown(&self, key: &str, _: &Env) -> Vec<(String, String)> {
        plain(key, self.display())
    }
}

impl Setting for SecretRef {
    /// The secret itself, or with `_FILE` at the end of the name the file that holds it.
    fn from_variable(env: &Env, name: &str) -> Result<Option<Sourced<Self>>> {
        let file = format!("{name}_FILE");
        Ok(first([
            env.get(name).map(|_| Sourced::new(SecretRef::Env(name.to_owned()), Origin::Env(name.to_owned()))),
            env.get(&file).map(|path| Sourced::new(SecretRef::File(path.into()), Origin::Env(file.clone()))),
        ]))
    }

    fn from_file(value: &Value, key: &str, folder: &Path) -> Result<Self, String> {
        SecretRef::parse(value, key, folder)
    }

    fn shown(&self, key: &str, env: &Env) -> Vec<(String, String)> {
        plain(key, self.problem(env).unwrap_or_else(|| format!("(set) from {self}")))
    }
}

impl Setting for usize {
    fn from_file(value: &Value, key: &str, _: &Path) -> Result<Self, String> {
        number(value, key).map(|n| n as usize)
    }

    fn shown(&self, key: &str, _: &Env) -> Vec<(String, String)> {
        plain(key, self)
    }
}

impl Setting for Rate {
    fn from_file(value: &Value, key: &str, _: &Path) -> Result<Self, String> {
        number(value, key).map(|n| Rate(Some(f64::from(n))))
    }

    fn shown(&self, key: &str, _: &Env) -> Vec<(String, String)> {
        plain(key, self.0.map_or("no limit".to_owned(), |n| n.to_string()))
    }
}

impl Setting for Headers {
    fn from_file(value: &Value, key: &str, _: &Path) -> Result<Self, String> {
        let headers = value.as_table().ok_or_else(|| format!("has `{key}` that are not a table"))?;
        let read = |(name, value): (&String, &Value)| {
            let value = value.as_str().ok_or_else(|| format!("has a header {name} that is not a text"))?;
            Ok((name.clone(), value.into()))
        };
        headers.iter().map(read).collect()
    }

    fn shown(&self, key: &str, _: &Env) -> Vec<(String, String)> {
        self.iter().map(|(name, _)| (format!("{key}.{name}"), "(set)".to_owned())).collect()
    }
}

/// One key of a profile: its name, and what stands for it outside of the file.
pub(super) struct Key<T> {
    name: &'static str,
    variable: Option<String>,
    fixed: Option<Option<T>>,
    above: Option<Sourced<T>>,
    built_in: Option<T>,
}

/// What is said about one profile: by variables, by its table in the file, and built in. Each key is read once; from
/// that follow the keys that are known, what is shown, and what is overruled.
pub(super) struct Layers<'a> {
    env: &'a Env,
    folder: &'a Path,
    name: &'a str,
    table: &'a Table,
    provider: ProviderId,
    known: Vec<&'static str>,
    /// Every value with its origin, as it is shown.
    pub(super) shown: Vec<(String, String, Origin)>,
    /// The keys of the table that a variable overrules, with the variable.
    pub(super) overruled: Vec<(String, String)>,
}

impl<T> Key<T> {
    /// A key with a built-in value, where there is one.
    pub(super) fn or(mut self, built_in: impl Into<Option<T>>) -> Self {
        self.built_in = built_in.into();
        self
    }

    /// A key whose first layer is this, if there is one.
    pub(super) fn above(mut self, above: Option<Sourced<T>>) -> Self {
        self.above = above;
        self
    }

    /// A key that has this value, or none, whatever the layers say; unless `when` is false.
    pub(super) fn fixed(mut self, when: bool, value: Option<T>) -> Self {
        self.fixed = when.then_some(value);
        self
    }

    /// A key with a variable of another name.
    pub(super) fn variable(mut self, name: impl Into<String>) -> Self {
        self.variable = Some(name.into());
        self
    }

    /// A key without a variable.
    pub(super) fn in_file_only(mut self) -> Self {
        self.variable = None;
        self
    }
}

impl<'a> Layers<'a> {
    pub(super) fn new(env: &'a Env, folder: &'a Path, name: &'a str, table: &'a Table, provider: ProviderId) -> Self {
        Layers { env, folder, name, table, provider, known: vec!["provider"], shown: Vec::new(), overruled: Vec::new() }
    }

    /// Returns a key whose variable is `MBX_<PROVIDER>_<NAME>`. A dot leads into a table.
    pub(super) fn key<T>(&self, name: &'static str) -> Key<T> {
        Key { name, variable: Some(variable(self.provider, name)), fixed: None, above: None, built_in: None }
    }

    /// Reads a key that may have no value.
    pub(super) fn read<T: Setting>(&mut self, key: Key<T>) -> Result<Option<Sourced<T>>> {
        let Key { name, variable, fixed, above, built_in } = key;
        self.known.push(name);
        let in_file = self.in_file(name).and_then(|value| match value {
            Some(value) => T::from_file(value, name, self.folder).map(Some),
            None => Ok(None),
        });
        let in_file = in_file.map_err(|why| self.wrong(&why))?;
        let is_in_file = in_file.is_some();
        let found = match fixed {
            Some(value) => value.map(|value| Sourced::new(value, Origin::BuiltIn)),
            None => first([
                above,
                variable.map(|name| T::from_variable(self.env, &name)).transpose()?.flatten(),
                in_file.map(|value| Sourced::new(value, Origin::Profile)),
                built_in.map(|value| Sourced::new(value, Origin::BuiltIn)),
            ]),
        };
        if let Some(found) = &found {
            let rows = found.value.shown(name, self.env);
            self.shown.extend(rows.into_iter().map(|(key, value)| (key, value, found.origin.clone())));
            if let (Origin::Env(variable), true) = (&found.origin, is_in_file) {
                self.overruled.push((name.to_owned(), variable.clone()));
            }
        }
        Ok(found)
    }

    /// Reads a key that has a built-in value.
    pub(super) fn value<T: Setting>(&mut self, key: Key<T>) -> Result<Sourced<T>> {
        Ok(self.read(key)?.expect("a key with a built-in value has one"))
    }

    fn in_file(&self, name: &str) -> Result<Option<&'a Value>, String> {
        match name.split_once('.') {
            None => Ok(self.table.get(name)),
            Some((outer, inner)) => match self.table.get(outer) {
                None => Ok(None),
                Some(Value::Table(table)) => Ok(table.get(inner)),
                Some(_) => Err(format!("has a `{outer}` that is not a table")),
            },
        }
    }

    /// Refuses keys of the table that nothing has read; `why` gives the reason for some.
    pub(super) fn refuse_unknown(&self, why: impl Fn(&str) -> Option<String>) -> Result<()> {
        let mut outer: Vec<&str> = self.known.iter().map(|key| key.split_once('.').map_or(*key, |(o, _)| o)).collect();
        outer.sort_unstable();
        outer.dedup();
        if let Some(why) = self.table.keys().filter(|key| !outer.contains(&key.as_str())).find_map(|key| why(key)) {
            return Err(self.wrong(&why));
        }
        check_keys(self.table, &outer, "").map_err(|why| self.wrong(&why))?;
        for name in outer {
            let inner = self.known.iter().filter_map(|key| key.split_once('.')).filter(|(outer, _)| *outer == name);
            let inner: Vec<&str> = inner.map(|(_, inner)| inner).collect();
            if let (Some(Value::Table(table)), false) = (self.table.get(name), inner.is_empty()) {
                check_keys(table, &inner, &format!("in `{name}` ")).map_err(|why| self.wrong(&why))?;
            }
        }
        Ok(())
    }

    fn wrong(&self, why: &str) -> Error {
        wrong(self.name, why)
    }
}

/// Returns what is wrong with a profile.
pub(super) fn wrong(name: &str, why: &str) -> Error {
    Error::new(Kind::Config, format!("[profiles.{name}] {why}")).in_profile(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_shows_no_secret() {
        for (url, shown) in [
            ("https://api.example.com/v1", "https://api.example.com/v1"),
            ("https://user:hunter22@api.example.com/v1", "https://***@api.example.com/v1"),
            ("https://user:hunter22/x?@api.example.com", "https://***@api.example.com"),
            ("user:hunter22@api.example.com", "***@api.example.com"),
            ("https://api.example.com/v1?key=hunter22", "https://api.example.com/v1?***"),
            ("http://u:hunter22@api.example.com/", "http://***@api.example.com/"),
            ("https://u:hunter\"22@", "https://***@"),
        ] {
            let url = BaseUrl(url.to_owned());
            assert_eq!(url.to_string(), shown);
            assert!(!url.problem().unwrap_or_default().contains("hunter"), "{:?}", url.problem());
        }
    }
}
