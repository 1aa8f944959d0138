//! The slowest of a hundred answers while requests come at a fixed pace, not as fast as possible.
//!
//! wrk waits for an answer before it sends the next request, so a stall slows the requests down and
//! is hidden in the figures. Here each request has an instant at which it is due, and its latency
//! counts from then, whether or not a connection was free to send it. One thread polls all sockets
//! in turn without ever sleeping: it has a core to itself.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::resources::{Page, Resource};
use super::stage::Stage;
use crate::rig::asking::succeed;
use crate::rig::load::{Shape, turn};
use crate::rig::numbers::median;
use crate::rig::plain::{Request, fetch};

/// Connections that carry the requests.
const CONNECTIONS: usize = 32;

/// The share of nginx's full load that both are given.
const LOAD: f64 = 0.7;

/// If the client reaches less than this share of the pace, the pace was not kept.
const KEPT: f64 = 0.98;

/// Bytes per read.
const PART: usize = 64 << 10;

/// One connection, with at most one request under way.
struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    /// When the request under way was due.
    due: Instant,
    /// The part of the answer received so far, until the head is complete.
    head: Vec<u8>,
    /// Bytes missing from the answer, once the head is complete.
    missing: Option<usize>,
    /// Whether the server will close it after this answer.
    closes: bool,
}

/// Latencies of one turn.
struct Paced {
    /// Sorted, in seconds.
    latencies: Vec<f64>,
    /// Answers per second.
    rate: f64,
}

/// Measures both at the same pace.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Row> {
    let resource = Resource::Page(Page {
        project: "small",
        html: false,
        gzip: true,
    });
    let ask_nginx = resource.ask_nginx();
    let ask_subject = stage.ask(resource)?;
    let nginx = stage.nginx.sendfile();
    let (_, subject) = stage.subject(false);
    let shape = Shape {
        connections: CONNECTIONS,
        tls: false,
        both_cores: false,
    };
    let mut rounds = Vec::new();
    let mut paces = Vec::new();
    let mut missed = false;
    for round in 0..stage.options.rounds {
        let full = turn(stage.load(), stage.nginx.server(), nginx, &ask_nginx, shape)?;
        let pace = full.requests_per_second() * LOAD;
        let seconds = Duration::from_secs(stage.options.seconds.into());
        let theirs = || keep_pace(nginx, &ask_nginx, pace, seconds).context("nginx");
        let ours = || keep_pace(subject, &ask_subject, pace, seconds).context("ours");
        let (theirs, ours) = if round % 2 == 0 {
            let theirs = theirs()?;
            (theirs, ours()?)
        } else {
            let ours = ours()?;
            (theirs()?, ours)
        };
        missed |= theirs.rate.min(ours.rate) < pace * KEPT;
        paces.push(pace);
        let milliseconds = |paced: &Paced| paced.percentile(0.99) * 1e3;
        rounds.push(Round {
            peers: vec![milliseconds(&theirs)],
            ours: milliseconds(&ours),
        });
    }
    let mut notes = vec![format!(
        "{:.0} requests/s for both",
        median(paces.into_iter())
    )];
    if missed {
        notes.push("in some round not every request was answered at that pace".to_owned());
    }
    Ok(Row {
        scenario: Scenario::Paced.name(),
        unit: "ms",
        better: Better::Low,
        peers: vec!["nginx"],
        rounds,
        floor: Floor::RatioAtMost(1.0),
        per_cpu: Vec::new(),
        turns: Vec::new(),
        notes,
        broken: Vec::new(),
    })
}

impl Paced {
    /// The latency that this part of all answers did not exceed.
    fn percentile(&self, part: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a position in a list of some hundred thousand"
        )]
        let at = (self.latencies.len() as f64 * part).ceil() as usize;
        self.latencies
            .get(at.saturating_sub(1))
            .copied()
            .unwrap_or(0.0)
    }
}

/// Sends `pace` requests a second, for this long.
fn keep_pace(
    address: SocketAddr,
    request: &Request,
    pace: f64,
    time: Duration,
) -> anyhow::Result<Paced> {
    succeed(fetch(address, request)?)?;
    let bytes = request.bytes(address, "keep-alive");
    let idle = (0..CONNECTIONS).map(|_| Connection::open(address));
    let mut idle: VecDeque<Connection> = idle.collect::<Result<_, _>>()?;
    let mut busy: Vec<Connection> = Vec::with_capacity(CONNECTIONS);
    let mut buffer = vec![0; PART];
    let mut latencies = Vec::new();
    let interval = Duration::from_secs_f64(1.0 / pace);
    let started = Instant::now();
    let mut due = started;
    // Answers that are late at the end are left out of the rate, not waited for.
    while started.elapsed() < time {
        while due <= Instant::now()
            && let Some(mut connection) = idle.pop_front()
        {
            connection.ask(&bytes, due)?;
            busy.push(connection);
            due += interval;
        }
        let mut at = 0;
        while at < busy.len() {
            if busy[at].receive(&mut buffer)? {
                let mut connection = busy.swap_remove(at);
                latencies.push(connection.due.elapsed().as_secs_f64());
                if connection.closes {
                    connection = Connection::open(address)?;
                }
                idle.push_back(connection);
            } else {
                at += 1;
            }
        }
    }
    latencies.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
    let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
    Ok(Paced { latencies, rate })
}

impl Connection {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let due = Instant::now();
        Ok(Self {
            address,
            stream,
            due,
            head: Vec::new(),
            missing: None,
            closes: false,
        })
    }

    fn ask(&mut self, request: &[u8], due: Instant) -> anyhow::Result<()> {
        (self.due, self.missing) = (due, None);
        self.head.clear();
        // A request fits into the empty buffer of a socket, so this never has to wait.
        self.stream
            .write_all(request)
            .with_context(|| format!("send to {}", self.address))
    }

    /// Reads what has arrived; returns whether the answer is complete.
    fn receive(&mut self, buffer: &mut [u8]) -> anyhow::Result<bool> {
        let length = match self.stream.read(buffer) {
            Ok(0) => bail!("the connection was closed in the middle of an answer"),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("read an answer"),
        };
        if let Some(missing) = &mut self.missing {
            *missing = missing
                .checked_sub(length)
                .context("more came than was announced")?;
            return Ok(*missing == 0);
        }
        self.head.extend_from_slice(&buffer[..length]);
        let Some(end) = self
            .head
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
        else {
            return Ok(false);
        };
        let head = String::from_utf8_lossy(&self.head[..end]).to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let body: usize = field("content-length:")
            .context("no length")?
            .trim()
            .parse()?;
        let whole = end + 4 + body;
        let missing = whole
            .checked_sub(self.head.len())
            .context("more came than was announced")?;
        self.closes = field("connection:").is_some_and(|value| value.contains("close"));
        self.missing = Some(missing);
        Ok(missing == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rig::origin::Origin;

    #[test]
    fn latency_counts_from_the_instant_a_request_was_due() {
        let origin = Origin::start(Arc::default()).unwrap();
        let request = Request::new("/simple/page-1/");
        // 32 connections with 50 ms each carry 640 requests a second: at 2,000 every request is
        // later than the one before, and the latency must show the queue and not only the 50 ms.
        origin.set_delay(Duration::from_millis(50));
        let time = Duration::from_millis(600);
        let paced = keep_pace(origin.address(), &request, 2000.0, time).unwrap();
        assert!(paced.rate < 1000.0, "{}", paced.rate);
        assert!(paced.percentile(0.99) > 0.15, "{}", paced.percentile(0.99));
    }

    #[test]
    fn percentiles_are_taken_from_above() {
        let paced = Paced {
            latencies: (1..=100).map(f64::from).collect(),
            rate: 1.0,
        };
        for (part, expected) in [(0.99, 99.0), (0.5, 50.0), (1.0, 100.0), (0.001, 1.0)] {
            assert!((paced.percentile(part) - expected).abs() < 1e-9, "{part}");
        }
        assert!(
            Paced {
                latencies: Vec::new(),
                rate: 0.0
            }
            .percentile(0.5)
            .abs()
                < 1e-9
        );
    }
}
