//! A search, within what its door and the rules show.
//!
//! Everywhere, a project is found on the indexes that have it themselves, as far as the door shows them and
//! their rules let the name pass. On one index, it is found if somebody in its stack may speak for it. What
//! is refused by its name is not found, as no list has it. What a release says is neither shown nor looked
//! through if that release is certainly refused where it is, or as seen through the index that is asked: its
//! words would be found out one by one.

use std::sync::Arc;

use crate::catalog::unknown_index;
use crate::exchange::{Context, Core, Error, ErrorKind};
use crate::language::Pin;
use crate::model::{IndexName, Location, ProjectName, Version};
use crate::policy::Verdict;
use crate::reader::look::speaks;
use crate::search::{Edition, Holding, ProjectOrigin, SearchQuery, SearchScope};
use crate::telemetry::HeldPermits;
use crate::trial::{Fate, certain_fate, certain_fate_of};

/// Results on one page: what people look through at a time.
pub const PAGE_RESULTS: usize = 20;

/// Results in all. Nobody turns more pages; more words help.
pub const RESULTS_MAX: usize = 500;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub query: SearchQuery,
    /// Only this index, with all it inherits.
    pub index: Option<IndexName>,
    /// The first result, from 0, and how many.
    pub first: usize,
    pub most: usize,
    /// Whether the door shows every index.
    pub is_manage: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct FoundPage {
    pub results: Vec<FoundProject>,
    /// Whether there are more behind these.
    pub has_more: bool,
    /// Whether there would be more if there were no limit to what is found.
    pub is_limited: bool,
    /// How many pages there are, if this one is behind the last.
    pub pages: Option<usize>,
    /// Whether everything that is held was looked through.
    pub is_whole: bool,
    /// Whether the list of each mirror that was looked through is held.
    pub has_lists: bool,
    /// Whether something was left out for lack of room.
    pub is_cut: bool,
}

/// A project that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundProject {
    pub project: ProjectName,
    /// Where it is to be had; never empty.
    pub indexes: Vec<IndexName>,
    /// The base that has it, of one found through an index that inherits it; not named where that is hidden.
    pub from: Option<IndexName>,
    pub origin: ProjectOrigin,
    /// Of the release that says the rest, if one is known.
    pub version: Option<String>,
    pub summary: Option<String>,
}

/// A place for a search.
///
/// # Errors
/// 503 if too many are under way.
pub fn begin(core: &Core) -> Result<HeldPermits, Error> {
    core.catalogue.try_begin().ok_or_else(|| {
        let words = "too many searches at one time (limits.searches), try again";
        Error::new(ErrorKind::Unavailable(Some(1)), words)
    })
}

/// Looks for projects, apart from the threads that answer.
pub async fn find(core: &Arc<Core>, cx: &Context, wanted: Wanted) -> Result<FoundPage, Error> {
    check_index(cx, &wanted)?;
    let permit = begin(core)?;
    find_at(core, cx, wanted, permit).await
}

/// The same at a place that is taken.
pub async fn find_at(
    core: &Arc<Core>,
    cx: &Context,
    wanted: Wanted,
    permit: HeldPermits,
) -> Result<FoundPage, Error> {
    check_index(cx, &wanted)?;
    let (core, cx) = (Arc::clone(core), cx.clone());
    let search = move || {
        let _permit = permit;
        search(&core, &cx, &wanted)
    };
    let found = tokio::task::spawn_blocking(search).await;
    found.map_err(|error| Error::internal("search", error))
}

fn check_index(cx: &Context, wanted: &Wanted) -> Result<(), Error> {
    match &wanted.index {
        Some(index) if cx.generation.policies.stack(index).is_none() => Err(unknown_index(index)),
        Some(index) if !is_shown(cx, wanted, index) => Err(unknown_index(index)),
        Some(_) | None => Ok(()),
    }
}

fn search(core: &Core, cx: &Context, wanted: &Wanted) -> FoundPage {
    let edition = core.catalogue.edition();
    let policies = &cx.generation.policies;
    let stack = wanted
        .index
        .as_ref()
        .and_then(|index| policies.stack(index));
    let scope = edition.scope(|index| match stack {
        Some(stack) => stack.position(index).is_some(),
        None => policies.index(index).is_some() && is_shown(cx, wanted, index),
    });
    let query = &wanted.query;
    let may_tell = |name: &str, one: Holding<'_>| {
        let Ok(project) = ProjectName::parse(name) else {
            return false;
        };
        may_tell(cx, wanted, &project, one, &|| {
            edition.holdings(&project, &scope)
        })
    };
    // One more tells whether that is all.
    let most = (&scope, RESULTS_MAX + 1);
    let ranked = core.catalogue.search(&edition, query, most, &may_tell);
    let mut found =
        ranked.filter_map(|project| found_project(cx, &edition, &scope, wanted, project));
    let last = wanted.first.saturating_add(wanted.most).min(RESULTS_MAX);
    let before = found.by_ref().take(wanted.first.min(RESULTS_MAX)).count();
    let results: Vec<FoundProject> = found.by_ref().take(last.saturating_sub(before)).collect();
    let has_more = found.next().is_some();
    let is_behind = before > 0 && results.is_empty();
    FoundPage {
        has_more: has_more && last < RESULTS_MAX,
        is_limited: has_more && last == RESULTS_MAX,
        pages: is_behind.then(|| before.div_ceil(wanted.most.max(1))),
        results,
        is_whole: edition.is_whole,
        has_lists: edition.has_lists(&scope),
        is_cut: edition.is_cut,
    }
}

/// Whether what a release says may lead to its project.
fn may_tell<'a>(
    cx: &Context,
    wanted: &Wanted,
    project: &ProjectName,
    one: Holding<'_>,
    held: &dyn Fn() -> Vec<Holding<'a>>,
) -> bool {
    let policies = &cx.generation.policies;
    let (via, speaks) = match &wanted.index {
        Some(index) => {
            let asked = asked(cx, index, project, &held());
            (index, asked.contains(&one.index))
        }
        None => {
            let stack = policies.stack(one.index);
            let speaks = stack.is_some_and(|stack| speaks(stack, project, cx.now));
            (one.index, speaks)
        }
    };
    speaks && (one.version.is_empty() || !is_refused_of(cx, (via, one.index), project, one.version))
}

/// A project with the indexes that show it; `None` if none does.
fn found_project(
    cx: &Context,
    edition: &Edition,
    scope: &SearchScope,
    wanted: &Wanted,
    project: ProjectName,
) -> Option<FoundProject> {
    let held = edition.holdings(&project, scope);
    let (indexes, telling) = match &wanted.index {
        Some(index) => (vec![index.clone()], told_by(cx, index, &project, &held)?),
        None => {
            let policies = &cx.generation.policies;
            let may = |one: &&Holding<'_>| {
                let stack = policies.stack(one.index);
                stack.is_some_and(|stack| speaks(stack, &project, cx.now))
            };
            let shown: Vec<&Holding<'_>> = held.iter().filter(may).collect();
            let telling = **shown
                .iter()
                .min_by_key(|one| (one.origin, one.version.is_empty()))?;
            let indexes = shown.into_iter().map(|one| one.index.clone());
            (indexes.collect(), telling)
        }
    };
    let via = wanted.index.as_ref().unwrap_or(telling.index);
    let is_told = !telling.version.is_empty()
        && !is_refused_of(cx, (via, telling.index), &project, telling.version)
        && !is_refused(cx, &indexes[0], &project, telling.version);
    let from = Some(telling.index).filter(|from| **from != indexes[0]);
    let from = from.filter(|from| wanted.index.is_some() && is_shown(cx, wanted, from));
    let told = |text: &str| Some(text.to_owned()).filter(|text| is_told && !text.is_empty());
    Some(FoundProject {
        version: told(telling.version),
        summary: told(telling.summary),
        from: from.cloned(),
        origin: telling.origin,
        indexes,
        project,
    })
}

/// What the first member of a stack has that may speak for a project.
fn told_by<'a>(
    cx: &Context,
    index: &IndexName,
    project: &ProjectName,
    held: &[Holding<'a>],
) -> Option<Holding<'a>> {
    let asked = asked(cx, index, project, held);
    let mut asked = asked.iter();
    asked.find_map(|member| held.iter().find(|one| one.index == *member).copied())
}

/// The members of an index's stack that may speak for a project, in their order.
fn asked<'a>(
    cx: &'a Context,
    index: &IndexName,
    project: &ProjectName,
    held: &[Holding<'_>],
) -> Vec<&'a IndexName> {
    let Some(stack) = cx.generation.policies.stack(index) else {
        return Vec::new();
    };
    let holds = |stage: &IndexName| {
        let mut private = held
            .iter()
            .filter(|one| one.origin == ProjectOrigin::Private);
        private.any(|one| one.index == stage)
    };
    let Verdict::Allow(allowed) = stack.decide_project(project, cx.now, &holds) else {
        return Vec::new();
    };
    let asked = allowed.item().ask.iter();
    asked
        .map(|position| &stack.members[*position].index.name)
        .collect()
}

/// Whether a release is refused, whoever has it and whatever is not known of it here.
fn is_refused(cx: &Context, index: &IndexName, project: &ProjectName, version: &str) -> bool {
    let pin = pin(project, version);
    let fate = certain_fate(&cx.generation.policies, index, &pin, cx.now);
    matches!(fate, None | Some(Fate::Refused(_)))
}

/// The same of a release that one member of an index's stack has.
fn is_refused_of(
    cx: &Context,
    at: (&IndexName, &IndexName),
    project: &ProjectName,
    version: &str,
) -> bool {
    let pin = pin(project, version);
    let fate = certain_fate_of(&cx.generation.policies, at, &pin, cx.now);
    matches!(fate, None | Some(Fate::Refused(_)))
}

fn pin(project: &ProjectName, version: &str) -> Pin {
    Pin {
        project: project.clone(),
        version: Some(Version::parse(version)),
        files: Vec::new(),
        has_digests: false,
        location: Location {
            file: "search".into(),
            line: 1,
            column: 1,
        },
    }
}

fn is_shown(cx: &Context, wanted: &Wanted, index: &IndexName) -> bool {
    wanted.is_manage || !cx.generation.policies.is_hidden(index)
}
