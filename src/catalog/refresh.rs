//! Asks an upstream for a page, and keeps the answer in memory and on disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::cache::{InFlight, SourcePage, Validity};
use crate::catalog::page_copies::{
    CopyTurn, CopyWriting, fresh_until, learned, replace_copy, write_copy,
};
use crate::catalog::room::{Held, read_page};
use crate::catalog::source::{Mirrors, Refreshed};
use crate::catalog::vanish::{Dropped, vanish, vanish_behind};
use crate::exchange::{
    CacheResult, Context, Core, Error, ErrorKind, Flow, blocking, page_counts_as, upstream_error,
};
use crate::language::Mirror;
use crate::model::{ProjectName, ProjectState, Timestamp};
use crate::page::{ProjectPage, carry_over};
use crate::policy::Index;
use crate::store::Key;
use crate::upstream::{Page, PageAnswer, UpstreamError, Validators};

/// What an empty body means for a mirror created through devpi's API, whose users know it from devpi.
const BARE_PAGE: &[u8] = b"<!DOCTYPE html>";

/// A page of more files is kept behind its answer. Keeping a shorter one takes less than a millisecond.
const BEHIND_FILES_MIN: usize = 256;

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
        let turn = self.copies.take(&index.name, project);
        let answer = match answer {
            Err(UpstreamError::Refused { status, words, .. }) => {
                let refusal = (status.as_u16(), words);
                let judged = self.names.absence(cx, index, mirror, project, refusal);
                match judged.await {
                    Err(refused) if status == StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                        let answered = (turn, now);
                        return self
                            .taken_down(cx, index, project, old, answered, refused)
                            .await;
                    }
                    judged => judged?,
                }
            }
            answer => answer.map_err(upstream_error)?,
        };
        let mut share = None;
        let (held, cache) = match (answer, old) {
            (PageAnswer::NotModified { max_age }, Some(old)) => {
                let held = Arc::new(confirmed(&old, mirror, now, max_age));
                let writing = turn.begin().await;
                let (core, index, confirmed) = (core.clone(), index.clone(), held.clone());
                tokio::task::spawn_blocking(move || {
                    keep_confirmed(&core, &index, &writing, &confirmed)
                });
                (held, CacheResult::Revalidated)
            }
            (PageAnswer::NotModified { .. }, None) => {
                return Err(Error::bad_gateway(format!(
                    "{} answered 304 to an unconditional request",
                    index.name
                )));
            }
            (PageAnswer::NotFound, old) => {
                let dropped = Dropped { old, empty: None };
                let held = vanish_behind(core, cx, index, project, dropped, (turn, now)).await?;
                (Arc::new(held), CacheResult::Miss)
            }
            (PageAnswer::Found(page), old) => {
                let (taken, room) = self.found(cx, index, project, (page, old), turn).await?;
                share = room;
                (taken, CacheResult::Miss)
            }
        };
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
        answered: (CopyTurn, Timestamp),
        refused: Error,
    ) -> Flow<Refreshed> {
        let dropped = Dropped { old, empty: None };
        let kept = vanish_behind(&self.core, cx, index, project, dropped, answered).await?;
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
        (mut page, old): (Page, Option<Arc<SourcePage>>),
        turn: CopyTurn,
    ) -> Flow<(Arc<SourcePage>, Held)> {
        let now = self.core.clock.now();
        if page.body.is_empty() && index.is_made_by_api() {
            page.body = Bytes::from_static(BARE_PAGE);
        }
        let (parsed, share) = read_page(&self.core, &index.name, project, &mut page).await?;
        let share = Arc::new(share);
        let writing = turn.begin().await;
        let (own_cx, own_index, own_project) = (cx.clone(), index.clone(), project.clone());
        let core = Arc::clone(&self.core);
        let read = (parsed, page, old);
        let work = move || {
            take_in(
                &core,
                &own_cx,
                &own_index,
                &own_project,
                read,
                (writing, now),
            )
        };
        let (taken, behind) = blocking("read a page", work).await??;
        if let Some(writing) = behind {
            let (core, index, project) = (self.core.clone(), index.clone(), project.clone());
            let (taken, share) = (Arc::clone(&taken), Arc::clone(&share));
            tokio::task::spawn_blocking(move || {
                if let Some(mirror) = index.mirror() {
                    writing.write(|| replace_copy(&core, &index.name, &project, mirror, &taken));
                }
                drop(share);
            });
        }
        Ok((taken, Some(share)))
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

fn keep_confirmed(core: &Core, index: &Index, writing: &CopyWriting, confirmed: &SourcePage) {
    if let Some(mirror) = index.mirror() {
        // The copy it replaces says the same, only from earlier: it may stay.
        writing.write(|| drop(write_copy(core, &index.name, mirror, confirmed)));
    }
}

/// Completes a page with what is known about its files, and keeps a copy on disk, or leaves that to the
/// caller: a long page's takes longer than all the rest, and its first asker need not wait for it. That a
/// power cut may then lose it changes nothing, since there was none before; where there was one, it
/// must not outlive what replaces it in an answer.
fn take_in(
    core: &Core,
    cx: &Context,
    index: &Arc<Index>,
    project: &ProjectName,
    (mut parsed, page, old): (ProjectPage, Page, Option<Arc<SourcePage>>),
    (writing, now): (CopyWriting, Timestamp),
) -> Flow<(Arc<SourcePage>, Option<CopyWriting>)> {
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
        let remains = vanish(core, cx, index, project, dropped, (&writing, now));
        return Ok((Arc::new(remains), None));
    }
    let has_copy = core.store.length(&Key::page(&index.name, project)) > 0;
    let is_behind = !has_copy && parsed.files.len() > BEHIND_FILES_MIN;
    carry_over(&mut parsed, before, now);
    learned(core, &index.name, project).apply(&mut parsed);
    let validity = Validity {
        confirmed_at: now,
        fresh_until: fresh_until(mirror, now, page.max_age),
        etag: page.validators.etag,
        last_modified: page.validators.last_modified,
    };
    let held = Arc::new(SourcePage {
        page: Some(Arc::new(parsed)),
        validity,
        vanished_at: None,
        retry_at: None,
    });
    if is_behind {
        return Ok((held, Some(writing)));
    }
    writing.write(|| replace_copy(core, &index.name, project, mirror, &held));
    Ok((held, None))
}
