//! The four things that can be done to each mailbox of a file.

use serde::{Deserialize, Serialize};

use crate::model::NewMailbox;
use crate::provider::{Op, Problem, Spec};

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
}
