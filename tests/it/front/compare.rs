//! The same requests to nginx as `devpi-gen-config` configures it, and to us, in front of the same
//! real devpi-servers. Every difference has a row in `docs/devpi-differences.md`, and every row a
//! difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::Duration;

use super::super::support::{Devpi, FakeIndex, Listed, Program, Project, Setup, Wheel, sdist};
use super::nginx::Nginx;
use super::wire::{Answer, Request};
use super::{servers, upload, with_releases};
use content::is_same;
use rows::ROWS;

mod content;
mod requests;
mod rows;

/// The least number of requests that are compared.
const REQUESTS_MIN: usize = 300;

/// Headers about the connection rather than the content.
const OF_THE_CONNECTION: [&str; 4] = ["connection", "date", "keep-alive", "transfer-encoding"];

/// Which of our doors takes the place of nginx's single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Public,
    Manage,
}

#[derive(Debug)]
pub(super) struct Case {
    pub(super) request: Request,
    pub(super) door: Door,
}

/// Both answers to a request.
pub(super) struct Pair {
    pub(super) case: Case,
    pub(super) nginx: Answer,
    pub(super) ours: Answer,
}

/// What differs between two answers: `status`, `body`, or a header's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    pub(super) field: String,
    pub(super) nginx: String,
    pub(super) ours: String,
}

/// The servers behind both.
struct House {
    primary: Devpi,
    replica: Devpi,
    _upstream: FakeIndex,
}

/// Three indexes: `packages/stable` with its own files, `packages/mirror`, and `packages/dev` over
/// both.
fn house() -> House {
    let primary = Devpi::primary();
    let devpi = with_releases(&primary);
    let six = Wheel::new("six", "1.16.0").requires_python(">=2.7, !=3.0.*");
    let project = Project::new("six")
        .wheel("1.15.0")
        .file(Listed::wheel(&six, "1.16.0"))
        .sdist("1.16.0");
    let upstream = Setup::default().project(project).start();
    let url = format!("mirror_url={}", upstream.url());
    let mirror = ["index", "-c", "packages/mirror", "type=mirror", &url];
    devpi.run(&mirror).succeeds();
    let bases = "bases=packages/stable,packages/mirror";
    devpi
        .run(&["index", "-c", "packages/dev", bases])
        .succeeds();
    let (name, bytes) = sdist("hello-pkg", "2.0");
    fs::write(devpi.folder().join(&name), bytes).unwrap();
    devpi.run(&["upload", &name]).succeeds();
    upload(&devpi, "3.0");
    devpi.run(&["remove", "-y", "hello-pkg==3.0"]).succeeds();
    let replica = Devpi::replica_of(&primary);
    House {
        primary,
        replica,
        _upstream: upstream,
    }
}

fn ask_both(case: Case, nginx: &Nginx, front: &Program) -> Pair {
    let door = match case.door {
        Door::Public => front.public_url(),
        Door::Manage => front.manage_url(),
    };
    let told = |error| panic!("{}: {error}", shown(&case.request));
    // The first request makes devpi fetch a file that it does not hold yet.
    let places = if case.request.target.ends_with(".tar.gz") {
        [door, &nginx.url()]
    } else {
        [&nginx.url(), door]
    };
    let [mut theirs, mut ours] = places.map(|place| {
        let once = || case.request.send(place).unwrap_or_else(told);
        let answer = once();
        // devpi under load, which is neither proxy's doing; writes are sent only once.
        let is_devpis_trouble = answer.status == 500 && case.request.method == "GET";
        if is_devpis_trouble { once() } else { answer }
    });
    if places[0] == door {
        std::mem::swap(&mut theirs, &mut ours);
    }
    Pair {
        case,
        nginx: theirs,
        ours,
    }
}

/// devpi stores what it fetched after it has answered; from then on nginx serves it from disk.
fn settle(pair: &Pair, nginx: &Nginx) {
    let request = &pair.case.request;
    let is_fetched = request.target.contains("/+f/")
        && request.method == "GET"
        && pair.nginx.status == 200
        && pair.nginx.header("content-type") != "application/json"
        && pair.nginx.header("etag").is_empty();
    let again = Request::new("HEAD", &request.target);
    for _ in 0..200 {
        if !is_fetched || !again.send(&nginx.url()).unwrap().header("etag").is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{} does not get to nginx's disk", request.target);
}

/// A request on one line.
fn shown(request: &Request) -> String {
    let headers = request.headers.iter();
    let headers: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    format!(
        "{} {} [{}]",
        request.method,
        request.target,
        headers.join("; ")
    )
}

impl Pair {
    fn differences(&self) -> Vec<Difference> {
        let (nginx, ours) = (&self.nginx, &self.ours);
        let mut found = Vec::new();
        let mut note = |field: &str, nginx: String, ours: String| {
            found.push(Difference {
                field: field.to_owned(),
                nginx,
                ours,
            });
        };
        if nginx.status != ours.status {
            note("status", nginx.status.to_string(), ours.status.to_string());
        }
        if !is_same(self) {
            note("body", nginx.text(), ours.text());
        }
        let names: BTreeSet<&String> = [nginx, ours]
            .iter()
            .flat_map(|answer| answer.headers.iter().map(|(name, _)| name))
            .collect();
        for name in names {
            let [theirs, own] = [nginx, ours].map(|answer| said(answer, name));
            // With different bodies, the lengths differ anyway.
            let is_derived = name == "content-length"
                && (nginx.body != ours.body || theirs.is_empty() || own.is_empty());
            if theirs != own && !is_derived && !OF_THE_CONNECTION.contains(&name.as_str()) {
                note(name, theirs, own);
            }
        }
        found
    }
}

/// A header's text; devpi lists the names in `Vary` in no fixed order.
fn said(answer: &Answer, name: &str) -> String {
    let text = answer.header(name);
    if name != "vary" {
        return text;
    }
    let mut names: Vec<&str> = text.split(',').map(str::trim).collect();
    names.sort_unstable();
    names.join(", ")
}

/// The rows of the document's first table, by their first column.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/devpi-differences.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, first) = text.split_once("## What the same requests show").unwrap();
    let (first, _) = first.split_once("\n## ").unwrap();
    let rows = first.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect()
}

#[test]
fn we_answer_as_nginx_does_but_for_the_rows_of_one_table() {
    let house = house();
    let nginx = Nginx::before(&house.primary);
    let front = Program::with_policies(&servers(&[&house.primary, &house.replica])).start();
    let cases = requests::cases(&nginx.url());
    assert!(cases.len() >= REQUESTS_MIN, "{} requests", cases.len());
    let mut unlisted: BTreeMap<Difference, Vec<String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for case in cases {
        let pair = ask_both(case, &nginx, &front);
        settle(&pair, &nginx);
        for difference in pair.differences() {
            let row = ROWS.iter().find(|row| (row.covers)(&pair, &difference));
            match row {
                Some(row) => {
                    seen.insert(row.name.to_owned());
                }
                None => unlisted
                    .entry(difference)
                    .or_default()
                    .push(shown(&pair.case.request)),
            }
        }
    }
    let mut report = String::new();
    for (difference, requests) in &unlisted {
        let cut = |text: &str| text.chars().take(300).collect::<String>();
        let (theirs, own) = (cut(&difference.nginx), cut(&difference.ours));
        report += &format!(
            "{}, {} times\n  nginx {theirs:?}\n  here  {own:?}\n  {}\n",
            difference.field,
            requests.len(),
            requests[..requests.len().min(3)].join("\n  ")
        );
    }
    let listed: BTreeSet<String> = ROWS.iter().map(|row| row.name.to_owned()).collect();
    let gone: Vec<_> = listed.difference(&seen).collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "{} differences without a row:\n{report}rows without a difference: {gone:?}",
        unlisted.len()
    );
    assert_eq!(listed, documented(), "rows here, and in the document");
}
