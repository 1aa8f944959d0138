//! `cargo bench --bench replay`: how long `diff` takes over a month of five million journal rows.
//!
//! The journal, the pages that are held and two configurations are made in a temporary directory; then the
//! program itself replays them, as an operator would have it do. `REPLAY_ROWS` and `REPLAY_PROJECTS` ask for
//! other sizes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;
use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::model::{IndexName, ProjectName, Timestamp};
use cheesecloth::testing::page::{StoredMeta, parse_json, to_stored};
use cheesecloth::testing::store::{FsStore, Key};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

/// The journal's tables, as the program makes them.
const SCHEMA: &str = include_str!("../src/journal/schema/0001_journal.sql");

/// What marks the file as a journal of this version.
const MARKS: &str = "PRAGMA application_id = 1667789674; PRAGMA user_version = 1;";

/// Files of each project, and how many of them are asked for.
const FILES: u64 = 100;
const ASKED: u64 = 20;

/// Machines that install.
const CLIENTS: u64 = 1000;

const MIRROR: &str = "root/pypi";

/// Stages through which they do.
const STAGES: [&str; 2] = ["packages/stable", "packages/develop"];

const DAY_SECONDS: i64 = 24 * 60 * 60;

fn main() -> anyhow::Result<()> {
    // When it is not called by `cargo bench`, it only shows that it still runs.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let (rows, projects) = if is_measured {
        (5_000_000, 2_000)
    } else {
        (5_000, 20)
    };
    let rows = number("REPLAY_ROWS", rows)?;
    let projects = number("REPLAY_PROJECTS", projects)?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let rules = "      - deny: { younger_than: 7d, reason: cool-down }\n";
    let more = "      - deny: { project: 'project-1*', versions: '>=90', reason: leaks }\n";
    let old = write(folder.path(), "old.yaml", rules)?;
    let new = write(folder.path(), "new.yaml", &format!("{more}{rules}"))?;
    let now = Clock::system().now();
    keep_pages(&data, projects, now)?;
    let work = tokio::runtime::Builder::new_current_thread().build()?;
    work.block_on(fill(&data.join("journal.sqlite"), rows, projects, now))?;
    say(&format!(
        "{rows} rows, {projects} projects of {FILES} files, {CLIENTS} clients"
    ));
    for _ in 0..if is_measured { 3 } else { 1 } {
        let started = Instant::now();
        let program = Command::new(env!("CARGO_BIN_EXE_cheesecloth"))
            .args(["diff", &old, &new, "--json", "--data"])
            .arg(&data)
            .output()?;
        let took = started.elapsed();
        let told = String::from_utf8_lossy(&program.stdout);
        let said = String::from_utf8_lossy(&program.stderr);
        anyhow::ensure!(program.status.code() == Some(1), "{told}{said}");
        let told: serde_json::Value = serde_json::from_str(&told)?;
        let refused = told["newly_refused"].as_array().map_or(0, Vec::len);
        let replayed = &told["replayed"];
        anyhow::ensure!(replayed["journal_rows"] == rows, "{replayed:#}");
        say(&format!(
            "{:.2} s: {refused} releases newly refused, {} files decided",
            took.as_secs_f64(),
            replayed["files"]
        ));
    }
    Ok(())
}

fn say(line: &str) {
    // A reader that went away is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[expect(clippy::disallowed_methods, reason = "the measurement's own settings")]
fn number(name: &str, usual: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(usual),
    }
}

fn write(folder: &Path, name: &str, rules: &str) -> anyhow::Result<String> {
    let mut yaml = format!(
        "indexes:\n  {MIRROR}: {{ type: mirror, mirror_url: 'https://upstream.example/simple/' }}\n"
    );
    for stage in STAGES {
        writeln!(yaml, "  {stage}: {{ bases: [{MIRROR}], policy: house }}")?;
    }
    write!(yaml, "policies:\n  house:\n    rules:\n{rules}")?;
    let path = folder.join(name);
    std::fs::write(&path, yaml)?;
    Ok(path.display().to_string())
}

/// The name of a file, as pages and the journal have it.
fn filename(project: u64, version: u64) -> String {
    format!("project_{project}-{version}.0-py3-none-any.whl")
}

fn keep_pages(data: &Path, projects: u64, now: Timestamp) -> anyhow::Result<()> {
    let store = FsStore::open(data, 1 << 40)?;
    let index = IndexName::parse(MIRROR)?;
    let meta = StoredMeta {
        final_url: "https://upstream.example/simple/".to_owned(),
        fetched_at: now,
        etag: None,
        last_modified: None,
        max_age_seconds: None,
        vanished_at: None,
    };
    for number in 0..projects {
        let files = (0..FILES).map(|version| {
            let name = filename(number, version);
            format!(
                r#"{{"filename": "{name}", "url": "https://upstream.example/{name}", "size": {},
                "hashes": {{"sha256": "{:064x}"}}, "upload-time": "2025-01-02T03:04:05Z"}}"#,
                1000 + version,
                number * FILES + version
            )
        });
        let files: Vec<String> = files.collect();
        let json = format!(
            r#"{{"meta": {{"api-version": "1.1"}}, "name": "project-{number}", "files": [{}]}}"#,
            files.join(",")
        );
        let project = ProjectName::parse(&format!("project-{number}"))?;
        let page = parse_json(
            json.as_bytes(),
            "https://upstream.example/simple/",
            &project,
        )?;
        let key = Key::Page {
            index: index.clone(),
            project,
        };
        store.put_small(&key, &to_stored(&page, &meta))?;
    }
    Ok(())
}

async fn run(journal: &mut SqliteConnection, text: String) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(journal).await?;
    Ok(())
}

/// Fills a journal with a month of requests: every row another time, files and clients in turn.
async fn fill(path: &Path, rows: u64, projects: u64, now: Timestamp) -> anyhow::Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .disable_statement_logging();
    let mut journal = SqliteConnection::connect_with(&options).await?;
    run(&mut journal, format!("{SCHEMA}{MARKS}")).await?;
    let count = |most: u64| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {most})"
        )
    };
    let items = projects * ASKED;
    run(
        &mut journal,
        format!(
            "BEGIN; {} INSERT INTO items SELECT i + 1, 'project-' || (i / {ASKED}),
                (80 + i % {ASKED}) || '.0',
                'project_' || (i / {ASKED}) || '-' || (80 + i % {ASKED}) || '.0-py3-none-any.whl',
                NULL, 20000 FROM n; COMMIT;",
            count(items)
        ),
    )
    .await?;
    run(
        &mut journal,
        format!(
            "BEGIN; {} INSERT INTO clients SELECT i + 1, '10.0.' || (i / 250) || '.' || (i % 250),
                NULL, NULL, 20000 FROM n; COMMIT;",
            count(CLIENTS)
        ),
    )
    .await?;
    for stage in STAGES {
        let text = format!(
            "INSERT INTO rulings (index_name, decision, rule, last) VALUES ('{stage}', 'allow', NULL, 20000)"
        );
        run(&mut journal, text).await?;
    }
    let first = now.as_microsecond() - 29 * DAY_SECONDS * 1_000_000;
    let step = 29 * DAY_SECONDS * 1_000_000 / i64::try_from(rows)?;
    run(
        &mut journal,
        format!(
            "BEGIN; {} INSERT INTO entries SELECT {first} + i * {step},
                1 + (i * 7919) % {items}, 1 + (i * 104729 / 7) % {CLIENTS}, 1 + i % {}, 1
                FROM n; COMMIT;",
            count(rows),
            STAGES.len()
        ),
    )
    .await?;
    journal.close().await?;
    Ok(())
}
