//! Pages of more files than one stretch has: sent while they are written, and afterwards as any other.

use std::io::Read as _;

use cheesecloth::testing::clock::Clock;
use http::Method;
use serde_json::Value;

use super::support::{Asked, FakeIndex, Got, House, Program, Project, Setup, Web};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";
const NOW: &str = "2026-01-05T00:00:00Z";
const PAGE: &str = "/shop/some/+simple/sieve/";
const FILES: usize = 700;

fn dairy() -> FakeIndex {
    let versions = 0..FILES;
    let project = versions.fold(Project::new("sieve"), |project, version| {
        project.wheel(&version.to_string())
    });
    Setup::default().project(project).start()
}

/// An index that hides what is below version 300, which is more than the first stretch.
fn policies(upstream: &FakeIndex) -> String {
    let url = upstream.url();
    format!(
        "policies:\n  some:\n    rules:\n      - deny: {{ project: sieve, versions: '<300' }}\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n  \
         shop/some: {{ bases: [root/dairy], policy: some }}\n"
    )
}

fn plain(got: &Got) -> Vec<u8> {
    let mut text = Vec::new();
    match got.headers.get("content-encoding") {
        Some(_) => {
            let mut packed = flate2::read::GzDecoder::new(&got.body[..]);
            packed.read_to_end(&mut text).unwrap();
        }
        None => text.extend_from_slice(&got.body),
    }
    text
}

#[tokio::test]
async fn whoever_asks_first_has_what_whoever_asks_next_has() {
    let dairy = dairy();
    let yaml = policies(&dairy);
    for accept in [JSON, HTML] {
        for coding in ["identity", "gzip"] {
            let house = House::online(&yaml, &Clock::fixed(NOW.parse().unwrap())).await;
            let with = [("accept", accept), ("accept-encoding", coding)];
            let first = house.get(PAGE, &with).await;
            let next = house.get(PAGE, &with).await;
            assert_eq!((first.status, next.status), (200, 200));
            assert!(plain(&first) == plain(&next), "{accept} {coding}");
            for name in ["content-type", "content-encoding", "vary", "cache-control"] {
                assert_eq!(first.headers.get(name), next.headers.get(name), "{name}");
            }
            // It has both or neither, as it was whole or not.
            let described =
                |got: &Got| ["etag", "content-length"].map(|name| got.headers.contains_key(name));
            assert_eq!(described(&next), [true, true]);
            assert_eq!(described(&first)[0], described(&first)[1]);
            if accept == JSON {
                let page: Value = serde_json::from_slice(&plain(&first)).unwrap();
                assert_eq!(page["files"].as_array().unwrap().len(), FILES - 300);
            }
        }
    }
}

#[tokio::test]
async fn whoever_wants_a_tag_has_it_from_the_first_answer_on() {
    let dairy = dairy();
    let yaml = policies(&dairy);
    for (method, more) in [("HEAD", None), ("GET", Some(("if-none-match", "\"x\"")))] {
        let house = House::online(&yaml, &Clock::fixed(NOW.parse().unwrap())).await;
        let headers: Vec<_> = [("accept", JSON)].into_iter().chain(more).collect();
        let got = house.ask(&Asked::public(method, PAGE, &headers)).await;
        assert_eq!(got.status, 200, "{method}");
        assert!(!got.header("etag").is_empty(), "{method}");
        assert!(got.header("content-length").parse::<usize>().unwrap() > 100_000);
    }
}

#[tokio::test]
async fn many_who_ask_together_have_the_same_page_from_one_request() {
    let dairy = dairy();
    let shop = Program::with_policies(&policies(&dairy)).start();
    let url = format!("{}sieve/", shop.index_url("shop/some"));
    let ask = || async {
        let web = Web::new();
        let answer = web.open(Method::GET, &url, &[("accept", JSON)]).await;
        answer.unwrap().bytes().await.unwrap()
    };
    let answers = futures_util::future::join_all((0..8).map(|_| ask())).await;
    let page: Value = serde_json::from_slice(&answers[0]).unwrap();
    assert_eq!(page["files"].as_array().unwrap().len(), FILES - 300);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(dairy.journal().count("/simple/sieve/"), 1);
}
