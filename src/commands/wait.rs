//! `--wait`: looks again until something is ready or the time is over.

use std::time::{Duration, Instant};

use crate::app::{App, Opened};
use crate::error::{Error, Kind, Result};
use crate::global::duration;
use crate::model::Status;
use crate::provider::{Provider, Settled};

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ready {
    /// The provider says that it is active
    Active,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Waiting")]
pub(crate) struct WaitArgs {
    /// Wait until the provider reports this state
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "active")]
    wait: Option<Ready>,
    /// How long to wait at most, such as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

impl WaitArgs {
    /// Looks with `look` until the status of what was done is active, and keeps the last thing that a look showed. Returns
    /// the error if the time runs out.
    pub(crate) async fn wait<T, F>(
        &self,
        app: &App,
        opened: &Opened,
        settled: &mut Settled<T>,
        status: fn(&T) -> &Status,
        look: impl Fn() -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<T>>,
    {
        let (Ok((_, done)), Some(Ready::Active)) = (&mut settled.result, self.wait) else { return Ok(()) };
        let began = Instant::now();
        let first = opened.profile.pace.poll;
        let mut pause = first;
        let _progress = app.out.progress("waiting until it is active", None);
        loop {
            match status(&done.value) {
                Status::Active => return Ok(()),
                Status::Unknown => {
                    done.notes.push(format!("{} does not say whether it is active", opened.provider.spec().title));
                    return Ok(());
                }
                _ => {}
            }
            let left = self.timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                let word = status(&done.value).to_string();
                let error = Error::new(Kind::Timeout, format!("still {word} after {} s", self.timeout.as_secs()))
                    .hint("it exists and may become active later; look again, or give a longer --timeout");
                return Err(super::at(opened, error));
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(first * 16);
            match look().await {
                Ok(seen) => done.value = seen,
                // A list may not show yet what was just created, and one failure is no reason to give up.
                Err(error)
                    if matches!(error.kind, Kind::NotFound | Kind::Network | Kind::Provider | Kind::RateLimited) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
