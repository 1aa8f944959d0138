//! The names that each member of a stack knows: a stage's from the records, a mirror's from its
//! upstream's project list, with one copy kept on disk.

use std::sync::Arc;

use crate::cache::{Flights, Weighed};
use crate::gateway::context::Context;
use crate::gateway::core::Core;
use crate::gateway::error::{Error, Flow, blocking};
use crate::gateway::outcome::{page_counts_as, upstream_error};
use crate::gateway::patience::{RETRY_AFTER, later};
use crate::gateway::trouble::records_failed;
use crate::model::{Hashes, IndexName, ProjectName, Timestamp};
use crate::page::{ProjectNames, read_project_list};
use crate::policy::{Index, IndexKind, Mirror};
use crate::store::Key;
use crate::telemetry::Staleness;
use crate::upstream::{Page, PageAnswer, Validators};

/// Upstream lists being fetched at one time: more than an installation has mirrors.
const FETCHES_MAX: usize = 64;

/// Most mirrors whose validators are remembered.
const MIRRORS_MAX: u64 = 10_000;

/// The names of every index: what is known about upstreams' lists besides their copies.
#[derive(Debug)]
pub struct Names {
    core: Arc<Core>,
    held: Weighed<IndexName, Source>,
    /// By mirror and generation, since another generation may have another upstream.
    fetching: Flights<(IndexName, u64), Flow<MemberNames>>,
}

#[derive(Debug, Clone)]
struct Source {
    fresh_until: Timestamp,
    validators: Validators,
}

/// The names that one member knows.
#[derive(Debug, Clone)]
pub struct MemberNames {
    pub names: Arc<ProjectNames>,
    /// Until when asking again would not help.
    pub until: Timestamp,
    /// Whether its upstream says so now; false if it could not be asked and an older answer is used.
    pub is_current: bool,
    /// Why it may be out of date.
    pub stale: Option<Staleness>,
}

impl MemberNames {
    fn current(names: ProjectNames, until: Timestamp) -> Self {
        Self {
            is_current: true,
            ..Self::held(names, until, None)
        }
    }

    /// What is known although its upstream has not confirmed it.
    fn held(names: ProjectNames, until: Timestamp, stale: Option<Staleness>) -> Self {
        Self {
            names: Arc::new(names),
            until,
            is_current: false,
            stale,
        }
    }
}

impl Names {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            held: Weighed::new(MIRRORS_MAX, |_, _| 1),
            fetching: Flights::new(core.work.clone(), FETCHES_MAX),
            core,
        }
    }

    /// Forgets what a mirror said: it has another upstream now.
    pub fn forget(&self, index: &IndexName) {
        self.held.remove(index);
    }

    /// Forgets what every mirror said.
    pub fn forget_all(&self) {
        self.held.remove_if(|_| true);
    }

    /// The names that one member knows.
    pub async fn names_of(self: &Arc<Self>, cx: &Context, index: &Arc<Index>) -> Flow<MemberNames> {
        match &index.kind {
            IndexKind::Stage(_) => {
                let projects = self.core.records.projects(&index.name).await;
                let projects = projects.map_err(|error| {
                    let doing = format!("list the projects of {}", index.name);
                    records_failed(&doing, error)
                })?;
                let names = projects.iter().map(|project| &project.name).collect();
                Ok(MemberNames::current(names, Timestamp::MAX))
            }
            IndexKind::Mirror(mirror) if mirror.mirror_no_project_list() => {
                let none = ProjectNames::default();
                Ok(MemberNames::held(none, Timestamp::MAX, None))
            }
            IndexKind::Mirror(mirror) => match self.mirror_names(cx, index).await {
                Err(error) if mirror.optional() => {
                    tracing::warn!(index = %index.name, %error, "optional mirror left out of the list");
                    let (none, until) = (ProjectNames::default(), later(cx.now, RETRY_AFTER));
                    Ok(MemberNames::held(none, until, Some(Staleness::Partial)))
                }
                names => names,
            },
        }
    }

    /// What a refused page means. Some servers refuse what they do not have: a bucket that may not be
    /// listed answers 403, never 404. Absence is believed if the operator says so, or if the upstream's
    /// own list lacks the name; anything else is a refusal, which lets no name through to the next
    /// mirror.
    ///
    /// # Errors
    /// When it is a refusal.
    pub async fn absence(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        mirror: &Mirror,
        project: &ProjectName,
        (status, words): (u16, String),
    ) -> Result<PageAnswer, Error> {
        if mirror.absent_statuses().contains(&status) {
            return Ok(PageAnswer::NotFound);
        }
        let refused = |why: &str| {
            Err(Error::bad_gateway(format!(
                "{} refused {project} with {status}: {words}{why}",
                index.name
            )))
        };
        if status != 403 {
            return refused("");
        }
        const HINT: &str =
            "; if this upstream says 403 of what it lacks, give the mirror absent_statuses: [403]";
        if mirror.mirror_no_project_list() {
            return refused(HINT);
        }
        match self.mirror_names(cx, index).await {
            Ok(named) if !named.is_current || named.names.is_empty() => refused(HINT),
            Ok(named) if named.names.contains(project) => {
                refused("; its project list has the name")
            }
            Ok(_) => Ok(PageAnswer::NotFound),
            Err(error) => {
                tracing::debug!(index = %index.name, %error, "no list to judge a refusal by");
                refused(HINT)
            }
        }
    }

    /// The names on a mirror's upstream.
    ///
    /// # Errors
    /// When it cannot be asked and no copy of its list is held.
    pub async fn mirror_names(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
    ) -> Flow<MemberNames> {
        let known = self.held.get(&index.name);
        let fresh_until = known
            .map(|known| known.fresh_until)
            .filter(|until| cx.now < *until);
        let is_offline = self.core.settings.offline;
        if (fresh_until.is_some() || is_offline)
            && let Some(names) = self.list_copy(&index.name)
        {
            let (end, offline) = (Timestamp::MAX, Some(Staleness::Offline));
            return Ok(match fresh_until {
                Some(until) => MemberNames::current(names, until),
                None => MemberNames::held(names, end, offline),
            });
        }
        if is_offline {
            let what = format!("the project list of {}", index.name);
            return Err(self.core.not_asked(what));
        }
        let key = (index.name.clone(), cx.generation.number);
        let (names, own_cx, own_index) = (Arc::clone(self), cx.clone(), Arc::clone(index));
        let joined = self.fetching.join(key, move || async move {
            names.fetch_names(&own_cx, &own_index).await
        });
        let joined = joined.await.map_err(|busy| {
            let name = &index.name;
            Error::busy(format_args!("ask {name} for its project list: {busy}"))
        })?;
        joined.value
    }

    async fn fetch_names(self: &Arc<Self>, cx: &Context, index: &Arc<Index>) -> Flow<MemberNames> {
        let (upstream, mirror) = cx.upstream_of(index)?;
        let mark = self.held.mark(&index.name);
        let mut copy = self.list_copy(&index.name);
        let known = self.held.get(&index.name);
        let validators = known
            .map(|known| known.validators)
            .filter(|_| copy.is_some());
        let list = upstream.project_list(validators.as_ref());
        let asked = self.core.ask_upstream(&index.name, page_counts_as, list);
        let until = later(cx.now, mirror.mirror_cache_expiry());
        let read = match asked.await {
            Ok(PageAnswer::Found(page)) => {
                let validators = page.validators.clone();
                let names = read_names(&index.name, page).await;
                names.map(|names| {
                    self.keep_names(&index.name, &names);
                    Some((names, validators))
                })
            }
            Ok(PageAnswer::NotModified { .. }) => Ok(copy
                .take()
                .map(|names| (names, validators.unwrap_or_default()))),
            Ok(PageAnswer::NotFound) => Ok(None),
            Err(error) => Err(upstream_error(error)),
        };
        match (read, copy) {
            (Ok(Some((names, validators))), _) => {
                let source = Source {
                    fresh_until: until,
                    validators,
                };
                self.held.insert_since(mark, index.name.clone(), source);
                Ok(MemberNames::current(names, until))
            }
            // An index need not have a list.
            (Ok(None), copy) => Ok(MemberNames::held(copy.unwrap_or_default(), until, None)),
            // An unreadable list is an upstream's trouble like any other.
            (Err(error), Some(names)) => {
                tracing::warn!(index = %index.name, %error, "project list held before is answered");
                let (until, why) = (later(cx.now, RETRY_AFTER), Staleness::Error);
                Ok(MemberNames::held(names, until, Some(why)))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn keep_names(&self, index: &IndexName, names: &ProjectNames) {
        let key = Key::ProjectList {
            index: index.clone(),
        };
        if let Err(error) = self.core.store.put_small(&key, names.as_text().as_bytes()) {
            tracing::error!(%index, %error, "project list not kept");
        }
    }

    /// The last list held, however old; a damaged or unreadable one counts as absent.
    pub fn list_copy(&self, index: &IndexName) -> Option<ProjectNames> {
        let key = Key::ProjectList {
            index: index.clone(),
        };
        let most = self.core.settings.limits.upstream.project_list;
        let text = self.core.small_copy(&key, most, &Hashes::default())?;
        let text = String::from_utf8(text.into()).ok()?;
        ProjectNames::from_text(text).ok()
    }
}

async fn read_names(index: &IndexName, page: Page) -> Flow<ProjectNames> {
    let work = move || read_project_list(page.content_type.as_deref(), &page.body);
    let names = blocking("read a project list", work).await?;
    names.map_err(|error| {
        Error::bad_gateway(format!(
            "{index} sent a project list that cannot be read: {error}"
        ))
    })
}
