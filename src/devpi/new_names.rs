//! Which names may be given to something new through the API.
//!
//! devpi accepts every letter of every script. People trust a name when they read a URL or a permission,
//! so new ones are ASCII, and none may look like an existing one: `Root` or `r00t` next to `root`. Earlier
//! names, and those that files declare, stay as they are.

use http::StatusCode;

use crate::devpi::refusal::Refusal;
use crate::devpi::words::DevpiWords;
use crate::model::IndexName;

/// Users that would take the place of a route, or of what browsers and crawlers ask for.
const RESERVED: [&str; 4] = ["simple", "favicon.ico", "robots.txt", "sitemap.xml"];

/// Refuses the name of a new user, given the existing ones.
///
/// # Errors
/// What the client is told.
pub fn check_user<'a>(
    name: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    check("username", name, others)?;
    let is_reserved = RESERVED.iter().any(|reserved| alike(name, reserved));
    // `.well-known` and the like.
    if is_reserved || name.starts_with('.') {
        let text = format!("username '{name}' is reserved: a path of this server begins with it");
        return Err(Refusal::bad_request(text));
    }
    Ok(())
}

/// Refuses the name of a new index, given its user's others.
///
/// # Errors
/// What the client is told.
pub fn check_index<'a>(
    name: &IndexName,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    check("indexname", name.index(), others)
}

fn check<'a>(
    what: &str,
    name: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    if !IndexName::is_part(name) {
        return Err(Refusal::bad_request(DevpiWords::BadName(what, name)));
    }
    if !name.is_ascii() {
        let text = format!(
            "{what} '{name}' has letters that look like others: a new name has only letters and \
             digits of ASCII, and -.@_"
        );
        return Err(Refusal::bad_request(text));
    }
    let like = others
        .into_iter()
        .find(|other| *other != name && alike(name, other));
    match like {
        None => Ok(()),
        Some(other) => {
            let text = format!("{what} '{name}' reads like '{other}', which exists");
            Err(Refusal::api(StatusCode::CONFLICT, text))
        }
    }
}

/// Whether two names read the same, in most typefaces and at a glance.
fn alike(one: &str, other: &str) -> bool {
    // A reader overlooks a dot or a dash at either end of a name in a sentence.
    let folded = |name: &str| -> Vec<char> {
        let core = name.trim_matches(['.', '-', '_', '@']);
        core.chars().map(fold).collect()
    };
    folded(one) == folded(other)
}

fn fold(character: char) -> char {
    match character.to_ascii_lowercase() {
        '0' => 'o',
        '1' | 'i' => 'l',
        other => other,
    }
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
