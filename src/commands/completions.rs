//! `mbx completions SHELL`.

use clap::CommandFactory;

use crate::app::App;
use crate::cli::Cli;
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(app: &App, args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mbx", &mut script);
    app.out.text(&String::from_utf8_lossy(&script))
}
