//! The life of one request, as a pure state machine: it takes in what happened and returns what to do next. It does not
//! send, wait or read a clock, so that a test can try every history.
//!
//! A single command drives one case. A bulk run drives thousands and joins their looks into one listing; a batch request
//! is many cases that read one answer. A resumed run, a retry and `mbx bulk settle` begin their cases from the journal.
//!
//! # What the evidence is worth
//!
//! After an answer was lost, a look shows the thing or it does not. Whose it is, and whether its absence proves anything,
//! is decided here and nowhere else.
//!
//! | create: a look shows it, and | then it is |
//! |---|---|
//! | it was listed before the first request | somebody else's |
//! | it cannot be what was asked for (an alias with other targets) | somebody else's |
//! | its creation time lies within our request | ours |
//! | its creation time lies after all that our request can have taken | somebody else's |
//! | a listing read just before the request lacked it, and it shows within [`NEAR`] of the loss | ours |
//! | its creation time lies well before our request | somebody else's |
//! | none of these | unknown |
//!
//! A listing from just before the request beats a creation time that seems too early: clocks are often wrong by hours,
//! and a stranger would have to create the same address within the same seconds. After a resume that listing is too old
//! to count, and only the creation time is left.
//!
//! | create: a look does not show it, and | then |
//! |---|---|
//! | an earlier process listed it, and so did not create it | it is sent for the first time |
//! | the listing is proven to be newer than the loss ([`Look::as_of`]) | it was not made: it is sent again |
//! | the loss is longer ago than any listing lags | it was not made: it is sent again, or `failed` where a second order costs money |
//! | none of these | another look, later each time |
//! | no look showed it, and the provider documents that it refuses a second one | it is sent again: that cannot make two |
//! | no look showed it, otherwise | `unknown` |
//!
//! | a conflict in reply to a repeat | a look decides as above; what is proven absent is held by something else |
//! |---|---|
//! | a refusal in reply to a repeat | a look decides as above, and nothing is sent again |
//!
//! An update and a password are sent again as they are: setting the same value twice is setting it once. A delete is sent
//! again while a look still shows the thing. After the last attempt, a change or a deletion that a look does not show has
//! failed where that look would prove an absence, else it is `unknown`. A delete is `deleted` when it was seen before and
//! a complete listing lacks it, when another one of a different id stands in its place, or when the provider answers that
//! it is not there; where a listing before the request lacked it, it is `absent`.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{Outcome, PasswordState};

/// How soon after the loss a thing must show to be taken for ours without a creation time: within this, a stranger would
/// have to create the same address in the same seconds.
pub const NEAR: SignedDuration = SignedDuration::from_secs(10);

/// How old a listing may be when a request is sent, to say what was there before it.
pub const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// No host is known to list a mailbox later than this after its creation.
pub const LAG: SignedDuration = SignedDuration::from_mins(15);

/// How long a host may still work on a request after its answer was lost: a proxy that gives up does not stop it.
pub const GRACE: SignedDuration = SignedDuration::from_secs(3);

/// What a request does to one thing: a mailbox, an alias or a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Create it.
    Create,
    /// Set what a created mailbox still lacks, such as its quota.
    Finish,
    /// Change it.
    Update,
    /// Set its password.
    SetPassword,
    /// Delete it.
    Delete,
}

/// What to do when a thing exists before it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnExisting {
    /// Fail
    #[default]
    Fail,
    /// Leave it as it is; that is no failure
    #[value(name = "ok")]
    Keep,
    /// Change it to what is asked for; its password stays
    Update,
}

/// What is known of the time before the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Before {
    /// Nobody looked, or the look failed.
    #[default]
    NotKnown,
    /// A complete listing, begun at this time, lacked it.
    No(Timestamp),
    /// It was listed.
    Yes,
}

/// When a thing was made, compared with our request, by the provider's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Well before the request: further than clocks are usually wrong.
    Before,
    /// Within the time that the request took.
    During,
    /// Well after all that the request can have taken.
    After,
    /// Too close to the request to decide.
    Near,
    /// The provider gives no time, none with a zone, or one that lies in its own future.
    Untold,
}

/// When the requests left that an earlier process sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The first one; `None` where an earlier one may have left.
    pub first: Option<Timestamp>,
    /// The last one.
    pub last: Timestamp,
}

/// What a look shows of the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When it was made.
    pub made: Made,
    /// Whether it is as asked for: quota and privilege of a create, all fields of an update.
    pub fits: bool,
    /// Whether it can be the thing that the request is about: for an alias, whether its targets are those asked for; for
    /// a delete, whether it is the same one as before.
    pub same: bool,
    /// Whether its deletion is scheduled.
    pub ending: bool,
}

/// One look: a listing or a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// When the look began.
    pub at: Timestamp,
    /// The time up to which the listing is proven to show what was done; `None` where nothing proves it.
    pub as_of: Option<Timestamp>,
    /// What it shows.
    pub found: Found,
}

/// What a look shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    There(Seen),
    /// A complete listing lacks it.
    Missing,
    /// The look failed, or the listing ended early: it proves nothing.
    Incomplete,
}

/// An answer of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done as asked.
    Done,
    /// A mailbox was created, but what takes a second request was not set.
    Partial,
    /// It exists already.
    Exists,
    /// It, or its domain, does not exist.
    Absent,
    /// Refused for another reason.
    Refused,
}

/// What happened, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody looked.
    Looked(Look),
    /// The provider answered.
    Answered(Answer),
    /// The request may have been carried out, and its answer was lost at this time.
    Lost(Timestamp),
    /// The request did not leave.
    NotSent,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look, not before this time.
    Look(Timestamp),
    /// Send the request of [`Case::task`].
    Send,
    /// Nothing more.
    Finish(Verdict),
}

/// Why a case ended as it did, where its outcome does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The provider answered.
    Answered,
    /// A look showed it.
    Shown,
    /// No look showed it.
    NotShown,
    /// It is there, and nothing proves whose it is.
    NotProven,
    /// Looks failed or were incomplete.
    LookFailed,
    /// Nothing can be looked up at this provider.
    CannotLook,
    /// The answers to all attempts were lost.
    LostEachTime,
    /// It is there, and what it still lacks was not sent, since this process only looks.
    OnlyLooked,
    /// The request did not leave.
    NotSent,
    /// The address is refused as existing, and no look shows what has it: an alias, for instance.
    HeldOtherwise,
}

/// What became of the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// What is known of the password; `None` where it was certainly not used.
    pub password: Option<PasswordState>,
    /// Why.
    pub why: Why,
    /// For `unknown`: from when on a look can settle it; `None` where no look can.
    pub settles_at: Option<Timestamp>,
}

impl Verdict {
    /// Returns the verdict that nothing decides about a case.
    pub fn unknown(case: &Case, why: Why) -> Self {
        let Case { rules, task, .. } = case;
        let can_settle =
            rules.can_look && !matches!(why, Why::NotProven | Why::OnlyLooked) && *task != Task::SetPassword;
        // Who settles it knows when the last request left, and not when its answer was lost.
        let settles_at = can_settle.then(|| case.last_doubt() + rules.answer + rules.grace() + rules.lag);
        Verdict { outcome: Outcome::Unknown, password: case.password, why, settles_at }
    }
}

/// How one provider is asked, and how patiently.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What to do when the thing exists before it is created.
    pub on_existing: OnExisting,
    /// Whether a second create of the same thing is refused as a conflict.
    pub refuses_existing: bool,
    /// Whether the thing can be looked up.
    pub can_look: bool,
    /// Whether a request may be sent at all in a case that another process began.
    pub resends: bool,
    /// Whether a create is sent again only after proof by a newer listing, since a second order may cost money.
    pub is_costly: bool,
    /// How often the request is sent.
    pub attempts: u32,
    /// How often it is looked for after a loss.
    pub looks: u32,
    /// The pause before the second look; each later pause is twice as long. Zero: nothing is waited for.
    pub pause: SignedDuration,
    /// After how long a complete listing that lacks the thing proves that it was not made.
    pub lag: SignedDuration,
    /// How long an answer is waited for at most. So long a host may work on a request whose sender was killed.
    pub answer: SignedDuration,
}

impl Rules {
    /// How long a host may work on after a loss.
    pub fn grace(&self) -> SignedDuration {
        GRACE.min(self.pause.checked_mul(2).unwrap_or(GRACE))
    }

    /// How long all looks after one loss take.
    pub fn patience(&self) -> SignedDuration {
        self.wait(self.looks.saturating_sub(1))
    }

    fn wait(&self, looks: u32) -> SignedDuration {
        self.pause.checked_mul((1_i32 << looks.min(20)) - 1).unwrap_or(self.lag)
    }
}

/// Whose a thing is that showed after a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Theirs,
    Open,
}

/// What is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// Nothing: every request so far was answered or did not leave.
    None,
    /// An answer was lost.
    Lost,
    /// A repeat was answered "it exists".
    Exists,
    /// A repeat was refused for another reason.
    Refused,
}

/// One request on its way.
#[derive(Debug, Clone)]
pub struct Case {
    task: Task,
    rules: Rules,
    before: Before,
    /// When the first request left that may have taken effect.
    sent: Option<Timestamp>,
    /// When the last request left.
    last_sent: Timestamp,
    /// When an answer was last lost.
    lost: Timestamp,
    /// Until when a host may work on a request of an earlier process.
    worked_on: Timestamp,
    doubt: Doubt,
    /// Whether the doubt comes from an earlier process.
    is_resumed: bool,
    /// Whether a conflict is being confirmed by a look.
    is_confirming: bool,
    /// Whether a look has proven that no create so far made it.
    is_not_made: bool,
    attempts: u32,
    looks: u32,
    password: Option<PasswordState>,
}

impl Case {
    /// Begins a case of which nothing was sent yet.
    pub fn new(task: Task, rules: Rules) -> Self {
        Case {
            task,
            rules,
            before: Before::NotKnown,
            sent: None,
            last_sent: Timestamp::UNIX_EPOCH,
            lost: Timestamp::UNIX_EPOCH,
            worked_on: Timestamp::UNIX_EPOCH,
            doubt: Doubt::None,
            is_resumed: false,
            is_confirming: false,
            is_not_made: false,
            attempts: 0,
            looks: 0,
            password: None,
        }
    }

    /// Begins a case whose requests an earlier process may have sent, without an answer that is known. `sent` is when they
    /// left; `None` where that is not known either.
    pub fn resumed(task: Task, rules: Rules, was_listed: bool, sent: Option<Sent>, now: Timestamp) -> Self {
        let first = sent.and_then(|sent| sent.first);
        let last = sent.map_or(now, |sent| sent.last);
        let mut case = Case { sent: first, worked_on: last + rules.answer, is_resumed: true, ..Case::new(task, rules) };
        if was_listed {
            case.before = Before::Yes;
        }
        case.lose(last);
        if was_listed && task == Task::Create {
            // What exists is not created, so that no request carried a password.
            case.password = None;
        }
        case
    }

    /// Returns the task, which changes on the way: a create becomes a finish or an update.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Returns what is done about a thing that exists before it is created.
    pub fn on_existing(&self) -> OnExisting {
        self.rules.on_existing
    }

    /// Returns when the first request left that may have taken effect.
    pub fn sent(&self) -> Option<Timestamp> {
        self.sent
    }

    /// Returns when an answer was last lost; `None` while none was.
    pub fn lost(&self) -> Option<Timestamp> {
        self.is_doubted().then_some(self.lost)
    }

    /// Returns whether a request may have taken effect without an answer.
    pub fn is_doubted(&self) -> bool {
        self.doubt != Doubt::None
    }

    /// Returns what was there before the first request.
    pub fn before(&self) -> Before {
        self.before
    }

    /// Returns how often the present task was sent by this process.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns what is known of the password.
    pub fn password(&self) -> Option<PasswordState> {
        self.password
    }

    /// Says what was there before the first request.
    pub fn set_before(&mut self, before: Before) {
        self.before = before;
    }

    /// Returns the first step of a case whose thing was looked for by somebody else, as far as that was possible.
    pub fn begin(&self, now: Timestamp) -> Step {
        match self.task {
            _ if self.is_doubted() => self.first_look(),
            Task::Create if self.before == Before::Yes && self.rules.can_look => Step::Look(now),
            _ => Step::Send,
        }
    }

    /// Returns the first step of a case that looks for itself: a look before a create or a delete, so that what was there
    /// before is known when an answer is lost.
    pub fn begin_with_look(&self, now: Timestamp) -> Step {
        match self.task {
            Task::Create | Task::Delete if self.rules.can_look && !self.is_doubted() => Step::Look(now),
            _ => self.begin(now),
        }
    }

    /// Says that the request did not leave after all, or was refused before it was looked at.
    pub fn unsend(&mut self) {
        if !self.is_doubted() {
            self.sent = None;
        }
    }

    /// Says that the request leaves at this time.
    pub fn send(&mut self, at: Timestamp) {
        self.attempts += 1;
        self.last_sent = at;
        // Where an earlier process may have sent the first one, that is not this one.
        if !self.is_doubted() {
            self.sent.get_or_insert(at);
        }
    }

    /// Takes in what happened, and returns what to do next.
    pub fn on(&mut self, event: Event) -> Step {
        match event {
            Event::Answered(answer) => self.answered(answer),
            Event::Lost(at) => {
                self.lose(at);
                self.first_look()
            }
            Event::NotSent => {
                if self.is_not_made {
                    return self.finish(Outcome::Failed, Why::NotShown);
                }
                if self.is_doubted() {
                    return self.unknown(Why::LostEachTime);
                }
                self.unsend();
                self.finish(Outcome::Failed, Why::NotSent)
            }
            Event::Looked(look) => match (self.is_doubted(), look.found) {
                (false, found) => self.looked_before(found, look.at),
                (true, found) => {
                    self.looks += 1;
                    match (self.task, found) {
                        (Task::Create, Found::There(seen)) => self.shown(seen, look.at),
                        (Task::Create, Found::Missing) => self.not_shown(look),
                        (Task::Create, Found::Incomplete) => self.look_again(Why::LookFailed),
                        (Task::Delete, found) => self.looked_for_deleted(found, look),
                        (Task::Finish | Task::Update, Found::There(Seen { fits: true, .. })) => {
                            let done = if self.task == Task::Finish { Outcome::Created } else { Outcome::Updated };
                            self.finish(done, Why::Shown)
                        }
                        (Task::Finish | Task::Update, Found::There(_)) => self.not_done(look, Why::Shown),
                        (Task::Finish | Task::Update, Found::Missing) => self.not_done(look, Why::NotShown),
                        (Task::Finish | Task::Update | Task::SetPassword, _) => self.send_again(Why::LostEachTime),
                    }
                }
            },
        }
    }

    fn lose(&mut self, at: Timestamp) {
        (self.doubt, self.lost, self.looks, self.is_not_made) = (Doubt::Lost, at, 0, false);
        if matches!(self.task, Task::Create | Task::SetPassword) {
            self.password.get_or_insert(PasswordState::PossiblyInUse);
        }
    }

    /// Returns the step after a loss.
    fn first_look(&self) -> Step {
        match self.task {
            Task::SetPassword => self.send_again(Why::LostEachTime),
            _ if self.rules.can_look => Step::Look(self.lost),
            Task::Create if !self.rules.refuses_existing => self.unknown(Why::CannotLook),
            _ => self.send_again(Why::CannotLook),
        }
    }

    fn answered(&mut self, answer: Answer) -> Step {
        match (answer, self.task) {
            (Answer::Done, task) => {
                if matches!(task, Task::Create | Task::SetPassword) {
                    self.password = Some(PasswordState::Accepted);
                }
                let outcome = match task {
                    Task::Create | Task::Finish => Outcome::Created,
                    Task::Update | Task::SetPassword => Outcome::Updated,
                    Task::Delete => Outcome::Deleted,
                };
                self.finish(outcome, Why::Answered)
            }
            (Answer::Partial, Task::Create) => {
                self.password = Some(PasswordState::Accepted);
                self.become_task(Task::Finish)
            }
            (Answer::Exists, Task::Create) if self.doubt == Doubt::None => {
                self.before = Before::Yes;
                match self.rules.on_existing {
                    OnExisting::Keep | OnExisting::Update if self.rules.can_look => {
                        self.is_confirming = true;
                        Step::Look(self.last_sent)
                    }
                    _ => self.finish(Outcome::Exists, Why::Answered),
                }
            }
            (Answer::Exists, Task::Create) => self.doubt_again(Doubt::Exists),
            (Answer::Absent, Task::Delete) if self.is_doubted() => self.gone(Why::Answered),
            (Answer::Absent, Task::Delete) => self.finish(Outcome::Absent, Why::Answered),
            (Answer::Partial | Answer::Exists | Answer::Absent | Answer::Refused, task) => match task {
                _ if !self.is_doubted() => self.finish(Outcome::Failed, Why::Answered),
                // What is not there is not changed, whatever the first request did to it.
                Task::Update | Task::SetPassword if answer == Answer::Absent => {
                    self.finish(Outcome::Failed, Why::Answered)
                }
                Task::Create => self.doubt_again(Doubt::Refused),
                Task::Finish | Task::Update | Task::SetPassword | Task::Delete => self.unknown(Why::Answered),
            },
        }
    }

    /// Looks after a repeat was answered in a way that may come of the first request.
    fn doubt_again(&mut self, doubt: Doubt) -> Step {
        (self.doubt, self.looks, self.is_not_made) = (doubt, 0, false);
        if self.rules.can_look { Step::Look(self.last_sent) } else { self.unknown(Why::CannotLook) }
    }

    /// Takes in a look before anything was sent, or one that confirms a conflict.
    fn looked_before(&mut self, found: Found, at: Timestamp) -> Step {
        let is_confirming = std::mem::take(&mut self.is_confirming);
        match (self.task, found) {
            (Task::Create, Found::There(seen)) => {
                self.before = Before::Yes;
                self.exists(seen)
            }
            // A listing may lag behind the refusal; where it does so by the provider's own account, the refusal counts.
            (Task::Create, Found::Missing) if is_confirming && !self.rules.is_costly => {
                self.looks += 1;
                if self.looks < self.rules.looks {
                    self.is_confirming = true;
                    return Step::Look(self.last_doubt() + self.rules.wait(self.looks));
                }
                self.finish(Outcome::Failed, Why::HeldOtherwise)
            }
            (Task::Create, Found::Missing | Found::Incomplete) if is_confirming => self.exists_unseen(Why::Answered),
            (Task::Update, Found::There(Seen { fits: true, .. })) => self.finish(Outcome::Unchanged, Why::Shown),
            (_, Found::There(_)) => {
                self.before = Before::Yes;
                Step::Send
            }
            (_, Found::Missing) => {
                self.before = Before::No(at);
                Step::Send
            }
            // It was listed, so that it is not created, whatever the look was to add.
            (Task::Create, Found::Incomplete) if self.before == Before::Yes => self.exists_unseen(Why::Shown),
            (_, Found::Incomplete) => Step::Send,
        }
    }

    /// Decides about a thing that was there before it was to be created.
    fn exists(&mut self, seen: Seen) -> Step {
        match self.rules.on_existing {
            OnExisting::Fail | OnExisting::Keep => self.finish(Outcome::Exists, Why::Shown),
            OnExisting::Update if seen.fits => self.finish(Outcome::Unchanged, Why::Shown),
            OnExisting::Update => self.become_task(Task::Update),
        }
    }

    /// Decides about a thing that exists, and of which no look shows what it is like.
    fn exists_unseen(&mut self, why: Why) -> Step {
        match self.rules.on_existing {
            OnExisting::Fail | OnExisting::Keep => self.finish(Outcome::Exists, why),
            OnExisting::Update => self.become_task(Task::Update),
        }
    }

    /// Goes over to another request, of which nothing was sent yet; by an earlier process it may have been.
    fn become_task(&mut self, task: Task) -> Step {
        let doubt = if self.is_resumed { Doubt::Lost } else { Doubt::None };
        (self.task, self.doubt, self.attempts, self.looks, self.is_not_made) = (task, doubt, 0, 0, false);
        if self.rules.resends { Step::Send } else { self.unknown(Why::OnlyLooked) }
    }

    /// Decides about a thing that showed after the answer to its creation was lost.
    fn shown(&mut self, seen: Seen, at: Timestamp) -> Step {
        match self.whose(seen, at) {
            Whose::Ours => {
                self.password = Some(PasswordState::Assumed);
                if seen.fits { self.finish(Outcome::Created, Why::Shown) } else { self.become_task(Task::Finish) }
            }
            Whose::Theirs => {
                self.before = Before::Yes;
                self.exists(seen)
            }
            Whose::Open => self.unknown(Why::NotProven),
        }
    }

    /// Says whose a thing is that showed after a loss: the first table of this module.
    fn whose(&self, seen: Seen, at: Timestamp) -> Whose {
        let was_missing = match (self.before, self.sent) {
            (Before::No(read), Some(sent)) => !self.is_resumed && sent.duration_since(read) <= FRESH,
            _ => false,
        };
        let is_near = was_missing && at.duration_since(self.lost) <= NEAR;
        match seen.made {
            _ if self.before == Before::Yes || !seen.same => Whose::Theirs,
            Made::During => Whose::Ours,
            Made::After => Whose::Theirs,
            Made::Before | Made::Near | Made::Untold if is_near => Whose::Ours,
            Made::Before => Whose::Theirs,
            Made::Near | Made::Untold => Whose::Open,
        }
    }

    /// Decides about a thing that a complete listing lacks after the answer to its creation was lost: the second table.
    fn not_shown(&mut self, look: Look) -> Step {
        if self.before == Before::Yes && self.may_send() {
            // It was listed by an earlier process, which did not create it then, and is gone: this is a new create.
            (self.doubt, self.is_resumed, self.sent) = (Doubt::None, false, None);
            return self.looked_before(look.found, look.at);
        }
        let (is_newer, is_long_ago) = self.absence(look);
        match self.doubt {
            Doubt::Refused if is_newer || is_long_ago => self.finish(Outcome::Failed, Why::Answered),
            Doubt::None | Doubt::Lost if is_newer => self.send_what_was_not_made(),
            // As often as the provider's own account asks for; a single look after a long time is as good.
            Doubt::None | Doubt::Lost if self.rules.is_costly => {
                if is_long_ago && (self.is_resumed || self.looks >= self.rules.looks) {
                    return self.finish(Outcome::Failed, Why::NotShown);
                }
                self.look_again(Why::NotShown)
            }
            Doubt::None | Doubt::Lost if is_long_ago => self.send_what_was_not_made(),
            Doubt::Exists if is_newer || (is_long_ago && self.looks >= self.rules.looks) => {
                self.finish(Outcome::Failed, Why::HeldOtherwise)
            }
            _ => self.look_again(Why::NotShown),
        }
    }

    /// Sends a create again of which a listing that is new enough proves that it was not carried out, or says so.
    fn send_what_was_not_made(&mut self) -> Step {
        self.is_not_made = true;
        if self.may_send() { Step::Send } else { self.finish(Outcome::Failed, Why::NotShown) }
    }

    /// Returns the time that a look must be newer than: an answer may say more than the loss before it, and when an
    /// earlier process lost its answer is not known.
    fn last_doubt(&self) -> Timestamp {
        self.lost.max(self.last_sent).max(self.worked_on)
    }

    /// Says what proves that a complete listing shows all that was done: that it is newer than the loss, or that the loss
    /// is long ago.
    fn absence(&self, look: Look) -> (bool, bool) {
        let quiet = self.last_doubt() + self.rules.grace();
        let is_newer = look.as_of.is_some_and(|as_of| as_of >= quiet);
        (is_newer, !self.rules.lag.is_zero() && look.at >= quiet + self.rules.lag)
    }

    /// Looks once more, or sends again where that cannot make two, or gives up.
    fn look_again(&mut self, why: Why) -> Step {
        if self.looks < self.rules.looks {
            return Step::Look(self.last_doubt() + self.rules.wait(self.looks));
        }
        match self.doubt {
            // It was listed, so that it is not created.
            Doubt::Lost if self.before == Before::Yes && self.may_send() => self.exists_unseen(Why::Shown),
            Doubt::Lost if self.rules.refuses_existing && self.may_send() => Step::Send,
            _ => self.unknown(why),
        }
    }

    fn looked_for_deleted(&mut self, found: Found, look: Look) -> Step {
        // A listing that lacked it before was late.
        if matches!(found, Found::There(_)) {
            self.before = Before::Yes;
        }
        match found {
            Found::There(seen) if seen.ending => self.finish(Outcome::Scheduled, Why::Shown),
            Found::There(seen) if !seen.same => self.finish(Outcome::Deleted, Why::Shown),
            Found::Missing if self.before == Before::Yes || matches!(self.absence(look), (true, _) | (_, true)) => {
                self.gone(Why::NotShown)
            }
            // By its creation time it is the one that was there before.
            Found::There(Seen { made: Made::Before, .. }) => self.not_done(look, Why::Shown),
            Found::There(_) | Found::Missing | Found::Incomplete => self.send_again(Why::LostEachTime),
        }
    }

    /// Decides about a thing that is not there any more after a lost deletion. What a listing lacked before the first
    /// request was not deleted by it.
    fn gone(&self, why: Why) -> Step {
        let outcome = if matches!(self.before, Before::No(_)) { Outcome::Absent } else { Outcome::Deleted };
        self.finish(outcome, why)
    }

    /// Sends a change or a deletion again that a look does not show, or says after the last attempt that it was not done,
    /// where the look proves it. What is not there is not changed, whatever a request did to it.
    fn not_done(&self, look: Look, why: Why) -> Step {
        match self.absence(look) {
            (false, false) => self.send_again(Why::LostEachTime),
            _ if self.may_send() => Step::Send,
            _ => self.finish(Outcome::Failed, why),
        }
    }

    fn may_send(&self) -> bool {
        self.rules.resends && self.attempts < self.rules.attempts
    }

    /// Sends the request again, or says what is known after the last attempt.
    fn send_again(&self, why: Why) -> Step {
        if self.may_send() { Step::Send } else { self.unknown(why) }
    }

    fn finish(&self, outcome: Outcome, why: Why) -> Step {
        Step::Finish(Verdict { outcome, password: self.password, why, settles_at: None })
    }

    fn unknown(&self, why: Why) -> Step {
        Step::Finish(Verdict::unknown(self, why))
    }
}

#[cfg(test)]
mod tests;
