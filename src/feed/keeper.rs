//! Asks for every feed now and then, and says when what is held has changed.
//!
//! What generations are made of is handed out by [`Keeper::give`]; a generation is wanted when a feed has
//! new content, and when an unchanged one was confirmed so long ago that the generation in force would
//! soon count it as stale.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use crate::clock::Clock;
use crate::feed::fetch::{Attempt, Fetched, NotFetched};
use crate::feed::shelf::{Note, Shelf, held};
use crate::language::{Document, Feed, HeldFeed};
use crate::model::{FeedLimits, IndexName, Timestamp, UpstreamLimits};
use crate::telemetry::{AuditEvent, AuditKind, AuditLog, FeedMetrics, FeedResult};
use crate::upstream::{
    Bounds, Decoding, FeedError, OwnDoors, Proxies, Trust, Upstream, UpstreamSettings,
};

/// How much earlier or later than its time a feed is asked for, as a part of that time: gateways that were
/// started together should not ask together.
const JITTER: f64 = 0.1;

/// Longest wait between two looks at what is due.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// Pause before another attempt to put something new in force.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// What a keeper is made of.
#[derive(Debug)]
pub struct KeeperParts {
    /// The data folder.
    pub data: PathBuf,
    /// Limits on feeds.
    pub limits: FeedLimits,
    /// Limits on their sources.
    pub upstream: UpstreamLimits,
    /// Whether nothing is fetched.
    pub offline: bool,
    /// Shared with the upstreams of mirrors.
    pub decoding: Decoding,
    /// Where a feed may not be.
    pub doors: OwnDoors,
    /// Tells the time.
    pub clock: Clock,
    /// What operators see.
    pub metrics: FeedMetrics,
}

/// Keeps feeds.
#[derive(Debug)]
pub struct Keeper {
    parts: KeeperParts,
    kept: Mutex<BTreeMap<Arc<str>, Kept>>,
    changed: Notify,
}

/// One feed.
#[derive(Debug)]
struct Kept {
    feed: Feed,
    note: Option<Note>,
    /// Since when the generation in force believes it confirmed.
    given: Option<Timestamp>,
    source: Option<Arc<Upstream>>,
    due: Instant,
    failures: u32,
    is_asked: bool,
    /// Whether it was told that what is held is too old.
    is_told_stale: bool,
}

impl Keeper {
    /// A keeper of no feeds yet.
    #[must_use]
    pub fn new(parts: KeeperParts) -> Self {
        Self {
            parts,
            kept: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the feeds of these documents what is held of them; of those that are new here, what is on the
    /// disk.
    pub fn give(&self, documents: &mut [Document]) {
        for feed in documents.iter_mut().flat_map(|one| &mut one.feeds) {
            let known = self.known(feed);
            feed.held = match known {
                Some(known) => known,
                None => self.read(feed),
            };
        }
    }

    fn known(&self, feed: &Feed) -> Option<Option<HeldFeed>> {
        let mut kept = self.kept();
        let kept = kept.get_mut(&feed.name.value)?;
        if kept.feed.url != feed.url {
            return None;
        }
        kept.given = kept.feed.held.as_ref().map(|held| held.checked);
        Some(kept.feed.held.clone())
    }

    fn read(&self, feed: &Feed) -> Option<HeldFeed> {
        match held(feed, &self.parts.data, &self.parts.limits) {
            Ok(held) => held.map(|(_, held)| held),
            Err(why) => {
                tracing::error!("{why}; it is fetched again");
                None
            }
        }
    }

    /// Keeps the feeds of these documents from now on, and no others.
    pub fn adopt(&self, documents: &[Document]) {
        let mut kept = self.kept();
        let mut next = BTreeMap::new();
        for feed in documents.iter().flat_map(|one| &one.feeds) {
            let name = Arc::clone(&feed.name.value);
            let before = kept.remove(&name);
            let before = before.filter(|before| before.feed.url == feed.url);
            let one = match before {
                Some(before) => Kept {
                    feed: Feed {
                        held: before.feed.held,
                        ..feed.clone()
                    },
                    due: before.due.min(Instant::now() + feed.every),
                    ..before
                },
                None => self.new_kept(feed),
            };
            next.insert(name, one);
        }
        *kept = next;
        drop(kept);
        self.parts.metrics.forget();
        self.report();
        self.changed.notify_one();
    }

    fn new_kept(&self, feed: &Feed) -> Kept {
        let shelf = Shelf::of(&self.parts.data, feed);
        let note = shelf.note().ok().flatten().filter(|_| feed.held.is_some());
        let given = feed.held.as_ref().map(|held| held.checked);
        // What is fresh enough is not asked for again by a restart.
        let age = given.map(|checked| age(checked, self.parts.clock.now()));
        let wait = age.map_or(Duration::ZERO, |age| feed.every.saturating_sub(age));
        Kept {
            feed: feed.clone(),
            note,
            given,
            source: None,
            due: Instant::now() + wait,
            failures: 0,
            is_asked: false,
            is_told_stale: false,
        }
    }

    /// States in the metrics what is held.
    pub fn report(&self) {
        let now = self.parts.clock.now();
        for (name, kept) in &*self.kept() {
            let freshness = kept.feed.freshness();
            let age = freshness.checked.map(|checked| age(checked, now));
            let entries = kept.feed.held.as_ref();
            let entries = entries.map_or(0, |held| held.advisories.len());
            let is_stale = freshness.is_stale(now);
            self.parts.metrics.holds(name, entries, age, is_stale);
        }
    }

    /// Asks for feeds until it is dropped. `follow` puts what is held in force, and says whether that went
    /// well.
    pub async fn run<F: Future<Output = bool>>(&self, audit: &AuditLog, follow: impl Fn() -> F) {
        if self.parts.offline {
            return;
        }
        let mut asked = JoinSet::new();
        loop {
            let wait = self.ask_due(&mut asked);
            tokio::select! {
                Some(done) = asked.join_next(), if !asked.is_empty() => {
                    let Ok((name, url, done)) = done else { continue };
                    if self.note(&name, &url, done, audit) {
                        while !follow().await {
                            tokio::time::sleep(FOLLOW_AGAIN).await;
                        }
                    }
                    self.report();
                }
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Begins to ask for what is due; returns how long nothing else is.
    fn ask_due(
        &self,
        asked: &mut JoinSet<(Arc<str>, Url, Result<Fetched, NotFetched>)>,
    ) -> Duration {
        let (now, mut wait) = (Instant::now(), LOOK_AGAIN);
        for (name, kept) in &mut *self.kept() {
            if kept.is_asked {
                continue;
            }
            if kept.due > now {
                wait = wait.min(kept.due - now);
                continue;
            }
            let Some(attempt) = self.attempt(kept) else {
                kept.due = now + kept.feed.every;
                continue;
            };
            kept.is_asked = true;
            let (name, url) = (Arc::clone(name), kept.feed.url.clone());
            asked.spawn(async move { (name, url, attempt.run().await) });
        }
        wait
    }

    fn attempt(&self, kept: &mut Kept) -> Option<Attempt> {
        let source = match &kept.source {
            Some(source) => Arc::clone(source),
            None => {
                let source = Arc::new(self.source(&kept.feed)?);
                kept.source = Some(Arc::clone(&source));
                source
            }
        };
        Some(Attempt {
            feed: kept.feed.clone(),
            shelf: Shelf::of(&self.parts.data, &kept.feed),
            note: kept.note.clone(),
            source,
            limits: self.parts.limits.clone(),
            clock: self.parts.clock.clone(),
        })
    }

    /// The same client as of mirrors, with their proxies, redirects and certificates.
    fn source(&self, feed: &Feed) -> Option<Upstream> {
        let name = IndexName::parse(&format!("advisories/{}", feed.name.value)).ok()?;
        let settings = UpstreamSettings {
            name,
            url: feed.url.clone(),
            credentials: None,
            limits: self.parts.upstream.clone(),
            decoding: self.parts.decoding.clone(),
            proxies: Proxies::Environment,
            bounds: Bounds {
                trust: Trust::Declared,
                doors: self.parts.doors.clone(),
            },
        };
        let source = Upstream::new(settings);
        let source = source.map_err(|error| tracing::error!("feed cannot be asked for: {error}"));
        source.ok()
    }

    /// Notes how an attempt went; returns whether a new generation is wanted.
    fn note(
        &self,
        name: &Arc<str>,
        url: &Url,
        done: Result<Fetched, NotFetched>,
        audit: &AuditLog,
    ) -> bool {
        let now = self.parts.clock.now();
        let mut all = self.kept();
        let Some(kept) = all.get_mut(name) else {
            return false;
        };
        kept.is_asked = false;
        if kept.feed.url != *url {
            return false;
        }
        let every = kept.feed.every;
        let (result, pause, is_wanted) = match done {
            Ok(Fetched::Unchanged(note)) => {
                if let Some(held) = &mut kept.feed.held {
                    held.checked = note.checked;
                }
                kept.note = Some(note);
                let half = kept.feed.max_age / 2;
                let is_old = kept.given.is_none_or(|given| age(given, now) >= half);
                (FeedResult::Unchanged, every, is_old)
            }
            Ok(Fetched::New(note, held)) => {
                let before = kept
                    .feed
                    .held
                    .as_ref()
                    .map_or(0, |one| one.advisories.len());
                let after = held.advisories.len();
                tracing::info!(feed = %name, before, "new advisories, {after} of them");
                let what = format!("{before} advisories before, {after} now");
                audit.record(event(now, AuditKind::Feed, name, &what));
                kept.note = Some(note);
                kept.feed.held = Some(held);
                (FeedResult::New, every, true)
            }
            Err(error) => {
                let (result, pause) = self.failed(name, kept, error, now, audit);
                self.parts.metrics.fetched(name, result);
                kept.due = Instant::now() + jittered(pause);
                return false;
            }
        };
        kept.failures = 0;
        kept.is_told_stale = false;
        self.parts.metrics.fetched(name, result);
        kept.due = Instant::now() + jittered(pause);
        is_wanted
    }

    /// Says why what is held stays, and how long to wait before the next attempt.
    fn failed(
        &self,
        name: &Arc<str>,
        kept: &mut Kept,
        error: NotFetched,
        now: Timestamp,
        audit: &AuditLog,
    ) -> (FeedResult, Duration) {
        let freshness = kept.feed.freshness();
        let is_stale = freshness.is_stale(now);
        let held = match is_stale {
            true => format!("{}, too old to be relied on", freshness.words(now)),
            false => freshness.words(now),
        };
        let is_news = match &error {
            NotFetched::Shrunk { .. } => {
                let note = kept.note.as_ref();
                note.is_none_or(|note| note.shrunk_since.is_none())
            }
            NotFetched::Invalid(_) => true,
            NotFetched::Feed(_) | NotFetched::Disk(_) => kept.failures == 0,
        };
        if is_news || is_stale && !kept.is_told_stale {
            let what = format!("{error}; {held}");
            audit.record(event(now, AuditKind::FeedTrouble, name, &what));
        }
        kept.is_told_stale = is_stale;
        tracing::error!(feed = %name, %error, "feed not exchanged: {held}");
        let every = kept.feed.every;
        match error {
            NotFetched::Shrunk { ref note, .. } => {
                kept.note = Some((**note).clone());
                (FeedResult::Refused, every)
            }
            NotFetched::Invalid(_) => (FeedResult::Refused, every),
            NotFetched::Feed(FeedError::Disk(_) | FeedError::Upstream(_)) | NotFetched::Disk(_) => {
                let doubled = 2_u32.saturating_pow(kept.failures.min(16));
                kept.failures += 1;
                let pause = self.parts.limits.feed_retry.saturating_mul(doubled);
                (FeedResult::Failed, pause.min(every))
            }
        }
    }
}

fn event(now: Timestamp, kind: AuditKind, feed: &str, what: &str) -> AuditEvent {
    let mut event = AuditEvent::new(now, kind);
    event.detail = Some(format!("feed {feed}: {what}").into());
    event
}

/// A clock that was put back makes nothing older.
fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// A little more or less.
fn jittered(pause: Duration) -> Duration {
    let drawn = getrandom::u32().unwrap_or_default();
    let part = f64::from(drawn) / f64::from(u32::MAX);
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * part)
}
