//! What can happen in the life of some runs, and the smallest state that says which of it is possible next.

use std::fmt;

use mbx::bulk::{OnExisting, Verb};
use mbx::provider::ProviderId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest_state_machine::ReferenceStateMachine;

/// Rows that a file may have.
pub(super) const ROWS: u8 = 6;

/// Runs that one sequence begins at most.
const RUNS: usize = 4;

/// One of the addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Who(pub(super) u8);

impl Who {
    pub(super) fn local(self) -> String {
        format!("row{}", self.0)
    }

    pub(super) fn address(self) -> String {
        format!("{}@example.com", self.local())
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local())
    }
}

/// What the host is like.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) provider: ProviderId,
    /// Whether it makes another mailbox at an address that is taken.
    pub(super) accepts_repeats: bool,
    /// How late it lists a new mailbox, in seconds.
    pub(super) lists_late: u32,
    /// Whether its clock is far from ours.
    pub(super) has_other_clock: bool,
}

/// What somebody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Creates(Who),
    Deletes(Who),
    SetsPassword(Who),
}

impl Act {
    pub(super) fn who(self) -> Who {
        match self {
            Act::Creates(who) | Act::Deletes(who) | Act::SetsPassword(who) => who,
        }
    }
}

/// What happens while a run is under way, once so many requests have arrived.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Killed,
    /// Of what was not flushed to the disk yet, so many percent are lost.
    PowerCut(u8),
    Interrupted,
    Somebody(Act),
}

/// Which requests a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Struck {
    /// The request of the run's verb.
    Write,
    /// What a create sends besides: the quota of a new mailbox, the change of one that exists.
    Second,
    /// A listing or a read.
    Read,
}

/// What a fault does to a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Refused as one too many.
    TooFast,
    /// Refused for a reason that has nothing to do with what is there.
    Refused,
    CutAfterCommit,
    CutBeforeCommit,
    BadGatewayAfterCommit,
    BadGatewayBeforeCommit,
    /// Half of an answer.
    TornAfterCommit,
    SilentAfterCommit,
    SilentBeforeCommit,
    /// A proxy gives up, and the host is done so many milliseconds later.
    CommitAfterGatewayTimeout(u16),
}

impl Trouble {
    /// Returns whether the answer says nothing of what was done.
    pub(super) fn loses(self) -> bool {
        !matches!(self, Trouble::TooFast | Trouble::Refused)
    }
}

/// A fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) struck: Struck,
    /// How many requests pass first.
    pub(super) skip: u8,
    pub(super) times: u8,
    pub(super) trouble: Trouble,
}

/// What goes wrong while a process works on a run.
#[derive(Clone, Default)]
pub(super) struct Day {
    pub(super) faults: Vec<Fault>,
    pub(super) events: Vec<(u8, Event)>,
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.faults.iter().map(|fault| fault as &dyn fmt::Debug))
            .entries(self.events.iter().map(|event| event as &dyn fmt::Debug))
            .finish()
    }
}

/// A run that begins.
#[derive(Debug, Clone)]
pub(super) struct Begin {
    pub(super) verb: Verb,
    pub(super) rows: Vec<Who>,
    pub(super) on_existing: OnExisting,
    /// Whether it asks for more than the least, such as a quota.
    pub(super) asks_more: bool,
    pub(super) at_once: usize,
    pub(super) day: Day,
}

/// How a run is taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Resume,
    Retry,
    Settle,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Begin(Begin),
    Again(Again, usize, Day),
    Somebody(Act),
    /// So many seconds pass.
    Pass(u32),
}

/// What the next steps depend on.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) host: Host,
    runs: usize,
}

pub(super) struct Lives;

impl ReferenceStateMachine for Lives {
    type State = State;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<State> {
        (host(), Just(0)).prop_map(|(host, runs)| State { host, runs }).boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Step> {
        let begins = begin(state.host.provider).prop_map(Step::Begin);
        if state.runs == 0 {
            return prop_oneof![8 => begins, 2 => act().prop_map(Step::Somebody)].boxed();
        }
        let how = prop_oneof![5 => Just(Again::Resume), 2 => Just(Again::Retry), 2 => Just(Again::Settle)];
        let again = (how, 0..state.runs, day()).prop_map(|(how, run, day)| Step::Again(how, run, day));
        let pass = select(vec![1, 4, 11, 60, 400, 1200, 90_000]).prop_map(Step::Pass);
        let begins_weight = u32::from(state.runs < RUNS) * 4;
        prop_oneof![
            begins_weight => begins,
            6 => again,
            2 => act().prop_map(Step::Somebody),
            2 => pass,
        ]
        .boxed()
    }

    fn apply(state: State, step: &Step) -> State {
        State { runs: state.runs + usize::from(matches!(step, Step::Begin(_))), ..state }
    }

    fn preconditions(state: &State, step: &Step) -> bool {
        match step {
            Step::Begin(begin) => verbs(state.host.provider).contains(&begin.verb),
            Step::Again(_, run, _) => *run < state.runs,
            Step::Somebody(_) | Step::Pass(_) => true,
        }
    }
}

fn host() -> impl Strategy<Value = Host> {
    let provider = prop_oneof![
        3 => Just(ProviderId::Emboux),
        2 => Just(ProviderId::Hybridbox),
        2 => Just(ProviderId::Qboxmail),
        2 => Just(ProviderId::Mailinabox),
        1 => Just(ProviderId::Litemail),
    ];
    let late = prop_oneof![3 => Just(0), 2 => Just(2), 1 => Just(20), 1 => Just(300)];
    (provider, any::<bool>(), late, any::<bool>()).prop_map(|(provider, accepts, lists_late, has_other_clock)| Host {
        provider,
        // Where the documents say that a second create is refused, it is.
        accepts_repeats: accepts && !mbx::adapters::spec(provider).rules.refuses_existing,
        lists_late,
        has_other_clock,
    })
}

/// Returns what bulk runs can do at a provider.
fn verbs(id: ProviderId) -> Vec<Verb> {
    let takes_password = mbx::adapters::spec(id).rules.takes_password();
    let mut verbs = vec![Verb::Create, Verb::Update, Verb::Delete];
    verbs.extend(takes_password.then_some(Verb::Passwd));
    verbs
}

fn who() -> impl Strategy<Value = Who> {
    (0..ROWS).prop_map(Who)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => who().prop_map(Act::Creates),
        2 => who().prop_map(Act::Deletes),
        1 => who().prop_map(Act::SetsPassword),
    ]
}

fn begin(id: ProviderId) -> impl Strategy<Value = Begin> {
    let other: Vec<Verb> = verbs(id).into_iter().filter(|verb| *verb != Verb::Create).collect();
    let verb = prop_oneof![3 => Just(Verb::Create), 2 => select(other)];
    let rows = subsequence((0..ROWS).map(Who).collect::<Vec<_>>(), 1..=usize::from(ROWS));
    let on_existing = select(vec![OnExisting::Fail, OnExisting::Keep, OnExisting::Update]);
    (verb, rows, on_existing, any::<bool>(), select(vec![1, 2, 8]), day()).prop_map(
        |(verb, rows, on_existing, asks_more, at_once, day)| Begin { verb, rows, on_existing, asks_more, at_once, day },
    )
}

fn day() -> impl Strategy<Value = Day> {
    let event = prop_oneof![
        3 => Just(Event::Killed),
        1 => (0..=100_u8).prop_map(Event::PowerCut),
        1 => Just(Event::Interrupted),
        3 => act().prop_map(Event::Somebody),
    ];
    (vec(fault(), 0..4), vec((0..16_u8, event), 0..3)).prop_map(|(faults, mut events)| {
        events.sort_by_key(|(at, _)| *at);
        Day { faults, events }
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    let trouble = prop_oneof![
        select(vec![
            Trouble::TooFast,
            Trouble::Refused,
            Trouble::CutAfterCommit,
            Trouble::CutBeforeCommit,
            Trouble::BadGatewayAfterCommit,
            Trouble::BadGatewayBeforeCommit,
            Trouble::TornAfterCommit,
            Trouble::SilentAfterCommit,
            Trouble::SilentBeforeCommit,
        ]),
        (50..2500_u16).prop_map(Trouble::CommitAfterGatewayTimeout),
    ];
    let struck = prop_oneof![5 => Just(Struck::Write), 1 => Just(Struck::Second), 1 => Just(Struck::Read)];
    (struck, 0..6_u8, 1..4_u8, trouble).prop_map(|(struck, skip, times, trouble)| Fault {
        struck,
        skip,
        times,
        trouble,
    })
}
