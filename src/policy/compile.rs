//! Compiles all documents together into the snapshot that the server runs on, or the list of all faults.
//!
//! Indexes come from two sources. Those in YAML must make sense as a whole. Those created through the
//! devpi API (`stored`) are taken as they are: their unknown bases and cycles are ignored. An index in
//! both is the YAML's, so that a declared index can replace one made by hand; but a mirror may not replace
//! a stage, whose files would become unreachable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::advisory::KnownAdvisories;
use crate::language::{
    AskLink, Document, IndexDocument, IndexKindDocument, Placed, PolicyDocument,
};
use crate::model::{Fault, Faults, IndexName, Location, ProjectName, Timestamp};
use crate::policy::advisory;
use crate::policy::index::Index;
use crate::policy::names::HouseNames;
use crate::policy::order::{bases, find_cycles, resolution_order};
use crate::policy::recalls::Recalls;
use crate::policy::rule::{Policy, Rule};
use crate::policy::stack::{Stack, Surroundings};

/// Most indexes in one stack. The deepest one seen in the field has six; without a limit, a chain of
/// indexes created through the API would cost its length squared in memory.
const STACK_MEMBERS_MAX: usize = 256;

/// The indexes, stacks and policies in force: immutable and shared.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    pub(super) indexes: BTreeMap<IndexName, Arc<Index>>,
    pub(super) stacks: BTreeMap<IndexName, Arc<Stack>>,
    pub(super) policies: BTreeMap<Arc<str>, Arc<Policy>>,
    default_index: Option<IndexName>,
    hidden: HashSet<IndexName>,
    pub(super) advisories: Arc<KnownAdvisories>,
    recalls: Arc<Recalls>,
}

/// A rule that is about to stop applying, or has stopped.
#[derive(Debug, Clone, Copy)]
pub struct Expiring<'a> {
    /// The policy it belongs to.
    pub policy: &'a Policy,
    /// The rule.
    pub rule: &'a Rule,
    /// The last instant at which it applies.
    pub until: Timestamp,
}

impl Policies {
    /// Compiles the operator's documents and the indexes made through the devpi API.
    ///
    /// # Errors
    /// Every fault in them: unknown names, cycles of bases, anything declared twice, patterns that do not
    /// compile, unreadable lock files and advisories.
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
        let advisories = Arc::new(advisory::known(documents, &mut faults));
        let ask = ask_link(documents, &mut faults);
        let stacks = build_stacks(&indexes, &advisories, ask.as_ref(), &mut faults);
        let hidden = indexes.values().filter(|index| !index.settings.public());
        let hidden = hidden.map(|index| index.name.clone()).collect();
        faults.or(Self {
            hidden,
            indexes,
            stacks,
            policies,
            default_index,
            advisories,
            recalls: Arc::default(),
        })
    }

    /// The same indexes and rules under these recalls, which every stack observes.
    #[must_use]
    pub fn under(&self, recalls: Arc<Recalls>) -> Self {
        let stacks = self.stacks.iter();
        let stacks = stacks.map(|(name, stack)| (name.clone(), Arc::new(stack.under(&recalls))));
        Self {
            stacks: stacks.collect(),
            recalls,
            ..self.clone()
        }
    }

    /// What was recalled.
    #[must_use]
    pub fn recalls(&self) -> &Arc<Recalls> {
        &self.recalls
    }

    /// One index.
    #[must_use]
    pub fn index(&self, name: &IndexName) -> Option<&Arc<Index>> {
        self.indexes.get(name)
    }

    /// Whether public doors behave as if the index did not exist (`public: false`).
    #[must_use]
    pub fn is_hidden(&self, name: &IndexName) -> bool {
        self.hidden.contains(name)
    }

    /// Whether some index reserves a name (`owns`).
    #[must_use]
    pub fn reserves(&self, project: &ProjectName) -> bool {
        let mut all = self.indexes.values();
        all.any(|index| index.owns.reserving(project).is_some())
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

    /// The index that `/simple/` stands for.
    #[must_use]
    pub fn default_index(&self) -> Option<&IndexName> {
        self.default_index.as_ref()
    }

    /// The advisories that rules ask for.
    #[must_use]
    pub fn advisories(&self) -> &KnownAdvisories {
        &self.advisories
    }

    /// Rules that stop applying between now and then, the soonest first.
    #[must_use]
    pub fn expiring(&self, now: Timestamp, within: Duration) -> Vec<Expiring<'_>> {
        let last = now.checked_add(within).unwrap_or(Timestamp::MAX);
        self.ending(|until| (now..=last).contains(&until))
    }

    /// Rules that have expired, the earliest first.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Vec<Expiring<'_>> {
        self.ending(|until| until < now)
    }

    fn ending(&self, is_wanted: impl Fn(Timestamp) -> bool) -> Vec<Expiring<'_>> {
        let rules = self.policies.values().flat_map(|policy| {
            let rules = policy.rules.iter();
            rules.filter_map(move |rule| {
                let until = rule.until?;
                Some(Expiring {
                    policy,
                    rule,
                    until,
                })
            })
        });
        let mut ending: Vec<_> = rules.filter(|one| is_wanted(one.until)).collect();
        ending.sort_by_key(|one| one.until);
        ending
    }
}

impl Expiring<'_> {
    /// Who is responsible for it and where it was agreed, in brackets, as far as that is stated.
    #[must_use]
    pub fn whose(&self) -> String {
        match (&self.rule.owner, &self.rule.ticket) {
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
    let house = Arc::new(HouseNames::of(documents));
    let mut policies: BTreeMap<Arc<str>, Arc<Policy>> = BTreeMap::new();
    for document in all_policies(documents) {
        if let Some(first) = policies.get(document.name.value.as_str()) {
            faults.push(twice(
                "policy",
                &document.name.value,
                &first.location,
                &document.name.location,
            ));
            continue;
        }
        let policy = Policy::compile(document, &house, faults);
        policies.insert(Arc::clone(&policy.name), Arc::new(policy));
    }
    policies
}

fn all_policies(documents: &[Document]) -> impl Iterator<Item = &PolicyDocument> {
    documents.iter().flat_map(|document| &document.policies)
}

/// Where people ask for an exception; of two places, neither takes precedence.
fn ask_link(documents: &[Document], faults: &mut Faults) -> Option<Arc<AskLink>> {
    let mut links = documents
        .iter()
        .filter_map(|document| document.ask.as_ref());
    let first = links.next()?;
    for other in links {
        faults.push(twice(
            "key",
            "refusals.ask",
            &first.location,
            &other.location,
        ));
    }
    Some(Arc::clone(&first.value))
}

fn twice(kind: &str, name: &str, first: &Location, second: &Location) -> Fault {
    Fault::at(
        second,
        format!("{kind} {name:?} is declared twice, first at {first}"),
    )
}

/// What a rule asks for must exist; otherwise the rule would silently never match.
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
        .any(|document| !(document.advisories.is_empty() && document.feeds.is_empty()));
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
        let asks = !rule.matchers.advisory.is_empty() || rule.matchers.unless.is_some();
        if asks && !has_advisories {
            let what = "the rule asks for advisories and there are none";
            let hint = "name OSV files, folders or feeds under the top-level key advisories";
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
    advisories: &Arc<KnownAdvisories>,
    ask: Option<&Arc<AskLink>>,
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
        if index.restricts() || !index.owns.is_empty() {
            let names: HashSet<IndexName> = order.iter().map(|index| index.name.clone()).collect();
            surroundings.add(index, names);
        }
    }
    let stack = |(name, order): (&IndexName, Vec<Arc<Index>>)| {
        let stack = Stack::build(&indexes[name], order, &surroundings, advisories);
        (name.clone(), Arc::new(stack.asking(ask)))
    };
    orders.into_iter().map(stack).collect()
}

#[cfg(test)]
mod tests;
