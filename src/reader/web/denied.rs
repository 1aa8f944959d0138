//! The page of the management door for somebody who may not do what they ask: 401 and 403.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use maud::html;

use crate::protocol::constant_headers;
use crate::reader::web::layout::{SECURITY, WebPage, render};

/// A page, and the headers that belong to it.
#[derive(Debug)]
pub struct DeniedPage {
    /// Its type.
    pub content_type: &'static str,
    /// What browsers may make of it.
    pub head: HeaderMap,
    /// Its text.
    pub body: Bytes,
}

/// The page at this path about a refusal in these words.
#[must_use]
pub fn denied_page(path: &str, status: StatusCode, words: &str) -> DeniedPage {
    let title = status.canonical_reason().unwrap_or("Refused");
    let paragraphs = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let content = html! {
        h1 { (title) }
        div.refused { @for words in paragraphs { p { (words) } } }
        @if status == StatusCode::UNAUTHORIZED {
            p {
                "Log in with the name and password of a user of this gateway, or with a token in place of the \
                 password. Whoever runs the gateway makes users and tokens."
            }
        } @else {
            p { "Whoever runs this gateway decides who may do what, and at which address." }
        }
    };
    DeniedPage {
        content_type: "text/html; charset=utf-8",
        head: constant_headers(&SECURITY),
        body: render(path, &WebPage::new(title, content)).into(),
    }
}
