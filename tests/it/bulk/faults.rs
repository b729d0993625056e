//! Bad days: answers that are lost, cut, late or nonsense, at every provider. What a run reports is compared with what
//! the server really holds: nothing lost, nothing twice, nothing misreported.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mbx::bulk::Options;
use mbx::http::Method;
use mbx::output::Outcome;
use mbx::provider::{NameRule, ProviderId};
use mbx::sandbox::{Answer, Fault, Sandbox};

use super::{Dice, Rig, Told};
use crate::support::Ctx;

/// One row of a hundred was there before the run.
const THERE: usize = 100;

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
    documented_only: bool,
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
    /// Said to be in doubt.
    unknown: usize,
}

/// Returns how many seeds to try.
fn seeds() -> u64 {
    std::env::var("MBX_TEST_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

impl Day {
    fn at(id: ProviderId, rows: usize) -> Self {
        let path = match id {
            ProviderId::Hybridbox | ProviderId::Litemail => "/mailboxes",
            ProviderId::Emboux => "/users/",
            ProviderId::Qboxmail => "/email_accounts",
            ProviderId::Mailinabox => "/mail/users/add",
        };
        Day { id, path, rows, repeats: false, late: false, documented_only: false }
    }

    fn repeating(self) -> Self {
        Day { repeats: true, ..self }
    }

    /// Returns the address of a row as the file spells it.
    fn address(&self, row: usize) -> String {
        // A box takes lower case only.
        let first = if row.is_multiple_of(7) && self.id != ProviderId::Mailinabox { 'U' } else { 'u' };
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

    /// Runs the day and compares.
    async fn run(&self, seed: u64) -> (Verdict, Ctx) {
        let mut ctx = Ctx::new(self.id).await;
        ctx.provider = ctx.open(|account| {
            account.pace.concurrency = 32;
            account.pace.write = Duration::from_millis(1500);
            account.gate = std::sync::Arc::new(mbx::http::Gate::new(account.pace));
            account.allow_unverified = !self.documented_only;
        });
        let mut there = BTreeSet::new();
        for row in (0..self.rows).step_by(THERE) {
            // Somebody else has spelled them otherwise.
            let address = self.address(row).replace("ser", if row.is_multiple_of(3) { "SER" } else { "ser" });
            ctx.sandbox.add_mailbox(self.id, &address);
            there.insert(address.to_lowercase());
        }
        ctx.sandbox.run_clock(self.id);
        if self.repeats {
            ctx.sandbox.accept_repeats(self.id);
        }
        self.trouble(&ctx.sandbox, &mut Dice(seed));
        let rig = Rig::new(&ctx, &self.file(&ctx));
        let options = Options {
            concurrency: 32,
            exists_is_fine: true,
            max_failures: None,
            dry_run: false,
            poll: Duration::from_millis(100),
        };
        let told = rig.run(&ctx, options).await;
        (self.compare(&ctx, &rig, &there, &told), ctx)
    }

    fn compare(&self, ctx: &Ctx, rig: &Rig, there: &BTreeSet<String>, told: &Told) -> Verdict {
        assert!(told.stopped.is_none(), "{:?}", told.stopped);
        assert_eq!(told.rows.len(), self.rows, "every row is told");
        let mut held = BTreeMap::new();
        for address in ctx.sandbox.addresses(self.id) {
            *held.entry(address.to_lowercase()).or_insert(0) += 1;
        }
        let passwords = rig.passwords();
        let takes_one = passwords.len() > 0;
        let mut verdict = Verdict { twice: held.values().filter(|times| **times > 1).count(), ..Verdict::default() };
        for (address, done) in &told.rows {
            let (was_there, is_there) = (there.contains(address), held.contains_key(address));
            let password = passwords.get(address);
            let truth = match done.outcome {
                Outcome::Created => is_there && !was_there,
                Outcome::Exists => was_there,
                Outcome::Failed => !is_there,
                Outcome::Unknown => true,
                other => panic!("{other:?}"),
            };
            let is_lost = !is_there && matches!(done.outcome, Outcome::Created | Outcome::Exists);
            let right_password = match done.outcome {
                Outcome::Created => {
                    !takes_one || password.is_some_and(|word| ctx.sandbox.password_is(self.id, address, word))
                }
                Outcome::Exists | Outcome::Failed => password.is_none(),
                _ => true,
            };
            verdict.lost += usize::from(is_lost);
            verdict.misreported += usize::from(!truth && !is_lost);
            verdict.passwords += usize::from(!right_password);
            verdict.unknown += usize::from(done.outcome == Outcome::Unknown);
            if (!truth || !right_password) && std::env::var_os("MBX_TEST_SHOW").is_some() {
                eprintln!("{} {done:?} was_there {was_there} held {:?}", address, held.get(address));
            }
        }
        verdict
    }

    /// Asserts that nothing is lost, twice or misreported, and that doubt is left of one row of a thousand at most.
    async fn is_told_truly(&self) {
        for seed in 1..=seeds() {
            let (verdict, _) = self.run(seed).await;
            eprintln!("{} {} rows, repeats {}, late {}: {verdict:?}", self.id, self.rows, self.repeats, self.late);
            let unknown = verdict.unknown;
            assert_eq!(verdict, Verdict { unknown, ..Verdict::default() }, "{}, seed {seed}", self.id);
            assert!(unknown * 1000 <= self.rows, "{}, seed {seed}: {unknown} unknown", self.id);
        }
    }
}

#[tokio::test]
async fn emboux() {
    Day::at(ProviderId::Emboux, 3000).is_told_truly().await;
}

#[tokio::test]
async fn emboux_that_takes_repeats() {
    Day::at(ProviderId::Emboux, 3000).repeating().is_told_truly().await;
}

#[tokio::test]
async fn hybridbox() {
    Day::at(ProviderId::Hybridbox, 3000).is_told_truly().await;
}

#[tokio::test]
async fn hybridbox_that_takes_repeats() {
    Day::at(ProviderId::Hybridbox, 3000).repeating().is_told_truly().await;
}

#[tokio::test]
async fn litemail() {
    Day::at(ProviderId::Litemail, 1000).is_told_truly().await;
}

#[tokio::test]
async fn litemail_that_takes_repeats() {
    Day::at(ProviderId::Litemail, 1000).repeating().is_told_truly().await;
}

#[tokio::test]
async fn qboxmail() {
    Day::at(ProviderId::Qboxmail, 500).is_told_truly().await;
}

#[tokio::test]
async fn qboxmail_as_documented() {
    Day { documented_only: true, ..Day::at(ProviderId::Qboxmail, 500) }.is_told_truly().await;
}

#[tokio::test]
async fn mailinabox() {
    Day::at(ProviderId::Mailinabox, 500).is_told_truly().await;
}

#[tokio::test]
async fn mailinabox_that_takes_repeats() {
    Day::at(ProviderId::Mailinabox, 500).repeating().is_told_truly().await;
}

#[tokio::test]
async fn late_writes() {
    Day { late: true, ..Day::at(ProviderId::Emboux, 1000) }.is_told_truly().await;
}

#[tokio::test]
async fn late_writes_where_repeats_are_taken() {
    Day { late: true, ..Day::at(ProviderId::Emboux, 1000).repeating() }.is_told_truly().await;
    Day { late: true, ..Day::at(ProviderId::Hybridbox, 1000).repeating() }.is_told_truly().await;
}
