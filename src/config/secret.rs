//! Where secrets come from: references in the configuration, read only when an account is opened.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;

use super::Env;
use crate::error::{Error, Kind, Result};

/// The longest secret, in bytes: far beyond any key, far below a file named by mistake.
const LONGEST: u64 = 64 << 10;

/// A minute: long enough for a person to unlock a password store, short enough for a job not to hang.
const COMMAND_TIME: Duration = Duration::from_secs(60);

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file that nobody else can read.
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

    /// Reads the secret. The error names the place and never the content.
    pub async fn read(&self, env: &Env) -> Result<SecretString> {
        let text = match self {
            SecretRef::Env(name) => env
                .get(name)
                .ok_or_else(|| {
                    Error::new(Kind::Config, format!("the variable {name} is not set, or is no text"))
                        .hint(format!("export {name}, or name another source in the profile"))
                })?
                .to_owned(),
            SecretRef::File(path) => read_private(path)?,
            SecretRef::Command(words) => run(words).await?,
            SecretRef::Sandbox(key) => (*key).to_owned(),
        };
        let secret = text.trim_end_matches(['\n', '\r']);
        if secret.is_empty() {
            return Err(Error::new(Kind::Config, format!("{self} holds nothing")));
        }
        Ok(secret.into())
    }
}

/// Reads a small file that holds a secret; refuses one that others can read.
pub fn read_private(path: &Path) -> Result<String> {
    let failed = |why: String| Error::new(Kind::Config, format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let about = file.metadata().map_err(|error| failed(error.to_string()))?;
        if about.is_file() && about.permissions().mode() & 0o077 != 0 {
            return Err(failed("others can read it".to_owned()).hint(format!("chmod 600 {}", path.display())));
        }
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|_| failed("it is not text".to_owned()))?;
    if text.len() as u64 > LONGEST {
        return Err(failed(format!("it is larger than {} KiB", LONGEST >> 10)));
    }
    Ok(text)
}

async fn run(words: &[String]) -> Result<String> {
    let failed = |why: String| Error::new(Kind::Config, format!("cannot get a secret from `{}`: {why}", words[0]));
    let child = tokio::process::Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let output = tokio::time::timeout(COMMAND_TIME, child.wait_with_output())
        .await
        .map_err(|_| failed(format!("it took longer than {} s", COMMAND_TIME.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("it ended with {}", output.status)));
    }
    // A password store keeps the password on the first line and notes below it.
    let text = String::from_utf8(output.stdout).map_err(|_| failed("it printed no text".to_owned()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
