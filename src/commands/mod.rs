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
pub(crate) mod sandbox;
pub(crate) mod wait;

use crate::app::{App, Opened};
use crate::error::{Error, Kind, Result};
use crate::model::{Removal, Status};
use crate::output::{Outcome, Row, Shape};
use crate::provider::{Done, Provider};

/// What to do when a thing that is to be removed does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum IfMissing {
    /// Fail with exit code 6
    Fail,
    /// Treat it as removed
    Ok,
}

/// Shows what a dry run would have sent; every other error goes on.
fn planned<T>(app: &App, shape: &Shape, result: Result<T>, row: impl FnOnce(Outcome) -> Row) -> Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind == Kind::Planned => {
            let mut row = row(Outcome::Planned);
            row.add_extra("request", &error.message);
            app.out.note(&format!("would send {}", error.message));
            app.out.one(shape, row).map(|()| None)
        }
        Err(error) => Err(error),
    }
}

/// Shows a thing as it is after a change, or what a dry run would have sent.
fn show_change<T>(
    app: &App,
    shape: &Shape,
    result: Result<T>,
    bare: impl FnOnce(Outcome) -> Row,
    row: impl FnOnce(&T) -> Row,
) -> Result<()> {
    match planned(app, shape, result, bare)? {
        Some(changed) => app.out.one(shape, row(&changed)),
        None => Ok(()),
    }
}

/// Shows what became of something that was to be removed.
fn show_removal(
    app: &App,
    shape: &Shape,
    result: Result<Done<Removal>>,
    if_missing: IfMissing,
    row: impl Fn(Outcome) -> Row,
) -> Result<()> {
    let row = match result {
        Err(error) if error.kind == Kind::NotFound && if_missing == IfMissing::Ok => row(Outcome::Absent),
        result => match planned(app, shape, result, &row)?.map(|done| done.value) {
            None => return Ok(()),
            Some(Removal::Done(note)) => {
                let mut row = row(Outcome::Deleted);
                if let Some(note) = note {
                    row.add_note(note);
                }
                row
            }
            Some(Removal::Scheduled { on, note }) => {
                let mut row = row(Outcome::Scheduled);
                row.set("status", Status::Ending);
                if let Some(on) = on {
                    row.add_extra("effective_on", on);
                }
                row.add_note(note);
                row
            }
        },
    };
    app.out.one(shape, row)
}

/// Returns a function that gives the same row with another outcome.
fn with_outcome(row: Row) -> impl Fn(Outcome) -> Row {
    move |outcome| {
        let mut row = row.clone();
        row.set("outcome", outcome);
        row
    }
}

/// Refuses an option that this provider has no use for, before anything is sent.
fn refuse_unless(fits: bool, opened: &Opened, what: &str, why: &str) -> Result<()> {
    if fits {
        return Ok(());
    }
    let mut error = Error::unsupported(what, why);
    error.provider = Some(opened.provider.spec().id);
    error.profile = Some(opened.profile.name.clone());
    Err(error)
}
