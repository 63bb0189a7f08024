//! The program `dagmar` as tests with real processes start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    dagmar_cli::main(&dagmar_cli::wired::House)
}
