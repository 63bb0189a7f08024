//! The program `dagmar`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dagmar_cli::main(&dagmar_cli::house::House)
}
