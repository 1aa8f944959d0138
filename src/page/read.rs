//! Reads what an upstream answered, as it came: text in its charset, markup found out, then parsed.
//!
//! The charset counts as for browsers (HTML standard, 13.2.3.2): a byte order mark, else what the
//! answer's head says, else what the document says of itself, else UTF-8. JSON is UTF-8 always
//! (RFC 8259, 8.1), whatever a server adds to its content type.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

use crate::model::ProjectName;
use crate::page::parse_html::parse_html_within;
use crate::page::parse_json::parse_json_within;
use crate::page::project_page::{InvalidPage, ProjectPage};
use crate::page::sniff::{Markup, sniff};

/// How far into a document its own word on its charset is looked for, as browsers do.
pub(super) const PRESCAN_BYTES: usize = 1024;

/// Reads a project page that was found at `page_url` (after redirects), of at most `room` bytes of
/// values: a page of a few kilobytes may become many megabytes.
///
/// # Errors
/// [`InvalidPage::Room`] when it becomes more, another when it is no page of the project.
pub fn read_project_page(
    room: usize,
    content_type: Option<&str>,
    body: &[u8],
    page_url: &str,
    project: &ProjectName,
) -> Result<ProjectPage, InvalidPage> {
    let (markup, text) = markup_and_text(content_type, body)?;
    match markup {
        Markup::Json => parse_json_within(room, &text, page_url, project),
        Markup::Html => parse_html_within(room, &text, page_url, project),
    }
}

/// The markup of an answer, and its text in UTF-8.
fn markup_and_text<'a>(
    content_type: Option<&str>,
    body: &'a [u8],
) -> Result<(Markup, Cow<'a, [u8]>), InvalidPage> {
    if body.trim_ascii().is_empty() {
        return Err(nothing());
    }
    let (markup, encoding) = markup_and_charset(content_type, body);
    let text = encoding.map_or(Cow::Borrowed(body), |encoding| in_utf8(encoding, body));
    Ok((markup, text))
}

/// Why an empty answer is refused.
pub(super) fn nothing() -> InvalidPage {
    InvalidPage::NoIndex("it is empty".to_owned())
}

/// The markup of an answer and its charset, of which JSON in UTF-8 needs none; by its start, which is
/// the whole or at least [`PRESCAN_BYTES`].
pub(super) fn markup_and_charset(
    content_type: Option<&str>,
    start: &[u8],
) -> (Markup, Option<&'static Encoding>) {
    let announced = content_type.and_then(charset_of);
    let marked = Encoding::for_bom(start).map(|(encoding, _)| encoding);
    if let Some(encoding) = marked.or(announced)
        && !encoding.is_ascii_compatible()
    {
        let text = in_utf8(encoding, start);
        return (sniff(content_type, &text), Some(encoding));
    }
    let markup = sniff(content_type, start);
    let charset = match markup {
        Markup::Json => None,
        Markup::Html => {
            let encoding = marked.or(announced).or_else(|| written(start));
            Some(encoding.unwrap_or(UTF_8))
        }
    };
    (markup, charset)
}

fn in_utf8<'a>(encoding: &'static Encoding, body: &'a [u8]) -> Cow<'a, [u8]> {
    // What is UTF-8, or nearly, the tokenizer reads as it is.
    if encoding == UTF_8 {
        return Cow::Borrowed(body);
    }
    match encoding.decode(body).0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// `charset` of a content type.
fn charset_of(content_type: &str) -> Option<&'static Encoding> {
    let parameters = content_type.split(';').skip(1);
    let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, label) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim().trim_matches(['"', '\'']).as_bytes())
}

/// What a document says of itself near its start: `<meta charset=…>`, or the same inside the `content`
/// of an older meta.
fn written(body: &[u8]) -> Option<&'static Encoding> {
    let start = body[..body.len().min(PRESCAN_BYTES)].to_ascii_lowercase();
    let at = memchr::memmem::find(&start, b"charset=")? + b"charset=".len();
    let label = start[at..].trim_ascii_start();
    let label = label
        .strip_prefix(b"\"")
        .or(label.strip_prefix(b"'"))
        .unwrap_or(label);
    let is_end =
        |byte: &u8| matches!(byte, b'"' | b'\'' | b'>' | b'/' | b';') || byte.is_ascii_whitespace();
    let end = label.iter().position(is_end)?;
    // A document that could be searched for its charset is not in UTF-16, whatever it says.
    Encoding::for_label(&label[..end]).filter(|encoding| encoding.is_ascii_compatible())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_more_than_there_is_room_for_is_not_read_to_its_end() {
        let project = ProjectName::parse("six").unwrap();
        let entries = |each: &dyn Fn(usize) -> String| (0..100).map(each).collect::<Vec<_>>();
        let json = entries(&|number| format!(r#"{{"url":"six-{number}.zip"}}"#)).join(",");
        let versions = entries(&|number| format!("\"{number}\"")).join(",");
        for (kind, body) in [
            ("application/json", format!(r#"{{"files":[{json}]}}"#)),
            (
                "application/json",
                format!(r#"{{"files":[],"versions":[{versions}]}}"#),
            ),
            (
                "text/html",
                entries(&|number| format!("<a href=six-{number}.zip>")).concat(),
            ),
        ] {
            let read = |room| read_project_page(room, Some(kind), body.as_bytes(), URL, &project);
            let page = read(usize::MAX).unwrap();
            let weight = page.weight_bytes();
            assert!(weight > body.len(), "{weight} of {}", body.len());
            assert_eq!(read(weight).as_ref(), Ok(&page));
            assert_eq!(read(weight / 2), Err(InvalidPage::Room(weight / 2)));
        }
    }

    const URL: &str = "https://upstream.example/simple/six/";

    fn read(content_type: &str, body: &[u8]) -> Result<ProjectPage, InvalidPage> {
        let project = ProjectName::parse("six").unwrap();
        read_project_page(usize::MAX, Some(content_type), body, URL, &project)
    }

    fn utf16(text: &str, mark: bool) -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        let units = mark.into_iter().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_page_is_read_in_its_charset() {
        let page =
            |charset: &str| format!("{charset}<a href=six-1.0.zip data-yanked='na\u{ef}ve'></a>");
        let latin = |charset: &str| -> Vec<u8> {
            let text = page(charset);
            text.chars()
                .map(|character| u8::try_from(character).unwrap())
                .collect()
        };
        let table: [(&str, Vec<u8>); 12] = [
            ("text/html", page("").into()),
            ("text/html; charset=utf-8", page("").into()),
            ("text/html; charset=nosuch", page("").into()),
            ("text/html; x=y; Charset=\"ISO-8859-1\"", latin("")),
            ("text/html; charset=windows-1252", latin("")),
            ("text/html", latin("<META CHARSET=latin1>")),
            (
                "text/html",
                latin("<meta http-equiv=Content-Type content='text/html; charset=iso-8859-1'>"),
            ),
            // The head counts before the document, and a mark before both.
            (
                "text/html; charset=utf-8",
                page("<meta charset=latin1>").into(),
            ),
            ("text/html; charset=latin1", page("\u{feff}").into()),
            ("text/html; charset=utf-16le", utf16(&page(""), false)),
            ("text/html", utf16(&page(""), true)),
            ("text/html", page("<meta charset=utf-16>").into()),
        ];
        for (content_type, body) in table {
            let page = read(content_type, &body).unwrap();
            let yanked = format!("{:?}", page.files[0].yanked);
            assert!(yanked.contains("na\u{ef}ve"), "{content_type}: {yanked}");
        }
    }

    #[test]
    fn json_is_utf8_whatever_the_head_says() {
        let json =
            r#"{"files": [{"filename": "six-1.0.zip", "url": "six-1.0.zip", "yanked": "naïve"}]}"#;
        let page = read("application/json; charset=latin1", json.as_bytes()).unwrap();
        assert!(format!("{:?}", page.files[0].yanked).contains("naïve"));
    }

    #[test]
    fn nothing_is_no_page() {
        for body in [&b""[..], b" \r\n"] {
            for content_type in ["text/html", "application/json"] {
                assert_eq!(read(content_type, body), Err(nothing()));
            }
        }
    }
}
