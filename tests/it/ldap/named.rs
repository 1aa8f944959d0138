//! A proxy that names users in `X-Remote-User`, and groups that the operator writes down.

use http::Method;

use super::super::support::{Door, Form, Got, Program, Web, Wheel, soon};
use super::{events, until};

const HOUSE: &str = "indexes:
  packages/stable: { bases: [], acl_upload: [':team-a'] }
groups: { team-a: [anna], team-b: [bert, anna] }
";

/// Uploads with these headers and nothing else.
async fn upload(program: &Program, version: &str, headers: &[(&str, &str)]) -> Got {
    let wheel = Wheel::new("acme-tool", version);
    let form = Form::empty()
        .field(":action", "file_upload")
        .field("name", "acme-tool")
        .field("version", version)
        .file("content", &wheel.filename(), &wheel.build());
    let kind = Form::content_type();
    let headers: Vec<_> = headers
        .iter()
        .copied()
        .chain([("content-type", &*kind)])
        .collect();
    let url = format!("{}packages/stable/", program.manage_url());
    Web::new()
        .send(Method::POST, &url, &headers, form.body())
        .await
}

#[tokio::test]
async fn only_a_trusted_proxy_names_a_user_and_only_if_it_may() {
    let anna = ("x-remote-user", "anna");
    for (settings, status) in [
        ("", 401),
        ("trusted_proxies: 127.0.0.1\n", 401),
        (
            "trusted_proxies: 10.0.0.0/8\nmanage: { remote_user: true }\n",
            401,
        ),
        (
            "trusted_proxies: 127.0.0.1\nmanage: { remote_user: true }\n",
            200,
        ),
    ] {
        let program = Program::with_policies(&format!("{HOUSE}{settings}")).start();
        let got = upload(&program, "1.0", &[anna]).await;
        assert_eq!(got.status, status, "{settings}: {}", got.text());
    }
    let data = tempfile::tempdir().unwrap();
    let trusted = format!("{HOUSE}trusted_proxies: 127.0.0.1\nmanage: {{ remote_user: true }}\n");
    let program = Program::with_policies(&trusted).data(data.path()).start();
    let forwarded = ("x-forwarded-for", "192.0.2.7");
    // A password that the proxy has looked at means nothing here.
    let basic = ("authorization", "Basic YW5uYTpzc28=");
    for (version, headers, status, words) in [
        ("1.0", &[anna, forwarded, basic][..], 200, ""),
        ("1.1", &[("x-remote-user", "bert")], 403, "no permission"),
        (
            "1.2",
            &[("x-remote-user", "root")],
            401,
            "nobody becomes root by X-Remote-User",
        ),
        (
            "1.3",
            &[anna, ("x-remote-user", "bert")],
            401,
            "sends X-Remote-User more than once",
        ),
        (
            "1.4",
            &[("x-remote-user", "anna/x")],
            401,
            "no user can be called what the proxy says",
        ),
        (
            "1.5",
            &[("x-remote-user", "ROOT")],
            401,
            "reads like that of another user",
        ),
        ("1.6", &[("x-remote-user", "")], 401, "say who you are"),
        ("1.7", &[], 401, "say who you are"),
    ] {
        let got = upload(&program, version, headers).await;
        assert_eq!(got.status, status, "{headers:?}: {}", got.text());
        assert!(got.text().contains(words), "{headers:?}: {}", got.text());
    }
    assert!(program.stop().success());
    let events = events(data.path());
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    for (key, expected) in [
        ("event", "upload"),
        ("user", "anna"),
        ("means", "header"),
        ("groups", "team-a, team-b"),
        ("client", "192.0.2.7"),
    ] {
        assert_eq!(event[key], expected, "{event}");
    }
}

#[tokio::test]
async fn a_group_of_the_house_changes_with_its_file_and_without_a_restart() {
    let program = Program::with_policies(HOUSE).start();
    let door = Door::at(program.manage_url());
    let made = door
        .ask("PUT", "/anna", serde_json::json!({"password": "pw"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let session = door.log_in("anna", "pw").await;
    let anna = door.by("anna", &session);
    assert_eq!(
        anna.upload("packages/stable", "acme-tool", "1.0")
            .await
            .status,
        200
    );
    program.write_policies(&HOUSE.replace("[anna]", "[bert]"));
    soon(until(&anna, 403)).await;
    // A file with a fault changes nothing.
    program.write_policies(&HOUSE.replace("[anna]", "[':team-b']"));
    let said = program.wait_until_it_says("configuration not reloaded");
    assert!(
        said.contains("a group holds users, and no other group"),
        "{said}"
    );
    assert_eq!(
        anna.upload("packages/stable", "acme-tool", "3.0")
            .await
            .status,
        403
    );
}
