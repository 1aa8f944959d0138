//! One turn of load: wrk against one server, and what the server's processor did meanwhile.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::plain::Request;
use super::process::{Clock, Cores, Server};
use super::tools::{Tools, run};

/// What wrk prints for us at its end; its own words are for people.
const SCRIPT: &str = r#"done = function(summary, latency, requests)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("figures %.0f %.0f %.0f %.0f %.0f %.0f\n", summary.requests, summary.bytes,
    summary.duration, errors, latency:percentile(50), latency:percentile(99)))
end
"#;

/// How the load comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) tls: bool,
    /// Whether wrk has two threads on both cores, which it then shares with the server.
    pub(crate) both_cores: bool,
}

/// Who makes the load, where, for how long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) cores: Cores,
    /// Where [`prepare`] has left wrk's script.
    pub(crate) folder: &'a Path,
    pub(crate) seconds: u32,
    pub(crate) rounds: usize,
    /// How often at most a turn is taken that others disturb.
    pub(crate) attempts: usize,
}

/// What a server did in one turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Turn {
    pub(crate) requests: f64,
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
    /// Processor time of the server.
    pub(crate) cpu_seconds: f64,
    /// Median and 99th percentile of the latency, in seconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The part of the worse of the two cores that went to others.
    pub(crate) disturbed: f64,
}

impl Turn {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests / self.seconds
    }

    /// 10^6 bytes per second, heads included.
    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.bytes / self.seconds / 1e6
    }

    /// Seconds of the server's processor per 10^9 bytes.
    pub(crate) fn cpu_per_gigabyte(&self) -> f64 {
        self.cpu_seconds / (self.bytes / 1e9)
    }

    /// How much of its core the server used.
    pub(crate) fn busy(&self) -> f64 {
        self.cpu_seconds / self.seconds
    }
}

/// Writes wrk's script.
pub(crate) fn prepare(folder: &Path) -> anyhow::Result<()> {
    let path = folder.join("figures.lua");
    fs::write(&path, SCRIPT).with_context(|| format!("write {}", path.display()))
}

/// Asks one server as fast as it answers.
pub(crate) fn turn(
    load: Load<'_>,
    server: &Server,
    address: SocketAddr,
    request: &Request,
    shape: Shape,
) -> anyhow::Result<Turn> {
    let scheme = if shape.tls { "https" } else { "http" };
    let url = format!("{scheme}://{address}{}", request.path);
    let mut wrk = load.tools.wrk(shape.both_cores.then_some(load.cores));
    let threads = if shape.both_cores { "-t2" } else { "-t1" };
    wrk.arg(threads).arg(format!("-c{}", shape.connections));
    wrk.arg(format!("-d{}s", load.seconds));
    // A single answer of 100 MB takes a while when the load is the limit.
    wrk.args(["--timeout", "30s"])
        .arg("-s")
        .arg(load.folder.join("figures.lua"));
    for (name, value) in &request.headers {
        wrk.arg("-H").arg(format!("{name}: {value}"));
    }
    let clock = Clock::read(load.cores)?;
    let before = server.cpu_seconds()?;
    let output = run(wrk.arg(&url))?;
    let cpu_seconds = server.cpu_seconds()? - before;
    let others = if shape.both_cores {
        clock.taken_of_both(cpu_seconds)?
    } else {
        clock.taken_by_others(cpu_seconds)?
    };
    let turn = read(
        &String::from_utf8_lossy(&output.stdout),
        cpu_seconds,
        others,
    );
    turn.with_context(|| format!("load on {url}"))
}

fn read(told: &str, cpu_seconds: f64, others: f64) -> anyhow::Result<Turn> {
    let line = told.lines().find_map(|line| line.strip_prefix("figures "));
    let line = line.with_context(|| format!("wrk says nothing of figures: {told}"))?;
    let figures: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, bytes, microseconds, errors, p50, p99] = figures[..] else {
        bail!("wrk says {line:?}");
    };
    if errors > 0.0 {
        bail!("{errors} of {requests} answers were errors, time-outs or broken connections");
    }
    if bytes == 0.0 || microseconds == 0.0 {
        bail!("nothing was answered");
    }
    let seconds = microseconds / 1e6;
    let disturbed = others / seconds;
    Ok(Turn {
        requests,
        bytes,
        seconds,
        cpu_seconds,
        p50: p50 / 1e6,
        p99: p99 / 1e6,
        disturbed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_rates() {
        let told = "Running 2s test\n  1 threads\nfigures 1000 5000000 2000000 0 120 900\n";
        let turn = read(told, 1.0, 0.5).unwrap();
        let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value}");
        near(turn.requests_per_second(), 500.0);
        near(turn.megabytes_per_second(), 2.5);
        near(turn.cpu_per_gigabyte(), 200.0);
        near(turn.busy(), 0.5);
        near(turn.p99, 0.0009);
        near(turn.disturbed, 0.25);
    }

    #[test]
    fn a_turn_with_errors_is_no_turn() {
        for told in [
            "",
            "figures 1000 5000000 2000000 3 120 900",
            "figures 0 0 2000000 0 0 0",
            "figures 1 2 3",
            "figures a b c d e f",
        ] {
            assert!(read(told, 1.0, 0.5).is_err(), "{told:?}");
        }
    }
}
