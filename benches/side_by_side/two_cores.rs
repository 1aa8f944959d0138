//! Two serving threads compared with nginx's two workers, and with one thread.
//!
//! With only two cores, the load has to share them with the servers: a second thread then cannot
//! double a rate, whoever serves. What a second of processor time does (per CPU) must not fall: it
//! would if the threads had to wait for each other at a lock or a counter.

use std::net::SocketAddr;

use super::figures::{Better, Floor, Round, Row};
use super::hot::{middle, same_answer, small_pages};
use super::nginx::Nginx;
use super::options::Scenario;
use super::resources::{Page, Resource, ask_page};
use super::stage::Stage;
use crate::rig::gateway::{Gateway, MIRROR};
use crate::rig::load::{Shape, Turn};
use crate::rig::numbers::median;
use crate::rig::plain::{Request, fetch};
use crate::rig::turns::{Contender, alternate, per_cpu, whole_answers};

/// Connections, half of them for each thread of the load.
const CONNECTIONS: usize = 64;

const SHAPE: Shape = Shape {
    connections: CONNECTIONS,
    tls: false,
    both_cores: true,
};

/// A note for every row.
const SHARED: &str = "the load shares both cores with the servers";

/// Measures the four forms of the small page, their median, and two cores against one.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let gateway = stage.launch("two").on_both_cores().start()?;
    let nginx = stage.nginx_before("nginx-two", &stage.origin, 2)?;
    let name = Scenario::TwoCores.name();
    let mut rows = Vec::new();
    for page in small_pages() {
        let scenario = format!("{name}: {}", page.name());
        rows.push(measure_form(stage, scenario, (&gateway, &nginx), page)?);
    }
    let mut middle = middle(
        format!("{name}: small page, median of the four forms"),
        &rows,
    );
    middle.notes.push(SHARED.to_owned());
    rows.push(middle);
    rows.push(measure_second(stage, &gateway, &nginx)?);
    Ok(rows)
}

fn measure_form(
    stage: &Stage,
    scenario: String,
    (gateway, nginx): (&Gateway, &Nginx),
    page: Page,
) -> anyhow::Result<Row> {
    let (own, theirs) = (ask_page(MIRROR, page), Resource::Page(page).ask_nginx());
    let expected = same_answer(
        (&|request| fetch(nginx.sendfile(), request), &theirs),
        (&|request| fetch(gateway.public(), request), &own),
    )?;
    let worker = |name, address: SocketAddr| Contender {
        name,
        server: nginx.server(),
        address,
        request: theirs.clone(),
    };
    let contenders = [
        threads("ours", gateway, &own),
        worker("nginx", nginx.sendfile()),
        worker("sendfile off", nginx.buffers()),
    ];
    let figure = Turn::requests_per_second;
    let turns = alternate(stage.load(), &contenders, SHAPE)?;
    let rounds = Round::all(&turns, &figure);
    whole_answers(&turns, expected)?;
    Ok(Row {
        peers: vec!["nginx", "sendfile off"],
        rounds,
        per_cpu: per_cpu(&turns, &figure),
        turns,
        ..Row::new(scenario, "req/s", Better::High, Floor::RatioAtLeast(1.0))
    })
}

/// Two serving threads against one, under the same load on the same two cores.
fn measure_second(stage: &Stage, gateway: &Gateway, nginx: &Nginx) -> anyhow::Result<Row> {
    let page = Page {
        project: "small",
        html: false,
        gzip: true,
    };
    let (own, theirs) = (ask_page(MIRROR, page), Resource::Page(page).ask_nginx());
    let one = stage.gateway()?;
    fetch(one.public(), &own)?;
    let worker = |name, nginx: &'_ Nginx| (name, nginx.buffers());
    let (two_workers, one_worker) = (
        worker("two workers", nginx),
        worker("one worker", &stage.nginx),
    );
    let contender = |(name, address), server| Contender {
        name,
        server,
        address,
        request: theirs.clone(),
    };
    let contenders = [
        threads("two threads", gateway, &own),
        threads("one thread", one, &own),
        contender(two_workers, nginx.server()),
        contender(one_worker, stage.nginx.server()),
    ];
    let figure = Turn::requests_per_second;
    let turns = alternate(stage.load(), &contenders, SHAPE)?;
    let rounds = Round::all(&turns, &figure);
    let (own_turns, their_turns) = turns.split_at(2);
    let their_ratio = median(rounds.iter().map(|round| round.peers[1] / round.peers[2]));
    let their_per_cpu = median(per_cpu(their_turns, &figure).into_iter());
    let rounds = rounds.iter().map(|round| Round {
        peers: vec![round.peers[0]],
        ours: round.ours,
    });
    Ok(Row {
        peers: vec!["one core"],
        rounds: rounds.collect(),
        per_cpu: per_cpu(own_turns, &figure),
        notes: vec![format!(
            "{SHARED}; nginx's two workers against its one {their_ratio:.2}, per CPU {their_per_cpu:.2}"
        )],
        turns: own_turns.to_vec(),
        ..Row::new(
            "two cores against one: small page, JSON, gzip",
            "req/s",
            Better::High,
            Floor::RatioAtLeast(1.0),
        )
    })
}

fn threads<'a>(name: &'static str, gateway: &'a Gateway, request: &Request) -> Contender<'a> {
    Contender {
        name,
        server: gateway.server(),
        address: gateway.public(),
        request: request.clone(),
    }
}
