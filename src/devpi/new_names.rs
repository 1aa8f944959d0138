//! Which names may be given to something new through the API, and what a client is told of others.

use http::StatusCode;

use crate::account::{NameFault, check_name, check_user_name};
use crate::devpi::refusal::Refusal;
use crate::devpi::words::DevpiWords;
use crate::model::IndexName;

/// Refuses the name of a new user, given the existing ones.
///
/// # Errors
/// What the client is told.
pub fn check_user<'a>(
    name: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    check_user_name(name, others).map_err(|fault| refusal("username", name, &fault))
}

/// Refuses the name of a new index, given its user's others.
///
/// # Errors
/// What the client is told.
pub fn check_index<'a>(
    name: &IndexName,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    let name = name.index();
    check_name(name, others).map_err(|fault| refusal("indexname", name, &fault))
}

fn refusal(what: &str, name: &str, fault: &NameFault) -> Refusal {
    let text = match fault {
        NameFault::NoName => return Refusal::bad_request(DevpiWords::BadName(what, name)),
        NameFault::NotAscii => format!(
            "{what} '{name}' has letters that look like others: a new name has only letters and \
             digits of ASCII, and -.@_"
        ),
        NameFault::Reserved => {
            format!("{what} '{name}' is reserved: a path of this server begins with it")
        }
        NameFault::Like(other) => {
            let text = format!("{what} '{name}' reads like '{other}', which exists");
            return Refusal::api(StatusCode::CONFLICT, text);
        }
    };
    Refusal::bad_request(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: [&str; 3] = ["root", "alice", "ünal"];

    fn user(name: &str) -> u16 {
        let checked = check_user(name, USERS);
        checked.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_new_user_has_a_name_that_reads_like_no_other() {
        for (status, names) in [
            (200, "bob alice2 a.b-c_d@e.example 0 rooty"),
            (400, "r\u{43e}\u{43e}t \u{fc}nal caf\u{e9} a\u{200b}b"),
            (400, "a+b a/b . .. -\u{7f}"),
            (
                400,
                "simple Simple s1mple favicon.ico robots.txt .well-known .git",
            ),
            (
                409,
                "Root ROOT r00t rOOt al1ce Alice AL1CE root. -root root_ alice@",
            ),
        ] {
            for name in names.split(' ') {
                assert_eq!(user(name), status, "{name:?}");
            }
        }
        assert_eq!(user("root"), 200, "the very name is told of elsewhere");
    }

    #[test]
    fn a_new_index_has_one_beside_its_users_others() {
        let status = |name: &str| {
            let name = IndexName::parse(name).unwrap();
            let checked = check_index(&name, ["dev", "prod"]);
            checked.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
        };
        for (name, expected) in [
            ("me/dev2", 200),
            ("me/simple", 200),
            ("me/Dev", 409),
            ("me/pr0d", 409),
            ("me/d\u{435}v", 400),
        ] {
            assert_eq!(status(name), expected, "{name}");
        }
    }
}
