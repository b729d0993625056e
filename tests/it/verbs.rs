//! `mbx bulk update | passwd | delete`: what is reported is what the sandbox really holds, whatever happens on the way.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use mbx::http::Method;
use mbx::provider::{Op, ProviderId};
use mbx::sandbox::{Answer, Fault, Sandbox};
use serde_json::Value;

use crate::bulk::{passwords, resume, run_of};
use crate::program::{Mbx, Ran};
use crate::support::{Ctx, PASSWORD, can, change};

const ROWS: usize = 40;

/// The program on a provider's sandbox that holds `user0` to `user39` of example.com.
async fn with_users(id: ProviderId) -> (Sandbox, Mbx) {
    let ctx = Ctx::new(id).await;
    for n in 0..ROWS {
        ctx.create(&format!("user{n}@example.com")).await;
    }
    ctx.sandbox.take_seen();
    let mbx = Mbx::on(&ctx.sandbox).env("MBX_PROVIDER", id.as_str());
    (ctx.sandbox, mbx)
}

/// Returns a file of those mailboxes with further cells.
fn people(mbx: &Mbx, head: &str, cells: &str) -> String {
    let rows: String = (0..ROWS).map(|n| format!("user{n}@example.com{cells}\n")).collect();
    mbx.file("people.csv", &format!("address{head}\n{rows}")).to_string_lossy().into_owned()
}

/// Returns what became of each address.
fn outcomes(ran: &Ran) -> BTreeMap<String, String> {
    let rows = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("a row"));
    rows.map(|row| (row["address"].to_string(), row["outcome"].as_str().expect("an outcome").to_owned())).collect()
}

#[track_caller]
fn assert_all(ran: &Ran, outcome: &str) {
    let all = outcomes(ran);
    assert_eq!(all.len(), ROWS, "{ran:?}");
    assert!(all.values().all(|found| found == outcome), "{ran:?}");
}

/// One listing shows the ids of all: no row is looked up. Some providers are read again after a change.
#[track_caller]
fn assert_no_look_ups(sandbox: &Sandbox) {
    let seen = sandbox.take_seen();
    assert!(seen.len() <= 2 * ROWS + ROWS / 4, "{} requests", seen.len());
}

/// Loses some answers, before and after the request was carried out.
fn lose_answers(sandbox: &Sandbox, method: Method, path: &str) {
    for at in 0..8 {
        let fault = match at % 4 {
            0 => Fault::after(method.clone(), path, Answer::Cut),
            1 => Fault::instead(method.clone(), path, Answer::Cut),
            2 => Fault::after(method.clone(), path, Answer::status(504)),
            _ => Fault::after(method.clone(), path, Answer::html(502)),
        };
        sandbox.fault(fault.skip(at * 5).times(1));
    }
}

#[tokio::test]
async fn a_provider_does_to_many_what_it_does_to_one() {
    for id in ProviderId::ALL {
        let (sandbox, mbx) = with_users(id).await;
        if let Some((column, cell)) = change(id) {
            let file = people(&mbx, &format!(",{column}"), &format!(",{cell}"));
            assert_all(&mbx.run(&["bulk", "update", &file, "--yes", "-o", "jsonl"]).await.ok(), "updated");
            assert_no_look_ups(&sandbox);
            let one = mbx.run(&["get", "user7@example.com", "-o", "json"]).await.ok().json();
            assert!(one["last_name"] == "Lovelace" || one["quota"]["limit"] == 2_u64 << 30, "{id}: {one}");
        }
        let file = people(&mbx, ",password", ",Another-Passw0rd");
        let set = mbx.run(&["bulk", "passwd", &file, "--yes", "-o", "jsonl"]).await;
        if !can(id, Op::SetPassword) {
            assert_eq!((set.code, set.error()["code"].as_str()), (9, Some("unsupported")), "{id}: {set:?}");
        } else {
            assert_all(&set.ok(), "updated");
            assert!((0..ROWS).all(|n| sandbox.password_is(id, &format!("user{n}@example.com"), "Another-Passw0rd")));
        }
        let delete = ["bulk", "delete", &file, "--yes", "-o", "jsonl"];
        sandbox.take_seen();
        let gone = mbx.run(&delete).await.ok();
        assert_no_look_ups(&sandbox);
        // LiteMail removes at the end of the period that is paid for.
        let is_later = id == ProviderId::Litemail;
        assert_all(&gone, if is_later { "scheduled" } else { "deleted" });
        if is_later {
            assert!(gone.stdout.lines().all(|line| line.contains("renewal")), "{gone:?}");
            continue;
        }
        assert!(sandbox.addresses(id).iter().all(|address| !address.starts_with("user")), "{id}");
        sandbox.take_seen();
        let again = mbx.run(&delete).await;
        assert_eq!((again.code, again.error()["code"].as_str()), (14, Some("partial")), "{id}: {again:?}");
        assert_all(&again, "absent");
        let again = mbx.run(&[&delete[..], &["--if-missing", "ok"]].concat()).await.ok();
        assert_all(&again, "absent");
        let sent = sandbox.take_seen();
        assert!(
            sent.len() < ROWS / 2,
            "{id}: one listing shows that nothing is there, but {} requests left",
            sent.len()
        );
    }
}

#[tokio::test]
async fn lost_answers_to_changes_and_deletes_are_settled() {
    for id in [ProviderId::Hybridbox, ProviderId::Emboux, ProviderId::Mailinabox] {
        let (sandbox, mbx) = with_users(id).await;
        let (column, cell, update, path) = match id {
            ProviderId::Hybridbox => (",last_name", ",Lovelace", Method::PATCH, "/mailboxes/"),
            ProviderId::Emboux => (",quota", ",2G", Method::PUT, "/quota"),
            _ => (",quota", ",2G", Method::POST, "/quota"),
        };
        let file = people(&mbx, column, cell);
        lose_answers(&sandbox, update, path);
        assert_all(&mbx.run(&["bulk", "update", &file, "--yes", "-o", "jsonl"]).await.ok(), "updated");
        for n in (0..ROWS).step_by(5) {
            let one = mbx.run(&["get", &format!("user{n}@example.com"), "-o", "json"]).await.ok().json();
            assert!(one["last_name"] == "Lovelace" || one["quota"]["limit"] == 2_u64 << 30, "{id}: {one}");
        }
        let (delete, path) = match id {
            ProviderId::Hybridbox => (Method::DELETE, "/mailboxes/"),
            ProviderId::Emboux => (Method::DELETE, "/users/"),
            _ => (Method::POST, "/users/remove"),
        };
        lose_answers(&sandbox, delete, path);
        assert_all(&mbx.run(&["bulk", "delete", &file, "--yes", "-o", "jsonl"]).await.ok(), "deleted");
        assert!(sandbox.addresses(id).iter().all(|address| !address.starts_with("user")), "{id}");
    }
}

#[tokio::test]
async fn generated_passwords_are_the_ones_that_open_the_mailboxes() {
    let id = ProviderId::Emboux;
    let (sandbox, mbx) = with_users(id).await;
    let file = people(&mbx, "", "");
    let rows = std::fs::read_to_string(&file).expect("it was written");
    std::fs::write(&file, rows + "nobody@example.com\nrefused@example.com\n").expect("it is written");
    mbx.run(&["create", "refused@example.com", "--generate-password", "--show-password"]).await.ok();
    lose_answers(&sandbox, Method::PUT, "/users/user");
    sandbox.fault(Fault::instead(Method::PUT, "/users/refused", Answer::status(422)));
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let args = ["bulk", "passwd", &file, "--generate-password", "--password-out", &out, "--yes", "-o", "jsonl"];
    let ran = mbx.run(&args).await;
    assert_eq!(ran.code, 14, "{ran:?}");
    let failed: Vec<_> = outcomes(&ran).into_iter().filter(|(_, outcome)| outcome != "updated").collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    let kept = passwords(&mbx);
    assert_eq!(kept.len(), ROWS, "none is claimed for the two that were refused");
    assert!(kept.iter().all(|(address, password)| sandbox.password_is(id, address, password)));
    assert_eq!(mbx.run(&args).await.code, 17, "a file of passwords is never written over");
    let bare = mbx.run(&["bulk", "passwd", &file, "--yes", "-o", "jsonl"]).await;
    assert_eq!((bare.code, bare.error()["code"].as_str()), (8, Some("invalid")), "{bare:?}");
    assert!(bare.stderr.contains("a password is needed"), "{bare:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_run_that_was_killed_while_it_set_passwords_goes_on_with_the_same_ones() {
    let id = ProviderId::Emboux;
    let (sandbox, mbx) = with_users(id).await;
    let file = people(&mbx, "", "");
    sandbox.fault(Fault::after(Method::PUT, "/users/", Answer::Delay(Duration::from_millis(30))));
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let args = ["bulk", "passwd", &file, "--generate-password", "--password-out", &out, "--yes", "-j", "4"];
    let mut child = mbx.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    while sandbox.take_seen().iter().all(|seen| seen.method != Method::PUT) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().await.expect("it is killed");
    let before = passwords(&mbx);
    let resumed = resume(&mbx, &run_of(&mbx).await).await.ok();
    assert!(outcomes(&resumed).values().all(|outcome| outcome == "updated"), "{resumed:?}");
    let after = passwords(&mbx);
    assert_eq!((after.len(), &before), (ROWS, &after), "what was generated before the first request stays");
    assert!(after.iter().all(|(address, password)| sandbox.password_is(id, address, password)));
}

#[tokio::test]
async fn a_file_is_read_for_what_is_done_with_it() {
    let (sandbox, mbx) = with_users(ProviderId::Emboux).await;
    let text = format!("address,quota,first_name,password\nuser1@example.com,lots,Ada,{PASSWORD}\n");
    let file = mbx.file("odd.csv", &text).to_string_lossy().into_owned();
    let columns = async |verb: &str| {
        let args = ["bulk", "check", &file, "--for", verb, "-o", "csv", "--columns", "column", "--no-headers"];
        mbx.run(&args).await.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        columns("create").await,
        ["quota"],
        "a row that cannot be read is not held against the provider's rules"
    );
    assert_eq!(columns("update").await, ["quota"]);
    assert_eq!(columns("passwd").await, [""; 0]);
    assert_eq!(columns("delete").await, [""; 0]);
    let note = mbx.run(&["bulk", "delete", &file, "--dry-run"]).await.ok();
    assert!(note.stderr.contains("not used: quota, first_name, password"), "{note:?}");
    assert!(note.stdout.contains("DELETE "), "{note:?}");
    let empty = people(&mbx, ",quota", ",");
    let update = mbx.run(&["bulk", "update", &empty, "--yes"]).await;
    assert!(update.code == 8 && update.stderr.contains("nothing to change"), "{update:?}");
    sandbox.take_seen();
    for verb in ["update", "passwd", "delete"] {
        let filled = mbx.file("full.csv", &format!("address,quota,password\nuser1@example.com,2G,{PASSWORD}\n"));
        let asked = mbx.run(&["bulk", verb, &filled.to_string_lossy()]).await;
        assert_eq!(asked.code, 17, "{asked:?}");
    }
    assert!(sandbox.take_seen().is_empty(), "nothing was sent");
}
