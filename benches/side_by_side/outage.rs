//! Cached content, requested while the upstream hangs or refuses connections: nobody should wait
//! for it.
//!
//! A page expired two seconds before, beyond the time in which it may be answered while it is
//! refreshed; the file is on disk, and its page has expired as well. nginx answers stale
//! (`proxy_cache_use_stale`) and asks upstream in the background.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::figures::{Better, Floor, Round, Row};
use super::resources::{Resource, path_of_file};
use super::stage::Stage;
use crate::rig::asking::{JSON, succeed};
use crate::rig::content::WARES;
use crate::rig::gateway::MIRROR;
use crate::rig::numbers::median;
use crate::rig::origin::Origin;
use crate::rig::plain::{Request, fetch};

/// From the last request that upstream answered to the first that it does not: pages are fresh for
/// one second.
const EXPIRED: Duration = Duration::from_secs(3);

/// Requests of one round, each on its own connection.
const REQUESTS: usize = 20;

/// Limits one server's round, which ends with what it has: a server that waits for its upstream
/// takes seconds per request.
const ROUND: Duration = Duration::from_secs(10);

/// How long one request may wait for a refresh, by default (`cache.patience`), and what the bench
/// itself may add to that.
const PATIENCE_MS: f64 = 250.0;
const SLACK_MS: f64 = 50.0;

/// One way of being away, and what is requested meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outage {
    refuses: bool,
    file: bool,
}

impl Outage {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let cases = [(false, false), (false, true), (true, false), (true, true)];
        cases
            .into_iter()
            .map(|(refuses, file)| Self { refuses, file })
    }

    pub(crate) fn name(self) -> String {
        let upstream = if self.refuses { "refuses" } else { "hangs" };
        let held = if self.file {
            "file on disk"
        } else {
            "expired page"
        };
        format!("upstream {upstream}: {held}")
    }

    fn floor(self) -> Floor {
        Floor::FigureAtMost(if self.file { 2.0 } else { 5.0 })
    }
}

/// A server, and the request for each round.
struct Held {
    address: SocketAddr,
    requests: Vec<Request>,
    /// Over all rounds, in milliseconds.
    slowest: f64,
    first: f64,
}

/// Measures both, each in front of its own upstream, which goes away once everything is cached.
pub(crate) fn measure(outage: &Outage, stage: &Stage) -> anyhow::Result<Row> {
    let mut origin = Origin::start(stage.content.clone())?;
    let name = outage.name().replace([' ', ':'], "-");
    let gateway = stage.launch_before(&name, &origin).short_lived().start()?;
    let nginx = stage.nginx_before(&format!("nginx-{name}"), &origin, 1)?;
    let rounds = stage.options.rounds;
    let mut ours = Held::warm(gateway.public(), rounds, |round| {
        if outage.file {
            let file = Resource::MiddleFile.filename();
            return Ok(Request::new(path_of_file(gateway.public(), WARES, file)?));
        }
        Ok(Request::new(format!("/{MIRROR}/+simple/page-{round}/")).header("Accept", JSON))
    })?;
    let mut theirs = Held::warm(nginx.stale(), rounds, |round| {
        let path = if outage.file {
            format!("/files/{}", Resource::MiddleFile.filename())
        } else {
            format!("/simple/page-{round}/")
        };
        Ok(Request::new(path).header("Accept", JSON))
    })?;
    thread::sleep(EXPIRED);
    if outage.refuses {
        origin.refuse();
    } else {
        origin.hang();
    }
    let mut figures = Vec::new();
    for round in 0..rounds {
        let (peer, own) = if round % 2 == 0 {
            let peer = theirs.ask(round).context("nginx")?;
            (peer, ours.ask(round).context("ours")?)
        } else {
            let own = ours.ask(round).context("ours")?;
            (theirs.ask(round).context("nginx")?, own)
        };
        figures.push(Round {
            peers: vec![peer],
            ours: own,
        });
    }
    let mut broken = Vec::new();
    if ours.slowest > PATIENCE_MS + SLACK_MS {
        broken.push(format!(
            "an answer took {:.0} ms, more than the {PATIENCE_MS} ms of patience",
            ours.slowest
        ));
    }
    let note = format!(
        "the first answer took {:.1} ms (nginx {:.1}), the slowest {:.1} (nginx {:.1})",
        ours.first, theirs.first, ours.slowest, theirs.slowest
    );
    Ok(Row {
        peers: vec!["nginx"],
        rounds: figures,
        notes: vec![note],
        broken,
        ..Row::new(outage.name(), "ms", Better::Low, outage.floor())
    })
}

impl Held {
    /// Requests everything once, so that it is cached.
    fn warm(
        address: SocketAddr,
        rounds: usize,
        request: impl Fn(usize) -> anyhow::Result<Request>,
    ) -> anyhow::Result<Self> {
        let requests: Vec<Request> = (0..rounds).map(request).collect::<Result<_, _>>()?;
        for request in &requests {
            succeed(fetch(address, request)?)?;
        }
        Ok(Self {
            address,
            requests,
            slowest: 0.0,
            first: 0.0,
        })
    }

    /// The median of one round, in milliseconds.
    fn ask(&mut self, round: usize) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut times = Vec::with_capacity(REQUESTS);
        while times.len() < REQUESTS && started.elapsed() < ROUND {
            let answer = succeed(fetch(self.address, &self.requests[round])?)?;
            times.push(answer.elapsed.as_secs_f64() * 1e3);
        }
        if round == 0 {
            self.first = times[0];
        }
        self.slowest = times.iter().copied().fold(self.slowest, f64::max);
        Ok(median(times.into_iter()))
    }
}
