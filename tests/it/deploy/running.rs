//! What runs of `deploy/` without containers: the package, the images' health checks, the migration
//! check.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::managed::OURS;
use super::{read, root, text_of};
use crate::support::{
    FakeIndex, Program, Project, Setup, build_deb, debian, free_address, get, python,
};

#[test]
fn the_debian_package_holds_a_program_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let package = build_deb(folder.path()).display().to_string();
    let package = package.as_str();
    let deb = |arguments: &[&str]| {
        let output = Command::new("dpkg-deb").args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text_of(&output)
        );
        text_of(&output)
    };
    let told = deb(&["-I", package]);
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        " Package: cheesecloth",
        &format!(" Version: {version}"),
        " Depends: adduser, libc6 (>= 2.",
    ] {
        assert!(told.contains(line), "{line:?} is not in\n{told}");
    }
    assert!(
        !told.contains('@') || told.matches('@').count() == 1,
        "only the maintainer's:\n{told}"
    );

    let tree = folder.path().join("tree");
    deb(&["-R", package, &tree.display().to_string()]);
    for line in fs::read_to_string(tree.join("DEBIAN/conffiles"))
        .unwrap()
        .lines()
    {
        assert!(tree.join(line.trim_start_matches('/')).is_file(), "{line}");
    }
    for script in ["postinst", "prerm", "postrm"] {
        let parsed = Command::new("sh")
            .arg("-n")
            .arg(tree.join("DEBIAN").join(script))
            .output();
        assert!(parsed.unwrap().status.success(), "{script}");
    }
    let unit = read("deploy/systemd/cheesecloth.service");
    for path in ["usr/bin/cheesecloth", "usr/lib/cheesecloth/reload"] {
        assert!(
            unit.contains(&format!("=/{path}")),
            "the unit does not name {path}"
        );
        assert!(tree.join(path).is_file(), "{path}");
    }
    for path in [
        "man/man1/cheesecloth.1.gz",
        "man/man1/cheesecloth-cache-verify.1.gz",
        "bash-completion/completions/cheesecloth",
        "zsh/vendor-completions/_cheesecloth",
        "fish/vendor_completions.d/cheesecloth.fish",
    ] {
        assert!(tree.join("usr/share").join(path).is_file(), "{path}");
    }
    let checked = Command::new(tree.join("usr/bin/cheesecloth"))
        .arg("check")
        .arg(tree.join("etc/cheesecloth"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", text_of(&checked));
}

fn dairy(versions: &[&str]) -> FakeIndex {
    let sieve = versions
        .iter()
        .fold(Project::new("sieve"), |project, version| {
            project.wheel(version)
        });
    Setup::default().project(sieve).start()
}

fn migrate_check(old: &str, new: &str, paths: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(python())
        .arg(root().join("deploy/migrate-check"))
        .args([old, new])
        .args(paths)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .output()
        .unwrap();
    (output.status.code(), text_of(&output))
}

#[test]
fn the_migration_check_finds_a_gateway_no_different_from_what_it_mirrors() {
    let old = dairy(&["1.0", "2.0"]);
    let new = Program::with_policies(
        "default_index: root/pypi\nindexes: { root/pypi: { type: mirror } }",
    )
    .mirroring(old.url().as_str())
    .start();
    let paths = ["/simple/sieve/", "/simple/no-such-project/"];
    let (code, said) = migrate_check(old.at("/").as_str(), new.public_url(), &paths);
    assert!(said.ends_with("4 asked, 0 different\n"), "{said}");
    assert_eq!(code, Some(0));
    let fetched = old
        .journal()
        .all("/")
        .iter()
        .any(|entry| entry.path.ends_with(".whl"));
    assert!(fetched, "the bytes of a file are compared too");
}

#[test]
fn the_migration_check_names_what_differs() {
    let (old, mut new) = (dairy(&["1.0", "2.0"]), dairy(&["1.0"]));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let lines = "10.0.0.7 - - [20/Nov/2026] \"GET /simple/sieve/ HTTP/1.1\" 200 512 \"-\" \"pip/26.3\"\n\
                 10.0.0.7 - - [20/Nov/2026] \"POST /packages/stable HTTP/1.1\" 403 9 \"-\" \"twine\"\n";
    fs::write(&log, lines).unwrap();
    let log = log.display().to_string();
    let ask = |new: &FakeIndex| migrate_check(old.at("/").as_str(), new.at("/").as_str(), &[&log]);
    let (code, said) = ask(&new);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("differs  /simple/sieve/ (json)\n"), "{said}");
    assert!(
        said.contains("only the old one lists sieve-2.0-py3-none-any.whl"),
        "{said}"
    );
    assert!(said.ends_with("2 asked, 2 different\n"), "{said}");

    new.stop();
    let (code, said) = ask(&new);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.starts_with("migrate-check: http://127.0.0.1:"),
        "{said}"
    );
}

/// The health checks of the images, with this port instead of the one inside them.
fn health_checks(inside: &str, outside: &str) -> Vec<Vec<String>> {
    let dockerfile = read("deploy/Dockerfile");
    let checks = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("    CMD "));
    let here = checks.filter(|line| line.contains(inside));
    let here = here.map(|line| line.replace(inside, outside));
    here.map(|line| serde_json::from_str(&line).unwrap())
        .collect()
}

/// Whether a check succeeds where only these programs exist.
fn is_healthy_with(check: &[String], programs: &[&str]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    for name in programs {
        let there = debian(name, &[name]).get_program().to_owned();
        let there = Path::new("/usr/bin").join(there);
        std::os::unix::fs::symlink(there, folder.path().join(name)).unwrap();
    }
    let mut asked = Command::new("/bin/sh");
    asked
        .args(&check[1..])
        .env_clear()
        .env("PATH", folder.path());
    asked.stderr(Stdio::null()).status().unwrap().success()
}

fn is_healthy(check: &[String]) -> bool {
    // The tools in Debian's image, and those in Alpine's.
    let found = [&["bash", "head", "grep"][..], &["wget"]].map(|one| is_healthy_with(check, one));
    assert_eq!(found[0], found[1], "{check:?}");
    found[0]
}

#[test]
fn the_images_health_checks_tell_a_ready_gateway_from_others() {
    let index = dairy(&["1.0"]);
    let program = Program::without_policies()
        .mirroring(index.url().as_str())
        .start();
    let (_, port) = program.metrics_url().rsplit_once(':').unwrap();
    let checks = health_checks("9464", port.trim_end_matches('/'));
    assert_eq!(checks.len(), 1);
    for check in &checks {
        assert!(is_healthy(check), "{check:?}");
        let elsewhere: Vec<_> = check
            .iter()
            .map(|word| word.replace("readyz", "elsewhere"))
            .collect();
        assert!(!is_healthy(&elsewhere), "{elsewhere:?}");
    }
}

#[test]
fn the_devpi_image_starts_as_people_start_theirs() {
    let index = dairy(&["1.0"]);
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let (_, port) = address.rsplit_once(':').unwrap();
    let bin = Path::new(OURS).parent().unwrap().display().to_string();
    let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
    let check = &health_checks("3141", port)[0];
    // The first start creates the folder, the second finds it.
    for _ in 0..2 {
        let mut start = Command::new(root().join("deploy/devpi-start"));
        start
            .args(["--threads", "4", "--debug"])
            .env("PATH", format!("{bin}:{path}"))
            .env("DEVPISERVER_SERVERDIR", folder.path().join("server"))
            .env("DEVPISERVER_HOST", "127.0.0.1")
            .env("DEVPISERVER_PORT", port)
            .env("DEVPI_PASSWORD", "secret")
            .env("CHEESECLOTH_MIRROR_URL", index.url().as_str())
            .env_remove("CHEESECLOTH_POLICIES")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut server = start.spawn().unwrap();
        let said = BufReader::new(server.stdout.take().unwrap());
        let is_open = |line: &String| line.starts_with("management ");
        assert!(
            said.lines()
                .map_while(Result::ok)
                .any(|line| is_open(&line))
        );
        assert!(is_healthy(check), "{check:?}");
        let page = get(&format!("http://{address}/root/pypi/+simple/sieve/")).unwrap();
        assert!(
            page.body.contains("sieve-1.0-py3-none-any.whl"),
            "{}",
            page.body
        );
        kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
        assert!(server.wait().unwrap().success());
    }
}
