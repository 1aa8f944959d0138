//! What all web pages share: head, navigation, footer, headers; and the pages that say what went wrong.

use bytes::Bytes;
use http::header::{RETRY_AFTER, VARY};
use http::{HeaderName, HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, html};

use crate::gateway::{
    Ask, Body, Core, Decision, Error, ErrorKind, Record, Reply, Trouble, count_denial, reply_head,
    rule_text,
};
use crate::policy::Denial;
use crate::reader::api::sign;
use crate::reader::web::assets::STYLE;
use crate::reader::web::way::Way;
use crate::telemetry::{Mode, PATH_MAX, cut};

/// Nothing is loaded but our own stylesheet, nothing is run, nobody frames us: were a value ever
/// written unescaped, it could still do nothing.
const SECURITY: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
];

/// Longest text in a search field; also what a search looks at.
pub const QUERY_CHARS_MAX: usize = 100;

/// A page in the making.
#[derive(Debug)]
pub struct WebPage {
    pub title: String,
    /// What was searched for, to stand in the field again.
    pub query: String,
    pub content: Markup,
}

impl WebPage {
    pub fn new(title: impl Into<String>, content: Markup) -> Self {
        Self {
            title: title.into(),
            query: String::new(),
            content,
        }
    }
}

/// Makes the reply to a page for people.
pub async fn web_reply(
    core: &Core,
    ask: &Ask<'_>,
    outcome: Result<WebPage, Trouble>,
    mut record: Record,
) -> Reply {
    let mut retry_after = None;
    let (status, page) = match outcome {
        Ok(page) => (StatusCode::OK, page),
        Err(Trouble::Failed(error)) => {
            if let ErrorKind::Unavailable(seconds) = error.kind {
                retry_after = seconds;
            }
            failed(&error, ask.path)
        }
        Err(Trouble::Refused(denial)) => {
            count_denial(&core.metrics, &denial, Mode::Enforce);
            record.decision = Decision::Deny;
            record.rule = Some(rule_text(&denial));
            (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, refused(&denial))
        }
    };
    let body = Bytes::from(render(&Way::from(ask.path), &page).into_string());
    let mut head = reply_head("text/html; charset=utf-8", body.len(), "no-cache");
    head.insert(VARY, HeaderValue::from_static("Accept, User-Agent"));
    for (name, value) in SECURITY {
        head.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    if let Some(seconds) = retry_after {
        head.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    sign(core, &mut head).await;
    let body = if ask.head {
        Body::Empty
    } else {
        Body::Bytes(body)
    };
    Reply::new(status, head, body, record)
}

fn render(way: &Way, page: &WebPage) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (page.title) " · cheesecloth" }
                link rel="stylesheet" href=(way.asset(STYLE));
            }
            body {
                header {
                    a.name href=(way.home()) { "cheesecloth" }
                    form action=(way.search()) method="get" role="search" {
                        input type="search" name="query" value=(page.query) maxlength=(QUERY_CHARS_MAX)
                            placeholder="project" aria-label="search projects by name";
                        button { "Search" }
                    }
                }
                main { (page.content) }
            }
        }
    }
}

/// A failure as a page; what a client may not see goes to the log, here and only here.
fn failed(error: &Error, path: &str) -> (StatusCode, WebPage) {
    let status = error.kind.status();
    if status.is_server_error() {
        tracing::error!(path = cut(path, PATH_MAX), status = status.as_u16(), %error, "request failed");
    }
    let title = status.canonical_reason().unwrap_or("error");
    let content = html! {
        h1 { (title) }
        p { (error.message) }
    };
    (status, WebPage::new(title, content))
}

fn refused(denial: &Denial) -> WebPage {
    let content = html! {
        h1 { "Refused by policy" }
        p.refused { (denial.detail()) }
    };
    WebPage::new("refused by policy", content)
}

#[cfg(test)]
mod tests {
    use crate::gateway::Decision;
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
