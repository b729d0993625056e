//! Where a new password comes from, and where a generated one goes before anything is sent.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::prompt;
use crate::app::App;
use crate::config::{Env, child, open_private, unreadable};
use crate::error::{Error, Kind, Result};
use crate::model::{PASSWORD_MAX, PasswordState, password_fault};
use crate::output::Row;

/// Letters and digits that are not mistaken for each other, and signs that need no quoting anywhere.
const ALPHABET: &[u8; 64] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_.+=@~";

/// Twenty characters of six bits each: 120 bits.
const LENGTH: usize = 20;

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
    /// Generate a password
    #[arg(long, group = "password-source")]
    generate_password: bool,
    /// Show the password in the result; `-o csv` refuses one that a spreadsheet would run as a formula
    #[arg(long)]
    show_password: bool,
    /// Write the password to a new file that only you can read, before the request is sent
    #[arg(long, value_name = "FILE")]
    password_out: Option<PathBuf>,
    /// Write the password to the standard input of a command, before the request is sent; the command has 30 seconds
    #[arg(long, value_name = "COMMAND", alias = "password-command")]
    password_out_command: Option<String>,
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

    /// Gets the password from its source, or asks a person for it, and writes it to its file and its command; only then
    /// may it be sent. What `check` refuses leaves no file behind.
    pub(crate) async fn take(
        &self,
        app: &App,
        whose: &str,
        check: impl FnOnce(&SecretString) -> Result<()>,
    ) -> Result<NewPassword> {
        let secret = self.read(app, whose).await?;
        check(&secret)?;
        if self.show_password && !app.dry_run {
            app.out.check_secret(&secret)?;
        }
        self.deliver(app, secret).await
    }

    async fn read(&self, app: &App, whose: &str) -> Result<SecretString> {
        if self.generate_password {
            if !self.show_password && self.password_out.is_none() && self.password_out_command.is_none() {
                return Err(Error::new(Kind::Usage, "a generated password must go somewhere")
                    .hint("add --show-password, --password-out FILE or --password-out-command COMMAND"));
            }
            return Ok(generate());
        }
        let text = if self.password_stdin {
            let read = prompt::aside(|| read_start(io::stdin()));
            let failed = |error| Error::new(Kind::Usage, format!("cannot read standard input: {error}"));
            read.await?.map_err(failed)?
        } else if let Some(file) = &self.password_file {
            let file = file.clone();
            let read = move || read_start(open_private(&file)?).map_err(|error| unreadable(&file, &error.to_string()));
            prompt::aside(read).await??
        } else if let Some(name) = &self.password_env {
            let unset = || Error::new(Kind::Usage, format!("--password-env: the variable {name} is not set"));
            app.config.env().get(name).ok_or_else(unset)?.as_bytes().to_vec()
        } else {
            // A dry run needs no answer to show what would happen.
            let asked =
                if app.dry_run { Some("dry-run-Passw0rd".into()) } else { prompt::new_password(app, whose).await? };
            let refused = || {
                let message =
                    format!("{whose} needs a password, and mbx cannot ask for it: standard input is not a terminal");
                Error::new(Kind::Refused, message).hint(
                    "add --generate-password --show-password, --password-stdin, --password-file or --password-env",
                )
            };
            asked.ok_or_else(refused)?.into_bytes()
        };
        one_line(text).map_err(|why| Error::new(Kind::Invalid, format!("the password {why}")))
    }

    /// Writes the password to its file and its command.
    async fn deliver(&self, app: &App, secret: SecretString) -> Result<NewPassword> {
        let mut file = None;
        if !app.dry_run {
            if let Some(path) = &self.password_out {
                write_new(path, &secret)?;
                file = Some(path.clone());
            }
            if let Some(command) = &self.password_out_command {
                let given = give_to(command, &secret, app.config.env()).await;
                given.inspect_err(|_| remove(file.as_ref()))?;
            }
        }
        Ok(NewPassword { secret, file, show: self.show_password })
    }
}

impl NewPassword {
    /// Puts the password into a row with what is known about it, if it is to be shown.
    pub(crate) fn show_in(&self, row: &mut Row, state: PasswordState) {
        if self.show {
            row.set_password(&self.secret, state);
        }
    }

    /// Removes the file of a password that was certainly not used.
    pub(crate) fn remove_unused(&self) {
        remove(self.file.as_ref());
    }
}

fn remove(file: Option<&PathBuf>) {
    if let Some(file) = file {
        let _ = fs::remove_file(file);
    }
}

/// Generates a password with at least one letter and one digit.
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
    let failed = |error: io::Error| {
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

/// Reads enough of a source to see that it is too long.
fn read_start(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // The longest password, the end of its line, and one byte more.
    source.take(PASSWORD_MAX as u64 + 3).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes a password out of what a source gave: one line, with or without its end. The error follows "the password".
fn one_line(bytes: Vec<u8>) -> Result<SecretString, &'static str> {
    // A long text may have been cut within a letter.
    let text = String::from_utf8(bytes).map_err(|error| match error.as_bytes().len() > PASSWORD_MAX {
        true => "is longer than 4096 bytes",
        false => "is not valid UTF-8",
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    password_fault(line).map_or(Ok(line.into()), Err)
}

async fn give_to(command: &str, secret: &SecretString, env: &Env) -> Result<()> {
    let failed =
        |why: String| Error::new(Kind::Refused, format!("the password command failed: {why}; nothing was sent"));
    let words = shell_words::split(command).map_err(|error| failed(error.to_string()))?;
    if words.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    let line = format!("{}\n", secret.expose_secret());
    let given = child::run(&words, env, Some(&line), child::COMMAND_TIME).await;
    given.map(drop).map_err(|trouble| trouble.into_error(failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_from_every_source() {
        let long = "x".repeat(PASSWORD_MAX);
        for (text, expected) in [
            ("secret", Ok("secret")),
            ("secret\n", Ok("secret")),
            ("secret\r\n", Ok("secret")),
            (" with blanks \n", Ok(" with blanks ")),
            (&format!("{long}\r\n"), Ok(long.as_str())),
            ("", Err("is empty")),
            ("\n", Err("is empty")),
            ("two\nlines\n", Err("has more than one line")),
            ("secret\n\n", Err("has more than one line")),
            ("secret\rmore", Err("has more than one line")),
            ("se\tcret", Err("has a control character")),
            ("se\0cret", Err("has a control character")),
            ("se\u{9b}cret", Err("has a control character")),
            (&format!("{long}x"), Err("is longer than 4096 bytes")),
            (&"é".repeat(PASSWORD_MAX), Err("is longer than 4096 bytes")),
        ] {
            let found = one_line(text.as_bytes().to_vec());
            assert_eq!(found.as_ref().map(|found| found.expose_secret()).map_err(|why| *why), expected, "{text:?}");
        }
        assert_eq!(one_line(b"\xff".to_vec()).err(), Some("is not valid UTF-8"));
        assert_eq!(
            one_line([b'x'; PASSWORD_MAX].into_iter().chain(*b"xx\xff").collect()).err(),
            Some("is longer than 4096 bytes")
        );
    }

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
