//! Runs that a scheduler owns: begun and repeated by one command, waited for, and ended with their job.

use std::process::Stdio;
use std::time::{Duration, Instant};

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use sha2::{Digest, Sha256};

use super::{GENERATE, addresses, assert_passwords_are_true, first_create, on_emboux, passwords};
use crate::program::{Mbx, Ran};

/// Returns the command of a task; a task that is repeated is the same command.
fn task<'a>(file: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let named = ["bulk", "create", file, "--run", "people", "--if-exists", "ok", "-o", "value"];
    [&named[..], &GENERATE[..], &[out], more].concat()
}

fn out(mbx: &Mbx) -> String {
    mbx.home.path().join("passwords.csv").to_string_lossy().into_owned()
}

fn posts(sandbox: &Sandbox) -> usize {
    sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count()
}

/// Checks that each row has one mailbox, and the file its password.
#[track_caller]
fn assert_made(sandbox: &Sandbox, mbx: &Mbx, count: usize) {
    let made = sandbox.addresses(ProviderId::Emboux).iter().filter(|address| address.starts_with("user")).count();
    let passwords = passwords(mbx);
    assert_eq!((made, passwords.len()), (count, count));
    assert_passwords_are_true(sandbox, &passwords);
}

#[tokio::test]
async fn a_named_run_is_begun_resumed_and_left_alone_by_the_same_command() {
    let (sandbox, mbx, file) = on_emboux(&addresses(12)).await;
    let out = out(&mbx);
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(422)).skip(3).times(2));
    let first = mbx.run(&task(&file, &out, &[])).await;
    assert_eq!(first.code, 14, "{first:?}");
    sandbox.take_seen();
    let again = mbx.run(&task(&file, &out, &[])).await.ok();
    assert_eq!((again.stdout.lines().count(), posts(&sandbox)), (2, 2), "the rows that failed: {again:?}");
    assert_made(&sandbox, &mbx, 12);
    let third = mbx.run(&task(&file, &out, &[])).await.ok();
    assert_eq!((third.stdout.as_str(), posts(&sandbox)), ("", 0));
    assert_eq!(mbx.run(&["bulk", "show", "people", "-o", "value"]).await.ok().stdout.lines().count(), 12);
    assert_eq!(mbx.run(&["bulk", "show", "last", "-o", "value"]).await.ok().stdout.lines().count(), 12);
}

#[tokio::test]
async fn a_named_run_is_resumed_by_no_other_command() {
    let (sandbox, mbx, file) = on_emboux(&addresses(4)).await;
    let out = out(&mbx);
    mbx.run(&task(&file, &out, &[])).await.ok();
    sandbox.take_seen();
    let other = mbx.run(&task(&file, &out, &["--shard", "0/2"])).await;
    assert!(other.code == 2 && other.stderr.contains("--shard"), "{other:?}");
    let elsewhere = mbx.home.path().join("other.csv").to_string_lossy().into_owned();
    let other = mbx.run(&task(&file, &elsewhere, &[])).await;
    assert!(other.code == 2 && other.stderr.contains("--password-out"), "{other:?}");
    mbx.file("people.csv", &addresses(5));
    let edited = mbx.run(&task(&file, &out, &[])).await;
    assert!(edited.code == 17 && edited.stderr.contains("not the file"), "{edited:?}");
    for name in ["../people", "", "last", "a b"] {
        assert_eq!(mbx.run(&["bulk", "create", &file, "--run", name]).await.code, 2, "{name:?}");
    }
    assert!(sandbox.take_seen().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_file_of_another_digest_is_refused_before_anything_is_sent() {
    let (sandbox, mbx, file) = on_emboux(&addresses(4)).await;
    let digest: String = Sha256::digest(addresses(4)).iter().map(|byte| format!("{byte:02x}")).collect();
    let out = out(&mbx);
    for (digest, code) in [("0".repeat(64), 17), ("beef".to_owned(), 2)] {
        let ran = mbx.run(&task(&file, &out, &["--input-digest", &digest])).await;
        assert_eq!(ran.code, code, "{ran:?}");
    }
    assert!(sandbox.take_seen().is_empty() && !mbx.home.path().join("passwords.csv").exists());
    mbx.run(&task(&file, &out, &["--input-digest", &digest.to_uppercase()])).await.ok();
    assert_made(&sandbox, &mbx, 4);
}

#[tokio::test]
async fn what_a_process_left_that_ended_while_it_began_is_no_hindrance() {
    let (sandbox, mbx, file) = on_emboux(&addresses(3)).await;
    let out = out(&mbx);
    // The journal has no line yet.
    let journal = mbx.file(".local/state/mbx/runs/people.jsonl", "{\"format\":2,\"ru");
    mbx.run(&task(&file, &out, &["--limit", "1"])).await.ok();
    // It has its first line, and there is no file of passwords.
    let text = std::fs::read_to_string(&journal).expect("it is there");
    std::fs::write(&journal, text.split_inclusive('\n').next().expect("a line")).expect("it is written");
    std::fs::remove_file(&out).expect("it is there");
    mbx.run(&["delete", "user0@example.com", "--yes"]).await.ok();
    mbx.run(&task(&file, &out, &["--limit", "1"])).await.ok();
    assert_made(&sandbox, &mbx, 1);
    // A file of passwords that is there is no leftover.
    let named = ["bulk", "create", &file, "--run", "more", "--if-exists", "ok"];
    let ran = mbx.run(&[&named[..], &GENERATE[..], &[&out]].concat()).await;
    assert_eq!(ran.code, 17, "{ran:?}");
    assert_eq!(mbx.run(&["bulk", "show", "more"]).await.code, 6, "no run was begun");
}

#[tokio::test]
async fn a_run_that_another_process_holds_is_waited_for() {
    let (sandbox, mbx, file) = on_emboux(&addresses(3)).await;
    let out = out(&mbx);
    sandbox.run_clock(ProviderId::Emboux);
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Hang).times(1));
    let mut first = mbx.command(&task(&file, &out, &[])).spawn().expect("it runs");
    first_create(&sandbox).await;
    let busy = mbx.run(&task(&file, &out, &[])).await;
    assert!(busy.code == 19 && busy.stderr.contains("--wait-lock"), "{busy:?}");
    let start = Instant::now();
    let busy = mbx.run(&task(&file, &out, &["--wait-lock", "1s"])).await;
    assert!(busy.code == 19 && start.elapsed() >= Duration::from_secs(1), "{busy:?}");
    let mut second = mbx.command(&task(&file, &out, &["--wait-lock", "5m"]));
    let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    first.kill().await.expect("it is killed");
    Ran::of(second.wait_with_output().await.expect("it ends")).ok();
    assert_made(&sandbox, &mbx, 3);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_run_ends_with_its_job_and_outlives_a_shell() {
    for job in [true, false] {
        let (sandbox, mut mbx, file) = on_emboux(&addresses(40)).await;
        if job {
            mbx.set("SLURM_JOB_ID", "7");
        }
        let out = out(&mbx);
        // The step of the scheduler is a shell that does not have the variable, and its script another one.
        let args = task(&file, &out, &["--rate", "10/s"]);
        let command = mbx.command(&args);
        let program = command.as_std();
        let mut step = tokio::process::Command::new("sh");
        step.arg("-c").arg("env \"$@\"; true").arg("sh");
        step.args(
            program.get_envs().filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?))),
        );
        step.args(["sh", "-c", "\"$0\" \"$@\"; true"]).arg(program.get_program()).args(program.get_args());
        let mut step = step.env_clear().env("PATH", env!("PATH")).spawn().expect("it runs");
        first_create(&sandbox).await;
        step.kill().await.expect("it is killed");
        let journal = mbx.home.path().join(".local/state/mbx/runs/people.jsonl");
        let journal = std::fs::File::open(journal).expect("it was begun");
        let start = Instant::now();
        while journal.try_lock_shared().is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "it goes on: job {job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let state = mbx.run(&["bulk", "list", "-o", "csv", "--columns", "state,created"]).await.ok().stdout;
        match job {
            true => assert!(state.contains("open"), "it ended with its job: {state}"),
            false => assert!(state.contains("ended,40"), "it went on as under nohup: {state}"),
        }
    }
}
