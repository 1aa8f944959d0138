//! An [`Engine`] as a [`Db`]. Reads are answered here, those that need several queries as of one instant;
//! writes are in the modules of their topics.

use std::collections::HashSet;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::db::change::{
    Cause, IndexDeletion, NewApiToken, NewRecall, NewUser, Publication, Published, RecallMade,
    Removal, Removed, UserDeletion, UserUpdate,
};
use crate::db::contract::Db;
use crate::db::error::DbError;
use crate::db::record::{
    ApiToken, ArrivedFile, Change, Directory, FileRecord, FilesSince, IndexHoldings, IndexRecord,
    ProjectRecord, ProjectSpelling, Serial, ServerFacts, ServerSecret, User, WholeRelease,
};
use crate::db::snapshot::{Restoration, Restored, Snapshot};
use crate::db::sql::connection::Row;
use crate::db::sql::engine::Engine;
use crate::db::sql::statement::{Statement, statement};
use crate::db::sql::{
    indexes, publish, read, recalls, remove, restore, rows, since, snapshot, tokens, users, writing,
};
use crate::model::{IndexName, ProjectName, Recall, Sha256, Timestamp};

const READ: &str = "read the records";

async fn found(
    db: &dyn Engine,
    doing: &'static str,
    statement: Statement<'_>,
) -> Result<Vec<Row>, DbError> {
    db.to_read(doing).await?.rows(statement, doing).await
}

/// The row that a statement finds, as a record.
async fn one<T>(
    db: &dyn Engine,
    doing: &'static str,
    statement: Statement<'_>,
    record: fn(&Row) -> Result<T, DbError>,
) -> Result<Option<T>, DbError> {
    let row = db.to_read(doing).await?.row(statement, doing).await?;
    row.as_ref().map(record).transpose()
}

#[async_trait]
impl<E: Engine> Db for E {
    async fn facts(&self) -> Result<ServerFacts, DbError> {
        let doing = "read the server's uuid and secret";
        let facts = statement("SELECT uuid, secret, created FROM server", &[]);
        let mut reader = self.to_read(doing).await?;
        let row = reader.row(facts, doing).await?.ok_or(DbError::Corrupt {
            doing,
            what: "no row".to_owned(),
        })?;
        let read = rows::reader(&row, doing);
        Ok(ServerFacts {
            uuid: read.get("uuid")?,
            secret: ServerSecret(read.bytes("secret")?),
            created: read.instant("created")?,
        })
    }

    fn is_writable(&self) -> bool {
        self.health().is_writable()
    }

    async fn try_to_write(&self) -> Result<(), DbError> {
        writing::try_to_write(self).await
    }

    async fn close(&self) {
        self.end().await;
    }

    async fn serial(&self) -> Result<Serial, DbError> {
        let mut reader = self.to_read(READ).await?;
        read::serial(&mut reader).await
    }

    async fn changes_after(&self, after: Serial, limit: u32) -> Result<Vec<Change>, DbError> {
        let changes = statement(
            "SELECT * FROM changes WHERE serial > $1 ORDER BY serial LIMIT $2",
            &[],
        );
        let changes = changes.bind(rows::integer(after.0)).bind(i64::from(limit));
        let found = found(self, "read the change log", changes).await?;
        found.iter().map(rows::change).collect()
    }

    async fn user(&self, name: &str) -> Result<Option<User>, DbError> {
        let user = statement("SELECT * FROM users WHERE name = $1", &[name]);
        one(self, "read a user", user, rows::user).await
    }

    async fn directory(&self) -> Result<Directory, DbError> {
        read::directory(&mut self.begin_reading("read all users").await?).await
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
        let doing = "renew a password's hash";
        let mut writer = self.to_write(doing).await?;
        writer.run(rehashed, doing).await.map(drop)
    }

    async fn delete_user(&self, cause: &Cause, name: &str) -> Result<UserDeletion, DbError> {
        users::delete(self, cause, name).await
    }

    async fn index(&self, name: &IndexName) -> Result<Option<IndexRecord>, DbError> {
        let index = statement("SELECT * FROM indexes WHERE name = $1", &[name.as_str()]);
        one(self, "read an index", index, rows::index).await
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
        let found = found(self, "list the projects of an index", projects).await?;
        found.iter().map(rows::project).collect()
    }

    async fn has_project(&self, index: &IndexName, project: &ProjectName) -> Result<bool, DbError> {
        let mut reader = self.to_read(READ).await?;
        Ok(read::spelling(&mut reader, index, project).await?.is_some())
    }

    async fn project(
        &self,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Option<ProjectRecord>, DbError> {
        let doing = "read a project";
        let mut instant = self.begin_reading(doing).await?;
        let Some(spelling) = read::spelling(&mut instant, index, project).await? else {
            return Ok(None);
        };
        let releases = statement(
            "SELECT * FROM releases WHERE index_name = $1 AND project = $2 ORDER BY version",
            &[index.as_str(), project.as_str()],
        );
        let found = instant.rows(releases, doing).await?;
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
        let mut reader = self.to_read(READ).await?;
        read::file(&mut reader, index, project, filename).await
    }

    async fn holdings(&self) -> Result<Vec<(IndexName, IndexHoldings)>, DbError> {
        let doing = "read what indexes hold";
        let all = statement("SELECT * FROM holdings ORDER BY index_name", &[]);
        let found = found(self, doing, all).await?;
        found.iter().map(rows::holdings).collect()
    }

    async fn latest_files(
        &self,
        index: &IndexName,
        limit: u32,
    ) -> Result<Vec<ArrivedFile>, DbError> {
        let latest = statement(
            "SELECT *, coalesce(arrived_at, uploaded_at) AS arrived FROM files
             WHERE index_name = $1 AND role = 'releasefile'
             ORDER BY coalesce(arrived_at, uploaded_at) DESC, project, filename LIMIT $2",
            &[index.as_str()],
        );
        let latest = latest.bind(i64::from(limit));
        let found = found(self, "read what came to an index last", latest).await?;
        found.iter().map(rows::arrived).collect()
    }

    async fn has_release(
        &self,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<bool, DbError> {
        let mut reader = self.to_read(READ).await?;
        let found = read::release(&mut reader, (index, project, version)).await?;
        Ok(found.is_some())
    }

    async fn release(
        &self,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<Option<WholeRelease>, DbError> {
        let mut instant = self.begin_reading("read a release").await?;
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

    async fn releases_from(
        &self,
        index: &IndexName,
        after: (&str, &str),
        limit: u32,
    ) -> Result<Vec<(ProjectName, String)>, DbError> {
        let doing = "list the releases of an index";
        let releases = statement(
            "SELECT project, version FROM releases
             WHERE index_name = $1 AND (project, version) > ($2, $3)
             ORDER BY project, version LIMIT $4",
            &[index.as_str(), after.0, after.1],
        );
        let found = found(self, doing, releases.bind(i64::from(limit))).await?;
        let named = found.iter().map(|row| {
            let read = rows::reader(row, doing);
            Ok((read.project("project")?, read.get("version")?))
        });
        named.collect()
    }

    async fn release_metadata(
        &self,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<Option<Map<String, Value>>, DbError> {
        let release = statement(
            "SELECT * FROM releases WHERE index_name = $1 AND project = $2 AND version = $3",
            &[index.as_str(), project.as_str(), version],
        );
        let release = one(self, "read what a release says", release, rows::release).await?;
        Ok(release.map(|release| release.metadata))
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
        let found = found(self, "look for a deleted file", deleted).await?;
        Ok(!found.is_empty())
    }

    async fn referenced(&self) -> Result<HashSet<Sha256>, DbError> {
        let doing = "list the bytes that records need";
        let digests = statement(
            "SELECT sha256 FROM files
             UNION SELECT metadata_sha256 FROM files WHERE metadata_sha256 IS NOT NULL",
            &[],
        );
        let found = found(self, doing, digests).await?;
        let digests = found
            .iter()
            .map(|row| rows::reader(row, doing).digest("sha256"));
        digests.collect()
    }

    async fn is_referenced(&self, sha256: &Sha256) -> Result<bool, DbError> {
        let doing = "ask whether bytes are needed";
        let needed = statement(
            "SELECT EXISTS (SELECT 1 FROM files WHERE sha256 = $1)
                 OR EXISTS (SELECT 1 FROM files WHERE metadata_sha256 = $1) AS needed",
            &[],
        );
        let needed = needed.bind(sha256.as_bytes().as_slice());
        let found = one(self, doing, needed, |row| {
            rows::reader(row, "ask whether bytes are needed").get("needed")
        });
        Ok(found.await?.unwrap_or(true))
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
        one(self, "read a token", token, rows::api_token).await
    }

    async fn api_tokens(&self, user: &str) -> Result<Vec<ApiToken>, DbError> {
        let tokens = statement(
            "SELECT * FROM api_tokens WHERE user_name = $1 ORDER BY created, id",
            &[user],
        );
        let found = found(self, "list a user's tokens", tokens).await?;
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
        let found = found(self, "read the recalls", recalls).await?;
        found.iter().map(rows::recall).collect()
    }

    async fn recall(&self, cause: &Cause, recall: &NewRecall) -> Result<RecallMade, DbError> {
        recalls::make(self, cause, recall).await
    }

    async fn withdraw_recall(&self, cause: &Cause, id: u64) -> Result<Option<Recall>, DbError> {
        recalls::withdraw(self, cause, id).await
    }
}
