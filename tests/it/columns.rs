//! Which columns and keys a result has: those named with `--columns`, and without it those that say something.

use mbx::sandbox::Sandbox;

use crate::program::Mbx;
use crate::support::PASSWORD;

#[tokio::test]
async fn columns_choose_the_keys_of_json_too() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux");
    let columns = ["--columns", "status,address, quota.limit"];
    let one = |line: &str| line.split(' ').chain(columns).map(str::to_owned).collect::<Vec<_>>();
    let run = async |line: &str| {
        let words = one(line);
        mbx.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await.ok()
    };
    let ran = run("get one@full.example -o json").await;
    let keys: Vec<_> = ran.json().as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["status", "address", "quota"]);
    assert_eq!(ran.json()["quota"].as_object().expect("an object").len(), 1, "{ran:?}");
    let line = r#"{"status":"active","address":"one@full.example","quota":{"limit":null}}"#;
    assert!(run("list -o jsonl").await.stdout.lines().any(|found| found == line));
    let listed = run("list -o json").await.json();
    let expected: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
    assert!(listed.as_array().expect("an array").contains(&expected), "{listed}");
    mbx.file("people.csv", &format!("address,password\na@example.com,{PASSWORD}\n"));
    let file = mbx.home.path().join("people.csv").to_string_lossy().into_owned();
    let bulk = ["bulk", "create", &file, "--yes", "-o", "jsonl", "--columns", "outcome,address"];
    assert_eq!(mbx.run(&bulk).await.ok().stdout, "{\"outcome\":\"created\",\"address\":\"a@example.com\"}\n");
    sandbox.take_seen();
    let ran = mbx.run(&["delete", "one@full.example", "--yes", "-o", "json", "--columns", "adress"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.contains(r#"there is no column \"adress\""#), "{ran:?}");
    assert!(sandbox.take_seen().is_empty(), "it is refused before anything is sent");
}

#[tokio::test]
async fn the_table_of_an_update_shows_what_was_changed() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox);
    mbx.run_with_input(&["create", "a@example.com", "-p", "mailinabox", "--password-stdin"], PASSWORD).await.ok();
    mbx.run(&["create", "a@example.com", "-p", "hybridbox", "--first-name", "Ada", "--last-name", "Byron"]).await.ok();
    for (provider, change, heading, cell) in [
        ("mailinabox", &["--quota", "2G"][..], "QUOTA", "2.0 GiB"),
        ("mailinabox", &["--quota", "unlimited"], "QUOTA", "unlimited"),
        ("mailinabox", &["--admin"], "ADMIN", "yes"),
        ("mailinabox", &["--admin=false"], "ADMIN", "no"),
        ("hybridbox", &["--first-name", "Bea"], "FIRST NAME", "Bea"),
    ] {
        let ran = mbx.run(&[&["update", "a@example.com", "-p", provider][..], change].concat()).await.ok();
        let lines: Vec<_> = ran.stdout.lines().collect();
        let at = lines[0].find(heading).unwrap_or_else(|| panic!("no {heading}: {ran:?}"));
        assert!(lines[1][at..].starts_with(cell), "{change:?}: {ran:?}");
    }
}
