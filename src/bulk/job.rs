//! A row on its way, and the request of one or several of them.

use super::journal::Line;
use super::{Fate, Verb};
use crate::error::{Effect, Kind, Result};
use crate::model::{Mailbox, NewMailbox};
use crate::provider::{Checked, Provider};

/// A row on its way.
pub(super) struct Job {
    pub(super) row: u32,
    pub(super) line: u64,
    pub(super) new: NewMailbox,
    /// What is done: another thing than the run's verb where a mailbox was there before its create.
    pub(super) verb: Verb,
    /// Whether it was there before this run, where that is sure; of creates alone.
    pub(super) was_there: Option<bool>,
    /// Whether the listing from before this run did not show it, which proves little where listings lag.
    pub(super) unlisted: bool,
    /// Whether a request for it may have been carried out.
    pub(super) doubted: bool,
    /// Whether a request for several was refused as a whole, so that it goes alone to be told its own fate.
    pub(super) alone: bool,
    /// Whether a person wants it tried again, after all that looking could tell of it.
    pub(super) is_retry: bool,
    /// What is there of it, made by this run, when the quota or privilege asked for is still to be set.
    pub(super) half_made: Option<Box<Mailbox>>,
    /// How often it was sent by this process.
    pub(super) attempts: u32,
}

impl Job {
    /// Returns whether its request makes a mailbox.
    pub(super) fn makes(&self) -> bool {
        self.verb == Verb::Create && self.half_made.is_none()
    }

    /// Returns whether a person wants it sent again if it is not there.
    pub(super) fn is_wanted_again(&self) -> bool {
        self.is_retry && self.attempts == 0
    }

    /// Returns the job of changing what was there before its create to what is asked for.
    pub(super) fn adopt(self) -> Self {
        Job { verb: Verb::Update, alone: true, ..self }
    }

    pub(super) fn intent(&self) -> Line {
        Line::Intent {
            intent: self.row,
            line: self.line,
            address: self.new.address.to_string(),
            was_there: self.was_there,
        }
    }
}

/// Sends one request. Its results are in the order of the rows.
pub(super) async fn send(provider: &Checked, jobs: Vec<Job>) -> (Vec<Job>, Result<Vec<Result<Fate>>>) {
    let results = if let [job] = &jobs[..] {
        Ok(vec![match &job.half_made {
            Some(made) => set_extras(provider, &job.new, made).await.map(Fate::created),
            None => job.verb.send(provider, &job.new).await,
        }])
    } else {
        let batch: Vec<NewMailbox> = jobs.iter().map(|job| job.new.clone()).collect();
        let results = provider.create_mailboxes(&batch).await;
        results.map(|results| results.into_iter().map(|result| result.map(|done| Fate::created(done.value))).collect())
    };
    (jobs, results)
}

/// Sets what a mailbox that this run has made still lacks.
async fn set_extras(provider: &Checked, new: &NewMailbox, made: &Mailbox) -> Result<Mailbox> {
    match provider.update_mailbox(&new.address, &new.extras()).await {
        Ok(now) => Ok(Mailbox { quota: now.quota, admin: now.admin, ..made.clone() }),
        Err(error) if error.kind == Kind::Interrupted => Err(error),
        Err(mut error) => {
            error.message = format!("{} was created, but {}", new.address, error.message);
            Err(error.effect(Effect::Partial))
        }
    }
}
