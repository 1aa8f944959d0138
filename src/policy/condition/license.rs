//! Which licences a rule asks for.
//!
//! An expression offers alternatives (`OR`), each of one or more licences that hold together (`AND`), and
//! whoever takes the file chooses one. So a `deny` matches when every alternative has a licence that the
//! rule names: under `MIT OR GPL-3.0-only` one may choose MIT. An `allow` matches when some alternative
//! consists of such licences only.

use globset::GlobSet;

use crate::language::Effect;
use crate::model::{Faults, License, LicenseExpression, LicenseTerm, Location};
use crate::policy::advisory::any_case_globs;

/// The word for what states no licence.
const UNKNOWN: &str = "unknown";

/// A rule's `license`.
#[derive(Debug, Clone)]
pub(super) struct LicenseSelector {
    effect: Effect,
    unknown: bool,
    ids: GlobSet,
}

impl LicenseSelector {
    /// Compiles a rule's `license`; `None` if the rule has none.
    pub(super) fn compile(
        words: &[String],
        effect: Effect,
        location: &Location,
        faults: &mut Faults,
    ) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        let ids = words.iter().filter(|word| *word != UNKNOWN);
        let ids: Vec<String> = ids.flat_map(|word| spellings(word)).collect();
        Some(Self {
            effect,
            unknown: words.iter().any(|word| word == UNKNOWN),
            ids: any_case_globs(&ids, location, faults),
        })
    }

    /// Whether the rule asks for this; `None` if that cannot be said.
    pub(super) fn selects(&self, license: &License) -> Option<bool> {
        match license {
            License::Unread => None,
            // Somebody who refuses a licence wants to know that this is not it.
            License::Unknown => self.unknown.then_some(true).or_else(|| self.without_ids()),
            License::Stated(expression) => Some(self.names(expression)),
        }
    }

    fn without_ids(&self) -> Option<bool> {
        self.ids.is_empty().then_some(false)
    }

    fn names(&self, expression: &LicenseExpression) -> bool {
        match self.effect {
            Effect::Deny => !expression.offers(|term| !self.is_named(term)),
            Effect::Allow => expression.offers(|term| self.is_named(term)),
        }
    }

    /// Whether a licence is named, with or without what `+` and `WITH` add to it.
    fn is_named(&self, term: &LicenseTerm) -> bool {
        let bare = &term.license;
        let later = term.or_later.then(|| format!("{bare}+"));
        let licenses = [Some(bare.clone()), later].into_iter().flatten();
        licenses.into_iter().any(|license| {
            let with = term.exception.as_ref();
            let with = with.map(|exception| format!("{license} WITH {exception}"));
            self.ids.is_match(&license) || with.is_some_and(|with| self.ids.is_match(with))
        })
    }
}

/// A word as globs for expressions in their one spelling. A GNU id without `-only` or `-or-later` means both.
fn spellings(word: &str) -> Vec<String> {
    let (id, rest) = word.split_at(word.find(' ').unwrap_or(word.len()));
    let both = ["-only", "-or-later"].map(|suffix| format!("{id}{suffix}{rest}"));
    let normal = |text: &str| {
        let read = LicenseExpression::parse(text).ok()?;
        Some(read.as_str().to_owned())
    };
    match both.each_ref().map(|text| normal(text)) {
        [Some(only), Some(later)] => vec![only, later],
        _ => vec![normal(word).unwrap_or_else(|| word.to_owned())],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::sample::place;

    fn selects(effect: Effect, words: &[&str], license: &str) -> Option<bool> {
        let mut faults = Faults::default();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let selector = LicenseSelector::compile(&words, effect, &place(1), &mut faults).unwrap();
        assert_eq!(faults, Faults::default());
        selector.selects(&match license {
            "" => License::Unread,
            "unknown" => License::Unknown,
            text => License::Stated(Arc::new(LicenseExpression::parse(text).unwrap())),
        })
    }

    #[test]
    fn what_is_refused_is_what_offers_no_way_around_it() {
        let copyleft = ["AGPL-*", "GPL-*"];
        let table = [
            ("MIT", Some(false)),
            ("GPL-3.0", Some(true)),
            ("agpl-3.0-or-later", Some(true)),
            ("MIT OR GPL-3.0-only", Some(false)),
            ("MIT AND GPL-3.0-only", Some(true)),
            ("(MIT AND GPL-2.0-only) OR AGPL-3.0-only", Some(true)),
            (
                "(MIT OR GPL-2.0-only) AND (0BSD OR AGPL-3.0-only)",
                Some(false),
            ),
            ("GPL-2.0-only WITH Classpath-exception-2.0", Some(true)),
            ("LGPL-3.0-only", Some(false)),
            ("unknown", None),
            ("", None),
        ];
        for (license, expected) in table {
            assert_eq!(
                selects(Effect::Deny, &copyleft, license),
                expected,
                "{license}"
            );
        }
    }

    #[test]
    fn what_is_allowed_is_what_can_be_taken_under_such_licences_alone() {
        let free = ["MIT", "BSD-*", "Apache-2.0"];
        let table = [
            ("MIT", Some(true)),
            ("MIT OR GPL-3.0-only", Some(true)),
            ("MIT AND GPL-3.0-only", Some(false)),
            ("MIT AND BSD-3-Clause", Some(true)),
            ("Apache-2.0+", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("unknown", None),
            ("", None),
        ];
        for (license, expected) in table {
            assert_eq!(
                selects(Effect::Allow, &free, license),
                expected,
                "{license}"
            );
        }
    }

    #[test]
    fn words_mean_what_their_writers_mean() {
        let table: [(&[&str], &str, Option<bool>); 11] = [
            (&["gpl-3.0"], "GPL-3.0-only", Some(true)),
            (&["GPL-3.0"], "GPL-3.0-or-later", Some(true)),
            (&["GPL-3.0"], "GPL-2.0-or-later", Some(false)),
            (&["GPL-3.0-only"], "GPL-3.0-or-later", Some(false)),
            (&["GPL-3.0+"], "GPL-3.0-or-later", Some(true)),
            (
                &["GPL-2.0 WITH Classpath-exception-2.0"],
                "GPL-2.0-or-later WITH Classpath-exception-2.0",
                Some(true),
            ),
            (
                &["GPL-2.0 WITH Classpath-exception-2.0"],
                "GPL-2.0-only",
                Some(false),
            ),
            (&["LicenseRef-*"], "LicenseRef-Proprietary", Some(true)),
            (&["unknown"], "unknown", Some(true)),
            (&["unknown"], "MIT", Some(false)),
            (&["unknown", "GPL-*"], "GPL-3.0-only", Some(true)),
        ];
        for (words, license, expected) in table {
            for effect in [Effect::Deny, Effect::Allow] {
                assert_eq!(
                    selects(effect, words, license),
                    expected,
                    "{words:?} {license}"
                );
            }
        }
    }
}
