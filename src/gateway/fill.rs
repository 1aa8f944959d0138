//! Fetches a file once for everybody: it is written, hashed and read while it arrives.
//!
//! The first request starts the fill; all that come while it runs read the same growing file. It runs
//! on the work runtime and continues when its clients leave, so that the next one finds the file; it
//! then gives way only if it is slow and others wait for a place.

mod whole;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;

use crate::cache::Flights;
use crate::exchange::{CacheResult, Context, Core, Error, ErrorKind, Flow, upstream_error};
use crate::gateway::begun::{Begun, FillKey};
use crate::gateway::content::Content;
use crate::gateway::learn::{Fact, Learning};
use crate::gateway::places::{NoPlace, Places, Waits};
use crate::gateway::tickets::Grant;
use crate::language::{Mirror, Verify};
use crate::model::File;
use crate::store::{Draft, Growing, HELD_BACK_BYTES, Key, Readable, Standing, StoreError, Stored};
use crate::telemetry::{UpstreamResult, WaitFor};
use crate::upstream::{FileAnswer, UpstreamFile};

pub use whole::Wholes;

/// How often a request that waits for a place looks for one that may be given away.
const NUDGE_EVERY: Duration = Duration::from_secs(1);

/// When a client that got no place in time should try again.
const RETRY_AFTER_S: u32 = 10;

/// Holders of an arriving file that do not read it: the table of fills, and its own draft.
const OWN_HOLDERS: usize = 2;

/// Files that are arriving.
#[derive(Debug)]
pub struct Fills {
    core: Arc<Core>,
    pub(super) learning: Arc<Learning>,
    opening: Flights<FillKey, Flow<Opened>>,
    running: Mutex<HashMap<FillKey, Arc<Running>>>,
    begun: Begun,
    places: Arc<Places>,
    rate_min: u64,
}

/// One of them.
#[derive(Debug)]
struct Running {
    growing: Arc<Growing>,
    started: Instant,
    received: AtomicU64,
    gives_way: Notify,
}

impl Running {
    /// Bytes per second since it began, if nobody reads it.
    fn unread_rate(&self) -> Option<u64> {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let received = self.received.load(Ordering::Relaxed);
        let is_read = Arc::strong_count(&self.growing) > OWN_HOLDERS;
        (!is_read).then(|| received.saturating_mul(1000) / millis.max(1))
    }
}

impl Fills {
    /// Limited to the number in the settings.
    pub fn new(core: Arc<Core>, learning: Arc<Learning>) -> Self {
        let limits = &core.settings.limits.work;
        Self {
            opening: Flights::new(core.work.clone(), limits.fills_waiting),
            running: Mutex::default(),
            begun: Begun::default(),
            places: Places::new(
                limits.fills,
                limits.fill_wait,
                core.metrics.waits(WaitFor::Fills),
            ),
            rate_min: limits.fill_rate,
            core,
            learning,
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<FillKey, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self, key: &FillKey) -> Option<Arc<Growing>> {
        let table = self.table();
        table.get(key).map(|running| Arc::clone(&running.growing))
    }

    fn start(&self, key: &FillKey, growing: Arc<Growing>) -> Arc<Running> {
        let running = Arc::new(Running {
            growing,
            started: Instant::now(),
            received: AtomicU64::new(0),
            gives_way: Notify::new(),
        });
        self.table().insert(key.clone(), Arc::clone(&running));
        running
    }

    fn end(&self, key: &FillKey, ended: &Arc<Running>) {
        let mut table = self.table();
        if table.get(key).is_some_and(|now| Arc::ptr_eq(now, ended)) {
            table.remove(key);
        }
    }

    /// Makes a fill give its place away: one that nobody waits for and that has received nothing, or
    /// the slowest one that nobody reads. From then on nobody can join it.
    fn nudge(&self) {
        if self.begun.nudge() {
            return;
        }
        let mut table = self.table();
        let unread = table.iter().filter_map(|(key, running)| {
            let rate = running.unread_rate().filter(|rate| *rate < self.rate_min)?;
            Some((rate, key.clone()))
        });
        let slowest = unread.min_by_key(|(rate, _)| *rate);
        if let Some(running) = slowest.and_then(|(_, key)| table.remove(&key)) {
            running.gives_way.notify_one();
        }
    }
}

/// What became of a file that was to begin.
#[derive(Debug, Clone)]
enum Opened {
    /// It arrives.
    Arriving(Arc<Growing>),
    /// It had begun to arrive already.
    UnderWay(Arc<Growing>),
    /// It has arrived already.
    Here,
    /// It gave way because nobody waited for it.
    GaveWay,
}

/// What a fill needs to know of its file.
#[derive(Debug, Clone)]
struct Fill {
    key: FillKey,
    grant: Grant,
    url: Url,
    /// Whether it is certainly not here.
    is_certain: bool,
}

/// A file in the line for a place.
struct InLine<'a> {
    fills: &'a Fills,
    key: &'a FillKey,
}

impl Waits for InLine<'_> {
    fn is_wanted(&self) -> bool {
        self.fills.begun.is_awaited(self.key)
    }

    fn nudge(&self) {
        self.fills.nudge();
    }
}

impl Fills {
    /// Joins or starts the fill of a file that was not here; nothing if it has arrived since, unless
    /// the caller has looked again by now (`is_certain`) and found nothing that is right.
    ///
    /// # Errors
    /// When upstream cannot be asked, or does not have it.
    pub async fn fill(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
        is_certain: bool,
    ) -> Flow<Option<(Content, CacheResult)>> {
        let fill = fill_of(grant, is_certain)?;
        if let Some(growing) = self.running(&fill.key) {
            let content = self.release(cx, grant, growing).await?;
            return Ok(Some((content, CacheResult::Collapsed)));
        }
        if self.core.settings.offline {
            return Err(self.core.not_asked(&grant.file.item().filename));
        }
        let _waiter = self.begun.wait_for(&fill.key);
        loop {
            let (fills, own_cx, own_fill) = (Arc::clone(self), cx.clone(), fill.clone());
            let open = move || async move { fills.open(&own_cx, own_fill).await };
            let busy = |busy| Error::busy(format_args!("fetch the file: {busy}"));
            let joined = self.opening.join(fill.key.clone(), open).await;
            let joined = joined.map_err(busy)?;
            let (growing, cache) = match joined.value? {
                Opened::Arriving(growing) => (growing, CacheResult::fetched(joined.led)),
                Opened::UnderWay(growing) => (growing, CacheResult::Collapsed),
                Opened::Here => return Ok(None),
                // It had been left by all who waited for it before; now somebody does.
                Opened::GaveWay => continue,
            };
            let content = self.release(cx, grant, growing).await?;
            return Ok(Some((content, cache)));
        }
    }

    /// With `verify: before-serving` nothing goes out before the digest is verified. For a file smaller
    /// than what is held back anyway, nothing could. For any other the head waits for the first byte,
    /// so that trouble until then is reported in words and not by a connection that breaks.
    async fn release(&self, cx: &Context, grant: &Grant, growing: Arc<Growing>) -> Flow<Content> {
        let verify = cx.mirror(&grant.owner).map(Mirror::verify);
        let verifies = verify == Some(Verify::BeforeServing);
        let length = growing.declared_length();
        let is_small = length.is_some_and(|length| length <= HELD_BACK_BYTES);
        let reached = if verifies || is_small {
            growing.settled().await
        } else {
            growing.readable(0).await
        };
        if let Readable::Failed(failure) = reached {
            let kind = ErrorKind::from(&failure);
            let message = format!("{} was not served: {failure}", grant.file.item().filename);
            return Err(Error::new(kind, message));
        }
        Ok(Content::Growing(growing))
    }

    /// Whether a file is kept, as far as it is known to be right or can be found so.
    fn is_here(&self, key: &FillKey) -> bool {
        let FillKey::Digest(digest) = key else {
            return false;
        };
        let kept = self.core.store.open_file(&Key::MirrorFile(*digest));
        let kept = kept.ok().flatten();
        kept.is_some_and(|kept| kept.standing() != Standing::Damaged)
    }

    /// Opens the file upstream and starts receiving it.
    async fn open(self: &Arc<Self>, cx: &Context, fill: Fill) -> Flow<Opened> {
        let (owner, listed) = (&fill.grant.owner, fill.grant.file.item());
        // Another may have begun, or ended, between the asker's look and this flight.
        if let Some(growing) = self.running(&fill.key) {
            return Ok(Opened::UnderWay(growing));
        }
        if !fill.is_certain && self.is_here(&fill.key) {
            return Ok(Opened::Here);
        }
        let Some(upstream) = cx.generation.upstreams.get(owner) else {
            return Err(Error::bad_gateway(format!(
                "{owner} is a mirror and no upstream is set, so it cannot be fetched"
            )));
        };
        let line = InLine {
            fills: self,
            key: &fill.key,
        };
        let place = match self.places.take(owner, NUDGE_EVERY, line).await {
            Ok(place) => place,
            Err(NoPlace::Deserted) => return Ok(Opened::GaveWay),
            Err(crowded @ NoPlace::Crowded(_)) => {
                let kind = ErrorKind::Unavailable(Some(RETRY_AFTER_S));
                let message = format!("fetch {}: {crowded}", listed.filename);
                return Err(Error::new(kind, message));
            }
        };
        let begun = self.begun.begin(&fill.key);
        let opened = upstream.open(&fill.url, None);
        let answer = tokio::select! {
            answer = self.core.ask_upstream(owner, counts_as, opened) => answer,
            () = begun.gives_way() => return Ok(Opened::GaveWay),
        };
        let file = match answer.map_err(upstream_error)? {
            FileAnswer::Found(file) => *file,
            FileAnswer::NotFound | FileAnswer::NotSatisfiable => {
                // devpi's words, which its own tests look for.
                let message = format!("error 404 getting {}", fill.url);
                return Err(Error::not_found(message));
            }
        };
        let name = listed.filename.as_str();
        if let Some(length) = file.length {
            is_as_long(listed, length)?;
        }
        let promised = listed.hashes.clone();
        let limit = self.core.settings.limits.upstream.file;
        let declared = file.length.or(listed.size);
        let draft = self.core.store.draft(name, promised, declared, limit);
        let draft = draft.map_err(|error| Error::store(format!("fetch {name}"), error))?;
        let growing = draft.growing();
        let running = self.start(&fill.key, Arc::clone(&growing));
        let fills = Arc::clone(self);
        self.core.metrics.fills().inc();
        self.core.work.spawn(async move {
            let outcome = fills.take_in_file(&fill, file, draft, &running).await;
            drop(place);
            if outcome.is_err() {
                // The next request tries again.
                fills.end(&fill.key, &running);
            }
            fills.after_fill(&fill, outcome).await;
            fills.core.metrics.fills().dec();
            // Only now can it be found by what was learned about it.
            fills.end(&fill.key, &running);
        });
        Ok(Opened::Arriving(growing))
    }

    async fn take_in_file(
        &self,
        fill: &Fill,
        mut file: UpstreamFile,
        mut draft: Draft,
        running: &Running,
    ) -> Result<Stored, String> {
        let told = |error: StoreError| error.to_string();
        loop {
            let chunk = tokio::select! {
                chunk = file.chunk() => chunk.map_err(|error| error.to_string()),
                () = running.gives_way.notified() => Err(GAVE_WAY.to_owned()),
            };
            match chunk {
                Ok(Some(chunk)) => {
                    let length = chunk.len() as u64;
                    draft.write(chunk).await.map_err(told)?;
                    running.received.fetch_add(length, Ordering::Relaxed);
                }
                Ok(None) => break,
                Err(why) => {
                    draft.give_up(why.clone()).await;
                    return Err(why);
                }
            }
        }
        debug_assert!(
            !fill.grant.is_private,
            "only an upstream's files are fetched"
        );
        draft.finish(Key::MirrorFile).await.map_err(told)
    }

    async fn after_fill(&self, fill: &Fill, outcome: Result<Stored, String>) {
        let name = &fill.grant.file.item().filename;
        let index = &fill.grant.owner;
        match outcome {
            Ok(stored) => {
                // Its URL changes from `+e` to `+f`, and rules about its size can be decided now.
                let listed = fill.grant.file.item();
                if listed.hashes.sha256().is_none() || listed.size.is_none() {
                    let (learning, grant) = (Arc::clone(&self.learning), fill.grant.clone());
                    let fact = Fact::Content(stored.sha256, stored.size);
                    let _ = tokio::task::spawn_blocking(move || learning.learn(&grant, fact)).await;
                }
            }
            Err(error) => tracing::warn!(%index, file = %name, %error, "file not kept"),
        }
        if self.core.store.quota().is_exceeded() {
            let store = Arc::clone(&self.core.store);
            let evicted = tokio::task::spawn_blocking(move || store.quota().evict()).await;
            if let Ok(Err(error)) = evicted {
                tracing::error!(%error, "eviction failed");
            }
        }
    }
}

/// Why a slow fill that nobody read was ended.
const GAVE_WAY: &str = "nobody read it any more, it was slow, and others waited for its place";

/// A length stated by a page counts as its digest does: rules are decided by it, so a file of another
/// length is not the one that was decided on.
///
/// # Errors
/// `BadGateway` when the file has another length.
pub fn is_as_long(listed: &File, length: u64) -> Flow<()> {
    match listed.size {
        Some(stated) if stated != length => Err(Error::bad_gateway(format!(
            "{} is not what it claims to be: it has {length} bytes, and its page says {stated}",
            listed.filename
        ))),
        Some(_) | None => Ok(()),
    }
}

fn counts_as(answer: &FileAnswer) -> UpstreamResult {
    match answer {
        FileAnswer::Found(_) => UpstreamResult::Fetched,
        FileAnswer::NotFound | FileAnswer::NotSatisfiable => UpstreamResult::Absent,
    }
}

fn fill_of(grant: &Grant, is_certain: bool) -> Flow<Fill> {
    let file = grant.file.item();
    let without = |what: &str| {
        let (owner, name) = (&grant.owner, &file.filename);
        Error::bad_gateway(format!("{owner} gives no {what} for {name}"))
    };
    let place = file.url.as_ref().ok_or_else(|| without("place"))?;
    let url = Url::parse(place).map_err(|_| without("usable place"))?;
    let key = match file.hashes.sha256() {
        Some(digest) => FillKey::Digest(digest),
        None => FillKey::Place(grant.place_and_digests()),
    };
    Ok(Fill {
        key,
        grant: grant.clone(),
        url,
        is_certain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sample::{ONE_FILE, one_file};

    #[tokio::test]
    async fn a_file_that_has_arrived_since_it_was_looked_for_is_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let (flows, cx, grant) = one_file(folder.path()).await;
        let fills = &flows.files.fills;
        // There is nobody to ask, so asking fails.
        assert!(fills.fill(&cx, &grant, false).await.is_err());
        let key = grant.key().unwrap();
        flows.core.store.put_small(&key, ONE_FILE).unwrap();
        assert!(fills.fill(&cx, &grant, false).await.unwrap().is_none());
        // Who has looked twice does not take it for right.
        assert!(fills.fill(&cx, &grant, true).await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_has_begun_since_it_was_looked_for_is_not_fetched_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (flows, cx, grant) = one_file(folder.path()).await;
        let (fills, fill) = (&flows.files.fills, fill_of(&grant, false).unwrap());
        let promised = grant.file.item().hashes.clone();
        let draft = flows.core.store.draft("six-1.zip", promised, None, 100);
        let growing = draft.unwrap().growing();
        fills.start(&fill.key, Arc::clone(&growing));
        match fills.open(&cx, fill).await.unwrap() {
            Opened::UnderWay(joined) => assert!(Arc::ptr_eq(&joined, &growing)),
            other => panic!("it was not joined: {other:?}"),
        }
    }
}
