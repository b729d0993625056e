//! The least a command line can be with clap: what `mbx --version` and `mbx --help` are held against in the benchmark.

use clap::Parser;

/// A program that takes a name
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The name
    name: Option<String>,
}

fn main() {
    let _ = Cli::parse().name;
}
