//! Where a new password comes from, and where a generated one goes before anything is sent.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;

use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;

use super::prompt;
use crate::app::App;
use crate::config::read_private;
use crate::error::{Effect, Error, Kind, Result};
use crate::model::PasswordState;
use crate::output::Row;

/// Letters and digits that are not mistaken for each other, and signs that need no quoting anywhere.
const ALPHABET: &[u8; 64] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_.+=@~";

/// Twenty characters of six bits each: 120 bits.
const LENGTH: usize = 20;

/// The longest password taken from a file or standard input, in bytes.
const LONGEST: u64 = 4096;

#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Password")]
pub(crate) struct PasswordArgs {
    /// Read the password from standard input
    #[arg(long, group = "password-source")]
    password_stdin: bool,
    /// Read the password from a file that only you can read
    #[arg(long, value_name = "FILE", group = "password-source")]
    password_file: Option<PathBuf>,
    /// Read the password from an environment variable
    #[arg(long, value_name = "VARIABLE", group = "password-source")]
    password_env: Option<String>,
    /// Make up a password
    #[arg(long, group = "password-source")]
    generate_password: bool,
    /// Show the password in the result
    #[arg(long)]
    show_password: bool,
    /// Write the password to a new file that only you can read, before the request is sent
    #[arg(long, value_name = "FILE")]
    password_out: Option<PathBuf>,
    /// Give the password to a command on its standard input, before the request is sent
    #[arg(long, value_name = "COMMAND")]
    password_command: Option<String>,
}

/// A new password on its way.
pub(crate) struct NewPassword {
    pub(crate) secret: SecretString,
    /// The file made for it.
    file: Option<PathBuf>,
    show: bool,
}

impl PasswordArgs {
    /// Returns true when a source was named.
    pub(crate) fn is_given(&self) -> bool {
        self.password_stdin || self.password_file.is_some() || self.password_env.is_some() || self.generate_password
    }

    /// Gets the password from its source, asking for it where it is needed and a person is there. Nothing is written
    /// yet, so that a request which breaks a rule leaves no file behind.
    pub(crate) async fn get(&self, app: &App, needed_for: Option<&str>) -> Result<Option<SecretString>> {
        if self.generate_password {
            if !self.show_password && self.password_out.is_none() && self.password_command.is_none() {
                return Err(Error::new(Kind::Usage, "a generated password must go somewhere")
                    .hint("add --show-password, --password-out FILE or --password-command COMMAND"));
            }
            return Ok(Some(generate()));
        }
        let text = if self.password_stdin {
            let read = prompt::aside(|| {
                let mut text = String::new();
                std::io::stdin().take(LONGEST + 1).read_to_string(&mut text).map(|_| text)
            });
            let failed = |error| Error::new(Kind::Usage, format!("cannot read standard input: {error}"));
            Some(read.await?.map_err(failed)?)
        } else if let Some(file) = &self.password_file {
            let file = file.clone();
            Some(prompt::aside(move || read_private(&file)).await??)
        } else if let Some(name) = &self.password_env {
            let unset =
                || Error::new(Kind::Usage, format!("--password-env: the variable {name} is not set, or is no text"));
            Some(app.config.env().get(name).ok_or_else(unset)?.to_owned())
        } else {
            None
        };
        if let Some(text) = text {
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() || line.len() as u64 > LONGEST {
                return Err(Error::new(Kind::Invalid, format!("the password is empty or longer than {LONGEST} bytes")));
            }
            return Ok(Some(line.into()));
        }
        let Some(whose) = needed_for else { return Ok(None) };
        // A dry run needs no answer to show what would happen.
        let asked =
            if app.dry_run { Some("dry-run-Passw0rd".into()) } else { prompt::new_password(app, whose).await? };
        asked.map(Some).ok_or_else(|| {
            Error::new(Kind::Refused, format!("{whose} needs a password, and there is nobody to ask"))
                .hint("add --generate-password --show-password, --password-stdin, --password-file or --password-env")
        })
    }

    /// Takes the password to where it shall go; only then may it be sent.
    pub(crate) async fn deliver(&self, app: &App, secret: SecretString) -> Result<NewPassword> {
        let mut file = None;
        if !app.dry_run {
            if let Some(path) = &self.password_out {
                write_new(path, &secret)?;
                file = Some(path.clone());
            }
            if let Some(command) = &self.password_command {
                give_to(command, &secret).await.inspect_err(|_| remove(file.as_ref()))?;
            }
        }
        Ok(NewPassword { secret, file, show: self.show_password })
    }
}

impl NewPassword {
    /// Puts a password that the provider has accepted into a row, if it is to be shown.
    pub(crate) fn show_in(&self, row: &mut Row) {
        self.show_as(row, PasswordState::Accepted);
    }

    /// Puts the password into a row with what is known about it, if it is to be shown.
    pub(crate) fn show_as(&self, row: &mut Row, state: PasswordState) {
        if self.show {
            row.set_password(&self.secret, state);
        }
    }

    /// Removes the file again when the password has surely become nobody's.
    pub(crate) fn settle<T>(&self, result: &Result<T>) {
        if result.as_ref().is_err_and(|error| error.effect == Effect::None) {
            remove(self.file.as_ref());
        }
    }
}

fn remove(file: Option<&PathBuf>) {
    if let Some(file) = file {
        let _ = fs::remove_file(file);
    }
}

/// Makes up a password with at least one letter and one digit.
pub(crate) fn generate() -> SecretString {
    loop {
        let mut random = [0u8; LENGTH];
        getrandom::fill(&mut random).expect("the system has randomness");
        // 256 is a multiple of 64, so every character is as likely as any other.
        let text: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect();
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if first && text.contains(|c: char| c.is_ascii_digit()) && text.contains(|c: char| c.is_ascii_alphabetic()) {
            return text.into();
        }
    }
}

fn write_new(path: &PathBuf, secret: &SecretString) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Refused, format!("cannot write {}: {error}; nothing was sent", path.display()))
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    let written = writeln!(file, "{}", secret.expose_secret()).and_then(|()| file.sync_all());
    written.inspect_err(|_| remove(Some(path))).map_err(failed)
}

async fn give_to(command: &str, secret: &SecretString) -> Result<()> {
    let failed =
        |why: String| Error::new(Kind::Refused, format!("the password command failed: {why}; nothing was sent"));
    let words = shell_words::split(command).map_err(|error| failed(error.to_string()))?;
    let (program, args) = words.split_first().ok_or_else(|| failed("it is empty".to_owned()))?;
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        // Standard output carries results and nothing else.
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut stdin = child.stdin.take().expect("its standard input is a pipe");
    // A command that does not read its input still speaks with its exit code.
    let _ = stdin.write_all(format!("{}\n", secret.expose_secret()).as_bytes()).await;
    drop(stdin);
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_long_and_differ() {
        let passwords: std::collections::HashSet<String> =
            (0..200).map(|_| generate().expose_secret().to_owned()).collect();
        assert_eq!(passwords.len(), 200);
        for password in passwords {
            assert_eq!(password.len(), LENGTH);
            assert!(password.bytes().all(|byte| ALPHABET.contains(&byte)));
        }
    }
}
