//! The URL under which clients see the gateway: a proxy in front may add a path, and may pass it on
//! or not.

use serde_json::Value;

use super::support::{DevpiServer, Form, Got, Program, Web};

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");
const OUTSIDE: (&str, &str) = ("x-outside-url", "https://o.example/devpi/");
const PREFIX: (&str, &str) = ("x-forwarded-prefix", "/devpi");

const POLICIES: &str = "
indexes:
  packages/staging: { acl_upload: [':ANONYMOUS:'] }
";

fn login(got: &Got) -> String {
    let said: Value = serde_json::from_slice(&got.body).unwrap_or_default();
    said["result"]["login"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn a_path_that_a_proxy_leaves_in_requests_is_taken_away_at_every_door() {
    let program = Program::with_policies(POLICIES).start();
    let web = Web::new();
    let upload = format!("{}devpi/packages/staging/", program.manage_url());
    let form = Form::of_wheel("hello", "1.0");
    let posted = tokio::task::spawn_blocking(move || form.post_with(&upload, &[OUTSIDE]));
    let posted = posted.await.unwrap().unwrap();
    assert_eq!(posted.status, 200, "{posted:?}");
    for door in [program.public_url(), program.manage_url()] {
        for header in [OUTSIDE, PREFIX] {
            for left_in in ["devpi/", ""] {
                let case = format!("{door}{left_in} {header:?}");
                let api = web
                    .get_with(&format!("{door}{left_in}+api"), &[header])
                    .await;
                let seen = login(&api);
                assert!(
                    seen.ends_with("/devpi/+login"),
                    "{case}: {} {seen}",
                    api.status
                );
                let url = format!("{door}{left_in}packages/staging/+simple/hello/");
                let page = web.get_with(&url, &[header, JSON]).await;
                assert_eq!(page.status, 200, "{case}: {}", page.text());
                let page: Value = serde_json::from_slice(&page.body).unwrap();
                let file = page["files"][0]["url"].as_str().unwrap();
                let file = url::Url::parse(&url).unwrap().join(file).unwrap();
                assert!(
                    file.path().starts_with(&format!("/{left_in}packages/")),
                    "{file}"
                );
                assert_eq!(
                    web.get_with(file.as_str(), &[header]).await.status,
                    200,
                    "{case}"
                );
                let slash = url.trim_end_matches('/').replace("hello", "Hello");
                let moved = web.get_with(&slash, &[header, JSON]).await;
                let to = url::Url::parse(&slash)
                    .unwrap()
                    .join(moved.header("location"))
                    .unwrap();
                assert_eq!((moved.status, to.as_str()), (301, &*url), "{case}");
            }
        }
        let other = web
            .get_with(&format!("{door}devpis/+api"), &[OUTSIDE])
            .await;
        assert_eq!(
            login(&other),
            "https://o.example/devpi/+login",
            "a user of that name"
        );
        assert_eq!(
            web.get(&format!("{door}devpi/packages/staging/hello"))
                .await
                .status,
            404
        );
    }
}

#[tokio::test]
async fn what_the_operator_says_of_the_outside_needs_no_header() {
    let policies = format!(
        "listen:\n  public: {{ address: '127.0.0.1:0', outside_url: 'https://o.example/devpi' }}\n\
         {POLICIES}"
    );
    let program = Program::with_policies(&policies).start();
    let options = [
        "--listen=127.0.0.1:0",
        "--outside-url=https://o.example/devpi/",
    ];
    let server = DevpiServer::with()
        .init(&["--no-root-pypi"])
        .server(&options)
        .start();
    for door in [program.public_url(), server.url()] {
        for path in ["+api", "devpi/+api"] {
            let got = Web::new().get(&format!("{door}{path}")).await;
            assert_eq!(
                login(&got),
                "https://o.example/devpi/+login",
                "{door}{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_host_that_a_proxy_passes_on_is_refused_with_the_cure() {
    let program = Program::with_policies(POLICIES).start();
    let url = format!("{}+api", program.manage_url());
    let got = Web::new()
        .get_with(&url, &[("host", "devpi.example")])
        .await;
    assert_eq!(got.status, 421);
    for words in ["--outside-url https://devpi.example", "listen.manage"] {
        assert!(got.text().contains(words), "{}", got.text());
    }
    let policies = format!(
        "listen:\n  manage: {{ address: '127.0.0.1:0', outside_url: 'https://devpi.example' }}\n\
         {POLICIES}"
    );
    let cured = Program::with_policies(&policies).start();
    let url = format!("{}+api", cured.manage_url());
    let got = Web::new()
        .get_with(&url, &[("host", "devpi.example")])
        .await;
    assert_eq!(login(&got), "https://devpi.example/+login");
}
