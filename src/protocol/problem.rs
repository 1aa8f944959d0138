//! Refusals and errors in words: `application/problem+json` (RFC 9457), devpi's `{"message"}`, and the
//! reason phrase.
//!
//! pip shows only the reason phrase, uv shows title and detail, devpi-client shows the message
//! (docs/protocol/simple-api.md §8, docs/protocol/devpi.md §2.2); a refusal sends all that apply.

use bytes::Bytes;
use serde::Serialize;

use crate::model::to_ascii;

/// Longest reason phrase, in characters: what terminals and log lines can still show.
const REASON_MAX: usize = 120;

/// A problem as clients read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem<'a> {
    /// A URI that names this kind of problem, or `about:blank`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The kind in a few words.
    pub title: &'a str,
    /// The status code of the answer.
    pub status: u16,
    /// What happened here and what can be done about it.
    pub detail: &'a str,
    /// The path that was asked for.
    pub instance: &'a str,
    /// What the rule is called that refuses, if one does: a member of our own (RFC 9457 §3.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    /// Where to ask for an exception, if the operator says so: another one of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<&'a str>,
}

impl Problem<'_> {
    /// Its exact type: with a charset parameter uv ignores the body.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    /// The body, with the detail once more as devpi's `message`.
    #[must_use]
    pub fn to_body_with_message(&self) -> Bytes {
        #[derive(Serialize)]
        struct WithMessage<'a> {
            #[serde(flatten)]
            problem: &'a Problem<'a>,
            message: &'a str,
        }
        let (problem, message) = (self, self.detail);
        let text = serde_json::to_vec(&WithMessage { problem, message });
        Bytes::from(text.expect("plain fields serialise"))
    }

    /// The body.
    #[must_use]
    pub fn to_body(&self) -> Bytes {
        let text = serde_json::to_vec(self).expect("plain fields serialise");
        Bytes::from(text)
    }
}

/// devpi's failure body, to be sent as exactly `application/json` (docs/protocol/devpi.md §2.1).
#[must_use]
pub fn devpi_message(words: &str) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a> {
        message: &'a str,
    }
    let mut text =
        serde_json::to_vec_pretty(&Message { message: words }).expect("one plain field serialises");
    text.push(b'\n');
    Bytes::from(text)
}

/// Words that may stand in a status line: printable ASCII, one blank at a time, not too long.
///
/// Whatever the words are (people write a rule's reason), they cannot start a header.
#[must_use]
pub fn reason_phrase(words: &str) -> String {
    let plain = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = plain.chars().filter(|character| !character.is_control());
    plain.flat_map(to_ascii).take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_problem_has_five_members_and_a_refusal_names_its_rule() {
        let mut problem = Problem {
            kind: "about:blank",
            title: "refused by policy",
            status: 403,
            detail: "CVE-2023-32681 (policies/web.yaml:14)",
            instance: "/packages/stable/+f/aa/requests-2.30.tar.gz",
            rule: None,
            ask: None,
        };
        let text = String::from_utf8(problem.to_body().to_vec()).unwrap();
        insta::assert_snapshot!(text, @r#"{"type":"about:blank","title":"refused by policy","status":403,"detail":"CVE-2023-32681 (policies/web.yaml:14)","instance":"/packages/stable/+f/aa/requests-2.30.tar.gz"}"#);
        problem.rule = Some("web/vulnerable");
        problem.ask = Some("https://tracker.example/new");
        let text = String::from_utf8(problem.to_body_with_message().to_vec()).unwrap();
        let rule = r#""rule":"web/vulnerable","ask":"https://tracker.example/new","message":"CVE-2023-32681 (policies/web.yaml:14)"}"#;
        assert!(text.ends_with(rule), "{text}");
    }

    #[test]
    fn a_message_reads_as_devpi_writes_it() {
        let text = String::from_utf8(devpi_message("no \"such\" file").to_vec()).unwrap();
        assert_eq!(text, "{\n  \"message\": \"no \\\"such\\\" file\"\n}\n");
    }

    #[test]
    fn a_reason_stays_on_its_line() {
        for (words, expected) in [
            ("cool-down: 7d", "cool-down: 7d"),
            ("a\r\nSet-Cookie: x", "a Set-Cookie: x"),
            ("größer \u{7}als", "gr??er als"),
            (
                "mirror_url=… – “m×t” isn’t ≤ 3",
                "mirror_url=... - \"mxt\" isn't <= 3",
            ),
            ("", ""),
        ] {
            assert_eq!(reason_phrase(words), expected);
        }
    }

    proptest! {
        #[test]
        fn any_reason_is_short_printable_ascii(words in any::<String>()) {
            let reason = reason_phrase(&words);
            prop_assert!(reason.len() <= REASON_MAX);
            prop_assert!(reason.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        }
    }
}
