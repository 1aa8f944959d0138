//! What is in `deploy/` fits the program: command lines, metrics, images and units are read here
//! and compared with it. `running` starts what runs without a container engine or systemd.

mod folder;
mod load;
mod managed;
mod numbers;
mod running;
mod upgrade;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use regex::Regex;
use serde_json::Value;

use self::folder::{instruction, read, root, strings, words, yaml};
use super::support::{command, debian};

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The value of `key=value` or `key = value` in a unit or a supervisor file.
fn setting(text: &str, key: &str) -> String {
    let values = text.lines().filter_map(|line| line.strip_prefix(key));
    let mut values = values.filter_map(|rest| rest.trim_start().strip_prefix('='));
    values
        .next()
        .unwrap_or_else(|| panic!("no {key}"))
        .to_owned()
}

/// Every command line that starts the program, with the file it is in.
fn command_lines() -> Vec<(&'static str, Vec<String>)> {
    let unit = "deploy/systemd/cheesecloth.service";
    let supervisor = "deploy/supervisor/cheesecloth.conf";
    let image = instruction(&read("deploy/Dockerfile"), "ENTRYPOINT ");
    let mut found = vec![
        (unit, words(&setting(&read(unit), "ExecStart"))),
        (supervisor, words(&setting(&read(supervisor), "command"))),
        ("deploy/Dockerfile", image.clone()),
    ];
    for file in [
        "deploy/docker-compose.yml",
        "deploy/docker-compose.devpi.yml",
    ] {
        let added = strings(&yaml(file)[0]["services"]["cheesecloth"]["command"]);
        found.push((file, [image.clone(), added].concat()));
    }
    let pods = "deploy/kubernetes/cheesecloth.yaml";
    let set = yaml(pods)
        .into_iter()
        .find(|object| object["kind"] == "StatefulSet")
        .unwrap();
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    found.push((pods, [image, strings(&container["args"])].concat()));
    found
}

#[test]
fn the_program_understands_every_command_line() {
    for (file, line) in command_lines() {
        assert!(line[0].ends_with("/cheesecloth"), "{file}: {line:?}");
        let run = |more: &[&str]| command().args(&line[1..]).args(more).output().unwrap();
        let understood = run(&["--help"]);
        assert!(
            understood.status.success(),
            "{file}: {}",
            text_of(&understood)
        );
        let refused = run(&["--threads", "4", "--help"]);
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{file}: {}",
            text_of(&refused)
        );
    }
}

#[test]
fn every_configuration_has_no_faults() {
    let files = [
        "deploy/container.yaml",
        "deploy/before-devpi.yaml",
        "deploy/debian/cheesecloth.yaml",
        "deploy/kubernetes/policies.yaml",
    ];
    for file in files {
        let checked = command()
            .arg("check")
            .arg(root().join(file))
            .output()
            .unwrap();
        assert!(checked.status.success(), "{file}: {}", text_of(&checked));
    }
}

#[test]
fn a_config_map_as_kubernetes_mounts_it_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let dated = folder.path().join("..2026_01_01");
    fs::create_dir(&dated).unwrap();
    fs::write(
        dated.join("policies.yaml"),
        read("deploy/kubernetes/policies.yaml"),
    )
    .unwrap();
    std::os::unix::fs::symlink("..2026_01_01", folder.path().join("..data")).unwrap();
    let link = folder.path().join("policies.yaml");
    std::os::unix::fs::symlink("..data/policies.yaml", link).unwrap();
    let checked = command().arg("check").arg(folder.path()).output().unwrap();
    assert!(checked.status.success(), "{}", text_of(&checked));
}

#[test]
fn what_compose_names_is_there() {
    for file in [
        "deploy/docker-compose.yml",
        "deploy/docker-compose.devpi.yml",
    ] {
        let compose = &yaml(file)[0];
        let services = compose["services"].as_object().unwrap();
        for (name, service) in services {
            let build = &service["build"];
            let dockerfile = build["dockerfile"].as_str().unwrap();
            let stages = read(dockerfile);
            if let Some(target) = build["target"].as_str() {
                assert!(
                    stages.contains(&format!(" AS {target}\n")),
                    "{file} {name}: {target}"
                );
            }
            for volume in service["volumes"].as_array().into_iter().flatten() {
                let source = volume.as_str().unwrap().split(':').next().unwrap();
                let is_there = match source.strip_prefix('.') {
                    Some(_) => root().join("deploy").join(source).exists(),
                    None => compose["volumes"].as_object().unwrap().contains_key(source),
                };
                assert!(is_there, "{file} {name}: {volume}");
            }
        }
        let gateway = &services["cheesecloth"];
        assert_eq!(gateway["read_only"], true, "{file}");
        assert_eq!(strings(&gateway["cap_drop"]), ["ALL"], "{file}");
    }
}

#[test]
fn the_image_is_built_by_our_compiler_and_runs_without_root() {
    let dockerfile = read("deploy/Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let ours = Regex::new(r#"channel = "(\d+\.\d+)"#).unwrap();
    let theirs = Regex::new(r"FROM rust:(\d+\.\d+)-").unwrap();
    let ours = &ours.captures(&toolchain).unwrap()[1];
    let theirs: Vec<_> = theirs
        .captures_iter(&dockerfile)
        .map(|one| one[1].to_owned())
        .collect();
    assert_eq!(theirs, [ours]);

    let gateway = dockerfile.split(" AS gateway\n").nth(1).unwrap();
    let gateway = gateway.split("\nFROM ").next().unwrap();
    for needed in [
        "\nUSER 10001\n",
        "\nHEALTHCHECK ",
        "\nVOLUME ",
        "\nSTOPSIGNAL SIGTERM\n",
    ] {
        assert!(gateway.contains(needed), "no {needed:?}");
    }
    for copied in dockerfile
        .lines()
        .filter(|line| line.starts_with("COPY deploy/"))
    {
        let path = copied.split_whitespace().nth(1).unwrap();
        assert!(root().join(path).exists(), "{path} is copied");
    }
    // Where the program looks for the index URL that pip reported (src/config/discover.rs).
    let remembered = read("src/config/discover.rs");
    assert!(remembered.contains("REMEMBERED: &str = \"upstream-url\";"));
    assert_eq!(
        dockerfile
            .matches(" /var/lib/cheesecloth/upstream-url\n")
            .count(),
        1
    );
}

/// The names of all metrics and of all labels, from their declarations.
fn declared() -> (BTreeSet<String>, BTreeSet<String>) {
    let source = &read("src/telemetry/declared.rs");
    let declaration =
        Regex::new(r#"new\.(counter|counters|gauge|gauges|histograms)\(\s*"(\w+)""#).unwrap();
    let mut names = BTreeSet::new();
    for found in declaration.captures_iter(source) {
        let name = format!("cheesecloth_{}", &found[2]);
        if &found[1] == "histograms" {
            names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
        } else {
            names.insert(name);
        }
    }
    let list = Regex::new(r"&\[([^\]]*)\]").unwrap();
    let word = Regex::new(r#""(\w+)""#).unwrap();
    let lists = list.captures_iter(source).map(|list| list[1].to_owned());
    let labels = lists.flat_map(|list| {
        let words = word.captures_iter(&list).map(|word| word[1].to_owned());
        words.collect::<Vec<_>>()
    });
    let of_prometheus = ["le", "job", "instance"].map(str::to_owned);
    (names, labels.chain(of_prometheus).collect())
}

/// Every PromQL expression of the alerts and the dashboard.
fn expressions() -> Vec<String> {
    let mut found = Vec::new();
    let alerts = yaml("deploy/prometheus/alerts.yml");
    for group in alerts[0]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            found.push(rule["expr"].as_str().unwrap().to_owned());
            assert!(rule["annotations"]["summary"].is_string(), "{rule}");
            assert!(rule["labels"]["severity"].is_string(), "{rule}");
        }
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboard.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn alerts_and_dashboard_ask_for_what_the_program_counts() {
    let (names, labels) = declared();
    assert!(
        names.len() > 12 && labels.len() > 12,
        "{names:?} {labels:?}"
    );
    let files = ["telemetry/label.rs", "exchange/reply.rs", "model/door.rs"];
    let label_words = files.map(|file| read(&format!("src/{file}"))).concat();
    let name = Regex::new(r"cheesecloth_\w+").unwrap();
    let grouped = Regex::new(r"by \(([^)]*)\)").unwrap();
    let matched = Regex::new(r#"(\w+)=~?"([^"]*)""#).unwrap();
    let mut wrong = Vec::new();
    let mut asked = BTreeSet::new();
    for expression in expressions() {
        asked.extend(
            name.find_iter(&expression)
                .map(|found| found.as_str().to_owned()),
        );
        let mut known = |label: &str| {
            if !labels.contains(label) {
                wrong.push(format!("label {label} in {expression}"));
            }
        };
        for list in grouped.captures_iter(&expression) {
            list[1].split(", ").for_each(&mut known);
        }
        for matcher in matched.captures_iter(&expression) {
            known(&matcher[1]);
        }
        for matcher in matched.captures_iter(&expression) {
            if ["job", "instance", "code"].contains(&&matcher[1]) {
                continue;
            }
            for value in matcher[2].split('|') {
                if !label_words.contains(&format!("\"{value}\"")) {
                    wrong.push(format!("{}=\"{value}\" in {expression}", &matcher[1]));
                }
            }
        }
    }
    wrong.extend(
        asked
            .difference(&names)
            .map(|name| format!("{name} is not counted")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let seen = |name: &&String| {
        let parts = ["_bucket", "_sum", "_count"];
        parts.iter().any(|end| name.ends_with(end)) || asked.contains(*name)
    };
    let unseen: Vec<_> = names.iter().filter(|name| !seen(name)).collect();
    assert!(unseen.is_empty(), "nobody looks at {unseen:?}");
}

/// The unit, with the programs of this checkout in place of the installed ones.
fn unit_of_this_checkout(folder: &Path) -> PathBuf {
    let unit = read("deploy/systemd/cheesecloth.service")
        .replace("/usr/bin/cheesecloth", env!("CARGO_BIN_EXE_cheesecloth"))
        .replace(
            "/usr/lib/cheesecloth/",
            &format!("{}/deploy/systemd/", root().display()),
        );
    let path = folder.join("cheesecloth.service");
    fs::write(&path, unit).unwrap();
    path
}

#[test]
fn systemd_takes_the_unit_and_finds_it_tight() {
    let folder = tempfile::tempdir().unwrap();
    let unit = unit_of_this_checkout(folder.path());
    let analyze = |arguments: &[&str]| {
        let mut analyze = debian("systemd-analyze", &["systemd", "libsystemd-shared"]);
        analyze.args(arguments).arg(&unit).output().unwrap()
    };
    let verified = analyze(&["verify"]);
    assert!(verified.status.success(), "{}", text_of(&verified));
    assert_eq!(text_of(&verified), "");
    // Exposure in tenths: a unit without any restriction scores 96.
    let tight = analyze(&["security", "--offline=true", "--threshold=20"]);
    assert!(tight.status.success(), "{}", text_of(&tight));
}

#[test]
fn supervisors_wait_longer_than_the_program_lets_requests_finish() {
    let limits = read("src/model/limits.rs");
    let grace = Regex::new(r#"grace_period: Duration in Time, "(\d+)s""#).unwrap();
    let grace: u64 = grace.captures(&limits).unwrap()[1].parse().unwrap();
    let unit = read("deploy/systemd/cheesecloth.service");
    let supervisor = read("deploy/supervisor/cheesecloth.conf");
    let compose = &yaml("deploy/docker-compose.yml")[0]["services"]["cheesecloth"];
    let before_devpi = &yaml("deploy/docker-compose.devpi.yml")[0]["services"]["cheesecloth"];
    let pods = yaml("deploy/kubernetes/cheesecloth.yaml");
    let set = pods
        .iter()
        .find(|object| object["kind"] == "StatefulSet")
        .unwrap();
    let waits = [
        setting(&unit, "TimeoutStopSec"),
        setting(&supervisor, "stopwaitsecs"),
        compose["stop_grace_period"].as_str().unwrap().to_owned(),
        before_devpi["stop_grace_period"]
            .as_str()
            .unwrap()
            .to_owned(),
        set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].to_string(),
    ];
    for wait in waits {
        let seconds: u64 = wait.trim_end_matches('s').parse().unwrap();
        assert!(
            seconds > grace + 10,
            "{seconds} s, after {grace} s of grace"
        );
    }
}
