//! Questions to a person, asked only where a person can answer.

use std::io::{self, BufRead, IsTerminal, Write};

use secrecy::SecretString;

use crate::app::App;
use crate::error::{Error, Kind, Result};

/// Returns true when there is a terminal to ask at.
fn can_ask(app: &App) -> bool {
    !app.no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks before something that cannot be undone, unless `--yes` was given or nothing will be sent.
pub(crate) fn confirm(app: &App, question: &str) -> Result<()> {
    if app.yes || app.dry_run {
        return Ok(());
    }
    let refused = || Error::new(Kind::Refused, format!("not done: {question} needs a yes")).hint("add --yes");
    if !can_ask(app) {
        return Err(refused());
    }
    let mut terminal = io::stderr();
    let _ = write!(terminal, "{question}? [y/N] ");
    let _ = terminal.flush();
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(refused()) }
}

/// Asks for a new password twice, without showing it; nothing when there is nobody to ask.
pub(crate) fn new_password(app: &App, whose: &str) -> Result<Option<SecretString>> {
    if !can_ask(app) {
        return Ok(None);
    }
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt)
            .map_err(|error| Error::new(Kind::Refused, format!("cannot read the terminal: {error}")))
    };
    let first = ask(format!("New password for {whose}: "))?;
    if first != ask("Again: ".to_owned())? {
        return Err(Error::new(Kind::Invalid, "the two passwords differ"));
    }
    Ok(Some(first.into()))
}
