//! The `quipu` command.

use std::process::ExitCode;

/// An answer is made of many short texts, which come and go on several threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quipu::cli::main()
}
