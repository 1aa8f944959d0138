//! Copies that the disk has changed – sidecars, pages, lists – × what clients see × how they heal
//! without a restart.

use std::fs;
use std::path::{Path, PathBuf};

use super::damage::{WAYS, Way, private_url, stage, upload};
use crate::support::ask::{self, Answer};
use crate::support::{FakeIndex, Listed, Program, Project, Setup, Wheel, paths_below};

const MIRROR: &str = "root/dairy";
const PAGE: &str = "/simple/curd/";
const JSON: (&str, &str) = ("Accept", "application/vnd.pypi.simple.v1+json");

fn curd() -> Wheel {
    Wheel::new("curd", "1.0").requires("whey>=1")
}

/// An upstream that announces no sidecars, so that nobody knows their digests.
fn dairy() -> FakeIndex {
    let file = Listed::wheel(&curd(), "1.0");
    let setup = Setup::default().without_sidecars();
    setup.project(Project::new("curd").file(file)).start()
}

fn policies(dairy: &FakeIndex) -> String {
    let url = dairy.url();
    format!(
        "indexes: {{ {MIRROR}: {{ type: mirror, mirror_url: \"{url}\" }} }}\n\
         limits: {{ verify_pace: 0B }}\n"
    )
}

fn page(gateway: &Program) -> Answer {
    let page = format!("{}curd/", gateway.index_url(MIRROR));
    ask::send("GET", &page, &[JSON], b"").unwrap()
}

fn wheel_url(gateway: &Program) -> String {
    let listed = page(gateway).json();
    let href = listed["files"][0]["url"].as_str().unwrap();
    let page = format!("{}curd/", gateway.index_url(MIRROR));
    url::Url::parse(&page).unwrap().join(href).unwrap().into()
}

/// The files below a folder whose names have this suffix.
fn below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let found = paths_below(folder).into_iter();
    found
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .collect()
}

/// The only file below a folder whose name has this suffix, as soon as it exists: copies are
/// written after the answer.
fn kept(gateway: &Program, folder: &Path, ending: &str) -> PathBuf {
    loop {
        if let [path] = &below(folder, ending)[..] {
            return path.clone();
        }
        gateway.metrics();
    }
}

fn damage_was_counted(gateway: &Program, what: &str) {
    let of_copies = "cheesecloth_store_damage_total{kind=\"copy\"} ";
    let metrics = gateway.metrics();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(of_copies));
    assert_eq!(line != Some("0"), what != "gone", "{what}: {line:?}");
}

#[test]
fn a_damaged_sidecar_is_a_miss_and_made_again() {
    for (what, damage) in WAYS {
        let (dairy, data) = (dairy(), tempfile::tempdir().unwrap());
        let start = || {
            let launch = Program::with_policies(&policies(&dairy));
            launch.data(data.path()).start()
        };
        let folder = data.path().join("files");
        let gateway = start();
        let sidecar = wheel_url(&gateway) + ".metadata";
        assert_eq!(ask::get(&sidecar).unwrap().body, curd().metadata());
        let path = kept(&gateway, &folder, ".metadata");
        gateway.kill();
        let whole = fs::read(&path).unwrap();
        damage(&path);
        let gateway = start();
        let sidecar = wheel_url(&gateway) + ".metadata";
        let asked = dairy.journal().count("/files/");
        let got = ask::get(&sidecar).unwrap();
        assert_eq!((got.status, got.body), (200, curd().metadata()), "{what}");
        assert!(dairy.journal().count("/files/") > asked, "{what}");
        damage_was_counted(&gateway, what);
        while fs::read(&path).ok().as_ref() != Some(&whole) {
            gateway.metrics();
        }
        gateway.kill();
        let gateway = start();
        let asked = dairy.journal().count("/files/");
        let got = ask::get(&(wheel_url(&gateway) + ".metadata")).unwrap();
        assert_eq!(got.body, curd().metadata(), "{what}");
        assert_eq!(
            dairy.journal().count("/files/"),
            asked,
            "{what}: from the disk"
        );
    }
}

#[test]
fn a_damaged_sidecar_of_an_uploaded_wheel_is_read_out_of_the_wheel_again() {
    for (what, damage) in WAYS {
        let data = tempfile::tempdir().unwrap();
        let start = || Program::with_policies(stage()).data(data.path()).start();
        let gateway = start();
        assert_eq!(upload(&gateway), 200);
        let sidecar = ask::get(&(private_url(&gateway) + ".metadata")).unwrap();
        assert_eq!(sidecar.status, 200);
        gateway.kill();
        let path = below(&data.path().join("private"), ".metadata").remove(0);
        let whole = fs::read(&path).unwrap();
        damage(&path);
        let gateway = start();
        let got = ask::get(&(private_url(&gateway) + ".metadata")).unwrap();
        assert_eq!((got.status, got.body), (200, sidecar.body), "{what}");
        damage_was_counted(&gateway, what);
        while fs::read(&path).ok().as_ref() != Some(&whole) {
            gateway.metrics();
        }
    }
}

/// Changes one digit of a file's digest on the page, which remains a valid page.
const ANOTHER_DIGEST: Way = ("flipped", |path| {
    let text = String::from_utf8(fs::read(path).unwrap()).unwrap();
    let at = text.find("\"sha256\",\"").unwrap() + 10;
    let digit = if text[at..].starts_with('0') {
        "1"
    } else {
        "0"
    };
    fs::write(path, [&text[..at], digit, &text[at + 1..]].concat()).unwrap();
});

#[test]
fn a_damaged_page_copy_is_a_miss_and_never_answered() {
    for (what, damage) in [ANOTHER_DIGEST].into_iter().chain(WAYS.into_iter().skip(1)) {
        let (mut dairy, data) = (dairy(), tempfile::tempdir().unwrap());
        let yaml = policies(&dairy);
        let start = || Program::with_policies(&yaml).data(data.path()).start();
        let gateway = start();
        let whole = page(&gateway).body;
        let path = kept(&gateway, &data.path().join("pages"), ".json");
        gateway.kill();
        let gateway = start();
        assert_eq!(page(&gateway).body, whole);
        assert_eq!(dairy.journal().count(PAGE), 1, "{what}: from the disk");
        gateway.kill();
        damage(&path);
        dairy.stop();
        let gateway = start();
        let refused = page(&gateway);
        assert_eq!(refused.status, 503, "{what}: {}", refused.body);
        damage_was_counted(&gateway, what);
        dairy.restart();
        let mut healed = page(&gateway);
        // The circuit breaker may still be open although upstream is well again.
        while healed.status == 503 {
            healed = page(&gateway);
        }
        assert_eq!(healed.body, whole, "{what}");
        gateway.kill();
        let gateway = start();
        let asked = dairy.journal().count(PAGE);
        assert_eq!(page(&gateway).body, whole, "{what}");
        assert_eq!(dairy.journal().count(PAGE), asked, "{what}: from the disk");
    }
}

/// The sidecar of a wheel on disk is read out of the wheel, but not out of a damaged one.
#[test]
fn a_damaged_wheel_of_a_mirror_does_not_cost_it_its_sidecar() {
    let (dairy, data) = (dairy(), tempfile::tempdir().unwrap());
    let start = || {
        let launch = Program::with_policies(&policies(&dairy));
        launch.data(data.path()).start()
    };
    let gateway = start();
    assert_eq!(ask::get(&wheel_url(&gateway)).unwrap().status, 200);
    let path = kept(&gateway, &data.path().join("files"), "");
    gateway.kill();
    // Truncates the zip's central directory.
    WAYS[1].1(&path);
    let gateway = start();
    let url = wheel_url(&gateway);
    let got = ask::get(&format!("{url}.metadata")).unwrap();
    assert_eq!((got.status, got.body), (200, curd().metadata()));
    let listed = page(&gateway).json();
    assert!(listed["files"][0]["core-metadata"] != false, "{listed}");
    assert_eq!(ask::get(&url).unwrap().bytes, curd().build());
}

#[test]
fn a_damaged_uploaded_wheel_has_no_sidecar_until_it_is_whole() {
    let data = tempfile::tempdir().unwrap();
    let start = || Program::with_policies(stage()).data(data.path()).start();
    let gateway = start();
    assert_eq!(upload(&gateway), 200);
    let sidecar = ask::get(&(private_url(&gateway) + ".metadata")).unwrap();
    gateway.kill();
    for path in below(&data.path().join("private"), "") {
        match path.extension() {
            None => WAYS[0].1(&path),
            Some(ending) if ending == "metadata" => fs::remove_file(&path).unwrap(),
            Some(_) => {}
        }
    }
    let gateway = start();
    let url = private_url(&gateway) + ".metadata";
    let refused = ask::get(&url).unwrap();
    assert_eq!(refused.status, 500, "{refused:?}");
    assert!(refused.body.contains("damaged"), "{refused:?}");
    assert_eq!(upload(&gateway), 200);
    let healed = ask::get(&url).unwrap();
    assert_eq!((healed.status, healed.body), (200, sidecar.body));
}
