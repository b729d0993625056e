//! What mbx costs, as ratios of one interleaved run on this machine: `cargo run --release --example bench`.
//!
//! It builds the program first, and serves what is listed from this process. Nothing is asserted: the figures are for
//! people, and the last ones are in `docs/performance.md`.
//!
//! `-- [list|bulk] [COUNT] [ROUNDS]` leaves the other part out, and changes how many mailboxes are listed at most
//! (1,000,000) and how often things are measured (5). What is compared of bulk is a hundredth of that many creates.
//! `-- fleet [MBX]` measures machines that share a key, and another mbx beside them, such as an older one.
#![allow(clippy::print_stdout, reason = "its output is the result")]

mod bare;
mod bulk;
mod fleet;
mod host;
mod lists;
mod measure;
mod reader;
mod server;

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::Instant;

use measure::{Programs, machine, median, ms, ratio};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        // What mbx is compared with runs as mbx does: in a process of its own.
        [mode @ (reader::PRINT | reader::CUT), url] => bare::block_on(reader::read(mode, url)),
        ["create", url, count, batch, concurrency] => {
            bare::block_on(bare::create(url, [count.parse()?, batch.parse()?, concurrency.parse()?]))
        }
        ["engine", url, file, concurrency, ref folder @ ..] => {
            bare::block_on(bare::engine(url, file, concurrency.parse()?, folder.first().copied()))
        }
        ["fleet", ref other @ ..] => fleet::all(&Programs::build()?, other.first().copied()),
        ["list", ref numbers @ ..] => measure(numbers, true, false),
        ["bulk", ref numbers @ ..] => measure(numbers, false, true),
        ref numbers => measure(numbers, true, true),
    }
}

/// Measures one part or both.
fn measure(numbers: &[&str], lists: bool, bulks: bool) -> Result<()> {
    let number =
        |index: usize, default| numbers.get(index).map_or(Ok(default), |text| text.replace(['_', ','], "").parse());
    let (count, rounds) = (number(0, 1_000_000)?, number(1, 5)?);
    let programs = Programs::build()?;
    println!("{}", machine());
    println!("medians of {rounds} interleaved rounds\n");
    if lists {
        start_up(&programs, rounds)?;
        lists::all(&programs, count, rounds)?;
    }
    if bulks {
        bulk::all(&programs, count / 100, rounds)?;
    }
    Ok(())
}

fn start_up(programs: &Programs, rounds: usize) -> Result<()> {
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..rounds * 20 {
        for (index, (program, arg)) in [
            (&programs.clap, "--version"),
            (&programs.mbx, "--version"),
            (&programs.clap, "--help"),
            (&programs.mbx, "--help"),
        ]
        .into_iter()
        .enumerate()
        {
            let began = Instant::now();
            Command::new(program).arg(arg).stdout(Stdio::null()).status()?;
            times[index].push(began.elapsed());
        }
    }
    let [bare_version, version, bare_help, help] = times.map(median);
    println!("start-up, against a bare clap program");
    println!("  --version  {} against {}: {}", ms(version), ms(bare_version), ratio(version, bare_version));
    println!("  --help     {} against {}: {}\n", ms(help), ms(bare_help), ratio(help, bare_help));
    Ok(())
}
