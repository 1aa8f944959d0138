//! `move-records`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::app::MoveRecords;
use crate::cli::output::{OutputOptions, say, say_json};
use crate::cli::sources::{Sources, environment};
use crate::model::Secret;

/// What stands before the name of a variable in place of a URL.
const VARIABLE: &str = "env:";

#[derive(Debug, Args)]
#[group(id = "way", required = true, multiple = false, args = ["to", "from"])]
pub(super) struct MoveRecordsOptions {
    #[command(flatten)]
    sources: Sources,
    /// Bring the records of the data directory to this PostgreSQL database, which must hold none.
    #[arg(long, value_name = "URL|env:NAME")]
    to: Option<String>,
    /// Bring the records of this PostgreSQL database to the data directory, which must hold none.
    #[arg(long, value_name = "URL|env:NAME")]
    from: Option<String>,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(options: &MoveRecordsOptions) -> anyhow::Result<ExitCode> {
    let (way, next) = match (&options.to, &options.from) {
        (Some(url), _) => (
            MoveRecords::To(url_of(url)?),
            "say so with records: { postgres: … } before the next start, and keep records.sqlite \
             elsewhere: it is not read any more",
        ),
        (None, Some(url)) => (
            MoveRecords::From(url_of(url)?),
            "take records: { postgres: … } out before the next start; the database is not read any \
             more",
        ),
        (None, None) => anyhow::bail!("name a database with --to or --from"),
    };
    let moved = app::move_records(&options.sources.setup(), &way)?;
    let tables: Vec<Value> = moved
        .tables
        .iter()
        .map(|table| {
            json!({
                "name": table.name,
                "rows": table.rows,
                "sha256": table.digest.to_hex().to_string(),
            })
        })
        .collect();
    if options.output.json {
        say_json(&json!({ "serial": moved.serial.0, "tables": tables }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for table in &moved.tables {
        say(&format!(
            "{}: {} rows, the same on both sides",
            table.name, table.rows
        ))?;
    }
    say(&format!(
        "moved records up to serial {}; {next}",
        moved.serial
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The URL itself, or what the variable holds that is named instead: others see a command line.
fn url_of(text: &str) -> anyhow::Result<Secret> {
    let Some(name) = text.strip_prefix(VARIABLE) else {
        return Ok(Secret::new(text));
    };
    let url = environment(name).filter(|url| !url.is_empty());
    Ok(Secret::new(url.with_context(|| {
        format!("the variable {name} is not set")
    })?))
}
