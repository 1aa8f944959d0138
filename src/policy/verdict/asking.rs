//! How people ask for an exception: a link that the operator gives, and what could let the file pass.
//!
//! The link is filled for each refusal. It leads where the operator said and nowhere else: placeholders stand
//! behind the host, and what they stand for is percent-encoded.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};
use url::Url;

use crate::model::{IndexName, suggest};
use crate::policy::read::{Misread, Word, YamlKey, key, one};
use crate::policy::verdict::{Denial, Reason, one_line};

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
enum Blank {
    Project,
    Version,
    Filename,
    Index,
    Rule,
    Policy,
    Reason,
}

/// Every placeholder. `docs/manual/policies.md` describes them, and a test compares.
const BLANKS: [(&str, Blank); 7] = [
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

/// Where to ask about a refusal: the link, and the index through which it was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    link: Arc<AskLink>,
    asked: IndexName,
}

/// What an operator can do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recourse {
    /// An `allow` above the rule that refuses.
    AllowAbove,
    /// An `allow` anywhere in the policy, whose `default` refuses.
    Allow,
    /// An entry of the whitelist.
    List,
    /// A recall is withdrawn, not waived.
    Withdraw(u64),
    /// None: the name is reserved, or the file is from elsewhere.
    None,
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

    fn filled(&self, value: impl Fn(Blank) -> String) -> String {
        let mut link = String::new();
        for (text, blank) in &self.parts {
            let value = one_line(&value(*blank));
            let value: String = value.chars().take(VALUE_CHARS_MAX).collect();
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

impl Asking {
    /// Through this index.
    pub(in crate::policy) fn through(link: &Arc<AskLink>, asked: &IndexName) -> Self {
        Self {
            link: Arc::clone(link),
            asked: asked.clone(),
        }
    }
}

impl Denial {
    /// The same, with where to ask about it.
    pub(in crate::policy) fn asking(self, link: Option<&Arc<AskLink>>, asked: &IndexName) -> Self {
        let asking = link.map(|link| Asking::through(link, asked));
        Self { asking, ..self }
    }

    /// The link by which people ask for an exception, if the operator gives one and there can be one: of
    /// what was recalled there is none.
    #[must_use]
    pub fn ask(&self) -> Option<String> {
        if matches!(self.recourse(), Recourse::Withdraw(_)) {
            return None;
        }
        let Asking { link, asked } = self.asking.as_ref()?;
        Some(link.filled(|blank| {
            match blank {
                Blank::Project => self.subject.project().to_string(),
                Blank::Version => self.subject.version().unwrap_or_default().to_owned(),
                Blank::Filename => self
                    .subject
                    .filename()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                Blank::Index => asked.to_string(),
                Blank::Rule => self.rule.name.to_string(),
                Blank::Policy => self.rule.policy.to_string(),
                Blank::Reason => self.reason.words(),
            }
        }))
    }

    /// [`Denial::detail`], with the link: for clients that show nothing else.
    #[must_use]
    pub fn detail_and_link(&self) -> String {
        match self.ask() {
            // Nothing behind it: terminals take a full stop for a part of the link.
            Some(link) => format!("{} Ask for an exception: {link}", self.detail()),
            None => self.detail(),
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn recourse(&self) -> Recourse {
        match self.reason {
            Reason::Rule { .. } | Reason::Lacks { .. } | Reason::Doubt(_) => Recourse::AllowAbove,
            Reason::Default => Recourse::Allow,
            Reason::NotListed | Reason::NotPinned | Reason::NoDigest => Recourse::List,
            Reason::Recalled { id, .. } => Recourse::Withdraw(id),
            Reason::Owned { .. } | Reason::Outside => Recourse::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Filename, ProjectName};
    use crate::policy::verdict::{RuleId, Subject};

    fn link(text: &str) -> Arc<AskLink> {
        Arc::new(AskLink::read(text).unwrap())
    }

    fn denial(subject: Subject) -> Denial {
        let rule = RuleId {
            name: "house/no+new&shiny".into(),
            location: None,
            policy: "house".into(),
            index: IndexName::parse("root/pypi").unwrap(),
        };
        let words = "größer als 1 MB?\nask".into();
        let reason = Reason::Rule {
            words,
            advisory: None,
        };
        Denial::new(subject, reason, rule)
    }

    fn file() -> Subject {
        let project = ProjectName::parse("six").unwrap();
        let filename = Filename::parse("six-1.0+a.b-py3-none-any.whl", &project);
        Subject::File(filename.unwrap())
    }

    #[test]
    fn every_placeholder_is_filled_and_nothing_in_it_can_end_its_place() {
        let names: String = BLANKS
            .iter()
            .map(|(name, _)| format!("&{name}={{{name}}}"))
            .collect();
        let link = link(&format!("https://tracker.example/new?a=b{names}#c"));
        let asked = IndexName::parse("corp/stable").unwrap();
        let of = |subject| denial(subject).asking(Some(&link), &asked).ask().unwrap();
        insta::assert_snapshot!(of(file()), @"https://tracker.example/new?a=b&project=six&version=1.0%2Ba.b&filename=six-1.0%2Ba.b-py3-none-any.whl&index=corp%2Fstable&rule=house%2Fno%2Bnew%26shiny&policy=house&reason=gr%C3%B6%C3%9Fer%20als%201%20MB%3F%20ask#c");
        let project = Subject::Project(ProjectName::parse("six").unwrap());
        assert!(of(project).contains("&project=six&version=&filename=&index="));
        let detail = denial(file()).asking(Some(&link), &asked).detail_and_link();
        assert!(
            detail.contains(". Ask for an exception: https://tracker.example/"),
            "{detail}"
        );
        let plain = denial(file()).asking(None, &asked);
        assert_eq!(
            (plain.ask(), plain.detail_and_link()),
            (None, plain.detail())
        );
    }

    #[test]
    fn nobody_is_asked_for_an_exception_from_a_recall() {
        let (link, asked) = (
            link("https://tracker.example/"),
            IndexName::parse("a/b").unwrap(),
        );
        let asking = |denial: Denial| denial.asking(Some(&link), &asked).ask();
        let mut refused = denial(file());
        assert_eq!(
            asking(refused.clone()).as_deref(),
            Some("https://tracker.example/")
        );
        refused.reason = Reason::Recalled {
            id: 1,
            words: "malware".into(),
            missing: None,
        };
        assert_eq!(asking(refused), None);
    }

    #[test]
    fn the_manual_lists_every_placeholder() {
        let manual = include_str!("../../../docs/manual/policies.md");
        let rows = manual.lines().filter_map(|line| line.strip_prefix("| `{"));
        let listed: Vec<&str> = rows.filter_map(|row| row.split('}').next()).collect();
        assert_eq!(listed, BLANKS.map(|(name, _)| name));
    }

    #[test]
    fn what_a_placeholder_stands_for_has_an_end() {
        let mut long = denial(file());
        long.reason = Reason::Doubt("é".repeat(5_000).into());
        let asked = IndexName::parse("a/b").unwrap();
        let asked = long.asking(Some(&link("mailto:ask@corp.example?body={reason}")), &asked);
        let link = asked.ask().unwrap();
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
