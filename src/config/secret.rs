//! Where secrets come from: references in the configuration, read only when an account is opened.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::Env;
use super::child;
use super::file::{aside, read_private};
use crate::error::{Error, Kind, Result};

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file that only its owner can read.
    File(PathBuf),
    /// What a command prints; it is run without a shell.
    Command(Vec<String>),
    /// The fixed key of the sandbox, which opens nothing.
    Sandbox(&'static str),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "the variable {name}"),
            SecretRef::File(path) => write!(f, "the file {}", path.display()),
            SecretRef::Command(words) => write!(f, "the command {}", words.first().map_or("", String::as_str)),
            SecretRef::Sandbox(_) => f.write_str("the sandbox"),
        }
    }
}

impl SecretRef {
    /// Reads `{ env = "NAME" }`, `{ file = "PATH" }` or `{ command = ["WORD", …] }`.
    pub(super) fn parse(value: &toml::Value, key: &str, folder: &Path) -> Result<Self, String> {
        let how = "write `{ env = \"NAME\" }`, `{ file = \"PATH\" }` or `{ command = [\"pass\", \"show\", \"NAME\"] }`";
        let table = match value {
            toml::Value::Table(table) => table,
            _ => return Err(format!("`{key}` holds a secret as it is, which a file must not; {how}")),
        };
        let [(source, value)] = table.iter().collect::<Vec<_>>()[..] else {
            return Err(format!("`{key}` names one source; {how}"));
        };
        match (source.as_str(), value) {
            ("env", toml::Value::String(name)) if !name.is_empty() => Ok(SecretRef::Env(name.clone())),
            ("file", toml::Value::String(path)) if !path.is_empty() => Ok(SecretRef::File(folder.join(path))),
            ("command", toml::Value::Array(words)) if !words.is_empty() => {
                let words: Option<Vec<_>> = words.iter().map(|word| word.as_str().map(str::to_owned)).collect();
                words.map(SecretRef::Command).ok_or_else(|| format!("`{key}.command` is a list of words"))
            }
            _ => Err(format!("`{key}` cannot be read; {how}")),
        }
    }

    /// Returns what `config show` says instead of `(set)`, where the place is known to hold nothing.
    pub fn problem(&self, env: &Env) -> Option<String> {
        match self {
            SecretRef::Env(name) if env.get(name).is_none() => Some(format!("(not set: {name})")),
            SecretRef::File(path) if !path.exists() => Some(format!("(not found: {})", path.display())),
            SecretRef::Env(_) | SecretRef::File(_) | SecretRef::Command(_) | SecretRef::Sandbox(_) => None,
        }
    }

    /// Reads the secret. The error names the place and never the content.
    pub async fn read(&self, env: &Env) -> Result<SecretString> {
        let text = match self {
            SecretRef::Env(name) => env
                .get(name)
                .ok_or_else(|| {
                    Error::new(Kind::Config, format!("the variable {name} is not set or not valid UTF-8"))
                        .hint(format!("export {name}, or name another source in the profile"))
                })?
                .to_owned(),
            SecretRef::File(path) => {
                let path = path.clone();
                aside(move || read_private(&path)).await?
            }
            SecretRef::Command(words) => printed(words, env).await?,
            SecretRef::Sandbox(key) => (*key).to_owned(),
        };
        let secret = text.trim_end_matches(['\n', '\r']);
        if secret.is_empty() {
            return Err(Error::new(Kind::Config, format!("{self} is empty")));
        }
        Ok(secret.into())
    }
}

async fn printed(words: &[String], env: &Env) -> Result<String> {
    let failed = |why: String| Error::new(Kind::Config, format!("cannot get a secret from `{}`: {why}", words[0]));
    let bytes =
        child::run(words, env, None, child::COMMAND_TIME).await.map_err(|trouble| trouble.into_error(failed))?;
    // A password store keeps the password on the first line and notes below it.
    let text = String::from_utf8(bytes).map_err(|_| failed("its output is not UTF-8".to_owned()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
