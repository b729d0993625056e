//! `mbx sandbox serve | reset`: the local stand-in for the providers' APIs.

use std::fs;

use clap::Subcommand;
use serde_json::json;

use crate::app::App;
use crate::config::sandbox_exports;
use crate::error::{Error, Kind, Result};
use crate::interrupt::signal;
use crate::output::rows;
use crate::sandbox::Sandbox;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Serve every provider's API on this machine, and print the variables that point mbx at them
    Serve {
        /// The port to listen on; 0 takes a free one
        #[arg(long, default_value_t = 8025)]
        port: u16,
        /// The time at the providers
        #[arg(long, value_enum, default_value_t = Clock::Fixed)]
        clock: Clock,
    },
    /// Delete everything in the sandbox that --sandbox uses
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Clock {
    /// Begins in January 2026, and a minute passes with every change, so that results can be compared
    Fixed,
    /// The time of this machine
    Now,
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::Serve { port, clock } => serve(app, port, clock).await,
        Verb::Reset => {
            let file = app.sandbox_file()?;
            if let Err(error) = fs::remove_file(&file)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(Error::new(Kind::Config, format!("cannot remove {}: {error}", file.display())));
            }
            app.out.note("the sandbox is reset");
            app.out.one(&rows::PATH, rows::row([("path", json!(file.display().to_string())), ("exists", json!(false))]))
        }
    }
}

async fn serve(app: &App, port: u16, clock: Clock) -> Result<()> {
    let sandbox = Sandbox::start_on(port, None).await?;
    if clock == Clock::Now {
        sandbox.show_our_time();
    }
    let exports = sandbox_exports(|provider| sandbox.base_url(provider));
    let lines: String = exports.iter().map(|(name, value)| format!("export {name}={value}\n")).collect();
    let as_row = |(name, value)| rows::row([("name", json!(name)), ("value", json!(value))]);
    app.out.lines_or_all(&lines, &rows::VARIABLE, exports.into_iter().map(as_row).collect()).await?;
    app.out
        .note(&format!("serving on http://{}; press Ctrl-C to stop it and delete everything in it", sandbox.address()));
    // A signal is the ordinary end of a server, so it is not an error.
    signal().await;
    Ok(())
}
