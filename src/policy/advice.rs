//! What is not a fault but probably a mistake: `check` reports it as warnings.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::{Document, Effect, Mirror, PolicyMode};
use crate::model::{Fault, Timestamp};
use crate::policy::compile::{Expiring, Policies};
use crate::policy::index::Index;
use crate::policy::rule::{Policy, Rule};
use crate::policy::stack::{Member, Stack};

/// Most indexes that one warning names.
const NAMED_MAX: usize = 3;

/// How far strangers can reach the indexes.
#[derive(Debug, Clone, Copy)]
pub struct Exposure {
    /// Whether there is a public door.
    pub has_public_door: bool,
    /// Whether undeclared indexes of devpi-servers are passed through (`undeclared: pass`).
    pub passes_undeclared: bool,
}

/// Everything that is probably a mistake, in the order of the files.
#[must_use]
pub fn advice(
    written: &[Document],
    policies: &Policies,
    now: Timestamp,
    exposure: Exposure,
) -> Vec<Fault> {
    let mut warnings = Vec::new();
    if exposure.has_public_door {
        warnings.extend(ways_around(policies));
        warnings.extend(default_nowhere(written, policies));
    }
    if exposure.passes_undeclared {
        warnings.extend(undeclared_ways(policies));
    }
    warnings.extend(unused(policies));
    warnings.extend(policies.expired(now).iter().map(over));
    warnings.sort();
    warnings
}

/// Every base whose own address gives strangers what the rules of an index above it refuse.
fn ways_around(policies: &Policies) -> Vec<Fault> {
    let mut warnings = Vec::new();
    for base in policies.indexes().filter(|index| index.settings.public()) {
        let (Some(location), Some(own)) = (&base.location, policies.stack(&base.name)) else {
            continue;
        };
        let above = policies.indexes().filter(|index| {
            let stack = policies.stack(&index.name);
            index.name != base.name && stack.is_some_and(|one| one.position(&base.name).is_some())
        });
        let mut lacking: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for index in above {
            for rules in lacks(own, index) {
                lacking.entry(rules).or_default().push(index.name.as_str());
            }
        }
        if lacking.is_empty() {
            continue;
        }
        let without = lacking.iter().map(|(rules, who)| has(rules, who));
        let without: Vec<String> = without.collect();
        let what = format!(
            "{} can be asked at the public door without {}",
            base.name,
            without.join(" and ")
        );
        let hint = "give it the same, or public: false";
        warnings.push(Fault::at(location, what).hint(hint));
    }
    warnings
}

/// `policy corporate, which a/b, a/c above it have`
fn has(rules: &str, who: &[&str]) -> String {
    let named = who[..who.len().min(NAMED_MAX)].join(", ");
    match who.len().saturating_sub(NAMED_MAX) {
        0 if who.len() == 1 => format!("{rules}, which {named} above it has"),
        0 => format!("{rules}, which {named} above it have"),
        more => format!("{rules}, which {named} and {more} more above it have"),
    }
}

/// The rules of an index that do not apply when one of its bases is asked directly.
fn lacks<'a>(own: &Stack, index: &'a Index) -> impl Iterator<Item = String> + use<'a> {
    let layers = |member: &Member| -> Vec<_> {
        let layers = member.layers.iter().map(|at| own.layers[*at].clone());
        layers.collect()
    };
    let policy = index.policy.as_ref().filter(|policy| {
        policy.mode == PolicyMode::Enforce
            && own.members.iter().any(|member| {
                let has = |layer: &Index| {
                    let own = layer.policy.as_ref();
                    own.is_some_and(|own| own.name == policy.name)
                };
                may_refuse(policy, &member.index) && !layers(member).iter().any(|layer| has(layer))
            })
    });
    let whitelist = index.whitelist.as_ref().filter(|whitelist| {
        own.members.iter().any(|member| {
            let has = |layer: &Index| {
                let own = layer.whitelist.as_ref();
                own.is_some_and(|own| own.admits_as(whitelist))
            };
            member.index.is_mirror() && !layers(member).iter().any(|layer| has(layer))
        })
    });
    let policy = policy.map(|policy| format!("policy {}", policy.name));
    let whitelist = whitelist.map(|_| "the whitelist".to_owned());
    policy.into_iter().chain(whitelist)
}

/// Whether a policy could ever refuse something that an index holds.
fn may_refuse(policy: &Policy, holder: &Index) -> bool {
    let mirror = holder.is_mirror().then_some(&holder.name);
    let refuses = |rule: &Rule| rule.refuses() && rule.conditions.concerns(mirror);
    policy.default_deny.is_some() || policy.rules.iter().any(refuses)
}

/// A short address that leads to something public doors do not show.
fn default_nowhere(written: &[Document], policies: &Policies) -> Option<Fault> {
    let mut named = written.iter().filter_map(|one| one.default_index.as_ref());
    let hidden = named.find(|named| policies.is_hidden(&named.value))?;
    let what = format!(
        "default_index is {}, which is public: false, so /simple/ leads nowhere at the public door",
        hidden.value
    );
    Some(Fault::at(&hidden.location, what).hint("name a public index"))
}

/// Rules on some indexes of devpi-servers while the other indexes are passed through without any.
fn undeclared_ways(policies: &Policies) -> impl Iterator<Item = Fault> {
    let ruled = policies.indexes().filter(|index| {
        index.mirror().is_some_and(Mirror::is_devpi)
            && (index.restricts() || !index.settings.public())
    });
    ruled.filter_map(|index| {
        let what = format!(
            "what {} refuses can be asked of every other index of the devpi-servers that has it, \
             since those that no file declares are passed on",
            index.name
        );
        let hint = "declare them too, or say devpi: {undeclared: hide}";
        Some(Fault::at(index.location.as_ref()?, what).hint(hint))
    })
}

/// Policies that no index names.
fn unused(policies: &Policies) -> impl Iterator<Item = Fault> {
    let used: BTreeSet<&str> = policies
        .indexes()
        .filter_map(|index| Some(&*index.policy.as_ref()?.name))
        .collect();
    let unused = policies
        .policies
        .values()
        .filter(move |policy| !used.contains(&*policy.name));
    unused.map(|policy| {
        let what = format!(
            "no index has policy {}, so its rules hold nowhere",
            policy.name
        );
        let hint = format!("give an index \"policy: {}\", or delete it", policy.name);
        Fault::at(&policy.location, what).hint(hint)
    })
}

/// A rule that has expired.
fn over(ended: &Expiring<'_>) -> Fault {
    let (rule, policy, until) = (ended.rule, &ended.policy.name, ended.until);
    let (words, whose) = (rule.words(), ended.whose());
    let what = format!("{words} of policy {policy} ended at {until}{whose}");
    let hint = match rule.effect {
        Effect::Allow => "delete the waiver, or give it another end",
        Effect::Deny => "delete the rule, or give it another end",
    };
    Fault::at(&rule.location, what).hint(hint)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::language::{IndexDocument, Matchers, PolicyDocument, RuleDocument};
    use crate::model::Faults;
    use crate::policy::sample::{
        allow, at, deny, document, index, mirror, of, place, placed, policy, stage,
    };

    const OPEN: Exposure = Exposure {
        has_public_door: true,
        passes_undeclared: true,
    };

    fn told(written: Document, exposure: Exposure) -> String {
        let written = [written];
        let policies = Policies::compile(&written, &[]).unwrap();
        let found = advice(&written, &policies, at("2026-01-05T00:00:00Z"), exposure);
        Faults(found).to_string()
    }

    fn rules() -> PolicyDocument {
        policy("corporate", vec![deny(of(&["six"]))])
    }

    fn ways(indexes: Vec<IndexDocument>, policies: Vec<PolicyDocument>) -> String {
        let only_ways = |line: &&str| !line.contains("hold nowhere");
        let told = told(document(indexes, policies), OPEN);
        told.lines()
            .filter(only_ways)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_base_that_answers_without_the_rules_above_it_is_told() {
        let stacked = |low: IndexDocument, bottom: IndexDocument| {
            vec![
                stage("a/top", &["a/low"]).line(9).policy("corporate"),
                low.line(5),
                bottom.line(3),
            ]
        };
        let (low, bottom) = (|| stage("a/low", &["m/m"]), || mirror("m/m"));
        insta::assert_snapshot!(ways(stacked(low(), bottom()), vec![rules()]), @r#"
        policies/web.yaml:3:5: m/m can be asked at the public door without policy corporate, which a/top above it has, give it the same, or public: false
        policies/web.yaml:5:5: a/low can be asked at the public door without policy corporate, which a/top above it has, give it the same, or public: false
        "#);
        // Kept off the door, or under the same rules; the stage's own files count as well.
        let ruled = || bottom().policy("corporate");
        for (low, bottom) in [
            (low().hidden(), bottom().hidden()),
            (low().policy("corporate"), ruled()),
            (low().policy("corporate"), bottom().hidden()),
        ] {
            assert_eq!(ways(stacked(low, bottom), vec![rules()]), "");
        }
        let told = ways(stacked(low(), ruled()), vec![rules()]);
        assert!(
            told.starts_with("policies/web.yaml:5:5: a/low can") && !told.contains("m/m"),
            "{told}"
        );
    }

    #[test]
    fn rules_that_could_not_refuse_what_the_base_holds_are_no_reason() {
        let of_mirror = Matchers {
            upstream: vec![index("m/m")],
            ..of(&["six"])
        };
        let one = |rule: RuleDocument| vec![policy("corporate", vec![rule])];
        let stacked = || {
            vec![
                stage("a/top", &["a/low"]).policy("corporate"),
                stage("a/low", &[]),
                mirror("m/m").policy("corporate"),
            ]
        };
        assert_ne!(ways(stacked(), one(deny(of(&["six"])))), "");
        assert_eq!(ways(stacked(), one(deny(of_mirror))), "");
        assert_eq!(ways(stacked(), one(allow(of(&["six"])))), "");
        let mode = PolicyMode::Audit;
        assert_eq!(
            ways(stacked(), vec![PolicyDocument { mode, ..rules() }]),
            ""
        );
        let closed = Exposure {
            has_public_door: false,
            passes_undeclared: false,
        };
        assert_eq!(told(document(stacked(), vec![rules()]), closed), "");
    }

    #[test]
    fn a_whitelist_is_gone_around_by_a_mirror_and_not_by_a_stage() {
        let indexes = |bottom: IndexDocument| {
            vec![
                stage("a/top", &["a/low", "m/m"]).whitelist(&["six"]),
                stage("a/low", &[]),
                bottom,
            ]
        };
        insta::assert_snapshot!(
            ways(indexes(mirror("m/m")), vec![]),
            @"policies/web.yaml:1:5: m/m can be asked at the public door without the whitelist, which a/top above it has, give it the same, or public: false"
        );
        assert_eq!(ways(indexes(mirror("m/m").whitelist(&["six"])), vec![]), "");
    }

    #[test]
    fn many_who_inherit_are_named_in_one_line() {
        let tops = ["a/a", "a/b", "a/c", "a/d", "a/e"];
        let mut indexes: Vec<_> = tops
            .map(|name| stage(name, &["m/m"]).policy("corporate"))
            .into();
        indexes.push(mirror("m/m"));
        let told = ways(indexes, vec![rules()]);
        let words = "without policy corporate, which a/a, a/b, a/c and 2 more above it have";
        assert!(told.contains(words), "{told}");
        assert_eq!(told.lines().count(), 1);
    }

    #[test]
    fn what_leads_nowhere_or_holds_nowhere_is_told() {
        let mut written = document(
            vec![mirror("m/m").hidden()],
            vec![policy(
                "corporate",
                vec![
                    allow(of(&["old"])).until("2026-01-01T00:00:00Z"),
                    deny(of(&["older"])).until("2025-01-01T00:00:00Z"),
                    deny(of(&["now"])).until("2026-01-06T00:00:00Z"),
                ],
            )],
        );
        written.default_index = Some(placed(index("m/m")));
        written.policies[0].name.location = place(8);
        written.policies[0].rules[0].owner = Some("data".to_owned());
        insta::assert_snapshot!(told(written, OPEN), @r#"
        policies/web.yaml:1:5: default_index is m/m, which is public: false, so /simple/ leads nowhere at the public door, name a public index
        policies/web.yaml:8:5: no index has policy corporate, so its rules hold nowhere, give an index "policy: corporate", or delete it
        policies/web.yaml:10:5: allow: { project: old, until: 2026-01-01T00:00:00Z } of policy corporate ended at 2026-01-01T00:00:00Z (data), delete the waiver, or give it another end
        policies/web.yaml:11:5: deny: { project: older, until: 2025-01-01T00:00:00Z } of policy corporate ended at 2025-01-01T00:00:00Z, delete the rule, or give it another end
        "#);
    }

    #[test]
    fn rules_on_one_index_of_devpi_are_no_rules_on_its_neighbours() {
        let mut ruled = mirror("corp/rules").policy("corporate");
        ruled.kind = crate::language::IndexKindDocument::Mirror(
            crate::language::MirrorDocument::default().of_devpi(place(1)),
        );
        let hidden = Exposure {
            passes_undeclared: false,
            ..OPEN
        };
        assert_eq!(
            told(document(vec![ruled.clone()], vec![rules()]), hidden),
            ""
        );
        insta::assert_snapshot!(
            told(document(vec![ruled], vec![rules()]), OPEN),
            @"policies/web.yaml:1:5: what corp/rules refuses can be asked of every other index of the devpi-servers that has it, since those that no file declares are passed on, declare them too, or say devpi: {undeclared: hide}"
        );
    }

    #[test]
    fn a_cool_down_counts_as_rules() {
        let young = Matchers {
            younger_than: Some(Duration::from_hours(24)),
            ..Matchers::default()
        };
        let indexes = vec![stage("a/top", &["m/m"]).policy("corporate"), mirror("m/m")];
        let told = ways(indexes, vec![policy("corporate", vec![deny(young)])]);
        assert!(told.contains("m/m can be asked"), "{told}");
    }
}
