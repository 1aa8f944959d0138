//! All documents together become the snapshot the server runs on, or the full list of faults.
//!
//! Indexes come from two sources. Those in YAML must make sense as a whole. Those made through the
//! devpi API (`stored`) are taken as they are: their unknown bases and cycles are passed over. An
//! index in both is the YAML's, so that a declared index can take over one made by hand; but a
//! mirror may not take over a stage, whose files nobody could reach any more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Fault, Faults, IndexName, Location, Timestamp};
use crate::policy::advisory::Advisories;
use crate::policy::document::{Effect, Placed, PolicyDocument};
use crate::policy::documents::{Document, IndexDocument, IndexKindDocument};
use crate::policy::index::Index;
use crate::policy::order::{bases, find_cycles, resolution_order};
use crate::policy::rule::{Policy, Rule};
use crate::policy::stack::{Stack, Surroundings};

/// Most indexes in one stack. The deepest met in the field has six; without a limit a chain of
/// indexes made through the API would cost its length squared in memory.
const STACK_MEMBERS_MAX: usize = 256;

/// The indexes, stacks and policies in force: immutable and shared.
#[derive(Debug, Default)]
pub struct Policies {
    indexes: BTreeMap<IndexName, Arc<Index>>,
    stacks: BTreeMap<IndexName, Arc<Stack>>,
    policies: BTreeMap<Arc<str>, Arc<Policy>>,
    default_index: Option<IndexName>,
    hidden: HashSet<IndexName>,
    advisories: Arc<Advisories>,
}

/// A rule that is about to stop applying.
#[derive(Debug, Clone, PartialEq)]
pub struct Expiring {
    /// The policy it belongs to.
    pub policy: Arc<str>,
    /// Where it is written.
    pub location: Location,
    /// Whether a waiver ends, or a protection.
    pub effect: Effect,
    /// The last instant at which it applies.
    pub until: Timestamp,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// Where it was agreed.
    pub ticket: Option<Arc<str>>,
    /// The rule as one line.
    pub words: String,
}

impl Policies {
    /// Compiles the operator's documents and the indexes made through the devpi API.
    ///
    /// # Errors
    /// Every fault in them: unknown names, circles of bases, anything declared twice, patterns that
    /// do not compile, lock files and advisories that cannot be read.
    pub fn compile(documents: &[Document], stored: &[IndexDocument]) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let declared = declared_indexes(documents, &mut faults);
        let kept = kept_indexes(stored, &declared, &mut faults);
        let known: HashMap<&IndexName, &IndexDocument> = declared
            .iter()
            .chain(&kept)
            .map(|(name, index)| (*name, *index))
            .collect();
        let policies = compile_policies(documents, &mut faults);
        check_rules(documents, &known, &mut faults);
        check_bases(&declared, &known, &mut faults);
        find_cycles(&declared, &mut faults);
        let default_index = default_index(documents, &known, &mut faults);

        let mut indexes = BTreeMap::new();
        for (source, is_declared) in [(&declared, true), (&kept, false)] {
            for (name, document) in source {
                let location = is_declared.then(|| document.name.location.clone());
                let index = Index::compile(document, location, &policies, &mut faults);
                indexes.insert((*name).clone(), Arc::new(index));
            }
        }
        let texts = documents.iter().flat_map(|document| &document.advisories);
        let advisories = Arc::new(Advisories::compile(texts, &mut faults));
        let stacks = build_stacks(&indexes, &advisories, &mut faults);
        let hidden = indexes.values().filter(|index| !index.settings.public());
        let hidden = hidden.map(|index| index.name.clone()).collect();
        faults.or(Self {
            hidden,
            indexes,
            stacks,
            policies,
            default_index,
            advisories,
        })
    }

    /// One index.
    #[must_use]
    pub fn index(&self, name: &IndexName) -> Option<&Arc<Index>> {
        self.indexes.get(name)
    }

    /// Whether public doors answer as if there were no such index (`public: false`).
    #[must_use]
    pub fn is_hidden(&self, name: &IndexName) -> bool {
        self.hidden.contains(name)
    }

    /// Every index, by name.
    pub fn indexes(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.values()
    }

    /// What an index inherits, and the rules on the way.
    #[must_use]
    pub fn stack(&self, name: &IndexName) -> Option<&Arc<Stack>> {
        self.stacks.get(name)
    }

    /// Every policy, by name.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.values()
    }

    /// The index that `/simple/` stands for.
    #[must_use]
    pub fn default_index(&self) -> Option<&IndexName> {
        self.default_index.as_ref()
    }

    /// Every stack, one for each index.
    pub(super) fn stacks(&self) -> impl Iterator<Item = &Arc<Stack>> {
        self.stacks.values()
    }

    pub(super) fn advisories(&self) -> &Advisories {
        &self.advisories
    }

    /// Rules that stop applying between now and then, the soonest first.
    #[must_use]
    pub fn expiring(&self, now: Timestamp, within: Duration) -> Vec<Expiring> {
        let last = now.checked_add(within).unwrap_or(Timestamp::MAX);
        self.ending(|until| (now..=last).contains(&until))
    }

    /// Rules that applied once and are over, the longest over first.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Vec<Expiring> {
        self.ending(|until| until < now)
    }

    fn ending(&self, is_wanted: impl Fn(Timestamp) -> bool) -> Vec<Expiring> {
        let rules = self.policies.values().flat_map(|policy| {
            let rules = policy.rules().iter();
            rules.filter_map(move |rule| Some((policy, rule, rule.until()?)))
        });
        let mut ending: Vec<Expiring> = rules
            .filter(|(_, _, until)| is_wanted(*until))
            .map(|(policy, rule, until)| Expiring::new(policy, rule, until))
            .collect();
        ending.sort_by_key(|rule| rule.until);
        ending
    }
}

impl Expiring {
    fn new(policy: &Policy, rule: &Rule, until: Timestamp) -> Self {
        Self {
            policy: Arc::clone(policy.name()),
            location: rule.location().clone(),
            effect: rule.effect(),
            until,
            owner: rule.owner().cloned(),
            ticket: rule.ticket().cloned(),
            words: rule.words(),
        }
    }

    /// Who answers for it and where it was agreed, in brackets, as far as that is written.
    #[must_use]
    pub fn whose(&self) -> String {
        match (&self.owner, &self.ticket) {
            (Some(owner), Some(ticket)) => format!(" ({owner}, {ticket})"),
            (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
            (None, None) => String::new(),
        }
    }
}

type Declared<'a> = BTreeMap<&'a IndexName, &'a IndexDocument>;

fn declared_indexes<'a>(documents: &'a [Document], faults: &mut Faults) -> Declared<'a> {
    let mut declared: Declared<'_> = BTreeMap::new();
    for index in documents.iter().flat_map(|document| &document.indexes) {
        if let Some(first) = declared.get(&index.name.value) {
            faults.push(twice(
                "index",
                index.name.value.as_str(),
                &first.name.location,
                &index.name.location,
            ));
        } else {
            declared.insert(&index.name.value, index);
        }
    }
    declared
}

/// The stored indexes that no YAML declares.
fn kept_indexes<'a>(
    stored: &'a [IndexDocument],
    declared: &Declared<'_>,
    faults: &mut Faults,
) -> Declared<'a> {
    let is_stage = |index: &IndexDocument| matches!(index.kind, IndexKindDocument::Stage(_));
    let mut kept = BTreeMap::new();
    for index in stored {
        let Some(yaml) = declared.get(&index.name.value) else {
            kept.insert(&index.name.value, index);
            continue;
        };
        if is_stage(index) && !is_stage(yaml) {
            let what = format!(
                "{:?} is a mirror here, but a stage of that name was made through the API and its \
                 files would be out of reach",
                index.name.value.as_str()
            );
            faults.push(
                Fault::at(&yaml.name.location, what).hint("delete that stage or use another name"),
            );
        }
    }
    kept
}

fn compile_policies(
    documents: &[Document],
    faults: &mut Faults,
) -> BTreeMap<Arc<str>, Arc<Policy>> {
    let mut policies: BTreeMap<Arc<str>, Arc<Policy>> = BTreeMap::new();
    for document in all_policies(documents) {
        if let Some(first) = policies.get(document.name.value.as_str()) {
            faults.push(twice(
                "policy",
                &document.name.value,
                first.location(),
                &document.name.location,
            ));
            continue;
        }
        let policy = Policy::compile(document, faults);
        policies.insert(Arc::clone(policy.name()), Arc::new(policy));
    }
    policies
}

fn all_policies(documents: &[Document]) -> impl Iterator<Item = &PolicyDocument> {
    documents.iter().flat_map(|document| &document.policies)
}

fn twice(kind: &str, name: &str, first: &Location, second: &Location) -> Fault {
    Fault::at(
        second,
        format!("{kind} {name:?} is declared twice, first at {first}"),
    )
}

/// What a rule asks for must exist, else it would silently never match.
fn check_rules(
    documents: &[Document],
    known: &HashMap<&IndexName, &IndexDocument>,
    faults: &mut Faults,
) {
    let mirrors = || {
        let is_mirror = |index: &&IndexDocument| matches!(index.kind, IndexKindDocument::Mirror(_));
        let mirrors = known.values().copied().filter(is_mirror);
        mirrors.map(|index| index.name.value.as_str())
    };
    let has_advisories = documents
        .iter()
        .any(|document| !document.advisories.is_empty());
    for rule in all_policies(documents).flat_map(|policy| &policy.rules) {
        for name in &rule.matchers.upstream {
            let what = match known.get(name).map(|index| &index.kind) {
                Some(IndexKindDocument::Mirror(_)) => continue,
                Some(IndexKindDocument::Stage(_)) => {
                    format!("upstream {:?} is a stage, not a mirror", name.as_str())
                }
                None => format!("unknown upstream {:?}", name.as_str()),
            };
            faults.push(Fault::at(&rule.location, what).did_you_mean(name.as_str(), mirrors()));
        }
        if !rule.matchers.advisory.is_empty() && !has_advisories {
            let what = "the rule asks for advisories and there are none";
            let hint = "name OSV files or folders under the top-level key advisories";
            faults.push(Fault::at(&rule.location, what).hint(hint));
        }
    }
}

fn check_bases(
    declared: &Declared<'_>,
    known: &HashMap<&IndexName, &IndexDocument>,
    faults: &mut Faults,
) {
    for base in declared.values().flat_map(|index| bases(index)) {
        if !known.contains_key(&base.value) {
            faults.push(unknown_index("base", base, known));
        }
    }
}

fn default_index(
    documents: &[Document],
    known: &HashMap<&IndexName, &IndexDocument>,
    faults: &mut Faults,
) -> Option<IndexName> {
    let mut named = documents
        .iter()
        .filter_map(|document| document.default_index.as_ref());
    let first = named.next()?;
    for other in named {
        let what = format!("default_index is set twice, first at {}", first.location);
        faults.push(Fault::at(&other.location, what));
    }
    if !known.contains_key(&first.value) {
        faults.push(unknown_index("default_index", first, known));
    }
    Some(first.value.clone())
}

fn unknown_index(
    key: &str,
    named: &Placed<IndexName>,
    known: &HashMap<&IndexName, &IndexDocument>,
) -> Fault {
    let written = named.value.as_str();
    let names = known.keys().map(|name| name.as_str());
    Fault::at(&named.location, format!("unknown {key} {written:?}")).did_you_mean(written, names)
}

fn build_stacks(
    indexes: &BTreeMap<IndexName, Arc<Index>>,
    advisories: &Arc<Advisories>,
    faults: &mut Faults,
) -> BTreeMap<IndexName, Arc<Stack>> {
    let mut orders = BTreeMap::new();
    for (name, index) in indexes {
        let Some(order) = resolution_order(index, indexes, STACK_MEMBERS_MAX) else {
            let name = name.as_str();
            let what =
                format!("the stack of index {name:?} has more than {STACK_MEMBERS_MAX} members");
            let location = index.location.clone();
            faults.push(Fault {
                location,
                ..Fault::nowhere(what)
            });
            continue;
        };
        orders.insert(name, order);
    }
    let mut surroundings = Surroundings::default();
    for (name, order) in &orders {
        let index = &indexes[*name];
        if index.restricts() || !index.owns().is_empty() {
            let names: HashSet<IndexName> = order.iter().map(|index| index.name.clone()).collect();
            surroundings.add(index, names);
        }
    }
    let stack = |(name, order): (&IndexName, Vec<Arc<Index>>)| {
        let stack = Stack::build(&indexes[name], order, &surroundings, advisories);
        (name.clone(), Arc::new(stack))
    };
    orders.into_iter().map(stack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::{Matchers, NamePattern, TextFile};
    use crate::policy::sample::{
        allow, at, compiled, deny, document, index, mirror, of, placed, policy, stage,
    };

    fn faults(documents: &[Document], stored: &[IndexDocument]) -> String {
        Policies::compile(documents, stored)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_fault_is_found_at_once_with_its_place() {
        let upstream = |name: &str| Matchers {
            upstream: vec![index(name)],
            ..Matchers::default()
        };
        let advisory = Matchers {
            advisory: vec!["malware".into()],
            python: vec!["[".into()],
            ..Matchers::default()
        };
        let mut first = document(
            vec![
                mirror("root/pypi").line(1),
                stage("a/dev", &["root/pypii"]).line(20).policy("corporat"),
                stage("a/loop", &["a/loop"]).line(30),
                stage("a/bad", &[]).line(40).owns(&["x[*"]),
            ],
            vec![policy(
                "corporate",
                vec![
                    deny(upstream("root/pipi")),
                    deny(upstream("a/dev")),
                    deny(advisory),
                ],
            )],
        );
        first.default_index = Some(placed(index("a/stable")));
        let mut second = document(
            vec![stage("a/dev", &[]).line(50)],
            vec![policy("corporate", vec![])],
        );
        second.default_index = Some(placed(index("a/dev")));
        insta::assert_snapshot!(faults(&[first, second], &[]), @r#"
        policies/web.yaml:1:5: "x[*" is not a glob: unclosed character class; missing ']'
        policies/web.yaml:1:5: default_index is set twice, first at policies/web.yaml:1:5
        policies/web.yaml:1:5: policy "corporate" is declared twice, first at policies/web.yaml:1:5
        policies/web.yaml:1:5: unknown default_index "a/stable"
        policies/web.yaml:1:5: unknown policy "corporat", did you mean "corporate"?
        policies/web.yaml:10:5: unknown upstream "root/pipi", did you mean "root/pypi"?
        policies/web.yaml:11:5: upstream "a/dev" is a stage, not a mirror
        policies/web.yaml:12:5: "[" is not a glob: unclosed character class; missing ']'
        policies/web.yaml:12:5: the rule asks for advisories and there are none, name OSV files or folders under the top-level key advisories
        policies/web.yaml:21:5: unknown base "root/pypii", did you mean "root/pypi"?
        policies/web.yaml:31:5: index "a/loop" names itself as a base
        policies/web.yaml:50:5: index "a/dev" is declared twice, first at policies/web.yaml:20:5
        "#);
    }

    #[test]
    fn stored_indexes_may_have_unknown_bases_and_cycles() {
        let yaml = document(vec![stage("a/top", &["s/one"])], vec![]);
        let stored = [
            stage("s/one", &["s/two", "s/gone"]),
            stage("s/two", &["s/one", "s/two", "a/top"]),
        ];
        let policies = Policies::compile(std::slice::from_ref(&yaml), &stored).unwrap();
        let stack = policies.stack(&index("a/top")).unwrap();
        let names: Vec<_> = stack
            .members()
            .iter()
            .map(|member| member.index.name.as_str())
            .collect();
        assert_eq!(names, ["a/top", "s/one", "s/two"]);
        assert!(policies.index(&index("a/top")).unwrap().location.is_some());
        assert!(policies.index(&index("s/one")).unwrap().location.is_none());
        insta::assert_snapshot!(
            faults(&[yaml], &[]),
            @r#"policies/web.yaml:1:5: unknown base "s/one""#
        );
    }

    #[test]
    fn yaml_takes_over_a_stored_index_unless_files_would_be_lost() {
        let yaml = document(vec![stage("a/b", &[]).line(3)], vec![]);
        let stored = [mirror("a/b"), stage("a/c", &["a/b"])];
        let policies = Policies::compile(&[yaml], &stored).unwrap();
        assert!(!policies.index(&index("a/b")).unwrap().is_mirror());
        let names: Vec<_> = policies
            .indexes()
            .map(|index| index.name.as_str())
            .collect();
        assert_eq!(names, ["a/b", "a/c"]);

        let yaml = document(vec![mirror("a/b").line(3)], vec![]);
        insta::assert_snapshot!(
            faults(&[yaml], &[stage("a/b", &[])]),
            @r#"policies/web.yaml:3:5: "a/b" is a mirror here, but a stage of that name was made through the API and its files would be out of reach, delete that stage or use another name"#
        );
    }

    #[test]
    fn a_stack_has_a_limit() {
        let chain: Vec<IndexDocument> = (0..=STACK_MEMBERS_MAX)
            .map(|number| stage(&format!("a/{number}"), &[&format!("a/{}", number + 1)]))
            .collect();
        let found = Policies::compile(&[], &chain).unwrap_err();
        assert_eq!(found.0.len(), 1);
        insta::assert_snapshot!(found, @r#"the stack of index "a/0" has more than 256 members"#);
    }

    #[test]
    fn rules_about_to_expire_are_listed_soonest_first() {
        let rules = vec![
            allow(of(&["later"])).until("2026-01-20T00:00:00Z"),
            allow(of(&["soon"])).until("2026-01-06T00:00:00Z"),
            allow(of(&["over"])).until("2026-01-01T00:00:00Z"),
            deny(of(&["far"])).until("2027-01-01T00:00:00Z"),
            deny(of(&["never"])),
        ];
        let policies = compiled(vec![], vec![policy("corporate", rules)]);
        let expiring = policies.expiring(at("2026-01-05T00:00:00Z"), Duration::from_hours(15 * 24));
        let lines: Vec<u32> = expiring.iter().map(|rule| rule.location.line).collect();
        assert_eq!(lines, [11, 10]);
        assert_eq!(
            expiring[0].words,
            "allow: { project: soon, until: 2026-01-06T00:00:00Z }"
        );
    }

    #[test]
    fn names_of_the_same_list_and_the_default_index_are_kept() {
        let mut yaml = document(vec![stage("a/b", &[])], vec![]);
        yaml.default_index = Some(placed(index("a/b")));
        yaml.advisories = vec![TextFile {
            location: crate::policy::sample::place(1),
            path: "osv.json".into(),
            text: "[]".into(),
        }];
        let rule = deny(Matchers {
            advisory: vec!["malware".into()],
            project: vec![NamePattern::Glob("*".into())],
            ..Matchers::default()
        });
        yaml.policies = vec![policy("p", vec![rule])];
        let policies = Policies::compile(&[yaml], &[]).unwrap();
        assert_eq!(policies.default_index(), Some(&index("a/b")));
        assert_eq!(policies.policies().count(), 1);
    }
}
