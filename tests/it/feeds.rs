//! Feeds of advisories: fetched with conditions, checked, swapped in whole, relied on for as long as the
//! operator says; and OSV's own API, answered from them to the real uv.

mod uv;

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::support::{
    Calls, Disk, DiskError, FakeIndex, FeedSource, Mood, Program, Project, Rule, Setup, Wheel, ask,
    command,
};

/// Questions until what was loaded decides; generous, for a busy machine.
const ASKED_MAX: usize = 200;

/// An OSV document about one release.
fn advisory(id: &str, project: &str, version: &str) -> Value {
    json!({
        "id": id,
        "modified": "2026-01-02T03:04:05Z",
        "summary": format!("{project} {version} is bad"),
        "affected": [{
            "package": { "ecosystem": "PyPI", "name": project },
            "versions": [version],
        }],
    })
}

/// The zip of an ecosystem.
fn zip_of(documents: &[(&str, String)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in documents {
        let options = SimpleFileOptions::default();
        zip.start_file(format!("{name}.json"), options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A zip with malware in this release, and some more about others.
fn naming(version: &str, more: usize) -> Vec<u8> {
    let mut documents = vec![(
        "MAL-2026-1".to_owned(),
        advisory("MAL-2026-1", "rennet", version),
    )];
    for number in 0..more {
        let id = format!("MAL-2026-9{number}");
        documents.push((id.clone(), advisory(&id, "other", "1")));
    }
    let documents: Vec<_> = documents
        .iter()
        .map(|(id, value)| (id.as_str(), value.to_string()))
        .collect();
    zip_of(&documents)
}

fn upstream() -> FakeIndex {
    Setup::default()
        .project(Project::new("rennet").wheel("1.0").wheel("2.0"))
        .project(Project::new("whey").wheel("1.0"))
        .start()
}

fn policies(source: &FeedSource, more: &str) -> String {
    format!(
        "
advisories: [{{ url: '{}'{more} }}]
indexes: {{ root/pypi: {{ type: mirror, policy: p }} }}
policies: {{ p: {{ rules: [{{ deny: {{ id: bad, advisory: malware, reason: 'known malware' }} }}] }} }}
limits: {{ feed_retry: 100ms, upstream_retry_time: 0s, upstream_read_timeout: 2s }}
",
        source.url()
    )
}

fn start(source: &FeedSource, index: &FakeIndex, more: &str, data: &Path) -> Program {
    let launch = Program::with_policies(&policies(source, more));
    launch.mirroring(index.url().as_str()).data(data).start()
}

/// The versions of a project that the index lists.
fn listed(program: &Program, project: &str) -> String {
    let url = format!("{}{project}/", program.index_url("root/pypi"));
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let page = ask::send("GET", &url, &accept, b"").unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    let page = page.json();
    let files = page["files"].as_array().unwrap();
    let names = files.iter().map(|file| file["filename"].as_str().unwrap());
    let versions = names.map(|name| name.split('-').nth(1).unwrap().to_owned());
    versions.collect::<Vec<_>>().join(" ")
}

fn fetches(program: &Program, result: &str) -> f64 {
    let metrics = program.metrics();
    let label = format!("result=\"{result}\"");
    let mut lines = metrics.lines().filter(|line| {
        line.starts_with("cheesecloth_advisory_feed_fetches_total") && line.contains(&label)
    });
    lines.next().map_or(0.0, |line| {
        line.rsplit(' ').next().unwrap().parse().unwrap()
    })
}

fn wait_for_fetches(program: &Program, result: &str, before: f64) {
    program.wait_for_metric("cheesecloth_advisory_feed_fetches_total", |_| {
        fetches(program, result) > before
    });
}

fn held(program: &Program, entries: f64) {
    program.wait_for_metric("cheesecloth_advisory_feed_entries", |held| held == entries);
}

#[test]
fn a_feed_is_in_force_when_it_came_and_after_a_restart_and_asked_for_with_conditions() {
    let (index, source) = (upstream(), FeedSource::with(naming("1.0", 3)));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = start(&source, &index, ", every: 1s", &data);
    held(&program, 4.0);
    assert_eq!(listed(&program, "rennet"), "2.0");
    // It says something else now.
    source.sends(naming("2.0", 3));
    program.wait_until_it_says("\"before\":4");
    // What came is in force before its feed is asked for again.
    wait_for_fetches(&program, "unchanged", fetches(&program, "unchanged"));
    assert_eq!(listed(&program, "rennet"), "1.0");
    assert!(program.stop().success());
    let audit = fs::read_to_string(data.join("audit.jsonl")).unwrap();
    assert!(
        audit.contains("feed pypi: 4 advisories before, 4 now"),
        "{audit}"
    );

    source.is(Mood::Status(500));
    let program = start(&source, &index, ", every: 1h, max_age: 1d", &data);
    assert_eq!(listed(&program, "rennet"), "1.0");
    assert_eq!(program.metric("cheesecloth_advisory_feed_stale"), Some(0.0));
    assert!(
        program
            .metric("cheesecloth_advisory_feed_age_seconds")
            .unwrap()
            < 3600.0
    );
    let heads = source.heads();
    let conditions = |head: &&String| {
        head.contains("if-none-match: \"v") && head.contains("if-modified-since: thu, 01 jan 2026")
    };
    assert!(heads.iter().any(|head| conditions(&head)), "{heads:?}");

    // What is held is also what commands judge by.
    let policies = program.folder().join("policies.yaml");
    let mut explain = command();
    explain
        .arg("explain")
        .arg("--policies")
        .arg(&policies)
        .arg("--data")
        .arg(&data);
    explain.env("CHEESECLOTH_MIRROR_URL", index.url().as_str());
    let said = explain.args(["root/pypi", "rennet==2.0"]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("MAL-2026-1"), "{said}");
}

#[test]
fn what_is_of_no_use_changes_nothing_and_is_told() {
    let (index, source) = (upstream(), FeedSource::with(naming("1.0", 9)));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = start(&source, &index, ", every: 1s", &data);
    held(&program, 10.0);
    let whole = naming("2.0", 9);
    let broken = zip_of(&[
        ("MAL-1", advisory("MAL-1", "rennet", "2.0").to_string()),
        ("MAL-2", "{\"id\": ".to_owned()),
    ]);
    let bomb = zip_of(&[("MAL-1", format!("{{\"id\": \"{}\"}}", " ".repeat(8 << 20)))]);
    let nothing = zip_of(&[("GHSA-1", json!({ "id": "GHSA-1" }).to_string())]);
    let cut = Mood::Body {
        sent: whole.len() / 2,
        body: whole.clone(),
    };
    let short = whole[..whole.len() / 2].to_vec();
    let mut flipped = whole.clone();
    flipped[60] ^= 0xff;
    let body = |body: Vec<u8>| Mood::Body {
        sent: body.len(),
        body,
    };
    let table = [
        (
            body(b"<html>not here</html>".to_vec()),
            "refused",
            "neither a zip nor an OSV document",
        ),
        (body(short), "refused", "no whole zip"),
        (body(flipped), "refused", "refused: "),
        (
            body(broken),
            "refused",
            "MAL-2.json in it is not an OSV document",
        ),
        (body(bomb), "refused", "limits.feed_ratio"),
        (body(nothing), "refused", "no advisory about Python"),
        (
            body(naming("2.0", 3)),
            "refused",
            "it has 4 advisories and 10 are held",
        ),
        (cut, "failed", "cut off"),
        (Mood::Status(404), "failed", "404"),
        (Mood::Status(500), "failed", "500"),
        (Mood::Silent, "failed", "feed not exchanged"),
    ];
    for (mood, result, words) in table {
        let before = fetches(&program, result);
        source.is(mood);
        wait_for_fetches(&program, result, before);
        program.wait_until_it_says(words);
        assert_eq!(listed(&program, "rennet"), "2.0", "{words}");
        held(&program, 10.0);
    }
    // The disk has no room, and then it has.
    source.sends(whole);
    held(&program, 10.0);
    program.wait_until_it_says("\"before\":10");
    wait_for_fetches(&program, "unchanged", fetches(&program, "unchanged"));
    assert_eq!(listed(&program, "rennet"), "1.0");
}

#[test]
fn half_of_a_feed_may_go_where_the_operator_says_so() {
    let (index, source) = (upstream(), FeedSource::with(naming("1.0", 9)));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = start(&source, &index, ", every: 1s", &data);
    held(&program, 10.0);
    source.sends(naming("2.0", 0));
    wait_for_fetches(&program, "refused", 0.0);
    program.write_policies(&policies(&source, ", every: 1s, may_shrink: true"));
    held(&program, 1.0);
    assert_eq!(listed(&program, "rennet"), "1.0");
}

#[test]
fn a_full_disk_loses_nothing_and_a_kill_leaves_the_old_or_the_new() {
    let (index, source) = (upstream(), FeedSource::with(naming("1.0", 9)));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let disk = Disk::sound();
    let launch = Program::with_policies(&policies(&source, ", every: 1s"));
    let program = launch
        .mirroring(index.url().as_str())
        .data(&data)
        .on(&disk)
        .start();
    held(&program, 10.0);
    disk.suffers(&[Rule::new(DiskError::Full, Calls::Write, "/advisories/")]);
    source.sends(naming("2.0", 9));
    wait_for_fetches(&program, "failed", 0.0);
    assert_eq!(listed(&program, "rennet"), "2.0");
    disk.heals();
    program.wait_until_it_says("\"before\":10");
    program.kill();
    for round in 0..4 {
        source.sends(naming(["1.0", "2.0"][round % 2], 9));
        let program = start(&source, &index, ", every: 1s", &data);
        let before = listed(&program, "rennet");
        assert!(["1.0", "2.0"].contains(&before.as_str()), "{before:?}");
        program.kill();
    }
}

#[test]
fn rules_refuse_while_nothing_is_loaded_or_it_is_too_old_unless_told_otherwise() {
    let (index, source) = (upstream(), FeedSource::with(naming("1.0", 0)));
    source.is(Mood::Status(500));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = |program: &Program| {
        let wheel = Wheel::new("whey", "1.0");
        let digest = cheesecloth::testing::model::Sha256::of(&wheel.build()).to_hex();
        let (a, b) = (&digest[..3], &digest[3..16]);
        let path = format!("root/pypi/+f/{a}/{b}/{}", wheel.filename());
        ask::get(&format!("{}{path}", program.public_url())).unwrap()
    };
    let program = start(&source, &index, ", every: 1s, max_age: 20s", &data);
    assert_eq!(listed(&program, "whey"), "");
    let refused = file(&program);
    assert_eq!(refused.status, 403);
    let words = "the advisories of feed pypi have not been loaded yet";
    assert!(refused.body.contains(words), "{}", refused.body);
    assert!(
        refused
            .body
            .contains("cheesecloth_advisory_feed_age_seconds"),
        "{}",
        refused.body
    );
    assert_eq!(
        program.metric("cheesecloth_advisory_feed_age_seconds"),
        Some(-1.0)
    );
    // The API says nothing rather than that all is well.
    let batch = json!({ "queries": [{ "package": { "ecosystem": "PyPI", "name": "whey" }, "version": "1.0" }] });
    let asked = |program: &Program| {
        let url = format!("{}+osv/v1/querybatch", program.public_url());
        ask::send("POST", &url, &[], batch.to_string().as_bytes()).unwrap()
    };
    let answer = asked(&program);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains(words), "{}", answer.body);

    source.sends(naming("1.0", 0));
    held(&program, 1.0);
    // What is loaded counts a moment before it decides.
    for _ in 0..ASKED_MAX {
        if asked(&program).status == 200 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(asked(&program).json(), json!({ "results": [{}] }));
    assert_eq!(listed(&program, "whey"), "1.0");
    assert_eq!(file(&program).status, 200);
    // The source falls silent: without any change here, its advisories grow too old.
    source.is(Mood::Status(500));
    program.wait_for_metric("cheesecloth_advisory_feed_stale", |stale| stale == 1.0);
    assert_eq!(listed(&program, "whey"), "");
    let refused = file(&program);
    assert_eq!(refused.status, 403);
    let words = "the advisories of feed pypi are 0 minutes old";
    assert!(refused.body.contains(words), "{}", refused.body);
    assert_eq!(asked(&program).status, 503);
    // An operator who prefers that goes on with what is held.
    program.write_policies(&policies(
        &source,
        ", every: 1s, max_age: 20s, stale: allow",
    ));
    program.wait_until_it_says("configuration reloaded");
    assert_eq!(listed(&program, "whey"), "1.0");
    assert_eq!(listed(&program, "rennet"), "2.0");
}

#[test]
fn osvs_api_is_the_one_thing_that_is_posted_at_a_public_door() {
    let source = FeedSource::with(naming("1.0", 0));
    let (index, folder) = (upstream(), tempfile::tempdir().unwrap());
    let program = start(&source, &index, "", &folder.path().join("data"));
    held(&program, 1.0);
    let post = |path: &str, body: &[u8]| {
        ask::send(
            "POST",
            &format!("{}{path}", program.public_url()),
            &[],
            body,
        )
        .unwrap()
    };
    let package = json!({ "ecosystem": "PyPI", "name": "Rennet" });
    let query = json!({ "package": package, "version": "1.0.0" });
    let batch = json!({ "queries": [query, { "package": package, "version": "2.0" }] });
    let found = json!({ "results": [
        { "vulns": [{ "id": "MAL-2026-1", "modified": "2026-01-02T03:04:05Z" }] }, {},
    ] });
    assert_eq!(
        post("+osv/v1/querybatch", batch.to_string().as_bytes()).json(),
        found
    );
    let original = advisory("MAL-2026-1", "rennet", "1.0");
    let one = ask::get(&format!("{}+osv/v1/vulns/MAL-2026-1", program.public_url())).unwrap();
    assert_eq!(one.body, original.to_string());
    let whole = post("+osv/v1/query", query.to_string().as_bytes());
    assert_eq!(whole.json(), json!({ "vulns": [original] }));
    for (path, body, status, code) in [
        ("+osv/v1/querybatch", &b"no json"[..], 400, 3),
        ("+osv/v1/querybatch", &[], 400, 3),
        ("+osv/v1/querybatch", &vec![b' '; 2 << 20], 413, 3),
        ("+osv/v1/nothing", b"{}", 404, 5),
        ("+osv/v1/vulns/MAL-2026-1", b"{}", 405, 12),
    ] {
        let answer = post(path, body);
        assert_eq!(answer.status, status, "{path} {}", answer.body);
        assert_eq!(answer.json()["code"], code, "{path}");
        assert!(answer.json()["message"].is_string(), "{path}");
    }
    for path in ["+osv/v1/vulns/MAL-2026-404", "+osv/v1/querybatch"] {
        let answer = ask::get(&format!("{}{path}", program.public_url())).unwrap();
        assert!(
            [404, 405].contains(&answer.status),
            "{path} {}",
            answer.body
        );
    }
    // Everything else is as read-only as before.
    assert_eq!(post("root/pypi/", b"{}").status, 405);
    let managed = format!("{}+osv/v1/querybatch", program.manage_url());
    let managed = ask::send("POST", &managed, &[], batch.to_string().as_bytes()).unwrap();
    assert_eq!(managed.json(), found);
}
