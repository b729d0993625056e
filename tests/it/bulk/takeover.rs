//! A machine that is lost for ever with its passwords: another one takes its part over and sets new passwords.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};

use super::{GENERATE, addresses, assert_passwords_are_true, first_create, on_emboux, passwords_in};
use crate::program::{Mbx, Ran};

/// The mailboxes that were there before, and those that the fleet makes.
const BEFORE: usize = 20;
const ROWS: usize = 80;

/// Longer than what two clocks are compared by.
const APART: Duration = Duration::from_secs(4);

struct Machine<'a> {
    mbx: &'a Mbx,
    file: &'a str,
    name: &'static str,
    shard: &'static str,
}

impl Machine<'_> {
    fn home(&self) -> std::path::PathBuf {
        self.mbx.home.path().join(self.name)
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = self.mbx.command(args);
        command.env("XDG_STATE_HOME", self.home());
        command
    }

    /// Returns the command that makes its part of the mailboxes.
    fn create(&self) -> tokio::process::Command {
        std::fs::create_dir_all(self.home()).expect("the folder is made");
        let out = self.out("passwords.csv");
        let args = ["bulk", "create", self.file, "--run", "people", "--shard", self.shard, "--if-exists", "ok"];
        self.command(&[&args[..], &GENERATE[..], &[&out]].concat())
    }

    async fn passwd(&self, out: &str, more: &[&str]) -> Ran {
        let out = self.out(out);
        let args = ["bulk", "passwd", "--from-run", "people", "--only", "exists", "--generate-password", "-o", "value"];
        let args = [&args[..], &["--password-out", &out], more].concat();
        Ran::of(self.command(&args).output().await.expect("it runs"))
    }

    fn out(&self, name: &str) -> String {
        self.home().join(name).to_string_lossy().into_owned()
    }

    fn passwords(&self, name: &str) -> BTreeMap<String, String> {
        passwords_in(Path::new(&self.out(name)))
    }
}

/// Returns the addresses of the fleet's rows.
fn people(sandbox: &Sandbox) -> Vec<String> {
    sandbox.addresses(ProviderId::Emboux).into_iter().filter(|address| address.starts_with("user")).collect()
}

#[tokio::test]
async fn what_a_lost_machine_made_gets_passwords_and_what_was_there_before_keeps_its_own() {
    let (sandbox, mbx, file) = on_emboux(&addresses(ROWS)).await;
    sandbox.run_clock(ProviderId::Emboux);
    let older = mbx.file("older.csv", &addresses(BEFORE)).to_string_lossy().into_owned();
    let first = mbx.home.path().join("first.csv").to_string_lossy().into_owned();
    mbx.run(&[&["bulk", "create", &older], &GENERATE[..], &[&first]].concat()).await.ok();
    tokio::time::sleep(APART).await;
    let since = jiff::Timestamp::now().to_string();
    tokio::time::sleep(APART).await;
    let machine = |name, shard| Machine { mbx: &mbx, file: &file, name, shard };
    let (a, lost, c) = (machine("a", "0/2"), machine("b", "1/2"), machine("c", "1/2"));
    Ran::of(a.create().output().await.expect("it runs")).ok();
    // It is killed in its work, and all that it had is gone.
    sandbox.take_seen();
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Hang).skip(12).times(4));
    let mut killed = lost.create().spawn().expect("it runs");
    first_create(&sandbox).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    killed.kill().await.expect("it is killed");
    let made_by_lost = lost.passwords("passwords.csv").into_keys().filter(|address| people(&sandbox).contains(address));
    let made_by_lost: Vec<_> = made_by_lost.collect();
    assert!(made_by_lost.len() >= 12, "{made_by_lost:?}");
    std::fs::remove_dir_all(lost.home()).expect("it is there");

    let taken = Ran::of(c.create().output().await.expect("it runs")).ok();
    assert!(taken.stderr.contains("--from-run"), "{taken:?}");
    assert_eq!(people(&sandbox).len(), ROWS);
    let shown = Ran::of(
        c.command(&["bulk", "show", "people", "--only", "exists", "-o", "csv"]).output().await.expect("it runs"),
    );
    assert!(shown.stdout.contains("this run holds no password of it"), "{shown:?}");

    // Without a time nobody knows which of them are in use.
    let refused = c.passwd("no.csv", &[]).await;
    assert!(refused.code == 17 && refused.stderr.contains("@example.com"), "{refused:?}");
    assert_eq!(c.passwd("no.csv", &["--created-since", "yesterday"]).await.code, 2);
    assert!(!Path::new(&c.out("no.csv")).exists(), "nothing was begun");
    let set = c.passwd("new.csv", &["--created-since", &since, "--yes"]).await.ok();
    let mut renewed: Vec<_> = set.stdout.lines().map(str::to_owned).collect();
    renewed.sort();
    let mut expected = made_by_lost;
    expected.sort();
    assert_eq!(renewed, expected, "those that the lost machine had made, and no others");

    let before = passwords_in(Path::new(&first));
    assert_eq!(before.len(), BEFORE);
    assert_passwords_are_true(&sandbox, &before);
    let mut held = before;
    for all in [a.passwords("passwords.csv"), c.passwords("passwords.csv"), c.passwords("new.csv")] {
        assert_passwords_are_true(&sandbox, &all);
        held.extend(all);
    }
    assert_eq!(held.into_keys().collect::<Vec<_>>(), {
        let mut all = people(&sandbox);
        all.sort();
        all
    });
}
