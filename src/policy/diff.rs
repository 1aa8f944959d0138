//! What changes between two snapshots, in words for the log of a reload.
//!
//! Addresses of upstreams are not shown, since they may hold passwords; that one changed is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::language::Choice;
use crate::model::IndexName;
use crate::policy::compile::Policies;
use crate::policy::index::{Index, IndexKind};
use crate::policy::rule::Policy;

/// What changes from one snapshot to the next, each change a line: indexes, then policies, by name.
#[must_use]
pub fn diff(old: &Policies, new: &Policies) -> Vec<String> {
    let mut changes = Vec::new();
    let tell = |name: &IndexName, how: String| changes.push(format!("index {name} {how}"));
    compare(&old.indexes, &new.indexes, index_parts, tell);
    let tell = |name: &Arc<str>, how: String| changes.push(format!("policy {name} {how}"));
    compare(&old.policies, &new.policies, policy_parts, tell);
    let name = |policies: &Policies| {
        let name = policies.default_index();
        name.map_or("none", |name| name.as_str()).to_owned()
    };
    let mut parts = Parts::default();
    parts.words("default_index changed: name", name(old), name(new));
    let entries = |policies: &Policies| policies.advisories.len();
    parts.words("advisories changed: entries", entries(old), entries(new));
    changes.extend(parts.0);
    changes
}

/// Reports every key that only one side has, and those whose values differ in some parts.
fn compare<K: Ord, V>(
    old: &BTreeMap<K, Arc<V>>,
    new: &BTreeMap<K, Arc<V>>,
    parts: impl Fn(&V, &V) -> Parts,
    mut tell: impl FnMut(&K, String),
) {
    let names: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    for name in names {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => {
                let Parts(parts) = parts(old, new);
                if !parts.is_empty() {
                    tell(name, format!("changed: {}", parts.join("; ")));
                }
            }
            (None, Some(_)) => tell(name, "added".to_owned()),
            (Some(_), None) => tell(name, "removed".to_owned()),
            (None, None) => {}
        }
    }
}

/// The parts that differ, in words.
#[derive(Default)]
struct Parts(Vec<String>);

impl Parts {
    fn words<T: PartialEq + fmt::Display>(&mut self, key: &str, old: T, new: T) {
        if old != new {
            self.0.push(format!("{key} {old} -> {new}"));
        }
    }
}

fn index_parts(old: &Index, new: &Index) -> Parts {
    let mut parts = Parts::default();
    match (&old.kind, &new.kind) {
        (IndexKind::Stage(old), IndexKind::Stage(new)) => old.differ(new, &mut parts.0),
        (IndexKind::Mirror(old), IndexKind::Mirror(new)) => old.differ(new, &mut parts.0),
        (IndexKind::Stage(_), IndexKind::Mirror(_)) => parts.words("type", "stage", "mirror"),
        (IndexKind::Mirror(_), IndexKind::Stage(_)) => parts.words("type", "mirror", "stage"),
    }
    old.settings.differ(&new.settings, &mut parts.0);
    let same_list = match (&old.whitelist, &new.whitelist) {
        (Some(old), Some(new)) => old.admits_as(new),
        (old, new) => old.is_none() && new.is_none(),
    };
    if !same_list {
        let entries = |index: &Index| match &index.whitelist {
            Some(list) => format!("{} entries", list.entries()),
            None => "none".to_owned(),
        };
        let (old, new) = (entries(old), entries(new));
        parts.0.push(format!("whitelist {old} -> {new}"));
    }
    parts
}

fn policy_parts(old: &Policy, new: &Policy) -> Parts {
    let mut parts = Parts::default();
    parts.words("mode", old.mode.word(), new.mode.word());
    parts.words("on_block", old.on_block.word(), new.on_block.word());
    let default = |policy: &Policy| policy.default_deny.as_ref().map_or("allow", |_| "deny");
    parts.words("default", default(old), default(new));
    let rules = |policy: &Policy| -> Vec<(String, String)> {
        let rules = policy.rules.iter();
        rules.map(|rule| (rule.whole(), rule.words())).collect()
    };
    let (old, new) = (rules(old), rules(new));
    let before = parts.0.len();
    let removed = only_in(&old, &new).map(|words| format!("rule removed {words}"));
    let added = only_in(&new, &old).map(|words| format!("rule added {words}"));
    parts.0.extend(removed.chain(added));
    if old != new && parts.0.len() == before {
        parts.0.push("rules in another order".to_owned());
    }
    parts
}

/// The words of rules that one list has more often than the other.
fn only_in<'a>(
    these: &'a [(String, String)],
    those: &[(String, String)],
) -> impl Iterator<Item = &'a str> {
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for (whole, _) in those {
        *others.entry(whole.clone()).or_default() += 1;
    }
    these
        .iter()
        .filter_map(move |(whole, words)| match others.get_mut(whole) {
            Some(left) if *left > 0 => {
                *left -= 1;
                None
            }
            Some(_) | None => Some(words.as_str()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{
        Document, IndexDocument, IndexKindDocument, PolicyDocument, PolicyMode, Undated,
    };
    use crate::policy::sample::{allow, deny, document, index, mirror, of, placed, policy, stage};

    fn text(old: Document, new: Document) -> String {
        let compile = |document| Policies::compile(&[document], &[]).unwrap();
        let changes = diff(&compile(old), &compile(new));
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    fn addressed(url: &str) -> IndexDocument {
        let mut document = mirror("m/one").undated(Undated::Old);
        if let IndexKindDocument::Mirror(mirror) = &mut document.kind {
            mirror.mirror_url = Some(placed(url.to_owned()));
        }
        document
    }

    #[test]
    fn nothing_changes_between_equal_documents_wherever_they_stand() {
        let yaml = || {
            document(
                vec![
                    stage("a/b", &["m/one"]).policy("p").whitelist(&["six"]),
                    mirror("m/one"),
                ],
                vec![policy("p", vec![deny(of(&["six"]))])],
            )
        };
        let mut moved = yaml();
        moved.indexes[0] = moved.indexes[0].clone().line(77);
        assert_eq!(text(yaml(), moved), "");
    }

    #[test]
    fn changes_are_told_in_words_and_without_secrets() {
        let old = document(
            vec![
                stage("a/b", &["m/one"]).policy("p").whitelist(&["six"]),
                stage("a/gone", &[]),
                mirror("m/one"),
                stage("a/kind", &[]),
            ],
            vec![
                policy("p", vec![deny(of(&["six"])), deny(of(&["seven"]))]),
                policy("order", vec![deny(of(&["six"])), allow(of(&["six"]))]),
                policy("gone", vec![]),
            ],
        );
        let mut new = document(
            vec![
                stage("a/b", &["a/new", "m/one"])
                    .whitelist(&["six", "x"])
                    .owns(&["acme-*"]),
                stage("a/new", &[]),
                addressed("https://user:secret@upstream.example/simple/"),
                mirror("a/kind"),
            ],
            vec![
                PolicyDocument {
                    mode: PolicyMode::Audit,
                    ..policy(
                        "p",
                        vec![deny(of(&["seven"])), deny(of(&["seven"])).reason("r")],
                    )
                },
                policy("order", vec![allow(of(&["six"])), deny(of(&["six"]))]),
                policy("new", vec![]),
            ],
        );
        new.default_index = Some(placed(index("a/b")));
        let text = text(old, new);
        assert!(!text.contains("secret"), "{text}");
        insta::assert_snapshot!(text, @"
        index a/b changed: bases [m/one] -> [a/new, m/one]; policy p -> none; owns [] -> [acme-*]; whitelist 1 entries -> 2 entries
        index a/gone removed
        index a/kind changed: type stage -> mirror
        index a/new added
        index m/one changed: mirror_url; undated deny -> old
        policy gone removed
        policy new added
        policy order changed: rules in another order
        policy p changed: mode enforce -> audit; rule removed deny: { project: six }; rule added deny: { project: seven }
        default_index changed: name none -> a/b
        ");
    }
}
