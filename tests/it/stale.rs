//! Pages that are missing or old: cold ones are requested once, however many clients ask; old ones
//! are answered immediately while upstream is asked in the background, within a bound, and never
//! beyond what a rule allows.
//!
//! Nothing here is timed. The upstream holds its answer back until the test releases it, so
//! whatever arrives earlier did not wait for it.

use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use futures_util::future::{join_all, poll_immediate};
use serde_json::Value;

use super::support::{
    FakeIndex, Fault, Got, House, Listed, Program, Project, Setup, Web, Wheel, soon,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";
const NOW: &str = "2026-01-05T00:00:00Z";
const PAGE: &str = "/root/dairy/+simple/sieve/";
const UPSTREAM_PAGE: &str = "/simple/sieve/";

/// How long a page is fresh in these tests.
const EXPIRY: Duration = Duration::from_secs(600);

/// How long an old page is answered while it is being refreshed.
const BOUND: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

fn sieves(count: usize) -> Project {
    let versions = (1..=count).map(|number| format!("{number}.0"));
    versions.fold(Project::new("sieve"), |project, version| {
        project.wheel(&version)
    })
}

fn dairy() -> FakeIndex {
    Setup::default().project(sieves(1)).start()
}

fn policies(upstream: &FakeIndex, more: &str) -> String {
    let url = upstream.url();
    format!("indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\"{more} }}\n")
}

/// A house whose page of one sieve is cached, while upstream has two by now.
async fn hot(dairy: &FakeIndex, more: &str) -> (House, Clock) {
    let clock = Clock::fixed(NOW.parse().unwrap());
    let house = House::online(&policies(dairy, more), &clock).await;
    assert_eq!(listed(&house, &[]).await, 1);
    dairy.change(|_| Setup::default().project(sieves(2)));
    (house, clock)
}

/// How many sieves the page lists.
async fn listed(house: &House, more: &[(&str, &str)]) -> usize {
    files_of(&ask(house, more).await)
}

async fn ask(house: &House, more: &[(&str, &str)]) -> Got {
    house.get(PAGE, &[&[("accept", JSON)], more].concat()).await
}

fn files_of(got: &Got) -> usize {
    assert_eq!(got.status, 200, "{}", got.text());
    let page: Value = serde_json::from_slice(&got.body).unwrap();
    page["files"].as_array().unwrap().len()
}

/// What the page lists once the refresh under way is over, which `no-cache` waits for.
async fn listed_after_the_refresh(house: &House) -> usize {
    listed(house, &[("cache-control", "no-cache")]).await
}

#[tokio::test]
async fn an_old_page_and_its_files_are_answered_while_upstream_thinks() {
    let dairy = dairy();
    let (house, clock) = hot(&dairy, "").await;
    assert_eq!(house.get(PAGE, &[("accept", HTML)]).await.status, 200);
    let page: Value = serde_json::from_slice(&ask(&house, &[]).await.body).unwrap();
    let link = page["files"][0]["url"].as_str().unwrap();
    let file = format!("/root/dairy/{}", link.trim_start_matches("../"));
    assert_eq!(house.get(&file, &[]).await.status, 200);

    let gate = dairy.gate(UPSTREAM_PAGE, 0);
    clock.advance(EXPIRY + SECOND);
    for _ in 0..5 {
        assert_eq!(listed(&house, &[]).await, 1);
        assert_eq!(house.get(PAGE, &[("accept", HTML)]).await.status, 200);
        assert_eq!(house.get(&file, &[]).await.status, 200);
    }
    // pip sends this with every page and does not insist on it.
    assert_eq!(listed(&house, &[("cache-control", "max-age=0")]).await, 1);
    gate.reached(1).await;
    let mut insisting = Box::pin(listed_after_the_refresh(&house));
    assert_eq!(
        poll_immediate(&mut insisting).await,
        None,
        "it did not wait"
    );
    gate.release();
    assert_eq!(insisting.await, 2);
    assert_eq!(listed(&house, &[]).await, 2);
    assert_eq!(dairy.journal().count(UPSTREAM_PAGE), 2);
}

#[tokio::test]
async fn beyond_the_bound_a_page_waits_for_upstream() {
    for (more, after) in [
        ("", EXPIRY + BOUND),
        // Never longer than the page was fresh.
        (", mirror_cache_expiry: 10s", 20 * SECOND),
        (", mirror_cache_expiry: 0", SECOND),
    ] {
        let dairy = dairy();
        let (house, clock) = hot(&dairy, more).await;
        let gate = dairy.gate(UPSTREAM_PAGE, 0);
        clock.advance(after);
        let mut waiting = Box::pin(listed(&house, &[]));
        assert_eq!(poll_immediate(&mut waiting).await, None, "{more}");
        gate.reached(1).await;
        assert_eq!(poll_immediate(&mut waiting).await, None, "{more}");
        gate.release();
        assert_eq!(waiting.await, 2, "{more}");
    }
}

#[tokio::test]
async fn an_upstream_that_fails_meanwhile_leaves_the_old_page_for_as_long_as_errors_are_borne() {
    let dairy = dairy();
    let (house, clock) = hot(&dairy, "").await;
    dairy.misbehave("/", Fault::new().status(500));
    clock.advance(EXPIRY + SECOND);
    assert_eq!(listed(&house, &[]).await, 1);
    assert_eq!(listed_after_the_refresh(&house).await, 1);
    assert!(dairy.journal().count(UPSTREAM_PAGE) > 1, "nobody asked");
    let day = 24 * 60 * 60 * SECOND;
    clock.advance(6 * day);
    assert_eq!(listed(&house, &[]).await, 1);
    // The answers during upstream's failure are not carried past that time either.
    clock.advance(day);
    assert_eq!(ask(&house, &[]).await.status, 503);
}

#[tokio::test]
async fn a_project_that_is_gone_is_gone_after_the_refresh() {
    let dairy = dairy();
    let (house, clock) = hot(&dairy, ", keep_last_good: 0s").await;
    dairy.change(|_| Setup::default());
    clock.advance(EXPIRY + SECOND);
    assert_eq!(listed(&house, &[]).await, 1);
    let insisting = ask(&house, &[("cache-control", "no-cache")]).await;
    assert_eq!(insisting.status, 404);
    assert_eq!(ask(&house, &[]).await.status, 404);
}

#[tokio::test]
async fn a_rule_holds_to_its_instant_however_old_the_page() {
    let rule = "policies:\n  house:\n    rules:\n      - deny: { younger_than: 7d }\n";
    let young = Listed::wheel(&Wheel::new("sieve", "1.0"), "1.0");
    // Becomes old enough half a minute after the page has expired.
    let young = young.uploaded("2025-12-29T00:10:30Z");
    let project = Project::new("sieve").file(young);
    let dairy = Setup::default().project(project).start();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let yaml = policies(&dairy, ", policy: house") + rule;
    let house = House::online(&yaml, &clock).await;
    assert_eq!(listed(&house, &[]).await, 0);
    let gate = dairy.gate(UPSTREAM_PAGE, 0);
    dairy.change(|setup| setup.without_etags());
    clock.advance(EXPIRY + SECOND);
    assert_eq!(listed(&house, &[]).await, 0);
    clock.advance(30 * SECOND);
    let mut waiting = Box::pin(listed(&house, &[]));
    assert_eq!(
        poll_immediate(&mut waiting).await,
        None,
        "the old rule held on"
    );
    gate.reached(1).await;
    gate.release();
    assert_eq!(waiting.await, 1);
}

/// Waits for the machine's clock, since the program has no other; the time it takes does not
/// matter.
#[tokio::test]
async fn the_program_says_what_it_did_and_counts_it() {
    let dairy = dairy();
    let yaml =
        policies(&dairy, ", mirror_cache_expiry: 2s") + "cache: { stale_while_revalidate: 1h }\n";
    let shop = Program::with_policies(&yaml).start();
    let (web, url) = (
        Web::new(),
        format!("{}sieve/", shop.index_url("root/dairy")),
    );
    // A page that expires is answered like this before it is fresh again.
    soon(async {
        loop {
            let got = web.get(&url).await;
            assert_eq!(got.status, 200);
            if got.header("cache-status") == "cheesecloth; hit; detail=stale-while-revalidate" {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let name =
        "cheesecloth_cache_requests_total{kind=\"page\",result=\"updating\",tier=\"memory\"}";
    assert_eq!(shop.metric(name), Some(1.0));
}

#[tokio::test]
async fn all_who_ask_for_a_cold_page_share_one_request() {
    let dairy = Setup::default().project(sieves(3)).start();
    let clock = Clock::fixed(NOW.parse().unwrap());
    // One layer up: two indexes that show the same mirror share one request too.
    let yaml = policies(&dairy, "") + "  shop/all: { bases: [root/dairy] }\n";
    let house = House::online(&yaml, &clock).await;
    let gate = dairy.gate(UPSTREAM_PAGE, 0);
    let asks = (0..32).map(|number| {
        let form = [JSON, HTML][number % 2];
        let encoding = ["identity", "gzip", "zstd"][number % 3];
        let index = ["root/dairy", "shop/all"][number / 16];
        let house = &house;
        async move {
            let path = format!("/{index}/+simple/sieve/");
            let headers = [("accept", form), ("accept-encoding", encoding)];
            house.get(&path, &headers).await.status
        }
    });
    let mut asks = Box::pin(join_all(asks));
    assert_eq!(poll_immediate(&mut asks).await, None);
    gate.reached(1).await;
    gate.release();
    assert_eq!(asks.await, [200; 32]);
    assert_eq!(dairy.journal().count(UPSTREAM_PAGE), 1);
}
