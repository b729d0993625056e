//! Random lives of bulk runs: they begin, die at any moment, are resumed, retried and settled at hosts that lose answers,
//! list late and are shared with somebody else. After each step everything that a run reports is compared with what the
//! host really holds.
//!
//! `PROPTEST_CASES=10000 cargo test --test it model` tries more of them.
//!
//! * [`steps`]: what can happen.
//! * [`life`]: carries the steps out, as `mbx bulk` does.
//! * [`clock`]: lets time pass as soon as nothing else does.
//! * [`world`]: what the host holds, and who made it.
//! * [`judge`]: what must be true.
//! * [`found`]: lives that were not reported truly once.
#![cfg(unix)]

mod clock;
mod found;
mod judge;
mod life;
mod steps;
mod world;

use proptest::test_runner::Config;
use proptest_state_machine::{StateMachineTest, prop_state_machine};

use self::life::Life;
use self::steps::{Lives, State, Step};

/// How many lives are tried where PROPTEST_CASES does not say it.
const CASES: u32 = 300;

impl StateMachineTest for Lives {
    type SystemUnderTest = Life;
    type Reference = Lives;

    fn init_test(state: &State) -> Life {
        Life::new(&state.host)
    }

    fn apply(mut life: Life, _: &State, step: Step) -> Life {
        life.take(step);
        life
    }

    fn teardown(life: Life, _: State) {
        life.end();
    }
}

fn config() -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { Config { cases: CASES, ..config } }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn what_runs_report_is_true(sequential 1..12 => Lives);
}
