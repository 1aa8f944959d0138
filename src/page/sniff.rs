//! Which markup an upstream answered with: by its content type if that fits, else by the body's first
//! character.
//!
//! Middleboxes rewrite content types (docs/protocol/simple-api.md §3 rule 8), yet no HTML page starts
//! with `{` and no JSON document with `<`, so a body that starts with either needs no content type at
//! all.

/// The markup of a simple page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Markup {
    /// PEP 691.
    Json,
    /// PEP 503.
    Html,
}

/// Decides which parser reads a body. Without any hint it is HTML, which is what the oldest indexes
/// send.
#[must_use]
pub fn sniff(content_type: Option<&str>, body: &[u8]) -> Markup {
    match without_bom(body).trim_ascii_start().first() {
        Some(b'{') => Markup::Json,
        Some(b'<') => Markup::Html,
        _ => announced(content_type.unwrap_or("")),
    }
}

fn announced(content_type: &str) -> Markup {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    if essence.ends_with("+json") || essence.ends_with("/json") {
        Markup::Json
    } else {
        Markup::Html
    }
}

/// The body without the byte order mark that some editors and servers prepend.
pub(super) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_speaks_before_the_content_type() {
        let json = "application/vnd.pypi.simple.v1+json";
        let table = [
            (Some(json), "{}", Markup::Json),
            (Some("text/html"), " \n{\"files\": []}", Markup::Json),
            (Some("application/octet-stream"), "\u{feff}{}", Markup::Json),
            (Some(json), "<!DOCTYPE html>", Markup::Html),
            (None, "<a href=x>", Markup::Html),
            (None, "", Markup::Html),
            (Some("Application/JSON; charset=utf-8"), "[]", Markup::Json),
            (Some(json), "", Markup::Json),
            (Some("text/html"), "six", Markup::Html),
        ];
        for (content_type, body, markup) in table {
            assert_eq!(
                sniff(content_type, body.as_bytes()),
                markup,
                "{content_type:?} {body:?}"
            );
        }
    }
}
