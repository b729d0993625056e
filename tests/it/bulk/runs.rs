//! Runs of the program: what it refuses in a file, what its exit codes tell, and how a run is gone on with.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault};
use serde_json::Value;

use super::{GENERATE, addresses, assert_passwords_are_true, first_create, on_emboux, passwords, resume, rows, run_of};
use crate::support::PASSWORD;

#[tokio::test]
async fn every_problem_of_a_file_is_told_before_the_first_request() {
    let text = "E-Mail,First Name,QUOTA,admin,password\n\
                ada@example.com,,2G,,secret-Canary-1\n\
                not an address,,lots,maybe,secret-Canary-2\n\
                \"ADA@example.com\",,,,secret-Canary-3\n\
                ben@example.com,Ben,1000,,\n\
                short\n\
                ada@EXAMPLE.com,,3X,,secret-Canary-4\n";
    let (sandbox, mbx, file) = on_emboux(text).await;
    let map = ["--map", "address=e-mail"];
    let check = mbx.run(&[&["bulk", "check", &file, "-o", "csv", "--columns", "line,column"], &map[..]].concat()).await;
    assert_eq!(check.code, 8);
    let places = "line,column\n3,address\n3,quota\n3,admin\n4,address\n5,first_name\n5,quota\n5,password\n6,(all)\n7,quota\n7,address\n";
    assert_eq!(check.stdout, places, "{check:?}");
    let create = mbx.run(&[&["bulk", "create", &file, "--yes"], &map[..]].concat()).await;
    assert_eq!((create.code, create.stdout.as_str()), (8, ""));
    assert!(create.stderr.contains("line 4, address: the same mailbox as on line 2"), "{}", create.stderr);
    assert!(sandbox.take_seen().is_empty(), "nothing was sent");
    for shown in [&check, &create] {
        assert!(!format!("{shown:?}").contains("Canary"), "{shown:?}");
    }
    assert_eq!(mbx.run(&["bulk", "check", &file]).await.code, 2, "there is no column address");
    assert_eq!(mbx.run(&["bulk", "create", "nowhere.csv", "--yes"]).await.code, 2);
}

#[tokio::test]
async fn the_formats_of_a_file_are_told_apart() {
    let (sandbox, mbx, _) = on_emboux("").await;
    for (n, text) in [
        format!("address,password\r\na0@example.com,{PASSWORD}\r\n"),
        format!("Address\tPASSWORD\na1@example.com\t{PASSWORD}\n"),
        format!("\u{feff}password;address\n{PASSWORD};a2@example.com\n"),
        format!("{{\"address\":\"a3@example.com\",\"password\":\"{PASSWORD}\",\"quota\":1048576}}\n\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let ran = mbx.run_with_input(&["bulk", "create", "-", "--yes", "-o", "value"], &text).await.ok();
        assert_eq!(ran.stdout, format!("a{n}@example.com\n"));
        assert!(sandbox.password_is(ProviderId::Emboux, &format!("a{n}@example.com"), PASSWORD));
    }
    let array = mbx.run_with_input(&["bulk", "check", "-"], "[{\"address\":\"a@example.com\"}]").await;
    assert_eq!(array.code, 2);
    assert!(array.stderr.contains("jq"), "{}", array.stderr);
}

#[tokio::test]
async fn creating_needs_a_yes_and_a_dry_run_needs_none() {
    let (sandbox, mbx, file) = on_emboux(&rows(3)).await;
    assert_eq!(mbx.run(&["bulk", "create", &file]).await.code, 17);
    let dry = mbx.run(&["bulk", "create", &file, "--dry-run", "-o", "jsonl"]).await.ok();
    assert!(dry.stdout.lines().all(|line| line.contains("\"planned\"") && !line.contains(PASSWORD)), "{dry:?}");
    assert!(sandbox.take_seen().is_empty());
    for wrong in [["--sort", "address"], ["--columns", "adress"]] {
        assert_eq!(mbx.run(&[&["bulk", "create", &file, "--yes"], &wrong[..]].concat()).await.code, 2);
    }
    assert!(mbx.files().iter().all(|(path, _)| path.ends_with("people.csv")), "nothing is left behind");
}

#[tokio::test]
async fn the_exit_code_tells_what_a_run_came_to() {
    let (sandbox, mbx, file) = on_emboux(&rows(4)).await;
    let create = ["bulk", "create", &file, "--yes", "-o", "jsonl"];
    let first = mbx.run(&create).await.ok();
    assert_eq!(first.stdout.lines().filter(|line| line.contains("\"created\"")).count(), 4);
    let again = mbx.run(&create).await;
    assert_eq!((again.code, again.error()["code"].as_str()), (14, Some("partial")));
    assert_eq!(again.stdout.lines().filter(|line| line.contains("\"exists\"")).count(), 4);
    let fine = mbx.run(&[&create[..], &["--if-exists", "ok"]].concat()).await;
    assert_eq!(fine.code, 0, "{fine:?}");
    assert_eq!(sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count(), 4);
    // One answer is lost for good, and then found.
    let other = mbx.file("other.csv", &rows(1).replace("user0", "other")).to_string_lossy().into_owned();
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut).times(1));
    sandbox.fault(Fault::instead(Method::GET, "/users/", Answer::status(400)).skip(1).times(4));
    let lost = mbx.run(&["bulk", "create", &other, "--yes", "-o", "json"]).await;
    assert_eq!((lost.code, lost.json()[0]["outcome"].as_str()), (15, Some("unknown")), "{lost:?}");
    let hint = lost.error()["hint"].as_str().expect("a hint").to_owned();
    let run = hint.split("settle ").nth(1).and_then(|rest| rest.split('`').next()).expect("the run's name").to_owned();
    // Nothing proves whose it is: EmBoux names no zone, and this run has created nothing to compare its clock with.
    let found = mbx.run(&["bulk", "settle", &run, "-o", "json"]).await;
    assert_eq!((found.code, found.json()[0]["outcome"].as_str()), (15, Some("unknown")), "{found:?}");
    assert_eq!(found.json()[0]["password_state"], "possibly_in_use");
    let unknown = mbx.run(&["bulk", "show", "last", "--only", "unknown", "-o", "value"]).await.ok();
    assert_eq!(unknown.stdout, "other@example.com\n");
}

#[tokio::test]
async fn failed_rows_can_be_tried_again() {
    let text = "address\nfirst@example.com\nsecond@full.example\n";
    let (sandbox, mbx, file) = on_emboux(text).await;
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let ran = mbx.run(&[&["bulk", "create", &file, "-o", "jsonl"], &GENERATE[..], &[&out]].concat()).await;
    assert_eq!(ran.code, 14);
    assert_eq!(
        passwords(&mbx).keys().collect::<Vec<_>>(),
        ["first@example.com"],
        "no password is claimed for a refusal"
    );
    let run = run_of(&mbx).await;
    let failed = mbx.run(&["bulk", "show", &run, "--only", "failed", "-o", "json"]).await.ok().json();
    assert_eq!(
        (failed[0]["address"].as_str(), failed[0]["error"].as_str()),
        (Some("second@full.example"), Some("limit"))
    );
    assert_eq!(mbx.run(&["bulk", "retry", &run]).await.code, 14);
    mbx.run(&["delete", "one@full.example", "--yes"]).await.ok();
    let ran = mbx.run(&["bulk", "retry", &run, "-o", "json"]).await.ok();
    assert_eq!(ran.json()[0]["outcome"], "created");
    assert_eq!(mbx.run(&["bulk", "show", &run, "-o", "value"]).await.ok().stdout.lines().count(), 2);
    assert_eq!(passwords(&mbx).len(), 2);
    assert_passwords_are_true(&sandbox, &passwords(&mbx));
    std::fs::write(&file, "address\nother@example.com\n").expect("the file is changed");
    assert_eq!(mbx.run(&["bulk", "resume", &run]).await.code, 17, "another file is refused");
    assert_eq!(mbx.run(&["bulk", "resume", "no-such-run"]).await.code, 6);
}

#[tokio::test]
async fn no_password_is_in_the_journal_and_nobody_else_can_read_a_file() {
    let (_sandbox, mbx, file) = on_emboux(&rows(20)).await;
    mbx.run(&["bulk", "create", &file, "--yes", "-vvv"]).await.ok();
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let more = mbx.file("more.csv", &addresses(20).replace("user", "more")).to_string_lossy().into_owned();
    mbx.run(&[&["bulk", "create", &more], &GENERATE[..], &[&out]].concat()).await.ok();
    let made = passwords(&mbx);
    assert_eq!(made.len(), 20);
    for (path, content) in mbx.files() {
        let text = String::from_utf8_lossy(&content);
        let is_source = path.ends_with("people.csv") || path.ends_with("passwords.csv");
        assert!(is_source || !text.contains(PASSWORD), "{}", path.display());
        assert!(is_source || made.values().all(|password| !text.contains(password)), "{}", path.display());
        #[cfg(unix)]
        if !path.ends_with("people.csv") {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn one_run_is_worked_on_by_one_process() {
    let (sandbox, mbx, file) = on_emboux(&rows(50)).await;
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(50))));
    let mut child =
        mbx.command(&["bulk", "create", &file, "--yes", "-q"]).stdout(Stdio::null()).spawn().expect("it runs");
    first_create(&sandbox).await;
    let second = resume(&mbx, &run_of(&mbx).await).await;
    assert_eq!(second.code, 19, "{second:?}");
    assert!(child.wait().await.expect("it ends").success());
}

#[tokio::test]
async fn shards_make_each_row_once_and_two_spellings_meet() {
    const ROWS: usize = 90;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    let mut told = BTreeSet::new();
    for shard in ["0/4", "1/4", "2/4", "3/4"] {
        let ran = mbx.run(&["bulk", "create", &file, "--yes", "--shard", shard, "-o", "value"]).await.ok();
        let part: Vec<_> = ran.stdout.lines().map(str::to_owned).collect();
        assert!(part.len() > ROWS / 10, "{shard}: {part:?}");
        assert!(part.into_iter().all(|address| told.insert(address)), "{shard} has rows of another");
    }
    assert_eq!(told.len(), ROWS);
    assert_eq!(sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count(), ROWS);
    let twice = mbx
        .file("twice.csv", &format!("address,password\nÄ@b,x\nA@example.com,{PASSWORD}\na@EXAMPLE.com,{PASSWORD}\n"));
    let mut codes = BTreeMap::new();
    for shard in ["0/2", "1/2"] {
        let check = mbx.run(&["bulk", "check", &twice.to_string_lossy(), "--shard", shard, "-o", "jsonl"]).await;
        assert_eq!(check.code, 8, "a row that is no address is refused everywhere");
        codes.insert(shard, check.stdout.lines().count());
    }
    assert_eq!(codes.values().sum::<usize>(), 3, "{codes:?}");
}

/// F2.
#[tokio::test]
async fn each_shard_takes_its_part_of_the_rate() {
    let (sandbox, mbx, file) = on_emboux(&rows(40)).await;
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(422)).skip(2).times(1));
    let flow = ["--rate", "40/s", "-o", "value"];
    let shard = ["bulk", "create", &file, "--yes", "--shard", "2/4", "--on-error", "stop", "-j", "4"];
    let begun = mbx.run(&[&shard[..], &flow].concat()).await;
    assert_eq!(begun.stdout.lines().count(), 3, "one at a time: nothing was under way beside the third, which failed");
    sandbox.take_seen();
    let start = Instant::now();
    mbx.run(&[&["bulk", "resume", &run_of(&mbx).await], &flow[..]].concat()).await;
    let took = start.elapsed();
    let sent = sandbox.take_seen().len();
    assert!(sent > 4, "{sent} requests say nothing about a rate");
    let least = Duration::from_millis(100) * u32::try_from(sent - 1).expect("they are few");
    assert!(took >= least, "{sent} requests, ten of them a second, took {took:?}");
}

#[tokio::test]
async fn rows_can_be_selected_and_a_resumed_run_means_the_same_ones() {
    let all: String = (0..20).map(|n| format!("u{n}@example.com,{},{PASSWORD}\n", ["Sales", "IT"][n % 2])).collect();
    let (sandbox, mbx, file) = on_emboux(&("address,Team,password\nbroken,Sales,\n".to_owned() + &all)).await;
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(422)).skip(2).times(1));
    let select = ["--where", "team=IT", "--skip", "1", "--limit", "6", "--on-error", "stop", "-j", "1"];
    let first = mbx.run(&[&["bulk", "create", &file, "--yes", "-o", "value"], &select[..]].concat()).await;
    assert_eq!((first.code, first.stdout.as_str()), (14, "u3@example.com\nu5@example.com\nu7@example.com\n"));
    let run = run_of(&mbx).await;
    assert_eq!(mbx.run(&["bulk", "resume", &run, "--dry-run"]).await.code, 2);
    let rest = mbx.run(&["bulk", "resume", &run, "-o", "value", "--rate", "1000/s"]).await;
    assert_eq!(rest.stdout, "u9@example.com\nu11@example.com\nu13@example.com\n", "{rest:?}");
    assert_eq!(mbx.run(&["bulk", "retry", &run, "-o", "value"]).await.ok().stdout, "u7@example.com\n");
    assert_eq!(sandbox.addresses(ProviderId::Emboux).iter().filter(|address| address.starts_with('u')).count(), 6);
    let unknown = mbx.run(&["bulk", "check", &file, "--where", "Group=IT"]).await;
    assert_eq!(unknown.code, 2);
}

#[tokio::test]
async fn a_file_can_be_applied_again() {
    let (sandbox, mbx, file) = on_emboux("address,quota\none@example.com,1GiB\n").await;
    let out = |name: &str| mbx.home.path().join(name).to_string_lossy().into_owned();
    let apply = async |name: &str| {
        let args = ["bulk", "create", &file, "--if-exists", "update", "-o", "jsonl"];
        let ran = mbx.run(&[&args[..], &GENERATE[..], &[&out(name)]].concat()).await.ok();
        ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["outcome"].clone()).collect()
    };
    let first: Vec<Value> = apply("passwords.csv").await;
    assert_eq!(first, ["created"]);
    std::fs::write(&file, "address,quota\none@example.com,2GiB\ntwo@example.com,2GiB\n").expect("it is changed");
    let mut second: Vec<Value> = apply("second.csv").await;
    second.sort_by_key(Value::to_string);
    assert_eq!(second, ["created", "updated"]);
    assert_passwords_are_true(&sandbox, &passwords(&mbx));
    assert_eq!(std::fs::read_to_string(out("second.csv")).expect("it is there").lines().count(), 2, "one new one");
    let third: Vec<Value> = apply("third.csv").await;
    assert_eq!(third, ["unchanged", "unchanged"], "the quota is read for each");
    std::fs::write(&file, "address\none@example.com\n").expect("it is changed");
    let fourth: Vec<Value> = apply("fourth.csv").await;
    assert_eq!(fourth, ["unchanged"], "a row may ask for nothing but that it is there");
}

/// A23: a run is also named by the beginning of its name, as long as only one begins so.
#[tokio::test]
async fn a_run_is_named_by_the_beginning_of_its_name() {
    let (_sandbox, mbx, file) = on_emboux("address\none@example.com\n").await;
    let create = async |name: &str| {
        let out = mbx.home.path().join(name).to_string_lossy().into_owned();
        let args = ["bulk", "create", &file, "--if-exists", "ok"];
        mbx.run(&[&args[..], &GENERATE[..], &[&out]].concat()).await.ok();
    };
    let show = async |run: &str| mbx.run(&["bulk", "show", run, "-o", "value"]).await;
    create("first.csv").await;
    let name = super::run_of(&mbx).await;
    assert_eq!(show(&name[..name.len() - 1]).await.ok().stdout.trim(), "one@example.com");
    assert_eq!(show(&format!("{name}x")).await.code, 6);
    create("second.csv").await;
    let both = show(&name[..3]).await;
    assert_eq!(both.code, 6, "{both:?}");
    assert!(both.stderr.contains("is the beginning of several runs") && both.stderr.contains(&name), "{both:?}");
}
