//! The examples for schedulers: the very lines that they run, four parts at once, make each row once.

use std::path::Path;
use std::process::Stdio;

use futures_util::future::join_all;
use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use tokio::process::Command;

use crate::program::Mbx;

const PARTS: usize = 4;

const ROWS: usize = 60;

/// Returns what an example runs for one part, with the folders of the test in place of its own, and without the engine.
fn script(example: &str, part: usize, home: &Path) -> String {
    let text = std::fs::read_to_string(Path::new("examples/shards").join(example)).expect("the example is there");
    let home = home.to_string_lossy();
    let digest = "PEOPLE_SHA256=${PEOPLE_SHA256-$(sha256sum people.csv | cut -d' ' -f1)}";
    match example {
        "slurm.sh" => {
            assert!(text.contains("#SBATCH --array=0-3\n"));
            let scontrol = "scontrol() { echo \"scontrol $*\" >&2; }";
            format!("{digest}\n{scontrol}\nexport SLURM_ARRAY_TASK_ID={part} SLURM_ARRAY_JOB_ID=7\n{text}")
        }
        "kubernetes-job.yaml" => {
            assert!(text.contains(&format!("completions: {PARTS}\n")) && text.contains("completionMode: Indexed"));
            let args = text.split("args:\n").nth(1).expect("it has arguments");
            let args = args.lines().map_while(|line| line.trim().strip_prefix("- ")).collect::<Vec<_>>().join(" ");
            let args = args.replace("$(JOB_COMPLETION_INDEX)", &part.to_string());
            let args = args.replace("$(PEOPLE_SHA256)", "$PEOPLE_SHA256").replace("/input", &home);
            let work = format!("{home}/work");
            let args = args.replace("/work", &work);
            format!("{digest}\nmkdir -p {work}\nexport XDG_STATE_HOME={work}\nexec mbx {args}")
        }
        "ci-matrix.yml" => {
            assert!(text.contains("shard: [0, 1, 2, 3]\n"));
            // Each runner has a folder of its own.
            let runner = format!("mkdir -p runner-{part}\ncd runner-{part}\ncp ../people.csv .\n");
            let step = text.split("- name: Create this part of the mailboxes\n").nth(1).expect("the step is there");
            let block = step.split("run: |\n").nth(1).expect("it runs something");
            let lines = block.lines().map_while(|line| line.strip_prefix("          "));
            runner + &lines.collect::<Vec<_>>().join("\n").replace("${{ matrix.shard }}", &part.to_string())
        }
        other => panic!("nothing is known of {other}"),
    }
}

/// Runs an example's part as its scheduler would.
fn part(mbx: &Mbx, example: &str, part: usize) -> Command {
    shell(mbx, &script(example, part, mbx.home.path()))
}

/// Runs a script in the home, with mbx in its path.
fn shell(mbx: &Mbx, script: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_mbx")).parent().expect("it lies in a folder");
    let mut command = Command::new("bash");
    let known = mbx.command(&[]);
    let env = known.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    command.args(["-e", "-c", script]).env_clear().envs(env);
    command.env("PATH", format!("{}:{}", program.display(), env!("PATH"))).env("MBX_OUTPUT", "jsonl");
    command.current_dir(mbx.home.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Returns the passwords that the parts have written, by address.
fn passwords(mbx: &Mbx) -> Vec<(String, String)> {
    let is_theirs = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("passwords"));
    let files = mbx.files().into_iter().filter(|(path, _)| is_theirs(path));
    let mut all = Vec::new();
    for (_, content) in files {
        let mut reader = csv::Reader::from_reader(&content[..]);
        all.extend(reader.records().map(|record| record.expect("it is CSV")).map(|r| (r[0].into(), r[1].into())));
    }
    all
}

#[cfg(unix)]
#[tokio::test]
async fn each_row_is_made_once_by_the_parts_of_every_example() {
    for example in ["slurm.sh", "kubernetes-job.yaml", "ci-matrix.yml"] {
        let sandbox = Sandbox::start().await.expect("the sandbox starts");
        sandbox.run_clock(ProviderId::Emboux);
        let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux");
        let rows: String = (0..ROWS).map(|n| format!("user{n}@example.com\n")).collect();
        mbx.file("people.csv", &("address\n".to_owned() + &rows));
        // One of the parts is killed in its work, as when its machine is lost, and is started again with the others.
        sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Hang).times(1));
        let mut lost = part(&mbx, example, 1).process_group(0).spawn().expect("it runs");
        let group = format!("-{}", lost.id().expect("it runs"));
        while sandbox.take_seen().iter().all(|seen| seen.method != Method::POST) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // Mailboxes whose answers have come show how far EmBoux's clock, which names no zone, is ahead of ours.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        Command::new("kill").args(["-KILL", "--", &group]).status().await.expect("it is killed");
        lost.wait().await.expect("it ended");
        let ran = join_all((0..PARTS).map(|n| part(&mbx, example, n).output())).await;
        for output in ran {
            let output = output.expect("it runs");
            assert!(output.status.success(), "{example}: {output:?}");
        }
        let held = sandbox.addresses(ProviderId::Emboux);
        assert_eq!(held.iter().filter(|address| address.starts_with("user")).count(), ROWS, "{example}");
        let written = passwords(&mbx);
        assert_eq!(written.len(), ROWS, "{example}: each has one password");
        for (address, password) in &written {
            assert!(sandbox.password_is(ProviderId::Emboux, address, password), "{example}: {address}");
        }
        // Once more, as a scheduler does that does not know that all is done: nothing is sent.
        sandbox.take_seen();
        for output in join_all((0..PARTS).map(|n| part(&mbx, example, n).output())).await {
            let output = output.expect("it runs");
            assert!(output.status.success(), "{example}: {output:?}");
            let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(written.iter().all(|(_, password)| !shown.contains(password)), "{example}: {shown}");
        }
        assert!(sandbox.take_seen().iter().all(|seen| seen.method != Method::POST), "{example}");
        // The report of all parts, from where the example leaves their state.
        let state = match example {
            "slurm.sh" => "mailboxes-*",
            "kubernetes-job.yaml" => "work",
            _ => "runner-*/work/mbx/runs",
        };
        let report = shell(&mbx, &format!("mbx bulk show --merge {state}")).output().await.expect("it runs");
        assert!(report.status.success(), "{example}: {report:?}");
        let rows = String::from_utf8_lossy(&report.stdout);
        assert_eq!(rows.lines().filter(|row| row.contains("\"outcome\":\"created\"")).count(), ROWS, "{example}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn another_try_is_made_only_where_it_helps() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let run = async |example: &str, variables: &[(&str, &str)]| {
        let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux");
        mbx.file(
            "people.csv",
            &(0..ROWS).fold("address\n".to_owned(), |list, n| list + &format!("u{n}@example.com\n")),
        );
        let output = part(&mbx, example, 1).envs(variables.iter().copied()).output().await.expect("it runs");
        (output.status.code().expect("it ended"), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Nothing answers: a later try may help, but not for ever.
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(503)));
    for (restarts, again) in [("0", true), ("4", true), ("5", false)] {
        let (code, told) = run("slurm.sh", &[("SLURM_RESTART_COUNT", restarts)]).await;
        assert!(matches!(code, 11..=16), "{code}: {told}");
        assert_eq!(told.contains("scontrol requeue 7_1\n"), again, "{restarts}: {told}");
    }
    let (code, told) = run("ci-matrix.yml", &[]).await;
    assert!(matches!(code, 11..=16) && told.contains("try 3 ended") && !told.contains("try 4"), "{code}: {told}");
    // Another file, a secret that is refused: a person is needed.
    sandbox.take_seen();
    let (code, told) = run("slurm.sh", &[("PEOPLE_SHA256", &"0".repeat(64))]).await;
    assert!(code == 17 && !told.contains("scontrol"), "{code}: {told}");
    let (code, told) = run("slurm.sh", &[("PEOPLE_SHA256", "")]).await;
    assert!(code != 0 && told.contains("PEOPLE_SHA256") && !told.contains("scontrol"), "{code}: {told}");
    assert!(sandbox.take_seen().is_empty(), "nothing is sent");
    for example in ["slurm.sh", "ci-matrix.yml"] {
        let (code, told) = run(example, &[("MBX_EMBOUX_API_KEY", "wrong")]).await;
        assert!(code <= 10 && !told.contains("scontrol") && !told.contains("try 1"), "{example}: {code}: {told}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_cancelled_runner_begins_nothing_again() {
    // The runner signals the shell alone, at last by SIGTERM, which nobody ignores; others signal the whole group.
    for whole_group in [false, true] {
        let sandbox = Sandbox::start().await.expect("the sandbox starts");
        let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux");
        mbx.file("people.csv", "address\nuser1@example.com\nuser2@example.com\nuser3@example.com\n");
        sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::Delay(std::time::Duration::from_secs(1))));
        let child = part(&mbx, "ci-matrix.yml", 1).process_group(0).spawn().expect("it runs");
        let id = child.id().expect("it runs");
        while sandbox.take_seen().iter().all(|seen| seen.method != Method::POST) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let id = if whole_group { format!("-{id}") } else { id.to_string() };
        Command::new("kill").args(["-TERM", "--", &id]).status().await.expect("it is signalled");
        let output = child.wait_with_output().await.expect("it ended");
        // If all its requests were under way, the run came to its end with what is known of them.
        assert!(matches!(output.status.code(), Some(15 | 130 | 143)), "{output:?}");
        assert!(sandbox.take_seen().iter().all(|seen| seen.method != Method::POST), "{output:?}");
    }
}
