//! The manual: what it shows works, what it lists is complete, and its links lead somewhere.
//!
//! In its pages, a block of `yaml` is a configuration, or a file of tests of the configuration above it;
//! `yml` is a file of another program. A block of `text` whose first line is `# name.txt` is a file beside the
//! configurations that follow. Lines of `sh` that begin with the program's name are checked against its help.

mod commands;
mod examples;
mod keys;
mod links;

use std::fs;
use std::path::{Path, PathBuf};

/// A page, by its path below `docs`.
struct Page {
    path: String,
    text: String,
}

/// A fenced block, and the line that opens it.
struct Block<'a> {
    language: &'a str,
    text: String,
    line: usize,
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn read(path: &str) -> String {
    let path = docs().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page of the manual; not what is linked into the book from beside it.
fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    let mut folders = vec![docs().join("manual")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(docs()).unwrap().display().to_string();
                found.push(Page { path, text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 10, "{} pages were found", found.len());
    found
}

impl Page {
    fn blocks(&self) -> Vec<Block<'_>> {
        let mut found = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for (number, line) in (1..).zip(self.text.lines()) {
            match (line.strip_prefix("```"), open.take()) {
                (Some(language), None) => {
                    open = Some(Block {
                        language,
                        text: String::new(),
                        line: number,
                    });
                }
                (Some(_), Some(block)) => found.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        let open = open.map(|block| block.line);
        assert_eq!(open, None, "{}: a block is not closed", self.path);
        found
    }

    /// The lines outside fenced blocks, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            if line.starts_with("```") {
                is_code = !is_code;
                return false;
            }
            !is_code
        })
    }
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
