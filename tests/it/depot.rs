//! Uploaded files in a real S3 server: what the depot must do, a day with the real clients, a server that
//! goes away, gateways that are killed, and objects that are not what their keys say.

mod collecting;
mod day;
mod hostile;
mod killed;
mod laws;
mod lost;
mod moved;
mod outage;
mod refused;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use url::Url;

use crate::support::ask::{self, Answer};
use crate::support::{Form, Launch, Program, S3, Wheel, paths_below};

const STAGE: &str = "team/stage";

/// Lets anonymous clients upload, so that a test needs no login.
const INDEXES: &str = "indexes:\n  team/stage: { acl_upload: [':ANONYMOUS:'], volatile: true }\n";

/// The longest wait; generous, for a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The server takes any key, and wants one.
const KEY: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
];

fn gateway(yaml: &str, data: &Path) -> Launch {
    let launch = Program::with_policies(yaml).data(data);
    KEY.iter()
        .fold(launch, |launch, (name, value)| launch.with(name, value))
}

fn upload_of(gateway: &Program, wheel: &Wheel, version: &str) -> Answer {
    let form = Form::of("hello-pkg", version, &wheel.filename(), &wheel.build());
    form.post(&format!("{}{STAGE}/", gateway.manage_url()))
        .unwrap()
}

fn upload(gateway: &Program, version: &str) -> Answer {
    upload_of(gateway, &Wheel::new("hello-pkg", version), version)
}

/// A wheel that is too long to be checked before its first byte is sent, and is sent to S3 in parts.
fn large(version: &str) -> Wheel {
    Wheel::new("hello-pkg", version).data(20 << 20)
}

/// The names of the files on the stage's page of the project, with their URLs.
fn listed(gateway: &Program) -> Vec<(String, String)> {
    let page = format!("{}hello-pkg/", gateway.index_url(STAGE));
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let answer = ask::send("GET", &page, &accept, b"").unwrap();
    if answer.status == 404 {
        return Vec::new();
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    let base = Url::parse(&page).unwrap();
    let json = answer.json();
    let files = json["files"].as_array().unwrap().iter();
    let places = files.map(|file| {
        let url = base.join(file["url"].as_str().unwrap()).unwrap();
        (file["filename"].as_str().unwrap().to_owned(), url.into())
    });
    places.collect()
}

fn url_of(gateway: &Program, wheel: &Wheel) -> String {
    let name = wheel.filename();
    let listed = listed(gateway).into_iter().find(|(one, _)| *one == name);
    listed.expect("it is listed").1
}

fn download(gateway: &Program, wheel: &Wheel) -> Answer {
    ask::get(&url_of(gateway, wheel)).unwrap()
}

fn readiness(gateway: &Program) -> Answer {
    ask::get(&format!("{}readyz", gateway.metrics_url())).unwrap()
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    assert!(becomes(is_so), "not within {SOON:?}: {what}");
}

/// Whether something is so soon.
fn becomes(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        if is_so() {
            return true;
        }
        thread::sleep(LOOK_AGAIN);
    }
    false
}

/// Loses what the disk has of files, and keeps the records.
fn lose_files(data: &Path) {
    for folder in ["files", "private"] {
        let folder = data.join(folder);
        if folder.exists() {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

/// The files that are not known to be in the depot.
fn waiting(data: &Path) -> Vec<PathBuf> {
    let mut waiting = paths_below(&data.join("private"));
    waiting.retain(|path| !path.ends_with("records.json"));
    waiting
}
