//! Mirrors that answer 403 for what they do not have: a bucket that may not be listed never answers
//! 404. Such a mirror must not break the stack that it stands first in, and a real refusal must not
//! let a name through to the next mirror.

use cheesecloth::testing::clock::Clock;
use serde_json::Value;

use super::support::{Client, FakeIndex, Fault, House, Program, Project, Setup, Tool};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// An index that answers 403 for every project but its own.
fn bucket() -> FakeIndex {
    let bucket = Setup::default()
        .html_only()
        .project(Project::new("curd").wheel("1.0"))
        .start();
    bucket.misbehave("/simple/", Fault::new().status(403).body("AccessDenied"));
    bucket.misbehave("/simple/curd/", Fault::new());
    bucket
}

/// The same, with a project list that may be read.
fn listed_bucket() -> FakeIndex {
    let bucket = bucket();
    for name in ["sieve", "whey", "rennet"] {
        let refusal = Fault::new().status(403).body("AccessDenied");
        bucket.misbehave(&format!("/simple/{name}/"), refusal);
    }
    bucket.misbehave("/simple/", Fault::new());
    bucket
}

fn dairy() -> FakeIndex {
    let project = |name| Project::new(name).wheel("2.0");
    Setup::default()
        .project(project("sieve"))
        .project(project("curd"))
        .start()
}

fn policies(bucket: &FakeIndex, more: &str, dairy: &FakeIndex) -> String {
    format!(
        "indexes:\n  root/bucket: {{ type: mirror, mirror_url: \"{}\"{more} }}\n  \
         root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n  \
         shop/all: {{ bases: [root/bucket, root/dairy] }}\n",
        bucket.url(),
        dairy.url(),
    )
}

async fn house(bucket: &FakeIndex, more: &str, dairy: &FakeIndex) -> House {
    let clock = Clock::fixed("2026-01-05T00:00:00Z".parse().unwrap());
    House::online(&policies(bucket, more, dairy), &clock).await
}

/// The files on a project's page, or the status and text of its refusal.
async fn files(house: &House, project: &str) -> Result<Vec<String>, (u16, String)> {
    let path = format!("/shop/all/+simple/{project}/");
    let got = house.get(&path, &[("accept", JSON)]).await;
    if got.status != 200 {
        return Err((got.status, got.text()));
    }
    let page: Value = serde_json::from_slice(&got.body).unwrap();
    let files = page["files"].as_array().unwrap().iter();
    let name = |file: &Value| file["filename"].as_str().unwrap().to_owned();
    Ok(files.map(name).collect())
}

#[tokio::test]
async fn what_is_refused_and_not_on_the_upstreams_own_list_is_absent() {
    let (bucket, dairy) = (listed_bucket(), dairy());
    let house = house(&bucket, "", &dairy).await;
    assert_eq!(
        files(&house, "sieve").await.unwrap(),
        ["sieve-2.0-py3-none-any.whl"]
    );
    assert_eq!(
        files(&house, "curd").await.unwrap(),
        ["curd-1.0-py3-none-any.whl", "curd-2.0-py3-none-any.whl"]
    );
    for name in ["whey", "rennet"] {
        assert_eq!(files(&house, name).await.unwrap_err().0, 404);
    }
    // One fetch of the list settles all of them.
    let asked = bucket.journal().all("/simple/");
    let lists = asked.iter().filter(|seen| seen.path == "/simple/").count();
    assert_eq!(lists, 1);
}

#[tokio::test]
async fn what_is_refused_although_it_is_listed_stays_a_refusal() {
    let (bucket, dairy) = (listed_bucket(), dairy());
    bucket.change(|setup| setup.project(Project::new("sieve")));
    let house = house(&bucket, "", &dairy).await;
    let (status, words) = files(&house, "sieve").await.unwrap_err();
    assert_eq!(status, 502);
    assert!(words.contains("its project list has the name"), "{words}");
}

#[tokio::test]
async fn where_no_list_can_be_had_the_operator_says_what_a_refusal_means() {
    let unlisted = bucket();
    let dairy = dairy();
    for more in [
        "",
        ", mirror_no_project_list: true",
        ", absent_statuses: [404, 451]",
    ] {
        let house = house(&unlisted, more, &dairy).await;
        let (status, words) = files(&house, "sieve").await.unwrap_err();
        assert_eq!(status, 502, "{more}");
        assert!(words.contains("absent_statuses: [403]"), "{more}: {words}");
    }
    let told = house(&unlisted, ", absent_statuses: [403]", &dairy).await;
    assert_eq!(
        files(&told, "sieve").await.unwrap(),
        ["sieve-2.0-py3-none-any.whl"]
    );
    assert_eq!(files(&told, "whey").await.unwrap_err().0, 404);
    // Other statuses are still refusals.
    unlisted.misbehave("/simple/sieve/", Fault::new().status(451));
    let other = house(&unlisted, ", absent_statuses: [403]", &dairy).await;
    assert_eq!(files(&other, "sieve").await.unwrap_err().0, 502);
}

#[tokio::test]
async fn a_list_that_is_a_login_page_or_empty_decides_nothing() {
    for body in [
        "<title>Sign in</title><input type=password>",
        "<html><body></body></html>",
    ] {
        let (bucket, dairy) = (listed_bucket(), dairy());
        let list = Fault::new()
            .status(200)
            .header("content-type", "text/html")
            .body(body);
        bucket.misbehave("/simple/", list);
        let house = house(&bucket, "", &dairy).await;
        assert_eq!(files(&house, "sieve").await.unwrap_err().0, 502, "{body}");
    }
}

#[test]
fn pip_and_uv_install_through_a_stack_whose_first_mirror_refuses_what_it_lacks() {
    for (bucket, more) in [
        (listed_bucket(), ""),
        (bucket(), ", absent_statuses: [403]"),
    ] {
        let dairy = dairy();
        for tool in [Tool::Pip, Tool::Uv] {
            let shop = Program::with_policies(&policies(&bucket, more, &dairy)).start();
            let client = Client::fresh(tool);
            client
                .install(&shop.index_url("shop/all"), &["sieve", "curd"])
                .succeeds();
            for module in ["sieve-2.0.dist-info", "curd-2.0.dist-info"] {
                assert!(
                    client.folder().join("out").join(module).is_dir(),
                    "{module}"
                );
            }
        }
    }
}
