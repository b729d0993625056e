//! The flags that every command takes.

use std::path::PathBuf;

use clap::ArgAction;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::provider::ProviderId;

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

/// Reads the name of a provider, and lists the names for the completion of shells.
pub(crate) fn provider_kind() -> impl TypedValueParser<Value = ProviderId> {
    let names = ProviderId::ALL.map(|id| match id {
        ProviderId::Mailinabox => PossibleValue::new(id.as_str()).aliases(["miab", "mail-in-a-box"]),
        other => PossibleValue::new(other.as_str()),
    });
    PossibleValuesParser::new(names).try_map(|name| name.parse::<ProviderId>())
}
