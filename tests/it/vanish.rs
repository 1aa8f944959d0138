//! What an upstream takes down: a file refused at that time never matures here, in any way and for
//! anybody.

use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::model::Sha256;
use cheesecloth::testing::store::Key;
use serde_json::Value;

use super::support::{FakeIndex, Fault, House, Larder, Listed, Project, Setup, Wheel};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const NOW: &str = "2026-01-05T00:00:00Z";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const FREE: &str = "/shop/free/+simple/sieve/";
const COOL: &str = "/shop/cool/+simple/sieve/";

/// Old; old enough for the cool-down but not for `older_than`; too young for both.
const SIEVES: [(&str, &str); 3] = [
    ("1.0", "2025-12-01T00:00:00Z"),
    ("1.5", "2025-12-25T00:00:00Z"),
    ("2.0", "2026-01-02T00:00:00Z"),
];

fn sieves(which: &[(&str, &str)]) -> Project {
    let sieves = which.iter().map(|(version, uploaded)| {
        Listed::wheel(&Wheel::new("sieve", version), version).uploaded(uploaded)
    });
    sieves.fold(Project::new("sieve"), Project::file)
}

fn wheel(version: &str) -> String {
    format!("sieve-{version}-py3-none-any.whl")
}

/// Two indexes over one mirror, one with a cool-down of a week.
fn policies(dairy: &FakeIndex, keep: &str) -> String {
    let url = dairy.url();
    format!(
        "indexes:
  root/dairy: {{ type: mirror, mirror_url: \"{url}\", mirror_cache_expiry: 10m, keep_last_good: {keep} }}
  shop/free: {{ bases: [root/dairy] }}
  shop/cool: {{ bases: [root/dairy], policy: cool }}
policies:
  cool:
    rules:
      - deny: {{ younger_than: 7d }}
"
    )
}

/// The names that a page lists, with their URLs; `None` if it is refused.
async fn listed(house: &House, path: &str) -> Option<Vec<(String, String)>> {
    let got = house.get(path, &[("accept", JSON)]).await;
    if got.status != 200 {
        assert!(matches!(got.status, 404 | 502 | 503), "{}", got.text());
        return None;
    }
    let (index, _) = path.split_once("/+simple/").unwrap();
    let page: Value = serde_json::from_slice(&got.body).unwrap();
    let files = page["files"].as_array().unwrap().iter();
    let files = files.map(|file| {
        let url = file["url"].as_str().unwrap().trim_start_matches("../");
        let name = file["filename"].as_str().unwrap().to_owned();
        (name, format!("{index}/{url}"))
    });
    Some(files.collect())
}

async fn versions(house: &House, path: &str) -> Option<Vec<String>> {
    let listed = listed(house, path).await?;
    let version = |(name, _): (String, String)| name.split('-').nth(1).unwrap().to_owned();
    Some(listed.into_iter().map(version).collect())
}

async fn status(house: &House, url: &str) -> u16 {
    house.get(url, &[]).await.status
}

/// How a project vanishes.
#[derive(Debug, Clone, Copy)]
enum Way {
    NotFound,
    Empty,
    /// 451: somebody has had it taken down.
    TakenDown,
}

impl Way {
    fn setup(self) -> Setup {
        match self {
            Self::NotFound | Self::TakenDown => Setup::default(),
            Self::Empty => Setup::default().project(Project::new("sieve")),
        }
    }
}

/// What happens to gateway and upstream after the project was found to be gone.
#[derive(Debug, Clone, Copy)]
enum After {
    Nothing,
    Restart,
    RestartAndOutage,
    RestartOffline,
}

async fn vanishes(way: Way, after: After) {
    let clock = Clock::fixed(NOW.parse().unwrap());
    let dairy = Setup::default().project(sieves(&SIEVES)).start();
    let larder = Larder::empty(&clock).await;
    let yaml = policies(&dairy, "60d");
    let house = House::online_over(&larder, &yaml, &clock);
    let urls = listed(&house, FREE).await.unwrap();
    assert_eq!(urls.len(), 3);
    assert_eq!(versions(&house, COOL).await.unwrap(), ["1.0", "1.5"]);
    assert_eq!(status(&house, &urls[0].1).await, 200);
    let bytes = Wheel::new("sieve", "1.0").build();
    larder.kept(&Key::MirrorFile(Sha256::of(&bytes))).await;

    dairy.change(|_| way.setup());
    if matches!(way, Way::TakenDown) {
        dairy.misbehave("/simple/sieve/", Fault::new().status(451));
    }
    clock.advance(DAY);
    for path in [FREE, COOL] {
        let kept = versions(&house, path).await.unwrap();
        assert_eq!(kept, ["1.0"], "{way:?} {path}");
    }
    let house = match after {
        After::Nothing => house,
        After::Restart => House::online_over(&larder, &yaml, &clock),
        After::RestartAndOutage => {
            dairy.behave();
            dairy.misbehave("/simple/", Fault::new().status(500));
            House::online_over(&larder, &yaml, &clock)
        }
        After::RestartOffline => House::offline(&larder, &yaml, &clock),
    };
    for day in 1..=70 {
        clock.advance(DAY);
        let at = format!("{way:?}, {after:?}, day {day}");
        for path in [FREE, COOL] {
            let kept = versions(&house, path).await.unwrap_or_default();
            assert!(
                kept.is_empty() || (kept == ["1.0"] && day < 60),
                "{at}: {kept:?}"
            );
        }
        for (name, url) in &urls {
            let is_kept = *name == wheel("1.0") && day < 59;
            let found = status(&house, url).await;
            assert_eq!(found == 200, is_kept, "{found} for {name}, {at}");
            let sidecar = status(&house, &format!("{url}.metadata")).await;
            assert!(is_kept || sidecar != 200, "metadata of {name}, {at}");
        }
    }
    for version in ["1.5", "2.0"] {
        let asked = format!("/files/sieve/{}", wheel(version));
        assert_eq!(dairy.journal().count(&asked), 0, "{way:?}, {after:?}");
    }
}

#[tokio::test]
async fn a_file_that_was_refused_when_its_project_vanished_never_matures() {
    let after = [
        After::Nothing,
        After::Restart,
        After::RestartAndOutage,
        After::RestartOffline,
    ];
    for way in [Way::NotFound, Way::Empty, Way::TakenDown] {
        for after in after {
            vanishes(way, after).await;
        }
    }
}

/// How upstream falls silent.
#[derive(Debug, Clone, Copy)]
enum Silence {
    Outage,
    OutageAndRestart,
    Unreadable,
    Offline,
}

#[tokio::test]
async fn nothing_grows_of_age_while_its_upstream_cannot_confirm_it() {
    for silence in [
        Silence::Outage,
        Silence::OutageAndRestart,
        Silence::Unreadable,
        Silence::Offline,
    ] {
        let clock = Clock::fixed(NOW.parse().unwrap());
        let dairy = Setup::default().project(sieves(&SIEVES)).start();
        let larder = Larder::empty(&clock).await;
        let yaml = policies(&dairy, "60d");
        let house = House::online_over(&larder, &yaml, &clock);
        let urls = listed(&house, FREE).await.unwrap();
        // The bytes are stored here, so all that matters is who may have them.
        for (_, url) in &urls {
            assert_eq!(status(&house, url).await, 200);
        }
        for (version, _) in SIEVES {
            let digest = Sha256::of(&Wheel::new("sieve", version).build());
            larder.kept(&Key::MirrorFile(digest)).await;
        }
        assert_eq!(versions(&house, COOL).await.unwrap(), ["1.0", "1.5"]);
        let fault = match silence {
            Silence::Unreadable => Fault::new().status(200).body("come back later"),
            Silence::Outage | Silence::OutageAndRestart | Silence::Offline => {
                Fault::new().status(500)
            }
        };
        dairy.misbehave("/simple/", fault);
        let house = match silence {
            Silence::Outage | Silence::Unreadable => house,
            Silence::OutageAndRestart => House::online_over(&larder, &yaml, &clock),
            Silence::Offline => House::offline(&larder, &yaml, &clock),
        };
        let cool = |url: &str| url.replace("/shop/free/", "/shop/cool/");
        for day in 1..=20 {
            clock.advance(DAY);
            let at = format!("{silence:?}, day {day}");
            // A page is answered for `stale_if_error`, or offline forever; files that are stored
            // always are.
            if day < 7 || matches!(silence, Silence::Offline) {
                assert_eq!(versions(&house, FREE).await.unwrap().len(), 3, "{at}");
                let listed = versions(&house, COOL).await.unwrap();
                assert_eq!(listed, ["1.0", "1.5"], "{at}");
                let headers = [("accept", "application/json")];
                let object = house.get("/shop/cool/sieve", &headers).await.text();
                assert!(
                    object.contains("1.5") && !object.contains("2.0"),
                    "{object}"
                );
            }
            for (name, url) in &urls {
                assert_eq!(status(&house, url).await, 200, "{name}, {at}");
                let url = cool(url);
                let expected = if *name == wheel("2.0") { 403 } else { 200 };
                for url in [format!("{url}.metadata"), url] {
                    assert_eq!(status(&house, &url).await, expected, "{url}, {at}");
                }
            }
        }
        let refused = house.get(&cool(&urls[2].1), &[]).await.text();
        let words = "until upstream answers again, silent since 2026-01-05T00:10:00Z";
        assert!(refused.contains(words), "{refused}");
        // Upstream answers again, with the same content.
        dairy.behave();
        let house = House::online_over(&larder, &yaml, &clock);
        assert_eq!(
            versions(&house, COOL).await.unwrap().len(),
            3,
            "{silence:?}"
        );
    }
}

#[tokio::test]
async fn what_grew_of_age_while_its_page_was_fresh_stays() {
    let clock = Clock::fixed(NOW.parse().unwrap());
    // Old enough five minutes after the page was requested, which is fresh for ten.
    let soon = [("1.0", "2025-12-29T00:05:00Z")];
    let dairy = Setup::default().project(sieves(&soon)).start();
    let house = House::online(&policies(&dairy, "60d"), &clock).await;
    assert!(versions(&house, COOL).await.unwrap().is_empty());
    dairy.misbehave("/simple/", Fault::new().status(500));
    clock.advance(Duration::from_mins(5));
    assert_eq!(versions(&house, COOL).await.unwrap(), ["1.0"]);
    clock.advance(DAY);
    assert_eq!(versions(&house, COOL).await.unwrap(), ["1.0"]);
}

#[tokio::test]
async fn what_came_of_age_between_two_looks_upstream_was_never_seen_to_be_of_age() {
    let clock = Clock::fixed(NOW.parse().unwrap());
    // Half a day short of the week when it is last seen, half a day over it when it is missed.
    let almost = [("1.0", "2025-12-29T12:00:00Z")];
    let dairy = Setup::default().project(sieves(&almost)).start();
    let house = House::online(&policies(&dairy, "{ for: 30d, older_than: 0 }"), &clock).await;
    assert_eq!(versions(&house, FREE).await.unwrap(), ["1.0"]);
    dairy.change(|_| Setup::default());
    clock.advance(DAY);
    for path in [COOL, FREE] {
        assert_eq!(versions(&house, path).await, None, "{path}");
    }
}

#[tokio::test]
async fn a_floor_of_nothing_keeps_what_every_policy_lets_pass() {
    let clock = Clock::fixed(NOW.parse().unwrap());
    for (keep, expected) in [
        ("7d", &["1.0"][..]),
        ("{ older_than: 14d }", &["1.0"]),
        ("{ for: 2d, older_than: 0 }", &["1.0", "1.5"]),
        ("{ older_than: 60d }", &[]),
        ("{ for: 0 }", &[]),
        ("0", &[]),
    ] {
        let dairy = Setup::default().project(sieves(&SIEVES)).start();
        let house = House::online(&policies(&dairy, keep), &clock).await;
        assert_eq!(versions(&house, FREE).await.unwrap().len(), 3);
        dairy.change(|_| Setup::default());
        clock.advance(DAY);
        let kept = versions(&house, FREE).await.unwrap_or_default();
        assert_eq!(kept, expected, "{keep}");
    }
}

#[tokio::test]
async fn rules_that_become_stricter_hold_for_what_is_kept_and_laxer_ones_bring_nothing_back() {
    let clock = Clock::fixed(NOW.parse().unwrap());
    let dairy = Setup::default().project(sieves(&SIEVES)).start();
    let larder = Larder::empty(&clock).await;
    let yaml = policies(&dairy, "{ for: 60d, older_than: 0 }");
    let house = House::online_over(&larder, &yaml, &clock);
    assert_eq!(versions(&house, FREE).await.unwrap().len(), 3);
    dairy.change(|_| Setup::default());
    clock.advance(DAY);
    assert_eq!(versions(&house, COOL).await.unwrap(), ["1.0", "1.5"]);

    let lax = yaml.replace(", policy: cool", "");
    let lax = House::online_over(&larder, &lax, &clock);
    assert_eq!(versions(&lax, COOL).await.unwrap(), ["1.0", "1.5"]);
    let strict = yaml.replace("younger_than: 7d", "younger_than: 30d");
    let strict = House::online_over(&larder, &strict, &clock);
    assert_eq!(versions(&strict, COOL).await.unwrap(), ["1.0"]);
    assert_eq!(versions(&strict, FREE).await.unwrap(), ["1.0", "1.5"]);
}

#[tokio::test]
async fn a_project_that_comes_back_is_what_upstream_says_again() {
    let clock = Clock::fixed(NOW.parse().unwrap());
    let dairy = Setup::default().project(sieves(&SIEVES)).start();
    let house = House::online(&policies(&dairy, "7d"), &clock).await;
    assert_eq!(versions(&house, FREE).await.unwrap().len(), 3);
    dairy.change(|_| Setup::default());
    clock.advance(DAY);
    assert_eq!(versions(&house, FREE).await.unwrap(), ["1.0"]);
    // The same page as before, with its old ETag.
    dairy.change(|_| Setup::default().project(sieves(&SIEVES)));
    clock.advance(DAY);
    assert_eq!(versions(&house, FREE).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_file_that_a_page_no_longer_lists_is_gone_whatever_happens_afterwards() {
    for is_disk_broken in [false, true] {
        let clock = Clock::fixed(NOW.parse().unwrap());
        let dairy = Setup::default().project(sieves(&SIEVES)).start();
        let larder = Larder::empty(&clock).await;
        let yaml = policies(&dairy, "60d");
        let house = House::online_over(&larder, &yaml, &clock);
        let urls = listed(&house, FREE).await.unwrap();
        dairy.change(|_| Setup::default().project(sieves(&SIEVES[..1])));
        clock.advance(DAY);
        if is_disk_broken {
            // Nothing can be written any more, but what exists can be removed.
            let drafts = larder.folder().join("tmp");
            std::fs::remove_dir_all(&drafts).unwrap();
            std::fs::write(&drafts, "").unwrap();
        }
        assert_eq!(versions(&house, FREE).await.unwrap(), ["1.0"]);
        dairy.misbehave("/simple/", Fault::new().status(500));
        for house in [house, House::online_over(&larder, &yaml, &clock)] {
            for _ in 0..10 {
                clock.advance(DAY);
                for path in [FREE, COOL] {
                    let kept = versions(&house, path).await.unwrap_or_default();
                    assert!(kept.is_empty() || kept == ["1.0"], "{kept:?}");
                }
                for (name, url) in &urls[1..] {
                    assert_ne!(status(&house, url).await, 200, "{name}");
                }
            }
        }
    }
}
