//! Which form of a simple page to send (PEP 691; rules 1–8 of docs/protocol/simple-api.md §3).
//!
//! The order in the header is irrelevant: the weight decides, a more specific range overrides a less
//! specific one, and ties go to JSON, then to HTML v1, then to plain HTML.

use http::HeaderMap;
use http::header::ACCEPT;
use percent_encoding::percent_decode_str;

use crate::protocol::header_list::{elements, weighted};

/// The three forms of a simple page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// `application/vnd.pypi.simple.v1+json`.
    Json,
    /// `application/vnd.pypi.simple.v1+html`.
    HtmlV1,
    /// `text/html`.
    Html,
}

/// The client names only types that a simple page does not have: 406.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a simple page is application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html or \
     text/html"
)]
pub struct NotAcceptable;

impl Format {
    /// Every form, the preferred one first.
    pub const ALL: [Self; 3] = [Self::Json, Self::HtmlV1, Self::Html];

    /// The exact `Content-Type`; installers compare it.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/vnd.pypi.simple.v1+json",
            Self::HtmlV1 => "application/vnd.pypi.simple.v1+html",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// The media types that mean this form; `latest` is answered with the concrete one.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Json => &[
                "application/vnd.pypi.simple.v1+json",
                "application/vnd.pypi.simple.latest+json",
            ],
            Self::HtmlV1 => &[
                "application/vnd.pypi.simple.v1+html",
                "application/vnd.pypi.simple.latest+html",
            ],
            Self::Html => &["text/html"],
        }
    }

    pub(super) fn named(media: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| {
            let mut names = form.names().iter();
            names.any(|name| name.eq_ignore_ascii_case(media))
        })
    }
}

/// How closely a range names a type; a closer one overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Anything,
    Family,
    Exact,
}

/// Chooses the form from `Accept`; `?format=` takes precedence
/// ([`Preferences`](crate::protocol::preferences::Preferences)).
///
/// # Errors
/// [`NotAcceptable`] when nothing the client names is a form of a simple page.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Format, NotAcceptable> {
    let ranges: Vec<_> = elements(headers, ACCEPT)
        .filter_map(weighted)
        .filter(|(media, _)| media.contains('/'))
        .collect();
    if ranges.is_empty() {
        return Ok(Format::Html);
    }
    let mut best: Option<(u16, Format)> = None;
    let mut is_all_wildcard = true;
    for form in Format::ALL {
        let Some((closeness, weight)) = weigh(form, &ranges) else {
            continue;
        };
        is_all_wildcard &= closeness == Closeness::Anything;
        if weight > best.map_or(0, |(known, _)| known) {
            best = Some((weight, form));
        }
    }
    match best {
        // Rule 1: a client that accepts anything gets the public index's default.
        Some(_) if is_all_wildcard => Ok(Format::Html),
        Some((_, form)) => Ok(form),
        None => Err(NotAcceptable),
    }
}

/// The weight of a form: that of the closest range, the higher one among equally close.
fn weigh(form: Format, ranges: &[(&str, u16)]) -> Option<(Closeness, u16)> {
    let of_range = |(media, weight): &(&str, u16)| {
        let closeness = if *media == "*/*" {
            Closeness::Anything
        } else if let Some(family) = media.strip_suffix("/*") {
            let own = form
                .content_type()
                .split_once('/')
                .map(|(family, _)| family);
            own.filter(|own| own.eq_ignore_ascii_case(family))
                .map(|_| Closeness::Family)?
        } else {
            (Format::named(media) == Some(form)).then_some(Closeness::Exact)?
        };
        Some((closeness, *weight))
    };
    ranges.iter().filter_map(of_range).max()
}

/// The value of `format` in a query. A plus stays one: nobody means a blank in `v1+json`.
pub(super) fn format_parameter(query: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("format="))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::protocol::preferences::Preferences;

    fn ask(accept: &str) -> Result<Format, NotAcceptable> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        negotiate(&headers)
    }

    #[test]
    fn golden_headers() {
        const V1: &str = "application/vnd.pypi.simple.v1";
        const LATEST: &str = "application/vnd.pypi.simple.latest";
        for (accept, expected) in [
            (
                format!("{V1}+json, {V1}+html; q=0.1, text/html; q=0.01"),
                Ok(Format::Json),
            ),
            (
                format!("{V1}+json, {V1}+html;q=0.2, text/html;q=0.01"),
                Ok(Format::Json),
            ),
            (format!("{V1}+json, */*;q=0.1"), Ok(Format::Json)),
            (
                format!("text/html;q=0.01, {V1}+html;q=0.2, {V1}+json"),
                Ok(Format::Json),
            ),
            ("*/*".into(), Ok(Format::Html)),
            ("application/json, */*;q=0.5".into(), Ok(Format::Html)),
            ("text/html".into(), Ok(Format::Html)),
            ("TEXT/HTML".into(), Ok(Format::Html)),
            ("text/*".into(), Ok(Format::Html)),
            ("application/*".into(), Ok(Format::Json)),
            ("application/*;q=0.5, text/html".into(), Ok(Format::Html)),
            (format!("{V1}+html"), Ok(Format::HtmlV1)),
            (format!("{LATEST}+html"), Ok(Format::HtmlV1)),
            (format!("{LATEST}+json"), Ok(Format::Json)),
            (format!("{V1}+html, text/html"), Ok(Format::HtmlV1)),
            (format!("{V1}+json;q=0, {V1}+html"), Ok(Format::HtmlV1)),
            (format!("*/*, {V1}+json;q=0.5"), Ok(Format::HtmlV1)),
            ("text/html;q=0, */*".into(), Ok(Format::Json)),
            ("text/html;q=0".into(), Err(NotAcceptable)),
            ("*/*;q=0".into(), Err(NotAcceptable)),
            ("application/json".into(), Err(NotAcceptable)),
            (
                "application/vnd.pypi.simple.v2+json".into(),
                Err(NotAcceptable),
            ),
            (";;,q=1,garbage".into(), Ok(Format::Html)),
            (String::new(), Ok(Format::Html)),
        ] {
            assert_eq!(ask(&accept), expected, "{accept:?}");
        }
        assert_eq!(negotiate(&HeaderMap::new()), Ok(Format::Html));
    }

    #[test]
    fn the_query_takes_precedence() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/html"));
        for (query, expected) in [
            (
                "format=application/vnd.pypi.simple.v1+json",
                Ok(Format::Json),
            ),
            (
                "a=b&format=application/vnd.pypi.simple.v1%2Bhtml",
                Ok(Format::HtmlV1),
            ),
            ("format=application%2Fjson", Err(NotAcceptable)),
            ("format=", Err(NotAcceptable)),
            ("reformat=application/json", Ok(Format::Html)),
        ] {
            assert_eq!(
                Preferences::of(&headers).format(Some(query)),
                expected,
                "{query}"
            );
        }
    }
}
