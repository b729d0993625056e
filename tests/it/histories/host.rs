//! A host with a clock of its own: it holds things of one address, does what is asked for, now or later, and lists what it
//! held a while ago.

use mbx::provider::case::{Answer, Task};

use super::world::{Act, Ms, Scene, World};

/// Who made a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Us,
    Other,
}

/// A mailbox or an alias.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thing {
    pub(super) maker: Maker,
    pub(super) from: Ms,
    pub(super) until: Ms,
    /// Whether it is what was asked for: an alias with the same targets.
    pub(super) is_same: bool,
    /// From when on its password is ours.
    pub(super) our_password: Option<Ms>,
    /// From when on its fields are as asked for.
    pub(super) our_fields: Option<Ms>,
}

impl Thing {
    pub(super) fn is_held(&self, time: Ms) -> bool {
        self.from <= time && time < self.until
    }
}

/// Something that will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Ours(Task),
    OursByHalf(Task),
    Others(Act),
}

/// The host.
#[derive(Debug)]
pub(super) struct Host {
    accepts: bool,
    scene: Scene,
    pub(super) things: Vec<Thing>,
    plans: Vec<(Ms, Plan)>,
    /// Whether a request of ours for the present task has taken effect.
    pub(super) has_worked: bool,
    /// How often we deleted something that somebody else had made meanwhile.
    pub(super) wrongly_deleted: u32,
}

const EVER: Ms = Ms::MAX;

impl Host {
    pub(super) fn new(world: &World<'_>, long_ago: Ms) -> Self {
        let mut host = Host {
            accepts: world.accepts,
            scene: world.scene,
            things: Vec::new(),
            plans: Vec::new(),
            has_worked: false,
            wrongly_deleted: 0,
        };
        if world.scene.is_there {
            host.make(Maker::Other, long_ago, Act::Create);
        }
        host
    }

    fn make(&mut self, maker: Maker, from: Ms, act: Act) {
        self.things.push(Thing {
            maker,
            from,
            until: EVER,
            is_same: act != Act::CreateOther,
            our_password: (maker == Maker::Us).then_some(from),
            our_fields: (act == Act::CreateAlike).then_some(from),
        });
    }

    /// Has somebody else act at a time.
    pub(super) fn plan_others(&mut self, time: Ms, act: Act) {
        self.plans.push((time, Plan::Others(act)));
    }

    /// Has a request carried out later.
    pub(super) fn plan_ours(&mut self, time: Ms, task: Task) {
        self.plans.push((time, Plan::Ours(task)));
    }

    /// Has the first half of a request carried out later.
    pub(super) fn plan_half(&mut self, time: Ms, task: Task) {
        self.plans.push((time, Plan::OursByHalf(task)));
    }

    /// Lets everything happen that was to happen until now.
    pub(super) fn advance(&mut self, now: Ms) {
        self.plans.sort_by_key(|(time, _)| *time);
        while let Some(&(time, plan)) = self.plans.first()
            && time <= now
        {
            self.plans.remove(0);
            match plan {
                Plan::Ours(task) => _ = self.carry_out(task, time),
                Plan::OursByHalf(task) => _ = self.carry_out_half(task, time),
                Plan::Others(Act::Delete) => _ = self.delete(time),
                Plan::Others(act) => _ = self.create(Maker::Other, time, act),
            }
        }
    }

    /// Lets our own requests take effect that still can, and nothing else happen.
    pub(super) fn finish_ours(&mut self) {
        self.plans.retain(|(_, plan)| !matches!(plan, Plan::Others(_)));
        self.advance(EVER - 1);
    }

    /// Carries out the first half of a request of ours.
    pub(super) fn carry_out_half(&mut self, task: Task, now: Ms) -> Answer {
        if task != Task::Create {
            return self.carry_out(task, now);
        }
        match self.create(Maker::Us, now, Act::Create) {
            Answer::Done => Answer::Partial,
            answer => answer,
        }
    }

    /// Carries out a request of ours.
    pub(super) fn carry_out(&mut self, task: Task, now: Ms) -> Answer {
        let answer = match task {
            Task::Create => self.create(Maker::Us, now, Act::CreateAlike),
            Task::Delete => match self.delete(now) {
                Some(deleted) => {
                    self.wrongly_deleted += u32::from(deleted.maker == Maker::Other && deleted.from > 0);
                    Answer::Done
                }
                None => Answer::Absent,
            },
            Task::SetPassword => self.change(now, |thing| _ = thing.our_password.get_or_insert(now)),
            Task::Update | Task::Finish => self.change(now, |thing| _ = thing.our_fields.get_or_insert(now)),
        };
        self.has_worked |= answer == Answer::Done;
        answer
    }

    fn create(&mut self, maker: Maker, now: Ms, act: Act) -> Answer {
        if self.scene.is_held || (!self.accepts && self.held(now).is_some()) {
            return Answer::Exists;
        }
        self.make(maker, now, act);
        Answer::Done
    }

    fn delete(&mut self, now: Ms) -> Option<Thing> {
        let thing = self.things.iter_mut().find(|thing| thing.is_held(now))?;
        thing.until = now;
        Some(*thing)
    }

    fn change(&mut self, now: Ms, change: impl Fn(&mut Thing)) -> Answer {
        match self.things.iter_mut().find(|thing| thing.is_held(now)) {
            Some(thing) => {
                change(thing);
                Answer::Done
            }
            None => Answer::Absent,
        }
    }

    /// Returns what is held at a time, with its number.
    pub(super) fn held(&self, time: Ms) -> Option<(usize, Thing)> {
        self.things.iter().copied().enumerate().find(|(_, thing)| thing.is_held(time))
    }

    /// Returns how many things of a maker are held at a time.
    pub(super) fn count(&self, maker: Maker, time: Ms) -> usize {
        self.things.iter().filter(|thing| thing.maker == maker && thing.is_held(time)).count()
    }
}
