//! A run that ends at any moment: killed, interrupted, without room on the disk, or with half of its journal lost.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault};

use super::{
    Dice, GENERATE, addresses, assert_passwords_are_true, first_create, on_emboux, passwords, resume, rows, run_of,
};

#[tokio::test]
async fn a_run_that_is_killed_again_and_again_ends_as_if_it_was_not() {
    const ROWS: usize = 300;
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(10))));
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    let mut dice = Dice(7);
    let mut killed = 0u64;
    let mut args: Vec<String> =
        ["bulk", "create", &file].into_iter().chain(GENERATE).chain([out.as_str()]).map(str::to_owned).collect();
    let last = loop {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = mbx.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        let moment = Duration::from_millis(40 + 20 * killed + dice.roll(80));
        match tokio::time::timeout(moment, child.wait()).await {
            Ok(ended) => break ended.expect("it ended"),
            Err(_) => child.kill().await.expect("it is killed"),
        }
        killed += 1;
        if mbx.home.path().join(".local/state/mbx/runs").read_dir().is_ok_and(|mut all| all.next().is_some()) {
            args = ["bulk", "resume", &run_of(&mbx).await].map(str::to_owned).to_vec();
        } else {
            // It was killed before anything was sent.
            let _ = std::fs::remove_file(&out);
        }
    };
    assert!(last.success() && killed > 0, "{last:?} after {killed}");
    let shown = mbx.run(&["bulk", "show", &run_of(&mbx).await, "-o", "csv", "--columns", "outcome,address"]).await.ok();
    let told: BTreeSet<_> = shown.stdout.lines().skip(1).map(str::to_owned).collect();
    let truth: BTreeSet<_> = (0..ROWS).map(|n| format!("created,user{n}@example.com")).collect();
    assert_eq!(told, truth);
    let held = sandbox.addresses(ProviderId::Emboux);
    assert_eq!(held.iter().filter(|address| address.ends_with("@example.com")).count(), ROWS);
    assert_eq!(passwords(&mbx).len(), ROWS);
    assert_passwords_are_true(&sandbox, &passwords(&mbx));
}

#[tokio::test]
async fn a_journal_that_is_cut_anywhere_stays_honest() {
    const ROWS: usize = 30;
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    let out = mbx.home.path().join("passwords.csv").to_string_lossy().into_owned();
    mbx.run(&[&["bulk", "create", &file], &GENERATE[..], &[&out]].concat()).await.ok();
    let run = run_of(&mbx).await;
    let journal = mbx.home.path().join(format!(".local/state/mbx/runs/{run}.jsonl"));
    let (whole, all) = (std::fs::read(&journal).expect("it is there"), passwords(&mbx));
    let mut dice = Dice(11);
    for _ in 0..40 {
        let cut = dice.roll(whole.len() as u64) as usize;
        std::fs::write(&journal, &whole[..cut]).expect("it is cut");
        let ran = resume(&mbx, &run).await;
        assert!([0, 3, 15].contains(&ran.code), "cut at {cut}: {ran:?}");
        // Every mailbox is there, and nobody says otherwise; what the journal has lost is found or left in doubt.
        let doubtful = ["\"created\"", "\"unknown\""];
        assert!(
            ran.stdout.lines().all(|line| doubtful.iter().any(|word| line.contains(word))),
            "cut at {cut}: {ran:?}"
        );
        assert_eq!(passwords(&mbx), all, "cut at {cut}");
    }
    assert_eq!(sandbox.take_seen().iter().filter(|seen| seen.method == Method::POST).count(), ROWS);
}

#[tokio::test]
async fn an_interrupted_run_tells_what_it_did_and_how_to_go_on() {
    const ROWS: usize = 400;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(20))));
    let args = ["bulk", "create", &file, "--yes", "-o", "jsonl"];
    let child = mbx.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    first_create(&sandbox).await;
    let id = child.id().expect("it runs").to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().expect("it is told");
    let output = child.wait_with_output().await.expect("it ends");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let run = run_of(&mbx).await;
    assert!(stderr.contains(&format!("mbx bulk resume {run}")), "{stderr}");
    let held = || sandbox.addresses(ProviderId::Emboux).iter().filter(|a| a.starts_with("user")).count();
    assert_eq!(stdout.lines().count(), held(), "what was made is told, and nothing else");
    assert!(held() < ROWS);
    let rest = resume(&mbx, &run).await.ok();
    assert_eq!((stdout.lines().count() + rest.stdout.lines().count(), held()), (ROWS, ROWS));
}

#[tokio::test]
async fn without_room_for_the_journal_nothing_is_sent() {
    const ROWS: usize = 800;
    let (sandbox, mbx, file) = on_emboux(&rows(ROWS)).await;
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
