//! What bulk create costs: against bare loops that send the same requests, with and without a latency, and how that grows.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mbx::model::ProviderId;

use crate::Result;
use crate::bare::{curl_config, rows};
use crate::host::{Host, LIMIT, Limit, Seen};
use crate::measure::{Programs, Run, cpu_of, has, median, mib, ms, ratio, run, watch};

/// What a request takes at a host that is far away.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);

/// Requests in the air at the same time, when each makes one mailbox.
const CONCURRENCY: usize = 32;

/// Requests in the air at the same time, when each makes several.
const BATCHES: usize = 8;

/// Measures all of it: `count` mailboxes in what is compared, up to a hundred times as many in what grows.
pub(crate) fn all(programs: &Programs, count: usize, rounds: usize) -> Result<()> {
    let bench = Bench { programs, rounds };
    bench.one_a_request(count, LATENCY)?;
    bench.one_a_request(count, Duration::ZERO)?;
    bench.several_a_request(count)?;
    bench.journal(count, LATENCY)?;
    bench.journal(count, Duration::ZERO)?;
    for limit in [Limit::Bucket(LIMIT as f64, LIMIT as f64), Limit::Window] {
        bench.limited((count / 5).max(1), limit)?;
    }
    println!("how bulk create grows, one a request, {CONCURRENCY} at a time, no latency, once each");
    for count in [count, count * 10, count * 100] {
        bench.growth(count)?;
    }
    println!();
    Ok(())
}

struct Bench<'a> {
    programs: &'a Programs,
    rounds: usize,
}

/// The runs of one program, and how long the host was at work meanwhile.
#[derive(Default)]
struct Runs {
    runs: Vec<Run>,
    host: Vec<Duration>,
}

impl Runs {
    fn add(&mut self, run: impl FnOnce() -> Result<Run>) -> Result<()> {
        let before = own_cpu();
        let run = run()?;
        // The time of a child that was waited for counts as this process's own.
        self.host.push(own_cpu().saturating_sub(before + run.cpu));
        self.runs.push(run);
        Ok(())
    }

    fn time(&self) -> Duration {
        median(self.runs.iter().map(|run| run.time).collect())
    }

    /// Processor time a mailbox.
    fn cpu(&self, count: usize) -> String {
        each(median(self.runs.iter().map(|run| run.cpu).collect()), count)
    }

    fn peak(&self) -> String {
        format!("{:.1} MiB", mib(median(self.runs.iter().map(|run| run.peak_kib).collect())))
    }

    /// What share of the time the host was at work.
    fn busy(&self) -> String {
        format!("{:.0} %", median(self.host.clone()).as_secs_f64() / self.time().as_secs_f64() * 100.0)
    }
}

impl Bench<'_> {
    fn one_a_request(&self, count: usize, latency: Duration) -> Result<()> {
        let host = Host::start(latency, Limit::None)?;
        let file = self.file("people.csv", &rows(count, ProviderId::Emboux))?;
        let config = self.file("curl.conf", &curl_config(&host.base_url, count))?;
        let with_curl = latency.is_zero() && has("curl");
        let (mut mbx, mut bare, mut curl) = (Runs::default(), Runs::default(), Runs::default());
        for _ in 0..self.rounds {
            mbx.add(|| self.made(&mut self.create(&file, ProviderId::Emboux, CONCURRENCY, &host)?, &host, count))?;
            bare.add(|| self.made(&mut self.bare(&host, [count, 1, CONCURRENCY]), &host, count))?;
            if with_curl {
                curl.add(|| self.made(&mut curl_parallel(&config), &host, count))?;
            }
        }
        println!("create {count} mailboxes, one a request, {CONCURRENCY} at a time, {} ms each", latency.as_millis());
        against(&mbx, "a bare reqwest loop", &bare);
        if with_curl {
            against(&mbx, "curl --parallel", &curl);
            println!("  curl took {} of processor time a mailbox", curl.cpu(count));
        }
        if !latency.is_zero() {
            let bound = latency * u32::try_from(count)? / u32::try_from(CONCURRENCY)?;
            println!("  against mailboxes × latency / concurrency, {}: {}", ms(bound), ratio(mbx.time(), bound));
        }
        println!("  {} of processor time a mailbox (the bare loop: {})", mbx.cpu(count), bare.cpu(count));
        println!("  peak memory {} (the bare loop: {})", mbx.peak(), bare.peak());
        println!("  the host was at work for {} of mbx's time, {} of the bare loop's\n", mbx.busy(), bare.busy());
        Ok(())
    }

    fn several_a_request(&self, count: usize) -> Result<()> {
        let host = Host::start(LATENCY, Limit::None)?;
        let batch = mbx::adapters::spec(ProviderId::Hybridbox).rules.batch_max;
        let file = self.file("people.csv", &rows(count, ProviderId::Hybridbox))?;
        let (mut mbx, mut bare, mut requests) = (Runs::default(), Runs::default(), Vec::new());
        for _ in 0..self.rounds {
            let mut create = self.create(&file, ProviderId::Hybridbox, BATCHES, &host)?;
            // The rate that mbx keeps at Hybridbox, which names none, would be all that is measured.
            create.args(["--rate", "1000000/s"]);
            mbx.add(|| {
                let run = run(&mut create)?;
                let seen = host.seen();
                requests.push(seen.requests);
                expect(&seen, count).map(|()| run)
            })?;
            bare.add(|| self.made(&mut self.bare(&host, [count, batch, BATCHES]), &host, count))?;
        }
        println!("create {count} mailboxes, {batch} a request, {BATCHES} at a time, {} ms each", LATENCY.as_millis());
        against(&mbx, "a bare reqwest loop", &bare);
        println!("  {} requests, the fewest are {}", median(requests), count.div_ceil(batch));
        println!("  {} of processor time a mailbox, peak memory {}\n", mbx.cpu(count), mbx.peak());
        Ok(())
    }

    /// Compares the engine with itself, with a journal and without.
    fn journal(&self, count: usize, latency: Duration) -> Result<()> {
        let host = Host::start(latency, Limit::None)?;
        let file = self.file("people.csv", &rows(count, ProviderId::Emboux))?;
        let engine = || {
            let mut command = self.mode("engine", &host);
            command.arg(&file).arg(CONCURRENCY.to_string());
            command
        };
        let (mut with, mut without) = (Runs::default(), Runs::default());
        for _ in 0..self.rounds {
            with.add(|| self.made(engine().arg(self.programs.folder.path()), &host, count))?;
            without.add(|| self.made(&mut engine(), &host, count))?;
        }
        println!(
            "the journal of {count} creates, {} ms each: the engine alone, with it and without",
            latency.as_millis()
        );
        println!("  {} against {}: {}", ms(with.time()), ms(without.time()), ratio(with.time(), without.time()));
        println!("  {} of processor time a mailbox against {}\n", with.cpu(count), without.cpu(count));
        Ok(())
    }

    /// Lets a host refuse what is too fast for it, once.
    fn limited(&self, count: usize, limit: Limit) -> Result<()> {
        let host = Host::start(LATENCY, limit)?;
        let file = self.file("people.csv", &rows(count, ProviderId::Emboux))?;
        let run = watch(self.create(&file, ProviderId::Emboux, CONCURRENCY, &host)?.stderr(Stdio::null()))?;
        let seen = host.seen();
        let bound = Duration::from_secs(1) * u32::try_from(count)? / u32::try_from(LIMIT)?;
        let kind = if limit == Limit::Window { "by the host's clock" } else { "and no more than that at once" };
        println!("create {count} mailboxes where {LIMIT} a second are taken, {kind}, {} ms each", LATENCY.as_millis());
        println!("  {} against mailboxes / rate, {}: {}", ms(run.time), ms(bound), ratio(run.time, bound));
        let share = seen.refused as f64 / count as f64 * 100.0;
        println!("  {} answers were 429, {share:.1} % of the mailboxes", seen.refused);
        println!("  {} requests came before a Retry-After was over", seen.early);
        if seen.created < count {
            println!("  mbx ended before its time ({}): {} mailboxes were made", run.ended, seen.created);
        }
        println!();
        Ok(())
    }

    fn growth(&self, count: usize) -> Result<()> {
        let host = Host::start(Duration::ZERO, Limit::None)?;
        let file = self.file("people.csv", &rows(count, ProviderId::Emboux))?;
        let mut mbx = Runs::default();
        mbx.add(|| self.made(&mut self.create(&file, ProviderId::Emboux, CONCURRENCY, &host)?, &host, count))?;
        let (time, cpu) = (each(mbx.time(), count), mbx.cpu(count));
        println!(
            "  {count}: {}, a mailbox {time}, {cpu} of processor time; peak memory {}",
            ms(mbx.time()),
            mbx.peak()
        );
        Ok(())
    }

    /// Returns mbx with its report going to a file and its journal to the disk.
    fn create(&self, file: &Path, provider: ProviderId, concurrency: usize, host: &Host) -> Result<Command> {
        let (file, concurrency) = (file.to_string_lossy(), concurrency.to_string());
        let args = ["bulk", "create", &file, "--yes", "--quiet", "-o", "jsonl", "-j", &concurrency];
        let mut command = self.programs.mbx(&args, provider.as_str(), &host.base_url);
        command.stdout(File::create(self.programs.folder.path().join("report.jsonl"))?);
        Ok(command)
    }

    fn bare(&self, host: &Host, numbers: [usize; 3]) -> Command {
        let mut command = self.mode("create", host);
        command.args(numbers.map(|number| number.to_string()));
        command
    }

    /// Returns a mode of this program.
    fn mode(&self, mode: &str, host: &Host) -> Command {
        let mut command = Command::new(&self.programs.bench);
        command.args([mode, &host.base_url]).stdout(Stdio::null());
        command
    }

    /// Runs what must make so many mailboxes.
    fn made(&self, command: &mut Command, host: &Host, count: usize) -> Result<Run> {
        let run = run(command)?;
        expect(&host.seen(), count).map(|()| run)
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.programs.folder.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

fn expect(seen: &Seen, count: usize) -> Result<()> {
    if seen.created == count { Ok(()) } else { Err(format!("{count} were to be made: {seen:?}").into()) }
}

fn curl_parallel(config: &Path) -> Command {
    let mut command = Command::new("curl");
    command.args(["--parallel", "--parallel-max", &CONCURRENCY.to_string(), "--silent", "--no-progress-meter", "-K"]);
    command.arg(config).stdout(Stdio::null());
    command
}

fn against(mbx: &Runs, name: &str, other: &Runs) {
    println!("  mbx {} against {name} {}: {}", ms(mbx.time()), ms(other.time()), ratio(mbx.time(), other.time()));
}

fn each(time: Duration, count: usize) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6 / count as f64)
}

/// The processor time of this process so far: that of the host, which runs in it.
fn own_cpu() -> Duration {
    cpu_of(Path::new("/proc/self")).map(|(_, cpu)| cpu).unwrap_or_default()
}
