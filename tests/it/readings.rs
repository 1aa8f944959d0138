//! A file name that may belong to several projects reveals to no upstream any part of a protected
//! name.

use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::model::{IndexName, ProjectName, Sha256};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::support::{Content, FakeIndex, House, Listed, Project, Setup};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const NOW: &str = "2026-01-05T00:00:00Z";

/// File names tried; each is requested twice, from a gateway of its own.
const CASES: u32 = 96;

/// The words that file names are made of: some begin versions, some are tags.
const WORDS: [&str; 9] = ["acme", "tools", "9.9", "1", "3d", "x", "py3", "none", "any"];
const SEPARATORS: [&str; 3] = ["-", "_", "."];
const ENDINGS: [&str; 6] = [
    ".tar.gz",
    ".zip",
    ".whl",
    "-py3-none-any.whl",
    "-py2.7.egg",
    ".exe",
];

fn clock() -> Clock {
    Clock::fixed(NOW.parse().unwrap())
}

/// An index over a mirror, with what restricts each of them.
fn policies(dairy: &FakeIndex, index: &str, mirror: &str) -> String {
    let url = dairy.url();
    format!(
        "indexes:
  root/dairy: {{ type: mirror, mirror_url: \"{url}\"{mirror} }}
  shop/all: {{ bases: [root/dairy]{index} }}
policies:
  house: {{ rules: [deny: {{ project: acme-tools }}] }}
"
    )
}

/// Every form of URL for a file that cannot be one of the project `acme`.
fn urls(index: &str) -> Vec<String> {
    let mut urls = Vec::new();
    for ending in [".tar.gz", ".zip", "-py2.7.egg", ".win32.exe"] {
        for place in ["+f/0a1/b2c3d4e5f6071", "+e/https_files.example_a"] {
            for sidecar in ["", ".metadata"] {
                urls.push(format!("/{index}/{place}/acme-tools-9.9{ending}{sidecar}"));
            }
        }
    }
    urls
}

#[tokio::test]
async fn a_name_kept_from_mirrors_is_not_asked_for_by_its_first_words_either() {
    let shop = IndexName::parse("shop/all").unwrap();
    let private = ProjectName::parse("acme-tools").unwrap();
    // What protects the name, whether the stage holds it, the index asked, and the answer.
    let owns = ", owns: ['acme-*']";
    let table = [
        (owns, "", false, "shop/all", 403),
        (owns, "", false, "root/dairy", 403),
        (owns, "", true, "shop/all", 403),
        (owns, "", true, "root/dairy", 403),
        ("", owns, false, "root/dairy", 403),
        (", policy: house", "", false, "shop/all", 403),
        ("", ", policy: house", false, "shop/all", 403),
        (", whitelist: [curd]", "", false, "shop/all", 403),
        (", whitelist: [acme]", "", false, "shop/all", 403),
        // Nothing is refused; the name is only private.
        ("", "", true, "shop/all", 404),
    ];
    for (index, mirror, is_held, asked, expected) in table {
        let dairy = Setup::default().project(Project::new("acme")).start();
        let house = House::online(&policies(&dairy, index, mirror), &clock()).await;
        if is_held {
            house.publish(&shop, &private, Vec::new()).await;
        }
        for url in urls(asked) {
            let got = house.get(&url, &[]).await;
            let at = format!("{url} below {index:?} {mirror:?}, held: {is_held}");
            assert_eq!(got.status, expected, "{at}: {}", got.text());
            assert_eq!(dairy.journal().count("/simple/"), 0, "{at}");
        }
    }
}

#[tokio::test]
async fn no_name_that_could_be_a_part_of_an_owned_one_is_asked_for() {
    for filename in [
        "acme-tools-9.9-py3-none-any.whl",
        "acme-tools-1-py3-none-any.whl",
        "acme-1.0-1-py3-none-any.whl",
        "acme-tools-9.9.whl",
        "acme-tools.zip",
        "acme-3d.tar.gz",
        "acme-1-tools.zip",
        "acme_tools-x.exe",
        "acme-tools-py2.7.egg",
    ] {
        let dairy = Setup::default().project(Project::new("acme")).start();
        let policies = policies(&dairy, ", owns: ['acme-*']", "");
        let house = House::online(&policies, &clock()).await;
        for sidecar in ["", ".metadata"] {
            let url = format!("/shop/all/+f/0a1/b2c3d4e5f6071/{filename}{sidecar}");
            let got = house.get(&url, &[]).await;
            assert!(matches!(got.status, 403 | 404), "{url}: {}", got.text());
            assert_eq!(dairy.journal().count("/simple/"), 0, "{url}");
        }
    }
    // A file that can only belong to the other project is asked for.
    let dairy = Setup::default().project(Project::new("acme")).start();
    let house = House::online(&policies(&dairy, ", owns: ['acme-*']", ""), &clock()).await;
    for filename in ["acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl"] {
        let url = format!("/shop/all/+f/0a1/b2c3d4e5f6071/{filename}");
        assert_eq!(house.get(&url, &[]).await.status, 404);
    }
    assert!(dairy.journal().count("/simple/acme/") > 0);
}

/// The beginning of a file name, and its suffix.
fn raw_names() -> impl Strategy<Value = (String, &'static str)> {
    let more = (select(&SEPARATORS[..]), select(&WORDS[..]));
    let more = prop::collection::vec(more, 0..5);
    (select(&WORDS[..2]), more, select(&ENDINGS[..])).prop_map(|(first, more, ending)| {
        let words = more
            .into_iter()
            .flat_map(|(separator, word)| [separator, word]);
        ([first].into_iter().chain(words).collect(), ending)
    })
}

/// Whether it can only be a file of this project: what is left of the name is a version.
fn is_surely_of(project: &str, stem: &str, ending: &str) -> bool {
    if ending.ends_with(".egg") {
        // The parts of an egg's name have no dash: what follows the second one is for which Python it is.
        let mut parts = stem.split('-');
        let (name, version) = (parts.next().unwrap_or_default(), parts.next());
        let is_version = |version: &str| version.split('.').all(|part| part.parse::<u32>().is_ok());
        return name.replace(['_', '.'], "-") == project && version.is_some_and(is_version);
    }
    let Some((name, version)) = stem.rsplit_once(['-', '_']) else {
        return false;
    };
    let is_name = name.replace(['_', '.'], "-") == project;
    let is_tagged = ending != ".whl";
    is_name && is_tagged && version.split('.').all(|part| part.parse::<u32>().is_ok())
}

/// Whether any prefix of it that ends with a word is a name that the index owns.
fn may_be_owned(stem: &str, longer_than: usize) -> bool {
    let ends = stem.match_indices(['-', '_', '.']).map(|(at, _)| at);
    ends.chain([stem.len()])
        .filter(|end| *end > longer_than)
        .any(|end| stem[..end].replace(['_', '.'], "-").starts_with("acme-"))
}

#[test]
fn whatever_a_file_is_called_no_upstream_hears_a_part_of_an_owned_name() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let asked = std::cell::Cell::new((0, 0));
    let checked = TestRunner::new(config).run(&raw_names(), |(stem, ending)| {
        let heard = runtime.block_on(async {
            let dairy = Setup::default().project(Project::new("acme")).start();
            let policies = policies(&dairy, ", owns: ['acme-*']", "");
            let house = House::online(&policies, &clock()).await;
            for sidecar in ["", ".metadata"] {
                let url = format!("/shop/all/+f/0a1/b2c3d4e5f6071/{stem}{ending}{sidecar}");
                house.get(&url, &[]).await;
            }
            dairy.journal().all("/simple/")
        });
        for seen in &heard {
            let project = seen.path["/simple/".len()..].trim_end_matches('/');
            prop_assert!(!project.starts_with("acme-"), "{project} was asked for");
            prop_assert!(
                is_surely_of(project, &stem, ending) || !may_be_owned(&stem, project.len()),
                "{project} was asked for"
            );
        }
        let (any, none) = asked.get();
        asked.set(match heard.is_empty() {
            true => (any, none + 1),
            false => (any + 1, none),
        });
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    let (any, none) = asked.get();
    assert!(any > 0 && none > 0, "{any} were asked for, {none} were not");
}

/// The URL below `shop/all` of the only file on a page.
async fn url_on_page(house: &House, project: &str) -> String {
    let page = format!("/shop/all/+simple/{project}/");
    let page = house.get(&page, &[("accept", JSON)]).await;
    let page: Value = serde_json::from_slice(&page.body).unwrap();
    let url = page["files"][0]["url"].as_str().unwrap();
    format!("/shop/all/{}", url.trim_start_matches("../"))
}

fn one_file(project: &str, filename: &str, version: &str) -> (Setup, String) {
    let content = Content::noise(1, 1000);
    let digest = Sha256::of(&content.to_vec()).to_hex();
    let url = format!(
        "/shop/all/+f/{}/{}/{filename}",
        &digest[..3],
        &digest[3..16]
    );
    let file = Listed::new(filename, version, content);
    (
        Setup::default().project(Project::new(project).file(file)),
        url,
    )
}

#[tokio::test]
async fn a_file_that_the_page_of_another_reading_lists_is_served_all_the_same() {
    let (setup, url) = one_file("acme", "acme-tools-9.9.tar.gz", "tools-9.9");
    for index in [
        ", owns: ['acme-*']",
        ", policy: house",
        ", whitelist: [acme]",
    ] {
        let dairy = setup.clone().start();
        let house = House::online(&policies(&dairy, index, ""), &clock()).await;
        assert_eq!(house.get(&url, &[]).await.status, 403, "{index}");
        assert_eq!(dairy.journal().count("/"), 0, "{index}");
        // A client that requests the page has its name sent upstream, and so learns the file.
        assert_eq!(url_on_page(&house, "acme").await, url);
        assert_eq!(house.get(&url, &[]).await.status, 200, "{index}");
        assert_eq!(dairy.journal().count("/simple/acme-tools"), 0, "{index}");
    }
}

#[tokio::test]
async fn the_likeliest_reading_is_asked_for_whatever_keeps_others_in() {
    let (setup, url) = one_file("acme-tools", "acme-tools-9.9.tar.gz", "9.9");
    for index in [", owns: [acme]", ", whitelist: [acme-tools]", ""] {
        let dairy = setup.clone().start();
        let house = House::online(&policies(&dairy, index, ""), &clock()).await;
        assert_eq!(house.get(&url, &[]).await.status, 200, "{index}");
        assert_eq!(dairy.journal().count("/simple/acme/"), 0, "{index}");
    }
}
