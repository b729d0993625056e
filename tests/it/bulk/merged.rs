//! One report over the shards of a file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{GENERATE, addresses, on_emboux};
use crate::program::{Mbx, Ran};

const ROWS: usize = 20;

/// Runs a shard on a machine of its own, which has the state folder `machine`.
async fn shard(mbx: &Mbx, file: &str, shard: &str, machine: &str) -> Ran {
    let home = mbx.home.path().join(machine);
    std::fs::create_dir_all(&home).expect("the folder is made");
    let out = home.join("passwords.csv").to_string_lossy().into_owned();
    let args = ["bulk", "create", file, "--shard", shard, "--run", "people"];
    let args = [&args[..], &GENERATE[..], &[&out]].concat();
    mbx.run_with_env(&args, "XDG_STATE_HOME", &home.to_string_lossy()).await
}

async fn merged(mbx: &Mbx, folders: &[&str], more: &[&str]) -> Ran {
    let folders: Vec<_> = folders.iter().map(|folder| mbx.home.path().join(folder)).collect();
    let folders: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    let folders: Vec<_> = folders.iter().map(AsRef::as_ref).collect();
    mbx.run(&[&["bulk", "show"], more, &["--merge"], &folders[..]].concat()).await
}

fn held(sandbox: &Sandbox) -> BTreeSet<String> {
    sandbox.addresses(ProviderId::Emboux).into_iter().filter(|address| address.starts_with("user")).collect()
}

fn journal(mbx: &Mbx, machine: &str) -> PathBuf {
    mbx.home.path().join(machine).join("mbx/runs/people.jsonl")
}

/// Takes the last line out of a journal, as when the process is killed.
fn cut(journal: &Path) {
    let text = std::fs::read_to_string(journal).expect("it is there");
    let (rest, _) = text.trim_end().rsplit_once('\n').expect("it has lines");
    std::fs::write(journal, rest.to_owned() + "\n").expect("it is written");
}

#[tokio::test]
async fn the_shards_of_a_file_are_shown_as_one_run() {
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(422)).skip(3).times(1));
    shard(&mbx, &file, "0/2", "a").await;
    shard(&mbx, &file, "1/2", "b").await;
    let all = merged(&mbx, &["a", "b"], &["-o", "json"]).await;
    assert_eq!(all.code, 14, "a row has failed: {all:?}");
    assert!(all.stderr.contains("19 created, 1 failed (of 20 rows)"), "{}", all.stderr);
    let rows: Vec<Value> = serde_json::from_str(&all.stdout).expect("JSON");
    let created = rows.iter().filter(|row| row["outcome"] == "created");
    let created: BTreeSet<_> = created.map(|row| row["address"].as_str().expect("a text").to_owned()).collect();
    assert_eq!((rows.len(), created), (ROWS, held(&sandbox)), "the report is what the host holds");
    let failed = merged(&mbx, &["a/mbx/runs", "b"], &["people", "--only", "failed", "-o", "value"]).await;
    assert_eq!((failed.code, failed.stdout.lines().count()), (14, 1));
    for machine in ["a", "b"] {
        shard(&mbx, &file, if machine == "a" { "0/2" } else { "1/2" }, machine).await.ok();
    }
    let all = merged(&mbx, &["a", "b"], &["-o", "value"]).await.ok();
    assert!(all.stderr.contains("20 created (of 20 rows)") && all.stdout.lines().count() == ROWS, "{all:?}");
}

#[tokio::test]
async fn shards_that_make_no_whole_are_refused_and_named() {
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    for (n, machine) in ["a", "b"].into_iter().enumerate() {
        shard(&mbx, &file, &format!("{n}/3"), machine).await.ok();
    }
    let refused = async |folders: &[&str], whats: &[&str]| {
        let ran = merged(&mbx, folders, &[]).await;
        assert!(ran.code == 17 && ran.stdout.is_empty(), "{ran:?}");
        assert!(whats.iter().all(|what| ran.stderr.contains(what)), "{whats:?}: {}", ran.stderr);
    };
    refused(&["a", "b"], &["shard 2/3 is missing"]).await;
    // Another machine took a shard over that was thought lost.
    shard(&mbx, &file, "1/3", "c").await;
    refused(&["a", "b", "c"], &["shard 1/3 is there more than once", "b/mbx/runs/people.jsonl", "shard 2/3"]).await;
    // Three rows were added and one was removed before the last shard began.
    mbx.file("people.csv", &addresses(ROWS + 3).replace("user1@example.com\n", ""));
    shard(&mbx, &file, "2/3", "d").await;
    refused(&["a", "b", "d"], &["the file was edited", "d/mbx/runs/people.jsonl"]).await;
    mbx.file("people.csv", &addresses(ROWS));
    shard(&mbx, &file, "2/3", "e").await;
    cut(&journal(&mbx, "a"));
    refused(&["a", "b", "e"], &["a/mbx/runs/people.jsonl is not finished"]).await;
    let nothing = merged(&mbx, &["nowhere"], &[]).await;
    assert!(nothing.code == 6 && nothing.stderr.contains("nowhere"), "{nothing:?}");
    assert_eq!(merged(&mbx, &["a", "b"], &["others"]).await.code, 6);
    assert!(!held(&sandbox).is_empty());
}

#[tokio::test]
async fn a_file_that_was_edited_between_shards_is_noticed_where_they_share_a_folder() {
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    let shard = async |shard: &str, more: &[&str]| {
        let out = mbx.home.path().join(format!("{}.csv", jiff::Timestamp::now())).to_string_lossy().into_owned();
        let args = ["bulk", "create", &file, "--shard", shard, "--if-exists", "ok"];
        mbx.run(&[&args[..], &GENERATE[..], &[&out], more].concat()).await
    };
    for index in ["0/2", "1/2"] {
        shard(index, &[]).await.ok();
    }
    // All shards of the list are there, so that this is another list.
    mbx.file("people.csv", &addresses(ROWS + 1));
    shard("0/2", &[]).await.ok();
    let added = addresses(ROWS + 3);
    mbx.file("people.csv", &added);
    sandbox.take_seen();
    let edited = shard("1/2", &[]).await;
    assert!(edited.code == 17 && edited.stderr.contains("was edited"), "{edited:?}");
    assert!(sandbox.take_seen().is_empty(), "nothing was sent");
    let digest: String = Sha256::digest(&added).iter().map(|byte| format!("{byte:02x}")).collect();
    shard("1/2", &["--input-digest", &digest]).await.ok();
}
