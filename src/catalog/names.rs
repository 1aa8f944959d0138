//! The names that each member of a stack knows: a stage's from the records, a mirror's from its
//! upstream's project list, with one copy kept on disk.
//!
//! A list of which nothing is held is passed on while it arrives. Where one is held, it is answered
//! unless its successor comes within `cache.patience` (docs/adr/0038-held-means-served.md): so a list
//! that breaks off in the middle never stands in for one that is whole.

mod arriving;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::cache::{Early, Flight, FlightError, Flights, InFlight, Mark, Weighed};
use crate::catalog::names::arriving::{ArrivingList, ListArrival};
use crate::exchange::{
    Context, Core, Error, Flow, RETRY_AFTER, blocking, later, page_counts_as, records_failed,
    upstream_error,
};
use crate::language::Mirror;
use crate::model::{Hashes, IndexName, ProjectName, Timestamp};
use crate::page::ProjectNames;
use crate::policy::{Index, IndexKind};
use crate::store::Key;
use crate::telemetry::{Staleness, UpstreamResult};
use crate::upstream::{PageAnswer, Upstream, UpstreamError, Validators};

/// Upstream lists being fetched at one time: more than an installation has mirrors.
const FETCHES_MAX: usize = 64;

/// Most mirrors whose validators are remembered.
const MIRRORS_MAX: u64 = 10_000;

/// Pieces of an upstream's answer that wait to be read, each of some tens of kilobytes.
const PARTS_MAX: usize = 16;

/// The names of every index: what is known about upstreams' lists besides their copies.
#[derive(Debug)]
pub struct Names {
    core: Arc<Core>,
    held: Weighed<IndexName, Source>,
    /// By mirror and generation, since another generation may have another upstream.
    fetching: Flights<(IndexName, u64), Flow<Listing>>,
}

#[derive(Debug, Clone, Default)]
struct Source {
    /// Unknown of a copy that an earlier process has left.
    fresh_until: Option<Timestamp>,
    validators: Validators,
    /// Upstream could not be asked, and is not asked again before this.
    retry_at: Option<Timestamp>,
}

/// What one member lists.
#[derive(Debug, Clone)]
pub enum Listing {
    Whole(MemberNames),
    /// Names that are arriving, and until when asking again will not help.
    Arriving(Arc<ArrivingList>, Timestamp),
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
    /// Its upstream is still being asked, and this is what was held before.
    pub awaits: Option<InFlight>,
}

impl MemberNames {
    fn current(names: impl Into<Arc<ProjectNames>>, until: Timestamp) -> Self {
        Self {
            is_current: true,
            ..Self::held(names, until, None)
        }
    }

    /// What is known although its upstream has not confirmed it.
    fn held(
        names: impl Into<Arc<ProjectNames>>,
        until: Timestamp,
        stale: Option<Staleness>,
    ) -> Self {
        Self {
            names: names.into(),
            until,
            is_current: false,
            stale,
            awaits: None,
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

    /// What one member lists. Where a list is held, its upstream is waited for no longer than `patience`;
    /// without one, as long as it takes.
    pub async fn listing_of(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        patience: Option<Duration>,
    ) -> Flow<Listing> {
        let names = match &index.kind {
            IndexKind::Stage(_) => {
                let projects = self.core.records.projects(&index.name).await;
                let projects = projects.map_err(|error| {
                    let doing = format!("list the projects of {}", index.name);
                    records_failed(&doing, error)
                })?;
                let names: ProjectNames = projects.iter().map(|project| &project.name).collect();
                MemberNames::current(names, Timestamp::MAX)
            }
            IndexKind::Mirror(mirror) if mirror.mirror_no_project_list() => {
                MemberNames::held(ProjectNames::default(), Timestamp::MAX, None)
            }
            IndexKind::Mirror(mirror) => {
                match self.mirror_listing(cx, index, mirror, patience).await {
                    Err(error) if mirror.optional() => {
                        tracing::warn!(index = %index.name, %error, "optional mirror left out of the list");
                        let (none, until) = (ProjectNames::default(), later(cx.now, RETRY_AFTER));
                        MemberNames::held(none, until, Some(Staleness::Partial))
                    }
                    listing => return listing,
                }
            }
        };
        Ok(Listing::Whole(names))
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
        match self.mirror_names(cx, index, mirror).await {
            Ok(named) if !named.is_current || named.names.is_empty() => refused(HINT),
            Ok(named) if named.names.contains(project.as_str()) => {
                refused("; its project list has the name")
            }
            Ok(_) => Ok(PageAnswer::NotFound),
            Err(error) => {
                tracing::debug!(index = %index.name, %error, "no list to judge a refusal by");
                refused(HINT)
            }
        }
    }

    /// The names on a mirror's upstream, all of them.
    ///
    /// # Errors
    /// When it cannot be asked and no copy of its list is held.
    async fn mirror_names(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        mirror: &Mirror,
    ) -> Flow<MemberNames> {
        match self.mirror_listing(cx, index, mirror, None).await? {
            Listing::Whole(names) => Ok(names),
            Listing::Arriving(arriving, until) => {
                Ok(MemberNames::current(arriving.names().await?, until))
            }
        }
    }

    async fn mirror_listing(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        mirror: &Mirror,
        patience: Option<Duration>,
    ) -> Flow<Listing> {
        let (known, copy) = self.known_and_copy(&index.name).await?;
        if let Some(names) = &copy {
            let names = Arc::clone(names);
            if let Some(until) = fresh_until(&known, cx.now) {
                return Ok(Listing::Whole(MemberNames::current(names, until)));
            }
            if self.core.settings.offline {
                let why = Some(Staleness::Offline);
                let names = MemberNames::held(names, Timestamp::MAX, why);
                return Ok(Listing::Whole(names));
            }
            if let Some(until) = known.retry_at.filter(|until| cx.now < *until) {
                let names = MemberNames::held(names, until, Some(Staleness::Error));
                return Ok(Listing::Whole(names));
            }
        }
        if self.core.settings.offline {
            let what = format!("the project list of {}", index.name);
            return Err(self.core.not_asked(what));
        }
        let busy = |busy| {
            let name = &index.name;
            Error::busy(format_args!("ask {name} for its project list: {busy}"))
        };
        let flight = self.fetch_behind(cx, index).map_err(busy)?;
        let Some(copy) = copy else {
            return flight.landed().await.map_err(busy)?.value;
        };
        let end = known
            .fresh_until
            .map_or(Timestamp::MAX, |until| self.stale_end(until));
        match patience.filter(|_| cx.now < end && !mirror.is_devpi()) {
            None => flight.ended().await.map_err(busy)?.value,
            Some(patience) => {
                let stage = flight.stage.clone();
                match flight.landed_within(patience).await.map_err(busy)? {
                    Some(joined) => joined.value,
                    None => Ok(Listing::Whole(meanwhile(copy, end, stage))),
                }
            }
        }
    }

    fn stale_end(&self, fresh_until: Timestamp) -> Timestamp {
        later(fresh_until, self.core.settings.cache.stale_if_error)
    }

    /// Joins or starts the one request that asks upstream for its list. It goes on when nobody waits for
    /// it, and keeps what comes of it before it is over.
    fn fetch_behind(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
    ) -> Result<Flight<Flow<Listing>>, FlightError> {
        let key = (index.name.clone(), cx.generation.number);
        let (names, cx, index) = (Arc::clone(self), cx.clone(), Arc::clone(index));
        self.fetching
            .board_early(key, move |stage, early| async move {
                // An earlier request may have ended since who waits has looked, and have kept another list.
                let mark = names.held.mark(&index.name);
                let (known, copy) = names.known_and_copy(&index.name).await?;
                let names = match (fresh_until(&known, cx.now), &copy) {
                    (Some(until), Some(copy)) => MemberNames::current(Arc::clone(copy), until),
                    _ => {
                        let fetched =
                            names.fetch_names(&cx, &index, (mark, known, copy), &stage, early);
                        fetched.await?
                    }
                };
                Ok(Listing::Whole(names))
            })
    }

    async fn fetch_names(
        self: &Arc<Self>,
        cx: &Context,
        index: &Arc<Index>,
        (mark, known, copy): (Mark, Source, Option<Arc<ProjectNames>>),
        stage: &InFlight,
        early: Early<Flow<Listing>>,
    ) -> Flow<MemberNames> {
        let (upstream, mirror) = cx.upstream_of(index)?;
        let validators = copy.is_some().then_some(known.validators.clone());
        let validators = validators.filter(|validators| *validators != Validators::default());
        let until = later(cx.now, mirror.mirror_cache_expiry());
        let (arrival, arriving) = ListArrival::new();
        let arriving = Listing::Arriving(Arc::new(arriving), until);
        // What comes in the place of a list that is held, is answered when it is whole.
        let early = copy.is_none().then_some((early, arriving));
        let (arrival, begun) = (Arc::new(arrival), move || {
            if let Some((early, arriving)) = early {
                early.tell(Ok(arriving));
            }
        });
        let asked = ask_for_list(
            (&index.name, upstream),
            validators.as_ref(),
            stage,
            &arrival,
            begun,
        );
        let asked = self.core.ask_upstream(&index.name, list_counts_as, asked);
        let read = match asked.await {
            Ok((PageAnswer::Found(page), Some(names))) => {
                let names = Arc::new(names);
                arrival.end(Ok(Arc::clone(&names)));
                // Not what a former upstream said.
                if self.held.mark(&index.name) == mark {
                    self.keep_names(&index.name, &names).await;
                }
                Ok(Some((names, page.validators)))
            }
            Ok((PageAnswer::NotModified { .. }, _)) => Ok(copy
                .clone()
                .map(|names| (names, validators.unwrap_or_default()))),
            Ok(_) => Ok(None),
            Err(error) => Err(upstream_error(error)),
        };
        match (read, copy) {
            (Ok(Some((names, validators))), _) => {
                let source = Source {
                    fresh_until: Some(until),
                    validators,
                    retry_at: None,
                };
                self.held.insert_since(mark, index.name.clone(), source);
                Ok(MemberNames::current(names, until))
            }
            // An index need not have a list.
            (Ok(None), copy) => Ok(MemberNames::held(copy.unwrap_or_default(), until, None)),
            // An unreadable list is an upstream's trouble like any other.
            (Err(error), Some(names)) => {
                tracing::warn!(index = %index.name, %error, "project list held before is answered");
                let until = later(self.core.clock.now(), RETRY_AFTER);
                let source = Source {
                    retry_at: Some(until),
                    ..known
                };
                self.held.insert_since(mark, index.name.clone(), source);
                let why = Some(Staleness::Error);
                Ok(MemberNames::held(names, later(cx.now, RETRY_AFTER), why))
            }
            (Err(error), None) => {
                tracing::warn!(index = %index.name, %error, "no project list came");
                arrival.end(Err(error.clone()));
                Err(error)
            }
        }
    }

    async fn keep_names(self: &Arc<Self>, index: &IndexName, names: &Arc<ProjectNames>) {
        let (core, index, names) = (Arc::clone(&self.core), index.clone(), Arc::clone(names));
        let kept = blocking("keep a project list", move || {
            let key = Key::ProjectList {
                index: index.clone(),
            };
            if let Err(error) = core.store.put_small(&key, names.as_text().as_bytes()) {
                tracing::error!(%index, %error, "project list not kept");
            }
            core.catalogue.listed();
        });
        if let Err(error) = kept.await {
            tracing::error!(%error, "project list not kept");
        }
    }

    /// What is known of a mirror's list, and the list. A list is kept before anything is known of it, so
    /// it is read afterwards: read before, it could be an older one than is known of.
    async fn known_and_copy(
        self: &Arc<Self>,
        index: &IndexName,
    ) -> Flow<(Source, Option<Arc<ProjectNames>>)> {
        let known = self.held.get(index).unwrap_or_default();
        Ok((known, self.copy_of(index).await?))
    }

    async fn copy_of(self: &Arc<Self>, index: &IndexName) -> Flow<Option<Arc<ProjectNames>>> {
        let (names, index) = (Arc::clone(self), index.clone());
        let read = move || names.list_copy(&index).map(Arc::new);
        blocking("read the copy of a project list", read).await
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

/// Until when what is known need not be asked for again.
fn fresh_until(known: &Source, now: Timestamp) -> Option<Timestamp> {
    known.fresh_until.filter(|until| now < *until)
}

/// What is held, while its upstream is still being asked.
fn meanwhile(names: Arc<ProjectNames>, until: Timestamp, stage: InFlight) -> MemberNames {
    let why = match stage.is_set_back() {
        true => Staleness::Error,
        false => Staleness::Late,
    };
    MemberNames {
        awaits: Some(stage),
        ..MemberNames::held(names, until, Some(why))
    }
}

/// Asks for a list and reads it as it comes.
async fn ask_for_list(
    (index, upstream): (&IndexName, &Upstream),
    validators: Option<&Validators>,
    stage: &InFlight,
    arrival: &Arc<ListArrival>,
    begun: impl FnOnce() + Send + 'static,
) -> Result<(PageAnswer, Option<ProjectNames>), UpstreamError> {
    let (to, parts) = mpsc::channel(PARTS_MAX);
    let arrival = Arc::clone(arrival);
    let reading = blocking("read a project list", move || arrival.read(parts, begun));
    let set_back = || stage.set_back();
    let asking = upstream.project_list(validators, &set_back, to);
    let (answer, read) = tokio::join!(asking, reading);
    let unusable = |why: String| UpstreamError::Broken {
        index: index.clone(),
        reason: format!("its project list cannot be read: {why}"),
    };
    // What could not be read is not asked for to its end, so that is the cause to tell.
    match read {
        Ok(Ok(names)) => match (answer?, names) {
            (PageAnswer::Found(_), None) => Err(unusable("it did not come whole".to_owned())),
            answer => Ok(answer),
        },
        Ok(Err(invalid)) => Err(unusable(invalid.to_string())),
        Err(error) => Err(unusable(error.to_string())),
    }
}

fn list_counts_as((answer, _): &(PageAnswer, Option<ProjectNames>)) -> UpstreamResult {
    page_counts_as(answer)
}
