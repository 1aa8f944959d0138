//! Copies of upstream answers that cannot be trusted: made under a wrong clock, or unreadable. They
//! are only copies, so upstream is asked again, and nobody has to clean up.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::store::Key;
use serde_json::Value;

use super::support::{FakeIndex, House, Larder, Project, Setup, paths_below};

const NOW: &str = "2026-01-05T00:00:00Z";
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const UPSTREAM_PAGE: &str = "/simple/sieve/";
const UPSTREAM_LIST: &str = "/simple/";

fn dairy() -> FakeIndex {
    Setup::default()
        .project(Project::new("sieve").wheel("1.0"))
        .start()
}

fn policies(upstream: &FakeIndex, more: &str) -> String {
    let url = upstream.url();
    format!("indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\"{more} }}\n")
}

/// The files that the page lists.
async fn listed(house: &House) -> Vec<Value> {
    listed_for(house, &[]).await
}

async fn listed_for(house: &House, headers: &[(&str, &str)]) -> Vec<Value> {
    let accept = ("accept", "application/vnd.pypi.simple.v1+json");
    let headers = [&[accept], headers].concat();
    let got = house.get("/root/dairy/+simple/sieve/", &headers).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let page: Value = serde_json::from_slice(&got.body).unwrap();
    page["files"].as_array().unwrap().clone()
}

async fn projects(house: &House) -> String {
    let got = house.get("/root/dairy/+simple/", &[]).await;
    assert_eq!(got.status, 200, "{}", got.text());
    got.text()
}

#[tokio::test]
async fn a_page_copy_from_the_future_counts_as_expired() {
    let dairy = dairy();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let ahead = Clock::fixed(NOW.parse().unwrap());
    ahead.advance(YEAR);
    let larder = Larder::empty(&clock).await;
    let yaml = policies(&dairy, "");
    assert_eq!(
        listed(&House::online_over(&larder, &yaml, &ahead))
            .await
            .len(),
        1
    );
    dairy.change(|_| Setup::default().project(Project::new("sieve").wheel("1.0").wheel("2.0")));
    let house = House::online_over(&larder, &yaml, &clock);
    assert_eq!(listed(&house).await.len(), 2);
    assert_eq!(listed(&house).await.len(), 2);
    assert_eq!(dairy.journal().count(UPSTREAM_PAGE), 2);
}

#[tokio::test]
async fn a_page_in_memory_is_asked_for_again_when_the_clock_is_put_back() {
    let dairy = dairy();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let house = House::online(&policies(&dairy, ""), &clock).await;
    for (ahead, expected) in [(YEAR, 1), (Duration::ZERO, 2), (Duration::ZERO, 2)] {
        clock.advance(ahead);
        house.heed_clock();
        assert_eq!(listed(&house).await.len(), 1);
        assert_eq!(dairy.journal().count(UPSTREAM_PAGE), expected);
        clock.put_back(ahead);
    }
}

#[tokio::test]
async fn a_long_page_is_kept_behind_its_answer() {
    const FILES: usize = 300;
    let versions = |count: usize| {
        let project = (0..count).fold(Project::new("sieve"), |project, version| {
            project.wheel(&version.to_string())
        });
        Setup::default().project(project)
    };
    let dairy = versions(FILES).start();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let larder = Larder::empty(&clock).await;
    let yaml = policies(&dairy, "");
    let house = House::online_over(&larder, &yaml, &clock);
    assert_eq!(listed(&house).await.len(), FILES);
    let (index, project) = ("root/dairy".parse().unwrap(), "sieve".parse().unwrap());
    let key = Key::page(&index, &project);
    larder.kept(&key).await;
    let offline = House::offline(&larder, &yaml, &clock);
    assert_eq!(listed(&offline).await.len(), FILES);

    // What replaces it is on the disk before anybody is answered.
    dairy.change(|_| versions(FILES - 1));
    clock.advance(DAY);
    let copy = larder.folder().join(key.path());
    let before = fs::read(&copy).unwrap();
    let latest = listed_for(&house, &[("cache-control", "no-cache")]);
    assert_eq!(latest.await.len(), FILES - 1);
    assert_ne!(fs::read(&copy).unwrap(), before);
}

#[tokio::test]
async fn a_file_first_seen_in_the_future_matures_from_now_on() {
    let dairy = Setup::default()
        .without_upload_times()
        .without_etags()
        .project(Project::new("sieve").wheel("1.0"))
        .start();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let ahead = Clock::fixed(NOW.parse().unwrap());
    ahead.advance(YEAR);
    let larder = Larder::empty(&clock).await;
    let rule = "policies:\n  house:\n    rules:\n      - deny: { younger_than: 7d }\n";
    let yaml = policies(&dairy, ", undated: first_seen, policy: house") + rule;
    assert_eq!(
        listed(&House::online_over(&larder, &yaml, &ahead))
            .await
            .len(),
        0
    );
    assert_eq!(
        listed(&House::online_over(&larder, &yaml, &clock))
            .await
            .len(),
        0
    );
    clock.advance(8 * DAY);
    assert_eq!(
        listed(&House::online_over(&larder, &yaml, &clock))
            .await
            .len(),
        1
    );
}

/// Replaces every file below a folder with something that cannot be read.
fn make_unreadable(larder: &Larder, folder: &str, how: fn(&Path)) {
    let files = paths_below(&larder.folder().join(folder));
    assert!(!files.is_empty(), "nothing is kept in {folder}");
    for path in files {
        fs::remove_file(&path).unwrap();
        how(&path);
    }
}

#[tokio::test]
async fn a_copy_that_cannot_be_read_is_a_miss() {
    let ways: [fn(&Path); 2] = [
        |path| symlink(path, path).unwrap(),
        |path| fs::write(path, b"not what was kept").unwrap(),
    ];
    for how in ways {
        let dairy = dairy();
        let clock = Clock::fixed(NOW.parse().unwrap());
        let larder = Larder::empty(&clock).await;
        let yaml = policies(&dairy, "");
        let before = House::online_over(&larder, &yaml, &clock);
        assert_eq!(listed(&before).await.len(), 1);
        assert!(projects(&before).await.contains("sieve"));
        make_unreadable(&larder, "pages", how);
        make_unreadable(&larder, "lists", how);
        let after = House::online_over(&larder, &yaml, &clock);
        assert_eq!(listed(&after).await.len(), 1);
        assert!(projects(&after).await.contains("sieve"));
        for path in [UPSTREAM_PAGE, UPSTREAM_LIST] {
            let asked = dairy.journal().all(path);
            let asked = asked.iter().filter(|seen| seen.path == path).count();
            assert_eq!(asked, 2, "{path}");
        }
    }
}
