//! Asking an upstream for a page, and keeping the answer in memory and on disk.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{SourcePage, Validity};
use crate::gateway::context::{Context, Shared};
use crate::gateway::error::{Error, ErrorKind, Withheld};
use crate::gateway::reply::CacheResult;
use crate::gateway::source::later;
use crate::gateway::vanish::Dropped;
use crate::model::{Hashes, IndexName, ProjectName, ProjectState, Timestamp};
use crate::page::{
    LearnedFiles, StoredMeta, carry_over, from_stored, read_project_page, seen_by, to_stored,
};
use crate::policy::{Index, Mirror};
use crate::protocol::lifetime;
use crate::store::Key;
use crate::telemetry::UpstreamResult;
use crate::upstream::{Page, PageAnswer, Upstream, UpstreamError, Validators};

/// What an empty body says of a mirror made through devpi's API, whose users know it from devpi.
const BARE_PAGE: &[u8] = b"<!DOCTYPE html>";

/// A page that upstream has just made or confirmed.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The page.
    pub held: Arc<SourcePage>,
    /// Whether it was fetched or only confirmed.
    pub cache: CacheResult,
}

impl Shared {
    /// Asks upstream and keeps what it says.
    pub async fn refresh(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        old: Option<Arc<SourcePage>>,
    ) -> Result<Refreshed, Error> {
        let (upstream, mirror) = self.upstream_of(cx, index)?;
        // A page that was only kept after it vanished must not be confirmed by its old tag.
        let known = old
            .as_ref()
            .filter(|old| old.page.is_some() && old.vanished_at.is_none());
        let validators = known.map(|old| Validators {
            etag: old.validity.etag.clone(),
            last_modified: old.validity.last_modified.clone(),
        });
        let started = std::time::Instant::now();
        let changes = self.changes.count();
        let answer = upstream.page(project, validators.as_ref()).await;
        let result = upstream_result(&answer, page_result);
        self.metrics
            .upstream_request(index.name.as_str(), result, started.elapsed());
        let now = self.clock.now();
        let answer = match answer {
            Err(UpstreamError::Refused { status, words, .. }) => {
                let refusal = (status.as_u16(), words);
                self.absence(cx, index, mirror, project, refusal).await?
            }
            answer => answer.map_err(upstream_error)?,
        };
        let (held, cache) = match (answer, old) {
            (PageAnswer::NotModified { max_age }, Some(old)) => (
                confirmed(&old, mirror, now, max_age),
                CacheResult::Revalidated,
            ),
            (PageAnswer::NotModified { .. }, None) => {
                let message = format!("{} answered 304 to an unconditional request", index.name);
                return Err(Error::new(ErrorKind::BadGateway, message));
            }
            (PageAnswer::NotFound, old) => {
                let dropped = Dropped { old, empty: None };
                let held = self.vanish_behind(cx, index, project, dropped, now).await?;
                (held, CacheResult::Miss)
            }
            (PageAnswer::Found(page), old) => {
                let (own_cx, index, project) = (cx.clone(), index.clone(), project.clone());
                let shared = Arc::clone(self);
                let work = move || shared.take_in(&own_cx, &index, &project, page, old, now);
                let taken = tokio::task::spawn_blocking(work).await;
                let taken = taken.map_err(|error| Error::internal("read a page", error))??;
                (taken, CacheResult::Miss)
            }
        };
        let held = Arc::new(held);
        let is_current = !mirror.is_devpi() || self.changes.count() == changes;
        if is_current {
            self.sources.insert(&index.name, project, Arc::clone(&held));
        }
        if cache == CacheResult::Revalidated {
            let (shared, index, confirmed) = (Arc::clone(self), Arc::clone(index), held.clone());
            tokio::task::spawn_blocking(move || {
                if let Some(mirror) = index.mirror() {
                    // What it replaces says the same, only as of earlier: it may stay.
                    let _ = shared.write_copy(&index.name, mirror, &confirmed);
                }
            });
        }
        Ok(Refreshed { held, cache })
    }

    /// Parses a page, completes it with what is known of its files, and keeps a copy on disk.
    fn take_in(
        &self,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        page: Page,
        old: Option<Arc<SourcePage>>,
        now: Timestamp,
    ) -> Result<SourcePage, Error> {
        let Some(mirror) = index.mirror() else {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("{} is no mirror", index.name),
            ));
        };
        let url = page.final_url.as_str();
        let body = match &page.body[..] {
            [] if mirror.is_made_by_api => BARE_PAGE,
            body => body,
        };
        let parsed = read_project_page(page.content_type.as_deref(), body, url, project);
        let mut parsed = parsed.map_err(|error| {
            let message = format!(
                "{} sent a page of {project} that cannot be read: {error}",
                index.name
            );
            Error::new(ErrorKind::BadGateway, message)
        })?;
        let had_files = old
            .as_ref()
            .and_then(|old| old.page.as_ref())
            .is_some_and(|old| !old.files.is_empty());
        let is_quarantined = parsed.status.state == ProjectState::Quarantined;
        if parsed.files.is_empty() && had_files && !is_quarantined {
            let empty = Some(parsed);
            return Ok(self.vanish(cx, index, project, Dropped { old, empty }, now));
        }
        carry_over(
            &mut parsed,
            old.as_ref().and_then(|old| old.page.as_deref()),
            now,
        );
        self.learned(&index.name, project).apply(&mut parsed);
        let validity = Validity {
            confirmed_at: now,
            fresh_until: fresh_until(mirror, now, page.max_age),
            etag: page.validators.etag,
            last_modified: page.validators.last_modified,
        };
        let held = SourcePage {
            page: Some(Arc::new(parsed)),
            validity,
            vanished_at: None,
        };
        self.replace_copy(&index.name, project, mirror, &held);
        Ok(held)
    }

    /// The upstream of a mirror.
    pub fn upstream_of<'a>(
        &self,
        cx: &'a Context,
        index: &'a Index,
    ) -> Result<(&'a Arc<Upstream>, &'a Mirror), Error> {
        let upstream = cx.generation.upstreams.get(&index.name);
        upstream.zip(index.mirror()).ok_or_else(|| {
            let name = &index.name;
            let message = format!(
                "{name} is a mirror and no upstream is set: give it one, \
                 `devpi index {name} mirror_url=…`"
            );
            Error::new(ErrorKind::BadGateway, message)
        })
    }

    /// What was learned of a project's files as they passed through; damage counts as nothing.
    pub fn learned(&self, index: &IndexName, project: &ProjectName) -> LearnedFiles {
        let key = Key::Learned {
            index: index.clone(),
            project: project.clone(),
        };
        let text = self.small_copy(&key, self.settings.page_bytes_max, &Hashes::default());
        text.and_then(|text| LearnedFiles::from_stored(&text).ok())
            .unwrap_or_default()
    }

    /// The copy on disk, completed with what was learned since. A copy that is damaged or cannot be
    /// read is none: upstream is there to be asked. One that says it was made in the future was made
    /// under a wrong clock, so nobody knows how old it is, and it counts as expired.
    pub fn read_copy(
        &self,
        index: &IndexName,
        mirror: &Mirror,
        project: &ProjectName,
    ) -> Option<SourcePage> {
        let key = Key::Page {
            index: index.clone(),
            project: project.clone(),
        };
        // A copy states more than the page did, such as first-seen times.
        let most = 2 * self.settings.page_bytes_max;
        let text = self.small_copy(&key, most, &Hashes::default())?;
        match from_stored(&text, project) {
            Ok((_, meta)) if Some(&meta.final_url) != mirror.mirror_url.as_ref() => None,
            Ok((mut page, meta)) => {
                self.learned(index, project).apply(&mut page);
                let now = self.clock.now();
                seen_by(&mut page, now);
                let max_age = meta.max_age_seconds.map(Duration::from_secs);
                let confirmed_at = meta.fetched_at.min(now);
                let validity = Validity {
                    confirmed_at,
                    fresh_until: if meta.fetched_at > now {
                        now
                    } else {
                        fresh_until(mirror, confirmed_at, max_age)
                    },
                    etag: meta.etag,
                    last_modified: meta.last_modified,
                };
                Some(SourcePage {
                    page: Some(Arc::new(page)),
                    validity,
                    vanished_at: meta.vanished_at.map(|at| at.min(now)),
                })
            }
            Err(error) => {
                tracing::warn!(%index, %project, %error, "page copy passed over");
                None
            }
        }
    }

    /// Keeps what a mirror says now, or that it says nothing. An earlier copy never outlives this: it
    /// may list what upstream has taken down since, and be read after a restart.
    pub fn replace_copy(
        &self,
        index: &IndexName,
        project: &ProjectName,
        mirror: &Mirror,
        held: &SourcePage,
    ) {
        if self.write_copy(index, mirror, held).is_ok() {
            return;
        }
        let key = Key::Page {
            index: index.clone(),
            project: project.clone(),
        };
        if let Err(error) = self.store.remove(&key) {
            tracing::error!(%index, %project, %error, "an outdated page copy cannot be removed");
        }
    }

    /// Keeps a copy on disk; a disk that fails is logged, and the page is answered all the same.
    fn write_copy(
        &self,
        index: &IndexName,
        mirror: &Mirror,
        held: &SourcePage,
    ) -> Result<(), NotKept> {
        let page = held.page.as_ref().ok_or(NotKept)?;
        let validity = &held.validity;
        let fresh_for = validity.fresh_until.duration_since(validity.confirmed_at);
        let meta = StoredMeta {
            // A copy is good only for the upstream it was made of.
            final_url: mirror.mirror_url.clone().unwrap_or_default(),
            fetched_at: validity.confirmed_at,
            etag: validity.etag.clone(),
            last_modified: validity.last_modified.clone(),
            max_age_seconds: u64::try_from(fresh_for.as_secs()).ok(),
            vanished_at: held.vanished_at,
        };
        let key = Key::Page {
            index: index.clone(),
            project: page.project.clone(),
        };
        let kept = self.store.put_small(&key, &to_stored(page, &meta));
        kept.map_err(|error| {
            tracing::error!(%index, project = %page.project, %error, "page copy not kept");
            NotKept
        })
    }
}

/// No copy was written: there is no page, or the log says why.
#[derive(Debug)]
struct NotKept;

/// How an upstream request went, for the metrics.
pub fn upstream_result<T>(
    answer: &Result<T, UpstreamError>,
    of_answer: impl Fn(&T) -> UpstreamResult,
) -> UpstreamResult {
    match answer {
        Ok(answer) => of_answer(answer),
        Err(UpstreamError::Timeout { .. }) => UpstreamResult::Timeout,
        Err(
            UpstreamError::Unreachable { .. }
            | UpstreamError::Unavailable { .. }
            | UpstreamError::Busy { .. },
        ) => UpstreamResult::Failed,
        Err(UpstreamError::Refused { .. } | UpstreamError::Withheld { .. }) => {
            UpstreamResult::Refused
        }
        Err(UpstreamError::TooLarge { .. } | UpstreamError::Broken { .. }) => {
            UpstreamResult::Invalid
        }
    }
}

/// What a page's answer counts as.
pub fn page_result(answer: &PageAnswer) -> UpstreamResult {
    match answer {
        PageAnswer::Found(_) => UpstreamResult::Fetched,
        PageAnswer::NotModified { .. } => UpstreamResult::Unchanged,
        PageAnswer::NotFound => UpstreamResult::Absent,
    }
}

/// An upstream's trouble as ours: never "not found".
pub fn upstream_error(error: UpstreamError) -> Error {
    if let UpstreamError::Withheld { status, path, .. } = &error {
        let withheld = Withheld { path: path.clone() };
        return Error {
            kind: ErrorKind::Withheld(*status),
            message: error.to_string(),
            source: Some(Box::new(withheld)),
        };
    }
    let kind = match &error {
        UpstreamError::Unavailable { retry_after, .. } => {
            // A part of a second is one: zero would mean "at once".
            let seconds = |wait: Duration| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
            ErrorKind::Unavailable(retry_after.map(seconds))
        }
        UpstreamError::Busy { .. } => ErrorKind::Unavailable(Some(1)),
        UpstreamError::Unreachable { .. } | UpstreamError::Timeout { .. } => {
            ErrorKind::Unavailable(None)
        }
        UpstreamError::Refused { .. }
        | UpstreamError::Withheld { .. }
        | UpstreamError::TooLarge { .. }
        | UpstreamError::Broken { .. } => ErrorKind::BadGateway,
    };
    Error::new(kind, error.to_string())
}

fn fresh_until(mirror: &Mirror, from: Timestamp, max_age: Option<Duration>) -> Timestamp {
    let expiry = mirror.mirror_cache_expiry;
    later(from, lifetime(max_age, expiry))
}

fn confirmed(
    old: &SourcePage,
    mirror: &Mirror,
    now: Timestamp,
    max_age: Option<Duration>,
) -> SourcePage {
    let mut held = old.clone();
    held.validity.confirmed_at = now;
    held.validity.fresh_until = fresh_until(mirror, now, max_age);
    held
}
