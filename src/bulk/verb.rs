//! The four things that can be done to each mailbox of a file, and one request of each.

use serde::{Deserialize, Serialize};

use super::{Fate, Job};
use crate::error::{Error, Kind, Result};
use crate::model::{NewMailbox, Removal};
use crate::output::Outcome;
use crate::provider::{Checked, Op, Problem, Spec};

/// What is done to each mailbox of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Make it
    Create,
    /// Change its names, quota or privilege
    Update,
    /// Set its password
    Passwd,
    /// Delete it
    Delete,
}

impl Verb {
    /// Returns the verb as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Passwd => "passwd",
            Verb::Delete => "delete",
        }
    }

    /// Returns the columns of a file that mean something to it.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Verb::Create => &["address", "first_name", "last_name", "quota", "admin", "password"],
            Verb::Update => &["address", "first_name", "last_name", "quota", "admin"],
            Verb::Passwd => &["address", "password"],
            Verb::Delete => &["address"],
        }
    }

    /// Returns the operation that the provider must know. `None`: that depends on what a row asks for.
    pub fn op(self) -> Option<Op> {
        match self {
            Verb::Create => Some(Op::CreateMailbox),
            Verb::Update => None,
            Verb::Passwd => Some(Op::SetPassword),
            Verb::Delete => Some(Op::DeleteMailbox),
        }
    }

    /// Returns everything for which a row would be refused before anything is sent.
    pub fn problems(self, spec: &Spec, row: &NewMailbox, allow_unverified: bool) -> Vec<Problem> {
        match self {
            Verb::Create => spec.new_problems(row, allow_unverified),
            Verb::Update => spec.change_problems(&row.as_change(), allow_unverified),
            Verb::Passwd => spec.rules.given_password_problem(row.password.as_ref()).into_iter().collect(),
            Verb::Delete => Vec::new(),
        }
    }

    /// Returns what a row comes to without a request, given whether its mailbox was there before the run.
    pub(super) fn needs_none(self, job: &Job, was_there: bool) -> Option<Fate> {
        match (self, was_there) {
            (Verb::Create, true) => Some(Fate::of(Outcome::Exists)),
            (Verb::Delete, false) => Some(Fate::of(Outcome::Absent)),
            (Verb::Update | Verb::Passwd, false) => Some(Fate::failed(Error::no_mailbox(&job.new.address))),
            (Verb::Create, false) | (Verb::Update | Verb::Passwd | Verb::Delete, true) => None,
        }
    }

    /// Returns the outcome that a refusal is, where it says that there was nothing to do.
    pub(super) fn nothing_to_do(self, refusal: Kind) -> Option<Outcome> {
        match (self, refusal) {
            (Verb::Create, Kind::Conflict) => Some(Outcome::Exists),
            (Verb::Delete, Kind::NotFound) => Some(Outcome::Absent),
            _ => None,
        }
    }

    /// Sends the one request of a row. An answer that was lost is not looked for: its effect is then `Unknown`.
    pub(super) async fn send(self, provider: &Checked, new: &NewMailbox) -> Result<Fate> {
        let address = &new.address;
        match self {
            Verb::Create => provider.create_without_look(new).await.map(|done| Fate::created(done.value)),
            Verb::Update => {
                let changed = provider.update_without_look(address, &new.as_change()).await?;
                Ok(Fate { mailbox: Some(changed.value), ..Fate::of(Outcome::Updated) })
            }
            Verb::Passwd => {
                let password = new.password.as_ref().expect("a row without a password is refused before");
                provider.set_password_without_look(address, password).await?;
                Ok(Fate::of(Outcome::Updated))
            }
            Verb::Delete => Ok(match provider.delete_without_look(address).await?.value {
                Removal::Done(note) => Fate { note: note.map(str::to_owned), ..Fate::of(Outcome::Deleted) },
                Removal::Scheduled { on: Some(on), note } => {
                    Fate { note: Some(format!("on {on}: {note}")), ..Fate::of(Outcome::Scheduled) }
                }
                Removal::Scheduled { on: None, note } => {
                    Fate { note: Some(note.to_owned()), ..Fate::of(Outcome::Scheduled) }
                }
            }),
        }
    }
}
