//! Reads what is typed as an argument of a command. Their errors are our own, with an exit code of their own: `lib.rs`
//! shows them as they are, before a profile is opened.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::error::{Error, Kind, Result};
use crate::model::{Address, AliasSource, DomainName};
use crate::provider::case::OnExisting;

/// Reads the address of a mailbox.
pub(super) fn address(text: &str) -> Result<Address> {
    Address::parse(text).map_err(|why| invalid(text, "a mailbox address", &why))
}

/// Reads the name of a domain.
pub(super) fn domain(text: &str) -> Result<DomainName> {
    DomainName::parse(text).map_err(|why| invalid(text, "a domain", &why))
}

/// Reads the address of an alias, or `@example.com`.
pub(super) fn source(text: &str) -> Result<AliasSource> {
    text.parse().map_err(|why| invalid(text, "an alias address", &why))
}

fn invalid(text: &str, what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, format!("{text:?} is not {what}: {why}"))
}

/// Reads what to do about a thing that exists, where there is no way to update it.
pub(super) fn fail_or_ok() -> impl TypedValueParser<Value = OnExisting> {
    PossibleValuesParser::new(["fail", "ok"]).try_map(|what| OnExisting::from_str(&what, false))
}
