//! What policies make of versions as people write them: they are read as `packaging` reads them,
//! and refused where they cannot be read.

use std::collections::BTreeMap;

use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::model::VersionSpecifiers;
use serde_json::Value;

use super::support::{FakeIndex, House, Project, Setup};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// Versions of `clock`, in old spellings.
const VERSIONS: [&str; 6] = ["2004d", "2004e", "1.0-final-2", "1.4a1", "1.4rc1", "2.0"];

fn clock() -> Clock {
    Clock::fixed("2026-01-05T00:00:00Z".parse().unwrap())
}

fn upstream() -> FakeIndex {
    let clock = VERSIONS
        .iter()
        .fold(Project::new("clock"), |clock, version| clock.sdist(version));
    Setup::default().project(clock).start()
}

/// The status of each version's file under a single rule, and the text of a refusal.
async fn answers(
    upstream: &FakeIndex,
    default: &str,
    rule: &str,
) -> BTreeMap<String, (u16, String)> {
    let house = |rules: &str| {
        format!(
            "indexes:\n  root/old: {{ type: mirror, mirror_url: '{}', policy: house }}\n\
             policies:\n  house:\n    default: {default}\n    rules:\n      - {rules}\n",
            upstream.url()
        )
    };
    let all = House::online(&house("allow: { project: '*' }"), &clock()).await;
    let ruled = House::online(&house(rule), &clock()).await;
    let path = "/root/old/+simple/clock/";
    let page = |body: &[u8]| -> BTreeMap<String, String> {
        let page: Value = serde_json::from_slice(body).unwrap();
        let files = page["files"].as_array().unwrap().iter();
        let text = |file: &Value, key: &str| file[key].as_str().unwrap().to_owned();
        files
            .map(|file| {
                (
                    text(file, "filename"),
                    text(file, "url").replace("../..", "/root/old"),
                )
            })
            .collect()
    };
    let urls = page(&all.get(path, &[("accept", JSON)]).await.body);
    assert_eq!(urls.len(), VERSIONS.len(), "{urls:?}");
    let listed = page(&ruled.get(path, &[("accept", JSON)]).await.body);
    let mut answers = BTreeMap::new();
    for (filename, url) in urls {
        let got = ruled.get(&url, &[]).await;
        assert_eq!(
            got.status == 200,
            listed.contains_key(&filename),
            "{filename}"
        );
        let version = filename
            .trim_start_matches("clock-")
            .trim_end_matches(".tar.gz");
        answers.insert(version.to_owned(), (got.status, got.text()));
    }
    answers
}

#[tokio::test]
async fn versions_that_nobody_can_read_are_denied_in_words_and_never_admitted() {
    let upstream = upstream();
    let open = [
        ("deny: { versions: '>=0' }", &[][..]),
        ("deny: { versions: '>2' }", &["1.4a1", "1.4rc1", "2.0"]),
        (
            "deny: { versions: '===2004d' }",
            &["2004e", "1.0-final-2", "1.4a1", "1.4rc1", "2.0"],
        ),
        ("deny: { versions: '<1.4rc2' }", &["2.0"]),
        ("deny: { versions: '!=1.4.*' }", &["1.4a1", "1.4rc1"]),
    ];
    let closed = [
        (
            "allow: { versions: '>=0' }",
            &["1.4a1", "1.4rc1", "2.0"][..],
        ),
        ("allow: { versions: '===2004D' }", &["2004d"]),
        ("allow: { versions: '===1.0-final-2' }", &["1.0-final-2"]),
        ("allow: { versions: '===2004d, >=0' }", &[]),
    ];
    let cases = open.map(|case| ("allow", case)).into_iter();
    for (default, (rule, expected)) in cases.chain(closed.map(|case| ("deny", case))) {
        let answers = answers(&upstream, default, rule).await;
        let is_served = |version: &&str| answers[*version].0 == 200;
        let served: Vec<&str> = VERSIONS.into_iter().filter(is_served).collect();
        let expected: Vec<&str> = VERSIONS
            .into_iter()
            .filter(|one| expected.contains(one))
            .collect();
        assert_eq!(served, expected, "{rule}");
        for (status, _) in answers.values() {
            assert!(matches!(status, 200 | 403), "{rule}: {status}");
        }
        if rule.starts_with("deny: { versions: '>") {
            let (_, words) = &answers["2004d"];
            assert!(
                words.contains("it has no version that can be read"),
                "{words}"
            );
        }
    }
}

#[test]
fn a_specifier_that_packaging_cannot_read_is_refused_with_what_to_write() {
    let invalid = "==2004d".parse::<VersionSpecifiers>().unwrap_err();
    assert_eq!(
        format!("{invalid}, {}", invalid.hint),
        "\"==2004d\" is not a version specifier (PEP 440), did you mean \"===2004d\", which compares by spelling?"
    );
}
