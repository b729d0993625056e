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
        tokio::process::Command::new("kill").args(["-s", signal, &id]).status().await.expect("it is sent");
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
    assert_eq!(ran.code, 15, "{ran:?}");
    assert!(ran.stdout.contains("unknown") && ran.stdout.contains("possibly_in_use"), "{ran:?}");
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

/// Writes a configuration with one EmBoux profile, and returns the program that uses it.
fn with_profile(sandbox: &Sandbox, lines: &str) -> Mbx {
    let mbx = Mbx::new();
    let url = sandbox.base_url(ProviderId::Emboux);
    mbx.file(
        ".config/mbx/config.toml",
        &format!("[profiles.p]\nprovider = \"emboux\"\nbase_url = \"{url}\"\n{lines}\n"),
    );
    mbx
}

#[cfg(unix)]
async fn send(signal: &str, child: &tokio::process::Child) {
    let id = child.id().expect("it runs").to_string();
    tokio::process::Command::new("kill").args(["-s", signal, &id]).status().await.expect("it is sent");
}

/// Waits for a program to end, which must not take long.
async fn ended(child: tokio::process::Child) -> std::process::Output {
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
    output.expect("it does not hang").expect("it ends")
}

fn piped(mut command: tokio::process::Command) -> tokio::process::Child {
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("it runs")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_signal_ends_the_reading_of_a_pipe_that_stays_empty() {
    use std::os::unix::fs::OpenOptionsExt;
    const NONBLOCK: i32 = 0o4000;
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let key = "secret = { env = \"MBX_KEY\" }";
    for (lines, args) in [
        (key, "list --config pipe"),
        ("secret = { file = \"pipe\" }", "list"),
        (&format!("{key}\nca_file = \"pipe\""), "list"),
        ("secret = { file = \"pipe\" }", "delete a@example.com --yes -o json"),
    ] {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let mbx = with_profile(&sandbox, lines).env("MBX_KEY", "sandbox");
            let folder = mbx.home.path().join(".config/mbx");
            let pipe = folder.join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("it is made");
            assert!(made.success());
            let mut command = mbx.command(&args.split(' ').collect::<Vec<_>>());
            command.current_dir(&folder);
            let child = piped(command);
            // A pipe opens for writing once somebody opens it for reading.
            let writer = loop {
                match std::fs::OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&pipe) {
                    Ok(writer) => break writer,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            };
            send(signal, &child).await;
            let output = ended(child).await;
            drop(writer);
            assert_eq!(output.status.code(), Some(code), "{lines}, {args}: {output:?}");
            let words = if args.contains("delete") { "interrupted; nothing was changed" } else { "interrupted" };
            assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
        }
    }
    assert!(sandbox.take_seen().is_empty());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_never_ends_is_refused() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    for (lines, args, words) in [
        ("secret = { file = \"/dev/zero\" }", "list", "larger than 64 KiB"),
        ("secret = { env = \"MBX_KEY\" }\nca_file = \"/dev/zero\"", "list", "larger than 1024 KiB"),
        ("", "list --config /dev/zero", "larger than 1024 KiB"),
    ] {
        let mbx = with_profile(&sandbox, lines).env("MBX_KEY", "sandbox");
        let ran = mbx.run(&args.split(' ').collect::<Vec<_>>()).await;
        assert!(ran.code == 3 && ran.stderr.contains(words), "{ran:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_a_secret_command_that_hangs() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let lines = "secret = { command = [\"sh\", \"-c\", \"echo $$ > id.new; mv id.new id; sleep 600; true\"] }";
        let mbx = with_profile(&sandbox, lines);
        let mut command = mbx.command(&["list"]);
        command.current_dir(mbx.home.path());
        let child = piped(command);
        let file = mbx.home.path().join("id");
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        send(signal, &child).await;
        let output = ended(child).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let id = std::fs::read_to_string(file).expect("it is read");
        let runs =
            || std::process::Command::new("kill").args(["-0", id.trim()]).output().is_ok_and(|o| o.status.success());
        for _ in 0..1000 {
            if !runs() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!runs(), "the command still runs");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_secret_command_gets_none_of_our_secrets() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let script =
        "test -z \\\"$MBX_QBOXMAIL_TOKEN$MBX_INBOX_PASSWORD\\\" && test -n \\\"$MBX_COLOUR\\\" && echo sandbox";
    let mbx = with_profile(&sandbox, &format!("secret = {{ command = [\"sh\", \"-c\", \"{script}\"] }}"))
        .env("MBX_QBOXMAIL_TOKEN", "t")
        .env("MBX_INBOX_PASSWORD", "p")
        .env("MBX_COLOUR", "c");
    mbx.run(&["list", "-P", "p"]).await.ok();
}

#[cfg(unix)]
#[tokio::test]
async fn headers_in_a_file_that_others_can_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx =
        with_profile(&sandbox, "secret = { env = \"MBX_KEY\" }\nheaders = { x-key = \"1\" }").env("MBX_KEY", "sandbox");
    let ran = mbx.run(&["list"]).await.ok();
    assert!(!ran.stderr.contains("chmod"), "{ran:?}");
    let path = mbx.home.path().join(".config/mbx/config.toml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("its mode is set");
    let ran = mbx.run(&["list"]).await.ok();
    assert!(ran.stderr.contains(&format!("chmod 600 {}", path.display())), "{ran:?}");
}

#[tokio::test]
async fn a_base_url_never_shows_its_password() {
    let mbx = Mbx::new();
    let url = "https://admin:hunter22@api.example.com/";
    let shown = |ran: &crate::program::Ran| format!("{}{}", ran.stdout, ran.stderr);
    for line in ["config show", "config show -o json", "list -p emboux", "list -p emboux -o json"] {
        let ran = mbx.run_with_env(&line.split(' ').collect::<Vec<_>>(), "MBX_EMBOUX_BASE_URL", url).await;
        assert!(!shown(&ran).contains("hunter22"), "{ran:?}");
    }
    mbx.file(".config/mbx/config.toml", &format!("[profiles.p]\nprovider = \"emboux\"\nbase_url = \"{url}\"\n"));
    for line in ["config show", "profile list", "profile show p", "config check", "list"] {
        let ran = mbx.run(&line.split(' ').collect::<Vec<_>>()).await;
        assert!(ran.code == 3 && !shown(&ran).contains("hunter22"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_usage_error_plays_no_tricks_on_the_terminal() {
    let mbx = Mbx::new();
    for args in [["\u{202e}\u{1b}[31mlist", "x"], ["list", "--\u{202e}\u{1b}]0;t\u{7}"], ["list", "-p\u{1b}[2J"]] {
        let ran = mbx.run(&args).await;
        assert!(ran.code == 2 && !ran.stderr.contains(['\u{202e}', '\u{1b}', '\u{7}']), "{ran:?}");
    }
    let ran = mbx.run(&["get", "-o", "json"]).await;
    assert!(ran.error()["message"].as_str().is_some_and(|words| words.contains("<ADDRESS>")), "{ran:?}");
}

#[tokio::test]
async fn a_deadline_ends_a_command_that_hangs() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_OUTPUT", "json").env("MBX_PROVIDER", "emboux");
    sandbox.fault(Fault::after(Method::GET, "/emboux/", Answer::Hang));
    let error = mbx.run(&["list", "--deadline", "1s"]).await.error();
    assert_eq!((&error["code"], &error["effect"]), (&"timeout".into(), &"none".into()), "{error}");
    sandbox.fault(Fault::after(Method::POST, "/emboux/users", Answer::Hang));
    let create = ["create", "a@example.com", "--generate-password", "--show-password", "--deadline", "1s"];
    let ran = mbx.run(&create).await;
    let error = ran.error();
    assert_eq!((&error["code"], &error["effect"]), (&"unknown".into(), &"unknown".into()), "{error}");
    assert_eq!(ran.code, 15);
}

#[tokio::test]
async fn a_deadline_ends_a_run_in_order() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_OUTPUT", "json").env("MBX_PROVIDER", "emboux");
    sandbox.fault(Fault::after(Method::POST, "/emboux/users", Answer::Delay(Duration::from_secs(2))));
    let rows: String = (0..20).map(|n| format!("u{n}@example.com,Canary-Passw0rd-7\n")).collect();
    let file = mbx.file("people.csv", &format!("address,password\n{rows}"));
    let ran = mbx.run(&["bulk", "create", &file.to_string_lossy(), "--yes", "-j", "1", "--deadline", "1s"]).await;
    let error = ran.error();
    assert_eq!((ran.code, &error["code"]), (16, &"timeout".into()), "{error}");
    assert!(error["message"].as_str().is_some_and(|words| words.starts_with("the deadline passed")), "{error}");
    assert!(error["hint"].as_str().is_some_and(|words| words.contains("mbx bulk resume")), "{error}");
    // Nothing is in doubt: each request that was sent has its row.
    let created = ran.json().as_array().map_or(0, Vec::len);
    assert_eq!(sandbox.addresses(ProviderId::Emboux).iter().filter(|a| a.starts_with('u')).count(), created);
}

#[tokio::test]
async fn a_run_of_a_sandbox_profile_is_resumed() {
    let mbx = Mbx::new();
    mbx.file(".config/mbx/config.toml", "[profiles.embo]\nprovider = \"emboux\"\nsandbox = true\n");
    let file = mbx.file("people.csv", "address,password\na@nowhere.example,Canary-Passw0rd-7\n");
    let ran = mbx.run(&["bulk", "create", &file.to_string_lossy(), "--yes", "-o", "json"]).await;
    assert_eq!(ran.code, 14, "{ran:?}");
    let runs = mbx.run(&["bulk", "list", "-o", "json"]).await.ok().json();
    let run = runs[0]["run"].as_str().expect("it has a name").to_owned();
    for verb in ["retry", "resume"] {
        let ran = mbx.run(&["bulk", verb, &run, "-o", "json"]).await;
        assert_eq!(ran.code, 14, "{verb}: {ran:?}");
    }
}

#[tokio::test]
async fn a_mistake_in_one_profile_is_shown_with_the_others() {
    let mbx = Mbx::new();
    let good = "[profiles.good]\nprovider = \"emboux\"\nsandbox = true\n";
    mbx.file(".config/mbx/config.toml", &format!("{good}[profiles.bad]\nprovider = \"emboux\"\nsecert = 1\n"));
    mbx.run(&["list", "-P", "good"]).await.ok();
    for line in ["profile list", "config show", "config check --offline"] {
        let ran = mbx.run(&line.split(' ').collect::<Vec<_>>()).await;
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.code != 0 && ran.stdout.contains("good"), "{ran:?}");
        assert!(shown.contains("did you mean `secret`?"), "{ran:?}");
    }
    let ran = mbx.run(&["list", "--all-profiles", "-o", "json"]).await;
    assert_eq!((ran.code, ran.json().as_array().map(Vec::is_empty)), (14, Some(false)), "{ran:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_sandbox_that_another_process_holds_is_busy() {
    let mbx = Mbx::new();
    mbx.run(&["list", "-p", "emboux", "--sandbox"]).await.ok();
    let path = mbx.home.path().join(STATE).with_extension("lock");
    let lock = std::fs::OpenOptions::new().append(true).open(path).expect("it is there");
    lock.lock().expect("it is free");
    let ran = mbx.run(&["list", "-p", "emboux", "--sandbox", "-o", "json"]).await;
    assert_eq!((ran.code, &ran.error()["code"]), (19, &"busy".into()), "{ran:?}");
    let mut child = piped(mbx.command(&["list", "-p", "emboux", "--sandbox"]));
    while child.id().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    send("TERM", &child).await;
    assert_eq!(child.wait().await.expect("it ends").code(), Some(143));
}
