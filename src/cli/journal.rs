//! `journal`: who got it?

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::cli::output::OutputOptions;
use crate::cli::sources::Sources;
use crate::journal::{JournalRow, JournalSubject};
use crate::model::{ProjectName, Sha256, Version, parse_duration};
use crate::telemetry::Label as _;

#[derive(Debug, Args)]
pub(super) struct JournalOptions {
    #[command(flatten)]
    sources: Sources,
    /// Only this long back (default: everything that is kept).
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
    /// Only this project, or one release of it: NAME or NAME==VERSION.
    #[arg(long, value_name = "NAME", value_parser = project, conflicts_with = "sha256")]
    project: Option<JournalSubject>,
    /// Only files with this digest.
    #[arg(long, value_name = "HEX")]
    sha256: Option<Sha256>,
    #[command(flatten)]
    output: OutputOptions,
}

/// A project, or one of its releases.
fn project(text: &str) -> Result<JournalSubject, String> {
    let (name, version) = match text.split_once("==") {
        Some((name, version)) => (name, Some(version.trim())),
        None => (text, None),
    };
    let name = ProjectName::parse(name.trim()).map_err(|error| error.to_string())?;
    Ok(match version {
        Some(version) => JournalSubject::Release(name, Version::parse(version)),
        None => JournalSubject::Project(name),
    })
}

pub(super) fn run(options: &JournalOptions) -> anyhow::Result<ExitCode> {
    let of = match (&options.project, options.sha256) {
        (Some(project), _) => project.clone(),
        (None, Some(sha256)) => JournalSubject::Sha256(sha256),
        (None, None) => JournalSubject::All,
    };
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let is_json = options.output.json;
    let told = app::read_journal(&options.sources.setup(), &of, options.since, &mut |row| {
        let line = if is_json {
            as_json(row).to_string()
        } else {
            as_text(row)
        };
        Ok(writeln!(output, "{line}")?)
    });
    let told = told.and_then(|()| Ok(output.flush()?));
    let is_cut = |error: &anyhow::Error| {
        let error = error.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    match told {
        // Whoever reads has seen enough.
        Err(error) if is_cut(&error) => Ok(ExitCode::SUCCESS),
        told => told.map(|()| ExitCode::SUCCESS),
    }
}

/// One object a line: there may be millions.
fn as_json(row: &JournalRow) -> Value {
    let (item, client, ruling) = (&row.item, &row.client, &row.ruling);
    json!({
        "time": format!("{:.3}", row.at),
        "times": row.times,
        "decision": ruling.decision.label(),
        "index": ruling.index,
        "project": item.project,
        "version": item.version,
        "file": item.file,
        "sha256": item.sha256.map(|sha256| sha256.to_hex()),
        "client": client.address,
        "user": client.user,
        "token": client.token,
        "rule": ruling.rule,
    })
}

/// For people. What a client chose is escaped.
fn as_text(row: &JournalRow) -> String {
    let (item, client, ruling) = (&row.item, &row.client, &row.ruling);
    let from = client.address.as_deref().unwrap_or("-");
    let mut text = format!("{:.3} {from}", row.at);
    if let Some(user) = &client.user {
        text.push_str(&format!(" {}", user.escape_debug()));
    }
    let what = match (&item.file, &item.project) {
        (Some(file), _) => file.escape_debug().to_string(),
        (None, Some(project)) => format!("{project}/"),
        (None, None) => "further refusals of this client".to_owned(),
    };
    text.push_str(&format!(
        " {} {} {what}",
        ruling.decision.label(),
        ruling.index
    ));
    if row.times > 1 {
        text.push_str(&format!(" x{}", row.times));
    }
    if let Some(rule) = &ruling.rule {
        text.push_str(&format!(" by {}", rule.escape_debug()));
    }
    text
}
