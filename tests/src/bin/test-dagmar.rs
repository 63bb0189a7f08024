//! The program `dagmar` as tests with real processes start it.

use std::process::ExitCode;

#[cfg(not(dagmar_mutants))]
fn main() -> ExitCode {
    dagmar_cli::main(&dagmar_cli::house::House)
}

/// Mutants live in the simulator alone.
#[cfg(dagmar_mutants)]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
