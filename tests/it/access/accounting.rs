//! The audit log: who changed what and with which token, however much is refused meanwhile.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::super::support::{Door, Program, Web, command};

const POLICIES: &str = "
indexes:
  packages/stable: { bases: [], policy: none }
policies:
  none: { rules: [{ deny: { project: forbidden, reason: no } }] }
";

fn events(data: &Path, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(data.join(file)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[tokio::test]
async fn a_change_is_kept_with_its_token_while_refusals_are_counted_elsewhere() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(POLICIES).data(data.path()).start();
    let door = Door::at(program.manage_url());
    let made = door.ask("PUT", "/ci", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let login = door.log_in("ci", "pw").await;
    let by_login = door.by("ci", &login);
    let made = by_login.ask("PUT", "/ci/dev", json!({"title": "x"})).await;
    assert_eq!(made.status, 200, "{}", made.text());

    let mut create = command();
    create.args([
        "token", "create", "ci", "--index", "ci/*", "--json", "--data",
    ]);
    let made = create.arg(data.path()).output().unwrap();
    let token: Value = serde_json::from_slice(&made.stdout).unwrap();
    let id = format!("cc-{}", token["id"].as_str().unwrap());
    let by_token = door.by("ci", token["token"].as_str().unwrap());
    let got = by_token.upload("ci/dev", "acme-tool", "1.0").await;
    assert_eq!(got.status, 200, "{}", got.text());

    let url = format!("{}packages/stable/+simple/forbidden/", program.public_url());
    for _ in 0..50 {
        assert_eq!(Web::new().get(&url).await.status, 451);
    }
    assert!(program.stop().success());

    let changes = events(data.path(), "audit.jsonl");
    let told = |event: &Value| {
        let of = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
        (of("event"), of("user"), of("token"), of("detail"))
    };
    let told: Vec<_> = changes.iter().map(told).collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        told[0],
        (text("user"), text("-"), text("-"), text("PUT ci: password"))
    );
    assert_eq!((&*told[1].0, &*told[1].3), ("login", "ci"));
    assert_eq!(
        (&*told[2].0, &*told[2].1, &*told[2].3),
        ("index", "ci", "PUT: title")
    );
    assert!(told[2].2.starts_with("login 20"), "{told:?}");
    let detail = "made for ci: upload on ci/*";
    assert_eq!(
        told[3],
        (text("token"), text("-"), id.clone(), text(detail))
    );
    assert_eq!(told[4], (text("upload"), text("ci"), id, text("1.0")));
    assert_eq!(told.len(), 5, "{told:?}");

    let refusals = events(data.path(), "refusals.jsonl");
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    assert_eq!(refusals[0]["event"], "denied", "{refusals:?}");
    assert_eq!(refusals[1]["repeated"], 49, "{refusals:?}");
}

#[tokio::test]
async fn nothing_that_a_stranger_sends_is_kept_at_its_length() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(POLICIES).data(data.path()).start();
    let door = Door::at(program.manage_url());
    let name = "ü".repeat(200_000);
    let login = json!({"user": name, "password": "x"});
    let got = door.ask("POST", "/+login", login).await;
    assert_eq!(got.status, 401);
    assert!(got.body.len() < 1 << 10, "{}", got.body.len());
    let unknown = json!({"type": name, "volatile": name});
    let got = door.by("root", "").ask("PUT", "/root/dev", unknown).await;
    assert_eq!(got.status, 400);
    assert!(got.body.len() < 64 << 10, "{}", got.body.len());
    let long = "a".repeat(7_000);
    let url = format!("{}{long}/{long}", program.public_url());
    let got = Web::new().get_with(&url, &[("user-agent", &long)]).await;
    assert!((400..500).contains(&got.status), "{}", got.status);
    let said = program.wait_until_it_says("\"door\":\"public\"");
    let longest = said.lines().map(str::len).max().unwrap();
    assert!(longest < 8 << 10, "{longest}");
    assert!(program.stop().success());
    for file in ["audit.jsonl", "refusals.jsonl"] {
        let length = fs::metadata(data.path().join(file)).unwrap().len();
        assert!(length < 8 << 10, "{file}: {length}");
    }
}
