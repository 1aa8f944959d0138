//! What a mirror says about a project: from memory, from the copy on disk, or from its upstream.
//!
//! A copy is fresh for `mirror_cache_expiry` after upstream last confirmed it. When it is not, one
//! request per project asks upstream, on the work runtime, so that it goes on when its client
//! leaves. When upstream cannot be asked, the old copy answers within the asker's patience; a
//! project that upstream suddenly drops keeps its last good files for `keep_last_good`.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::context::Shared;
use super::error::Error;
use super::error::ErrorKind;
use super::reply::CacheResult;
use crate::cache::Flights;
use crate::cache::SourcePage;
use crate::model::IndexName;
use crate::model::ProjectName;
use crate::model::ProjectState;
use crate::model::Timestamp;
use crate::page::ProjectPage;
use crate::policy::Index;
use crate::policy::Mirror;
use crate::policy::Quarantined;

/// How long a stale answer is kept before upstream is tried again, and an unknown project's at most.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Upstream page requests under way: one per mirror and project.
pub(super) type Fetches = Flights<(IndexName, ProjectName), Result<Fetched, Arc<Error>>>;

/// How old an answer the asker accepts when upstream cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// A page: within `stale_if_error`.
    Page,
    /// A file: any age, since what is cached is always served.
    File,
}

/// A mirror's statement on a project.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    /// Its page; nothing when it does not know the project.
    pub(super) page: Option<Arc<ProjectPage>>,
    /// Until when nothing better can be had.
    pub(super) valid_until: Timestamp,
    /// What the caches did.
    pub(super) cache: CacheResult,
}

/// A source page as it is held in memory, with what decides its age.
pub(super) type Held = SourcePage<ProjectPage>;

impl Shared {
    /// What a mirror says about a project.
    ///
    /// # Errors
    /// `Unavailable` when upstream cannot be asked and nothing within the patience is held.
    pub(super) async fn mirror_page(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        mirror: &Mirror,
        project: &ProjectName,
        patience: Patience,
    ) -> Result<Fetched, Arc<Error>> {
        let held = self.held(&index.name, project).await?;
        if let Some(held) = &held
            && held.fresh_until > cx.now
        {
            return Ok(fetched(held, mirror, CacheResult::Hit, held.fresh_until));
        }
        if self.settings.offline {
            return self.offline_answer(cx, index, mirror, project, held.as_ref());
        }
        let key = (index.name.clone(), project.clone());
        let (shared, own_cx, own_index) = (Arc::clone(self), cx.clone(), Arc::clone(index));
        let (own_project, old) = (project.clone(), held.clone());
        let joined = self.fetches.join(key, move || async move {
            shared.refresh(&own_cx, &own_index, &own_project, old).await.map_err(Arc::new)
        });
        let joined = joined.await.map_err(|busy| Arc::new(busy_error(&busy)))?;
        match joined.value {
            Ok(fetched) if joined.led => Ok(fetched),
            Ok(fetched) => Ok(Fetched { cache: CacheResult::Collapsed, ..fetched }),
            Err(error) => self.stale_answer(cx, mirror, held.as_ref(), patience, error),
        }
    }

    /// The held page of a mirror: from memory, else from its copy on disk.
    async fn held(
        &self,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Option<Arc<Held>>, Arc<Error>> {
        if let Some(held) = self.sources.get(index, project) {
            return Ok(Some(held));
        }
        let copy = self.read_copy(index, project).await.map_err(Arc::new)?;
        Ok(copy.map(|held| {
            let held = Arc::new(held);
            self.sources.insert(index, project, Arc::clone(&held));
            held
        }))
    }
}
