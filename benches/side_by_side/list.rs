//! The list of all projects when nobody has requested it yet: when its first byte arrives, and when
//! all of it.
//!
//! Every round has a gateway without any data, and a key that nginx has not cached. The origin has
//! the list ready, so the measurement is what a server adds.

use std::net::SocketAddr;

use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::stage::Stage;
use crate::rig::asking::{JSON, succeed};
use crate::rig::content::WHOLE_LIST;
use crate::rig::gateway::MIRROR;
use crate::rig::numbers::median;
use crate::rig::plain::{Answer, Request, fetch};

/// Milliseconds to the first byte, and to the last.
const FIRST_BYTE_MS: f64 = 100.0;
const WHOLE_MS: f64 = 500.0;

/// Measures both, requested with gzip as installers do. The figures without gzip are in the notes.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    stage.content.whole_list();
    let name = Scenario::ProjectList.name();
    let row = |what: &str, most| Row {
        peers: vec!["nginx"],
        ..Row::new(
            format!("{name}: {what}"),
            "ms",
            Better::Low,
            Floor::FigureAtMost(most),
        )
    };
    let mut first_byte = row("first byte", FIRST_BYTE_MS);
    let mut whole = row("whole", WHOLE_MS);
    let mut identity = Vec::new();
    for round in 0..stage.options.rounds {
        let [theirs, ours] = ask_both(stage, &format!("gzip-{round}"), true)?;
        first_byte.rounds.push(Round {
            peers: vec![theirs.first_byte.as_secs_f64() * 1e3],
            ours: ours.first_byte.as_secs_f64() * 1e3,
        });
        whole.rounds.push(Round {
            peers: vec![theirs.elapsed.as_secs_f64() * 1e3],
            ours: ours.elapsed.as_secs_f64() * 1e3,
        });
        identity.push(ask_both(stage, &format!("identity-{round}"), false)?);
    }
    let figure = |server: usize, time: fn(&Answer) -> f64| {
        median(identity.iter().map(|answers| time(&answers[server]))) * 1e3
    };
    let note = |time: fn(&Answer) -> f64| {
        let (theirs, ours) = (figure(0, time), figure(1, time));
        format!("without gzip {ours:.0} ms, nginx {theirs:.0} ms")
    };
    first_byte
        .notes
        .push(note(|answer| answer.first_byte.as_secs_f64()));
    whole
        .notes
        .push(note(|answer| answer.elapsed.as_secs_f64()));
    Ok(vec![first_byte, whole])
}

fn ask_both(stage: &Stage, round: &str, gzip: bool) -> anyhow::Result<[Answer; 2]> {
    let gateway = stage
        .launch(&format!("list-{round}"))
        .upstream(WHOLE_LIST)
        .start()?;
    let ask = |address: SocketAddr, path: String| {
        let request = Request::new(path).header("Accept", JSON);
        let request = if gzip {
            request.header("Accept-Encoding", "gzip")
        } else {
            request
        };
        succeed(fetch(address, &request)?)
    };
    let theirs = ask(stage.nginx.proxy(), format!("{WHOLE_LIST}?{round}"))?;
    let ours = ask(gateway.public(), format!("/{MIRROR}/+simple/"))?;
    gateway.stop();
    Ok([theirs, ours])
}
