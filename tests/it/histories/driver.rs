//! Drives a case through a world as the real drivers do (`provider::drive` for a single command, `bulk` for runs), with a
//! clock that jumps. What the driver sees on the way is hashed: two worlds with the same hash cannot be told apart by it.

use std::hash::{Hash, Hasher};

use jiff::SignedDuration;
use mbx::bulk::Witnesses;
use mbx::model::{Outcome, PasswordState, Stamp};
use mbx::provider::case::{
    Answer, Before, Case, Event, Found, GRACE, Look, Made, OnExisting, Rules, Seen, Sent, Step, Task, Verdict, Why,
};
use mbx::provider::made;

use super::host::{Host, Maker};
use super::world::{DAY, Driver, Ms, SECOND, Says, Stamps, When, Work, World, at, ms, whole_second};

/// How long a request takes to the host, and a look to its content and its end.
const THERE: Ms = 50;
const BACK: Ms = 100;

/// How long after its request left a process is killed.
const KILLED: Ms = 500;

/// More steps than any history may take.
const STEPS: u32 = 200;

/// What became of a history.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) verdict: Verdict,
    /// The last task of the case.
    pub(super) task: Task,
    /// When the verdict fell, when the first and the last request left, and when the last answer was lost.
    pub(super) ended: Ms,
    pub(super) sent: Option<Ms>,
    pub(super) last_sent: Option<Ms>,
    pub(super) lost: Option<Ms>,
    /// When the listing began that lacked the thing before the first request.
    pub(super) lacked: Option<Ms>,
    /// How often a create was sent again with proof that none before it had worked, and without.
    pub(super) proven_repeats: u32,
    pub(super) unproven_repeats: u32,
    pub(super) sends: u32,
    /// How late a listing was at most that showed another row of the run.
    pub(super) seen_lag: Option<Ms>,
    /// Whether the process was killed after an answer had made another request necessary.
    pub(super) forgot_answer: bool,
    /// Whether the answer to a request was lost that carried a password.
    pub(super) password_lost: bool,
    /// The last creation time that a look showed.
    pub(super) stamp: Option<Stamp>,
    /// When what was first shown after a loss was really made, and when the listing was read that showed it.
    pub(super) shown_from: Option<Ms>,
    pub(super) shown_at: Option<Ms>,
    /// The host after all our requests have taken effect.
    pub(super) host: Host,
    /// What the driver saw.
    pub(super) evidence: u64,
    /// The same to read, where it was asked for.
    pub(super) log: Vec<String>,
}

/// Runs the history of a world.
pub(super) fn run(world: &World<'_>) -> Ran {
    Sim::new(world, false).run()
}

/// Runs it and writes down what happens.
pub(super) fn run_with_log(world: &World<'_>) -> Ran {
    Sim::new(world, true).run()
}

/// Hashes what a driver sees, fast enough for millions of looks in a debug build.
struct Evidence(u64);

impl Hasher for Evidence {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Times of other rows that are created a second apart, and how much later than that time they are made.
#[derive(Debug, Clone, Copy)]
struct Rows {
    from: Ms,
    until: Ms,
    made_after: Ms,
}

struct Sim<'a> {
    world: &'a World<'a>,
    host: Host,
    now: Ms,
    case: Case,
    rules: Rules,
    witnesses: Witnesses,
    rows: Vec<Rows>,
    newest: Option<Ms>,
    date: Option<(SignedDuration, SignedDuration)>,
    looks: u32,
    /// What a delete found first.
    first_seen: Option<usize>,
    /// Whether the listing before the first request showed it, as the journal keeps it.
    was_listed: bool,
    last_look: Option<Look>,
    ran: Ran,
    hasher: Evidence,
    writes: bool,
}

impl<'a> Sim<'a> {
    fn new(world: &'a World<'a>, writes: bool) -> Self {
        let rules = world.rules(false);
        let case = Case::new(world.task, rules);
        let verdict = Verdict::unknown(&case, Why::NotSent);
        let ran = Ran {
            verdict,
            task: world.task,
            ended: 0,
            sent: None,
            last_sent: None,
            lost: None,
            lacked: None,
            proven_repeats: 0,
            unproven_repeats: 0,
            sends: 0,
            seen_lag: None,
            forgot_answer: false,
            password_lost: false,
            stamp: None,
            shown_from: None,
            shown_at: None,
            host: Host::new(world, -30 * DAY),
            evidence: 0,
            log: Vec::new(),
        };
        let mut sim = Sim {
            host: Host::new(world, -30 * DAY),
            world,
            now: 0,
            case,
            rules,
            witnesses: Witnesses::default(),
            rows: Vec::new(),
            newest: None,
            date: None,
            looks: 0,
            first_seen: None,
            was_listed: false,
            last_look: None,
            ran,
            hasher: Evidence(0),
            writes,
        };
        sim.saw("begins", (world.dialect.name, world.driver, world.listed));
        if let Some((When::Look(time), act)) = world.scene.other {
            sim.host.plan_others(time, act);
        }
        sim
    }

    /// Takes something into the evidence.
    fn saw(&mut self, what: &'static str, detail: impl Hash + std::fmt::Debug) {
        (self.now, what.len()).hash(&mut self.hasher);
        detail.hash(&mut self.hasher);
        self.log(what, detail);
    }

    fn log(&mut self, what: &'static str, detail: impl std::fmt::Debug) {
        if self.writes {
            self.ran.log.push(format!("{:>9} {what} {detail:?}", self.now));
        }
    }

    fn run(mut self) -> Ran {
        let killed_at = match self.world.driver {
            Driver::Single | Driver::Bulk | Driver::BulkAtEnd | Driver::SettledInTime => 0,
            Driver::Resumed(_) | Driver::ResumedUnmarked(_) | Driver::Settled(_) => 1,
            Driver::ResumedAtRepeat(_) => 2,
        };
        let first = match self.world.driver {
            Driver::Single => self.case.begin_with_look(at(0)),
            _ => self.begin_bulk(),
        };
        let verdict = match self.drive(first, killed_at) {
            None => self.drive_again(),
            Some(Verdict { settles_at: Some(time), .. }) if self.world.driver == Driver::SettledInTime => {
                self.now = self.now.max(ms(time));
                self.drive_again()
            }
            Some(verdict) => verdict,
        };
        self.log("verdict", verdict);
        self.ran.ended = self.now;
        self.host.advance(self.now);
        self.host.finish_ours();
        Ran { verdict, task: self.case.task(), host: self.host, evidence: self.hasher.finish(), ..self.ran }
    }

    fn drive_again(&mut self) -> Verdict {
        let first = self.resume();
        self.drive(first, 0).expect("it is not killed again")
    }

    /// Drives the case to its verdict; `None` where the process is killed while its request of this number is under way.
    fn drive(&mut self, first: Step, killed_at: u32) -> Option<Verdict> {
        let mut step = first;
        for _ in 0..STEPS {
            step = match step {
                Step::Finish(verdict) => return Some(verdict),
                Step::Look(not_before) => self.look(ms(not_before)),
                Step::Send => {
                    let is_killed = self.ran.sends + 1 == killed_at;
                    let (time, event) = self.send(is_killed);
                    if is_killed {
                        return None;
                    }
                    self.now = time;
                    self.saw("answer", std::mem::discriminant(&event));
                    if let Event::Answered(answer) = event {
                        self.saw("says", std::mem::discriminant(&answer));
                    }
                    self.log("answer", event);
                    if event == Event::Lost(at(time)) {
                        self.lose(time);
                    }
                    self.case.on(event)
                }
            };
        }
        panic!("the case does not end: {:?}", self.world);
    }

    fn lose(&mut self, time: Ms) {
        self.ran.password_lost |= matches!(self.case.task(), Task::Create | Task::SetPassword);
        if self.ran.lost.is_none()
            && let Some((When::Loss(after), act)) = self.world.scene.other
        {
            self.host.plan_others(time + after, act);
        }
        self.ran.lost = Some(time);
    }

    /// Lists what is there before the first request of a bulk run, as its feeder does.
    fn begin_bulk(&mut self) -> Step {
        self.rows.push(Rows { from: -10 * SECOND, until: self.world.listed - SECOND, made_after: -THERE });
        self.learn(-10 * SECOND, -THERE);
        let listed = if self.is_cut() { None } else { Some(self.shown(THERE).is_some()) };
        self.looks += 1;
        self.date_header(0, BACK);
        self.saw("listing", listed);
        let before = match listed {
            None => Before::NotKnown,
            Some(true) => Before::Yes,
            Some(false) => Before::No(at(0)),
        };
        self.case.set_before(before);
        self.was_listed = before == Before::Yes;
        if before == Before::No(at(0)) {
            self.ran.lacked = Some(0);
        }
        self.now = self.world.listed;
        let keeps = self.world.on_existing != OnExisting::Update;
        let outcome = match (self.world.task, before) {
            (Task::Create, Before::Yes) if keeps => Outcome::Exists,
            (Task::Delete, Before::No(_)) => Outcome::Absent,
            (Task::Update | Task::SetPassword, Before::No(_)) => Outcome::Failed,
            _ => return self.case.begin(at(self.now)),
        };
        Step::Finish(Verdict { outcome, password: None, why: Why::Shown, settles_at: None })
    }

    /// Begins again after a kill, with what the journal says.
    fn resume(&mut self) -> Step {
        let sent = self.case.sent();
        let killed = self.now + KILLED;
        let (after, has_mark, goes_on) = match self.world.driver {
            Driver::Resumed(after) | Driver::ResumedAtRepeat(after) => (after, true, true),
            Driver::ResumedUnmarked(after) => (after, false, true),
            Driver::Settled(after) => (after, true, false),
            Driver::SettledInTime | Driver::Single | Driver::Bulk | Driver::BulkAtEnd => (-KILLED, true, false),
        };
        if self.world.driver != Driver::SettledInTime {
            self.lose(killed);
        }
        let was_listed = self.was_listed;
        self.ran.forgot_answer = self.case.task() != self.world.task;
        self.now = killed + after;
        // All that it knows is what the journal says.
        self.hasher = Evidence(0);
        self.saw("resumed", (self.world.dialect.name, self.world.driver, was_listed));
        if has_mark {
            self.saw("sent", (self.ran.sent, self.ran.last_sent));
        }
        self.rules = self.world.rules(true);
        let sent = sent.map(|first| Sent { first: Some(first), last: at(self.ran.last_sent.unwrap_or_default()) });
        let sent = sent.filter(|_| has_mark);
        self.case = Case::resumed(self.world.task, self.rules, was_listed, sent, at(self.now));
        // The journal does not say how late listings were.
        self.ran.seen_lag = None;
        self.witnesses = Witnesses::default();
        self.newest = None;
        self.rows = vec![Rows { from: killed - 63 * SECOND, until: killed - SECOND, made_after: THERE }];
        if goes_on {
            let from = self.now + SECOND;
            self.rows.push(Rows { from, until: from + 20 * SECOND, made_after: -THERE });
        }
        self.case.begin(at(self.now))
    }

    fn send(&mut self, is_killed: bool) -> (Ms, Event) {
        let task = self.case.task();
        self.note_repeat(task);
        let sent = self.now;
        if self.ran.sent.is_none() {
            self.ran.sent = Some(sent);
            if let Some((When::Send(after), act)) = self.world.scene.other {
                self.host.plan_others(sent + after, act);
            }
            if self.world.driver != Driver::BulkAtEnd && self.world.driver != Driver::Single {
                self.rows.push(Rows { from: sent, until: sent + 60 * SECOND, made_after: -THERE });
            }
        }
        self.ran.last_sent = Some(sent);
        self.case.send(at(sent));
        self.saw("send", std::mem::discriminant(&task));
        let mut trouble = self.world.trouble(self.ran.sends);
        if is_killed {
            trouble.says = Says::Lost;
        }
        self.ran.sends += 1;
        let mut answer = None;
        match (trouble.work, trouble.says) {
            (Work::Nothing, _) => {}
            (Work::Late(after), Says::Lost) => self.host.plan_ours(sent + after, task),
            (Work::AtOnce, _) => answer = Some(self.carry_out(task, sent + THERE)),
            (Work::Half(after), Says::Lost) => self.host.plan_half(sent + after, task),
            (Work::Half(after), _) => {
                self.host.advance(sent + after);
                answer = Some(self.host.carry_out_half(task, sent + after));
            }
            (Work::Late(after), _) => answer = Some(self.carry_out(task, sent + after)),
        }
        let time = sent + trouble.took;
        let event = match trouble.says {
            Says::Truth => Event::Answered(answer.expect("the request is carried out")),
            Says::Lost => Event::Lost(at(time)),
            Says::Refused => Event::Answered(Answer::Refused),
            Says::NotSent => Event::NotSent,
        };
        (time, event)
    }

    fn carry_out(&mut self, task: Task, time: Ms) -> Answer {
        self.host.advance(time);
        self.host.carry_out(task, time)
    }

    /// Notes whether a create that is sent again is proven to be the only one.
    fn note_repeat(&mut self, task: Task) {
        if task != Task::Create || self.ran.sends == 0 {
            return;
        }
        let quiet = at(self.ran.lost.unwrap_or_default()) + GRACE;
        let is_proven = self.last_look.is_some_and(|look| {
            let is_long_ago = look.at >= quiet + self.rules.lag;
            look.found == Found::Missing && (is_long_ago || look.as_of.is_some_and(|time| time >= quiet))
        });
        let count = if is_proven { &mut self.ran.proven_repeats } else { &mut self.ran.unproven_repeats };
        *count += 1;
    }

    fn is_cut(&self) -> bool {
        self.world.is_cut(self.looks)
    }

    /// Returns what a listing shows whose content is read at this time.
    fn shown(&mut self, time: Ms) -> Option<usize> {
        self.host.advance(time);
        self.host.held(self.world.own_content(time)).map(|(number, _)| number)
    }

    /// Takes in the Date header of an answer, as the sender does.
    fn date_header(&mut self, sent: Ms, received: Ms) {
        let Some(ahead) = self.world.date else { return };
        let date = at(whole_second(received - THERE + ahead));
        self.date =
            Some((date.duration_since(at(received)), date.duration_since(at(sent)) + SignedDuration::from_secs(1)));
        self.saw("date", ms(date));
    }

    fn stamp(&self, time: Ms, ahead: Option<Ms>) -> Option<Stamp> {
        let stamps = if self.rules.can_look { self.world.dialect.stamps } else { Stamps::None };
        ahead.and_then(|ahead| stamps.show(time, ahead))
    }

    /// Learns of the provider's clock from a mailbox of another row.
    fn learn(&mut self, known: Ms, made_after: Ms) {
        let stamp = self.stamp(known + made_after, self.world.stamp);
        self.witnesses.clock.learn(stamp.as_ref(), at(known));
        self.saw("stamp of another row", stamp.as_ref().map(Stamp::as_str));
    }

    /// Returns the newest other row that a listing shows which begins now.
    fn newest_witness(&self, time: Ms) -> Option<(Ms, Ms)> {
        let newest = |rows: &Rows| {
            let most = (self.world.content(time) - rows.made_after).min(self.now).min(rows.until);
            (most >= rows.from).then(|| (most - (most - rows.from) % SECOND, rows.made_after))
        };
        self.rows.iter().filter_map(newest).max()
    }

    fn look(&mut self, not_before: Ms) -> Step {
        let is_bulk = self.world.driver != Driver::Single;
        // In a run a look waits for its turn.
        self.now = self.now.max(not_before) + if is_bulk { 200 } else { 0 };
        let began = self.now;
        let is_cut = self.is_cut();
        self.looks += 1;
        let shown = self.shown(began + THERE);
        let newest = if is_bulk { self.newest_witness(began + THERE) } else { None };
        self.now = began + BACK;
        self.date_header(began, self.now);
        let seen_lag = newest.map(|(time, _)| self.now - time);
        self.ran.seen_lag = self.ran.seen_lag.into_iter().chain(seen_lag).min();
        if let Some((time, made_after)) = newest.filter(|(time, _)| self.newest != Some(*time)) {
            self.newest = Some(time);
            self.learn(time, made_after);
        }
        let lags = self.rules.is_costly;
        let as_of = if is_bulk && !lags {
            self.witnesses.as_of((at(began), at(self.now)), newest.map(|(time, _)| at(time)), &self.rules)
        } else {
            None
        };
        let found = match shown {
            _ if is_cut => Found::Incomplete,
            None => Found::Missing,
            Some(number) => Found::There(self.see(number, self.world.own_content(began + THERE))),
        };
        self.saw("look", (began, as_of.map(ms)));
        match found {
            Found::There(seen) => self.saw("found", (seen.fits, seen.same)),
            Found::Missing => self.saw("found", "missing"),
            Found::Incomplete => self.saw("found", "incomplete"),
        }
        self.log("look", found);
        if !self.case.is_doubted() && self.ran.sends == 0 && found == Found::Missing {
            self.ran.lacked = Some(began);
            // The journal says so before the request leaves.
            self.was_listed = false;
        }
        // A run knows that a thing was there when its listing had ended.
        let time = if is_bulk && matches!(found, Found::There(_)) { self.now } else { began };
        let look = Look { at: at(time), as_of, found };
        self.last_look = Some(look);
        self.case.on(Event::Looked(look))
    }

    fn see(&mut self, number: usize, content: Ms) -> Seen {
        let thing = self.host.things[number];
        let stamp = self.stamp(thing.from, self.world.own_stamp.or(self.world.stamp));
        if self.case.is_doubted() {
            self.ran.shown_from.get_or_insert(thing.from);
            self.ran.shown_at.get_or_insert(self.now);
        }
        let now = at(self.now);
        let made = match self.case.sent() {
            None => Made::Untold,
            Some(sent) => {
                let times = (sent, self.case.lost().unwrap_or(now), now);
                made(stamp.as_ref(), times, self.date, &self.witnesses.clock)
            }
        };
        let same = match self.world.task {
            Task::Delete => {
                let first = *self.first_seen.get_or_insert(number);
                !self.world.dialect.has_ids || first == number
            }
            _ => thing.is_same,
        };
        self.saw("stamp", stamp.as_ref().map(Stamp::as_str));
        self.ran.stamp = stamp;
        let fits = self.world.task == Task::Delete || thing.our_fields.is_some_and(|from| from <= content);
        Seen { made, fits, same, ending: false }
    }
}

impl Ran {
    /// Returns how many of our creates are there.
    pub(super) fn ours(&self) -> usize {
        self.host.count(Maker::Us, self.end())
    }

    /// Returns how many things that others made are there.
    pub(super) fn others(&self) -> usize {
        self.host.count(Maker::Other, self.end())
    }

    /// Returns whether what is there was created too late for the listing before the request.
    pub(super) fn is_unlisted(&self, world: &World<'_>) -> bool {
        self.host.held(self.end()).is_some_and(|(_, thing)| thing.from > world.content(0))
    }

    /// A time after all that our requests have done.
    pub(super) fn end(&self) -> Ms {
        self.ended + DAY
    }

    /// Returns whether the password that the verdict claims opens what is there.
    pub(super) fn password_works(&self) -> bool {
        let end = self.end();
        self.host.things.iter().any(|thing| thing.is_held(end) && thing.our_password.is_some())
    }

    pub(super) fn is_claimed(&self) -> bool {
        matches!(self.verdict.password, Some(PasswordState::Accepted | PasswordState::Assumed))
    }
}
