//! Search by name: over the projects of all stages and the mirrors' lists held here.
//!
//! No upstream is asked. A mirror's list may have nearly a million names: it is read as one text and
//! searched as such, by few searches at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maud::{Markup, html};
use memchr::memmem;

use crate::exchange::{Error, ErrorKind, Trouble};
use crate::gateway::Flows;
use crate::model::{IndexName, ProjectName};
use crate::page::ProjectNames;
use crate::reader::look::Look;
use crate::reader::web::layout::{QUERY_CHARS_MAX, WebPage};
use crate::reader::web::way::Way;
use crate::telemetry::{HeldPermits, Permits, WaitMeter};

/// Searches at one time; each may hold the lists of all mirrors, one after the other.
const SEARCHES_MAX: usize = 2;

/// Most names found in one index, and shown of all.
const FOUND_MAX: usize = 200;

/// Limits searches to [`SEARCHES_MAX`].
#[derive(Debug)]
pub struct Searches(Permits);

impl Searches {
    /// A place for one search, if one is free.
    pub fn try_begin(&self) -> Option<HeldPermits> {
        self.0.try_take()
    }
}

impl Default for Searches {
    fn default() -> Self {
        Self(Permits::new(SEARCHES_MAX, WaitMeter::default()))
    }
}

/// What was found: names, and the indexes that have each.
type Found = BTreeMap<ProjectName, BTreeSet<IndexName>>;

/// `/+search?query=`.
pub async fn web_search(look: Look<'_>, searches: &Searches) -> Result<WebPage, Trouble> {
    let query = query(look.ask.query);
    let wanted = normalised(&query);
    let way = Way::from(look.ask.path);
    let content = if wanted.is_empty() {
        html! {
            h1 { "Search" }
            p { "Give a part of a project's name." }
        }
    } else {
        let _permit = searches.try_begin().ok_or_else(|| {
            let words = "too many searches at one time, try again";
            Error::new(ErrorKind::Unavailable(Some(1)), words)
        })?;
        let found = find(look, &wanted).await?;
        let default = look.cx.generation.policies.default_index();
        let default = default.filter(|index| look.shows(index));
        results(&way, &query, &wanted, default, &found)
    };
    Ok(WebPage {
        title: "search".to_owned(),
        query,
        content,
    })
}

async fn find(look: Look<'_>, wanted: &str) -> Result<Found, Error> {
    let mut found = Found::new();
    let indexes = look.cx.generation.policies.indexes();
    for index in indexes.filter(|index| look.shows(&index.name)) {
        let names = if index.is_mirror() {
            find_mirrored(look.flows, index.name.clone(), wanted.to_owned()).await?
        } else {
            let projects = look.staged_projects(&index.name).await?;
            find_in(&projects.iter().collect(), wanted)
        };
        for name in names {
            found.entry(name).or_default().insert(index.name.clone());
        }
    }
    Ok(found)
}

async fn find_mirrored(
    flows: &Flows,
    index: IndexName,
    wanted: String,
) -> Result<Vec<ProjectName>, Error> {
    let held = Arc::clone(&flows.names);
    let work = move || {
        let names = held.list_copy(&index);
        names
            .map(|names| find_in(&names, &wanted))
            .unwrap_or_default()
    };
    let names = tokio::task::spawn_blocking(work).await;
    names.map_err(|error| Error::internal("search a project list", error))
}

/// The names that contain the text: an exact match, then those that start with it, then others.
pub fn find_in(names: &ProjectNames, wanted: &str) -> Vec<ProjectName> {
    let text = names.as_text();
    let mut found = Vec::new();
    let mut take = |name: &str| {
        if let Ok(name) = ProjectName::parse(name)
            && !found.contains(&name)
        {
            found.push(name);
        }
        found.len() < FOUND_MAX
    };
    // Names stand one to a line, so a line feed in front makes it a beginning.
    let mut beginnings = vec![format!("\n{wanted}\n"), format!("\n{wanted}")];
    if text.starts_with(wanted) && !take(line_at(text, 0)) {
        return found;
    }
    beginnings.push(wanted.to_owned());
    for needle in &beginnings {
        let finder = memmem::Finder::new(needle.as_bytes());
        for at in finder.find_iter(text.as_bytes()) {
            let inside = at + needle.starts_with('\n') as usize;
            if !take(line_at(text, inside)) {
                return found;
            }
        }
    }
    found
}

/// The line around a byte that is not a line feed.
fn line_at(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |feed| feed + 1);
    let end = text[at..].find('\n').map_or(text.len(), |feed| at + feed);
    &text[start..end]
}

/// What was typed, cut to the length that a name could have.
fn query(query: Option<&str>) -> String {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    // `query` is devpi-web's parameter, `q` was ours.
    let typed = pairs.find(|(key, _)| matches!(&**key, "query" | "q"));
    typed
        .map(|(_, typed)| typed.trim().chars().take(QUERY_CHARS_MAX).collect())
        .unwrap_or_default()
}

/// Spelled like a name: lower case, and one `-` for every run of anything else.
fn normalised(typed: &str) -> String {
    let parts = typed
        .split(|one: char| !one.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn results(
    way: &Way,
    typed: &str,
    wanted: &str,
    default: Option<&IndexName>,
    found: &Found,
) -> Markup {
    let rank = |name: &ProjectName| {
        let name = name.as_str();
        (name != wanted, !name.starts_with(wanted))
    };
    let mut names: Vec<_> = found.iter().collect();
    // Stable, so names of one rank stay sorted.
    names.sort_by_key(|(name, _)| rank(name));
    html! {
        h1 { "Projects named like " (typed) }
        @if names.is_empty() {
            p { "None. Mirrors are searched by the project list held last; a name may still be there." }
            @if let (Some(index), Ok(project)) = (default, ProjectName::parse(typed)) {
                p { "Ask " a href=(way.project(index, &project)) { (index) " for " (project) } "." }
            }
        } @else {
            table.list {
                tr { th { "project" } th { "on" } }
                @for (name, indexes) in names.iter().take(FOUND_MAX) {
                    tr {
                        td { (name) }
                        td {
                            @for index in *indexes { a href=(way.project(index, name)) { (index) } " " }
                        }
                    }
                }
            }
            @if names.len() >= FOUND_MAX { p.faint { "Only the first are shown; give more of the name." } }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reader::api::{House, in_lines, text_of};

    fn names(names: &[&str]) -> ProjectNames {
        let names: Vec<ProjectName> = names
            .iter()
            .map(|name| ProjectName::parse(name).unwrap())
            .collect();
        names.iter().collect()
    }

    fn found(list: &[&str], wanted: &str) -> Vec<String> {
        find_in(&names(list), wanted)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_name_itself_comes_first_then_beginnings_then_the_rest() {
        let list = ["a-six", "six", "six-stubs", "sixer", "zz"];
        assert_eq!(found(&list, "six"), ["six", "six-stubs", "sixer", "a-six"]);
        assert_eq!(
            found(&["six", "six-b"], "six"),
            ["six", "six-b"],
            "the first line too"
        );
        assert_eq!(found(&list, "nothing"), [""; 0]);
        assert_eq!(found(&[], "six"), [""; 0]);
    }

    #[test]
    fn an_exact_name_is_found_among_any_number_of_longer_ones() {
        let mut list: Vec<String> = (0..1000).map(|number| format!("a-six{number}")).collect();
        list.push("six".to_owned());
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let found = found(&list, "six");
        assert_eq!(found[0], "six");
        assert_eq!(found.len(), FOUND_MAX);
    }

    #[test]
    fn what_is_typed_is_read_as_a_name() {
        let table = [
            (Some("query=Hello.Pkg"), "hello-pkg"),
            (Some("q=Hello.Pkg"), "hello-pkg"),
            (Some("x=1&q=a+b"), "a-b"),
            (Some("q=%3Cscript%3E"), "script"),
            (Some("q=--__"), ""),
            (Some("q"), ""),
            (None, ""),
        ];
        for (asked, expected) in table {
            assert_eq!(normalised(&query(asked)), expected, "{asked:?}");
        }
        assert_eq!(
            query(Some(&format!("q={}", "é".repeat(9999))))
                .chars()
                .count(),
            QUERY_CHARS_MAX
        );
    }

    proptest! {
        #[test]
        fn a_name_is_found_if_and_only_if_the_text_is_in_it(
            list in prop::collection::btree_set("[ab]{1,3}(-[ab]{1,2})?", 0..20),
            wanted in "[ab]{1,3}|[ab]-[ab]",
        ) {
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            let mut found = found(&list, &wanted);
            found.sort_unstable();
            let expected: Vec<&str> =
                list.iter().copied().filter(|name| name.contains(&*wanted)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn stages_and_mirrors_are_searched_and_the_query_is_escaped() {
        let house = House::new().await;
        house.mirror_lists(&["hello-world", "six"]);
        let page = text_of(&house.browse("/+search?query=Hello").await);
        let rows = page.split(r#"<table class="list">"#).nth(1).unwrap();
        let rows = rows.split("</table>").next().unwrap();
        insta::assert_snapshot!(in_lines(rows), @r#"
        <tr><th>project</th><th>on</th></tr>
        <tr><td>hello-pkg</td><td><a href="./packages/develop/hello-pkg">packages/develop</a> <a href="./packages/stable/hello-pkg">packages/stable</a> </td></tr>
        <tr><td>hello-world</td><td><a href="./root/pypi/hello-world">root/pypi</a> </td></tr>
        "#);
        let page = text_of(&house.browse("/+search?q=%22%3E%3Cb%3E").await);
        assert!(page.contains(r#"value="&quot;&gt;&lt;b&gt;""#), "{page}");
        assert!(!page.contains("<b>"), "{page}");
    }

    #[tokio::test]
    async fn more_searches_than_fit_are_told_to_wait() {
        let house = House::new().await;
        let held = house.occupy_searches();
        assert_eq!(house.browse("/+search?q=six").await.status, 503);
        drop(held);
        assert_eq!(house.browse("/+search?q=six").await.status, 200);
    }

    impl Searches {
        pub fn occupy(&self) -> HeldPermits {
            self.0.try_take_many(self.0.size()).unwrap()
        }
    }
}
