//! `schema`: what editors complete and check configurations by.

use std::process::ExitCode;

use clap::Args;

use crate::cli::output::say_json;
use crate::config::{schema, tests_schema};

#[derive(Debug, Args)]
pub(super) struct SchemaOptions {
    /// Print that of files of tests instead, which `test` runs.
    #[arg(long)]
    tests: bool,
}

pub(super) fn run(options: &SchemaOptions) -> anyhow::Result<ExitCode> {
    say_json(&match options.tests {
        true => tests_schema(),
        false => schema(),
    })?;
    Ok(ExitCode::SUCCESS)
}
