//! Text as HTML, its URLs as links; and which URLs may be links at all.

use url::Url;

/// Longest URL that becomes a link, in bytes: browsers and proxies give up a little later.
const URL_BYTES_MAX: usize = 2048;

/// From this length on, in bytes, what is written gets no more links: each may be ten times its text.
const LINKED_BYTES_MAX: usize = 1 << 20;

/// What ends a URL in running text.
const ENDS: [char; 10] = ['<', '>', '"', '`', '\\', '|', '{', '}', '[', ']'];

/// What belongs to the sentence around a URL rather than to the URL, at its end.
const SENTENCE: [char; 10] = ['.', ',', ';', ':', '!', '?', '\'', '*', '_', ')'];

/// A URL that a page may link to: http or https, with a host. Anything else could run a script in the
/// gateway's origin, or leads nowhere.
#[must_use]
pub fn web_url(text: &str) -> Option<Url> {
    let text = text.trim();
    let url = Url::parse(text)
        .ok()
        .filter(|_| text.len() <= URL_BYTES_MAX)?;
    let is_of_the_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_of_the_web.then_some(url)
}

/// Writes text with its URLs as links.
pub(super) fn push_linked(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = next_url(rest).filter(|_| out.len() < LINKED_BYTES_MAX) {
        let (before, from) = rest.split_at(at);
        push_text(before, out);
        let end = url_end(from);
        let (url, after) = from.split_at(end);
        match web_url(url) {
            Some(target) => push_link(&target, url, out),
            None => push_text(url, out),
        }
        rest = after;
    }
    push_text(rest, out);
}

fn push_link(target: &Url, text: &str, out: &mut String) {
    out.push_str("<a href=\"");
    push_attribute(target.as_str(), out);
    out.push_str("\" rel=\"nofollow noreferrer\">");
    push_url(text, out);
    out.push_str("</a>");
}

/// Writes a URL that may go on in the next line where one of its parts ends, and not in a word.
fn push_url(text: &str, out: &mut String) {
    let host = text.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = text.split_at(host);
    push_text(scheme, out);
    for (at, part) in rest.split_inclusive(['/', '?', '&']).enumerate() {
        out.push_str(if at > 0 { "<wbr>" } else { "" });
        push_text(part, out);
    }
}

/// Where the next URL begins: not in the middle of a word.
fn next_url(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = text[from..].find("http") {
        let at = from + found;
        let is_scheme = ["http://", "https://"]
            .iter()
            .any(|scheme| text[at..].starts_with(scheme));
        let before = text[..at].chars().next_back();
        if is_scheme && !before.is_some_and(char::is_alphanumeric) {
            return Some(at);
        }
        from = at + "http".len();
    }
    None
}

fn url_end(text: &str) -> usize {
    let ends = |one: char| one.is_whitespace() || one.is_control() || ENDS.contains(&one);
    let mut url = &text[..text.find(ends).unwrap_or(text.len())];
    if url.len() > URL_BYTES_MAX {
        return url.len();
    }
    while let Some(last) = url
        .chars()
        .next_back()
        .filter(|last| SENTENCE.contains(last))
    {
        // A bracket that was opened inside belongs to the URL.
        let count = |wanted: char| url.chars().filter(|one| *one == wanted).count();
        if last == ')' && count('(') >= count(')') {
            break;
        }
        url = &url[..url.len() - last.len_utf8()];
    }
    // At least the scheme, so that whoever reads on makes progress.
    url.len().max("http".len())
}

/// Writes text; control characters other than white space are left out.
pub(super) fn push_text(text: &str, out: &mut String) {
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\n' | '\t' => out.push(one),
            _ if one.is_control() => {}
            _ => out.push(one),
        }
    }
}

/// Writes the inside of a quoted attribute.
pub(super) fn push_attribute(text: &str, out: &mut String) {
    for one in text.chars() {
        match one {
            '"' => out.push_str("&quot;"),
            _ => push_text(one.encode_utf8(&mut [0; 4]), out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<String> {
        let mut out = String::new();
        push_linked(text, &mut out);
        let links = out.split("<a href=\"").skip(1);
        links
            .map(|link| link.split("</a>").next().unwrap())
            .map(|link| link.split_once('>').unwrap().1.replace("<wbr>", ""))
            .collect()
    }

    #[test]
    fn urls_end_where_their_sentence_goes_on() {
        let table: [(&str, &[&str]); 10] = [
            ("see https://a.example/x.", &["https://a.example/x"]),
            ("(http://a.example/b_(c))", &["http://a.example/b_(c)"]),
            ("`a <https://a.example>`_", &["https://a.example"]),
            (
                "[![a](https://a.example/b)](https://c.example)",
                &["https://a.example/b", "https://c.example"],
            ),
            (
                "https://a.example?b=1&c=2, https://d.example",
                &["https://a.example?b=1&amp;c=2", "https://d.example"],
            ),
            ("xhttp://a.example http https:// http://", &[]),
            ("HTTP://a.example", &[]),
            ("https://é.example/ö!", &["https://é.example/ö"]),
            ("http://[", &[]),
            ("http.........", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(links(text), expected, "{text}");
        }
        assert!(links(&format!("https://a.example/{}", "x".repeat(URL_BYTES_MAX))).is_empty());
    }

    #[test]
    fn only_the_web_is_linked_to() {
        for (text, is_linked) in [
            ("https://a.example", true),
            (" http://a.example/b ", true),
            ("javascript:alert(1)", false),
            (" java\nscript:alert(1)", false),
            ("data:text/html,x", false),
            ("//a.example", false),
            ("/a", false),
            ("mailto:a@b.example", false),
            ("", false),
        ] {
            assert_eq!(web_url(text).is_some(), is_linked, "{text}");
        }
    }
}
