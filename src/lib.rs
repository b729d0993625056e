//! mbx provisions mailboxes at every provider its users have, through one command line and one normalized model.
//!
//! # The map of the house
//!
//! | word | what it is | where |
//! |---|---|---|
//! | Mailbox, Domain, Alias, Credential | the normalized model; the only vocabulary commands and output know | [`model`] |
//! | Error | what went wrong, what it did there, which exit code that is | [`error`] |
//! | Provider | the trait every mail host implements | [`provider`] |
//! | Spec | what a provider is and can do, as static data | [`provider::Spec`], filled in by each adapter |
//! | Checked | the one decorator: refuses what the spec rules out, completes errors, drives single requests | [`provider::Checked`] |
//! | Case | the life of one request: whose a mailbox is, what its absence proves, what comes next | [`provider::case`] |
//! | verdict | which request is sent again by the sender, and what a failed one did | `http::verdict` |
//! | Http | the one sender: dry run, repeat, pace, trace, sign, time limits, bounded bodies | [`http`] |
//! | adapter | one file per mail host: wire types, calls, mapping | [`adapters`] |
//! | Profile | a provider, an account, and where its secret comes from | [`config`] |
//! | Out | where results and messages go, in which format | [`output`] |
//! | bulk | many mailboxes from a file, journaled and resumable | [`bulk`] |
//! | sandbox | a local stand-in for the providers' APIs, written from the documents | [`sandbox`] |
//! | Global | the flags that every command takes | `global` |
//! | Interrupt | the request to stop early | [`interrupt`] |
//! | App | one run of the program | `app` |
//! | commands | one file per noun | `commands` |
//! | Cli | the list of commands, and which function runs each | `cli` |
//!
//! A module uses what is below it, never what is above or beside it; `tests/it/layers.rs` checks this:
//!
//! ```text
//! lib
//! cli
//! commands
//! app
//! config · bulk · global
//! output · sandbox · adapters
//! provider
//! http · interrupt
//! error
//! model · text · lock
//! ```
//!
//! Four rules hold it together.
//!
//! 1. Commands speak addresses and domain names. Only an adapter knows an id.
//! 2. An adapter says what to send and what the answer means. It never decides when to send, whether to repeat, or how
//!    to report.
//! 3. Whatever a provider cannot do is data with a reason, checked before the first byte is sent.
//! 4. Standard output carries results and nothing else.

pub mod adapters;
mod app;
pub mod bulk;
mod cli;
mod commands;
pub mod config;
pub mod error;
mod global;
pub mod http;
pub mod interrupt;
mod lock;
pub mod model;
pub mod output;
pub mod provider;
pub mod sandbox;
mod text;

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use futures_util::FutureExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::app::App;
use crate::cli::{Cli, Command};
use crate::config::Env;
use crate::error::{Error, Kind, Result};
use crate::global::Global;
use crate::interrupt::{Interrupt, JOB_VARIABLES, job_gone, signal};
use crate::output::{Format, Out, escape};

/// Runs the program with these arguments, the first being its own name, and returns its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let env = match Env::of_process() {
        Ok(env) => env,
        Err(error) => return finish(&plain_out(None, false), Err(error)),
    };
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error, &args, &env),
    };
    trace(cli.global.verbose);
    let mut out = plain_out(cli.global.output.as_deref().or(env.get("MBX_OUTPUT")), cli.global.quiet);
    let result = start(&mut out, cli.global, cli.command, env);
    finish(&out, result)
}

/// Runs a command; from the moment it is known, `out` is what the configuration asks for.
fn start(out: &mut Out, global: Global, command: Command, env: Env) -> Result<()> {
    if let Command::Completions(args) = &command {
        // A shell that starts wants its completions, whatever the configuration looks like.
        return commands::completions::run(out, args, &mut Cli::command());
    }
    let changes = cli::changed(&command).is_some() && !global.dry_run;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Internal, format!("cannot start: {error}")))?;
    let interrupt = Arc::new(Interrupt::default());
    let deadline = global.deadline;
    let job = JOB_VARIABLES.iter().find_map(|name| Some(format!("{name}={}", env.get(name)?)));
    let result = runtime.block_on(async {
        let mut interrupted = pin!(interrupted(&interrupt, deadline, job_gone(job)));
        // Listening begins before the command does anything. The command is asked first: it may know that nothing has
        // happened yet.
        let _ = interrupted.as_mut().now_or_never();
        let work = async {
            let mut app = App::new(global, env, interrupt.clone()).await?;
            out.clone_from(&app.out);
            cli::run(&mut app, command).await
        };
        tokio::select! {
            biased;
            result = work => result,
            kind = interrupted => Err(interrupt.stopped(kind, changes)),
        }
    });
    // Threads that still wait for somebody to type, or for a pipe, are not waited for.
    runtime.shutdown_background();
    result
}

/// Waits until the program has to end: at the first signal, the deadline or the end of its job, or at the next signal where
/// a run stops in order.
async fn interrupted(interrupt: &Interrupt, deadline: Option<Duration>, job: impl Future<Output = ()>) -> Kind {
    let first = tokio::select! {
        kind = signal() => kind,
        () = job => Kind::Terminated,
        () = tokio::time::sleep(deadline.unwrap_or_default()), if deadline.is_some() => Kind::Timeout,
    };
    if interrupt.request(first) { signal().await } else { first }
}

fn finish(out: &Out, result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.kind.exit_code() != 0 {
                out.error(&error);
            }
            error.exit()
        }
    }
}

/// An output for errors alone, from before the configuration was read.
fn plain_out(format: Option<&str>, quiet: bool) -> Out {
    let format = format.and_then(|format| format.parse().ok()).unwrap_or(Format::Table);
    Out { format, columns: None, no_headers: false, sort: None, limit: None, quiet }
}

/// Shows help and version as clap does, and a wrong command line in the format that it asks for.
fn refuse_usage(error: &clap::Error, args: &[OsString], env: &Env) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let shown = print_help(error);
        let asked = error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        return if asked || shown.is_err() { ExitCode::SUCCESS } else { ExitCode::from(Kind::Usage.exit_code()) };
    }
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let asked = words.iter().enumerate().find_map(|(index, word)| match word.as_ref() {
        "-o" | "--output" => words.get(index + 1).map(|next| next.to_string()),
        word => word
            .strip_prefix("--output=")
            .or_else(|| word.strip_prefix("-o")?.trim_start_matches('=').into())
            .map(str::to_owned),
    });
    let out = plain_out(asked.as_deref().or(env.get("MBX_OUTPUT")), false);
    // What reads an address says itself what is wrong with it, and which exit code that is.
    if let Some(own) = error.source().and_then(|source| source.downcast_ref::<Error>()) {
        return finish(&out, Err(own.clone()));
    }
    let text = error.render().to_string();
    out.error_or(&usage_error(&text), || {
        if words.iter().all(|word| escape(word) == *word) {
            let _ = error.print();
        } else {
            // clap repeats what was typed, and that must not play tricks on the terminal.
            let _ = Escaped(io::stderr()).write_all(text.as_bytes());
        }
    });
    ExitCode::from(Kind::Usage.exit_code())
}

/// Returns what clap says of a wrong command line.
fn usage_error(text: &str) -> Error {
    // The first paragraph names what is wrong, some of it in further lines.
    let paragraph: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let error = Error::new(Kind::Usage, paragraph.join(" ").trim_start_matches("error: "));
    match text.lines().find_map(|line| line.trim().strip_prefix("tip: ")) {
        Some(tip) => error.hint(tip),
        None => error,
    }
}

/// Prints help as clap would, in one go instead of line by line.
fn print_help(error: &clap::Error) -> io::Result<()> {
    let mut text = anstream::AutoStream::new(Vec::new(), anstream::AutoStream::choice(&io::stdout()));
    write!(text, "{}", error.render().ansi())?;
    let text = text.into_inner();
    if error.use_stderr() { io::stderr().write_all(&text) } else { io::stdout().write_all(&text) }
}

/// Sends traces of requests to standard error; other crates' are left out.
fn trace(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let layer = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_level(false)
        .with_ansi(false)
        .with_writer(|| Escaped(io::stderr()));
    let _ = tracing_subscriber::registry().with(layer).with(Targets::new().with_target("mbx", level)).try_init();
}

/// Standard error, with whatever a server sent shown escaped.
struct Escaped(io::Stderr);

impl Write for Escaped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines() {
            writeln!(self.0, "{}", escape(line))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
