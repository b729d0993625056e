//! The world of one history: what the provider's documents say, what its host really does, what happens to the answers,
//! and who else works there. Times are milliseconds since the driver began.

use jiff::Timestamp;
use mbx::adapters::{self, Account};
use mbx::bulk::{self, Options, Verb};
use mbx::model::Stamp;
use mbx::provider::case::{OnExisting, Rules, Task};
use mbx::provider::{Op, ProviderId};

pub(super) use crate::support::Stamps;
use crate::support::{Facts, facts};

/// Milliseconds.
pub(super) type Ms = i64;

pub(super) const SECOND: Ms = 1000;
pub(super) const MINUTE: Ms = 60 * SECOND;
pub(super) const HOUR: Ms = 60 * MINUTE;
pub(super) const DAY: Ms = 24 * HOUR;

/// When the driver begins: some time that is no whole second.
const START: Ms = 1_772_366_400_400;

/// Returns a time as the driver knows it.
pub(super) fn at(time: Ms) -> Timestamp {
    Timestamp::from_millisecond(START + time).expect("no history lasts that long")
}

/// Returns a time that the driver knows in milliseconds.
pub(super) fn ms(time: Timestamp) -> Ms {
    time.as_millisecond() - START
}

/// Leaves out what is beyond whole seconds.
pub(super) fn whole_second(time: Ms) -> Ms {
    (START + time).div_euclid(SECOND) * SECOND - START
}

impl Stamps {
    /// Returns how a host shows that something was made at `time`, where its clock is so far ahead.
    pub(super) fn show(self, time: Ms, ahead: Ms) -> Option<Stamp> {
        match self {
            Stamps::Zone => Some(Stamp::lenient(&at(whole_second(time + ahead)).to_string())),
            Stamps::NoZone => {
                let text = at(whole_second(time + ahead + 2 * HOUR)).to_string();
                Some(Stamp::lenient(text.trim_end_matches('Z')))
            }
            Stamps::None => None,
        }
    }
}

/// One provider as its documents describe it.
#[derive(Debug, Clone)]
pub(super) struct Dialect {
    pub(super) name: &'static str,
    /// How a single command is driven there, and a bulk run. What is done about existing things is set by the world.
    pub(super) single: Rules,
    pub(super) bulk: Rules,
    pub(super) stamps: Stamps,
    /// Whether a listing shows ids, so that a deleted mailbox and its successor differ.
    pub(super) has_ids: bool,
}

impl Dialect {
    pub(super) fn of(id: ProviderId) -> Self {
        let Facts { stamps, has_ids, .. } = facts(id);
        let spec = adapters::spec(id);
        let account = Account {
            user: Some("box@example.com".to_owned()),
            settings: spec.settings.iter().filter_map(|s| Some((s.key.to_owned(), s.sandbox?.to_owned()))).collect(),
            allow_unverified: true,
            ..Account::new(id, "https://api.example.com".to_owned(), "key".into())
        };
        let provider = adapters::open(&account).expect("the account opens");
        let options = Options {
            verb: Verb::Create,
            concurrency: 1,
            on_existing: OnExisting::Fail,
            missing_is_fine: false,
            max_failures: None,
            dry_run: false,
            only_looks: false,
            poll: spec.pace.poll,
        };
        let single = provider.case_rules(OnExisting::Fail, Op::GetMailbox);
        Dialect {
            name: spec.title,
            single,
            bulk: bulk::rules(provider.case_rules(OnExisting::Fail, Op::ListMailboxes), &options),
            stamps,
            has_ids,
        }
    }

    /// Returns every provider's.
    pub(super) fn all() -> [Self; ProviderId::ALL.len()] {
        ProviderId::ALL.map(Dialect::of)
    }

    /// Returns the same provider where nothing can be looked up.
    pub(super) fn blind(mut self) -> Self {
        (self.single.can_look, self.bulk.can_look) = (false, false);
        self
    }

    /// Returns whether its documents say that a second create is refused.
    pub(super) fn should_refuse(&self) -> bool {
        self.single.refuses_existing
    }
}

/// What a request does before its answer comes or is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// It does nothing.
    Nothing,
    /// It is carried out as soon as it arrives.
    AtOnce,
    /// It is carried out so long after it left, whatever was answered before.
    Late(Ms),
    /// It creates the thing so long after it left, without what takes a second request.
    Half(Ms),
}

/// What the driver reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// What the host made of the request.
    Truth,
    /// Nothing that can be trusted.
    Lost,
    /// A refusal for a reason that has nothing to do with what is there.
    Refused,
    /// The request did not leave.
    NotSent,
}

/// What happens to one request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) name: &'static str,
    /// How long after the request left its answer comes or is given up.
    pub(super) took: Ms,
    pub(super) work: Work,
    pub(super) says: Says,
}

const fn trouble(name: &'static str, took: Ms, work: Work, says: Says) -> Trouble {
    Trouble { name, took, work, says }
}

/// No trouble.
pub(super) const PLAIN: Trouble = trouble("answered", 150, Work::AtOnce, Says::Truth);

/// All that can happen to an answer.
pub(super) const TROUBLES: [Trouble; 19] = [
    PLAIN,
    trouble("slow, but answered", 26 * SECOND, Work::Late(25 * SECOND), Says::Truth),
    trouble("lost after the commit", 30 * SECOND, Work::AtOnce, Says::Lost),
    trouble("lost before the commit", 30 * SECOND, Work::Nothing, Says::Lost),
    trouble("502 after the commit", 5 * SECOND, Work::AtOnce, Says::Lost),
    trouble("502 before the commit", 200, Work::Nothing, Says::Lost),
    trouble("504 at once, commit later", 100, Work::Late(2 * SECOND), Says::Lost),
    trouble("408 after the commit", 20 * SECOND, Work::AtOnce, Says::Lost),
    trouble("303 after the commit", 150, Work::AtOnce, Says::Lost),
    trouble("empty 2xx", 180, Work::AtOnce, Says::Lost),
    trouble("200 with an error body", 180, Work::Nothing, Says::Lost),
    trouble("201 that names another address", 180, Work::AtOnce, Says::Lost),
    trouble("HTML", 2 * SECOND, Work::AtOnce, Says::Lost),
    trouble("HTML before the commit", 2 * SECOND, Work::Nothing, Says::Lost),
    trouble("cut JSON", 350, Work::AtOnce, Says::Lost),
    trouble("half done", 250, Work::Half(60), Says::Truth),
    trouble("lost half-way", 9 * SECOND, Work::Half(60), Says::Lost),
    trouble("refused", 150, Work::Nothing, Says::Refused),
    trouble("not sent", 50, Work::Nothing, Says::NotSent),
];

/// When somebody else acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// So long after the look that precedes the request began; before it, where negative.
    Look(Ms),
    /// So long after the first request left.
    Send(Ms),
    /// So long after its answer was lost, or the driver was killed.
    Loss(Ms),
}

/// What somebody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Creates the same address.
    Create,
    /// Creates the same address with just the fields that we ask for.
    CreateAlike,
    /// Creates something else under the same address: an alias with other targets.
    CreateOther,
    /// Deletes what is there.
    Delete,
}

/// What is there, and what others do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scene {
    /// Whether it was there long before.
    pub(super) is_there: bool,
    /// Whether the address is held by something that no look shows, such as an alias.
    pub(super) is_held: bool,
    pub(super) other: Option<(When, Act)>,
}

impl Scene {
    pub(super) const EMPTY: Scene = Scene { is_there: false, is_held: false, other: None };
    pub(super) const THERE: Scene = Scene { is_there: true, ..Scene::EMPTY };
    pub(super) const HELD: Scene = Scene { is_held: true, ..Scene::EMPTY };

    pub(super) const fn with(self, when: When, act: Act) -> Scene {
        Scene { other: Some((when, act)), ..self }
    }
}

/// Who asks, and what becomes of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Driver {
    /// A single command, which looks for itself.
    Single,
    /// A bulk run in which other rows go on being created.
    Bulk,
    /// The last row of a bulk run.
    BulkAtEnd,
    /// A bulk run that is killed while its first request is under way, and resumed so long after that.
    Resumed(Ms),
    /// The same, where a power cut took the mark that the request left.
    ResumedUnmarked(Ms),
    /// A bulk run that is killed while its second request of the row is under way, and resumed.
    ResumedAtRepeat(Ms),
    /// A killed bulk run of which the rows in doubt are only looked for, so long after that.
    Settled(Ms),
    /// A bulk run of which an unknown row is looked for again as soon as its verdict says that this settles it.
    SettledInTime,
}

/// All that a history depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) dialect: &'a Dialect,
    pub(super) task: Task,
    pub(super) on_existing: OnExisting,
    /// Whether the host accepts a second create of one address, whatever its documents say.
    pub(super) accepts: bool,
    pub(super) driver: Driver,
    /// How old the listing from before a bulk run's request is when that leaves.
    pub(super) listed: Ms,
    /// What happens to the first request, the second, and all later ones.
    pub(super) troubles: [Trouble; 3],
    /// What one of the requests does instead.
    pub(super) except: Option<(u32, Work)>,
    pub(super) scene: Scene,
    /// How far the Date header is ahead; `None` where there is none.
    pub(super) date: Option<Ms>,
    /// How far creation times are ahead; `None` where there are none.
    pub(super) stamp: Option<Ms>,
    /// The same for the thing that the request is about: two times of one clock may differ a little.
    pub(super) own_stamp: Option<Ms>,
    /// How old what a listing shows is.
    pub(super) lag: Ms,
    /// The same for the thing that the request is about, where a listing shows some things sooner than others.
    pub(super) own_lag: Option<Ms>,
    /// From when on listings show nothing newer than a time: one that lags need not do so evenly.
    pub(super) stuck: Option<(Ms, Ms)>,
    /// Which looks end early, a bit for each; the last stands for all later ones.
    pub(super) cut: u32,
}

impl World<'_> {
    pub(super) fn trouble(&self, attempt: u32) -> Trouble {
        let mut trouble = self.troubles[(attempt as usize).min(2)];
        if let Some((_, work)) = self.except.filter(|(number, _)| *number == attempt) {
            trouble.work = work;
        }
        trouble
    }

    /// Returns up to when a listing that is read at this time shows what became of other rows.
    pub(super) fn content(&self, time: Ms) -> Ms {
        self.content_after(time, self.lag)
    }

    /// Returns the same for the thing that the request is about.
    pub(super) fn own_content(&self, time: Ms) -> Ms {
        self.content_after(time, self.own_lag.unwrap_or(self.lag))
    }

    fn content_after(&self, time: Ms, lag: Ms) -> Ms {
        match self.stuck {
            Some((from, until)) if time >= from => until.min(time - lag),
            _ => time - lag,
        }
    }

    pub(super) fn is_cut(&self, look: u32) -> bool {
        self.cut >> look.min(31) & 1 == 1
    }

    /// Returns the rules of the process that begins.
    pub(super) fn rules(&self, is_resumed: bool) -> Rules {
        let rules = match self.driver {
            Driver::Single => self.dialect.single,
            _ => self.dialect.bulk,
        };
        let only_looks = is_resumed && matches!(self.driver, Driver::Settled(_) | Driver::SettledInTime);
        Rules { on_existing: self.on_existing, resends: !only_looks, ..rules }
    }
}

impl World<'_> {
    /// Returns whether the driver never reads the answer to a request, whatever it was.
    pub(super) fn driver_hides(&self, attempt: u32) -> bool {
        match self.driver {
            Driver::Single | Driver::Bulk | Driver::BulkAtEnd | Driver::SettledInTime => false,
            Driver::Resumed(_) | Driver::ResumedUnmarked(_) | Driver::Settled(_) => attempt == 0,
            Driver::ResumedAtRepeat(_) => attempt == 1,
        }
    }
}
