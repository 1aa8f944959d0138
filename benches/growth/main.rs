//! `cargo bench --bench growth`: what becomes of a hot page, of an upload and of the first page after a
//! change when there is more of something.
//!
//! Along each axis stand gateways of different sizes, side by side and measured in turns: a point is what
//! it costs beside the smallest one of its round. `docs/performance.md` says what is asked;
//! `-- --help` lists options and axes.

#![expect(clippy::print_stdout, reason = "the table goes to stdout")]

mod axis;
mod canvas;
mod chart;
mod point;
mod report;
mod rounds;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use crate::rig::arguments::Arguments;
use crate::rig::content::Content;
use crate::rig::load::{self, Load};
use crate::rig::origin::Origin;
use crate::rig::process::{Cores, allow_many_connections};
use crate::rig::tools::{Tools, target};

use axis::Axis;
use point::House;
use report::Report;

/// Rounds of an ordinary run, and seconds of load in each turn.
const ROUNDS: usize = 5;
const SECONDS: u32 = 1;

/// How often at most a turn is taken that others disturb: there are many, and a point is compared with
/// its neighbour in time.
const ATTEMPTS: usize = 2;

/// Puts the curves where `docs/performance.md` shows them.
const INTO_DOCS: &str = "--docs";

pub(crate) fn main() -> ExitCode {
    let arguments = match read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{}", help());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error:#}\n\n{}", help());
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line; nothing when help was asked for.
fn read(arguments: impl Iterator<Item = String>) -> anyhow::Result<Option<Arguments>> {
    let read = Arguments::usual(ROUNDS, SECONDS).read(arguments, &[INTO_DOCS])?;
    if let Some(read) = &read {
        let chosen = Axis::ALL.iter().any(|axis| read.wants(axis.name()));
        anyhow::ensure!(chosen, "no axis is called {:?}", read.wanted.join(" "));
    }
    Ok(read)
}

fn help() -> String {
    let mut text = format!(
        "cargo bench --bench growth -- [OPTIONS] [PART OF AN AXIS' NAME]...\n\n\
        \x20 --quick        two points of each axis, one round of one second: shows that it works\n\
        \x20 --rounds N     rounds per axis ({ROUNDS})\n\
        \x20 --seconds S    seconds of load per point and round ({SECONDS})\n\
        \x20 {INTO_DOCS}         writes the curves into docs/images, too\n\n\
        axes:\n"
    );
    for axis in Axis::ALL {
        text.push_str(&format!("  {}\n", axis.name()));
    }
    text
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(cores) = Cores::chosen() else {
        return Cores::choose()?.take();
    };
    allow_many_connections()?;
    let target = target()?;
    let results = target.join("growth");
    fs::create_dir_all(&results)?;
    let tools = Tools::find(&target)?;
    let scratch = tempfile::Builder::new()
        .prefix("run-")
        .tempdir_in(&results)?;
    load::prepare(scratch.path())?;
    let origin = Origin::start(Arc::new(Content::small()))?;
    let load = Load {
        tools: &tools,
        cores,
        folder: scratch.path(),
        seconds: arguments.seconds,
        rounds: arguments.rounds,
        attempts: if arguments.quick { 1 } else { ATTEMPTS },
    };
    let house = House {
        folder: scratch.path(),
        origin: &origin,
        cores,
    };
    let into_docs = arguments.switches.iter().any(|switch| switch == INTO_DOCS);
    let mut report = Report::begin(&results, into_docs, arguments)?;
    let mut failed = 0;
    for axis in Axis::ALL {
        if !arguments.wants(axis.name()) {
            continue;
        }
        eprintln!("· {}", axis.name());
        let sizes = axis.sizes();
        let sizes = if arguments.quick { &sizes[..2] } else { sizes };
        // What one axis cannot have is no reason to go without the others.
        match rounds::measure(axis, sizes, &house, load) {
            Ok(curves) => report.add(axis, &curves).context("write the figures")?,
            Err(error) => {
                failed += 1;
                eprintln!("  not measured: {error:#}");
            }
        }
    }
    println!("{}", report.text());
    eprintln!("figures and curves: {}", results.display());
    anyhow::ensure!(failed == 0, "{failed} axes could not be measured");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str]) -> Vec<&'static str> {
        let read = read(words.iter().map(|word| (*word).to_owned()));
        let arguments = read.unwrap().unwrap();
        let all = Axis::ALL.iter().map(|axis| axis.name());
        all.filter(|name| arguments.wants(name)).collect()
    }

    #[test]
    fn words_choose_axes() {
        assert_eq!(chosen(&["--bench"]).len(), Axis::ALL.len());
        assert_eq!(chosen(&["RULES", "white"]), ["rules", "whitelist entries"]);
        for wrong in [&["no such axis"][..], &["--fast"], &["--rounds", "0"]] {
            assert!(read(wrong.iter().map(|word| (*word).to_owned())).is_err());
        }
    }

    #[test]
    fn help_names_every_axis() {
        let help = help();
        assert!(Axis::ALL.iter().all(|axis| help.contains(axis.name())));
    }

    #[test]
    fn an_axis_spans_two_orders_of_magnitude_where_there_are_so_many() {
        for axis in Axis::ALL {
            let sizes = axis.sizes();
            assert!((4..=6).contains(&sizes.len()), "{}", axis.name());
            assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
            let least = if axis == Axis::Indexes { 50 } else { 100 };
            assert!(
                sizes[sizes.len() - 1] >= least * sizes[0],
                "{}",
                axis.name()
            );
        }
    }
}
