//! The command line: what may be typed, and which exit code it ends with.
//!
//! 0 is success, 1 findings, 2 a usage or configuration fault (product.md §9).

mod arguments;
mod check;
mod devpi;
mod devpi_configfile;
mod devpi_others;
mod explain;
mod serve;
mod token;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match devpi_configfile::put_in(spelled(std::env::args_os())) {
        Ok(arguments) => Arguments::parse_from(arguments),
        Err(error) => {
            say_error(&format!("{error:#}"));
            return ExitCode::from(2);
        }
    };
    let outcome = match arguments.command {
        Command::Serve(options) => serve::run(options),
        Command::Check(options) => check::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Token(command) => token::run(&command),
        Command::Schema => schema(),
        Command::DevpiInit(options) => devpi::init(&options),
        Command::DevpiServer(options) => devpi::serve(options),
    };
    outcome.unwrap_or_else(|error| {
        say_error(&format!("{error:#}"));
        ExitCode::from(2)
    })
}

/// Started under the name of a program it replaces, that name is the command.
fn spelled(mut arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program)
        .file_name()
        .unwrap_or_default()
        .to_owned();
    let command = ["devpi-init", "devpi-server"]
        .iter()
        .find(|one| name == **one);
    let command = command.map(OsString::from);
    [program]
        .into_iter()
        .chain(command)
        .chain(arguments)
        .collect()
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
