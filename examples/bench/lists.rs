//! What lists cost, next to programs that read the same.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::measure::{Programs, has, median, mib, ms, rate, ratio, run};
use crate::server::Server;
use crate::{Result, reader};

/// Measures lists of three lengths, up to `count`.
pub(crate) fn all(programs: &Programs, count: usize, rounds: usize) -> Result<()> {
    for count in [count / 100, count / 10, count] {
        listing(programs, count, rounds)?;
    }
    pages(programs, count)
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
    let has_jq = has("curl") && has("jq");
    if list("jsonl").output()?.stdout != read(reader::PRINT).output()?.stdout {
        return Err("mbx and the bare reader do not print the same".into());
    }
    let mut times = [const { Vec::new() }; 6];
    let (mut peaks, mut firsts) = (vec![], vec![]);
    for _ in 0..rounds {
        let done = run(list("jsonl").stdout(Stdio::null()))?;
        peaks.push(done.peak_kib);
        times[0].push(done.time);
        for (index, mut command) in
            [read(reader::PRINT), read(reader::CUT), list("csv"), list("value")].into_iter().enumerate()
        {
            times[index + 1].push(run(command.stdout(Stdio::null()))?.time);
        }
        if has_jq {
            let mut pipe = Command::new("sh");
            pipe.args(["-c", "curl -sSfN \"$0\" | jq -c '.[]'", &url]).stdout(Stdio::null());
            times[5].push(run(&mut pipe)?.time);
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
