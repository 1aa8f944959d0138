//! Mirrors with `mirror_use_external_urls`: clients are redirected to the upstream's own files, but
//! only to those that the policies let pass.

use cheesecloth::testing::clock::Clock;
use serde_json::Value;

use super::support::{Asked, Client, FakeIndex, House, Program, Project, Setup, Tool, Web};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const FILES: &str = "/files/";

fn dairy() -> FakeIndex {
    Setup::default()
        .project(Project::new("sieve").wheel("1.0").wheel("2.0"))
        .start()
}

fn policies(url: &str, more: &str) -> String {
    format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\"{more}, policy: old }}\n\
         policies:\n  old: {{ rules: [ deny: {{ project: sieve, versions: '==1.0' }} ] }}\n"
    )
}

fn external(url: &str) -> String {
    policies(url, ", mirror_use_external_urls: true")
}

async fn house(url: &str) -> House {
    let clock = Clock::fixed("2026-01-05T00:00:00Z".parse().unwrap());
    House::online(&external(url), &clock).await
}

/// The path of the only file on the page.
async fn listed(house: &House) -> String {
    let got = house
        .get("/root/dairy/+simple/sieve/", &[("accept", JSON)])
        .await;
    let page: Value = serde_json::from_slice(&got.body).unwrap();
    let files = page["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{page}");
    let url = files[0]["url"].as_str().unwrap();
    let below = url.trim_start_matches("../");
    assert!(below.starts_with("+f/"), "links lead here: {url}");
    format!("/root/dairy/{below}")
}

#[tokio::test]
async fn a_file_that_passes_is_at_its_own_address_and_one_that_does_not_nowhere() {
    let dairy = dairy();
    let mut url = dairy.url();
    url.set_username("reader").unwrap();
    url.set_password(Some("s3cret")).unwrap();
    let house = house(url.as_str()).await;
    let path = listed(&house).await;
    let path = path.split('#').next().unwrap();
    for method in ["GET", "HEAD"] {
        let got = house.ask(&Asked::public(method, path, &[])).await;
        assert_eq!(got.status, 302, "{method}: {}", got.text());
        let place = got.headers["location"].to_str().unwrap();
        let wanted = dairy.at("/files/sieve/sieve-2.0-py3-none-any.whl");
        assert_eq!(place, wanted.as_str(), "without the login of the mirror");
        assert_eq!(got.headers["cache-control"], "no-store");
    }
    let denied = path.replace("sieve-2.0", "sieve-1.0");
    let (folder, name) = denied.rsplit_once('/').unwrap();
    let place = folder.split("+f").next().unwrap();
    let first = dairy.at("/files/sieve/sieve-1.0-py3-none-any.whl");
    let bytes = reqwest::get(first).await.unwrap().bytes().await.unwrap();
    let digest = cheesecloth::testing::model::Sha256::of(&bytes).to_hex();
    let denied = format!("{place}+f/{}/{}/{name}", &digest[..3], &digest[3..16]);
    let got = house.get(&denied, &[]).await;
    assert_eq!(got.status, 403, "{}", got.text());
    assert!(!got.headers.contains_key("location"));
    assert_eq!(dairy.journal().count(FILES), 1, "only the test's own");
    let sidecar = house.get(&format!("{path}.metadata"), &[]).await;
    assert_eq!(sidecar.status, 200, "sidecars are still ours");
}

#[test]
fn pip_and_uv_install_from_the_upstream_itself() {
    for (tool, agent) in [(Tool::Pip, "pip/"), (Tool::Uv, "uv/")] {
        let dairy = dairy();
        let shop = Program::with_policies(&external(dairy.url().as_str())).start();
        let client = Client::fresh(tool);
        client
            .install(&shop.index_url("root/dairy"), &["sieve"])
            .succeeds();
        let installed = client.folder().join("out/sieve-2.0.dist-info");
        assert!(installed.is_dir());
        let asked = dairy
            .journal()
            .last("/files/sieve/sieve-2.0-py3-none-any.whl");
        let by = asked.header("user-agent");
        assert!(by.starts_with(agent), "asked by {by}");
    }
}

#[tokio::test]
async fn what_is_held_from_before_is_still_answered() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let web = Web::new();
    let url = dairy.url();
    for yaml in [policies(url.as_str(), ""), external(url.as_str())] {
        let shop = Program::with_policies(&yaml).data(data.path()).start();
        let page = format!("{}sieve/", shop.index_url("root/dairy"));
        let file = web.page(&page).await.url_of("sieve-2.0-py3-none-any.whl");
        assert_eq!(web.get(&file).await.status, 200);
        shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
        assert!(shop.stop().success());
    }
    assert_eq!(dairy.journal().count(FILES), 1);
}
