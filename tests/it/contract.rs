//! What scripts rely on: every command, on every provider, succeeding and failing, off a terminal.

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use serde_json::Value;

use crate::program::{LEAVES, Mbx};
use crate::support::change;

/// A password that must never be seen.
const CANARY: &str = "c4n4ry+Pass w0rd\"&é";

/// A key that the sandbox accepts, and that must never be seen.
const KEY: &str = "k3y-c4n4ry-0f-ours";

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn json_is_json_on_every_command_success_and_failure() {
    let mut succeeded = 0;
    for id in ProviderId::ALL {
        let sandbox = Sandbox::start().await.expect("the sandbox starts");
        let mbx = Mbx::on(&sandbox).env("NEW_PASSWORD", "Passw0rd-long").env("MBX_OUTPUT", "json");
        let create = mbx.leaf("create ADDRESS CREATE", id);
        mbx.run(&words(&create)).await.ok();
        for line in LEAVES {
            let ran = mbx.run(&words(&mbx.leaf(line, id))).await;
            assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{line}: {ran:#?}");
            if ran.code == 0 {
                assert!(!ran.json().is_null(), "{line}");
                succeeded += 1;
            } else {
                assert_eq!(ran.error()["exit_code"], ran.code, "{line}");
                assert!(
                    ran.stdout.is_empty() || serde_json::from_str::<Value>(&ran.stdout).is_ok(),
                    "{line}: {ran:#?}"
                );
                // Only what this provider cannot do, and the credential that is not there, may fail; a file of changes
                // where nothing can be changed is wrong in every line.
                let is_refused = ran.code == 8 && line.contains("CHANGES") && change(id).is_none();
                assert!([6, 9].contains(&ran.code) || is_refused, "{id} {line}: {ran:#?}");
            }
        }
        // The same commands without credentials, and with wrong ones.
        let bare = Mbx::new().env("MBX_OUTPUT", "json").env("NEW_PASSWORD", "Passw0rd-long");
        for line in LEAVES {
            let ran = bare.run(&words(&bare.leaf(line, id))).await;
            if ran.code == 0 {
                assert!(!ran.json().is_null(), "{line}");
            } else {
                assert!([3, 6, 8, 9].contains(&ran.code), "{id} {line}: {ran:#?}");
                assert_eq!(ran.error()["exit_code"], ran.code);
            }
        }
    }
    assert!(succeeded > 90, "{succeeded} commands succeeded");
}

#[tokio::test]
async fn a_wrong_command_line_is_one_json_line_too() {
    let mbx = Mbx::new();
    for args in [&["lst", "-o", "json"][..], &["list", "--output=json", "--no-such-flag"], &["get", "-ojsonl"]] {
        let ran = mbx.run(args).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert_eq!(ran.error()["code"], "usage");
    }
}

#[tokio::test]
async fn every_command_is_in_the_table() {
    let mbx = Mbx::new();
    let mut open = vec![String::new()];
    let mut missing = Vec::new();
    while let Some(prefix) = open.pop() {
        let args: Vec<&str> = prefix.split_whitespace().chain(["--help"]).collect();
        let help = mbx.run(&args).await.ok().stdout;
        let commands = help.split_once("Commands:").map(|(_, rest)| rest.split("\n\n").next().unwrap_or_default());
        let Some(commands) = commands else {
            let prefix = prefix.trim();
            // These two never end by themselves or print a script.
            let special = ["sandbox serve", "completions"].contains(&prefix) || prefix.starts_with("mailbox ");
            if !special && !LEAVES.iter().any(|line| format!("{line} ").starts_with(&format!("{prefix} "))) {
                missing.push(prefix.to_owned());
            }
            continue;
        };
        let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        open.extend(names.filter_map(|line| Some(format!("{prefix} {}", line.split_whitespace().next()?))));
    }
    assert!(missing.is_empty(), "not tried by any test: {missing:?}");
}

#[tokio::test]
async fn no_secret_is_seen_anywhere() {
    let answers = [
        None,
        Some(Answer::status(500)),
        Some(Answer::html(502)),
        Some(Answer::Cut),
        Some(Answer::Truncated),
        // A server that repeats what it was sent.
        Some(Answer::Echo),
    ];
    for id in ProviderId::ALL {
        for answer in &answers {
            let sandbox = Sandbox::start().await.expect("the sandbox starts");
            sandbox.take_key(KEY);
            let mut mbx = Mbx::on(&sandbox).env("NEW_PASSWORD", CANARY);
            let spec = mbx::adapters::spec(id);
            let variable = format!("MBX_{}_{}", id.as_str().to_uppercase(), spec.secret_name);
            mbx.set(&variable, KEY);
            let create = mbx.leaf("create ADDRESS CREATE", id);
            mbx.run(&words(&create)).await.ok();
            if let Some(answer) = answer {
                for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                    sandbox.fault(Fault::after(method, "/", answer.clone()));
                }
            }
            for line in LEAVES {
                let mut args = mbx.leaf(line, id);
                args.push("-vvv".to_owned());
                let ran = mbx.run(&words(&args)).await;
                for secret in spellings(CANARY).into_iter().chain(spellings(KEY)) {
                    let seen = ran.stdout.contains(&secret) || ran.stderr.contains(&secret);
                    assert!(!seen, "{id} {line} shows {secret}: {ran:#?}");
                }
            }
            for (path, content) in mbx.files() {
                let text = String::from_utf8_lossy(&content);
                for secret in spellings(CANARY).into_iter().chain(spellings(KEY)) {
                    assert!(!text.contains(&secret), "{} holds {secret}", path.display());
                }
            }
        }
    }
}

/// The ways a secret may be written: as it is, in JSON, in a form, in an HTTP header.
fn spellings(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).expect("a text");
    let form = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    vec![secret.to_owned(), json.trim_matches('"').to_owned(), form]
}

#[tokio::test]
async fn with_the_sandbox_flag_no_password_lies_in_a_file() {
    let mbx = Mbx::new().env("NEW_PASSWORD", CANARY);
    for id in ProviderId::ALL {
        let mut args = mbx.leaf("create ADDRESS CREATE", id);
        args.push("--sandbox".to_owned());
        mbx.run(&words(&args)).await.ok();
    }
    let files = mbx.files();
    assert!(files.iter().any(|(path, _)| path.ends_with("mbx/sandbox.json")), "the state is kept: {files:?}");
    assert!(files.iter().all(|(_, content)| !String::from_utf8_lossy(content).contains(CANARY)));
}
