//! What a policy refuses is refused at every address of the public door; the test crawls them all.
//!
//! Somebody who wants a refused file looks for another link to it. So every link is followed from
//! the first page on, as a browser, as devpi-client and as an installer see them, and each target
//! is also requested from every other index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use url::Url;

use super::support::ask::{self, Answer};
use super::support::{FakeIndex, Listed, Program, Project, Setup, Wheel};

/// More addresses than any of these policies leads to.
const ADDRESSES_MAX: usize = 2000;

/// The clients as which every address is requested.
const CLIENTS: [&[(&str, &str)]; 4] = [
    &[("Accept", "text/html"), ("User-Agent", "Mozilla/5.0")],
    &[("Accept", "application/json")],
    &[("Accept", "application/vnd.pypi.simple.v1+json")],
    &[("Accept", "text/html"), ("User-Agent", "pip/26.3")],
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// An index with a release that our policies refuse, one that they let pass, and another project.
fn upstream() -> FakeIndex {
    let wheel = |version| Listed::wheel(&Wheel::new("requests", version), version);
    let old = "2020-01-01T00:00:00Z";
    let requests = Project::new("requests")
        .file(wheel("2.30.0").uploaded(old))
        .file(wheel("2.32.4").uploaded(old));
    let click = Listed::wheel(&Wheel::new("click", "8.1.7"), "8.1.7");
    Setup::default()
        .project(requests)
        .project(Project::new("click").file(click.uploaded(old)))
        .start()
}

/// The links in an answer of any format.
fn links(at: &Url, answer: &Answer) -> Vec<Url> {
    let mut found = Vec::new();
    for marker in ["href=\"", "\"href\": \"", "\"url\":\"", "\"url\": \""] {
        for rest in answer.body.split(marker).skip(1) {
            let link = rest.split(['"', '#']).next().unwrap_or_default();
            found.extend(at.join(&link.replace("&amp;", "&")));
        }
    }
    if !answer.header("location").is_empty() {
        found.extend(at.join(answer.header("location")));
    }
    found
}

/// Follows every link on the public door; returns the statuses of each address, by client.
fn crawl(program: &Program, starts: &[String]) -> BTreeMap<String, Vec<u16>> {
    let home: Url = program.public_url().parse().unwrap();
    let starts = starts.iter().map(|path| home.join(path).unwrap());
    let mut waiting: Vec<Url> = starts.collect();
    let mut met: BTreeMap<String, Vec<u16>> = BTreeMap::new();
    while let Some(url) = waiting.pop() {
        if url.origin() != home.origin() || met.contains_key(url.as_str()) {
            continue;
        }
        assert!(met.len() < ADDRESSES_MAX, "there is no end to it: {met:#?}");
        let mut answers = Vec::new();
        for client in CLIENTS {
            let answer = ask::send("GET", url.as_str(), client, b"").unwrap();
            answers.push(answer.status);
            waiting.extend(links(&url, &answer));
        }
        met.insert(url.into(), answers);
    }
    met
}

/// Crawls from every entry page, and asks every index for every file that was found on any.
fn everywhere(program: &Program, indexes: &[&str]) -> BTreeMap<String, Vec<u16>> {
    let mut starts: Vec<String> = ["", "+search?q=requests", "simple/", "simple/requests/"]
        .map(str::to_owned)
        .into();
    for index in indexes {
        for form in [
            "",
            "/",
            "/+simple/",
            "/+simple/requests/",
            "/requests",
            "/requests/2.30.0",
        ] {
            starts.push(format!("{index}{form}"));
        }
    }
    let met = crawl(program, &starts);
    let places: BTreeSet<String> = met
        .keys()
        .filter_map(|url| Some(url.split_once("/+f/")?.1.to_owned()))
        .collect();
    assert!(places.len() >= 2, "hardly a file was met: {met:#?}");
    for index in indexes {
        for place in &places {
            let sidecar = format!("{place}.metadata");
            for place in [place, &sidecar] {
                starts.push(format!("{index}/+f/{place}"));
                starts.push(format!("{index}/%2Bf/{place}"));
            }
        }
    }
    crawl(program, &starts)
}

/// Every address of the refused file refuses it, and the other file is served wherever it is
/// listed.
#[track_caller]
fn is_refused_everywhere(program: &Program, indexes: &[&str], refused: &str, passes: &str) {
    let met = everywhere(program, indexes);
    let of = |name: &str| {
        let ours = met.iter().filter(|(url, _)| url.contains(name));
        ours.map(|(url, answers)| (url.clone(), answers.clone()))
            .collect::<Vec<_>>()
    };
    for (url, answers) in of(refused) {
        let is_refused = answers.iter().all(|status| matches!(status, 403 | 404));
        assert!(is_refused, "{url}: {answers:?}");
    }
    // A page links to it at one address at least: there pip and uv learn why they may not have it.
    let known = of(refused)
        .iter()
        .any(|(_, answers)| answers.contains(&403));
    assert!(known, "{refused} was not met: {met:#?}");
    let had = of(passes);
    let had = had
        .iter()
        .filter(|(_, answers)| answers.iter().all(|status| *status == 200));
    assert!(had.count() > 2, "{passes} is not to be had: {met:#?}");
}

#[test]
fn what_the_policy_in_the_readme_refuses_is_refused_at_every_address() {
    let upstream = upstream();
    let readme = read("README.md");
    let (_, policy) = readme.split_once("```yaml\n").unwrap();
    let (policy, _) = policy.split_once("```").unwrap();
    let program = Program::with_policies(policy)
        .mirroring(upstream.url().as_str())
        .start();
    let indexes = ["root/acme", "root/pypi"];
    is_refused_everywhere(&program, &indexes, "requests-2.30.0", "requests-2.32.4");
}

#[test]
fn what_our_corporate_policy_refuses_is_refused_at_every_address() {
    let upstream = upstream();
    let program = Program::with_policies(&read("policies/corporate-policy.yaml"))
        .mirroring(upstream.url().as_str())
        .start();
    let indexes = ["root/acme", "root/pypi"];
    is_refused_everywhere(&program, &indexes, "requests-2.30.0", "requests-2.32.4");
}
