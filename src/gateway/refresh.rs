//! Asking an upstream for a page, and keeping the answer in memory and on disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;

use crate::cache::{SourcePage, Validity};
use crate::gateway::context::Context;
use crate::gateway::core::Core;
use crate::gateway::error::{Error, ErrorKind};
use crate::gateway::names::Names;
use crate::gateway::outcome::{page_result, upstream_error, upstream_result};
use crate::gateway::page_copies::{PageCopies, fresh_until};
use crate::gateway::reply::CacheResult;
use crate::gateway::room::{Held, read_page};
use crate::gateway::vanish::{Dropped, vanish, vanish_behind};
use crate::model::{ProjectName, ProjectState, Timestamp};
use crate::page::{ProjectPage, carry_over};
use crate::policy::{Index, Mirror};
use crate::upstream::{Page, PageAnswer, UpstreamError, Validators};

/// What an empty body says of a mirror made through devpi's API, whose users know it from devpi.
const BARE_PAGE: &[u8] = b"<!DOCTYPE html>";

/// A page that upstream has just made or confirmed.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The page.
    pub held: Arc<SourcePage>,
    /// Whether it was fetched or only confirmed.
    pub cache: CacheResult,
    /// Of what may be read at one time, until it is rendered.
    pub share: Held,
}

/// Asks upstreams for pages.
#[derive(Debug)]
pub struct Refreshes {
    core: Arc<Core>,
    names: Arc<Names>,
    copies: Arc<PageCopies>,
}

impl Refreshes {
    pub fn new(core: Arc<Core>, names: Arc<Names>, copies: Arc<PageCopies>) -> Self {
        Self {
            core,
            names,
            copies,
        }
    }

    /// Asks upstream and keeps what it says.
    pub async fn refresh(
        &self,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        old: Option<Arc<SourcePage>>,
    ) -> Result<Refreshed, Error> {
        let (upstream, mirror) = cx.upstream_of(index)?;
        // A page that was only kept after it vanished must not be confirmed by its old tag.
        let known = old
            .as_ref()
            .filter(|old| old.page.is_some() && old.vanished_at.is_none());
        let validators = known.map(|old| Validators {
            etag: old.validity.etag.clone(),
            last_modified: old.validity.last_modified.clone(),
        });
        let started = Instant::now();
        let answer = upstream.page(project, validators.as_ref()).await;
        let result = upstream_result(&answer, page_result);
        self.core
            .metrics
            .upstream_request(index.name.as_str(), result, started.elapsed());
        let now = self.core.clock.now();
        let answer = match answer {
            Err(UpstreamError::Refused { status, words, .. }) => {
                let refusal = (status.as_u16(), words);
                let judged = self.names.absence(cx, index, mirror, project, refusal);
                match judged.await {
                    Err(refused) if status == StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                        return self.taken_down(cx, index, project, old, refused).await;
                    }
                    judged => judged?,
                }
            }
            answer => answer.map_err(upstream_error)?,
        };
        let mut share = None;
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
                let held = vanish_behind(&self.copies, cx, index, project, dropped, now).await?;
                (held, CacheResult::Miss)
            }
            (PageAnswer::Found(page), old) => {
                let (taken, room) = self.found(cx, index, project, page, old).await?;
                share = room;
                (taken, CacheResult::Miss)
            }
        };
        let held = Arc::new(held);
        if cache == CacheResult::Revalidated {
            let (copies, index) = (Arc::clone(&self.copies), Arc::clone(index));
            let confirmed = Arc::clone(&held);
            tokio::task::spawn_blocking(move || {
                if let Some(mirror) = index.mirror() {
                    // What it replaces says the same, only as of earlier: it may stay.
                    let _ = copies.write(&index.name, mirror, &confirmed);
                }
            });
        }
        Ok(Refreshed { held, cache, share })
    }

    /// What upstream has taken down (451) is cut down as what it dropped. Where nothing remains its
    /// refusal is the answer: the name is somebody's, and no later mirror is asked for it.
    async fn taken_down(
        &self,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        old: Option<Arc<SourcePage>>,
        refused: Error,
    ) -> Result<Refreshed, Error> {
        let (now, dropped) = (self.core.clock.now(), Dropped { old, empty: None });
        let kept = vanish_behind(&self.copies, cx, index, project, dropped, now).await?;
        if kept.page.is_none() {
            let kind = ErrorKind::TakenDown;
            return Err(Error { kind, ..refused });
        }
        Ok(Refreshed {
            held: Arc::new(kept),
            cache: CacheResult::Miss,
            share: None,
        })
    }

    /// Reads a page that came, and takes it in.
    async fn found(
        &self,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        mut page: Page,
        old: Option<Arc<SourcePage>>,
    ) -> Result<(SourcePage, Held), Error> {
        let now = self.core.clock.now();
        if page.body.is_empty() && index.is_made_by_api() {
            page.body = Bytes::from_static(BARE_PAGE);
        }
        let (parsed, share) = read_page(&self.core, &index.name, project, &mut page).await?;
        let (own_cx, index, project) = (cx.clone(), index.clone(), project.clone());
        let copies = Arc::clone(&self.copies);
        let read = (parsed, page, old);
        let work = move || take_in(&copies, &own_cx, &index, &project, read, now);
        let taken = tokio::task::spawn_blocking(work).await;
        let taken = taken.map_err(|error| Error::internal("read a page", error))??;
        Ok((taken, Some(Arc::new(share))))
    }
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

/// Completes a page with what is known of its files, and keeps a copy on disk.
fn take_in(
    copies: &PageCopies,
    cx: &Context,
    index: &Arc<Index>,
    project: &ProjectName,
    (mut parsed, page, old): (ProjectPage, Page, Option<Arc<SourcePage>>),
    now: Timestamp,
) -> Result<SourcePage, Error> {
    let Some(mirror) = index.mirror() else {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("{} is no mirror", index.name),
        ));
    };
    let had_files = old
        .as_ref()
        .and_then(|old| old.page.as_ref())
        .is_some_and(|old| !old.files.is_empty());
    let is_quarantined = parsed.status.state == ProjectState::Quarantined;
    if parsed.files.is_empty() && had_files && !is_quarantined {
        let empty = Some(parsed);
        return Ok(vanish(
            copies,
            cx,
            index,
            project,
            Dropped { old, empty },
            now,
        ));
    }
    carry_over(
        &mut parsed,
        old.as_ref().and_then(|old| old.page.as_deref()),
        now,
    );
    copies.learned(&index.name, project).apply(&mut parsed);
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
    copies.replace(&index.name, project, mirror, &held);
    Ok(held)
}
