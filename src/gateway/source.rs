//! What a mirror says about a project: from memory, from the copy on disk, or from its upstream.
//!
//! A copy is fresh for `mirror_cache_expiry` after upstream last confirmed it. When it is not, one
//! request per project asks upstream, on the work runtime, so that it goes on when its client
//! leaves. When upstream cannot be asked, the old copy answers within the asker's patience; a
//! project that upstream suddenly drops keeps its last good files for `keep_last_good`.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Flights, SourcePage};
use crate::gateway::context::{Context, Shared};
use crate::gateway::error::{Error, ErrorKind};
use crate::gateway::refresh::Refreshed;
use crate::gateway::reply::CacheResult;
use crate::gateway::vanish::{is_gone, kept_until};
use crate::model::{IndexName, ProjectName, ProjectState, Timestamp};
use crate::page::ProjectPage;
use crate::policy::{Index, Mirror, Quarantined};
use crate::telemetry::{CacheKind, LookUp, Staleness, Tier};

/// How long a stale answer is kept before upstream is tried again: short, so that what comes back is
/// seen soon; not zero, so that an outage does not cost every request a time-out.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How far in the future a statement may have been made: requests read the clock at their start, and
/// take up what others have brought since.
pub const CLOCK_SLACK: Duration = Duration::from_mins(5);

/// Upstream page requests under way: one per mirror and project, and for an index of devpi's one
/// between two writes.
pub type Fetches = Flights<(IndexName, ProjectName, u64), Result<Refreshed, Arc<Error>>>;

/// How old an answer the asker accepts when upstream cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A page: within `stale_if_error`.
    Page,
    /// A file: any age, since what is cached is always served.
    File,
}

/// A mirror's statement on a project.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its page; nothing when it does not know the project.
    pub page: Option<Arc<ProjectPage>>,
    /// Until when nothing better can be had.
    pub valid_until: Timestamp,
    /// Until when it may be answered while upstream is asked anew.
    pub stale_until: Timestamp,
    /// What the caches did.
    pub cache: CacheResult,
    /// Since when its upstream is not there to confirm it.
    pub silent_since: Option<Timestamp>,
}

impl Shared {
    /// What a mirror says about a project.
    ///
    /// # Errors
    /// `Unavailable` when upstream cannot be asked and nothing within the patience is held.
    pub async fn mirror_page(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        mirror: &Mirror,
        project: &ProjectName,
        patience: Patience,
    ) -> Result<Said, Arc<Error>> {
        let found = self.held(&index.name, mirror, project);
        let is_gone = |held: &Arc<SourcePage>| is_gone(held, mirror, cx.now);
        let held = found.clone().filter(|held| !is_gone(held));
        if let Some(held) = held
            .as_ref()
            .filter(|held| is_fresh(held, cx.now) && !is_outdated(cx, index, held))
        {
            return Ok(self.said_fresh(held, mirror, CacheResult::Hit));
        }
        if self.settings.offline {
            return self.offline_answer(index, mirror, project, held.as_ref());
        }
        // Who asks after a write joins no older request.
        let writes = if mirror.is_devpi() {
            self.changes.count()
        } else {
            0
        };
        let key = (index.name.clone(), project.clone(), writes);
        let (shared, own_cx, own_index) = (Arc::clone(self), cx.clone(), Arc::clone(index));
        let (own_project, old) = (project.clone(), found);
        let joined = self.fetches.join(key, move || async move {
            shared
                .refresh(&own_cx, &own_index, &own_project, old)
                .await
                .map_err(Arc::new)
        });
        let joined = joined.await.map_err(|busy| {
            Arc::new(Error::new(
                ErrorKind::Unavailable(Some(1)),
                format!("ask {}: {busy}", index.name),
            ))
        })?;
        match joined.value {
            Ok(refreshed) => {
                let cache = if joined.led {
                    refreshed.cache
                } else {
                    CacheResult::Collapsed
                };
                Ok(self.said_fresh(&refreshed.held, mirror, cache))
            }
            Err(error) => self.stale_answer(cx, mirror, held.as_ref(), patience, error),
        }
    }

    /// What upstream has said or confirmed within its time.
    fn said_fresh(&self, held: &SourcePage, mirror: &Mirror, cache: CacheResult) -> Said {
        let until = held.validity.fresh_until;
        let stale_until = later(until, self.updating_time(held, mirror));
        let stale_until = stale_until.min(last_instant(held, mirror));
        let cache = match held.vanished_at {
            Some(_) => CacheResult::Stale(Staleness::Vanished),
            None => cache,
        };
        said(held, mirror, cache, (until, stale_until))
    }

    /// How long an answer may be given on while upstream is asked anew. Never longer than it was good
    /// for: who wants every request to see upstream's latest word gets that, and a devpi-server
    /// behind this gateway takes uploads, which must be seen at once.
    fn updating_time(&self, held: &SourcePage, mirror: &Mirror) -> Duration {
        if mirror.is_devpi() {
            return Duration::ZERO;
        }
        let validity = &held.validity;
        let fresh_for = validity.fresh_until.duration_since(validity.confirmed_at);
        let fresh_for = Duration::try_from(fresh_for).unwrap_or_default();
        let most = self.settings.stale_while_revalidate;
        most.min(mirror.mirror_cache_expiry).min(fresh_for)
    }

    /// The held page of a mirror: from memory, else from its copy on disk.
    fn held(
        &self,
        index: &IndexName,
        mirror: &Mirror,
        project: &ProjectName,
    ) -> Option<Arc<SourcePage>> {
        let found = self.sources.get(index, project);
        let count = |tier, is_there| {
            let result = if is_there { LookUp::Hit } else { LookUp::Miss };
            self.metrics.looked_up(tier, CacheKind::Source, result);
        };
        count(Tier::Memory, found.is_some());
        if found.is_some() {
            return found;
        }
        let copy = self.read_copy(index, mirror, project);
        count(Tier::Store, copy.is_some());
        let held = Arc::new(copy?);
        self.sources.insert(index, project, Arc::clone(&held));
        Some(held)
    }

    /// What is held of a project on a mirror, without asking anybody.
    pub fn held_page(&self, index: &Index, project: &ProjectName) -> Option<Arc<ProjectPage>> {
        let mirror = index.mirror()?;
        let held = self.held(&index.name, mirror, project)?;
        let held = (!is_gone(&held, mirror, self.clock.now())).then_some(held)?;
        held.page.clone()
    }

    fn stale_answer(
        &self,
        cx: &Context,
        mirror: &Mirror,
        held: Option<&Arc<SourcePage>>,
        patience: Patience,
        error: Arc<Error>,
    ) -> Result<Said, Arc<Error>> {
        // What devpi has taken from everybody's sight is not shown because it once was there.
        if matches!(error.kind, ErrorKind::Withheld(_)) {
            return Err(error);
        }
        // That upstream once knew nothing of a project is nothing held: the name may be somebody's by
        // now, and must not fall through to a later mirror.
        let Some(held) = held.filter(|held| held.page.is_some()) else {
            return Err(error);
        };
        let until = later(held.validity.fresh_until, self.settings.stale_if_error);
        let tolerated = match patience {
            Patience::Page => cx.now < until,
            Patience::File => true,
        };
        if !tolerated {
            return Err(error);
        }
        tracing::warn!(%error, "upstream cannot be asked, the page held before is answered");
        let last = last_instant(held, mirror);
        let retry_at = later(cx.now, RETRY_AFTER).min(last);
        let stale_until = later(retry_at, self.updating_time(held, mirror));
        let stale_until = match patience {
            Patience::Page => stale_until.min(until),
            Patience::File => stale_until,
        };
        let stale_until = stale_until.min(last);
        let cache = CacheResult::Stale(Staleness::Error);
        Ok(unconfirmed(held, mirror, cache, (retry_at, stale_until)))
    }

    fn offline_answer(
        &self,
        index: &Index,
        mirror: &Mirror,
        project: &ProjectName,
        held: Option<&Arc<SourcePage>>,
    ) -> Result<Said, Arc<Error>> {
        if let Some(held) = held {
            let last = last_instant(held, mirror);
            let cache = CacheResult::Stale(Staleness::Offline);
            if self.settings.is_explaining {
                // A running server would ask.
                return Ok(said(held, mirror, cache, (last, last)));
            }
            return Ok(unconfirmed(held, mirror, cache, (last, last)));
        }
        let what = format!("a page of {project} from {}", index.name);
        Err(Arc::new(self.not_asked(what)))
    }
}

/// Whether upstream need not be asked. What was confirmed in the future was confirmed before the clock
/// was put back, and how long ago that was nobody knows.
fn is_fresh(held: &SourcePage, now: Timestamp) -> bool {
    held.validity.confirmed_at <= later(now, CLOCK_SLACK) && now < held.validity.fresh_until
}

/// Whether devpi said it before a write that went through here.
fn is_outdated(cx: &Context, index: &Index, held: &SourcePage) -> bool {
    let upstream = cx.generation.upstreams.get(&index.name);
    // That there is nothing has no tag, and is forgotten with the write.
    held.page.is_some()
        && upstream.is_some_and(|upstream| upstream.is_outdated(held.validity.etag.as_deref()))
}

/// Until when a statement may be answered at all. What upstream only fails to confirm has no such
/// end here; what it has dropped is kept for a time, whoever asks and whether or not it can be asked.
fn last_instant(held: &SourcePage, mirror: &Mirror) -> Timestamp {
    match held.vanished_at {
        Some(_) => kept_until(held, mirror),
        None => Timestamp::MAX,
    }
}

/// The statement as a stack sees it: of a quarantined project nothing is listed, unless told otherwise.
fn said(
    held: &SourcePage,
    mirror: &Mirror,
    cache: CacheResult,
    (valid_until, stale_until): (Timestamp, Timestamp),
) -> Said {
    let page = held
        .page
        .as_ref()
        .map(|page| match (page.status.state, mirror.quarantined) {
            (ProjectState::Quarantined, Quarantined::Empty) if !page.files.is_empty() => {
                let mut empty = ProjectPage::empty(page.project.clone());
                empty.status = page.status.clone();
                Arc::new(empty)
            }
            _ => Arc::clone(page),
        });
    Said {
        page,
        valid_until,
        stale_until,
        cache,
        silent_since: None,
    }
}

/// The same where upstream cannot be asked. What grew of age while its word still counted has done so.
fn unconfirmed(
    held: &SourcePage,
    mirror: &Mirror,
    cache: CacheResult,
    until: (Timestamp, Timestamp),
) -> Said {
    Said {
        silent_since: Some(held.validity.fresh_until),
        ..said(held, mirror, cache, until)
    }
}

/// `at` plus `by`, or the end of time.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
