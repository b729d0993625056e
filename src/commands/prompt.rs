//! Questions to a person, asked only where a person can answer.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::app::App;
use crate::error::{Error, Kind, Result};

/// Returns true when there is a terminal to ask at.
fn can_ask(app: &App) -> bool {
    !app.no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Reads what may never come, from a person, a pipe or a slow disk, in a thread of its own: a signal ends the program
/// meanwhile, and the thread is not waited for.
pub(crate) async fn aside<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::select! {
        // Listening begins before the question is seen.
        biased;
        _ = tokio::signal::ctrl_c() => Err(Error::new(Kind::Interrupted, "interrupted; nothing was changed")),
        read = async { tokio::task::spawn_blocking(read).await } => Ok(read.expect("reading does not panic")),
    }
}

/// Asks before something that cannot be undone, unless `--yes` was given or nothing will be sent.
pub(crate) async fn confirm(app: &App, question: &str) -> Result<()> {
    if app.yes || app.dry_run {
        return Ok(());
    }
    let refused = || Error::new(Kind::Refused, format!("confirmation needed to {question}")).hint("add --yes");
    if !can_ask(app) {
        return Err(refused());
    }
    let mut terminal = io::stderr();
    let _ = write!(terminal, "{}? [y/N] ", crate::output::escape(question));
    let _ = terminal.flush();
    let answer = aside(|| {
        let mut answer = String::new();
        let _ = io::stdin().lock().read_line(&mut answer);
        answer
    })
    .await?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(refused()) }
}

/// Asks for a new password twice, without showing it; `None` where nobody can be asked.
pub(crate) async fn new_password(app: &App, whose: &str) -> Result<Option<String>> {
    if !can_ask(app) {
        return Ok(None);
    }
    let ask = async |prompt: String| {
        aside(|| rpassword::prompt_password(prompt)).await?.map_err(|error| match error.kind() {
            // While it hides what is typed the terminal sends no signal; Ctrl-C comes as a character.
            io::ErrorKind::Interrupted => Error::new(Kind::Interrupted, "interrupted; nothing was changed"),
            _ => Error::new(Kind::Refused, format!("cannot read the terminal: {error}")),
        })
    };
    let first = ask(format!("New password for {}: ", crate::output::escape(whose))).await?;
    if first != ask("Again: ".to_owned()).await? {
        return Err(Error::new(Kind::Invalid, "the two passwords differ"));
    }
    Ok(Some(first))
}
