//! Opening the file, to write or to read.
//!
//! * **WAL, `synchronous = NORMAL`**: what was committed survives a killed process. When the power fails,
//!   the last seconds may be missing, and the file is whole; an fsync for each second of installations
//!   would cost the disk more than those are worth.
//! * **`secure_delete`**: an address that is removed is not left in unused parts of the file.
//! * **`auto_vacuum = INCREMENTAL`**: a lower `journal.disk` makes the file smaller, not only emptier.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use crate::journal::error::JournalError;
use crate::journal::statement::value;
use crate::model::{JournalLimits, Timestamp};

/// The file, below the data directory.
pub const JOURNAL_FILE: &str = "journal.sqlite";

/// Marks the file as ours ("chsj").
const APPLICATION: i64 = 0x6368_736a;

/// The schema that this program writes.
const VERSION: i64 = 1;

const SCHEMA: &str = include_str!("schema/0001_journal.sql");

/// What the log of unwritten pages may keep of the disk between two uses.
const WAL_KEPT: &str = "4194304";

/// How long a statement waits for another process: the one that hands over, or a command that reads.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is kept.
#[derive(Debug, Clone)]
pub struct JournalRules {
    /// For how long.
    pub keep: Duration,
    /// Bytes on the disk, beyond which the oldest rows go.
    pub disk: u64,
    /// Whether clients' addresses are kept.
    pub has_clients: bool,
    /// Whether nothing may be delivered that cannot be journalled.
    pub is_required: bool,
    /// Everything else.
    pub limits: JournalLimits,
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Opens the file to write, creating it if needed.
pub(super) async fn open_to_write(path: &Path) -> Result<SqliteConnection, JournalError> {
    let options = options(path)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("secure_delete", "ON")
        .pragma("journal_size_limit", WAL_KEPT);
    let failed = JournalError::of("open the journal", path);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(&failed)?;
    match stands_in(&mut connection, path).await? {
        Stands::Ours => {}
        Stands::Nothing => create(&mut connection, path).await?,
    }
    Ok(connection)
}

/// Opens the file to read; `None` if there is none.
pub(super) async fn open_to_read(path: &Path) -> Result<Option<SqliteConnection>, JournalError> {
    if !path.exists() {
        return Ok(None);
    }
    // Not `read_only`: such a connection cannot rebuild the WAL's index after a crash.
    let options = options(path).pragma("query_only", "1");
    let failed = JournalError::of("open the journal", path);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(&failed)?;
    Ok(match stands_in(&mut connection, path).await? {
        Stands::Ours => Some(connection),
        Stands::Nothing => None,
    })
}

/// What a file is.
enum Stands {
    Ours,
    /// An empty database.
    Nothing,
}

async fn stands_in(connection: &mut SqliteConnection, path: &Path) -> Result<Stands, JournalError> {
    let failed = JournalError::of("read the journal's version", path);
    let application: i64 = value(connection, "PRAGMA application_id")
        .await
        .map_err(&failed)?;
    let version: i64 = value(connection, "PRAGMA user_version")
        .await
        .map_err(&failed)?;
    let tables: i64 = value(connection, "SELECT count(*) FROM sqlite_schema")
        .await
        .map_err(&failed)?;
    let path = path.display().to_string();
    match (application, version) {
        (APPLICATION, VERSION) => Ok(Stands::Ours),
        (APPLICATION, _) => Err(JournalError::Newer { path, version }),
        _ if tables == 0 => Ok(Stands::Nothing),
        _ => Err(JournalError::Damaged {
            path,
            what: "another program's database".to_owned(),
        }),
    }
}

/// Makes the tables, all or none. Another process may do the same at this moment.
async fn create(connection: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    let failed = JournalError::of("make the journal's tables", path);
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(&failed)?;
    if let Stands::Nothing = stands_in(&mut transaction, path).await? {
        let marks =
            format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
        sqlx::raw_sql(AssertSqlSafe(format!("{SCHEMA}{marks}")))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// The other files of a database.
fn companion(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// What the journal takes on the disk.
pub(super) fn bytes_of(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    size(path) + size(&companion(path, "-wal"))
}

/// What stands between the file's name and the second at which it was set aside.
const SET_ASIDE: &str = ".damaged-";

/// Moves a damaged file out of the way, and returns where it is.
pub(super) fn set_aside(path: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let aside = companion(path, &format!("{SET_ASIDE}{}", now.as_second()));
    std::fs::rename(path, &aside)?;
    // What was not yet moved into the file belongs to it; the index of that is made again.
    for (ending, is_kept) in [("-wal", true), ("-shm", false)] {
        let (from, to) = (companion(path, ending), companion(&aside, ending));
        let moved = if is_kept {
            std::fs::rename(&from, to)
        } else {
            std::fs::remove_file(&from)
        };
        match moved {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

/// Removes files that were set aside before `cutoff`, and all but the latest `most`.
pub(super) fn forget_set_aside(path: &Path, cutoff: Timestamp, most: usize) -> std::io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let begin = format!("{}{SET_ASIDE}", name.to_string_lossy());
    let mut aside: Vec<(i64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let second = name.to_str().and_then(|name| name.strip_prefix(&begin));
        if let Some(second) = second.and_then(|second| second.parse().ok()) {
            aside.push((second, entry.path()));
        }
    }
    aside.sort_unstable();
    let many = aside.len().saturating_sub(most);
    for (at, (second, path)) in aside.into_iter().enumerate() {
        if at < many || second < cutoff.as_second() {
            std::fs::remove_file(&path)?;
            let _ = std::fs::remove_file(companion(&path, "-wal"));
            tracing::warn!(path = %path.display(), "a damaged journal that was set aside is removed");
        }
    }
    Ok(())
}
