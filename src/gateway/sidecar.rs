//! The metadata of a wheel (PEP 658): held, taken from upstream, or read out of the wheel itself.
//!
//! Every wheel is listed with a sidecar, so every one must be had: upstream's own where it has one,
//! else the few kilobytes of the wheel's ZIP directory that say where METADATA is, else the wheel.

use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use super::content::Content;
use super::context::Context;
use super::context::Shared;
use super::context::Small;
use super::error::Error;
use super::error::ErrorKind;
use super::refresh::upstream_error;
use super::refresh::upstream_result;
use super::reply::CacheResult;
use super::tickets::Grant;
use crate::cache::Flights;
use crate::model::CoreMetadata;
use crate::model::Kind;
use crate::model::Sha256;
use crate::store::Key;
use crate::store::Readable;
use crate::telemetry::UpstreamResult;
use crate::upstream::Upstream;
use crate::upstream::WheelMetadata;
use crate::upstream::metadata_of_file;

/// Sidecars being fetched, by the wheel's digest.
pub(super) type Sidecars = Flights<Sha256, Result<Small, Arc<Error>>>;

type Flow<T> = Result<T, Arc<Error>>;

impl Shared {
    /// The metadata of a wheel that may be served.
    ///
    /// # Errors
    /// When it cannot be had now, or the file is no wheel.
    pub(super) async fn sidecar(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Flow<(Content, CacheResult)> {
        let file = grant.file.item();
        let (Some(key), Some(digest)) = (grant.metadata_key(), file.hashes.sha256()) else {
            return Err(Arc::new(Error::not_found(format!(
                "{} has no sidecar yet",
                file.filename
            ))));
        };
        if file.filename.kind() != Kind::Wheel && file.core_metadata == CoreMetadata::Absent {
            return Err(Arc::new(Error::not_found(format!(
                "{} has no sidecar",
                file.filename
            ))));
        }
        if let Some(small) = self.small.get(&key) {
            return Ok((Content::Memory(small), CacheResult::Hit));
        }
        let held = self
            .store
            .read_small(&key, self.settings.metadata_bytes_max);
        let held = held.map_err(|error| Arc::new(Error::internal("read a sidecar", error)))?;
        if let Some(bytes) = held {
            let small = Small::new(bytes);
            self.small.insert(key, small.clone());
            return Ok((Content::Memory(small), CacheResult::Hit));
        }
        let (shared, own_cx, own_grant) = (Arc::clone(self), cx.clone(), grant.clone());
        let joined = self.sidecars.join(digest, move || async move {
            shared.obtain(&own_cx, &own_grant, key).await
        });
        let joined = joined.await.map_err(|busy| {
            Arc::new(Error::new(
                ErrorKind::Unavailable(Some(1)),
                format!("fetch a sidecar: {busy}"),
            ))
        })?;
        let cache = if joined.led {
            CacheResult::Miss
        } else {
            CacheResult::Collapsed
        };
        Ok((Content::Memory(joined.value?), cache))
    }

    async fn obtain(self: &Arc<Self>, cx: &Context, grant: &Grant, key: Key) -> Flow<Small> {
        let bytes = match self.metadata_of_held(grant).await? {
            Some(bytes) => bytes,
            None => self.metadata_from_upstream(cx, grant).await?,
        };
        if let CoreMetadata::Hashed(stated) = &grant.file.item().core_metadata
            && stated
                .sha256()
                .is_some_and(|stated| stated != Sha256::of(&bytes))
        {
            let message = format!(
                "the metadata of {} does not have its stated digest",
                grant.file.item().filename
            );
            return Err(Arc::new(Error::new(ErrorKind::BadGateway, message)));
        }
        let small = Small::new(bytes.clone());
        self.small.insert(key.clone(), small.clone());
        let (shared, kept) = (Arc::clone(self), bytes);
        let filename = grant.file.item().filename.clone();
        // Kept behind the answer: it is synced to disk, and nobody needs to wait for that.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = shared.store.put_small(&key, &kept) {
                tracing::error!(file = %filename, %error, "sidecar not kept");
            }
        });
        Ok(small)
    }

    /// Read out of the wheel, where that is here already.
    async fn metadata_of_held(&self, grant: &Grant) -> Flow<Option<Bytes>> {
        let Some(key) = grant.key() else {
            return Ok(None);
        };
        let stored = self.store.open_file(&key);
        let stored = stored.map_err(|error| Arc::new(Error::internal("open a wheel", error)))?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let filename = grant.file.item().filename.clone();
        let work = move || metadata_of_file(stored.file(), &filename);
        let read = tokio::task::spawn_blocking(work).await;
        let read = read.map_err(|error| Arc::new(Error::internal("read a wheel", error)))?;
        read.map(Some).map_err(|error| {
            let message = format!("{} holds no metadata: {error}", grant.file.item().filename);
            Arc::new(Error::new(ErrorKind::BadGateway, message))
        })
    }

    async fn metadata_from_upstream(self: &Arc<Self>, cx: &Context, grant: &Grant) -> Flow<Bytes> {
        let file = grant.file.item();
        let upstream = cx.generation.upstreams.get(&grant.owner);
        let url = file.url.as_deref().and_then(|url| Url::parse(url).ok());
        let (Some(upstream), Some(url)) = (upstream, url) else {
            let message = format!("{} cannot be asked for {}", grant.owner, file.filename);
            return Err(Arc::new(Error::new(ErrorKind::BadGateway, message)));
        };
        if self.settings.offline {
            let message = format!(
                "this gateway is offline and holds no metadata of {}",
                file.filename
            );
            return Err(Arc::new(Error::new(ErrorKind::Unavailable(None), message)));
        }
        if file.core_metadata != CoreMetadata::Absent
            && let Some(bytes) = self.announced(grant, upstream, &url).await?
        {
            return Ok(bytes);
        }
        let started = std::time::Instant::now();
        let answer = upstream.wheel_metadata(&url, &file.filename).await;
        let result = upstream_result(&answer, |answer| match answer {
            WheelMetadata::Found(_) | WheelMetadata::NeedWhole => UpstreamResult::Fetched,
            WheelMetadata::NotFound => UpstreamResult::Absent,
            WheelMetadata::Invalid(_) => UpstreamResult::Invalid,
        });
        self.metrics
            .upstream_request(grant.owner.as_str(), result, started.elapsed());
        match answer.map_err(|error| Arc::new(upstream_error(error)))? {
            WheelMetadata::Found(bytes) => Ok(bytes),
            WheelMetadata::NotFound => Err(Arc::new(Error::not_found(format!(
                "error 404 getting {url}"
            )))),
            WheelMetadata::NeedWhole => self.metadata_of_whole(cx, grant).await,
            WheelMetadata::Invalid(error) => {
                let message = format!("{} holds no metadata: {error}", file.filename);
                Err(Arc::new(Error::new(ErrorKind::BadGateway, message)))
            }
        }
    }

    /// The sidecar that upstream announces; nothing when it does not have it after all.
    async fn announced(
        &self,
        grant: &Grant,
        upstream: &Upstream,
        url: &Url,
    ) -> Flow<Option<Bytes>> {
        let started = std::time::Instant::now();
        let answer = upstream.sidecar(url).await;
        let result = upstream_result(&answer, |answer| match answer {
            Some(_) => UpstreamResult::Fetched,
            None => UpstreamResult::Absent,
        });
        self.metrics
            .upstream_request(grant.owner.as_str(), result, started.elapsed());
        answer.map_err(|error| Arc::new(upstream_error(error)))
    }

    /// Fetches the wheel, which somebody who asks for its metadata will want anyway.
    async fn metadata_of_whole(self: &Arc<Self>, cx: &Context, grant: &Grant) -> Flow<Bytes> {
        let (content, _) = self.fill(cx, grant).await?;
        if let Content::Growing(growing) = content {
            if let Readable::Failed(why) = growing.settled().await {
                let message = format!("{} could not be fetched: {why}", grant.file.item().filename);
                return Err(Arc::new(Error::new(ErrorKind::BadGateway, message)));
            }
            let filename = grant.file.item().filename.clone();
            let work = move || metadata_of_file(growing.file(), &filename);
            let read = tokio::task::spawn_blocking(work).await;
            let read = read.map_err(|error| Arc::new(Error::internal("read a wheel", error)))?;
            return read
                .map_err(|error| Arc::new(Error::new(ErrorKind::BadGateway, error.to_string())));
        }
        let bytes = self.metadata_of_held(grant).await?;
        bytes.ok_or_else(|| Arc::new(Error::not_found("no such file")))
    }
}
