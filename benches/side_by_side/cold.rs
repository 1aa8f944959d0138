//! What nobody has asked for yet: what the server adds to its upstream's own time, and how often it
//! asks it.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::content::{COLD_FILE, LARGE_FILE, cold_filename};
use super::figures::{Better, Floor, Round, Row, median};
use super::options::Scenario;
use super::plain::{Request, drain, fetch};
use super::resources::{MIRROR, file_path, succeed};
use super::stage::Stage;

/// How far away the upstream is while pages are cold.
const UPSTREAM_DELAY: Duration = Duration::from_millis(30);

/// Pages per round: each is new, and their median is the round's figure.
const PAGES: usize = 20;

/// What installers ask for.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json";

/// Cold pages, one after the other, each through nginx, through us, and straight.
pub(crate) fn measure_page(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let gateway = stage.gateway()?.public();
    stage.origin.set_delay(UPSTREAM_DELAY);
    let rounds = (0..stage.options.rounds).map(|round| page_round(stage, gateway, round));
    let rounds = rounds.collect::<Result<Vec<_>, _>>();
    stage.origin.set_delay(Duration::ZERO);
    let asked = (0..stage.options.rounds * PAGES)
        .map(|number| stage.origin.asked(&format!("/simple/cold-ours-{number}/")));
    let most = asked.max().unwrap_or(0);
    let mut broken = Vec::new();
    if most != 1 {
        broken.push(format!("one page was asked upstream {most} times"));
    }
    Ok(vec![Row {
        scenario: Scenario::ColdPage.name(),
        unit: "ms",
        better: Better::Low,
        peers: vec!["nginx"],
        rounds: rounds?,
        floor: Floor::FigureAtMost(2.0),
        per_cpu: Vec::new(),
        turns: Vec::new(),
        notes: Vec::new(),
        broken,
    }])
}

fn page_round(stage: &Stage, gateway: SocketAddr, round: usize) -> anyhow::Result<Round> {
    let [mut straight, mut nginx, mut ours] = [(); 3].map(|()| Vec::with_capacity(PAGES));
    for number in round * PAGES..(round + 1) * PAGES {
        let ask = |address, path| -> anyhow::Result<f64> {
            let request = Request::new(path)
                .header("Accept", ACCEPT)
                .header("Accept-Encoding", "gzip");
            Ok(succeed(fetch(address, &request)?)?.elapsed.as_secs_f64() * 1e3)
        };
        straight.push(ask(
            stage.origin.address(),
            format!("/simple/cold-straight-{number}/"),
        )?);
        nginx.push(ask(
            stage.nginx.proxy(),
            format!("/simple/cold-nginx-{number}/"),
        )?);
        ours.push(ask(
            gateway,
            format!("/{MIRROR}/+simple/cold-ours-{number}/"),
        )?);
    }
    let straight = median(straight.into_iter());
    let added = |times: Vec<f64>| median(times.into_iter()) - straight;
    Ok(Round {
        peers: vec![added(nginx)],
        ours: added(ours),
    })
}

/// A file of 100 MB that `clients` ask for at the same instant, until the last of them has it.
pub(crate) fn measure_file(stage: &Stage, clients: usize) -> anyhow::Result<Vec<Row>> {
    let gateway = stage.gateway()?.public();
    let rounds = stage.options.rounds;
    // Other numbers for other scenarios: every file is cold once. See `stage::cold_files`.
    let first = if clients == 1 || !stage.options.wants(&Scenario::ColdFile { clients: 1 }) {
        0
    } else {
        rounds
    };
    let (mut whole, mut broken) = (Vec::new(), Vec::new());
    let (mut nginx_cpu, mut our_cpu) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let filename = cold_filename(first + round);
        let origin_path = format!("/files/{filename}");
        let our_path = file_path(stage, COLD_FILE, &filename)?;
        let nginx = |cpu: &mut Vec<f64>| -> anyhow::Result<f64> {
            let before = stage.nginx.server().cpu_seconds()?;
            let elapsed = together(stage.nginx.proxy(), &origin_path, clients).context("nginx")?;
            cpu.push(stage.nginx.server().cpu_seconds()? - before);
            Ok(elapsed)
        };
        let ours = |cpu: &mut Vec<f64>, broken: &mut Vec<String>| -> anyhow::Result<f64> {
            let before = stage.origin.asked(&origin_path);
            let server = stage.gateway()?.server();
            let cpu_before = server.cpu_seconds()?;
            let elapsed = together(gateway, &our_path, clients).context("ours")?;
            cpu.push(server.cpu_seconds()? - cpu_before);
            let asked = stage.origin.asked(&origin_path) - before;
            if asked != 1 {
                broken.push(format!("{clients} clients caused {asked} upstream fetches"));
            }
            Ok(elapsed)
        };
        let (theirs, ours) = if round % 2 == 0 {
            let theirs = nginx(&mut nginx_cpu)?;
            (theirs, ours(&mut our_cpu, &mut broken)?)
        } else {
            let ours = ours(&mut our_cpu, &mut broken)?;
            (nginx(&mut nginx_cpu)?, ours)
        };
        whole.push(Round {
            peers: vec![theirs],
            ours,
        });
    }
    let most = if clients == 1 { 1.0 } else { 0.6 };
    let cpu = |times: Vec<f64>| median(times.into_iter());
    let note = format!(
        "server CPU {:.2} s, nginx's {:.2} s",
        cpu(our_cpu),
        cpu(nginx_cpu)
    );
    Ok(vec![Row {
        scenario: Scenario::ColdFile { clients }.name(),
        unit: "s",
        better: Better::Low,
        peers: vec!["nginx"],
        rounds: whole,
        floor: Floor::RatioAtMost(most),
        per_cpu: Vec::new(),
        turns: Vec::new(),
        notes: vec![note],
        broken,
    }])
}

/// Seconds until every one of `clients`, all asking at once, has the whole file.
fn together(address: SocketAddr, path: &str, clients: usize) -> anyhow::Result<f64> {
    let request = Request::new(path);
    let barrier = Barrier::new(clients + 1);
    thread::scope(|scope| {
        let ask = || {
            barrier.wait();
            let came = drain(address, &request)?;
            if came != LARGE_FILE as u64 {
                bail!("{came} bytes came, not {LARGE_FILE}");
            }
            Ok(())
        };
        let asking: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        barrier.wait();
        let started = Instant::now();
        for client in asking {
            client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(started.elapsed().as_secs_f64())
    })
}
