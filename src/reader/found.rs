//! A search, within what its door and the rules show.
//!
//! Everywhere, a project is found on the indexes that have it themselves, as far as the door shows them and
//! their rules let the name pass. On one index, it is found if somebody in its stack may speak for it. What
//! is refused by its name is not found, as no list has it; what only one of its releases says is not shown
//! if that release is certainly refused.

use std::sync::Arc;

use crate::catalog::unknown_index;
use crate::exchange::{Context, Core, Error, ErrorKind};
use crate::language::Pin;
use crate::model::{IndexName, Location, ProjectName, Version};
use crate::policy::Verdict;
use crate::reader::look::speaks;
use crate::search::{Edition, Holding, ProjectOrigin, SearchQuery, SearchScope};
use crate::trial::{Fate, certain_fate};

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
    /// Whether everything that is held was looked through.
    pub is_whole: bool,
    /// Whether something was left out for lack of room.
    pub is_cut: bool,
}

/// A project that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundProject {
    pub project: ProjectName,
    /// Where it is to be had; never empty.
    pub indexes: Vec<IndexName>,
    pub origin: ProjectOrigin,
    /// Of the release that says the rest, if one is known.
    pub version: Option<String>,
    pub summary: Option<String>,
}

/// Looks for projects, apart from the threads that answer.
pub async fn find(core: &Arc<Core>, cx: &Context, wanted: Wanted) -> Result<FoundPage, Error> {
    if let Some(index) = &wanted.index
        && (cx.generation.policies.stack(index).is_none() || !is_shown(cx, &wanted, index))
    {
        return Err(unknown_index(index));
    }
    let permit = core.catalogue.try_begin().ok_or_else(|| {
        let words = "too many searches at one time (limits.searches), try again";
        Error::new(ErrorKind::Unavailable(Some(1)), words)
    })?;
    let (core, cx) = (Arc::clone(core), cx.clone());
    let search = move || {
        let _permit = permit;
        search(&core, &cx, &wanted)
    };
    let found = tokio::task::spawn_blocking(search).await;
    found.map_err(|error| Error::internal("search", error))
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
    let ranked = core.catalogue.search(&edition, query, &scope, RESULTS_MAX);
    let found = ranked.into_iter();
    let mut found = found
        .filter_map(|project| found_project(cx, &edition, &scope, wanted, project))
        .skip(wanted.first);
    FoundPage {
        results: found.by_ref().take(wanted.most).collect(),
        has_more: found.next().is_some(),
        is_whole: edition.is_whole,
        is_cut: edition.is_cut,
    }
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
    let is_told =
        !telling.version.is_empty() && !is_refused(cx, &indexes[0], &project, telling.version);
    let told = |text: &str| Some(text.to_owned()).filter(|text| is_told && !text.is_empty());
    Some(FoundProject {
        version: told(telling.version),
        summary: told(telling.summary),
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
    let stack = cx.generation.policies.stack(index)?;
    let holds = |stage: &IndexName| {
        let mut private = held
            .iter()
            .filter(|one| one.origin == ProjectOrigin::Private);
        private.any(|one| one.index == stage)
    };
    let Verdict::Allow(allowed) = stack.decide_project(project, cx.now, &holds) else {
        return None;
    };
    let asked = allowed.item().ask.iter();
    let mut asked = asked.map(|position| &stack.members[*position].index.name);
    asked.find_map(|member| held.iter().find(|one| one.index == member).copied())
}

/// Whether a release is refused, whatever is not known of it here.
fn is_refused(cx: &Context, index: &IndexName, project: &ProjectName, version: &str) -> bool {
    let pin = Pin {
        project: project.clone(),
        version: Some(Version::parse(version)),
        files: Vec::new(),
        has_digests: false,
        location: Location {
            file: "search".into(),
            line: 1,
            column: 1,
        },
    };
    let fate = certain_fate(&cx.generation.policies, index, &pin, cx.now);
    matches!(fate, None | Some(Fate::Refused(_)))
}

fn is_shown(cx: &Context, wanted: &Wanted, index: &IndexName) -> bool {
    wanted.is_manage || !cx.generation.policies.is_hidden(index)
}
