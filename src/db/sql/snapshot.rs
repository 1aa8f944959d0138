//! Reads everything in one transaction, table by table, and puts it together.

use std::collections::BTreeMap;

use crate::db::error::DbError;
use crate::db::record::ProjectRecord;
use crate::db::snapshot::{IndexContent, ProjectContent, Snapshot};
use crate::db::sql::connection::{Connection, Row};
use crate::db::sql::engine::Engine;
use crate::db::sql::statement::statement;
use crate::db::sql::{read, rows};
use crate::model::{IndexName, ProjectName};

const DOING: &str = "read all records";

/// Projects by index and name, with what was found of them so far.
type Found = BTreeMap<(IndexName, ProjectName), ProjectRecord>;

pub(super) async fn snapshot(db: &dyn Engine) -> Result<Snapshot, DbError> {
    let mut reading = db.begin_reading(DOING).await?;
    let directory = read::directory(&mut reading).await?;
    let mut found = Found::new();
    for row in all(&mut reading, "SELECT * FROM projects").await? {
        let record = ProjectRecord {
            spelling: rows::project(&row)?.spelling,
            releases: Vec::new(),
            files: Vec::new(),
        };
        found.insert(place(&row, "name")?, record);
    }
    for row in all(&mut reading, "SELECT * FROM releases ORDER BY version").await? {
        let project = of(&mut found, place(&row, "project")?)?;
        project.releases.push(rows::release(&row)?);
    }
    let files = "SELECT * FROM files ORDER BY uploaded_at, filename";
    for row in all(&mut reading, files).await? {
        let file = rows::file(&row)?;
        let project = of(&mut found, (file.index.clone(), file.project.clone()))?;
        project.files.push(file);
    }
    Ok(Snapshot {
        directory,
        contents: by_index(found),
    })
}

async fn all(on: &mut Connection, sql: &'static str) -> Result<Vec<Row>, DbError> {
    on.rows(statement(sql, &[]), DOING).await
}

/// The index and project that a row belongs to.
fn place(row: &Row, project: &str) -> Result<(IndexName, ProjectName), DbError> {
    let read = rows::reader(row, DOING);
    Ok((read.index()?, read.project(project)?))
}

fn of(found: &mut Found, place: (IndexName, ProjectName)) -> Result<&mut ProjectRecord, DbError> {
    let what = format!(
        "something of {} in {} and no such project",
        place.1, place.0
    );
    found
        .get_mut(&place)
        .ok_or(DbError::Corrupt { doing: DOING, what })
}

fn by_index(found: Found) -> Vec<IndexContent> {
    let mut contents: Vec<IndexContent> = Vec::new();
    for ((index, name), record) in found {
        let project = ProjectContent { name, record };
        match contents.last_mut() {
            Some(last) if last.index == index => last.projects.push(project),
            Some(_) | None => contents.push(IndexContent {
                index,
                projects: vec![project],
            }),
        }
    }
    contents
}
