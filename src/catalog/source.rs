//! What a mirror says about a project: from memory, from the copy on disk, or from its upstream.
//!
//! A copy is fresh for `mirror_cache_expiry` after upstream last confirmed it. When it is not, one
//! request per project asks upstream, on the work runtime, so that it goes on when its client
//! leaves. How long it is waited for is chosen here (of lists, in `names`): whoever could have the old copy
//! waits `cache.patience` once, and not at all for a file (docs/adr/0038-held-means-served.md).
//! When upstream cannot be asked, the old copy answers within the asker's patience; a
//! project that upstream suddenly drops keeps its last good files for `keep_last_good`.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Flight, FlightError, Flights, InFlight, Mark, SourcePage, SourcePages};
use crate::catalog::names::Names;
use crate::catalog::page_copies::CopyTurns;
use crate::catalog::room::{Held, copy_within_room};
use crate::catalog::vanish::{is_gone, last_instant};
use crate::exchange::{
    CLOCK_SLACK, CacheResult, Context, Core, Error, ErrorKind, Flow, Patience, RETRY_AFTER, later,
};
use crate::language::{Mirror, Quarantined};
use crate::model::{IndexName, ProjectName, ProjectState, Timestamp};
use crate::page::ProjectPage;
use crate::policy::Index;
use crate::telemetry::{CacheKind, Staleness, Tier, WaitFor};

/// Upstream page requests under way: one per mirror and project, until what it knows is forgotten. A
/// request after a write to devpi joins no older one.
type Fetches = Flights<(IndexName, ProjectName, Mark), Flow<Refreshed>>;

/// What is held of a project on a mirror.
type HeldPage = Option<Arc<SourcePage>>;

/// A mirror's statement on a project.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its page; `None` if it does not know the project.
    pub page: Option<Arc<ProjectPage>>,
    /// Until when asking again would not help.
    pub valid_until: Timestamp,
    /// Until when it may be served while upstream is asked again.
    pub stale_until: Timestamp,
    /// What the caches did.
    pub cache: CacheResult,
    /// Since when its upstream has been unable to confirm it.
    pub silent_since: Option<Timestamp>,
    /// Its share of what may be read at one time, until it is rendered.
    pub share: Held,
    /// Its upstream is still being asked, and this is what was held before.
    pub awaits: Option<InFlight>,
}

impl Said {
    /// An answer that is valid until the first instant, and may be served until the second.
    pub fn new(
        page: Option<Arc<ProjectPage>>,
        (valid_until, stale_until): (Timestamp, Timestamp),
        cache: CacheResult,
    ) -> Self {
        Self {
            page,
            valid_until,
            stale_until,
            cache,
            silent_since: None,
            share: None,
            awaits: None,
        }
    }
}

/// A page that upstream has just made or confirmed.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The page.
    pub held: Arc<SourcePage>,
    /// Whether it was fetched or only confirmed.
    pub cache: CacheResult,
    /// Its share of what may be read at one time, until it is rendered.
    pub share: Held,
}

/// What mirrors say, in memory and on disk, and what they are being asked.
#[derive(Debug)]
pub struct Mirrors {
    pub(super) core: Arc<Core>,
    pub(super) names: Arc<Names>,
    pub(super) held: SourcePages,
    pub(super) fetches: Fetches,
    pub(super) copies: Arc<CopyTurns>,
}

impl Mirrors {
    /// Those of this core, with this many bytes of pages in memory.
    #[must_use]
    pub fn new(core: Arc<Core>, names: Arc<Names>, memory_bytes_max: u64) -> Self {
        let copies = CopyTurns::new(core.metrics.waits(WaitFor::PageCopies));
        Self {
            names,
            held: SourcePages::new(memory_bytes_max),
            fetches: core.flights(),
            copies: Arc::new(copies),
            core,
        }
    }

    /// Forgets what is held in memory of a project; the copy on disk stays.
    pub fn forget(&self, index: &IndexName, project: &ProjectName) {
        self.held.forget(index, project);
    }

    /// Forgets what a mirror said: it has another upstream now.
    pub fn forget_index(&self, index: &IndexName) {
        self.held.forget_index(index);
    }

    /// Forgets everything that is held in memory.
    pub fn forget_all(&self) {
        self.held.forget_all();
    }

    /// Makes the next request ask upstream again, and keeps what is held until it has answered.
    pub fn expire(&self, index: &IndexName, project: &ProjectName, now: Timestamp) {
        let mark = self.held.mark(index, project);
        if let Some(held) = self.held.get(index, project) {
            let mut expired = SourcePage::clone(&held);
            expired.validity.fresh_until = expired.validity.fresh_until.min(now);
            expired.retry_at = None;
            let expired = Arc::new(expired);
            self.held.insert_since(mark, (index, project), expired);
        }
    }

    /// Records a mirror's statement.
    #[cfg(test)]
    pub fn keep(&self, index: &IndexName, project: &ProjectName, page: SourcePage) {
        let mark = self.held.mark(index, project);
        self.held
            .insert_since(mark, (index, project), Arc::new(page));
    }

    pub fn weight_bytes(&self) -> u64 {
        self.held.weight_bytes()
    }

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
    ) -> Flow<Said> {
        let mark = self.held.mark(&index.name, project);
        let (found, share) = self.held(&index.name, mirror, project).await?;
        let is_gone = |held: &Arc<SourcePage>| is_gone(held, mirror, cx.now);
        let held = found.clone().filter(|held| !is_gone(held));
        if let Some(held) = held
            .as_ref()
            .filter(|held| is_fresh(held, cx.now) && !is_outdated(cx, index, held))
        {
            return Ok(self.said_fresh(held, mirror, CacheResult::Hit, share));
        }
        if self.core.settings.offline {
            let said = self.offline_answer(index, mirror, project, held.as_ref())?;
            return Ok(Said { share, ..said });
        }
        let said = match self.resting(cx, mirror, held.as_ref(), patience) {
            Some(said) => said,
            None => {
                let known = (mark, found, held);
                let said = self.said_by_upstream(cx, (index, mirror), project, known, patience);
                said.await?
            }
        };
        let share = said.share.or(share);
        Ok(Said { share, ..said })
    }

    /// What upstream says, or what is held where it cannot be had or is not waited for.
    async fn said_by_upstream(
        self: &Arc<Self>,
        cx: &Context,
        (index, mirror): (&Arc<Index>, &Mirror),
        project: &ProjectName,
        (mark, found, held): (Mark, HeldPage, HeldPage),
        patience: Patience,
    ) -> Flow<Said> {
        let ready = held
            .as_ref()
            .filter(|held| self.is_ready(cx, mirror, held, patience));
        let wait = patience.wait(self.core.settings.cache.patience);
        let failed = |failed| Error::busy(format_args!("ask {}: {failed}", index.name));
        let flight = self.ask_behind(cx, index, project, mark, found);
        let joined = match (flight, ready, wait) {
            (Ok(flight), Some(held), Some(wait)) => {
                let stage = flight.stage.clone();
                match flight.landed_within(wait).await {
                    Ok(None) => return Ok(self.said_meanwhile(held, mirror, patience, stage)),
                    Ok(Some(joined)) => Ok(joined),
                    Err(lost) => Err(failed(lost)),
                }
            }
            (Ok(flight), ..) => flight.landed().await.map_err(failed),
            (Err(busy), ..) => Err(failed(busy)),
        };
        let led = joined.as_ref().is_ok_and(|joined| joined.led);
        match joined.and_then(|joined| joined.value) {
            Ok(refreshed) => {
                let own = led.then_some(refreshed.cache);
                let cache = own.unwrap_or(CacheResult::Collapsed);
                Ok(self.said_fresh(&refreshed.held, mirror, cache, refreshed.share))
            }
            Err(error) => self.stale_answer(cx, mirror, held.as_ref(), patience, error),
        }
    }

    /// Joins or starts the one request that asks upstream. It goes on when nobody waits for it, and keeps
    /// what comes of it before it is over.
    fn ask_behind(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        mark: Mark,
        old: HeldPage,
    ) -> Result<Flight<Flow<Refreshed>>, FlightError> {
        let key = (index.name.clone(), project.clone(), mark);
        let (mirrors, cx) = (Arc::clone(self), cx.clone());
        let (index, project) = (Arc::clone(index), project.clone());
        self.fetches.board(key, move |stage| async move {
            let refreshed = mirrors.refresh(&cx, &index, &project, old, &stage).await;
            let at = (&index.name, &project);
            match &refreshed {
                Err(error) if error.kind == ErrorKind::TakenDown => mirrors.forget(at.0, at.1),
                Err(error) if matches!(error.kind, ErrorKind::Withheld(_)) => {}
                // The upstream of an older generation may be another one than today's.
                _ if cx.generation.number != mirrors.core.generation().number => {}
                Ok(refreshed) => {
                    let held = Arc::clone(&refreshed.held);
                    mirrors.held.insert_since(mark, at, held);
                }
                Err(_) => mirrors.rest(mark, at),
            }
            refreshed
        })
    }

    /// Notes that upstream could not be asked: what is held is answered without trying, for a moment.
    fn rest(&self, mark: Mark, at: (&IndexName, &ProjectName)) {
        if let Some(held) = self.held.get(at.0, at.1) {
            let mut resting = SourcePage::clone(&held);
            resting.retry_at = Some(later(self.core.clock.now(), RETRY_AFTER));
            self.held.insert_since(mark, at, Arc::new(resting));
        }
    }

    /// What is held, where upstream could not be asked a moment ago.
    fn resting(
        &self,
        cx: &Context,
        mirror: &Mirror,
        held: Option<&Arc<SourcePage>>,
        patience: Patience,
    ) -> Option<Said> {
        let held = held.filter(|held| self.is_ready(cx, mirror, held, patience))?;
        let retry_at = held.retry_at.filter(|retry_at| cx.now < *retry_at)?;
        Some(self.said_stale(held, mirror, patience, retry_at))
    }

    /// Whether what is held may go out before upstream has said whether it still holds. Not where
    /// devpi-servers are upstream, whose uploads are to be seen at once; not what is in quarantine, of
    /// which the next word counts. Rules see of it what they see of an upstream that is silent.
    fn is_ready(
        &self,
        cx: &Context,
        mirror: &Mirror,
        held: &SourcePage,
        patience: Patience,
    ) -> bool {
        let page = held.page.as_ref();
        let is_open = page.is_some_and(|page| page.status.state != ProjectState::Quarantined);
        is_open && !mirror.is_devpi() && cx.now < self.stale_end(held, patience)
    }

    /// Until when it may be answered that upstream does not confirm.
    fn stale_end(&self, held: &SourcePage, patience: Patience) -> Timestamp {
        match patience {
            Patience::Page | Patience::LatestPage => later(
                held.validity.fresh_until,
                self.core.settings.cache.stale_if_error,
            ),
            Patience::File | Patience::LatestFile => Timestamp::MAX,
        }
    }

    /// The answer while upstream is still being asked: good until that is over.
    fn said_meanwhile(
        &self,
        held: &SourcePage,
        mirror: &Mirror,
        patience: Patience,
        stage: InFlight,
    ) -> Said {
        let why = if stage.is_set_back() {
            Staleness::Error
        } else {
            Staleness::Late
        };
        let until = self.stale_end(held, patience);
        let until = until.min(last_instant(held, mirror));
        Said {
            awaits: Some(stage),
            ..unconfirmed(held, mirror, CacheResult::Stale(why), (until, until))
        }
    }

    /// The answer from what upstream said or confirmed recently enough.
    fn said_fresh(
        &self,
        held: &SourcePage,
        mirror: &Mirror,
        cache: CacheResult,
        share: Held,
    ) -> Said {
        let until = held.validity.fresh_until;
        let stale_until = later(until, self.updating_time(held, mirror));
        let stale_until = stale_until.min(last_instant(held, mirror));
        let cache = match held.vanished_at {
            Some(_) => CacheResult::Stale(Staleness::Vanished),
            None => cache,
        };
        let said = said(held, mirror, cache, (until, stale_until));
        Said { share, ..said }
    }

    /// How long an answer may be used while upstream is asked again. Never longer than it was valid: an
    /// operator who wants every request to see upstream's latest answer gets that, and a devpi-server
    /// behind this gateway takes uploads, which must be visible immediately.
    fn updating_time(&self, held: &SourcePage, mirror: &Mirror) -> Duration {
        if mirror.is_devpi() {
            return Duration::ZERO;
        }
        let validity = &held.validity;
        let fresh_for = validity.fresh_until.duration_since(validity.confirmed_at);
        let fresh_for = Duration::try_from(fresh_for).unwrap_or_default();
        let most = self.core.settings.cache.stale_while_revalidate;
        most.min(mirror.mirror_cache_expiry()).min(fresh_for)
    }

    /// The held page of a mirror: from memory, otherwise from its copy on disk.
    async fn held(
        &self,
        index: &IndexName,
        mirror: &Mirror,
        project: &ProjectName,
    ) -> Flow<(Option<Arc<SourcePage>>, Held)> {
        let (core, kind) = (&self.core, CacheKind::Source);
        let mark = self.held.mark(index, project);
        let found = core.look(Tier::Memory, kind, self.held.get(index, project));
        if found.is_some() {
            return Ok((found, None));
        }
        self.copies.written(index, project).await;
        let (copy, share) = copy_within_room(core, index, mirror, project).await?;
        let held = core.look(Tier::Store, kind, copy.map(Arc::new));
        if let Some(held) = &held {
            self.held
                .insert_since(mark, (index, project), Arc::clone(held));
        }
        Ok((held, share))
    }

    /// What is held of a project on a mirror, without asking anybody.
    pub async fn held_page(
        &self,
        index: &Index,
        project: &ProjectName,
    ) -> Option<Arc<ProjectPage>> {
        let mirror = index.mirror()?;
        let (held, _share) = self.held(&index.name, mirror, project).await.ok()?;
        let held = held?;
        let held = (!is_gone(&held, mirror, self.core.clock.now())).then_some(held)?;
        held.page.clone()
    }

    fn stale_answer(
        &self,
        cx: &Context,
        mirror: &Mirror,
        held: Option<&Arc<SourcePage>>,
        patience: Patience,
        error: Error,
    ) -> Flow<Said> {
        // What was withdrawn from public view is not shown because it once was there.
        if matches!(error.kind, ErrorKind::Withheld(_) | ErrorKind::TakenDown) {
            return Err(error);
        }
        // That upstream once did not know a project does not count as held: the name may belong to
        // somebody by now, and must not fall through to a later mirror.
        let Some(held) = held.filter(|held| held.page.is_some()) else {
            return Err(error);
        };
        if cx.now >= self.stale_end(held, patience) {
            return Err(error);
        }
        tracing::warn!(%error, "upstream cannot be asked, the page held before is answered");
        let retry_at = later(cx.now, RETRY_AFTER);
        Ok(self.said_stale(held, mirror, patience, retry_at))
    }

    /// The answer while upstream cannot be asked, until it is tried again.
    fn said_stale(
        &self,
        held: &SourcePage,
        mirror: &Mirror,
        patience: Patience,
        retry_at: Timestamp,
    ) -> Said {
        let last = last_instant(held, mirror);
        let retry_at = retry_at.min(last);
        let stale_until = later(retry_at, self.updating_time(held, mirror));
        let stale_until = stale_until.min(self.stale_end(held, patience)).min(last);
        let cache = CacheResult::Stale(Staleness::Error);
        unconfirmed(held, mirror, cache, (retry_at, stale_until))
    }

    fn offline_answer(
        &self,
        index: &Index,
        mirror: &Mirror,
        project: &ProjectName,
        held: Option<&Arc<SourcePage>>,
    ) -> Flow<Said> {
        if let Some(held) = held {
            let last = last_instant(held, mirror);
            let cache = CacheResult::Stale(Staleness::Offline);
            if self.core.settings.is_explaining {
                // A running server would ask.
                return Ok(said(held, mirror, cache, (last, last)));
            }
            return Ok(unconfirmed(held, mirror, cache, (last, last)));
        }
        let what = format!("a page of {project} from {}", index.name);
        Err(self.core.not_asked(what))
    }
}

/// Whether upstream need not be asked. A confirmation from the future was made before the clock was put
/// back, and its age is unknown.
fn is_fresh(held: &SourcePage, now: Timestamp) -> bool {
    held.validity.confirmed_at <= later(now, CLOCK_SLACK) && now < held.validity.fresh_until
}

/// Whether it predates a write to devpi that went through here.
fn is_outdated(cx: &Context, index: &Index, held: &SourcePage) -> bool {
    let upstream = cx.generation.upstreams.get(&index.name);
    // Absence has no tag, and is forgotten with the write.
    held.page.is_some()
        && upstream.is_some_and(|upstream| upstream.is_outdated(held.validity.etag.as_deref()))
}

/// The statement as a stack sees it: a quarantined project lists nothing, unless configured otherwise.
fn said(
    held: &SourcePage,
    mirror: &Mirror,
    cache: CacheResult,
    until: (Timestamp, Timestamp),
) -> Said {
    let shown = |page: &Arc<ProjectPage>| match (page.status.state, mirror.quarantined()) {
        (ProjectState::Quarantined, Quarantined::Empty) if !page.files.is_empty() => {
            let mut empty = ProjectPage::empty(page.project.clone());
            empty.status = page.status.clone();
            Arc::new(empty)
        }
        _ => Arc::clone(page),
    };
    Said::new(held.page.as_ref().map(shown), until, cache)
}

/// The same while upstream cannot be asked. Files that matured while its answer still counted have done
/// so.
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
