//! What the management door does besides uploads: promotion from a mirror, documentation, a reload,
//! another upstream for a mirror. With the real client where it has a command.

use std::fs;
use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::support::{Client, DevpiServer, Door, Program, Project, Setup, Tool, Wheel};

/// A server, and a devpi-client logged in to it as `me`, the owner of `me/prod`.
fn shop() -> (DevpiServer, Client) {
    let server = DevpiServer::start();
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", server.url()]).succeeds();
    devpi.run(&["user", "-c", "me", "password=pw"]).succeeds();
    devpi.run(&["login", "me", "--password", "pw"]).succeeds();
    devpi
        .run(&["index", "-c", "prod", "volatile=False"])
        .succeeds();
    (server, devpi)
}

#[test]
fn a_release_is_promoted_from_a_mirror_and_stays_without_it() {
    let mut index = Setup::default()
        .project(Project::new("six").wheel("1.0").sdist("1.0").wheel("2.0"))
        .start();
    let (server, devpi) = shop();
    let mirror = format!("mirror_url={}", index.url());
    devpi
        .run(&["index", "-c", "mirror", "type=mirror", &mirror])
        .succeeds();
    devpi.run(&["use", "me/mirror"]).succeeds();
    devpi
        .run(&["push", "six==3.0", "me/prod"])
        .fails()
        .says("there are no files for six 3.0");
    devpi
        .run(&["push", "six==1.0", "me/prod"])
        .succeeds()
        .says("store_releasefile");
    index.stop();
    devpi
        .run(&["index", "-y", "--delete", "me/mirror"])
        .succeeds();
    let pip = Client::fresh(Tool::Pip);
    pip.install(&format!("{}me/prod", server.url()), &["six"])
        .succeeds()
        .says("six-1.0");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let door = Door::at(server.url());
    let held = runtime
        .block_on(door.ask("GET", "/me/prod/six/1.0", Value::Null))
        .json();
    let links = held["result"]["+links"].as_array().unwrap().clone();
    assert_eq!(links.len(), 2, "{held}");
    assert_eq!(links[0]["log"][0]["what"], "push", "{held}");
}

#[test]
fn documentation_comes_with_the_client_and_goes_along_with_a_push() {
    let (server, devpi) = shop();
    devpi.run(&["index", "-c", "dev"]).succeeds();
    devpi.run(&["use", "me/dev"]).succeeds();
    let wheel = Wheel::new("acme-tool", "1.0");
    fs::write(devpi.folder().join(wheel.filename()), wheel.build()).unwrap();
    let mut docs = zip::ZipWriter::new(Cursor::new(Vec::new()));
    docs.start_file("index.html", SimpleFileOptions::default())
        .unwrap();
    docs.write_all(b"<h1>How to</h1>").unwrap();
    let docs = docs.finish().unwrap().into_inner();
    fs::write(devpi.folder().join("acme-tool-1.0.doc.zip"), &docs).unwrap();
    devpi.run(&["upload", &wheel.filename()]).succeeds();
    devpi
        .run(&["upload", "acme-tool-1.0.doc.zip"])
        .succeeds()
        .says("doc_upload");
    devpi
        .run(&["push", "acme-tool==1.0", "me/prod"])
        .succeeds()
        .says("store_doczip");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let door = Door::at(server.url());
    for index in ["dev", "prod"] {
        let path = format!("/me/{index}/acme-tool/1.0");
        let held = runtime.block_on(door.ask("GET", &path, Value::Null)).json();
        let links = held["result"]["+links"].as_array().unwrap();
        let link = links.iter().find(|link| link["rel"] == "doczip").unwrap();
        let href = link["href"].as_str().unwrap();
        let got = runtime.block_on(super::support::Web::new().get(href));
        assert_eq!((got.status, &got.body[..]), (200, &docs[..]), "{href}");
    }
}

#[test]
fn a_mirror_asks_where_the_client_says_from_then_on() {
    let before = Setup::default()
        .project(Project::new("six").wheel("1.0"))
        .start();
    let after = Setup::default()
        .project(Project::new("six").wheel("2.0"))
        .start();
    let (server, devpi) = shop();
    let url = |index: &super::support::FakeIndex| format!("mirror_url={}", index.url());
    devpi
        .run(&["index", "-c", "mirror", "type=mirror", &url(&before)])
        .succeeds();
    let newest = |version: &str| {
        let pip = Client::fresh(Tool::Pip);
        let index = format!("{}me/mirror", server.url());
        pip.install(&index, &["six"])
            .succeeds()
            .says(&format!("six-{version}"));
    };
    newest("1.0");
    devpi
        .run(&["index", "me/mirror", &url(&after)])
        .succeeds()
        .says(&url(&after));
    newest("2.0");
}

#[tokio::test]
async fn root_has_the_files_read_again_at_the_door() {
    let index = Setup::default().start();
    let policies = |more: &str| format!("indexes: {{root/pypi: {{type: mirror}}{more}}}\n");
    let program = Program::with_policies(&policies(""))
        .mirroring(index.url().as_str())
        .start();
    let anybody = Door::at(program.manage_url());
    let made = anybody.ask("PUT", "/me", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for door in [&anybody, &anybody.by("me", "pw")] {
        assert_eq!(door.ask("POST", "/+reload", Value::Null).await.status, 403);
    }
    let root = anybody.by("root", "");
    program.write_policies(&policies(", root/acme: {bases: [root/pypi]}"));
    let done = root.ask("POST", "/+reload", Value::Null).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(
        done.json()["result"]["generation"].as_u64() > Some(1),
        "{}",
        done.text()
    );
    assert_eq!(
        anybody.ask("GET", "/root/acme", Value::Null).await.status,
        200
    );
    program.write_policies(&policies(", root/acme: {basis: []}"));
    let refused = root.ask("POST", "/+reload", Value::Null).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let words = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(
        words.contains("policies.yaml:1:") && words.contains("basis"),
        "{words}"
    );
    assert_eq!(
        anybody.ask("GET", "/root/acme", Value::Null).await.status,
        200
    );
}
