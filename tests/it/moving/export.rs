//! Exports written by hand in devpi's format, and the commands that read and write exports.

use std::fs;
use std::path::Path;

use cheesecloth::testing::model::Sha256;
use serde_json::{Value, json};

use crate::support::{Wheel, command};

/// Root with the password `secret`, salted as devpi-server did before version 5, and an index
/// root/dev.
pub(super) fn empty_index() -> Value {
    let digest = Sha256::of(b"c2FsdA==secret").to_hex();
    let config = json!({ "type": "stage", "bases": [], "volatile": true, "acl_upload": ["root"] });
    json!({
        "dumpversion": "2",
        "users": { "root": { "username": "root", "pwsalt": "c2FsdA==", "pwhash": digest } },
        "indexes": { "root/dev": { "indexconfig": config, "projects": {}, "files": [] } },
    })
}

/// An export whose root/dev holds `count` releases of hello-pkg, one wheel each.
pub(super) fn of_wheels(folder: &Path, count: usize) -> Value {
    let mut data = empty_index();
    let dev = &mut data["indexes"]["root/dev"];
    for number in 1..=count {
        let version = format!("{number}.0");
        let wheel = Wheel::new("hello-pkg", &version);
        let content = wheel.build();
        let path = format!("root/dev/hello-pkg/{version}/{}", wheel.filename());
        fs::create_dir_all(folder.join(&path).parent().unwrap()).unwrap();
        fs::write(folder.join(&path), &content).unwrap();
        dev["projects"]["hello-pkg"][&version] = json!({ "name": "hello-pkg", "version": version });
        let entry = json!({
            "type": "releasefile",
            "projectname": "hello-pkg",
            "version": version,
            "relpath": path,
            "entrymapping": {
                "last_modified": "Fri, 12 Sep 2014 13:18:55 GMT",
                "hashes": { "sha256": Sha256::of(&content).to_hex() },
            },
            "log": [],
        });
        dev["files"].as_array_mut().unwrap().push(entry);
    }
    write(folder, &data);
    data
}

/// Writes the index of an export.
pub(super) fn write(folder: &Path, data: &Value) {
    fs::write(folder.join("dataindex.json"), data.to_string()).unwrap();
}

/// Reads the index of an export.
pub(super) fn read(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("dataindex.json")).unwrap()).unwrap()
}

/// A command's output and exit code.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    /// Checks that the run ended with this code.
    #[track_caller]
    pub(super) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// The report of a run with `--json`.
    #[track_caller]
    pub(super) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Runs a command of the program in an empty folder.
pub(super) fn run(arguments: &[&str], paths: &[&Path]) -> Ran {
    let nowhere = tempfile::tempdir().unwrap();
    let mut program = command();
    program
        .args(arguments)
        .args(paths)
        .current_dir(nowhere.path());
    let output = program.output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `import --json` into a data directory.
pub(super) fn import(export: &Path, data: &Path) -> Ran {
    let data = data.to_str().unwrap();
    run(&["import", "--json", "--data", data], &[export])
}

/// Runs `export` for a data directory.
pub(super) fn export(data: &Path, into: &Path) -> Ran {
    // Without policies, the built-in mirror would ask pip for its index.
    let data = data.to_str().unwrap();
    let policies = into.with_extension("yaml");
    fs::write(&policies, BUILT_IN).unwrap();
    let policies = policies.to_str().unwrap();
    let arguments = ["export", "--json", "--data", data, "--policies", policies];
    run(&arguments, &[into])
}

/// The mirror that exists without policies, here of an address where nobody listens.
const BUILT_IN: &str =
    "indexes: {root/pypi: {type: mirror, mirror_url: \"http://127.0.0.1:9/simple/\"}}\n";
