//! What comes out: a table for people, a line of JSON for every point, and a curve for each axis.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::axis::Axis;
use super::chart;
use super::rounds::{Curve, Measure, Spread};
use crate::rig::arguments::Arguments;
use crate::rig::numbers::{commit, figure, machine};

/// The outcome of one run.
#[derive(Debug)]
pub(crate) struct Report {
    commit: String,
    text: String,
    lines: File,
    folders: Vec<PathBuf>,
}

/// A point as a line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    commit: &'a str,
    axis: &'static str,
    measure: Measure,
    unit: &'static str,
    size: usize,
    figures: &'a [f64],
    costs: &'a [f64],
}

impl Report {
    /// Notes what is measured, where and how.
    pub(crate) fn begin(
        results: &Path,
        into_docs: bool,
        arguments: &Arguments,
    ) -> anyhow::Result<Self> {
        let commit = commit();
        let path = results.join(format!("{commit}.jsonl"));
        let lines = File::create(&path).with_context(|| format!("write {}", path.display()))?;
        let mut text = format!(
            "growth, commit {commit}, {} rounds of {} s, {}\n\n",
            arguments.rounds,
            arguments.seconds,
            machine()
        );
        if cfg!(debug_assertions) {
            text.push_str("**A debug build: these figures say nothing.**\n\n");
        }
        text.push_str("| axis | measured | size | figure (rounds) | cost beside the smallest |\n");
        text.push_str("|---|---|---|---|---|\n");
        let mut folders = vec![results.to_owned()];
        if into_docs {
            folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images"));
        }
        Ok(Self {
            commit,
            text,
            lines,
            folders,
        })
    }

    /// Adds an axis and writes its figures and its curves.
    pub(crate) fn add(&mut self, axis: Axis, curves: &[Curve]) -> anyhow::Result<()> {
        for curve in curves {
            for (at, size) in curve.sizes.iter().enumerate() {
                let costs = curve.costs(at);
                let row = row(axis, curve, at, &costs);
                eprintln!("  {row}");
                let _ = writeln!(self.text, "{row}");
                let line = Line {
                    commit: &self.commit,
                    axis: axis.name(),
                    measure: curve.measure,
                    unit: curve.measure.unit(),
                    size: *size,
                    figures: curve.figures(at),
                    costs: &costs,
                };
                writeln!(self.lines, "{}", serde_json::to_string(&line)?)?;
            }
        }
        let png = chart::draw(axis, curves)?;
        for folder in &self.folders {
            let path = folder.join(format!("growth-{}.png", axis.slug()));
            let write = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &png));
            write.with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// The table.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

fn row(axis: Axis, curve: &Curve, at: usize, costs: &[f64]) -> String {
    let (figures, costs) = (Spread::of(curve.figures(at)), Spread::of(costs));
    format!(
        "| {} | {} | {} | {} {} ({}–{}) | **{:.2}** ({:.2}–{:.2}) |",
        axis.name(),
        curve.measure.name(),
        curve.sizes[at],
        figure(figures.median),
        curve.measure.unit(),
        figure(figures.least),
        figure(figures.most),
        costs.median,
        costs.least,
        costs.most
    )
}
