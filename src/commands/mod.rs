//! One file per noun: the arguments and what they do. A command hands values to `Out` and never asks for the format.

pub(crate) mod alias;
pub(crate) mod bulk;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod credential;
pub(crate) mod domain;
pub(crate) mod lists;
pub(crate) mod mailbox;
mod parse;
pub(crate) mod password;
pub(crate) mod profile;
pub(crate) mod prompt;
pub(crate) mod provider;
mod report;
pub(crate) mod sandbox;
pub(crate) mod wait;

use crate::app::Opened;
use crate::error::{Error, Result};

/// What to do when a thing that is to be removed does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum IfMissing {
    /// Fail with exit code 6
    Fail,
    /// Treat it as removed
    Ok,
}

/// Refuses an option that this provider has no use for, before anything is sent.
fn refuse_unless(fits: bool, opened: &Opened, what: &str, why: &str) -> Result<()> {
    if fits { Ok(()) } else { Err(at(opened, Error::unsupported(what, why))) }
}

/// Names the provider and the profile that an error comes from.
fn at(opened: &Opened, error: Error) -> Error {
    error.at(opened.profile.provider, &opened.profile.name)
}
