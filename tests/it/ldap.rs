//! Users whom others know: a real directory, and a proxy that names them; and groups in lists of who may
//! do something.

mod named;
mod people;
mod template;
mod trouble;

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::support::{Client, Door, Got, Program, Run, Slapd, Tool, Wheel, command};

/// An index to which only a group may upload, and a directory, asked again every second.
fn policies(slapd: &Slapd, place: &str) -> String {
    let block = slapd.block("recheck: 1s");
    format!(
        "indexes:\n  packages/stable: {{ bases: [], acl_upload: [':team-a'] }}\n\
         manage:\n ldap:\n  {place}\n{block}"
    )
}

/// The same, where the directory is reached without encryption on this machine.
fn near(slapd: &Slapd) -> String {
    policies(slapd, &format!("url: '{}'", slapd.url()))
}

/// Runs `twine upload` for a version.
fn twine(program: &Program, version: &str, user: &str, password: &str) -> Run {
    let twine = Client::fresh(Tool::Twine);
    let wheel = Wheel::new("acme-tool", version);
    fs::write(twine.folder().join(wheel.filename()), wheel.build()).unwrap();
    let url = format!("{}packages/stable/", program.manage_url());
    let words = ["upload", "--non-interactive", "-u", user, "-p", password];
    twine.run(&[&words[..], &["--repository-url", &url, &wheel.filename()]].concat())
}

/// Uploads new versions until one is answered with this status.
async fn until(door: &Door, status: u16) -> Got {
    for number in 0.. {
        let got = door
            .upload("packages/stable", "acme-tool", &format!("9.{number}"))
            .await;
        if got.status == status {
            return got;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    unreachable!("a version for every number")
}

async fn log_in(door: &Door, user: &str, password: &str) -> Got {
    let login = serde_json::json!({ "user": user, "password": password });
    door.ask("POST", "/+login", login).await
}

/// A token of anna's, made beside the server.
fn token(data: &Path) -> String {
    let mut create = command();
    create.args(["token", "create", "anna", "--json", "--data"]);
    let made = create.arg(data).output().unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

fn events(data: &Path) -> Vec<Value> {
    let text = fs::read_to_string(data.join("audit.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
