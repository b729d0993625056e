//! Running programs, and what a run of one took.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// A tick of the processor times in `/proc`: 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The programs that are compared.
pub(crate) struct Programs {
    pub(crate) mbx: PathBuf,
    pub(crate) clap: PathBuf,
    pub(crate) bench: PathBuf,
    /// Where files may lie for the time of a run: on the disk that this was built on, not in memory.
    pub(crate) folder: tempfile::TempDir,
}

impl Programs {
    /// Builds them.
    pub(crate) fn build() -> Result<Self> {
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
        let folder = tempfile::tempdir_in(release)?;
        Ok(Programs { mbx: release.join("mbx"), clap: examples.join("bare_clap"), bench, folder })
    }

    /// Returns mbx with nothing of the caller's environment in its way.
    pub(crate) fn mbx(&self, args: &[&str], provider: &str, base_url: &str) -> Command {
        let mut command = Command::new(&self.mbx);
        command.args(args).args(["-p", provider]).env_clear().env("HOME", self.folder.path());
        let name = provider.to_uppercase();
        command.env(format!("MBX_{name}_BASE_URL"), base_url);
        command.env("MBX_EMBOUX_API_KEY", "bench").env("MBX_HYBRIDBOX_TOKEN", "bench");
        command.env("MBX_HYBRIDBOX_ACCOUNT_ID", "3c90c3cc-0d44-4b50-8888-8dd25736052a");
        command
    }
}

/// What one run of a program took.
pub(crate) struct Run {
    /// From its start to its end.
    pub(crate) time: Duration,
    /// Processor time, its own and the system's on its behalf, of all its threads and of what it waited for.
    pub(crate) cpu: Duration,
    /// The most memory it held, as far as the system tells; of a pipeline, that of its shell.
    pub(crate) peak_kib: u64,
    /// How it ended.
    pub(crate) ended: ExitStatus,
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<Run> {
    let run = watch(command)?;
    if !run.ended.success() {
        return Err(format!("{command:?}: {}", run.ended).into());
    }
    Ok(run)
}

/// Runs a program to its end, whatever that is.
pub(crate) fn watch(command: &mut Command) -> Result<Run> {
    let began = Instant::now();
    let mut child = command.spawn()?;
    let folder = PathBuf::from(format!("/proc/{}", child.id()));
    let (mut cpu, mut peak_kib) = (Duration::ZERO, 0);
    let ended = loop {
        peak_kib = peak_kib.max(peak(&folder));
        // A program that has ended is still told of until it is waited for, and nothing else tells its whole time.
        let (is_over, so_far) = cpu_of(&folder).unwrap_or((true, cpu));
        cpu = so_far;
        if is_over && let Some(ended) = child.try_wait()? {
            break ended;
        }
        // Watching takes less than a hundredth of the time, and tells the time to a hundredth.
        std::thread::sleep((began.elapsed() / 100).clamp(Duration::from_millis(1), Duration::from_millis(10)));
    };
    Ok(Run { time: began.elapsed(), cpu, peak_kib, ended })
}

fn peak(folder: &Path) -> u64 {
    let text = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// Returns whether a process has ended, and its processor time so far; nothing where the system does not tell.
pub(crate) fn cpu_of(folder: &Path) -> Option<(bool, Duration)> {
    let text = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name comes second, in brackets and with anything in it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u32 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u32>().ok()).sum();
    Some((fields.first() == Some(&"Z"), TICK * ticks))
}

/// Returns whether a program is installed.
pub(crate) fn has(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

pub(crate) fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

pub(crate) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

pub(crate) fn ratio(a: Duration, b: Duration) -> String {
    format!("{:.2} times", a.as_secs_f64() / b.as_secs_f64())
}

pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Describes the machine.
pub(crate) fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |m| m.1);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, kernel.trim())
}
