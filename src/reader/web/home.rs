//! The first page, `/`, with all users and their indexes, and `/{user}` with those of one.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use crate::devpi::IndexSettings;
use crate::exchange::{Error, Trouble};
use crate::model::IndexName;
use crate::reader::look::Look;
use crate::reader::web::layout::WebPage;
use crate::reader::web::way::Way;

/// `/`: every user and index.
pub async fn web_home(look: Look<'_>) -> Result<WebPage, Trouble> {
    let way = Way::from(look.ask.path);
    let users = look.survey("list the users", |survey| {
        let named = |user: &str| (user.to_owned(), survey.indexes_of(user));
        survey
            .user_names()
            .into_iter()
            .map(named)
            .collect::<Vec<_>>()
    });
    let users = users.await?;
    let default = look.cx.generation.policies.default_index();
    let content = html! {
        h1 { "Indexes" }
        @if let Some(index) = default.filter(|index| look.shows(index)) {
            p.faint { code { "/simple/" } " stands for " a href=(way.index(index)) { (index) } "." }
        }
        @for (user, indexes) in &users {
            h2 { a href=(way.user(user)) { (user) } }
            (index_table(&way, indexes))
        }
        @if users.is_empty() { p { "There are no users yet." } }
    };
    Ok(WebPage::new("indexes", content))
}

/// `/{user}`.
pub async fn web_user(look: Look<'_>, user: &str) -> Result<WebPage, Trouble> {
    let way = Way::from(look.ask.path);
    let page = look.survey("read the user", |survey| {
        if !survey.has_user(user) {
            return Err(Error::not_found(format!("There is no user {user}.")));
        }
        let object = survey.user_object(user);
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let content = html! {
            h1 { (user) }
            @for key in ["title", "description", "email"] {
                @if let Some(text) = text(key) { p { (text) } }
            }
            (index_table(&way, &survey.indexes_of(user)))
        };
        Ok(WebPage::new(user, content))
    });
    Ok(page.await??)
}

fn index_table(way: &Way, indexes: &BTreeMap<IndexName, IndexSettings>) -> Markup {
    html! {
        @if indexes.is_empty() {
            p.faint { "no indexes" }
        } @else {
            table.list {
                tr { th { "index" } th { "title" } th { "type" } th { "bases" } }
                @for (name, settings) in indexes {
                    (index_row(way, name, settings))
                }
            }
        }
    }
}

fn index_row(way: &Way, name: &IndexName, settings: &IndexSettings) -> Markup {
    let shown = settings.to_public_json();
    let text = |key: &str| shown.get(key).and_then(Value::as_str).unwrap_or_default();
    let bases = shown
        .get("bases")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let bases: Vec<&str> = bases.filter_map(Value::as_str).collect();
    html! {
        tr {
            td { a href=(way.index(name)) { (name) } }
            td { (text("title")) }
            td { (text("type")) }
            td { (bases.join(", ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::reader::api::{House, in_lines, text_of};

    #[tokio::test]
    async fn the_first_page_shows_every_index_with_its_title_escaped() {
        let house = House::new().await;
        let page = text_of(&house.browse("/").await);
        let main = page.split("<main").nth(1).unwrap();
        insta::assert_snapshot!(in_lines(main), @r#"
         id="content" tabindex="-1">
        <h1>Indexes</h1>
        <p class="faint"><code>/simple/</code> stands for <a href="./packages/stable">packages/stable</a>.</p>
        <h2><a href="./me">me</a></h2>
        <table class="list">
        <tr><th>index</th><th>title</th><th>type</th><th>bases</th></tr>
        <tr><td><a href="./me/dev">me/dev</a></td><td></td><td>stage</td><td>packages/stable</td></tr></table>
        <h2><a href="./packages">packages</a></h2>
        <table class="list">
        <tr><th>index</th><th>title</th><th>type</th><th>bases</th></tr>
        <tr><td><a href="./packages/develop">packages/develop</a></td><td></td><td>stage</td><td>packages/stable</td></tr>
        <tr><td><a href="./packages/stable">packages/stable</a></td><td>What &lt;production&gt; runs</td><td>stage</td><td>root/pypi</td></tr></table>
        <h2><a href="./root">root</a></h2>
        <table class="list">
        <tr><th>index</th><th>title</th><th>type</th><th>bases</th></tr>
        <tr><td><a href="./root/pypi">root/pypi</a></td><td>The public index</td><td>mirror</td><td></td></tr></table></main></body></html>
        "#);
    }

    #[tokio::test]
    async fn a_users_page_shows_only_its_own() {
        let house = House::new().await;
        let page = text_of(&house.browse("/me").await);
        assert!(
            page.contains("me@house.example") && page.contains(r#"href="./me/dev""#),
            "{page}"
        );
        assert!(!page.contains("root/pypi"), "{page}");
    }
}
