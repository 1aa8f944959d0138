//! The depot: objects by key, each operation whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};
use sha2::Digest as _;

use crate::depot::error::{DepotError, says, words};
use crate::depot::health::Health;
use crate::depot::key::{DepotKey, PRIVATE};
use crate::depot::place::client;
use crate::depot::strangers::Strangers;
use crate::depot::withdrawal::Withdrawal;
use crate::model::{BucketPlace, Sha256, Timestamp};
use crate::telemetry::{DepotMetrics, DepotRequest};

/// The object that says whose the depot is.
const NOTE: &str = "records.json";

/// Its longest content: it has a hundred bytes.
const NOTE_BYTES_MAX: u64 = 64 << 10;

/// The code of S3's error for an object that is not there.
const NO_SUCH_KEY: &str = "NoSuchKey";

/// A bucket, or a part of one.
#[derive(Debug)]
pub struct Depot {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    pub(super) words: String,
    pub(super) health: Health,
    grace: Duration,
    strangers: Arc<Strangers>,
    /// Whether it was shown that it can hold uploaded bytes.
    pub(super) is_tried: AtomicBool,
}

/// What became of bytes that were to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposited {
    /// They were not there.
    Created,
    /// They were there.
    Present,
}

/// An object, as a listing shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InDepot {
    /// Its key.
    pub key: DepotKey,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written, by the server's clock.
    pub modified_at: Timestamp,
}

impl Depot {
    /// The depot at a place. Nothing is asked of it yet.
    ///
    /// # Errors
    /// `Unfit` when no client can be made of what is said.
    pub fn open(
        place: &BucketPlace,
        grace: Duration,
        metrics: DepotMetrics,
    ) -> Result<Self, DepotError> {
        let strangers = Arc::new(Strangers::default());
        Ok(Self {
            objects: Arc::new(client(place, &strangers)?),
            prefix: Path::from(place.prefix.as_str()),
            words: place.words(),
            health: Health::new(metrics),
            grace,
            strangers,
            is_tried: AtomicBool::new(false),
        })
    }

    /// Where it is, in words.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// How old an object has to be before it is removed because nobody needs it.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// Why it does not answer as it should, as of the last request.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.health.trouble()
    }

    /// Asks whether it answers, and tries it out first if that could not be done yet.
    ///
    /// # Errors
    /// As of [`Depot::try_out`].
    pub async fn look(&self) -> Result<(), DepotError> {
        if !self.is_tried.load(Ordering::Acquire) {
            return self.try_again().await;
        }
        self.note().await.map(drop)
    }

    /// Nothing is written to a depot that was not tried out.
    pub(super) async fn be_tried(&self) -> Result<(), DepotError> {
        if self.is_tried.load(Ordering::Acquire) {
            return Ok(());
        }
        self.try_again().await
    }

    pub(super) fn failed(&self, doing: &str, error: Error) -> DepotError {
        DepotError::Unavailable {
            doing: doing.to_owned(),
            why: words(&error),
        }
    }

    /// `None` for an object that is not there.
    fn absent<T>(&self, doing: &str, got: Result<T, Error>) -> Result<Option<T>, DepotError> {
        match got {
            Ok(got) => Ok(Some(got)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(doing, error)),
        }
    }

    /// The same for a request whose answer says what is not there: a bucket that is gone, or a server that
    /// is none of S3, does not make files lost.
    fn no_such_key<T>(&self, doing: &str, got: Result<T, Error>) -> Result<Option<T>, DepotError> {
        match got {
            Err(error @ Error::NotFound { .. }) if !says(&error, NO_SUCH_KEY) => {
                Err(self.failed(doing, error))
            }
            got => self.absent(doing, got),
        }
    }

    /// Starts to read an object; `None` if there is none.
    ///
    /// # Errors
    /// `Unavailable` when the depot fails.
    pub async fn get(&self, key: DepotKey) -> Result<Option<Withdrawal>, DepotError> {
        let path = key.path(&self.prefix);
        let got = self.no_such_key(&format!("read {path}"), self.objects.get(&path).await);
        let got = self.health.went(DepotRequest::Get, got)?;
        Ok(got.map(|got| Withdrawal::of(got, &path)))
    }

    /// The length of an object; `None` if there is none.
    ///
    /// # Errors
    /// `Unavailable` when the depot fails.
    pub async fn head(&self, key: DepotKey) -> Result<Option<u64>, DepotError> {
        let length = self.length(&key).await;
        self.health.went(DepotRequest::Head, length)
    }

    pub(super) async fn length(&self, key: &DepotKey) -> Result<Option<u64>, DepotError> {
        let path = key.path(&self.prefix);
        let head = self.absent(&format!("look at {path}"), self.objects.head(&path).await)?;
        Ok(head.map(|head| head.size))
    }

    /// Removes an object, whether there is one or not.
    ///
    /// # Errors
    /// `Unavailable` when the depot fails.
    pub async fn remove(&self, key: DepotKey) -> Result<(), DepotError> {
        let path = key.path(&self.prefix);
        let removed = self.objects.delete(&path).await;
        let removed = self.absent(&format!("remove {path}"), removed);
        self.health.went(DepotRequest::Remove, removed).map(drop)
    }

    /// Every object with uploaded bytes. What else is there is counted and passed over.
    pub fn list(&self) -> BoxStream<'_, Result<InDepot, DepotError>> {
        self.strangers.begin();
        let listed = self.objects.list(Some(&self.prefix.clone().join(PRIVATE)));
        let listed = listed.map_err(|error| self.failed("list its objects", error));
        let ours = listed.try_filter_map(async |object| {
            let key = DepotKey::of(&object.location, &self.prefix);
            self.strangers.seen(u64::from(key.is_none()));
            let modified_at = Timestamp::from_second(object.last_modified.timestamp());
            let size = object.size;
            Ok(key.map(|key| InDepot {
                key,
                size,
                modified_at: modified_at.unwrap_or(Timestamp::MAX),
            }))
        });
        let noted = ours.map(|one| {
            let one = self.health.went(DepotRequest::List, one.map(Some))?;
            Ok(one)
        });
        let listed = noted.try_filter_map(async |one| Ok(one));
        let end = futures_util::stream::once(async {
            self.strangers.tell(&self.words);
            None
        });
        listed
            .map(Some)
            .chain(end)
            .filter_map(async |one| one)
            .boxed()
    }

    /// Reads a file's object to its end; returns whether there is one.
    ///
    /// # Errors
    /// `Wrong` if it is not what its key says; `Unavailable` when the depot fails.
    pub async fn verify(&self, digest: Sha256) -> Result<bool, DepotError> {
        let Some(mut object) = self.get(DepotKey::File(digest)).await? else {
            return Ok(false);
        };
        let mut hasher = sha2::Sha256::new();
        while let Some(piece) = object.next().await? {
            hasher.update(&piece);
        }
        let found = Sha256::from_bytes(hasher.finalize().into());
        if found == digest {
            return Ok(true);
        }
        Err(self.found_wrong(digest, &format!("its sha256 is {found}")))
    }

    /// Counts a file's object that is not what its key says, and says so.
    pub fn found_wrong(&self, digest: Sha256, why: &str) -> DepotError {
        let key = DepotKey::File(digest).path(&self.prefix).to_string();
        tracing::error!(
            "the object {key} in the depot is not what its key says, and is not served: {why}"
        );
        let why = why.to_owned();
        let wrong: Result<Option<()>, _> = Err(DepotError::Wrong {
            key: key.clone(),
            why: why.clone(),
        });
        drop(self.health.went(DepotRequest::Get, wrong));
        DepotError::Wrong { key, why }
    }

    /// Keeps the metadata of a wheel, in place of what was there: it is read from the wheel, and the record
    /// has its digest.
    ///
    /// # Errors
    /// `Unavailable` when the depot fails.
    pub async fn put_metadata(&self, wheel: Sha256, content: Bytes) -> Result<(), DepotError> {
        self.be_tried().await?;
        self.write(DepotKey::Metadata(wheel).path(&self.prefix), content)
            .await
    }

    /// The metadata of a wheel, if there is some of at most so many bytes.
    ///
    /// # Errors
    /// `Unavailable` when the depot fails.
    pub async fn metadata(
        &self,
        wheel: Sha256,
        bytes_max: u64,
    ) -> Result<Option<Bytes>, DepotError> {
        match self.get(DepotKey::Metadata(wheel)).await? {
            Some(object) if object.size <= bytes_max => object.whole(bytes_max).await.map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// What was noted of the records that the objects belong to.
    ///
    /// # Errors
    /// `Unavailable` when the depot fails.
    pub async fn note(&self) -> Result<Option<Bytes>, DepotError> {
        let path = self.prefix.clone().join(NOTE);
        let got = self.no_such_key(&format!("read {path}"), self.objects.get(&path).await);
        let got = self.health.went(DepotRequest::Get, got)?;
        let Some(got) = got else { return Ok(None) };
        let read = Withdrawal::of(got, &path).whole(NOTE_BYTES_MAX).await;
        self.health.went(DepotRequest::Get, read.map(Some))
    }

    /// Notes the records that the objects belong to.
    ///
    /// # Errors
    /// `Unavailable` when the depot fails.
    pub async fn write_note(&self, note: Bytes) -> Result<(), DepotError> {
        self.be_tried().await?;
        self.write(self.prefix.clone().join(NOTE), note).await
    }

    async fn write(&self, path: Path, content: Bytes) -> Result<(), DepotError> {
        let put = self.objects.put(&path, content.into()).await;
        let put = put.map_err(|error| self.failed(&format!("keep {path}"), error));
        self.health.went(DepotRequest::Put, put.map(Some)).map(drop)
    }
}
