//! The examples for schedulers on the real engines, as they stand: `.ci/run` starts a Slurm and four hosts with ssh. Some
//! answers are lost, a task is requeued, a process is killed, and afterwards the host's mailboxes are compared with the
//! report of all parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::program::{Mbx, Ran};

const ROWS: usize = 2000;

/// One row of a hundred was there before.
const THERE: usize = 100;

const PARTS: usize = 4;

/// A host of mailboxes, and a folder with a list of them and the examples.
struct Fleet {
    sandbox: Sandbox,
    mbx: Mbx,
    digest: String,
}

fn address(row: usize) -> String {
    format!("user{row}@example.com")
}

impl Fleet {
    /// Lets a host lose one answer of twenty. It makes another mailbox at an address that is taken.
    async fn new() -> Self {
        let sandbox = Sandbox::start().await.expect("the sandbox starts");
        (0..ROWS).step_by(THERE).for_each(|row| sandbox.add_mailbox(ProviderId::Emboux, &address(row)));
        sandbox.run_clock(ProviderId::Emboux);
        sandbox.accept_repeats(ProviderId::Emboux);
        for at in (0..ROWS).step_by(20) {
            let answer = if at % 40 == 0 { Answer::Cut } else { Answer::status(504) };
            sandbox.fault(Fault::after(Method::POST, "/users/", answer).skip(at).times(1));
        }
        // The others come late, so that there is a middle in which something can happen.
        sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(100))));
        let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux").env("MBX_NO_WAIT", "false");
        let list = "address\n".to_owned() + &(0..ROWS).map(|row| address(row) + "\n").collect::<String>();
        mbx.file("people.csv", &list);
        let examples = std::env::current_dir().expect("there is a folder").join("examples");
        std::os::unix::fs::symlink(examples, mbx.home.path().join("examples")).expect("it is linked");
        let digest = Sha256::digest(&list).iter().map(|byte| format!("{byte:02x}")).collect();
        Fleet { sandbox, mbx, digest }
    }

    /// Returns a command in the folder of the list, with mbx in its path behind `first`.
    fn command(&self, program: &str, args: &[&str], first: &Path) -> Command {
        let folder = Path::new(env!("CARGO_BIN_EXE_mbx")).parent().expect("it lies in a folder");
        let path = format!("{}:{}:{}", first.display(), folder.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        let known = self.mbx.command(&[]);
        let env = known.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        command.args(args).env_clear().envs(env).env("PATH", path).current_dir(self.mbx.home.path());
        command.kill_on_drop(true);
        command
    }

    /// Waits until the host holds so many mailboxes.
    async fn holds(&self, count: usize) {
        let all = async {
            while self.sandbox.addresses(ProviderId::Emboux).len() < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), all).await.expect("the parts work");
    }

    /// Compares the report of all parts, the files of passwords under `folder`, and what the host holds.
    fn judge(&self, report: &Ran, folder: &Path) {
        assert_eq!(report.code, 0, "{}", report.stderr);
        let all: BTreeSet<String> = (0..ROWS).map(address).collect();
        let held = self.sandbox.addresses(ProviderId::Emboux).into_iter().filter(|address| address.starts_with("user"));
        assert_eq!(held.collect::<Vec<_>>(), all.iter().cloned().collect::<Vec<_>>(), "the host holds each once");
        let rows = report.json();
        let rows = rows.as_array().expect("it is a list");
        let text = |row: &Value, key: &str| row[key].as_str().expect("it is a text").to_owned();
        let told: BTreeMap<_, _> = rows.iter().map(|row| (text(row, "address"), text(row, "outcome"))).collect();
        assert_eq!((rows.len(), told.len()), (ROWS, ROWS), "each row is told once");
        let mut passwords = passwords(folder);
        for row in 0..ROWS {
            let address = address(row);
            let was_there = row.is_multiple_of(THERE);
            assert_eq!(told[&address], if was_there { "exists" } else { "created" }, "{address}");
            let known = passwords.remove(&address).unwrap_or_default();
            assert_eq!(known.len(), usize::from(!was_there), "{address} has one password if it was made");
            for password in known {
                assert!(self.sandbox.password_is(ProviderId::Emboux, &address, &password), "{address}");
            }
        }
        assert!(passwords.is_empty(), "{passwords:?}");
    }
}

/// Returns the passwords in all files under a folder, by address.
fn passwords(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for entry in std::fs::read_dir(folder).expect("the folder is read") {
        let path = entry.expect("the entry is read").path();
        if path.is_dir() {
            passwords(&path).into_iter().for_each(|(address, known)| all.entry(address).or_default().extend(known));
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("passwords")) {
            for record in csv::Reader::from_path(path).expect("it is read").records() {
                let record = record.expect("it is CSV");
                all.entry(record[0].to_owned()).or_default().push(record[1].to_owned());
            }
        }
    }
    all
}

/// Says whether a part was begun and later resumed, by its journal in this folder of state.
fn was_resumed(state: &Path, part: usize) -> bool {
    let journal = state.join(format!("mbx/runs/people-{part}.jsonl"));
    std::fs::read_to_string(journal).expect("it is there").contains("\"resumed\":")
}

/// Returns the process of mbx that works in a home.
fn worker(home: &Path) -> Option<String> {
    let mut processes = std::fs::read_dir("/proc").expect("there are processes").filter_map(Result::ok);
    let worker = processes.find(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let folder = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
        line.starts_with(b"mbx\0") && folder.starts_with(home)
    });
    Some(worker?.file_name().to_string_lossy().into_owned())
}

#[ignore = "needs a Slurm, which .ci/run starts"]
#[tokio::test]
async fn slurm_makes_each_row_once_though_answers_are_lost_and_a_task_is_requeued() {
    let fleet = Fleet::new().await;
    let slurm = |program, args: &[&str]| {
        let mut command = fleet.command(program, args, Path::new("/usr/bin"));
        command.env("SLURM_CONF", std::env::var_os("SLURM_CONF").expect("a Slurm is there"));
        command
    };
    let export = format!("--export=ALL,PEOPLE_SHA256={}", fleet.digest);
    let job = slurm("sbatch", &["--parsable", &export, "examples/shards/slurm.sh"]);
    let job = Ran::of({ job }.output().await.expect("it runs")).ok().stdout.trim().to_owned();
    fleet.holds(ROWS / 4).await;
    Ran::of(slurm("scontrol", &["requeue", &format!("{job}_1")]).output().await.expect("it runs")).ok();
    // A job that depends on the end of the tasks ends after them.
    let after = format!("--dependency=afterany:{job}");
    let wait = ["--wait", "--output=/dev/null", &after, "--wrap=true"];
    let wait = slurm("sbatch", &wait).output();
    let waited = tokio::time::timeout(Duration::from_secs(180), wait).await.expect("the tasks end");
    Ran::of(waited.expect("it runs")).ok();

    let folder = fleet.mbx.home.path().join(format!("mailboxes-{}", fleet.digest));
    let report = fleet.mbx.run(&["bulk", "show", "--merge", &folder.to_string_lossy(), "-o", "json"]).await;
    fleet.judge(&report, &folder);
    assert!(was_resumed(&folder, 1), "the task was requeued in the middle");
    for part in 0..PARTS {
        let rows = fleet.mbx.home.path().join(format!("mailboxes-{job}-{part}.jsonl"));
        let rows = std::fs::read_to_string(rows).expect("it is there");
        assert!(rows.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "only rows are there: {rows}");
    }
}

#[ignore = "needs four hosts with ssh, which .ci/run starts"]
#[tokio::test]
async fn parallel_makes_each_row_once_though_answers_are_lost_and_a_worker_is_killed() {
    let fleet = Fleet::new().await;
    let hosts = PathBuf::from(std::env::var_os("MBX_TEST_HOSTS").expect("hosts are there"));
    for host in 0..PARTS {
        let home = hosts.join(format!("host{host}"));
        std::fs::remove_dir_all(&home).expect("what an earlier test left is removed");
        std::fs::create_dir_all(home.join(".config/mbx")).expect("it is made");
        let url = fleet.sandbox.base_url(ProviderId::Emboux);
        let profile = "default_profile = \"us\"\n[profiles.us]\nprovider = \"emboux\"\nsecret = { file = \"key\" }\n";
        for (name, text) in
            [("config.toml", format!("{profile}base_url = \"{url}\"\n")), ("key", mbx::sandbox::KEY.to_owned())]
        {
            let path = home.join(".config/mbx").join(name);
            std::fs::write(&path, text).expect("it is written");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(path, mode).expect("its mode is set");
        }
    }
    let args = ["people.csv", "host0", "host1", "host2", "host3"];
    let mut command = fleet.command("examples/shards/parallel.sh", &args, &hosts.join("bin"));
    let ran = tokio::spawn(command.env("MBX_OUTPUT", "json").output());
    fleet.holds(ROWS / 4).await;
    let worker = worker(&hosts.join("host1")).expect("a worker works");
    Ran::of(Command::new("kill").args(["-KILL", &worker]).output().await.expect("it runs")).ok();
    let ran = tokio::time::timeout(Duration::from_secs(180), ran).await.expect("it ends").expect("it does not panic");
    let report = Ran::of(ran.expect("it runs"));
    let folder = fleet.mbx.home.path().join(format!("mailboxes-{}", fleet.digest));
    fleet.judge(&report, &folder);
    assert!(was_resumed(&folder.join("1"), 1), "the worker was killed in the middle");
}
