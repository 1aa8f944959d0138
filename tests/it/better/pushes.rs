//! Pushes to another index and to another server, which devpi does only halfway.

use std::fs;

use serde_json::{Value, json};

use super::{shop, upload};
use crate::support::{Client, Door, FakeIndex, Program, Setup, Tool, sdist};

#[tokio::test]
async fn a_push_is_all_or_nothing_and_identical_files_are_done() {
    let (_server, me) = shop().await;
    assert_eq!(upload(&me, "me/dev", "one", &[]).await.status, 200);
    let (name, content) = sdist("acme-tool", "1.0");
    let fields = [
        (":action", "file_upload"),
        ("name", "acme-tool"),
        ("version", "1.0"),
        ("summary", "of dev"),
    ];
    assert_eq!(
        me.form("me/dev", &fields, Some((&name, &content)))
            .await
            .status,
        200
    );
    // A different wheel of the same name is in the way; the sdist would pass.
    assert_eq!(
        upload(&me, "me/prod", "other", &[("summary", "of prod")])
            .await
            .status,
        200
    );
    let before = me
        .ask("GET", "/me/prod/acme-tool", Value::Null)
        .await
        .json();
    let push = json!({"name": "acme-tool", "version": "1.0", "targetindex": "me/prod"});
    let refused = me.ask("PUSH", "/me/dev", push.clone()).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(
        me.ask("GET", "/me/prod/acme-tool", Value::Null)
            .await
            .json(),
        before
    );
    let removed = me
        .ask("DELETE", "/me/prod/acme-tool?force", Value::Null)
        .await;
    assert_eq!(removed.status, 200, "{}", removed.text());
    for _ in 0..2 {
        let pushed = me.ask("PUSH", "/me/dev", push.clone()).await;
        assert_eq!(pushed.status, 200, "{}", pushed.text());
    }
}

/// A server that may push to `places`, with a release and documentation on `me/dev`.
async fn source(index: &FakeIndex, places: &str) -> (Program, Door) {
    let yaml =
        format!("indexes: {{root/pypi: {{type: mirror}}}}\nmanage: {{push_to: [{places}]}}\n");
    let program = Program::with_policies(&yaml)
        .mirroring(index.url().as_str())
        .start();
    let anybody = Door::at(program.manage_url());
    assert_eq!(
        anybody
            .ask("PUT", "/me", json!({"password": "pw"}))
            .await
            .status,
        201
    );
    let me = anybody.by("me", "pw");
    assert_eq!(me.ask("PUT", "/me/dev", json!({})).await.status, 200);
    let fields = [("summary", "a tool"), ("classifiers", "Topic :: Utilities")];
    assert_eq!(upload(&me, "me/dev", "one", &fields).await.status, 200);
    (program, me)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_another_server_needs_a_login_and_a_listed_place() {
    let index = Setup::default().start();
    let (there, them) = shop().await;
    let place = format!("{}me/prod/", there.url());
    let (program, me) = source(&index, &format!("\"{place}\"")).await;
    let push = |url: &str| json!({"name": "acme-tool", "version": "1.0", "posturl": url, "username": "me", "password": "pw"});
    let anybody = Door::at(program.manage_url());
    let refused = anybody.ask("PUSH", "/me/dev", push(&place)).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let elsewhere = format!("{}me/dev/", there.url());
    let refused = me.ask("PUSH", "/me/dev", push(&elsewhere)).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(
        refused.text().contains("manage.push_to"),
        "{}",
        refused.text()
    );
    assert_eq!(
        them.ask("GET", "/me/prod/acme-tool", Value::Null)
            .await
            .status,
        404
    );

    let devpi = Client::fresh(Tool::Devpi);
    let pypirc = format!(
        "[distutils]\nindex-servers = there\n\n[there]\nrepository = {place}\nusername = me\npassword = pw\n"
    );
    fs::write(devpi.home().join(".pypirc"), pypirc).unwrap();
    devpi
        .run(&["use", &format!("{}me/dev", program.manage_url())])
        .succeeds();
    devpi.run(&["login", "me", "--password", "pw"]).succeeds();
    devpi
        .run(&["push", "acme-tool==1.0", "pypi:there"])
        .succeeds();
    let arrived = them
        .ask("GET", "/me/prod/acme-tool/1.0", Value::Null)
        .await
        .json();
    assert_eq!(arrived["result"]["summary"], "a tool");
    assert_eq!(
        arrived["result"]["classifiers"],
        json!(["Topic :: Utilities"])
    );
    Client::fresh(Tool::Pip)
        .install(&place, &["acme-tool==1.0"])
        .succeeds();
    // The other server's reason for a failure is passed on.
    let wrong = json!({"name": "acme-tool", "version": "1.0", "posturl": place, "username": "me", "password": "no"});
    let failed = me.ask("PUSH", "/me/dev", wrong).await;
    assert_eq!(failed.status, 502, "{}", failed.text());
    assert!(failed.text().contains("401"), "{}", failed.text());
}
