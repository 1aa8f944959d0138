//! The names of rules, by which metrics, logs and refusals speak of them.
//!
//! A rule is named by its policy and its `id`; without one, by what it asks for. Lines of a file would
//! change their meaning with every edit above them, and counters with them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::language::document::{Effect, PolicyDocument, RuleDocument};
use crate::language::words::asked;
use crate::model::{Fault, Faults, Sha256};

/// What `default: deny` is called; no rule may have it as its `id`.
pub const DEFAULT: &str = "default";

/// Most keys of a rule that its name shows; the digest tells apart what they leave open.
const KEYS_MAX: usize = 3;

/// Hexadecimal digits of the digest in a name: two rules in a billion share them.
const DIGITS: usize = 8;

/// The name of a rule of a policy.
pub fn full_name(policy: &str, id: &str) -> Arc<str> {
    format!("{policy}/{id}").into()
}

/// The names of a policy's rules, in order. An `id` that occurs twice is a fault.
pub fn rule_names(policy: &PolicyDocument, faults: &mut Faults) -> Vec<Arc<str>> {
    let mut given = HashMap::new();
    for id in policy.rules.iter().filter_map(|rule| rule.id.as_ref()) {
        if let Some(first) = given.insert(id.value.as_str(), &id.location) {
            let what = format!(
                "id {:?} a second time in policy {}, first on line {}",
                id.value, policy.name.value, first.line
            );
            faults.push(Fault::at(&id.location, what).hint("give each rule its own"));
        }
    }
    let mut taken: HashSet<String> = given.into_keys().map(str::to_owned).collect();
    let rules = policy.rules.iter();
    let ids = rules.map(|rule| match &rule.id {
        Some(id) => id.value.clone(),
        None => free(made(rule), &mut taken),
    });
    ids.map(|id| full_name(&policy.name.value, &id)).collect()
}

/// The name itself, or with the first number that makes it another.
fn free(name: String, taken: &mut HashSet<String>) -> String {
    let mut numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut chosen = name.clone();
    while taken.contains(&chosen)
        && let Some(next) = numbered.next()
    {
        chosen = next;
    }
    taken.insert(chosen.clone());
    chosen
}

/// What a rule without an `id` is called: what it does, what it looks at, and a digest of the whole. Its
/// reason, owner, ticket and end may change without making it another rule.
fn made(rule: &RuleDocument) -> String {
    let effect = match rule.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    let mut content = effect.to_owned();
    let mut name = effect.to_owned();
    let asked = asked(&rule.matchers).into_iter();
    let asked = asked.filter(|(_, values)| !values.is_empty());
    for (position, (key, mut values)) in asked.enumerate() {
        if position < KEYS_MAX {
            name.push_str(&format!("-{key}"));
        }
        values.sort();
        content.push_str(&format!("\n{key}: {}", values.join(", ")));
    }
    let digest = Sha256::of(content.as_bytes()).to_string();
    format!("{name}-{}", &digest[..DIGITS])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::language::document::{Matchers, Placed};
    use crate::language::sample::{allow, deny, of, place, policy};

    fn names(rules: Vec<RuleDocument>) -> Vec<String> {
        let mut faults = Faults::default();
        let names = rule_names(&policy("corporate", rules), &mut faults);
        let names = faults.or(names).unwrap();
        names.iter().map(ToString::to_string).collect()
    }

    fn week() -> Matchers {
        Matchers {
            younger_than: Some(Duration::from_hours(7 * 24)),
            ..Matchers::default()
        }
    }

    fn called(id: &str, line: u32, mut rule: RuleDocument) -> RuleDocument {
        rule.id = Some(Placed::at(&place(line), id.to_owned()));
        rule
    }

    #[test]
    fn a_rule_is_named_by_its_id_or_by_what_it_asks_for() {
        let rules = vec![
            called("cool-down", 10, deny(week())),
            deny(week()),
            allow(week()),
            deny(Matchers {
                yanked: Some(true),
                ..of(&["six", "numpy"])
            }),
            deny(Matchers::default()),
        ];
        insta::assert_snapshot!(names(rules).join("\n"), @"
        corporate/cool-down
        corporate/deny-younger_than-3538c8d7
        corporate/allow-younger_than-4d43c972
        corporate/deny-project-yanked-aeacd036
        corporate/deny-3026a0ca
        ");
    }

    #[test]
    fn a_made_name_outlives_what_does_not_change_the_rule() {
        let before = names(vec![
            allow(of(&["six", "numpy"])).until("2026-01-31T00:00:00Z"),
        ]);
        let moved = allow(of(&["numpy", "six"])).until("2027-01-31T00:00:00Z");
        let after = names(vec![deny(of(&["x"])), moved.reason("asked again")]);
        assert_eq!(before[0], after[1]);
        let other = names(vec![allow(of(&["numpy"]))]);
        assert_ne!(before[0], other[0]);
    }

    #[test]
    fn no_two_rules_share_a_name() {
        let plain = names(vec![deny(of(&["six"])), deny(of(&["six"]))]);
        assert_eq!(plain[1], format!("{}-2", plain[0]));
        let id = plain[0].trim_start_matches("corporate/");
        let with_id = names(vec![deny(of(&["six"])), called(id, 11, deny(of(&["x"])))]);
        assert_eq!(with_id, [plain[1].as_str(), plain[0].as_str()]);
    }

    #[test]
    fn an_id_that_occurs_twice_is_a_fault_at_the_second_place() {
        let twice = vec![
            called("a", 10, deny(of(&["six"]))),
            called("a", 12, deny(of(&["x"]))),
        ];
        let mut faults = Faults::default();
        rule_names(&policy("corporate", twice), &mut faults);
        insta::assert_snapshot!(faults, @r#"policies/web.yaml:12:5: id "a" a second time in policy corporate, first on line 10, give each rule its own"#);
    }
}
