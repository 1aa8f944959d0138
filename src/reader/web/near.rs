//! Names like one that is not there: among what the stack of the asked index has, as far as it is held.

use maud::{Markup, html};

use crate::model::{IndexName, Likenesses, ProjectName};
use crate::reader::found::{Wanted, find};
use crate::reader::look::Look;
use crate::reader::web::way::Way;
use crate::search::SearchQuery;

/// Most names that are proposed: who mistyped recognises it among few.
const NEAR_SHOWN_MAX: usize = 10;

/// Links to projects with a name like this one, if there are any. No upstream is asked, and a search that
/// finds no free place is left out.
pub async fn near(look: Look<'_>, (index, project): (&IndexName, &ProjectName)) -> Markup {
    let wanted = Wanted {
        query: SearchQuery::parse(project.as_str()),
        index: Some(index.clone()),
        first: 0,
        most: NEAR_SHOWN_MAX + 1,
        is_manage: look.ask.arrival.is_manage,
    };
    // Only a help: what cannot be found is answered without it.
    let found = find(&look.flows.core, look.cx, wanted).await;
    let found = found.unwrap_or_default().results.into_iter();
    let names = found.map(|one| one.project);
    let names = names.filter(|name| name != project).take(NEAR_SHOWN_MAX);
    let mut names: Vec<ProjectName> = names.collect();
    // Stable: what is a slip away stays before what is only longer.
    names.sort_by_key(|name| !Likenesses::is_slip(name.as_str(), project.as_str()));
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
