//! Every kind of look-up moves its own counter.

use std::collections::BTreeMap;

use super::super::support::{Content, FakeIndex, Listed, Program, Project, Setup, Web};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// Larger than files that are kept in memory.
const LARGE: u64 = 1 << 20;

fn dairy() -> FakeIndex {
    let large = Listed::new("sieve-1.0.tar.gz", "1.0", Content::noise(9, LARGE));
    Setup::default()
        .project(Project::new("sieve").wheel("1.0").file(large))
        .start()
}

/// The look-ups that were counted, as `tier kind result`; zeros are left out.
fn look_ups(shop: &Program) -> BTreeMap<String, u64> {
    let metrics = shop.metrics();
    let counted = metrics.lines().filter_map(|line| {
        let (labels, value) = line
            .strip_prefix("cheesecloth_cache_requests_total{")?
            .split_once("} ")?;
        let word = |label: &str| {
            let (_, rest) = labels.split_once(&format!("{label}=\"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        let words = [word("tier"), word("kind"), word("result")].join(" ");
        Some((words, value.parse().unwrap()))
    });
    counted.filter(|(_, value)| *value > 0).collect()
}

/// What was counted since.
fn since(before: &BTreeMap<String, u64>, shop: &Program) -> Vec<String> {
    let more = look_ups(shop).into_iter().filter_map(|(words, now)| {
        let more = now - before.get(&words).copied().unwrap_or_default();
        (more > 0).then(|| format!("{words} {more}"))
    });
    more.collect()
}

/// The look-ups for a list, a page, a wheel, a large file and a sidecar, at the first and the
/// second request. The page was already requested once.
const LOOKED_UP: [(&[&str], &[&str]); 5] = [
    (&["store page miss 1"], &["store page hit 1"]),
    (&["memory page hit 1"], &["memory page hit 1"]),
    (
        &[
            "memory file miss 1",
            "memory source hit 1",
            "store file miss 1",
        ],
        // From disk into memory.
        &["memory file miss 1", "store file hit 1"],
    ),
    (
        &[
            "memory file miss 1",
            "memory source hit 1",
            "store file miss 1",
        ],
        &["memory file miss 1", "store file hit 1"],
    ),
    (
        &["memory sidecar miss 1", "store sidecar miss 1"],
        &["memory sidecar hit 1"],
    ),
];

/// Their paths, from the page that lists them.
async fn paths(shop: &Program) -> [String; 5] {
    let list = shop.index_url("root/dairy");
    let page_url = format!("{list}sieve/");
    let page = Web::new().page(&page_url).await;
    let wheel = page.url_of("sieve-1.0-py3-none-any.whl");
    let large = page.url_of("sieve-1.0.tar.gz");
    let sidecar = format!("{wheel}.metadata");
    let path = |url: String| url.strip_prefix(shop.public_url()).unwrap().to_owned();
    [list, page_url, wheel, large, sidecar].map(path)
}

#[tokio::test]
async fn hits_and_misses_of_every_kind_are_counted_by_tier() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let yaml = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: '{}' }}\n",
        dairy.url()
    );
    let start = || Program::with_policies(&yaml).data(data.path()).start();
    let shop = start();
    // Every series exists from the first scrape on, so that an increase is seen as one.
    let series = "\ncheesecloth_cache_requests_total{";
    assert_eq!(shop.metrics().matches(series).count(), 32);
    let asked = async |shop: &Program, path: &str| {
        let before = look_ups(shop);
        let url = format!("{}{path}", shop.public_url());
        let got = Web::new().get_with(&url, &[("accept", JSON)]).await;
        assert_eq!(got.status, 200, "{path}");
        // The file is in the store once no fill is under way.
        shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
        since(&before, shop)
    };
    let paths = paths(&shop).await;
    for (path, (first, second)) in paths.iter().zip(LOOKED_UP) {
        assert_eq!(asked(&shop, path).await, first, "{path}");
        assert_eq!(asked(&shop, path).await, second, "{path}, a second time");
    }
    let [_, page, wheel, _, sidecar] = &paths;
    assert_eq!(asked(&shop, wheel).await, ["memory file hit 1"]);

    shop.stop();
    let shop = start();
    let of_page = [
        "memory page miss 1",
        "memory source miss 1",
        "store source hit 1",
    ];
    assert_eq!(asked(&shop, page).await, of_page);
    let of_sidecar = [
        "memory sidecar miss 1",
        "memory source hit 1",
        "store sidecar hit 1",
    ];
    assert_eq!(asked(&shop, sidecar).await, of_sidecar);
}
