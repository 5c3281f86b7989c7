//! The `quipu` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    quipu::cli::main()
}
