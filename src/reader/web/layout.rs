//! What all web pages share: head, navigation, footer, headers.

use maud::{DOCTYPE, Markup, html};

use crate::reader::web::assets::{ICON, STYLE};
use crate::reader::web::uploads::FEED_TYPE;
use crate::reader::web::way::Way;
use crate::search::QUERY_CHARS_MAX;

/// Only our own stylesheet and icon are loaded, no script runs and no page may frame ours: even a value that was
/// written unescaped by mistake could do nothing.
pub const SECURITY: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
];

/// A page being built.
#[derive(Debug)]
pub struct WebPage {
    pub title: String,
    /// The search text, to fill the field again.
    pub query: String,
    /// Title and place of a feed about the same.
    pub feed: Option<(String, String)>,
    pub content: Markup,
}

impl WebPage {
    pub fn new(title: impl Into<String>, content: Markup) -> Self {
        Self {
            title: title.into(),
            query: String::new(),
            feed: None,
            content,
        }
    }
}

/// The whole text of a page that is read at this path.
pub fn render(path: &str, page: &WebPage) -> String {
    let way = Way::from(path);
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (page.title) " · cheesecloth" }
                meta name="color-scheme" content="light dark";
                link rel="stylesheet" href=(way.asset(STYLE));
                @if let Some((title, place)) = &page.feed {
                    link rel="alternate" type=(FEED_TYPE) title=(title) href=(place);
                }
                link rel="icon" type="image/svg+xml" href=(way.asset(ICON));
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    a.name href=(way.home()) { "cheesecloth" }
                    form action=(way.search()) method="get" role="search" {
                        input type="search" name="query" value=(page.query) maxlength=(QUERY_CHARS_MAX)
                            placeholder="project or words" aria-label="search projects";
                        button { "Search" }
                    }
                }
                main #content tabindex="-1" { (page.content) }
            }
        }
    };
    text.into_string()
}

#[cfg(test)]
mod tests {
    use crate::exchange::Decision;
    use crate::reader::api::{House, text_of};

    #[tokio::test]
    async fn every_page_forbids_scripts_and_strangers() {
        let house = House::new().await;
        for path in [
            "/",
            "/me",
            "/packages/stable",
            "/packages/stable/six",
            "/+search?q=x",
            "/nobody",
        ] {
            let reply = house.browse(path).await;
            let policy = reply.head["content-security-policy"].to_str().unwrap();
            assert!(
                policy.starts_with("default-src 'none'; style-src 'self'"),
                "{path}: {policy}"
            );
            assert_eq!(reply.head["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(
                reply.head["content-type"], "text/html; charset=utf-8",
                "{path}"
            );
            let page = text_of(&reply);
            assert!(
                !page.contains("<script") && !page.contains("style="),
                "{path}: {page}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_said_on_a_page() {
        let house = House::new().await;
        let table = [
            ("/nobody", "There is no user nobody."),
            (
                "/packages/nowhere",
                "The stage packages/nowhere could not be found.",
            ),
            (
                "/packages/stable/nothing",
                "The project nothing does not exist.",
            ),
            (
                "/packages/stable/six/0.1",
                "The version 0.1 of project six does not exist.",
            ),
            ("/a/b/c/d/e/f", "no such route"),
        ];
        for (path, words) in table {
            let reply = house.browse(path).await;
            assert_eq!(reply.status, 404, "{path}");
            let page = text_of(&reply);
            assert!(page.contains(words), "{path}: {page}");
        }
    }

    #[tokio::test]
    async fn a_refused_project_is_explained_and_its_words_are_escaped() {
        let house = House::new().await;
        let reply = house.browse("/packages/stable/banned").await;
        assert_eq!(reply.status, 451);
        assert_eq!(reply.record.decision, Decision::Deny);
        let page = text_of(&reply);
        assert!(page.contains("it steals &lt;keys&gt;"), "{page}");
        assert!(page.contains("house.yaml:22"), "{page}");
    }
}
