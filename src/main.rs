//! The `mbx` command; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mbx::run(std::env::args_os())
}
