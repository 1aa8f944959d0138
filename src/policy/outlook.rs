//! Which files are undecided only because nobody has looked into them yet
//! (docs/adr/0052-what-stands-inside-a-file.md).
//!
//! A file is looked into where that may change what becomes of it: not where another rule refuses it
//! anyway, nor where every answer lets it pass.

use crate::language::{Effect, PolicyMode};
use crate::model::{File, Timestamp};
use crate::policy::decide::ProjectView;
use crate::policy::facts::Facts;
use crate::policy::rule::{Policy, RuleAnswer};
use crate::policy::stack::Candidate;
use crate::policy::verdict::Allowed;

pub use crate::policy::facts::Needs;

/// A file that may be looked into.
#[derive(Debug)]
pub struct Undecided<'f> {
    /// The permission to fetch what is needed to decide; nobody is served by it.
    pub permission: Allowed<&'f File>,
    /// What is needed.
    pub needs: Needs,
}

/// What a policy may come to, once it is known what stands inside a file.
#[derive(Debug, Default)]
struct Outlook {
    may_pass: bool,
    may_refuse: bool,
    needs: Needs,
}

impl Outlook {
    fn of(policy: &Policy, about: &[u32], facts: &Facts<'_>, now: Timestamp) -> Self {
        let mut outlook = Self::default();
        for rule in policy.select(about) {
            let refuses = rule.effect == Effect::Deny;
            let needs = rule.conditions.needs(facts);
            let is_certain = match rule.answer(facts, now) {
                RuleAnswer::Decides => true,
                RuleAnswer::RefusesWithout(_) => needs.is_empty(),
                RuleAnswer::PassesOverWithout(_) if needs.is_empty() => continue,
                RuleAnswer::PassesOverWithout(_) => false,
                RuleAnswer::Fails(_) | RuleAnswer::Expired => continue,
            };
            outlook.may_refuse |= refuses;
            outlook.may_pass |= !refuses;
            if is_certain {
                return outlook;
            }
            outlook.needs = outlook.needs.and(needs);
        }
        match policy.default_deny {
            Some(_) => outlook.may_refuse = true,
            None => outlook.may_pass = true,
        }
        outlook
    }
}

impl ProjectView<'_> {
    /// Whether some rule of the stack about the project asks what stands inside its files.
    #[must_use]
    pub fn asks_inside(&self) -> bool {
        self.policies().any(|(policy, about)| {
            policy
                .select(about)
                .any(|rule| rule.conditions.asks_inside())
        })
    }

    /// The permission to look into a file, where what becomes of it depends on that.
    #[must_use]
    pub fn undecided<'f>(
        &self,
        candidate: &Candidate<'f>,
        now: Timestamp,
    ) -> Option<Undecided<'f>> {
        if !self.asks_inside() {
            return None;
        }
        let member = self.stack().members.get(candidate.member)?;
        let file = candidate.file;
        let facts = self.facts(member, candidate);
        let is_refused = self.recalls().of_file(file).is_some()
            || self.reservation(candidate.member).is_some()
            || self
                .layers_of(member)
                .any(|layer| layer.unlisted(&facts).is_some());
        if is_refused {
            return None;
        }
        let mut needs = Needs::default();
        for layer in self.layers_of(member) {
            let Some((policy, about)) = &layer.policy else {
                continue;
            };
            let outlook = policy.with_lineage(about, &facts, now, |facts| {
                Outlook::of(policy, about, facts, now)
            });
            match (outlook.may_pass, outlook.may_refuse) {
                (true, true) => needs = needs.and(outlook.needs),
                (false, _) if policy.mode == PolicyMode::Enforce => return None,
                (true, false) | (false, _) => {}
            }
        }
        (!needs.is_empty()).then(|| Undecided {
            permission: Allowed::new(file, None),
            needs,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::language::{Matchers, RuleDocument};
    use crate::model::{Inside, License, LicenseExpression, ProjectState, StartupFiles};
    use crate::policy::compile::Policies;
    use crate::policy::sample::{
        allow, at, compiled, deny, file, index, mirror, of, place, policy,
    };

    const NOW: &str = "2026-01-05T00:00:00Z";

    fn rule() -> impl Strategy<Value = RuleDocument> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let license = |ids: &[&str]| Matchers {
            license: words(ids),
            ..Matchers::default()
        };
        let startup = |wanted| Matchers {
            startup_files: Some(wanted),
            ..Matchers::default()
        };
        let matchers = select(vec![
            license(&["GPL-*"]),
            license(&["MIT", "unknown"]),
            license(&["unknown"]),
            startup(true),
            startup(false),
            Matchers {
                startup_files: Some(true),
                ..license(&["GPL-*"])
            },
            Matchers {
                size_over: Some(1),
                ..license(&["MIT"])
            },
            Matchers {
                versions: Some(">=2".parse().unwrap()),
                ..license(&["GPL-*"])
            },
            of(&["six"]),
        ]);
        (matchers, any::<bool>()).prop_map(|(matchers, denies)| match denies {
            true => deny(matchers),
            false => allow(matchers),
        })
    }

    fn policies() -> impl Strategy<Value = Policies> {
        let rules = prop::collection::vec(rule(), 0..4);
        (rules, any::<bool>()).prop_map(|(rules, denies)| {
            let mut house = policy("house", rules);
            house.default_deny = denies.then(|| place(3));
            compiled(vec![mirror("m/one").policy("house")], vec![house])
        })
    }

    fn licenses() -> Vec<License> {
        let stated = ["MIT", "GPL-3.0-only", "MIT OR GPL-3.0-only"]
            .map(|text| License::Stated(Arc::new(LicenseExpression::parse(text).unwrap())));
        [License::Unknown].into_iter().chain(stated).collect()
    }

    /// Everything that may stand inside a file.
    fn insides() -> Vec<Inside> {
        let startup = [
            StartupFiles::Unreadable,
            StartupFiles::Absent,
            StartupFiles::Present,
        ];
        let of = |license: License| {
            startup.map(|startup_files| Inside {
                license: license.clone(),
                startup_files,
            })
        };
        licenses().into_iter().flat_map(of).collect()
    }

    /// Whether a file with this inside passes, and what is still needed to know that for certain.
    fn judge(policies: &Policies, name: &str, inside: &Inside) -> (bool, Option<Needs>) {
        let mut file = file(name, "six");
        file.inside = inside.clone();
        let view = policies.stack(&index("m/one")).unwrap();
        let view = view.view(file.filename.project());
        let candidate = Candidate {
            file: &file,
            member: 0,
            status: ProjectState::Active,
        };
        let verdict = view.decide_file(&candidate, at(NOW));
        let undecided = view.undecided(&candidate, at(NOW));
        let needs = undecided.map(|undecided| undecided.needs);
        (verdict.denial().is_none(), needs)
    }

    proptest! {
        #[test]
        fn what_is_not_known_yet_lets_nothing_pass_and_is_asked_for_where_it_matters(
            policies in policies(),
            name in select(vec!["six-1.0-py3-none-any.whl", "six-2.0-py3-none-any.whl", "six-1.0.tar.gz"]),
        ) {
            let (passes_unread, needs) = judge(&policies, name, &Inside::default());
            for inside in insides() {
                let (passes, more) = judge(&policies, name, &inside);
                prop_assert_eq!(more, None);
                prop_assert!(passes || !passes_unread, "{:?}", inside);
                match needs {
                    None => prop_assert_eq!(passes, passes_unread, "{:?}", inside),
                    // What was asked for is all that the decision depends on.
                    Some(needs) => {
                        let found = Inside {
                            license: match needs.license {
                                true => inside.license.clone(),
                                false => License::Unread,
                            },
                            startup_files: match needs.startup_files {
                                true => inside.startup_files,
                                false => StartupFiles::Unread,
                            },
                        };
                        prop_assert_eq!(judge(&policies, name, &found), (passes, None));
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_refused_anyway_is_not_looked_into() {
        let copyleft = || {
            deny(Matchers {
                license: vec!["GPL-*".into()],
                ..Matchers::default()
            })
        };
        let table = [
            (vec![copyleft()], true),
            (vec![deny(of(&["six"])), copyleft()], false),
            (vec![copyleft(), deny(of(&["six"]))], false),
            (vec![allow(of(&["six"])), copyleft()], false),
        ];
        for (rules, expected) in table {
            let one = mirror("m/one").policy("house");
            let policies = compiled(vec![one], vec![policy("house", rules.clone())]);
            let (_, needs) = judge(&policies, "six-1.0.tar.gz", &Inside::default());
            assert_eq!(needs.is_some(), expected, "{rules:?}");
        }
    }
}
