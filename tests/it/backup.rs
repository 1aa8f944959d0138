//! `backup` and `restore`: everything that is promised about copies of a data directory.

mod broken;
mod busy;
mod refused;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cheesecloth::testing::model::Sha256;
use serde_json::Value;

use crate::support::{Disk, Form, Program, ask, command, paths_below};

const POLICIES: &str = "
indexes:
  packages/stable: { volatile: true, acl_upload: [':ANONYMOUS:'] }
limits: { collect_after: 100ms }
";

/// A data directory and a place for its backups, in one temporary folder.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn kept(&self) -> PathBuf {
        self.path("kept")
    }

    /// With these versions of `hello-pkg` uploaded, and the server stopped.
    fn with(versions: &[&str]) -> Self {
        let place = Self::new();
        let server = serve(&place.data());
        for version in versions {
            upload(&server, "hello-pkg", version);
        }
        server.stop();
        place
    }
}

fn serve(data: &Path) -> Program {
    Program::with_policies(POLICIES).data(data).start()
}

#[track_caller]
fn upload(server: &Program, project: &str, version: &str) {
    let form = Form::of_wheel(project, version);
    let answer = form.post(&format!("{}packages/stable/", server.manage_url()));
    assert_eq!(answer.as_ref().unwrap().status, 200, "{answer:?}");
}

#[track_caller]
fn delete(server: &Program, project: &str, version: &str) {
    let url = format!("{}packages/stable/{project}/{version}", server.manage_url());
    let answer = ask::send("DELETE", &url, &[], b"").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Every file that a server lists, by name; each was fetched with its metadata and compared.
#[track_caller]
fn listed(server: &Program) -> BTreeMap<String, String> {
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let index = server.index_url("packages/stable");
    let list = ask::send("GET", &index, &accept, b"").unwrap();
    let mut files = BTreeMap::new();
    for project in list.json()["projects"].as_array().unwrap() {
        let page = format!("{index}{}/", project["name"].as_str().unwrap());
        let listed = ask::send("GET", &page, &accept, b"").unwrap();
        let page: url::Url = page.parse().unwrap();
        for file in listed.json()["files"].as_array().unwrap() {
            let text = |key: &Value| key.as_str().unwrap().to_owned();
            let (name, digest) = (text(&file["filename"]), text(&file["hashes"]["sha256"]));
            let url = page.join(&text(&file["url"])).unwrap();
            for (url, digest) in [
                (url.to_string(), &digest),
                (
                    format!("{url}.metadata"),
                    &text(&file["core-metadata"]["sha256"]),
                ),
            ] {
                let got = ask::get(&url).unwrap();
                assert_eq!(got.status, 200, "{name}: {got:?}");
                assert_eq!(Sha256::of(&got.bytes).to_hex(), *digest, "{url}");
            }
            files.insert(name, digest);
        }
    }
    files
}

/// A command's output and exit code.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// Checks that the run ended with this code.
    #[track_caller]
    fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Checks that the output contains these words.
    #[track_caller]
    fn says(self, words: &str) -> Self {
        let said = format!("{}{}", self.stdout, self.stderr);
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
        self
    }

    /// A number from the JSON report.
    #[track_caller]
    fn number(&self, key: &str) -> u64 {
        let report: Value = serde_json::from_str(&self.stdout).unwrap();
        report[key].as_u64().unwrap()
    }
}

/// One of the two commands, for a data directory.
fn about(name: &str, data: &Path) -> Command {
    let mut command = command();
    command.arg(name).arg("--json").arg("--data").arg(data);
    command.current_dir(data.parent().unwrap());
    command.stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn backup(data: &Path, kept: &Path) -> Ran {
    let mut command = about("backup", data);
    command.arg(kept);
    run(command)
}

fn backup_on(disk: &Disk, data: &Path, kept: &Path) -> Ran {
    let mut command = about("backup", data);
    command.arg(kept).envs(disk.environment());
    run(command)
}

fn restore(kept: &Path, data: &Path) -> Ran {
    let mut command = about("restore", data);
    command.arg(kept);
    run(command)
}

/// All files below a folder, by their relative path.
fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = paths_below(folder).into_iter().map(|path| {
        let name = path.strip_prefix(folder).unwrap().to_owned();
        (name, fs::read(&path).unwrap())
    });
    files.collect()
}
