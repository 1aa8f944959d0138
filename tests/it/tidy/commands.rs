//! What a user types, what the pipeline runs and what `just` offers are the same lines.

use std::fs;

use super::source::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The lines that begin with `cargo`, without indentation.
fn cargo_lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| line.starts_with("cargo ")).collect()
}

#[test]
fn readme_pipeline_justfile_and_contributing_say_the_same() {
    let readme = read("README.md");
    let (_, working) = readme.split_once("## Working on it").unwrap();
    let expected = cargo_lines(working);
    assert!(expected.len() >= 3, "{expected:?}");
    assert_eq!(cargo_lines(&read(".ci/run")), expected, ".ci/run");
    let justfile = read("justfile");
    let (_, recipe) = justfile.split_once("\nci:\n").unwrap();
    let recipe = recipe.split("\n\n").next().unwrap();
    assert_eq!(cargo_lines(recipe), expected, "justfile");
    let contributing = read("CONTRIBUTING.md");
    assert_eq!(cargo_lines(&contributing), expected, "CONTRIBUTING.md");
}
