//! Policies that change while the program serves, and what operators see of it.

mod command;
mod named;

use std::fs;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::support::{Content, Door, FakeIndex, Listed, Program, Project, Setup, Web};

const INDEX: &str = "shop/all";
const RELOAD: &str = "cheesecloth_config_last_reload_successful";
const GENERATION: &str = "cheesecloth_policy_generation";
const FILENAME: &str = "sieve-1.0.tar.gz";
const LENGTH: u64 = 1 << 20;

/// Until a change of policies is in force; generous, for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn dairy() -> FakeIndex {
    let file = Listed::new(FILENAME, "1.0", Content::noise(9, LENGTH));
    Setup::default()
        .project(Project::new("sieve").file(file))
        .start()
}

/// A stack over the dairy with one rule.
fn policies(dairy: &FakeIndex, rule: &str) -> String {
    let url = dairy.url();
    format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n  \
         {INDEX}: {{ bases: [root/dairy], policy: house }}\n\
         policies:\n  house:\n    on_block: yank\n    rules:\n      - {rule}\n"
    )
}

const OPEN: &str = "allow: { project: sieve }";
const SHUT: &str = "deny: { id: shut, kind: [sdist], reason: 'too large holes' }";

fn page_url(shop: &Program) -> String {
    format!("{}sieve/", shop.index_url(INDEX))
}

#[tokio::test]
async fn a_new_policy_is_in_force_at_once_and_requests_under_way_keep_theirs() {
    let dairy = dairy();
    // By signal and by the watcher: each must work without the other.
    for by_signal in [true, false] {
        let shop = Program::with_policies(&policies(&dairy, OPEN)).start();
        let web = Web::new();
        let page = web.page(&page_url(&shop)).await;
        let url = page.url_of(FILENAME);
        let gate = dairy.gate("/files/sieve/", LENGTH / 2);
        let mut under_way = web.open(Method::GET, &url, &[]).await.unwrap();
        let mut read = under_way.chunk().await.unwrap().unwrap().len();

        shop.write_policies(&policies(&dairy, SHUT));
        if by_signal {
            shop.hang_up();
        }
        shop.wait_for_metric(GENERATION, |generation| generation >= 2.0);
        let page = web.page(&page_url(&shop)).await;
        let yanked = page.file(FILENAME)["yanked"].as_str();
        assert!(yanked.unwrap().contains("too large holes"), "{yanked:?}");
        let refused = web.get(&url).await;
        assert_eq!(refused.status, 403, "{}", refused.text());

        gate.release();
        while let Some(chunk) = under_way.chunk().await.unwrap() {
            read += chunk.len();
        }
        assert_eq!(read as u64, LENGTH);

        shop.write_policies(&policies(&dairy, OPEN));
        shop.hang_up();
        // Both the signal and the watcher may have caused a reload before, so the generation proves
        // little.
        let opened = async {
            while web.get(&url).await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, opened).await.unwrap();
        dairy.behave();
    }
}

#[tokio::test]
async fn a_faulty_file_leaves_the_old_policies_in_force_and_says_so() {
    let dairy = dairy();
    let shop = Program::with_policies(&policies(&dairy, SHUT)).start();
    let web = Web::new();
    assert_eq!(shop.metric(RELOAD), Some(1.0));
    shop.write_policies(&policies(&dairy, "deny: { knid: [sdist] }"));
    shop.hang_up();
    shop.wait_for_metric(RELOAD, |value| value == 0.0);
    let said = shop.wait_until_it_says("knid");
    let line = said.lines().find(|line| line.contains("knid")).unwrap();
    assert!(line.contains("policies.yaml:8:"), "{line}");
    assert!(line.contains("kind"), "no suggestion: {line}");
    assert_eq!(shop.metric(GENERATION), Some(1.0));
    let page = web.page(&page_url(&shop)).await;
    assert_eq!(web.get(&page.url_of(FILENAME)).await.status, 403);

    shop.write_policies(&policies(&dairy, OPEN));
    shop.hang_up();
    shop.wait_for_metric(RELOAD, |value| value == 1.0);
    assert_eq!(web.get(&page.url_of(FILENAME)).await.status, 200);
}

#[tokio::test]
async fn a_refusal_is_audited_and_every_request_has_its_line() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let shop = Program::with_policies(&policies(&dairy, SHUT)).data(data.path());
    let shop = shop.start();
    let web = Web::new();
    let page = web.page(&page_url(&shop)).await;
    let refused = web
        .get_with(&page.url_of(FILENAME), &[("user-agent", "tester/1")])
        .await;
    assert_eq!(refused.status, 403);
    let id = refused.header("x-request-id").to_owned();
    let said = shop.wait_until_it_says(&format!("\"request_id\":\"{id}\""));
    let line = said.lines().find(|line| line.contains(&id)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    for (field, expected) in [
        ("door", "public"),
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("index", INDEX),
        ("file", FILENAME),
        ("decision", "deny"),
        ("user_agent", "tester/1"),
    ] {
        assert_eq!(line[field], expected, "{field} of {line}");
    }
    assert_eq!(line["status"], 403);
    assert_eq!(line["project"], "sieve", "{line}");
    assert_eq!(line["bytes"], refused.body.len());
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    let rule = line["rule"].as_str().unwrap();
    assert_eq!(rule, "house/shut");
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(problem["rule"], rule, "{problem}");
    let metrics = shop.metrics();
    let counted =
        format!("{{decision=\"deny\",index=\"{INDEX}\",mode=\"enforce\",rule=\"{rule}\"}} 1");
    assert!(metrics.contains(&counted), "{metrics}");

    let status = shop.stop();
    assert!(status.success(), "{status}");
    let audit = fs::read_to_string(data.path().join("refusals.jsonl")).unwrap();
    let event = audit.lines().find(|line| line.contains(&id));
    let event: Value = serde_json::from_str(event.expect("the refusal is audited")).unwrap();
    assert_eq!(event["event"], "denied", "{event}");
    assert_eq!(event["rule"], rule);
    for (field, expected) in [
        ("project", "sieve"),
        ("version", "1.0"),
        ("policy", "house"),
        ("reason", "too large holes"),
    ] {
        assert_eq!(event[field], expected, "{field} of {event}");
    }
}

#[tokio::test]
async fn what_would_be_refused_passes_and_is_audited_in_audit_mode() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let yaml = policies(&dairy, SHUT).replace("on_block: yank", "mode: audit");
    let shop = Program::with_policies(&yaml).data(data.path()).start();
    let web = Web::new();
    let page = web.page(&page_url(&shop)).await;
    assert_eq!(web.get(&page.url_of(FILENAME)).await.status, 200);
    let decisions = shop.metrics();
    let counted = decisions
        .lines()
        .find(|line| line.starts_with("cheesecloth_policy_decisions_total"));
    assert!(
        counted.is_some_and(|line| line.contains("mode=\"audit\"")),
        "{counted:?}"
    );
    shop.stop();
    let audit = fs::read_to_string(data.path().join("refusals.jsonl")).unwrap();
    assert!(
        audit.contains("would_deny") || audit.contains("would-deny"),
        "{audit}"
    );
}

#[tokio::test]
async fn the_metrics_that_operators_were_promised_are_there() {
    let dairy = dairy();
    let shop = Program::with_policies(&policies(&dairy, SHUT)).start();
    let web = Web::new();
    let page = web.page(&page_url(&shop)).await;
    assert_eq!(web.get(&page.url_of(FILENAME)).await.status, 403);
    let metrics = shop.metrics();
    for name in [
        "http_requests_total",
        "http_request_duration_seconds_count",
        "cache_requests_total",
        "cache_bytes",
        "upstream_requests_total",
        "upstream_request_duration_seconds_count",
        "fill_inflight",
        "policy_decisions_total",
        "policy_generation",
        "config_last_reload_successful",
        "build_info",
    ] {
        let sample = format!("\ncheesecloth_{name}");
        assert!(metrics.contains(&sample), "no {name} in\n{metrics}");
    }
    for secret in ["sieve", "127.0.0.1"] {
        let samples = metrics.lines().filter(|line| !line.starts_with('#'));
        let mut told = samples.filter(|line| line.contains(secret));
        assert_eq!(told.next(), None, "a project or a client is a label");
    }
}

/// An index created through the API is based on one that the file declares, so the file cannot
/// remove it.
#[tokio::test]
async fn a_reload_that_would_take_a_base_from_under_an_index_is_a_fault() {
    let dairy = dairy();
    let shop = Program::with_policies(&policies(&dairy, OPEN)).start();
    let door = Door::at(shop.manage_url());
    let made = door.ask("PUT", "/me", json!({ "password": "pw" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let me = door.by("me", &door.log_in("me", "pw").await);
    let settings = json!({ "bases": [INDEX] });
    let made = me.ask("PUT", "/me/dev", settings).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let page = format!("{}sieve/", shop.index_url("me/dev"));
    let web = Web::new();
    assert_eq!(web.get(&page).await.status, 200);

    let url = dairy.url();
    shop.write_policies(&format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n"
    ));
    shop.wait_for_metric(RELOAD, |successful| successful == 0.0);
    // A separate thread logs this, perhaps a moment later.
    let told = shop.wait_until_it_says("was declared here and is gone, but");
    assert!(told.contains("me/dev") && told.contains(INDEX), "{told}");
    assert_eq!(web.get(&page).await.status, 200);
}
