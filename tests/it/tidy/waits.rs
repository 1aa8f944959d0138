//! Everything that waits does so in one place, where waits are counted and timed.

use super::source::{none, sources};

/// What would allow waiting uncounted, and the files that may use it.
const WAITED_FOR: [(&str, &[&str]); 5] = [
    ("Semaphore", &["telemetry/waits.rs"]),
    ("tokio::sync::Mutex", &["telemetry/waits.rs"]),
    ("tokio::sync::RwLock", &["telemetry/waits.rs"]),
    ("self.readers", CONNECTIONS),
    ("self.writer", CONNECTIONS),
];

/// Connections to the records; opening and closing them is not waiting for one.
const CONNECTIONS: &[&str] = &[
    "db/sqlite/open.rs",
    "db/sqlite/waiting.rs",
    "db/postgres/open.rs",
    "db/postgres/waiting.rs",
];

/// Names that must not be imported from `tokio::sync` either.
const LOCKS: [&str; 5] = [
    "tokio::sync::Mutex",
    "tokio::sync::MutexGuard",
    "tokio::sync::RwLock",
    "tokio::sync::Semaphore",
    "tokio::sync::OwnedSemaphorePermit",
];

#[test]
fn nobody_waits_for_a_permit_or_a_lock_uncounted() {
    let mut wrong = Vec::new();
    for source in sources() {
        let path = source.path.to_string_lossy().into_owned();
        for (number, line) in source.code() {
            for (what, files) in WAITED_FOR {
                let is_records = files == CONNECTIONS;
                let in_records = ["db/sqlite/", "db/postgres/"];
                let in_records = in_records.iter().any(|folder| path.starts_with(folder));
                let is_concerned = !is_records || in_records;
                if is_concerned && line.contains(what) && !files.contains(&path.as_str()) {
                    wrong.push(format!(
                        "{path}:{number}: {what}, which is {} only",
                        files[0]
                    ));
                }
            }
        }
        let uses = source.uses();
        let paths = uses.iter().flat_map(|item| &item.paths);
        for lock in paths.filter(|one| LOCKS.contains(&one.as_str())) {
            if path != "telemetry/waits.rs" {
                wrong.push(format!("{path}: {lock}; take telemetry's Permits"));
            }
        }
    }
    none(&wrong);
}
