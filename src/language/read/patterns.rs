//! Words that match others: name patterns, globs, version specifiers, advisories, licences.
//!
//! A pattern that could match nothing, or more than it says, is refused here: `advisory: malwre` would
//! otherwise silently let malware through.

use globset::{Glob as Compiled, GlobBuilder};
use serde_json::{Value as Json, json};

use crate::language::document::{NamePattern, SimilarTo, WhitelistName};
use crate::language::read::keys::{Misread, Word};
use crate::model::{
    InvalidSpecifier, LicenseExpression, ProjectName, VersionSpecifiers, license_ids, suggest,
};

/// Most memory that one compiled regular expression may take, in bytes: hundreds of times what a pattern
/// for names needs, and still harmless.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A glob, known to compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(pub(super) String);

/// An advisory's class, id, or a glob of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advisory(pub(super) String);

/// `unknown`, an id of SPDX, perhaps with an exception, or a glob of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LicenseWord(pub(super) String);

/// What a `license` matcher calls the lack of a statement.
const UNKNOWN: &str = "unknown";

/// What an `advisory` matcher calls the classes of OSV ids.
const ADVISORY_CLASSES: [&str; 2] = ["malware", "vulnerability"];

impl Word for NamePattern {
    fn wanted() -> String {
        "a project name, a glob such as \"acme-*\" or a /regular expression/".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if let Some(inside) = text.strip_prefix('/') {
            let Some(regex) = inside.strip_suffix('/') else {
                let wrong = Misread::new(format!("{text:?} starts like a regular expression"));
                return Err(wrong.hint("end it with a slash"));
            };
            return read_regex(regex);
        }
        if text.contains(['*', '?', '[', ']', '{', '}', '!']) {
            return read_name_glob(text);
        }
        ProjectName::parse(text)
            .map(Self::Exact)
            .map_err(Misread::new)
    }
}

fn read_regex(regex: &str) -> Result<NamePattern, Misread> {
    if regex.is_empty() {
        return Err(
            Misread::new("an empty regular expression matches every name").hint("say \"*\""),
        );
    }
    let built = regex::RegexBuilder::new(regex)
        .size_limit(REGEX_BYTES_MAX)
        .build();
    match built {
        Ok(_) => Ok(NamePattern::Regex(regex.to_owned())),
        Err(error) => {
            // The crate's message draws the position over several lines; its last line says what is wrong.
            let drawn = error.to_string();
            let last = drawn.lines().last().unwrap_or(&drawn);
            let why = last.trim_start_matches("error: ").to_lowercase();
            Err(Misread::new(format!(
                "/{regex}/ is not a regular expression ({why})"
            )))
        }
    }
}

/// A glob is matched against normalised names, so it is normalised the same way (PEP 503).
fn read_name_glob(text: &str) -> Result<NamePattern, Misread> {
    let allowed =
        |character: char| character.is_ascii_alphanumeric() || "-_.*?[]{},!".contains(character);
    if let Some(stranger) = text.chars().find(|character| !allowed(*character)) {
        let what = format!("{text:?} is not a glob for names, which never hold {stranger:?}");
        return Err(Misread::new(what));
    }
    let mut glob = String::with_capacity(text.len());
    let mut in_class = false;
    for character in text.chars() {
        in_class = match character {
            '[' => true,
            ']' => false,
            _ => in_class,
        };
        match character {
            '-' | '_' | '.' if in_class => glob.push(character),
            '-' | '_' | '.' if glob.ends_with('-') => {}
            '-' | '_' | '.' => glob.push('-'),
            other => glob.push(other.to_ascii_lowercase()),
        }
    }
    Glob::read(&glob).map(|glob| NamePattern::Glob(glob.0))
}

impl Word for Glob {
    fn wanted() -> String {
        "a glob such as \"cp312*\"".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if text.is_empty() {
            return Err(Misread::new("an empty glob matches nothing"));
        }
        match GlobBuilder::new(text).build() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(Misread::new(format!(
                "{text:?} is not a glob ({})",
                error.kind()
            ))),
        }
    }
}

impl Word for VersionSpecifiers {
    fn wanted() -> String {
        "a version specifier such as \"<2.31\" (PEP 440)".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let specifiers: Self = text.parse().map_err(|invalid: InvalidSpecifier| {
            Misread::new(invalid.to_string()).hint(invalid.hint)
        })?;
        if specifiers.is_empty() {
            return Err(
                Misread::new("an empty specifier contains every version").hint("leave it out")
            );
        }
        Ok(specifiers)
    }
}

impl Word for Advisory {
    fn wanted() -> String {
        "malware, vulnerability, an advisory's id or a glob of ids".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if ADVISORY_CLASSES.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        // Every OSV id has a prefix and a dash: MAL-…, GHSA-…, CVE-…, PYSEC-….
        if !text.contains(['-', '*', '?', '[']) {
            let misread = Misread::new(format!("{text:?} is not {}", Self::wanted()));
            return Err(match suggest(&text.to_lowercase(), ADVISORY_CLASSES) {
                Some(class) => misread.hint(format!("did you mean \"{class}\"?")),
                None => misread,
            });
        }
        Glob::read(text).map(|glob| Self(glob.0))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(malware|vulnerability|.*[-*?\\[].*)$" })
    }
}

impl Word for SimilarTo {
    fn wanted() -> String {
        "a project name, or owned".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        match text {
            "owned" => Ok(Self::Owned),
            name => ProjectName::parse(name)
                .map(Self::Project)
                .map_err(Misread::new),
        }
    }
}

impl Word for LicenseWord {
    fn wanted() -> String {
        "a licence of SPDX such as MIT, a glob such as \"GPL-*\", or unknown".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let word = || Self(text.to_owned());
        if text == UNKNOWN {
            return Ok(word());
        }
        if text.contains(['*', '?', '[', '{']) {
            let Glob(glob) = Glob::read(text)?;
            return match names_any(&glob) {
                true => Ok(word()),
                false => Err(Misread::new(format!(
                    "no licence of SPDX is called {text:?}"
                ))),
            };
        }
        let read = LicenseExpression::parse(text);
        let is_one = |read: &LicenseExpression| {
            let is_operator = |word: &str| ["AND", "OR"].contains(&word);
            !read.as_str().split(' ').any(is_operator)
        };
        if read.is_ok_and(|read| is_one(&read)) {
            return Ok(word());
        }
        let misread = Misread::new(format!("{text:?} is not {}", Self::wanted()));
        let known = license_ids().chain([UNKNOWN]);
        Err(match suggest(text, known) {
            Some(id) => misread.hint(format!("did you mean \"{id}\"?")),
            None => misread,
        })
    }
}

/// Whether a glob, which compiles, can match a licence.
fn names_any(glob: &str) -> bool {
    if glob.to_ascii_lowercase().starts_with("licenseref-") || glob.contains(' ') {
        return true;
    }
    let compiled: Option<Compiled> = GlobBuilder::new(glob).case_insensitive(true).build().ok();
    let matcher = compiled.map(|compiled| compiled.compile_matcher());
    matcher.is_some_and(|matcher| license_ids().any(|id| matcher.is_match(id)))
}

impl Word for WhitelistName {
    fn wanted() -> String {
        "a project name or \"*\"".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if text == "*" {
            return Ok(Self::All);
        }
        ProjectName::parse(text)
            .map(Self::Project)
            .map_err(Misread::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_globs_and_expressions_are_told_apart_and_normalised() {
        let exact = |name| NamePattern::Exact(ProjectName::parse(name).unwrap());
        let table = [
            ("Django_Rest.Framework", exact("django-rest-framework")),
            ("Acme_*", NamePattern::Glob("acme-*".into())),
            ("acme.._?", NamePattern::Glob("acme-?".into())),
            ("[A-c]*", NamePattern::Glob("[a-c]*".into())),
            ("{ACME,corp}-*", NamePattern::Glob("{acme,corp}-*".into())),
            ("*", NamePattern::Glob("*".into())),
            (
                "/^py-?thon-.*$/",
                NamePattern::Regex("^py-?thon-.*$".into()),
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(NamePattern::read(text), Ok(wanted), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_mean_what_it_says_is_refused() {
        let table = [
            ("", "\"\" is not a project name"),
            ("-a-", "\"-a-\" is not a project name"),
            ("/abc", "\"/abc\" starts like a regular expression"),
            ("//", "an empty regular expression matches every name"),
            ("/(/", "/(/ is not a regular expression (unclosed group)"),
            (
                "acme/*",
                "\"acme/*\" is not a glob for names, which never hold '/'",
            ),
            (
                "[a",
                "\"[a\" is not a glob (unclosed character class; missing ']')",
            ),
            (
                "{a",
                "\"{a\" is not a glob (unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?))",
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(
                NamePattern::read(text).unwrap_err().what,
                wanted,
                "{text:?}"
            );
        }
        let huge = NamePattern::read("/(a{1000}){1000}/").unwrap_err();
        assert!(huge.what.contains("size limit"), "{}", huge.what);
    }

    #[test]
    fn a_bare_version_gets_its_operator() {
        assert!(VersionSpecifiers::read(">=1.0, <2").is_ok());
        let misread = VersionSpecifiers::read("2.31").unwrap_err();
        assert_eq!(misread.hint.as_deref(), Some("did you mean \"==2.31\"?"));
        let misread = VersionSpecifiers::read("==2004d").unwrap_err();
        assert!(misread.hint.unwrap().contains("\"===2004d\""));
        assert!(VersionSpecifiers::read("===2004d").is_ok());
        for empty in [" ", " , "] {
            let misread = VersionSpecifiers::read(empty).unwrap_err();
            assert_eq!(misread.what, "an empty specifier contains every version");
        }
        assert!(VersionSpecifiers::read("<two").is_err());
    }

    #[test]
    fn a_misspelled_class_is_no_advisory_id() {
        let misread = Advisory::read("malwre").unwrap_err();
        assert_eq!(misread.hint.as_deref(), Some("did you mean \"malware\"?"));
        for text in ["malware", "vulnerability", "CVE-2023-32681", "GHSA-*", "*"] {
            assert_eq!(Advisory::read(text), Ok(Advisory(text.into())));
        }
        assert!(Advisory::read("cve").is_err());
    }

    #[test]
    fn a_licence_that_spdx_does_not_know_is_refused() {
        for text in [
            "MIT",
            "mit",
            "GPL-3.0",
            "gpl-*",
            "*",
            "unknown",
            "LicenseRef-Proprietary",
            "LicenseRef-*",
            "GPL-2.0-only WITH Classpath-exception-2.0",
        ] {
            assert_eq!(LicenseWord::read(text), Ok(LicenseWord(text.into())));
        }
        let misread = LicenseWord::read("GPL3.0").unwrap_err();
        assert_eq!(misread.hint.as_deref(), Some("did you mean \"GPL-3.0\"?"));
        let misread = LicenseWord::read("GNU-*").unwrap_err();
        assert_eq!(misread.what, "no licence of SPDX is called \"GNU-*\"");
        for text in ["MIT OR 0BSD", "(MIT)OR 0BSD", "Unknown", "MIT License"] {
            assert!(LicenseWord::read(text).is_err(), "{text}");
        }
    }
}
