//! Files that the disk has changed × what clients see × how they heal without a restart.

use std::fs;
use std::path::{Path, PathBuf};

use super::room::{count, dairy, fetched, policies, url_of};
use crate::support::ask::{self, Answer};
use crate::support::{Calls, Disk, DiskError, Form, Program, Rule};

/// Background verification would find the damage first, so it is off.
pub(super) const UNWATCHED: &str = "limits: { verify_pace: 0B }\n";

/// What a disk does to a file.
pub(super) type Way = (&'static str, fn(&Path));

pub(super) const WAYS: [Way; 5] = [
    ("flipped", |path| {
        let mut bytes = fs::read(path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(path, bytes).unwrap();
    }),
    ("shortened", |path| resize(path, |length| length - 1)),
    ("lengthened", |path| resize(path, |length| length + 1)),
    ("emptied", |path| resize(path, |_| 0)),
    ("gone", |path| fs::remove_file(path).unwrap()),
];

fn resize(path: &Path, to: fn(u64) -> u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(to(file.metadata().unwrap().len())).unwrap();
}

/// The only file below a folder that is not a sidecar.
pub(super) fn only_file(folder: &Path) -> PathBuf {
    let mut found = Vec::new();
    let spreads = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for spread in spreads.filter(|path| path.is_dir()) {
        for entry in fs::read_dir(spread).unwrap() {
            found.push(entry.unwrap().path());
        }
    }
    found.retain(|path| path.extension().is_none());
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// The file at a URL; an error if its answer is cut off.
fn ask_for(url: &str) -> std::io::Result<Answer> {
    ask::get(url)
}

#[test]
fn a_damaged_file_of_a_mirror_is_fetched_again_before_anybody_sees_it() {
    for is_restarted in [false, true] {
        for (what, damage) in WAYS {
            let (dairy, data) = (dairy(1), tempfile::tempdir().unwrap());
            let start = || {
                Program::with_policies(&(policies(&dairy) + UNWATCHED))
                    .data(data.path())
                    .start()
            };
            let gateway = start();
            fetched(&gateway, "1.0");
            let whole = ask_for(&url_of(&gateway, "1.0")).unwrap().bytes;
            let damage = || damage(&only_file(&data.path().join("files")));
            let gateway = if is_restarted {
                gateway.kill();
                damage();
                start()
            } else {
                damage();
                gateway
            };
            let at = format!("{what}, restarted: {is_restarted}");
            let got = ask_for(&url_of(&gateway, "1.0")).unwrap();
            assert_eq!(got.status, 200, "{at}: {}", got.body);
            assert!(got.bytes == whole, "{at}");
            assert_eq!(dairy.journal().count("/files/"), 2, "{at}");
            gateway.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
            fetched(&gateway, "1.0");
            assert_eq!(dairy.journal().count("/files/"), 2, "{at}");
            if what != "gone" {
                gateway.wait_for_metric("cheesecloth_store_damage_total", |found| found > 0.0);
            }
        }
    }
}

#[test]
fn a_large_file_is_sent_while_it_is_checked_and_its_end_only_when_it_is_right() {
    let (dairy, data) = (dairy(1), tempfile::tempdir().unwrap());
    let yaml = policies(&dairy) + "limits: { checked_first: 64KiB, verify_pace: 0B }\n";
    let start = || Program::with_policies(&yaml).data(data.path()).start();
    let gateway = start();
    fetched(&gateway, "1.0");
    gateway.kill();
    let gateway = start();
    fetched(&gateway, "1.0");
    gateway.kill();
    WAYS[0].1(&only_file(&data.path().join("files")));
    let gateway = start();
    // Cut off before its end, or fetched again if the check was done before the head was sent.
    let whole = dairy_file();
    if let Ok(got) = ask_for(&url_of(&gateway, "1.0")) {
        assert!(got.status == 200 && got.bytes == whole);
    }
    fetched(&gateway, "1.0");
    assert_eq!(dairy.journal().count("/files/"), 2);
}

#[test]
fn a_file_of_a_mirror_that_the_disk_does_not_give_is_fetched_again() {
    let (disk, dairy, data) = (Disk::sound(), dairy(1), tempfile::tempdir().unwrap());
    let start = || {
        let launch = Program::with_policies(&(policies(&dairy) + UNWATCHED)).on(&disk);
        launch.data(data.path()).start()
    };
    let gateway = start();
    fetched(&gateway, "1.0");
    gateway.kill();
    let gateway = start();
    let path = only_file(&data.path().join("files"));
    let name = path.file_name().unwrap().to_str().unwrap();
    disk.suffers(&[Rule::new(DiskError::Broken, Calls::Read, name)]);
    let got = ask_for(&url_of(&gateway, "1.0"));
    disk.heals();
    assert!(got.is_err() || got.is_ok_and(|got| got.status == 200));
    fetched(&gateway, "1.0");
    assert_eq!(dairy.journal().count("/files/"), 2);
}

/// The file's bytes at upstream.
fn dairy_file() -> Vec<u8> {
    crate::support::Content::noise(1, super::room::LENGTH).to_vec()
}

pub(super) fn stage() -> &'static str {
    "indexes:\n  packages/stable: { volatile: false, acl_upload: [':ANONYMOUS:'] }\n\
     limits: { verify_pace: 0B }\n"
}

pub(super) fn upload(gateway: &Program) -> u16 {
    let form = Form::of_wheel("hello-pkg", "1.0");
    let url = format!("{}packages/stable/", gateway.manage_url());
    form.post(&url).unwrap().status
}

pub(super) fn private_url(gateway: &Program) -> String {
    let page = format!("{}hello-pkg/", gateway.index_url("packages/stable"));
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let listed = ask::send("GET", &page, &accept, b"").unwrap().json();
    let href = listed["files"][0]["url"].as_str().unwrap();
    url::Url::parse(&page).unwrap().join(href).unwrap().into()
}

#[test]
fn a_damaged_uploaded_file_is_an_error_in_words_until_it_is_uploaded_again() {
    for (what, damage) in WAYS {
        let data = tempfile::tempdir().unwrap();
        let start = || Program::with_policies(stage()).data(data.path()).start();
        let gateway = start();
        assert_eq!(upload(&gateway), 200);
        gateway.kill();
        damage(&only_file(&data.path().join("private")));
        let gateway = start();
        let url = private_url(&gateway);
        for _ in 0..2 {
            let refused = ask_for(&url).unwrap();
            assert_eq!(refused.status, 500, "{what}: {refused:?}");
            let words = ["damaged", "missing"].map(|word| refused.body.contains(word));
            assert!(words.contains(&true), "{what}: {refused:?}");
        }
        gateway.wait_for_metric("cheesecloth_store_damaged_files", |files| files == 1.0);
        assert_eq!(upload(&gateway), 200, "{what}");
        let healed = ask_for(&url).unwrap();
        assert_eq!(healed.status, 200, "{what}: {healed:?}");
        gateway.wait_for_metric("cheesecloth_store_damaged_files", |files| files == 0.0);
        assert_eq!(count(&data.path().join("tmp")), 0);
    }
}

#[test]
fn every_uploaded_file_that_cannot_be_had_is_counted_whatever_has_become_of_it() {
    let replaced: Way = ("a folder", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
    for is_restarted in [false, true] {
        for (what, damage) in WAYS.into_iter().chain([replaced]) {
            let data = tempfile::tempdir().unwrap();
            let start = || Program::with_policies(stage()).data(data.path()).start();
            let gateway = start();
            assert_eq!(upload(&gateway), 200);
            let damage = || damage(&only_file(&data.path().join("private")));
            let gateway = if is_restarted {
                gateway.kill();
                damage();
                start()
            } else {
                damage();
                gateway
            };
            let refused = ask_for(&private_url(&gateway)).unwrap();
            let at = format!("{what}, restarted: {is_restarted}");
            assert_eq!(refused.status, 500, "{at}: {refused:?}");
            let files = gateway.metric("cheesecloth_store_damaged_files");
            assert_eq!(files, Some(1.0), "{at}");
            let found = gateway.metric("cheesecloth_store_damage_total{kind=\"private\"}");
            assert_eq!(found, Some(1.0), "{at}");
        }
    }
}
