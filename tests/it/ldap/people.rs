//! People of a directory log in and upload, for as long as it knows them.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::super::support::{
    Client, DevpiServer, Door, Got, Program, Slapd, Tool, Web, command, soon,
};
use super::{events, log_in, near, token, twine, until};

#[tokio::test]
async fn the_real_clients_log_in_and_upload_by_group() {
    let slapd = Slapd::start();
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(&near(&slapd))
        .data(data.path())
        .start();
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", program.manage_url()]).succeeds();
    devpi.run(&["login", "anna", "--password", "wrong"]).fails();
    devpi
        .run(&["login", "bert", "--password", "bert-pw"])
        .succeeds();
    devpi
        .run(&["login", "anna", "--password", "anna-pw"])
        .succeeds();
    // Whoever has logged in once is a user as others are.
    devpi.run(&["index", "-c", "dev", "bases="]).succeeds();
    twine(&program, "1.0", "anna", "anna-pw").succeeds();
    twine(&program, "1.1", "bert", "bert-pw")
        .fails()
        .says("no permission to submit");
    twine(&program, "1.1", "anna", "bert-pw")
        .fails()
        .says("the user or the password is wrong");
    let door = Door::at(program.manage_url());
    let session = door.log_in("anna", "anna-pw").await;
    let got = door
        .by("anna", &session)
        .upload("packages/stable", "acme-tool", "2.0")
        .await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert!(program.stop().success());

    let told = |event: &Value| {
        let of = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
        [
            of("event"),
            of("user"),
            of("means"),
            of("groups"),
            of("client"),
        ]
        .join(" | ")
    };
    let told: Vec<_> = events(data.path()).iter().map(told).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    login | bert | ldap | all | 127.0.0.1
    login | anna | ldap | all, team-a | 127.0.0.1
    index | anna | session | all, team-a | 127.0.0.1
    upload | anna | ldap | all, team-a | 127.0.0.1
    login | anna | ldap | all, team-a | 127.0.0.1
    upload | anna | session | all, team-a | 127.0.0.1
    ");
}

#[tokio::test]
async fn a_group_that_is_taken_away_ends_its_rights_whoever_holds_them() {
    let slapd = Slapd::start();
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(&near(&slapd))
        .data(data.path())
        .start();
    let door = Door::at(program.manage_url());
    let session = door.log_in("anna", "anna-pw").await;
    let token = token(data.path());
    let secrets = ["anna-pw", &session, &token];
    for (number, secret) in secrets.iter().enumerate() {
        let version = format!("1.{number}");
        let got = door
            .by("anna", secret)
            .upload("packages/stable", "acme-tool", &version)
            .await;
        assert_eq!(got.status, 200, "{number}: {}", got.text());
    }
    slapd.change_member("team-a", "anna", false).await;
    for secret in secrets {
        let refused = soon(until(&door.by("anna", secret), 403)).await;
        assert!(
            refused.text().contains("no permission to submit"),
            "{}",
            refused.text()
        );
    }
    slapd.change_member("team-a", "anna", true).await;
    for secret in secrets {
        soon(until(&door.by("anna", secret), 200)).await;
    }
    slapd.remove("anna").await;
    for secret in secrets {
        soon(until(&door.by("anna", secret), 401)).await;
    }
}

#[tokio::test]
async fn a_password_that_was_changed_there_is_none_here_any_more() {
    let slapd = Slapd::start();
    let program = Program::with_policies(&near(&slapd)).start();
    let door = Door::at(program.manage_url());
    assert_eq!(log_in(&door, "anna", "anna-pw").await.status, 200);
    slapd.change_password("anna", "other-pw").await;
    soon(async {
        while log_in(&door, "anna", "anna-pw").await.status == 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(log_in(&door, "anna", "anna-pw").await.status, 401);
    assert_eq!(log_in(&door, "anna", "other-pw").await.status, 200);
}

#[tokio::test]
async fn users_of_the_house_win_and_nobody_becomes_one_of_them() {
    let slapd = Slapd::start();
    let program = Program::with_policies(&near(&slapd)).start();
    let door = Door::at(program.manage_url());
    // Root is the house's own, whatever the directory calls root.
    assert_eq!(log_in(&door, "root", "root-pw").await.status, 401);
    let root = door.by("root", "");
    let stranger = door.ask("PUT", "/anna", json!({"password": "mine"})).await;
    assert_eq!(stranger.status, 403, "nobody takes the name of somebody");
    let made = root.ask("PUT", "/anna", json!({"password": "local"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(log_in(&door, "anna", "anna-pw").await.status, 401);
    assert_eq!(log_in(&door, "anna", "local").await.status, 200);
    let anna = door.by("anna", "local");
    let got = anna.upload("packages/stable", "acme-tool", "1.0").await;
    assert_eq!(
        got.status,
        403,
        "the directory's groups are not theirs: {}",
        got.text()
    );

    let session = door.log_in("bert", "bert-pw").await;
    let bert = door.by("bert", &session);
    let own = json!({"password": "forever"});
    let refused = bert.ask("PATCH", "/bert", own.clone()).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(
        refused.text().contains("change it there"),
        "{}",
        refused.text()
    );
    let titled = bert.ask("PATCH", "/bert", json!({"title": "B"})).await;
    assert_eq!(titled.status, 200, "{}", titled.text());
    let given = root.ask("PATCH", "/bert", own).await;
    assert_eq!(given.status, 200, "{}", given.text());
    assert_eq!(log_in(&door, "bert", "bert-pw").await.status, 401);
}

#[tokio::test]
async fn a_name_in_another_case_is_nobody_whom_the_directory_knows() {
    let slapd = Slapd::start();
    let yaml = near(&slapd).replace("':team-a'", "':team-a', ':all', Anna, ROOT");
    let program = Program::with_policies(&yaml).start();
    let door = Door::at(program.manage_url());
    let root = door.by("root", "");
    let made = root.ask("PUT", "/anna", json!({"password": "local"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    // The directory takes them for its own anna and root, whatever their case.
    for (user, password) in [
        ("Anna", "anna-pw"),
        ("ANNA", "anna-pw"),
        ("Root", "root-pw"),
        ("ROOT", "root-pw"),
    ] {
        let got = door.by(user, password);
        let got = got.upload("packages/stable", "acme-tool", "1.0").await;
        assert_eq!(got.status, 401, "{user}: {}", got.text());
        let words = "the user or the password is wrong";
        assert!(got.text().contains(words), "{}", got.text());
        assert_eq!(log_in(&door, user, password).await.status, 401, "{user}");
    }
    let bert = |user: &'static str| {
        let bert = door.by(user, "bert-pw");
        async move { bert.upload("packages/stable", "acme-tool", "2.0").await }
    };
    // Whoever has no record yet may come as they like, and is somebody else from then on.
    assert_eq!(log_in(&door, "Bert", "bert-pw").await.status, 200);
    assert_eq!(bert("bert").await.status, 401);
    assert_ne!(bert("Bert").await.status, 401);
}

#[tokio::test]
async fn guesses_in_every_case_are_guesses_at_one_user() {
    let slapd = Slapd::start();
    let program = Program::with_policies(&near(&slapd)).start();
    let door = Door::at(program.manage_url());
    for user in ["bert", "Bert", "bErt", "beRt", "berT", "BERT"] {
        assert_eq!(log_in(&door, user, "guess").await.status, 401, "{user}");
    }
    assert_eq!(log_in(&door, "bERT", "bert-pw").await.status, 429);
}

/// A login from an address of its own, so that no guess makes the next one wait.
async fn log_in_from(program: &Program, number: usize, user: &str, password: &str) -> Got {
    let url = format!("{}+login", program.manage_url());
    let from = format!("192.0.2.{number}");
    let headers = [
        ("x-forwarded-for", &*from),
        ("content-type", "application/json"),
    ];
    let body = json!({ "user": user, "password": password }).to_string();
    Web::new()
        .send(Method::POST, &url, &headers, body.into_bytes())
        .await
}

#[tokio::test]
async fn hostile_names_and_empty_passwords_find_nobody() {
    let slapd = Slapd::start();
    let yaml = format!("trusted_proxies: 127.0.0.1\n{}", near(&slapd));
    let program = Program::with_policies(&yaml).start();
    let long = "a".repeat(100_000);
    let names = [
        "*",
        "*)(uid=*",
        "anna)(objectClass=*",
        "a,b=c",
        "anna,ou=people",
        "anna\0",
        "anna ",
        "\\61nna",
        "",
        &long,
        "ann\u{430}",
        "nobody",
    ];
    let with_name = names.map(|name| (name, "anna-pw"));
    let with_password = [
        ("anna", ""),
        ("anna", "\0"),
        ("bert", "\0bert-pw"),
        ("bert", " "),
    ];
    for (number, (user, password)) in with_name.into_iter().chain(with_password).enumerate() {
        let got = log_in_from(&program, number, user, password).await;
        assert_eq!(got.status, 401, "{user:?} {password:?}: {}", got.text());
        assert!(got.body.len() < 1 << 10, "{}", got.body.len());
    }
    let got = log_in_from(&program, 99, "bert", "bert-pw").await;
    assert_eq!(got.status, 200, "{}", got.text());
}

#[tokio::test]
async fn devpis_own_file_names_the_directory_and_no_block_of_it_is_passed_over() {
    let slapd = Slapd::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devpi.yml");
    let block = format!("devpi-ldap:\n  url: '{}'\n{}", slapd.url(), slapd.block(""));
    std::fs::write(&path, format!("devpi-server:\n  debug: true\n{block}")).unwrap();
    let path: &'static str = path.display().to_string().leak();
    let launch = DevpiServer::with().init(&["--no-root-pypi"]);
    let server = launch.server(&["--configfile", path]).start();
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", server.url()]).succeeds();
    devpi.run(&["login", "anna", "--password", "wrong"]).fails();
    devpi
        .run(&["login", "anna", "--password", "anna-pw"])
        .succeeds();
    let check = |text: &str| {
        std::fs::write(path, text).unwrap();
        let output = command().args(["check", path]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            said + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, said) = check(&format!("devpi-server: {{}}\n{block}"));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check(&format!(
        "devpi-server: {{}}\ndevpi-saml: {{}}\n{block}  colour: red\n"
    ));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("devpi-saml: nothing here acts on this block"),
        "{said}"
    );
    assert!(said.contains("unknown key \"colour\""), "{said}");
    let mut started = command();
    started.args([
        "devpi-server",
        "--port",
        "0",
        "--configfile",
        path,
        "--serverdir",
    ]);
    let output = started.arg(server.serverdir()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("devpi-saml: nothing here acts on this block"),
        "{said}"
    );
}
