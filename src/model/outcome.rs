//! What became of a request, and of the password that it carried.

use serde::{Deserialize, Serialize};

/// What became of a request, for people and scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was made.
    Created,
    /// It was there already.
    Exists,
    /// It was changed.
    Updated,
    /// It was as asked for already.
    #[value(skip)]
    Unchanged,
    /// It is gone.
    Deleted,
    /// It will be removed later.
    Scheduled,
    /// It was not there.
    Absent,
    /// A dry run: nothing was sent.
    #[value(skip)]
    Planned,
    /// It was not done.
    Failed,
    /// It may or may not have been done.
    Unknown,
}

/// What is known of a password that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordState {
    /// The provider confirmed the request that carried it.
    Accepted,
    /// The mailbox is ours by all evidence, but the answer that would confirm the password was lost.
    Assumed,
    /// It was sent, and nothing proves whether it took effect.
    PossiblyInUse,
}
