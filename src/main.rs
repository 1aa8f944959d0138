//! The cheesecloth program.

use std::process::ExitCode;

fn main() -> ExitCode {
    cheesecloth::main()
}
