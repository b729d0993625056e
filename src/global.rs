//! The flags that every command takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::provider::ProviderId;

/// The flags every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    #[arg(short, long, global = true, value_name = "KIND", help = provider_help())]
    #[arg(hide_possible_values = true, value_parser = provider_kind())]
    pub(crate) provider: Option<ProviderId>,
    /// The account, by its name in the configuration file; lists take several
    #[arg(short = 'P', long, global = true, value_name = "NAME")]
    pub(crate) profile: Vec<String>,
    /// List the accounts of all profiles
    #[arg(long, global = true, conflicts_with = "profile")]
    pub(crate) all_profiles: bool,
    /// The output format: table, json, jsonl, csv or value [env: MBX_OUTPUT] [default: table]
    #[arg(short, long, global = true, value_name = "FORMAT", hide_possible_values = true, value_parser = ["table", "json", "jsonl", "csv", "value"])]
    pub(crate) output: Option<String>,
    /// The columns to show, separated by commas; in JSON, the keys
    #[arg(long, global = true, value_name = "A,B", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<String>>,
    /// Hide the heading of tables and CSV
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// Sort by a column; a minus in front reverses the order
    #[arg(long, global = true, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// Show at most this many items
    #[arg(long, global = true, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Preview: print the requests, send only reads
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Answer all questions with yes
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Never ask; a command that needs an answer fails
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Stop the whole command after this time, such as 90s or 10m
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
    /// Hide notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print each request; twice: also before it is sent; three times: also bodies, without secrets
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Use colours: auto, always, never
    #[arg(long, global = true, value_name = "WHEN", hide_possible_values = true, value_parser = ["auto", "always", "never"])]
    pub(crate) color: Option<String>,
    /// The configuration file [env: MBX_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Use the built-in sandbox instead of the provider [env: MBX_SANDBOX]
    #[arg(long, global = true)]
    pub(crate) sandbox: bool,
}

/// Returns the help of an argument that names a provider.
pub(crate) fn provider_help() -> String {
    format!("The provider: {}", ProviderId::names())
}

/// Reads the name of a provider, and lists the names for the completion of shells.
pub(crate) fn provider_kind() -> impl TypedValueParser<Value = ProviderId> {
    let names = ProviderId::ALL.map(|id| match id {
        ProviderId::Mailinabox => PossibleValue::new(id.as_str()).aliases(["miab", "mail-in-a-box"]),
        other => PossibleValue::new(other.as_str()),
    });
    PossibleValuesParser::new(names).try_map(|name| name.parse::<ProviderId>())
}

/// Reads a time such as 90s, 10m or 1h 30m.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write a time like 90s, 10m or 1h 30m".to_owned())?;
    Duration::try_from(span).map_err(|_| "a time is not negative".to_owned())
}
