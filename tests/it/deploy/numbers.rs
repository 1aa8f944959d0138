//! Prometheus itself reads what it is given: rules, scrape job, and the metrics of a running
//! program.

use std::collections::{BTreeSet, HashMap};
use std::process::{Output, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use super::{declared, expressions, read, root, text_of, yaml};
use crate::support::{Content, Listed, Program, Project, S3, Setup, Web, debian};

fn promtool(arguments: &[&str], input: Stdio) -> Output {
    let mut promtool = debian("promtool", &["prometheus"]);
    promtool
        .args(arguments)
        .current_dir(root().join("deploy/prometheus"));
    promtool.stdin(input).output().unwrap()
}

#[test]
fn prometheus_takes_the_scrape_job_and_the_alerts() {
    // Checking the configuration checks the rules it names as well.
    let checked = promtool(&["check", "config", "scrape.yml"], Stdio::null());
    let said = text_of(&checked);
    assert!(checked.status.success(), "{said}");
    let rules = read("deploy/prometheus/alerts.yml")
        .matches("- alert:")
        .count();
    assert!(rules > 0);
    assert!(said.contains(&format!("{rules} rules found")), "{said}");
}

/// The metrics that damage produces and the alerts that must follow; none without damage.
#[test]
fn damage_is_told_by_an_alert_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let damage =
        |kind: &str| format!("cheesecloth_store_damage_total{{instance=\"here\",kind=\"{kind}\"}}");
    let files = "cheesecloth_store_damaged_files{instance=\"here\"}";
    let alert = |name: &str, found: Value| json!({ "eval_time": "5m", "alertname": name, "exp_alerts": found });
    let series = |name: &str, values: &str| json!({ "series": name, "values": values });
    let rules = yaml("deploy/prometheus/alerts.yml");
    let expected = |name: &str, labels: Value, value: &str| -> Value {
        let rules = rules[0]["groups"][0]["rules"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["alert"] == name).unwrap();
        let mut told = labels;
        told["severity"] = rule["labels"]["severity"].clone();
        told["instance"] = "here".into();
        let kind = told["kind"].as_str().unwrap_or_default().to_owned();
        let text = |key: &str| {
            let text = rule["annotations"][key].as_str().unwrap();
            let text = text.replace("{{ $value }}", value);
            let text = text.replace("{{ $labels.instance }}", "here");
            text.replace("{{ $labels.kind }}", &kind)
        };
        json!([{
            "exp_labels": told,
            "exp_annotations": { "summary": text("summary"), "description": text("description") },
        }])
    };
    let files_damaged = expected("CheeseclothFilesDamaged", json!({}), "2");
    let disk_damages = expected("CheeseclothDiskDamages", json!({ "kind": "copy" }), "");
    let test = json!({
        "rule_files": [root().join("deploy/prometheus/alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [series(&damage("mirror"), "0x5"), series(&damage("copy"), "0x5"), series(files, "0x5")],
                "alert_rule_test": [
                    alert("CheeseclothFilesDamaged", json!([])),
                    alert("CheeseclothDiskDamages", json!([])),
                ],
            },
            {
                "interval": "1m",
                "input_series": [series(&damage("mirror"), "0x5"), series(&damage("copy"), "0 0 1x3"), series(files, "0 0 2x3")],
                "alert_rule_test": [
                    alert("CheeseclothFilesDamaged", files_damaged),
                    alert("CheeseclothDiskDamages", disk_damages),
                ],
            },
        ],
    });
    let path = folder.path().join("test.yml");
    std::fs::write(&path, test.to_string()).unwrap();
    let tested = promtool(&["test", "rules", path.to_str().unwrap()], Stdio::null());
    assert!(tested.status.success(), "{}", text_of(&tested));
}

/// One round of requests: every kind of answer that a panel shows.
async fn people_come(program: &Program) {
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
    // A page that lacks an optional mirror.
    let partial = format!("{}sieve/", program.index_url("shop/part"));
    assert_eq!(web.get(&partial).await.status, 200);
    // A client that exceeds a limit.
    let long = "x".repeat(8 << 10);
    let refused = web
        .get_with(program.public_url(), &[("x-long", &long)])
        .await;
    assert_eq!(refused.status, 431);
    // And a request that only a devpi-server could answer.
    let passed = format!("{}other/index/", program.public_url());
    assert_eq!(web.get(&passed).await.status, 503);
}

/// A program, and its metrics at the start and after each of two rounds.
async fn scraped() -> (Program, Vec<String>) {
    let file = Listed::new("sieve-1.0.tar.gz", "1.0", Content::noise(3, 2000));
    let index = Setup::default()
        .project(Project::new("sieve").wheel("1.0").file(file))
        .start();
    let s3 = S3::start();
    let policies = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\", mirror_cache_expiry: 0s }}\n  \
         root/gone: {{ type: mirror, mirror_url: \"http://127.0.0.1:1/simple/\", optional: true }}\n  \
         shop/all: {{ bases: [root/dairy], policy: house }}\n  \
         shop/part: {{ bases: [root/dairy, root/gone] }}\n\
         policies: {{ house: {{ on_block: yank, rules: [{{ deny: {{ kind: [sdist] }} }}] }} }}\n\
         limits: {{ head: 4KiB }}\n\
         advisories: [{{ url: 'http://127.0.0.1:1/PyPI/all.zip' }}]\n\
         notify: [{{ url: 'http://127.0.0.1:1/', secret_env: HOOK_SECRET }}]\n\
         depot: {{ s3: {} }}\n\
         devpi: {{ servers: [\"http://127.0.0.1:1\"] }}\n",
        index.url(),
        s3.place("numbers")
    );
    let program = Program::with_policies(&policies)
        .with("AWS_ACCESS_KEY_ID", "test")
        .with("AWS_SECRET_ACCESS_KEY", "test");
    let program = program.with("HOOK_SECRET", "of sixteen bytes").start();
    let mut pages = vec![program.metrics()];
    for round in 1..=2 {
        people_come(&program).await;
        // Requests are counted once their answers are out: five of each round are, the sixth broke
        // a limit.
        let counted = |total: f64| total >= 5.0 * f64::from(round);
        program.wait_for_metric("cheesecloth_http_requests_total", counted);
        pages.push(program.metrics());
    }
    (program, pages)
}

#[tokio::test]
async fn every_number_that_is_asked_for_is_there_once_people_came() {
    let (_program, pages) = scraped().await;
    let metrics = pages.last().unwrap();
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
    std::fs::write(page.path(), metrics).unwrap();
    let checked = promtool(&["check", "metrics"], page.reopen().unwrap().into());
    assert!(checked.status.success(), "{}", text_of(&checked));
    assert_eq!(text_of(&checked), "");
}

/// The labels of every metric on a page.
fn labels_of(metrics: &str) -> HashMap<&str, BTreeSet<&str>> {
    let label = Regex::new(r#"(\w+)="(?:[^"\\]|\\.)*""#).unwrap();
    let mut labels: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let here = labels.entry(name).or_default();
        here.extend(
            label
                .captures_iter(rest)
                .map(|found| found.get(1).unwrap().as_str()),
        );
    }
    labels
}

#[tokio::test]
async fn every_expression_asks_a_number_for_labels_that_it_has() {
    let (_program, pages) = scraped().await;
    let labels = labels_of(pages.last().unwrap());
    let selector = Regex::new(r"(cheesecloth_\w+)(?:\{([^}]*)\})?").unwrap();
    let matched = Regex::new(r#"(\w+)=~?"#).unwrap();
    let grouped = Regex::new(r"by \(([^)]*)\)").unwrap();
    let mut wrong = Vec::new();
    for expression in expressions() {
        let mut known: BTreeSet<&str> = ["job", "instance"].into();
        for found in selector.captures_iter(&expression) {
            let of_this = labels.get(&found[1]).cloned().unwrap_or_default();
            for label in matched.captures_iter(found.get(2).map_or("", |list| list.as_str())) {
                if !of_this.contains(&label[1]) && !["job", "instance"].contains(&&label[1]) {
                    wrong.push(format!(
                        "{} has no {} in {expression}",
                        &found[1], &label[1]
                    ));
                }
            }
            known.extend(of_this);
        }
        for list in grouped.captures_iter(&expression) {
            let unknown = list[1].split(", ").filter(|label| !known.contains(label));
            wrong.extend(unknown.map(|label| format!("{label} in {expression}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Panels about trouble that nobody had.
const QUIET: [&str; 11] = [
    "Fills now",
    "Up",
    "Under way",
    "Left alone",
    "Lines lost",
    "Waiting",
    // Verification begins some time after the start.
    "Files compared with their digests",
    // The source of its feed is away here.
    "Advisories",
    // Nobody listens where its events would go.
    "Webhooks",
    // Hardly a second old.
    "Oldest in the journal",
    "Journal",
];

/// Prometheus evaluates every panel over three scrapes of the program: each has something to show,
/// and more than zero unless it is about trouble. For each there is an alert on its absence, which
/// must not fire.
#[tokio::test]
async fn every_panel_shows_something_once_people_came() {
    let (_program, pages) = scraped().await;
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboard.json")).unwrap();
    let (mut rules, mut silent) = (Vec::new(), Vec::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let expression = [
                ("$job", ".+"),
                ("$instance", ".+"),
                ("$__rate_interval", "5m"),
                ("$__range", "10m"),
            ]
            .iter()
            .fold(expression.to_owned(), |text, (from, to)| {
                text.replace(from, to)
            });
            let more = if QUIET.contains(&title) { "" } else { " > 0" };
            let name = format!("{title} {}", rules.len());
            rules.push(json!({ "alert": name, "expr": format!("absent(({expression}){more})") }));
            silent.push(json!({ "eval_time": "4m", "alertname": name, "exp_alerts": [] }));
        }
    }
    assert!(rules.len() > 20, "{rules:?}");
    let series = series(&pages);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        // JSON is YAML.
        std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    };
    write(
        "rules.yml",
        &json!({ "groups": [{ "name": "panels", "rules": rules }] }),
    );
    write(
        "test.yml",
        &json!({
            "rule_files": ["rules.yml"],
            "evaluation_interval": "1m",
            "tests": [{ "interval": "1m", "input_series": series, "alert_rule_test": silent }],
        }),
    );
    let test = folder.path().join("test.yml");
    let tested = promtool(&["test", "rules", test.to_str().unwrap()], Stdio::null());
    assert!(
        tested.status.success(),
        "empty panels: {}",
        text_of(&tested)
    );
}

/// The samples of three scrapes, a minute apart, followed by constant values, in promtool's
/// notation.
fn series(pages: &[String]) -> Vec<Value> {
    let samples = |page: &str| -> HashMap<String, String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let pages: Vec<_> = pages.iter().map(|page| samples(page)).collect();
    let names: BTreeSet<&String> = pages.iter().flat_map(HashMap::keys).collect();
    let of_scrape = r#"job="cheesecloth",instance="here""#;
    let one = |name: &&String| {
        let values = pages
            .iter()
            .map(|page| page.get(*name).map_or("_", String::as_str));
        let values: Vec<&str> = values.collect();
        let last = values[values.len() - 1];
        let name = match name.split_once('{') {
            Some((name, labels)) => format!("{name}{{{of_scrape},{labels}"),
            None => format!("{name}{{{of_scrape}}}"),
        };
        json!({ "series": name, "values": format!("{} {last} {last}", values.join(" ")) })
    };
    names.iter().map(one).collect()
}
