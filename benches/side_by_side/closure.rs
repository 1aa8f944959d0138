//! A whole `uv pip install` of 100 packages through nginx's cache and through the gateway, with
//! everything cached or nothing.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::cold::UPSTREAM_DELAY;
use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::stage::Stage;
use crate::rig::content::{CLOSURE, closure_name};
use crate::rig::tools::run;

/// The path of the index on either server.
const NGINX_INDEX: &str = "simple";
const OUR_INDEX: &str = "root/pypi/+simple";

/// A uv without a cache that uses one index.
struct Installer {
    uv: PathBuf,
    python: String,
    target: PathBuf,
}

/// Measures both with warm caches.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Row> {
    let installer = Installer::find(stage)?;
    let gateway = stage.gateway()?.public();
    let mut nginx = || installer.install(stage.nginx.proxy(), NGINX_INDEX);
    let mut ours = || installer.install(gateway, OUR_INDEX);
    // Fills each server's cache.
    nginx()?;
    ours()?;
    let rounds = (0..stage.options.rounds).map(|round| in_turns(round, &mut nginx, &mut ours));
    Ok(Row {
        peers: vec!["nginx"],
        rounds: rounds.collect::<Result<_, _>>()?,
        ..Row::new(
            Scenario::Closure.name(),
            "s",
            Better::Low,
            Floor::RatioAtMost(1.05),
        )
    })
}

/// Measures both with empty caches, and an upstream some way away.
pub(crate) fn measure_cold(stage: &Stage, install: bool) -> anyhow::Result<Row> {
    let installer = Installer::find(stage)?;
    stage.origin.set_delay(UPSTREAM_DELAY);
    let run = |address: SocketAddr, index: &str| {
        if install {
            installer.install(address, index)
        } else {
            installer.resolve(address, index)
        }
    };
    let kind = if install { "install" } else { "compile" };
    let rounds = (0..stage.options.rounds).map(|round| {
        let name = format!("cold-{kind}-{round}");
        let mut nginx = || {
            let nginx = stage.nginx_before(&format!("nginx-{name}"), &stage.origin, 1)?;
            run(nginx.proxy(), NGINX_INDEX)
        };
        let mut ours = || {
            let gateway = stage.launch(&name).start()?;
            run(gateway.public(), OUR_INDEX)
        };
        in_turns(round, &mut nginx, &mut ours)
    });
    let rounds = rounds.collect::<Result<_, _>>();
    stage.origin.set_delay(Duration::ZERO);
    Ok(Row {
        peers: vec!["nginx"],
        rounds: rounds?,
        ..Row::new(
            Scenario::ColdClosure { install }.name(),
            "s",
            Better::Low,
            Floor::RatioAtMost(1.0),
        )
    })
}

/// One run through a server, in seconds.
type Timed<'a> = &'a mut dyn FnMut() -> anyhow::Result<f64>;

/// Which server begins changes from round to round.
fn in_turns(round: usize, nginx: Timed<'_>, ours: Timed<'_>) -> anyhow::Result<Round> {
    let (theirs, ours) = if round.is_multiple_of(2) {
        let theirs = nginx()?;
        (theirs, ours()?)
    } else {
        let ours = ours()?;
        (nginx()?, ours)
    };
    Ok(Round {
        peers: vec![theirs],
        ours,
    })
}

impl Installer {
    fn find(stage: &Stage) -> anyhow::Result<Self> {
        let python =
            run(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]))?;
        Ok(Self {
            uv: stage.tools.uv()?,
            python: String::from_utf8_lossy(&python.stdout).trim().to_owned(),
            target: stage.folder.join("closure"),
        })
    }

    fn install(&self, address: SocketAddr, index: &str) -> anyhow::Result<f64> {
        let mut command = self.command("install", address, index);
        command
            .arg("--target")
            .arg(&self.target)
            .arg(closure_name(0));
        let elapsed = timed(&mut command)?;
        complete(&self.target)?;
        fs::remove_dir_all(&self.target)?;
        Ok(elapsed)
    }

    fn resolve(&self, address: SocketAddr, index: &str) -> anyhow::Result<f64> {
        let asked = self.target.with_extension("in");
        fs::write(&asked, closure_name(0))?;
        timed(self.command("compile", address, index).arg(&asked))
    }

    fn command(&self, verb: &str, address: SocketAddr, index: &str) -> Command {
        let mut command = Command::new(&self.uv);
        command.args(["pip", verb, "--no-config", "--no-cache", "--python"]);
        command.arg(&self.python);
        command
            .arg("--index-url")
            .arg(format!("http://{address}/{index}"));
        command
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
        command
    }
}

fn timed(command: &mut Command) -> anyhow::Result<f64> {
    let started = Instant::now();
    run(command)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Checks that every package is there.
fn complete(target: &Path) -> anyhow::Result<()> {
    for number in 0..CLOSURE {
        let module = closure_name(number).replace('-', "_");
        if !target.join(&module).join("data.bin").is_file() {
            bail!("{module} was not installed");
        }
    }
    Ok(())
}
