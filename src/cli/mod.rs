//! The command line: what may be typed, and which exit code it ends with.
//!
//! 0 is success, 1 findings, 2 a usage or configuration fault (product.md §9).

mod arguments;
mod check;
mod explain;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Serve(options) => serve::run(options),
        Command::Check(options) => check::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Schema => schema(),
    };
    outcome.unwrap_or_else(|error| {
        say_error(&format!("{error:#}"));
        ExitCode::from(2)
    })
}

fn schema() -> anyhow::Result<ExitCode> {
    say(&serde_json::to_string_pretty(&crate::config::schema())?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes lines to standard output; a closed pipe ends the program quietly.
fn say(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}

/// Writes lines to standard error.
fn say_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
