//! The output: a markdown table for people, and every round as JSON under `target/side_by_side`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::figures::{Floor, Row};
use super::options::Options;
use super::stage::Stage;
use crate::rig::numbers::{commit, figure, machine, median};
use crate::rig::turns::are_disturbed;

/// The outcome of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    commit: String,
    machine: String,
    nginx: String,
    subject: &'static str,
    rounds: usize,
    seconds: u32,
    rows: Vec<Row>,
    #[serde(skip)]
    path: PathBuf,
}

impl Report {
    /// Notes what is measured, where and how.
    pub(crate) fn begin(options: &Options, stage: &Stage) -> anyhow::Result<Self> {
        let commit = commit();
        let subject = if options.calibrate {
            "nginx"
        } else {
            "cheesecloth"
        };
        let kind = if options.calibrate { "calibrate-" } else { "" };
        let path = stage.results().join(format!("{kind}{commit}.json"));
        Ok(Self {
            commit,
            machine: machine(),
            nginx: stage.tools.nginx_version()?,
            subject,
            rounds: options.rounds,
            seconds: options.seconds,
            rows: Vec::new(),
            path,
        })
    }

    /// Adds rows and writes everything so far.
    pub(crate) fn add(&mut self, rows: Vec<Row>) -> anyhow::Result<()> {
        for row in &rows {
            eprintln!("  {}", line(row));
            for broken in &row.broken {
                eprintln!("    {broken}");
            }
        }
        self.rows.extend(rows);
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&self.path, text).with_context(|| format!("write {}", self.path.display()))
    }

    /// What was measured so far.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where the raw figures are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{} against {}, commit {}, {} rounds of {} s, {}\n\n",
            self.subject, self.nginx, self.commit, self.rounds, self.seconds, self.machine
        );
        if cfg!(debug_assertions) {
            text.push_str("**A debug build: these figures say nothing.**\n\n");
        }
        let subject = if self.subject == "nginx" {
            "second nginx"
        } else {
            "ours"
        };
        let _ = writeln!(
            text,
            "| scenario | nginx | {subject} | ratio (rounds) | per CPU | floor | |"
        );
        text.push_str("|---|---|---|---|---|---|---|\n");
        for row in &self.rows {
            text.push_str(&line(row));
            text.push('\n');
        }
        for row in self
            .rows
            .iter()
            .filter(|row| !row.notes.is_empty() || !row.broken.is_empty())
        {
            for note in row.broken.iter().chain(&row.notes) {
                let _ = write!(text, "\n- {}: {note}", row.scenario);
            }
        }
        text
    }
}

/// One line of the table.
fn line(row: &Row) -> String {
    if row.is_failed() {
        return format!("| {} | – | – | – | – | – | failed |", row.scenario);
    }
    let peers: Vec<String> = row
        .peers
        .iter()
        .zip(row.peer_figures())
        .map(|(name, value)| match *name {
            "nginx" => figure(value),
            other => format!("{} ({other})", figure(value)),
        })
        .collect();
    let peers = if peers.is_empty() {
        "–".to_owned()
    } else {
        peers.join(", ")
    };
    let ours = format!("{} {}", figure(row.ours()), row.unit);
    let ratios = row.ratios();
    let least = ratios.iter().copied().reduce(f64::min);
    let most = ratios.iter().copied().reduce(f64::max);
    let ratio = match (row.ratio(), least, most) {
        (Some(ratio), Some(least), Some(most)) => format!("**{ratio:.2}** ({least:.2}–{most:.2})"),
        _ => "–".to_owned(),
    };
    let outcome = match (are_disturbed(&row.turns), row.holds()) {
        (true, _) => "disturbed",
        (false, true) => "ok",
        (false, false) => "below",
    };
    let per_cpu = if row.per_cpu.is_empty() {
        "–".to_owned()
    } else {
        format!("{:.2}", median(row.per_cpu.iter().copied()))
    };
    let floor = floor(row.floor, row.unit);
    format!(
        "| {} | {peers} | {ours} | {ratio} | {per_cpu} | {floor} | {outcome} |",
        row.scenario
    )
}

fn floor(floor: Floor, unit: &str) -> String {
    match floor {
        Floor::RatioAtLeast(least) => format!("≥ {least}"),
        Floor::RatioAtMost(most) => format!("≤ {most}"),
        Floor::RatioWithin(part) => format!("1 ± {} %", (part * 100.0).round()),
        Floor::FigureAtMost(most) => format!("≤ {} {unit}", figure(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Better, Round};
    use super::*;
    use crate::rig::load::Turn;

    #[test]
    fn a_row_reads_as_a_line_of_the_table() {
        let mut row = Row {
            scenario: "1 MB file".to_owned(),
            unit: "MB/s",
            better: Better::High,
            peers: vec!["nginx", "no sendfile"],
            rounds: vec![
                Round {
                    peers: vec![2000.0, 3500.0],
                    ours: 4200.0,
                },
                Round {
                    peers: vec![2000.0, 3500.0],
                    ours: 3850.0,
                },
                Round {
                    peers: vec![2000.0, 3500.0],
                    ours: 4025.0,
                },
            ],
            floor: Floor::RatioAtLeast(1.0),
            per_cpu: vec![0.9, 1.3, 1.2],
            turns: Vec::new(),
            notes: Vec::new(),
            broken: Vec::new(),
        };
        let plain = |row: &Row| line(row).replace('\u{202f}', " ");
        insta::assert_snapshot!(plain(&row), @"| 1 MB file | 2 000, 3 500 (no sendfile) | 4 025 MB/s | **1.15** (1.10–1.20) | 1.20 | ≥ 1 | ok |");
        row.floor = Floor::RatioAtLeast(1.2);
        assert!(plain(&row).ends_with("| ≥ 1.2 | below |"));
        let turn = Turn {
            requests: 1.0,
            bytes: 1.0,
            seconds: 1.0,
            cpu_seconds: 1.0,
            p50: 0.0,
            p99: 0.0,
            disturbed: 0.5,
        };
        row.turns = vec![vec![turn]];
        assert!(plain(&row).ends_with("| disturbed |"));
        row.turns.clear();
        row.per_cpu.clear();
        row.peers.clear();
        row.rounds = vec![Round {
            peers: vec![],
            ours: 0.21,
        }];
        row.unit = "s";
        row.floor = Floor::FigureAtMost(1.0);
        insta::assert_snapshot!(plain(&row), @"| 1 MB file | – | 0.210 s | – | – | ≤ 1.00 s | ok |");
        let failed = Row::failed("1 MB file", &anyhow::anyhow!("the answer is 503"));
        insta::assert_snapshot!(plain(&failed), @"| 1 MB file | – | – | – | – | – | failed |");
        assert_eq!(failed.broken, ["not measured: the answer is 503"]);
    }
}
