//! How well the gate keeps to limits that nobody has configured: `cargo run --release --example pace`.
//!
//! Real gates send to hosts that exist in memory, in a time that is not waited for, so that a change of the rule can be
//! judged in seconds. `-- [SEEDS]` says how often each case is run (5). Nothing is asserted here; `tests/it/http/pace.rs`
//! asserts what must hold.
#![allow(clippy::print_stdout, reason = "its output is the result")]

mod sim;

use std::error::Error;
use std::time::Duration;

use mbx::http::Pace;
use sim::{Load, Rule, Run};

/// What is sent to every host.
const REQUESTS: u32 = 3000;

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = std::env::args().nth(1).map_or(Ok(5), |text| text.parse::<u64>())?;
    let hosts = [
        ("bucket of 20, 100/s", Rule::Bucket { a_second: 100.0, holds: 20.0 }, 0.02),
        ("bucket of 100, 100/s", Rule::Bucket { a_second: 100.0, holds: 100.0 }, 0.02),
        ("bucket of 50, 300/s", Rule::Bucket { a_second: 300.0, holds: 50.0 }, 0.01),
        ("bucket of 10, 50/s", Rule::Bucket { a_second: 50.0, holds: 10.0 }, 0.03),
        ("bucket of 40, 80/s", Rule::Bucket { a_second: 80.0, holds: 40.0 }, 0.01),
        ("bucket of 10, 10/s", Rule::Bucket { a_second: 10.0, holds: 10.0 }, 0.02),
        ("window, 100 in 1 s", Rule::Window { most: 100, seconds: 1.0, begun: 0.6 }, 0.02),
        ("window, 300 in 10 s", Rule::Window { most: 300, seconds: 10.0, begun: 0.2 }, 0.04),
        ("window, 600 in 60 s", Rule::Window { most: 600, seconds: 60.0, begun: 0.3 }, 0.02),
        ("sliding, 600 in 60 s", Rule::Sliding { most: 600, seconds: 60.0 }, 0.02),
        ("one by accident, 30 s", Rule::Once { nth: 500, wait: 30.0 }, 0.02),
        ("3 % by chance, 1 s", Rule::Chance { share: 0.03, wait: 1.0 }, 0.02),
        ("5 % by chance, 2 s", Rule::Chance { share: 0.05, wait: 2.0 }, 0.05),
    ];
    println!("{REQUESTS} requests, 8 at a time, {seeds} seeds; the time is a multiple of the shortest possible one\n");
    println!("{:22} {:>8} {:>6} {:>8} {:>8} {:>6}", "host", "machines", "time", "longest", "refused", "early");
    for (host, rule, latency) in hosts {
        for machines in [1, 4, 16] {
            let runs: Vec<Run> = (1..=seeds).map(|seed| run(machines, latency, rule, seed)).collect();
            let ratios: Vec<f64> = runs.iter().map(|run| run.took / shortest(machines, latency, rule)).collect();
            let (mean, most) = (ratios.iter().sum::<f64>() / seeds as f64, ratios.iter().copied().fold(0.0, f64::max));
            let refused: u32 = runs.iter().map(|run| run.refused).sum();
            let share = f64::from(refused) / (f64::from(REQUESTS) * seeds as f64 + f64::from(refused));
            let early: u32 = runs.iter().map(|run| run.early).sum();
            println!("{host:22} {machines:>8} {mean:>6.2} {most:>8.2} {:>6.1} % {early:>6}", 100.0 * share);
        }
    }
    Ok(())
}

/// Runs one case.
fn run(machines: u64, latency: f64, rule: Rule, seed: u64) -> Run {
    let second = Duration::from_secs(1);
    let pace =
        Pace { concurrency: 8, per_minute: None, burst: 1, read: second, write: second, poll: second, machines: 1 };
    let load = Load { pace, machines, requests: REQUESTS, latency, names_wait: true, seed };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("it needs nothing of the system").block_on(sim::run(load, rule))
}

/// Returns the shortest time in seconds that the limit and the latency leave.
fn shortest(machines: u64, latency: f64, rule: Rule) -> f64 {
    let at_a_time = machines.max(8) as f64;
    rule.bound(REQUESTS).max(f64::from(REQUESTS) * latency / at_a_time)
}
