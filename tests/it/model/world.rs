//! What the host really holds, who made it, and which requests arrived.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mbx::adapters::{self, Account};
use mbx::bulk::{Interrupt, Verb};
use mbx::error::Kind;
use mbx::http::{self, Gate, Method};
use mbx::provider::{Checked, Pace, ProviderId, Spec};
use mbx::sandbox::{Answer, Fault, Other, Sandbox};

use super::clock::Watcher;
use super::steps::{Act, Event, Host, ROWS, Struck, Trouble, Who};
use crate::support;

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Run(usize),
    Somebody,
}

/// Whose password a mailbox has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Password {
    /// One of a run.
    Ours,
    Theirs(String),
}

/// A mailbox that is or was there.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) serial: u64,
    pub(super) who: Who,
    pub(super) by: By,
    pub(super) from: Timestamp,
    pub(super) until: Option<(Timestamp, By)>,
    pub(super) password: Password,
}

/// The host with all that was ever there.
pub(super) struct World {
    pub(super) host: Host,
    pub(super) spec: &'static Spec,
    pub(super) sandbox: Sandbox,
    pub(super) things: Vec<Thing>,
    /// What the runs that have begun are to do to which addresses.
    pub(super) verbs: Vec<(Verb, Vec<Who>)>,
    /// What somebody else did, and when.
    pub(super) acts: Vec<(Timestamp, Act)>,
    /// Creates that arrived, with their run and time.
    pub(super) sends: Vec<(usize, Who, Timestamp)>,
    /// When creates may have left that did not arrive, as the journals say it.
    pub(super) left: Vec<(usize, Who, Timestamp)>,
    /// Passwords that were thrown away as unused.
    pub(super) removed: Vec<(Who, String)>,
    strangers: u32,
    /// The run that was worked on last.
    last: usize,
}

impl World {
    pub(super) fn new(host: Host, sandbox: Sandbox) -> Self {
        let id = host.provider;
        if host.has_other_clock {
            sandbox.run_clock(id);
        } else {
            sandbox.show_our_time();
        }
        if host.accepts_repeats {
            sandbox.accept_repeats(id);
        }
        sandbox.list_late(id, Duration::from_secs(host.lists_late.into()));
        World {
            spec: adapters::spec(id),
            host,
            sandbox,
            things: Vec::new(),
            verbs: Vec::new(),
            acts: Vec::new(),
            sends: Vec::new(),
            left: Vec::new(),
            removed: Vec::new(),
            strangers: 0,
            last: 0,
        }
    }

    pub(super) fn id(&self) -> ProviderId {
        self.host.provider
    }

    pub(super) fn takes_password(&self) -> bool {
        self.spec.rules.takes_password()
    }

    /// Returns the latest time at which a host that has lost a request's answer has listed what it did.
    pub(super) fn late(&self) -> SignedDuration {
        SignedDuration::from_secs(self.host.lists_late.into())
    }

    /// Opens the account as a new process does.
    pub(super) fn open(&self, at_once: usize) -> Checked {
        let pace = Pace { concurrency: at_once, ..self.spec.pace };
        let gate = Arc::new(Gate::new(pace));
        let account = Account { pace, gate, no_wait: false, ..support::account(&self.sandbox, self.id()) };
        adapters::open(&account).expect("the account opens")
    }

    /// Has a fault strike requests of a run.
    pub(super) fn add_fault(&self, verb: Verb, fault: &super::steps::Fault) {
        let (method, path) = target(self.id(), verb, fault.struck);
        let after = |answer| Fault::after(method.clone(), path, answer);
        let instead = |answer| Fault::instead(method.clone(), path, answer);
        let scripted = match fault.trouble {
            Trouble::TooFast => instead(Answer::retry_after("1")),
            Trouble::Refused => instead(Answer::status(422)),
            Trouble::CutAfterCommit => after(Answer::Cut),
            Trouble::CutBeforeCommit => instead(Answer::Cut),
            Trouble::BadGatewayAfterCommit => after(Answer::html(502)),
            Trouble::BadGatewayBeforeCommit => instead(Answer::html(502)),
            Trouble::TornAfterCommit => after(Answer::Truncated),
            Trouble::SilentAfterCommit => after(Answer::Hang),
            Trouble::SilentBeforeCommit => instead(Answer::Hang),
            Trouble::CommitAfterGatewayTimeout(late) => {
                Fault::before(method.clone(), path, Answer::status(504), Duration::from_millis(late.into()))
            }
        };
        self.sandbox.fault(scripted.skip(fault.skip.into()).times(fault.times.into()));
    }

    /// Returns the things that are at an address now.
    pub(super) fn held(&self, who: Who) -> impl Iterator<Item = &Thing> {
        self.things.iter().filter(move |thing| thing.who == who && thing.until.is_none())
    }

    /// Returns whether somebody else has done something at an address since a time.
    pub(super) fn was_touched(&self, who: Who, since: Timestamp) -> bool {
        self.acts.iter().any(|(at, act)| act.who() == who && *at >= since)
    }

    /// Lets somebody else act.
    pub(super) fn act(&mut self, act: Act) {
        let (now, id, who) = (http::now(), self.id(), act.who());
        self.notice();
        let is_there = self.held(who).next().is_some();
        let address = who.address();
        self.strangers += 1;
        let password = format!("Strangers-Passw0rd-{}", self.strangers);
        match act {
            Act::Creates(_) if !is_there => {
                self.sandbox.let_other(id, &Other::CreatesMailbox(address.clone()));
                self.sandbox.let_other(id, &Other::SetsPassword(address, password.clone()));
            }
            Act::Deletes(_) if is_there => self.sandbox.let_other(id, &Other::DeletesMailbox(address)),
            Act::SetsPassword(_) if is_there && self.takes_password() => {
                self.sandbox.let_other(id, &Other::SetsPassword(address, password.clone()));
            }
            Act::Creates(_) | Act::Deletes(_) | Act::SetsPassword(_) => return,
        }
        self.acts.push((now, act));
        self.compare(By::Somebody);
        if !matches!(act, Act::Deletes(_)) {
            for thing in self.things.iter_mut().filter(|thing| thing.who == who && thing.until.is_none()) {
                thing.password = Password::Theirs(password.clone());
            }
        }
    }

    /// Takes in what runs have done, the present one if no other fits.
    pub(super) fn notice(&mut self) {
        self.compare(By::Run(self.last));
    }

    /// Compares what is there with what was there.
    fn compare(&mut self, by: By) {
        let now = http::now();
        let held = self.sandbox.mailboxes(self.id());
        for at in 0..self.things.len() {
            let thing = &self.things[at];
            if thing.until.is_none() && !held.iter().any(|held| held.serial == thing.serial) {
                let by = self.blame(by, Verb::Delete, thing.who);
                assert!(by.is_some(), "nobody was asked to delete {:?}", self.things[at]);
                self.things[at].until = by.map(|by| (now, by));
            }
        }
        for new in held {
            let Some(who) = (0..ROWS).map(Who).find(|who| who.address() == new.address) else { continue };
            if self.things.iter().any(|thing| thing.serial == new.serial) {
                continue;
            }
            let by = self.blame(by, Verb::Create, who).unwrap_or_else(|| panic!("nobody was asked to create {who:?}"));
            // Another run is as good as a stranger: what it has just made may not be listed yet.
            let twin = self.held(who).find(|twin| by != By::Somebody && twin.by == by);
            assert!(twin.is_none(), "{who:?} is made twice: {twin:?}, and again at {now}");
            self.things.push(Thing { serial: new.serial, who, by, from: now, until: None, password: Password::Ours });
        }
    }

    /// Returns who did something: the one that is at work, or the last run that is to do it, since a host may be late.
    fn blame(&self, by: By, verb: Verb, who: Who) -> Option<By> {
        let does = |run: usize| self.verbs.get(run).is_some_and(|(does, rows)| *does == verb && rows.contains(&who));
        match by {
            By::Somebody => Some(by),
            By::Run(run) if does(run) => Some(by),
            By::Run(_) => (0..self.verbs.len()).rev().find(|run| does(*run)).map(By::Run),
        }
    }
}

/// Returns which requests are struck.
fn target(id: ProviderId, verb: Verb, struck: Struck) -> (Method, &'static str) {
    use ProviderId::{Emboux, Hybridbox, Litemail, Mailinabox, Qboxmail};
    let verb = if struck == Struck::Second { Verb::Update } else { verb };
    match (id, verb) {
        _ if struck == Struck::Read => (Method::GET, "/"),
        (Hybridbox | Litemail, Verb::Create) => (Method::POST, "/mailboxes"),
        (Emboux, Verb::Create) => (Method::POST, "/users/"),
        (Qboxmail, Verb::Create) => (Method::POST, "/email_accounts"),
        (Mailinabox, Verb::Create) => (Method::POST, "/mail/users/add"),
        (Hybridbox, Verb::Update | Verb::Passwd) => (Method::PATCH, "/mailboxes"),
        (Litemail, Verb::Update | Verb::Passwd) => (Method::PUT, "/mailboxes"),
        (Emboux, Verb::Update) => (Method::PUT, "/quota"),
        (Emboux, Verb::Passwd) => (Method::PUT, "/users/"),
        (Qboxmail, Verb::Update | Verb::Passwd) => (Method::PUT, "/email_accounts"),
        (Mailinabox, Verb::Update) => (Method::POST, "/mail/users/quota"),
        (Mailinabox, Verb::Passwd) => (Method::POST, "/mail/users/password"),
        (Hybridbox | Litemail, Verb::Delete) => (Method::DELETE, "/mailboxes"),
        (Emboux, Verb::Delete) => (Method::DELETE, "/users/"),
        (Qboxmail, Verb::Delete) => (Method::DELETE, "/email_accounts"),
        (Mailinabox, Verb::Delete) => (Method::POST, "/mail/users/remove"),
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    Killed,
    PowerCut(u8),
}

/// Watches one process that works on a run.
pub(super) struct Watch<'a> {
    pub(super) world: &'a mut World,
    pub(super) run: usize,
    pub(super) interrupt: &'a Interrupt,
    pub(super) events: VecDeque<(u8, Event)>,
    pub(super) journal: PathBuf,
    /// How much of the journal is certainly on the disk.
    pub(super) synced: u64,
    pub(super) death: Option<Death>,
    requests: usize,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        world: &'a mut World,
        run: usize,
        interrupt: &'a Interrupt,
        events: VecDeque<(u8, Event)>,
        journal: PathBuf,
    ) -> Self {
        world.sandbox.take_seen();
        world.last = run;
        Watch { world, run, interrupt, events, journal, synced: 0, death: None, requests: 0 }
    }
}

impl Watcher for Watch<'_> {
    fn turn(&mut self) -> bool {
        let now = http::now();
        let seen = self.world.sandbox.take_seen();
        self.requests += seen.len();
        let (verb, rows) = &self.world.verbs[self.run];
        if *verb == Verb::Create {
            let creates = seen.iter().filter(|seen| seen.method == Method::POST);
            for request in creates {
                // No local part is the beginning of another.
                let named = rows.iter().filter(|who| request.body.contains(&who.local()));
                self.world.sends.extend(named.map(|who| (self.run, *who, now)));
            }
        }
        self.world.notice();
        while self.events.front().is_some_and(|(at, _)| usize::from(*at) <= self.requests)
            && let Some((_, event)) = self.events.pop_front()
        {
            match event {
                Event::Killed => self.death = Some(Death::Killed),
                Event::PowerCut(percent) => self.death = Some(Death::PowerCut(percent)),
                Event::Interrupted => {
                    self.interrupt.request(Kind::Interrupted);
                }
                Event::Somebody(act) => self.world.act(act),
            }
        }
        self.death.is_none()
    }

    fn on_disk(&mut self) {
        self.synced = std::fs::metadata(&self.journal).map_or(self.synced, |data| data.len());
    }
}

/// Returns the passwords that files hold for addresses.
pub(super) fn passwords_in(path: &std::path::Path) -> HashMap<Who, String> {
    let Ok(text) = std::fs::read_to_string(path) else { return HashMap::new() };
    let mut all = HashMap::new();
    for (address, password) in text.lines().skip(1).filter_map(|line| line.split_once(',')) {
        let who = (0..ROWS).map(Who).find(|who| who.address() == address).expect("it is an address of the file");
        let before = all.insert(who, password.to_owned());
        assert_eq!(before, None, "{who:?} has two passwords in {}", path.display());
    }
    all
}
