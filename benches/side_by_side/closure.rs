//! A whole `uv pip install` of 100 packages, everything warm, through nginx's cache and through us.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::bail;

use super::content::{CLOSURE, closure_name};
use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::resources::MIRROR;
use super::stage::Stage;
use super::tools::run;

/// Measures both with a uv that remembers nothing.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Row> {
    let uv = stage.tools.uv()?;
    let python = run(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]))?;
    let python = String::from_utf8_lossy(&python.stdout).trim().to_owned();
    let target = stage.folder.join("closure");
    let install = |address: SocketAddr, index: &str| -> anyhow::Result<f64> {
        let mut command = Command::new(&uv);
        command.args([
            "pip",
            "install",
            "--no-config",
            "--no-cache",
            "--python",
            &python,
        ]);
        command
            .arg("--index-url")
            .arg(format!("http://{address}/{index}"));
        command.arg("--target").arg(&target).arg(closure_name(0));
        command
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
        let started = Instant::now();
        run(&mut command)?;
        let elapsed = started.elapsed().as_secs_f64();
        complete(&target)?;
        fs::remove_dir_all(&target)?;
        Ok(elapsed)
    };
    let gateway = stage.gateway()?.public();
    let nginx = || install(stage.nginx.proxy(), "simple");
    let ours = || install(gateway, &format!("{MIRROR}/+simple"));
    // Each fills its cache.
    nginx()?;
    ours()?;
    let mut rounds = Vec::new();
    for round in 0..stage.options.rounds {
        let (theirs, ours) = if round % 2 == 0 {
            let theirs = nginx()?;
            (theirs, ours()?)
        } else {
            let ours = ours()?;
            (nginx()?, ours)
        };
        rounds.push(Round {
            peers: vec![theirs],
            ours,
        });
    }
    Ok(Row {
        scenario: Scenario::Closure.name(),
        unit: "s",
        better: Better::Low,
        peers: vec!["nginx"],
        rounds,
        floor: Floor::RatioAtMost(1.05),
        per_cpu: Vec::new(),
        turns: Vec::new(),
        notes: Vec::new(),
        broken: Vec::new(),
    })
}

/// Every package is there.
fn complete(target: &Path) -> anyhow::Result<()> {
    for number in 0..CLOSURE {
        let module = closure_name(number).replace('-', "_");
        if !target.join(&module).join("data.bin").is_file() {
            bail!("{module} was not installed");
        }
    }
    Ok(())
}
