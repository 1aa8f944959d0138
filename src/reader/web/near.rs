//! Names like one that is not there: among what the stack of the asked index has, as far as it is held.

use std::sync::Arc;

use maud::{Markup, html};

use crate::exchange::Error;
use crate::gateway::Flows;
use crate::model::{IndexName, ProjectName};
use crate::page::ProjectNames;
use crate::policy::{Stack, Verdict};
use crate::reader::look::Look;
use crate::reader::web::search::{Searches, find_in};
use crate::reader::web::way::Way;

/// Most names that are proposed: who mistyped recognises it among few.
const NEAR_SHOWN_MAX: usize = 10;

/// Links to projects with a name like this one, if there are any. No upstream is asked, and a search that
/// finds no free place is left out.
pub async fn near(
    look: Look<'_>,
    (index, project): (&IndexName, &ProjectName),
    searches: &Searches,
) -> Markup {
    let Some(stack) = look.cx.generation.policies.stack(index) else {
        return html! {};
    };
    let Some(_permit) = searches.try_begin() else {
        return html! {};
    };
    // Only a help: what cannot be read is answered without it.
    let names = find_near(look, stack, project).await.unwrap_or_default();
    let way = Way::from(look.ask.path);
    html! {
        @if !names.is_empty() {
            p { "Projects with a name like that:" }
            ul.names {
                @for name in &names { li { a href=(way.project(index, name)) { (name) } } }
            }
        }
    }
}

async fn find_near(
    look: Look<'_>,
    stack: &Arc<Stack>,
    project: &ProjectName,
) -> Result<Vec<ProjectName>, Error> {
    let mut found: Vec<ProjectName> = Vec::new();
    for member in &stack.members {
        let index = &member.index;
        let names = if index.is_mirror() {
            mirrored(look.flows, index.name.clone(), project.clone()).await?
        } else {
            let projects = look.staged_projects(&index.name).await?;
            near_in(&projects.iter().collect(), project)
        };
        found.extend(names);
    }
    found.retain(|name| !is_refused(stack, name, look));
    // Stable: what differs in one letter stays before what is only longer.
    found.sort_by_key(|name| !is_one_edit(name.as_str(), project.as_str()));
    let mut seen = std::collections::HashSet::new();
    found.retain(|name| seen.insert(name.clone()));
    found.truncate(NEAR_SHOWN_MAX);
    Ok(found)
}

async fn mirrored(
    flows: &Flows,
    index: IndexName,
    project: ProjectName,
) -> Result<Vec<ProjectName>, Error> {
    let held = Arc::clone(&flows.names);
    let work = move || {
        let names = held.list_copy(&index);
        names
            .map(|names| near_in(&names, &project))
            .unwrap_or_default()
    };
    let names = tokio::task::spawn_blocking(work).await;
    names.map_err(|error| Error::internal("search a project list", error))
}

/// Whether the rules refuse it by its name.
fn is_refused(stack: &Stack, name: &ProjectName, look: Look<'_>) -> bool {
    let verdict = stack.decide_project(name, look.cx.now, &|_| false);
    matches!(verdict, Verdict::Deny(_))
}

/// The names that differ in one letter, then those that contain it.
fn near_in(names: &ProjectNames, project: &ProjectName) -> Vec<ProjectName> {
    let wanted = project.as_str();
    let lines = names.as_text().lines();
    let edits = lines.filter(|name| is_one_edit(name, wanted));
    let edits = edits.take(NEAR_SHOWN_MAX);
    let mut near: Vec<ProjectName> = edits.filter_map(|name| name.parse().ok()).collect();
    let longer = find_in(names, wanted).into_iter();
    let longer = longer.filter(|name| name != project);
    near.extend(longer.take(NEAR_SHOWN_MAX));
    near
}

/// Whether one name becomes the other by a letter more, less or other, or by two that change places.
fn is_one_edit(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > 1 {
        return false;
    }
    let start = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[start..], &other[start..]);
    let backwards = one.iter().rev().zip(other.iter().rev());
    let end = backwards.take_while(|(a, b)| a == b).count();
    match (&one[..one.len() - end], &other[..other.len() - end]) {
        ([_], [] | [_]) | ([], [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_makes_a_name_near() {
        for (one, other, is_near) in [
            ("reqests", "requests", true),
            ("requestss", "requests", true),
            ("requezts", "requests", true),
            ("reqeusts", "requests", true),
            ("aab", "aaab", true),
            ("six", "six", false),
            ("rqeuests-x", "requests", false),
            ("reqzzsts", "requests", false),
            ("", "a", true),
            ("abc", "cba", false),
        ] {
            assert_eq!(is_one_edit(one, other), is_near, "{one} {other}");
            assert_eq!(is_one_edit(other, one), is_near, "{other} {one}");
        }
    }

    #[test]
    fn what_is_mistyped_is_found_before_what_is_longer() {
        let list = ["request", "requests", "requests-toolbelt", "six", "zzz"];
        let names: Vec<ProjectName> = list.iter().map(|name| name.parse().unwrap()).collect();
        let near = near_in(&names.iter().collect(), &"requests".parse().unwrap());
        let near: Vec<&str> = near.iter().map(ProjectName::as_str).collect();
        assert_eq!(near, ["request", "requests-toolbelt"]);
    }
}
