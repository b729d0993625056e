//! All integration tests in one binary, so that the crate links once. `cargo test --test it conformance::emboux` picks
//! a part.

mod cases;
mod conformance;
mod http;
mod support;
mod wire;
