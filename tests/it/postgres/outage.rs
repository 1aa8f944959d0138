//! A database that goes away and comes back, and a gateway that is one too many.

use std::thread;

use super::{INDEXES, gateway, in_postgres, listed, readiness, schema, upload};
use crate::support::ask;
use crate::support::{Cluster, Content, FakeIndex, Listed, Project, Setup, command};

const MIRROR: &str = "root/dairy";

fn dairy() -> FakeIndex {
    let file = Listed::new("gouda-1.0.tar.gz", "1.0", Content::noise(4, 1_000));
    Setup::default()
        .project(Project::new("gouda").file(file))
        .start()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_gateway_serves_mirrors_and_refuses_the_rest_until_it_is_back() {
    let dairy = dairy();
    let mirror = format!(
        "  {MIRROR}: {{ type: mirror, mirror_url: \"{}\" }}\n",
        dairy.url()
    );
    let going_on = tokio::task::spawn_blocking(move || goes_away_and_comes_back(&mirror));
    going_on.await.unwrap();
}

fn goes_away_and_comes_back(mirror: &str) {
    let cluster = Cluster::start();
    let yaml = in_postgres(&schema(&cluster), &format!("{INDEXES}{mirror}"));
    let data = tempfile::tempdir().unwrap();
    let gateway = gateway(&yaml, data.path()).start();
    assert_eq!(upload(&gateway, "1.0").status, 200);
    let (page, cold) = (
        format!("{}gouda/", gateway.index_url(MIRROR)),
        format!("{}none/", gateway.index_url(MIRROR)),
    );
    for (kill, files) in [(false, 1), (true, 2)] {
        // From here on the page is in memory.
        assert_eq!(listed(&gateway), files);
        if kill {
            cluster.kill();
        } else {
            cluster.stop();
        }
        let refused = upload(&gateway, "2.0");
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(
            refused.body.contains("the records are not available"),
            "{refused:?}"
        );
        assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
        let login = format!("{}+login", gateway.manage_url());
        let login = ask::send("POST", &login, &[], br#"{"user":"root","password":"x"}"#).unwrap();
        assert_eq!(login.status, 503, "{login:?}");
        let unready = readiness(&gateway);
        assert_eq!(unready.status, 503, "{unready:?}");
        assert!(
            unready.body.contains("the records cannot be"),
            "{unready:?}"
        );
        assert_eq!(ask::get(&page).unwrap().status, 200);
        assert_eq!(listed(&gateway), files);
        assert_eq!(ask::get(&cold).unwrap().status, 404);
        cluster.go_on();
        gateway.wait_until_ready();
        let version = if kill { "3.0" } else { "2.0" };
        assert_eq!(upload(&gateway, version).status, 200);
    }
    assert_eq!(listed(&gateway), 3);
}

#[test]
fn what_was_answered_while_the_database_was_killed_is_there() {
    let cluster = Cluster::start();
    let yaml = in_postgres(&schema(&cluster), INDEXES);
    let data = tempfile::tempdir().unwrap();
    let gateway = gateway(&yaml, data.path()).start();
    let mut answered = 0;
    for round in 0..5 {
        // A request is under way at whatever instant the database goes.
        let counts = thread::scope(|scope| {
            let uploading: Vec<_> = (0..3)
                .map(|client| {
                    let gateway = &gateway;
                    scope.spawn(move || uploads(gateway, &format!("{round}.{client}")))
                })
                .collect();
            while listed_at_least(&gateway) <= answered {
                thread::yield_now();
            }
            cluster.kill();
            let counts = uploading.into_iter().map(|one| one.join().unwrap());
            counts.sum::<usize>()
        });
        cluster.go_on();
        gateway.wait_until_ready();
        let there = listed(&gateway);
        answered += counts;
        assert!(there >= answered, "{there} of {answered} in round {round}");
        // What was cut off between its commit and the answer is there as well.
        answered = there;
    }
}

/// Uploads until one is refused; returns how many were answered 200.
fn uploads(gateway: &crate::support::Program, prefix: &str) -> usize {
    let numbers = (0..).take_while(|number| {
        let answer = upload(gateway, &format!("{prefix}.{number}"));
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        answer.status == 200
    });
    numbers.count()
}

fn listed_at_least(gateway: &crate::support::Program) -> usize {
    let page = format!("{}hello-pkg/", gateway.index_url(super::STAGE));
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let page = ask::send("GET", &page, &accept, b"").unwrap();
    match page.status {
        200 => page.json()["files"].as_array().unwrap().len(),
        _ => 0,
    }
}

#[test]
fn a_second_gateway_on_the_same_records_is_refused_in_words() {
    let cluster = Cluster::shared();
    let yaml = in_postgres(&schema(&cluster), INDEXES);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = gateway(&yaml, folders[0].path()).start();
    let policies = folders[1].path().join("policies.yaml");
    std::fs::write(&policies, &yaml).unwrap();
    let mut second = command();
    second.arg("serve").arg("--policies").arg(&policies);
    second.arg("--data").arg(folders[1].path().join("data"));
    second.args([
        "--public",
        "127.0.0.1:0",
        "--manage",
        "off",
        "--metrics",
        "off",
    ]);
    let second = second.output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("serves from these records"), "{said}");
    assert!(
        said.contains(&folders[0].path().display().to_string()),
        "{said}"
    );
    assert_eq!(upload(&first, "1.0").status, 200);
    assert!(first.stop().success());
    let next = gateway(&yaml, &folders[1].path().join("data")).start();
    assert_eq!(upload(&next, "2.0").status, 200);
}

#[test]
fn a_database_that_cannot_be_reached_at_the_start_is_told_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("policies.yaml");
    let yaml = "records: { postgres: { url_env: DB_URL } }\n";
    std::fs::write(&policies, yaml).unwrap();
    let mut serve = command();
    serve.arg("serve").arg("--policies").arg(&policies);
    serve.arg("--data").arg(folder.path().join("data"));
    serve.env("DB_URL", "postgres://me:hunter2@127.0.0.1:1/records");
    let ended = serve.output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("postgres://me@127.0.0.1:1/records"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}
