//! Asks an upstream for a page, and keeps the answer in memory and on disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::cache::{InFlight, SourcePage, Validity};
use crate::gateway::context::Context;
use crate::gateway::core::Core;
use crate::gateway::error::{Error, ErrorKind, Flow, blocking};
use crate::gateway::outcome::{page_counts_as, upstream_error};
use crate::gateway::page_copies::{fresh_until, learned, replace_copy, write_copy};
use crate::gateway::reply::CacheResult;
use crate::gateway::room::{Held, read_page};
use crate::gateway::source::{Mirrors, Refreshed};
use crate::gateway::vanish::{Dropped, vanish, vanish_behind};
use crate::model::{ProjectName, ProjectState, Timestamp};
use crate::page::{ProjectPage, carry_over};
use crate::policy::{Index, Mirror};
use crate::upstream::{Page, PageAnswer, UpstreamError, Validators};

/// What an empty body means for a mirror created through devpi's API, whose users know it from devpi.
const BARE_PAGE: &[u8] = b"<!DOCTYPE html>";

impl Mirrors {
    /// Asks upstream and keeps what it says. `stage` is told when asking has failed once.
    pub async fn refresh(
        &self,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        old: Option<Arc<SourcePage>>,
        stage: &InFlight,
    ) -> Flow<Refreshed> {
        let (upstream, mirror) = cx.upstream_of(index)?;
        // A page that was kept only because it vanished must not be confirmed by its old tag.
        let known = old
            .as_ref()
            .filter(|old| old.page.is_some() && old.vanished_at.is_none());
        let validators = known.map(|old| Validators {
            etag: old.validity.etag.clone(),
            last_modified: old.validity.last_modified.clone(),
        });
        let core = &self.core;
        let set_back = || stage.set_back();
        let page = upstream.page_watched(project, validators.as_ref(), &set_back);
        let answer = core.ask_upstream(&index.name, page_counts_as, page).await;
        let now = core.clock.now();
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
                return Err(Error::bad_gateway(format!(
                    "{} answered 304 to an unconditional request",
                    index.name
                )));
            }
            (PageAnswer::NotFound, old) => {
                let dropped = Dropped { old, empty: None };
                let held = vanish_behind(core, cx, index, project, dropped, now).await?;
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
            let (core, index) = (Arc::clone(core), Arc::clone(index));
            let confirmed = Arc::clone(&held);
            tokio::task::spawn_blocking(move || {
                if let Some(mirror) = index.mirror() {
                    // The copy it replaces says the same, only from earlier: it may stay.
                    let _ = write_copy(&core, &index.name, mirror, &confirmed);
                }
            });
        }
        Ok(Refreshed { held, cache, share })
    }

    /// What upstream has taken down (451) is cut down like what it dropped. If nothing remains, its
    /// refusal is the answer: the name belongs to somebody, and no later mirror is asked for it.
    async fn taken_down(
        &self,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        old: Option<Arc<SourcePage>>,
        refused: Error,
    ) -> Flow<Refreshed> {
        let (now, dropped) = (self.core.clock.now(), Dropped { old, empty: None });
        let kept = vanish_behind(&self.core, cx, index, project, dropped, now).await?;
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

    /// Parses a page that came, and keeps it.
    async fn found(
        &self,
        cx: &Context,
        index: &Arc<Index>,
        project: &ProjectName,
        mut page: Page,
        old: Option<Arc<SourcePage>>,
    ) -> Flow<(SourcePage, Held)> {
        let now = self.core.clock.now();
        if page.body.is_empty() && index.is_made_by_api() {
            page.body = Bytes::from_static(BARE_PAGE);
        }
        let (parsed, share) = read_page(&self.core, &index.name, project, &mut page).await?;
        let (own_cx, index, project) = (cx.clone(), index.clone(), project.clone());
        let core = Arc::clone(&self.core);
        let read = (parsed, page, old);
        let work = move || take_in(&core, &own_cx, &index, &project, read, now);
        let taken = blocking("read a page", work).await??;
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
    held.retry_at = None;
    held.validity.confirmed_at = now;
    held.validity.fresh_until = fresh_until(mirror, now, max_age);
    held
}

/// Completes a page with what is known about its files, and keeps a copy on disk.
fn take_in(
    core: &Core,
    cx: &Context,
    index: &Arc<Index>,
    project: &ProjectName,
    (mut parsed, page, old): (ProjectPage, Page, Option<Arc<SourcePage>>),
    now: Timestamp,
) -> Flow<SourcePage> {
    let Some(mirror) = index.mirror() else {
        let message = format!("{} is no mirror", index.name);
        return Err(Error::new(ErrorKind::Internal, message));
    };
    let before = old.as_ref().and_then(|old| old.page.as_deref());
    let had_files = before.is_some_and(|before| !before.files.is_empty());
    let is_quarantined = parsed.status.state == ProjectState::Quarantined;
    if parsed.files.is_empty() && had_files && !is_quarantined {
        let empty = Some(parsed);
        let dropped = Dropped { old, empty };
        return Ok(vanish(core, cx, index, project, dropped, now));
    }
    carry_over(&mut parsed, before, now);
    learned(core, &index.name, project).apply(&mut parsed);
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
        retry_at: None,
    };
    replace_copy(core, &index.name, project, mirror, &held);
    Ok(held)
}
