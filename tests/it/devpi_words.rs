//! What devpi's clients are told, word for word: a message appears once, a release is the same
//! under every spelling, and what devpi counts as a success is one.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use super::support::ask;
use super::support::{Client, Door, Form, Program, Tool, Wheel, sdist};

const POLICIES: &str = "
indexes:
  packages/staging: { acl_upload: [':ANONYMOUS:'] }
  packages/prod: { bases: [packages/staging], acl_upload: [':ANONYMOUS:'], volatile: false }
  packages/closed: { acl_upload: [] }
";

const JSON: (&str, &str) = ("Accept", "application/json");

#[test]
fn a_message_stands_once_beside_the_status() {
    let program = Program::with_policies(POLICIES).start();
    let (manage, public) = (program.manage_url(), program.public_url());
    let wheel = Form::of_wheel("hello", "1.0");
    for index in ["staging", "prod"] {
        let sent = wheel.post(&format!("{manage}packages/{index}/")).unwrap();
        assert_eq!(sent.status, 200, "{sent:?}");
    }
    #[rustfmt::skip] // a table reads by rows
    let table = [
        (404, "GET", manage, "no/such", ""),
        (404, "GET", manage, "packages/staging/no-such", ""),
        (404, "GET", public, "packages/staging/+f/abc/0123456789abc/a-1.zip", ""),
        (404, "GET", manage, "simple/", ""),
        (400, "POST", manage, "packages/staging", "{"),
        (400, "PUSH", manage, "packages/staging", "[]"),
        (403, "DELETE", manage, "packages/prod/hello/1.0", ""),
        (405, "PUT", manage, "packages/staging/hello", "{}"),
        (401, "POST", manage, "+login", r#"{"user": "a", "password": "b"}"#),
        (405, "PUT", public, "me", "{}"),
    ];
    for (status, method, door, path, body) in table {
        let answer = ask::send(method, &format!("{door}{path}"), &[JSON], body.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        let code = http::StatusCode::from_u16(answer.status).unwrap();
        assert_eq!(
            answer.reason,
            code.canonical_reason().unwrap(),
            "{answer:?}"
        );
    }
}

#[test]
fn a_refused_upload_says_why_in_the_status_line() {
    let program = Program::with_policies(POLICIES).start();
    let (manage, public) = (program.manage_url(), program.public_url());
    let wheel = Form::of_wheel("hello", "1.0");
    let sent = wheel.post(&format!("{manage}packages/prod/")).unwrap();
    assert_eq!(sent.status, 200, "{sent:?}");
    let other = Form::of(
        "hello",
        "1.0",
        &Wheel::new("hello", "1.0").filename(),
        b"other",
    );
    let aloud = [
        (
            401,
            "packages/closed",
            &wheel,
            "Unauthorized: no permission to submit: say who you are",
        ),
        (
            404,
            "no/such",
            &wheel,
            "The stage no/such could not be found.",
        ),
        (
            409,
            "packages/prod",
            &other,
            "already exists in non-volatile index",
        ),
        (405, "", &wheel, "this address only reads"),
    ];
    for (status, index, form, words) in aloud {
        let url = if index.is_empty() {
            format!("{public}packages/staging/")
        } else {
            format!("{manage}{index}/")
        };
        let answer = form.post_with(&url, &[JSON]).unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.reason.contains(words), "{answer:?}");
    }
}

#[test]
fn a_devpi_upload_without_a_login_says_unauthorized() {
    let program = Program::with_policies(POLICIES).start();
    let devpi = Client::fresh(Tool::Devpi);
    let wheel = Wheel::new("hello", "1.0");
    std::fs::write(devpi.folder().join(wheel.filename()), wheel.build()).unwrap();
    let index = format!("{}packages/closed", program.manage_url());
    devpi.run(&["use", &index]).succeeds();
    let refused = devpi.run(&["upload", &wheel.filename()]).fails();
    refused.says("401 FAIL file_upload").says("Unauthorized");
}

#[tokio::test]
async fn a_setting_that_is_not_set_can_be_removed() {
    let program = Program::with_policies("indexes: {}\n").start();
    let anybody = Door::at(program.manage_url());
    let made = anybody.ask("PUT", "/me", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let me = anybody.by("me", "pw");
    let made = me.ask("PUT", "/me/dev", json!({"title": "t"})).await;
    assert_eq!(made.status, 200, "{}", made.text());
    for _ in 0..2 {
        let removed = me.ask("PATCH", "/me/dev", json!(["title-="])).await;
        assert_eq!(removed.status, 200, "{}", removed.text());
        assert_eq!(removed.json()["result"]["title"], Value::Null);
    }
}

#[tokio::test]
async fn a_release_is_one_under_every_spelling_of_its_version() {
    let program = Program::with_policies(POLICIES).start();
    let staging = format!("{}packages/staging/", program.manage_url());
    let (_, archive) = sdist("acme-tool", "1.0.0-rc1");
    let source = Form::of(
        "acme-tool",
        "1.0.0-rc1",
        "acme-tool-1.0.0-rc1.tar.gz",
        &archive,
    );
    let wheel = Form::of_wheel("acme-tool", "1.0.0rc1");
    let sent = tokio::task::spawn_blocking(move || {
        [source, wheel].map(|form| form.post(&staging).unwrap())
    });
    for answer in sent.await.unwrap() {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let door = Door::at(program.manage_url());
    let project = door
        .ask("GET", "/packages/staging/acme-tool", Value::Null)
        .await
        .json();
    let releases = project["result"].as_object().unwrap();
    assert_eq!(
        releases.keys().collect::<Vec<_>>(),
        ["1.0.0-rc1"],
        "{project}"
    );
    for version in ["1.0.0-rc1", "1.0.0rc1", "v1.0.0.RC1"] {
        let path = format!("/packages/staging/acme-tool/{version}");
        let release = door.ask("GET", &path, Value::Null).await.json();
        let links = release["result"]["+links"].as_array().unwrap();
        assert_eq!(links.len(), 2, "{version}: {release}");
    }
    let push = json!({"name": "acme-tool", "version": "1.0.0rc1", "targetindex": "packages/prod"});
    let pushed = door.ask("PUSH", "/packages/staging", push).await;
    assert_eq!(pushed.status, 200, "{}", pushed.text());
    let held = door
        .ask("GET", "/packages/prod/acme-tool", Value::Null)
        .await
        .json();
    let release = &held["result"]["1.0.0-rc1"];
    assert_eq!(release["version"], "1.0.0-rc1", "{held}");
    assert_eq!(
        release["+links"].as_array().map(Vec::len),
        Some(2),
        "{held}"
    );
    let releases = held["result"].as_object().unwrap();
    assert_eq!(releases.len(), 1, "the base has it too: {held}");
    let gone = door
        .ask(
            "DELETE",
            "/packages/staging/acme-tool/1.0.0rc1",
            Value::Null,
        )
        .await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    let left = door
        .ask("GET", "/packages/staging/acme-tool", Value::Null)
        .await;
    assert_eq!(left.status, 404, "{}", left.text());
}

/// An index as they are today: registration is gone, files are accepted. Answers this many requests
/// and returns their actions.
fn modern_index(requests: usize) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/legacy/", listener.local_addr().unwrap());
    let serve = move || {
        let mut actions = Vec::new();
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
            let action = loop {
                let read = stream.read(&mut piece).unwrap();
                seen.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&seen);
                let length = text.split("content-length: ").nth(1);
                let length =
                    length.and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
                let body = text
                    .split_once("\r\n\r\n")
                    .map(|(head, _)| seen.len() - head.len() - 4);
                if body.is_some() && body >= length {
                    let field = text.split("name=\":action\"\r\n\r\n").nth(1).unwrap();
                    break field.split("\r\n").next().unwrap().to_owned();
                }
                assert!(read > 0, "{text}");
            };
            let status = if action == "submit" {
                "410 Gone"
            } else {
                "200 OK"
            };
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            actions.push(action);
        }
        actions
    };
    (url, thread::spawn(serve))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_on_where_registration_is_gone() {
    let (url, index) = modern_index(2);
    let yaml = format!("indexes: {{}}\nmanage: {{ push_to: ['{url}'] }}\n");
    let program = Program::with_policies(&yaml).start();
    let anybody = Door::at(program.manage_url());
    let made = anybody.ask("PUT", "/me", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let me = anybody.by("me", "pw");
    assert_eq!(me.ask("PUT", "/me/dev", json!({})).await.status, 200);
    let sent = me.upload("me/dev", "hello", "1.0").await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let push = json!({
        "name": "hello", "version": "1.0", "posturl": url, "username": "u", "password": "p",
        "register_project": true,
    });
    let pushed = me.ask("PUSH", "/me/dev", push).await;
    assert_eq!(pushed.status, 200, "{}", pushed.text());
    let log = pushed.json();
    assert_eq!(log["result"][0][0], 410, "{log}");
    assert_eq!(log["result"][1][0], 200, "{log}");
    assert_eq!(index.join().unwrap(), ["submit", "file_upload"]);
}

#[test]
fn what_is_negotiated_says_so_also_when_nothing_fits() {
    let program = Program::with_policies(POLICIES).start();
    let form = Form::of_wheel("hello", "1.0");
    form.post(&format!("{}packages/staging/", program.manage_url()))
        .unwrap();
    for path in [
        "packages/staging/+simple/hello/",
        "packages/staging/+simple/",
    ] {
        let url = format!("{}{path}", program.public_url());
        let refused = ask::send("GET", &url, &[("Accept", "text/csv")], b"").unwrap();
        assert_eq!(refused.status, 406, "{refused:?}");
        assert!(refused.header("vary").contains("Accept"), "{refused:?}");
    }
}

#[test]
fn a_plus_in_a_file_name_is_encoded_on_pages_and_installs() {
    let program = Program::with_policies(POLICIES).start();
    let index = format!("{}packages/staging/", program.manage_url());
    let form = Form::of_wheel("hello", "1.0+cu121");
    assert_eq!(form.post(&index).unwrap().status, 200);
    let page = format!("{}packages/staging/+simple/hello/", program.public_url());
    for accept in ["application/vnd.pypi.simple.v1+json", "text/html"] {
        let page = ask::send("GET", &page, &[("Accept", accept)], b"").unwrap();
        assert!(
            page.body.contains("/hello-1.0%2Bcu121-py3-none-any.whl"),
            "{page:?}"
        );
    }
    for tool in [Tool::Pip, Tool::Uv] {
        let client = Client::fresh(tool);
        client
            .install(
                &program.index_url("packages/staging"),
                &["hello==1.0+cu121"],
            )
            .succeeds();
    }
}
