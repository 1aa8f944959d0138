//! Uploads in parallel with each other and with reads, and what is left on disk when they are
//! removed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cheesecloth::testing::model::Sha256;
use serde_json::Value;

use super::support::ask::{self, Answer};
use super::support::{Client, Content, Form, Program, Tool, Wheel};

const POLICIES: &str = "
indexes:
  packages/staging: { volatile: true, acl_upload: [':ANONYMOUS:'] }
  packages/stable: { volatile: true, acl_upload: [':ANONYMOUS:'], bases: [] }
";

/// Only a program that hangs takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

const JSON: [(&str, &str); 1] = [("Accept", "application/vnd.pypi.simple.v1+json")];

fn with_limits(limits: &str) -> String {
    format!("limits: {{ {limits} }}\n{POLICIES}")
}

fn staging(program: &Program) -> String {
    format!("{}packages/staging/", program.manage_url())
}

/// The files on a project's page, by name and digest; empty for an unknown project.
#[track_caller]
fn listed(index: &str, project: &str) -> Vec<(String, String, String)> {
    let url = format!("{index}+simple/{project}/");
    let page = ask::send("GET", &url, &JSON, b"").unwrap();
    if page.status == 404 {
        return Vec::new();
    }
    assert_eq!(page.status, 200, "{page:?}");
    let page = page.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = page["files"].as_array().unwrap().iter();
    let base: url::Url = url.parse().unwrap();
    files
        .map(|file| {
            let url = base.join(&text(&file["url"])).unwrap().to_string();
            (
                text(&file["filename"]),
                text(&file["hashes"]["sha256"]),
                url,
            )
        })
        .collect()
}

#[track_caller]
fn stored(answer: std::io::Result<Answer>) {
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The names of private files in the store.
fn kept(data: &Path) -> BTreeSet<String> {
    let folders = fs::read_dir(data.join("private")).into_iter().flatten();
    let folders = folders.map(|folder| folder.unwrap().path());
    let names = folders.filter(|folder| folder.is_dir()).flat_map(|folder| {
        let spread = folder.file_name().unwrap().to_string_lossy().into_owned();
        let entries = fs::read_dir(folder).unwrap();
        entries.map(move |entry| {
            let name = entry.unwrap().file_name();
            format!("{spread}{}", name.to_string_lossy())
        })
    });
    names.collect()
}

/// A wheel and its sidecar, as the store names them.
fn kept_of(wheel: &[u8]) -> BTreeSet<String> {
    let digest = Sha256::of(wheel).to_hex();
    BTreeSet::from([format!("{digest}.metadata"), digest])
}

#[track_caller]
fn wait_until_kept(data: &Path, wanted: &BTreeSet<String>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = kept(data);
        if found == *wanted {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{found:?} is kept, not {wanted:?}"
        );
        thread::yield_now();
    }
}

const UPLOADERS: usize = 100;
const INSTALLERS: usize = 100;
const VERSIONS: usize = 3;

fn project(uploader: usize) -> String {
    format!("acme-{uploader}")
}

fn upload_all(index: &str, uploader: usize) {
    let project = project(uploader);
    for version in 1..=VERSIONS {
        let version = format!("{version}.0");
        stored(Form::of_wheel(&project, &version).post(index));
        // Once answered, an upload is visible immediately and to everybody.
        let wheel = Wheel::new(&project, &version);
        let found = listed(index, &project);
        let is_there = found.iter().any(|(name, digest, _)| {
            *name == wheel.filename() && *digest == Sha256::of(&wheel.build()).to_hex()
        });
        assert!(
            is_there,
            "{project} {version} is not on its page: {found:?}"
        );
    }
}

/// Reads pages and files of projects in any order, some of them before they exist.
fn install_some(index: &str, installer: usize) {
    for step in 0..VERSIONS {
        let project = project((installer * 7 + step * 31) % UPLOADERS);
        for (name, digest, url) in listed(index, &project) {
            let file = ask::get(&url).unwrap();
            assert_eq!(file.status, 200, "{name}: {file:?}");
            assert_eq!(Sha256::of(&file.bytes).to_hex(), digest, "{name}");
        }
    }
}

#[test]
fn two_hundred_at_once_lose_nothing() {
    let program = Program::with_policies(POLICIES).start();
    let index = staging(&program);
    stored(Form::of_wheel("acme-tool", "1.0").post(&index));
    let start = Barrier::new(UPLOADERS + INSTALLERS);
    thread::scope(|scope| {
        let (index, start) = (&index, &start);
        for uploader in 0..UPLOADERS {
            scope.spawn(move || {
                start.wait();
                upload_all(index, uploader);
            });
        }
        for installer in 0..INSTALLERS {
            scope.spawn(move || {
                start.wait();
                install_some(index, installer);
            });
        }
        for tool in [Tool::Pip, Tool::Uv] {
            let index = program.index_url("packages/staging");
            scope.spawn(move || {
                let client = Client::fresh(tool);
                client.install(&index, &["acme-tool"]).succeeds();
            });
        }
    });
    for uploader in 0..UPLOADERS {
        assert_eq!(listed(&index, &project(uploader)).len(), VERSIONS);
    }
    let failed = program
        .metrics()
        .lines()
        .filter(|line| line.starts_with("cheesecloth_http_requests_total"))
        .filter(|line| line.contains("code=\"5"))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert!(failed.is_empty(), "{failed:?}");
}

fn delete(url: &str) {
    let deleted = ask::send("DELETE", url, &[("Accept", "application/json")], b"");
    assert_eq!(deleted.unwrap().status, 200, "{url}");
}

#[test]
fn bytes_that_no_record_needs_are_collected_and_others_stay() {
    let data = tempfile::tempdir().unwrap();
    let yaml = with_limits("collect_after: 100ms");
    let program = Program::with_policies(&yaml).data(data.path()).start();
    let index = staging(&program);
    let (first, second) = (
        Wheel::new("acme-tool", "1.0"),
        Wheel::new("acme-tool", "2.0"),
    );
    stored(Form::of_wheel("acme-tool", "1.0").post(&index));
    let overwriting = first.clone().description("other").build();
    let form = Form::of_wheel("acme-tool", "1.0").holding(&overwriting);
    stored(form.post(&index));
    wait_until_kept(data.path(), &kept_of(&overwriting));

    stored(Form::of_wheel("acme-tool", "2.0").post(&index));
    let push = br#"{"name": "acme-tool", "version": "2.0", "targetindex": "packages/stable"}"#;
    let pushed = ask::send("PUSH", index.trim_end_matches('/'), &[], push);
    assert_eq!(pushed.unwrap().status, 200);
    // The whole project is deleted here, but the other index needs its second release.
    delete(&format!("{index}acme-tool"));
    wait_until_kept(data.path(), &kept_of(&second.build()));
    let stable = format!("{}packages/stable/", program.manage_url());
    let files = listed(&stable, "acme-tool");
    assert_eq!(ask::get(&files[0].2).unwrap().bytes, second.build());
    assert!(listed(&index, "acme-tool").is_empty());
}

#[test]
fn who_is_being_answered_gets_the_rest_of_a_removed_file() {
    const BYTES: u64 = 48 << 20;
    let data = tempfile::tempdir().unwrap();
    let yaml = with_limits("collect_after: 100ms");
    let program = Program::with_policies(&yaml).data(data.path()).start();
    let index = staging(&program);
    let content = Content::noise(3, BYTES).to_vec();
    let form = Form::of("acme-tool", "1.0", "acme_tool-1.0.zip", &content);
    stored(form.post(&index));
    let url = listed(&index, "acme-tool")[0].2.clone();
    for door in [program.manage_url(), program.public_url()] {
        let url = url.replace(program.manage_url(), door);
        let mut answer = ask::begin("GET", &url, &[]).unwrap().content().unwrap();
        let mut begin = vec![0; 1000];
        answer.read_exact(&mut begin).unwrap();
        delete(&format!("{index}acme-tool"));
        wait_until_kept(data.path(), &BTreeSet::new());
        let mut whole = begin;
        answer.read_to_end(&mut whole).unwrap();
        assert!(whole == content, "{door}");
        stored(form.post(&index));
    }
}

#[test]
fn what_a_crash_left_is_collected_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(POLICIES).data(data.path()).start();
    let index = staging(&program);
    let wheel = Wheel::new("acme-tool", "2.0").build();
    stored(Form::of_wheel("acme-tool", "1.0").post(&index));
    stored(Form::of_wheel("acme-tool", "2.0").post(&index));
    // The record is removed immediately, the bytes much later.
    delete(&format!("{index}acme-tool/1.0"));
    assert_eq!(kept(data.path()).len(), 4);
    program.kill();
    // Left by an upload that stored its bytes but never made its record.
    let digest = Sha256::of(b"never recorded").to_hex();
    let folder = data.path().join("private").join(&digest[..2]);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(&digest[2..]), b"never recorded").unwrap();
    // Old enough immediately; by default they would be left alone for ten minutes.
    let program = Program::with_policies(&with_limits("collect_after: 100ms"))
        .data(data.path())
        .start();
    wait_until_kept(data.path(), &kept_of(&wheel));
    program.wait_until_it_says("private bytes that no record needs collected");
}

/// The same bytes come and go while the collector runs all the time; whatever is answered exists.
#[test]
fn what_comes_again_while_it_is_collected_is_there() {
    const ROUNDS: usize = 60;
    let data = tempfile::tempdir().unwrap();
    let yaml = with_limits("collect_after: 100ms");
    let program = Program::with_policies(&yaml).data(data.path()).start();
    let index = staging(&program);
    thread::scope(|scope| {
        for number in 0..4 {
            let index = &index;
            scope.spawn(move || {
                let project = project(number);
                for round in 0..ROUNDS {
                    stored(Form::of_wheel(&project, "1.0").post(index));
                    for (name, digest, url) in listed(index, &project) {
                        let file = ask::get(&url).unwrap();
                        assert_eq!(file.status, 200, "{round}: {name}: {file:?}");
                        assert_eq!(Sha256::of(&file.bytes).to_hex(), digest);
                        let sidecar = ask::get(&format!("{url}.metadata")).unwrap();
                        assert_eq!(sidecar.status, 200, "{round}: {name}: {sidecar:?}");
                    }
                    delete(&format!("{index}{project}"));
                }
            });
        }
    });
    wait_until_kept(data.path(), &BTreeSet::new());
}

/// An upload whose client has sent half of it and pauses.
fn half(index: &str) -> (ask::Begun, Vec<u8>) {
    let body = Form::of_wheel("acme-tool", "1.0").body();
    let kind = Form::content_type();
    let length = body.len().to_string();
    let headers = [("Content-Type", &*kind), ("Content-Length", &*length)];
    let mut begun = ask::begin("POST", index, &headers).unwrap();
    begun.send(&body[..body.len() / 2]).unwrap();
    (begun, body[body.len() / 2..].to_vec())
}

#[test]
fn uploads_that_rest_keep_nobody_from_reading_and_others_are_told_to_come_back() {
    const PLACES: usize = 2;
    // They may pause as long as this takes, and others wait long enough for a place that is taken
    // only briefly.
    let limits = format!("uploads: {PLACES}, upload_wait: 2s, min_receive_rate: 1B");
    let yaml = with_limits(&limits);
    let program = Program::with_policies(&yaml).start();
    let index = staging(&program);
    stored(Form::of_wheel("acme-other", "1.0").post(&index));
    let resting: Vec<_> = (0..PLACES).map(|_| half(&index)).collect();
    let deadline = Instant::now() + PATIENCE;
    let busy = loop {
        let answer = Form::of_wheel("acme-other", "2.0").post(&index).unwrap();
        if answer.status == 503 {
            break answer;
        }
        // The server has not read the paused uploads yet.
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(Instant::now() < deadline, "nobody is told to come back");
    };
    assert!(
        busy.reason.contains("2 uploads are being taken in"),
        "{busy:?}"
    );
    assert!(busy.header("retry-after").parse::<u32>().unwrap() > 0);
    for door in [program.manage_url(), program.public_url()] {
        let index = format!("{door}packages/staging/");
        let files = listed(&index, "acme-other");
        assert_eq!(ask::get(&files[0].2).unwrap().status, 200);
    }
    for (begun, rest) in resting {
        use std::io::Write as _;
        stored(begun.finish(|stream| stream.write_all(&rest)));
    }
    stored(Form::of_wheel("acme-other", "3.0").post(&index));
    assert_eq!(listed(&index, "acme-tool").len(), 1);
}

#[test]
fn an_upload_that_stops_coming_is_given_up() {
    let data = tempfile::tempdir().unwrap();
    let yaml = with_limits("idle_timeout: 1s, uploads: 1");
    let program = Program::with_policies(&yaml).data(data.path()).start();
    let index = staging(&program);
    let (resting, _) = half(&index);
    // It waits for the only place, and gets it.
    stored(Form::of_wheel("acme-other", "1.0").post(&index));
    let given_up = resting.finish(|_| Ok(())).unwrap();
    assert_eq!(given_up.status, 408, "{given_up:?}");
    assert!(listed(&index, "acme-tool").is_empty());
    assert_eq!(fs::read_dir(data.path().join("tmp")).unwrap().count(), 0);
}

/// The JSON log lines about this index.
fn lines(text: &str) -> Vec<Value> {
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["index"] == "packages/staging")
        .collect()
}

/// The events in a file, and its text.
fn told(path: &std::path::Path) -> (Vec<String>, String) {
    let about = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let of = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", of("event"), of("index"), of("project"))
    };
    let text = fs::read_to_string(path).unwrap();
    (text.lines().map(about).collect(), text)
}

#[test]
fn what_comes_and_goes_is_written_down() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(POLICIES).data(data.path()).start();
    let index = staging(&program);
    let bare = index.trim_end_matches('/');
    let wheel = Wheel::new("acme-tool", "1.0").filename();
    stored(Form::of_wheel("acme-tool", "1.0").post(&index));
    let wrong = Form::of_wheel("acme-tool", "1.0").with("version", "3.0");
    assert_eq!(wrong.post(&index).unwrap().status, 400);
    let push = |target: &str| {
        let body = serde_json::json!({
            "name": "acme-tool", "version": "1.0", "targetindex": target
        });
        ask::send("PUSH", bare, &[], body.to_string().as_bytes()).unwrap()
    };
    assert_eq!(push("packages/stable").status, 200);
    assert_eq!(push("root/nowhere").status, 404);
    let url = listed(&index, "acme-tool")[0].2.replace("%2B", "+");
    let result = ask::send("POST", &url, &[], br#"{"testenvs": {}}"#).unwrap();
    assert_eq!(result.status, 200, "{result:?}");
    delete(&url);
    let again = ask::send("DELETE", &url, &[], b"").unwrap();
    assert_eq!(again.status, 410);
    let said = program.wait_until_it_says("\"status\":410");
    assert!(program.stop().success());

    let access: Vec<String> = lines(&said)
        .iter()
        .filter(|line| line["method"] != "GET")
        .map(|line| {
            let of = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            let (method, status) = (of("method"), &line["status"]);
            let (project, file) = (of("project"), of("file"));
            format!("{method} {status} {project} {file} {}", of("decision"))
        })
        .collect();
    let expected = [
        format!("POST 200 acme-tool {wheel} allow"),
        format!("POST 400 acme-tool {wheel} deny"),
        "PUSH 200 acme-tool - allow".to_owned(),
        "PUSH 404 acme-tool - deny".to_owned(),
        format!("POST 200 - {wheel} allow"),
        format!("DELETE 200 acme-tool {wheel} allow"),
        format!("DELETE 410 - {wheel} deny"),
    ];
    assert_eq!(access, expected);

    let (changes, audit) = told(&data.path().join("audit.jsonl"));
    let expected = [
        "upload packages/staging acme-tool",
        "push packages/stable acme-tool",
        "upload packages/staging acme-tool",
        "delete packages/staging acme-tool",
    ];
    assert_eq!(changes, expected, "{audit}");
    let (refused, refusals) = told(&data.path().join("refusals.jsonl"));
    let expected = [
        "denied packages/staging acme-tool",
        "denied packages/staging acme-tool",
        "denied packages/staging -",
    ];
    assert_eq!(refused, expected, "{refusals}");
    assert!(
        refusals.contains("does not contain version '3.0'"),
        "{refusals}"
    );
}

/// devpi-server accepts any bytes as an sdist, even none, and so do its exports.
#[test]
fn an_empty_sdist_is_taken_and_served_as_devpi_does() {
    let program = Program::with_policies(POLICIES).start();
    let form = Form::of("acme-tool", "1.0", "acme_tool-1.0.tar.gz", b"");
    stored(form.post(&staging(&program)));
    let files = listed(&staging(&program), "acme-tool");
    assert_eq!(files[0].1, Sha256::of(b"").to_hex());
    for _ in 0..2 {
        let got = ask::get(&files[0].2).unwrap();
        assert_eq!((got.status, got.bytes.len()), (200, 0), "{got:?}");
    }
    let wheel = Form::of("acme-tool", "1.0", "acme_tool-1.0-py3-none-any.whl", b"");
    assert_eq!(wheel.post(&staging(&program)).unwrap().status, 400);
}
