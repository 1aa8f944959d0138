//! The page of what was found: by names and by what releases say of themselves.

use maud::{Markup, html};

use crate::exchange::{Error, Trouble};
use crate::model::{IndexName, ProjectName};
use crate::reader::found::{FoundPage, FoundProject, PAGE_RESULTS, RESULTS_MAX, Wanted, find};
use crate::reader::look::Look;
use crate::reader::web::layout::WebPage;
use crate::reader::web::way::Way;
use crate::search::{ProjectOrigin, QUERY_CHARS_MAX, SearchQuery, WORDS_MAX};

/// The last page that is told from others; far behind all results.
const PAGE_MAX: usize = 100_000;

/// What a query string asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedSearch {
    pub query: SearchQuery,
    pub index: Option<IndexName>,
    /// From 1.
    pub page: usize,
}

impl AskedSearch {
    /// Reads a query string. A page that is no number is the first, as for devpi-web; one beyond all results
    /// is empty.
    ///
    /// # Errors
    /// When `index` is no index's name.
    pub fn of(query: Option<&str>) -> Result<Self, Error> {
        let mut asked = Self {
            query: SearchQuery::default(),
            index: None,
            page: 1,
        };
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*key {
                // `query` is devpi-web's parameter, `q` was ours.
                "query" | "q" => asked.query = SearchQuery::parse(&value),
                "page" => asked.page = value.parse().unwrap_or(1).clamp(1, PAGE_MAX),
                "index" if !value.is_empty() => {
                    let index = IndexName::parse(&value);
                    let wrong = |_| Error::not_found(format!("There is no index {value}."));
                    asked.index = Some(index.map_err(wrong)?);
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    /// Its page of results.
    ///
    /// # Errors
    /// When there is no such index, or too many search.
    pub async fn find(&self, look: Look<'_>) -> Result<FoundPage, Error> {
        let wanted = Wanted {
            query: self.query.clone(),
            index: self.index.clone(),
            first: (self.page - 1) * PAGE_RESULTS,
            most: PAGE_RESULTS,
            is_manage: look.ask.arrival.is_manage,
        };
        find(&look.flows.core, look.cx, wanted).await
    }

    /// The query string of another page of it.
    fn turned_to(&self, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("query", self.query.typed());
        if let Some(index) = &self.index {
            query.append_pair("index", index.as_str());
        }
        query.append_pair("page", &page.to_string());
        query.finish()
    }
}

/// `/+search?query=`.
pub async fn web_search(look: Look<'_>) -> Result<WebPage, Trouble> {
    let asked = AskedSearch::of(look.ask.query)?;
    let content = if asked.query.is_empty() {
        html! {
            h1 { "Search" }
            p {
                "Give a project's name, a part of it, what it is imported as, or words that it says of itself."
            }
        }
    } else {
        let found = asked.find(look).await?;
        let default = look.cx.generation.policies.default_index();
        let default = default.filter(|index| look.shows(index));
        results(&Way::from(look.ask.path), &asked, &found, default)
    };
    let title = match asked.query.is_empty() {
        true => "search".to_owned(),
        false => format!("search for {}", asked.query.typed()),
    };
    Ok(WebPage {
        query: asked.query.typed().to_owned(),
        ..WebPage::new(title, content)
    })
}

fn results(
    way: &Way,
    asked: &AskedSearch,
    found: &FoundPage,
    default: Option<&IndexName>,
) -> Markup {
    let first = (asked.page - 1) * PAGE_RESULTS + 1;
    html! {
        h1 {
            "Projects found for " (asked.query.typed())
            @if let Some(index) = &asked.index { " on " a href=(way.index(index)) { (index) } }
        }
        @if asked.query.is_cut() {
            p.note {
                "Only what is above is looked for: at most " (QUERY_CHARS_MAX) " characters and " (WORDS_MAX)
                " words."
            }
        }
        @if !found.has_lists && found.is_whole {
            p.note {
                "The project list of a mirror is not held yet: of its projects, only those that were asked for \
                 are found."
            }
        }
        @if !found.is_whole {
            p.note { "What is searched is being gathered: some projects are not found yet." }
        }
        @if found.is_cut {
            p.note { "Not everything is searched: it is more than limits.search_memory takes." }
        }
        @if let Some(pages) = found.pages {
            p { "There is no page " (asked.page) " of these results, the last is page " (pages) "." }
        } @else if found.results.is_empty() {
            p { "None. Mirrors are searched by the project list held last; a name may still be there." }
            @let name = ProjectName::parse(asked.query.typed());
            @if let (Some(index), Ok(project)) = (asked.index.as_ref().or(default), name) {
                p { "Ask " a href=(way.project(index, &project)) { (index) " for " (project) } "." }
            }
        } @else {
            ol.found start=(first) { @for one in &found.results { (result(way, one)) } }
        }
        @if found.is_limited {
            p.note { "There are more than " (RESULTS_MAX) ", of which these are the last shown: more words help." }
        }
        (pages(way, asked, found))
    }
}

fn result(way: &Way, found: &FoundProject) -> Markup {
    let (project, first) = (&found.project, &found.indexes[0]);
    html! {
        li {
            a.name href=(way.project(first, project)) { (project) }
            @if let Some(version) = &found.version { " " span.faint { (version) } }
            @match found.origin {
                ProjectOrigin::Private => { " " span.tag.good { "private" } }
                ProjectOrigin::AskedFor => { " " span.tag { "in use" } }
                ProjectOrigin::Listed => {}
            }
            @if let Some(summary) = &found.summary { p { (summary) } }
            div.facts {
                @for index in &found.indexes {
                    a href=(way.project(index, project)) { (index) }
                }
                @if let Some(from) = &found.from { span { "from " a href=(way.project(from, project)) { (from) } } }
            }
        }
    }
}

/// The ways to the page before and the one behind.
fn pages(way: &Way, asked: &AskedSearch, found: &FoundPage) -> Markup {
    let has_more = found.has_more;
    // Behind the last page, that is the one before.
    let before = found.pages.unwrap_or(asked.page - 1);
    let to = |page: usize| format!("{}?{}", way.search(), asked.turned_to(page));
    html! {
        @if asked.page > 1 || has_more {
            nav.pages aria-label="pages of results" {
                @if before > 0 { a rel="prev" href=(to(before)) { "Previous" } }
                span { "Page " (asked.page) }
                @if has_more { a rel="next" href=(to(asked.page + 1)) { "Next" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::reader::api::{House, in_lines, text_of};

    async fn house() -> House {
        let house = House::new().await;
        house.mirror_lists(&["acme-evil", "banned", "hello-world", "six"]);
        for (name, summary) in [("Acme.Tool", "cuts <cheese>"), ("other", "melts cheese")] {
            let metadata = json!({"name": name, "version": "1.0", "summary": summary});
            house
                .publish_described("packages/stable", metadata, vec![])
                .await;
        }
        house.catalogue().await;
        house
    }

    async fn names(house: &House, target: &str) -> Vec<String> {
        let found = house.json(target).await;
        assert_eq!(found["type"], "searchresult");
        let items = found["result"]["items"].as_array().unwrap().clone();
        let items = items
            .iter()
            .map(|one| format!("{} {}", one["name"], one["indexes"]));
        items.map(|one| one.replace('"', "")).collect()
    }

    #[tokio::test]
    async fn what_is_found_is_linked_and_everything_is_escaped() {
        let house = house().await;
        let page = text_of(&house.browse("/+search?query=Hello").await);
        let list = page.split("<main").nth(1).unwrap();
        insta::assert_snapshot!(in_lines(list).trim_start(), @r#"
        id="content" tabindex="-1">
        <h1>Projects found for Hello</h1>
        <ol class="found" start="1">
        <li><a class="name" href="./packages/develop/hello-pkg">hello-pkg</a> <span class="faint">1.0</span> <span class="tag good">private</span>
        <p>says hello</p>
        <div class="facts"><a href="./packages/develop/hello-pkg">packages/develop</a><a href="./packages/stable/hello-pkg">packages/stable</a></div></li>
        <li><a class="name" href="./root/pypi/hello-world">hello-world</a>
        <div class="facts"><a href="./root/pypi/hello-world">root/pypi</a></div></li>
        <li><a class="name" href="./packages/stable/six">six</a> <span class="faint">1.0+house</span> <span class="tag good">private</span>
        <p>says hello</p>
        <div class="facts"><a href="./packages/stable/six">packages/stable</a><a href="./root/pypi/six">root/pypi</a></div></li></ol></main></body></html>
        "#);
        let page = text_of(&house.browse("/+search?q=cheese").await);
        assert!(page.contains("cuts &lt;cheese&gt;"), "{page}");
        let page = text_of(&house.browse("/+search?q=%22%3E%3Cb%3E").await);
        assert!(page.contains(r#"value="&quot;&gt;&lt;b&gt;""#), "{page}");
        assert!(!page.contains("<b>"), "{page}");
    }

    #[tokio::test]
    async fn an_index_finds_what_its_stack_shows_and_nothing_that_is_refused() {
        let house = house().await;
        let table: [(&str, &[&str]); 7] = [
            (
                "query=hello",
                &[
                    "hello-pkg [packages/develop,packages/stable]",
                    "hello-world [root/pypi]",
                    "six [packages/stable,root/pypi]",
                ],
            ),
            (
                "query=hello&index=packages/develop",
                &[
                    "hello-pkg [packages/develop]",
                    "hello-world [packages/develop]",
                    "six [packages/develop]",
                ],
            ),
            // Of a private project a mirror tells nothing, and what is private is not on the mirror.
            ("query=hello&index=root/pypi", &["hello-world [root/pypi]"]),
            ("query=cheese&index=root/pypi", &[]),
            // Reserved, and refused by name.
            ("query=acme", &["acme-tool [packages/stable]"]),
            ("query=banned", &[]),
            ("query=banned&index=packages/stable", &[]),
        ];
        for (query, expected) in table {
            assert_eq!(
                names(&house, &format!("/+search?{query}")).await,
                expected,
                "{query}"
            );
        }
        for index in ["no/body", "nonsense"] {
            let reply = house
                .get(&format!("/+search?query=six&index={index}"))
                .await;
            assert_eq!(reply.status, 404, "{index}");
        }
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_end() {
        let house = House::new().await;
        let names: Vec<String> = (100..145).map(|number| format!("many-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        house.mirror_lists(&names);
        house.catalogue().await;
        let mut all = Vec::new();
        for (page, count) in [(1, 20), (2, 20), (3, 5), (4, 0), (9999, 0)] {
            let found = house
                .json(&format!("/+search?query=many&page={page}"))
                .await;
            let items = found["result"]["items"].as_array().unwrap().clone();
            assert_eq!(items.len(), count, "{page}");
            assert_eq!(found["result"]["has_more"], page < 3, "{page}");
            all.extend(
                items
                    .iter()
                    .map(|one| one["name"].as_str().unwrap().to_owned()),
            );
        }
        assert_eq!(all, names);
        let page = text_of(&house.browse("/+search?query=many&page=2").await);
        for link in [
            r#"rel="prev" href="./+search?query=many&amp;page=1""#,
            r#"rel="next" href="./+search?query=many&amp;page=3""#,
            r#"<ol class="found" start="21">"#,
        ] {
            assert!(page.contains(link), "{link}: {page}");
        }
    }

    #[tokio::test]
    async fn what_is_cut_or_not_there_is_said() {
        let house = House::new().await;
        let names: Vec<String> = (1000..1502)
            .map(|number| format!("many-{number}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        house.mirror_lists(&names);
        house.catalogue().await;
        let long = format!("many{}", "+x".repeat(9));
        let letters = "x".repeat(101);
        let table = [
            (
                "query=many&page=25".to_owned(),
                "There are more than 500, of which",
            ),
            (
                "query=many&page=99999".to_owned(),
                "There is no page 99999 of these results, the last is page 25.",
            ),
            (
                "query=hello&page=3".to_owned(),
                "There is no page 3 of these results, the last is page 1.",
            ),
            (
                format!("query={long}"),
                "at most 100 characters and 8 words",
            ),
            (
                format!("query={letters}"),
                "at most 100 characters and 8 words",
            ),
        ];
        for (query, words) in table {
            let page = text_of(&house.browse(&format!("/+search?{query}")).await);
            assert!(page.contains(words), "{query}: {page}");
            let whole = text_of(&house.browse("/+search?query=many").await);
            assert!(!whole.contains(words), "{words}");
        }
        let last = house.json("/+search?query=many&page=25").await;
        assert_eq!(last["result"]["is_limited"], true);
        assert_eq!(last["result"]["has_more"], false);
        let cut = house.json(&format!("/+search?query={letters}")).await;
        assert_eq!(cut["result"]["is_query_cut"], true);
    }

    #[tokio::test]
    async fn it_is_complete_only_with_the_list_of_each_mirror_and_says_from_which_base_something_is()
     {
        let house = House::new().await;
        house.catalogue().await;
        let found = house.json("/+search?query=six").await;
        assert_eq!(found["result"]["is_complete"], false, "{found}");
        house.mirror_lists(&["six"]);
        house.catalogue().await;
        let found = house
            .json("/+search?query=hello&index=packages/develop")
            .await;
        assert_eq!(found["result"]["is_complete"], true, "{found}");
        let from: Vec<_> = found["result"]["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{} {}", one["name"], one["from"]).replace('"', ""))
            .collect();
        assert_eq!(from, ["hello-pkg null", "six packages/stable"]);
        let page = text_of(
            &house
                .browse("/+search?query=six&index=packages/develop")
                .await,
        );
        assert!(
            page.contains(r#"from <a href="./packages/stable/six">packages/stable</a>"#),
            "{page}"
        );
    }

    #[tokio::test]
    async fn more_searches_than_fit_are_told_to_wait() {
        let house = house().await;
        let held = house.occupy_searches();
        assert_eq!(house.browse("/+search?q=six").await.status, 503);
        drop(held);
        assert_eq!(house.browse("/+search?q=six").await.status, 200);
    }

    #[tokio::test]
    async fn before_all_is_gathered_that_is_said() {
        let house = House::new().await;
        let page = text_of(&house.browse("/+search?q=six").await);
        assert!(page.contains("is being gathered"), "{page}");
        assert_eq!(
            house.json("/+search?q=six").await["result"]["is_complete"],
            false
        );
    }
}
