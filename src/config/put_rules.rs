//! Puts rules before all others of a policy, and leaves the rest of its file as it is written.
//!
//! The text is edited where the YAML reader says that the rules begin; nothing is written anew, so comments,
//! order and spelling stay. The result is read back and compared with what was meant: the same file with
//! these rules at the beginning of this policy and nowhere else. So an anchor that two policies share, or any
//! spelling that is not understood here, ends in a fault instead of a rule where nobody expects it.

use std::sync::Arc;

use crate::model::{Fault, Location};
use crate::policy::{Node, Value};

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

/// Returns the text of a file with rules before all others of a policy that stands there.
///
/// # Errors
/// When the file is no YAML, does not have the policy, or spells it in a way that cannot be edited.
pub fn put_rules(
    file: &Arc<str>,
    text: &str,
    policy: &str,
    rules: &[RuleText],
) -> Result<String, Fault> {
    let before = Node::parse(file, text)?;
    let (place, whole) = policy_of(&before, policy).ok_or_else(|| {
        let what = format!("{file} does not have policy {policy}");
        Fault::nowhere(what).hint("name the file that has it")
    })?;
    let edited = edited(text, policy, (place, whole), rules).ok_or_else(|| {
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
    if !is_with(&before, &after, policy, &wanted) {
        let what = format!("with rules in policy {policy}, more than this policy would change");
        return Err(Fault::at(place, what).hint(BY_HAND));
    }
    Ok(edited)
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
    rules: &[RuleText],
) -> Option<String> {
    let lines = Lines::of(text);
    let (at, put) = match child(policy, "rules") {
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

/// A text by its lines.
struct Lines<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
    newline: &'static str,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let is_windows = text
            .split_once('\n')
            .is_some_and(|(line, _)| line.ends_with('\r'));
        Self {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
            newline: if is_windows { "\r\n" } else { "\n" },
        }
    }

    /// The byte at a place.
    fn at(&self, place: &Location) -> Option<usize> {
        let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
        let start = *self.starts.get(line)?;
        let mut rest = self.text[start..].char_indices();
        let at = match rest.nth(column) {
            Some((offset, _)) => start + offset,
            None => self.text.len(),
        };
        Some(at)
    }

    /// The first byte of a key's value, after its anchor. Where the YAML reader has a list begin differs with
    /// its indentation; where a key stands does not.
    fn value_of(&self, key: &Location, name: &str) -> Option<usize> {
        let at = self.at(key)?;
        let spelled = [name.to_owned(), format!("\"{name}\""), format!("'{name}'")];
        let spelled = spelled
            .iter()
            .find(|one| self.text[at..].starts_with(*one))?;
        let after = self.text[at + spelled.len()..].trim_start_matches(' ');
        let after = after.strip_prefix(':')?;
        let mut at = self.text.len() - after.len();
        loop {
            let rest = &self.text[at..];
            let next = rest.chars().next()?;
            at += match next {
                '&' => rest.find(char::is_whitespace)?,
                '#' => rest.find('\n')?,
                blank if blank.is_whitespace() => blank.len_utf8(),
                _ => return Some(at),
            };
        }
    }

    /// The end of the line in which a key stands, where a new line can begin.
    fn end_of(&self, key: &Location) -> Option<usize> {
        let line = usize::try_from(key.line).ok()?;
        // Of the last line nothing follows, so nothing stands below the key.
        self.starts.get(line).copied()
    }

    /// What stands before a byte in its line, if that is nothing but blanks.
    fn indent_of(&self, at: usize) -> Option<&'a str> {
        let line = self
            .starts
            .partition_point(|start| *start <= at)
            .checked_sub(1)?;
        let before = &self.text[*self.starts.get(line)?..at];
        before.chars().all(|one| one == ' ').then_some(before)
    }

    /// The rules as lines of a list.
    fn block(&self, indent: &str, rules: &[RuleText]) -> String {
        let lines = rules.iter().flat_map(|rule| &rule.block);
        let lines = lines.map(|line| format!("{indent}{line}{}", self.newline));
        lines.collect()
    }

    /// The rules as entries of a list in brackets, of which the first would stand at a byte.
    fn in_flow(&self, at: usize, key: &Location, rules: &[RuleText]) -> Option<(usize, String)> {
        let line = usize::try_from(key.line).ok()?.checked_sub(1)?;
        let line = &self.text[*self.starts.get(line)?..];
        let blanks = line.len() - line.trim_start_matches(' ').len();
        let indent = " ".repeat(blanks + 4);
        let mut put = String::new();
        for rule in rules {
            put.push_str(&format!("{}{indent}{},", self.newline, rule.flow));
        }
        let rest = self.text[at..].trim_start();
        if rest.starts_with(']') {
            put.pop();
        }
        // What follows in the same line begins a line of its own, unless nothing does.
        let follows = self.text[at..]
            .split('\n')
            .next()
            .unwrap_or_default()
            .trim();
        if !follows.is_empty() {
            put.push_str(&format!("{}{}", self.newline, &indent[2..]));
        }
        Some((at, put))
    }
}

/// Whether a tree is the other with rules at the beginning of a policy, and nothing else.
fn is_with(before: &Node, after: &Node, policy: &str, rules: &Node) -> bool {
    let Value::Sequence(rules) = &rules.value else {
        return false;
    };
    same(
        before,
        after,
        &[Step::Key("policies"), Step::Key(policy), Step::Rules(rules)],
    )
}

/// The way to what may differ.
enum Step<'a> {
    Key(&'a str),
    Rules(&'a [Node]),
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
            if let [Step::Rules(rules)] = way
                && ones.iter().all(|entry| entry.key != "rules")
            {
                // The key is new, and stands where it was put: first.
                let [first, rest @ ..] = others else {
                    return false;
                };
                others = rest;
                if first.key != "rules" || !is_list(&first.value, rules, &[]) {
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
                            [Step::Rules(rules)] if one.key == "rules" => match &one.value.value {
                                Value::Sequence(old) => is_list(&other.value, rules, old),
                                Value::Nothing | Value::Scalar(_) | Value::Mapping(_) => false,
                            },
                            _ => same(&one.value, &other.value, &[]),
                        }
                })
        }
        _ => false,
    }
}

/// Whether a node is a list of these, then those.
fn is_list(node: &Node, first: &[Node], then: &[Node]) -> bool {
    let Value::Sequence(found) = &node.value else {
        return false;
    };
    let wanted = first.iter().chain(then);
    found.len() == first.len() + then.len()
        && wanted.zip(found).all(|(one, other)| same(one, other, &[]))
}

#[cfg(test)]
mod tests;
