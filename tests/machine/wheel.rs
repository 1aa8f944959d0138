//! The wheel: built by the recipe's own tool, checked by others, and installed by pip and uv through a
//! running gateway into environments that know no Rust.
//!
//! It is here because maturin builds the program again, without what only tests need: minutes that
//! `cargo test` shall not take.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};

use super::folder::root;
use super::support::{Client, Content, Listed, Program, Project, Setup, Tool, python, wait};

/// What builds and judges the wheel; versions are raised here deliberately, one at a time.
const BUILDERS: [&str; 2] = ["maturin==1.16.0", "auditwheel==6.8.2"];

/// From a SIGTERM to the end of a program that serves nobody.
const STOP: Duration = Duration::from_secs(60);

const VERSION: &str = concat!("cheesecloth ", env!("CARGO_PKG_VERSION"));

#[track_caller]
fn told_by(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    told
}

/// A Python environment, and its folder of programs.
fn environment(folder: PathBuf) -> PathBuf {
    told_by(Command::new(python()).args(["-m", "venv"]).arg(&folder));
    folder.join("bin")
}

/// A program that finds nothing but the system's own, no cargo among it, and no other index.
fn without_rust(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    command
}

/// Builds the wheel into `folder`, as `just wheel` does but for the profile.
fn build(folder: &Path) -> PathBuf {
    let tools = environment(folder.join("tools"));
    told_by(
        Command::new(tools.join("pip"))
            .args(["install", "--quiet"])
            .args(BUILDERS),
    );
    let out = folder.join("wheels");
    let mut maturin = Command::new(tools.join("maturin"));
    maturin.current_dir(root().join("deploy/wheel"));
    maturin
        .args(["build", "--profile", "dev", "--out"])
        .arg(&out);
    told_by(&mut maturin);
    let built: Vec<_> = fs::read_dir(&out).unwrap().collect();
    let [Ok(wheel)] = built.as_slice() else {
        panic!("one wheel, not {built:?}");
    };
    let shown = told_by(
        Command::new(tools.join("auditwheel"))
            .arg("show")
            .arg(wheel.path()),
    );
    assert!(shown.contains("manylinux_2_"), "{shown}");
    wheel.path()
}

/// A gateway whose upstream has the wheel, and the URL to give to installers.
fn served(wheel: &Path) -> (impl Drop, Program, String) {
    let name = wheel.file_name().unwrap().to_str().unwrap();
    let bytes = Content::Bytes(Bytes::from(fs::read(wheel).unwrap()));
    let project =
        Project::new("cheesecloth").file(Listed::new(name, env!("CARGO_PKG_VERSION"), bytes));
    let dairy = Setup::default().project(project).start();
    let yaml = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n",
        dairy.url()
    );
    let shop = Program::with_policies(&yaml).start();
    let index = shop.index_url("root/dairy");
    (dairy, shop, index)
}

/// Serves until SIGTERM, which must reach the program itself and end it in order.
fn serves_and_stops(mut command: Command, data: &Path) {
    command.args(["serve", "--public", "127.0.0.1:0", "--manage", "off"]);
    command
        .args(["--metrics", "off", "--offline", "--data"])
        .arg(data);
    command.current_dir(data.parent().unwrap());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let door = lines.find(|line| line.as_ref().unwrap().starts_with("public"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = wait(&mut child, STOP);
    if ended.is_none() {
        child.kill().unwrap();
    }
    assert!(door.is_some(), "it names no public door");
    assert!(
        ended.is_some_and(|status| status.success()),
        "after SIGTERM: {ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wheel_installs_by_pip_and_uv_through_a_gateway_and_serves() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let wheel = build(folder.path());
    let path = wheel.display().to_string();
    Client::fresh(Tool::Twine)
        .run(&["check", "--strict", &path])
        .succeeds();

    let (_dairy, _shop, index) = served(&wheel);
    let place = ["--index-url", &index, "cheesecloth"];
    let bin = environment(folder.path().join("empty"));
    told_by(
        without_rust(bin.join("pip"))
            .args(["install", "--no-cache-dir"])
            .args(place),
    );
    let program = told_by(without_rust(bin.join("cheesecloth")).arg("--version"));
    assert!(program.starts_with(VERSION), "{program}");
    let module = ["-m", "cheesecloth", "--version"];
    assert_eq!(
        told_by(without_rust(bin.join("python")).args(module)),
        program
    );

    // Where the program and the package do not lie in an environment's usual places.
    for option in ["--target", "--prefix"] {
        let away = folder.path().join(option.trim_start_matches('-'));
        let mut install = without_rust(bin.join("pip"));
        install
            .args(["install", "--no-cache-dir", "--ignore-installed", option])
            .arg(&away);
        told_by(install.args(place));
        let package = find_package(&away);
        let mut found = without_rust(python());
        found.env("PYTHONPATH", package.parent().unwrap()).args([
            "-c",
            "import cheesecloth; print(cheesecloth.find_program())",
        ]);
        let found = told_by(&mut found);
        assert_eq!(
            found.trim(),
            away.join("bin/cheesecloth").display().to_string()
        );
    }

    let run = ["tool", "run", "--index-url", &index, "--from"];
    let run = [&run[..], &["cheesecloth", "cheesecloth", "--version"]].concat();
    Client::fresh(Tool::Uv).run(&run).succeeds().says(VERSION);

    let mut module = without_rust(bin.join("python"));
    module.args(["-m", "cheesecloth"]);
    serves_and_stops(module, &folder.path().join("data"));
}

/// The package's folder below an installation's.
fn find_package(away: &Path) -> PathBuf {
    let in_target = away.join("cheesecloth");
    if in_target.is_dir() {
        return in_target;
    }
    let lib = fs::read_dir(away.join("lib"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    lib.path().join("site-packages/cheesecloth")
}
