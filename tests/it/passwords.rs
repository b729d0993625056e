//! Where a password comes from and where it goes: every source has the same rule, none keeps the program from ending, and
//! no password is shown where it would be lost or changed.

use std::process::Stdio;
use std::time::Duration;

use mbx::provider::ProviderId;
use mbx::sandbox::Sandbox;
use tokio::process::{Child, Command};

use crate::program::{Mbx, Ran};

const CREATE: [&str; 4] = ["create", "a@example.com", "-p", "emboux"];

#[tokio::test]
async fn a_password_that_nobody_could_type_is_refused_from_every_source() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    for (bytes, why) in [
        (&b"first\nsecond\n"[..], "the password has more than one line"),
        (b"tab\tbed", "the password has a control character"),
        (b"", "the password is empty"),
        (b"Passw\xf6rd-17", "the password is not valid UTF-8"),
        (&[b'x'; 4097], "the password is longer than 4096 bytes"),
        // More than any file with a secret may have.
        (&[b'x'; 100_000], "the password is longer than 4096 bytes"),
    ] {
        let mut mbx = Mbx::on(&sandbox);
        let file = mbx.file("password", "");
        std::fs::write(&file, bytes).expect("it is written");
        let file = file.to_string_lossy().into_owned();
        let mut ran = vec![mbx.run_with_input(&[&CREATE[..], &["--password-stdin"]].concat(), bytes).await];
        ran.push(mbx.run(&[&CREATE[..], &["--password-file", &file]].concat()).await);
        // An empty variable counts as unset, and so does one that is not valid UTF-8.
        if let Some(text) = str::from_utf8(bytes).ok().filter(|text| !text.is_empty()) {
            mbx.set("NEW_PASSWORD", text);
            ran.push(mbx.run(&[&CREATE[..], &["--password-env", "NEW_PASSWORD"]].concat()).await);
        }
        for ran in ran {
            assert_eq!((ran.code, ran.stderr.starts_with(&format!("error: {why}"))), (8, true), "{ran:?}");
        }
    }
    assert!(sandbox.take_seen().is_empty());
}

#[tokio::test]
async fn a_password_that_is_shown_stands_beside_its_state_before_extra() {
    let mbx = Mbx::new();
    let line = "create -p emboux --sandbox hello@example.com --generate-password --show-password -o json";
    let ran = mbx.run(&line.split(' ').collect::<Vec<_>>()).await.ok();
    let made = ran.json();
    let password = made["password"].as_str().expect("it is shown");
    assert_eq!(ran.stdout.replace(password, "…"), CREATED);
}

/// The sample of the contract.
const CREATED: &str = r#"{
  "outcome": "created",
  "address": "hello@example.com",
  "local_part": "hello",
  "domain": "example.com",
  "provider": "emboux",
  "profile": "sandbox",
  "id": "1",
  "status": "active",
  "first_name": null,
  "last_name": null,
  "admin": null,
  "quota": null,
  "aliases": null,
  "created_at": "2026-01-05T09:00:00",
  "updated_at": null,
  "password": "…",
  "password_state": "accepted",
  "extra": {},
  "notes": []
}
"#;

#[tokio::test]
async fn csv_shows_no_password_that_it_would_change() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox);
    let line = [&CREATE[..], &["--password-stdin", "--show-password", "-o"]].concat();
    let ran = mbx.run_with_input(&[&line[..], &["csv"]].concat(), "=SUM(1)abc\n").await;
    assert_eq!((ran.code, ran.stdout.as_str()), (8, ""), "{ran:?}");
    assert!(ran.stderr.contains("cannot show this password as it is"), "{ran:?}");
    assert!(sandbox.take_seen().is_empty());
    let made = mbx.run_with_input(&[&line[..], &["json"]].concat(), "=SUM(1)abc\n").await.ok().json();
    assert_eq!((&made["password"], &made["password_state"]), (&"=SUM(1)abc".into(), &"accepted".into()));
}

#[cfg(unix)]
#[tokio::test]
async fn no_password_is_shown_on_an_output_that_is_closed() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox);
    for redirect in [">&-", ">/dev/null"] {
        let line = format!("'{}' \"$@\" {redirect}", env!("CARGO_BIN_EXE_mbx"));
        let known = mbx.command(&[]);
        let env = known.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, "mbx"]).args(CREATE).args(["--generate-password", "--show-password"]);
        let output = shell.env_clear().envs(env).output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(17), "{redirect}: {said}");
        assert!(said.contains("standard output is closed") && said.contains("--password-out"), "{said}");
    }
    assert!(sandbox.take_seen().is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn the_password_command_gets_the_password_and_none_of_our_secrets() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_INBOX_PASSWORD", "canary").env("KEPT", "yes");
    let seen = mbx.home.path().join("seen");
    let script = format!("sh -c 'env > {0}; cat >> {0}; yes | head -c 100000'", seen.display());
    let line = [&CREATE[..], &["--generate-password", "--show-password", "-o", "json"]].concat();
    let made = mbx.run(&[&line[..], &["--password-out-command", &script]].concat()).await.ok().json();
    let seen = std::fs::read_to_string(&seen).expect("the command ran");
    assert_eq!(seen.lines().last(), made["password"].as_str(), "{seen}");
    assert!(seen.contains("KEPT=yes") && seen.contains("MBX_EMBOUX_BASE_URL="), "{seen}");
    assert!(!seen.contains("MBX_EMBOUX_API_KEY") && !seen.contains("canary"), "{seen}");
    let ran = mbx.run(&[&line[..], &["--password-out-command", "sh -c 'exit 3'"]].concat()).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (17, ""), "{ran:?}");
    assert!(
        ran.stderr.contains("the password command failed: it ended with exit status: 3; nothing was sent"),
        "{ran:?}"
    );
}

/// Starts the program with its output in pipes.
fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
}

/// Waits until the program listens for signals, and somewhat longer.
#[cfg(target_os = "linux")]
async fn until_it_waits(child: &Child) {
    let status = format!("/proc/{}/status", child.id().expect("it runs"));
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let caught = text.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
        // Bit 1 is SIGINT, bit 14 SIGTERM.
        if caught.is_some_and(|caught| caught & (1 << 1) != 0 && caught & (1 << 14) != 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// Sends a signal, and waits until the program has ended.
#[cfg(target_os = "linux")]
async fn end(mut child: Child, signal: &str) -> Ran {
    // Its standard input stays open, whatever waits for the program.
    let _stdin = child.stdin.take();
    let id = child.id().expect("it runs").to_string();
    Command::new("kill").args(["-s", signal, &id]).status().await.expect("the signal is sent");
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output());
    Ran::of(output.await.expect("it ends").expect("it ends"))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_signal_ends_whatever_reads_a_pipe_that_nobody_writes_to() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux");
        let pipe = mbx.home.path().join("pipe").to_string_lossy().into_owned();
        assert!(Command::new("mkfifo").args(["-m", "600", &pipe]).status().await.expect("it runs").success());
        for line in [
            &["create", "a@example.com", "--password-file", &pipe][..],
            &["create", "a@example.com", "--password-stdin"],
            &["bulk", "create", "-", "--yes"],
            &["bulk", "create", &pipe, "--yes"],
            &["bulk", "check", &pipe],
        ] {
            let mut command = mbx.command(line);
            let child = start(command.stdin(Stdio::piped()));
            until_it_waits(&child).await;
            let ran = end(child, signal).await;
            assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line:?}: {ran:?}");
            assert!(ran.stderr.contains("interrupted"), "{line:?}: {ran:?}");
        }
    }
    assert!(sandbox.take_seen().is_empty());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_signal_ends_the_password_command_too() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for option in ["--password-out-command", "--password-command"] {
            let mbx = Mbx::on(&sandbox);
            let ids = mbx.home.path().join("ids");
            let script = format!("sh -c 'sleep 600 & echo $$ $! > {}.new; mv {0}.new {0}; wait'", ids.display());
            let mut command = mbx.command(&[&CREATE[..], &["--generate-password", option, &script]].concat());
            // Without a terminal of its own, as in a CI job.
            let child = start(&mut command);
            while !ids.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let ran = end(child, signal).await;
            assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{ran:?}");
            let text = std::fs::read_to_string(&ids).expect("it is there");
            // At a terminal only Ctrl-C reaches what the command has started.
            let ids = text.split_whitespace().take(if std::fs::File::open("/dev/tty").is_ok() { 1 } else { 2 });
            for id in ids {
                let path = format!("/proc/{id}/stat");
                let runs = || std::fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z "));
                for _ in 0..200 {
                    if !runs() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert!(!runs(), "{id} still runs");
            }
        }
    }
    assert!(sandbox.take_seen().is_empty());
    assert!(!sandbox.addresses(ProviderId::Emboux).contains(&"a@example.com".to_owned()));
}
