//! Brings records from the data folder to PostgreSQL, or back, while nobody serves from either.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::app::lock::DataLock;
use crate::app::open_records::RECORDS;
use crate::app::setup::Setup;
use crate::app::work::runtime;
use crate::app::{data, gateway_id};
use crate::clock::Clock;
use crate::db::{Db, MovedRecords, Postgres, Sqlite, move_records as move_between};
use crate::model::{Secret, Timestamp};

/// Where records are brought.
#[derive(Debug, Clone)]
pub enum MoveRecords {
    /// From the data folder to this database.
    To(Secret),
    /// From this database to the data folder.
    From(Secret),
}

/// Brings all records from one place to the other, which must hold none; the first stays as it is.
///
/// # Errors
/// When a gateway serves from either, the other holds records, or one of them fails: nothing was written
/// then.
pub fn move_records(setup: &Setup, way: &MoveRecords) -> anyhow::Result<MovedRecords> {
    let folder = setup.load()?.config.data;
    data::own(&folder)?;
    let _lock = DataLock::to_change(&folder)?;
    gateway_id::settle(&folder)?;
    let file = folder.join(RECORDS);
    let is_there = file.exists();
    if let MoveRecords::To(_) = way {
        anyhow::ensure!(
            is_there,
            "{} holds no data: name its directory with --data",
            folder.display()
        );
    }
    let moved = runtime()?.block_on(run(way, &folder, &file, Clock::system().now()));
    if moved.is_err() && !is_there {
        // A file without records would pass for a new gateway's.
        remove(&file)?;
    }
    moved
}

async fn run(
    way: &MoveRecords,
    folder: &Path,
    file: &Path,
    now: Timestamp,
) -> anyhow::Result<MovedRecords> {
    let (MoveRecords::To(url) | MoveRecords::From(url)) = way;
    let gateway = gateway_id::known(folder)?.unwrap_or_default();
    let postgres = Postgres::open(url.expose(), &gateway, now).await?;
    let moved = held(way, (&postgres, folder), file, now).await;
    Db::close(&postgres).await;
    moved
}

async fn held(
    way: &MoveRecords,
    (postgres, folder): (&Postgres, &Path),
    file: &Path,
    now: Timestamp,
) -> anyhow::Result<MovedRecords> {
    postgres.hold(&gateway_id::name(folder), false).await?;
    let sqlite = Sqlite::open(file, now).await?;
    let moved = match way {
        MoveRecords::To(_) => move_between(&sqlite, postgres).await,
        MoveRecords::From(_) => move_between(postgres, &sqlite).await,
    };
    Db::close(&sqlite).await;
    Ok(moved?)
}

fn remove(file: &Path) -> anyhow::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let path = format!("{}{ending}", file.display());
        if Path::new(&path).exists() {
            fs::remove_file(&path).with_context(|| format!("remove {path}"))?;
        }
    }
    Ok(())
}
