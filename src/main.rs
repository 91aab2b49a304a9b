//! The `cosign` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    cosign::cli::main(std::env::args_os())
}
