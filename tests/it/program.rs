//! Runs the real program, hermetically: an empty home, a clean environment, no terminal.

use std::path::PathBuf;
use std::process::Stdio;

use mbx::adapters;
use mbx::config::sandbox_exports;
use mbx::provider::ProviderId;
use mbx::sandbox::Sandbox;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{change, needed};

/// The program with a home of its own.
pub(crate) struct Mbx {
    pub(crate) home: TempDir,
    env: Vec<(String, String)>,
}

/// What a run of it left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Mbx {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Mbx { home, env: vec![("MBX_NO_WAIT".to_owned(), "1".to_owned())] }
    }

    /// Points it at a sandbox, over the variables that `mbx sandbox serve` prints.
    pub(crate) fn on(sandbox: &Sandbox) -> Self {
        let mut mbx = Mbx::new();
        mbx.env.extend(sandbox_exports(|id| sandbox.base_url(id)));
        mbx
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Writes a file into the home, readable for its owner alone.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the home")).expect("the folder is made");
        std::fs::write(&path, text).expect("the file is written");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode is set");
        }
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mbx"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.env.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().await.expect("it runs"))
    }

    /// Runs the program from a shell that does something first, such as to lower a limit.
    #[cfg(unix)]
    pub(crate) async fn run_after(&self, first: &str, args: &[&str]) -> Ran {
        let command = self.command(args);
        let program = command.as_std();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{first}; exec \"$0\" \"$@\"")).arg(program.get_program()).args(program.get_args());
        shell
            .env_clear()
            .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::null());
        Ran::of(shell.output().await.expect("it runs"))
    }

    pub(crate) async fn run_with_env(&self, args: &[&str], name: &str, value: &str) -> Ran {
        Ran::of(self.command(args).env(name, value).output().await.expect("it runs"))
    }

    pub(crate) async fn run_with_input(&self, args: &[&str], input: impl AsRef<[u8]>) -> Ran {
        let mut command = self.command(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        // A command that refuses before it reads its input closes the pipe, which is fine.
        let _ = stdin.write_all(input.as_ref()).await;
        drop(stdin);
        Ran::of(child.wait_with_output().await.expect("it ends"))
    }

    /// Returns the content of every file it left in its home.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("the folder is read") {
                let path = entry.expect("the entry is read").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push((path.clone(), std::fs::read(&path).expect("the file is read")));
                }
            }
        }
        found
    }
}

impl Ran {
    pub(crate) fn of(output: std::process::Output) -> Self {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Returns the one JSON line on standard error.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let lines: Vec<_> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{self:#?}");
        serde_json::from_str::<Value>(lines[0]).unwrap_or_else(|error| panic!("{error}: {self:#?}"))["error"].clone()
    }
}

/// Every command that ends by itself, with arguments that break no rule, as one shell line each. `ADDRESS` stands for a
/// mailbox that exists, `NEW` for one that does not, `CREATE` for what the provider needs to make one, `PEOPLE` for a file
/// of mailboxes to make, `CHANGES` for one of changes.
pub(crate) const LEAVES: &[&str] = &[
    "create NEW CREATE",
    "list --domain example.com",
    "get ADDRESS",
    "update ADDRESS CHANGE",
    "passwd ADDRESS --password-env NEW_PASSWORD",
    "suspend ADDRESS",
    "resume ADDRESS",
    "domain create new.example POSTMASTER",
    "domain list",
    "domain get example.com",
    "domain verify example.com",
    "domain dns example.com",
    "domain suspend example.com",
    "domain resume example.com",
    "domain delete new.example --yes",
    "alias create info@example.com ADDRESS",
    "alias create @example.com ADDRESS",
    "alias list example.com",
    "alias delete info@example.com",
    "credential create ci --domain example.com --password-env NEW_PASSWORD",
    "credential list",
    "credential delete no-such-id --yes",
    "delete ADDRESS --yes",
    "bulk check PEOPLE",
    "bulk create PEOPLE --yes --if-exists ok",
    "bulk update CHANGES --yes",
    "bulk passwd PEOPLE --yes",
    "bulk delete PEOPLE --yes",
    "bulk list",
    "bulk show no-such-run",
    "bulk resume no-such-run",
    "bulk retry no-such-run",
    "bulk settle no-such-run",
    "provider list",
    "provider show",
    "profile list",
    "profile show",
    "config path",
    "config show",
    "config check",
    "sandbox reset",
];

impl Mbx {
    /// Fills in a leaf's placeholders for a provider. The files are written into the home.
    pub(crate) fn leaf(&self, line: &str, id: ProviderId) -> Vec<String> {
        let flags = |(column, cell): (&str, &str)| match column {
            "password" => ["--password-env".to_owned(), "NEW_PASSWORD".to_owned()],
            _ => [format!("--{}", column.replace('_', "-")), cell.to_owned()],
        };
        let file = |name: &str, cells: &[(&str, &str)]| {
            let cells = [&[("address", "bulk@example.com")], cells].concat();
            let (head, row): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
            let path = self.file(name, &format!("{}\n{}\n", head.join(","), row.join(",")));
            vec![path.to_string_lossy().into_owned()]
        };
        // Where nothing can be changed, any change is refused.
        let change = change(id).unwrap_or(("quota", "2G"));
        let domain = adapters::spec(id).rules.domain_settings.then_some(("password", ""));
        line.split_whitespace()
            .flat_map(|word| match word {
                "CREATE" => needed(id).into_iter().flat_map(flags).collect(),
                "CHANGE" => flags(change).into(),
                "POSTMASTER" => domain.into_iter().flat_map(flags).collect(),
                "PEOPLE" => file("people.csv", &needed(id)),
                "CHANGES" => file("changes.csv", &[change]),
                "ADDRESS" => vec!["ada@example.com".to_owned()],
                "NEW" => vec!["new@example.com".to_owned()],
                word => vec![word.to_owned()],
            })
            .chain(["--provider".to_owned(), id.to_string()])
            .collect()
    }
}
