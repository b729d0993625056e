//! The clap root: global flags and the list of nouns.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, Subcommand};

use crate::commands::{alias, bulk, completions, config, credential, domain, mailbox, profile, provider, sandbox};
use crate::provider::ProviderId;

/// Reads the name of a provider, and tells shells the names to complete.
pub(crate) fn provider_kind() -> impl TypedValueParser<Value = ProviderId> {
    let names = ProviderId::ALL.map(|id| match id {
        ProviderId::Mailinabox => PossibleValue::new(id.as_str()).aliases(["miab", "mail-in-a-box"]),
        other => PossibleValue::new(other.as_str()),
    });
    PossibleValuesParser::new(names).try_map(|name| name.parse::<ProviderId>())
}

/// Provision mailboxes at Hybridbox, EmBoux, LiteMail, Qboxmail and Mail-in-a-Box
#[derive(Debug, Parser)]
#[command(name = "mbx", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Try it without an account: mbx create --provider litemail --sandbox ada@example.com")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The kind of provider: hybridbox, emboux, litemail, qboxmail, mailinabox
    #[arg(short, long, global = true, value_name = "KIND", hide_possible_values = true, value_parser = provider_kind())]
    pub(crate) provider: Option<ProviderId>,
    /// The account, by its name in the configuration; lists take several
    #[arg(short = 'P', long, global = true, value_name = "NAME")]
    pub(crate) profile: Vec<String>,
    /// List over every profile
    #[arg(long, global = true, conflicts_with = "profile")]
    pub(crate) all_profiles: bool,
    /// table, json, jsonl, csv or value [env: MBX_OUTPUT] [default: table]
    #[arg(short, long, global = true, value_name = "FORMAT", hide_possible_values = true, value_parser = ["table", "json", "jsonl", "csv", "value"])]
    pub(crate) output: Option<String>,
    /// The columns to show, separated by commas
    #[arg(long, global = true, value_name = "A,B", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<String>>,
    /// Leave out the heading of tables and CSV
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// Sort by a column; with a minus in front the other way round
    #[arg(long, global = true, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// Show at most so many
    #[arg(long, global = true, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Show what would be sent, and send only what changes nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Answer questions with yes
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Never ask; what needs an answer is refused
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Leave out notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Show requests; twice: when they are sent; three times: bodies, without secrets
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Colour messages: auto, always, never
    #[arg(long, global = true, value_name = "WHEN", hide_possible_values = true, value_parser = ["auto", "always", "never"])]
    pub(crate) color: Option<String>,
    /// The configuration file [env: MBX_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Talk to the built-in sandbox instead of the provider [env: MBX_SANDBOX]
    #[arg(long, global = true)]
    pub(crate) sandbox: bool,
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
    /// Run the local stand-in for all five APIs
    #[command(subcommand)]
    Sandbox(sandbox::Verb),
    /// Print a completion script for a shell
    Completions(completions::Args),
}
