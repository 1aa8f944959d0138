//! `cargo bench --bench limit`: how near the gateway is to what sockets allow on one core.
//!
//! A bare `epoll` loop sends the gateway's own answer, byte for byte, to whoever asks; beside it, in
//! the same rounds, the gateway and nginx. `--beside PROGRAM` takes a further loop into them, such as
//! one on `io_uring`: a program that is given the file of the answer and prints `listening ADDRESS`.

#![expect(clippy::print_stdout, reason = "the table goes to stdout")]

mod bare;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use crate::rig::asking::succeed;
use crate::rig::gateway::MIRROR;
use crate::rig::load::{Shape, Turn};
use crate::rig::numbers::{figure, median};
use crate::rig::plain::{Request, fetch};
use crate::rig::process::{Cores, Server};
use crate::rig::turns::{Contender, alternate, doubts};
use crate::side_by_side::figures::Round;
use crate::side_by_side::options::Options;
use crate::side_by_side::resources::{Page, Resource, ask_page};
use crate::side_by_side::stage::Stage;

/// Connections, as of the small pages in `side_by_side`.
const CONNECTIONS: usize = 32;

/// The part of the bare loop that the gateway is to reach.
const GOAL: f64 = 0.9;

const HELP: &str =
    "cargo bench --bench limit -- [--quick] [--rounds N] [--seconds S] [--beside PROGRAM]";

/// What was asked for.
enum Asked {
    Help,
    /// To be the bare loop.
    Serve(PathBuf),
    Measure {
        options: Options,
        beside: Option<PathBuf>,
    },
}

/// A loop in a process of its own.
struct Loop {
    server: Server,
    address: SocketAddr,
}

pub(crate) fn main() -> ExitCode {
    let run = || match read(std::env::args().skip(1))? {
        Asked::Help => {
            println!("{HELP}");
            Ok(())
        }
        Asked::Serve(answer) => {
            let answer = fs::read(&answer).context("read the answer")?;
            bare::serve(&answer, |line| println!("{line}"))
        }
        Asked::Measure { options, beside } => measure(&options, beside.as_deref()),
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "limit: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let (mut others, mut beside) = (Vec::new(), None);
    while let Some(argument) = arguments.next() {
        let mut path = || arguments.next().map(PathBuf::from).context(HELP);
        match argument.as_str() {
            "--serve" => return Ok(Asked::Serve(path()?)),
            "--beside" => beside = Some(path()?),
            _ => others.push(argument),
        }
    }
    // Named, so that the stage makes nothing that is not asked for here.
    others.push("small page, json, gzip".to_owned());
    Ok(match Options::read(others.into_iter())? {
        Some(options) => Asked::Measure { options, beside },
        None => Asked::Help,
    })
}

fn measure(options: &Options, beside: Option<&Path>) -> anyhow::Result<()> {
    let Some(cores) = Cores::chosen() else {
        return Cores::choose()?.take();
    };
    let stage = Stage::set(options, cores)?;
    let page = Page {
        project: "small",
        html: false,
        gzip: true,
    };
    let (own, theirs) = (ask_page(MIRROR, page), Resource::Page(page).ask_nginx());
    let gateway = stage.gateway()?;
    let file = stage.folder.join("answer");
    let answer = whole_answer(gateway.public(), &own)?;
    fs::write(&file, &answer)?;
    let mut bare = cores.server(&std::env::current_exe()?);
    bare.arg("--serve").arg(&file);
    let bare = Loop::start(bare)?;
    let beside = beside.map(|program| {
        let mut command = cores.server(program);
        command.arg(&file);
        Loop::start(command)
    });
    let beside = beside.transpose()?;
    let contender = |name, server, address, request: &Request| Contender {
        name,
        server,
        address,
        request: request.clone(),
    };
    let mut contenders = vec![
        contender("cheesecloth", gateway.server(), gateway.public(), &own),
        contender("bare epoll loop", &bare.server, bare.address, &own),
        contender(
            "nginx",
            stage.nginx.server(),
            stage.nginx.sendfile(),
            &theirs,
        ),
        contender(
            "nginx, sendfile off",
            stage.nginx.server(),
            stage.nginx.buffers(),
            &theirs,
        ),
    ];
    if let Some(beside) = &beside {
        contenders.push(contender("beside", &beside.server, beside.address, &own));
    }
    let shape = Shape {
        connections: CONNECTIONS,
        tls: false,
        both_cores: false,
    };
    let figure = Turn::requests_per_second;
    let turns = alternate(stage.load(), &contenders, shape)?;
    let rounds = Round::all(&turns, &figure);
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
    println!("{}", table(answer.len(), &names, &rounds, &turns));
    Ok(())
}

/// Everything that the gateway sends for a request, head and content.
fn whole_answer(gateway: SocketAddr, request: &Request) -> anyhow::Result<Vec<u8>> {
    let answer = succeed(fetch(gateway, request)?)?;
    let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
    let kept = answer.headers.iter();
    for (name, value) in kept.filter(|(name, _)| !name.eq_ignore_ascii_case("connection")) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    Ok([head.as_bytes(), &answer.body].concat())
}

impl Loop {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Server::new(command.spawn().context("start a loop")?);
        let stdout = server.stdout().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(address) = line.trim().strip_prefix("listening ") else {
            bail!("a loop says {line:?}, not where it listens");
        };
        let address = address.parse()?;
        Ok(Self { server, address })
    }
}

/// Rates, and what part of the bare loop's each is.
fn table(bytes: usize, names: &[&str], rounds: &[Round], turns: &[Vec<Turn>]) -> String {
    let rate = |round: &Round, at: usize| match at {
        0 => round.ours,
        peer => round.peers[peer - 1],
    };
    let mut text = format!("answers of {bytes} bytes, {CONNECTIONS} connections, one core\n\n");
    text.push_str("| server | req/s | of the bare loop (rounds) |\n|---|---|---|\n");
    for (at, name) in names.iter().enumerate() {
        let rates = rounds.iter().map(|round| rate(round, at));
        let parts: Vec<f64> = rounds
            .iter()
            .map(|round| rate(round, at) / rate(round, 1))
            .collect();
        let least = parts.iter().copied().fold(f64::INFINITY, f64::min);
        let most = parts.iter().copied().fold(0.0, f64::max);
        text.push_str(&format!(
            "| {name} | {} | **{:.2}** ({least:.2}–{most:.2}) |\n",
            figure(median(rates)),
            median(parts.into_iter()),
        ));
    }
    let reached = median(rounds.iter().map(|round| rate(round, 0) / rate(round, 1)));
    let word = if reached >= GOAL {
        "reached"
    } else {
        "not reached"
    };
    text.push_str(&format!("\ngoal: {GOAL} of the bare loop, {word}\n"));
    for doubt in doubts(turns) {
        text.push_str(&format!("\n- {doubt}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_a_part_of_the_bare_loops() {
        let round = |ours, bare| Round {
            ours,
            peers: vec![bare, bare / 2.0],
        };
        let rounds = [round(80.0, 100.0), round(95.0, 100.0), round(190.0, 200.0)];
        let text = table(4000, &["ours", "bare", "nginx"], &rounds, &[]);
        assert!(
            text.contains("| ours | 95.0 | **0.95** (0.80–0.95) |"),
            "{text}"
        );
        assert!(
            text.contains("**0.50** (0.50–0.50)") && text.contains("bare loop, reached"),
            "{text}"
        );
    }

    #[test]
    fn a_bare_loop_answers_what_it_is_given() {
        let (sender, told) = std::sync::mpsc::channel();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        // It ends with the tests.
        std::thread::spawn(move || {
            bare::serve(answer, |line| sender.send(line.to_owned()).unwrap())
        });
        let line = told.recv().unwrap();
        let address = line.strip_prefix("listening ").unwrap().parse().unwrap();
        let mut line = crate::rig::plain::Line::to(address);
        for _ in 0..3 {
            assert_eq!(line.ask(&Request::new("/")).unwrap().body, b"hi");
        }
    }
}
