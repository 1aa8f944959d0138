//! The link by which people ask for an exception, as operators write it.
//!
//! It is filled for each refusal. It leads where the operator said and nowhere else: placeholders stand behind the host,
//! and what they stand for is percent-encoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};
use url::Url;

use crate::language::read::{Misread, Word, YamlKey, key, one};
use crate::model::suggest;

/// Longest text that a placeholder stands for, in characters: a `reason` may be a paragraph, and browsers and
/// trackers cut long links.
const VALUE_CHARS_MAX: usize = 200;

/// Everything but the unreserved characters of RFC 3986 §2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The keys of `refusals:`.
#[rustfmt::skip] // a table reads by rows
pub const REFUSALS: &[YamlKey] = &[
    key("ask", one::<AskLink>(), "",
        "where people ask for an exception: a link, http, https or mailto, with placeholders such as {project}"),
];

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blank {
    /// The project that is refused, or that of the file.
    Project,
    /// The version of the file.
    Version,
    /// The name of the file.
    Filename,
    /// The index that was asked.
    Index,
    /// The name of the rule.
    Rule,
    /// The name of its policy.
    Policy,
    /// Why it refuses.
    Reason,
}

/// Every placeholder. `docs/manual/policies.md` describes them, and a test compares.
pub const BLANKS: [(&str, Blank); 7] = [
    ("project", Blank::Project),
    ("version", Blank::Version),
    ("filename", Blank::Filename),
    ("index", Blank::Index),
    ("rule", Blank::Rule),
    ("policy", Blank::Policy),
    ("reason", Blank::Reason),
];

/// A link with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskLink {
    /// The texts before each placeholder.
    parts: Vec<(Box<str>, Blank)>,
    rest: Box<str>,
}

impl AskLink {
    fn written(text: &str) -> Result<Self, Misread> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            let closed = behind.split_once('}');
            let (name, behind) = closed.ok_or_else(|| Misread::new("a { without its }"))?;
            let known = BLANKS.iter().find(|(known, _)| *known == name);
            let Some((_, blank)) = known else {
                let names = BLANKS.map(|(name, _)| name);
                let hint = match suggest(name, names) {
                    Some(meant) => format!("did you mean {{{meant}}}?"),
                    None => format!("known are {}", names.join(", ")),
                };
                let what = format!("unknown placeholder {{{name}}}");
                return Err(Misread::new(what).hint(hint));
            };
            parts.push((before.into(), *blank));
            rest = behind;
        }
        let texts = parts.iter().map(|(text, _): &(Box<str>, _)| &**text);
        if texts.chain([rest]).any(|text| text.contains('}')) {
            return Err(Misread::new("a } without its {"));
        }
        Ok(Self {
            parts,
            rest: rest.into(),
        })
    }

    /// What stands before the first placeholder.
    fn start(&self) -> &str {
        self.parts.first().map_or(&*self.rest, |(text, _)| text)
    }

    /// The link, with these texts in place of its placeholders.
    pub fn filled(&self, value: impl Fn(Blank) -> String) -> String {
        let mut link = String::new();
        for (text, blank) in &self.parts {
            let value: String = value(*blank).chars().take(VALUE_CHARS_MAX).collect();
            link.push_str(text);
            link.extend(utf8_percent_encode(&value, ENCODED));
        }
        link.push_str(&self.rest);
        link
    }
}

impl Word for AskLink {
    fn wanted() -> String {
        "a link such as \"https://tracker.example/new?title={project}%20{version}\"".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let link = Self::written(text)?;
        let wrong = |what: &str| Err(Misread::new(format!("{text:?} {what}")));
        let url = Url::parse(&link.filled(|_| "x".to_owned()));
        let (Ok(url), true) = (url, text.bytes().all(|byte| byte.is_ascii_graphic())) else {
            return Err(Misread::new(format!("{text:?} is not {}", Self::wanted())));
        };
        let behind = match url.scheme() {
            "http" | "https" if url.has_host() => {
                let (_, behind) = link.start().split_once("://").unwrap_or_default();
                behind.contains(['/', '?', '#'])
            }
            "mailto" => link.start().contains(['@', '?']),
            _ => return wrong("is not a link of http, https or mailto"),
        };
        if !link.parts.is_empty() && !behind {
            return wrong("has a placeholder where the host stands");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Misread::new("a link with a login in it").hint("everybody can read it"));
        }
        Ok(link)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^([Hh][Tt][Tt][Pp][Ss]?://|[Mm][Aa][Ii][Ll][Tt][Oo]:)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_every_placeholder() {
        let manual = include_str!("../../docs/manual/policies.md");
        let rows = manual.lines().filter_map(|line| line.strip_prefix("| `{"));
        let listed: Vec<&str> = rows.filter_map(|row| row.split('}').next()).collect();
        assert_eq!(listed, BLANKS.map(|(name, _)| name));
    }

    #[test]
    fn what_a_placeholder_stands_for_has_an_end() {
        let link = AskLink::read("mailto:ask@corp.example?body={reason}").unwrap();
        let link = link.filled(|_| "é".repeat(5_000));
        assert_eq!(link.matches("%C3%A9").count(), VALUE_CHARS_MAX);
    }

    #[test]
    fn a_link_leads_where_the_operator_says_or_is_at_fault() {
        let good = [
            "https://tracker.example/new?title={project}%20{version}&rule={rule}",
            "http://tracker.example:8080/{project}",
            "HTTPS://tracker.example#{reason}",
            "https://tracker.example",
            "mailto:ask@corp.example?subject={project}",
            "mailto:?subject={project}",
        ];
        for text in good {
            assert_eq!(AskLink::read(text).map(|_| ()), Ok(()), "{text}");
        }
        let table = [
            ("https://t.example/{name}", "unknown placeholder {name}"),
            ("https://t.example/{projct}", "unknown placeholder {projct}"),
            ("https://t.example/{}", "unknown placeholder {}"),
            ("https://t.example/{project", "a { without its }"),
            ("https://t.example/project}", "a } without its {"),
            ("javascript:alert({project})", "is not a link of http"),
            ("ftp://t.example/{project}", "is not a link of http"),
            ("tracker.example/new", "is not a link such as"),
            ("https://t.example/a b", "is not a link such as"),
            ("https://t.exämple/", "is not a link such as"),
            ("https://{project}.example/", "where the host stands"),
            ("https://t.example{project}/", "where the host stands"),
            ("mailto:{project}@corp.example", "where the host stands"),
            ("https://u:p@t.example/", "a link with a login in it"),
        ];
        for (text, wanted) in table {
            let misread = AskLink::read(text).unwrap_err();
            assert!(misread.what.contains(wanted), "{text}: {}", misread.what);
        }
        let misread = AskLink::read("https://t.example/{projct}").unwrap_err();
        assert_eq!(misread.hint.as_deref(), Some("did you mean {project}?"));
    }
}
