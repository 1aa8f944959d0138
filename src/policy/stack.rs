//! The indexes that answer for an asked one, and whose rules apply to what each of them holds.
//!
//! Asked through index A, content of member O is subject to the rules of every index X in A's order that
//! itself inherits from O (including A and O). So a policy on a base holds for everything that inherits
//! from it, and nothing on top loosens it; but the policy of one base says nothing about another base's
//! content. `whitelist` has the same reach and concerns mirrors only.
//!
//! `owns` reaches further, because a private name must not leak through a side door: it binds every mirror
//! of every stack that contains the owning index, and every mirror that the owning index inherits from,
//! however that mirror is asked. An owning mirror binds itself too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::advisory::KnownAdvisories;
use crate::language::AskLink;
use crate::model::{File, IndexName, ProjectName, ProjectState, Timestamp};
use crate::policy::decide::ProjectView;
use crate::policy::index::Index;
use crate::policy::recalls::Recalls;
use crate::policy::sources::Sources;
use crate::policy::verdict::Verdict;

/// An index and all it inherits from, in resolution order.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The asked index.
    pub asked: Arc<Index>,
    /// Its members in the order in which they are asked: stages first, mirrors last.
    pub members: Vec<Member>,
    /// The indexes of the stack that have a policy or a whitelist, in order.
    pub(super) layers: Vec<Arc<Index>>,
    pub(super) advisories: Arc<KnownAdvisories>,
    /// What was recalled, everywhere.
    pub(super) recalls: Arc<Recalls>,
    /// Where people ask for an exception.
    pub(super) ask: Option<Arc<AskLink>>,
}

/// One index of a stack.
#[derive(Debug, Clone)]
pub struct Member {
    /// The index.
    pub index: Arc<Index>,
    /// Positions of the layers whose rules apply to its content, ascending.
    pub(super) layers: Vec<usize>,
    /// The indexes whose `owns` binds it; empty for a stage.
    pub(super) owners: Vec<Arc<Index>>,
}

/// A file that a member of a stack lists.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The file.
    pub file: &'a File,
    /// Which member lists it: its position in [`Stack::members`].
    pub member: usize,
    /// The project's status there.
    pub status: ProjectState,
}

/// What the stacks of all indexes together say about one of them: which indexes inherit from which, as far
/// as rules and reserved names are concerned.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// The stack of each index that restricts or owns.
    below: HashMap<IndexName, HashSet<IndexName>>,
    /// For each mirror, the owning indexes that inherit from it.
    owners: HashMap<IndexName, Vec<Arc<Index>>>,
}

impl Surroundings {
    /// Notes an index that restricts or owns, and the names of its stack.
    pub(super) fn add(&mut self, index: &Arc<Index>, stack: HashSet<IndexName>) {
        if !index.owns.is_empty() {
            for name in &stack {
                self.owners
                    .entry(name.clone())
                    .or_default()
                    .push(Arc::clone(index));
            }
        }
        self.below.insert(index.name.clone(), stack);
    }

    fn inherits(&self, index: &IndexName, base: &IndexName) -> bool {
        self.below
            .get(index)
            .is_some_and(|stack| stack.contains(base))
    }

    /// Owners within the asked stack first: they are the more obvious explanation.
    fn owners_of(&self, mirror: &Index, order: &[Arc<Index>]) -> Vec<Arc<Index>> {
        let within = order.iter().filter(|index| !index.owns.is_empty());
        let mut owners: Vec<Arc<Index>> = within.cloned().collect();
        for owner in self.owners.get(&mirror.name).into_iter().flatten() {
            if !owners.iter().any(|known| Arc::ptr_eq(known, owner)) {
                owners.push(Arc::clone(owner));
            }
        }
        owners
    }
}

impl Stack {
    pub(super) fn build(
        asked: &Arc<Index>,
        order: Vec<Arc<Index>>,
        surroundings: &Surroundings,
        advisories: &Arc<KnownAdvisories>,
    ) -> Self {
        let restricting = order.iter().filter(|index| index.restricts());
        let layers: Vec<Arc<Index>> = restricting.cloned().collect();
        let member = |index: &Arc<Index>| {
            let applies = |layer: &Arc<Index>| surroundings.inherits(&layer.name, &index.name);
            let owners = if index.is_mirror() {
                surroundings.owners_of(index, &order)
            } else {
                Vec::new()
            };
            Member {
                index: Arc::clone(index),
                layers: (0..layers.len())
                    .filter(|at| applies(&layers[*at]))
                    .collect(),
                owners,
            }
        };
        let members = order.iter().map(member).collect();
        Self {
            asked: Arc::clone(asked),
            members,
            layers,
            advisories: Arc::clone(advisories),
            recalls: Arc::default(),
            ask: None,
        }
    }

    /// The same, whose refusals say where to ask for an exception.
    pub(super) fn asking(self, ask: Option<&Arc<AskLink>>) -> Self {
        let ask = ask.cloned();
        Self { ask, ..self }
    }

    /// The same under these recalls.
    pub(super) fn under(&self, recalls: &Arc<Recalls>) -> Self {
        Self {
            recalls: Arc::clone(recalls),
            ..self.clone()
        }
    }

    /// The position of a member.
    #[must_use]
    pub fn position(&self, index: &IndexName) -> Option<usize> {
        self.members
            .iter()
            .position(|member| member.index.name == *index)
    }

    /// Whether anything restricts what it shows: a policy, a whitelist, a reserved name or a recall.
    #[must_use]
    pub fn is_ruled(&self) -> bool {
        !self.recalls.is_empty() || self.has_rules()
    }

    /// Whether anything may refuse this name, which is normalised: of a million names, most are of no
    /// rule's concern.
    #[must_use]
    pub fn may_refuse_name(&self, name: &str) -> bool {
        self.has_rules() || self.recalls.name(name)
    }

    fn has_rules(&self) -> bool {
        !self.layers.is_empty() || self.members.iter().any(|member| !member.owners.is_empty())
    }

    /// The rules about one project, looked up once for all its files.
    #[must_use]
    pub fn view(&self, project: &ProjectName) -> ProjectView<'_> {
        ProjectView::new(self, project)
    }

    /// Who may speak for a project; see [`ProjectView::decide_project`].
    #[must_use]
    pub fn decide_project(
        &self,
        project: &ProjectName,
        now: Timestamp,
        holds: &dyn Fn(&IndexName) -> bool,
    ) -> Verdict<Sources> {
        self.view(project).decide_project(now, holds)
    }

    /// When age alone may change the answer for a file; see [`ProjectView::next_change`].
    #[must_use]
    pub fn next_change(&self, candidate: &Candidate<'_>, now: Timestamp) -> Option<Timestamp> {
        self.view(candidate.file.filename.project())
            .next_change(candidate, now)
    }

    /// The earliest instant after `now` at which a rule of this stack stops applying.
    #[must_use]
    pub fn next_rule_change(&self, now: Timestamp) -> Option<Timestamp> {
        let policies = self.layers.iter().filter_map(|layer| layer.policy.as_ref());
        let rules = policies.flat_map(|policy| &policy.rules);
        rules.filter_map(|rule| rule.ends_after(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::sample::{allow, at, compiled, deny, index, mirror, of, policy, stage};

    #[test]
    fn rules_reach_what_their_index_inherits_and_nothing_else() {
        let policies = compiled(
            vec![
                stage("a/top", &["a/left", "a/right"]).policy("top"),
                stage("a/left", &["m/one"]).policy("left"),
                stage("a/right", &["m/one", "m/two"]).whitelist(&["six"]),
                mirror("m/one").policy("one"),
                mirror("m/two"),
            ],
            ["top", "left", "one"]
                .map(|name| policy(name, vec![]))
                .into(),
        );
        let reach = |asked: &str| -> Vec<String> {
            let stack = policies.stack(&index(asked)).unwrap();
            let line = |member: &super::Member| {
                let layers = member
                    .layers
                    .iter()
                    .map(|at| stack.layers[*at].name.index());
                let layers: Vec<_> = layers.collect();
                format!("{}: {}", member.index.name, layers.join(" "))
            };
            stack.members.iter().map(line).collect()
        };
        assert_eq!(
            reach("a/top"),
            [
                "a/top: top",
                "a/left: top left",
                "a/right: top right",
                "m/one: top left right one",
                "m/two: top right",
            ]
        );
        assert_eq!(reach("a/left"), ["a/left: left", "m/one: left one"]);
        assert_eq!(reach("m/one"), ["m/one: one"]);
    }

    #[test]
    fn owners_bind_every_mirror_beside_and_below_them() {
        let policies = compiled(
            vec![
                stage("a/top", &["a/own", "m/beside"]),
                stage("a/own", &["m/below"]).owns(&["acme-*"]),
                stage("a/other", &["m/below"]),
                mirror("m/beside"),
                mirror("m/below"),
                mirror("m/self").owns(&["x-*"]),
            ],
            vec![],
        );
        let table = [
            ("a/top", "m/beside", true),
            ("a/top", "m/below", true),
            ("a/other", "m/below", true),
            ("m/below", "m/below", true),
            ("m/beside", "m/beside", false),
            ("m/self", "m/self", true),
            ("a/top", "a/own", false),
        ];
        for (asked, member, bound) in table {
            let stack = policies.stack(&index(asked)).unwrap();
            let position = stack.position(&index(member)).unwrap();
            let owners = stack.members[position].owners.len();
            assert_eq!(owners, usize::from(bound), "{member} asked through {asked}");
        }
    }

    #[test]
    fn the_next_rule_change_is_the_first_instant_without_a_rule() {
        let rules = vec![
            allow(of(&["a"])).until("2026-01-05T00:00:00Z"),
            deny(of(&["b"])).until("2026-02-05T00:00:00Z"),
        ];
        let policies = compiled(
            vec![stage("a/b", &["m/m"]), mirror("m/m").policy("p")],
            vec![policy("p", rules)],
        );
        let stack = policies.stack(&index("a/b")).unwrap();
        let table = [
            (
                "2026-01-01T00:00:00Z",
                Some("2026-01-05T00:00:00.000000001Z"),
            ),
            (
                "2026-01-05T00:00:00Z",
                Some("2026-01-05T00:00:00.000000001Z"),
            ),
            (
                "2026-01-05T00:00:00.000000001Z",
                Some("2026-02-05T00:00:00.000000001Z"),
            ),
            ("2026-03-01T00:00:00Z", None),
        ];
        for (now, expected) in table {
            assert_eq!(stack.next_rule_change(at(now)), expected.map(at), "{now}");
        }
    }
}
