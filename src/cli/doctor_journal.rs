//! `doctor --journal`: who asked here for projects and never fetched a file of them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::app;
use crate::app::Setup;
use crate::cli::output::{OutputOptions, code, say, say_json};
use crate::journal::{JournalRow, JournalSubject};
use crate::telemetry::Label as _;

/// Most pairs of client and project that are kept: what is asked for after that is not told.
const PAIRS_MAX: usize = 2_000_000;

/// Most projects that are named of a client, for people.
const NAMED_MAX: usize = 10;

/// What is known of a client and a project.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    is_asked: bool,
    is_fetched: bool,
}

/// Clients, and what each did with each project.
#[derive(Debug, Default)]
struct Clients(BTreeMap<String, BTreeMap<String, Seen>>, usize);

impl Clients {
    fn note(&mut self, row: &JournalRow) {
        // A project that is refused is asked for, and cannot be fetched.
        let Some(project) = row
            .item
            .project
            .as_ref()
            .filter(|_| row.ruling.decision.label() != "deny")
        else {
            return;
        };
        let client = row.client.address.as_deref().unwrap_or("-").to_owned();
        let projects = self.0.entry(client).or_default();
        let project = project.to_string();
        if self.1 >= PAIRS_MAX && !projects.contains_key(&project) {
            return;
        }
        let before = projects.len();
        let seen = projects.entry(project).or_default();
        match row.item.file {
            Some(_) => seen.is_fetched = true,
            None => seen.is_asked = true,
        }
        self.1 += projects.len() - before;
    }

    /// The clients that asked for projects and fetched nothing of them.
    fn findings(self) -> BTreeMap<String, BTreeSet<String>> {
        let mut findings = BTreeMap::new();
        for (client, projects) in self.0 {
            let unfetched = projects
                .into_iter()
                .filter(|(_, seen)| seen.is_asked && !seen.is_fetched);
            let names: BTreeSet<_> = unfetched.map(|(name, _)| name).collect();
            if !names.is_empty() {
                findings.insert(client, names);
            }
        }
        findings
    }
}

pub(super) fn of_journal(
    setup: &Setup,
    since: Duration,
    output: OutputOptions,
) -> anyhow::Result<ExitCode> {
    let mut clients = Clients::default();
    app::read_journal(setup, &JournalSubject::All, Some(since), &mut |row| {
        clients.note(row);
        Ok(())
    })?;
    let findings = clients.findings();
    if output.json {
        let shown = findings.iter().map(|(client, projects)| {
            let client = Some(client).filter(|client| *client != "-");
            json!({ "client": client, "asked_never_fetched": projects })
        });
        say_json(&json!({ "findings": shown.collect::<Vec<_>>() }))?;
        return Ok(code(findings.is_empty()));
    }
    for (client, projects) in &findings {
        let mut names: Vec<_> = projects
            .iter()
            .take(NAMED_MAX)
            .map(String::as_str)
            .collect();
        let more = projects.len().saturating_sub(NAMED_MAX);
        let more_words = format!("{more} more");
        if more > 0 {
            names.push(&more_words);
        }
        let names = names.join(", ");
        say(&format!(
            "finding: {client} asked for {names} and fetched no file of them"
        ))?;
    }
    say(match findings.is_empty() {
        true => "whoever asked for a project also fetched files of it",
        false => "their files may come from another index, or from the client's own cache",
    })?;
    Ok(code(findings.is_empty()))
}
