//! What of `deploy/` runs here: the package, the upgrade, the line to systemd, the migration check.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{read, root, text_of};
use crate::support::{FakeIndex, Program, Project, Setup, command, debian, get, python};

/// Longer than a debug build takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program under a service manager that this test plays.
struct Managed {
    folder: TempDir,
    manager: UnixDatagram,
    metrics: String,
    flags: Vec<String>,
}

impl Managed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        fs::write(
            folder.path().join("p.yaml"),
            "limits: { grace_period: 1s }\n",
        )
        .unwrap();
        // An upgrade needs ports that both processes name.
        let metrics = free_address();
        let policies = folder.path().join("p.yaml").display().to_string();
        let public = free_address();
        let flags = [
            "--policies",
            &policies,
            "--public",
            &public,
            "--manage",
            "off",
            "--metrics",
        ];
        let flags = flags
            .iter()
            .map(|flag| (*flag).to_owned())
            .chain([metrics.clone()]);
        Self {
            flags: flags.collect(),
            folder,
            manager,
            metrics,
        }
    }

    /// What both processes find in their environment, as from systemd.
    fn environment(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .env("CHEESECLOTH_DATA", self.folder.path().join("data"))
            .env("CHEESECLOTH_MIRROR_URL", "http://127.0.0.1:9/simple/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    }

    fn start(&self) -> Child {
        let mut serve = command();
        serve.arg("serve").args(&self.flags);
        self.environment(&mut serve);
        serve.spawn().unwrap()
    }

    /// What the program says next.
    #[track_caller]
    fn hears(&self) -> String {
        let mut part = [0; 256];
        let length = self
            .manager
            .recv(&mut part)
            .expect("the program says something");
        String::from_utf8_lossy(&part[..length]).into_owned()
    }

    fn is_ready(&self) -> bool {
        let answer = get(&format!("http://{}/readyz", self.metrics));
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// `systemctl reload`.
    fn reload(&self, main: u32, program: &Path) -> Output {
        let mut reload = Command::new(root().join("deploy/systemd/reload"));
        reload.args(&self.flags);
        self.environment(&mut reload);
        reload
            .env("MAINPID", main.to_string())
            .env("CHEESECLOTH_PROGRAM", program)
            .output()
            .unwrap()
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

const OURS: &str = env!("CARGO_BIN_EXE_cheesecloth");

#[test]
fn the_service_manager_hears_of_start_reload_and_stop() {
    let managed = Managed::new();
    let mut program = managed.start();
    assert_eq!(managed.hears(), "READY=1");
    assert!(managed.is_ready());

    let reloaded = managed.reload(program.id(), Path::new(OURS));
    assert!(reloaded.status.success());
    assert_eq!(
        managed.hears(),
        "RELOADING=1\nSTATUS=reading the configuration again"
    );
    assert_eq!(managed.hears(), "READY=1\nSTATUS=generation 2 serves");

    fs::write(managed.folder.path().join("p.yaml"), "logs: {}\n").unwrap();
    assert!(managed.hears().starts_with("RELOADING=1\n"));
    let after = "READY=1\nSTATUS=not reloaded, the log says why; generation 2 still serves";
    assert_eq!(managed.hears(), after);

    signal(program.id(), Signal::TERM);
    assert_eq!(
        managed.hears(),
        "STOPPING=1\nSTATUS=finishing what is under way"
    );
    assert!(program.wait().unwrap().success());
}

#[test]
fn a_reload_after_the_binary_was_replaced_hands_the_sockets_over() {
    let managed = Managed::new();
    let mut old = managed.start();
    assert_eq!(managed.hears(), "READY=1");
    let replaced = managed.folder.path().join("cheesecloth");
    fs::copy(OURS, &replaced).unwrap();

    let reloaded = managed.reload(old.id(), &replaced);
    assert!(reloaded.status.success());
    let said = managed.hears();
    let (main, rest) = said.split_once('\n').unwrap();
    let new: u32 = main.strip_prefix("MAINPID=").unwrap().parse().unwrap();
    assert_eq!(rest, "READY=1");
    assert_ne!(new, old.id());
    let exe = fs::read_link(format!("/proc/{new}/exe")).unwrap();
    assert_eq!(exe, fs::canonicalize(&replaced).unwrap());
    // From here on to the old one's end, somebody always answers.
    let mut asked = 0;
    while old.try_wait().unwrap().is_none() {
        assert!(managed.is_ready(), "request {asked} was refused");
        asked += 1;
    }
    assert!(asked > 0);
    assert!(managed.is_ready());
    signal(new, Signal::TERM);
    assert!(managed.hears().starts_with("STOPPING=1"));
}

#[test]
fn a_new_binary_that_does_not_start_leaves_the_old_one_serving() {
    let managed = Managed::new();
    let mut old = managed.start();
    assert_eq!(managed.hears(), "READY=1");
    let reloaded = managed.reload(old.id(), Path::new("/bin/false"));
    assert_eq!(reloaded.status.code(), Some(1));
    assert!(managed.is_ready());
    assert!(old.try_wait().unwrap().is_none());
    old.kill().unwrap();
    old.wait().unwrap();
}

#[test]
fn the_debian_package_holds_a_program_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let built = Command::new(root().join("deploy/debian/build-deb"))
        .args([Path::new(OURS), folder.path()])
        .env("DEB_COMPRESSION", "none")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", text_of(&built));
    let package = String::from_utf8(built.stdout).unwrap();
    let package = package.trim_end();
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

/// The health checks of the images, with this port in the place of the one inside them.
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

fn is_healthy(check: &[String]) -> bool {
    let mut asked = debian(&check[0], &[&check[0]]);
    asked.args(&check[1..]).env_remove("http_proxy");
    asked.stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn the_images_health_checks_tell_a_ready_gateway_from_others() {
    let index = dairy(&["1.0"]);
    let program = Program::without_policies()
        .mirroring(index.url().as_str())
        .start();
    let (_, port) = program.metrics_url().rsplit_once(':').unwrap();
    let checks = health_checks("9464", port.trim_end_matches('/'));
    assert_eq!(checks.len(), 2);
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
    // Once to make the folder, once on what is there.
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
        signal(server.id(), Signal::TERM);
        assert!(server.wait().unwrap().success());
    }
}
