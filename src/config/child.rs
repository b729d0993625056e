//! Commands that print or receive a secret: limited in time and output, and ended together with the program.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::Env;
use super::file::SECRET_MAX;
use crate::error::{Error, Kind};

/// Half a minute: long enough to unlock a password store, short enough for a job not to hang.
pub(crate) const COMMAND_TIME: Duration = Duration::from_secs(30);

/// Why a command has not done its work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Ctrl-C at the terminal ended the command.
    Interrupted,
    /// Anything else, in words.
    Failed(String),
}

impl Trouble {
    /// Returns the error for the user; `failed` makes it out of the reason.
    pub(crate) fn into_error(self, failed: impl FnOnce(String) -> Error) -> Error {
        match self {
            Trouble::Interrupted => Error::new(Kind::Interrupted, "interrupted; nothing was changed"),
            Trouble::Failed(why) => failed(why),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Failed(error.to_string())
    }
}

/// Ends the command when dropped, unless it has ended.
struct Running {
    child: Child,
    /// The process group of its own, where it has one.
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Runs a command without a shell and without our secrets in its environment. Gives it `input`, if there is any, or else
/// returns what it prints.
pub(crate) async fn run(words: &[String], env: &Env, input: Option<&str>, limit: Duration) -> Result<Vec<u8>, Trouble> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stderr(Stdio::inherit()).kill_on_drop(true);
    match input {
        Some(_) => command.stdin(Stdio::piped()).stdout(Stdio::null()),
        // A person may be asked at the terminal; what is piped to us is not for the command.
        None if io::stdin().is_terminal() => command.stdin(Stdio::inherit()).stdout(Stdio::piped()),
        None => command.stdin(Stdio::null()).stdout(Stdio::piped()),
    };
    for name in env.secret_variables() {
        command.env_remove(name);
    }
    // Only our own group may read the terminal, and Ctrl-C reaches all of it. Where there is no terminal, a group of its
    // own lets us end whatever the command has started.
    #[cfg(unix)]
    let has_group = File::open("/dev/tty").is_err();
    #[cfg(unix)]
    if has_group {
        command.process_group(0);
    }
    let child = command.spawn()?;
    let mut running = Running {
        #[cfg(unix)]
        group: child.id().filter(|_| has_group).and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)),
        child,
    };
    match tokio::time::timeout(limit, exchange(&mut running.child, input)).await {
        Ok(Ok((bytes, status))) => {
            // What it leaves running on purpose, such as an agent, stays.
            #[cfg(unix)]
            {
                running.group = None;
            }
            if status.success() { Ok(bytes) } else { Err(ended(status)) }
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Trouble::Failed(format!("it took longer than {} s", limit.as_secs()))),
    }
}

/// Gives the command its input or reads its output, whichever is a pipe, and waits until it ends by itself.
async fn exchange(child: &mut Child, input: Option<&str>) -> io::Result<(Vec<u8>, ExitStatus)> {
    let mut bytes = Vec::new();
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A command that does not read its input still answers with its exit code.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    if let Some(stdout) = child.stdout.take() {
        stdout.take(SECRET_MAX + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > SECRET_MAX {
        return Err(io::Error::other(format!("it printed more than {} KiB", SECRET_MAX >> 10)));
    }
    Ok((bytes, child.wait().await?))
}

fn ended(status: ExitStatus) -> Trouble {
    #[cfg(unix)]
    let by_ctrl_c = std::os::unix::process::ExitStatusExt::signal(&status) == Some(2) || status.code() == Some(130);
    #[cfg(not(unix))]
    let by_ctrl_c = false;
    if by_ctrl_c { Trouble::Interrupted } else { Trouble::Failed(format!("it ended with {status}")) }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    async fn sh(script: &str, env: &[(&str, &str)], limit: Duration) -> Result<String, Trouble> {
        let words = ["sh", "-c", script].map(str::to_owned);
        let env = Env::from_pairs(env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        run(&words, &env, None, limit).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = format!("echo $$ > {}; sleep 600; true", file.display());
        let trouble = sh(&script, &[], Duration::from_secs(1)).await.expect_err("it hangs");
        assert_eq!(trouble, Trouble::Failed("it took longer than 1 s".to_owned()));
        let id: i32 = std::fs::read_to_string(file).expect("it ran").trim().parse().expect("a number");
        let id = rustix::process::Pid::from_raw(id).expect("a process");
        for _ in 0..500 {
            if rustix::process::test_kill_process(id).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it still runs");
    }

    #[tokio::test]
    async fn a_command_that_prints_for_ever_is_ended() {
        let trouble = sh("yes", &[], COMMAND_TIME).await.expect_err("it is too much");
        assert_eq!(trouble, Trouble::Failed("it printed more than 64 KiB".to_owned()));
    }

    #[tokio::test]
    async fn a_command_does_not_inherit_our_secrets() {
        let env = [("MBX_EMBOUX_API_KEY", "k"), ("MBX_INBOX_PASSWORD", "p"), ("MBX_CONFIG", "c"), ("PATH", "/bin")];
        let env = Env::from_pairs(env.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(env.secret_variables().collect::<Vec<_>>(), ["MBX_EMBOUX_API_KEY", "MBX_INBOX_PASSWORD"]);
    }
}
