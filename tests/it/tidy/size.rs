//! A room stays small enough to be known whole (docs/adr/0058-rooms-have-a-size.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::source::{Source, none, sources};

/// Lines of code in a room, without tests, comments and blank lines.
const ROOM_LINES_MAX: usize = 6_000;

/// The modules that only tests have, as paths below `src/` without `.rs`.
fn test_modules(sources: &[Source]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for source in sources {
        let is_door = source.path.ends_with("mod.rs");
        let folder = match is_door {
            true => source.path.parent().unwrap().to_owned(),
            false => source.path.with_extension(""),
        };
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let name = pair[1].strip_prefix("mod ");
            let name = name.and_then(|name| name.strip_suffix(';'));
            if let (true, Some(name)) = (pair[0] == "#[cfg(test)]", name) {
                found.insert(folder.join(name));
            }
        }
    }
    found
}

/// The lines of code of each room.
fn sizes(sources: &[Source]) -> BTreeMap<&str, usize> {
    let tests = test_modules(sources);
    let mut sizes = BTreeMap::new();
    for source in sources {
        let module = source.path.with_extension("");
        if module.ancestors().any(|module| tests.contains(module)) {
            continue;
        }
        let lines = source.without_tests().lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        *sizes.entry(source.room.as_str()).or_default() += lines.count();
    }
    sizes
}

/// What is wrong with rooms of more than so many lines.
fn outgrown(sizes: &BTreeMap<&str, usize>, most: usize) -> Vec<String> {
    let large = sizes.iter().filter(|(_, lines)| **lines > most);
    large
        .map(|(room, lines)| {
            format!(
                "{room}: {lines} lines of code, at most {most}: make it two rooms where the fewest imports lead back, with \
                 rows in docs/ARCHITECTURE.md and tests/it/tidy/imports.rs and an ADR that says why"
            )
        })
        .collect()
}

#[test]
fn no_room_has_outgrown_its_plan() {
    let sources = sources();
    let sizes = sizes(&sources);
    assert!(sizes.len() > 20, "only {sizes:?} were measured");
    none(&outgrown(&sizes, ROOM_LINES_MAX));
}

#[test]
fn only_code_that_is_shipped_is_measured() {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        room: path.split('/').next().unwrap().to_owned(),
        text: text.to_owned(),
    };
    let sources = [
        source(
            "cellar/mod.rs",
            "//! A room.\n\nmod rack;\n#[cfg(test)]\nmod sample;\n",
        ),
        source(
            "cellar/rack.rs",
            "// Why.\nfn one() {}\n\n#[cfg(test)]\nmod tests {\n    fn two() {}\n}\n",
        ),
        source("cellar/sample.rs", "fn three() {}\n"),
        source("cellar/sample/deep.rs", "fn four() {}\n"),
        source("loft/mod.rs", "fn five() {}\n\nfn six() {}\n"),
    ];
    let sizes = sizes(&sources);
    assert_eq!(sizes, BTreeMap::from([("cellar", 4), ("loft", 2)]));
    assert!(outgrown(&sizes, 4).is_empty());
    let wrong = outgrown(&sizes, 3);
    assert!(
        wrong.len() == 1 && wrong[0].starts_with("cellar: 4 lines of code, at most 3"),
        "{wrong:?}"
    );
}
