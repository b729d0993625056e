//! The environment variables of the process, read once.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::provider::ProviderId;

/// Returns the variable of a provider's key: `MBX_<PROVIDER>_<KEY>`.
pub fn variable(provider: ProviderId, key: &str) -> String {
    format!("MBX_{}_{}", provider.as_str().to_uppercase(), key.to_uppercase())
}

/// The environment at start; an empty variable counts as unset.
#[derive(Debug, Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// Takes the variables of this process. One of ours that is not UTF-8 is an error: to take it for unset could mean
    /// another account.
    pub fn of_process() -> Result<Self> {
        let mut pairs = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => pairs.push((name, value)),
                Err(_) if name.starts_with("MBX_") => {
                    return Err(Error::new(Kind::Config, format!("the variable {name} is not valid UTF-8")));
                }
                Err(_) => {}
            }
        }
        Ok(Env::from_pairs(pairs))
    }

    /// Takes the given variables.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Env(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// Returns a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the names of our variables that hold secrets, which no other program needs.
    pub(super) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let is_secret = |name: &&String| {
            let words = ["KEY", "PASSWORD", "SECRET", "TOKEN"];
            name.starts_with("MBX_") && !name.ends_with("_FILE") && words.iter().any(|word| name.contains(word))
        };
        self.0.keys().filter(is_secret).map(String::as_str)
    }

    /// Reads a variable that says yes or no.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name).map(str::to_lowercase).as_deref() {
            None => Ok(None),
            Some("1" | "true" | "yes" | "on") => Ok(Some(true)),
            Some("0" | "false" | "no" | "off") => Ok(Some(false)),
            Some(_) => Err(Error::new(Kind::Config, format!("{name} is neither true nor false"))),
        }
    }
}
