//! `groups:`: who is in which group. A reload exchanges them.

use std::collections::BTreeMap;

use crate::config::slots::twice;
use crate::language::{Misread, Node, Notes, Placed, Shape, Value, Word, many};
use crate::model::{Fault, IndexName, Location};

/// What `groups` holds.
pub(super) const GROUPS: Shape = Shape::Named("group", &MEMBERS);

const MEMBERS: Shape = many::<Member>();

/// A user's name as written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member(String);

impl Word for Member {
    fn wanted() -> String {
        "a user's name".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if IndexName::is_part(text) {
            return Ok(Self(text.to_owned()));
        }
        let misread = Misread::new(format!("{text:?} is not {}", Self::wanted()));
        Err(match text.starts_with(':') {
            true => misread.hint("a group holds users, and no other group"),
            false => misread,
        })
    }
}

/// The groups of all files, each with its place.
#[derive(Debug, Default)]
pub(super) struct GroupSources(BTreeMap<String, (Location, Vec<String>)>);

impl GroupSources {
    /// Adds those of one more file.
    pub(super) fn add(&mut self, node: &Node, notes: &mut Notes) {
        for entry in notes.entries(node, "groups and their members") {
            if !IndexName::is_part(&entry.key) {
                let fault = Fault::at(&entry.location, "a name that no group can have");
                notes.note(fault.hint("use letters, digits, \"-\", \"_\", \".\" and \"@\""));
            }
            let members = read_members(&entry.key, &entry.value, notes);
            let name = format!("groups.{}", entry.key);
            let said = (entry.location.clone(), members);
            if let Some((first, _)) = self.0.insert(entry.key.clone(), said) {
                notes.note(twice(&name, &entry.location, &first));
            }
        }
    }

    /// The groups and their members.
    pub(super) fn settle(self) -> BTreeMap<String, Vec<String>> {
        let groups = self.0.into_iter();
        groups.map(|(name, (_, members))| (name, members)).collect()
    }
}

fn read_members(group: &str, node: &Node, notes: &mut Notes) -> Vec<String> {
    let words = match &node.value {
        Value::Nothing => &[],
        Value::Sequence(words) => words.as_slice(),
        Value::Scalar(_) | Value::Mapping(_) => std::slice::from_ref(node),
    };
    let members = words.iter().filter_map(|word| {
        let member: Option<Placed<Member>> = notes.word(group, word);
        member.map(|member| member.value.0)
    });
    members.collect()
}

#[cfg(test)]
mod tests {
    use crate::config::load::tests::{folder, load_folder};

    #[test]
    fn groups_of_all_files_are_one_list() {
        let folder = folder(&[
            ("a.yaml", "groups: { team-a: [anna, bert], nobody: [] }\n"),
            ("b.yaml", "groups: { ops: carla, empty: }\n"),
        ]);
        let groups = load_folder(&folder, &[]).unwrap().config.groups;
        let groups: Vec<_> = groups
            .iter()
            .map(|(name, who)| (name.as_str(), who.join(" ")))
            .collect();
        let expected = [
            ("empty", ""),
            ("nobody", ""),
            ("ops", "carla"),
            ("team-a", "anna bert"),
        ];
        assert_eq!(groups, expected.map(|(name, who)| (name, who.to_owned())));
    }

    #[test]
    fn what_is_no_group_is_a_fault() {
        let folder = folder(&[
            (
                "a.yaml",
                "groups:\n  team a: [anna]\n  b: [':team-a', 'a b']\n  c: {d: e}\n  d: [x]\n",
            ),
            ("b.yaml", "groups: { d: [y] }\n"),
        ]);
        insta::assert_snapshot!(load_folder(&folder, &[]).unwrap_err(), @r#"
        a.yaml:2:3: a name that no group can have, use letters, digits, "-", "_", "." and "@"
        a.yaml:3:7: b: ":team-a" is not a user's name, a group holds users, and no other group
        a.yaml:3:18: b: "a b" is not a user's name
        a.yaml:4:6: c: expected a user's name, found a mapping
        b.yaml:1:11: groups.d a second time, first at a.yaml:5:3, keep one
        "#);
    }
}
