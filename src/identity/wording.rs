//! Names put into filters (RFC 4515 §3) and distinguished names (RFC 4514 §2.4), where every character
//! of them stands for itself.

use ldap3::{dn_escape, ldap_escape};

use crate::model::{Person, PersonTemplate};

/// A filter for a person.
pub(super) fn filter(template: &PersonTemplate, person: Person<'_>) -> String {
    template.fill(person, |text| ldap_escape(text).into_owned())
}

/// The name under which a person's entry is bound. A template without `=` before the name is no
/// distinguished name but what Active Directory accepts in its place, such as `{username}@corp.example`,
/// and has no escapes.
pub(super) fn bind_name(template: &PersonTemplate, person: Person<'_>) -> String {
    let is_entry = template.names_entry();
    template.fill(person, |text| match is_entry {
        true => dn_escape(text).into_owned(),
        false => text.to_owned(),
    })
}

/// The entry above one: what follows the first comma that is not escaped.
pub(super) fn entry_above(dn: &str) -> Option<&str> {
    let mut is_escaped = false;
    let comma = dn.char_indices().find(|(_, character)| {
        let is_comma = *character == ',' && !is_escaped;
        is_escaped = *character == '\\' && !is_escaped;
        is_comma
    });
    let above = dn[comma?.0 + 1..].trim_start();
    (!above.is_empty()).then_some(above)
}

#[cfg(test)]
mod tests {
    use ldap3::parse_filter;
    use proptest::prelude::*;

    use super::*;

    fn template(text: &str) -> PersonTemplate {
        PersonTemplate::parse(text).unwrap()
    }

    fn called(username: &str) -> Person<'_> {
        Person {
            username,
            userdn: "cn=Smith\\, (A*),dc=x",
        }
    }

    #[test]
    fn no_name_changes_what_a_filter_asks_for() {
        let by_name = template("(&(objectClass=person)(uid={username}))");
        for (name, expected) in [
            ("anna", "(&(objectClass=person)(uid=anna))"),
            ("*", r"(&(objectClass=person)(uid=\2a))"),
            ("*)(uid=*", r"(&(objectClass=person)(uid=\2a\29\28uid=\2a))"),
            ("a\\b", r"(&(objectClass=person)(uid=a\5cb))"),
            ("a\0", r"(&(objectClass=person)(uid=a\00))"),
            ("a,b=c", "(&(objectClass=person)(uid=a,b=c))"),
        ] {
            assert_eq!(filter(&by_name, called(name)), expected, "{name:?}");
        }
        let by_entry = template("(member={userdn})");
        let expected = r"(member=cn=Smith\5c, \28A\2a\29,dc=x)";
        assert_eq!(filter(&by_entry, called("x")), expected);
    }

    #[test]
    fn no_name_changes_where_an_entry_is() {
        let people = template("uid={username},ou=people,dc=x");
        for (name, expected) in [
            ("anna", "uid=anna,ou=people,dc=x"),
            ("a,b=c", r"uid=a\2cb\3dc,ou=people,dc=x"),
            ("a+b", r"uid=a\2bb,ou=people,dc=x"),
            (" a ", r"uid=\20a\20,ou=people,dc=x"),
            ("#a", r"uid=\23a,ou=people,dc=x"),
            ("a\\", r"uid=a\5c,ou=people,dc=x"),
            ("a\0", r"uid=a\00,ou=people,dc=x"),
        ] {
            assert_eq!(bind_name(&people, called(name)), expected, "{name:?}");
        }
        let principal = template("{username}@corp.example");
        assert_eq!(bind_name(&principal, called("anna")), "anna@corp.example");
    }

    #[test]
    fn the_entry_above_begins_behind_the_first_comma_that_stands_for_itself() {
        for (dn, above) in [
            ("uid=anna,ou=people,dc=x", Some("ou=people,dc=x")),
            (r"uid=a\2cb, ou=people", Some("ou=people")),
            (r"cn=Smith\, Anna,dc=x", Some("dc=x")),
            (r"cn=a\\,dc=x", Some("dc=x")),
            ("dc=x", None),
            ("dc=x,", None),
        ] {
            assert_eq!(entry_above(dn), above, "{dn}");
        }
    }

    proptest! {
        #[test]
        fn a_filter_stays_one_comparison_whoever_asks(name in "\\PC{0,40}") {
            let filled = filter(&template("(uid={username})"), called(&name));
            prop_assert!(parse_filter(&filled).is_ok(), "{}", filled);
            let inside = &filled[1..filled.len() - 1];
            prop_assert!(!inside.contains(['(', ')', '*', '\0']), "{}", filled);
        }
    }
}
