//! Many mailboxes from a file: checked as a whole, journaled ahead, resumable, and honest about every row.
//!
//! A feeder reads the rows and brings their intents to the disk in groups; requests leave as many at a time as asked
//! for, in no order. A request whose answer was lost is a doubt. Doubts are gathered and settled by one listing, never by
//! a look-up each (where a provider takes several mailboxes in one request, rows of a domain travel together):
//!
//! | verb | the listing shows the mailbox | and | then |
//! |---|---|---|---|
//! | create | there | it was not there before this run | `created` |
//! | create | there | its creation time tells | `created` or `exists` |
//! | create | there | nothing tells | `unknown` |
//! | create | not there, twice | the provider's listing is up to date | it is sent again |
//! | create | not there, for some minutes | the provider's listing lags | `failed`; a retry sends it again |
//! | update | as asked for | | `updated` |
//! | update | otherwise | | it is sent again |
//! | passwd | (no listing tells a password) | setting the same one twice is setting it once | it is sent again |
//! | delete | not there | | `deleted` |
//! | delete | ending | | `scheduled` |
//! | delete | there | | it is sent again |
//!
//! What was there before is known from a listing that is taken before the first request of a domain, unless that would
//! take longer than the run itself. A row for which it leaves nothing to do is done, and nothing is sent for it. Where
//! mailboxes that were there before their create are to be changed to what is asked for, those rows become updates: one
//! listing for many of them tells which need a request, and the others are `unchanged`. Where a listing lags, what it
//! does not show may be there all the same, and the creation time has to tell.

pub mod input;
pub mod journal;
pub mod record;
pub mod sink;

mod engine;
mod feed;
mod job;
mod settle;
mod verb;

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

pub use self::engine::run;
use self::input::Input;
use self::job::Job;
use self::journal::Journal;
use self::record::Record;
use self::sink::Sink;
pub use self::verb::Verb;
use crate::error::Error;
pub use crate::interrupt::Interrupt;
use crate::model::{Address, Mailbox};
use crate::output::Outcome;

/// Identifies an address within this process without keeping it; its case does not matter. Two of a million are the
/// same with a chance of one in 10^17, whoever has chosen them: the keys are random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 12]);

impl Fingerprint {
    /// Returns the fingerprint of an address.
    pub fn of(address: &Address) -> Self {
        static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
        let [first, second] = KEYS.each_ref().map(|keys| keys.hash_one(address).to_ne_bytes());
        let mut print = [0; 12];
        print[..8].copy_from_slice(&first);
        print[8..].copy_from_slice(&second[..4]);
        Fingerprint(print)
    }
}

/// How a run is carried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is done to each mailbox.
    pub verb: Verb,
    /// Requests in the air at the same time.
    pub concurrency: usize,
    /// Whether a mailbox that was there before its create, or was not there before its delete, is no failure.
    pub already_is_fine: bool,
    /// Whether a mailbox that was there before its create is changed to what its row asks for.
    pub adopts: bool,
    /// After how many failures nothing more is sent.
    pub max_failures: Option<u32>,
    /// Whether requests are only shown.
    pub dry_run: bool,
    /// How long to wait before a listing is read again.
    pub poll: Duration,
}

/// Where a run reads from and writes to.
pub struct Ends<'a> {
    /// The rows, checked.
    pub input: &'a Input,
    /// How many rows and domains there are.
    pub size: (u32, usize),
    /// Where the run is journaled; a dry run is not.
    pub journal: Option<&'a Journal>,
    /// Where generated passwords go, if they are generated.
    pub sink: Option<Sink>,
    /// What an earlier part of the run has done.
    pub record: Option<&'a Record>,
    /// Who may ask for an early end.
    pub interrupt: &'a Interrupt,
    /// Hears why nothing happens for long.
    pub notice: &'a dyn Fn(&str),
}

/// How many rows came to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    counts: Vec<(Outcome, u32)>,
    /// Not worked on, or in doubt still: what a resumed run does.
    pub left: u32,
}

impl Summary {
    /// Returns the summary of so many rows before any is worked on.
    pub fn new(rows: u32) -> Self {
        Summary { counts: Vec::new(), left: rows }
    }

    /// Returns how many rows came to this.
    pub fn of(&self, outcome: Outcome) -> u32 {
        self.counts.iter().find(|(known, _)| *known == outcome).map_or(0, |(_, count)| *count)
    }

    /// Returns how many rows came to what, where there are any, in the order in which they first did.
    pub fn all(&self) -> impl Iterator<Item = (Outcome, u32)> {
        self.counts.iter().copied()
    }

    /// Returns how many rows failed, where `already_is_fine` decides about those for which there was nothing to do.
    pub fn failures(&self, already_is_fine: bool) -> u32 {
        let already = self.of(Outcome::Exists) + self.of(Outcome::Absent);
        self.of(Outcome::Failed) + if already_is_fine { 0 } else { already }
    }

    fn count(&mut self, outcome: Outcome) {
        match self.counts.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((outcome, 1)),
        }
        self.left = self.left.saturating_sub(1);
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// How many rows came to what, those of earlier parts of the run included.
    pub summary: Summary,
    /// Why it ended before all rows were worked on.
    pub stopped: Option<Error>,
}

/// What became of a row.
struct Fate {
    outcome: Outcome,
    /// The mailbox as the provider told it.
    mailbox: Option<Mailbox>,
    /// Why it failed.
    error: Option<Error>,
    /// What else there is to say.
    note: Option<String>,
}

impl Fate {
    fn of(outcome: Outcome) -> Self {
        Fate { outcome, mailbox: None, error: None, note: None }
    }

    fn created(mailbox: Mailbox) -> Self {
        Fate { mailbox: Some(mailbox), ..Fate::of(Outcome::Created) }
    }

    fn failed(error: Error) -> Self {
        Fate { error: Some(error), ..Fate::of(Outcome::Failed) }
    }

    /// A mailbox whose delete was carried out, although its answer was lost.
    fn gone() -> Self {
        Fate { note: Some("its answer was lost, and it is gone".to_owned()), ..Fate::of(Outcome::Deleted) }
    }
}
