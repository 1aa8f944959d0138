//! What is here is answered even if its upstream hangs or is gone; what is not known here waits as
//! before.
//!
//! Nothing is timed. The upstream holds its answer back until the test releases it, so whatever
//! arrives earlier did not wait for it. A patience of an hour stands for "as long as it takes".

use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::model::Sha256;
use cheesecloth::testing::store::Key;
use futures_util::future::poll_immediate;
use serde_json::Value;

use super::support::{FakeIndex, Fault, Got, House, Larder, Listed, Project, Setup, Wheel, soon};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";
const NOW: &str = "2026-01-05T00:00:00Z";
const PAGE: &str = "/root/dairy/+simple/sieve/";
const UPSTREAM_PAGE: &str = "/simple/sieve/";
const NO_CACHE: [(&str, &str); 1] = [("cache-control", "no-cache")];

const NONE: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an upstream is left alone after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(5);

fn sieve(version: &str) -> Listed {
    Listed::wheel(&Wheel::new("sieve", version), version).uploaded("2026-01-02T00:00:00Z")
}

fn sieves(versions: &[&str]) -> Setup {
    let files = versions.iter().map(|version| sieve(version));
    Setup::default().project(files.fold(Project::new("sieve"), Project::file))
}

/// A mirror, and an index with a cool-down over it.
fn policies(upstream: &FakeIndex) -> String {
    let url = upstream.url();
    format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n  \
         shop/slow: {{ bases: [root/dairy], policy: slow }}\n\
         policies:\n  slow:\n    rules:\n      - deny: {{ younger_than: 7d }}\n"
    )
}

/// The URLs of the files on a page.
fn listed(got: &Got, index: &str) -> Vec<String> {
    assert_eq!(got.status, 200, "{}", got.text());
    let page: Value = serde_json::from_slice(&got.body).unwrap();
    let files = page["files"].as_array().unwrap().iter();
    let urls = files.map(|file| file["url"].as_str().unwrap());
    urls.map(|url| format!("/{index}/{}", url.trim_start_matches("../")))
        .collect()
}

async fn page(house: &House) -> Vec<String> {
    let got = soon(house.get(PAGE, &[("accept", JSON)])).await;
    listed(&got, "root/dairy")
}

async fn latest_page(house: &House) -> Vec<String> {
    let headers = [&[("accept", JSON)], &NO_CACHE[..]].concat();
    let got = soon(house.get(PAGE, &headers)).await;
    listed(&got, "root/dairy")
}

async fn status(house: &House, path: &str) -> u16 {
    soon(house.get(path, &[])).await.status
}

fn house_with(larder: &Larder, yaml: &str, clock: &Clock, patience: Duration) -> House {
    House::online_with(larder, yaml, clock, |settings| {
        settings.cache.patience = patience;
    })
}

/// A gateway that has the page, the file and the sidecar of one sieve, while its upstream has two
/// by now. The page expired a day ago.
struct Old {
    dairy: FakeIndex,
    larder: Larder,
    clock: Clock,
    house: House,
    file: String,
}

impl Old {
    async fn new(patience: Duration) -> Self {
        let dairy = sieves(&["1.0"]).start();
        let clock = Clock::fixed(NOW.parse().unwrap());
        let larder = Larder::empty(&clock).await;
        let house = house_with(&larder, &policies(&dairy), &clock, patience);
        let file = page(&house).await.remove(0);
        for path in [file.clone(), format!("{file}.metadata")] {
            assert_eq!(status(&house, &path).await, 200);
        }
        larder.kept_sidecars(1).await;
        let digest = Sha256::of(&Wheel::new("sieve", "1.0").build());
        larder.kept(&Key::MirrorFile(digest)).await;
        dairy.change(|_| sieves(&["1.0", "2.0"]));
        clock.advance(DAY);
        Self {
            dairy,
            larder,
            clock,
            house,
            file,
        }
    }

    /// The same after a restart, with nothing in memory.
    fn restarted(self, patience: Duration) -> Self {
        let house = house_with(&self.larder, &policies(&self.dairy), &self.clock, patience);
        Self { house, ..self }
    }
}

/// Checks that an answer does not arrive, however often it is polled.
async fn waits<T: std::fmt::Debug>(mut answer: impl Future<Output = T> + Unpin) {
    for _ in 0..100 {
        let early = poll_immediate(&mut answer).await;
        assert!(early.is_none(), "it did not wait: {early:?}");
        tokio::task::spawn_blocking(|| {}).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_and_its_sidecar_that_are_here_wait_for_no_upstream() {
    for patience in [NONE, HOUR] {
        for is_restarted in [false, true] {
            let mut old = Old::new(patience).await;
            if is_restarted {
                old = old.restarted(patience);
            }
            let gate = old.dairy.gate("/", 0);
            for _ in 0..2 {
                for path in [old.file.clone(), format!("{}.metadata", old.file)] {
                    assert_eq!(status(&old.house, &path).await, 200, "{path}");
                }
            }
            // Behind the answers, a single request asks for the page.
            gate.reached(1).await;
            gate.release();
            assert_eq!(latest_page(&old.house).await.len(), 2);
            assert_eq!(old.dairy.journal().count(UPSTREAM_PAGE), 2);
        }
    }
}

#[tokio::test]
async fn a_sidecar_alone_waits_for_no_upstream_where_it_or_its_wheel_is_here() {
    for is_wheel_here in [false, true] {
        for is_restarted in [false, true] {
            let dairy = sieves(&["1.0"]).start();
            let clock = Clock::fixed(NOW.parse().unwrap());
            let larder = Larder::empty(&clock).await;
            let yaml = policies(&dairy);
            let mut house = house_with(&larder, &yaml, &clock, NONE);
            let file = page(&house).await.remove(0);
            let sidecar = format!("{file}.metadata");
            if is_wheel_here {
                assert_eq!(status(&house, &file).await, 200);
                let digest = Sha256::of(&Wheel::new("sieve", "1.0").build());
                larder.kept(&Key::MirrorFile(digest)).await;
            } else {
                assert_eq!(status(&house, &sidecar).await, 200);
                larder.kept_sidecars(1).await;
            }
            dairy.change(|_| sieves(&["1.0", "2.0"]));
            clock.advance(DAY);
            if is_restarted {
                house = house_with(&larder, &yaml, &clock, NONE);
            }
            let gate = dairy.gate("/", 0);
            for _ in 0..2 {
                assert_eq!(status(&house, &sidecar).await, 200);
            }
            gate.reached(1).await;
            gate.release();
            assert_eq!(latest_page(&house).await.len(), 2);
            // Nothing but the page was asked for.
            let asked = dairy.journal().count("/files/");
            assert_eq!(asked, 1, "wheel: {is_wheel_here}");
        }
    }
}

#[tokio::test]
async fn a_sidecar_of_which_nothing_is_here_waits() {
    let old = Old::new(NONE).await;
    let wheel = latest_page(&old.house).await.remove(1);
    old.clock.advance(DAY);
    old.dairy.change(|_| sieves(&["2.0"]));
    let gate = old.dairy.gate(UPSTREAM_PAGE, 0);
    let sidecar = format!("{wheel}.metadata");
    let mut waiting = Box::pin(old.house.get(&sidecar, &[]));
    waits(&mut waiting).await;
    gate.release();
    assert_eq!(soon(waiting).await.status, 200);
}

#[tokio::test]
async fn an_expired_page_goes_out_when_patience_is_over_and_the_next_one_is_new() {
    for is_restarted in [false, true] {
        let mut old = Old::new(NONE).await;
        if is_restarted {
            old = old.restarted(NONE);
        }
        let gate = old.dairy.gate(UPSTREAM_PAGE, 0);
        for _ in 0..3 {
            assert_eq!(page(&old.house).await.len(), 1);
            assert_eq!(
                soon(old.house.get(PAGE, &[("accept", HTML)])).await.status,
                200
            );
        }
        gate.reached(1).await;
        // A client that insists on upstream's own answer waits for it.
        let mut insisting = Box::pin(latest_page(&old.house));
        waits(&mut insisting).await;
        assert_eq!(page(&old.house).await.len(), 1);
        gate.release();
        assert_eq!(insisting.await.len(), 2);
        assert_eq!(page(&old.house).await.len(), 2);
        let html = soon(old.house.get(PAGE, &[("accept", HTML)])).await;
        assert!(html.text().contains("sieve-2.0"), "{}", html.text());
        assert_eq!(old.dairy.journal().count(UPSTREAM_PAGE), 2);
    }
}

#[tokio::test]
async fn within_its_patience_a_client_gets_the_new_page() {
    let old = Old::new(HOUR).await;
    let gate = old.dairy.gate(UPSTREAM_PAGE, 0);
    let mut waiting = Box::pin(page(&old.house));
    waits(&mut waiting).await;
    gate.reached(1).await;
    gate.release();
    assert_eq!(waiting.await.len(), 2);
}

#[tokio::test]
async fn a_file_that_the_held_page_does_not_let_pass_or_that_is_not_here_waits() {
    let known = Old::new(NONE).await;
    let new_file = latest_page(&known.house).await.remove(1);
    let slow = |path: &str| path.replace("/root/dairy/", "/shop/slow/");
    for (what, after, path) in [
        ("it is not on the page", DAY, new_file),
        // It became old enough while nobody could confirm it.
        ("it is too young on the page", 7 * DAY, slow(&known.file)),
        ("its client says no-cache", DAY, known.file.clone()),
    ] {
        let old = Old::new(NONE).await;
        old.clock.advance(after);
        let headers = match what.contains("no-cache") {
            true => &NO_CACHE[..],
            false => &[],
        };
        let gate = old.dairy.gate(UPSTREAM_PAGE, 0);
        let mut waiting = Box::pin(old.house.get(&path, headers));
        waits(&mut waiting).await;
        gate.reached(1).await;
        gate.release();
        assert_eq!(soon(waiting).await.status, 200, "{what}");
    }
    // The other file on the page was never fetched, and upstream may have taken it down.
    let dairy = sieves(&["1.0", "2.0"]).start();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let larder = Larder::empty(&clock).await;
    let house = house_with(&larder, &policies(&dairy), &clock, NONE);
    let absent = page(&house).await.remove(1);
    dairy.change(|_| sieves(&["1.0"]));
    clock.advance(DAY);
    let gate = dairy.gate(UPSTREAM_PAGE, 0);
    let mut waiting = Box::pin(house.get(&absent, &[]));
    waits(&mut waiting).await;
    gate.release();
    assert_eq!(soon(waiting).await.status, 404);
}

#[tokio::test]
async fn a_page_that_goes_out_early_lets_nothing_mature() {
    let old = Old::new(NONE).await;
    old.clock.advance(4 * DAY);
    let gate = old.dairy.gate(UPSTREAM_PAGE, 0);
    let slow = || async {
        let path = PAGE.replace("/root/dairy/", "/shop/slow/");
        let got = soon(old.house.get(&path, &[("accept", JSON)])).await;
        listed(&got, "shop/slow")
    };
    assert_eq!(slow().await, Vec::<String>::new());
    gate.release();
    assert_eq!(latest_page(&old.house).await.len(), 2);
    assert_eq!(slow().await.len(), 2);
}

#[tokio::test]
async fn an_early_page_is_never_older_than_errors_are_borne() {
    let old = Old::new(NONE).await;
    old.clock.advance(7 * DAY);
    let gate = old.dairy.gate(UPSTREAM_PAGE, 0);
    let mut waiting = Box::pin(page(&old.house));
    waits(&mut waiting).await;
    // A file on disk is answered, however old its page.
    assert_eq!(status(&old.house, &old.file).await, 200);
    gate.release();
    assert_eq!(waiting.await.len(), 2);
}

#[tokio::test]
async fn all_mirrors_of_a_stack_are_waited_for_in_one() {
    // A 304 would pass the gates, because it has no body.
    let start = |version| sieves(&[version]).without_etags().start();
    let (dairy, other) = (start("1.0"), start("1.5"));
    let yaml = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n  \
         root/other: {{ type: mirror, mirror_url: \"{}\" }}\n  \
         shop/all: {{ bases: [root/dairy, root/other] }}\n",
        dairy.url(),
        other.url(),
    );
    let clock = Clock::fixed(NOW.parse().unwrap());
    let larder = Larder::empty(&clock).await;
    for patience in [NONE, HOUR] {
        let house = house_with(&larder, &yaml, &clock, patience);
        let ask = || async {
            let got = house.get("/shop/all/+simple/sieve/", &[("accept", JSON)]);
            listed(&soon(got).await, "shop/all").len()
        };
        assert_eq!(ask().await, 2);
        clock.advance(DAY);
        let gates = [&dairy, &other].map(|index| index.gate(UPSTREAM_PAGE, 0));
        let asked = ask();
        if patience == NONE {
            assert_eq!(asked.await, 2);
            assert_eq!(ask().await, 2);
            continue;
        }
        let mut asked = Box::pin(asked);
        waits(&mut asked).await;
        // Neither waits for the other: both together take as long as one.
        for gate in &gates {
            gate.reached(1).await;
        }
        drop(gates);
        assert_eq!(asked.await, 2);
    }
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_tried_again_behind_the_answer() {
    // The port is closed.
    let mut old = Old::new(HOUR).await;
    old.dairy.stop();
    assert_eq!(page(&old.house).await.len(), 1);
    assert_eq!(status(&old.house, &old.file).await, 200);
    old.dairy.restart();
    old.clock.advance(RETRY_AFTER);
    assert_eq!(latest_page(&old.house).await.len(), 2);

    // The first attempt fails, and the second one hangs.
    let old = Old::new(HOUR).await;
    old.dairy
        .misbehave(UPSTREAM_PAGE, Fault::new().reset().times(1));
    let gate = old.dairy.gate("/simple/", 0);
    assert_eq!(page(&old.house).await.len(), 1);
    gate.reached(1).await;
    assert_eq!(page(&old.house).await.len(), 1);
    gate.release();
    assert_eq!(latest_page(&old.house).await.len(), 2);
    assert_eq!(page(&old.house).await.len(), 2);
}

#[tokio::test]
async fn an_upstream_that_has_just_failed_is_left_alone_for_a_moment() {
    let old = Old::new(HOUR).await;
    old.dairy.misbehave("/", Fault::new().status(500));
    for _ in 0..2 {
        assert_eq!(page(&old.house).await.len(), 1);
        assert_eq!(
            soon(old.house.get(PAGE, &[("accept", HTML)])).await.status,
            200
        );
        assert_eq!(status(&old.house, &old.file).await, 200);
    }
    assert_eq!(old.dairy.journal().count(UPSTREAM_PAGE), 2);
    old.dairy.behave();
    old.clock.advance(RETRY_AFTER);
    assert_eq!(latest_page(&old.house).await.len(), 2);
    assert_eq!(page(&old.house).await.len(), 2);
}

#[tokio::test]
async fn what_is_in_quarantine_waits_for_the_next_word() {
    let quarantined = || Setup::default().project(Project::new("sieve").status("quarantined"));
    let dairy = quarantined().start();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let larder = Larder::empty(&clock).await;
    let house = house_with(&larder, &policies(&dairy), &clock, NONE);
    assert_eq!(page(&house).await.len(), 0);
    dairy.change(|_| sieves(&["1.0"]));
    clock.advance(DAY);
    let gate = dairy.gate(UPSTREAM_PAGE, 0);
    let mut waiting = Box::pin(page(&house));
    waits(&mut waiting).await;
    gate.release();
    assert_eq!(waiting.await.len(), 1);
}

#[tokio::test]
async fn what_upstream_takes_down_behind_an_answer_is_gone_with_the_next() {
    let old = Old::new(NONE).await;
    old.dairy.change(|_| sieves(&["2.0"]));
    let gate = old.dairy.gate(UPSTREAM_PAGE, 0);
    assert_eq!(status(&old.house, &old.file).await, 200);
    gate.release();
    assert_eq!(latest_page(&old.house).await.len(), 1);
    assert_eq!(status(&old.house, &old.file).await, 404);
}

#[tokio::test]
async fn too_many_hanging_requests_leave_what_is_held() {
    let names = ["sieve", "strainer"];
    let setup = names.iter().fold(Setup::default(), |setup, name| {
        setup.project(Project::new(name).wheel("1.0"))
    });
    let dairy = setup.start();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let larder = Larder::empty(&clock).await;
    let house = House::online_with(&larder, &policies(&dairy), &clock, |settings| {
        settings.cache.patience = NONE;
        settings.limits.work.flights = 1;
    });
    let ask = |name| {
        let path = format!("/root/dairy/+simple/{name}/");
        let house = &house;
        async move { soon(house.get(&path, &[("accept", JSON)])).await.status }
    };
    assert_eq!((ask(names[0]).await, ask(names[1]).await), (200, 200));
    clock.advance(DAY);
    let _gate = dairy.gate("/simple/", 0);
    assert_eq!((ask(names[0]).await, ask(names[1]).await), (200, 200));
}
