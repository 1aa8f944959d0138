//! Uploads that must not come in: each is refused with the reason in the status line and in the
//! body, and nothing of it is kept.

mod rows;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rows::{Row, broken, contradictions, good, omissions, oversized, traversals};
use serde_json::Value;

use super::support::ask::{self, Answer};
use super::support::{Client, Program, Tool, Wheel};

const INDEX: &str = "packages/staging";

/// Anybody may upload, so that only the upload itself can be refused.
const POLICIES: &str = "
listen: { public: { allow: [read, upload] } }
limits: { upload: 128MiB }
indexes:
  packages/staging: { volatile: true, acl_upload: [':ANONYMOUS:'] }
  packages/stable: { volatile: false, acl_upload: [':ANONYMOUS:'] }
";

/// Cleaning up may go on for a moment after the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The files below a folder of the store.
fn kept(data: &Path, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![data.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("private/records.json") {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[track_caller]
fn assert_nothing_kept(program: &Program, data: &Path, row: &str) {
    let index = format!("{}{INDEX}", program.manage_url());
    let list = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let list = ask::send("GET", &format!("{index}/+simple/"), &list, b"").unwrap();
    assert_eq!(list.json()["projects"], serde_json::json!([]), "{row}");
    for project in ["acme-tool", "other"] {
        let headers = [("Accept", "application/json")];
        let url = format!("{index}/{project}");
        let found = ask::send("GET", &url, &headers, b"").unwrap();
        assert_eq!(found.status, 404, "{row}: {}", found.body);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = [
            kept(data, "private"),
            kept(data, "tmp"),
            kept(data, "files"),
        ]
        .concat();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{row}: {left:?} is left");
        thread::yield_now();
    }
}

#[test]
fn each_is_refused_with_its_reason_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(POLICIES).data(data.path()).start();
    let tables = [
        contradictions(),
        omissions(),
        traversals(),
        broken(),
        oversized(),
    ];
    let rows: Vec<Row> = tables.into_iter().flatten().collect();
    let doors = [program.manage_url(), program.public_url()];
    let each = doors
        .into_iter()
        .flat_map(|door| rows.iter().map(move |row| (door, row)));
    let mut wrong = Vec::new();
    for (door, (row, send, status, words)) in each {
        let url = format!("{door}{INDEX}/");
        let started = Instant::now();
        let answer = send(&url).unwrap_or_else(|error| panic!("{row}: {error}"));
        let took = started.elapsed();
        let Answer {
            status: got,
            reason,
            ..
        } = &answer;
        eprintln!("{row}: {got} {reason} ({took:?})");
        let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let message = told["message"].as_str().unwrap_or_default().to_owned();
        let is_told = reason.contains(words) && message.contains(words);
        if got != status || !is_told || answer.header("x-devpi-api-version") != "2" {
            wrong.push(format!("{door}: {row}: {got} {reason}: {message}"));
        }
        if *got != 200 {
            assert_nothing_kept(&program, data.path(), row);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for door in doors {
        let answer = good().post(&format!("{door}{INDEX}/")).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn what_is_there_stays_when_something_else_of_its_name_comes() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(POLICIES).data(data.path()).start();
    let url = format!("{}packages/stable/", program.manage_url());
    assert_eq!(good().post(&url).unwrap().status, 200);
    let before = kept(data.path(), "private");
    let again = good().post(&url).unwrap();
    assert_eq!(again.status, 200, "{again:?}");
    let other = Wheel::new("acme-tool", "1.0").description("other").build();
    let refused = good().holding(&other).post(&url).unwrap();
    assert_eq!(refused.status, 409);
    assert!(refused.reason.contains("already exists"), "{refused:?}");
    assert_eq!(kept(data.path(), "private"), before);
}

/// Every field of every metadata version, repeated where allowed, as tools of all ages spell them.
#[test]
fn what_tools_send_passes() {
    let program = Program::with_policies(POLICIES).start();
    let url = format!("{}{INDEX}/", program.manage_url());
    let once = [
        "summary",
        "home_page",
        "author",
        "author_email",
        "maintainer",
        "maintainer_email",
        "license",
        "license_expression",
        "description",
        "description_content_type",
        "keywords",
        "download_url",
        "requires_python",
        "comment",
        "filetype",
        "pyversion",
    ];
    let often = [
        "platform",
        "supported_platform",
        "classifiers",
        "provides",
        "requires",
        "obsoletes",
        "project_urls",
        "provides_dist",
        "obsoletes_dist",
        "requires_dist",
        "requires_external",
        "provides_extra",
        "provides_extras",
        "dynamic",
        "license_file",
        "license_files",
        "import_name",
        "import_names",
        "import_namespace",
        "import_namespaces",
        "platforms",
        "supported_platforms",
    ];
    let mut form = good().file("gpg_signature", "acme.asc", b"signed");
    for name in once {
        form = form.field(name, ">=3.8");
    }
    for name in often {
        form = form.field(name, "a").field(name, "b");
    }
    // A field that is repeated with the same value counts once.
    let answer = form.field("summary", ">=3.8").post(&url).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Real clients print the reason, even when the server stopped reading the body early.
#[test]
fn twine_and_uv_say_why() {
    let program = Program::with_policies(POLICIES).start();
    let url = format!("{}{INDEX}/", program.manage_url());
    let stable = format!("{}packages/stable/", program.manage_url());
    let big = Wheel::new("acme-tool", "2.0").data(300 << 20);
    let wheel = Wheel::new("acme-tool", "1.0");
    let other = wheel.clone().description("other");
    let too_much = big.build();
    for tool in [Tool::Twine, Tool::Uv] {
        let client = Client::fresh(tool);
        let folder = client.folder();
        let publish = |url: &str, file: &str| {
            let arguments = match tool {
                Tool::Uv => vec!["publish", "--publish-url", url],
                _ => vec!["upload", "--repository-url", url],
            };
            let named: &[&str] = match tool {
                Tool::Uv => &["--username", "u", "--password", "p", file],
                _ => &["--non-interactive", "-u", "u", "-p", "p", file],
            };
            client.run(&[&arguments[..], named].concat())
        };
        fs::write(folder.join(big.filename()), &too_much).unwrap();
        publish(&url, &big.filename())
            .fails()
            .says("134217728 bytes that limits.upload allows");
        fs::write(folder.join(wheel.filename()), wheel.build()).unwrap();
        publish(&stable, &wheel.filename()).succeeds();
        fs::write(folder.join(wheel.filename()), other.build()).unwrap();
        publish(&stable, &wheel.filename())
            .fails()
            .says("already exists in non-volatile index");
    }
}
