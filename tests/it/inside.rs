//! Rules about what stands inside files: licences and startup files. Each file is looked into once, and what
//! nobody knows is refused.

use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::db::{FileFacts, FileRole};
use cheesecloth::testing::model::{IndexName, ProjectName, Sha256, Yanked};
use cheesecloth::testing::store::Key;
use serde_json::Value;

use super::support::{
    Client, Content, FakeIndex, Fault, House, Larder, Listed, Program, Project, Setup, Tool, Wheel,
    sdist,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const NOW: &str = "2026-01-05T00:00:00Z";
const PAGE: &str = "/root/dairy/+simple/sieve/";
const COPYLEFT: &str = "- deny: { license: ['GPL-*'], reason: 'copyleft, ask legal' }";
const STARTUP: &str = "- deny: { startup_files: true, reason: 'it runs at every start' }";

fn sieve(version: &str) -> Wheel {
    Wheel::new("sieve", version)
}

/// An index with these files of `sieve`.
fn dairy(setup: Setup, files: Vec<Listed>) -> FakeIndex {
    let project = files.into_iter().fold(Project::new("sieve"), Project::file);
    setup.project(project).start()
}

fn wheels(wheels: &[Wheel]) -> Vec<Listed> {
    let listed = |wheel: &Wheel| {
        let version = wheel.filename().split('-').nth(1).unwrap().to_owned();
        Listed::wheel(wheel, &version)
    };
    wheels.iter().map(listed).collect()
}

fn policies(dairy: &FakeIndex, on_block: &str, rules: &str) -> String {
    let url = dairy.url();
    format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\", policy: house }}\n\
         policies:\n  house:\n    on_block: {on_block}\n    rules:\n      {rules}\n"
    )
}

fn clock() -> Clock {
    Clock::fixed(NOW.parse().unwrap())
}

async fn page(house: &House) -> Value {
    let got = house.get(PAGE, &[("accept", JSON)]).await;
    assert_eq!(got.status, 200, "{}", got.text());
    serde_json::from_slice(&got.body).unwrap()
}

/// The files that a page lists for everybody, by their versions.
async fn listed(house: &House) -> Vec<String> {
    let page = page(house).await;
    let files = page["files"].as_array().unwrap().iter();
    let free = files.filter(|file| file["yanked"] == Value::Bool(false));
    let names = free.map(|file| file["filename"].as_str().unwrap().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn url_of(content: &[u8], filename: &str) -> String {
    let digest = Sha256::of(content).to_hex();
    let (first, rest) = (&digest[..3], &digest[3..16]);
    format!("/root/dairy/+f/{first}/{rest}/{filename}")
}

fn url(wheel: &Wheel) -> String {
    url_of(&wheel.build(), &wheel.filename())
}

#[test]
fn pip_and_uv_are_refused_a_copyleft_release_and_given_the_free_one() {
    let dairy = dairy(
        Setup::default(),
        wheels(&[
            sieve("1.0").license("MIT OR GPL-3.0-only"),
            sieve("2.0").license("GPL-3.0-or-later"),
        ]),
    );
    for on_block in ["yank", "hide"] {
        let house = Program::with_policies(&policies(&dairy, on_block, COPYLEFT)).start();
        let index = house.index_url("root/dairy");
        for tool in [Tool::Pip, Tool::Uv] {
            let client = Client::fresh(tool);
            client.install(&index, &["sieve"]).succeeds();
            let installed = client.read("out/sieve/__init__.py");
            assert!(installed.contains("\"1.0\""), "{tool:?}: {installed}");
            if on_block == "yank" {
                let pinned = Client::fresh(tool).install(&index, &["sieve==2.0"]);
                pinned.fails().says("copyleft, ask legal");
            }
        }
    }
}

#[tokio::test]
async fn what_states_no_licence_is_unknown_and_refused_by_a_rule_against_others() {
    let bare = sieve("1.0");
    let vague = sieve("2.0").license("GPLv3");
    let noise = Content::noise(3, 5_000);
    let (source, source_bytes) = sdist("sieve", "3.0");
    let files = || {
        let mut files = wheels(&[bare.clone(), vague.clone()]);
        files.push(Listed::new(
            "sieve-2.5-py3-none-any.whl",
            "2.5",
            noise.clone(),
        ));
        let archive = Content::Bytes(source_bytes.clone().into());
        files.push(Listed::new(&source, "3.0", archive));
        files
    };
    let urls = [
        url(&bare),
        url(&vague),
        url_of(&noise.to_vec(), "sieve-2.5-py3-none-any.whl"),
        url_of(&source_bytes, &source),
    ];
    let lacks = "it has no License-Expression that can be read, which this rule needs: copyleft";
    let table = [
        ("- deny: { license: unknown }", Some("license: unknown")),
        (COPYLEFT, Some(lacks)),
        (
            "- allow: { license: unknown }\n      - deny: { license: ['GPL-*'] }",
            None,
        ),
    ];
    for (rules, refusal) in table {
        let dairy = dairy(Setup::default(), files());
        let house = House::online(&policies(&dairy, "hide", rules), &clock()).await;
        for url in &urls {
            let got = house.get(url, &[]).await;
            match refusal {
                Some(words) => {
                    assert_eq!(got.status, 403, "{url} {rules}");
                    assert!(got.text().contains(words), "{}", got.text());
                }
                None => assert_eq!(got.status, 200, "{url} {}", got.text()),
            }
        }
        let count = if refusal.is_some() { 0 } else { urls.len() };
        assert_eq!(listed(&house).await.len(), count, "{rules}");
    }
}

#[tokio::test]
async fn a_wheel_with_a_startup_file_is_refused_however_it_is_read() {
    let clean = sieve("1.0");
    let nested = sieve("1.1").entry("sieve/sieve.pth");
    let top = sieve("2.0").entry("sieve.pth");
    let data = sieve("2.1").entry("sieve-2.1.data/purelib/sieve.start");
    for setup in [Setup::default(), Setup::default().without_ranges()] {
        let all = [clean.clone(), nested.clone(), top.clone(), data.clone()];
        let dairy = dairy(setup, wheels(&all));
        let house = House::online(&policies(&dairy, "hide", STARTUP), &clock()).await;
        let passing = [clean.filename(), nested.filename()];
        assert_eq!(listed(&house).await, passing);
        for wheel in &all {
            let got = house.get(&url(wheel), &[]).await;
            let status = if passing.contains(&wheel.filename()) {
                200
            } else {
                403
            };
            assert_eq!(got.status, status, "{}: {}", wheel.filename(), got.text());
        }
    }
}

/// Two wheels whose upstream says of them what is not so: the first in ranges, the second in its sidecar.
fn liar() -> (FakeIndex, [Wheel; 2]) {
    let startup = sieve("1.0").license("MIT").entry("sieve.pth");
    let harmless = sieve("1.0").license("MIT").entry("sieve.txt");
    let harmless = harmless.build();
    assert_eq!(harmless.len(), startup.build().len());
    let bound = sieve("2.0").license("GPL-3.0");
    let free = sieve("2.0").license("MIT").metadata();
    let files = vec![
        Listed::wheel(&startup, "1.0"),
        Listed::wheel(&bound, "2.0").sidecar(&free),
    ];
    let harmless = Content::Bytes(harmless.into());
    let setup = Setup::default().telling_in_ranges(&startup.filename(), harmless);
    (dairy(setup, files), [startup, bound])
}

#[tokio::test]
async fn what_an_upstream_says_of_a_file_is_compared_with_the_file_before_anybody_gets_it() {
    let rules = "- deny: { license: ['GPL-*'] }\n      - deny: { startup_files: true }";
    let (dairy, wheels) = liar();
    let larder = Larder::empty(&clock()).await;
    let policies = policies(&dairy, "hide", rules);
    let house = House::online_over(&larder, &policies, &clock());
    assert_eq!(listed(&house).await.len(), 2, "nothing else is known yet");
    for wheel in &wheels {
        for _ in 0..2 {
            let got = house.get(&url(wheel), &[]).await;
            assert_eq!(got.status, 403, "{}: {}", wheel.filename(), got.text());
        }
        assert!(!listed(&house).await.contains(&wheel.filename()));
    }
    let house = House::online_over(&larder, &policies, &clock());
    assert!(listed(&house).await.is_empty());
    for wheel in &wheels {
        assert_eq!(house.get(&url(wheel), &[]).await.status, 403);
    }
}

#[tokio::test]
async fn the_same_bytes_under_another_name_or_mirror_are_compared_for_themselves() {
    let rules = "- deny: { license: ['GPL-*'] }\n      - deny: { startup_files: true }";
    let startup = sieve("1.0").license("MIT").entry("sieve.pth");
    let harmless = sieve("1.0").license("MIT").entry("sieve.txt").build();
    let bytes = startup.build();
    assert_eq!(harmless.len(), bytes.len());
    let twin = "sieve-1.0-1-py3-none-any.whl";
    let content = Content::Bytes(bytes.clone().into());
    let files = || {
        let twin = Listed::new(twin, "1.0", content.clone()).sidecar(&startup.metadata());
        vec![Listed::wheel(&startup, "1.0"), twin]
    };
    let lying = || {
        let told = || Content::Bytes(harmless.clone().into());
        let setup = Setup::default().telling_in_ranges(&startup.filename(), told());
        setup.telling_in_ranges(twin, told())
    };
    let (honest, liar) = (dairy(Setup::default(), files()), dairy(lying(), files()));
    let policies = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\", policy: house }}\n  \
         root/milk: {{ type: mirror, mirror_url: \"{}\", policy: watch }}\n\
         policies:\n  house:\n    on_block: hide\n    rules:\n      {rules}\n  \
         watch:\n    mode: audit\n    rules:\n      {rules}\n",
        liar.url(),
        honest.url()
    );
    let house = House::online(&policies, &clock()).await;
    // What the liar says of both files is known before any of them is read as a whole.
    assert_eq!(listed(&house).await.len(), 2, "nothing else is known yet");
    let names = [startup.filename(), twin.to_owned()];
    for (index, status) in [("/root/milk/", 200), ("/root/dairy/", 403)] {
        for name in &names {
            let url = url_of(&bytes, name).replace("/root/dairy/", index);
            for _ in 0..2 {
                let got = house.get(&url, &[]).await;
                assert_eq!(got.status, status, "{url}: {}", got.text());
            }
        }
    }
    assert!(listed(&house).await.is_empty());
}

#[test]
fn pip_and_uv_do_not_get_what_stands_only_in_the_whole_file() {
    let (dairy, _) = liar();
    let house = Program::with_policies(&policies(&dairy, "yank", STARTUP)).start();
    let index = house.index_url("root/dairy");
    for tool in [Tool::Pip, Tool::Uv, Tool::Pip] {
        let pinned = Client::fresh(tool).install(&index, &["sieve==1.0"]);
        pinned.fails().says("it runs at every start");
    }
}

#[tokio::test]
async fn a_file_is_looked_into_once_and_never_without_a_rule() {
    let rules = "- deny: { license: ['GPL-*'] }\n      - deny: { startup_files: true }";
    let (free, bound) = (sieve("1.0").license("MIT"), sieve("2.0").license("GPL-3.0"));
    let dairy = dairy(Setup::default(), wheels(&[free.clone(), bound.clone()]));
    let asked = || dairy.journal().count("/files/");
    let larder = Larder::empty(&clock()).await;
    let other = "- deny: { younger_than: 1d }";
    let house = House::online_over(&larder, &policies(&dairy, "hide", other), &clock());
    assert_eq!(listed(&house).await.len(), 2);
    assert_eq!(asked(), 0, "nobody asked for licences");

    let ruled = policies(&dairy, "hide", rules);
    let house = House::online_over(&larder, &ruled, &clock());
    assert_eq!(listed(&house).await, [free.filename()]);
    // One sidecar and one tail of each.
    assert_eq!(asked(), 4);
    assert_eq!(listed(&house).await, [free.filename()]);
    assert_eq!(house.get(&url(&bound), &[]).await.status, 403);
    // After a restart, and under a policy that asks the other way round.
    for rules in [
        rules,
        "- allow: { license: MIT }\n      - deny: { project: '*', older_than: 1s }",
    ] {
        let house = House::online_over(&larder, &policies(&dairy, "hide", rules), &clock());
        assert_eq!(listed(&house).await, [free.filename()]);
        assert_eq!(house.get(&url(&bound), &[]).await.status, 403);
    }
    assert_eq!(asked(), 4);
}

#[tokio::test]
async fn a_policy_that_only_records_has_files_looked_into_and_refuses_none() {
    let all = [
        sieve("1.0").license("MIT"),
        sieve("2.0").license("GPL-3.0-only"),
    ];
    let dairy = dairy(Setup::default(), wheels(&all));
    let larder = Larder::empty(&clock()).await;
    let audit = policies(&dairy, "hide\n    mode: audit", COPYLEFT);
    let house = House::online_over(&larder, &audit, &clock());
    assert_eq!(listed(&house).await.len(), 2);
    assert_eq!(dairy.journal().count("/files/"), 2);
    let house = House::online_over(&larder, &policies(&dairy, "hide", COPYLEFT), &clock());
    assert_eq!(listed(&house).await, [all[0].filename()]);
    assert_eq!(dairy.journal().count("/files/"), 2);
}

#[tokio::test]
async fn a_page_and_its_files_agree_before_and_after_they_are_looked_into() {
    let all = ["1.0", "2.0", "3.0"].map(|version| sieve(version).license("MIT"));
    let dairy = dairy(Setup::default(), wheels(&all));
    let larder = Larder::empty(&clock()).await;
    let yaml = policies(&dairy, "hide", COPYLEFT);
    let clock = clock();
    let one_at_a_time = |settings: &mut cheesecloth::testing::exchange::Settings| {
        settings.limits.work.inquiries = 1;
    };
    let house = House::online_with(&larder, &yaml, &clock, one_at_a_time);
    assert_eq!(listed(&house).await, [all[2].filename()]);
    // Nobody has looked into these, and what is asked for is looked into first.
    assert_eq!(house.get(&url(&all[0]), &[]).await.status, 200);
    assert_eq!(listed(&house).await.len(), 3, "the next request goes on");
    for wheel in &all {
        assert_eq!(house.get(&url(wheel), &[]).await.status, 200);
    }
}

#[tokio::test]
async fn while_an_upstream_tells_nothing_its_page_goes_out_without_and_is_tried_again_soon() {
    let free = sieve("1.0").license("MIT");
    let dairy = dairy(Setup::default(), wheels(std::slice::from_ref(&free)));
    dairy.misbehave("/files/", Fault::new().status(404));
    let clock = clock();
    let house = House::online(&policies(&dairy, "hide", COPYLEFT), &clock).await;
    assert!(listed(&house).await.is_empty());
    let refused = house.get(&url(&free), &[]).await;
    assert_eq!(refused.status, 403);
    let words = "no licence known yet";
    assert!(refused.text().contains(words), "{}", refused.text());
    let asked = dairy.journal().count("/files/");
    assert!(listed(&house).await.is_empty());
    assert_eq!(
        dairy.journal().count("/files/"),
        asked,
        "the page is hot for a moment"
    );
    dairy.behave();
    clock.advance(Duration::from_secs(6));
    assert_eq!(listed(&house).await, [free.filename()]);
    assert_eq!(house.get(&url(&free), &[]).await.status, 200);
}

#[tokio::test]
async fn hostile_metadata_is_no_statement_and_bounded() {
    let of = |name: &str, license: &str| {
        format!(
            "Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: {license}\n"
        )
    };
    let long = vec!["MIT"; 500_000].join(" OR ");
    let deep = "(".repeat(100_000);
    let table = [
        of("sieve", &long),
        of("sieve", &deep),
        of("sieve", "MIT\u{0}"),
        of("other", "MIT"),
        "License-Expression: MIT\n".to_owned(),
        of("sieve", "GPL-3.0-only\nLicense-Expression: MIT"),
    ];
    for metadata in table {
        let file = Listed::wheel(&sieve("1.0"), "1.0").sidecar(&metadata);
        let dairy = dairy(Setup::default(), vec![file]);
        let house = House::online(&policies(&dairy, "hide", COPYLEFT), &clock()).await;
        let start: String = metadata.chars().take(90).collect();
        assert!(listed(&house).await.is_empty(), "{start}");
        assert_eq!(
            house.get(&url(&sieve("1.0")), &[]).await.status,
            403,
            "{start}"
        );
    }
    // A sidecar that is not what its page says is not believed; the wheel is read.
    let lying = sieve("1.0").license("GPL-3.0-only");
    let file = Listed::wheel(&lying, "1.0");
    let dairy = dairy(Setup::default(), vec![file]);
    let sidecar = format!("/files/sieve/{}.metadata", lying.filename());
    let free = of("sieve", "MIT");
    dairy.misbehave(&sidecar, Fault::new().status(200).body(&free));
    let house = House::online(&policies(&dairy, "hide", COPYLEFT), &clock()).await;
    assert_eq!(house.get(&url(&lying), &[]).await.status, 403);
}

#[tokio::test]
async fn uploads_are_read_where_they_are() {
    let yaml = format!(
        "indexes:\n  root/dairy: {{ bases: [], policy: house }}\n\
         policies:\n  house:\n    on_block: hide\n    rules:\n      {COPYLEFT}\n      {STARTUP}\n"
    );
    let wheels = [
        sieve("1.0").license("MIT"),
        sieve("2.0").license("GPL-3.0-only"),
        sieve("3.0").license("MIT").entry("sieve.pth"),
    ];
    let larder = Larder::empty(&clock()).await;
    let house = House::online_over(&larder, &yaml, &clock());
    let mut facts = Vec::new();
    for wheel in &wheels {
        let (bytes, metadata) = (wheel.build(), wheel.metadata());
        let sha256 = Sha256::of(&bytes);
        larder.keep(&Key::PrivateFile(sha256), &bytes);
        larder.keep(&Key::PrivateMetadata(sha256), metadata.as_bytes());
        facts.push(FileFacts {
            filename: wheel.filename(),
            role: FileRole::ReleaseFile,
            sha256,
            size: bytes.len() as u64,
            md5: None,
            blake2b_256: None,
            uploaded_at: NOW.parse().unwrap(),
            uploader: None,
            requires_python: None,
            metadata_sha256: Some(Sha256::of(metadata.as_bytes())),
            yanked: Yanked::No,
            log: Vec::new(),
        });
    }
    let (index, project) = (
        IndexName::parse("root/dairy").unwrap(),
        ProjectName::parse("sieve").unwrap(),
    );
    house.publish(&index, &project, facts).await;
    for _ in 0..2 {
        assert_eq!(listed(&house).await, [wheels[0].filename()]);
        for (wheel, status) in wheels.iter().zip([200, 403, 403]) {
            assert_eq!(house.get(&url(wheel), &[]).await.status, status);
        }
    }
    let house = House::offline(&larder, &yaml, &clock());
    assert_eq!(listed(&house).await, [wheels[0].filename()]);
}
