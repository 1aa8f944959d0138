//! `docs/operations.md` against the code's own tables: what is missing on either side is named.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use super::source::{root, sources};
use crate::support::command;

type Names = BTreeSet<String>;

fn page() -> String {
    fs::read_to_string(root().join("docs/operations.md")).unwrap()
}

fn source(path: &str) -> String {
    fs::read_to_string(root().join("src").join(path)).unwrap()
}

/// A section of the page, from its heading to the next of the same level.
fn section(heading: &str) -> String {
    let page = page();
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// What the first cells of a text's table rows name.
fn rows(text: &str) -> Names {
    let named = Regex::new(r"(?m)^\| `([^`]+)` \|").unwrap();
    named
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

/// The table that follows a line with these words.
fn table_after<'a>(text: &'a str, words: &str) -> &'a str {
    let (_, rest) = text
        .split_once(words)
        .unwrap_or_else(|| panic!("no {words:?}"));
    let start = rest.find("\n|").unwrap();
    let end = rest[start..]
        .find("\n\n")
        .map_or(rest.len(), |end| start + end);
    &rest[start..end]
}

/// What one side has and the other lacks.
#[track_caller]
fn same(what: &str, told: &Names, code: &Names) {
    assert!(!code.is_empty(), "no {what} found in the code");
    let missing: Vec<_> = code.difference(told).collect();
    let idle: Vec<_> = told.difference(code).collect();
    assert!(
        missing.is_empty() && idle.is_empty(),
        "{what}: docs/operations.md lacks {missing:?}, and tells of {idle:?}, which the code has not"
    );
}

fn found(pattern: &str, text: &str) -> Names {
    let pattern = Regex::new(pattern).unwrap();
    pattern
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn every_metric_is_told_with_its_kind_its_labels_and_its_help() {
    let declared = source("telemetry/declared.rs");
    let (_, table) = declared.split_once("\nmetrics! {").unwrap();
    let entry = r#"new\.(\w+)\(\s*"([a-z0-9_]+)",\s*"([^"]*)"(?:,\s*&\[([^\]]*)\])?"#;
    let label = Regex::new(r#""(\w+)""#).unwrap();
    let mut rows = Names::new();
    for entry in Regex::new(entry).unwrap().captures_iter(table) {
        let kind = match &entry[1] {
            "counter" | "counters" => "counter",
            "gauge" | "gauges" => "gauge",
            "histograms" => "histogram",
            other => panic!("{other} is a new kind"),
        };
        let labels = entry.get(4).map_or("", |labels| labels.as_str());
        let labels = label
            .captures_iter(labels)
            .map(|label| format!("`{}`", &label[1]));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let labels = if labels.is_empty() { "–" } else { &labels };
        rows.insert(format!(
            "| `cheesecloth_{}` | {kind} | {labels} | {} |",
            &entry[2], &entry[3]
        ));
    }
    let told = section("Metrics");
    let told = told.lines().filter(|line| line.starts_with("| `"));
    same("metrics", &told.map(str::to_owned).collect(), &rows);
}

#[test]
fn every_field_of_an_access_line_is_told() {
    let mut fields = found(r#"b",\\"([a-z_]+)\\":"#, &source("telemetry/access.rs"));
    fields.insert("time".to_owned());
    let log = section("The log");
    same(
        "fields of access lines",
        &rows(table_after(&log, "The access line")),
        &fields,
    );
}

#[test]
fn every_field_of_the_log_is_told() {
    let mut fields = Names::new();
    let event = Regex::new(r"tracing::(?:trace|debug|info|warn|error)!\(").unwrap();
    for source in sources() {
        for event in event.find_iter(source.without_tests()) {
            fields.extend(arguments(&source.without_tests()[event.end()..]));
        }
    }
    let log = section("The log");
    same(
        "fields of the log",
        &rows(table_after(&log, "Lines of the program")),
        &fields,
    );
}

/// The names of an event's fields, which stand before its message.
fn arguments(text: &str) -> Names {
    let (mut names, mut depth, mut from) = (Names::new(), 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => break,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                let field = text[from..at].split('=').next().unwrap_or_default();
                names.insert(field.trim().trim_start_matches(['%', '?']).to_owned());
                from = at + 1;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn every_audit_event_and_field_is_told() {
    let labels = source("telemetry/label.rs");
    let (_, kinds) = labels.split_once("AuditKind {").unwrap();
    let kinds = kinds.split("\n    }").next().unwrap();
    let kind = Regex::new(r#"/// (.*)\n\s*\w+ = "(\w+)""#).unwrap();
    let kinds = kind.captures_iter(kinds);
    let kinds: Names = kinds
        .map(|kind| format!("| `{}` | {} |", &kind[2], &kind[1]))
        .collect();
    let audit = section("Audit");
    let told = table_after(&audit, "<!-- events -->");
    let told = told
        .lines()
        .filter(|line| line.starts_with("| `") && !line.starts_with("| `event`"));
    same("audit events", &told.map(str::to_owned).collect(), &kinds);

    let event = source("telemetry/event.rs");
    let (_, fields) = event.split_once("pub struct AuditEvent {").unwrap();
    let fields = fields.split("\n}").next().unwrap();
    let fields = found(r"(?m)^    pub(?:\(super\))? (\w+):", fields);
    same(
        "fields of audit events",
        &rows(table_after(&audit, "<!-- end -->")),
        &fields,
    );
}

#[test]
fn every_header_of_our_own_is_told() {
    // Old names of content codings, and of HTTP's own for one connection.
    let others = [
        "x-gzip",
        "x-compress",
        "x-bzip2",
        "keep-alive",
        "proxy-connection",
        // S3's, between the gateway and its depot.
        "x-amz-bucket-region",
        "x-amz-security-token",
        "x-aws-ec2-metadata-token",
    ];
    let mut headers = Names::new();
    for source in sources() {
        let text = source.without_tests();
        headers.extend(found(r#""(x-[a-z0-9-]+)""#, text));
        headers.extend(found(r#"HeaderName::from_static\(\s*"([a-z-]+)""#, text));
    }
    headers.retain(|name| !others.contains(&name.as_str()));
    same("headers", &rows(&section("Headers")), &headers);
}

#[test]
fn every_variable_of_the_environment_is_told() {
    // Of the build, and those that other programs are started with.
    let others = [
        "CARGO_PKG_VERSION",
        "PIP_DISABLE_PIP_VERSION_CHECK",
        "PIP_NO_INPUT",
    ];
    let mut variables = Names::new();
    for source in sources() {
        let text = source.without_tests();
        let literal = r#""([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)""#;
        variables.extend(found(literal, text));
        variables.extend(found(&format!(r#"env = {literal}"#), text));
    }
    // Made of the flags that they stand for.
    let settings = source("config/settings.rs");
    assert!(
        settings.contains("format!(\"CHEESECLOTH_{}\""),
        "made elsewhere now"
    );
    let flags = found(r#"outside\((?:None|flag), "(\w+)""#, &settings);
    let doors = ["public", "manage", "metrics"].map(str::to_owned);
    let made = flags.into_iter().chain(doors);
    variables.extend(made.map(|flag| format!("CHEESECLOTH_{}", flag.to_uppercase())));
    let pips = source("config/installers/pip.rs");
    let keys = found(r#"\("([a-z-]+)", SettingKind"#, &pips);
    let name = |key: String| format!("PIP_{}", key.to_uppercase().replace('-', "_"));
    variables.extend(keys.into_iter().map(name));
    variables.retain(|name| !others.contains(&name.as_str()));
    same("variables", &rows(&section("Environment")), &variables);
}

/// The commands that help lists, those below others with the words before them.
fn commands(before: &[String]) -> Names {
    let output = command().args(before).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let Some((_, listed)) = help.split_once("Commands:\n") else {
        return Names::from([before.join(" ")]);
    };
    let listed = listed.split("\n\n").next().unwrap();
    let lines = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    let names = names.filter(|name| *name != "help");
    let below = |name: &str| commands(&[before, &[name.to_owned()]].concat());
    names.flat_map(below).collect()
}

#[test]
fn every_command_is_told_with_what_its_exit_codes_mean() {
    same("commands", &rows(&section("Commands")), &commands(&[]));
}

#[test]
fn a_name_that_only_one_side_has_is_noticed() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Names>()
    };
    let compare =
        |told: Names, code: Names| std::panic::catch_unwind(move || same("x", &told, &code));
    assert!(compare(names(&["a"]), names(&["a"])).is_ok());
    assert!(compare(names(&["a"]), names(&["a", "b"])).is_err());
    assert!(compare(names(&["a", "b"]), names(&["a"])).is_err());
    assert_eq!(
        arguments("%index, files = page.len(), why = ?a(b, c), \"words, more\")"),
        names(&["index", "files", "why"])
    );
}
