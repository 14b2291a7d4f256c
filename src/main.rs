//! The `edgespan` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    edgespan::cli::main(std::env::args_os())
}
