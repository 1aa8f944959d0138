//! Which names users may take, which origins may change anything, and what a stranger may add.

use serde_json::{Value, json};

use super::super::support::{Door, Form, Program, ask};

const POLICIES: &str = "
indexes: { root/acme: { bases: [], acl_upload: [':ANONYMOUS:'] } }
limits: { anonymous_results: 3, anonymous_results_size: 4KiB }
";

#[tokio::test]
async fn nobody_becomes_somebody_who_reads_like_another() {
    let program = Program::with_policies(POLICIES).start();
    let door = Door::at(program.manage_url());
    let password = || json!({"password": "pw"});
    for (name, status) in [
        ("me", 201),
        ("Root", 409),
        ("r00t", 409),
        ("ME", 409),
        ("r%D0%BE%D0%BEt", 400),
        ("simple", 400),
        ("Simple", 400),
        (".well-known", 400),
        ("robots.txt", 400),
        ("a%2Bb", 404),
    ] {
        let made = door.ask("PUT", &format!("/{name}"), password()).await;
        assert_eq!(made.status, status, "{name}: {}", made.text());
    }
    let me = door.by("me", "pw");
    for (name, status) in [("dev", 200), ("Dev", 409), ("d%D0%B5v", 400)] {
        let made = me.ask("PUT", &format!("/me/{name}"), json!({})).await;
        assert_eq!(made.status, status, "{name}: {}", made.text());
    }
    let users = door.ask("GET", "/", Value::Null).await.json();
    let mut names: Vec<&String> = users["result"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["me", "root"]);
}

#[tokio::test]
async fn nobody_makes_their_own_password_dear_to_check() {
    let program = Program::with_policies(POLICIES).start();
    let door = Door::at(program.manage_url());
    let made = door.ask("PUT", "/me", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let hash = "$argon2id$v=19$m=262144,t=16,p=16$bm9ib2R5IGtub3dzIGl0\
                $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let me = door.by("me", "pw");
    let got = me.ask("PATCH", "/me", json!({ "pwhash": hash })).await;
    assert_eq!(got.status, 400, "{}", got.text());
    assert!(got.text().contains("costs more"), "{}", got.text());
    let got = me.ask("GET", "/+api", Value::Null).await;
    assert_eq!(
        got.json()["result"]["authstatus"][1],
        "me",
        "{}",
        got.text()
    );
}

#[test]
fn a_page_of_another_program_on_this_machine_changes_nothing() {
    let program = Program::with_policies(POLICIES).start();
    let url = program.manage_url();
    let own = url.trim_end_matches('/').to_owned();
    let (name, port) = own.rsplit_once(':').unwrap();
    let other = format!("{name}:{}", port.parse::<u16>().unwrap() ^ 1);
    let body = br#"{"password": "pw"}"#;
    for (user, origin, status) in [
        ("a", &*own, 201),
        ("b", &other, 403),
        ("c", "https://evil.example", 403),
        ("d", "null", 403),
    ] {
        let headers = [("Origin", origin)];
        let got = ask::send("PUT", &format!("{url}{user}"), &headers, body).unwrap();
        assert_eq!(got.status, status, "{origin}: {got:?}");
    }
}

#[tokio::test]
async fn strangers_add_so_many_test_results_to_a_release_and_no_more() {
    let program = Program::with_policies(POLICIES).start();
    let index = format!("{}root/acme/", program.manage_url());
    for version in ["1.0", "2.0"] {
        let stored = Form::of_wheel("acme-tool", version).post(&index).unwrap();
        assert_eq!(stored.status, 200, "{stored:?}");
    }
    let door = Door::at(program.manage_url());
    let held = door.ask("GET", "/root/acme/acme-tool", Value::Null).await;
    let held = held.json();
    let path_of = |version: &str| {
        let href = held["result"][version]["+links"][0]["href"]
            .as_str()
            .unwrap();
        let at = href.find("/root/acme/").unwrap();
        href[at..].to_owned()
    };
    let (first, second) = (path_of("1.0"), path_of("2.0"));
    let result = |number: usize| json!({ "testenvs": { "py": number } });
    for number in 0..3 {
        let got = door.ask("POST", &first, result(number)).await;
        assert_eq!(got.status, 200, "{}", got.text());
    }
    let got = door.ask("POST", &first, result(3)).await;
    assert_eq!(got.status, 403, "{}", got.text());
    assert!(
        got.text().contains("limits.anonymous_results"),
        "{}",
        got.text()
    );
    let got = door.by("root", "").ask("POST", &first, result(4)).await;
    assert_eq!(got.status, 200, "who says who they are: {}", got.text());
    let large = json!({ "testenvs": "x".repeat(5 << 10) });
    let got = door.ask("POST", &second, large).await;
    assert_eq!(got.status, 403, "by its size: {}", got.text());
    let got = door.ask("POST", &second, result(5)).await;
    assert_eq!(got.status, 200, "another release: {}", got.text());
}
