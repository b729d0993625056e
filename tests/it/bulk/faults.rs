//! Bad days: answers that are lost, cut, late or nonsense, at every provider. What a run reports is compared with what
//! the server really holds: nothing lost, nothing twice, nothing misreported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mbx::adapters;
use mbx::bulk::{OnExisting, Options, Verb};
use mbx::http::{Gate, Method};
use mbx::output::Outcome;
use mbx::provider::{NameRule, Pace, ProviderId};
use mbx::sandbox::{Answer, Fault, Sandbox};

use super::{Dice, Rig};
use crate::support::{Ctx, at, facts};

/// One row of a hundred was there before the run.
const THERE: usize = 100;

/// Requests in the air.
const AT_ONCE: usize = 32;

/// How long an answer is waited for; some never come.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What a day is like.
struct Day {
    id: ProviderId,
    /// A part of the path that mailboxes are made at.
    path: &'static str,
    rows: usize,
    /// Whether the host makes another mailbox at an address that is taken.
    repeats: bool,
    /// Whether some of the writes that are answered with a time-out are done only later.
    late: bool,
    /// Whether routes that no page documents are left alone.
    documented_only: bool,
    /// Whether what was there before is changed to what is asked for.
    adopts: bool,
}

/// How far a report is from the truth.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    /// Told to be there and not there.
    lost: usize,
    /// There more than once.
    twice: usize,
    /// Told to be made by the run, there before, or not there, which it was not.
    misreported: usize,
    /// Passwords that are not the mailbox's, are missing, or are written down for what the run has not made.
    passwords: usize,
    /// Left in doubt, and there.
    unknown_there: usize,
    /// Left in doubt, and not there.
    unknown_missing: usize,
}

/// Returns how a run flows.
fn options(poll: Duration) -> Options {
    Options { concurrency: AT_ONCE, poll, ..super::options(Verb::Create) }
}

impl Day {
    fn at(id: ProviderId, rows: usize) -> Self {
        let path = facts(id).create_path;
        Day { id, path, rows, repeats: false, late: false, documented_only: false, adopts: false }
    }

    fn repeating(self) -> Self {
        Day { repeats: true, ..self }
    }

    /// Returns the address of a row as the file spells it.
    fn address(&self, row: usize) -> String {
        // A box takes lower case only.
        let takes_upper = (adapters::spec(self.id).rules.address)(&at("User@example.com")).is_none();
        let first = if row.is_multiple_of(7) && takes_upper { 'U' } else { 'u' };
        format!("{first}ser{row}@example.com")
    }

    fn file(&self, ctx: &Ctx) -> String {
        if matches!(ctx.spec.rules.names, NameRule::Never(_)) {
            return "address\n".to_owned() + &(0..self.rows).map(|n| self.address(n) + "\n").collect::<String>();
        }
        let row = |n| format!("{},Ada,Byron\n", self.address(n));
        "address,first_name,last_name\n".to_owned() + &(0..self.rows).map(row).collect::<String>()
    }

    /// Scripts the trouble: some answers are lost after the mailbox was made, some requests are refused.
    fn trouble(&self, sandbox: &Sandbox, dice: &mut Dice) {
        let after = |answer| Fault::after(Method::POST, self.path, answer);
        let instead = |answer| Fault::instead(Method::POST, self.path, answer);
        for at in 0..self.rows * 2 {
            let fault = match dice.roll(100) {
                0..3 => after(Answer::Cut),
                3..5 if self.late => {
                    let delay = Duration::from_millis(50 + dice.roll(200));
                    Fault::before(Method::POST, self.path, Answer::status(504), delay)
                }
                3..5 => after(Answer::status(504)),
                5..7 => after([Answer::Truncated, Answer::status(200), Answer::html(200)][at % 3].clone()),
                7..9 => after(Answer::Hang),
                9..12 => instead(Answer::retry_after("0")),
                12..14 => instead(Answer::status(503)),
                14..16 => instead(Answer::Cut),
                _ => continue,
            };
            sandbox.fault(fault.skip(at).times(1));
        }
    }

    /// Opens the provider, with some of the rows there.
    async fn begin(&self) -> (Ctx, BTreeSet<String>) {
        let mut ctx = Ctx::new(self.id).await;
        ctx.provider = ctx.open(|account| {
            account.pace = Pace { concurrency: AT_ONCE, write: PATIENCE, ..account.pace };
            account.gate = Arc::new(Gate::new(account.pace));
            account.allow_unverified = !self.documented_only;
        });
        let mut there = BTreeSet::new();
        for row in (0..self.rows).step_by(THERE) {
            // Somebody else has spelled some of them otherwise.
            let address = self.address(row).replace("ser", if row.is_multiple_of(3) { "SER" } else { "ser" });
            ctx.sandbox.add_mailbox(self.id, &address);
            there.insert(address.to_lowercase());
        }
        ctx.sandbox.run_clock(self.id);
        if self.repeats {
            ctx.sandbox.accept_repeats(self.id);
        }
        (ctx, there)
    }

    /// Runs the day and compares.
    async fn run(&self, seed: u64) -> Verdict {
        let (ctx, there) = self.begin().await;
        ctx.sandbox.lag(2);
        self.trouble(&ctx.sandbox, &mut Dice(seed));
        self.compare(&ctx, &there, Duration::from_millis(100)).await
    }

    /// Runs the file and compares what is told with what is there.
    async fn compare(&self, ctx: &Ctx, there: &BTreeSet<String>, poll: Duration) -> Verdict {
        let rig = Rig::new(ctx, &self.file(ctx));
        let told = rig
            .run(
                ctx,
                Options {
                    on_existing: if self.adopts { OnExisting::Update } else { OnExisting::Keep },
                    ..options(poll)
                },
            )
            .await;
        assert!(told.stopped.is_none(), "{:?}", told.stopped);
        assert_eq!(told.rows.len(), self.rows, "every row is told");
        let mut held = BTreeMap::new();
        for address in ctx.sandbox.addresses(self.id) {
            *held.entry(address.to_lowercase()).or_insert(0) += 1;
        }
        let passwords = rig.passwords();
        let takes_one = !passwords.is_empty();
        let mut verdict = Verdict { twice: held.values().filter(|times| **times > 1).count(), ..Verdict::default() };
        for (address, done) in &told.rows {
            let (was_there, is_there) = (there.contains(address), held.contains_key(address));
            let password = passwords.get(address);
            let truth = match done.outcome {
                Outcome::Created => is_there && !was_there,
                Outcome::Exists => was_there && !self.adopts,
                Outcome::Updated | Outcome::Unchanged => was_there && is_there && self.adopts,
                Outcome::Failed => !is_there,
                Outcome::Unknown => true,
                other => panic!("{other:?}"),
            };
            let is_lost = !is_there && matches!(done.outcome, Outcome::Created | Outcome::Exists);
            let right_password = match done.outcome {
                Outcome::Created => {
                    !takes_one || password.is_some_and(|word| ctx.sandbox.password_is(self.id, address, word))
                }
                Outcome::Exists | Outcome::Updated | Outcome::Unchanged | Outcome::Failed => password.is_none(),
                _ => true,
            };
            verdict.lost += usize::from(is_lost);
            verdict.misreported += usize::from(!truth && !is_lost);
            verdict.passwords += usize::from(!right_password);
            if done.outcome == Outcome::Unknown {
                verdict.unknown_there += usize::from(is_there);
                verdict.unknown_missing += usize::from(!is_there);
            }
        }
        verdict
    }

    /// Asserts for so many seeds that nothing is lost, twice or misreported; returns the most doubts that were left.
    async fn is_told_truly(&self, seeds: u64) -> (usize, usize) {
        let mut most = (0, 0);
        for seed in 1..=seeds {
            let verdict = self.run(seed).await;
            let Verdict { unknown_there, unknown_missing, .. } = verdict;
            assert_eq!(verdict, Verdict { unknown_there, unknown_missing, ..Verdict::default() }, "seed {seed}");
            most = (most.0.max(unknown_there), most.1.max(unknown_missing));
        }
        most
    }

    /// Asserts that besides doubt is left of one row of a thousand at most.
    async fn leaves_no_doubt(&self, seeds: u64) {
        let (there, missing) = self.is_told_truly(seeds).await;
        assert!((there + missing) * 1000 <= self.rows, "{there} + {missing} of {} are unknown", self.rows);
    }
}

/// Returns how many seeds the large runs take; more are a matter of patience.
fn seeds() -> u64 {
    std::env::var("MBX_TEST_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[tokio::test]
async fn emboux() {
    Day::at(ProviderId::Emboux, 3000).leaves_no_doubt(seeds()).await;
}

#[tokio::test]
async fn emboux_that_takes_repeats() {
    Day::at(ProviderId::Emboux, 3000).repeating().leaves_no_doubt(seeds()).await;
}

#[tokio::test]
async fn hybridbox() {
    Day::at(ProviderId::Hybridbox, 3000).leaves_no_doubt(seeds()).await;
}

#[tokio::test]
async fn hybridbox_that_takes_repeats() {
    Day::at(ProviderId::Hybridbox, 3000).repeating().leaves_no_doubt(seeds()).await;
}

#[tokio::test]
async fn mailinabox() {
    Day::at(ProviderId::Mailinabox, 500).leaves_no_doubt(1).await;
    Day::at(ProviderId::Mailinabox, 500).repeating().leaves_no_doubt(1).await;
}

#[tokio::test]
async fn qboxmail_with_its_listing() {
    Day::at(ProviderId::Qboxmail, 200).leaves_no_doubt(1).await;
    Day::at(ProviderId::Qboxmail, 200).repeating().leaves_no_doubt(1).await;
}

/// No documented route lists mailboxes: whether a lost create was carried out cannot be looked up, and is not guessed.
#[tokio::test]
async fn qboxmail_as_documented() {
    let day = Day { documented_only: true, ..Day::at(ProviderId::Qboxmail, 200) };
    let (there, missing) = day.is_told_truly(1).await;
    // What was not made is sent again, which a host that refuses a second one takes once.
    assert!(there > 0 && missing == 0, "{there}, {missing}");
}

/// Its listing lags. What is there is told by its creation time; what is not there for long has failed, and is not sent
/// again.
#[tokio::test]
async fn litemail() {
    Day::at(ProviderId::Litemail, 1000).leaves_no_doubt(1).await;
    Day::at(ProviderId::Litemail, 1000).repeating().leaves_no_doubt(1).await;
}

/// Nobody has waited for what is not there yet.
#[tokio::test]
async fn litemail_in_haste() {
    let day = Day::at(ProviderId::Litemail, 200);
    let (ctx, there) = day.begin().await;
    ctx.sandbox.lag(10);
    ctx.sandbox.fault(Fault::after(Method::POST, day.path, Answer::Cut).skip(3).times(3));
    let verdict = day.compare(&ctx, &there, Duration::ZERO).await;
    assert!(verdict.unknown_there > 0);
    assert_eq!(verdict, Verdict { unknown_there: verdict.unknown_there, ..Verdict::default() });
}

#[tokio::test]
async fn what_was_there_is_changed_on_bad_days_too() {
    for id in [ProviderId::Emboux, ProviderId::Hybridbox, ProviderId::Mailinabox, ProviderId::Litemail] {
        Day { adopts: true, ..Day::at(id, 500) }.leaves_no_doubt(1).await;
        Day { adopts: true, ..Day::at(id, 500).repeating() }.leaves_no_doubt(1).await;
    }
}

#[tokio::test]
async fn writes_that_end_after_their_answer() {
    for id in [ProviderId::Emboux, ProviderId::Hybridbox] {
        Day { late: true, ..Day::at(id, 500) }.leaves_no_doubt(1).await;
        Day { late: true, ..Day::at(id, 500).repeating() }.leaves_no_doubt(1).await;
    }
}

/// The last writes of a run end when nothing else keeps it busy any more.
#[tokio::test]
async fn the_last_writes_may_end_late() {
    const ROWS: usize = 20;
    let day = Day::at(ProviderId::Emboux, ROWS).repeating();
    let (ctx, there) = day.begin().await;
    let delay = Duration::from_millis(150);
    ctx.sandbox.fault(Fault::before(Method::POST, day.path, Answer::status(504), delay).times(ROWS));
    let verdict = day.compare(&ctx, &there, Duration::from_millis(400)).await;
    assert_eq!(verdict, Verdict::default());
}

#[tokio::test]
async fn the_same_file_twice_sends_nothing_the_second_time() {
    for id in ProviderId::ALL {
        let day = Day::at(id, 150);
        let (ctx, there) = day.begin().await;
        for run in [1, 2] {
            let told = Rig::new(&ctx, &day.file(&ctx)).run(&ctx, options(Duration::from_millis(1))).await;
            let sent =
                ctx.sandbox.take_seen().iter().any(|seen| seen.method == Method::POST && seen.path.contains(day.path));
            let existed = told.rows.values().filter(|done| done.outcome == Outcome::Exists).count();
            assert_eq!((sent, existed), if run == 1 { (true, there.len()) } else { (false, day.rows) }, "{id}");
        }
    }
}

/// What was there before decides who made what is found, so a listing is not given up for its length alone.
#[tokio::test]
async fn a_few_rows_on_a_large_domain_leave_no_doubt() {
    const ROWS: usize = 20;
    let day = Day::at(ProviderId::Emboux, ROWS);
    let (ctx, there) = day.begin().await;
    for other in 0..1500 {
        ctx.sandbox.add_mailbox(day.id, &format!("other{other}@example.com"));
    }
    ctx.sandbox.fault(Fault::after(Method::POST, day.path, Answer::Cut).times(ROWS / 2));
    assert_eq!(day.compare(&ctx, &there, Duration::from_millis(1)).await, Verdict::default());
}
