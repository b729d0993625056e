//! All integration tests in one binary, so that the crate links once. `cargo test --test it conformance::emboux` picks
//! a part.

mod bulk;
mod cases;
mod cli;
mod columns;
mod commands;
mod conformance;
mod contract;
mod coverage;
#[cfg(target_os = "linux")]
mod engines;
mod fuzzed;
mod histories;
mod hostile;
mod http;
mod input;
mod layers;
mod listing;
mod machine;
mod matrix;
mod model;
mod passwords;
mod program;
mod replay;
mod sandbox;
mod shards;
mod support;
mod terminal;
mod tricks;
mod truth;
mod verbs;
mod wire;
