//! Histories that nobody thought of: random worlds, and events in an order that no host would produce.

use jiff::{SignedDuration, Timestamp};
use mbx::model::{Outcome, PasswordState};
use mbx::provider::case::{
    Answer, Before, Case, Event, Found, LAG, Look, Made, OnExisting, Rules, Seen, Sent, Step, Task, Why,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::judge::judge;
use super::world::{Act, Dialect, Driver, HOUR, MINUTE, Ms, SECOND, Says, Scene, TROUBLES, Trouble, When, Work, World};
use super::{run, tries_all};

fn config() -> ProptestConfig {
    let (cases, rng_seed) = if tries_all() { (200_000, RngSeed::Random) } else { (10_000, RngSeed::Fixed(1)) };
    ProptestConfig { failure_persistence: None, rng_seed, ..ProptestConfig::with_cases(cases) }
}

fn troubles() -> impl Strategy<Value = [Trouble; 3]> {
    let one = (select(TROUBLES.to_vec()), 50..30 * SECOND, 0..3 * SECOND).prop_map(|(trouble, took, more)| {
        let work = match trouble.work {
            // An answer comes after the work; what was lost may be worked on for a while.
            Work::Late(_) if trouble.says == Says::Truth => Work::Late(took - 40),
            Work::Late(_) => Work::Late(took + more),
            work => work,
        };
        let took = if trouble.says == Says::Truth { took.max(250) } else { took };
        Trouble { took, work, ..trouble }
    });
    [one.clone(), one.clone(), one]
}

fn scenes() -> impl Strategy<Value = Scene> {
    let when = prop_oneof![
        (-HOUR..2 * MINUTE).prop_map(When::Look),
        (0..MINUTE).prop_map(When::Send),
        (0..HOUR).prop_map(When::Loss),
    ];
    let act = select(vec![Act::Create, Act::CreateAlike, Act::Delete]);
    (any::<bool>(), prop::bool::weighted(0.1), option::of((when, act))).prop_map(|(is_there, is_held, other)| Scene {
        is_there,
        is_held: is_held && !is_there,
        other,
    })
}

fn drivers() -> impl Strategy<Value = Driver> {
    let after = SECOND..2 * HOUR;
    prop_oneof![
        Just(Driver::Single),
        Just(Driver::Bulk),
        Just(Driver::BulkAtEnd),
        Just(Driver::SettledInTime),
        after.clone().prop_map(Driver::Resumed),
        after.clone().prop_map(Driver::ResumedUnmarked),
        after.clone().prop_map(Driver::ResumedAtRepeat),
        after.prop_map(Driver::Settled),
    ]
}

/// A clock that is wrong by an hour at most.
fn clock() -> impl Strategy<Value = Option<Ms>> {
    prop_oneof![Just(Some(0)), Just(None), (-HOUR..HOUR).prop_map(Some)]
}

fn tasks() -> impl Strategy<Value = Task> {
    prop_oneof![6 => Just(Task::Create), 1 => Just(Task::Update), 1 => Just(Task::SetPassword), 1 => Just(Task::Delete)]
}

fn worlds(dialects: &[Dialect]) -> impl Strategy<Value = World<'_>> {
    let asked = (0..dialects.len(), tasks(), select(vec![OnExisting::Fail, OnExisting::Keep, OnExisting::Update]));
    let lists = (prop_oneof![Just(0), 0..MINUTE, 0..10 * MINUTE], prop_oneof![Just(0), any::<u32>()]);
    let driven = (drivers(), SECOND..10 * MINUTE, any::<bool>());
    (asked, driven, troubles(), scenes(), (clock(), clock()), lists).prop_map(
        |((dialect, task, on_existing), (driver, listed, refuses), troubles, scene, (date, stamp), (lag, cut))| {
            let dialect = &dialects[dialect];
            // Who deletes what we create makes every verdict about it old, and none wrong.
            let other = match (task, scene.other) {
                (Task::Create, Some((when, Act::Delete))) => Some((when, Act::Create)),
                (_, other) => other,
            };
            let scene = Scene { other, ..scene };
            World {
                dialect,
                task,
                on_existing,
                accepts: task == Task::Create && !dialect.should_refuse() && !refuses,
                driver,
                listed,
                troubles,
                except: None,
                scene,
                date,
                stamp,
                lag,
                own_stamp: None,
                own_lag: None,
                stuck: None,
                cut,
            }
        },
    )
}

#[test]
fn random_worlds() {
    let dialects = Dialect::all();
    proptest!(config(), |(world in worlds(&dialects))| {
        if let Err(why) = judge(&world, &run(&world)) {
            prop_assert!(false, "{why}\n{}", super::history(&world));
        }
    });
}

/// Returns the look that a number stands for, and for how long the listing is proven, if it is.
fn look(number: u16) -> (Found, Option<SignedDuration>) {
    let made = [Made::Before, Made::During, Made::After, Made::Near, Made::Untold];
    let bit = |at: u16| number >> at & 1 == 1;
    let seen = Seen {
        made: made[usize::from(number >> 8) % 5],
        fits: bit(0),
        same: bit(1) || bit(2),
        ending: number % 16 == 15,
    };
    let found = [Found::There(seen), Found::Missing, Found::Missing, Found::Incomplete][usize::from(number >> 11) % 4];
    (found, bit(4).then(|| SignedDuration::from_secs(i64::from(number % 2048) - 1000)))
}

/// Returns what comes back of a request as a number says, and how long after it left. No event is a loss.
fn event(number: u16) -> (Option<Event>, SignedDuration) {
    let answers = [Answer::Done, Answer::Partial, Answer::Exists, Answer::Absent, Answer::Refused];
    let event = match number % 16 {
        0..7 => None,
        number @ 7..15 => Some(Event::Answered(answers[usize::from(number) % 5])),
        _ => Some(Event::NotSent),
    };
    (event, SignedDuration::from_millis(i64::from(number) * 2))
}

fn rules() -> impl Strategy<Value = Rules> {
    let flags = (any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.8), any::<bool>());
    let on_existing = select(vec![OnExisting::Fail, OnExisting::Keep, OnExisting::Update]);
    (flags, on_existing, 1..6_u32, 1..6_u32, 0..5_i64).prop_map(
        |((refuses_existing, can_look, resends, is_costly), on_existing, attempts, looks, pause)| Rules {
            on_existing,
            refuses_existing,
            can_look,
            resends,
            is_costly,
            attempts,
            looks,
            pause: SignedDuration::from_secs(pause),
            lag: LAG,
            answer: SignedDuration::from_mins(1),
        },
    )
}

/// How a case begins.
#[derive(Debug, Clone, Copy)]
struct Start {
    looks_first: bool,
    before: Before,
    is_resumed: bool,
    has_mark: bool,
}

fn starts() -> impl Strategy<Value = Start> {
    let before = select(vec![Before::NotKnown, Before::No(Timestamp::UNIX_EPOCH), Before::Yes]);
    (any::<bool>(), before, prop::bool::weighted(0.3), any::<bool>())
        .prop_map(|(looks_first, before, is_resumed, has_mark)| Start { looks_first, before, is_resumed, has_mark })
}

proptest! {
    #![proptest_config(config())]

    /// Whatever comes, a case ends soon, sends no more than it may, and claims nothing that it cannot know.
    #[test]
    fn random_events(
        task in select(vec![Task::Create, Task::Update, Task::SetPassword, Task::Delete]),
        rules in rules(),
        start in starts(),
        events in vec(any::<u16>(), 32),
        looks in vec(any::<u16>(), 128),
    ) {
        // Only a case that another process began may be one that only looks.
        let rules = Rules { resends: rules.resends || !start.is_resumed, ..rules };
        let mut now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        let mut case = if start.is_resumed {
            let first = now - SignedDuration::from_secs(90);
            let sent = Sent { first: Some(first), last: now - SignedDuration::from_secs(30) };
            Case::resumed(task, rules, start.before == Before::Yes, Some(sent).filter(|_| start.has_mark), now)
        } else {
            let mut case = Case::new(task, rules);
            case.set_before(start.before);
            case
        };
        let mut sends: Vec<(Task, u32)> = Vec::new();
        let (mut events, mut looks) = (events.into_iter(), looks.into_iter());
        // Whether a request may have taken effect that carried a password, and whether anything may have been created.
        // What was listed is not created, so that no create of it was sent.
        let was_created = task == Task::Create && start.before != Before::Yes;
        let mut has_password = start.is_resumed && (was_created || task == Task::SetPassword);
        let mut may_be_made = start.is_resumed;
        let mut was_there = start.before == Before::Yes;
        let mut was_lost = start.is_resumed;
        let mut step = if start.looks_first { case.begin_with_look(now) } else { case.begin(now) };
        let verdict = loop {
            step = match step {
                Step::Finish(verdict) => break verdict,
                Step::Look(not_before) => {
                    now = now.max(not_before) + SignedDuration::from_millis(50);
                    let (found, as_of) = look(looks.next().expect("it does not look for ever"));
                    let as_of = as_of.map(|after| now + after);
                    was_there |= !was_lost && task == Task::Create && matches!(found, Found::There(_));
                    // A look before the first create corrects the listing before it.
                    let is_created = was_lost && !(start.before == Before::Yes && sends.is_empty());
                    was_there &= is_created || found != Found::Missing;
                    case.on(Event::Looked(Look { at: now, as_of, found }))
                }
                Step::Send => {
                    let sent = case.task();
                    match sends.last_mut() {
                        Some((task, count)) if *task == sent => *count += 1,
                        _ => sends.push((sent, 1)),
                    }
                    case.send(now);
                    let (event, after) = event(events.next().expect("it does not send for ever"));
                    now += after;
                    let event = event.unwrap_or(Event::Lost(now));
                    let is_lost = matches!(event, Event::Lost(_));
                    let is_done = matches!(event, Event::Answered(Answer::Done | Answer::Partial));
                    was_lost |= is_lost;
                    may_be_made |= is_lost || is_done;
                    has_password |= matches!(sent, Task::Create | Task::SetPassword) && (is_lost
                        || event == Event::Answered(Answer::Done)
                        || (event == Event::Answered(Answer::Partial) && sent == Task::Create));
                    was_there |= event == Event::Answered(Answer::Exists) && !was_lost;
                    case.on(event)
                }
            };
        };
        for (task, count) in &sends {
            // The first request of a task is sent whatever the rules say of repeats.
            prop_assert!(*count <= rules.attempts.max(1), "{task:?} was sent {count} times");
        }
        prop_assert!(sends.len() <= 3, "{sends:?}");
        if start.is_resumed && !rules.resends {
            prop_assert!(sends.is_empty(), "{sends:?}");
        }
        prop_assert_eq!(verdict.password.is_some(), has_password);
        match verdict.outcome {
            Outcome::Created => {
                prop_assert!(task == Task::Create && may_be_made);
                // No look shows that what was there before is ours; only an answer says so.
                prop_assert!(!was_there || verdict.password == Some(PasswordState::Accepted));
                prop_assert_ne!(verdict.password, Some(PasswordState::PossiblyInUse));
            }
            Outcome::Unknown => prop_assert!(was_lost),
            Outcome::Exists => prop_assert!(
                task == Task::Create && (rules.on_existing != OnExisting::Update || !rules.can_look)
            ),
            Outcome::Absent => prop_assert_eq!(task, Task::Delete),
            _ => {}
        }
        if let Some(time) = verdict.settles_at {
            prop_assert_eq!(verdict.outcome, Outcome::Unknown);
            prop_assert!(rules.can_look && task != Task::SetPassword && verdict.why != Why::NotProven);
            prop_assert!(time >= case.lost().unwrap_or(time) + rules.lag);
        }
    }
}
