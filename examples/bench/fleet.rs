//! Machines that share one key: how long they take together, against the shortest time that the host leaves.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mbx::model::ProviderId;

use crate::Result;
use crate::bare::rows;
use crate::bulk::LATENCY;
use crate::host::{Host, Limit};
use crate::measure::{Programs, machine, ms, ratio};

/// Requests to a host that takes 100 a second; mailboxes at one that takes 100 mailboxes a request.
const REQUESTS: usize = 3000;

/// Rows at a host that refuses some of them by chance.
const CHANCES: usize = 1000;

/// How many requests of a thousand that host refuses.
const SHARE: usize = 30;

/// Measures all of it, and `other`, another mbx, beside it.
pub(crate) fn all(programs: &Programs, other: Option<&str>) -> Result<()> {
    println!("{}\n", machine());
    let others = || std::iter::once(None).chain(other.map(Some));
    println!("create {REQUESTS} mailboxes at EmBoux, 100 requests/s, 20 at once, {} ms each", LATENCY.as_millis());
    for machines in [1, 4, 16] {
        for other in others() {
            let fleet = Fleet { programs, other, provider: ProviderId::Emboux, machines, rows: REQUESTS };
            fleet.measure(Limit::Bucket(100.0, 20.0), Duration::from_secs(REQUESTS as u64 - 20) / 100)?;
        }
    }
    let rows = 8000;
    println!("create {rows} mailboxes at Hybridbox, 100 a request, 2 requests/s, 10 at once");
    for machines in [1, 4] {
        for other in others() {
            let fleet = Fleet { programs, other, provider: ProviderId::Hybridbox, machines, rows };
            fleet.measure(Limit::Bucket(2.0, 10.0), Duration::from_millis(500) * (rows as u32 / 100 - 10))?;
        }
    }
    println!("create {CHANCES} mailboxes at EmBoux, {SHARE} in a thousand requests refused by chance for a second");
    for other in others() {
        let fleet = Fleet { programs, other, provider: ProviderId::Emboux, machines: 1, rows: CHANCES };
        fleet.measure(Limit::Chance(SHARE as f64 / 1000.0), Duration::from_secs((CHANCES * SHARE / 1000) as u64))?;
    }
    Ok(())
}

struct Fleet<'a> {
    programs: &'a Programs,
    other: Option<&'a str>,
    provider: ProviderId,
    machines: usize,
    rows: usize,
}

impl Fleet<'_> {
    /// Runs all machines at once, each with a state folder of its own.
    fn measure(&self, limit: Limit, bound: Duration) -> Result<()> {
        let host = Host::start(LATENCY, limit)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("people.csv");
        fs::write(&file, rows(self.rows, self.provider))?;
        let began = Instant::now();
        let mut children = Vec::new();
        for machine in 0..self.machines {
            let home = folder.path().join(machine.to_string());
            fs::create_dir(&home)?;
            let (file, shard) = (file.to_string_lossy(), format!("{machine}/{}", self.machines));
            let args = ["bulk", "create", &file, "--yes", "--quiet", "-o", "jsonl", "--shard", &shard];
            let mut command = self.programs.mbx(&args, self.provider.as_str(), &host.base_url);
            // The rate of Hybridbox' spec, which does not count on loopback.
            if self.provider == ProviderId::Hybridbox {
                command.args(["--rate", "120/m"]);
            }
            if let Some(other) = self.other {
                let ours = std::mem::replace(&mut command, Command::new(other));
                command.args(ours.get_args()).env_clear();
                command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
            }
            command.env("XDG_STATE_HOME", &home).stdout(File::create(home.join("report.jsonl"))?).stderr(Stdio::null());
            children.push(command.spawn()?);
        }
        let mut failed = 0;
        for mut child in children {
            failed += usize::from(!child.wait()?.success());
        }
        let (time, seen) = (began.elapsed(), host.seen());
        let share = seen.refused as f64 / seen.requests as f64 * 100.0;
        let who = if self.other.is_some() { "the other mbx" } else { "mbx" };
        println!(
            "  {:>2} of {who}: {} against {}: {}; {share:.1} % of the requests refused; {} made, {failed} runs failed",
            self.machines,
            ms(time),
            ms(bound),
            ratio(time, bound),
            seen.created
        );
        Ok(())
    }
}
