//! A row on its way, and the request of one or several of them.

use jiff::Timestamp;

use super::journal::{Line, Listed};
use super::{Verb, Witness};
use crate::error::{Error, Result};
use crate::model::{Mailbox, MailboxChange, NewMailbox, Removal, Stamp};
use crate::provider::case::{Before, Case, Seen, Task};
use crate::provider::{Checked, CreationClock, Done, Provider};

/// A row on its way.
pub(super) struct Job {
    pub(super) row: u32,
    pub(super) line: u64,
    pub(super) new: NewMailbox,
    /// The life of its request: what is known and what comes next.
    pub(super) case: Case,
    /// Whether the journal says that it was listed before its first request.
    pub(super) was_listed: bool,
    /// Whether the journal says already that its next request leaves.
    pub(super) is_marked: bool,
    /// Whether a request for several was refused as a whole, so that this row is sent alone to get its own answer.
    pub(super) alone: bool,
    /// The mailbox as an answer or a look last showed it.
    pub(super) mailbox: Option<Box<Mailbox>>,
    /// The last error.
    pub(super) error: Option<Error>,
    /// What the user should know besides the outcome.
    pub(super) notes: Vec<String>,
    /// When a removal takes effect at a later time.
    pub(super) is_scheduled: bool,
}

/// What a request answered for one row.
pub(super) enum Answered {
    /// The mailbox as it is now.
    Mailbox(Box<Mailbox>),
    /// Nothing more than success.
    Nothing,
    /// What becomes of a removed mailbox.
    Removed(Removal),
}

impl Answered {
    fn mailbox(mailbox: Mailbox) -> Self {
        Answered::Mailbox(Box::new(mailbox))
    }
}

impl Job {
    /// Returns the creation time that the provider answered.
    pub(super) fn created_at(done: &Done<Answered>) -> Option<&Stamp> {
        match &done.value {
            Answered::Mailbox(mailbox) => mailbox.created_at.as_ref(),
            Answered::Nothing | Answered::Removed(_) => None,
        }
    }

    /// Returns the id that the provider answered.
    pub(super) fn id(done: &Done<Answered>) -> Option<String> {
        match &done.value {
            Answered::Mailbox(mailbox) => mailbox.id.clone(),
            Answered::Nothing | Answered::Removed(_) => None,
        }
    }

    /// Returns the row's mailbox as one that was created after this time.
    pub(super) fn witness(&self, id: Option<String>, after: Timestamp) -> Witness {
        Witness { address: self.new.address.clone(), id, after }
    }

    /// Returns whether its next request creates a mailbox.
    pub(super) fn creates(&self) -> bool {
        self.case.task() == Task::Create
    }

    /// Returns whether nothing of it can have been carried out so far.
    pub(super) fn is_untouched(&self) -> bool {
        !self.case.is_doubted() && self.case.task() != Task::Finish
    }

    /// Returns the line that says what is about to be asked for.
    pub(super) fn intent(&self) -> Line {
        let listed = match self.case.before() {
            Before::Yes => Listed::Yes,
            Before::No(_) => Listed::No,
            Before::NotKnown => Listed::NotKnown,
        };
        Line::Intent { intent: self.row, line: self.line, address: self.new.address.to_string(), listed }
    }

    /// Returns what the row wants of a mailbox that a look shows.
    fn wanted(&self) -> MailboxChange {
        match (self.case.task(), self.case.on_existing()) {
            (Task::Update, _) => self.new.as_change(),
            // One that exists is changed to all that is asked for; a new one lacks only what takes a second request.
            (Task::Create, super::OnExisting::Update) => self.new.as_change(),
            (Task::Create | Task::Finish, _) => self.new.extras(),
            (Task::SetPassword | Task::Delete, _) => MailboxChange::default(),
        }
    }

    /// Returns a mailbox that a listing shows, read by itself where the listing leaves out the quota that is asked for.
    pub(super) async fn complete(&self, provider: &Checked, mailbox: Mailbox) -> Mailbox {
        if self.wanted().quota.is_none() || mailbox.quota.is_some() {
            return mailbox;
        }
        provider.get_mailbox(&self.new.address).await.unwrap_or(mailbox)
    }

    /// Takes in a mailbox that a look shows, and returns it as evidence.
    pub(super) fn see(&mut self, provider: &Checked, mailbox: Mailbox, clock: &CreationClock) -> Seen {
        let seen = provider.seen(&self.case, &mailbox, &self.wanted(), self.mailbox.as_deref(), clock);
        if self.case.task() != Task::Delete || self.mailbox.is_none() {
            self.mailbox = Some(Box::new(mailbox));
        }
        seen
    }

    /// Takes in what the provider answered.
    pub(super) fn take(&mut self, done: Done<Answered>) {
        self.notes.extend(done.notes);
        match done.value {
            Answered::Mailbox(mailbox) => {
                let whole = match self.mailbox.take() {
                    // The answer to the second request shows only what it set.
                    Some(made) if self.case.task() == Task::Finish => {
                        Box::new(Mailbox { quota: mailbox.quota, admin: mailbox.admin, ..*made })
                    }
                    _ => mailbox,
                };
                self.mailbox = Some(whole);
            }
            Answered::Nothing => {}
            Answered::Removed(Removal::Done(note)) => self.notes.extend(note.map(str::to_owned)),
            Answered::Removed(Removal::Scheduled { on, note }) => {
                self.is_scheduled = true;
                self.notes.push(on.map_or_else(|| note.to_owned(), |on| format!("on {on}: {note}")));
            }
        }
    }
}

/// Sends one request. Its results are in the order of the rows.
pub(super) async fn send(provider: &Checked, jobs: Vec<Job>) -> (Vec<Job>, Result<Vec<Result<Done<Answered>>>>) {
    let results = if let [job] = &jobs[..] {
        Ok(vec![send_one(provider, job).await])
    } else {
        let batch: Vec<NewMailbox> = jobs.iter().map(|job| job.new.clone()).collect();
        let results = provider.create_mailboxes(&batch).await;
        results.map(|all| all.into_iter().map(|result| result.map(|done| done.map(Answered::mailbox))).collect())
    };
    (jobs, results)
}

async fn send_one(provider: &Checked, job: &Job) -> Result<Done<Answered>> {
    let (new, address) = (&job.new, &job.new.address);
    Ok(match job.case.task() {
        Task::Create => provider.send_new(new).await?.map(Answered::mailbox),
        Task::Finish => provider.send_extras(new).await?.map(Answered::mailbox),
        Task::Update => provider.send_change(address, &new.as_change()).await?.map(Answered::mailbox),
        Task::SetPassword => {
            // The dry run of a row whose password is still to be made sends none.
            let password = new.password.clone().unwrap_or_default();
            provider.send_password(address, &password).await?.map(|()| Answered::Nothing)
        }
        Task::Delete => provider.send_delete(address).await?.map(Answered::Removed),
    })
}

impl Verb {
    /// Returns the task of a row's first request.
    pub(super) fn task(self) -> Task {
        match self {
            Verb::Create => Task::Create,
            Verb::Update => Task::Update,
            Verb::Passwd => Task::SetPassword,
            Verb::Delete => Task::Delete,
        }
    }
}
