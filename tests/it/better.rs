//! Where this program differs from devpi on purpose (docs/protocol/devpi.md §22): each row with the
//! tests that cover it. Those of the management API are here.

mod pushes;

use std::fs;
use std::path::Path;

use http::header::LOCATION;
use serde_json::{Value, json};

use super::support::{DevpiServer, Door, Fault, Got, Program, Project, Setup, Web, Wheel};

/// What devpi does, and the tests of what happens here instead.
const ROWS: [(&str, &[&str]); 17] = [
    (
        "404 while upstream is down and nothing is cached",
        &["a_layer_that_is_down_is_not_left_out_unless_it_is_optional"],
    ),
    (
        "an empty page after an upstream 304",
        &[
            "an_unchanged_page_is_not_sent_again",
            "a_stale_page_answers_while_upstream_is_down_and_files_longer_than_that",
        ],
    ),
    (
        "one upstream fetch for each waiting client",
        &["clients_of_one_cold_file_cause_one_fetch_and_read_it_while_it_arrives"],
    ),
    (
        "digests of uploads ignored",
        &[
            "digests_that_were_stated_have_to_hold",
            "a_wrong_digest_and_missing_fields_are_told",
        ],
    ),
    (
        "a 409 leaves changed metadata",
        &["a_refused_upload_changes_nothing"],
    ),
    (
        "a push leaves half the files; identical files are no conflict",
        &["a_push_is_all_or_nothing_and_identical_files_are_done"],
    ),
    (
        "mirror_url's password shown to everyone",
        &[
            "a_mirrors_password_is_in_no_answer_and_no_log",
            "nobody_sees_a_mirrors_password_and_nobody_loses_it",
        ],
    ),
    (
        "anonymous external push",
        &[
            "a_push_to_another_server_needs_a_login_and_a_listed_place",
            "a_place_is_the_one_that_is_named_or_below_it",
        ],
    ),
    (
        "anonymous user creation",
        &[
            "who_may_make_users_is_the_operators_to_say",
            "the_door_decides_until_the_operator_does",
        ],
    ),
    (
        "tokens survive a new password and the user's deletion",
        &["login_tokens_end_with_the_password_and_with_the_user"],
    ),
    (
        "argon2 for each Basic request",
        &["only_the_same_three_are_known_and_only_for_a_while"],
    ),
    (
        "no ETag, Range, 304",
        &["ranges_are_byte_exact_while_a_file_arrives_and_when_it_is_here"],
    ),
    (
        "Content-Type text_html",
        &["a_page_for_html_clients_is_text_html"],
    ),
    (
        "500 for refresh of unknown and for a mirror without URL",
        &["what_was_a_crash_is_an_answer"],
    ),
    (
        "500 for missing name or version",
        &["a_wrong_digest_and_missing_fields_are_told"],
    ),
    (
        "500 for key+= on unset keys",
        &["what_was_a_crash_is_an_answer"],
    ),
    (
        "a redirect drops the query",
        &["a_redirect_keeps_the_query"],
    ),
];

#[test]
fn every_row_has_its_tests() {
    let mut sources = String::new();
    for folder in ["src", "tests/it"] {
        read_all(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            &mut sources,
        );
    }
    for (row, tests) in ROWS {
        for test in tests {
            assert!(
                sources.contains(&format!("fn {test}(")),
                "{row}: there is no test {test}"
            );
        }
    }
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// A server with the user `me` and the indexes `me/dev` (volatile) and `me/prod` (not).
async fn shop() -> (DevpiServer, Door) {
    let server = DevpiServer::start();
    let anybody = Door::at(server.url());
    let made = anybody.ask("PUT", "/me", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let me = anybody.by("me", "pw");
    for (index, is_volatile) in [("dev", true), ("prod", false)] {
        let made = me
            .ask(
                "PUT",
                &format!("/me/{index}"),
                json!({"volatile": is_volatile}),
            )
            .await;
        assert_eq!(made.status, 200, "{}", made.text());
    }
    (server, me)
}

fn wheel(version: &str, text: &str) -> (String, Vec<u8>) {
    let wheel = Wheel::new("acme-tool", version).description(text);
    (wheel.filename(), wheel.build())
}

/// Uploads a wheel with these additional form fields.
async fn upload(door: &Door, index: &str, text: &str, more: &[(&str, &str)]) -> Got {
    let (name, content) = wheel("1.0", text);
    let fields = [
        (":action", "file_upload"),
        ("name", "acme-tool"),
        ("version", "1.0"),
    ];
    door.form(index, &[&fields, more].concat(), Some((&name, &content)))
        .await
}

/// Everything that anybody may see of the mirror, as JSON and as pages.
async fn everything_shown(program: &Program, root: &Door) -> Vec<Got> {
    let mut answers = Vec::new();
    for path in [
        "/",
        "/root",
        "/root/mirror",
        "/root/mirror?no_projects=",
        "/root/mirror/+api",
        "/root/mirror/six",
        "/root/mirror/six/1.0",
        "/root/mirror/+simple/six/",
        "/root/mirror/nothing",
        "/+status",
    ] {
        answers.push(root.ask("GET", path, Value::Null).await);
    }
    for door in [program.public_url(), program.manage_url()] {
        let page = Web::new();
        for path in ["", "root", "root/mirror", "root/mirror/six"] {
            let headers = [("accept", "text/html")];
            answers.push(page.get_with(&format!("{door}{path}"), &headers).await);
        }
    }
    answers
}

#[tokio::test]
async fn a_mirrors_password_is_in_no_answer_and_no_log() {
    let index = Setup::default()
        .credentials("reader", "s3cret")
        .project(Project::new("six").wheel("1.0"))
        .start();
    let program = Program::with_policies("manage: { mirrors_to: [127.0.0.0/8] }\n")
        .mirroring(index.url().as_str())
        .start();
    let root = Door::at(program.manage_url()).by("root", "");
    let url = index.url().as_str().replace("://", "://reader:s3cret@");
    let made = root
        .ask(
            "PUT",
            "/root/mirror",
            json!({"type": "mirror", "mirror_url": url}),
        )
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    let mut answers = vec![made];
    answers.extend(everything_shown(&program, &root).await);
    let shown = root
        .ask("GET", "/root/mirror?no_projects=", Value::Null)
        .await
        .json();
    let mut object = shown["result"].clone();
    object["title"] = "a title".into();
    for change in [
        object,
        json!(["title=another"]),
        json!(["title=", "volatile=False"]),
    ] {
        let changed = root.ask("PATCH", "/root/mirror", change.clone()).await;
        assert_eq!(changed.status, 200, "{change}: {}", changed.text());
        assert!(changed.text().contains("reader:***@"), "{}", changed.text());
        answers.push(changed);
        // A refresh asks upstream, with the password; the cached page would prove nothing.
        let again = root
            .ask("POST", "/root/mirror/+simple/six/refresh", Value::Null)
            .await;
        assert_eq!(again.status, 302, "{}", again.text());
        answers.push(
            root.ask("GET", "/root/mirror/+simple/six/", Value::Null)
                .await,
        );
    }
    index.misbehave("/simple/", Fault::new().status(500));
    answers.push(
        root.ask("POST", "/root/mirror/+simple/six/refresh", Value::Null)
            .await,
    );
    for answer in &answers {
        assert!(!answer.text().contains("s3cret"), "{}", answer.text());
        assert!(!format!("{:?}", answer.headers).contains("s3cret"));
    }
    let log = program.wait_until_it_says("/root/mirror/+simple/six/refresh");
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn what_was_a_crash_is_an_answer() {
    let (_server, me) = shop().await;
    let made = me.ask("PUT", "/me/mirror", json!({"type": "mirror"})).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let page = me.ask("GET", "/me/mirror/six", Value::Null).await;
    assert_eq!(page.status, 502, "{}", page.text());
    assert!(
        page.text().contains("no upstream is set"),
        "{}",
        page.text()
    );
    for path in [
        "/me/dev/+simple/nothing/refresh",
        "/me/nowhere/+simple/six/refresh",
    ] {
        assert_eq!(
            me.ask("POST", path, Value::Null).await.status,
            404,
            "{path}"
        );
    }
    let changed = me
        .ask("PATCH", "/me/dev", json!(["mirror_whitelist+=six"]))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["result"]["mirror_whitelist"], json!(["six"]));
}

#[tokio::test]
async fn a_wrong_digest_and_missing_fields_are_told() {
    let (_server, me) = shop().await;
    for (name, digits) in [
        ("sha256_digest", 64),
        ("md5_digest", 32),
        ("blake2_256_digest", 64),
        ("blake2_256_digest", 128),
    ] {
        let wrong = "0".repeat(digits);
        let got = upload(&me, "me/dev", "", &[(name, &wrong)]).await;
        assert_eq!(got.status, 400, "{name}: {}", got.text());
        assert!(got.text().contains("as stated"), "{name}: {}", got.text());
    }
    let (filename, content) = wheel("1.0", "");
    for (fields, missing) in [
        ([(":action", "file_upload"), ("version", "1.0")], "name"),
        (
            [(":action", "file_upload"), ("name", "acme-tool")],
            "version",
        ),
        ([(":action", "submit"), ("version", "1.0")], "name"),
        ([(":action", "submit"), ("name", "acme-tool")], "version"),
    ] {
        let got = me
            .form("me/dev", &fields, Some((&filename, &content)))
            .await;
        assert_eq!(got.status, 400, "{fields:?}: {}", got.text());
        assert!(got.text().contains(missing), "{fields:?}: {}", got.text());
    }
    assert_eq!(
        me.ask("GET", "/me/dev/acme-tool", Value::Null).await.status,
        404
    );
}

#[tokio::test]
async fn a_refused_upload_changes_nothing() {
    let (_server, me) = shop().await;
    let first = upload(&me, "me/prod", "one", &[("summary", "the first")]).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let before = me
        .ask("GET", "/me/prod/acme-tool", Value::Null)
        .await
        .json();
    let second = upload(&me, "me/prod", "other", &[("summary", "the second")]).await;
    assert_eq!(second.status, 409, "{}", second.text());
    let after = me
        .ask("GET", "/me/prod/acme-tool", Value::Null)
        .await
        .json();
    assert_eq!(after, before);
    assert_eq!(after["result"]["1.0"]["summary"], "the first");
}

#[tokio::test]
async fn login_tokens_end_with_the_password_and_with_the_user() {
    let (server, me) = shop().await;
    let anybody = Door::at(server.url());
    let may = async |token: &str| {
        let me = anybody.by("me", token);
        me.ask("PATCH", "/me/dev", json!(["title=x"])).await.status
    };
    let first = anybody.log_in("me", "pw").await;
    assert_eq!(may(&first).await, 200);
    let changed = me.ask("PATCH", "/me", json!({"password": "new"})).await;
    let second = changed.json()["result"]["password"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!((may(&first).await, may(&second).await), (403, 200));
    // The old password was right a moment ago, and is cached as such for a while.
    assert_eq!(
        me.ask("PATCH", "/me/dev", json!(["title=y"])).await.status,
        403
    );
    let root = anybody.by("root", "");
    for index in ["dev", "prod"] {
        let path = format!("/me/{index}");
        root.ask("PATCH", &path, json!(["volatile=True"])).await;
        assert_eq!(root.ask("DELETE", &path, Value::Null).await.status, 201);
    }
    assert_eq!(root.ask("DELETE", "/me", Value::Null).await.status, 200);
    assert_eq!(
        anybody
            .ask("PUT", "/me", json!({"password": "new"}))
            .await
            .status,
        201
    );
    assert_eq!(root.ask("PUT", "/me/dev", json!({})).await.status, 200);
    assert_eq!(may(&second).await, 403);
}

#[tokio::test]
async fn a_redirect_keeps_the_query() {
    let (server, me) = shop().await;
    assert_eq!(upload(&me, "me/dev", "one", &[]).await.status, 200);
    let web = Web::new();
    for (path, to) in [
        ("me/dev/Acme.Tool?ignore_bases=", "acme-tool?ignore_bases="),
        ("me/dev/+simple/Acme.Tool/?a=b", "acme-tool/?a=b"),
    ] {
        let headers = [(
            "accept",
            "application/json, application/vnd.pypi.simple.v1+json",
        )];
        let got = web
            .get_with(&format!("{}{path}", server.url()), &headers)
            .await;
        assert!(matches!(got.status, 301 | 302), "{path}: {}", got.status);
        assert!(
            got.headers[LOCATION].to_str().unwrap().ends_with(to),
            "{path}: {:?}",
            got.headers
        );
    }
}

#[tokio::test]
async fn a_page_for_html_clients_is_text_html() {
    let (server, me) = shop().await;
    assert_eq!(upload(&me, "me/dev", "one", &[]).await.status, 200);
    let web = Web::new();
    for accept in ["text/html", "application/vnd.pypi.simple.v1+html", "*/*"] {
        let url = format!("{}me/dev/+simple/acme-tool/", server.url());
        let got = web.get_with(&url, &[("accept", accept)]).await;
        let kind = got.header("content-type").to_owned();
        assert!(
            kind.starts_with("text/html")
                || kind.starts_with("application/vnd.pypi.simple.v1+html"),
            "{accept}: {kind}"
        );
    }
}

#[tokio::test]
async fn who_may_make_users_is_the_operators_to_say() {
    let index = Setup::default().start();
    for (word, by_anybody, by_me) in [
        ("everyone", 201, 201),
        ("users", 403, 201),
        ("root", 403, 403),
    ] {
        let yaml =
            format!("indexes: {{root/pypi: {{type: mirror}}}}\nmanage: {{create_users: {word}}}\n");
        let program = Program::with_policies(&yaml)
            .mirroring(index.url().as_str())
            .start();
        let anybody = Door::at(program.manage_url());
        let root = anybody.by("root", "");
        assert_eq!(
            root.ask("PUT", "/me", json!({"password": "pw"}))
                .await
                .status,
            201
        );
        let made = anybody.ask("PUT", "/a", json!({"password": "pw"})).await;
        assert_eq!(made.status, by_anybody, "{word}: {}", made.text());
        let made = anybody
            .by("me", "pw")
            .ask("PUT", "/b", json!({"password": "pw"}))
            .await;
        assert_eq!(made.status, by_me, "{word}: {}", made.text());
    }
}
