//! What a principal may do: devpi's table (docs/protocol/devpi.md §4) with the stricter defaults of §22.
//!
//! A CI token can only narrow: it may do what anonymous may do; anything else has to be allowed to its
//! user *and* covered by the token.

use url::Url;

use crate::account::principal::{Principal, ROOT, Scope};
use crate::db::TokenOperation;
use crate::model::{IndexName, MirrorPlaces};

const EVERYONE: &str = ":ANONYMOUS:";
const EVERY_USER: &str = ":AUTHENTICATED:";

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Make a user.
    CreateUser,
    /// Change this user's details.
    ModifyUser(&'a str),
    /// Change this user's password, and nothing else.
    ChangePassword(&'a str),
    /// Delete this user.
    DeleteUser(&'a str),
    /// Make this index.
    CreateIndex(&'a IndexName),
    /// Change this index's configuration.
    ModifyIndex(&'a IndexName),
    /// Delete this index.
    DeleteIndex(&'a IndexName),
    /// Upload a file or documentation, register a release, be the target of a push.
    Upload(IndexAcl<'a>),
    /// Store the result of a test run.
    UploadToxResult(IndexAcl<'a>),
    /// Delete a file, a release or a project.
    DeleteContent(IndexAcl<'a>),
    /// Have the server send files of this index to another one. The destination is checked elsewhere.
    PushOutside(&'a IndexName),
}

/// An index and who may upload to it. A missing index has empty lists and no owner (it is 403, not 404,
/// for those who may not know).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexAcl<'a> {
    /// The index.
    pub name: &'a IndexName,
    /// `acl_upload`; empty for a mirror.
    pub upload: &'a [String],
    /// `acl_toxresult_upload`; empty for a mirror.
    pub toxresult_upload: &'a [String],
}

/// Who may make users while `restrict_modify` is not set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UserCreation {
    /// Root. devpi lets everyone.
    #[default]
    Root,
    /// Everyone who is logged in.
    EveryUser,
    /// Everyone, as devpi does.
    Everyone,
}

/// What an operator decides about permissions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HouseRules {
    /// `restrict_modify`: the only users (or `:AUTHENTICATED:`) who may make and change users and indexes.
    pub restrict_modify: Option<Vec<String>>,
    /// Who may make users otherwise.
    pub user_creation: UserCreation,
    /// Where files may be pushed to besides this gateway: these URLs and what lies below them.
    pub push_to: Vec<Url>,
    /// What mirrors created through the API may reach besides public addresses.
    pub mirrors_to: MirrorPlaces,
}

impl HouseRules {
    /// Reads `--restrict-modify`: names with commas between them; empty items are dropped.
    #[must_use]
    pub fn parse_restrict_modify(text: &str) -> Vec<String> {
        text.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// Whether the principal may do it.
#[must_use]
pub fn permits(operation: Operation<'_>, principal: &Principal, rules: &HouseRules) -> bool {
    if allows(operation, &Principal::Anonymous, rules) {
        return true;
    }
    principal
        .scope()
        .is_none_or(|scope| covers(scope, operation))
        && allows(operation, principal, rules)
}

fn allows(operation: Operation<'_>, who: &Principal, rules: &HouseRules) -> bool {
    let root = who.is(ROOT);
    let restricted = rules
        .restrict_modify
        .as_deref()
        .map(|names| is_listed(who, names));
    match operation {
        Operation::CreateUser => restricted.unwrap_or(match rules.user_creation {
            UserCreation::Root => root,
            UserCreation::EveryUser => *who != Principal::Anonymous,
            UserCreation::Everyone => true,
        }),
        Operation::ModifyUser(user) => restricted.unwrap_or(root || who.is(user)),
        Operation::ChangePassword(user) => restricted.unwrap_or(root) || who.is(user),
        Operation::DeleteUser(ROOT) => false,
        Operation::DeleteUser(user) => {
            restricted.map_or(root || who.is(user), |listed| listed && !who.is(user))
        }
        Operation::CreateIndex(index)
        | Operation::ModifyIndex(index)
        | Operation::DeleteIndex(index) => restricted.unwrap_or(root || who.is(index.user())),
        Operation::Upload(acl) => is_listed(who, acl.upload),
        Operation::UploadToxResult(acl) => is_listed(who, acl.toxresult_upload),
        Operation::DeleteContent(acl) => {
            is_listed(who, acl.upload) || restricted.unwrap_or(root || who.is(acl.name.user()))
        }
        Operation::PushOutside(_) => *who != Principal::Anonymous,
    }
}

/// Whether an access list names the principal, or a group (`:name`) that they are in.
fn is_listed(who: &Principal, names: &[String]) -> bool {
    let is_in = |group: &str| who.groups().iter().any(|one| one == group);
    names.iter().any(|name| {
        name.eq_ignore_ascii_case(EVERYONE)
            || (*who != Principal::Anonymous && name.eq_ignore_ascii_case(EVERY_USER))
            || name.strip_prefix(':').map_or_else(|| who.is(name), is_in)
    })
}

/// Whether a token with this scope covers an operation.
fn covers(scope: &Scope, operation: Operation<'_>) -> bool {
    let (index, needed) = match operation {
        Operation::Upload(acl) | Operation::UploadToxResult(acl) => {
            (acl.name, TokenOperation::Upload)
        }
        Operation::DeleteContent(acl) => (acl.name, TokenOperation::Delete),
        Operation::CreateUser
        | Operation::ModifyUser(_)
        | Operation::ChangePassword(_)
        | Operation::DeleteUser(_)
        | Operation::CreateIndex(_)
        | Operation::ModifyIndex(_)
        | Operation::DeleteIndex(_)
        | Operation::PushOutside(_) => return false,
    };
    scope.operations.contains(&needed) && scope.reaches(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::principal::{Identity, Means};

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Which of anonymous, root, the owner, the uploader, a stranger and the restricted one may.
    fn who_may(operation: Operation<'_>, rules: &HouseRules) -> String {
        let people = [
            ('a', Principal::Anonymous),
            ('r', Principal::user(ROOT)),
            ('o', Principal::user("owner")),
            ('u', Principal::user("uploader")),
            ('s', Principal::user("stranger")),
            ('R', Principal::user("restricted")),
        ];
        let may = people
            .iter()
            .filter(|(_, who)| permits(operation, who, rules));
        may.map(|(letter, _)| *letter).collect()
    }

    #[test]
    fn every_row_of_devpis_table() {
        let index = IndexName::parse("owner/dev").unwrap();
        let (upload, everyone) = (names(&["uploader"]), names(&[EVERYONE]));
        let acl = IndexAcl {
            name: &index,
            upload: &upload,
            toxresult_upload: &everyone,
        };
        let open = HouseRules {
            user_creation: UserCreation::Everyone,
            ..HouseRules::default()
        };
        let shut = HouseRules {
            restrict_modify: Some(names(&["restricted"])),
            ..open.clone()
        };
        let table = [
            (Operation::CreateUser, "arousR", "R"),
            (Operation::ModifyUser("owner"), "ro", "R"),
            (Operation::ChangePassword("owner"), "ro", "oR"),
            (Operation::DeleteUser("owner"), "ro", "R"),
            (Operation::DeleteUser("restricted"), "rR", ""),
            (Operation::DeleteUser(ROOT), "", ""),
            (Operation::CreateIndex(&index), "ro", "R"),
            (Operation::ModifyIndex(&index), "ro", "R"),
            (Operation::DeleteIndex(&index), "ro", "R"),
            (Operation::Upload(acl), "u", "u"),
            (Operation::UploadToxResult(acl), "arousR", "arousR"),
            (Operation::DeleteContent(acl), "rou", "uR"),
            (Operation::PushOutside(&index), "rousR", "rousR"),
        ];
        for (operation, plain, restricted) in table {
            assert_eq!(who_may(operation, &open), plain, "{operation:?}");
            assert_eq!(
                who_may(operation, &shut),
                restricted,
                "{operation:?} restricted"
            );
        }
    }

    #[test]
    fn users_are_made_by_whom_the_house_says() {
        for (user_creation, may) in [
            (UserCreation::Root, "r"),
            (UserCreation::EveryUser, "rousR"),
            (UserCreation::Everyone, "arousR"),
        ] {
            let rules = HouseRules {
                user_creation,
                ..HouseRules::default()
            };
            assert_eq!(who_may(Operation::CreateUser, &rules), may);
        }
        assert_eq!(UserCreation::default(), UserCreation::Root);
    }

    #[test]
    fn lists_name_everyone_every_user_or_somebody() {
        let index = IndexName::parse("owner/dev").unwrap();
        let rules = HouseRules::default();
        let table: [(&[&str], &str); 6] = [
            (&[], ""),
            (&[":ANONYMOUS:"], "arousR"),
            (&[":anonymous:"], "arousR"),
            (&[":AUTHENTICATED:"], "rousR"),
            (&["uploader", "stranger"], "us"),
            (&[":uploader", "Uploader", ""], ""),
        ];
        for (list, may) in table {
            let list = names(list);
            let acl = IndexAcl {
                name: &index,
                upload: &list,
                toxresult_upload: &list,
            };
            assert_eq!(who_may(Operation::Upload(acl), &rules), may, "{list:?}");
            assert_eq!(
                who_may(Operation::UploadToxResult(acl), &rules),
                may,
                "{list:?}"
            );
        }
    }

    #[test]
    fn a_list_names_a_group_for_everybody_who_is_in_it() {
        let index = IndexName::parse("owner/dev").unwrap();
        let who = |user: &str, groups: &[&str]| {
            Principal::Known(Identity {
                user: user.to_owned(),
                scope: None,
                groups: names(groups),
                means: Means::Ldap,
            })
        };
        for (list, who, may) in [
            (":team-a", who("anna", &["team-a"]), true),
            (":team-a", who("anna", &["team-b", "team-a"]), true),
            (":team-a", who("anna", &["team-b"]), false),
            (
                ":team-a",
                who("anna", &["Team-A", ":team-a", "team-a-b"]),
                false,
            ),
            // A user is no group of that name, and a group no user.
            (":team-a", who("team-a", &[]), false),
            (":team-a", who(":team-a", &[]), false),
            ("team-a", who("anna", &["team-a"]), false),
            (":AUTHENTICATED:", who("anna", &[]), true),
            (":team-a", Principal::Anonymous, false),
        ] {
            let upload = names(&[list]);
            let acl = IndexAcl {
                name: &index,
                upload: &upload,
                toxresult_upload: &[],
            };
            let rules = HouseRules::default();
            assert_eq!(
                permits(Operation::Upload(acl), &who, &rules),
                may,
                "{list} {who:?}"
            );
            let rules = HouseRules {
                restrict_modify: Some(names(&[list])),
                ..rules
            };
            assert_eq!(permits(Operation::CreateUser, &who, &rules), may, "{list}");
        }
    }

    #[test]
    fn a_token_is_good_for_what_it_says_and_only_where_its_user_is() {
        let index = IndexName::parse("owner/dev").unwrap();
        let other = IndexName::parse("owner/stable").unwrap();
        let list = names(&["uploader", "owner"]);
        let acl = IndexAcl {
            name: &index,
            upload: &list,
            toxresult_upload: &list,
        };
        let elsewhere = IndexAcl {
            name: &other,
            ..acl
        };
        let token = |user: &str, operations: &[TokenOperation]| {
            let scope = Scope {
                token: "0123456789abcdef".into(),
                indexes: vec![index.to_string(), "ow?er/d*".into()],
                operations: operations.to_vec(),
            };
            Principal::Known(Identity {
                user: user.to_owned(),
                scope: Some(scope),
                groups: Vec::new(),
                means: Means::Token,
            })
        };
        let upload = token("owner", &[TokenOperation::Upload]);
        let table = [
            (Operation::Upload(acl), &upload, true),
            (Operation::Upload(elsewhere), &upload, false),
            (Operation::DeleteContent(acl), &upload, false),
            (
                Operation::DeleteContent(acl),
                &token("owner", &[TokenOperation::Delete]),
                true,
            ),
            (Operation::ModifyIndex(&index), &upload, false),
            (Operation::ChangePassword("owner"), &upload, false),
            (Operation::PushOutside(&index), &upload, false),
            (
                Operation::Upload(acl),
                &token("stranger", &[TokenOperation::Upload]),
                false,
            ),
        ];
        for (operation, principal, may) in table {
            assert_eq!(
                permits(operation, principal, &HouseRules::default()),
                may,
                "{operation:?}"
            );
        }
    }

    #[test]
    fn restrict_modify_reads_as_devpis_option() {
        assert_eq!(
            HouseRules::parse_restrict_modify(" root, :admins,,"),
            ["root", ":admins"]
        );
        assert!(HouseRules::parse_restrict_modify("").is_empty());
    }
}
