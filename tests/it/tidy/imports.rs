//! Which room may import which.

use super::source::{Source, none, sources};

const GROUND: &[&str] = &[
    "model", "advisory", "language", "policy", "trial", "page", "protocol",
];

/// Each room, and the rooms it may import: the tables of `docs/ARCHITECTURE.md`.
pub(super) const TABLE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("advisory", &["model"]),
    ("language", &["model", "advisory"]),
    ("policy", &["model", "advisory", "language"]),
    ("trial", &["model", "advisory", "language", "policy"]),
    ("page", &["model", "policy"]),
    ("protocol", &["model", "page"]),
    ("clock", &["model"]),
    ("telemetry", &["model"]),
    (
        "config",
        &["model", "advisory", "language", "policy", "trial"],
    ),
    ("upstream", &["model", "page", "protocol", "telemetry"]),
    ("store", &["model", "telemetry"]),
    ("db", &["model", "telemetry"]),
    ("depot", &["model", "telemetry"]),
    ("journal", &["model", "telemetry"]),
    ("notify", &["model", "telemetry"]),
    ("identity", &["model", "telemetry"]),
    (
        "cache",
        &["model", "page", "protocol", "telemetry", "clock"],
    ),
    ("account", &["model", "telemetry", "db", "identity"]),
    ("devpi", &["model", "language", "policy", "db", "account"]),
    (
        "feed",
        &[
            "model",
            "advisory",
            "language",
            "clock",
            "telemetry",
            "upstream",
        ],
    ),
    (
        "search",
        &["model", "page", "protocol", "telemetry", "store", "db"],
    ),
    (
        "exchange",
        &[
            "search",
            "model",
            "advisory",
            "language",
            "policy",
            "page",
            "protocol",
            "clock",
            "telemetry",
            "config",
            "upstream",
            "store",
            "db",
            "depot",
            "cache",
        ],
    ),
    (
        "catalog",
        &[
            "model",
            "advisory",
            "language",
            "policy",
            "page",
            "protocol",
            "clock",
            "telemetry",
            "config",
            "upstream",
            "store",
            "db",
            "cache",
            "devpi",
            "exchange",
        ],
    ),
    (
        "gateway",
        &[
            "model",
            "advisory",
            "language",
            "policy",
            "page",
            "protocol",
            "clock",
            "telemetry",
            "config",
            "upstream",
            "store",
            "depot",
            "db",
            "cache",
            "account",
            "devpi",
            "exchange",
            "catalog",
            "search",
        ],
    ),
    (
        "reader",
        &[
            "model",
            "advisory",
            "language",
            "policy",
            "trial",
            "page",
            "protocol",
            "clock",
            "telemetry",
            "config",
            "upstream",
            "store",
            "db",
            "cache",
            "account",
            "devpi",
            "feed",
            "exchange",
            "catalog",
            "search",
            "gateway",
        ],
    ),
    (
        "writer",
        &[
            "model",
            "advisory",
            "language",
            "policy",
            "page",
            "protocol",
            "clock",
            "telemetry",
            "config",
            "upstream",
            "store",
            "db",
            "cache",
            "account",
            "devpi",
            "exchange",
            "catalog",
            "gateway",
            "reader",
        ],
    ),
    (
        "front",
        &[
            "model",
            "advisory",
            "language",
            "policy",
            "page",
            "protocol",
            "clock",
            "telemetry",
            "config",
            "upstream",
            "store",
            "cache",
            "devpi",
            "exchange",
            "catalog",
            "gateway",
            "reader",
        ],
    ),
    (
        "moving",
        &[
            "model",
            "advisory",
            "language",
            "policy",
            "page",
            "protocol",
            "clock",
            "telemetry",
            "config",
            "upstream",
            "store",
            "depot",
            "db",
            "account",
            "devpi",
            "exchange",
            "catalog",
            "gateway",
        ],
    ),
    (
        "listen",
        &[
            "model",
            "protocol",
            "telemetry",
            "journal",
            "exchange",
            "gateway",
            "reader",
            "writer",
            "front",
        ],
    ),
];

/// Rooms that may import every other.
pub(super) const ASSEMBLY: &[&str] = &["app", "cli", "lib", "main", "testing"];

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
        let path = source.path.display();
        let row = TABLE.iter().find(|(room, _)| *room == source.room);
        let Some((_, allowed)) = row else {
            wrong.push(format!("{path}: no such room in the table"));
            continue;
        };
        for (number, line) in source.code() {
            for room in rooms_named(line) {
                if room != source.room && !allowed.contains(&room) {
                    let own = &source.room;
                    wrong.push(format!("{path}:{number}: {own} may not import {room}"));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn the_table_has_no_way_back_up() {
    for (at, (room, below)) in TABLE.iter().enumerate() {
        for other in *below {
            let stands = TABLE[..at].iter().any(|(earlier, _)| earlier == other);
            assert!(
                stands,
                "{room} names {other}, which stands beside or above it"
            );
        }
    }
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
        let end = source.text.find("#[cfg(test)]");
        let text = Source {
            text: source.text[..end.unwrap_or(source.text.len())].to_owned(),
            path: source.path.clone(),
            room: String::new(),
        };
        for (number, line) in text.code() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{number}: {word}", source.path.display()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn pingora_stays_at_the_doors_and_writers_behind_the_management_door() {
    let mut wrong = Vec::new();
    for source in sources() {
        let at_the_doors = ["listen", "app", "cli"].contains(&source.room.as_str());
        for (number, line) in source.code() {
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
        }
    }
    none(&wrong);
}
