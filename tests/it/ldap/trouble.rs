//! A directory that does not answer, or is not who it should be.

use serde_json::Value;

use super::super::support::{Door, Program, Slapd, Web, free_address, other_certificate};
use super::{log_in, near, policies};

#[tokio::test]
async fn a_directory_that_is_down_is_no_wrong_password() {
    let slapd = Slapd::start();
    let program = Program::with_policies(&near(&slapd)).start();
    let door = Door::at(program.manage_url());
    let session = door.log_in("anna", "anna-pw").await;
    slapd.stop();
    for _ in 0..20 {
        let got = log_in(&door, "bert", "guess").await;
        assert_eq!(got.status, 503, "{}", got.text());
        assert!(
            got.text()
                .contains("the directory of users does not answer"),
            "{}",
            got.text()
        );
        assert_eq!(got.header("retry-after"), "6");
    }
    let anna = door.by("anna", &session);
    let refused = super::super::support::soon(super::until(&anna, 503)).await;
    assert!(refused.text().contains("try again"), "{}", refused.text());
    let changed = anna.ask("PUT", "/anna/dev", serde_json::json!({})).await;
    assert_eq!(
        changed.status,
        503,
        "not taken for anonymous: {}",
        changed.text()
    );
    let read = anna.ask("GET", "/packages/stable", Value::Null).await;
    assert_eq!(
        read.status,
        200,
        "who may read is not in question: {}",
        read.text()
    );
    assert_eq!(log_in(&anna, "root", "").await.status, 200);
    let said = program.wait_until_it_says("the directory of users does not answer");
    assert!(said.contains("cannot be reached"), "{said}");
    assert!(!said.contains("uid=") && !said.contains("guess"), "{said}");
    let reachable = "cheesecloth_directory_reachable";
    assert_eq!(program.metric(reachable), Some(0.0));
    slapd.go_on();
    // None of those tries was a guess.
    assert_eq!(log_in(&door, "bert", "bert-pw").await.status, 200);
    let said = program.wait_until_it_says("the directory of users answers again");
    let told = said.matches("the directory of users does not answer");
    assert_eq!(told.count(), 1, "{said}");
    assert_eq!(program.metric(reachable), Some(1.0));
}

#[tokio::test]
async fn passwords_go_to_the_server_with_the_right_certificate_and_to_no_other() {
    let slapd = Slapd::start();
    let folder = tempfile::tempdir().unwrap();
    let own = slapd.certificate().display().to_string();
    let other = other_certificate(folder.path()).display().to_string();
    let encrypted = slapd.encrypted_url();
    let by_address = encrypted.replace("localhost", "127.0.0.1");
    for (place, status) in [
        (
            format!("url: '{encrypted}'\n  tls: {{ ca_certs_file: '{own}' }}"),
            200,
        ),
        (
            format!(
                "url: '{}'\n  tls: {{ start_tls: true, ca_certs_file: '{own}' }}",
                slapd.url()
            ),
            200,
        ),
        (
            format!("url: '{encrypted}'\n  tls: {{ ca_certs_file: '{other}' }}"),
            503,
        ),
        (
            format!(
                "url: '{}'\n  tls: {{ start_tls: true, ca_certs_file: '{other}' }}",
                slapd.url()
            ),
            503,
        ),
        (
            format!("url: '{by_address}'\n  tls: {{ ca_certs_file: '{own}' }}"),
            503,
        ),
        (format!("url: '{encrypted}'"), 503),
        (format!("url: '{encrypted}'\n  tls: {{ validate: 0 }}"), 200),
    ] {
        // The authorities of this system are others.
        let launch = Program::with_policies(&policies(&slapd, &place));
        let program = launch.with("SSL_CERT_FILE", &other).start();
        let got = log_in(&Door::at(program.manage_url()), "anna", "anna-pw").await;
        assert_eq!(got.status, status, "{place}: {}", got.text());
        if status == 503 {
            program.wait_until_it_says("its certificate is not accepted");
        }
    }
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_does_not_answer() {
    let slapd = Slapd::start();
    let pool = format!(
        "server_pool: [{{url: 'ldap://{}'}}, {{url: '{}'}}]",
        free_address(),
        slapd.url()
    );
    let program = Program::with_policies(&policies(&slapd, &pool)).start();
    let door = Door::at(program.manage_url());
    assert_eq!(log_in(&door, "anna", "anna-pw").await.status, 200);
    slapd.stop();
    assert_eq!(log_in(&door, "bert", "bert-pw").await.status, 503);
}

#[tokio::test]
async fn a_search_that_may_not_be_made_is_said_and_nobody_gets_in() {
    let slapd = Slapd::start();
    let near = near(&slapd);
    for (yaml, words) in [
        (
            near.replace("password: searcher-pw", "password: wrong"),
            "let the account log in that searches",
        ),
        (
            near.replace("ou=people,dc", "ou=persons,dc"),
            "look for users",
        ),
    ] {
        let program = Program::with_policies(&yaml).start();
        let got = log_in(&Door::at(program.manage_url()), "anna", "anna-pw").await;
        assert_eq!(got.status, 503, "{words}: {}", got.text());
        program.wait_until_it_says(words);
        let read = Web::new().get(&program.index_url("packages/stable")).await;
        assert_eq!(read.status, 200, "the public door does not care");
    }
}
