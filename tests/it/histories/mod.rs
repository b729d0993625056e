//! Every history of the state machine, without a socket and without waiting.
//!
//! A [`World`] says all that a history depends on: what the provider documents and whether its host keeps to that, what
//! happens to each answer, who else works there, how wrong the clocks are and how late the listings. [`driver`] runs the
//! real [`Case`](mbx::provider::case::Case) through it, as a single command or as a bulk run that may be killed and
//! resumed. [`judge`] compares the verdict with what the simulated [`host`] holds in the end.
//!
//! * A claim must be true: `created`, `exists`, `failed` and the like, and every password that is called in use or unused.
//! * An `unknown` must be honest: in some other world, where something else is true, the driver would have seen the same.
//!   The other worlds of the same test are searched for one first, then some are made up ([`judge::has_rival`]).
//! * Nothing is made twice, but where a host accepts what its documents say it refuses, and only by the last repeat that
//!   those documents allow.
//! * What somebody else creates within the seconds of our own request cannot be told from ours. Such claims are counted
//!   apart, and allowed only there ([`Class::StrangersNear`] and the two that follow it).
//!
//! A plain `cargo test` tries every third world, and the same random ones each time; `MBX_HISTORIES=all` tries all of
//! them, and many more random ones. `MBX_HISTORIES=all cargo test --test it histories -- --nocapture` prints the counts.

mod driver;
mod host;
mod judge;
mod random;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use mbx::provider::ProviderId;
use mbx::provider::case::{OnExisting, Task};

use self::driver::{run, run_with_log};
use self::judge::{Class, Truth, has_rival, judge, truth};
use self::world::{
    Act, DAY, Dialect, Driver, HOUR, MINUTE, Ms, PLAIN, SECOND, Says, Scene, Stamps, TROUBLES, Trouble, When, World,
};

/// What came out of many worlds.
#[derive(Default)]
struct Counts {
    cells: usize,
    classes: BTreeMap<Class, usize>,
    made_twice: usize,
    wrongly_deleted: usize,
}

impl Counts {
    #[expect(clippy::print_stdout, reason = "a test prints what it counted")]
    fn print(&self, title: &str) {
        let mut table = format!("{title}: {} cells\n", self.cells);
        for (class, count) in &self.classes {
            _ = writeln!(table, "{count:>8}  {class:?}");
        }
        _ = writeln!(
            table,
            "{:>8}  made twice by a host that accepts what its documents say it refuses",
            self.made_twice
        );
        _ = writeln!(table, "{:>8}  deleted though somebody else had created it meanwhile", self.wrongly_deleted);
        println!("{table}");
    }
}

/// Returns whether every world is to be tried: that takes about a minute.
fn tries_all() -> bool {
    std::env::var("MBX_HISTORIES").is_ok_and(|text| text == "all")
}

/// Runs many worlds, and asserts that no claim is false and no `unknown` idle.
fn try_all<'a>(title: &str, worlds: impl Iterator<Item = World<'a>>) -> Counts {
    // No list of what worlds are made of has a multiple of three, so that a sample has all of each.
    let worlds = worlds.step_by(if tries_all() { 1 } else { 3 });
    let mut counts = Counts::default();
    let mut truths: HashMap<u64, Vec<Truth>> = HashMap::new();
    let mut unknown = Vec::new();
    let mut wrong: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for world in worlds {
        let ran = run(&world);
        counts.cells += 1;
        counts.made_twice += usize::from(ran.ours() > 1);
        counts.wrongly_deleted += usize::from(ran.host.wrongly_deleted > 0);
        let truth = truth(&world, &ran);
        let seen = truths.entry(ran.evidence).or_default();
        if !seen.contains(&truth) {
            seen.push(truth);
        }
        match judge(&world, &ran) {
            Ok(class) => {
                *counts.classes.entry(class).or_default() += 1;
                if let Class::Unknown(why) = class {
                    unknown.push((world, ran.evidence, why));
                }
            }
            Err(why) => wrong.entry(why).or_insert_with(|| (0, history(&world))).0 += 1,
        }
    }
    for (world, evidence, why) in unknown {
        if truths[&evidence].len() > 1 {
            continue;
        }
        let ran = run(&world);
        if has_rival(&world, &ran) {
            // One rival serves all worlds that look like it.
            truths.entry(evidence).or_default().extend([Truth::Ours, Truth::Nothing]);
        } else {
            wrong.entry(why).or_insert_with(|| (0, history(&world))).0 += 1;
        }
    }
    counts.print(title);
    let mut report = String::new();
    for (why, (count, history)) in wrong {
        _ = writeln!(report, "{count} times: {why}\n{history}");
    }
    assert!(report.is_empty(), "{title}\n{report}");
    counts
}

/// Returns a history to read.
fn history(world: &World<'_>) -> String {
    let ran = run_with_log(world);
    let World { dialect, task, on_existing, accepts, driver, listed, troubles, except, .. } = world;
    let World { scene, date, stamp, lag, stuck, cut, .. } = world;
    let troubles = troubles.map(|trouble| trouble.name).join(", then ");
    format!(
        "{}, {task:?}, if it exists {on_existing:?}, accepts repeats {accepts}, {driver:?}, listed {listed} before\n\
         {troubles}, except {except:?}\n\
         {scene:?}\n\
         date {date:?}, stamp {stamp:?}, lag {lag}, stuck {stuck:?}, cut {cut:b}\n\
         {}\n\
         lost {:?}, held {:?}\n",
        dialect.name,
        ran.log.join("\n"),
        ran.lost,
        ran.host.things,
    )
}

/// Returns one world of a dialect, from which others are varied.
fn world(dialect: &Dialect, task: Task) -> World<'_> {
    World {
        dialect,
        task,
        on_existing: OnExisting::Fail,
        accepts: !dialect.should_refuse(),
        driver: Driver::Single,
        listed: 20 * SECOND,
        troubles: [PLAIN; 3],
        except: None,
        scene: Scene::EMPTY,
        date: Some(0),
        stamp: Some(0),
        lag: 0,
        own_stamp: None,
        own_lag: None,
        stuck: None,
        cut: 0,
    }
}

/// Varies worlds by each of some values.
fn vary<'a, T: Copy + 'a>(
    worlds: impl Iterator<Item = World<'a>> + 'a,
    values: &'a [T],
    set: impl Fn(&mut World<'a>, T) + Copy + 'a,
) -> impl Iterator<Item = World<'a>> + 'a {
    worlds.flat_map(move |world| {
        values.iter().map(move |value| {
            let mut world = world;
            set(&mut world, *value);
            world
        })
    })
}

const DRIVERS: [Driver; 8] = [
    Driver::Single,
    Driver::Bulk,
    Driver::BulkAtEnd,
    Driver::Resumed(10 * SECOND),
    Driver::ResumedUnmarked(10 * SECOND),
    Driver::ResumedAtRepeat(5 * SECOND),
    Driver::Settled(HOUR),
    Driver::SettledInTime,
];

/// What is there when we create, and when others create the same.
const CREATES: [Scene; 11] = [
    Scene::EMPTY,
    Scene::THERE,
    Scene::HELD,
    Scene::EMPTY.with(When::Look(-2 * SECOND), Act::CreateAlike),
    Scene::EMPTY.with(When::Look(-30 * SECOND), Act::CreateAlike),
    Scene::EMPTY.with(When::Look(-10 * MINUTE), Act::CreateAlike),
    Scene::EMPTY.with(When::Look(-2 * DAY), Act::CreateAlike),
    Scene::EMPTY.with(When::Send(20), Act::CreateAlike),
    Scene::EMPTY.with(When::Loss(SECOND), Act::CreateAlike),
    Scene::EMPTY.with(When::Loss(30 * SECOND), Act::CreateAlike),
    Scene::EMPTY.with(When::Loss(10 * MINUTE), Act::CreateAlike),
];

/// What is there when we change or delete it, and what others do about it.
const CHANGES: [Scene; 8] = [
    Scene::EMPTY,
    Scene::THERE,
    Scene::THERE.with(When::Look(-2 * SECOND), Act::Delete),
    Scene::THERE.with(When::Look(-30 * SECOND), Act::Delete),
    Scene::THERE.with(When::Send(20), Act::Delete),
    Scene::THERE.with(When::Loss(SECOND), Act::Delete),
    Scene::THERE.with(When::Loss(SECOND), Act::Create),
    Scene::THERE.with(When::Loss(30 * SECOND), Act::Create),
];

/// How far the Date header is ahead.
const DATES: [Option<Ms>; 4] = [Some(0), None, Some(HOUR), Some(-HOUR)];

/// How far creation times are ahead.
const STAMPS: [Option<Ms>; 5] = [Some(0), None, Some(DAY), Some(HOUR), Some(-HOUR)];

/// Clocks that are right, and none.
const CLOCKS: [(Option<Ms>, Option<Ms>); 2] = [(Some(0), Some(0)), (None, None)];

/// How late a listing is, and which listings end early.
const LISTS: [(Ms, u32); 4] = [(0, 0), (1500, 0), (MINUTE, 0), (0, u32::MAX)];

/// Tries a create with every trouble of its first answer, every clock and every listing.
fn try_creates(dialect: &Dialect) {
    let worlds = std::iter::once(world(dialect, Task::Create));
    let worlds = vary(worlds, &DRIVERS, |world, driver| world.driver = driver);
    let worlds = vary(worlds, &CREATES, |world, scene| world.scene = scene);
    let worlds = vary(worlds, &TROUBLES, |world, trouble| world.troubles = [trouble, PLAIN, PLAIN]);
    let worlds = vary(worlds, &LISTS, |world, (lag, cut)| (world.lag, world.cut) = (lag, cut));
    let worlds = vary(worlds, &DATES, |world, date| world.date = date);
    // Where no creation times are shown, their clock makes no difference.
    let stamps = if dialect.stamps == Stamps::None { &STAMPS[..1] } else { &STAMPS[..] };
    try_all(&format!("create, {}", dialect.name), vary(worlds, stamps, |world, stamp| world.stamp = stamp));
}

#[test]
fn every_create() {
    std::thread::scope(|threads| {
        for id in ProviderId::ALL {
            threads.spawn(move || try_creates(&Dialect::of(id)));
        }
    });
}

/// Returns each trouble of a first request, followed by some of the second.
fn pairs() -> Vec<[Trouble; 3]> {
    let second = |trouble: &Trouble| trouble.says != Says::Lost || trouble.name.starts_with("lost");
    let second: Vec<_> = TROUBLES.into_iter().filter(second).collect();
    TROUBLES.iter().flat_map(|first| second.iter().map(|second| [*first, *second, PLAIN])).collect()
}

/// Returns each trouble of all requests, and of the first alone.
fn once_and_always() -> Vec<[Trouble; 3]> {
    TROUBLES.iter().flat_map(|trouble| [[*trouble, PLAIN, PLAIN], [*trouble; 3]]).collect()
}

/// Tries worlds at all providers that are like one which `change` makes, with clocks that are right or absent.
fn try_at_all(title: &str, change: impl Fn(&mut World<'_>), troubles: &[[Trouble; 3]], scenes: &[Scene]) -> Counts {
    let mut all = Counts::default();
    for dialect in &Dialect::all() {
        let mut first = world(dialect, Task::Create);
        change(&mut first);
        // Only a create asks when a thing was made.
        let clocks = match (first.task, dialect.stamps) {
            (Task::Create, Stamps::Zone | Stamps::NoZone) => &CLOCKS[..],
            _ => &CLOCKS[..1],
        };
        let worlds = vary(std::iter::once(first), &DRIVERS, |world, driver| world.driver = driver);
        let worlds = vary(worlds, scenes, |world, scene| world.scene = scene);
        let worlds = vary(worlds, troubles, |world, troubles| world.troubles = troubles);
        let worlds = vary(worlds, &LISTS, |world, (lag, cut)| (world.lag, world.cut) = (lag, cut));
        let worlds = vary(worlds, clocks, |world, (date, stamp)| (world.date, world.stamp) = (date, stamp));
        let counts = try_all(&format!("{title}, {}", dialect.name), worlds);
        all.made_twice += counts.made_twice;
    }
    all
}

#[test]
fn every_create_with_two_troubles() {
    try_at_all("two troubles", |_| {}, &pairs(), &CREATES[..5]);
    try_at_all("the same trouble each time", |_| {}, &once_and_always(), &CREATES);
}

#[test]
fn every_create_after_an_old_listing() {
    try_at_all("listed 4 min before", |world| world.listed = 4 * MINUTE, &once_and_always(), &CREATES);
    try_at_all("listed 10 min before", |world| world.listed = 10 * MINUTE, &once_and_always(), &CREATES);
}

#[test]
fn a_host_that_accepts_what_it_should_refuse() {
    let accepts = |world: &mut World<'_>| world.accepts = true;
    let counts = try_at_all("accepts repeats", accepts, &once_and_always(), &CREATES);
    // What its documents promise is relied on, but only once all else has failed: `judge` sees to that.
    assert!(counts.made_twice > 0);
}

#[test]
fn every_create_of_what_may_exist() {
    let keep = |world: &mut World<'_>| world.on_existing = OnExisting::Keep;
    let update = |world: &mut World<'_>| world.on_existing = OnExisting::Update;
    let other = CREATES.map(|scene| Scene { other: scene.other.map(|(when, _)| (when, Act::Create)), ..scene });
    try_at_all("if it exists, keep it", keep, &once_and_always(), &CREATES);
    try_at_all("if it exists, update it", update, &once_and_always(), &CREATES);
    let once: Vec<_> = TROUBLES.iter().map(|trouble| [*trouble, PLAIN, PLAIN]).collect();
    try_at_all("if another exists, update it", update, &once, &other);
}

#[test]
fn every_create_of_what_others_delete_just_before() {
    let update = |world: &mut World<'_>| world.on_existing = OnExisting::Update;
    let scenes = [10 * SECOND, 20 * SECOND + 20].map(|time| Scene::THERE.with(When::Look(time), Act::Delete));
    try_at_all("listed, then deleted by others", update, &once_and_always(), &scenes);
}

#[test]
fn every_delete() {
    try_at_all("delete", |world| world.task = Task::Delete, &pairs(), &CHANGES);
}

#[test]
fn every_password() {
    try_at_all("passwd", |world| world.task = Task::SetPassword, &pairs(), &CHANGES);
}

#[test]
fn every_update() {
    try_at_all("update", |world| world.task = Task::Update, &pairs(), &CHANGES);
}

#[test]
fn every_alias() {
    // An alias has no creation time, and can be told from another one by its targets.
    let dialects = Dialect::all().map(|dialect| Dialect { stamps: Stamps::None, has_ids: false, ..dialect });
    let other = CREATES.map(|scene| Scene { other: scene.other.map(|(when, _)| (when, Act::CreateOther)), ..scene });
    let creates = [CREATES, other].concat();
    for dialect in dialects.iter().filter(|dialect| dialect.should_refuse()) {
        for (task, scenes) in [(Task::Create, &creates[..]), (Task::Delete, &CHANGES[..])] {
            let troubles = pairs();
            let worlds = vary(std::iter::once(world(dialect, task)), scenes, |world, scene| world.scene = scene);
            let worlds = vary(worlds, &troubles, |world, troubles| world.troubles = troubles);
            let worlds = vary(worlds, &LISTS, |world, (lag, cut)| (world.lag, world.cut) = (lag, cut));
            try_all(&format!("alias {task:?}, {}", dialect.name), worlds);
        }
    }
}

#[test]
fn every_history_without_looks() {
    for dialect in Dialect::all().map(Dialect::blind) {
        for task in [Task::Create, Task::Update, Task::SetPassword, Task::Delete] {
            let troubles = pairs();
            let scenes = [CREATES.to_vec(), CHANGES.to_vec()].concat();
            let worlds = vary(std::iter::once(world(&dialect, task)), &scenes, |world, scene| world.scene = scene);
            let worlds = vary(worlds, &troubles, |world, troubles| world.troubles = troubles);
            try_all(&format!("{task:?} without looks, {}", dialect.name), worlds);
        }
    }
}
