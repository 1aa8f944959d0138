//! Answers that may differ from what their source would say now are marked: in the head, in the log
//! line, in a counter.

use http::Method;
use serde_json::Value;

use super::super::support::{FakeIndex, Fault, Program, Project, Setup, Web};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "text/html";
const OBJECT: &str = "application/json";

fn dairy() -> FakeIndex {
    Setup::default()
        .project(Project::new("sieve").wheel("1.0"))
        .start()
}

/// A stack of two mirrors where nothing is fresh for longer than a request.
fn policies(dairy: &FakeIndex, other: &FakeIndex) -> String {
    format!(
        "indexes:\n  \
         root/dairy: {{ type: mirror, mirror_url: '{}', mirror_cache_expiry: 0s }}\n  \
         root/other: {{ type: mirror, mirror_url: '{}', mirror_cache_expiry: 0s, optional: true }}\n  \
         shop/all: {{ bases: [root/dairy, root/other] }}\n",
        dairy.url(),
        other.url(),
    )
}

/// The requests to an index: the path below it, the format, and the route as it is counted.
const ASKED: [(&str, &str, &str); 6] = [
    ("+simple/sieve/", JSON, "project_page"),
    ("+simple/sieve/", HTML, "project_page"),
    ("sieve", OBJECT, "api"),
    ("sieve/1.0", OBJECT, "api"),
    ("sieve", HTML, "web"),
    ("+simple/", JSON, "project_list"),
];

/// Requests everything twice: what is answered from memory the second time is just as stale.
/// `detail` is in the head, `word` in the log line, and `reason` is counted.
async fn all_say_so(
    shop: &Program,
    index: &str,
    but: &[&str],
    (detail, word, reason): (&str, &str, &str),
) {
    let web = Web::new();
    for (path, form, route) in ASKED {
        if but.contains(&route) {
            continue;
        }
        let counted =
            format!("cheesecloth_stale_answers_total{{reason=\"{reason}\",route=\"{route}\"}}");
        for turn in ["first", "second"] {
            let what = format!("{turn} {path} as {form}");
            let before = shop.metric(&counted).unwrap_or_default();
            let url = format!("{}{index}/{path}", shop.public_url());
            let agent = if form == HTML {
                "Mozilla/5.0"
            } else {
                "curl/8"
            };
            let headers = [("accept", form), ("user-agent", agent)];
            let got = web.attempt(Method::GET, &url, &headers).await.unwrap();
            assert_eq!(got.status, 200, "{what}: {}", got.text());
            let wanted = format!("cheesecloth; hit; detail={detail}");
            assert_eq!(got.header("cache-status"), wanted, "{what}");
            shop.wait_for_metric(&counted, |now| now == before + 1.0);
            let id = got.header("x-request-id");
            let said = shop.wait_until_it_says(&format!("\"request_id\":\"{id}\""));
            let line = said.lines().find(|line| line.contains(id)).unwrap();
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["cache"], word, "{what}");
        }
    }
}

async fn all_are_asked(shop: &Program, index: &str) {
    let web = Web::new();
    for (path, form, _) in ASKED {
        let url = format!("{}{index}/{path}", shop.public_url());
        let got = web.get_with(&url, &[("accept", form)]).await;
        assert_eq!(got.status, 200, "{path} as {form}: {}", got.text());
        let status = got.headers.get("cache-status");
        assert!(
            !status.is_some_and(|status| status.to_str().unwrap().contains("detail=")),
            "{path}: {status:?}"
        );
    }
}

#[tokio::test]
async fn what_is_answered_while_an_upstream_fails_or_nobody_is_asked_says_so() {
    let (dairy, other) = (dairy(), dairy());
    let data = tempfile::tempdir().unwrap();
    let launch = || Program::with_policies(&policies(&dairy, &other)).data(data.path());
    let shop = launch().start();
    all_are_asked(&shop, "root/dairy").await;
    dairy.misbehave("/", Fault::new().status(500));
    let failing = ("stale-if-error", "stale", "error");
    all_say_so(&shop, "root/dairy", &[], failing).await;
    // The whole is as bad as the worst of its members.
    all_say_so(&shop, "shop/all", &[], failing).await;

    shop.stop();
    let shop = launch().offline().start();
    let offline = ("stale-offline", "stale-offline", "offline");
    all_say_so(&shop, "root/dairy", &[], offline).await;
}

#[tokio::test]
async fn what_is_answered_while_an_upstream_hangs_says_so() {
    // An answer without a body would pass the gate.
    let hanging = || {
        let project = Project::new("sieve").wheel("1.0");
        Setup::default().without_etags().project(project).start()
    };
    let (dairy, other) = (hanging(), hanging());
    // Longer than this test.
    let yaml = policies(&dairy, &other)
        + "cache: { patience: 0s }\n\
           limits: { upstream_read_timeout: 1h, upstream_total_timeout: 1h }\n";
    let shop = Program::with_policies(&yaml).start();
    let web = Web::new();
    for index in ["root/dairy", "shop/all"] {
        for path in ["", "sieve/"] {
            let url = format!("{}{path}", shop.index_url(index));
            assert_eq!(web.get_with(&url, &[("accept", JSON)]).await.status, 200);
        }
    }
    let gate = dairy.gate("/", 0);
    let late = ("upstream-late", "stale-late", "late");
    for index in ["root/dairy", "shop/all"] {
        all_say_so(&shop, index, &[], late).await;
    }
    gate.release();
}

#[tokio::test]
async fn what_is_kept_after_it_vanished_and_what_lacks_a_mirror_says_so() {
    let (dairy, other) = (dairy(), dairy());
    let shop = Program::with_policies(&policies(&dairy, &other)).start();
    other.misbehave("/", Fault::new().status(500));
    let partial = ("optional-mirror-left-out", "stale-partial", "partial");
    all_say_so(&shop, "shop/all", &[], partial).await;

    all_are_asked(&shop, "root/dairy").await;
    dairy.change(|_| Setup::default());
    let vanished = ("vanished-upstream", "stale-vanished", "vanished");
    // Nothing has vanished from a list that arrived complete.
    all_say_so(&shop, "root/dairy", &["project_list"], vanished).await;
}
