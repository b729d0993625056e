//! Why the program has to end before its work is done: a signal, a deadline, or the end of the job that it belongs to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::{Effect, Error, Kind};
use crate::lock::held;

/// The variables that a scheduler sets in its jobs: Slurm, PBS, LSF.
pub(crate) const JOB_VARIABLES: [&str; 3] = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"];

/// How often it is looked whether the job is still there.
const JOB_POLL: Duration = Duration::from_secs(1);

/// A request to stop, shared by the program and the run that is under way.
#[derive(Debug, Default)]
pub struct Interrupt {
    is_awaited: AtomicBool,
    kind: Mutex<Option<Kind>>,
    requested: Notify,
    may_have_sent: AtomicBool,
}

impl Interrupt {
    /// Asks a run that is under way to stop; returns false when there is none.
    pub fn request(&self, kind: Kind) -> bool {
        *held(&self.kind) = Some(kind);
        self.requested.notify_one();
        self.is_awaited.load(Ordering::Relaxed)
    }

    /// Says that a run is under way, which stops in order when it is asked to.
    pub fn listen(&self) {
        self.is_awaited.store(true, Ordering::Relaxed);
    }

    /// Waits until a stop is requested, and returns the reason.
    pub async fn wait(&self) -> Error {
        self.requested.notified().await;
        let kind = (*held(&self.kind)).unwrap_or(Kind::Interrupted);
        Error::new(kind, format!("{}; the requests under way were allowed to finish", reason(kind)))
    }

    /// Says that requests may be sent from now on.
    pub fn sending(&self) {
        self.may_have_sent.store(true, Ordering::Relaxed);
    }

    /// Returns the error of a command that was stopped, where `changes` says whether it changes anything.
    pub fn stopped(&self, kind: Kind, changes: bool) -> Error {
        let reason = reason(kind);
        let hint = |error: Error| if kind == Kind::Timeout { error.hint("give a longer --deadline") } else { error };
        match (changes, self.may_have_sent.load(Ordering::Relaxed)) {
            (false, _) => hint(Error::new(kind, reason)),
            (true, false) => hint(Error::new(kind, format!("{reason}; nothing was changed"))),
            (true, true) => {
                let kind = if kind == Kind::Timeout { Kind::Unknown } else { kind };
                Error::new(kind, format!("{reason}; a request that was under way may have been carried out"))
                    .effect(Effect::Unknown)
                    .hint("look before repeating it")
            }
        }
    }
}

fn reason(kind: Kind) -> &'static str {
    if kind == Kind::Timeout { "the deadline passed" } else { "interrupted" }
}

/// Waits until the step of a scheduler's job that this process belongs to is gone, which ends its other processes but not
/// always this one: another try of the job may begin soon. Outside a job it waits for ever, so that `nohup` works.
/// `job` is the variable with its value.
pub(crate) async fn job_gone(job: Option<String>) {
    let Some(family) = job.map(|job| family(&job)).filter(|family| !family.is_empty()) else {
        return std::future::pending().await;
    };
    while family.iter().all(|(process, parent)| parent_of(*process) == Some(*parent)) {
        tokio::time::sleep(JOB_POLL).await;
    }
}

/// Returns the processes of the job from this one up, each with its parent. The last parent is the scheduler's own: it does
/// not have the variable of the job. Empty where the system does not tell.
fn family(job: &str) -> Vec<(u32, u32)> {
    let mut family = Vec::new();
    let mut process = std::process::id();
    while let Some(parent) = parent_of(process).filter(|parent| *parent > 1) {
        family.push((process, parent));
        let environment = std::fs::read(format!("/proc/{parent}/environ")).unwrap_or_default();
        if !environment.split(|byte| *byte == 0).any(|variable| variable == job.as_bytes()) {
            break;
        }
        process = parent;
    }
    family
}

/// Returns the parent of a process that is there.
fn parent_of(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Waits for Ctrl-C or for the system's request to end.
pub(crate) async fn signal() -> Kind {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = tokio::signal::ctrl_c() => Kind::Interrupted,
                _ = terminate.recv() => Kind::Terminated,
            };
        }
    }
    let _ = tokio::signal::ctrl_c().await;
    Kind::Interrupted
}
