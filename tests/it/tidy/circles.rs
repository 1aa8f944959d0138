//! No circle of imports of more than three files: files in a circle can only be understood, and
//! changed, together.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, none, sources};

const CIRCLE_MAX: usize = 3;

/// The module of a file, as `room::part`.
fn module_of(source: &Source) -> String {
    let path = source.path.with_extension("");
    let parts: Vec<String> = path
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .filter(|part| part != "mod")
        .collect();
    parts.join("::")
}

/// The files that a file imports from, without tests; doors do not count as files.
fn graph(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeSet<String> = sources
        .iter()
        .filter(|source| !source.path.ends_with("mod.rs"))
        .map(module_of)
        .collect();
    let mut graph = BTreeMap::new();
    for source in sources {
        let own = module_of(source);
        let lines = source.without_tests().lines().count();
        let mut targets = BTreeSet::new();
        for item in source.uses().iter().filter(|item| item.line <= lines) {
            for path in &item.paths {
                let Some(path) = path.strip_prefix("crate::") else {
                    continue;
                };
                let parts: Vec<&str> = path.split("::").collect();
                let found = (1..=parts.len()).rev().map(|most| parts[..most].join("::"));
                let target = found.into_iter().find(|target| modules.contains(target));
                targets.extend(target.filter(|target| *target != own));
            }
        }
        if modules.contains(&own) {
            graph.insert(own, targets);
        }
    }
    graph
}

/// Everything that can be reached from a file.
fn reached<'a>(graph: &'a BTreeMap<String, BTreeSet<String>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for next in graph.get(at).into_iter().flatten() {
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    seen
}

fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<Vec<&str>> {
    let all: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|from| (from.as_str(), reached(graph, from)))
        .collect();
    let mut circles = BTreeSet::new();
    for (from, reach) in &all {
        if reach.contains(from) {
            let within = reach
                .iter()
                .copied()
                .filter(|other| all[other].contains(from));
            circles.insert(within.collect());
        }
    }
    circles
}

#[test]
fn no_circle_is_long() {
    let sources = sources();
    let graph = graph(&sources);
    assert!(graph.len() > 100, "the sources were not read");
    let long = circles(&graph)
        .into_iter()
        .filter(|circle| circle.len() > CIRCLE_MAX);
    none(&long.map(|circle| circle.join(" ")).collect::<Vec<_>>());
}

#[test]
fn a_circle_is_found() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")];
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in edges {
        graph
            .entry(from.to_owned())
            .or_default()
            .insert(to.to_owned());
    }
    graph.entry("d".to_owned()).or_default();
    assert_eq!(
        circles(&graph).into_iter().collect::<Vec<_>>(),
        [["a", "b", "c"]]
    );
}
