//! `mbx completions SHELL`.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::error::Result;
use crate::output::Out;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(out: &Out, args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mbx", &mut script);
    out.text(&String::from_utf8_lossy(&script))
}
