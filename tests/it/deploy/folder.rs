//! Reads the files in `deploy/`.

use std::fs;
use std::path::Path;

use serde_json::Value;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn yaml(path: &str) -> Vec<Value> {
    let text = read(path);
    let documents = text.split("\n---\n").map(serde_yaml::from_str);
    let read: Result<Vec<Value>, _> = documents.collect();
    read.unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

pub(crate) fn strings(value: &Value) -> Vec<String> {
    let items = value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"));
    items
        .iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// The JSON list in the first line of a Dockerfile that begins with this word.
pub(crate) fn instruction(dockerfile: &str, word: &str) -> Vec<String> {
    let mut lines = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix(word));
    let first = lines.next().unwrap_or_else(|| panic!("no {word}"));
    strings(&serde_json::from_str(first).unwrap())
}
