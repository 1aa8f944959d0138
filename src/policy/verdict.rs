//! The answer to "may this pass?", with the rule that gave it attached.
//!
//! An `Allowed` can be built only inside this room, and serving a file requires one, so that forgetting the
//! policy does not compile. A `Denial` keeps the parts of its sentence and writes it only when somebody
//! reads it, because a page may refuse thousands of files that nobody asks for. How the words reach users
//! of unmodified clients is described in docs/protocol/simple-api.md §8.

mod asking;

use std::sync::Arc;

use crate::language::OnBlock;
use crate::model::{File, Filename, IndexName, Location, ProjectName, Timestamp, to_ascii};
pub use asking::{Asking, Recourse};

/// Longest reason phrase, in bytes: what pip prints on one line, and far below what HTTP/1.1 clients accept
/// in a status line.
const SHORT_MAX: usize = 120;

/// What the rules say about something.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict<T> {
    /// It passes.
    Allow(Allowed<T>),
    /// It is refused.
    Deny(Denial),
}

impl<T> Verdict<T> {
    /// Why it was refused, if it was.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Allow(_) => None,
            Self::Deny(denial) => Some(denial),
        }
    }
}

/// Something that passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed<T> {
    item: T,
    audited: Option<Denial>,
}

impl<T> Allowed<T> {
    pub(super) fn new(item: T, audited: Option<Denial>) -> Self {
        Self { item, audited }
    }

    /// What passed.
    #[must_use]
    pub fn item(&self) -> &T {
        &self.item
    }

    /// What passed, by value.
    #[must_use]
    pub fn into_item(self) -> T {
        self.item
    }

    /// The refusal of a policy in audit mode, which is recorded and has no effect.
    #[must_use]
    pub fn audited(&self) -> Option<&Denial> {
        self.audited.as_ref()
    }
}

impl Allowed<&File> {
    /// The same permission for a copy of the file, to be kept longer than the page it was decided from.
    #[must_use]
    pub fn to_shared(&self) -> Allowed<Arc<File>> {
        Allowed {
            item: Arc::new(self.item.clone()),
            audited: self.audited.clone(),
        }
    }
}

/// Which rule decided: its name, where it stands, the policy it belongs to, and the index that applies it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuleId {
    /// What it is called: `policy/id`, or by the key of an index.
    pub name: Arc<str>,
    /// Where it is written; `None` for what was set through the devpi API.
    pub location: Option<Location>,
    /// The policy's name; `whitelist` or `owns` for those keys of an index.
    pub policy: Arc<str>,
    /// The index that applies it, which may be a base of the asked one or above it.
    pub index: IndexName,
}

/// What a refusal is about: a project, or one file of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A whole project.
    Project(ProjectName),
    /// One file.
    File(Filename),
}

impl Subject {
    /// The name of the file, if it is about one.
    #[must_use]
    pub fn filename(&self) -> Option<&Filename> {
        match self {
            Self::Project(_) => None,
            Self::File(filename) => Some(filename),
        }
    }

    /// The version of the file, as its name spells it.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.filename().map(Filename::version_text)
    }

    /// The project, or that of the file.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        match self {
            Self::Project(project) => project,
            Self::File(filename) => filename.project(),
        }
    }
}

/// A fact about a file that a rule needs and nothing states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// PEP 700 `upload-time`.
    UploadTime,
    /// PEP 700 `upload-time` of the first file of its release.
    ReleaseTime,
    /// Which versions there are beside its own, and which of them are allowed.
    OtherVersions,
    /// PEP 700 `size`.
    Size,
    /// A version that PEP 440 can read.
    Version,
    /// The spelling that `===` names; the file's version is equal but spelled differently.
    Spelling,
    /// A sha256.
    Digest,
    /// Advisories that may be relied on; see [`Reason::Doubt`].
    Advisories,
    /// A licence that was looked for: it will be.
    UnreadLicense,
    /// A `License-Expression` (PEP 639) that can be read.
    License,
    /// The names of its files, which were not looked at yet: they will be.
    UnreadContent,
    /// An archive that can be read.
    Content,
}

impl Missing {
    /// The missing fact, as refusals name it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::UploadTime => "no upload-time",
            Self::ReleaseTime => "no upload-time of its release's first file",
            Self::OtherVersions => "no known versions beside it",
            Self::Size => "no size",
            Self::Version => "no version that can be read",
            Self::Spelling => "no such spelling of its version",
            Self::Digest => "no sha256",
            Self::Advisories => "no advisories that may be relied on",
            Self::UnreadLicense => {
                "no licence known yet (it is looked up when its page or the file is asked for again)"
            }
            Self::License => "no License-Expression that can be read",
            Self::UnreadContent => {
                "no list of its files yet (it is read when its page or the file is asked for again)"
            }
            Self::Content => "no archive that can be read",
        }
    }
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A `deny` rule matched.
    Rule {
        /// The rule's `reason`, or its conditions.
        words: Arc<str>,
        /// The advisory that matched, if the rule asks for one.
        advisory: Option<Arc<str>>,
    },
    /// A `deny` rule needs something that the file lacks: refused, to be safe.
    Lacks {
        /// What is missing.
        missing: Missing,
        /// The rule's `reason`, or its conditions.
        words: Arc<str>,
    },
    /// A `deny` rule asks for advisories, and these are too old or not there: refused, to be safe.
    Doubt(Arc<str>),
    /// No rule matched, and the policy says `default: deny`.
    Default,
    /// The name is not on a `whitelist`.
    NotListed,
    /// The name is in a lock file, and this file's sha256 is not among the pinned ones.
    NotPinned,
    /// The name is in a lock file with digests, and the file has no sha256 to compare.
    NoDigest,
    /// The name is reserved by `owns`.
    Owned {
        /// The pattern, as written.
        pattern: Arc<str>,
    },
    /// The file is said to come from an index outside the asked stack.
    Outside,
    /// It was recalled.
    Recalled {
        /// The number of the recall.
        id: u64,
        /// Why it was recalled.
        words: Arc<str>,
        /// What is missing to say that the recall is not about it: refused, to be safe.
        missing: Option<Missing>,
    },
}

impl Reason {
    /// The reason as a clause.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Reason::Rule { words, advisory } => match advisory {
                Some(id) if !words.contains(&**id) => format!("{words} ({id})"),
                Some(_) | None => words.to_string(),
            },
            Reason::Lacks { missing, words } => {
                format!("it has {}, which this rule needs: {words}", missing.words())
            }
            Reason::Doubt(words) => words.to_string(),
            Reason::Default => "no rule allows it".to_owned(),
            Reason::NotListed => "the name is not listed".to_owned(),
            Reason::NotPinned => "its sha256 is not pinned".to_owned(),
            Reason::NoDigest => "it has no sha256 to compare with the pinned ones".to_owned(),
            Reason::Owned { pattern } => format!("{pattern} is reserved and never from a mirror"),
            Reason::Outside => "the file is from no index of this stack".to_owned(),
            Reason::Recalled { words, missing, .. } => match missing {
                Some(missing) => {
                    format!(
                        "it has {}, which this recall needs: {words}",
                        missing.words()
                    )
                }
                None => words.to_string(),
            },
        }
    }
}

/// A refusal and its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Denial {
    /// What is refused.
    pub subject: Subject,
    /// Why it is.
    pub reason: Reason,
    /// Which rule says so.
    pub rule: RuleId,
    /// What a page does with the file.
    pub on_block: OnBlock,
    /// When the file passes by age alone.
    pub(super) matures: Option<Timestamp>,
    /// Since when the upstream that could let it pass has been silent.
    pub(super) unconfirmed: Option<Timestamp>,
    /// Where to ask for an exception.
    pub(super) asking: Option<Asking>,
}

impl Denial {
    pub(super) fn new(subject: Subject, reason: Reason, rule: RuleId) -> Self {
        Self {
            subject,
            reason,
            rule,
            on_block: OnBlock::Hide,
            matures: None,
            unconfirmed: None,
            asking: None,
        }
    }

    /// Why, as a clause, without the instant at which that may end.
    #[must_use]
    pub fn reason(&self) -> String {
        one_line(&self.reason.words())
    }

    /// When it passes by age alone, unless something else refuses it then.
    #[must_use]
    pub fn matures(&self) -> Option<Timestamp> {
        self.matures
            .filter(|_| self.unconfirmed.is_none())
            .map(whole_second)
    }

    /// Since when the upstream that could let it pass has been silent.
    #[must_use]
    pub fn unconfirmed(&self) -> Option<Timestamp> {
        self.unconfirmed.map(whole_second)
    }

    /// An HTTP/1.1 reason phrase: printable ASCII, at most 120 bytes.
    #[must_use]
    pub fn short(&self) -> String {
        let what = match &self.subject {
            Subject::Project(project) => project.to_string(),
            Subject::File(filename) => {
                format!("{} {}", filename.project(), filename.version_text())
            }
        };
        let text = format!("{what} is refused by {}: {}", self.authority(), self.why());
        let mut ascii: String = text.chars().flat_map(printable).collect();
        if ascii.len() > SHORT_MAX {
            ascii.truncate(SHORT_MAX - 3);
            ascii.push_str("...");
        }
        ascii
    }

    /// The same with the link by which to ask for an exception, if both fit: a link that was cut leads
    /// nowhere.
    #[must_use]
    pub fn short_and_link(&self) -> String {
        let short = self.short();
        let both = self.ask().map(|link| format!("{short}; ask: {link}"));
        both.filter(|both| both.len() <= SHORT_MAX).unwrap_or(short)
    }

    /// Whole sentences for a problem's `detail` (RFC 9457), with the place of the rule.
    #[must_use]
    pub fn detail(&self) -> String {
        let what = match &self.subject {
            Subject::Project(project) => format!("Project {project}"),
            Subject::File(filename) => {
                let (project, version) = (filename.project(), filename.version_text());
                format!("File {filename} of {project} {version}")
            }
        };
        let mut text = format!(
            "{what} is refused by {} in index {}: {}.",
            self.authority(),
            self.rule.index,
            self.why(),
        );
        if let Some(place) = self.place() {
            text.push_str(&format!(" The rule is at {place}."));
        }
        one_line(&text)
    }

    /// The words for a file that is listed as yanked (PEP 592) instead of hidden.
    #[must_use]
    pub fn words(&self) -> String {
        let text = format!("refused by {}: {}", self.authority(), self.why());
        match self.place() {
            Some(place) => one_line(&format!("{text} ({place})")),
            None => one_line(&text),
        }
    }

    fn authority(&self) -> String {
        match self.reason {
            Reason::Rule { .. } | Reason::Lacks { .. } | Reason::Doubt { .. } | Reason::Default => {
                format!("policy {}", self.rule.policy)
            }
            Reason::NotListed
            | Reason::NotPinned
            | Reason::NoDigest
            | Reason::Owned { .. }
            | Reason::Outside => format!("{} of {}", self.rule.policy, self.rule.index),
            Reason::Recalled { id, .. } => format!("recall {id}"),
        }
    }

    fn why(&self) -> String {
        let mut why = self.reason.words();
        if let Some(instant) = self.unconfirmed {
            let instant = whole_second(instant);
            why.push_str(&format!(
                " (until upstream answers again, silent since {instant})"
            ));
        } else if let Some(instant) = self.matures {
            why.push_str(&format!(" (until {})", whole_second(instant)));
        }
        why
    }

    /// `file:line`: people look for a line, and columns matter only to editors.
    fn place(&self) -> Option<String> {
        self.rule.location.as_ref().map(Location::for_strangers)
    }
}

/// Rounds up, so that a client that waits until the printed second is not turned away again.
fn whole_second(instant: Timestamp) -> Timestamp {
    let up = i64::from(instant.subsec_nanosecond() > 0);
    Timestamp::from_second(instant.as_second().saturating_add(up)).unwrap_or(instant)
}

/// A status line takes visible ASCII and blanks (RFC 9112 §4 allows more, but clients disagree about it).
fn printable(character: char) -> impl Iterator<Item = char> {
    to_ascii(match character {
        other if other.is_whitespace() => ' ',
        other if other.is_control() => '?',
        other => other,
    })
}

fn one_line(text: &str) -> String {
    let blank = |character: char| match character.is_control() {
        true => ' ',
        false => character,
    };
    text.chars().map(blank).collect()
}

#[cfg(test)]
mod tests;
