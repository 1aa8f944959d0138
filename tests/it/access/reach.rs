//! What a mirror created through the API may reach, and what no mirror may.

use serde_json::{Value, json};

use super::super::support::{
    Content, Door, FakeIndex, Listed, Program, Project, Setup, Web, command,
};

const LISTED: &str = "manage: { mirrors_to: [127.0.0.0/8] }\n";

/// Creates or changes `root/mirror`; returns the status and message.
async fn mirror(door: &Door, method: &str, url: &str) -> (u16, String) {
    let keys = json!({"type": "mirror", "mirror_url": url});
    let got = door.ask(method, "/root/mirror", keys).await;
    (got.status, got.text())
}

#[tokio::test]
async fn through_the_api_a_mirror_is_of_the_world_unless_the_operator_lists_more() {
    let index = Setup::default()
        .project(Project::new("six").wheel("1.0"))
        .start();
    let program = Program::without_policies()
        .mirroring(index.url().as_str())
        .start();
    let root = Door::at(program.manage_url()).by("root", "");
    let local = index.url().to_string();
    for url in [
        &*local,
        &local.replace("127.0.0.1", "localhost"),
        &local.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
        "http://10.0.0.7/simple/",
        "http://169.254.169.254/latest/",
    ] {
        let (status, words) = mirror(&root, "PUT", url).await;
        assert_eq!(status, 403, "{url}: {words}");
        assert!(words.contains("manage.mirrors_to"), "{words}");
    }
    let (status, words) = mirror(&root, "PUT", "https://upstream.example/simple/").await;
    assert_eq!(status, 200, "{words}");
    let (status, words) = mirror(&root, "PATCH", &local).await;
    assert_eq!(status, 403, "{words}");
    assert!(index.journal().count("/simple/") == 0, "it was asked");
    // The mirror from the operator's own configuration is reached at the same address.
    let page = format!("{}six/", program.index_url("root/pypi"));
    assert_eq!(Web::new().get(&page).await.status, 200);
}

#[tokio::test]
async fn what_the_operator_lists_is_mirrored_and_the_link_never() {
    let index = Setup::default()
        .project(Project::new("six").wheel("1.0"))
        .start();
    let anywhere = "manage: { mirrors_to: [0.0.0.0/0] }\n";
    let program = Program::with_policies(anywhere)
        .mirroring(index.url().as_str())
        .start();
    let root = Door::at(program.manage_url()).by("root", "");
    let (status, words) = mirror(&root, "PUT", index.url().as_str()).await;
    assert_eq!(status, 200, "{words}");
    let page = format!("{}six/", program.index_url("root/mirror"));
    assert_eq!(Web::new().get(&page).await.status, 200);
    let (status, words) = mirror(&root, "PATCH", "http://169.254.169.254/").await;
    assert_eq!(status, 403, "{words}");
}

/// An index that redirects one project page, and all its files, to `to`.
fn trap(to: &str) -> FakeIndex {
    let link = Listed::new("bait-1.0.tar.gz", "1.0", Content::noise(1, 100));
    Setup::default()
        .project(Project::new("bait").file(link))
        .redirect("/simple/led/", to)
        .redirect("/files/", to)
        .start()
}

#[tokio::test]
async fn no_page_and_no_redirect_leads_to_the_gateways_own_doors() {
    let nothing = Setup::default().start();
    let yaml = "indexes: { root/declared: { type: mirror, mirror_url: 'http://127.0.0.1:1/' } }\n";
    let program = Program::with_policies(&format!("{LISTED}{yaml}"))
        .mirroring(nothing.url().as_str())
        .start();
    let metrics = format!("{}metrics", program.metrics_url());
    let trap = trap(&metrics);
    let declared = format!(
        "root/declared: {{ type: mirror, mirror_url: '{}' }}",
        trap.url()
    );
    program.write_policies(&format!("{LISTED}indexes: {{ {declared} }}\n"));
    let root = Door::at(program.manage_url()).by("root", "");
    let reloaded = root.ask("POST", "/+reload", Value::Null).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    let (status, words) = mirror(&root, "PUT", trap.url().as_str()).await;
    assert_eq!(status, 200, "{words}");
    for index in ["root/declared", "root/mirror"] {
        let url = program.index_url(index);
        let led = Web::new().get(&format!("{url}led/")).await;
        assert_eq!(led.status, 502, "{index}: {}", led.text());
        assert!(led.text().contains("this gateway itself"), "{}", led.text());
        let page = Web::new().page(&format!("{url}bait/")).await;
        let file = Web::new().get(&page.url_of("bait-1.0.tar.gz")).await;
        assert_eq!(file.status, 502, "{index}: {}", file.text());
        assert!(!file.text().contains("cheesecloth_build_info"));
    }
}

#[tokio::test]
async fn a_mirror_in_the_records_is_not_asked_once_nobody_lists_it() {
    let index = Setup::default()
        .project(Project::new("six").wheel("1.0"))
        .start();
    let data = tempfile::tempdir().unwrap();
    let program = Program::with_policies(LISTED)
        .mirroring(index.url().as_str())
        .data(data.path())
        .start();
    let root = Door::at(program.manage_url()).by("root", "");
    let (status, words) = mirror(&root, "PUT", index.url().as_str()).await;
    assert_eq!(status, 200, "{words}");
    assert!(program.stop().success());
    let program = Program::without_policies()
        .mirroring("https://upstream.example/simple/")
        .data(data.path())
        .start();
    program.wait_until_it_says("mirror root/mirror is not asked");
    let page = format!("{}six/", program.index_url("root/mirror"));
    let got = Web::new().get(&page).await;
    assert_eq!(got.status, 502, "{}", got.text());
    assert!(got.text().contains("manage.mirrors_to"), "{}", got.text());
    assert!(index.journal().count("/simple/") == 0, "it was asked");
}

#[test]
fn a_file_that_declares_a_mirror_at_the_link_is_at_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yaml");
    let yaml = "indexes: { root/link: { type: mirror, mirror_url: 'http://169.254.169.254/' } }\n";
    std::fs::write(&path, yaml).unwrap();
    let mut serve = command();
    serve.args([
        "serve",
        "--public",
        "127.0.0.1:0",
        "--manage",
        "off",
        "--metrics",
        "off",
    ]);
    serve.arg("--policies").arg(&path);
    let ended = serve.current_dir(folder.path()).output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("169.254.169.254"), "{said}");
}
