//! The house's own order, read from the sources: which room imports which, and how long files are.
//!
//! The table is `docs/ARCHITECTURE.md`'s; a new edge in it is a decision, written up as an ADR.

use std::fs;
use std::path::{Path, PathBuf};

const GROUND: &[&str] = &["model", "policy", "page", "protocol"];
const LINES_MAX: usize = 600;
const DOOR_LINES_MAX: usize = 80;

/// Room, and the rooms it may name.
const TABLE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &["model"]),
    ("policy", &["model"]),
    ("page", &["model", "policy"]),
    ("protocol", &["model", "page"]),
    ("telemetry", &["model"]),
    ("config", &["model", "policy"]),
    ("upstream", &["model", "page", "protocol", "telemetry"]),
    ("store", &["model", "telemetry"]),
    ("db", &["model", "telemetry"]),
    (
        "cache",
        &["model", "page", "protocol", "telemetry", "clock"],
    ),
    (
        "gateway",
        &[
            "model",
            "policy",
            "page",
            "protocol",
            "telemetry",
            "config",
            "upstream",
            "store",
            "db",
            "cache",
            "clock",
        ],
    ),
    ("listen", &["gateway", "protocol", "model", "telemetry"]),
];

/// Rooms that may name every other.
const ASSEMBLY: &[&str] = &["app", "cli", "lib", "main"];

#[derive(Debug)]
struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let within = path.strip_prefix(&root).unwrap().to_owned();
                let first = within
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_string_lossy();
                let room = first.trim_end_matches(".rs").to_owned();
                found.push(Source {
                    room,
                    text: fs::read_to_string(&path).unwrap(),
                    path: within,
                });
            }
        }
    }
    assert!(
        found.len() > 10,
        "the sources are not where this test looks"
    );
    found
}

/// Lines of code that are not comments, with their numbers.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let lines = source
        .text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn rooms_named(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .map(|(at, mark)| {
            let rest = &line[at + mark.len()..];
            let end = rest.find(|next: char| !(next.is_alphanumeric() || next == '_'));
            &rest[..end.unwrap_or(rest.len())]
        })
        .collect()
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for source in sources() {
        if ASSEMBLY.contains(&source.room.as_str()) {
            continue;
        }
        let row = TABLE.iter().find(|(room, _)| *room == source.room);
        let Some((_, allowed)) = row else {
            wrong.push(format!(
                "{}: no such room in the table",
                source.path.display()
            ));
            continue;
        };
        for (number, line) in code(&source) {
            for room in rooms_named(line) {
                if room != source.room && !allowed.contains(&room) {
                    let path = source.path.display();
                    wrong.push(format!(
                        "{path}:{number}: {} may not import {room}",
                        source.room
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_ground_floor_is_pure() {
    let forbidden = [
        "tokio::",
        "std::fs",
        "std::net",
        "std::env",
        "async fn",
        "SystemTime",
        "Instant::",
        "rand::",
        "static mut",
        "LazyLock",
        "OnceLock",
    ];
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| GROUND.contains(&source.room.as_str()))
    {
        let end = source
            .text
            .find("#[cfg(test)]")
            .unwrap_or(source.text.len());
        let text = Source {
            text: source.text[..end].to_owned(),
            path: source.path.clone(),
            room: String::new(),
        };
        for (number, line) in code(&text) {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{number}: {word}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pingora_stays_at_the_doors_and_writers_behind_the_management_door() {
    let mut wrong = Vec::new();
    for source in sources() {
        let at_the_doors = ["listen", "app", "cli"].contains(&source.room.as_str());
        for (number, line) in code(&source) {
            let path = source.path.display();
            if line.contains("pingora") && !at_the_doors {
                wrong.push(format!("{path}:{number}: pingora"));
            }
            if line.contains("Writer") && source.path.starts_with("listen/public") {
                wrong.push(format!("{path}:{number}: Writer at the public door"));
            }
            if line.contains("super::super") {
                wrong.push(format!("{path}:{number}: super::super"));
            }
            if line.trim_start().starts_with("use crate::{") {
                wrong.push(format!(
                    "{path}:{number}: one `use crate::room::…;` per line"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_hold_one_idea() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let is_door = source.path.file_name().is_some_and(|name| name == "mod.rs");
        let most = if is_door { DOOR_LINES_MAX } else { LINES_MAX };
        if lines > most {
            wrong.push(format!(
                "{}: {lines} lines, at most {most}",
                source.path.display()
            ));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!(
                "{}: does not open with what it is for",
                source.path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
