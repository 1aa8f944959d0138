//! The page of keys says what the schemas say: every key, its default, its words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::support::command;
use super::{none, read};

/// Keys whose own keys are written with their name and a dot.
const DOTTED: [&str; 6] = ["postgres", "s3", "tls", "keep_last_good", "given", "ldap"];

/// A row: key, default, words.
type Row = [String; 3];

/// Rows by section.
type Tables = BTreeMap<String, BTreeSet<Row>>;

fn schema(arguments: &[&str]) -> Value {
    let output = command().arg("schema").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn row(key: &str, schema: &Value) -> Row {
    let default = match &schema["default"] {
        Value::Null => String::new(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    };
    let words = schema["description"].as_str().unwrap_or_default();
    [
        format!("`{key}`"),
        default,
        words.trim().replace('|', "\\|"),
    ]
}

/// Every key that a part of a schema has, at any depth.
fn collect(schema: &Value, prefix: &str, rows: &mut BTreeSet<Row>) {
    let fields = match schema {
        Value::Object(fields) => fields,
        Value::Array(parts) => {
            for part in parts {
                collect(part, prefix, rows);
            }
            return;
        }
        _ => return,
    };
    for (name, part) in fields {
        let Some(keys) = part.as_object().filter(|_| name == "properties") else {
            collect(part, prefix, rows);
            continue;
        };
        for (key, schema) in keys {
            rows.insert(row(&format!("{prefix}{key}"), schema));
            match key.as_str() {
                // Its entries have the keys of `given`.
                "listed" => {}
                key if DOTTED.contains(&key) => collect(schema, &format!("{key}."), rows),
                _ => collect(schema, prefix, rows),
            }
        }
    }
}

fn expected() -> Tables {
    let configuration = schema(&[]);
    let mut tables = Tables::new();
    for (key, schema) in configuration["properties"].as_object().unwrap() {
        let top = tables.entry("top level".to_owned()).or_default();
        top.insert(row(key, schema));
        let mut rows = BTreeSet::new();
        collect(schema, "", &mut rows);
        if !rows.is_empty() {
            tables.insert(key.clone(), rows);
        }
    }
    let mut rows = BTreeSet::new();
    collect(&schema(&["--tests"]), "", &mut rows);
    tables.insert("tests of policies".to_owned(), rows);
    tables
}

/// The tables of a page, without the column that says of which kind of index a key is.
fn written(page: &str) -> Tables {
    let mut tables = Tables::new();
    for part in page.split("\n## ").skip(1) {
        let (section, text) = part.split_once('\n').unwrap();
        let rows = tables.entry(section.to_owned()).or_default();
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let marked = line.trim_matches('|').replace("\\|", "\u{1}");
            let cells: Vec<String> = marked
                .split('|')
                .map(|cell| cell.trim().replace('\u{1}', "\\|"))
                .collect();
            let [key, default, .., words] = &cells[..] else {
                panic!("{line}");
            };
            rows.insert([key.clone(), default.clone(), words.clone()]);
        }
    }
    tables
}

#[test]
fn the_page_of_keys_has_every_key_with_its_default_and_its_words() {
    let pages = ["manual/keys.md", "manual/keys-users.md"];
    let written = written(&pages.map(read).join("\n"));
    let expected = expected();
    assert!(expected["limits"].len() > 40 && expected["indexes"].len() > 25);
    let empty = BTreeSet::new();
    let mut wrong = Vec::new();
    for section in expected.keys().chain(written.keys()) {
        let rows = expected.get(section).unwrap_or(&empty);
        let found = written.get(section).unwrap_or(&empty);
        let told = |row: &Row| format!("{section}: | {} |", row.join(" | ")).replace("|  |", "| |");
        wrong.extend(rows.difference(found).map(|row| told(row) + " is missing"));
        wrong.extend(found.difference(rows).map(|row| told(row) + " is too much"));
    }
    wrong.sort();
    wrong.dedup();
    none(&wrong);
}
