//! Answers that both servers have ready: as many as they can send, in turns, on one core.

use anyhow::{Context as _, bail};

use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::resources::{Page, Resource, ask_page};
use super::stage::Stage;
use crate::rig::asking::succeed;
use crate::rig::gateway::{LOOSE, STRICT};
use crate::rig::load::{Shape, Turn};
use crate::rig::numbers::median;
use crate::rig::plain::{Answer, Request, fetch};
use crate::rig::turns::{Contender, alternate, doubts, per_cpu, whole_answers};

/// Connections that request pages.
const PAGE_CONNECTIONS: usize = 32;

/// Connections that request files: fewer already saturate, more only queue.
const FILE_CONNECTIONS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hot {
    resource: Resource,
    measure: Measure,
    tls: bool,
}

/// What is requested and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Answers per second.
    Requests,
    /// The same, when the client already has it.
    NotModified,
    /// The same, each on its own connection.
    NewConnections,
    /// Bytes per second.
    Throughput,
    /// The server's processor time per byte.
    CpuPerByte,
}

impl Hot {
    /// Every hot scenario, in the order of the table.
    pub(crate) fn all() -> Vec<Self> {
        let hot = |resource, measure, tls| Self {
            resource,
            measure,
            tls,
        };
        let small = Resource::Page(Page {
            project: "small",
            html: false,
            gzip: true,
        });
        let pages = Page::all().into_iter();
        let mut all: Vec<Self> = pages
            .map(|page| hot(Resource::Page(page), Measure::Requests, false))
            .collect();
        all.extend([
            hot(small, Measure::NotModified, false),
            hot(Resource::MiddleFile, Measure::NotModified, false),
            hot(Resource::Sidecar, Measure::Requests, false),
            hot(Resource::SmallFile, Measure::Requests, false),
            hot(Resource::MiddleFile, Measure::Throughput, false),
            hot(Resource::LargeFile, Measure::CpuPerByte, false),
            hot(small, Measure::Requests, true),
            hot(small, Measure::NewConnections, true),
            hot(Resource::MiddleFile, Measure::Throughput, true),
        ]);
        all
    }

    pub(crate) fn name(self) -> String {
        let what = match self.resource {
            Resource::Page(page) => page.name(),
            Resource::Sidecar => "sidecar, 4 KB".to_owned(),
            Resource::SmallFile => "20 KB file".to_owned(),
            Resource::MiddleFile => "1 MB file".to_owned(),
            Resource::LargeFile => "100 MB file, server CPU".to_owned(),
        };
        let tls = if self.tls { "TLS 1.3, " } else { "" };
        match self.measure {
            Measure::NotModified if matches!(self.resource, Resource::Page(_)) => {
                format!("{tls}304")
            }
            Measure::NotModified => format!("{tls}304 of a {what}"),
            Measure::NewConnections => format!("{tls}{what}, a connection each"),
            Measure::Requests | Measure::Throughput | Measure::CpuPerByte => format!("{tls}{what}"),
        }
    }

    /// The floors of issues 5 and 11.
    fn floor(self) -> Floor {
        match (self.measure, self.resource, self.tls) {
            (Measure::NewConnections, _, _) => Floor::RatioAtLeast(0.8),
            (Measure::NotModified, Resource::Page(_), _) => Floor::RatioAtLeast(0.85),
            (Measure::NotModified, _, _) => Floor::RatioAtLeast(1.0),
            (Measure::CpuPerByte, _, _) => Floor::RatioAtMost(1.0),
            (Measure::Throughput, _, true) => Floor::RatioAtLeast(1.2),
            (Measure::Throughput, _, false) | (Measure::Requests, _, true) => {
                Floor::RatioAtLeast(1.0)
            }
            (Measure::Requests, Resource::Page(page), false) => {
                Floor::RatioAtLeast(if page.project == "large" { 1.0 } else { 1.1 })
            }
            (
                Measure::Requests,
                Resource::Sidecar
                | Resource::SmallFile
                | Resource::MiddleFile
                | Resource::LargeFile,
                false,
            ) => Floor::RatioAtLeast(0.95),
        }
    }

    fn unit(self) -> (&'static str, Better) {
        match self.measure {
            Measure::Requests | Measure::NotModified => ("req/s", Better::High),
            Measure::NewConnections => ("conn/s", Better::High),
            Measure::Throughput => ("MB/s", Better::High),
            Measure::CpuPerByte => ("CPU-s/GB", Better::Low),
        }
    }

    fn figure(self, turn: &Turn) -> f64 {
        match self.measure {
            Measure::Requests | Measure::NotModified | Measure::NewConnections => {
                turn.requests_per_second()
            }
            Measure::Throughput => turn.megabytes_per_second(),
            Measure::CpuPerByte => turn.cpu_per_gigabyte(),
        }
    }

    fn shape(self) -> Shape {
        let connections = match self.measure {
            Measure::Requests | Measure::NotModified | Measure::NewConnections => PAGE_CONNECTIONS,
            Measure::Throughput | Measure::CpuPerByte => FILE_CONNECTIONS,
        };
        Shape {
            connections,
            tls: self.tls,
            both_cores: false,
        }
    }
}

/// The four forms of the small page.
pub(crate) fn small_pages() -> impl Iterator<Item = Page> {
    Page::all()
        .into_iter()
        .filter(|page| page.project == "small")
}

/// The four forms of the small page as one figure per round: the median of their ratios. Forms that
/// were measured before are not measured again.
pub(crate) fn measure_small_pages(stage: &Stage, done: &[Row]) -> anyhow::Result<Row> {
    let measured = small_pages().map(|page| {
        let hot = Hot {
            resource: Resource::Page(page),
            measure: Measure::Requests,
            tls: false,
        };
        let before = done.iter().find(|row| row.scenario == hot.name());
        match before.filter(|row| !row.is_failed()) {
            Some(row) => Ok(row.clone()),
            None => measure(&hot, stage),
        }
    });
    let rows: Vec<Row> = measured.collect::<Result<_, _>>()?;
    Ok(middle(Scenario::SmallPages.name(), &rows))
}

/// Rows of one unit combined: for each round the median of their ratios, with nginx as 1.
pub(crate) fn middle(name: String, rows: &[Row]) -> Row {
    let at = |ratios: &dyn Fn(&Row) -> Vec<f64>| -> Vec<f64> {
        let ratios: Vec<Vec<f64>> = rows.iter().map(ratios).collect();
        let rounds = ratios.iter().map(Vec::len).min().unwrap_or(0);
        let round = |round: usize| median(ratios.iter().map(|ratios| ratios[round]));
        (0..rounds).map(round).collect()
    };
    let servers = rows.iter().map(|row| row.turns.len()).min().unwrap_or(0);
    let turns = |server: usize| {
        rows.iter()
            .flat_map(|row| row.turns[server].clone())
            .collect()
    };
    Row {
        peers: vec!["nginx"],
        rounds: at(&Row::ratios)
            .into_iter()
            .map(|ours| Round {
                peers: vec![1.0],
                ours,
            })
            .collect(),
        per_cpu: at(&|row| row.per_cpu.clone()),
        turns: (0..servers).map(turns).collect(),
        ..Row::new(name, "×", Better::High, Floor::RatioAtLeast(1.3))
    }
}

pub(crate) fn measure(hot: &Hot, stage: &Stage) -> anyhow::Result<Row> {
    let ask_nginx = hot.resource.ask_nginx();
    let ask_subject = stage.ask(hot.resource)?;
    let (server, address) = stage.subject(hot.tls);
    let fetch_nginx = |request: &Request| fetch(stage.nginx.sendfile(), request);
    let fetch_subject = |request: &Request| stage.fetch(hot.tls, request);
    let expected = same_answer((&fetch_nginx, &ask_nginx), (&fetch_subject, &ask_subject))?;
    let nginx = |name, address| -> anyhow::Result<Contender<'_>> {
        let request = prepare(*hot, &fetch_nginx, &ask_nginx)?;
        Ok(Contender {
            name,
            server: stage.nginx.server(),
            address,
            request,
        })
    };
    let request = prepare(*hot, &fetch_subject, &ask_subject)?;
    let mut contenders = vec![Contender {
        name: "ours",
        server,
        address,
        request,
    }];
    if hot.tls {
        contenders.push(nginx("nginx", stage.nginx.tls())?);
    } else {
        contenders.push(nginx("nginx", stage.nginx.sendfile())?);
        contenders.push(nginx("sendfile off", stage.nginx.buffers())?);
    }
    let (unit, better) = hot.unit();
    let figure = |turn: &Turn| hot.figure(turn);
    let turns = alternate(stage.load(), &contenders, hot.shape())?;
    let rounds = Round::all(&turns, &figure);
    if hot.measure != Measure::NotModified {
        whole_answers(&turns, expected)?;
    }
    Ok(Row {
        scenario: hot.name(),
        unit,
        better,
        peers: contenders[1..]
            .iter()
            .map(|contender| contender.name)
            .collect(),
        rounds,
        floor: hot.floor(),
        // A figure in processor time needs no second one.
        per_cpu: match better {
            Better::High => per_cpu(&turns, &figure),
            Better::Low => Vec::new(),
        },
        notes: doubts(&turns),
        turns,
        broken: Vec::new(),
    })
}

/// The small page under a large policy, compared with the same page without one.
pub(crate) fn measure_policy(stage: &Stage) -> anyhow::Result<Row> {
    let gateway = stage.gateway()?;
    let page = Page {
        project: "small",
        html: false,
        gzip: true,
    };
    let contender = |name, index| {
        let request = ask_page(index, page);
        Contender {
            name,
            server: gateway.server(),
            address: gateway.public(),
            request,
        }
    };
    let contenders = [contender("strict", STRICT), contender("without", LOOSE)];
    let [strict, loose] = &contenders;
    let ask = |request: &Request| fetch(gateway.public(), request);
    same_answer((&ask, &loose.request), (&ask, &strict.request))?;
    let shape = Shape {
        connections: PAGE_CONNECTIONS,
        tls: false,
        both_cores: false,
    };
    let figure = Turn::requests_per_second;
    let turns = alternate(stage.load(), &contenders, shape)?;
    let rounds = Round::all(&turns, &figure);
    Ok(Row {
        scenario: Scenario::Policy.name(),
        unit: "req/s",
        better: Better::High,
        peers: vec!["without a policy"],
        rounds,
        floor: Floor::RatioWithin(0.03),
        per_cpu: per_cpu(&turns, &figure),
        notes: doubts(&turns),
        turns,
        broken: Vec::new(),
    })
}

/// Sends one request to a server.
pub(crate) type Fetch<'a> = &'a dyn Fn(&Request) -> anyhow::Result<Answer>;

/// Checks that both answer with the same body, and returns its length; this also warms their
/// caches.
pub(crate) fn same_answer(
    nginx: (Fetch<'_>, &Request),
    ours: (Fetch<'_>, &Request),
) -> anyhow::Result<usize> {
    let [theirs, our] = [nginx, ours].map(|(fetch, request)| fetch(request).and_then(succeed));
    let (theirs, our) = (theirs?, our?);
    if theirs.body != our.body {
        bail!(
            "{} and {} differ: nothing to compare",
            nginx.1.path,
            ours.1.path
        );
    }
    if theirs.header("content-encoding") != our.header("content-encoding") {
        bail!(
            "{} and {} differ in their coding",
            nginx.1.path,
            ours.1.path
        );
    }
    Ok(our.body.len())
}

/// The request as it is measured.
fn prepare(hot: Hot, fetch: Fetch<'_>, request: &Request) -> anyhow::Result<Request> {
    let request = request.clone();
    match hot.measure {
        Measure::Requests | Measure::Throughput | Measure::CpuPerByte => Ok(request),
        Measure::NewConnections => Ok(request.header("Connection", "close")),
        Measure::NotModified => {
            let answer = fetch(&request)?;
            let etag = answer
                .header("etag")
                .context("the page has no ETag")?
                .to_owned();
            let request = request.header("If-None-Match", etag);
            let status = fetch(&request)?.status;
            if status != 304 {
                bail!("{} is answered {status}, not 304", request.path);
            }
            Ok(request)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_rows_become_their_median_round_by_round() {
        let row = |figures: [f64; 2]| Row {
            peers: vec!["nginx"],
            rounds: figures
                .iter()
                .map(|ours| Round {
                    peers: vec![10.0],
                    ours: *ours,
                })
                .collect(),
            ..Row::new("page", "req/s", Better::High, Floor::RatioAtLeast(1.0))
        };
        let rows = [[10.0, 20.0], [12.0, 20.0], [14.0, 30.0], [90.0, 30.0]].map(row);
        let ours: Vec<f64> = middle(String::new(), &rows)
            .rounds
            .iter()
            .map(|round| round.ours)
            .collect();
        assert!(
            (ours[0] - 1.3).abs() < 1e-9 && (ours[1] - 2.5).abs() < 1e-9,
            "{ours:?}"
        );
    }

    #[test]
    fn the_table_of_the_issue_is_complete() {
        let lines: Vec<String> = Hot::all()
            .into_iter()
            .map(|hot| format!("{}: {:?}", hot.name(), hot.floor()))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        small page, JSON, gzip: RatioAtLeast(1.1)
        small page, JSON, identity: RatioAtLeast(1.1)
        small page, HTML, gzip: RatioAtLeast(1.1)
        small page, HTML, identity: RatioAtLeast(1.1)
        2 MB page, JSON, gzip: RatioAtLeast(1.0)
        2 MB page, JSON, identity: RatioAtLeast(1.0)
        2 MB page, HTML, gzip: RatioAtLeast(1.0)
        2 MB page, HTML, identity: RatioAtLeast(1.0)
        304: RatioAtLeast(0.85)
        304 of a 1 MB file: RatioAtLeast(1.0)
        sidecar, 4 KB: RatioAtLeast(0.95)
        20 KB file: RatioAtLeast(0.95)
        1 MB file: RatioAtLeast(1.0)
        100 MB file, server CPU: RatioAtMost(1.0)
        TLS 1.3, small page, JSON, gzip: RatioAtLeast(1.0)
        TLS 1.3, small page, JSON, gzip, a connection each: RatioAtLeast(0.8)
        TLS 1.3, 1 MB file: RatioAtLeast(1.2)
        ");
    }
}
