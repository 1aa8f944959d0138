//! Version specifiers: `>=1.0, <2` (PEP 440), as `packaging` reads them with pre-releases allowed.
//!
//! Most operators compare up to a part of the version: `<2` asks whether the *release* is below 2, so that
//! `2.0rc1` is no way around it; `>1.0` asks whether release and pre-release are above, so that neither
//! `1.0.post1` nor `1.0+local` is. The parts that an operator leaves out make no difference to it.
//! `tests/versions/` holds the answers of `packaging`.

use std::fmt;
use std::str::FromStr;

use crate::model::pep440::{Cut, Parts, Prefix, SortKey};
use crate::model::version::{Version, is_blank, trimmed};

/// A set of specifiers, all of which have to hold. An empty one contains every version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSpecifiers {
    clauses: Vec<Clause>,
}

/// Whether specifiers contain a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// They do.
    Yes,
    /// They do not.
    No,
    /// PEP 440 cannot read the version, so it is undecided.
    Unreadable,
    /// `===` names this very version, spelled otherwise; installers differ about that.
    Respelled,
}

/// The text is no set of version specifiers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version specifier (PEP 440)")]
pub struct InvalidSpecifier {
    /// The text.
    pub text: String,
    /// What to write instead.
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    operator: Operator,
    /// The version as written.
    text: Box<str>,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Identical,
    Compatible,
    Equal,
    NotEqual,
    AtMost,
    AtLeast,
    Below,
    Above,
}

/// Operators that begin like others come first.
const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Identical),
    ("~=", Operator::Compatible),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Below),
    (">", Operator::Above),
];

/// What a version is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// The spelling alone; with the key of the same version, if the text is one.
    Spelling(Option<Box<[u8]>>),
    /// A key, up to a part.
    Key(Box<[u8]>, Cut),
    /// `.*`.
    Prefix(Prefix),
    /// `~=`: not below this key, and with this prefix.
    KeyAndPrefix(Box<[u8]>, Prefix),
}

impl VersionSpecifiers {
    /// Whether they contain a version.
    #[must_use]
    pub fn contains(&self, version: &Version) -> VersionMatch {
        let mut all = VersionMatch::Yes;
        for clause in &self.clauses {
            match clause.contains(version) {
                VersionMatch::Yes => {}
                VersionMatch::No => return VersionMatch::No,
                unsure @ (VersionMatch::Unreadable | VersionMatch::Respelled) => all = unsure,
            }
        }
        all
    }

    /// Whether they allow every version.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// Whether one of them names a pre-release, so that installers consider others too (PEP 440).
    #[must_use]
    pub fn names_prerelease(&self) -> bool {
        let named = self.clauses.iter();
        let mut named = named.filter(|clause| clause.operator != Operator::NotEqual);
        named.any(|clause| Version::parse(&clause.text).is_prerelease())
    }

    /// The version of a lone `==1.0` or `===1.0`.
    #[must_use]
    pub fn exact(&self) -> Option<Version> {
        let [only] = &*self.clauses else {
            return None;
        };
        match (only.operator, &only.test) {
            (Operator::Identical, _) | (Operator::Equal, Test::Key(..)) => {
                Some(Version::parse(&only.text))
            }
            _ => None,
        }
    }
}

impl FromStr for VersionSpecifiers {
    type Err = InvalidSpecifier;

    fn from_str(text: &str) -> Result<Self, InvalidSpecifier> {
        let written = text.split(',').map(trimmed);
        let clauses = written
            .filter(|clause| !clause.is_empty())
            .map(|clause| {
                Clause::parse(clause).ok_or_else(|| InvalidSpecifier {
                    text: text.to_owned(),
                    hint: hint(clause),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { clauses })
    }
}

impl fmt::Display for VersionSpecifiers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, clause) in self.clauses.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(out, "{comma}{}{}", clause.operator.as_str(), clause.text)?;
        }
        Ok(())
    }
}

impl Operator {
    fn as_str(self) -> &'static str {
        let entry = OPERATORS.iter().find(|(_, one)| *one == self);
        entry.map_or("", |(text, _)| text)
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let (operator, version) = split(text)?;
        let test = match operator {
            Operator::Identical => {
                let ends = |character: char| is_blank(character) || ";)".contains(character);
                if version.is_empty() || version.contains(ends) {
                    return None;
                }
                Test::Spelling(Parts::parse(version).map(|parts| bytes(&parts, Cut::Local)))
            }
            Operator::Equal | Operator::NotEqual => match version.strip_suffix(".*") {
                Some(release) => {
                    let parts = Parts::parse(release).filter(Parts::is_release_alone)?;
                    Test::Prefix(parts.prefix(parts.release_len()))
                }
                None => {
                    let parts = Parts::parse(version)?;
                    let local = if parts.has_local() {
                        Cut::Local
                    } else {
                        Cut::Public
                    };
                    Test::Key(bytes(&parts, local), local)
                }
            },
            Operator::Compatible => {
                let parts = without_local(version)?;
                let len = parts.release_len().checked_sub(1).filter(|len| *len > 0)?;
                Test::KeyAndPrefix(bytes(&parts, Cut::Public), parts.prefix(len))
            }
            Operator::AtMost | Operator::AtLeast => {
                Test::Key(bytes(&without_local(version)?, Cut::Public), Cut::Public)
            }
            Operator::Below => {
                let parts = without_local(version)?;
                let cut = match (parts.is_prerelease(), parts.has_post()) {
                    (true, _) => Cut::Public,
                    (false, true) => Cut::Post,
                    (false, false) => Cut::Release,
                };
                Test::Key(bytes(&parts, cut), cut)
            }
            Operator::Above => {
                let parts = without_local(version)?;
                let cut = match (parts.has_dev(), parts.has_post()) {
                    (true, _) => Cut::Public,
                    (false, true) => Cut::Post,
                    (false, false) => Cut::Pre,
                };
                Test::Key(bytes(&parts, cut), cut)
            }
        };
        Some(Self {
            operator,
            text: version.into(),
            test,
        })
    }

    fn contains(&self, version: &Version) -> VersionMatch {
        let holds = match (&self.test, version.key()) {
            (Test::Spelling(same), key) => return self.is_spelled(version, same.as_deref(), key),
            (_, None) => return VersionMatch::Unreadable,
            (Test::Key(bytes, cut), Some(key)) => self.compares(key.up_to(*cut), bytes),
            (Test::Prefix(prefix), Some(key)) => {
                prefix.is_of(key) == (self.operator == Operator::Equal)
            }
            (Test::KeyAndPrefix(bytes, prefix), Some(key)) => {
                key.up_to(Cut::Public) >= &**bytes && prefix.is_of(key)
            }
        };
        if holds {
            VersionMatch::Yes
        } else {
            VersionMatch::No
        }
    }

    fn compares(&self, version: &[u8], with: &[u8]) -> bool {
        match self.operator {
            Operator::Equal | Operator::Identical => version == with,
            Operator::NotEqual => version != with,
            Operator::AtMost => version <= with,
            Operator::AtLeast | Operator::Compatible => version >= with,
            Operator::Below => version < with,
            Operator::Above => version > with,
        }
    }

    fn is_spelled(
        &self,
        version: &Version,
        same: Option<&[u8]>,
        key: Option<&SortKey>,
    ) -> VersionMatch {
        if version.as_str().to_lowercase() == self.text.to_lowercase() {
            return VersionMatch::Yes;
        }
        let is_same = match (same, key) {
            (Some(same), Some(key)) => key.up_to(Cut::Local) == same,
            (None, None) | (Some(_), None) | (None, Some(_)) => version.is_spelled_like(&self.text),
        };
        if is_same {
            VersionMatch::Respelled
        } else {
            VersionMatch::No
        }
    }
}

/// The operator of a clause and what follows it.
fn split(clause: &str) -> Option<(Operator, &str)> {
    OPERATORS.iter().find_map(|(text, operator)| {
        let version = clause.strip_prefix(text)?;
        Some((*operator, trimmed(version)))
    })
}

fn without_local(version: &str) -> Option<Parts<'_>> {
    Parts::parse(version).filter(|parts| !parts.has_local())
}

fn bytes(parts: &Parts<'_>, cut: Cut) -> Box<[u8]> {
    parts.key().up_to(cut).into()
}

/// Whether a text that PEP 440 cannot read is a version nevertheless, such as `2004d`.
fn looks_like_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains(is_blank)
}

/// What to write instead of a clause that cannot be parsed.
fn hint(clause: &str) -> String {
    const EXAMPLE: &str = "write one such as \"<2.31\" or \">=1.0, <2\"";
    let Some((operator, version)) = split(clause) else {
        return match Version::parse(clause) {
            version if !version.is_legacy() => format!("did you mean \"=={clause}\"?"),
            _ if looks_like_version(clause) => {
                format!("did you mean \"==={clause}\"?")
            }
            _ => EXAMPLE.to_owned(),
        };
    };
    let name = operator.as_str();
    let release = version.strip_suffix(".*").and_then(Parts::parse);
    match (operator, release, Parts::parse(version)) {
        (Operator::Equal | Operator::NotEqual, Some(_), _) => {
            "\".*\" comes behind numbers only, such as \"==1.4.*\"".to_owned()
        }
        (_, Some(release), _) => format!("did you mean \"{name}{release}\"?"),
        (Operator::Compatible, None, Some(one)) if one.is_release_alone() => {
            format!("~= needs two numbers at least; did you mean \"~={one}.0\"?")
        }
        (_, None, Some(parts)) if parts.has_local() => {
            "a local version is named by == and != only".to_owned()
        }
        (Operator::Equal, None, None) if looks_like_version(version) => {
            format!("did you mean \"==={version}\", which compares by spelling?")
        }
        (_, None, None) if looks_like_version(version) => {
            format!("{version} has no place among other versions; name single ones by ===")
        }
        _ => EXAMPLE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `packaging` says, written by `tests/versions/make_table.py`.
    const FACTS: &str = include_str!("../../tests/versions/facts.tsv");

    /// The fields of every line of one kind.
    fn facts(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
        FACTS.lines().filter_map(move |line| {
            let fields = line.strip_prefix(kind)?.strip_prefix('\t')?;
            Some(fields.split('\t').collect())
        })
    }

    fn text(field: &str) -> String {
        serde_json::from_str(field).unwrap()
    }

    /// Whether each position is in `0-2,5`.
    fn contained(runs: &str, len: usize) -> Vec<bool> {
        let mut contained = vec![false; len];
        for run in runs.split(',').filter(|run| !run.is_empty()) {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            contained[first..=last].fill(true);
        }
        contained
    }

    #[test]
    fn versions_are_read_and_sorted_as_packaging_does() {
        let mut before: Option<(Version, u32)> = None;
        for fields in facts("version") {
            let (version, rank) = (Version::parse(&text(fields[0])), fields[2].parse().unwrap());
            assert_eq!(version.normalised(), text(fields[1]), "{version:?}");
            if let Some((smaller, smaller_rank)) = &before {
                let expected = smaller_rank.cmp(&rank);
                assert_eq!(smaller.cmp(&version), expected, "{smaller:?} {version:?}");
            }
            before = Some((version, rank));
        }
        for fields in facts("legacy") {
            let version = Version::parse(&text(fields[0]));
            assert!(version.is_legacy(), "{version:?}");
            assert_eq!(version.normalised(), version.as_str());
        }
    }

    #[test]
    fn specifiers_contain_what_they_contain_for_packaging() {
        let texts = facts("version").chain(facts("legacy"));
        let versions: Vec<Version> = texts
            .map(|fields| Version::parse(&text(fields[0])))
            .collect();
        let (mut pairs, mut differences) = (0, Vec::new());
        for fields in facts("specifier") {
            let written = text(fields[0]);
            let Ok(specifiers) = written.parse::<VersionSpecifiers>() else {
                differences.push(format!("{written:?} is a specifier"));
                continue;
            };
            let expected = contained(fields[1], versions.len());
            for (version, expected) in versions.iter().zip(expected) {
                pairs += 1;
                if (specifiers.contains(version) == VersionMatch::Yes) != expected {
                    differences.push(format!("{version:?} in {written:?}: {expected}"));
                }
            }
        }
        for fields in facts("invalid") {
            let written = text(fields[0]);
            if written.parse::<VersionSpecifiers>().is_ok() {
                differences.push(format!("{written:?} is no specifier"));
            }
        }
        let first = differences.iter().take(20).cloned().collect::<Vec<_>>();
        assert_eq!(
            differences.len(),
            0,
            "of {pairs}, first:\n{}",
            first.join("\n")
        );
        assert!(pairs > 4_000_000, "{pairs}");
    }

    #[test]
    fn of_what_cannot_be_read_only_its_spelling_is_known() {
        use VersionMatch as M;
        let table = [
            ("===2004d", "2004D", M::Yes),
            ("===2004d", "2004e", M::No),
            ("===1.0-final-2", "1.0_final_2", M::Respelled),
            ("===1.0-1", "1.0_1", M::Respelled),
            ("===1.0rc1", "1.0-rc1", M::Respelled),
            ("===1.0", "2004d", M::No),
            (">=0", "2004d", M::Unreadable),
            ("!=1", "2004d", M::Unreadable),
            ("===2004d, >=0", "2004d", M::Unreadable),
            ("===2004d, >=0", "2004e", M::No),
            ("", "2004d", M::Yes),
        ];
        for (specifiers, version, expected) in table {
            let parsed: VersionSpecifiers = specifiers.parse().unwrap();
            let found = parsed.contains(&Version::parse(version));
            assert_eq!(found, expected, "{version} in {specifiers:?}");
        }
    }

    #[test]
    fn what_is_no_specifier_gets_a_hint() {
        let table = [
            ("2.31", "did you mean \"==2.31\"?"),
            ("2004d", "did you mean \"===2004d\"?"),
            (
                "==2004d",
                "did you mean \"===2004d\", which compares by spelling?",
            ),
            (
                "<2004d",
                "2004d has no place among other versions; name single ones by ===",
            ),
            (">=1.4.*", "did you mean \">=1.4\"?"),
            (
                "==1.4a1.*",
                "\".*\" comes behind numbers only, such as \"==1.4.*\"",
            ),
            (
                "~=1",
                "~= needs two numbers at least; did you mean \"~=1.0\"?",
            ),
            (">1+local", "a local version is named by == and != only"),
            (">=1, <two", "write one such as \"<2.31\" or \">=1.0, <2\""),
        ];
        for (text, hint) in table {
            let invalid = text.parse::<VersionSpecifiers>().unwrap_err();
            assert_eq!(invalid.hint, hint, "{text:?}");
        }
    }

    #[test]
    fn specifiers_read_as_written_and_one_may_name_a_version() {
        let table = [
            (" >= 1.0 ,<2", ">=1.0, <2", None),
            ("==1.0-rc1", "==1.0-rc1", Some("1.0-rc1")),
            ("===2004d", "===2004d", Some("2004d")),
            ("==1.*", "==1.*", None),
            ("==1,!=2", "==1, !=2", None),
            ("", "", None),
        ];
        for (text, shown, exact) in table {
            let specifiers: VersionSpecifiers = text.parse().unwrap();
            assert_eq!(specifiers.to_string(), shown);
            let found = specifiers.exact();
            assert_eq!(found.as_ref().map(Version::as_str), exact, "{text:?}");
        }
    }
}
