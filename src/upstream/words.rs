//! The words of an upstream's refusal, and the words for a connection that failed.
//!
//! An upstream's words travel on into reason phrases, problem documents and logs, so they are reduced
//! here to one short line of printable text.

use std::error::Error;

use http::{HeaderMap, StatusCode, header};

/// Longest text taken from an upstream, in characters: a few sentences.
const LENGTH_MAX: usize = 300;

/// An upstream's words with a status: a problem document (RFC 9457), a plain text, the reason phrase of
/// HTTP/1.1, or failing those the status's usual name.
pub(super) fn words_of(
    status: StatusCode,
    head: &HeaderMap,
    reason_phrase: Option<&[u8]>,
    body: &[u8],
) -> String {
    let content_type = head
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    let said = match content_type.as_deref() {
        Some("application/problem+json" | "application/json") => problem(body),
        Some("text/plain") => Some(String::from_utf8_lossy(body).into_owned()),
        Some(_) | None => None,
    };
    let phrase = || reason_phrase.map(|phrase| String::from_utf8_lossy(phrase).into_owned());
    said.map(|text| one_line(&text))
        .filter(|text| !text.is_empty())
        .or_else(|| phrase().map(|text| one_line(&text)))
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| {
            status
                .canonical_reason()
                .unwrap_or("no reason given")
                .to_owned()
        })
}

/// `detail`, `title`, or what devpi and others call `message`.
fn problem(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    ["detail", "title", "message"]
        .into_iter()
        .find_map(|key| document.get(key)?.as_str())
        .map(str::to_owned)
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|character: char| character.is_whitespace() || character.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// An error with its causes, without any URL.
pub(super) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = one_line(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = one_line(&error.to_string());
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    one_line(&text)
}

/// The first cause of this type, looking inside I/O errors as well.
pub(super) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn said(content_type: &'static str, phrase: Option<&str>, body: &str) -> String {
        let mut head = HeaderMap::new();
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        words_of(
            StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
            &head,
            phrase.map(str::as_bytes),
            body.as_bytes(),
        )
    }

    #[test]
    fn the_most_telling_words_are_taken() {
        let problem = "application/problem+json; charset=utf-8";
        let table = [
            (
                problem,
                None,
                r#"{"title": "Blocked", "detail": "CVE-1"}"#,
                "CVE-1",
            ),
            (problem, None, r#"{"title": "Blocked"}"#, "Blocked"),
            (problem, Some("why"), r#"{"title": 3}"#, "why"),
            (problem, None, "{", "Unavailable For Legal Reasons"),
            ("application/json", None, r#"{"message": "no"}"#, "no"),
            (
                "text/plain",
                Some("why"),
                "line one\r\n\x1b[31mline two",
                "line one [31mline two",
            ),
            ("text/plain", Some("why"), " \n", "why"),
            ("text/html", Some("why"), "<h1>no</h1>", "why"),
            (
                "text/html",
                Some(""),
                "<h1>no</h1>",
                "Unavailable For Legal Reasons",
            ),
        ];
        for (content_type, phrase, body, words) in table {
            assert_eq!(said(content_type, phrase, body), words, "{body}");
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let words = said("text/plain", None, &"é".repeat(4000));
        assert_eq!(words.chars().count(), LENGTH_MAX + 1);
        assert!(words.ends_with('…'));
    }
}
