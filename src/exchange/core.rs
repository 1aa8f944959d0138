//! The foundation of every flow: the clock, the generation in force, settings, store, records, metrics
//! and the runtime on which work continues after its client has left.

mod deposit;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::cache::Flights;
use crate::clock::Clock;
use crate::db::{Db, FileRecord, FilesSince, Serial};
use crate::depot::Depot;
use crate::exchange::archives::Archives;
use crate::exchange::context::{Context, Generation, Settings};
use crate::exchange::error::{Error, ErrorKind, Flow};
use crate::exchange::outcome::trouble_counts_as;
use crate::exchange::overview::Overview;
use crate::exchange::reply::CacheResult;
use crate::exchange::trouble::records_failed;
use crate::model::{Hashes, IndexName, ProjectName, Sha256};
use crate::search::Catalogue;
use crate::store::{FsStore, Key, StoreError};
use crate::telemetry::{CacheKind, Damage, LookUp, Metrics, Tier, UpstreamResult};
use crate::upstream::UpstreamError;

pub use deposit::depot_failed;

/// The foundation of every flow. It knows none of them.
#[derive(Debug)]
pub struct Core {
    /// Tells the time.
    pub clock: Clock,
    /// What is in force; [`Core::install`] changes it.
    pub in_force: ArcSwap<Generation>,
    /// What does not change.
    pub settings: Settings,
    /// Keeps bytes.
    pub store: Arc<FsStore>,
    /// Keeps uploaded bytes, if that is not the store alone.
    pub depot: Option<Arc<Depot>>,
    /// Keeps records.
    pub records: Arc<dyn Db>,
    /// What is searched; flows note there what is new.
    pub catalogue: Arc<Catalogue>,
    /// What people's pages say of the gateway as a whole.
    pub overview: Overview,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The runtime on which work continues after its client has left.
    pub work: tokio::runtime::Handle,
}

impl Core {
    /// Pins the generation in force and the current instant.
    #[must_use]
    pub fn context(&self) -> Context {
        Context {
            generation: self.generation(),
            now: self.clock.now(),
        }
    }

    /// The generation in force.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.in_force.load_full()
    }

    /// Puts a new generation in force. Nothing is flushed: every rendering and decision knows the
    /// generation that made it.
    pub fn install(&self, generation: Generation) {
        self.metrics.policies_changed(generation.number);
        self.in_force.store(Arc::new(generation));
    }

    /// Reads archives for this gateway.
    #[must_use]
    pub fn archives(&self) -> Archives {
        self.archives_of(self.settings.limits.upstream.metadata)
    }

    /// The same for other files in archives than metadata, of at most so many bytes.
    #[must_use]
    pub fn archives_of(&self, bytes_max: u64) -> Archives {
        Archives::new(self.settings.decoding.clone(), bytes_max)
    }

    /// The error for something that is not held while no upstream may be asked; the one place that says
    /// why.
    pub fn not_asked(&self, what: impl fmt::Display) -> Error {
        let message = if self.settings.is_explaining {
            format!("{what} is not held here: it was not asked for yet, or could not be had")
        } else {
            format!("this gateway is offline and does not hold {what}; warm it while online")
        };
        Error::new(ErrorKind::Unavailable(None), message)
    }

    /// Flights for one kind of miss.
    pub fn flights<K, V>(&self) -> Flights<K, V>
    where
        K: Clone + Eq + Hash + Send + 'static,
        V: Clone + Send + Sync + 'static,
    {
        Flights::new(self.work.clone(), self.settings.limits.work.flights)
    }

    /// Whether a record (still) needs these bytes.
    pub async fn is_needed(&self, digest: &Sha256) -> Flow<bool> {
        let is_needed = self.records.is_referenced(digest).await;
        is_needed.map_err(|error| records_failed("ask whether bytes are needed", error))
    }

    /// What has changed of a project's files in a stage.
    pub async fn files_since(
        &self,
        index: &IndexName,
        project: &ProjectName,
        since: Option<Serial>,
    ) -> Flow<FilesSince> {
        let files = self.records.files_since(index, project, since).await;
        let doing = || format!("read the files of {project} in {index}");
        files.map_err(|error| records_failed(&doing(), error))
    }

    /// What the records know of a file in a stage.
    pub async fn file(
        &self,
        index: &IndexName,
        project: &ProjectName,
        filename: &str,
    ) -> Flow<Option<FileRecord>> {
        let file = self.records.file(index, project, filename).await;
        let doing = || format!("read {filename} of {project} in {index}");
        file.map_err(|error| records_failed(&doing(), error))
    }

    /// What the records know of the files of a release in a stage.
    pub async fn release_files(
        &self,
        (index, project, version): (&IndexName, &ProjectName, &str),
    ) -> Flow<Vec<FileRecord>> {
        let release = self.records.release(index, project, version).await;
        let doing = || format!("read the files of {project} {version} in {index}");
        let release = release.map_err(|error| records_failed(&doing(), error))?;
        Ok(release.map_or_else(Vec::new, |release| release.files))
    }

    /// Whether there are bytes under a key; the caller holds their digest.
    pub fn is_kept(&self, key: &Key) -> Result<bool, StoreError> {
        Ok(self.store.open_file(key)?.is_some())
    }

    /// What is kept under a key. An earlier copy without its own digest may be recognised by one that
    /// is `known`.
    ///
    /// Small copies (page copies, lists, learned facts, sidecars) can be obtained again, so one that
    /// its disk has damaged or cannot read counts as absent
    /// (docs/adr/0034-what-is-kept-is-read-again.md).
    pub fn small_copy(&self, key: &Key, bytes_max: u64, known: &Hashes) -> Option<Bytes> {
        let read = self.store.read_known(key, bytes_max, known);
        read.unwrap_or_else(|error| {
            self.copy_is_damaged(key, &error);
            None
        })
    }

    /// Reports that a copy is damaged, and removes it, so that it is reported once.
    pub fn copy_is_damaged(&self, key: &Key, error: &StoreError) {
        let path = key.path();
        tracing::error!(path = %path.display(), %error, "a kept copy is damaged or cannot be read");
        self.metrics.damaged(Damage::Copy);
        if matches!(error, StoreError::Damaged { .. })
            && let Err(error) = self.store.remove(key)
        {
            tracing::error!(path = %path.display(), %error, "a damaged copy cannot be removed");
        }
    }

    /// Asks an upstream: the one place where this is counted and timed, under its mirror's name.
    pub async fn ask_upstream<T>(
        &self,
        mirror: &IndexName,
        counts_as: fn(&T) -> UpstreamResult,
        answer: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        let started = Instant::now();
        let answer = answer.await;
        let result = answer.as_ref().map_or_else(trouble_counts_as, counts_as);
        let (metrics, elapsed) = (&self.metrics, started.elapsed());
        metrics.upstream_request(mirror.as_str(), result, elapsed);
        answer
    }

    /// Notes a look into a cache: the one place where hits and misses are counted.
    pub fn look<T>(&self, tier: Tier, kind: CacheKind, found: Option<T>) -> Option<T> {
        let result = found.as_ref().map_or(LookUp::Miss, |_| LookUp::Hit);
        self.metrics.looked_up(tier, kind, result);
        found
    }

    /// Counts the result of a look into the store: it was there, or is being fetched for this request or
    /// another.
    pub fn looked_into_store(&self, kind: CacheKind, led_to: CacheResult) {
        let result = match led_to {
            CacheResult::Hit => LookUp::Hit,
            CacheResult::Collapsed => LookUp::Collapsed,
            CacheResult::Bypass
            | CacheResult::Revalidated
            | CacheResult::Miss
            | CacheResult::Stale(_) => LookUp::Miss,
        };
        self.metrics.looked_up(Tier::Store, kind, result);
    }
}
