//! A run that ends at any moment: killed, interrupted, without room on the disk, or with half of its journal lost.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use mbx::bulk::Fingerprint;
use mbx::bulk::sink::{self, Sink};
use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use tokio::process::Child;

use super::{
    Dice, GENERATE, addresses, assert_passwords_are_true, first_create, made_up, on_emboux, passwords, resume, rows,
    run_of,
};
use crate::program::Mbx;
use crate::support::at;

/// Returns how many creates have arrived since the last time.
pub(super) fn creates(sandbox: &Sandbox) -> usize {
    sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count()
}

#[tokio::test]
async fn a_run_that_is_killed_twenty_times_ends_as_if_it_was_not() {
    const ROWS: usize = 900;
    const KILLS: usize = 20;
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    // What is made twice is seen.
    sandbox.accept_repeats(ProviderId::Emboux);
    sandbox.run_clock(ProviderId::Emboux);
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(10))));
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let mut dice = Dice(7);
    let mut args: Vec<String> =
        ["bulk", "create", &file].into_iter().chain(GENERATE).chain([out.as_str()]).map(str::to_owned).collect();
    for kill in 0..KILLS {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = mbx.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        // One of four dies before it sends anything, or while it looks; the others after some creates.
        if kill % 4 == 0 {
            tokio::time::sleep(Duration::from_millis(dice.roll(80))).await;
        } else {
            let (wanted, mut seen) = (dice.roll(60) as usize, 0);
            while seen < wanted && child.try_wait().expect("it is asked").is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
                seen += creates(&sandbox);
            }
        }
        assert!(child.try_wait().expect("it is asked").is_none(), "it ended before kill {kill}");
        child.kill().await.expect("it is killed");
        // A file of the run may be there before its first line is: then nothing was sent.
        if mbx.run(&["bulk", "list", "-o", "value"]).await.ok().stdout.is_empty() {
            let _ = std::fs::remove_file(&out);
        } else {
            args = ["bulk", "resume", &run_of(&mbx).await].map(str::to_owned).to_vec();
        }
    }
    resume(&mbx, &run_of(&mbx).await).await.ok();
    let shown = mbx.run(&["bulk", "show", &run_of(&mbx).await, "-o", "csv", "--columns", "outcome,address"]).await.ok();
    let told: BTreeSet<_> = shown.stdout.lines().skip(1).map(str::to_owned).collect();
    let truth: BTreeSet<_> = (0..ROWS).map(|n| format!("created,user{n}@example.com")).collect();
    assert_eq!(told, truth);
    let held = sandbox.addresses(ProviderId::Emboux);
    let ours: BTreeSet<_> = held.iter().filter(|address| address.ends_with("@example.com")).collect();
    assert_eq!(ours.len(), ROWS);
    assert_eq!(held.iter().filter(|address| address.ends_with("@example.com")).count(), ROWS, "none is there twice");
    assert_eq!(passwords(&mbx).len(), ROWS);
    assert_passwords_are_true(&sandbox, &passwords(&mbx));
}

/// Makes the mailboxes of a small file, and returns its run, where that is journaled, and what the journal says.
async fn journaled(mbx: &Mbx, file: &str) -> (String, PathBuf, Vec<u8>) {
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    mbx.run(&[&["bulk", "create", file], &GENERATE[..], &[&out]].concat()).await.ok();
    let run = run_of(mbx).await;
    let journal = mbx.home.path().join(format!(".local/state/mbx/runs/{run}.jsonl"));
    let whole = std::fs::read(&journal).expect("it is there");
    (run, journal, whole)
}

#[tokio::test]
async fn a_journal_that_is_cut_anywhere_stays_honest() {
    const ROWS: usize = 20;
    const CUTS: usize = 100;
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    let (run, journal, whole) = journaled(&mbx, &file).await;
    // Lines are only lost when the machine stops: the journal is one of an earlier boot.
    let boot = mbx::bulk::journal::this_boot().expect("the system names its boot");
    let other = String::from_utf8_lossy(&whole).replacen(&boot, &boot.replace(|c: char| c != '-', "0"), 1);
    let whole = other.into_bytes();
    let all = passwords(&mbx);
    // Its lines are the header, an intent for each row, an outcome for each, and the end.
    let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    let parts = [0, ends[0], ends[ROWS], whole.len()];
    let mut dice = Dice(11);
    for cut in 0..CUTS {
        let part = cut % 3;
        let at = parts[part] + dice.roll((parts[part + 1] - parts[part]) as u64) as usize;
        std::fs::write(&journal, &whole[..at]).expect("it is cut");
        let ran = resume(&mbx, &run).await;
        let codes: &[i32] = if at < ends[0] { &[3] } else { &[0, 15] };
        assert!(codes.contains(&ran.code), "cut at {at}: {ran:?}");
        // Every mailbox is there, and nobody says otherwise; what the journal has lost is found or left in doubt.
        let doubtful = ["\"created\"", "\"unknown\""];
        assert!(ran.stdout.lines().all(|line| doubtful.iter().any(|word| line.contains(word))), "cut at {at}: {ran:?}");
        assert_eq!(passwords(&mbx), all, "cut at {at}");
    }
    assert_eq!(creates(&sandbox), ROWS, "none is sent again");
}

#[tokio::test]
async fn a_journal_with_garbage_in_it_is_refused_by_its_line() {
    let (sandbox, mbx, file) = on_emboux(&addresses(10)).await;
    let (run, journal, whole) = journaled(&mbx, &file).await;
    sandbox.take_seen();
    let mut dice = Dice(13);
    for _ in 0..5 {
        let mut broken = whole.clone();
        let first = whole.iter().position(|byte| *byte == b'\n').expect("there is a header") + 1;
        let at = first + dice.roll((whole.len() - first - 8) as u64) as usize;
        broken[at..at + 6].copy_from_slice(b"\xff\0{\x1b[7");
        std::fs::write(&journal, &broken).expect("it is broken");
        let line = broken[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let ran = resume(&mbx, &run).await;
        // A line break that is gone joins two lines.
        let lines = [format!("line {line} of "), format!("line {} of ", line + 1)];
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{ran:?}");
        assert!(lines.iter().any(|line| ran.stderr.contains(line)), "garbage at {at}: {ran:?}");
        assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    }
    assert!(sandbox.take_seen().is_empty(), "nothing is sent by a journal that cannot be read");
}

#[tokio::test]
async fn shards_at_the_same_time_make_each_row_once() {
    const ROWS: usize = 200;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    sandbox.accept_repeats(ProviderId::Emboux);
    sandbox.run_clock(ProviderId::Emboux);
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(5))));
    let shards = ["0/4", "1/4", "2/4", "3/4"].map(|shard| {
        let args = ["bulk", "create", &file, "--yes", "--shard", shard, "-o", "value"];
        mbx.command(&args).stdout(Stdio::piped()).spawn().expect("it runs")
    });
    let mut told = Vec::new();
    for child in shards {
        let output = child.wait_with_output().await.expect("it ends");
        assert!(output.status.success(), "{output:?}");
        told.extend(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
    }
    told.sort();
    let mut truth: Vec<_> = (0..ROWS).map(|n| format!("user{n}@example.com")).collect();
    truth.sort();
    assert_eq!(told, truth);
    assert_eq!(creates(&sandbox), ROWS);
}

/// Sends a signal to a process.
fn tell(child: &Child, signal: &str) {
    let id = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args([signal, &id]).status().expect("it is told").success());
}

#[tokio::test]
async fn an_interrupted_run_tells_what_it_did_and_how_to_go_on() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        interrupted(signal, code).await;
    }
}

async fn interrupted(signal: &str, code: i32) {
    const ROWS: usize = 400;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(20))));
    let args = ["bulk", "create", &file, "--yes", "-o", "jsonl"];
    let child = mbx.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    first_create(&sandbox).await;
    tell(&child, signal);
    let output = child.wait_with_output().await.expect("it ends");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let run = run_of(&mbx).await;
    assert!(stderr.contains(&format!("mbx bulk resume {run}")), "{stderr}");
    let held = || sandbox.addresses(ProviderId::Emboux).iter().filter(|a| a.starts_with("user")).count();
    assert_eq!(stdout.lines().count(), held(), "what was made is told, and nothing else");
    assert!(held() < ROWS);
    let rest = resume(&mbx, &run).await.ok();
    assert_eq!((stdout.lines().count() + rest.stdout.lines().count(), held()), (ROWS, ROWS));
}

#[tokio::test]
async fn what_waits_for_its_turn_is_not_sent_after_an_interrupt() {
    let (sandbox, mbx, file) = on_emboux(&rows(50)).await;
    let paced = ["bulk", "create", &file, "--yes", "-o", "jsonl", "--rate", "60/m"];
    let child = mbx.command(&paced).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    first_create(&sandbox).await;
    tell(&child, "-INT");
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(creates(&sandbox), 0, "the next was due a second later");
    // The same where the host has asked for a pause.
    let run = run_of(&mbx).await;
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::retry_after("5")).times(1));
    let mut paused = mbx.command(&["bulk", "resume", &run, "-q", "-j", "4"]);
    let mut child =
        paused.env_remove("MBX_NO_WAIT").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    first_create(&sandbox).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    sandbox.take_seen();
    tell(&child, "-INT");
    assert_eq!(child.wait().await.expect("it ends").code(), Some(130));
    assert_eq!(creates(&sandbox), 0, "the pause was not over");
    resume(&mbx, &run).await.ok();
    let held = sandbox.addresses(ProviderId::Emboux);
    assert_eq!(held.iter().filter(|address| address.starts_with("user")).count(), 50);
}

#[tokio::test]
async fn a_second_signal_ends_a_run_at_once_and_what_was_under_way_is_found() {
    const ROWS: usize = 40;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    sandbox.accept_repeats(ProviderId::Emboux);
    sandbox.run_clock(ProviderId::Emboux);
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Hang).skip(5).times(20));
    let args = ["bulk", "create", &file, "--yes", "-q"];
    let child = mbx.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let held = || sandbox.addresses(ProviderId::Emboux).iter().filter(|a| a.starts_with("user")).count();
    while held() < 7 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tell(&child, "-INT");
    tokio::time::sleep(Duration::from_millis(100)).await;
    tell(&child, "-INT");
    let output = child.wait_with_output().await.expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("may have been carried out"), "it did not wait for the answers: {stderr}");
    assert!(held() < ROWS);
    let run = run_of(&mbx).await;
    // The answers of others are lost as well until the trouble is over.
    let shown = mbx.run(&["bulk", "show", &run, "-o", "value"]).await.ok();
    assert!(shown.stdout.lines().count() < held());
    sandbox.forgive();
    resume(&mbx, &run).await.ok();
    let shown = mbx.run(&["bulk", "show", &run, "--only", "created", "-o", "value"]).await.ok();
    assert_eq!((shown.stdout.lines().count(), held()), (ROWS, ROWS));
}

#[tokio::test]
async fn without_room_for_the_journal_nothing_is_sent() {
    const ROWS: usize = 800;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    sandbox.run_clock(ProviderId::Emboux);
    // No file may grow beyond 64 blocks of 512 or 1024 bytes: the journal's, after some hundred rows.
    let script =
        format!("ulimit -f 64; trap '' XFSZ; exec '{}' bulk create '{file}' --yes -o jsonl", env!("CARGO_BIN_EXE_mbx"));
    let mut command = tokio::process::Command::new("bash");
    let plain = mbx.command(&[]);
    let env: Vec<_> =
        plain.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    let output = command.args(["-c", &script]).env_clear().envs(env).output().await.expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(17), "{stderr}");
    let told = String::from_utf8_lossy(&output.stdout).lines().count();
    let held = || sandbox.addresses(ProviderId::Emboux).iter().filter(|a| a.starts_with("user")).count();
    assert_eq!(told, held(), "what was made is told");
    assert!(told < ROWS);
    resume(&mbx, &run_of(&mbx).await).await.ok();
    assert_eq!(held(), ROWS);
}

#[tokio::test]
async fn half_a_password_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("passwords.csv");
    std::fs::write(&path, "address,password\none@example.com,first-1\ntwo@example.com,second-2\nthree@example.com,thi")
        .expect("it is written");
    let [one, two, three] = ["one", "two", "three"].map(|name| at(&format!("{name}@example.com")));
    sink::remove_unused(&path, &[Fingerprint::of(&one)]).expect("it is written");
    let sink = Sink::reopen(&path, made_up, &[]).expect("it opens");
    assert_eq!([one, two, three].map(|address| sink.knows(&address)), [false, true, false]);
}
