//! What has become of a project's files since a serial: read by what changed, not by what is there.

use std::collections::BTreeSet;

use crate::db::error::DbError;
use crate::db::record::{ChangeKind, FileChange, FileChanges, FilesSince, Serial};
use crate::db::sql::connection::Connection;
use crate::db::sql::engine::Engine;
use crate::db::sql::statement::statement;
use crate::db::sql::{read, rows};
use crate::model::{IndexName, ProjectName};

const DOING: &str = "read what changed of a project";

/// More changes than this are not gone through one by one: the files are all read.
const CHANGES_MAX: i64 = 100;

/// What may take away the content of a project, or bring some, without naming it.
const OF_MANY: [ChangeKind; 3] = [
    ChangeKind::UserDeleted,
    ChangeKind::IndexDeleted,
    ChangeKind::Restored,
];

pub(super) async fn files_since(
    db: &dyn Engine,
    place: (&IndexName, &ProjectName),
    since: Option<Serial>,
) -> Result<FilesSince, DbError> {
    let mut instant = db.begin_reading(DOING).await?;
    let found = match since {
        Some(since) => changes(&mut instant, place, since).await?,
        None => None,
    };
    let Some((changes, since)) = found.zip(since) else {
        return Ok(FilesSince {
            as_of: read::serial(&mut instant).await?,
            changes: FileChanges::All(read::files(&mut instant, place.0, place.1).await?),
        });
    };
    Ok(FilesSince {
        as_of: changes.last.unwrap_or(since),
        changes: FileChanges::Some(read_changed(&mut instant, place, changes).await?),
    })
}

/// What is to be looked at again.
#[derive(Debug, Default)]
struct Changed {
    last: Option<Serial>,
    releases: BTreeSet<String>,
    files: BTreeSet<String>,
}

/// The changes since then; `None` if they do not tell which files have to be checked.
async fn changes(
    on: &mut Connection,
    (index, project): (&IndexName, &ProjectName),
    since: Serial,
) -> Result<Option<Changed>, DbError> {
    let changes = statement(
        "SELECT serial, what, detail FROM changes
         WHERE index_name = $1 AND project = $2 AND serial > $6
         UNION ALL SELECT serial, what, NULL AS detail FROM changes
         WHERE project IS NULL AND what IN ($3, $4, $5) AND serial > $6
         ORDER BY serial LIMIT $7",
        &[
            index.as_str(),
            project.as_str(),
            OF_MANY[0].as_str(),
            OF_MANY[1].as_str(),
            OF_MANY[2].as_str(),
        ],
    );
    let changes = changes
        .bind(rows::integer(since.0))
        .bind(CHANGES_MAX.saturating_add(1));
    let found = on.rows(changes, DOING).await?;
    if i64::try_from(found.len()).unwrap_or(i64::MAX) > CHANGES_MAX {
        return Ok(None);
    }
    let mut changed = Changed::default();
    let (mut came, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for row in &found {
        let read = rows::reader(row, DOING);
        changed.last = Some(Serial(read.number("serial")?));
        let Some(detail) = read.get::<Option<String>>("detail")? else {
            return Ok(None);
        };
        match read.kind("what")? {
            ChangeKind::Published => {
                came.insert(detail.clone());
                changed.releases.insert(detail)
            }
            ChangeKind::FileDeleted => changed.files.insert(detail),
            ChangeKind::ReleaseDeleted => {
                gone.insert(detail.clone());
                changed.releases.insert(detail)
            }
            ChangeKind::ProjectDeleted
            | ChangeKind::UserCreated
            | ChangeKind::UserModified
            | ChangeKind::UserDeleted
            | ChangeKind::IndexCreated
            | ChangeKind::IndexModified
            | ChangeKind::IndexDeleted
            | ChangeKind::Restored
            | ChangeKind::TokenCreated
            | ChangeKind::TokenDeleted
            | ChangeKind::Recalled
            | ChangeKind::RecallWithdrawn => return Ok(None),
        };
    }
    // A file may have moved from one release to another that went afterwards, and nothing says which.
    Ok(came.is_disjoint(&gone).then_some(changed))
}

async fn read_changed(
    on: &mut Connection,
    (index, project): (&IndexName, &ProjectName),
    changed: Changed,
) -> Result<Vec<FileChange>, DbError> {
    let mut read = Vec::new();
    for version in changed.releases {
        let files = read::release_files(on, (index, project, &version)).await?;
        read.push(FileChange::Release { version, files });
    }
    for filename in changed.files {
        let file = read::file(on, index, project, &filename)
            .await?
            .map(Box::new);
        read.push(FileChange::File { filename, file });
    }
    Ok(read)
}
