//! `reload`: has the running server read its configuration again, and says what is wrong with it.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::output::{OutputOptions, code, say, say_json};
use crate::cli::running::{Running, RunningOptions};
use crate::cli::sources::Sources;
use crate::config::Named;

#[derive(Debug, Args)]
pub(super) struct ReloadOptions {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    running: RunningOptions,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(options: &ReloadOptions) -> anyhow::Result<ExitCode> {
    // What is wrong in the files is for the server to say, which may read others; only the doors count here.
    let (loaded, _) = options
        .sources
        .setup()
        .load_what_can_be(&mut Named::default());
    let running = Running::of(&loaded.config, &options.running)?;
    let answered = running.post("+reload", None);
    let answered = answered.map_err(|error| options.running.explained(&loaded.config, error))?;
    let faults: Vec<&str> = match answered.is_done {
        true => Vec::new(),
        false => answered.message().lines().collect(),
    };
    let generation = &answered.result()["generation"];
    if options.output.json {
        say_json(&json!({ "generation": generation, "faults": faults }))?;
    } else if answered.is_done {
        say(&format!("generation {generation} is in force"))?;
    } else {
        for fault in &faults {
            say(fault)?;
        }
        let counted = match faults.len() {
            1 => "1 fault".to_owned(),
            more => format!("{more} faults"),
        };
        say(&format!("{counted}: what was in force stays in force"))?;
    }
    Ok(code(answered.is_done))
}
