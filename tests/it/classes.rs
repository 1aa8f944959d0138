//! Doors that allow some classes of operations and not others, and what clients are told there.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::support::ask;
use super::support::{Client, Form, Program, Tool, Wheel, command, sdist};

const INDEXES: &str = "
indexes:
  packages/staging: { volatile: true, acl_upload: [':ANONYMOUS:'] }
";

fn opened(listen: &str) -> Program {
    Program::with_policies(&format!("listen: {listen}\n{INDEXES}")).start()
}

fn client(tool: Tool) -> Client {
    let client = Client::fresh(tool);
    let wheel = Wheel::new("acme-tool", "1.0").data(3 << 20);
    fs::write(client.folder().join(wheel.filename()), wheel.build()).unwrap();
    let (name, content) = sdist("acme-tool", "1.0");
    fs::write(client.folder().join(name), content).unwrap();
    client
}

const FILES: [&str; 2] = ["acme_tool-1.0-py3-none-any.whl", "acme_tool-1.0.tar.gz"];

const READS_ONLY: &str =
    "this address only reads; uploads, logins and changes go through the management door";

#[test]
fn a_public_door_reads_only_and_clients_say_so() {
    let program = opened("{}");
    let url = program.public_url();
    let devpi = client(Tool::Devpi);
    let index = format!("{url}packages/staging");
    devpi.run(&["use", &index]).succeeds();
    devpi
        .run(&["login", "root", "--password", ""])
        .fails()
        .says(READS_ONLY);
    let twine = client(Tool::Twine);
    let (url, [wheel, _]) = (format!("{index}/"), FILES);
    twine
        .run(&[
            "upload",
            "--repository-url",
            &url,
            "-u",
            "u",
            "-p",
            "p",
            wheel,
        ])
        .fails()
        .says(READS_ONLY);
    let refused = ask::send("PUT", &index, &[("Accept", "application/json")], b"{}").unwrap();
    assert_eq!(refused.status, 405);
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains(READS_ONLY)
    );
    assert_eq!(refused.header("x-devpi-api-version"), "2");
}

#[test]
fn a_public_door_opened_for_uploads_takes_them_and_nothing_else() {
    let program = opened("{ public: { allow: [read, upload] } }");
    let url = program.public_url();
    let index = format!("{url}packages/staging");
    let twine = client(Tool::Twine);
    let to = format!("{index}/");
    let [wheel, sdist] = FILES;
    twine
        .run(&[
            "upload",
            "--repository-url",
            &to,
            "-u",
            "u",
            "-p",
            "p",
            wheel,
            sdist,
        ])
        .succeeds();
    let pip = Client::fresh(Tool::Pip);
    pip.install(&program.index_url("packages/staging"), &["acme-tool"])
        .succeeds();
    let devpi = client(Tool::Devpi);
    devpi.run(&["use", &index]).succeeds();
    let words = "this address does not allow manage operations";
    devpi
        .run(&["login", "root", "--password", ""])
        .fails()
        .says(words);
    devpi.run(&["upload", wheel]).succeeds();
    devpi.run(&["remove", "-y", "acme-tool"]).says(words);
    let json = [("Accept", "application/json")];
    let push = br#"{"name": "acme-tool", "version": "1.0", "targetindex": "a/b"}"#;
    for (method, url, body) in [
        ("PUT", format!("{url}somebody"), &b"{}"[..]),
        ("PATCH", index.clone(), b"{}"),
        ("DELETE", format!("{index}/acme-tool"), b""),
        ("PUSH", index.clone(), push),
        ("POST", format!("{url}+login"), b"{}"),
    ] {
        let refused = ask::send(method, &url, &json, body).unwrap();
        assert_eq!(refused.status, 403, "{method} {url}: {refused:?}");
        assert_eq!(refused.json()["message"], words, "{method} {url}");
        assert_eq!(refused.header("x-devpi-api-version"), "2");
    }
    // What is wrong with an upload is reported as at the other door.
    let bad = Form::of_wheel("acme-tool", "1.0").field("colour", "blue");
    let refused = bad.post(&to).unwrap();
    assert_eq!(refused.status, 400);
    assert!(
        refused.reason.contains("unknown field 'colour'"),
        "{refused:?}"
    );
    let page = ask::get(&format!("{index}/+simple/acme-tool/")).unwrap();
    assert_eq!(page.status, 200);
}

#[test]
fn a_management_door_may_be_closed_for_management() {
    let program = opened("{ manage: { allow: [read, upload] } }");
    let index = format!("{}packages/staging", program.manage_url());
    let devpi = client(Tool::Devpi);
    devpi.run(&["use", &index]).succeeds();
    devpi.run(&["upload", FILES[0]]).succeeds();
    devpi
        .run(&["user", "-c", "somebody", "password=x"])
        .fails()
        .says("this address does not allow manage operations");
    let program = opened("{ manage: { allow: [read, manage] } }");
    let index = format!("{}packages/staging", program.manage_url());
    let devpi = client(Tool::Devpi);
    devpi.run(&["use", &index]).succeeds();
    devpi
        .run(&["upload", FILES[0]])
        .fails()
        .says("this address does not allow upload operations");
    let refused = Form::of_wheel("acme-tool", "1.0").post(&format!("{index}/"));
    let refused = refused.unwrap();
    assert_eq!(refused.status, 403);
    let words = "this address does not allow upload operations";
    assert_eq!(refused.reason, words);
    assert_eq!(refused.json()["message"], words);
}

/// The door is bound to all addresses, but nothing is sent to it.
#[test]
fn a_door_for_others_that_takes_passwords_wants_one_of_root() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("cert.pem"), pair.cert.pem()).unwrap();
    fs::write(
        folder.path().join("key.pem"),
        pair.signing_key.serialize_pem(),
    )
    .unwrap();
    let tls = "tls: { cert: cert.pem, key: key.pem }";
    let doors = [
        format!("manage: {{ address: '0.0.0.0:0', {tls} }}, public: off"),
        format!("public: {{ address: '0.0.0.0:0', allow: [read, upload], {tls} }}, manage: off"),
    ];
    for (number, doors) in doors.iter().enumerate() {
        let yaml = format!("listen: {{ {doors}, metrics: off }}\n{INDEXES}");
        fs::write(folder.path().join("policies.yaml"), yaml).unwrap();
        let serve = |data: &str| {
            let mut serve = command();
            serve
                .current_dir(folder.path())
                .args(["serve", "--policies"]);
            serve.args(["policies.yaml", "--data", &format!("{data}-{number}")]);
            serve
        };
        let refused = serve("open").output().unwrap();
        assert!(!refused.status.success());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("root has no password"), "{said}");
        let mut opened = serve("closed")
            .env("CHEESECLOTH_ROOT_PASSWORD", "secret")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(opened.stdout.take().unwrap()).lines();
        let line = lines.next().map(Result::unwrap);
        opened.kill().unwrap();
        opened.wait().unwrap();
        assert!(line.unwrap_or_default().contains("https://0.0.0.0:"));
    }
}
