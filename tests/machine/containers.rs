//! The services of the compose files, without an engine: what the Dockerfile says of the image is
//! replayed into a folder, what compose says of the service is applied to it, and people install
//! through it.
//!
//! That folder holds only the program and the files copied beside it: no shell, no library. Ports
//! and the paths of volumes are the test's own; everything else is taken from the files.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::folder::{instruction, read, root, strings, words, yaml};
use crate::support::{Client, Devpi, Project, Setup, Tool, Wheel, free_address, get, python};

/// The program with the C library linked in, as in the Dockerfile; only the last step is a
/// different one.
fn static_program(folder: &Path) -> PathBuf {
    assert!(read("deploy/Dockerfile").contains("RUSTFLAGS='-C target-feature=+crt-static "));
    let libraries = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    let entries = fs::read_dir(&libraries).unwrap().map(Result::unwrap);
    let is_ours = |name: &str| name.starts_with("libcheesecloth-") && name.ends_with(".rlib");
    let ours = entries.filter(|entry| is_ours(&entry.file_name().to_string_lossy()));
    let newest = ours.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    let program = folder.join("static");
    let linked = Command::new("rustc")
        .args(["--edition", "2024", "--crate-name", "cheesecloth"])
        .args(["-C", "target-feature=+crt-static", "--cap-lints", "allow"])
        .arg(format!(
            "--extern=cheesecloth={}",
            newest.unwrap().path().display()
        ))
        .arg(format!("-Ldependency={}", libraries.display()))
        .arg("-o")
        .args([&program, &root().join("src/main.rs")])
        .output()
        .unwrap();
    assert!(
        linked.status.success(),
        "{}",
        String::from_utf8_lossy(&linked.stderr)
    );
    program
}

/// The instructions of a stage, with continued lines joined.
fn stage(name: &str) -> Vec<String> {
    let dockerfile = read("deploy/Dockerfile").replace("\\\n", "");
    let opening = format!(" AS {name}\n");
    let (_, rest) = dockerfile.split_once(&opening).unwrap();
    let end = rest.find("\nFROM ").unwrap_or(rest.len());
    let lines = rest[..end].lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// A running service of a compose file.
struct Container {
    child: Child,
    _folder: TempDir,
    data: PathBuf,
}

/// A service about to run.
struct Image {
    folder: TempDir,
    user: u64,
    home: String,
    environment: BTreeMap<String, String>,
    volumes: BTreeMap<String, (PathBuf, bool)>,
    line: Vec<String>,
}

impl Image {
    /// The image of the stage `gateway`, built from `mirror`.
    fn build(mirror: &str) -> Self {
        // Not in /tmp, which may forbid what an engine's storage allows the image's user.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut image = Self {
            user: 0,
            home: "/".to_owned(),
            environment: BTreeMap::new(),
            volumes: BTreeMap::new(),
            line: instruction(&stage("gateway").join("\n"), "ENTRYPOINT "),
            folder,
        };
        for line in stage("gateway") {
            image.replay(&line, mirror);
        }
        image
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn inside(&self, path: &str) -> PathBuf {
        let path = self.root().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Replays an instruction.
    fn replay(&mut self, line: &str, mirror: &str) {
        let words = words(line);
        match words.first().map(String::as_str) {
            Some("COPY") => {
                let flags = words[1..].iter().take_while(|word| word.starts_with("--"));
                let flags: Vec<_> = flags.cloned().collect();
                let [from, to] = &words[1 + flags.len()..] else {
                    panic!("{line}")
                };
                let to = self.inside(to);
                match from.as_str() {
                    "/cheesecloth" => fs::rename(static_program(self.folder.path()), &to).unwrap(),
                    "/upstream-url" => fs::write(&to, mirror).unwrap(),
                    "/etc/ssl/certs/ca-certificates.crt" => drop(fs::copy(from, &to).unwrap()),
                    ours => drop(fs::copy(root().join(ours), &to).unwrap()),
                }
                if let Some(owner) = flags.iter().find_map(|flag| flag.strip_prefix("--chown=")) {
                    chown(&to, Some(owner.parse().unwrap()), None).unwrap();
                }
            }
            Some("RUN") => {
                for command in words[1..].split(|word| word == "&&") {
                    let [command, setting, path] = command else {
                        panic!("{line} is not replayed here")
                    };
                    let path = self.inside(path);
                    match command.as_str() {
                        "chown" => chown(&path, Some(setting.parse().unwrap()), None).unwrap(),
                        "chmod" => {
                            let mode = u32::from_str_radix(setting, 8).unwrap();
                            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                        }
                        _ => panic!("{line} is not replayed here"),
                    }
                }
            }
            Some("USER") => self.user = words[1].parse().unwrap(),
            Some("WORKDIR") => words[1].clone_into(&mut self.home),
            Some("ENV") => {
                let pairs = words[1..].iter().map(|pair| pair.split_once('=').unwrap());
                let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
                self.environment.extend(pairs);
            }
            _ => {}
        }
    }

    /// Applies compose's settings of the service; `rewrite` puts this test's addresses into its
    /// files.
    fn serve_as(mut self, service: &Value, rewrite: impl Fn(String) -> String) -> Container {
        self.line.extend(strings(&service["command"]));
        self.line = self.line.into_iter().map(&rewrite).collect();
        for (name, value) in service["environment"].as_object().into_iter().flatten() {
            // `${NAME:-}`: what the user who starts it has set, which is nothing here.
            assert!(value.as_str().unwrap().ends_with(":-}"), "{name}: {value}");
            self.environment.insert(name.clone(), String::new());
        }
        let volumes = strings(&service["volumes"]);
        for volume in &volumes {
            let parts: Vec<&str> = volume.split(':').collect();
            let (source, target) = (parts[0], parts[1]);
            if source.starts_with('.') {
                self.bring(&root().join("deploy").join(source), target, &rewrite);
            } else {
                // A new volume starts with what the image has there, including the owner.
                let volume = self.folder.path().join(source);
                fs::rename(self.inside(target), &volume).unwrap();
                fs::create_dir(self.inside(target)).unwrap();
                self.volumes.insert(target.to_owned(), (volume, false));
            }
        }
        assert_eq!(service["read_only"], true);
        assert_eq!(strings(&service["cap_drop"]), ["ALL"]);
        self.run()
    }

    /// Mounts files of the repository there, read-only.
    fn bring(&mut self, source: &Path, target: &str, rewrite: &impl Fn(String) -> String) {
        let copy = |from: &Path, to: PathBuf| {
            fs::write(to, rewrite(fs::read_to_string(from).unwrap())).unwrap();
        };
        if source.is_file() {
            copy(source, self.inside(target));
            return;
        }
        let shown = self.folder.path().join("shown");
        fs::create_dir(&shown).unwrap();
        for entry in fs::read_dir(source).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                copy(&entry.path(), shown.join(entry.file_name()));
            }
        }
        self.volumes.insert(target.to_owned(), (shown, true));
    }

    fn run(self) -> Container {
        fs::write(self.inside("/etc/hosts"), "127.0.0.1 localhost devpi\n").unwrap();
        let data = self.volumes["/var/lib/cheesecloth"].0.clone();
        let said = json!({
            "user": self.user,
            "folder": self.home,
            "environment": self.environment,
            "volumes": self.volumes,
            "line": self.line,
        });
        let mut contain = Command::new("unshare");
        contain.args(["--mount", "--pid", "--fork", "--kill-child"]);
        contain
            .arg(python())
            .arg(root().join("tests/machine/contain.py"))
            .arg(self.root())
            .arg(said.to_string());
        contain
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.folder.path().join("log")).unwrap());
        let mut child = contain.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        // It prints the metrics door last, so all doors are open.
        let is_open = lines.any(|line| line.starts_with("metrics "));
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert!(is_open, "this test needs root and unshare: {log}");
        Container {
            child,
            _folder: self.folder,
            data,
        }
    }
}

impl Container {
    /// The process inside, as seen from here.
    fn process(&self) -> String {
        format!("/proc/{}", self.inside().unwrap().as_raw_nonzero())
    }

    fn inside(&self) -> Option<Pid> {
        let id = self.child.id();
        let inside = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        Pid::from_raw(inside.trim().parse().ok()?)
    }

    #[track_caller]
    fn has_no_rights(&self) {
        let status = fs::read_to_string(format!("{}/status", self.process())).unwrap();
        for line in [
            "Uid:\t10001\t10001\t10001\t10001",
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
        ] {
            assert!(status.contains(line), "{line:?} is not in\n{status}");
        }
        let mounts = fs::read_to_string(format!("{}/mountinfo", self.process())).unwrap();
        let is_read_only = mounts.lines().any(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            fields[4] == "/" && fields[5].starts_with("ro")
        });
        assert!(is_read_only, "{mounts}");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its parent-death signal was set as root, and was cleared when it gave up its rights.
        if let Some(inside) = self.inside() {
            let _ = kill_process(inside, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of ours with this test's addresses instead of the image's.
fn rewritten(text: String, places: &[(&str, &str)]) -> String {
    let replace = |text: String, (inside, outside): &(&str, &str)| text.replace(inside, outside);
    places.iter().fold(text, replace)
}

fn installs(index: &str) {
    for tool in [Tool::Pip, Tool::Uv] {
        let client = Client::fresh(tool);
        client.install(index, &["sieve"]).succeeds();
        assert!(client.folder().join("out/sieve-1.0.dist-info").is_dir());
    }
}

#[test]
fn the_service_of_compose_stands_alone_on_nothing_but_itself() {
    let index = Setup::default()
        .project(Project::new("sieve").wheel("1.0"))
        .start();
    let service = &yaml("deploy/docker-compose.yml")[0]["services"]["cheesecloth"];
    let [public, manage, metrics] = [free_address(), free_address(), free_address()];
    let places = [
        ("0.0.0.0:4040", &*public),
        ("127.0.0.1:3141", &*manage),
        ("0.0.0.0:9464", &*metrics),
    ];
    let image = Image::build(index.url().as_str());
    let container = image.serve_as(service, |text| rewritten(text, &places));
    container.has_no_rights();
    installs(&format!("http://{public}/root/acme/+simple/"));
    let ready = get(&format!("http://{metrics}/readyz")).unwrap();
    assert_eq!(ready.status, 200);
    assert!(container.data.join("records.sqlite").is_file());
}

#[test]
fn the_service_of_compose_stands_before_devpi() {
    let devpi = Devpi::primary();
    let client = Client::fresh(Tool::Devpi);
    client.run(&["use", &devpi.url()]).succeeds();
    client.run(&["login", "root", "--password", ""]).succeeds();
    client
        .run(&["index", "-c", "root/acme", "bases=", "volatile=True"])
        .succeeds();
    client.run(&["use", "root/acme"]).succeeds();
    let wheel = Wheel::new("sieve", "1.0");
    fs::write(client.folder().join(wheel.filename()), wheel.build()).unwrap();
    client.run(&["upload", &wheel.filename()]).succeeds();

    let service = &yaml("deploy/docker-compose.devpi.yml")[0]["services"]["cheesecloth"];
    let [public, metrics] = [free_address(), free_address()];
    // The name is kept, because it has to be looked up in the container.
    let there = devpi.url().replace("127.0.0.1", "devpi");
    let places = [
        ("0.0.0.0:4040", &*public),
        ("0.0.0.0:9464", &*metrics),
        ("http://devpi:3141", there.trim_end_matches('/')),
    ];
    let container = Image::build("").serve_as(service, |text| rewritten(text, &places));
    container.has_no_rights();
    installs(&format!("http://{public}/root/acme/+simple/"));
}
