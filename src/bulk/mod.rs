//! Many mailboxes from a file: checked as a whole, journaled ahead, resumable, and honest about every row.
//!
//! A feeder reads the rows and brings their intents to the disk in groups; requests leave as many at a time as asked
//! for, in no order. Each row is a [`Case`](crate::provider::case::Case), which decides what an answer, a loss or a look
//! means and what comes next: the tables are there. What a run adds is this:
//!
//! * Rows that need a look are gathered, and one listing serves all of them (where a provider takes several mailboxes in
//!   one request, rows of a domain travel together). What the listing leaves out, such as a quota, is read for each.
//! * What was there before is known from a listing that is taken before the first request of a domain, unless that would
//!   take longer than the run itself. A row for which it leaves nothing to do is done, and nothing is sent for it.
//! * A listing is proven to be new by the mailboxes that this run has created: it shows one whose answer came after the
//!   doubted request, or the run has seen how soon the provider lists what it creates.
//! * A run ends early where the next row would fail in the same way.

pub mod input;
pub mod journal;
pub mod record;
pub mod sink;

mod engine;
mod feed;
mod job;
mod looks;
mod verb;

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

pub use self::engine::{rules, run};
pub use self::feed::STAND_IN;
use self::input::Input;
use self::journal::Journal;
pub use self::looks::{Witness, Witnesses};
use self::record::Record;
use self::sink::Sink;
pub use self::verb::Verb;
use crate::error::Error;
pub use crate::interrupt::Interrupt;
use crate::model::{Address, Outcome};
pub use crate::provider::case::OnExisting;

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
    /// Parallel requests.
    pub concurrency: usize,
    /// What is done about a mailbox that exists before its create.
    pub on_existing: OnExisting,
    /// Whether a mailbox that does not exist before its delete is no failure.
    pub missing_is_fine: bool,
    /// After how many failures nothing more is sent.
    pub max_failures: Option<u32>,
    /// Whether requests are only shown.
    pub dry_run: bool,
    /// Whether rows in doubt are only looked for, and nothing is sent that changes anything.
    pub only_looks: bool,
    /// The pause before the second look for a lost request; each later pause is twice as long.
    pub poll: Duration,
}

impl Options {
    /// Returns whether a row for which there was nothing to do is no failure.
    pub fn nothing_to_do_is_fine(&self) -> bool {
        nothing_to_do_is_fine(self.verb, self.on_existing, self.missing_is_fine)
    }
}

/// Returns whether a row for which there was nothing to do is no failure of such a run.
pub fn nothing_to_do_is_fine(verb: Verb, on_existing: OnExisting, missing_is_fine: bool) -> bool {
    match verb {
        Verb::Create => on_existing != OnExisting::Fail,
        Verb::Delete => missing_is_fine,
        Verb::Update | Verb::Passwd => true,
    }
}

/// Where a run reads from and writes to.
pub struct RunIo<'a> {
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
    /// Who may ask the run to stop.
    pub interrupt: &'a Interrupt,
    /// Called with the reason for a long pause.
    pub notice: &'a dyn Fn(&str),
}

/// How many rows came to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    counts: Vec<(Outcome, u32)>,
    /// Not worked on, or still in doubt: what a resumed run does.
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

    /// Returns how many rows make the run end with a failure: those that failed, and those that there was nothing to do
    /// for where that is not fine.
    pub fn failures(&self, nothing_to_do_is_fine: bool) -> u32 {
        let nothing = self.of(Outcome::Exists) + self.of(Outcome::Absent);
        self.of(Outcome::Failed) + if nothing_to_do_is_fine { 0 } else { nothing }
    }

    fn count(&mut self, outcome: Outcome) {
        self.add(outcome, 1);
    }

    /// Counts so many rows that came to this.
    pub fn add(&mut self, outcome: Outcome, rows: u32) {
        match self.counts.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, count)) => *count += rows,
            None => self.counts.push((outcome, rows)),
        }
        self.left = self.left.saturating_sub(rows);
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
