//! `--wait`: looks again until something is ready or the time is over.

use std::time::{Duration, Instant};

use crate::app::{App, Opened};
use crate::error::{Error, Kind, Result};
use crate::global::duration;
use crate::model::Status;
use crate::provider::Provider;

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ready {
    /// The provider says that it is active
    Active,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Waiting")]
pub(crate) struct WaitArgs {
    /// Wait until it is ready
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "active")]
    wait: Option<Ready>,
    /// How long to wait at most, such as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

impl WaitArgs {
    /// Looks with `look` until its status is active. Returns the last thing seen, with the error if the time ran out.
    pub(crate) async fn wait<T, F>(
        &self,
        app: &App,
        opened: &Opened,
        mut seen: T,
        status: fn(&T) -> &Status,
        look: impl Fn() -> F,
    ) -> (T, Result<()>)
    where
        F: Future<Output = Result<T>>,
    {
        if self.wait.is_none() {
            return (seen, Ok(()));
        }
        let began = Instant::now();
        let first = opened.profile.pace.poll;
        let mut pause = first;
        let progress = app.out.progress("waiting until it is active", None);
        loop {
            match status(&seen) {
                Status::Active => return (seen, Ok(())),
                Status::Unknown => {
                    drop(progress);
                    app.out.note(&format!("{} does not tell whether it is active", opened.provider.spec().title));
                    return (seen, Ok(()));
                }
                _ => {}
            }
            let left = self.timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                let word = status(&seen).to_string();
                let mut error = Error::new(Kind::Timeout, format!("still {word} after {} s", self.timeout.as_secs()));
                error.provider = Some(opened.profile.provider);
                error.profile = Some(opened.profile.name.clone());
                error.hint =
                    Some("it exists and may become active later; look again, or give a longer --timeout".to_owned());
                return (seen, Err(error));
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(first * 16);
            match look().await {
                Ok(new) => seen = new,
                // A list may not show yet what was just made, and a hiccup is no reason to give up.
                Err(error)
                    if matches!(error.kind, Kind::NotFound | Kind::Network | Kind::Provider | Kind::RateLimited) => {}
                Err(error) => return (seen, Err(error)),
            }
        }
    }
}
