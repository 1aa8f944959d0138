//! Files and sidecars through the built program: fetched once, streamed while they arrive, kept
//! whole.

mod digests;
mod ranges;
mod sizes;
mod unchanged;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cheesecloth::testing::model::Sha256;
use http::Method;

use super::support::{
    Content, FakeIndex, Fault, Got, Listed, Program, Project, Setup, Web, Wheel, paths_below,
};

const MIB: usize = 1 << 20;

/// Size of the file that many clients read together, in bytes.
const BIG: usize = 100 * MIB;

const INDEX: &str = "root/dairy";
const FILENAME: &str = "wheel_of_gouda-1.0.tar.gz";
const UPSTREAM_PATH: &str = "/files/wheel-of-gouda/";

/// Bytes that differ from place to place and cost no time to generate.
fn patterned(length: usize) -> Bytes {
    let block = Content::noise(1, 65_521).to_vec();
    block.iter().copied().cycle().take(length).collect()
}

/// An upstream with one sdist of this content.
fn dairy(content: &Bytes) -> FakeIndex {
    stocked(Setup::default(), content).start()
}

fn stocked(setup: Setup, content: &Bytes) -> Setup {
    let file = Listed::new(FILENAME, "1.0", Content::Bytes(content.clone()));
    setup.project(Project::new("wheel-of-gouda").file(file))
}

fn policies(upstream: &FakeIndex, more: &str) -> String {
    let url = upstream.url();
    format!("indexes:\n  {INDEX}: {{ type: mirror, mirror_url: \"{url}\"{more} }}\n")
}

fn shop(upstream: &FakeIndex) -> Program {
    Program::with_policies(&policies(upstream, "")).start()
}

fn page_url(shop: &Program, project: &str) -> String {
    format!("{}{project}/", shop.index_url(INDEX))
}

async fn url_of(web: &Web, shop: &Program) -> String {
    let page = web.page(&page_url(shop, "wheel-of-gouda")).await;
    page.url_of(FILENAME)
}

/// Everything below a folder of the data directory.
fn kept(data: &Path, folder: &str) -> Vec<PathBuf> {
    paths_below(&data.join(folder))
}

/// Reads to the end and compares.
async fn read_on(mut response: reqwest::Response, expected: &Bytes, mut position: usize) {
    while let Some(chunk) = response.chunk().await.unwrap() {
        let end = position + chunk.len();
        assert!(
            chunk == expected[position..end],
            "wrong bytes at {position}"
        );
        position = end;
    }
    assert_eq!(position, expected.len());
}

#[tokio::test]
async fn clients_of_one_cold_file_cause_one_fetch_and_read_it_while_it_arrives() {
    let content = patterned(BIG);
    let dairy = dairy(&content);
    let shop = shop(&dairy);
    let gate = dairy.gate(UPSTREAM_PATH, MIB as u64);
    let url = url_of(&Web::new(), &shop).await;
    let clients = (0..32).map(|_| {
        let (url, content) = (url.clone(), content.clone());
        tokio::spawn(async move {
            let mut response = Web::new().open(Method::GET, &url, &[]).await.unwrap();
            assert_eq!(response.content_length(), Some(BIG as u64));
            let first = response.chunk().await.unwrap().unwrap();
            assert!(first == content[..first.len()]);
            (response, first.len())
        })
    });
    let mut reading = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        reading.push(client.await.unwrap());
    }
    // All clients have begun to read, and upstream has sent about a hundredth of the file.
    gate.reached(1).await;
    gate.release();
    let ends = reading.into_iter().map(|(response, position)| {
        let content = content.clone();
        tokio::spawn(async move { read_on(response, &content, position).await })
    });
    for end in ends.collect::<Vec<_>>() {
        end.await.unwrap();
    }
    assert_eq!(dairy.journal().count(UPSTREAM_PATH), 1);
    assert_eq!(shop.metric("cheesecloth_fill_inflight"), Some(0.0));
}

#[tokio::test]
async fn head_is_get_without_its_body_cold_and_warm() {
    let content = patterned(3 * MIB);
    let dairy = stocked(Setup::default(), &content)
        .project(Project::new("curd").wheel("1.0"))
        .start();
    let wheel = "curd-1.0-py3-none-any.whl";
    let web = Web::new();
    for is_cold in [true, false] {
        let data = tempfile::tempdir().unwrap();
        for (project, filename, ending) in [
            ("wheel-of-gouda", FILENAME, ""),
            ("curd", wheel, ""),
            ("curd", wheel, ".metadata"),
        ] {
            let launch = Program::with_policies(&policies(&dairy, ""));
            let shop = launch.data(&data.path().join(project)).start();
            let page = web.page(&page_url(&shop, project)).await;
            let url = page.url_of(filename) + ending;
            let warm = (!is_cold).then_some(());
            if warm.is_some() {
                assert_eq!(web.get(&url).await.status, 200);
            }
            let head = web.head_with(&url, &[]).await;
            let get = web.get(&url).await;
            assert_eq!((head.status, get.status), (200, 200), "{url}");
            assert!(head.body.is_empty());
            assert_eq!(told(&head), told(&get), "{url}, cold: {is_cold}");
            assert_eq!(get.header("content-length"), get.body.len().to_string());
            assert_eq!(get.header("content-encoding"), "");
            assert!(get.header("cache-control").contains("immutable"));
            let etag = format!("\"{}\"", Sha256::of(&get.body).to_hex());
            assert_eq!(get.header("etag"), etag);
            let again = web.get_with(&url, &[("if-none-match", &etag)]).await;
            assert_eq!((again.status, again.body.len()), (304, 0));
        }
    }
}

/// The headers that depend on the content rather than the request.
fn told(got: &Got) -> Vec<(String, String)> {
    let own = ["date", "server-timing", "x-request-id", "cache-status"];
    let mut told: Vec<_> = got
        .headers
        .keys()
        .filter(|name| !own.contains(&name.as_str()))
        .map(|name| (name.to_string(), got.header(name.as_str()).to_owned()))
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn ranges_are_byte_exact_while_a_file_arrives_and_when_it_is_here() {
    let content = patterned(2 * MIB);
    let size = content.len();
    let etag = format!("\"{}\"", Sha256::of(&content).to_hex());
    let cases = [
        ("bytes=0-99", 206, 0..100),
        ("bytes=1000000-1000009", 206, 1_000_000..1_000_010),
        ("bytes=-10000", 206, size - 10_000..size),
        ("bytes=2097000-", 206, 2_097_000..size),
        ("bytes=2097000-9999999", 206, 2_097_000..size),
        ("bytes=-9999999", 206, 0..size),
        ("bytes=0-1,5-6", 200, 0..size),
        ("lines=0-1", 200, 0..size),
        ("bytes=2097152-", 416, 0..0),
    ];
    let web = Web::new();
    for (range, status, expected) in cases {
        let dairy = dairy(&content);
        let shop = shop(&dairy);
        let url = url_of(&web, &shop).await;
        for temperature in ["cold", "warm"] {
            let got = web.get_with(&url, &[("range", range)]).await;
            let at = format!("{range}, {temperature}");
            assert_eq!(got.status, status, "{at}");
            match status {
                416 => assert_eq!(got.header("content-range"), format!("bytes */{size}")),
                200 => assert_eq!(got.header("content-range"), "", "{at}"),
                _ => {
                    let (first, last) = (expected.start, expected.end - 1);
                    let stated = format!("bytes {first}-{last}/{size}");
                    assert_eq!(got.header("content-range"), stated, "{at}");
                }
            }
            assert!(got.body == content[expected.clone()], "{at}: wrong bytes");
            // The first request fetches all of it, so that the second finds it on disk.
            assert_eq!(web.get(&url).await.body.len(), size, "{at}");
        }
        let half = [("range", "bytes=1048576-")];
        let same = [half[0], ("if-range", etag.as_str())];
        assert_eq!(web.get_with(&url, &same).await.status, 206);
        let other = [half[0], ("if-range", "\"another\"")];
        assert_eq!(web.get_with(&url, &other).await.body.len(), size);
        assert_eq!(dairy.journal().count(UPSTREAM_PATH), 1, "{range}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_fill() {
    let content = patterned(4 * MIB);
    let dairy = dairy(&content);
    let shop = shop(&dairy);
    let web = Web::new();
    let gate = dairy.gate(UPSTREAM_PATH, MIB as u64);
    let url = url_of(&web, &shop).await;
    let mut leaving = web.open(Method::GET, &url, &[]).await.unwrap();
    assert!(leaving.chunk().await.unwrap().is_some());
    drop(leaving);
    drop(web);
    gate.reached(1).await;
    gate.release();
    shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
    let got = Web::new().get(&url).await;
    assert!(got.body == content);
    assert_eq!(got.header("cache-status"), "cheesecloth; hit");
    assert_eq!(dairy.journal().count(UPSTREAM_PATH), 1);
}

/// Requests the file while upstream sends a bad body, then while it sends a good one.
async fn bad_then_good(content: &Bytes, more: &str, fault: Fault, expected: Option<u16>) {
    let dairy = dairy(content);
    let data = tempfile::tempdir().unwrap();
    let shop = Program::with_policies(&policies(&dairy, more));
    let shop = shop.data(data.path()).start();
    let web = Web::new();
    let url = url_of(&web, &shop).await;
    dairy.misbehave(UPSTREAM_PATH, fault);
    match (web.attempt(Method::GET, &url, &[]).await, expected) {
        // Cut off in the head or in the body, depending on how much had arrived.
        (Err(_cut_short), None) => {}
        // So early that nothing had been sent to the client yet.
        (Ok(got), None) => assert_eq!(got.status, 502, "{}", got.text()),
        (Ok(got), Some(status)) => assert_eq!(got.status, status, "{}", got.text()),
        (answer, expected) => panic!("{answer:?} instead of {expected:?}"),
    }
    shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
    assert_eq!(kept(data.path(), "files"), Vec::<PathBuf>::new());
    assert_eq!(kept(data.path(), "tmp"), Vec::<PathBuf>::new());
    dairy.behave();
    let asked = dairy.journal().count(UPSTREAM_PATH);
    assert!(web.get(&url).await.body == *content);
    assert_eq!(dairy.journal().count(UPSTREAM_PATH), asked + 1);
}

#[tokio::test]
async fn a_file_with_a_wrong_digest_ends_short_and_is_not_kept() {
    let large = patterned(3 * MIB);
    bad_then_good(&large, "", Fault::new().wrong_digest(), None).await;
    // Smaller than what is held back until the digest is verified, so there is time for a status.
    bad_then_good(&patterned(100), "", Fault::new().wrong_digest(), Some(502)).await;
}

#[tokio::test]
async fn a_file_that_upstream_cuts_off_ends_short_and_is_not_kept() {
    let cut = Fault::new().cut_after(MIB as u64);
    bad_then_good(&patterned(3 * MIB), "", cut, None).await;
}

#[tokio::test]
async fn a_mirror_that_verifies_before_serving_sends_nothing_of_a_bad_file() {
    let verify = ", verify: before-serving";
    let content = patterned(MIB);
    bad_then_good(&content, verify, Fault::new().wrong_digest(), Some(502)).await;
    let cut = Fault::new().cut_after(1000);
    bad_then_good(&content, verify, cut, Some(502)).await;
}

#[tokio::test]
async fn a_file_of_unknown_length_is_served_and_verified() {
    let content = patterned(MIB);
    // Neither the page nor the upstream's answer states the length.
    let dairy = stocked(Setup::default().without_sizes(), &content).start();
    let web = Web::new();
    for range in [None, Some("bytes=1000-1999"), Some("bytes=-5")] {
        let shop = shop(&dairy);
        dairy.misbehave(UPSTREAM_PATH, Fault::new().without_length());
        let url = url_of(&web, &shop).await;
        let head = web.head_with(&url, &[]).await;
        assert_eq!(head.status, 200);
        let headers: Vec<_> = range.map(|range| ("range", range)).into_iter().collect();
        let got = web.get_with(&url, &headers).await;
        let expected = match (range, got.status) {
            (None, 200) | (Some(_), 200) => &content[..],
            (Some("bytes=-5"), 206) => &content[MIB - 5..],
            (Some(_), 206) => &content[1000..2000],
            (_, status) => panic!("{status} to {range:?}"),
        };
        assert!(got.body == expected, "{range:?}");
        dairy.misbehave(UPSTREAM_PATH, Fault::new().status(500));
        assert!(web.get(&url).await.body == content);
    }
}

#[tokio::test]
async fn a_file_without_a_hash_gets_one_when_it_has_passed_through() {
    let content = patterned(200_000);
    let dairy = stocked(Setup::default().html_only().without_hashes(), &content).start();
    let shop = shop(&dairy);
    let web = Web::new();
    let page = web.page(&page_url(&shop, "wheel-of-gouda")).await;
    assert_eq!(page.file(FILENAME)["hashes"], serde_json::json!({}));
    let early = page.url_of(FILENAME);
    assert!(early.contains("/+e/"), "{early}");
    assert!(web.get(&early).await.body == content);
    shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);

    let digest = Sha256::of(&content).to_hex();
    let learned = async {
        loop {
            let page = web.page(&page_url(&shop, "wheel-of-gouda")).await;
            if page.file(FILENAME)["hashes"]["sha256"] == digest.as_str() {
                break page;
            }
            tokio::task::yield_now().await;
        }
    };
    let in_time = std::time::Duration::from_secs(20);
    let page = tokio::time::timeout(in_time, learned).await.unwrap();
    assert_eq!(page.file(FILENAME)["size"], content.len());
    let late = page.url_of(FILENAME);
    assert!(late.contains("/+f/"), "{late}");
    dairy.misbehave(UPSTREAM_PATH, Fault::new().status(500));
    // A client with the old URL in a lock file is served from disk too.
    for url in [late, early] {
        let got = web.get(&url).await;
        assert!(got.body == content, "{url}: {}", got.text());
    }
}

#[tokio::test]
async fn the_quota_evicts_the_files_asked_for_longest_ago() {
    let file = |version: &str, seed| {
        let name = format!("round-{version}.tar.gz");
        Listed::new(&name, version, Content::noise(seed, 400_000))
    };
    let rounds = Project::new("round").file(file("1.0", 1));
    let rounds = rounds.file(file("2.0", 2)).file(file("3.0", 3));
    let dairy = Setup::default().project(rounds).start();
    let data = tempfile::tempdir().unwrap();
    // This file is not the store's to evict, and larger than the quota.
    let private = data.path().join("private/aa/precious");
    fs::create_dir_all(private.parent().unwrap()).unwrap();
    fs::write(&private, vec![b'x'; 2 * MIB]).unwrap();
    let yaml = policies(&dairy, "") + "cache: { disk: 1000KiB }\n";
    let shop = Program::with_policies(&yaml).data(data.path()).start();
    let web = Web::new();
    let page = web.page(&page_url(&shop, "round")).await;
    for version in ["1.0", "2.0", "3.0"] {
        let url = page.url_of(&format!("round-{version}.tar.gz"));
        assert_eq!(web.get(&url).await.body.len(), 400_000);
        shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
    }
    let gone = async {
        while kept(data.path(), "files").len() > 2 {
            tokio::task::yield_now().await;
        }
    };
    let in_time = std::time::Duration::from_secs(20);
    tokio::time::timeout(in_time, gone).await.unwrap();
    let first = Content::noise(1, 400_000).sha256().to_hex();
    let left = kept(data.path(), "files");
    let is_first = |path: &PathBuf| path.to_string_lossy().replace('/', "").contains(&first);
    assert!(!left.iter().any(is_first), "{left:?}");
    assert!(private.exists());
    // An evicted file is fetched again.
    let again = web.get(&page.url_of("round-1.0.tar.gz")).await;
    assert_eq!(again.body.len(), 400_000);
    assert_eq!(dairy.journal().count("/files/round/round-1.0"), 2);
}

/// A wheel with 5 MB of data, and its metadata.
fn large_wheel() -> (Wheel, Bytes) {
    let wheel = Wheel::new("wide", "1.0")
        .requires("curd>=1")
        .data(5_000_000);
    let metadata = Bytes::from(wheel.metadata());
    (wheel, metadata)
}

/// Requests the sidecar of the large wheel; returns the requests that reached upstream for it.
async fn sidecar(setup: Setup) -> Vec<String> {
    let (wheel, metadata) = large_wheel();
    let dairy = setup
        .project(Project::new("wide").file(Listed::wheel(&wheel, "1.0")))
        .start();
    let shop = shop(&dairy);
    let web = Web::new();
    let page = web.page(&page_url(&shop, "wide")).await;
    let stated = &page.file(&wheel.filename())["core-metadata"];
    let url = page.url_of(&wheel.filename()) + ".metadata";
    let got = web.get(&url).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(got.body, metadata);
    if let Some(digest) = stated["sha256"].as_str() {
        assert_eq!(digest, Sha256::of(&metadata).to_hex());
    } else {
        assert_eq!(*stated, true, "every wheel is listed with a sidecar");
    }
    let asked = dairy.journal().all("/files/wide/");
    assert_eq!(
        web.get(&url).await.header("cache-status"),
        "cheesecloth; hit"
    );
    assert_eq!(dairy.journal().count("/files/wide/"), asked.len());
    asked
        .iter()
        .map(|seen| format!("{} {}", seen.path, seen.header("range")))
        .collect()
}

#[tokio::test]
async fn an_announced_sidecar_is_taken_from_upstream() {
    let asked = sidecar(Setup::default()).await;
    let expected = "/files/wide/wide-1.0-py3-none-any.whl.metadata ";
    assert_eq!(asked, [expected]);
}

#[tokio::test]
async fn a_sidecar_that_nobody_announces_is_read_from_the_end_of_its_wheel() {
    for setup in [
        Setup::default().without_sidecars(),
        Setup::default().without_sidecars().html_only(),
    ] {
        let mut bytes = 0;
        for asked in sidecar(setup).await {
            let (_, range) = asked.split_once(' ').unwrap();
            bytes += range_length(range);
        }
        assert!((1..100_000).contains(&bytes), "{bytes} bytes of the wheel");
    }
}

fn range_length(range: &str) -> u64 {
    let (first, last) = range
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let last: u64 = last.parse().unwrap();
    match first.parse::<u64>() {
        Ok(first) => last + 1 - first,
        Err(_) => last,
    }
}

#[tokio::test]
async fn without_ranges_the_whole_wheel_gives_its_sidecar() {
    sidecar(Setup::default().without_sidecars().without_ranges()).await;
}

#[tokio::test]
async fn the_sidecar_of_a_denied_file_is_refused_like_the_file() {
    let (wheel, _) = large_wheel();
    let dairy = Setup::default()
        .project(Project::new("wide").file(Listed::wheel(&wheel, "1.0")))
        .start();
    let rules = "policies:\n  house:\n    on_block: yank\n    rules:\n      \
                 - deny: { versions: '<2', reason: 'too wide' }\n";
    let yaml = policies(&dairy, ", policy: house") + rules;
    let shop = Program::with_policies(&yaml).start();
    let web = Web::new();
    let page = web.page(&page_url(&shop, "wide")).await;
    let yanked = page.file(&wheel.filename())["yanked"].as_str();
    assert!(yanked.unwrap().contains("too wide"), "{yanked:?}");
    for ending in ["", ".metadata"] {
        let got = web.get(&(page.url_of(&wheel.filename()) + ending)).await;
        assert_eq!(got.status, 403, "{ending}");
        assert_eq!(got.header("content-type"), "application/problem+json");
        assert_eq!(got.header("cache-control"), "no-store");
        assert!(got.text().contains("too wide"), "{}", got.text());
    }
    assert_eq!(dairy.journal().count("/files/"), 0);
}
