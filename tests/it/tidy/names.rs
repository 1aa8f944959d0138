//! A name belongs to one type: where two rooms are in scope, it is always clear which one is meant.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::TABLE;
use super::source::{none, sources};

/// The types that each room's door exports.
fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let is_door = source.path.ends_with("mod.rs") && source.path.components().count() == 2;
        for item in source.uses() {
            if !is_door || !item.is_public {
                continue;
            }
            // What a room re-exports belongs to the other room.
            let own = item
                .paths
                .iter()
                .filter(|path| !path.starts_with("crate::"));
            for path in own {
                let name = path.rsplit("::").next().unwrap_or_default();
                if name.chars().next().is_some_and(char::is_uppercase)
                    && name.contains(char::is_lowercase)
                {
                    shown
                        .entry(source.room.clone())
                        .or_default()
                        .insert(name.to_owned());
                }
            }
        }
    }
    shown
}

#[test]
fn two_rooms_that_meet_have_no_type_of_one_name() {
    let shown = shown();
    let mut wrong = Vec::new();
    for (room, below) in TABLE {
        // The neighbours are a room and the rooms it imports.
        let met: Vec<&str> = below.iter().copied().chain([*room]).collect();
        for (at, one) in met.iter().enumerate() {
            for other in &met[at + 1..] {
                let (Some(ones), Some(others)) = (shown.get(*one), shown.get(*other)) else {
                    continue;
                };
                for name in ones.intersection(others) {
                    wrong.push(format!("{name}: a type of {one} and one of {other}"));
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    none(&wrong);
}
