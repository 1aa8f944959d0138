//! Which names something new may have.
//!
//! devpi accepts every letter of every script. People trust a name when they read a URL or a permission,
//! so new ones are ASCII, and none may look like an existing one: `Root` or `r00t` next to `root`. Earlier
//! names, and those that files declare, stay as they are. Directories, and what stands before proxies, take
//! names that differ in case or in Unicode's form for one and the same; so the rule holds for whom they
//! name as well, until such a user has a record.

use crate::model::IndexName;

/// Users that would take the place of a route, or of what browsers and crawlers ask for.
const RESERVED: [&str; 4] = ["simple", "favicon.ico", "robots.txt", "sitemap.xml"];

/// Why something new may not be called that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFault {
    /// Nothing may.
    NoName,
    /// It has letters that are not ASCII.
    NotAscii,
    /// A path of this server begins with it.
    Reserved,
    /// It reads like this one, which exists.
    Like(String),
}

/// Whether a new user may be called that beside others.
///
/// # Errors
/// Why not.
pub fn check_user_name<'a>(
    name: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<(), NameFault> {
    check_name(name, others)?;
    let is_reserved = RESERVED.iter().any(|reserved| alike(name, reserved));
    // `.well-known` and the like.
    match is_reserved || name.starts_with('.') {
        true => Err(NameFault::Reserved),
        false => Ok(()),
    }
}

/// Whether something new may be called that beside others.
///
/// # Errors
/// Why not.
pub fn check_name<'a>(
    name: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<(), NameFault> {
    if !IndexName::is_part(name) {
        return Err(NameFault::NoName);
    }
    if !name.is_ascii() {
        return Err(NameFault::NotAscii);
    }
    let others: Vec<&str> = others.into_iter().filter(|other| *other != name).collect();
    let mut others = others.iter();
    // Of those that it reads like, one that differs in case alone says most.
    let same = others.clone().find(|other| is_same_caseless(name, other));
    let like = same.or_else(|| others.find(|other| alike(name, other)));
    like.map_or(Ok(()), |other| Err(NameFault::Like((*other).to_owned())))
}

/// Whether two names are one for those who do not care for case.
pub fn is_same_caseless(one: &str, other: &str) -> bool {
    caseless(one) == caseless(other)
}

/// A name as those take it who do not care for case.
pub fn caseless(name: &str) -> String {
    name.to_lowercase()
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
