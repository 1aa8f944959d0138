//! SQLite as a [`Db`]: which topic answers which method.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;

use crate::db::change::{
    Cause, IndexDeletion, IndexUpdate, NewApiToken, NewIndex, NewUser, Publication, Published,
    UserDeletion, UserUpdate,
};
use crate::db::contract::Db;
use crate::db::error::DbError;
use crate::db::record::{
    ApiToken, Change, Directory, FileRecord, IndexRecord, ProjectRecord, ProjectSpelling, Serial,
    ServerFacts, User,
};
use crate::db::snapshot::{Restoration, Restored, Snapshot};
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::{indexes, publish, read, remove, restore, rows, snapshot, tokens, users};
use crate::model::{IndexName, ProjectName, Sha256, Timestamp};

impl Sqlite {
    async fn reader(&self) -> Result<PoolConnection<sqlx::Sqlite>, DbError> {
        self.readers
            .acquire()
            .await
            .map_err(rows::failed("get a connection to read"))
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
        read::changes_after(self, after, limit).await
    }

    async fn user(&self, name: &str) -> Result<Option<User>, DbError> {
        read::user(self, name).await
    }

    async fn directory(&self) -> Result<Directory, DbError> {
        read::directory(self).await
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
        users::rehash(self, name, from, to).await
    }

    async fn delete_user(&self, cause: &Cause, name: &str) -> Result<UserDeletion, DbError> {
        users::delete(self, cause, name).await
    }

    async fn index(&self, name: &IndexName) -> Result<Option<IndexRecord>, DbError> {
        read::index(self, name).await
    }

    async fn create_index(
        &self,
        cause: &Cause,
        index: &NewIndex,
    ) -> Result<Option<Serial>, DbError> {
        indexes::create(self, cause, index).await
    }

    async fn update_index(
        &self,
        cause: &Cause,
        update: &IndexUpdate,
    ) -> Result<Option<Serial>, DbError> {
        indexes::update(self, cause, update).await
    }

    async fn delete_index(
        &self,
        cause: &Cause,
        name: &IndexName,
    ) -> Result<IndexDeletion, DbError> {
        indexes::delete(self, cause, name).await
    }

    async fn projects(&self, index: &IndexName) -> Result<Vec<ProjectSpelling>, DbError> {
        read::projects(self, index).await
    }

    async fn has_project(&self, index: &IndexName, project: &ProjectName) -> Result<bool, DbError> {
        let mut reader = self.reader().await?;
        read::has_project(&mut reader, index, project).await
    }

    async fn project(
        &self,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Option<ProjectRecord>, DbError> {
        read::project(self, index, project).await
    }

    async fn files(
        &self,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Vec<FileRecord>, DbError> {
        let mut reader = self.reader().await?;
        read::files(&mut reader, index, project).await
    }

    async fn was_deleted(
        &self,
        index: &IndexName,
        leading: [u8; 8],
        filename: &str,
    ) -> Result<bool, DbError> {
        read::was_deleted(self, index, leading, filename).await
    }

    async fn referenced(&self) -> Result<HashSet<Sha256>, DbError> {
        read::referenced(self).await
    }

    async fn is_referenced(&self, sha256: &Sha256) -> Result<bool, DbError> {
        read::is_referenced(self, sha256).await
    }

    async fn publish(
        &self,
        cause: &Cause,
        publication: &Publication,
    ) -> Result<Published, DbError> {
        publish::publish(self, cause, publication).await
    }

    async fn delete_project(
        &self,
        cause: &Cause,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Option<Serial>, DbError> {
        remove::delete_project(self, cause, index, project).await
    }

    async fn delete_release(
        &self,
        cause: &Cause,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<Option<Serial>, DbError> {
        remove::delete_release(self, cause, index, project, version).await
    }

    async fn delete_file(
        &self,
        cause: &Cause,
        index: &IndexName,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Serial>, DbError> {
        remove::delete_file(self, cause, index, project, filename).await
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
        tokens::one(self, id).await
    }

    async fn api_tokens(&self, user: &str) -> Result<Vec<ApiToken>, DbError> {
        tokens::of_user(self, user).await
    }

    async fn note_token_uses(&self, uses: &[(String, Timestamp)]) -> Result<(), DbError> {
        tokens::note_uses(self, uses).await
    }

    async fn delete_api_token(&self, cause: &Cause, id: &str) -> Result<Option<Serial>, DbError> {
        tokens::delete(self, cause, id).await
    }
}
