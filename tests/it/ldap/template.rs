//! Users whose entries are named by a template: whether they are still there is asked all the same.

use serde_json::json;

use super::super::support::{Door, Program, SEARCHER, Slapd, soon};
use super::{log_in, token};

fn policies(slapd: &Slapd, searcher: Option<&str>) -> String {
    format!(
        "indexes: {{ packages/stable: {{ bases: [], acl_upload: [anna] }} }}\n\
         manage:\n ldap:\n  url: '{}'\n{}",
        slapd.url(),
        slapd.template(searcher)
    )
}

/// The status of a change that anna may make as long as she is there.
async fn change(door: &Door, secret: &str, title: &str) -> u16 {
    let anna = door.by("anna", secret);
    let changed = anna.ask("PATCH", "/anna", json!({ "title": title }));
    changed.await.status
}

#[tokio::test]
async fn a_user_who_is_removed_there_has_no_login_and_no_token_here() {
    for (slapd, searcher) in [
        (Slapd::start(), Some(SEARCHER)),
        // Nobody in particular is asked as, and everybody may look.
        (Slapd::open(), None),
    ] {
        let data = tempfile::tempdir().unwrap();
        let program = Program::with_policies(&policies(&slapd, searcher))
            .data(data.path())
            .start();
        let door = Door::at(program.manage_url());
        let session = door.log_in("anna", "anna-pw").await;
        let token = token(data.path());
        let anna = door.by("anna", &token);
        let got = anna.upload("packages/stable", "acme-tool", "1.0").await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(change(&door, &session, "A").await, 200);
        slapd.remove("anna").await;
        soon(super::until(&door.by("anna", &token), 401)).await;
        assert_ne!(change(&door, &session, "B").await, 200);
        assert_eq!(log_in(&door, "anna", "anna-pw").await.status, 401);
        assert_eq!(log_in(&door, "bert", "bert-pw").await.status, 200);
    }
}

#[tokio::test]
async fn a_directory_that_lets_nobody_look_ends_no_login_and_it_is_said() {
    let slapd = Slapd::start();
    let program = Program::with_policies(&policies(&slapd, None)).start();
    program.wait_until_it_says("user_template without an account that searches");
    let door = Door::at(program.manage_url());
    let session = door.log_in("anna", "anna-pw").await;
    slapd.remove("anna").await;
    // Until it has been asked since.
    soon(async {
        while !program
            .stderr()
            .contains("does not let us see whether a user")
        {
            assert_eq!(change(&door, &session, "A").await, 200);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(change(&door, &session, "B").await, 200);
}
