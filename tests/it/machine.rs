//! What the machine does to mbx: signals, full disks, broken files, variables that are no text.

use std::time::Duration;

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use serde_json::Value;

use crate::program::Mbx;

const STATE: &str = ".local/state/mbx/sandbox.json";

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_a_create_in_flight_and_keeps_its_password() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::start().await.expect("the sandbox starts");
        sandbox.fault(Fault::after(Method::POST, "/emboux/users", Answer::Hang));
        let mbx = Mbx::on(&sandbox).env("MBX_OUTPUT", "json");
        let out = mbx.home.path().join("password");
        let line = ["create", "a@example.com", "-p", "emboux", "--generate-password", "--password-out"];
        let mut command = mbx.command(&[&line[..], &[&out.to_string_lossy()]].concat());
        let child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("it runs");
        while !sandbox.take_seen().iter().any(|seen| seen.method == Method::POST) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let id = child.id().expect("it runs").to_string();
        tokio::process::Command::new("kill").args(["-s", signal, &id]).status().await.expect("it is told to end");
        let output = child.wait_with_output().await.expect("it ends");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let error: Value = serde_json::from_slice(&output.stderr).expect("one JSON line");
        assert_eq!((&error["error"]["effect"], &error["error"]["code"]), (&"unknown".into(), &"interrupted".into()));
        let password = std::fs::read_to_string(&out).expect("the file is kept");
        assert_eq!(password.trim_end().len(), 20);
    }
}

#[tokio::test]
async fn a_broken_sandbox_is_told_and_not_emptied() {
    let mbx = Mbx::new();
    let list = ["list", "-p", "emboux", "--sandbox"];
    mbx.run(&list).await.ok();
    mbx.file(STATE, "{\"emboux\":");
    let ran = mbx.run(&list).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("mbx sandbox reset"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(mbx.home.path().join(STATE)).expect("it is there"), "{\"emboux\":");
    mbx.run(&["sandbox", "reset"]).await.ok();
    mbx.run(&list).await.ok();
}

#[cfg(unix)]
#[tokio::test]
async fn a_sandbox_that_cannot_save_makes_no_mailbox() {
    let mbx = Mbx::new();
    mbx.run(&["list", "-p", "emboux", "--sandbox"]).await.ok();
    let create = ["create", "a@example.com", "-p", "emboux", "--sandbox", "--generate-password", "--show-password"];
    // A limit of nothing on the size of files stands for a disk that is full.
    let ran = mbx.run_after("trap '' XFSZ; ulimit -f 0", &create).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (15, ""), "{ran:?}");
    assert!(ran.stderr.contains("cannot keep its state"), "{ran:?}");
    let listed = mbx.run(&["list", "-p", "emboux", "--sandbox", "--domain", "example.com", "-o", "json"]).await.ok();
    assert_eq!(listed.json(), Value::Array(Vec::new()));
}

#[tokio::test]
async fn many_processes_share_the_sandbox() {
    let mbx = Mbx::new();
    let runs = (0..24).map(|n| {
        let line = format!("create u{n}@example.com -p emboux --sandbox --generate-password --show-password");
        let words: Vec<&str> = line.split(' ').collect();
        mbx.command(&words).output()
    });
    for output in futures_util::future::join_all(runs).await {
        assert!(output.expect("it runs").status.success());
    }
    let list = ["list", "-p", "emboux", "--sandbox", "--domain", "example.com", "-o", "value"];
    assert_eq!(mbx.run(&list).await.ok().stdout.lines().count(), 24);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_result_that_cannot_be_written_is_told_with_what_was_done() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_OUTPUT", "json");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let line = ["create", "a@example.com", "-p", "emboux", "--generate-password", "--show-password"];
    let child = mbx.command(&line).stdout(full).stderr(std::process::Stdio::piped()).spawn().expect("it runs");
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(17), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).expect("one JSON line");
    assert_eq!(error["error"]["effect"], "partial");
    assert!(error["error"]["message"].as_str().is_some_and(|words| words.starts_with("created, but")), "{error}");
    assert!(sandbox.addresses(ProviderId::Emboux).contains(&"a@example.com".to_owned()));
}

#[cfg(unix)]
#[tokio::test]
async fn text_that_is_none_is_refused_and_never_taken_for_unset() {
    use std::os::unix::ffi::OsStrExt;
    let bad = std::ffi::OsStr::from_bytes(b"\xff");
    let mbx = Mbx::new();
    let output = mbx.command(&["list", "--sandbox"]).env("MBX_PROVIDER", bad).output().await.expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MBX_PROVIDER is not valid UTF-8"), "{output:?}");
    let output = mbx.command(&["get"]).arg(bad).output().await.expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}
