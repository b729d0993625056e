//! Compares a verdict with what the host holds, and asks of each `unknown` whether another world would have looked the
//! same.

use mbx::model::{Outcome, PasswordState};
use mbx::provider::case::{Task, Why};

use super::driver::{Ran, run};
use super::host::Maker;
use super::world::{Act, DAY, Driver, HOUR, MINUTE, Ms, SECOND, Says, Scene, Stamps, Trouble, When, Work, World};

/// What a verdict is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    Created,
    /// Found by a look, and ours.
    Assumed,
    /// Created, without what takes a second request.
    HalfCreated,
    /// Created by half, and somebody else's is there too, which a look took for ours.
    CreatedBesideOthers,
    /// Taken for ours, though somebody else made it in the seconds of our request.
    StrangersNear,
    /// The same, but made before the listing that lacked it: that listing was late.
    StrangersUnlisted,
    /// The same, where the Date header and the creation times differ by just as much as the two creates.
    StrangersByClock,
    Exists,
    /// Somebody else's is there, and ours too.
    ExistsBesideOurs,
    Updated,
    Unchanged,
    Deleted,
    /// It was listed and is gone, and it is somebody else who deleted it: nothing shows that.
    DeletedByOthers,
    /// It is gone after a lost request, and nothing had shown whether it ever was there.
    DeletedUnseen,
    Absent,
    /// Created just before the listing that lacked it, which was late.
    AbsentUnlisted,
    Failed,
    /// Somebody else created it while our request was under way, which changed that one after it was answered as absent.
    FailedOnStrangers,
    /// Refused as existing, and the listings that lack it were late.
    FailedUnlisted,
    Unknown(&'static str),
}

/// What the host holds, as far as an outcome says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Truth {
    Ours,
    Others,
    Nothing,
    Original,
    Gone,
    Changed,
    Same,
    NeverThere,
}

/// Returns what the host holds in the end.
pub(super) fn truth(world: &World<'_>, ran: &Ran) -> Truth {
    match world.task {
        Task::Create | Task::Finish if ran.ours() > 0 => Truth::Ours,
        Task::Create | Task::Finish if ran.others() > 0 && ran.task == Task::Update => match ran.host.has_worked {
            true => Truth::Changed,
            false => Truth::Others,
        },
        Task::Create | Task::Finish if ran.others() > 0 => Truth::Others,
        Task::Create | Task::Finish => Truth::Nothing,
        Task::Delete if original(ran).is_some_and(|(_, is_held)| is_held) => Truth::Original,
        Task::Delete if original(ran).is_none() => Truth::NeverThere,
        Task::Delete => Truth::Gone,
        Task::Update | Task::SetPassword if ran.host.held(ran.end()).is_none() => Truth::Gone,
        Task::Update | Task::SetPassword if ran.host.has_worked => Truth::Changed,
        Task::Update | Task::SetPassword => Truth::Same,
    }
}

/// Returns since when the thing was there that a delete is about, and whether it still is.
fn original(ran: &Ran) -> Option<(Ms, bool)> {
    let sent = ran.sent.unwrap_or_default();
    let first = ran.host.things.iter().find(|thing| thing.from <= sent)?;
    Some((first.from, first.is_held(ran.end())))
}

/// Compares a verdict with what the host holds. An error says what is wrong.
pub(super) fn judge(world: &World<'_>, ran: &Ran) -> Result<Class, &'static str> {
    let truth = truth(world, ran);
    let verdict = &ran.verdict;
    let ours = ran.ours();
    if world.task == Task::Create && ours > 1 {
        let is_documented = world.accepts && world.dialect.should_refuse() && ran.unproven_repeats > 0;
        if !is_documented {
            return Err("made twice");
        }
    }
    if verdict.password.is_none() && may_hold_our_password(world, ran) {
        return Err("a password may be in use and is called unused");
    }
    if verdict.password == Some(PasswordState::Assumed) && !ran.password_works() && stranger(world, ran).is_none() {
        return Err("a password is called in use, and it is not");
    }
    match (verdict.outcome, truth) {
        (Outcome::Unknown, _) => Ok(Class::Unknown(reason(verdict.why))),
        // A host that accepts repeats holds somebody else's too, and a look showed that one.
        (Outcome::Created, Truth::Ours) if !has_our_fields(ran) && ran.others() > 0 => Ok(Class::CreatedBesideOthers),
        (Outcome::Created, Truth::Ours) if !has_our_fields(ran) => Err("called created, and half is missing"),
        (Outcome::Created, Truth::Ours) if ran.is_claimed() && !ran.password_works() => Err("a wrong password"),
        (Outcome::Created, Truth::Ours) if verdict.password == Some(PasswordState::Accepted) => Ok(Class::Created),
        (Outcome::Created, Truth::Ours) => Ok(Class::Assumed),
        (Outcome::Created, Truth::Others) if verdict.password == Some(PasswordState::Assumed) => {
            stranger(world, ran).ok_or("somebody else's is called created")
        }
        (Outcome::Exists | Outcome::Unchanged, Truth::Changed) => Err("called unchanged, and it was changed"),
        (Outcome::Exists, Truth::Others) => Ok(Class::Exists),
        // A host that accepts repeats holds both, and the verdict says that our password may be in use.
        (Outcome::Exists | Outcome::Updated | Outcome::Unchanged, Truth::Ours)
            if ran.others() > 0 && verdict.password.is_some() =>
        {
            Ok(Class::ExistsBesideOurs)
        }
        (Outcome::Exists, Truth::Nothing) if world.scene.is_held => Ok(Class::Exists),
        (Outcome::Updated, Truth::Changed) => Ok(Class::Updated),
        // Somebody else has set the same, which for a password nothing shows.
        (Outcome::Updated, Truth::Same | Truth::Others) if world.task != Task::SetPassword && is_as_asked(ran) => {
            Ok(Class::Updated)
        }
        (Outcome::Unchanged, Truth::Others) if is_as_asked(ran) => Ok(Class::Unchanged),
        // Somebody else may delete it after an update.
        (Outcome::Updated, Truth::Gone | Truth::Nothing) if world.task != Task::Delete && ran.host.has_worked => {
            Ok(Class::Updated)
        }
        (Outcome::Deleted, Truth::Gone | Truth::NeverThere) if ran.host.has_worked => Ok(Class::Deleted),
        (Outcome::Deleted, Truth::Gone) => Ok(Class::DeletedByOthers),
        (Outcome::Deleted, Truth::NeverThere) if ran.lacked.is_none() => Ok(Class::DeletedUnseen),
        (Outcome::Absent, Truth::Gone | Truth::NeverThere) if ran.host.has_worked => {
            // Nothing showed it but a listing that was late.
            let is_unlisted = ran.host.things.iter().all(|thing| thing.from > world.own_content(0));
            is_unlisted.then_some(Class::AbsentUnlisted).ok_or("called absent, and we deleted it")
        }
        (Outcome::Absent, Truth::Gone | Truth::NeverThere) => Ok(Class::Absent),
        // A listing that is late lacks what was created just before it; no request was sent.
        (Outcome::Absent, Truth::Original) if ran.sent.is_none() && ran.is_unlisted(world) => Ok(Class::AbsentUnlisted),
        (Outcome::Failed, Truth::Gone) if world.task == Task::Delete && ran.host.has_worked => {
            Err("called failed, and it was deleted")
        }
        (Outcome::Failed, Truth::Changed) if verdict.why == Why::Answered && is_made_since(ran) => {
            Ok(Class::FailedOnStrangers)
        }
        // What has failed is a change of somebody else's.
        (Outcome::Failed, Truth::Ours)
            if ran.task != Task::Create && ran.others() > 0 && verdict.password.is_some() =>
        {
            Ok(Class::ExistsBesideOurs)
        }
        // Its second half has failed.
        (Outcome::Failed, Truth::Ours) if ran.task == Task::Finish && !has_our_fields(ran) => Ok(Class::HalfCreated),
        (Outcome::Failed, Truth::Ours | Truth::Changed) => Err("called failed, and it was done"),
        (Outcome::Failed, _) if verdict.why == Why::HeldOtherwise && !world.scene.is_held => {
            let held = ran.host.held(ran.end()).filter(|(_, thing)| thing.from > world.own_content(ran.ended));
            held.map(|_| Class::FailedUnlisted).ok_or("called held by something else, and a mailbox has it or nothing")
        }
        (Outcome::Failed, _) => Ok(Class::Failed),
        (Outcome::Created, _) => Err("called created, and it is not there"),
        (Outcome::Exists, _) => Err("called existing, and it is ours or not there"),
        (Outcome::Deleted | Outcome::Absent, _) => Err("called deleted, and it is there or never was"),
        _ => Err("an outcome that does not belong to the task"),
    }
}

/// Returns whether what we made is there as we asked for it.
fn has_our_fields(ran: &Ran) -> bool {
    let is_ours = |maker: Maker| maker == Maker::Us;
    ran.host.things.iter().any(|thing| is_ours(thing.maker) && thing.is_held(ran.end()) && thing.our_fields.is_some())
}

/// Returns whether somebody else has created what is there since our first request left.
fn is_made_since(ran: &Ran) -> bool {
    let held = ran.host.held(ran.end()).map(|(_, thing)| thing);
    held.is_some_and(|thing| thing.maker == Maker::Other && ran.sent.is_some_and(|sent| thing.from > sent))
}

/// Returns whether what is there is as we asked for it, whoever made it so.
fn is_as_asked(ran: &Ran) -> bool {
    ran.host.held(ran.end()).is_some_and(|(_, thing)| thing.our_fields.is_some())
}

fn may_hold_our_password(world: &World<'_>, ran: &Ran) -> bool {
    match world.task {
        Task::Create => ran.ours() > 0 || ran.password_lost,
        Task::SetPassword => ran.host.has_worked || ran.password_lost,
        Task::Finish | Task::Update | Task::Delete => false,
    }
}

/// Says how a thing of somebody else could be taken for ours; `None` where it must not be.
fn stranger(world: &World<'_>, ran: &Ran) -> Option<Class> {
    let made = ran.host.things.iter().find(|thing| thing.maker == Maker::Other)?.from;
    let (sent, lost) = (ran.sent?, ran.lost?);
    let from = ran.lacked.unwrap_or(sent).min(sent) - 4 * SECOND;
    // A host may finish half a minute after the loss, and times of whole seconds leave more open. A later process knows
    // when the last request left, and not how it was answered.
    let until = ran.last_sent.map_or(lost, |last| last.max(lost)) + 33 * SECOND;
    let late = ran.lacked.map_or(from, |lacked| lacked - world.lag);
    let seems = made + world.stamp.unwrap_or_default() - world.date.unwrap_or_default();
    if (from..=until).contains(&made) {
        Some(Class::StrangersNear)
    } else if (late..=until).contains(&made) {
        Some(Class::StrangersUnlisted)
    } else if (sent - 4 * SECOND..=until).contains(&seems) {
        Some(Class::StrangersByClock)
    } else {
        None
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Answered => "a later answer decides nothing",
        Why::Shown => "shown",
        Why::NotShown => "no look showed it",
        Why::NotProven => "nothing proves whose it is",
        Why::LookFailed => "looks ended early",
        Why::CannotLook => "cannot be looked up",
        Why::LostEachTime => "all answers were lost",
        Why::OnlyLooked => "only looked for",
        Why::NotSent => "not sent",
        Why::HeldOtherwise => "held by something else",
    }
}

/// How many of the scenes of other worlds are tried first.
const LIKELY: usize = 5;

/// Looks for another world that the driver could not tell from this one, and where something else is true. What a clock
/// may be off by in such a world, and how late a listing, is what the tables of `case` allow for.
pub(super) fn has_rival(world: &World<'_>, ran: &Ran) -> bool {
    let wanted = truth(world, ran);
    // Whoever deletes a thing may create it again, and which of the two a run finds it does not know.
    if (world.task != Task::Create || world.scene.is_there) && is_another(world, ran) {
        return true;
    }
    // The journal does not keep an answer that made another request necessary, and whoever only looks sets nothing.
    if ran.forgot_answer || ran.verdict.why == Why::OnlyLooked {
        return true;
    }
    // Where nothing says when the request left, nothing says whose a thing is.
    if matches!(world.driver, Driver::ResumedUnmarked(_)) && ran.verdict.why == Why::NotProven {
        return true;
    }
    let works = works(world, ran);
    let lists = lists(world, ran);
    let scenes = scenes(world, ran);
    // What a host does with a second create is known only where its documents say it.
    let hosts = if world.accepts { vec![true, false] } else { vec![false] };
    // The first scenes are the likely ones.
    let (likely, others) = scenes.split_at(LIKELY.min(scenes.len()));
    [likely, others].into_iter().any(|scenes| {
        let rivals = lists.iter().flat_map(|list| works.iter().map(move |work| (list, work)));
        let mut rivals = rivals.flat_map(|pair| scenes.iter().map(move |scene| (pair, scene)));
        rivals.any(|((&(lag, own_lag, stuck), &(troubles, except)), &(scene, stamp, own_stamp))| {
            hosts.iter().any(|&accepts| {
                let rival = World { troubles, except, scene, stamp, own_stamp, lag, own_lag, stuck, accepts, ..*world };
                let other = run(&rival);
                other.evidence == ran.evidence && truth(&rival, &other) != wanted
            })
        })
    })
}

/// How late listings are, how late for the thing itself, and from when on they are stuck.
type Listing = (Ms, Option<Ms>, Option<(Ms, Ms)>);

/// Returns other listings.
fn lists(world: &World<'_>, ran: &Ran) -> Vec<Listing> {
    let mut lists = vec![(world.lag, None, None)];
    // What shows may be ours, first listed just then. A listing may show it sooner than other rows, and never later.
    let own = ran.shown_at.zip(ran.sent).map(|(shown, sent)| shown - sent - 200);
    lists.extend(own.into_iter().chain([0]).filter(|own| *own < world.lag).map(|own| (world.lag, Some(own), None)));
    // A listing may be twice as late as it was, and as much later as a host may work on.
    for from in [ran.last_sent, ran.lost].into_iter().flatten() {
        if ran.seen_lag.is_none_or(|lag| ran.ended - from <= 2 * lag + 4 * SECOND) {
            lists.push((world.lag, None, Some((from, from))));
        }
    }
    lists.extend(own.into_iter().chain([0, 1500, MINUTE, 14 * MINUTE]).map(|lag| (lag, None, None)));
    lists
}

/// Returns whether somebody else has deleted the thing that a request was about, or put another in its place.
fn is_another(world: &World<'_>, ran: &Ran) -> bool {
    let is_gone = world.scene.other.is_some_and(|(_, act)| act == Act::Delete);
    let is_new = ran.host.held(ran.end()).is_some_and(|(_, thing)| thing.from > 0);
    is_gone || is_new
}

/// What happens to the requests, and what one of them does instead.
type Doings = ([Trouble; 3], Option<(u32, Work)>);

/// Returns the same losses over other work: all lost requests do the same, or one of them does and the others do nothing.
fn works(world: &World<'_>, ran: &Ran) -> Vec<Doings> {
    let is_open = |attempt: u32| world.trouble(attempt).says == Says::Lost || world.driver_hides(attempt);
    let all = |work: Work| {
        let mut troubles = world.troubles;
        for (attempt, trouble) in (0..).zip(&mut troubles) {
            if is_open(attempt) {
                trouble.work = work;
            }
        }
        troubles
    };
    let none = all(Work::Nothing);
    // A host works on for a while after a loss, and no longer.
    let shown = ran.shown_from.zip(ran.sent).map(|(shown, sent)| shown - sent).filter(|late| *late > 0);
    let shown: Vec<_> = shown.into_iter().flat_map(|late| [Work::Late(late), Work::Half(late)]).collect();
    let late = |attempt: u32| Work::Late(world.trouble(attempt).took + 2 * SECOND);
    let mut works = vec![(world.troubles, world.except), (none, None)];
    for work in [Work::AtOnce, Work::Half(60), late(0)].into_iter().chain(shown.iter().copied()) {
        works.push((all(work), None));
    }
    for attempt in [0, 1, ran.sends.saturating_sub(1)].into_iter().filter(|attempt| is_open(*attempt)) {
        let ways = [Work::AtOnce, Work::Half(60), late(attempt)].into_iter().chain(shown.iter().copied());
        works.extend(ways.map(|work| (none, Some((attempt, work)))));
    }
    works
}

/// Returns other things that may be there, each with a clock that shows them at the same time.
fn scenes(world: &World<'_>, ran: &Ran) -> Vec<(Scene, Option<Ms>, Option<Ms>)> {
    let (sent, lost) = (ran.sent.unwrap_or_default(), ran.lost.unwrap_or_default());
    let last = ran.last_sent.unwrap_or_default();
    let mut times = vec![last + 20, -30 * MINUTE, -2 * MINUTE, -SECOND, 60, sent + 20, lost + 200, lost + 2 * MINUTE];
    times.extend(ran.shown_from);
    let mut all: Vec<_> = [world.scene, Scene::EMPTY].map(|scene| (scene, world.stamp, None)).into();
    if let Some((from, ahead)) = ran.shown_from.zip(world.stamp) {
        // What was shown is ours, or somebody else's, by a clock that is off by another amount.
        let ours = (sent + 50, Scene::EMPTY);
        let others = times.iter().map(|time| (*time, Scene::EMPTY.with(When::Look(*time), Act::Create)));
        for (made, scene) in [ours].into_iter().chain(others) {
            let off = from + ahead - made;
            let most = if world.dialect.stamps == Stamps::NoZone { 16 * HOUR } else { 2 * HOUR };
            if (off - ahead).abs() <= MINUTE + 2 * SECOND {
                all.push((scene, world.stamp, Some(off)));
            }
            if off.abs() <= most + MINUTE || (off - DAY).abs() <= most + MINUTE {
                all.push((scene, Some(off), None));
            }
        }
    }
    for there in [Scene::EMPTY, Scene::THERE] {
        for act in [Act::Create, Act::CreateAlike, Act::Delete] {
            all.extend(times.iter().map(|time| (there.with(When::Look(*time), act), world.stamp, None)));
        }
    }
    all.extend([Scene::THERE, Scene::HELD].map(|scene| (scene, world.stamp, None)));
    all
}
