//! The provenance of a file (PEP 740): what was uploaded with it, or its upstream's, fetched when it is first
//! asked for and kept. So whoever reaches nothing but this gateway can verify what it got.

use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use crate::cache::{FlightError, Flights};
use crate::db::{FileRecord, provenance_name};
use crate::exchange::{CacheResult, Context, Core, Error, Flow, upstream_error};
use crate::gateway::attachment::Attachments;
use crate::gateway::content::Content;
use crate::gateway::small::{Small, SmallFiles};
use crate::gateway::tickets::Grant;
use crate::model::Hashes;
use crate::store::Key;
use crate::telemetry::{CacheKind, UpstreamResult};

/// Provenances of files.
#[derive(Debug)]
pub struct Provenances {
    core: Arc<Core>,
    small: Arc<SmallFiles>,
    attachments: Arc<Attachments>,
    fetches: Flights<Key, Flow<Small>>,
}

impl Provenances {
    pub fn new(core: Arc<Core>, small: Arc<SmallFiles>, attachments: Arc<Attachments>) -> Self {
        Self {
            fetches: core.flights(),
            core,
            small,
            attachments,
        }
    }

    /// The provenance of a file that may be served.
    ///
    /// # Errors
    /// When there is none, or it cannot be had now.
    pub async fn provenance(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Flow<(Content, CacheResult)> {
        if grant.is_private {
            let bytes = self.uploaded(grant).await?;
            return Ok((Content::Memory(Small::new(bytes)), CacheResult::Hit));
        }
        let Some(key) = grant.provenance_key() else {
            return Err(none(grant));
        };
        // No page states a digest of it.
        let (kind, stated) = (CacheKind::Sidecar, Hashes::default());
        if let Some(small) = self.small.find(kind, &key, &stated, |_| true) {
            return Ok((Content::Memory(small), CacheResult::Hit));
        }
        let (own, own_cx, own_grant, at) = (self.clone(), cx.clone(), grant.clone(), key.clone());
        let joined = self.fetches.join(key, move || async move {
            let small = own.fetch(&own_cx, &own_grant).await?;
            own.keep(&own_grant, at, &small);
            Ok(small)
        });
        let joined = joined.await.map_err(busy)?;
        let cache = CacheResult::fetched(joined.led);
        self.core.looked_into_store(kind, cache);
        Ok((Content::Memory(joined.value?), cache))
    }

    async fn uploaded(&self, grant: &Grant) -> Flow<Bytes> {
        let file = grant.file.item();
        let Some(sha256) = file.hashes.sha256() else {
            return Err(none(grant));
        };
        let name = provenance_name(file.filename.as_str(), &sha256);
        let project = file.filename.project();
        let found = self.core.file(&grant.owner, project, &name).await?;
        let found: FileRecord = found.ok_or_else(|| none(grant))?;
        let most = self.core.settings.limits.upstream.metadata;
        let bytes = self.attachments.read(&found, most).await?;
        bytes.ok_or_else(|| self.core.lost_upload(&name))
    }

    async fn fetch(&self, cx: &Context, grant: &Grant) -> Flow<Small> {
        let (file, core) = (grant.file.item(), &self.core);
        let upstream = cx.generation.upstreams.get(&grant.owner);
        let url = file.provenance.as_deref();
        let url = url.and_then(|url| Url::parse(url).ok());
        let (Some(upstream), Some(url)) = (upstream, url) else {
            let name = &file.filename;
            let message = format!(
                "{} cannot be asked for the provenance of {name}",
                grant.owner
            );
            return Err(Error::bad_gateway(message));
        };
        if core.settings.offline {
            return Err(core.not_asked(format!("the provenance of {}", file.filename)));
        }
        let counts_as = |answer: &Option<Bytes>| match answer {
            Some(_) => UpstreamResult::Fetched,
            None => UpstreamResult::Absent,
        };
        let asked = core.ask_upstream(&grant.owner, counts_as, upstream.provenance(&url));
        match asked.await.map_err(upstream_error)? {
            Some(bytes) => Ok(Small::new(bytes)),
            None => Err(Error::not_found(format!("error 404 getting {url}"))),
        }
    }

    /// Stored behind the answer: nobody needs to wait for the disk.
    fn keep(&self, grant: &Grant, key: Key, small: &Small) {
        self.small.insert(key.clone(), small.clone());
        let (core, bytes) = (Arc::clone(&self.core), small.bytes.clone());
        let file = grant.file.item().filename.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = core.store.put_small(&key, &bytes) {
                tracing::error!(%file, %error, "provenance not kept");
            }
        });
    }
}

fn none(grant: &Grant) -> Error {
    let name = &grant.file.item().filename;
    Error::not_found(format!("{name} has no provenance"))
}

fn busy(error: FlightError) -> Error {
    Error::busy(format_args!("fetch a provenance: {error}"))
}
