//! How much memory is resident once the whole project list and 5,000 pages were requested, with a
//! cache of 256 MiB.

use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::stage::Stage;
use crate::rig::asking::succeed;
use crate::rig::gateway::MIRROR;
use crate::rig::plain::{Request, fetch};

/// Pages requested, each in the form that today's pip and uv prefer.
const PAGES: usize = 5000;

/// Pages between two checks: the highest value counts, not the last.
const LOOK_EVERY: usize = 250;

/// `cache.memory` as it is configured here, plus 100 MiB for everything else, in MiB.
const MOST_MIB: f64 = 256.0 + 100.0;

const MIB: f64 = 1_048_576.0;

/// Measures a separate gateway.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Row> {
    let gateway = stage.launch("memory").start()?;
    let json = "application/vnd.pypi.simple.v1+json";
    let ask = |path: String| {
        let request = Request::new(path)
            .header("Accept", json)
            .header("Accept-Encoding", "gzip");
        succeed(fetch(gateway.public(), &request)?)
    };
    let look = || gateway.server().resident_bytes();
    let at_start = look()?;
    ask(format!("/{MIRROR}/+simple/"))?;
    let mut most = look()?;
    let with_list = most;
    for number in 0..PAGES {
        ask(format!("/{MIRROR}/+simple/page-{number}/"))?;
        if (number + 1) % LOOK_EVERY == 0 {
            most = most.max(look()?);
        }
    }
    let last = look()?;
    gateway.stop();
    Ok(Row {
        scenario: Scenario::Memory.name(),
        unit: "MiB",
        better: Better::Low,
        peers: Vec::new(),
        rounds: vec![Round {
            peers: Vec::new(),
            ours: most.max(last) / MIB,
        }],
        floor: Floor::FigureAtMost(MOST_MIB),
        per_cpu: Vec::new(),
        turns: Vec::new(),
        notes: vec![format!(
            "{:.0} MiB at start, {:.0} after the project list, {:.0} at the end",
            at_start / MIB,
            with_list / MIB,
            last / MIB
        )],
        broken: Vec::new(),
    })
}
