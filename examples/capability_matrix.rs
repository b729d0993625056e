//! Prints why a provider cannot do something, from the specs alone: `cargo run --example capability_matrix`.

use mbx::adapters;
use mbx::provider::{Op, ProviderId};

#[expect(clippy::print_stdout, reason = "an example may print")]
fn main() {
    for op in Op::ALL {
        for id in ProviderId::ALL {
            let support = (adapters::spec(id).support)(op);
            if let Some(reason) = support.reason() {
                println!("{:<22} {:<12} {:<15} {reason}", op.name(), id, support.word());
            }
        }
    }
}
