//! Pages and files that nobody has requested yet: what a server adds to its upstream's own time,
//! and how often it asks upstream.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::resources::file_path;
use super::stage::Stage;
use crate::rig::asking::{JSON, succeed};
use crate::rig::content::{COLD_FILE, LARGE_FILE, cold_filename, large_page_name};
use crate::rig::gateway::MIRROR;
use crate::rig::numbers::median;
use crate::rig::plain::{Request, drain, fetch};

/// The latency of the upstream while pages are cold.
pub(crate) const UPSTREAM_DELAY: Duration = Duration::from_millis(30);

/// Pages per round: each is new, and their median is the round's figure.
const PAGES: usize = 20;

/// The same for pages of 2 MB.
pub(crate) const LARGE_PAGES: usize = 5;

/// Cold pages, one after another, each through nginx, through the gateway, and directly.
pub(crate) fn measure_page(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let gateway = stage.gateway()?.public();
    let name = |server: &str, number: usize| format!("cold-{server}-{number}");
    let (times, broken) = pages(stage, gateway, PAGES, &name)?;
    Ok(vec![Row {
        peers: vec!["nginx"],
        rounds: times.iter().map(|round| added(round, 1)).collect(),
        broken,
        ..Row::new(
            Scenario::ColdPage.name(),
            "ms",
            Better::Low,
            Floor::FigureAtMost(2.0),
        )
    }])
}

/// The same with pages of 2 MB: when the first byte of their content arrives, and when the last.
pub(crate) fn measure_large_page(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let gateway = stage.launch("heavy").start()?;
    // Generated beforehand, and so the same for everyone: generating one takes longer than sending
    // it.
    let name = |_: &str, number: usize| large_page_name(number);
    let (times, broken) = pages(stage, gateway.public(), LARGE_PAGES, &name)?;
    let row = |what: &str, at: usize| Row {
        peers: vec!["nginx"],
        rounds: times.iter().map(|round| added(round, at)).collect(),
        broken: broken.clone(),
        ..Row::new(
            format!("{}: {what}", Scenario::ColdLargePage.name()),
            "ms",
            Better::Low,
            Floor::FigureAtMost(8.0),
        )
    };
    Ok(vec![row("first byte", 0), row("whole", 1)])
}

/// Milliseconds to the first and the last byte, for every page of a round: direct, nginx's, ours.
type Times = [Vec<[f64; 2]>; 3];

/// Requests pages that nobody has, with the upstream some way away; returns the times, and a fault
/// unless upstream was asked once for each.
fn pages(
    stage: &Stage,
    gateway: SocketAddr,
    pages: usize,
    name: &dyn Fn(&str, usize) -> String,
) -> anyhow::Result<(Vec<Times>, Vec<String>)> {
    let servers = [
        ("straight", stage.origin.address(), "/simple".to_owned()),
        ("nginx", stage.nginx.proxy(), "/simple".to_owned()),
        ("ours", gateway, format!("/{MIRROR}/+simple")),
    ];
    let mut most = 0;
    let ask = |at: usize, number: usize, most: &mut usize| -> anyhow::Result<[f64; 2]> {
        let (server, address, index) = &servers[at];
        let project = name(server, number);
        let origin_path = format!("/simple/{project}/");
        let before = stage.origin.asked(&origin_path);
        let request = Request::new(format!("{index}/{project}/"))
            .header("Accept", JSON)
            .header("Accept-Encoding", "gzip");
        let answer = succeed(fetch(*address, &request)?)?;
        if *server == "ours" {
            *most = (stage.origin.asked(&origin_path) - before).max(*most);
        }
        Ok([answer.first_byte, answer.elapsed].map(|time| time.as_secs_f64() * 1e3))
    };
    stage.origin.set_delay(UPSTREAM_DELAY);
    let mut round = |round: usize| -> anyhow::Result<Times> {
        let mut times = Times::default();
        for number in round * pages..(round + 1) * pages {
            for (at, times) in times.iter_mut().enumerate() {
                times.push(ask(at, number, &mut most)?);
            }
        }
        Ok(times)
    };
    let rounds: Result<Vec<Times>, _> = (0..stage.options.rounds).map(&mut round).collect();
    stage.origin.set_delay(Duration::ZERO);
    let mut broken = Vec::new();
    if most != 1 {
        broken.push(format!("one page was asked upstream {most} times"));
    }
    Ok((rounds?, broken))
}

/// What the servers add to the direct time, until the first or the last byte.
fn added([straight, nginx, ours]: &Times, at: usize) -> Round {
    let middle = |times: &[[f64; 2]]| median(times.iter().map(|times| times[at]));
    let straight = middle(straight);
    Round {
        peers: vec![middle(nginx) - straight],
        ours: middle(ours) - straight,
    }
}

/// A file of 100 MB that `clients` request at the same instant, until the last of them has it.
pub(crate) fn measure_file(stage: &Stage, clients: usize) -> anyhow::Result<Vec<Row>> {
    let gateway = stage.gateway()?.public();
    let rounds = stage.options.rounds;
    // Different numbers for different scenarios, since every file is cold only once. See
    // `stage::cold_files`.
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

/// Seconds until every one of `clients`, which all start together, has the whole file.
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
