//! SQLite as a [`Db`]. Reads are answered here, those that need several queries as of one instant;
//! writes are in the modules of their topics.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::Transaction;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteRow;

use crate::db::change::{
    Cause, IndexDeletion, NewApiToken, NewRecall, NewUser, Publication, Published, RecallMade,
    Removal, Removed, UserDeletion, UserUpdate,
};
use crate::db::contract::Db;
use crate::db::error::DbError;
use crate::db::record::{
    ApiToken, Change, Directory, FileRecord, FilesSince, IndexRecord, ProjectRecord,
    ProjectSpelling, Serial, ServerFacts, User, WholeRelease,
};
use crate::db::snapshot::{Restoration, Restored, Snapshot};
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::statement::{Statement, statement};
use crate::db::sqlite::{
    indexes, publish, read, recalls, remove, restore, rows, since, snapshot, tokens, users,
};
use crate::model::{IndexName, ProjectName, Recall, Sha256, Timestamp};

impl Sqlite {
    async fn reader(&self) -> Result<PoolConnection<sqlx::Sqlite>, DbError> {
        let reader = self.to_read().await;
        reader.map_err(rows::failed("get a connection to read"))
    }

    /// A transaction in which several queries read as of one instant.
    pub(super) async fn instant(
        &self,
        doing: &'static str,
    ) -> Result<Transaction<'static, sqlx::Sqlite>, DbError> {
        let begun = self.begin_reading().await;
        begun.map_err(rows::failed(doing))
    }

    async fn rows(
        &self,
        doing: &'static str,
        statement: Statement<'_>,
    ) -> Result<Vec<SqliteRow>, DbError> {
        let mut reader = self.to_read().await.map_err(rows::failed(doing))?;
        let found = statement.fetch_all(&mut *reader).await;
        found.map_err(rows::failed(doing))
    }

    /// The row that a statement finds, as a record.
    async fn one<T>(
        &self,
        doing: &'static str,
        statement: Statement<'_>,
        record: fn(&SqliteRow) -> Result<T, DbError>,
    ) -> Result<Option<T>, DbError> {
        let mut reader = self.to_read().await.map_err(rows::failed(doing))?;
        let found = statement.fetch_optional(&mut *reader).await;
        let row = found.map_err(rows::failed(doing))?;
        row.as_ref().map(record).transpose()
    }
}

#[async_trait]
impl Db for Sqlite {
    async fn facts(&self) -> Result<ServerFacts, DbError> {
        self.read_facts().await
    }

    fn is_writable(&self) -> bool {
        self.health.is_writable()
    }

    async fn try_to_write(&self) -> Result<(), DbError> {
        Sqlite::try_to_write(self).await
    }

    async fn close(&self) {
        Sqlite::close(self).await;
    }

    async fn serial(&self) -> Result<Serial, DbError> {
        let mut reader = self.reader().await?;
        read::serial(&mut reader).await
    }

    async fn changes_after(&self, after: Serial, limit: u32) -> Result<Vec<Change>, DbError> {
        let changes = statement(
            "SELECT * FROM changes WHERE serial > $1 ORDER BY serial LIMIT $2",
            &[],
        );
        let changes = changes.bind(rows::integer(after.0)).bind(i64::from(limit));
        let found = self.rows("read the change log", changes).await?;
        found.iter().map(rows::change).collect()
    }

    async fn user(&self, name: &str) -> Result<Option<User>, DbError> {
        let user = statement("SELECT * FROM users WHERE name = $1", &[name]);
        self.one("read a user", user, rows::user).await
    }

    async fn directory(&self) -> Result<Directory, DbError> {
        read::directory(&mut *self.instant("read all users").await?).await
    }

    async fn create_user(&self, cause: &Cause, user: &NewUser) -> Result<Option<Serial>, DbError> {
        users::create(self, cause, user).await
    }

    async fn update_user(
        &self,
        cause: &Cause,
        name: &str,
        update: &UserUpdate,
    ) -> Result<Option<User>, DbError> {
        users::update(self, cause, name, update).await
    }

    async fn rehash(&self, name: &str, from: &str, to: &str) -> Result<(), DbError> {
        let rehashed = statement(
            "UPDATE users SET password_hash = $3 WHERE name = $1 AND password_hash = $2",
            &[name, from, to],
        );
        let failed = rows::failed("renew a password's hash");
        let mut writer = self.to_write().await.map_err(&failed)?;
        rehashed.execute(&mut *writer).await.map_err(failed)?;
        Ok(())
    }

    async fn delete_user(&self, cause: &Cause, name: &str) -> Result<UserDeletion, DbError> {
        users::delete(self, cause, name).await
    }

    async fn index(&self, name: &IndexName) -> Result<Option<IndexRecord>, DbError> {
        let index = statement("SELECT * FROM indexes WHERE name = $1", &[name.as_str()]);
        self.one("read an index", index, rows::index).await
    }

    async fn create_index(
        &self,
        cause: &Cause,
        index: &IndexRecord,
    ) -> Result<Option<Serial>, DbError> {
        indexes::create(self, cause, index).await
    }

    async fn update_index(
        &self,
        cause: &Cause,
        index: &IndexRecord,
    ) -> Result<Option<Serial>, DbError> {
        indexes::update(self, cause, index).await
    }

    async fn delete_index(
        &self,
        cause: &Cause,
        name: &IndexName,
    ) -> Result<IndexDeletion, DbError> {
        indexes::delete(self, cause, name).await
    }

    async fn projects(&self, index: &IndexName) -> Result<Vec<ProjectSpelling>, DbError> {
        let projects = statement(
            "SELECT name, spelling FROM projects WHERE index_name = $1 ORDER BY name",
            &[index.as_str()],
        );
        let found = self.rows("list the projects of an index", projects).await?;
        found.iter().map(rows::project).collect()
    }

    async fn has_project(&self, index: &IndexName, project: &ProjectName) -> Result<bool, DbError> {
        let mut reader = self.reader().await?;
        Ok(read::spelling(&mut reader, index, project).await?.is_some())
    }

    async fn project(
        &self,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Option<ProjectRecord>, DbError> {
        let doing = "read a project";
        let mut instant = self.instant(doing).await?;
        let Some(spelling) = read::spelling(&mut instant, index, project).await? else {
            return Ok(None);
        };
        let releases = statement(
            "SELECT * FROM releases WHERE index_name = $1 AND project = $2 ORDER BY version",
            &[index.as_str(), project.as_str()],
        );
        let found = read::all(&mut instant, releases, doing).await?;
        Ok(Some(ProjectRecord {
            spelling,
            releases: found.iter().map(rows::release).collect::<Result<_, _>>()?,
            files: read::files(&mut instant, index, project).await?,
        }))
    }

    async fn files_since(
        &self,
        index: &IndexName,
        project: &ProjectName,
        since: Option<Serial>,
    ) -> Result<FilesSince, DbError> {
        since::files_since(self, (index, project), since).await
    }

    async fn file(
        &self,
        index: &IndexName,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<FileRecord>, DbError> {
        let mut reader = self.reader().await?;
        read::file(&mut reader, index, project, filename).await
    }

    async fn has_release(
        &self,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<bool, DbError> {
        let mut reader = self.reader().await?;
        let found = read::release(&mut reader, (index, project, version)).await?;
        Ok(found.is_some())
    }

    async fn release(
        &self,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<Option<WholeRelease>, DbError> {
        let mut instant = self.instant("read a release").await?;
        let Some(spelling) = read::spelling(&mut instant, index, project).await? else {
            return Ok(None);
        };
        let found = read::release(&mut instant, (index, project, version)).await?;
        let Some(record) = found else {
            return Ok(None);
        };
        let place = (index, project, record.version.as_str());
        let files = read::release_files(&mut instant, place).await?;
        Ok(Some(WholeRelease {
            spelling,
            record,
            files,
        }))
    }

    async fn was_deleted(
        &self,
        index: &IndexName,
        leading: [u8; 8],
        filename: &str,
    ) -> Result<bool, DbError> {
        let (mut first, mut last) = ([0_u8; 32], [0xff_u8; 32]);
        first[..8].copy_from_slice(&leading);
        last[..8].copy_from_slice(&leading);
        let deleted = statement(
            "SELECT 1 FROM deleted_files
             WHERE index_name = $1 AND filename = $2 AND sha256 BETWEEN $3 AND $4",
            &[index.as_str(), filename],
        );
        let deleted = deleted.bind(first.as_slice()).bind(last.as_slice());
        let found = self.rows("look for a deleted file", deleted).await?;
        Ok(!found.is_empty())
    }

    async fn referenced(&self) -> Result<HashSet<Sha256>, DbError> {
        let doing = "list the bytes that records need";
        let digests = statement(
            "SELECT sha256 FROM files
             UNION SELECT metadata_sha256 FROM files WHERE metadata_sha256 IS NOT NULL",
            &[],
        );
        let found = self.rows(doing, digests).await?;
        let digests = found
            .iter()
            .map(|row| rows::reader(row, doing).digest("sha256"));
        digests.collect()
    }

    async fn is_referenced(&self, sha256: &Sha256) -> Result<bool, DbError> {
        let needed = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM files WHERE sha256 = $1)
                 OR EXISTS (SELECT 1 FROM files WHERE metadata_sha256 = $1)",
        );
        let needed = needed.bind(sha256.as_bytes().as_slice());
        let failed = rows::failed("ask whether bytes are needed");
        let mut reader = self.to_read().await.map_err(&failed)?;
        needed.fetch_one(&mut *reader).await.map_err(failed)
    }

    async fn publish(
        &self,
        cause: &Cause,
        publication: &Publication,
    ) -> Result<Published, DbError> {
        publish::publish(self, cause, publication).await
    }

    async fn remove(
        &self,
        cause: &Cause,
        content: (&IndexName, &ProjectName),
        removal: Removal<'_>,
    ) -> Result<Option<Removed>, DbError> {
        remove::remove(self, cause, content, removal).await
    }

    async fn snapshot(&self) -> Result<Snapshot, DbError> {
        snapshot::snapshot(self).await
    }

    async fn restore(&self, cause: &Cause, restoration: &Restoration) -> Result<Restored, DbError> {
        restore::restore(self, cause, restoration).await
    }

    async fn create_api_token(
        &self,
        cause: &Cause,
        token: &NewApiToken,
    ) -> Result<Option<Serial>, DbError> {
        tokens::create(self, cause, token).await
    }

    async fn api_token(&self, id: &str) -> Result<Option<ApiToken>, DbError> {
        let token = statement("SELECT * FROM api_tokens WHERE id = $1", &[id]);
        self.one("read a token", token, rows::api_token).await
    }

    async fn api_tokens(&self, user: &str) -> Result<Vec<ApiToken>, DbError> {
        let tokens = statement(
            "SELECT * FROM api_tokens WHERE user_name = $1 ORDER BY created, id",
            &[user],
        );
        let found = self.rows("list a user's tokens", tokens).await?;
        found.iter().map(rows::api_token).collect()
    }

    async fn note_token_uses(&self, uses: &[(String, Timestamp)]) -> Result<(), DbError> {
        tokens::note_uses(self, uses).await
    }

    async fn delete_api_token(&self, cause: &Cause, id: &str) -> Result<Option<Serial>, DbError> {
        tokens::delete(self, cause, id).await
    }

    async fn recalls(&self) -> Result<Vec<Recall>, DbError> {
        let recalls = statement("SELECT * FROM recalls ORDER BY id", &[]);
        let found = self.rows("read the recalls", recalls).await?;
        found.iter().map(rows::recall).collect()
    }

    async fn recall(&self, cause: &Cause, recall: &NewRecall) -> Result<RecallMade, DbError> {
        recalls::make(self, cause, recall).await
    }

    async fn withdraw_recall(&self, cause: &Cause, id: u64) -> Result<Option<Recall>, DbError> {
        recalls::withdraw(self, cause, id).await
    }
}
