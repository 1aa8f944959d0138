//! `METADATA` and `PKG-INFO`: the head of a mail, of which three fields are needed (core metadata
//! specification, PEP 241 and later).
//!
//! The file is trusted, not the form: name and version inside have to match the upload, and
//! `Requires-Python` is taken from here because installers choose by it.

use std::borrow::Cow;

use crate::model::{ProjectName, Version};
use crate::protocol::archive::headers::{Headers, joined};

/// Longest head examined, in bytes; the description after it may be longer.
const HEAD_MAX: usize = 4 << 20;

/// The fields of core metadata that the gateway uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreMetadataFields {
    /// `Name`, as written.
    pub name: String,
    /// `Version`, as written.
    pub version: String,
    /// `Requires-Python`, if it is not empty.
    pub requires_python: Option<String>,
    /// `License-Expression` (PEP 639), if it is not empty.
    pub license_expression: Option<String>,
}

/// Why metadata is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreMetadataFault {
    /// A required field is missing or empty.
    #[error("the metadata in the file has no {0}")]
    Missing(&'static str),
    /// It is the metadata of something else.
    #[error("the metadata in the file is of {found}, not of {stated}")]
    Differs {
        /// Name or version inside.
        found: String,
        /// Name or version in the form.
        stated: String,
    },
}

impl CoreMetadataFields {
    /// Parses the head; folded lines are joined, the first of a repeated field counts (of licences, none if
    /// they differ), and invalid UTF-8 is replaced (it can only be in fields that are not used).
    ///
    /// # Errors
    /// When name or version is missing.
    pub fn parse(content: &[u8]) -> Result<Self, CoreMetadataFault> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let text = String::from_utf8_lossy(&content[..content.len().min(HEAD_MAX)]);
        let mut fields: [Option<String>; NAMES.len()] = [const { None }; NAMES.len()];
        for (name, value) in Headers::of(&text) {
            let known = NAMES
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name));
            let Some(at) = known else { continue };
            match NAMES[at] {
                LICENSE => take_license(&mut fields[at], joined(value)),
                _ if fields[at].is_none() => fields[at] = Some(joined(value).into_owned()),
                _ => {}
            }
        }
        let [name, version, requires_python, license_expression] =
            fields.map(|field| field.filter(|value| !value.is_empty() && value != "UNKNOWN"));
        Ok(Self {
            name: name.ok_or(CoreMetadataFault::Missing(NAMES[0]))?,
            version: version.ok_or(CoreMetadataFault::Missing(NAMES[1]))?,
            requires_python,
            license_expression,
        })
    }

    /// Compares with the release that the file was uploaded for.
    ///
    /// # Errors
    /// When the name normalises to another one, or the version differs under PEP 440 (for a legacy
    /// version, as text).
    pub fn agrees_with(
        &self,
        project: &ProjectName,
        version: &str,
    ) -> Result<(), CoreMetadataFault> {
        if !ProjectName::parse(&self.name).is_ok_and(|name| name == *project) {
            return Err(CoreMetadataFault::Differs {
                found: format!("project {:?}", self.name),
                stated: format!("{project:?}", project = project.as_str()),
            });
        }
        if Version::parse(&self.version) != Version::parse(version) {
            return Err(CoreMetadataFault::Differs {
                found: format!("version {:?}", self.version),
                stated: format!("{version:?}"),
            });
        }
        Ok(())
    }
}

/// Takes a licence expression that a head states. Two that differ are none: which one holds is not known, and no
/// expression is both.
pub fn take_license(known: &mut Option<String>, stated: Cow<'_, str>) {
    match known {
        None => *known = Some(stated.into_owned()),
        Some(first) if *first != stated => first.clear(),
        Some(_) => {}
    }
}

const NAMES: [&str; 4] = ["Name", "Version", "Requires-Python", LICENSE];

const LICENSE: &str = "License-Expression";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<CoreMetadataFields, CoreMetadataFault> {
        CoreMetadataFields::parse(text.as_bytes())
    }

    #[test]
    fn two_licences_that_differ_are_none() {
        for (second, expected) in [("MIT", Some("MIT")), ("GPL-3.0-only", None)] {
            let text = format!(
                "Name: x\nVersion: 1\nLicense-Expression: MIT\nLicense-Expression: {second}\n"
            );
            let found = parse(&text).unwrap().license_expression;
            assert_eq!(found.as_deref(), expected, "{second}");
        }
    }

    #[test]
    fn heads_met_in_the_field() {
        let table = [
            (
                "Metadata-Version: 2.1\nName: Hello.Pkg\nVersion: 1.0\n",
                "Hello.Pkg",
                "1.0",
                None,
            ),
            (
                "name: a\r\nVERSION:1\r\nRequires-Python: >=3.8\r\n\r\nName: b\r\n",
                "a",
                "1",
                Some(">=3.8"),
            ),
            (
                "\u{feff}Name: a\nVersion: 1\nRequires-Python: >=3.8,\n  <4\n",
                "a",
                "1",
                Some(">=3.8, <4"),
            ),
            (
                "Summary: x\n Name: folded\nName: a\nVersion: 1\nVersion: 2\n more\n",
                "a",
                "1",
                None,
            ),
            (
                "Name: a\nVersion: 1\nRequires-Python: UNKNOWN\n",
                "a",
                "1",
                None,
            ),
            (
                "no colon here\nName: a\nVersion: 1\nRequires-Python:\n",
                "a",
                "1",
                None,
            ),
        ];
        for (text, name, version, requires_python) in table {
            let fields = parse(text).unwrap();
            assert_eq!(
                (&*fields.name, &*fields.version),
                (name, version),
                "{text:?}"
            );
            assert_eq!(
                fields.requires_python.as_deref(),
                requires_python,
                "{text:?}"
            );
        }
        assert!(CoreMetadataFields::parse(b"Author: \xff\nName: a\nVersion: 1").is_ok());
        let licensed = "Name: a\nVersion: 1\nLicense: BSD\nLicense-Expression: MIT OR\n 0BSD\n\nLicense-Expression: X";
        let expression = parse(licensed).unwrap().license_expression;
        assert_eq!(expression.as_deref(), Some("MIT OR 0BSD"));
    }

    #[test]
    fn what_is_missing_is_told() {
        for (text, field) in [
            ("", "Name"),
            ("Name: a\n", "Version"),
            ("Version: 1\n\nName: a", "Name"),
            ("Name: \nVersion: 1", "Name"),
        ] {
            assert_eq!(
                parse(text),
                Err(CoreMetadataFault::Missing(field)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn spellings_agree_and_other_releases_do_not() {
        let project = ProjectName::parse("hello-pkg").unwrap();
        let table = [
            ("Hello.Pkg", "1.0", "1.0.0", None),
            ("hello_pkg", "1.0-ALPHA.1", "1.0a1", None),
            ("hello-pkg", "2004d", "2004d", None),
            (
                "hello",
                "1.0",
                "1.0",
                Some(r#"the metadata in the file is of project "hello", not of "hello-pkg""#),
            ),
            (
                "hello-pkg",
                "1.0",
                "1.1",
                Some(r#"the metadata in the file is of version "1.0", not of "1.1""#),
            ),
            (
                "hello-pkg",
                "2004d",
                "2004e",
                Some(r#"the metadata in the file is of version "2004d", not of "2004e""#),
            ),
        ];
        for (name, inside, stated, fault) in table {
            let fields = parse(&format!("Name: {name}\nVersion: {inside}")).unwrap();
            let answer = fields
                .agrees_with(&project, stated)
                .err()
                .map(|fault| fault.to_string());
            assert_eq!(answer.as_deref(), fault);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(content in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(fields) = CoreMetadataFields::parse(&content) {
                prop_assert!(!fields.name.is_empty() && !fields.version.is_empty());
            }
        }
    }
}
