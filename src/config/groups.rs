//! `groups:`: who is in which group. A reload exchanges them.

use std::collections::BTreeMap;

use crate::config::slots::twice;
use crate::language::{
    Document, IndexKindDocument, Misread, Node, Notes, Placed, Shape, Value, Word, many,
    meant_for_everybody,
};
use crate::model::{Fault, IndexName, Likenesses, Location};

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
            } else if let Some(special) = meant_for_everybody(&format!(":{}", entry.key)) {
                let what = format!("a group called like {special}, which is everybody's");
                notes.note(Fault::at(&entry.location, what).hint("call it otherwise"));
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

/// Who may know of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownGroups<'a> {
    /// The groups that the operator wrote down.
    pub(super) declared: &'a BTreeMap<String, Vec<String>>,
    /// Whether a directory has others.
    pub(super) has_directory: bool,
}

impl KnownGroups<'_> {
    /// Notes the groups of stages' lists that nobody can be in.
    pub(super) fn note_unknown(self, documents: &[Document], notes: &mut Notes) {
        let indexes = documents.iter().flat_map(|document| &document.indexes);
        for index in indexes {
            let IndexKindDocument::Stage(stage) = &index.kind else {
                continue;
            };
            for (key, list) in [
                ("acl_upload", &stage.acl_upload),
                ("acl_toxresult_upload", &stage.acl_toxresult_upload),
            ] {
                for name in list.iter().flatten() {
                    self.note_if_unknown(key, &name.value, &name.location, notes);
                }
            }
        }
    }

    /// Notes a group in a list, if nobody can be in it.
    pub(super) fn note_if_unknown(
        self,
        key: &str,
        name: &str,
        location: &Location,
        notes: &mut Notes,
    ) {
        let group = name.strip_prefix(':').filter(|group| !group.ends_with(':'));
        let Some(group) = group.filter(|group| !self.declared.contains_key(*group)) else {
            return;
        };
        let fault = |what: String| {
            let names: Vec<String> = self
                .declared
                .keys()
                .map(|known| format!(":{known}"))
                .collect();
            let names = names.iter().map(String::as_str);
            Fault::at(location, format!("{key}: {what}")).did_you_mean(name, names)
        };
        if self.has_directory {
            // Any other may be one of the directory's.
            let is_alike = |known: &&String| {
                known.eq_ignore_ascii_case(group) || Likenesses::is_slip(known, group)
            };
            if let Some(known) = self.declared.keys().find(is_alike) {
                let what = format!("only a directory may have {name}, and groups has \":{known}\"");
                notes
                    .warnings
                    .push(Fault::at(location, format!("{key}: {what}")));
            }
        } else if self.declared.is_empty() {
            let what = format!("nobody is in {name}: no groups are declared, and no directory");
            notes
                .warnings
                .push(fault(what).hint("declare it in groups"));
        } else {
            notes.note(match fault(format!("there is no group {name}")) {
                fault if fault.hint.is_some() => fault,
                fault => fault.hint("declare it in groups"),
            });
        }
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

    /// What is said of a file: faults, or warnings.
    fn said(yaml: &str) -> String {
        let folder = folder(&[("a.yaml", yaml)]);
        match load_folder(&folder, &[]) {
            Err(faults) => faults,
            Ok(loaded) => {
                let warnings = loaded.warnings.iter().map(ToString::to_string);
                let warnings = warnings.collect::<Vec<_>>().join("\n");
                let folder = format!("{}/", folder.path().display());
                format!("warned: {}", warnings.replace(&folder, ""))
            }
        }
    }

    #[test]
    fn a_list_names_groups_that_there_are() {
        let lists = "indexes: { a/b: { acl_upload: [anna, ':taem'], acl_toxresult_upload: ':far-off' } }\n\
                     manage: { restrict_modify: [root, ':ops'] }\n";
        let declared = format!("{lists}groups: {{ team: [anna], far-off: [] }}\n");
        insta::assert_snapshot!(said(&declared), @r#"
        a.yaml:1:38: acl_upload: there is no group :taem, did you mean ":team"?
        a.yaml:2:28: restrict_modify: there is no group :ops, declare it in groups
        "#);
        insta::assert_snapshot!(said(lists), @r"
        warned: a.yaml:2:28: restrict_modify: nobody is in :ops: no groups are declared, and no directory, declare it in groups
        a.yaml:1:38: acl_upload: nobody is in :taem: no groups are declared, and no directory, declare it in groups
        a.yaml:1:70: acl_toxresult_upload: nobody is in :far-off: no groups are declared, and no directory, declare it in groups
        ");
        let good = declared
            .replace(":taem", ":team")
            .replace(":ops", ":AUTHENTICATED:");
        assert_eq!(said(&good), "warned: ");
    }

    #[test]
    fn a_directory_may_have_any_group_but_hardly_one_that_is_almost_the_houses() {
        let yaml = "indexes: { a/b: { acl_upload: [':taem', ':Ops', ':others'] } }\n\
                    manage: { ldap: { url: 'ldaps://x.example', user_search: { base: x, filter: '(uid={username})' } } }\n\
                    groups: { team: [anna], ops: [] }\n";
        insta::assert_snapshot!(said(yaml), @r#"
        warned: a.yaml:1:32: acl_upload: only a directory may have :taem, and groups has ":team"
        a.yaml:1:41: acl_upload: only a directory may have :Ops, and groups has ":ops"
        "#);
    }

    #[test]
    fn who_everybody_is_cannot_be_written_otherwise() {
        for written in [
            ":AUTHENTICATED",
            ":authenticated",
            ":Anonymous",
            "::ANONYMOUS:",
            ":ANONYMOUS::",
        ] {
            let yaml = format!("indexes: {{ a/b: {{ acl_upload: ['{written}'] }} }}\n");
            let fault = said(&yaml);
            let meant = written.to_uppercase().replace(':', "");
            let expected = format!(
                "a.yaml:1:32: acl_upload: \"{written}\" is no group, did you mean \":{meant}:\"?"
            );
            assert_eq!(fault.trim_end(), expected);
        }
        insta::assert_snapshot!(said("groups: { Authenticated: [anna] }\nmanage: { restrict_modify: ':AUTHENTICATED' }\n"), @r#"
        a.yaml:1:11: a group called like :AUTHENTICATED:, which is everybody's, call it otherwise
        a.yaml:2:28: restrict_modify: ":AUTHENTICATED" is no group, did you mean ":AUTHENTICATED:"?
        "#);
        assert_eq!(
            said("indexes: { a/b: { acl_upload: [':authenticated:', anonymous] } }\n"),
            "warned: "
        );
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
