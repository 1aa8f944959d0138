//! `deploy/` on a machine: compose's services in a root of their own (`containers`), and the Debian
//! package on a whole machine: installed by dpkg, run by the real systemd under the unit's own user
//! and restrictions, upgraded under load, removed; and the migration from nginx and devpi-server.
//!
//! The machine is this one, seen through its own namespaces (`machine/boot`): whatever is installed
//! there is gone afterwards. That takes root and systemd, and the wheel (`wheel`) is built for minutes,
//! so this is a separate test target that `cargo test` leaves out: `cargo test --test machine`. Without
//! them it fails with a message.

mod containers;
#[path = "../it/deploy/folder.rs"]
mod folder;
#[expect(
    dead_code,
    unused_imports,
    reason = "the other tests' support, of which little is needed here"
)]
#[path = "../it/support/mod.rs"]
mod support;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cheesecloth::testing::model::Sha256;

use folder::{read, root};
use support::debian::unpack;
use support::{Tool, Wheel, build_deb, wait};

/// For the whole life of an installed package on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// The files of these packages, for installing them on a test's own machine.
///
/// # Panics
/// When they cannot be downloaded, with what to do about it.
fn debian_packages(packages: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(unpack(packages)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.filter(|path| path.extension().is_some_and(|end| end == "deb"));
    found.collect()
}

/// The package under its own name on a machine's disk, with what belongs to it.
fn put_deb(folder: &Path) {
    let built = build_deb(folder);
    assert!(
        built
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("cheesecloth_")
    );
}

/// A folder that a web server can serve as an index with one project.
fn lay_out_index(folder: &Path) {
    let project = folder.join("simple/sieve");
    fs::create_dir_all(&project).unwrap();
    let wheel = Wheel::new("sieve", "1.0");
    let (name, bytes) = (wheel.filename(), wheel.build());
    let digest = Sha256::of(&bytes).to_hex();
    let link = format!("<a href=\"{name}#sha256={digest}\">{name}</a>");
    fs::write(project.join("index.html"), link).unwrap();
    let list = "<a href=\"sieve/\">sieve</a>";
    fs::write(folder.join("simple/index.html"), list).unwrap();
    fs::write(project.join(name), bytes).unwrap();
}

/// Runs a scenario on its own machine, with these files in place.
#[track_caller]
fn run(scenario: &str, prepare: impl FnOnce(&Path)) {
    // Below the target directory: overlays cannot be stacked on every kind of /tmp.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    prepare(&out);
    let scripts = root().join("tests/machine");
    // pip's own environment before those of other tools.
    let tools = [Tool::Pip, Tool::Twine, Tool::Devpi, Tool::DevpiServer];
    let folders = tools.map(|tool| tool.program().parent().unwrap().display().to_string());
    let path = format!("PATH={}:$PATH\n", folders.join(":"));
    let text = fs::read_to_string(scripts.join(scenario)).unwrap();
    fs::write(out.join("scenario"), path + &text).unwrap();
    let mut boot = Command::new("unshare");
    boot.args(["--mount", "--pid", "--fork", "--kill-child", "--cgroup"]);
    boot.args(["--uts", "--ipc", "--net", "sh"]);
    let tools = root().join("target/tools");
    boot.arg(scripts.join("boot")).args([folder.path(), &tools]);
    let log = fs::File::create(out.join("systemd")).unwrap();
    boot.env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let mut booted = boot.spawn().unwrap();
    let status = wait(&mut booted, PATIENCE);
    if status.is_none() {
        booted.kill().unwrap();
        booted.wait().unwrap();
    }
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_default();
    assert!(
        status.is_some_and(|status| status.success()),
        "{scenario}: {status:?}; this test needs root, unshare and systemd (Debian's packages \
         util-linux and systemd)\n--- systemd\n{}\n--- the scenario\n{}",
        read("systemd"),
        read("said")
    );
}

#[test]
fn the_debian_package_lives_under_systemd_from_install_to_purge() {
    run("package", |out| {
        put_deb(out);
        lay_out_index(&out.join("index"));
        let load = root().join("tests/machine/load.py");
        fs::copy(load, out.join("load.py")).unwrap();
    });
}

/// The commands of the migration's steps: what each does, how it is checked and undone.
fn steps(page: &str) -> Vec<[String; 3]> {
    let sections = page.split("\n## ").skip(1);
    let commands = |section: &str, word: &str| {
        let (_, rest) = section.split_once(&format!("\n**{word}**:"))?;
        let (block, _) = rest.split_once("\n```sh\n")?.1.split_once("\n```\n")?;
        Some(block.to_owned())
    };
    let steps = sections.filter_map(|section| {
        let found = ["Do", "Check", "Undo"].map(|word| commands(section, word));
        let [Some(one), Some(two), Some(three)] = found else {
            assert!(found.iter().all(Option::is_none), "{section}");
            return None;
        };
        Some([one, two, three])
    });
    steps.collect()
}

#[test]
fn the_migration_from_nginx_and_devpi_can_be_walked_forth_and_back() {
    run("migrate", |out| {
        put_deb(out);
        for package in debian_packages(&["nginx", "nginx-common"]) {
            fs::copy(&package, out.join(package.file_name().unwrap())).unwrap();
        }
        lay_out_index(&out.join("index"));
        fs::create_dir(out.join("dist")).unwrap();
        let own = Wheel::new("parmesan", "1.0");
        fs::write(out.join("dist").join(own.filename()), own.build()).unwrap();
        let steps = steps(&read("deploy/MIGRATE.md"));
        assert_eq!(steps.len(), 4);
        for (number, commands) in (1..).zip(steps) {
            for (word, text) in ["do", "check", "undo"].iter().zip(commands) {
                fs::write(out.join(format!("{number}-{word}")), text).unwrap();
            }
        }
    });
}
