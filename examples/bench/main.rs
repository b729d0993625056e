//! What mbx costs, as ratios of one interleaved run on this machine: `cargo run --release --example bench`.
//!
//! It builds the program first, and serves what is listed from this process. Nothing is asserted: the figures are for
//! people, and the last ones are in `docs/performance.md`.
//!
//! `-- [COUNT] [ROUNDS]` changes how many mailboxes are listed (1,000,000) and how often (5).
#![allow(clippy::print_stdout, reason = "its output is the result")]

mod reader;
mod server;

use std::error::Error;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use server::Server;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, url] = args.as_slice()
        && let Some(reader) = reader::named(mode)
    {
        return reader(url);
    }
    let number =
        |index: usize, default| args.get(index).map_or(Ok(default), |text| text.replace(['_', ','], "").parse());
    let (count, rounds) = (number(0, 1_000_000)?, number(1, 5)?);
    let programs = Programs::build()?;
    println!("{}", machine());
    println!("medians of {rounds} interleaved rounds\n");
    start_up(&programs, rounds)?;
    for count in [count / 100, count / 10, count] {
        listing(&programs, count, rounds)?;
    }
    pages(&programs, count)
}

/// The programs that are compared.
struct Programs {
    mbx: PathBuf,
    clap: PathBuf,
    bench: PathBuf,
}

impl Programs {
    fn build() -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // Apart, so that mbx is what a user builds, without what examples and tests add to its dependencies.
        for target in [["--bin", "mbx"], ["--example", "bare_clap"]] {
            let mut build = Command::new(&cargo);
            build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--release", "--locked"]).args(target);
            // What cargo has set for this program would make it build others anew.
            for (name, _) in std::env::vars_os() {
                let text = name.to_string_lossy();
                if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                    build.env_remove(&name);
                }
            }
            if !build.status()?.success() {
                return Err("the programs do not build".into());
            }
        }
        let bench = std::env::current_exe()?;
        let examples = bench.parent().ok_or("the bench lies nowhere")?.to_owned();
        let release = examples.parent().ok_or("the bench lies nowhere")?;
        Ok(Programs { mbx: release.join("mbx"), clap: examples.join("bare_clap"), bench })
    }

    /// Returns mbx with nothing of the caller's environment in its way.
    fn mbx(&self, args: &[&str], provider: &str, base_url: &str) -> Command {
        let mut command = Command::new(&self.mbx);
        command.args(args).args(["-p", provider]).env_clear().env("HOME", "/nonexistent");
        let name = provider.to_uppercase();
        command.env(format!("MBX_{name}_BASE_URL"), base_url);
        command.env("MBX_EMBOUX_API_KEY", "bench").env("MBX_HYBRIDBOX_TOKEN", "bench");
        command.env("MBX_HYBRIDBOX_ACCOUNT_ID", "3c90c3cc-0d44-4b50-8888-8dd25736052a");
        command
    }
}

/// What one run of a program took.
struct Run {
    time: Duration,
    /// The most memory it held, as far as the system tells; of a pipeline, that of its shell.
    peak_kib: u64,
}

/// Runs a program to its end, its output thrown away.
fn run(command: &mut Command) -> Result<Run> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib = 0;
    let ended = loop {
        peak_kib = peak_kib.max(peak(&status));
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    if !ended.success() {
        return Err(format!("{command:?}: {ended}").into());
    }
    Ok(Run { time: began.elapsed(), peak_kib })
}

fn peak(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
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
    let list = |format| programs.mbx(&["list", "-o", format], "emboux", &server.base_url);
    let read = |mode: &str| {
        let mut command = Command::new(&programs.bench);
        command.args([mode, url.as_str()]);
        command
    };
    let has_jq = ["curl", "jq"]
        .iter()
        .all(|tool| Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    if list("jsonl").output()?.stdout != read(reader::PRINT).output()?.stdout {
        return Err("mbx and the bare reader do not print the same".into());
    }
    let mut times = [const { Vec::new() }; 6];
    let (mut peaks, mut firsts) = (vec![], vec![]);
    for _ in 0..rounds {
        let done = run(&mut list("jsonl"))?;
        peaks.push(done.peak_kib);
        times[0].push(done.time);
        for (index, mut command) in
            [read(reader::PRINT), read(reader::CUT), list("csv"), list("value")].into_iter().enumerate()
        {
            times[index + 1].push(run(&mut command)?.time);
        }
        if has_jq {
            times[5].push(run(Command::new("sh").args(["-c", "curl -sSfN \"$0\" | jq -c '.[]'", &url]))?.time);
        }
        firsts.push(first_row(&mut list("jsonl"), &server)?);
    }
    if !has_jq {
        times[5].push(Duration::ZERO);
    }
    let [mbx, print, cut, csv, value, jq] = times.map(median);
    println!("list {count} mailboxes as JSON lines, one array of {:.1} MiB", mib(server.users.size as u64 >> 10));
    println!("  mbx {} against a bare streaming reader {}: {}", ms(mbx), ms(print), ratio(mbx, print));
    println!("  mbx {} against a reader that only cuts {}: {}", ms(mbx), ms(cut), ratio(mbx, cut));
    if has_jq {
        println!("  mbx {} against curl | jq {}: {}", ms(mbx), ms(jq), ratio(mbx, jq));
    }
    println!("  as CSV {}, one column {}", ms(csv), ms(value));
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
    let done = run(&mut programs.mbx(&["list", "-o", "jsonl"], "hybridbox", &server.base_url))?;
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

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn ratio(a: Duration, b: Duration) -> String {
    format!("{:.2} times", a.as_secs_f64() / b.as_secs_f64())
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Describes the machine.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |m| m.1);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, kernel.trim())
}
