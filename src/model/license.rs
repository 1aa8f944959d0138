//! License expressions (PEP 639, SPDX): what a file may be used under, as its author says.
//!
//! Every licence and exception is one of SPDX's list, or a `LicenseRef-`. What is not cannot be judged by
//! a rule, and counts as no statement. Expressions are kept in one spelling: ids as SPDX spells them, and
//! the GNU ids that were withdrawn by what they meant (`GPL-3.0` is `GPL-3.0-only`, `GPL-3.0+` is
//! `GPL-3.0-or-later`).

use std::fmt;
use std::sync::Arc;

use spdx::identifiers::{EXCEPTIONS, LICENSES};
use spdx::{AdditionItem, Expression, LicenseItem, LicenseReq, ParseMode};

/// Longest expression that is read, in bytes: some of bundles of a dozen libraries have a few hundred.
const EXPRESSION_BYTES_MAX: usize = 1024;

/// Withdrawn ids are read, since files that state them are not made again.
const MODE: ParseMode = ParseMode {
    allow_deprecated: true,
    ..ParseMode::STRICT
};

/// A valid expression.
#[derive(Clone)]
pub struct LicenseExpression {
    text: Arc<str>,
    expression: Expression,
}

/// One licence of an expression, perhaps with an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseTerm {
    /// Its id.
    pub license: String,
    /// Whether later versions may be chosen as well (`+`).
    pub or_later: bool,
    /// What `WITH` adds.
    pub exception: Option<String>,
}

/// The text is no expression of licences that SPDX knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no license expression of SPDX")]
pub struct InvalidLicense(pub String);

impl LicenseExpression {
    /// Reads a `License-Expression`; ids and operators are compared without case.
    ///
    /// # Errors
    /// When it is no expression, is too long, or names a licence that SPDX does not list.
    pub fn parse(text: &str) -> Result<Self, InvalidLicense> {
        let invalid = || InvalidLicense(text.chars().take(80).collect());
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(invalid());
        }
        let normal = normalised(text);
        let expression = Expression::parse_mode(&normal, MODE).map_err(|_| invalid())?;
        Ok(Self {
            text: normal.into(),
            expression,
        })
    }

    /// The expression in its one spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether one of the alternatives that the expression offers consists of such terms only.
    #[must_use]
    pub fn offers(&self, mut is_such: impl FnMut(&LicenseTerm) -> bool) -> bool {
        self.expression.evaluate(|term| is_such(&term_of(term)))
    }
}

impl fmt::Display for LicenseExpression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(out)
    }
}

impl fmt::Debug for LicenseExpression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(out)
    }
}

impl PartialEq for LicenseExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LicenseExpression {}

/// Every id on SPDX's list.
pub fn license_ids() -> impl Iterator<Item = &'static str> {
    LICENSES.iter().map(|license| license.name)
}

fn term_of(term: &LicenseReq) -> LicenseTerm {
    let (license, or_later) = match &term.license {
        LicenseItem::Spdx { id, or_later } => (id.name.to_owned(), *or_later),
        LicenseItem::Other(other) => (other.to_string(), false),
    };
    let exception = term.addition.as_ref().map(|addition| match addition {
        AdditionItem::Spdx(id) => id.name.to_owned(),
        AdditionItem::Other(other) => other.to_string(),
    });
    LicenseTerm {
        license,
        or_later,
        exception,
    }
}

/// The text with every word in its one spelling, and one space between words.
fn normalised(text: &str) -> String {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<String> = spaced.split_whitespace().map(normal_word).collect();
    words.join(" ").replace("( ", "(").replace(" )", ")")
}

fn normal_word(word: &str) -> String {
    for operator in ["AND", "OR", "WITH"] {
        if word.eq_ignore_ascii_case(operator) {
            return operator.to_owned();
        }
    }
    let (bare, plus) = match word.strip_suffix('+') {
        Some(bare) => (bare, "+"),
        None => (word, ""),
    };
    // The GNU licences have an id for each of the two.
    let suffix = if plus.is_empty() {
        "-only"
    } else {
        "-or-later"
    };
    if let Some(id) = listed(&format!("{bare}{suffix}")) {
        return id.to_owned();
    }
    let exceptions = EXCEPTIONS.iter().map(|exception| exception.name);
    let exception = || find(exceptions, bare);
    match listed(bare).or_else(exception) {
        Some(id) => format!("{id}{plus}"),
        None => word.to_owned(),
    }
}

/// The id as SPDX spells it.
fn listed(id: &str) -> Option<&'static str> {
    find(license_ids(), id)
}

fn find<'a>(mut ids: impl Iterator<Item = &'a str>, wanted: &str) -> Option<&'a str> {
    ids.find(|id| id.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> Option<String> {
        let read = LicenseExpression::parse(text).ok()?;
        Some(read.as_str().to_owned())
    }

    #[test]
    fn expressions_have_one_spelling() {
        let table = [
            ("mit", "MIT"),
            ("MIT or apache-2.0", "MIT OR Apache-2.0"),
            (
                " ( mit AND  bsd-3-clause)OR 0BSD",
                "(MIT AND BSD-3-Clause) OR 0BSD",
            ),
            ("GPL-3.0", "GPL-3.0-only"),
            ("gpl-2.0+", "GPL-2.0-or-later"),
            ("LGPL-2.1-or-later", "LGPL-2.1-or-later"),
            ("Apache-2.0+", "Apache-2.0+"),
            (
                "gpl-2.0 with classpath-exception-2.0",
                "GPL-2.0-only WITH Classpath-exception-2.0",
            ),
            ("LicenseRef-Proprietary", "LicenseRef-Proprietary"),
            // Withdrawn, and without a successor that is an id.
            ("eCos-2.0", "eCos-2.0"),
        ];
        for (text, expected) in table {
            assert_eq!(normal(text).as_deref(), Some(expected), "{text}");
            assert_eq!(normal(expected).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_spdx_does_not_know_is_no_statement() {
        let long = vec!["MIT"; 400].join(" OR ");
        let deep = "(".repeat(1000);
        for text in [
            "",
            "GPLv3",
            "MIT License",
            "MIT OR",
            "MIT Apache-2.0",
            "(MIT",
            "MIT)",
            "MIT/GPL-3.0",
            "MIT WITH GPL-3.0-only",
            "AND",
            "GPL-3.0-only+ +",
            "ŁIT",
            &long,
            &deep,
        ] {
            assert_eq!(normal(text), None, "{text}");
        }
    }

    #[test]
    fn an_expression_offers_what_one_alternative_wholly_is() {
        let offers = |text: &str, id: &str| {
            let read = LicenseExpression::parse(text).unwrap();
            read.offers(|term| term.license == id)
        };
        let table = [
            ("MIT", true),
            ("MIT OR GPL-3.0-only", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT AND 0BSD) OR GPL-3.0-only", false),
            ("(MIT OR 0BSD) AND (MIT OR GPL-3.0-only)", true),
        ];
        for (text, expected) in table {
            assert_eq!(offers(text, "MIT"), expected, "{text}");
        }
        let read = LicenseExpression::parse("Apache-2.0+ WITH LLVM-exception").unwrap();
        let mut terms = Vec::new();
        let all = read.offers(|term| {
            terms.push(term.clone());
            true
        });
        assert!(all);
        let expected = LicenseTerm {
            license: "Apache-2.0".into(),
            or_later: true,
            exception: Some("LLVM-exception".into()),
        };
        assert_eq!(terms, [expected]);
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "\\PC{0,40}") {
            if let Ok(read) = LicenseExpression::parse(&text) {
                prop_assert_eq!(normal(read.as_str()), Some(read.as_str().to_owned()));
            }
        }

        #[test]
        fn any_words_have_an_answer(
            words in prop::collection::vec(prop::sample::select(vec![
                "MIT", "gpl-3.0+", "OR", "and", "WITH", "(", ")", "+", "LLVM-exception", "LicenseRef-x", "Łx",
            ]), 0..9),
        ) {
            if let Ok(read) = LicenseExpression::parse(&words.join(" ")) {
                prop_assert_eq!(normal(read.as_str()), Some(read.as_str().to_owned()));
            }
        }
    }
}
