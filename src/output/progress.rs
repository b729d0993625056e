//! Progress of what takes longer than a second: a line at the bottom of the terminal that is removed at the end, and that
//! is never shown where a program reads.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing::level_filters::LevelFilter;

use super::Out;

/// What ends sooner than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the line is drawn at least: the time counts on also when nothing arrives.
const TICK: Duration = Duration::from_millis(200);

/// The line; dropping this removes it.
pub struct Progress {
    bar: Option<ProgressBar>,
    failed: u64,
}

impl Out {
    /// Begins to show the progress of `what`, of so many or of an unknown number.
    pub fn progress(&self, what: &str, total: Option<u64>) -> Progress {
        if self.quiet || !can_draw() {
            return Progress { bar: None, failed: 0 };
        }
        let template = match total {
            Some(_) => "{prefix} [{bar:20}] {pos}/{len} {percent}%{pace}{msg}",
            None => "{spinner} {prefix}{tally}, {elapsed}",
        };
        // No colour and no character beyond ASCII: it looks the same in every terminal.
        let style = ProgressStyle::with_template(template)
            .expect("the templates are well formed")
            .with_key("pace", pace)
            .with_key("tally", tally)
            .tick_chars("-\\|/ ")
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        bar.set_style(style);
        bar.set_prefix(what.to_owned());
        let later = bar.downgrade();
        thread::spawn(move || {
            thread::sleep(PATIENCE);
            if let Some(bar) = later.upgrade().filter(|bar| !bar.is_finished()) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(TICK);
            }
        });
        Progress { bar: Some(bar), failed: 0 }
    }
}

impl Progress {
    /// Counts so many more.
    pub fn advance(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(count);
        }
    }

    /// Counts one that failed, of those that are counted already.
    pub fn fail(&mut self) {
        self.failed += 1;
        if let Some(bar) = &self.bar {
            bar.set_message(format!(", {} failed", self.failed));
        }
    }

    /// Shows something else on the terminal, with the line out of its way.
    pub fn around<T>(&self, show: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(show),
            None => show(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Returns true when standard error is a terminal that nothing else writes to: neither traces, nor a program that reads
/// the results and may show them there.
fn can_draw() -> bool {
    let moves_the_cursor = std::env::var_os("TERM").is_some_and(|term| term != "dumb") || cfg!(windows);
    io::stderr().is_terminal() && moves_the_cursor && LevelFilter::current() == LevelFilter::OFF && !is_piped()
}

#[cfg(unix)]
fn is_piped() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    let file = io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|about| about.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_piped() -> bool {
    false
}

/// The rate and the time left, once there is a rate.
fn pace(state: &ProgressState, line: &mut dyn Write) {
    if state.pos() > 0 {
        let digits = if state.per_sec() < 10.0 { 1 } else { 0 };
        let left = indicatif::HumanDuration(state.eta());
        let _ = write!(line, ", {:.digits$}/s, {left:#} left", state.per_sec());
    }
}

/// How many there are so far, once there are any.
fn tally(state: &ProgressState, line: &mut dyn Write) {
    if state.pos() > 0 {
        let _ = write!(line, ": {} so far", state.pos());
    }
}
