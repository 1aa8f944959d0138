//! The contract that every database keeps; `conformance` is its test.

use std::collections::HashSet;
use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::db::change::{
    Cause, IndexDeletion, NewApiToken, NewRecall, NewUser, Publication, Published, RecallMade,
    Removal, Removed, UserDeletion, UserUpdate,
};
use crate::db::error::DbError;
use crate::db::record::{
    ApiToken, ArrivedFile, Change, Directory, FileRecord, FilesSince, IndexHoldings, IndexRecord,
    ProjectRecord, ProjectSpelling, Serial, ServerFacts, User, WholeRelease,
};
use crate::db::snapshot::{Restoration, Restored, Snapshot};
use crate::model::{IndexName, ProjectName, Recall, Sha256, Timestamp};

/// The records. `Ok(None)` from a method that reads means absent; from one that writes it means that
/// the record concerned is absent (or, for creation, present), and nothing was done.
///
/// Every method that takes a [`Cause`] is one transaction with one row in the change log. Once it has
/// returned, the write survives a power cut. A caller that drops the future may find either outcome,
/// never half of one.
#[async_trait]
pub trait Db: Debug + Send + Sync {
    /// What was fixed when the database was created.
    async fn facts(&self) -> Result<ServerFacts, DbError>;

    /// Whether the last attempt to write succeeded; costs nothing.
    fn is_writable(&self) -> bool;

    /// Durably rewrites something unchanged, to see whether that is possible.
    async fn try_to_write(&self) -> Result<(), DbError>;

    /// Ends all use of the records. What was written is then in the main file, which is complete on its
    /// own, unless another process has it open.
    async fn close(&self);

    /// The last committed write.
    async fn serial(&self) -> Result<Serial, DbError>;

    /// The writes after `after`, oldest first, at most `limit`.
    async fn changes_after(&self, after: Serial, limit: u32) -> Result<Vec<Change>, DbError>;

    /// One user.
    async fn user(&self, name: &str) -> Result<Option<User>, DbError>;

    /// Every user and every index made through the API.
    async fn directory(&self) -> Result<Directory, DbError>;

    /// Makes a user; `None` if the name is taken.
    async fn create_user(&self, cause: &Cause, user: &NewUser) -> Result<Option<Serial>, DbError>;

    /// Changes a user and returns it as it is now; `None` if there is none.
    async fn update_user(
        &self,
        cause: &Cause,
        name: &str,
        update: &UserUpdate,
    ) -> Result<Option<User>, DbError>;

    /// Replaces a hash by one of the same password with newer parameters, if it is still `from`. This
    /// affects neither logins nor the serial.
    async fn rehash(&self, name: &str, from: &str, to: &str) -> Result<(), DbError>;

    /// Deletes a user with its volatile indexes, their content, and its CI tokens.
    async fn delete_user(&self, cause: &Cause, name: &str) -> Result<UserDeletion, DbError>;

    /// One index made through the API.
    async fn index(&self, name: &IndexName) -> Result<Option<IndexRecord>, DbError>;

    /// Creates an index, as of now; `None` if the name is taken.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when the user has no record (any more).
    async fn create_index(
        &self,
        cause: &Cause,
        index: &IndexRecord,
    ) -> Result<Option<Serial>, DbError>;

    /// Gives an index a new configuration; `None` if there is none.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when it changed since `index.revision`.
    async fn update_index(
        &self,
        cause: &Cause,
        index: &IndexRecord,
    ) -> Result<Option<Serial>, DbError>;

    /// Deletes a volatile index made through the API, with its content.
    async fn delete_index(&self, cause: &Cause, name: &IndexName)
    -> Result<IndexDeletion, DbError>;

    /// The projects that an index holds itself, by normalised name.
    async fn projects(&self, index: &IndexName) -> Result<Vec<ProjectSpelling>, DbError>;

    /// Whether an index holds a project itself, even if it is only registered.
    async fn has_project(&self, index: &IndexName, project: &ProjectName) -> Result<bool, DbError>;

    /// Everything that an index holds of a project.
    async fn project(
        &self,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Option<ProjectRecord>, DbError>;

    /// What has become of the files that an index holds of a project since a serial, in time with what
    /// changed; of a project that nothing is known of yet, all of them in the order of arrival.
    async fn files_since(
        &self,
        index: &IndexName,
        project: &ProjectName,
        since: Option<Serial>,
    ) -> Result<FilesSince, DbError>;

    /// One file.
    async fn file(
        &self,
        index: &IndexName,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<FileRecord>, DbError>;

    /// What every index holds that ever held anything; costs a row for each.
    async fn holdings(&self) -> Result<Vec<(IndexName, IndexHoldings)>, DbError>;

    /// The release files that came to an index last, the latest first, at most `limit`.
    async fn latest_files(
        &self,
        index: &IndexName,
        limit: u32,
    ) -> Result<Vec<ArrivedFile>, DbError>;

    /// Whether an index holds a release, in whatever spelling.
    async fn has_release(
        &self,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<bool, DbError>;

    /// A release with its files: as spelled if the index has that, else in another spelling.
    async fn release(
        &self,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<Option<WholeRelease>, DbError>;

    /// The releases of an index by project and version, behind a project and a version, at most `limit`.
    async fn releases_from(
        &self,
        index: &IndexName,
        after: (&str, &str),
        limit: u32,
    ) -> Result<Vec<(ProjectName, String)>, DbError>;

    /// The fields of a release as spelled, without its files.
    async fn release_metadata(
        &self,
        index: &IndexName,
        project: &ProjectName,
        version: &str,
    ) -> Result<Option<Map<String, Value>>, DbError>;

    /// Whether a file of this name, with a sha256 that starts with these bytes, was once here and no
    /// longer is (410, not 404). A file's URL has no more of the digest than that.
    async fn was_deleted(
        &self,
        index: &IndexName,
        leading: [u8; 8],
        filename: &str,
    ) -> Result<bool, DbError>;

    /// The digests of all bytes that a record needs: files and metadata sidecars.
    async fn referenced(&self) -> Result<HashSet<Sha256>, DbError>;

    /// Whether a record needs these bytes: asked again just before they are collected.
    async fn is_referenced(&self, sha256: &Sha256) -> Result<bool, DbError>;

    /// Makes a release visible: registration, upload, push, test result, documentation.
    async fn publish(&self, cause: &Cause, publication: &Publication)
    -> Result<Published, DbError>;

    /// Removes content from an index; `None` if there is none of the kind.
    async fn remove(
        &self,
        cause: &Cause,
        content: (&IndexName, &ProjectName),
        removal: Removal<'_>,
    ) -> Result<Option<Removed>, DbError>;

    /// Everything, as of one instant; takes as much memory as the records are large.
    async fn snapshot(&self) -> Result<Snapshot, DbError>;

    /// Adds a snapshot to what is there. The bytes of its files are stored already.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when a user of its indexes is neither in it nor here.
    async fn restore(&self, cause: &Cause, restoration: &Restoration) -> Result<Restored, DbError>;

    /// Keeps a CI token; `None` if the id is taken.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when the user has no record (any more).
    async fn create_api_token(
        &self,
        cause: &Cause,
        token: &NewApiToken,
    ) -> Result<Option<Serial>, DbError>;

    /// One CI token.
    async fn api_token(&self, id: &str) -> Result<Option<ApiToken>, DbError>;

    /// A user's CI tokens, oldest first.
    async fn api_tokens(&self, user: &str) -> Result<Vec<ApiToken>, DbError>;

    /// Notes when CI tokens were last used; gathered by the caller, written together. This does not
    /// change the serial.
    async fn note_token_uses(&self, uses: &[(String, Timestamp)]) -> Result<(), DbError>;

    /// Withdraws a CI token; `None` if there is none.
    async fn delete_api_token(&self, cause: &Cause, id: &str) -> Result<Option<Serial>, DbError>;

    /// Everything that is recalled, the oldest first. One that cannot be read is an error, never left out.
    async fn recalls(&self) -> Result<Vec<Recall>, DbError>;

    /// Recalls something, unless it is recalled already.
    async fn recall(&self, cause: &Cause, recall: &NewRecall) -> Result<RecallMade, DbError>;

    /// Withdraws a recall, and returns what it was; `None` if there is none.
    async fn withdraw_recall(&self, cause: &Cause, id: u64) -> Result<Option<Recall>, DbError>;
}
