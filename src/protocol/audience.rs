//! Who is asking: an installer, a program that reads devpi's JSON, or a person with a browser.
//!
//! devpi answers three kinds of clients under one path (docs/protocol/devpi.md §3), so the same
//! `/user/index/project` is a simple page, an object or a web page.

use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};

use crate::protocol::header_list::{elements, weighted};

/// Every form of the simple API's own media types starts with this (PEP 691).
const SIMPLE_TYPES: &str = "application/vnd.pypi.simple.";

/// The programs devpi takes for installers by the product in their `User-Agent`.
const INSTALLERS: [&str; 5] = ["distribute", "setuptools", "pip", "pex", "uv"];

/// The intended audience of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// pip, uv, poetry and their like: simple pages.
    Installer,
    /// devpi-client, scripts and any client without a preference: JSON objects.
    Json,
    /// A browser: web pages.
    Person,
}

impl Audience {
    /// Determined from `Accept`, then from `User-Agent`.
    ///
    /// A client that names a simple type is an installer, whatever it calls itself (poetry); one that names
    /// `application/json` wants the object, pip included; a browser is recognised by `text/html`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if accepts(headers, is_simple_type) {
            Self::Installer
        } else if Self::names_json(headers) {
            Self::Json
        } else if is_installer(headers) {
            Self::Installer
        } else if accepts(headers, |media| media.eq_ignore_ascii_case("text/html")) {
            Self::Person
        } else {
            Self::Json
        }
    }

    /// Whether `application/json` is asked for by name, which chooses devpi's JSON error bodies.
    #[must_use]
    pub fn names_json(headers: &HeaderMap) -> bool {
        accepts(headers, |media| {
            media.eq_ignore_ascii_case("application/json")
        })
    }
}

fn is_simple_type(media: &str) -> bool {
    let start = media.get(..SIMPLE_TYPES.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(SIMPLE_TYPES))
}

fn accepts(headers: &HeaderMap, is_wanted: impl Fn(&str) -> bool) -> bool {
    elements(headers, ACCEPT)
        .filter_map(weighted)
        .any(|(media, weight)| weight > 0 && is_wanted(media))
}

/// devpi's `([^ ]* )*(distribute|setuptools|pip|pex|uv)/.*`: some word starts with `name/`.
fn is_installer(headers: &HeaderMap) -> bool {
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok());
    agent.unwrap_or_default().split(' ').any(|word| {
        let product = word.split_once('/').map(|(product, _)| product);
        product.is_some_and(|product| INSTALLERS.contains(&product))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    const PIP: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";

    #[test]
    fn clients_are_told_apart() {
        for (agent, accept, expected) in [
            ("pip/26.3 {\"ci\":null}", PIP, Audience::Installer),
            ("pip/1.5", "text/html", Audience::Installer),
            ("pip/1.5", "", Audience::Installer),
            ("x y uv/0.13.8", "*/*", Audience::Installer),
            (
                "poetry/2.5.1 [CPython]",
                "application/vnd.pypi.simple.v1+json, */*;q=0.1",
                Audience::Installer,
            ),
            (
                "devpi-client/7.3.0 (py3)",
                "application/json",
                Audience::Json,
            ),
            ("pip/26.3", "application/json", Audience::Json),
            ("Mozilla/5.0 (X11)", BROWSER, Audience::Person),
            (
                "Mozilla/5.0",
                "application/vnd.pypi.simple.v1+json;q=0, text/html",
                Audience::Person,
            ),
            ("curl/8.5", "*/*", Audience::Json),
            ("spip/1.0", "*/*", Audience::Json),
            ("pip", "*/*", Audience::Json),
            ("", "", Audience::Json),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Audience::of(&headers), expected, "{agent} / {accept}");
        }
    }
}
