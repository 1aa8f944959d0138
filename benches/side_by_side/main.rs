//! `cargo bench --bench side_by_side`: cheesecloth and nginx over the same bytes, in turns, as
//! ratios.
//!
//! Everything is prepared here: nginx and wrk come from the distribution, pages and files are
//! generated, and an origin on loopback plays the upstream. The servers have one core, the load and
//! the origin another. `docs/performance.md` explains what is measured and why; `-- --help` lists
//! options and scenarios. A figure from one machine says little: both servers vary with whatever
//! else the machine does. Only ratios from the same round are compared, and the table shows their
//! median.

#![expect(clippy::print_stdout, reason = "the table goes to stdout")]

mod closure;
mod cold;
pub(crate) mod figures;
mod hot;
mod list;
mod many;
mod memory;
mod nginx;
pub(crate) mod options;
mod outage;
mod paced;
pub(crate) mod report;
pub(crate) mod resources;
pub(crate) mod stage;
mod start;
mod two_cores;
mod uploads;

use std::process::ExitCode;

use figures::Row;
use options::{Options, Scenario};
use report::Report;
use stage::Stage;

use crate::rig::process::Cores;

pub(crate) fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::help());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error:#}\n\n{}", options::help());
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side_by_side: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let Some(cores) = Cores::chosen() else {
        return Cores::choose()?.take();
    };
    let stage = Stage::set(options, cores)?;
    let mut report = Report::begin(options, &stage)?;
    for scenario in Scenario::all() {
        if !options.wants(&scenario) {
            continue;
        }
        eprintln!("· {}", scenario.name());
        // A row that fails must not prevent the others.
        let rows = measure(&scenario, &stage, report.rows())
            .unwrap_or_else(|error| vec![Row::failed(scenario.name(), &error)]);
        // Written after each row, so that a run that breaks off leaves what it has.
        report.add(rows)?;
    }
    println!("{}", report.markdown());
    eprintln!("raw figures: {}", report.path().display());
    let failed = report.rows().iter().filter(|row| row.is_failed()).count();
    anyhow::ensure!(failed == 0, "{failed} rows could not be measured");
    Ok(())
}

/// `done` are the rows measured so far.
fn measure(scenario: &Scenario, stage: &Stage, done: &[Row]) -> anyhow::Result<Vec<Row>> {
    match scenario {
        Scenario::Hot(hot) => hot::measure(hot, stage).map(|row| vec![row]),
        Scenario::SmallPages => hot::measure_small_pages(stage, done).map(|row| vec![row]),
        Scenario::Policy => hot::measure_policy(stage).map(|row| vec![row]),
        Scenario::TwoCores => two_cores::measure(stage),
        Scenario::Paced => paced::measure(stage).map(|row| vec![row]),
        Scenario::Outage(outage) => outage::measure(outage, stage).map(|row| vec![row]),
        Scenario::ColdPage => cold::measure_page(stage),
        Scenario::ColdLargePage => cold::measure_large_page(stage),
        Scenario::ProjectList => list::measure(stage),
        Scenario::ColdFile { clients } => cold::measure_file(stage, *clients),
        Scenario::ManyFiles => many::measure(stage).map(|row| vec![row]),
        Scenario::Closure => closure::measure(stage).map(|row| vec![row]),
        Scenario::ColdClosure { install } => {
            closure::measure_cold(stage, *install).map(|row| vec![row])
        }
        Scenario::Uploads => uploads::measure(stage),
        Scenario::Memory => memory::measure(stage).map(|row| vec![row]),
        Scenario::Start => start::measure(stage).map(|row| vec![row]),
    }
}
