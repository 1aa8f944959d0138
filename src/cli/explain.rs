//! `explain`: what each layer and rule makes of a file or a requirement.
//!
//! It reads the data directory, so it explains what is held. A project that nobody asked for yet is asked for,
//! through the running server or else from here; with `--offline`, or `offline: true`, nothing is, and rules on
//! a name alone are explained all the same.

use std::process::ExitCode;

use clap::Args;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::app;
use crate::cli::output::{OutputOptions, code, say, say_json};
use crate::cli::running::reading;
use crate::cli::sources::Sources;
use crate::config::Loaded;
use crate::model::{Filename, IndexName, Requirement, Version};
use crate::policy::TraceLine;
use crate::reader::{Explanation, Question};

#[derive(Debug, Args)]
pub(super) struct ExplainOptions {
    #[command(flatten)]
    sources: Sources,
    /// The asked index, as user/index.
    index: String,
    /// A requirement (`six==1.16.0`), a file name, or the URL of a file.
    subject: String,
    /// Explain what a server does that was started with --offline, and ask no upstream for a project that
    /// nobody asked for yet.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(options: &ExplainOptions) -> anyhow::Result<ExitCode> {
    let index = IndexName::parse(&options.index)?;
    let mut setup = options.sources.setup();
    setup.overrides.offline = options.offline;
    let question = question(&options.subject)?;
    let explanation = app::explain(&setup, &index, &question, &ask_server)?;
    if options.output.json {
        say_json(&as_json(&explanation))?;
    } else {
        print(&index, &question, &explanation)?;
    }
    let is_served = explanation.files.iter().all(|file| file.is_allowed);
    Ok(code(is_served && !explanation.files.is_empty()))
}

/// Asks the running server for the project's page, so that it fetches and keeps it.
fn ask_server(loaded: &Loaded, index: &IndexName, question: &Question) -> anyhow::Result<()> {
    let path = format!("{index}/+simple/{}/", question.project);
    reading(&loaded.config, &path)
}

/// A URL or a file name asks about that file; anything else is a requirement.
fn question(subject: &str) -> anyhow::Result<Question> {
    let plain = subject.split(['#', '?']).next().unwrap_or(subject);
    let last = plain.rsplit('/').next().unwrap_or(plain);
    let filename = percent_decode_str(last).decode_utf8()?.into_owned();
    let filename = filename.strip_suffix(".metadata").unwrap_or(&filename);
    if let Some(project) = Filename::projects(filename).into_iter().next() {
        let filename = Some(filename.to_owned());
        return Ok(Question {
            project,
            filename,
            versions: None,
        });
    }
    let Requirement { project, versions } = Requirement::parse(subject)?;
    Ok(Question {
        project,
        filename: None,
        versions,
    })
}

fn print(index: &IndexName, question: &Question, explanation: &Explanation) -> std::io::Result<()> {
    say(&format!("{} through {index}", question.project))?;
    for line in &explanation.project {
        say(&format!("  {line}"))?;
    }
    for file in &explanation.files {
        let verdict = if file.is_allowed { "served" } else { "refused" };
        say(&format!("{} of {}: {verdict}", file.filename, file.owner))?;
        for line in &file.rules {
            say(&format!("  {line}"))?;
        }
    }
    say(&explanation.outcome)
}

fn as_json(explanation: &Explanation) -> Value {
    let line = |line: &TraceLine| {
        json!({
            "member": line.member.as_str(),
            "layer": line.layer.as_str(),
            "policy": line.policy,
            "location": line.location.as_ref().map(ToString::to_string),
            "rule": line.name,
            "words": line.words,
            "outcome": line.outcome.as_str(),
            "why": line.why,
        })
    };
    let lines = |lines: &[TraceLine]| lines.iter().map(line).collect::<Vec<_>>();
    let files: Vec<_> = explanation
        .files
        .iter()
        .map(|file| {
            json!({
                "filename": file.filename,
                "owner": file.owner.as_str(),
                "served": file.is_allowed,
                "rules": lines(&file.rules),
            })
        })
        .collect();
    json!({
        "project": lines(&explanation.project),
        "note": explanation.note,
        "files": files,
        "taken": explanation.taken.as_ref().map(Version::as_str),
        "outcome": explanation.outcome,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_files_and_requirements_are_told_apart() {
        let table = [
            ("six", "six", None, None),
            ("Six == 1.16.0", "six", None, Some("==1.16.0")),
            (
                "fastapi[standard]>=0.1; python_version<'4'",
                "fastapi",
                None,
                Some(">=0.1"),
            ),
            ("six-1.16.0.tar.gz", "six", Some("six-1.16.0.tar.gz"), None),
            (
                "http://h/u/i/+f/abc/0123456789abc/a_b-1%2Bl-py3-none-any.whl#sha256=00",
                "a-b",
                Some("a_b-1+l-py3-none-any.whl"),
                None,
            ),
        ];
        for (subject, project, filename, versions) in table {
            let question = question(subject).unwrap();
            assert_eq!(question.project.as_str(), project, "{subject}");
            assert_eq!(question.filename.as_deref(), filename, "{subject}");
            let found = question.versions.map(|versions| versions.to_string());
            assert_eq!(found.as_deref(), versions, "{subject}");
        }
        assert!(question("==1").is_err());
        assert!(question("six ~ 1").is_err());
    }
}
