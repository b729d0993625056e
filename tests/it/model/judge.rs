//! Compares what a run reports with what the host holds and has held.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use mbx::bulk::Verb;
use mbx::bulk::journal::Done;
use mbx::http;
use mbx::model::{Outcome, PasswordState};
use mbx::provider::ProviderId;
use mbx::provider::case::FRESH;

use super::life::{Run, adopts};
use super::steps::Who;
use super::world::{By, Password, Thing, World};

/// So long before a create left somebody else's create may be taken for it, besides the age of the listing that lacked it:
/// creation times leave out what is beyond whole seconds.
const EDGE: SignedDuration = SignedDuration::from_secs(5);

/// So long after its answer was lost a host may have finished a create, as far as creation times decide.
const LATE: SignedDuration = SignedDuration::from_secs(35);

/// What one process has made of a run.
pub(super) struct Case<'a> {
    pub(super) world: &'a World,
    pub(super) run: &'a Run,
    pub(super) started: Timestamp,
    /// How many creates had arrived before it began.
    pub(super) sends: usize,
    /// The last outcome of each row and its line in the journal, before and after.
    pub(super) before: &'a BTreeMap<u32, (usize, Done)>,
    pub(super) after: &'a BTreeMap<u32, (usize, Done)>,
    /// The rows that it had nothing to do for.
    pub(super) done: &'a [u32],
}

/// Asserts that what a process reports is true, and that it has left alone what was done before.
pub(super) fn judge_run(case: &Case<'_>) {
    let sent = &case.world.sends[case.sends..];
    for (row, known) in case.before.iter().filter(|(row, _)| case.done.contains(row)) {
        assert_eq!(case.after.get(row), Some(known), "a row that is done is reported again");
        let who = case.who(*row);
        assert!(
            !sent.iter().any(|(_, sent, _)| *sent == who),
            "a create is sent for {who:?}, which is done: {known:?}"
        );
    }
    for (row, new) in case.after.iter().filter(|(row, new)| case.before.get(row).map(|(line, _)| line) != Some(&new.0))
    {
        if let Err(why) = case.judge(case.who(*row), &new.1) {
            let history: Vec<_> = case.world.things.iter().filter(|thing| thing.who == case.who(*row)).collect();
            panic!(
                "{why}: {:#?}\nheld: {history:#?}\nsent: {:?}\nleft: {:?}\nnow: {}",
                new.1,
                case.world.sends,
                case.world.left,
                http::now()
            );
        }
    }
}

impl Case<'_> {
    fn who(&self, row: u32) -> Who {
        self.run.begin.rows[row as usize]
    }

    fn me(&self) -> By {
        By::Run(self.run.number)
    }

    /// Returns what this run has made at an address.
    fn ours(&self, who: Who) -> impl Iterator<Item = &Thing> {
        let me = self.me();
        self.world.things.iter().filter(move |thing| thing.who == who && thing.by == me)
    }

    /// Returns whether anything was at an address since the run began that it has not made.
    fn others_were_there(&self, who: Who) -> bool {
        let others = self.world.things.iter().filter(|thing| thing.who == who && thing.by != self.me());
        others
            .filter_map(|thing| thing.until.map(|(until, _)| until).or(Some(Timestamp::MAX)))
            .any(|until| until >= self.run.began)
    }

    /// Returns whether anybody but this run has changed what is at an address since a time.
    fn others_acted(&self, who: Who, since: Timestamp) -> bool {
        let me = self.me();
        let things = || self.world.things.iter().filter(|thing| thing.who == who);
        self.world.was_touched(who, since)
            || things().any(|thing| thing.by != me && thing.from >= since)
            || things().any(|thing| thing.until.is_some_and(|(until, by)| by != me && until >= since))
    }

    /// Returns whether somebody else made a mailbox so near to one of our requests that it may be taken for ours.
    fn may_take_for_ours(&self, who: Who) -> bool {
        let (late, write) =
            (self.world.late(), SignedDuration::try_from(self.world.spec.pace.write).unwrap_or_default());
        let sends = self
            .world
            .sends
            .iter()
            .chain(&self.world.left)
            .filter(|(run, sent, _)| *run == self.run.number && *sent == who);
        sends.map(|(_, _, at)| *at).any(|at| {
            let others = self.world.things.iter().filter(|thing| thing.who == who && thing.by != self.me());
            others.map(|thing| thing.from).any(|from| from >= at - FRESH - EDGE - late && from <= at + write + LATE)
        })
    }

    fn judge(&self, who: Who, done: &Done) -> Result<(), &'static str> {
        assert_eq!(done.address, who.address());
        self.judge_doubt(who, done)?;
        self.judge_password(who, done)?;
        match self.run.begin.verb {
            Verb::Create => self.judge_create(who, done),
            Verb::Update | Verb::Passwd => self.judge_change(who, done),
            Verb::Delete => self.judge_delete(who, done),
        }
    }

    fn judge_doubt(&self, who: Who, done: &Done) -> Result<(), &'static str> {
        if done.outcome != Outcome::Unknown {
            return Ok(());
        }
        // LiteMail's answer to several leaves out those that exist, without a word about them.
        let is_left_out = self.world.id() == ProviderId::Litemail && self.others_were_there(who);
        match (self.run.has_lost || is_left_out, done.error.as_deref(), done.message.as_deref()) {
            (false, ..) => Err("unknown, and no answer was lost"),
            (true, Some("unknown"), Some(message)) if !message.is_empty() => Ok(()),
            (true, ..) => Err("unknown without a reason"),
        }
    }

    /// Asserts that a password that is claimed is the one that opens the mailbox.
    fn judge_password(&self, who: Who, done: &Done) -> Result<(), &'static str> {
        let has_sink = self.run.out().is_some();
        let kept = self.run.passwords().get(&who).cloned();
        let is_claimed = matches!(done.password_state, Some(PasswordState::Accepted | PasswordState::Assumed));
        if done.password_state.is_some() && kept.is_none() {
            return Err("a password is claimed, and no file holds it");
        }
        let must_claim = matches!(
            (self.run.begin.verb, done.outcome),
            (Verb::Create, Outcome::Created) | (Verb::Passwd, Outcome::Updated)
        );
        if has_sink && must_claim && !is_claimed {
            return Err("nothing is said of its password");
        }
        // Whoever creates a mailbox does not know who has set its password since.
        let is_set_later = self.world.verbs.iter().any(|(verb, rows)| *verb == Verb::Passwd && rows.contains(&who));
        let since = match self.run.begin.verb {
            Verb::Passwd => Some(self.started),
            _ if is_set_later => None,
            _ => self.ours(who).last().map(|thing| thing.from),
        };
        if is_claimed && since.is_some_and(|since| !self.others_acted(who, since)) {
            let password = kept.unwrap_or_default();
            if !self.world.sandbox.password_is(self.world.id(), &who.address(), &password) {
                return Err("its password is another one");
            }
        }
        Ok(())
    }

    fn judge_create(&self, who: Who, done: &Done) -> Result<(), &'static str> {
        let began = self.run.began;
        let is_made = self.ours(who).next().is_some();
        let is_held = self.ours(who).any(|thing| thing.until.is_none());
        // Where both are there, a look may show either.
        let may_be_theirs =
            self.others_acted(who, began) || (self.world.host.accepts_repeats && self.others_were_there(who));
        match done.outcome {
            Outcome::Created if !is_made && done.password_state == Some(PasswordState::Accepted) => {
                Err("called created with a password that was accepted, and it was not made")
            }
            Outcome::Created if !is_made && self.may_take_for_ours(who) => Ok(()),
            Outcome::Created if !is_made => Err("called created, and it was not made"),
            Outcome::Created if !is_held && !self.others_acted(who, began) => Err("called created, and it is gone"),
            Outcome::Exists | Outcome::Updated | Outcome::Unchanged if is_made && !may_be_theirs => {
                Err("called existing, and it is ours")
            }
            Outcome::Exists | Outcome::Updated | Outcome::Unchanged if !self.others_were_there(who) => {
                Err("called existing, and nothing was there")
            }
            Outcome::Updated | Outcome::Unchanged if !adopts(self.run) => Err("changed, and nobody asked for it"),
            Outcome::Failed if is_held => {
                let is_half =
                    done.touched && done.message.as_deref().is_some_and(|text| text.contains("was created, but"));
                if is_half { Ok(()) } else { Err("called failed, and it was made") }
            }
            Outcome::Created
            | Outcome::Exists
            | Outcome::Updated
            | Outcome::Unchanged
            | Outcome::Failed
            | Outcome::Unknown => Ok(()),
            _ => Err("an outcome that does not belong to a create"),
        }
    }

    fn judge_change(&self, who: Who, done: &Done) -> Result<(), &'static str> {
        let is_calm = !self.others_acted(who, self.started);
        match done.outcome {
            Outcome::Updated | Outcome::Unchanged if is_calm => {
                let held = self.world.sandbox.mailboxes(self.world.id());
                let mut held = held.into_iter().filter(|held| held.address == who.address());
                let Some(held) = held.next() else { return Err("called updated, and it is not there") };
                let is_changed = match (self.run.begin.verb, self.world.id()) {
                    (Verb::Update, ProviderId::Emboux) => held.quota == 2048,
                    (Verb::Update, ProviderId::Mailinabox) => held.quota == 2 << 30,
                    (Verb::Update, _) => held.last_name.as_deref() == Some("King"),
                    _ => true,
                };
                if is_changed || self.world.held(who).count() > 1 {
                    Ok(())
                } else {
                    Err("called updated, and it is as before")
                }
            }
            Outcome::Updated | Outcome::Unchanged | Outcome::Failed | Outcome::Unknown => Ok(()),
            _ => Err("an outcome that does not belong to a change"),
        }
    }

    fn judge_delete(&self, who: Who, done: &Done) -> Result<(), &'static str> {
        let (me, world) = (self.me(), self.world);
        let is_calm = !self.others_acted(who, self.started);
        let deleted = world
            .things
            .iter()
            .filter(|thing| thing.who == who)
            .any(|thing| thing.until.is_some_and(|(_, by)| by == me));
        // What was made just before may not be listed yet.
        let is_listed = |thing: &&Thing| thing.from + world.late() < self.started;
        let are_twins = world
            .things
            .iter()
            .filter(|thing| thing.who == who && thing.until.is_none_or(|(until, _)| until >= self.started))
            .count()
            > 1;
        let is_held = world.held(who).any(|thing| is_listed(&thing));
        match done.outcome {
            Outcome::Deleted | Outcome::Absent if is_calm && is_held && !are_twins => {
                Err("called gone, and it is there")
            }
            Outcome::Absent | Outcome::Failed if deleted && !self.others_acted(who, self.run.began) => {
                Err("called not deleted, and it was")
            }
            Outcome::Scheduled if world.id() != ProviderId::Litemail => Err("nothing is scheduled there"),
            Outcome::Deleted | Outcome::Scheduled | Outcome::Absent | Outcome::Failed | Outcome::Unknown => Ok(()),
            _ => Err("an outcome that does not belong to a delete"),
        }
    }
}

/// Asserts that no password is changed that nobody asked to change, and that none in use is thrown away.
pub(super) fn judge_world(world: &mut World, runs: &[Run]) {
    if !world.takes_password() {
        return;
    }
    let id = world.id();
    let is = |who: Who, password: &str| world.sandbox.password_is(id, &who.address(), password);
    for (who, password) in &world.removed {
        assert!(!is(*who, password), "the password of {who:?} was thrown away and is in use");
    }
    let mut now_ours = Vec::new();
    for (at, thing) in world.things.iter().enumerate().filter(|(_, thing)| thing.until.is_none()) {
        if let Password::Theirs(password) = &thing.password
            && is(thing.who, password)
        {
            continue;
        }
        let may_have_set = |run: &&Run| match run.begin.verb {
            Verb::Create => thing.by == By::Run(run.number) && thing.password == Password::Ours,
            Verb::Passwd => run.begin.rows.contains(&thing.who),
            Verb::Update | Verb::Delete => false,
        };
        let mut all = runs.iter().filter(may_have_set).filter_map(|run| run.passwords().remove(&thing.who));
        assert!(all.any(|password| is(thing.who, &password)), "no file holds the password of {thing:?}");
        now_ours.push(at);
    }
    for at in now_ours {
        world.things[at].password = Password::Ours;
    }
}

/// Asserts that at a host that is well, after enough time, nothing is in doubt that can be settled.
pub(super) fn judge_end(world: &World, run: &Run, last: &BTreeMap<u32, (usize, Done)>) {
    for (row, who) in (0..).zip(&run.begin.rows) {
        let (_, done) =
            last.get(&row).unwrap_or_else(|| panic!("run {} leaves {who:?} without an outcome", run.number));
        let history: Vec<_> = world.things.iter().filter(|thing| thing.who == *who).collect();
        assert!(
            done.outcome != Outcome::Unknown || done.settles_at.is_none(),
            "it is left in doubt: {done:#?}\nheld: {history:#?}\nnow: {}",
            http::now()
        );
    }
}
