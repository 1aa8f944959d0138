//! The metadata of a wheel (PEP 658): held, taken from upstream, or read out of the wheel itself.
//!
//! Every wheel is listed with a sidecar, so every one must be available: upstream's own if it matches
//! what its page says, otherwise by reading the few kilobytes of the wheel's ZIP directory that say
//! where METADATA is, otherwise the whole wheel. If none of that yields one, that is noted, and pages
//! no longer list it: installers fail on a sidecar that is listed and unavailable, and need none that
//! is not listed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use crate::cache::{Flight, FlightError, Flights, Weighed};
use crate::exchange::{CacheResult, Context, Core, Error, Flow, later, upstream_error};
use crate::gateway::content::Content;
use crate::gateway::fill::Wholes;
use crate::gateway::held::missing_upload;
use crate::gateway::learn::{Fact, Learning};
use crate::gateway::small::{Small, SmallFiles};
use crate::gateway::tickets::Grant;
use crate::language::Mirror;
use crate::model::{CoreMetadata, File, Hashes, IndexName, ProjectName, Timestamp};
use crate::page::has_sidecar;
use crate::protocol::{CoreMetadataFields, ReleaseMetadata};
use crate::search::ReleaseAbout;
use crate::store::{Key, check};
use crate::telemetry::{CacheKind, Tier, UpstreamResult};
use crate::upstream::{InvalidWheel, Upstream, UpstreamError, WheelAnswer, metadata_of_file};

/// What a sidecar takes in memory besides its bytes.
const ENTRY_BYTES: usize = 300;

/// Which sidecar: by where it is kept or, while nobody has hashed the wheel, by where an index lists
/// it. Either way one mirror's statement about a wheel is kept apart from another's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SidecarKey {
    Kept(Key),
    Place(IndexName, Arc<str>),
}

/// Roughly how many bytes of memory such a sidecar takes.
pub fn weight_bytes(_: &SidecarKey, (_, small): &(Timestamp, Small)) -> usize {
    small.bytes.len() + ENTRY_BYTES
}

/// Why there is no metadata.
enum Missing {
    /// It is not available now.
    Now(Error),
    /// This file will never have any; with the reason.
    Ever(String),
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        Self::Now(error)
    }
}

impl From<UpstreamError> for Missing {
    fn from(error: UpstreamError) -> Self {
        Self::Now(upstream_error(error))
    }
}

impl From<InvalidWheel> for Missing {
    fn from(error: InvalidWheel) -> Self {
        match error {
            InvalidWheel::Io(_) => Self::Now(Error::internal("read a wheel", error)),
            InvalidWheel::Archive(_)
            | InvalidWheel::Layout(_)
            | InvalidWheel::Project { .. }
            | InvalidWheel::TooLarge(_) => Self::Ever(error.to_string()),
        }
    }
}

/// A wheel's metadata, or why it has none and never will.
type Obtained = Result<Small, Arc<str>>;

/// Metadata of wheels.
#[derive(Debug)]
pub struct Sidecars {
    pub(super) core: Arc<Core>,
    pub(super) small: Arc<SmallFiles>,
    pub(super) wholes: Arc<Wholes>,
    pub(super) learning: Arc<Learning>,
    pub(super) fetches: Flights<SidecarKey, Flow<Obtained>>,
    /// Those of wheels that nobody has hashed yet, each until its page would be asked for again: what
    /// is behind a URL without a digest may change.
    pub(super) placed: Weighed<SidecarKey, (Timestamp, Small)>,
}

impl Sidecars {
    /// Bytes held in memory here; what the store keeps counts as small files.
    pub fn weight_bytes(&self) -> u64 {
        self.placed.weight_bytes()
    }

    /// The metadata of a wheel that may be served.
    ///
    /// # Errors
    /// When it is not available now, or the file has none.
    pub async fn sidecar(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Flow<(Content, CacheResult)> {
        let file = grant.file.item();
        if !has_sidecar(file) {
            let message = format!("{} has no sidecar", file.filename);
            return Err(Error::not_found(message));
        }
        let (found, cache) = self.metadata(cx, grant).await?;
        Ok((Content::Memory(to_serve(found, file)?), cache))
    }

    /// The metadata of a wheel, or why it has none and never will.
    ///
    /// # Errors
    /// When it is not available now.
    pub async fn metadata(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Flow<(Obtained, CacheResult)> {
        let key = key_of(grant);
        if let Some(small) = self.sidecar_at_hand(cx, grant, &key) {
            return Ok((Ok(small), CacheResult::Hit));
        }
        let joined = self.fetch(cx, grant, key).map_err(busy)?.landed();
        let joined = joined.await.map_err(busy)?;
        let cache = CacheResult::fetched(joined.led);
        self.core.looked_into_store(CacheKind::Sidecar, cache);
        Ok((joined.value?, cache))
    }

    /// The same for a page that does without: what is at hand, or comes within `patience`. Otherwise
    /// `None`, and it is fetched behind the answer.
    ///
    /// # Errors
    /// When it is not available now, or the file has none.
    pub async fn sidecar_within(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
        patience: Duration,
    ) -> Flow<Option<Bytes>> {
        let key = key_of(grant);
        if let Some(small) = self.sidecar_at_hand(cx, grant, &key) {
            return Ok(Some(small.bytes));
        }
        let flight = self.fetch(cx, grant, key).map_err(busy)?;
        match flight.landed_within(patience).await.map_err(busy)? {
            Some(joined) => Ok(Some(to_serve(joined.value?, grant.file.item())?.bytes)),
            None => Ok(None),
        }
    }

    fn fetch(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
        key: SidecarKey,
    ) -> Result<Flight<Flow<Obtained>>, FlightError> {
        let (sidecars, cx, grant) = (Arc::clone(self), cx.clone(), grant.clone());
        self.fetches.board(key.clone(), move |_| async move {
            sidecars.obtain(&cx, &grant, key).await
        })
    }

    /// In memory, or kept on disk; `None` if that is not, or no longer, what the page announces.
    fn sidecar_at_hand(&self, cx: &Context, grant: &Grant, key: &SidecarKey) -> Option<Small> {
        let file = grant.file.item();
        let Some(kept_at) = grant.metadata_key() else {
            let found = self.placed.get(key);
            let fresh = found.filter(|(until, _)| cx.now < *until);
            let fresh = fresh.filter(|(_, small)| is_as_announced(small, file));
            let fresh = self.core.look(Tier::Memory, CacheKind::Sidecar, fresh);
            return fresh.map(|(_, small)| small);
        };
        let fits = |small: &Small| is_as_announced(small, file);
        self.small
            .find(CacheKind::Sidecar, kept_at, &stated(file), fits)
    }

    async fn obtain(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
        key: SidecarKey,
    ) -> Flow<Obtained> {
        let name = &grant.file.item().filename;
        match self.find_metadata(cx, grant).await {
            Ok(bytes) => {
                let small = Small::new(bytes);
                self.keep_sidecar(cx, grant, key, &small);
                Ok(Ok(small))
            }
            Err(Missing::Now(error)) => Err(error),
            Err(Missing::Ever(why)) => {
                tracing::warn!(index = %grant.owner, file = %name, %why, "listed without a sidecar from now on");
                if !grant.is_private {
                    let (learning, grant) = (Arc::clone(&self.learning), grant.clone());
                    let work = move || learning.learn(&grant, Fact::NoSidecar);
                    let _ = tokio::task::spawn_blocking(work).await;
                }
                Ok(Err(why.into()))
            }
        }
    }

    fn keep_sidecar(self: &Arc<Self>, cx: &Context, grant: &Grant, key: SidecarKey, small: &Small) {
        let Some(kept_at) = grant.metadata_key().cloned() else {
            let expiry = cx.mirror(&grant.owner).map(Mirror::mirror_cache_expiry);
            let until = later(cx.now, expiry.unwrap_or_default());
            self.placed.insert(key, (until, small.clone()));
            return;
        };
        self.small.insert(kept_at.clone(), small.clone());
        let (core, kept) = (Arc::clone(&self.core), small.bytes.clone());
        let filename = grant.file.item().filename.clone();
        let mirror = (!grant.is_private).then(|| grant.owner.clone());
        // Stored behind the answer: nobody needs to wait for the disk.
        tokio::task::spawn_blocking(move || {
            let kept_at = core.store.cached(&kept_at).unwrap_or(kept_at);
            if let Err(error) = core.store.put_small(&kept_at, &kept) {
                tracing::error!(file = %filename, %error, "sidecar not kept");
            }
            if let Some(mirror) = mirror {
                let version = filename.version_text();
                let about = ReleaseAbout::of(version, &ReleaseMetadata::of_file(&kept));
                core.catalogue.described(&mirror, filename.project(), about);
            }
        });
    }

    async fn find_metadata(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Result<Bytes, Missing> {
        let stated_of_it = stated(grant.file.item());
        let deposited = self
            .core
            .deposited_metadata(grant.metadata_key(), &stated_of_it);
        if let Some(bytes) = deposited.await {
            return Ok(bytes);
        }
        let bytes = match self.metadata_of_held(grant).await? {
            Some(bytes) => bytes,
            None => self.metadata_from_upstream(cx, grant).await?,
        };
        let checked = check(&bytes, &stated_of_it);
        let differs = |why| Missing::Ever(format!("it is not what is stated of it: {why}"));
        checked.map(|_| bytes).map_err(differs)
    }

    /// Reads it from the wheel, if that is already here.
    async fn metadata_of_held(self: &Arc<Self>, grant: &Grant) -> Result<Option<Bytes>, Missing> {
        let read = self
            .wholes
            .read_held(grant, metadata_of_file, InvalidWheel::is_beyond);
        Ok(read.await?.transpose()?)
    }

    async fn metadata_from_upstream(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Result<Bytes, Missing> {
        let file = grant.file.item();
        if grant.is_private {
            return Err(missing_upload(&self.core, file).await?.into());
        }
        let upstream = cx.generation.upstreams.get(&grant.owner);
        let url = file.url.as_deref().and_then(|url| Url::parse(url).ok());
        let (Some(upstream), Some(url)) = (upstream, url) else {
            let message = format!("{} cannot be asked for {}", grant.owner, file.filename);
            return Err(Error::bad_gateway(message).into());
        };
        let core = &self.core;
        if core.settings.offline {
            let what = format!("the metadata of {}", file.filename);
            return Err(core.not_asked(what).into());
        }
        if file.core_metadata != CoreMetadata::Absent
            && let Some(bytes) = self.announced(grant, upstream, &url).await?
        {
            return Ok(bytes);
        }
        let counts_as = |answer: &WheelAnswer<Bytes>| match answer {
            WheelAnswer::Found(_) | WheelAnswer::NeedWhole => UpstreamResult::Fetched,
            WheelAnswer::NotFound => UpstreamResult::Absent,
            WheelAnswer::Invalid(_) => UpstreamResult::Invalid,
        };
        let found = upstream.wheel_metadata(&url, &file.filename);
        match core.ask_upstream(&grant.owner, counts_as, found).await? {
            WheelAnswer::Found(bytes) => Ok(bytes),
            WheelAnswer::NotFound => {
                let message = format!("error 404 getting {url}");
                Err(Error::not_found(message).into())
            }
            WheelAnswer::NeedWhole => self.metadata_of_whole(cx, grant).await,
            WheelAnswer::Invalid(error) => Err(error.into()),
        }
    }

    /// The sidecar that upstream announces; `None` if it does not have it after all, or has something
    /// else in its place, so that the wheel has to be read.
    async fn announced(
        &self,
        grant: &Grant,
        upstream: &Upstream,
        url: &Url,
    ) -> Result<Option<Bytes>, Missing> {
        let counts_as = |answer: &Option<Bytes>| match answer {
            Some(_) => UpstreamResult::Fetched,
            None => UpstreamResult::Absent,
        };
        let (file, sidecar) = (grant.file.item(), upstream.sidecar(url));
        let answer = self.core.ask_upstream(&grant.owner, counts_as, sidecar);
        let why = match answer.await {
            Ok(None) => "it is not there".to_owned(),
            Ok(Some(bytes)) => match is_as_stated(&bytes, file) {
                Ok(()) => return Ok(Some(bytes)),
                Err(why) => why,
            },
            // Nobody may have it, or nobody can wait any longer.
            Err(error @ (UpstreamError::Withheld { .. } | UpstreamError::Timeout { .. })) => {
                return Err(error.into());
            }
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            index = %grant.owner, file = %file.filename, %why,
            "an announced sidecar cannot be had, the wheel is read"
        );
        Ok(None)
    }

    /// Fetches the wheel, which a client that asks for its metadata will want anyway.
    async fn metadata_of_whole(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Result<Bytes, Missing> {
        let read = self
            .wholes
            .read(cx, grant, metadata_of_file, InvalidWheel::is_beyond);
        Ok(read.await??)
    }
}

fn to_serve(found: Obtained, file: &File) -> Flow<Small> {
    let name = &file.filename;
    found.map_err(|why| {
        let message = format!("{name} has no metadata that could be served: {why}");
        Error::bad_gateway(message)
    })
}

fn busy(error: FlightError) -> Error {
    Error::busy(format_args!("fetch a sidecar: {error}"))
}

fn key_of(grant: &Grant) -> SidecarKey {
    match grant.metadata_key() {
        Some(key) => SidecarKey::Kept(key.clone()),
        None => SidecarKey::Place(grant.owner.clone(), grant.place_and_digests()),
    }
}

/// The digests stated for a file's sidecar.
fn stated(file: &File) -> Hashes {
    match &file.core_metadata {
        CoreMetadata::Hashed(hashes) => hashes.clone(),
        CoreMetadata::Absent | CoreMetadata::Present | CoreMetadata::Unobtainable => {
            Hashes::default()
        }
    }
}

/// Whether a held sidecar is the one that the page announces.
fn is_as_announced(small: &Small, file: &File) -> bool {
    let CoreMetadata::Hashed(hashes) = &file.core_metadata else {
        return true;
    };
    match hashes.sha256() {
        Some(stated) => stated == small.sha256,
        None => check(&small.bytes, hashes).is_ok(),
    }
}

/// Whether bytes are the stated sidecar; if no digest is stated, at least metadata of the project: some
/// hosts answer with a page for people when they do not have something.
fn is_as_stated(bytes: &Bytes, file: &File) -> Result<(), String> {
    let stated = stated(file);
    if !stated.is_empty() {
        return check(bytes, &stated).map(drop);
    }
    let project = file.filename.project();
    let fields = CoreMetadataFields::parse(bytes).map_err(|fault| fault.to_string())?;
    match ProjectName::parse(&fields.name) {
        Ok(name) if name == *project => Ok(()),
        Ok(_) | Err(_) => Err(format!("it is of {:?}, not of {project}", fields.name)),
    }
}
