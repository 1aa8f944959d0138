//! The reply to a person: a page, or one that says why there is none.
//!
//! The URLs of installers have pages for people too, as far as installers are refused there: whoever opens the
//! URL that pip printed should not have to read JSON. Status and reason phrase are those of the installer.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use maud::html;

use crate::exchange::{Decision, Record, Reply, Trouble};
use crate::protocol::constant_headers;
use crate::reader::look::Look;
use crate::reader::looked_at::{FRESH, NoAnswer, sign};
use crate::reader::web::layout::{SECURITY, WebPage, render};
use crate::reader::web::near::near;
use crate::reader::web::refused::web_refused;
use crate::reader::web::sent::Sent;

/// How a page is cached that says why there is none: as the installer's refusal.
const UNKEPT: &str = "no-store";

/// Makes the reply to a page for people. A project that is not there is looked for under names like its own.
pub async fn web_reply(
    look: Look<'_>,
    outcome: Result<WebPage, Trouble>,
    mut record: Record,
) -> Reply {
    let trouble = match outcome {
        Ok(page) => return send(look, (StatusCode::OK, None, FRESH), &page, record).await,
        Err(trouble) => trouble,
    };
    let none = NoAnswer::because(&look.flows.core, trouble, look.ask.path, &mut record);
    let page = match &none.denial {
        Some(denial) => web_refused(look, record.index.as_ref(), denial).await,
        None => unanswered(look, &none, &record).await,
    };
    send(look, (none.status, none.retry_after, UNKEPT), &page, record).await
}

/// What a flow answered at the URL of an installer, for a person: a refusal becomes a page.
pub async fn for_person(look: Look<'_>, reply: Reply) -> Reply {
    let ruled = reply.record.rule.clone();
    let Some(ruled) = ruled.filter(|_| reply.record.decision == Decision::Deny) else {
        return reply;
    };
    let index = reply.record.index.clone();
    let page = web_refused(look, index.as_ref(), &ruled.denial).await;
    let status = (reply.status, None, UNKEPT);
    let page = send(look, status, &page, reply.record).await;
    Reply {
        reason: reply.reason,
        ..page
    }
}

async fn send(
    look: Look<'_>,
    (status, retry_after, caching): (StatusCode, Option<u32>, &'static str),
    page: &WebPage,
    record: Record,
) -> Reply {
    let mut more = constant_headers(&SECURITY);
    if let Some(seconds) = retry_after {
        more.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    sign(&look.flows.core, &mut more).await;
    let sent = Sent {
        status,
        content_type: "text/html; charset=utf-8",
        caching,
        body: render(look.ask.path, page).into(),
        more,
    };
    sent.reply(look.ask, record).await
}

/// A page that says why there is no answer.
async fn unanswered(look: Look<'_>, none: &NoAnswer, record: &Record) -> WebPage {
    let title = none.status.canonical_reason().unwrap_or("error");
    let asked = record.index.as_ref().zip(record.project.as_ref());
    let near = match asked {
        Some(asked) if none.status == StatusCode::NOT_FOUND => near(look, asked).await,
        Some(_) | None => html! {},
    };
    let content = html! {
        h1 { (title) }
        p { (none.words) }
        (near)
        @match none.status {
            StatusCode::UNAUTHORIZED => {
                p { "It is shown to those who log in, and this address takes no logins for what it reads." }
            }
            StatusCode::BAD_GATEWAY => {
                p { "What is held here is still served. Whoever runs this gateway finds the cause in its log." }
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                p { "It may be there again in a moment. What is held here is still served." }
            }
            _ => {}
        }
    };
    WebPage::new(title, content)
}
