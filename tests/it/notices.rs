//! Webhooks: told of refusals, recalls and feeds in trouble, in signed batches, whatever they make of it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::diff::run;
use super::support::{
    Answering, FakeIndex, FeedSource, Launch, Mood, Program, Project, Receiver, Setup, Told, Web,
    command, python,
};

const SECRET: &str = "a secret that nobody logs";
const DROPPED: &str = "cheesecloth_notify_events_dropped_total";
const POSTS: &str = "cheesecloth_notify_posts_total";

fn dairy() -> FakeIndex {
    let project = |name| Project::new(name).wheel("1.0").wheel("2.0");
    let projects = ["curd", "rind", "whey"].map(project);
    projects
        .into_iter()
        .fold(Setup::default(), Setup::project)
        .start()
}

/// Everything is refused, and told to these, soon.
fn policies(dairy: &FakeIndex, hooks: &[(&Receiver, &str)], more: &str) -> String {
    let hook = |(hook, events): &(&Receiver, &str)| {
        format!(
            "- {{ url: '{}', secret_env: HOOK_SECRET{events} }}\n",
            hook.url()
        )
    };
    let hooks: String = hooks.iter().map(hook).collect();
    format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: '{}', policy: house }}\n\
         policies:\n  house:\n    on_block: yank\n    rules:\n    - deny: {{ id: holes, size_over: 1B, reason: ask }}\n\
         notify:\n{hooks}\
         limits: {{ notify_gather: 10ms, notify_retry: 10ms, notify_retry_max: 50ms, \
         notify_timeout: 300ms{more} }}\n",
        dairy.url()
    )
}

fn launch(yaml: &str) -> Launch {
    Program::with_policies(yaml).with("HOOK_SECRET", SECRET)
}

/// Asks for files that are refused, such as `curd-1.0`.
async fn refused(program: &Program, files: &[&str]) {
    let web = Web::new();
    for file in files {
        let (project, _) = file.split_once('-').unwrap();
        let page = web
            .page(&format!("{}{project}/", program.index_url("root/dairy")))
            .await;
        let got = web
            .get(&page.url_of(&format!("{file}-py3-none-any.whl")))
            .await;
        assert_eq!(got.status, 403, "{}", got.text());
    }
}

/// The rows of all posts that were taken, as project, version and count.
fn taken(told: &[Told]) -> Vec<(String, String, u64)> {
    let taken = told.iter().filter(|told| told.status == 204);
    let row = |row: Value| {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        (
            text("project"),
            text("version"),
            row["count"].as_u64().unwrap(),
        )
    };
    taken.flat_map(Told::events).map(row).collect()
}

fn has_rows(rows: usize) -> impl Fn(&[Told]) -> bool {
    move |told| taken(told).len() >= rows
}

fn failed(program: &Program, receiver: &Receiver) -> f64 {
    let labels = format!("{{result=\"failed\",webhook=\"{}\"}} ", receiver.host());
    let metrics = program.metrics();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{POSTS}{labels}")));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// The snippet of the manual, asked about a post.
fn verified(told: &Told, body: &str, secret: &str) -> bool {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"));
    let page = page.unwrap();
    let (_, snippet) = page.split_once("```python\n").unwrap();
    let snippet = snippet.split("```").next().unwrap();
    let headers: serde_json::Map<String, Value> = told
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let asked = json!([headers, body, secret]).to_string();
    let ask = "import json, sys\nheaders, body, secret = json.loads(sys.argv[1])\n\
               print(is_genuine(headers, body.encode(), secret))";
    let run = Command::new(python())
        .args(["-c", &format!("{snippet}\n{ask}"), &asked])
        .output();
    let run = run.unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    String::from_utf8(run.stdout).unwrap().trim() == "True"
}

#[tokio::test]
async fn refusals_are_told_signed_and_counted_together_without_those_who_asked() {
    let (dairy, hook) = (dairy(), Receiver::start());
    hook.answers(Answering::Status(503));
    let program = launch(&policies(&dairy, &[(&hook, "")], "")).start();
    refused(&program, &["curd-1.0"]).await;
    hook.wait_until(|told| !told.is_empty());
    // While the first batch is tried again, what repeats gathers.
    refused(&program, &["rind-2.0", "rind-2.0", "rind-2.0"]).await;
    program.wait_for_metric("cheesecloth_http_requests_total", |requests| {
        requests >= 8.0
    });
    refused(&program, &["rind-1.0"]).await;
    program.wait_for_metric("cheesecloth_notify_events_waiting", |rows| rows >= 2.0);
    hook.answers(Answering::Status(204));
    let told = hook.wait_until(has_rows(3));
    let row = |project: &str, version: &str, count| (project.into(), version.into(), count);
    let rows = [
        row("curd", "1.0", 1),
        row("rind", "2.0", 3),
        row("rind", "1.0", 1),
    ];
    assert_eq!(taken(&told), rows);

    let last = told.last().unwrap();
    let event = &last.events()[0];
    for (key, value) in [
        ("event", "denied"),
        ("index", "root/dairy"),
        ("rule", "house/holes"),
        ("policy", "house"),
        ("reason", "ask"),
        ("file", "rind-2.0-py3-none-any.whl"),
    ] {
        assert_eq!(event[key], value, "{event}");
    }
    assert_eq!(
        (&event["client"], &event["user"]),
        (&Value::Null, &Value::Null)
    );
    assert!(verified(last, &last.body, SECRET));
    assert!(!verified(last, &last.body.replace("rind", "curd"), SECRET));
    assert!(!verified(
        last,
        &last.body,
        "another secret that is long enough"
    ));
    // One id for all attempts, a signature for each.
    let first: Vec<&Told> = told
        .iter()
        .filter(|told| told.body.contains("curd"))
        .collect();
    assert!(first.len() >= 2, "{told:#?}");
    let ids = first.iter().map(|told| told.header("webhook-id"));
    assert_eq!(ids.collect::<std::collections::HashSet<_>>().len(), 1);
    let said = program.stop_and_tell();
    assert!(said.contains("a webhook cannot be told now"), "{said}");
    for secret in [SECRET, "T0-s3cret"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn a_webhook_that_hangs_redirects_and_fails_is_told_once_it_is_back() {
    let (dairy, hook, elsewhere) = (dairy(), Receiver::start(), Receiver::start());
    hook.answers(Answering::Silent);
    let program = launch(&policies(&dairy, &[(&hook, "")], "")).start();
    refused(&program, &["curd-1.0"]).await;
    let answered = |status: u16| move |told: &[Told]| told.iter().any(|told| told.status == status);
    hook.wait_until(answered(0));
    for (answering, status) in [
        (Answering::Redirect(elsewhere.url()), 302),
        (Answering::Status(500), 500),
        (Answering::Status(429), 429),
        (Answering::Status(204), 204),
    ] {
        hook.answers(answering);
        hook.wait_until(answered(status));
    }
    let told = hook.wait_until(has_rows(1));
    assert_eq!(taken(&told), [("curd".to_owned(), "1.0".to_owned(), 1)]);
    assert!(
        elsewhere.told().is_empty(),
        "a signed post was sent elsewhere"
    );
    assert_eq!(program.metric(DROPPED), Some(0.0));
    assert!(failed(&program, &hook) >= 4.0);
    let said = program.stop_and_tell();
    assert!(said.contains("status 302, which is not followed"), "{said}");
}

#[tokio::test]
async fn what_is_too_much_or_refused_is_counted_and_does_not_hold_up_the_rest() {
    let (dairy, hook) = (dairy(), Receiver::start());
    hook.answers(Answering::Status(503));
    let more = ", notify_waiting: 1";
    let program = launch(&policies(&dairy, &[(&hook, "")], more)).start();
    refused(&program, &["curd-1.0"]).await;
    hook.wait_until(|told| !told.is_empty());
    refused(&program, &["rind-1.0", "whey-1.0", "whey-1.0"]).await;
    program.wait_for_metric(DROPPED, |dropped| dropped == 2.0);
    hook.answers(Answering::Status(410));
    // The first batch, then the second.
    program.wait_for_metric(DROPPED, |dropped| dropped == 4.0);
    hook.answers(Answering::Status(204));
    refused(&program, &["whey-2.0"]).await;
    let told = hook.wait_until(has_rows(1));
    assert_eq!(taken(&told), [("whey".to_owned(), "2.0".to_owned(), 1)]);
    let of_rind = told.iter().find(|told| told.body.contains("rind")).unwrap();
    let body: Value = serde_json::from_str(&of_rind.body).unwrap();
    assert_eq!(body["left_out"], 2, "{body}");
}

#[tokio::test]
async fn recalls_and_feeds_in_trouble_are_told_to_those_who_want_them() {
    let (dairy, all, recalls) = (dairy(), Receiver::start(), Receiver::start());
    let source = FeedSource::with(b"no zip".to_vec());
    let hooks = [(&all, ""), (&recalls, ", events: recalls")];
    let yaml = format!(
        "advisories: [{{ url: '{}' }}]\n{}",
        source.url(),
        policies(&dairy, &hooks, "")
    );
    let program = launch(&yaml).start();
    let told = all.wait_until(|told| !told.is_empty());
    let feed = &told[0].events()[0];
    assert_eq!(
        (&feed["event"], &feed["count"]),
        (&"feed_trouble".into(), &1.into())
    );
    let detail = feed["detail"].as_str().unwrap();
    assert!(detail.starts_with("feed pypi: refused: "), "{detail}");
    source.is(Mood::Status(404));
    refused(&program, &["curd-1.0"]).await;
    all.wait_until(|told| taken(told).iter().any(|(project, ..)| project == "curd"));
    let recall = command()
        .args(["recall", "whey==1.0", "--reason", "a stolen token", "--url"])
        .args([program.manage_url(), "--data"])
        .arg(program.folder().join("data"))
        .output()
        .unwrap();
    assert!(
        recall.status.success(),
        "{}",
        String::from_utf8_lossy(&recall.stderr)
    );
    for hook in [&all, &recalls] {
        let told = hook.wait_until(|told| told.iter().any(|told| told.body.contains("\"recall\"")));
        let rows: Vec<Value> = told.iter().flat_map(Told::events).collect();
        let row = rows.iter().find(|row| row["event"] == "recall").unwrap();
        assert_eq!(row["rule"], "recall/1");
        assert_eq!(row["detail"], "recalled whey==1.0");
        assert_eq!(row["reason"], "a stolen token");
    }
    let told = recalls.told();
    assert_eq!(told.iter().flat_map(Told::events).count(), 1, "{told:#?}");
}

#[tokio::test]
async fn a_clean_stop_tells_what_waits_and_waits_for_nobody_else() {
    let (dairy, hook) = (dairy(), Receiver::start());
    let yaml = policies(&dairy, &[(&hook, "")], ", notify_stop: 5s");
    let patient = yaml.replace("notify_gather: 10ms", "notify_gather: 1h");
    let program = launch(&patient).start();
    refused(&program, &["curd-1.0", "rind-1.0"]).await;
    assert!(program.stop().success());
    assert_eq!(taken(&hook.told()).len(), 2);

    hook.answers(Answering::Silent);
    let bounded = patient.replace("notify_stop: 5s", "notify_stop: 50ms");
    let bounded = bounded.replace("notify_timeout: 300ms", "notify_timeout: 1h");
    let program = launch(&bounded).start();
    refused(&program, &["curd-1.0"]).await;
    let said = program.stop_and_tell();
    assert!(
        said.contains("a webhook is not told of what waited for it"),
        "{said}"
    );
}

#[tokio::test]
async fn a_reload_exchanges_webhooks_and_keeps_what_waits_for_those_that_stay() {
    let (dairy, stays, goes, comes) = (
        dairy(),
        Receiver::start(),
        Receiver::start(),
        Receiver::start(),
    );
    stays.answers(Answering::Status(503));
    let program = launch(&policies(&dairy, &[(&stays, ""), (&goes, "")], "")).start();
    refused(&program, &["curd-1.0"]).await;
    goes.wait_until(has_rows(1));
    stays.wait_until(|told| !told.is_empty());
    program.write_policies(&policies(&dairy, &[(&stays, ""), (&comes, "")], ""));
    program.wait_for_metric("cheesecloth_policy_generation", |generation| {
        generation >= 2.0
    });
    refused(&program, &["rind-1.0"]).await;
    comes.wait_until(has_rows(1));
    stays.answers(Answering::Status(204));
    let rows = taken(&stays.wait_until(has_rows(2)));
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(taken(&goes.told()).len(), 1);
    assert_eq!(
        taken(&comes.told()),
        [("rind".to_owned(), "1.0".to_owned(), 1)]
    );
}

#[test]
fn check_knows_webhooks_and_shows_none_of_their_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "notify:\n- { url: 'http://chat.example/T0-s3cret', secret_env: HOOK_SECRET, events: [refusal] }\n";
    fs::write(folder.path().join("c.yaml"), yaml).unwrap();
    let check = run(folder.path(), &["check", "c.yaml"]);
    let said = check.out + &check.err;
    assert!(
        said.contains("c.yaml:2:10: url: not a URL that starts with https://"),
        "{said}"
    );
    assert!(said.contains("did you mean \"refusals\"?"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}
