//! Many name patterns, matched at the cost of a few look-ups however many there are.
//!
//! Plain names sit in one hash map, globs in one `GlobSet`, regular expressions in one `RegexSet`.
//! Each pattern carries a position that its owner gives it: the number of a rule, or of an entry in
//! a list. Regular expressions search (write `^` and `$` to anchor them) and ignore case, because
//! the names they meet are always lower case.

mod lookalikes;

use std::collections::HashMap;

use globset::{Glob, GlobSet, GlobSetBuilder};
use regex::{RegexSet, RegexSetBuilder};

use crate::language::NamePattern;
use crate::model::{Fault, Faults, Location, ProjectName};

pub use lookalikes::{HouseNames, Lookalikes};

/// Most memory for the compiled regular expressions of one list, in bytes. The crate allows 10 MiB
/// for one expression; a policy has a handful.
const REGEX_BYTES_MAX: usize = 64 << 20;

/// Most globs in one list: they are tried together, but compiling many thousands takes seconds.
const GLOBS_MAX: usize = 10_000;

/// A compiled list of patterns.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    exact: HashMap<ProjectName, Vec<u32>>,
    globs: GlobSet,
    glob_positions: Vec<u32>,
    regexes: RegexSet,
    regex_positions: Vec<u32>,
}

impl Names {
    /// Compiles patterns, each with its position and the place to name when it cannot be compiled.
    pub(super) fn compile<'a>(
        patterns: impl IntoIterator<Item = (u32, &'a NamePattern, &'a Location)>,
        faults: &mut Faults,
    ) -> Self {
        let mut names = Self::default();
        let mut globs: Vec<(Glob, &Location)> = Vec::new();
        let mut regexes: Vec<(&str, &Location)> = Vec::new();
        for (position, pattern, location) in patterns {
            match pattern {
                NamePattern::Exact(project) => {
                    let positions = names.exact.entry(project.clone());
                    positions.or_default().push(position);
                }
                NamePattern::Glob(text) => match Glob::new(text) {
                    Ok(glob) => {
                        globs.push((glob, location));
                        names.glob_positions.push(position);
                    }
                    Err(error) => faults.push(bad_glob(text, &error, location)),
                },
                NamePattern::Regex(text) => {
                    regexes.push((text, location));
                    names.regex_positions.push(position);
                }
            }
        }
        names.globs = glob_set(&globs, faults);
        names.regexes = regex_set(&regexes, faults);
        names
    }

    /// The positions of all patterns that match, ascending, each once.
    pub(super) fn matching(&self, project: &ProjectName) -> Vec<u32> {
        let mut found = self.exact.get(project).cloned().unwrap_or_default();
        let globs = self.globs.matches(project.as_str());
        found.extend(globs.into_iter().map(|at| self.glob_positions[at]));
        let regexes = self.regexes.matches(project.as_str());
        found.extend(regexes.into_iter().map(|at| self.regex_positions[at]));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The position of the first pattern that matches.
    pub(super) fn first(&self, project: &ProjectName) -> Option<u32> {
        self.matching(project).first().copied()
    }

    /// Whether any pattern matches.
    pub(super) fn contains(&self, project: &ProjectName) -> bool {
        self.exact.contains_key(project)
            || self.globs.is_match(project.as_str())
            || self.regexes.is_match(project.as_str())
    }
}

/// The fault of a glob that cannot be compiled.
pub(super) fn bad_glob(text: &str, error: &globset::Error, location: &Location) -> Fault {
    let what = format!("{text:?} is not a glob: {}", error.kind());
    Fault::at(location, what)
}

fn glob_set(globs: &[(Glob, &Location)], faults: &mut Faults) -> GlobSet {
    let Some((_, location)) = globs.first() else {
        return GlobSet::empty();
    };
    if globs.len() > GLOBS_MAX {
        let what = format!("{} globs in one list, {GLOBS_MAX} at most", globs.len());
        faults.push(Fault::at(location, what).hint("write names out instead"));
        return GlobSet::empty();
    }
    let mut builder = GlobSetBuilder::new();
    for (glob, _) in globs {
        builder.add(glob.clone());
    }
    builder.build().unwrap_or_else(|error| {
        let what = format!("the globs of this list are too large together: {error}");
        faults.push(Fault::at(location, what));
        GlobSet::empty()
    })
}

fn regex_set(regexes: &[(&str, &Location)], faults: &mut Faults) -> RegexSet {
    let Some((_, location)) = regexes.first() else {
        return RegexSet::empty();
    };
    RegexSetBuilder::new(regexes.iter().map(|(text, _)| text))
        .case_insensitive(true)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .unwrap_or_else(|error| {
            let what = format!("the regular expressions of this list do not compile: {error}");
            faults.push(Fault::at(location, what));
            RegexSet::empty()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::{place, project};

    fn names(patterns: &[NamePattern]) -> Result<Names, Faults> {
        let mut faults = Faults::default();
        let location = place(7);
        let placed = patterns
            .iter()
            .zip(0..)
            .map(|(one, at)| (at, one, &location));
        let names = Names::compile(placed, &mut faults);
        faults.or(names)
    }

    #[test]
    fn every_kind_of_pattern_matches_the_normalised_name() {
        let names = names(&[
            NamePattern::Exact(project("Acme_Core")),
            NamePattern::Glob("acme-*".into()),
            NamePattern::Regex("^ACME-c[aeiou]re$".into()),
            NamePattern::Exact(project("six")),
            NamePattern::Glob("{numpy,scipy}".into()),
        ])
        .unwrap();
        let table: [(&str, &[u32]); 6] = [
            ("acme.core", &[0, 1, 2]),
            ("acme-care", &[1, 2]),
            ("acme", &[]),
            ("SIX", &[3]),
            ("scipy", &[4]),
            ("sixx", &[]),
        ];
        for (name, positions) in table {
            let name = project(name);
            assert_eq!(names.matching(&name), positions, "{name}");
            assert_eq!(names.first(&name), positions.first().copied(), "{name}");
            assert_eq!(names.contains(&name), !positions.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_compiled_is_a_fault_with_its_place() {
        let faults = names(&[
            NamePattern::Glob("acme-[".into()),
            NamePattern::Regex("a{999999999}".into()),
        ])
        .unwrap_err()
        .to_string();
        assert!(
            faults.contains("policies/web.yaml:7:5: \"acme-[\" is not a glob"),
            "{faults}"
        );
        assert!(
            faults.contains("regular expressions of this list do not compile"),
            "{faults}"
        );
        let many: Vec<_> = (0..=GLOBS_MAX)
            .map(|number| NamePattern::Glob(format!("a{number}*")))
            .collect();
        let faults = names(&many).unwrap_err().to_string();
        assert!(faults.contains("10001 globs in one list"), "{faults}");
    }
}
