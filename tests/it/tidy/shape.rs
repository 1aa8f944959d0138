//! Files are short and say what they are for.

use super::source::{none, sources};

const LINES_MAX: usize = 500;
const DOOR_LINES_MAX: usize = 80;

#[test]
fn files_hold_one_idea() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let is_door = source.path.file_name().is_some_and(|name| name == "mod.rs");
        let most = if is_door { DOOR_LINES_MAX } else { LINES_MAX };
        if lines > most {
            wrong.push(format!(
                "{}: {lines} lines, at most {most}",
                source.path.display()
            ));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!(
                "{}: does not open with what it is for",
                source.path.display()
            ));
        }
    }
    none(&wrong);
}

/// The type of an inherent `impl` that begins on this line.
fn extended(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let rest = match rest.strip_prefix('<') {
        Some(generic) => generic.split_once("> ")?.1,
        None => rest.strip_prefix(' ')?,
    };
    let name = rest.split(|one: char| !one.is_alphanumeric()).next();
    name.filter(|name| !name.is_empty() && !rest.contains(" for "))
}

#[test]
fn what_a_type_can_do_is_said_in_its_own_room() {
    let mut wrong = Vec::new();
    for source in sources() {
        let own = format!("crate::{}::", source.room);
        let uses = source.uses();
        let foreign = uses.iter().flat_map(|item| &item.paths);
        let foreign: Vec<&str> = foreign
            .filter(|path| path.starts_with("crate::") && !path.starts_with(&own))
            .filter_map(|path| path.rsplit("::").next())
            .collect();
        for (number, line) in source.code() {
            if let Some(name) = extended(line).filter(|name| foreign.contains(name)) {
                let path = source.path.display();
                wrong.push(format!("{path}:{number}: {name} is of another room"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn an_inherent_impl_is_told_from_that_of_a_trait() {
    let table = [
        ("impl Flows {", Some("Flows")),
        ("impl<A> Shared<A> {", Some("Shared")),
        ("impl Asked<'_> {", Some("Asked")),
        ("impl From<Error> for Trouble {", None),
        ("impl<T: Into<Trouble>> From<T> for Stopped {", None),
        ("    impl Inside {", None),
        ("implied", None),
    ];
    for (line, expected) in table {
        assert_eq!(extended(line), expected, "{line}");
    }
}
