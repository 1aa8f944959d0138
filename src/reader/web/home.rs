//! The first page, `/`, with all users and their indexes, and `/{user}` with those of one.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use crate::devpi::IndexSettings;
use crate::exchange::{Error, Trouble};
use crate::model::IndexName;
use crate::reader::look::Look;
use crate::reader::web::held::Held;
use crate::reader::web::layout::WebPage;
use crate::reader::web::state::state;
use crate::reader::web::way::Way;

/// `/`: every user and index, and how the gateway is doing.
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
    let held = Held::read(look).await?;
    let default = look.cx.generation.policies.default_index();
    let content = html! {
        h1 { "Indexes" }
        @if let Some(index) = default.filter(|index| look.shows(index)) {
            p.faint { code { "/simple/" } " stands for " a href=(way.index(index)) { (index) } "." }
        }
        @for (user, indexes) in &users {
            h2 { a href=(way.user(user)) { (user) } }
            (index_table(&way, &held, indexes))
        }
        @if users.is_empty() { p { "There are no users yet." } }
        (state(look, &way))
    };
    Ok(WebPage::new("indexes", content))
}

/// `/{user}`.
pub async fn web_user(look: Look<'_>, user: &str) -> Result<WebPage, Trouble> {
    let way = Way::from(look.ask.path);
    let held = Held::read(look).await?;
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
            (index_table(&way, &held, &survey.indexes_of(user)))
        };
        Ok(WebPage::new(user, content))
    });
    Ok(page.await??)
}

fn index_table(way: &Way, held: &Held<'_>, indexes: &BTreeMap<IndexName, IndexSettings>) -> Markup {
    html! {
        @if indexes.is_empty() {
            p.faint { "no indexes" }
        } @else {
            table.list {
                tr { th { "index" } th { "type" } th { "holds" } th { "bases" } }
                @for (name, settings) in indexes {
                    (index_row(way, held, name, settings))
                }
            }
        }
    }
}

fn index_row(way: &Way, held: &Held<'_>, name: &IndexName, settings: &IndexSettings) -> Markup {
    let shown = settings.to_public_json();
    let text = |key: &str| shown.get(key).and_then(Value::as_str).unwrap_or_default();
    let bases = shown
        .get("bases")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let bases: Vec<&str> = bases.filter_map(Value::as_str).collect();
    let title = text("title");
    html! {
        tr {
            td {
                a href=(way.index(name)) { (name) }
                @if !title.is_empty() { div.faint { (title) } }
            }
            td { (text("type")) }
            td { (held.by(name, settings.is_mirror())) }
            td { (bases.join(", ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::exchange::{RefusedLately, RefusedOften};
    use crate::model::IndexName;
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
        <tr><th>index</th><th>type</th><th>holds</th><th>bases</th></tr>
        <tr><td><a href="./me/dev">me/dev</a></td><td>stage</td><td>empty</td><td>packages/stable</td></tr></table>
        <h2><a href="./packages">packages</a></h2>
        <table class="list">
        <tr><th>index</th><th>type</th><th>holds</th><th>bases</th></tr>
        <tr><td><a href="./packages/develop">packages/develop</a></td><td>stage</td><td>1 project, 1 file, 1.1 KiB</td><td>packages/stable</td></tr>
        <tr><td><a href="./packages/stable">packages/stable</a>
        <div class="faint">What &lt;production&gt; runs</div></td><td>stage</td><td>2 projects, 3 files, 5.8 KiB</td><td>root/pypi</td></tr></table>
        <h2><a href="./root">root</a></h2>
        <table class="list">
        <tr><th>index</th><th>type</th><th>holds</th><th>bases</th></tr>
        <tr><td><a href="./root/pypi">root/pypi</a>
        <div class="faint">The public index</div></td><td>mirror</td><td>no list of it is held yet</td><td></td></tr></table>
        <h2>Upstreams</h2>
        <table class="list">
        <tr><th>mirror</th><th>upstream</th></tr>
        <tr><td><a href="./root/pypi">root/pypi</a></td><td><span class="warn">none is set</span></td></tr></table></main></body></html>
        "#);
    }

    #[tokio::test]
    async fn the_first_page_tells_what_was_refused_most_and_where_it_is_explained() {
        let house = House::new().await;
        let page = text_of(&house.browse("/").await);
        assert!(!page.contains("Refused most"), "nobody knows yet");
        house.overview().tell_refused(RefusedLately::default());
        let page = text_of(&house.browse("/").await);
        assert!(page.contains("Nothing was refused."), "{page}");
        let refused = |project: &str, times| RefusedOften {
            index: IndexName::parse("packages/stable").unwrap(),
            project: project.into(),
            rule: "corporate/<deny>".into(),
            times,
        };
        let often = (1..=20).map(|number| refused(&format!("name-{number}"), number));
        house.overview().tell_refused(RefusedLately {
            often: often.collect(),
            ..RefusedLately::default()
        });
        let page = text_of(&house.browse("/").await);
        let rows = page.split("Refused most").nth(1).unwrap();
        let row = "<tr><td><a href=\"./packages/stable/name-20\">name-20</a></td>\
                   <td class=\"name\">corporate/&lt;deny&gt;</td>\
                   <td><a href=\"./packages/stable\">packages/stable</a></td><td>20 times</td></tr>";
        assert!(rows.contains(row), "{rows}");
        assert!(
            rows.contains("name-11") && !rows.contains("name-10"),
            "{rows}"
        );
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
