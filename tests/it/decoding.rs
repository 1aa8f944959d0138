//! Answers that unpack to far more than their size share one memory budget, however many arrive.

use bytes::Bytes;
use futures_util::future::join_all;

use super::support::{
    Canned, Content, FakeIndex, Launch, Listed, Program, Project, Setup, Web, gzip,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// Answers under way at one time.
const AT_ONCE: usize = 20;

/// The value of `limits.decoding`.
const BUDGET: u64 = 192 << 20;

/// What a debug build may use beyond the budget, in bytes.
const BESIDE: u64 = 64 << 20;

/// The program with the allocator's setting that `deploy/` ships (docs/adr/0024): without it, what was
/// freed is kept by up to eight arenas for each core, more the busier the machine is.
fn as_shipped(yaml: &str) -> Launch {
    Program::with_policies(yaml).with("MALLOC_ARENA_MAX", "2")
}

/// A page of 60 MB that is 60 KB on the wire.
fn packed_page() -> Bytes {
    let filler = "x".repeat(60 << 20);
    gzip(format!("{{\"files\": [], \"x\": \"{filler}\"}}").as_bytes())
}

#[tokio::test]
async fn pages_that_unpack_to_a_thousand_times_their_size_wait_for_their_turn() {
    let packed = packed_page();
    let dairy = (0..AT_ONCE).fold(Setup::default(), |setup, number| {
        let canned = Canned {
            content_type: JSON.to_owned(),
            headers: vec![("content-encoding".to_owned(), "gzip".to_owned())],
            content: Content::Bytes(packed.clone()),
        };
        setup.canned(&format!("/simple/bomb-{number}/"), canned)
    });
    let dairy = dairy.start();
    let yaml = format!(
        "limits: {{ decoding: {BUDGET}, project_list: 64MiB }}\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n",
        dairy.url()
    );
    let shop = as_shipped(&yaml).start();
    let before = shop.memory_peak_bytes();
    let web = Web::new();
    let asked = (0..AT_ONCE).map(|number| {
        let url = format!("{}bomb-{number}/", shop.index_url("root/dairy"));
        let web = web.clone();
        async move { web.get_with(&url, &[("accept", JSON)]).await.status }
    });
    assert_eq!(join_all(asked).await, [200; AT_ONCE]);
    let grown = shop.memory_peak_bytes() - before;
    eprintln!("{AT_ONCE} pages of 60 MiB took {} MiB", grown >> 20);
    assert!(grown < BUDGET + BESIDE, "{} MiB", grown >> 20);
}

/// Entries on a page: half a megabyte that becomes many times as much in memory.
const ENTRIES: usize = 24_500;

/// How many such pages.
const PAGES: usize = 40;

/// The value of `limits.decoding` where pages grow in memory.
const VALUES_BUDGET: u64 = 96 << 20;

fn page_of_entries(name: &str, kind: &str, entries: usize) -> Canned {
    let mut text = String::new();
    for entry in 0..entries {
        match kind {
            JSON => {
                let comma = if entry == 0 { "" } else { "," };
                text += &format!("{comma}{{\"url\":\"{name}-{entry}.zip\"}}");
            }
            _ => text += &format!("<a href={name}-{entry}.zip>"),
        }
    }
    if kind == JSON {
        text = format!("{{\"files\":[{text}]}}");
    }
    Canned {
        content_type: kind.to_owned(),
        headers: vec![("content-encoding".to_owned(), "gzip".to_owned())],
        content: Content::Bytes(gzip(text.as_bytes())),
    }
}

#[tokio::test]
async fn pages_that_become_many_times_their_size_take_memory_within_the_budget() {
    let name = |number| format!("bomb-{number}");
    let dairy = (0..PAGES).fold(Setup::default(), |setup, number| {
        let kind = [JSON, "text/html"][number % 2];
        let page = page_of_entries(&name(number), kind, ENTRIES);
        setup.canned(&format!("/simple/{}/", name(number)), page)
    });
    let dairy = dairy.start();
    let yaml = format!(
        "cache: {{ memory: 16MiB }}\n\
         limits: {{ decoding: {VALUES_BUDGET}, decoding_wait: 10m, upstream_read_timeout: 5m, upstream_total_timeout: 10m, page: 16MiB, project_list: 16MiB }}\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n",
        dairy.url()
    );
    let shop = as_shipped(&yaml).start();
    let before = shop.memory_peak_bytes();
    let web = Web::new();
    let asked = (0..PAGES).map(|number| {
        let url = format!("{}{}/", shop.index_url("root/dairy"), name(number));
        let web = web.clone();
        async move { web.get_with(&url, &[("accept", JSON)]).await.status }
    });
    assert_eq!(join_all(asked).await, [200; PAGES]);
    let grown = shop.memory_peak_bytes() - before;
    eprintln!(
        "{PAGES} pages of {ENTRIES} entries took {} MiB",
        grown >> 20
    );
    assert!(grown < VALUES_BUDGET + BESIDE, "{} MiB", grown >> 20);
}

#[tokio::test]
async fn a_page_of_more_entries_than_one_may_have_is_refused() {
    let most = page_of_entries("most", JSON, 51_000);
    let dairy = Setup::default().canned("/simple/most/", most).start();
    let yaml = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n",
        dairy.url()
    );
    let (shop, web) = (Program::with_policies(&yaml).start(), Web::new());
    let url = format!("{}most/", shop.index_url("root/dairy"));
    let got = web.get_with(&url, &[("accept", JSON)]).await;
    assert_eq!(got.status, 502, "{}", got.text());
    assert!(
        got.text().contains("more than 50000 entries"),
        "{}",
        got.text()
    );
}

/// The value of `limits.decoding` where wheels are read.
const WHEEL_BUDGET: u64 = 64 << 20;

/// What a debug build may use beyond it, in bytes. Without the budget, six wheels take 190 MiB.
const BESIDE_WHEELS: u64 = 32 << 20;

/// Hostile wheels, each with a directory of 62 MB and nothing else.
const WHEELS: u64 = 6;

fn wheel_name(number: u64) -> String {
    format!("curd-{number}.0-py3-none-any.whl")
}

fn hostile_wheels() -> FakeIndex {
    let project = (0..WHEELS).fold(Project::new("curd"), |project, seed| {
        let entries = 62_000;
        let content = Content::Directory { seed, entries };
        project.file(Listed::new(
            &wheel_name(seed),
            &format!("{seed}.0"),
            content,
        ))
    });
    Setup::default().project(project).start()
}

fn shop_before(dairy: &FakeIndex) -> Program {
    let yaml = format!(
        "limits: {{ decoding: {WHEEL_BUDGET}, page: 16MiB, project_list: 16MiB, metadata: 1MiB }}\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n",
        dairy.url()
    );
    as_shipped(&yaml).start()
}

/// Requests the sidecars of all wheels at the same time.
async fn ask_for_sidecars(web: &Web, shop: &Program, urls: &[String]) {
    shop.forget_memory_peak();
    let before = shop.memory_peak_bytes();
    let asked = urls.iter().map(|url| {
        let (web, url) = (web.clone(), format!("{url}.metadata"));
        async move { web.get(&url).await }
    });
    for answer in join_all(asked).await {
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(answer.text().contains("directory"), "{}", answer.text());
    }
    let grown = shop.memory_peak_bytes() - before;
    eprintln!("{WHEELS} wheels took {} MiB", grown >> 20);
    assert!(grown < WHEEL_BUDGET + BESIDE_WHEELS, "{} MiB", grown >> 20);
}

async fn urls_of_wheels(web: &Web, shop: &Program) -> Vec<String> {
    let page = format!("{}curd/", shop.index_url("root/dairy"));
    let page = web.page(&page).await;
    (0..WHEELS)
        .map(|number| page.url_of(&wheel_name(number)))
        .collect()
}

#[tokio::test]
async fn wheels_upstream_that_are_all_directory_take_memory_within_the_budget() {
    let dairy = hostile_wheels();
    let (web, shop) = (Web::new(), shop_before(&dairy));
    let urls = urls_of_wheels(&web, &shop).await;
    ask_for_sidecars(&web, &shop, &urls).await;
}

#[tokio::test]
async fn wheels_on_disk_that_are_all_directory_take_memory_within_the_budget() {
    let dairy = hostile_wheels();
    let (web, shop) = (Web::new(), shop_before(&dairy));
    let urls = urls_of_wheels(&web, &shop).await;
    for url in &urls {
        // The last bytes are sent a moment before the file is kept.
        while web.get(url).await.header("cache-status") != "cheesecloth; hit" {}
    }
    let asked = dairy.journal().count("/files/");
    ask_for_sidecars(&web, &shop, &urls).await;
    assert_eq!(dairy.journal().count("/files/"), asked, "they are here");
}
