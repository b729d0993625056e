//! The clap root: the list of commands, and which function runs each.

use clap::{CommandFactory, Parser, Subcommand};

use crate::adapters;
use crate::app::App;
use crate::commands::{alias, bulk, completions, config, credential, domain, mailbox, profile, provider, sandbox};
use crate::error::Result;
use crate::global::Global;
use crate::output::{Shape, rows};
use crate::provider::ProviderId;

#[derive(Debug, Parser)]
#[command(name = "mbx", about = about(), version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Try it without an account: mbx create --provider litemail --sandbox ada@example.com")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Returns what mbx is, with every provider's name.
fn about() -> String {
    let titles = ProviderId::ALL.map(|id| adapters::spec(id).title);
    let (last, others) = titles.split_last().expect("there are providers");
    format!("Provision mailboxes at {} and {last}", others.join(", "))
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Mailbox(mailbox::Verb),
    /// Work on a mailbox; the long form of create, list, get, …
    #[command(name = "mailbox", subcommand)]
    LongMailbox(mailbox::Verb),
    /// Work on a domain
    #[command(subcommand)]
    Domain(domain::Verb),
    /// Work on an alias; `@example.com` is the catch-all
    #[command(subcommand)]
    Alias(alias::Verb),
    /// Work on logins that open more than one mailbox
    #[command(subcommand)]
    Credential(credential::Verb),
    /// Work on many mailboxes from a file
    #[command(subcommand)]
    Bulk(bulk::Verb),
    /// Show what each provider can do
    #[command(subcommand)]
    Provider(provider::Verb),
    /// Show the accounts that are configured
    #[command(subcommand)]
    Profile(profile::Verb),
    /// Show and check the configuration
    #[command(subcommand)]
    Config(config::Verb),
    /// Run the local stand-in for the providers' APIs
    #[command(subcommand)]
    Sandbox(sandbox::Verb),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// Runs a command.
pub(crate) async fn run(app: &mut App, command: Command) -> Result<()> {
    if let Some(shape) = changed(&command) {
        app.out.check(shape)?;
    }
    let result = match command {
        Command::Mailbox(verb) | Command::LongMailbox(verb) => mailbox::run(app, verb).await,
        Command::Domain(verb) => domain::run(app, verb).await,
        Command::Alias(verb) => alias::run(app, verb).await,
        Command::Credential(verb) => credential::run(app, verb).await,
        Command::Bulk(verb) => bulk::run(app, verb).await,
        Command::Provider(verb) => provider::run(app, verb).await,
        Command::Profile(verb) => profile::run(app, verb).await,
        Command::Config(verb) => config::run(app, verb).await,
        Command::Sandbox(verb) => sandbox::run(app, verb).await,
        Command::Completions(args) => completions::run(&app.out, &args, &mut Cli::command()),
    };
    app.close().await;
    result
}

/// Returns the shape of what the command changes at a provider, if it changes anything there.
pub(crate) fn changed(command: &Command) -> Option<&'static Shape> {
    match command {
        Command::Mailbox(mailbox::Verb::List(_) | mailbox::Verb::Get(_))
        | Command::LongMailbox(mailbox::Verb::List(_) | mailbox::Verb::Get(_))
        | Command::Domain(domain::Verb::List | domain::Verb::Get(_) | domain::Verb::Dns(_))
        | Command::Alias(alias::Verb::List(_))
        | Command::Credential(credential::Verb::List)
        | Command::Bulk(bulk::Verb::Check(_) | bulk::Verb::List | bulk::Verb::Show { .. })
        | Command::Provider(_)
        | Command::Profile(_)
        | Command::Config(_)
        | Command::Sandbox(_)
        | Command::Completions(_) => None,
        Command::Mailbox(_) | Command::LongMailbox(_) => Some(&rows::MAILBOX),
        Command::Domain(_) => Some(&rows::DOMAIN),
        Command::Alias(_) => Some(&rows::ALIAS),
        Command::Credential(_) => Some(&rows::CREDENTIAL),
        Command::Bulk(_) => Some(&rows::BULK),
    }
}
