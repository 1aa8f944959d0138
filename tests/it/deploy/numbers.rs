//! Prometheus itself reads what it is given: rules, scrape job, and the numbers of a running program.

use std::process::{Output, Stdio};

use super::{declared, expressions, read, root, text_of};
use crate::support::{Content, Listed, Program, Project, Setup, Web, debian};

fn promtool(arguments: &[&str], input: Stdio) -> Output {
    let mut promtool = debian("promtool", &["prometheus"]);
    promtool
        .args(arguments)
        .current_dir(root().join("deploy/prometheus"));
    promtool.stdin(input).output().unwrap()
}

#[test]
fn prometheus_takes_the_scrape_job_and_the_alerts() {
    // The rules are read through the configuration that names them.
    let checked = promtool(&["check", "config", "scrape.yml"], Stdio::null());
    let said = text_of(&checked);
    assert!(checked.status.success(), "{said}");
    let rules = read("deploy/prometheus/alerts.yml")
        .matches("- alert:")
        .count();
    assert!(rules > 0);
    assert!(said.contains(&format!("{rules} rules found")), "{said}");
}

#[tokio::test]
async fn every_number_that_is_asked_for_is_there_once_people_came() {
    let file = Listed::new("sieve-1.0.tar.gz", "1.0", Content::noise(3, 2000));
    let index = Setup::default()
        .project(Project::new("sieve").wheel("1.0").file(file))
        .start();
    let policies = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n  \
         shop/all: {{ bases: [root/dairy], policy: house }}\n\
         policies: {{ house: {{ on_block: yank, rules: [{{ deny: {{ kind: [sdist] }} }}] }} }}\n\
         limits: {{ head: 4KiB }}\n\
         devpi: {{ servers: [\"http://127.0.0.1:1\"] }}\n",
        index.url()
    );
    let program = Program::with_policies(&policies).start();
    let web = Web::new();
    let page = web
        .page(&format!("{}sieve/", program.index_url("shop/all")))
        .await;
    for (name, status) in [
        ("sieve-1.0-py3-none-any.whl", 200),
        ("sieve-1.0.tar.gz", 403),
    ] {
        assert_eq!(web.get(&page.url_of(name)).await.status, status, "{name}");
    }
    // A client that breaks a limit: refusals are counted from the first on.
    let long = "x".repeat(8 << 10);
    let refused = web
        .get_with(program.public_url(), &[("x-long", &long)])
        .await;
    assert_eq!(refused.status, 431);

    // And one that only a devpi-server could answer.
    let passed = format!("{}other/index/", program.public_url());
    assert_eq!(web.get(&passed).await.status, 503);

    let metrics = program.metrics();
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let there: Vec<&str> = samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let (names, _) = declared();
    let asked = expressions().join("\n");
    let missing = names.iter().filter(|name| asked.contains(name.as_str()));
    let missing: Vec<_> = missing
        .filter(|name| !there.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are not in\n{metrics}");

    let page = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(page.path(), &metrics).unwrap();
    let checked = promtool(&["check", "metrics"], page.reopen().unwrap().into());
    assert!(checked.status.success(), "{}", text_of(&checked));
    assert_eq!(text_of(&checked), "");
}
