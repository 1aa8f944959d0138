//! The copies of mirrors' pages on disk, and the learned facts about their files next to them. Reading
//! and writing them blocks.

mod turns;

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{SourcePage, Validity};
use crate::exchange::{Core, later};
use crate::language::Mirror;
use crate::model::{Hashes, IndexName, ProjectName, Timestamp};
use crate::page::{LearnedFiles, StoredMeta, from_stored, seen_by, to_stored};
use crate::protocol::lifetime;
use crate::store::Key;

pub use turns::{CopyTurn, CopyTurns, CopyWriting};

/// What was learned about a project's files as they passed through; damaged facts count as none.
pub fn learned(core: &Core, index: &IndexName, project: &ProjectName) -> LearnedFiles {
    let key = Key::learned(index, project);
    let most = core.settings.limits.upstream.page;
    let text = core.small_copy(&key, most, &Hashes::default());
    text.and_then(|text| LearnedFiles::from_stored(&text).ok())
        .unwrap_or_default()
}

/// Keeps what was learned of a project's files.
pub fn keep_learned(core: &Core, index: &IndexName, project: &ProjectName, learned: &LearnedFiles) {
    let key = Key::learned(index, project);
    if let Err(error) = core.store.put_small(&key, &learned.to_stored()) {
        tracing::error!(%index, %project, %error, "what was learned of a file is not kept");
    }
}

/// The copy on disk, completed with what was learned since. A damaged or unreadable copy counts as
/// absent, since upstream can be asked. One that claims to be from the future was made under a wrong
/// clock, so its age is unknown, and it counts as expired.
pub fn read_copy(
    core: &Core,
    index: &IndexName,
    mirror: &Mirror,
    project: &ProjectName,
) -> Option<SourcePage> {
    let key = Key::page(index, project);
    // A copy states more than the page did, such as first-seen times.
    let most = 2 * core.settings.limits.upstream.page;
    let text = core.small_copy(&key, most, &Hashes::default())?;
    match from_stored(&text, project) {
        Ok((_, meta)) if Some(meta.final_url.as_str()) != mirror.mirror_url() => None,
        Ok((mut page, meta)) => {
            learned(core, index, project).apply(&mut page);
            let now = core.clock.now();
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
                retry_at: None,
            })
        }
        Err(error) => {
            tracing::warn!(%index, %project, %error, "page copy passed over");
            None
        }
    }
}

/// Keeps what a mirror says now, even if it says nothing. An earlier copy never outlives this: it may
/// list what upstream has taken down since, and be read after a restart.
pub fn replace_copy(
    core: &Core,
    index: &IndexName,
    project: &ProjectName,
    mirror: &Mirror,
    held: &SourcePage,
) {
    if write_copy(core, index, mirror, held).is_ok() {
        return;
    }
    let key = Key::page(index, project);
    if let Err(error) = core.store.remove(&key) {
        tracing::error!(%index, %project, %error, "an outdated page copy cannot be removed");
    }
}

/// Keeps a copy on disk; a failure is logged, and the page is served all the same.
pub fn write_copy(
    core: &Core,
    index: &IndexName,
    mirror: &Mirror,
    held: &SourcePage,
) -> Result<(), NotKept> {
    let page = held.page.as_ref().ok_or(NotKept)?;
    let validity = &held.validity;
    let fresh_for = validity.fresh_until.duration_since(validity.confirmed_at);
    let meta = StoredMeta {
        // A copy is valid only for the upstream that it came from.
        final_url: mirror.mirror_url().unwrap_or_default().to_owned(),
        fetched_at: validity.confirmed_at,
        etag: validity.etag.clone(),
        last_modified: validity.last_modified.clone(),
        max_age_seconds: u64::try_from(fresh_for.as_secs()).ok(),
        vanished_at: held.vanished_at,
    };
    let key = Key::page(index, &page.project);
    let kept = core.store.put_small(&key, &to_stored(page, &meta));
    core.catalogue.asked_for(index, &page.project);
    kept.map_err(|error| {
        tracing::error!(%index, project = %page.project, %error, "page copy not kept");
        NotKept
    })
}

/// No copy was written: there is no page, or the log says why.
#[derive(Debug)]
pub struct NotKept;

/// Until when what a mirror said or confirmed counts as fresh.
pub fn fresh_until(mirror: &Mirror, from: Timestamp, max_age: Option<Duration>) -> Timestamp {
    let expiry = mirror.mirror_cache_expiry();
    later(from, lifetime(max_age, expiry))
}
