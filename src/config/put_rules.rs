//! Puts rules among those of a policy, and leaves the rest of its file as it is written.
//!
//! The text is edited where the YAML reader says that the rules begin; nothing is written anew, so comments,
//! order and spelling stay. The result is read back and compared with what was meant: the same file with
//! these rules at one place of this policy and nowhere else. So an anchor that two policies share, or any
//! spelling that is not understood here, ends in a fault instead of a rule where nobody expects it.

mod lines;

use std::sync::Arc;

use crate::config::put_rules::lines::Lines;
use crate::language::{Node, Value};
use crate::model::{Fault, Location};

/// What to do by hand where the text cannot be edited.
const BY_HAND: &str = "run it without --into, and paste what it prints";

/// A rule to put in, as YAML: one line of a flow, and lines of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// `{ allow: { project: six } }`
    pub flow: String,
    /// `- allow:` and what belongs to it, indented by blanks.
    pub block: Vec<String>,
}

/// Returns the text of a file with rules after the first `above` of a policy that stands there; what stands
/// above is asked before them.
///
/// # Errors
/// When the file is no YAML, does not have the policy, or spells it in a way that cannot be edited.
pub fn put_rules(
    file: &Arc<str>,
    text: &str,
    policy: &str,
    above: usize,
    rules: &[RuleText],
) -> Result<String, Fault> {
    let before = Node::parse(file, text)?;
    let (place, whole) = policy_of(&before, policy).ok_or_else(|| {
        let what = format!("{file} does not have policy {policy}");
        Fault::nowhere(what).hint("name the file that has it")
    })?;
    let edited = edited(text, policy, (place, whole), above, rules).ok_or_else(|| {
        let what = format!("rules cannot be put into policy {policy} as it is written here");
        Fault::at(place, what).hint(BY_HAND)
    })?;
    let after = Node::parse(file, &edited).map_err(|fault| {
        let what = format!(
            "with the rules in it, policy {policy} would not be YAML: {}",
            fault.what
        );
        Fault::at(place, what).hint(BY_HAND)
    })?;
    let block: Vec<&str> = rules
        .iter()
        .flat_map(|rule| &rule.block)
        .map(String::as_str)
        .collect();
    let wanted = Node::parse(file, &block.join("\n"))?;
    if !is_with(&before, &after, policy, above, &wanted) {
        let what = format!("with rules in policy {policy}, more than this policy would change");
        return Err(Fault::at(place, what).hint(BY_HAND));
    }
    Ok(edited)
}

/// How many rules of a policy stand above the first of these places, each a file and a line; all of them, if
/// none of its rules stands at one.
///
/// # Errors
/// When the file is no YAML.
pub fn rules_above(
    file: &Arc<str>,
    text: &str,
    policy: &str,
    places: &[(&str, u32)],
) -> Result<usize, Fault> {
    let tree = Node::parse(file, text)?;
    let rules = policy_of(&tree, policy).and_then(|(_, policy)| child(policy, "rules"));
    let Some((
        _,
        Node {
            value: Value::Sequence(rules),
            ..
        },
    )) = rules
    else {
        return Ok(0);
    };
    let is_named = |rule: &Node| {
        let mut places = places.iter();
        places.any(|(file, line)| **file == *rule.location.file && *line == rule.location.line)
    };
    Ok(rules.iter().position(is_named).unwrap_or(rules.len()))
}

/// Where a policy's key stands, and its value.
fn policy_of<'a>(root: &'a Node, policy: &str) -> Option<(&'a Location, &'a Node)> {
    let policies = child(root, "policies")?.1;
    child(policies, policy)
}

fn child<'a>(node: &'a Node, key: &str) -> Option<(&'a Location, &'a Node)> {
    let Value::Mapping(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    Some((&entry.location, &entry.value))
}

/// The text with the rules; `None` if it is written in a way that is not understood.
fn edited(
    text: &str,
    name: &str,
    (place, policy): (&Location, &Node),
    above: usize,
    rules: &[RuleText],
) -> Option<String> {
    let lines = Lines::of(text);
    let (at, put) = match child(policy, "rules") {
        Some((key, list)) if above > 0 => {
            let Value::Sequence(list) = &list.value else {
                return None;
            };
            let start = lines.value_of(key, "rules")?;
            match (text[start..].chars().next()?, list.get(above)) {
                ('[', Some(next)) => lines.before_in_flow(next, rules)?,
                ('[', None) => lines.last_in_flow(start, rules)?,
                ('-', Some(next)) => lines.before_in_block(next, rules)?,
                ('-', None) => lines.last_in_block(list.last()?, rules)?,
                _ => return None,
            }
        }
        Some((key, _)) => {
            let start = lines.value_of(key, "rules")?;
            match text[start..].chars().next()? {
                '[' => lines.in_flow(start + 1, key, rules)?,
                '-' => (
                    lines.end_of(key)?,
                    lines.block(lines.indent_of(start)?, rules),
                ),
                _ => return None,
            }
        }
        None => {
            let start = lines.value_of(place, name)?;
            let Value::Mapping(entries) = &policy.value else {
                return None;
            };
            if text[start..].starts_with('{') {
                let (at, list) = lines.in_flow(start + 1, place, rules)?;
                let comma = if entries.is_empty() { "" } else { "," };
                (
                    at,
                    format!(" rules: [{}]{comma}", list.trim_end_matches(',')),
                )
            } else {
                let first = lines.at(&entries.first()?.location)?;
                let indent = lines.indent_of(first)?;
                let list = lines.block(&format!("{indent}  "), rules);
                (
                    lines.end_of(place)?,
                    format!("{indent}rules:{}{list}", lines.newline),
                )
            }
        }
    };
    Some(format!("{}{put}{}", &text[..at], &text[at..]))
}

/// Whether a tree is the other with rules after the first of a policy, and nothing else.
fn is_with(before: &Node, after: &Node, policy: &str, above: usize, rules: &Node) -> bool {
    let Value::Sequence(rules) = &rules.value else {
        return false;
    };
    let way = [
        Step::Key("policies"),
        Step::Key(policy),
        Step::Rules(above, rules),
    ];
    same(before, after, &way)
}

/// The way to what may differ.
enum Step<'a> {
    Key(&'a str),
    /// New ones, after so many others.
    Rules(usize, &'a [Node]),
}

fn same(before: &Node, after: &Node, way: &[Step<'_>]) -> bool {
    match (&before.value, &after.value) {
        (Value::Nothing, Value::Nothing) => true,
        (Value::Scalar(one), Value::Scalar(other)) => one == other,
        (Value::Sequence(ones), Value::Sequence(others)) => {
            let mut pairs = ones.iter().zip(others);
            ones.len() == others.len() && pairs.all(|(one, other)| same(one, other, &[]))
        }
        (Value::Mapping(ones), Value::Mapping(others)) => {
            let mut others = others.as_slice();
            if let [Step::Rules(_, rules)] = way
                && ones.iter().all(|entry| entry.key != "rules")
            {
                // The key is new, and stands where it was put: first.
                let [first, rest @ ..] = others else {
                    return false;
                };
                others = rest;
                if first.key != "rules" || !is_list(&first.value, &[], rules, &[]) {
                    return false;
                }
            }
            let mut pairs = ones.iter().zip(others);
            ones.len() == others.len()
                && pairs.all(|(one, other)| {
                    one.key == other.key
                        && match way {
                            [Step::Key(key), rest @ ..] if one.key == *key => {
                                same(&one.value, &other.value, rest)
                            }
                            [Step::Rules(above, rules)] if one.key == "rules" => {
                                match &one.value.value {
                                    Value::Sequence(old) if *above <= old.len() => {
                                        let (first, then) = old.split_at(*above);
                                        is_list(&other.value, first, rules, then)
                                    }
                                    _ => false,
                                }
                            }
                            _ => same(&one.value, &other.value, &[]),
                        }
                })
        }
        _ => false,
    }
}

/// Whether a node is a list of these, in this order.
fn is_list(node: &Node, first: &[Node], new: &[Node], then: &[Node]) -> bool {
    let Value::Sequence(found) = &node.value else {
        return false;
    };
    let wanted = first.iter().chain(new).chain(then);
    found.len() == first.len() + new.len() + then.len()
        && wanted.zip(found).all(|(one, other)| same(one, other, &[]))
}

#[cfg(test)]
mod tests;
