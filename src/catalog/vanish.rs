//! Projects that their upstream no longer has, or no longer has files of.
//!
//! Mirrors lose things by accident, so a project's last good files stay for `keep_last_good`. They also
//! remove things on purpose, within the very days that a cool-down waits: so only those files stay that
//! every policy over the mirror let pass when they vanished, and the others are gone for good. That is
//! decided once, and the copy on disk is cut down before anybody is answered: neither time, nor a
//! restart, nor an upstream that cannot be asked afterwards brings back what was refused. Rules that
//! become stricter later apply as everywhere, when the page is read.
//!
//! A single file that is missing from a page which still has others is gone immediately.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{SourcePage, Validity};
use crate::catalog::page_copies::{CopyTurn, CopyWriting, replace_copy};
use crate::exchange::{Context, Core, Flow, blocking, later};
use crate::language::Mirror;
use crate::model::{ProjectName, Timestamp};
use crate::page::ProjectPage;
use crate::policy::{Index, Policies};

/// Longest time for which "no such project" is believed: new projects should appear soon.
const UNKNOWN_MAX: Duration = Duration::from_mins(5);

/// What was held of a project, and the page without files that upstream has now, if it has one.
#[derive(Debug)]
pub struct Dropped {
    pub old: Option<Arc<SourcePage>>,
    pub empty: Option<ProjectPage>,
}

/// [`vanish`], for callers that must not block.
pub async fn vanish_behind(
    core: &Arc<Core>,
    cx: &Context,
    index: &Arc<Index>,
    project: &ProjectName,
    dropped: Dropped,
    (turn, now): (CopyTurn, Timestamp),
) -> Flow<SourcePage> {
    let is_held = |old: &Arc<SourcePage>| old.page.is_some();
    if !dropped.old.as_ref().is_some_and(is_held) {
        // Nearly every request for a missing name: there is no copy to cut down.
        return Ok(nothing(index.mirror(), now, dropped.empty));
    }
    let (core, cx) = (Arc::clone(core), cx.clone());
    let (index, project) = (Arc::clone(index), project.clone());
    let writing = turn.begin().await;
    let work = move || vanish(&core, &cx, &index, &project, dropped, (&writing, now));
    blocking("cut down a page copy", work).await
}

/// Returns what remains of a project that upstream has dropped, and cuts memory and disk down to it.
pub fn vanish(
    core: &Core,
    cx: &Context,
    index: &Index,
    project: &ProjectName,
    Dropped { old, empty }: Dropped,
    (writing, now): (&CopyWriting, Timestamp),
) -> SourcePage {
    let policies = &cx.generation.policies;
    let remains = old
        .filter(|old| old.page.is_some())
        .and_then(|old| keep(policies, index, project, &old, now))
        .unwrap_or_else(|| nothing(index.mirror(), now, empty));
    if let Some(mirror) = index.mirror() {
        writing.write(|| replace_copy(core, &index.name, project, mirror, &remains));
    }
    remains
}

/// Until when vanished files are kept.
pub fn kept_until(held: &SourcePage, mirror: &Mirror) -> Timestamp {
    later(held.validity.confirmed_at, mirror.keep_last_good().period)
}

/// Until when a statement may be used at all. There is no such end for what upstream merely fails to
/// confirm; what it has dropped is kept for a time, whoever asks and whether or not upstream can be
/// asked.
pub fn last_instant(held: &SourcePage, mirror: &Mirror) -> Timestamp {
    match held.vanished_at {
        Some(_) => kept_until(held, mirror),
        None => Timestamp::MAX,
    }
}

/// Whether it has vanished so long ago that it counts as gone.
pub fn is_gone(held: &SourcePage, mirror: &Mirror, now: Timestamp) -> bool {
    held.vanished_at.is_some() && now >= kept_until(held, mirror)
}

/// The last good files, if they are still kept and there are any.
fn keep(
    policies: &Policies,
    index: &Index,
    project: &ProjectName,
    old: &SourcePage,
    now: Timestamp,
) -> Option<SourcePage> {
    let (mirror, page) = (index.mirror()?, old.page.as_ref()?);
    let until = kept_until(old, mirror);
    if page.files.is_empty() || now >= until {
        return None;
    }
    let mut kept = old.clone();
    kept.retry_at = None;
    kept.validity.fresh_until = later(now, mirror.mirror_cache_expiry()).min(until);
    if old.vanished_at.is_some() {
        return Some(kept);
    }
    let asked = policies.unanimity(index, project, &page.files)?;
    let between = (old.validity.confirmed_at, now);
    let mut cut = ProjectPage::clone(page);
    let state = page.status.state;
    cut.files
        .retain(|file| asked.lets_keep(file, state, between));
    tracing::warn!(
        index = %index.name, %project, files = page.files.len(), kept = cut.files.len(), %until,
        "upstream has nothing of a project any more"
    );
    if cut.files.is_empty() {
        return None;
    }
    kept.page = Some(Arc::new(cut));
    kept.vanished_at = Some(now);
    Some(kept)
}

/// A page of an unknown project, or of one without files.
fn nothing(mirror: Option<&Mirror>, now: Timestamp, empty: Option<ProjectPage>) -> SourcePage {
    let expiry = mirror.map_or(UNKNOWN_MAX, Mirror::mirror_cache_expiry);
    let validity = Validity {
        confirmed_at: now,
        fresh_until: later(now, expiry.min(UNKNOWN_MAX)),
        etag: None,
        last_modified: None,
    };
    SourcePage {
        page: empty.map(Arc::new),
        validity,
        vanished_at: None,
        retry_at: None,
    }
}
