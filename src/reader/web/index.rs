//! The page of an index: what it is, its stack, how to use it, and a stage's own projects.

use maud::{Markup, html};

use crate::catalog::unknown_index;
use crate::exchange::Trouble;
use crate::model::{IndexName, ProjectName};
use crate::reader::look::Look;
use crate::reader::web::held::Held;
use crate::reader::web::layout::WebPage;
use crate::reader::web::stack;
use crate::reader::web::uploads::{feed_path, feed_title, uploads};
use crate::reader::web::usage::usage;
use crate::reader::web::way::Way;

/// Most projects on one page; the project list has them all.
const PROJECTS_SHOWN_MAX: usize = 1000;

/// `/{user}/{index}`.
pub async fn web_index(look: Look<'_>, name: &IndexName) -> Result<WebPage, Trouble> {
    let policies = &look.cx.generation.policies;
    let (Some(index), Some(stack)) = (policies.index(name), policies.stack(name)) else {
        return Err(unknown_index(name).into());
    };
    let way = Way::from(look.ask.path);
    let held = Held::read(look).await?;
    let uploads = match index.is_mirror() {
        true => html! {},
        false => {
            let latest = look.flows.uploads.latest(look.cx, name).await?;
            html! { h2 { "Uploads of late" } (uploads(&way, name, &latest)) }
        }
    };
    let projects = if index.is_mirror() {
        html! {
            p { "A mirror has what its upstream has: " a href=(simple_list(&way, name)) { "its project list" } "." }
        }
    } else {
        own_projects(&way, name, &look.staged_projects(name).await?)
    };
    let content = html! {
        p.faint { a href=(way.user(name.user())) { (name.user()) } " /" }
        h1 { (name) }
        @if let Some(title) = index.settings.title() { p { (title) } }
        @match &index.location {
            Some(location) => { p.faint { "declared at " (location.for_strangers()) } }
            None => { p.faint { "made through the API" } }
        }
        h2 { "Where a project is looked for" }
        (stack::drawn(&way, stack, &held, &|one| look.shows(&one.name)))
        h2 { "How to use it" }
        (usage(&look.outside(), name))
        h2 { "Projects of its own" }
        (projects)
        (uploads)
    };
    let mut page = WebPage::new(name.as_str(), content);
    page.feed = (!index.is_mirror()).then(|| (feed_title(name), feed_path(&way, name)));
    Ok(page)
}

fn simple_list(way: &Way, index: &IndexName) -> String {
    format!("{}/+simple/", way.index(index))
}

fn own_projects(way: &Way, index: &IndexName, names: &[ProjectName]) -> Markup {
    html! {
        @if names.is_empty() { p.faint { "none" } }
        ul.names {
            @for name in names.iter().take(PROJECTS_SHOWN_MAX) {
                li { a href=(way.project(index, name)) { (name) } }
            }
        }
        @if names.len() > PROJECTS_SHOWN_MAX {
            p {
                "and " (names.len() - PROJECTS_SHOWN_MAX) " more on "
                a href=(simple_list(way, index)) { "the project list" } "."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::reader::api::{House, in_lines, text_of};

    #[tokio::test]
    async fn an_index_shows_its_stack_its_rules_and_how_to_use_it() {
        let house = House::new().await;
        let page = text_of(&house.browse("/packages/develop/").await);
        let stack = page
            .split("<ol")
            .nth(1)
            .unwrap()
            .split("</ol>")
            .next()
            .unwrap();
        insta::assert_snapshot!(in_lines(stack), @r#"
         class="stack">
        <li class="stage"><a href="../../packages/develop">packages/develop</a> <span class="tag faint">stage</span>
        <div>1 project, 1 file, 1.1 KiB</div></li>
        <li class="stage"><a href="../../packages/stable">packages/stable</a> <span class="tag faint">stage</span> <span class="tag faint">non-volatile</span> <span class="faint">What &lt;production&gt; runs</span>
        <div>2 projects, 3 files, 5.8 KiB</div>
        <details><summary>policy <strong>corporate</strong> <span class="tag good">enforced</span> <span class="faint">house.yaml:23</span></summary>
        <ul>
        <li>deny: { project: requests, versions: &lt;2.31 } “CVE-2023-32681” <span class="faint">corporate/deny-project-versions-aa22ab5b house.yaml:26</span></li>
        <li>deny: { younger_than: 7d } “cool-down” <span class="faint">corporate/deny-younger_than-3538c8d7 house.yaml:27</span></li></ul></details>
        <div><span class="good">owns</span> acme-*: never from a mirror</div>
        <div>private names that mirrors may add to: six</div></li>
        <li class="mirror"><a href="../../root/pypi">root/pypi</a> <span class="tag faint">mirror</span> <span class="faint">The public index</span>
        <div>no list of it is held yet</div>
        <div class="faint">mirrors https://reader:***@upstream.example/simple/</div>
        <details><summary>policy <strong>malware</strong> <span class="tag good">enforced</span> <span class="faint">house.yaml:19</span></summary>
        <ul>
        <li>deny: { project: banned } “it steals &lt;keys&gt;” <span class="faint">malware/deny-project-27708274 house.yaml:22</span></li></ul></details></li>
        "#);
        let usage = page.split("How to use it").nth(1).unwrap();
        for words in [
            "pip install --index-url http://devpi.example:4040/packages/develop/+simple/ \
             --trusted-host devpi.example NAME",
            "url = &quot;http://devpi.example:4040/packages/develop/+simple/&quot;",
            r#"<a href="../../packages/develop/hello-pkg">hello-pkg</a>"#,
        ] {
            assert!(usage.contains(words), "{words} in {usage}");
        }
    }

    #[tokio::test]
    async fn an_index_made_through_the_api_has_a_page_too() {
        let house = House::new().await;
        let page = text_of(&house.browse("/me/dev").await);
        assert!(page.contains("made through the API"), "{page}");
        assert!(page.contains(r#"<a href="../root/pypi">"#), "{page}");
    }
}
