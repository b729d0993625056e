//! What mbx costs, as ratios of one interleaved run on this machine: `cargo run --release --example bench`.
//!
//! It builds the program first, and serves what is listed from this process. Nothing is asserted: the figures are for
//! people, and the last ones are in `docs/performance.md`.
//!
//! `-- [list|bulk] [COUNT] [ROUNDS]` leaves the other part out, and changes how many mailboxes are listed at most
//! (1,000,000) and how often things are measured (5). What is compared of bulk is a hundredth of that many creates.
#![allow(clippy::print_stdout, reason = "its output is the result")]

mod bare;
mod bulk;
mod host;
mod measure;
mod server;

use std::error::Error;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Instant;

use mbx::http::Items;

use measure::{Programs, has, machine, median, mib, ms, rate, ratio, run};
use server::Server;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        // What mbx is compared with runs as mbx does: in a process of its own.
        ["read", url] => bare::block_on(read_bare(url)),
        ["create", url, count, batch, concurrency] => {
            bare::block_on(bare::create(url, [count.parse()?, batch.parse()?, concurrency.parse()?]))
        }
        ["engine", url, file, concurrency, ref folder @ ..] => {
            bare::block_on(bare::engine(url, file, concurrency.parse()?, folder.first().copied()))
        }
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
        for count in [count / 100, count / 10, count] {
            listing(&programs, count, rounds)?;
        }
        pages(&programs, count)?;
    }
    if bulks {
        bulk::all(&programs, count / 100, rounds)?;
    }
    Ok(())
}

/// The bare streaming reader: the list as it arrives, cut into items, a line each.
async fn read_bare(url: &str) -> Result<()> {
    let mut response = bare::client()?.get(url).send().await?;
    let (mut items, mut lines, mut out) = (Items::default(), Vec::new(), io::stdout());
    while let Some(piece) = response.chunk().await? {
        items.push(&piece);
        while let Some(item) = items.next()? {
            lines.extend_from_slice(item);
            lines.push(b'\n');
        }
        out.write_all(&lines)?;
        lines.clear();
    }
    Ok(items.end()?)
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

fn listing(programs: &Programs, count: usize, rounds: usize) -> Result<()> {
    let (runtime, server) = serve(count)?;
    let url = format!("{}/users/", server.base_url);
    let list = || programs.mbx(&["list", "-o", "jsonl"], "emboux", &server.base_url);
    let has_jq = has("curl") && has("jq");
    let (mut bare, mut mbx, mut jq, mut peaks, mut firsts) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        bare.push(run(Command::new(&programs.bench).args(["read", &url]).stdout(Stdio::null()))?.time);
        let run_of_mbx = run(list().stdout(Stdio::null()))?;
        mbx.push(run_of_mbx.time);
        peaks.push(run_of_mbx.peak_kib);
        if has_jq {
            let mut pipe = Command::new("sh");
            pipe.args(["-c", "curl -sSfN \"$0\" | jq -c '.[]'", &url]).stdout(Stdio::null());
            jq.push(run(&mut pipe)?.time);
        }
        firsts.push(first_row(&mut list(), &server)?);
    }
    let (bare, mbx) = (median(bare), median(mbx));
    println!("list {count} mailboxes as JSON lines, one array of {:.1} MiB", mib(server.users.size as u64 >> 10));
    println!("  mbx {} against a bare streaming reader {}: {}", ms(mbx), ms(bare), ratio(mbx, bare));
    if has_jq {
        let jq = median(jq);
        println!("  mbx {} against curl | jq {}: {}", ms(mbx), ms(jq), ratio(mbx, jq));
    }
    println!("  {:.0} mailboxes a second, peak memory {:.1} MiB", rate(count, mbx), mib(median(peaks)));
    println!("  the first row is out when {} of the list was sent\n", median(firsts));
    drop(runtime);
    Ok(())
}

/// Returns what share of the list the server had sent when the first row could be read.
fn first_row(command: &mut Command, server: &Server) -> Result<Permille> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut out = child.stdout.take().ok_or("it has an output")?;
    let mut rows = vec![0; 64 << 10];
    let read = out.read(&mut rows)?;
    let sent = server.sent.load(Ordering::Relaxed);
    if !rows[..read].contains(&b'\n') {
        return Err("the first piece of output holds no whole row".into());
    }
    io::copy(&mut out, &mut io::sink())?;
    child.wait()?;
    Ok(Permille(sent * 1000 / server.users.size))
}

/// A share of a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Permille(usize);

impl std::fmt::Display for Permille {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} %", self.0 as f64 / 10.0)
    }
}

fn pages(programs: &Programs, count: usize) -> Result<()> {
    let (runtime, server) = serve(count)?;
    let mut list = programs.mbx(&["list", "-o", "jsonl"], "hybridbox", &server.base_url);
    let done = run(list.stdout(Stdio::null()))?;
    println!("list {count} mailboxes as JSON lines, pages of 25, once");
    println!("  {}, peak memory {:.1} MiB", ms(done.time), mib(done.peak_kib));
    drop(runtime);
    Ok(())
}

/// Starts a server on threads of its own.
fn serve(count: usize) -> Result<(tokio::runtime::Runtime, Server)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let server = runtime.block_on(Server::start(count))?;
    Ok((runtime, server))
}
