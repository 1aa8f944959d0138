//! The sources as the tests in this folder read them.

use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Source {
    /// Its path below `src/`.
    pub(super) path: PathBuf,
    /// The first part of its path.
    pub(super) room: String,
    pub(super) text: String,
}

/// The root of the checkout.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files with one of the extensions below a folder of the checkout.
pub(super) fn files_below(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

pub(super) fn sources() -> Vec<Source> {
    let src = root().join("src");
    let found: Vec<Source> = files_below("src", &["rs"])
        .into_iter()
        .map(|path| {
            let within = path.strip_prefix(&src).unwrap().to_owned();
            let first = within.components().next().unwrap().as_os_str();
            let room = first.to_string_lossy().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            Source {
                path: within,
                room,
                text,
            }
        })
        .collect();
    assert!(
        found.len() > 10,
        "the sources are not where this test looks"
    );
    found
}

impl Source {
    /// Its lines that are not comments, with their numbers.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines
            .map(|(at, line)| (at + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Its text without its tests, which come last.
    pub(super) fn without_tests(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod tests");
        &self.text[..end.unwrap_or(self.text.len())]
    }

    /// Its `use` items with their visibility and every path they import; braces are expanded.
    pub(super) fn uses(&self) -> Vec<Use> {
        let mut found = Vec::new();
        let mut rest = self.text.as_str();
        let mut line = 1;
        while let Some(at) = next_use(rest) {
            line += rest[..at].matches('\n').count();
            let end = at + rest[at..].find(';').unwrap();
            let item = rest[at..end].trim_start();
            let indent = rest[at..end].len() - item.len();
            let (before, tree) = item.split_once("use ").unwrap();
            let mut paths = Vec::new();
            expand("", tree, &mut paths);
            found.push(Use {
                line,
                indent,
                is_public: !before.is_empty(),
                paths,
            });
            line += rest[at..end].matches('\n').count();
            rest = &rest[end..];
        }
        found
    }
}

/// One `use` item.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) line: usize,
    /// Spaces before it: items inside functions and modules are indented.
    pub(super) indent: usize,
    pub(super) is_public: bool,
    pub(super) paths: Vec<String>,
}

/// Where the next line begins that is a `use` item.
fn next_use(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let item = line.trim_start();
        let is_public = item.starts_with("pub") && item.contains(" use ") && !item.contains(" fn ");
        if item.starts_with("use ") || is_public {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(before: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        if !tree.is_empty() {
            let name = tree.split(" as ").next().unwrap_or(tree);
            found.push(format!("{before}{name}"));
        }
        return;
    };
    let before = format!("{before}{}", &tree[..open]);
    let inside = &tree[open + 1..tree.rfind('}').unwrap()];
    let (mut depth, mut from) = (0, 0);
    for (at, sign) in inside.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&before, &inside[from..at], found);
                from = at + 1;
            }
            _ => {}
        }
    }
    expand(&before, &inside[from..], found);
}

/// Fails with everything that is wrong, one line each.
pub(super) fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_use_item_is_taken_apart() {
    let source = Source {
        path: PathBuf::new(),
        room: String::new(),
        text: "use a::{b, c::{d, e as f}};\n\npub use g::h;\nfn x() {\n    use i::j;\n}\n"
            .to_owned(),
    };
    let told: Vec<String> = source
        .uses()
        .iter()
        .map(|item| {
            let paths = item.paths.join(" ");
            format!("{} {} {} {paths}", item.line, item.indent, item.is_public)
        })
        .collect();
    let expected = [
        "1 0 false a::b a::c::d a::c::e",
        "3 0 true g::h",
        "5 4 false i::j",
    ];
    assert_eq!(told, expected);
}
