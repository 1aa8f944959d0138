//! How people ask for an exception: the operator's link, filled for a refusal, and what could let the file pass.

use std::sync::Arc;

use crate::language::{AskLink, Blank};
use crate::model::IndexName;
use crate::policy::verdict::{Denial, Reason, one_line};

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
            one_line(&match blank {
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
            })
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
    use crate::language::{BLANKS, Word};
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
}
