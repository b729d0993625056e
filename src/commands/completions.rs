//! `mbx completions SHELL`.

use crate::error::Result;
use crate::output::Out;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script that completes `command`.
pub(crate) fn run(out: &Out, args: &Args, command: &mut clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "mbx", &mut script);
    out.text(&String::from_utf8_lossy(&script))
}
