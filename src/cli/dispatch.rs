//! Which command the arguments name, and the exit code of one that fails.

use std::process::ExitCode;

use crate::cli::arguments::{Arguments, Command};
use crate::cli::output::say_error;
use crate::cli::{
    approve, backup, cache, check, devpi, devpi_moving, diff, doctor, explain, generated, journal,
    move_records, moving, policy_test, recall, reload, schema, serve, token, warm,
};

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let outcome = match arguments.command {
        Command::Serve(options) => serve::run(options),
        Command::Check(options) => check::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Import(options) => moving::import(options),
        Command::Export(options) => moving::export(&options),
        Command::Backup(options) => backup::backup(&options),
        Command::Restore(options) => backup::restore(&options),
        Command::MoveRecords(options) => move_records::run(&options),
        Command::Token(command) => token::run(&command),
        Command::Warm(options) => warm::run(&options),
        Command::Cache(command) => cache::run(&command),
        Command::Recall(options) => recall::run(&options),
        Command::Reload(options) => reload::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Journal(options) => journal::run(&options),
        Command::Test(options) => policy_test::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Approve(options) => approve::run(&options),
        Command::Completions(options) => generated::completions(&options),
        Command::Man(options) => generated::man(&options),
        Command::Schema(options) => schema::run(&options),
        Command::DevpiInit(options) => devpi::init(&options),
        Command::DevpiServer(options) => devpi::server(*options),
        Command::DevpiImport(options) => devpi_moving::import(*options),
        Command::DevpiExport(options) => devpi_moving::export(*options),
    };
    outcome.unwrap_or_else(|error| {
        say_error(&format!("{error:#}"));
        ExitCode::from(2)
    })
}
