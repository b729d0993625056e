//! Drives one case of one request: sends, looks and waits as the case asks, and turns its verdict into a result.

use std::fmt::Display;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::case::{Answer, Case, Event, Found, Look, Made, OnExisting, Seen, Step, Task, Verdict, Why};
use super::{Checked, Done, Op, words};
use crate::error::{Effect, Error, Kind, Result};
use crate::http;
use crate::model::{Outcome, PasswordState, Stamp};

/// How far apart two clocks may be, one that is wrong by an hour and one on summer time.
const CLOCKS: SignedDuration = SignedDuration::from_hours(2);

/// How far apart two times of one clock may be that was compared with ours.
const COMPARED: SignedDuration = SignedDuration::from_mins(1);

/// How much creation times may differ for a provider's clock to count as compared with ours.
const JITTER: SignedDuration = SignedDuration::from_secs(10);

/// The zones of the world: a time without one may be off by as much.
const ZONES: SignedDuration = SignedDuration::from_hours(14);

/// How far the edges of our request may be off: creation times often leave out what is beyond whole seconds.
const EDGE: SignedDuration = SignedDuration::from_secs(3);

/// How long after the loss a host may have finished the request.
const LATE: SignedDuration = SignedDuration::from_secs(30);

/// What became of one request.
#[derive(Debug)]
pub struct Settled<T> {
    /// The outcome with the thing, or why there is none.
    pub result: Result<(Outcome, Done<T>)>,
    /// What is known of the password that was sent; `None` where it was certainly not used.
    pub password: Option<PasswordState>,
}

/// Returns the event that the result of a request is.
pub fn event_of<T>(result: &Result<T>, at: Timestamp) -> Event {
    let Err(error) = result else { return Event::Answered(Answer::Done) };
    match (error.effect, error.kind) {
        (Effect::Unknown, _) => Event::Lost(at),
        (Effect::Partial, _) => Event::Answered(Answer::Partial),
        (Effect::None, Kind::Conflict) => Event::Answered(Answer::Exists),
        (Effect::None, Kind::NotFound) => Event::Answered(Answer::Absent),
        (Effect::None, Kind::Network | Kind::Interrupted | Kind::Terminated) => Event::NotSent,
        (Effect::None, _) => Event::Answered(Answer::Refused),
    }
}

/// What is known of the clock that a provider's creation times come from: how far it is ahead of ours.
#[derive(Debug, Clone, Copy, Default)]
pub struct CreationClock {
    /// At least and at most, over all mailboxes whose creation this run knows the time of.
    range: Option<(SignedDuration, SignedDuration)>,
}

impl CreationClock {
    /// Compares the creation time of a mailbox with the time at which this run had it created.
    pub fn learn(&mut self, created: Option<&Stamp>, at: Timestamp) {
        let Some((time, _)) = created.and_then(time_of) else { return };
        let ahead = time.duration_since(at);
        let (least, most) = self.range.unwrap_or((ahead, ahead));
        self.range = Some((least.min(ahead), most.max(ahead)));
    }

    /// Returns how far the clock is ahead of ours, if all that it showed agrees.
    fn ahead(&self) -> Option<(SignedDuration, SignedDuration)> {
        self.range.filter(|(least, most)| *most - *least <= JITTER)
    }
}

/// Returns a creation time, and how far it may be off because it names no zone. A date alone is no time.
fn time_of(stamp: &Stamp) -> Option<(Timestamp, SignedDuration)> {
    if let Some(instant) = stamp.instant() {
        return Some((instant, SignedDuration::ZERO));
    }
    let seconds = stamp.sort_key().filter(|_| stamp.as_str().contains(':'))?;
    Some((Timestamp::from_second(seconds).ok()?, ZONES))
}

/// Compares a creation time with a request that left at `sent` and whose answer was lost at `lost`. `date` is how far the
/// server's Date header is ahead of our clock, at least and at most.
pub fn made(
    created: Option<&Stamp>,
    (sent, lost, now): (Timestamp, Timestamp, Timestamp),
    date: Option<(SignedDuration, SignedDuration)>,
    clock: &CreationClock,
) -> Made {
    let Some((time, zones)) = created.and_then(time_of) else { return Made::Untold };
    // A clock that was compared with ours needs no zone, and no Date header.
    let (zones, margin, ahead) = match clock.ahead() {
        Some(ahead) => (SignedDuration::ZERO, COMPARED, Some(ahead)),
        None => (zones, CLOCKS, date),
    };
    let (least, most) = ahead.unwrap_or_default();
    let earlier = |at: Timestamp, by: SignedDuration| time.duration_since(at) < -by;
    let later = |at: Timestamp, by: SignedDuration| time.duration_since(at) > by;
    if earlier(sent, zones + margin - least) {
        Made::Before
    } else if later(now, zones + EDGE + most) {
        Made::Untold
    } else if later(lost, zones + margin + LATE + most) {
        Made::After
    } else if ahead.is_none() || !zones.is_zero() {
        Made::Untold
    } else if !earlier(sent, EDGE - least) && !later(lost, LATE + most) {
        Made::During
    } else {
        Made::Near
    }
}

/// Says whether a mailbox was created at or after a time of our clock; `None` where its creation time does not tell.
pub fn created_since(created: Option<&Stamp>, since: Timestamp, clock: &CreationClock) -> Option<bool> {
    let (time, zones) = created.and_then(time_of)?;
    let (margin, (least, most)) = match clock.ahead() {
        Some(ahead) => (EDGE, ahead),
        None => (zones + COMPARED, Default::default()),
    };
    let ahead = time.duration_since(since);
    if ahead - most >= margin {
        Some(true)
    } else if ahead - least < -margin {
        Some(false)
    } else {
        None
    }
}

/// One request of one thing, as a case drives it.
#[async_trait]
pub(super) trait Request: Sync {
    /// What the request is about: a mailbox, an alias, what became of a removal.
    type Thing: Send;

    /// Returns the address or name, and the operation that errors name.
    fn subject(&self) -> (&(dyn Display + Sync), Op);

    /// Returns the thing as far as it is known without a look.
    fn bare(&self) -> Self::Thing;

    /// Looks for the thing.
    async fn look(&self, case: &Case) -> Result<Option<(Seen, Self::Thing)>>;

    /// Sends the request of a task.
    async fn send(&self, task: Task) -> Result<Done<Self::Thing>>;
}

impl<T> Settled<T> {
    /// Returns the thing alone.
    pub fn done(self) -> Result<Done<T>> {
        self.result.map(|(_, done)| done)
    }
}

impl Checked {
    /// Drives a case to its end.
    pub(super) async fn drive<R: Request>(&self, mut case: Case, request: R) -> Settled<R::Thing> {
        let (name, op) = request.subject();
        let mut shown = None;
        let mut answer: Option<Result<Done<R::Thing>>> = None;
        let mut step = case.begin_with_look(http::now());
        let verdict = loop {
            step = match step {
                Step::Finish(verdict) => break verdict,
                Step::Send if case.is_doubted() && !self.may_repeat() => {
                    break Verdict::unknown(&case, Why::LostEachTime);
                }
                Step::Send => {
                    case.send(http::now());
                    let result = request.send(case.task()).await;
                    let event = event_of(&result, http::now());
                    answer = Some(result);
                    case.on(event)
                }
                Step::Look(not_before) => {
                    self.wait_until(not_before).await;
                    let at = http::now();
                    let found = match request.look(&case).await {
                        Ok(Some((seen, thing))) => {
                            shown = Some(thing);
                            Found::There(seen)
                        }
                        Ok(None) => Found::Missing,
                        // Nothing was sent, and the request would fail the same way.
                        Err(error) if case.attempts() == 0 && fails_everything(error.kind) => {
                            let error = self.complete_error(error, op, name);
                            return Settled { result: Err(error), password: None };
                        }
                        Err(_) => Found::Incomplete,
                    };
                    case.on(Event::Looked(Look { at, as_of: None, found }))
                }
            };
        };
        let (outcome, password) = (verdict.outcome, verdict.password);
        let result = match (answer, outcome) {
            (Some(Ok(done)), _) => Ok((outcome, done)),
            (answer, Outcome::Failed | Outcome::Unknown | Outcome::Absent) => {
                Err(self.verdict_error(&verdict, &case, (name, op), answer.and_then(Result::err)))
            }
            (answer, Outcome::Exists) if case.on_existing() == OnExisting::Fail => {
                let conflict = answer.and_then(Result::err).filter(|error| error.kind == Kind::Conflict);
                let conflict = conflict.unwrap_or_else(|| Error::general(Kind::Conflict));
                Err(self.complete_error(conflict, op, name))
            }
            (_, Outcome::Exists | Outcome::Unchanged) => Ok((outcome, shown.unwrap_or_else(|| request.bare()).into())),
            (_, outcome) => {
                let note = words::found_out(&verdict, &case, name);
                Ok((outcome, Done::from(shown.unwrap_or_else(|| request.bare())).assumed().note(note)))
            }
        };
        Settled { result, password }
    }

    async fn wait_until(&self, time: Timestamp) {
        let wait = Duration::try_from(time.duration_since(http::now())).unwrap_or_default();
        if self.waits() && !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Returns whether whatever is sent next would fail in the same way.
fn fails_everything(kind: Kind) -> bool {
    matches!(kind, Kind::Auth | Kind::Config | Kind::Network | Kind::RateLimited | Kind::Interrupted | Kind::Terminated)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1;
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    /// A time so long after the request left. Its answer was lost after thirty seconds.
    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + seconds).expect("it is a time")
    }

    fn zoned(seconds: i64) -> Stamp {
        Stamp::lenient(&at(seconds).to_string())
    }

    fn zoneless(seconds: i64) -> Stamp {
        Stamp::lenient(at(seconds).to_string().trim_end_matches('Z'))
    }

    fn ahead(seconds: i64) -> Option<(SignedDuration, SignedDuration)> {
        Some((SignedDuration::from_secs(seconds), SignedDuration::from_secs(seconds + 1)))
    }

    /// A clock that mailboxes of the run showed to be so far ahead.
    fn clock(seconds: &[i64]) -> CreationClock {
        let mut clock = CreationClock::default();
        seconds.iter().for_each(|ahead| clock.learn(Some(&zoned(*ahead)), at(0)));
        clock
    }

    /// Compares creation times with the request, as a look sees them a day later.
    #[track_caller]
    fn compares(
        show: impl Fn(i64) -> Stamp,
        date: Option<(SignedDuration, SignedDuration)>,
        clock: &CreationClock,
        expected: &[(i64, Made)],
    ) {
        for &(seconds, expected) in expected {
            let stamp = show(seconds);
            let made = made(Some(&stamp), (at(0), at(30), at(DAY)), date, clock);
            assert_eq!(made, expected, "{} was created {seconds} s after the request", stamp.as_str());
        }
    }

    #[test]
    fn with_a_date_header_a_creation_time_is_compared_by_two_hours() {
        let expected = [
            (-2 * HOUR - SECOND, Made::Before),
            (-2 * HOUR, Made::Near),
            (-4 * SECOND, Made::Near),
            (-3 * SECOND, Made::During),
            (0, Made::During),
            (61, Made::During),
            (62, Made::Near),
            (2 * HOUR + 61, Made::Near),
            (2 * HOUR + 62, Made::After),
            (DAY + 4 * SECOND, Made::After),
            (DAY + 5 * SECOND, Made::Untold),
        ];
        compares(zoned, ahead(0), &CreationClock::default(), &expected);
        // A host whose clock is an hour ahead shows all that an hour later.
        let hour_later = expected.map(|(seconds, made)| (seconds + HOUR, made));
        compares(zoned, ahead(HOUR), &CreationClock::default(), &hour_later);
    }

    #[test]
    fn without_a_date_header_only_times_far_away_count() {
        let expected = [
            (-2 * HOUR - SECOND, Made::Before),
            (-2 * HOUR, Made::Untold),
            (0, Made::Untold),
            (2 * HOUR + 60, Made::Untold),
            (2 * HOUR + 61, Made::After),
            (DAY + 4 * SECOND, Made::Untold),
        ];
        compares(zoned, None, &CreationClock::default(), &expected);
    }

    #[test]
    fn without_a_zone_a_creation_time_may_be_off_by_fourteen_hours_more() {
        let expected = [
            (-16 * HOUR - SECOND, Made::Before),
            (-16 * HOUR, Made::Untold),
            (0, Made::Untold),
            (16 * HOUR + 61, Made::Untold),
            (16 * HOUR + 62, Made::After),
        ];
        compares(zoneless, ahead(0), &CreationClock::default(), &expected);
    }

    #[test]
    fn a_clock_that_was_compared_needs_neither_zone_nor_date_header() {
        let expected = [
            (-MINUTE - SECOND, Made::Before),
            (-MINUTE, Made::Near),
            (-4 * SECOND, Made::Near),
            (-3 * SECOND, Made::During),
            (60, Made::During),
            (61, Made::Near),
            (MINUTE + 60, Made::Near),
            (MINUTE + 61, Made::After),
        ];
        compares(zoned, None, &clock(&[0]), &expected);
        compares(zoneless, ahead(5 * HOUR), &clock(&[0]), &expected);
        let hour_later = expected.map(|(seconds, made)| (seconds + HOUR, made));
        compares(zoneless, None, &clock(&[HOUR]), &hour_later);
    }

    #[test]
    fn a_clock_that_contradicts_itself_counts_for_nothing() {
        compares(zoned, None, &clock(&[0, 10]), &[(-2 * MINUTE, Made::Before)]);
        compares(zoned, None, &clock(&[0, 11]), &[(-2 * MINUTE, Made::Untold)]);
    }

    #[test]
    fn a_date_alone_or_no_creation_time_says_nothing() {
        let times = (at(0), at(30), at(DAY));
        assert_eq!(made(None, times, ahead(0), &clock(&[0])), Made::Untold);
        for text in ["2020-01-01", "soon", ""] {
            assert_eq!(made(Some(&Stamp::lenient(text)), times, ahead(0), &clock(&[0])), Made::Untold, "{text}");
        }
    }

    #[test]
    fn an_error_is_an_event_by_its_effect_and_then_by_its_kind() {
        let event = |effect, kind| event_of::<()>(&Err(Error::general(kind).effect(effect)), at(0));
        assert_eq!(event_of(&Ok(()), at(0)), Event::Answered(Answer::Done));
        for kind in [Kind::Conflict, Kind::NotFound, Kind::Network, Kind::Provider, Kind::Interrupted] {
            assert_eq!(event(Effect::Unknown, kind), Event::Lost(at(0)), "{kind:?}");
            assert_eq!(event(Effect::Partial, kind), Event::Answered(Answer::Partial), "{kind:?}");
        }
        for (kind, expected) in [
            (Kind::Conflict, Event::Answered(Answer::Exists)),
            (Kind::NotFound, Event::Answered(Answer::Absent)),
            (Kind::Network, Event::NotSent),
            (Kind::Interrupted, Event::NotSent),
            (Kind::Terminated, Event::NotSent),
            (Kind::Invalid, Event::Answered(Answer::Refused)),
            (Kind::Denied, Event::Answered(Answer::Refused)),
            (Kind::RateLimited, Event::Answered(Answer::Refused)),
            (Kind::Provider, Event::Answered(Answer::Refused)),
        ] {
            assert_eq!(event(Effect::None, kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_creation_time_tells_only_what_it_proves() {
        let at = |text: &str| -> Timestamp { text.parse().expect("a time") };
        let since = at("2026-01-05T09:00:00Z");
        let tells = |created: &str, clock: &CreationClock| created_since(Some(&Stamp::lenient(created)), since, clock);
        let unknown = CreationClock::default();
        assert_eq!(tells("2026-01-05T09:05:00Z", &unknown), Some(true));
        assert_eq!(tells("2026-01-05T08:55:00Z", &unknown), Some(false));
        assert_eq!(tells("2026-01-05T09:00:10Z", &unknown), None, "clocks differ");
        assert_eq!(tells("2026-01-05T12:00:00", &unknown), None, "it names no zone");
        assert_eq!(tells("2026-01-06T12:00:00", &unknown), Some(true), "no zone is so far away");
        assert_eq!(tells("2026-01-06", &unknown), None, "a date alone is no time");
        assert_eq!(created_since(None, since, &unknown), None);
        // One that was created at nine by our clock says eleven.
        let mut ahead = CreationClock::default();
        ahead.learn(Some(&Stamp::lenient("2026-01-05T11:00:00")), since);
        assert_eq!(tells("2026-01-05T11:00:04", &ahead), Some(true));
        assert_eq!(tells("2026-01-05T10:59:56", &ahead), Some(false));
        assert_eq!(tells("2026-01-05T11:00:01", &ahead), None);
    }
}
