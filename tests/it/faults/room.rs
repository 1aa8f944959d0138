//! What arrives while there is no room for it, or while its folder is gone.

use std::fs;
use std::path::Path;

use crate::support::ask::{self, Answer};
use crate::support::{
    Calls, Content, Disk, DiskError, FakeIndex, Fault, Form, Listed, Program, Project, Rule, Setup,
};

const MIRROR: &str = "root/dairy";

/// Larger than what is held back until the digest is verified, so that it is streamed.
pub(super) const LENGTH: u64 = 300_000;

fn filename(version: &str) -> String {
    format!("sieve-{version}.tar.gz")
}

/// An upstream with this many releases of one large file each.
pub(super) fn dairy(releases: u64) -> FakeIndex {
    let add = |project: Project, number: u64| {
        let version = format!("{number}.0");
        let content = Content::noise(number, LENGTH);
        project.file(Listed::new(&filename(&version), &version, content))
    };
    let project = (1..=releases).fold(Project::new("sieve"), add);
    Setup::default().project(project).start()
}

pub(super) fn policies(dairy: &FakeIndex) -> String {
    let url = dairy.url();
    format!(
        "indexes:\n  {MIRROR}: {{ type: mirror, mirror_url: \"{url}\" }}\n  \
         packages/stable: {{ volatile: false, acl_upload: [':ANONYMOUS:'] }}\n"
    )
}

/// The URL of a release's file, from the page.
pub(super) fn url_of(gateway: &Program, version: &str) -> String {
    let page = format!("{}sieve/", gateway.index_url(MIRROR));
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let listed = ask::send("GET", &page, &accept, b"").unwrap().json();
    let files = listed["files"].as_array().unwrap();
    let file = files
        .iter()
        .find(|file| file["filename"] == filename(version));
    let href = file.unwrap()["url"].as_str().unwrap();
    url::Url::parse(&page).unwrap().join(href).unwrap().into()
}

fn upload(gateway: &Program, version: &str) -> Answer {
    Form::of_wheel("hello-pkg", version)
        .post(&format!("{}packages/stable/", gateway.manage_url()))
        .unwrap()
}

pub(super) fn fetched(gateway: &Program, version: &str) {
    let got = ask::get(&url_of(gateway, version)).unwrap();
    assert_eq!(got.status, 200, "{version}: {}", got.body);
    assert_eq!(got.bytes.len() as u64, LENGTH, "{version}");
    gateway.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
}

/// The number of files below a folder.
pub(super) fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { count(&path) } else { 1 })
        .sum()
}

#[test]
fn a_fetch_that_fails_before_its_first_byte_is_told_in_words_and_the_next_is_whole() {
    let (full, broken) = (DiskError::Full, DiskError::Broken);
    // What fails on the disk, what upstream does, and what a client sees.
    let table = [
        (Some((full, Calls::Write)), None, 507, "no room on the disk"),
        (Some((full, Calls::Make)), None, 507, "no room on the disk"),
        (Some((broken, Calls::Write)), None, 500, "was not served"),
        (Some((broken, Calls::Make)), None, 500, "failed to fetch"),
        (None, Some(Fault::new().cut_after(0)), 502, "was not served"),
        (None, Some(Fault::new().status(500)), 503, "500"),
    ];
    for (number, (disk_fault, upstream_fault, status, words)) in (1..).zip(table) {
        let (disk, dairy, version) = (Disk::sound(), dairy(6), format!("{number}.0"));
        let gateway = Program::with_policies(&policies(&dairy)).on(&disk).start();
        let url = url_of(&gateway, &version);
        if let Some((error, calls)) = disk_fault {
            disk.suffers(&[Rule::new(error, calls, "/tmp/")]);
        }
        if let Some(fault) = upstream_fault {
            dairy.misbehave("/files/", fault);
        }
        let refused = ask::get(&url).unwrap();
        assert_eq!(refused.status, status, "{number}: {refused:?}");
        assert!(refused.body.contains(words), "{number}: {refused:?}");
        disk.heals();
        dairy.behave();
        gateway.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
        let mut again = ask::get(&url).unwrap();
        // The circuit breaker may still be open although upstream is well again.
        while again.status == 503 {
            again = ask::get(&url).unwrap();
        }
        assert_eq!(again.status, 200, "{number}: {again:?}");
        assert_eq!(again.bytes.len() as u64, LENGTH, "{number}");
    }
}

#[test]
fn a_full_disk_takes_mirror_files_before_it_refuses_and_never_what_was_uploaded() {
    let (disk, dairy, data) = (Disk::sound(), dairy(4), tempfile::tempdir().unwrap());
    let launch = Program::with_policies(&policies(&dairy)).on(&disk);
    let gateway = launch.data(data.path()).start();
    assert_eq!(upload(&gateway, "1.0").status, 200);
    let private = count(&data.path().join("private"));
    for version in ["1.0", "2.0", "3.0"] {
        fetched(&gateway, version);
    }
    assert_eq!(count(&data.path().join("files")), 3);
    // This disk stays full, whatever is removed.
    disk.suffers(&[Rule::new(DiskError::Full, Calls::Write, "/tmp/")]);
    let refused = upload(&gateway, "2.0");
    assert_eq!(refused.status, 507, "{refused:?}");
    gateway.wait_until_it_says("mirror files were removed to make room");
    assert_eq!(count(&data.path().join("files")), 0);
    assert_eq!(count(&data.path().join("private")), private);
    assert_eq!(count(&data.path().join("tmp")), 0);
    assert_eq!(ask::get(&url_of(&gateway, "4.0")).unwrap().status, 507);
    disk.heals();
    assert_eq!(upload(&gateway, "2.0").status, 200);
    fetched(&gateway, "1.0");
}

#[test]
fn a_folder_of_unfinished_files_that_somebody_removed_is_made_again() {
    let (dairy, data) = (dairy(1), tempfile::tempdir().unwrap());
    let launch = Program::with_policies(&policies(&dairy));
    let gateway = launch.data(data.path()).start();
    for version in ["1.0", "2.0"] {
        fs::remove_dir_all(data.path().join("tmp")).unwrap();
        assert_eq!(upload(&gateway, version).status, 200);
    }
    fs::remove_dir_all(data.path().join("tmp")).unwrap();
    fetched(&gateway, "1.0");
    assert_eq!(count(&data.path().join("files")), 1);
}
