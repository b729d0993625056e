//! Limits that nobody names, met by the gates of one machine and of several, in a time that costs nothing.

use std::time::Duration;

use mbx::http::Pace;

use self::sim::{Load, Rule, Run, run};

#[path = "../../../examples/pace/sim.rs"]
mod sim;

const REQUESTS: u32 = 3000;

/// What the tests send unless they say otherwise.
fn load() -> Load {
    let second = Duration::from_secs(1);
    let pace =
        Pace { concurrency: 32, per_minute: None, burst: 1, read: second, write: second, poll: second, machines: 1 };
    Load { pace, machines: 1, requests: REQUESTS, latency: 0.02, names_wait: true, seed: 1 }
}

/// Returns what is sent eight at a time, as to EmBoux.
fn eight(machines: u64, requests: u32, seed: u64) -> Load {
    Load { pace: Pace { concurrency: 8, ..load().pace }, machines, requests, seed, ..load() }
}

fn share(run: Run, requests: u32) -> f64 {
    f64::from(run.refused) / f64::from(run.refused + requests)
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_learned_and_used() {
    // Requests a second; hosts that keep this limit, some met in the middle of a window.
    for (a_second, seconds, latency) in [(100.0, 1.0, 0.0), (100.0, 1.0, 0.02), (10.0, 60.0, 0.02)] {
        let holds = a_second * seconds;
        let window = |begun| Rule::Window { most: holds as u32, seconds, begun };
        for rule in [window(0.6), window(0.97), Rule::Bucket { a_second, holds }] {
            let run = run(Load { latency, ..load() }, rule).await;
            assert!(run.took <= 1.10 * f64::from(REQUESTS) / a_second, "{rule:?}, {latency} s: {run:?}");
            assert!(share(run, REQUESTS) <= 0.02 && run.early == 0, "{rule:?}, {latency} s: {run:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_learned_from_a_host_that_names_no_wait() {
    for (a_second, seconds) in [(100.0, 1.0), (10.0, 60.0)] {
        for begun in [0.0, 0.5] {
            let rule = Rule::Window { most: (a_second * seconds) as u32, seconds, begun };
            let run = run(Load { names_wait: false, ..load() }, rule).await;
            let most = 1.5 * f64::from(REQUESTS) / a_second;
            assert!(run.took <= most && run.refused <= 150, "{rule:?}: {run:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_burst_is_not_taken_for_the_rate() {
    for (holds, most) in [(1.0, 2.0), (5.0, 1.2), (10.0, 1.15), (20.0, 1.15), (50.0, 1.15)] {
        let run = run(load(), Rule::Bucket { a_second: 100.0, holds }).await;
        assert!(run.took <= most * 30.0 && run.refused <= 60 && run.early == 0, "burst {holds}: {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_accident_is_forgotten() {
    // The only refusal there ever is, after some have passed; and the pace that is configured stays.
    for (nth, per_minute, least, most) in
        [(500, None, 30.0, 40.0), (3, None, 30.0, 40.0), (3, Some(6000.0), 60.0, 70.0)]
    {
        let run =
            run(Load { pace: Pace { per_minute, ..load().pace }, ..load() }, Rule::Once { nth, wait: 30.0 }).await;
        assert!((least - 0.1..=most).contains(&run.took), "{nth}th, {per_minute:?}: {run:?}");
        assert_eq!((run.refused, run.early), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_by_chance_cost_little_more_than_their_waits() {
    let (mut took, mut waits) = (0.0, 0.0);
    for seed in 1..=20 {
        let run = run(eight(1, 1000, seed), Rule::Chance { share: 0.03, wait: 1.0 }).await;
        assert!(run.took <= 3.0 * f64::from(run.refused), "seed {seed}: {run:?}");
        (took, waits) = (took + run.took, waits + f64::from(run.refused));
    }
    assert!(took <= 1.5 * waits, "{took:.1} s for {waits} s of waits");
}

/// Returns the mean of the time by the shortest possible one, and of the share that was refused.
async fn means(machines: u64, rule: Rule) -> (f64, f64) {
    let (mut time, mut refused) = (0.0, 0.0);
    for seed in 1..=10 {
        let run = run(eight(machines, REQUESTS, seed), rule).await;
        assert_eq!(run.early, 0, "{machines} machines, {rule:?}: {run:?}");
        time += run.took / rule.bound(REQUESTS) / 10.0;
        refused += share(run, REQUESTS) / 10.0;
    }
    (time, refused)
}

#[tokio::test(start_paused = true)]
async fn machines_that_share_a_key_find_their_parts_of_its_limit() {
    let rule = Rule::Bucket { a_second: 100.0, holds: 20.0 };
    for (machines, most) in [(1, 1.3), (4, 1.3), (16, 1.6)] {
        let (time, refused) = means(machines, rule).await;
        assert!(time <= most && refused <= 0.03, "{machines} machines: {time:.2}, {refused:.3}");
    }
    // As far as the windows themselves do not bound it: a bucket is never empty for a whole minute.
    for rule in [Rule::Sliding { most: 600, seconds: 60.0 }, Rule::Bucket { a_second: 10.0, holds: 10.0 }] {
        for machines in [4, 16] {
            let (time, _) = means(machines, rule).await;
            assert!(time <= 1.1, "{machines} machines, {rule:?}: {time:.2}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn machines_that_share_a_known_pace_are_as_fast_as_one() {
    // What Hybridbox' spec says, 100 mailboxes a request.
    let pace = Pace { concurrency: 4, per_minute: Some(120.0), burst: 10, ..load().pace };
    let host = Rule::Bucket { a_second: 2.0, holds: 10.0 };
    let mut took = Vec::new();
    for machines in [1, 4] {
        let run = run(Load { pace, machines, requests: 200, ..load() }, host).await;
        assert!(run.early == 0 && run.refused <= 6, "{machines} machines: {run:?}");
        took.push(run.took);
    }
    // Of a burst of ten each takes two.
    assert!(took[1] <= took[0] + 2.0, "{took:?}");
}
