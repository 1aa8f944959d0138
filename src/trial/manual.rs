//! `docs/policy.md` against the tables from which policies, tests of them and the schema are read.

use crate::language::{MATCHES, NoFiles, POLICY, YamlKey, osv, placed, read_text};
use crate::policy::Policies;
use crate::trial::case::GIVEN;

const MANUAL: &str = include_str!("../../docs/policy.md");

/// The sections about single keys: the heading, and what stands below it.
fn sections() -> Vec<(&'static str, &'static str)> {
    let parts = MANUAL.split("\n### `").skip(1);
    let section = |part: &'static str| {
        let (name, text) = part.split_once("`\n").unwrap();
        (name, text.split("\n## ").next().unwrap())
    };
    parts.map(section).collect()
}

fn keys() -> impl Iterator<Item = &'static YamlKey> {
    POLICY.iter().chain(MATCHES.iter().copied().flatten())
}

/// The blocks of YAML in a text.
fn examples(text: &str) -> Vec<&str> {
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

/// On one line, as tables have it.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_key_has_a_section_in_the_order_of_the_table_that_begins_with_its_sentence() {
    let names: Vec<&str> = keys().map(|key| key.name).collect();
    let found: Vec<&str> = sections().iter().map(|(name, _)| *name).collect();
    assert_eq!(found, names);
    for (key, (name, text)) in keys().zip(sections()) {
        let (text, doc) = (plain(text), format!("{}.", key.doc));
        let begins = text.get(..doc.len()).unwrap_or(&text);
        assert!(
            begins.eq_ignore_ascii_case(&doc),
            "{name}: {begins:?} is not {doc:?}"
        );
    }
}

#[test]
fn every_section_has_an_example_of_its_key_that_compiles() {
    for (name, text) in sections() {
        let examples = examples(text);
        assert!(
            examples
                .iter()
                .any(|example| example.contains(&format!("{name}:"))),
            "{name} has no example"
        );
        examples.into_iter().for_each(compile);
    }
    examples(MANUAL).into_iter().for_each(compile);
}

/// Rules, or keys of a policy.
fn compile(example: &str) {
    let lines: String = example
        .lines()
        .map(|line| format!("      {line}\n"))
        .collect();
    let rules = if example.starts_with('-') {
        "    rules:\n"
    } else {
        ""
    };
    let text = format!(
        "indexes: {{ root/pypi: {{ type: mirror, policy: house }} }}\npolicies:\n  house:\n{rules}{lines}"
    );
    let (mut document, _) = read_text("docs/policy.md", &text, &mut NoFiles)
        .unwrap_or_else(|faults| panic!("{example}\n{faults}"));
    document.advisories = vec![placed(osv("[]"))];
    if let Err(faults) = Policies::compile(&[document], &[]) {
        panic!("{example}\n{faults}");
    }
}

#[test]
fn every_fact_that_a_test_may_state_is_in_the_table() {
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<(&str, &str)> = rows
        .map(|row| row.trim_end_matches(" |").split_once("` | ").unwrap())
        .collect();
    let given: Vec<(&str, String)> = GIVEN.iter().map(|key| (key.name, plain(key.doc))).collect();
    let found: Vec<(&str, String)> = rows
        .iter()
        .map(|(name, doc)| (*name, (*doc).to_owned()))
        .collect();
    assert_eq!(found, given);
}
