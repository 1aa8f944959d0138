//! Settings that may be given once: slots filled by the keys of all files, each with its place.

use crate::language::{Fields, Notes, Placed, Word};
use crate::model::{Fault, Location};

/// The keys of one section of one file.
pub(super) struct Section<'a, 'n> {
    /// The prefix of each key in the words of a fault.
    path: &'static str,
    fields: &'a Fields<'n>,
    notes: &'a mut Notes,
}

impl<'a, 'n> Section<'a, 'n> {
    /// A section whose keys are reported with this prefix.
    pub(super) fn new(path: &'static str, fields: &'a Fields<'n>, notes: &'a mut Notes) -> Self {
        Self {
            path,
            fields,
            notes,
        }
    }

    /// Fills a slot with the single value of a key.
    pub(super) fn one<T: Word>(&mut self, slot: &mut Option<Placed<T>>, key: &str) {
        let said = self.fields.placed(key, self.notes);
        self.put(slot, key, said);
    }

    /// Fills a slot with the list of values of a key.
    pub(super) fn many<T: Word>(&mut self, slot: &mut Option<Placed<Vec<T>>>, key: &str) {
        let words: Option<Vec<Placed<T>>> = self.fields.many(key, self.notes);
        let said = words
            .zip(self.fields.node(key))
            .map(|(words, node)| Placed {
                value: words.into_iter().map(|placed| placed.value).collect(),
                location: node.location.clone(),
            });
        self.put(slot, key, said);
    }

    fn put<T>(&mut self, slot: &mut Option<Placed<T>>, key: &str, said: Option<Placed<T>>) {
        put(slot, &format!("{}{key}", self.path), said, self.notes);
    }
}

/// Fills a slot once. The same key in two files is a fault, since neither takes precedence.
pub(super) fn put<T>(
    slot: &mut Option<Placed<T>>,
    name: &str,
    said: Option<Placed<T>>,
    notes: &mut Notes,
) {
    match (&slot, said) {
        (Some(first), Some(second)) => notes.note(twice(name, &second.location, &first.location)),
        (None, Some(said)) => *slot = Some(said),
        (_, None) => {}
    }
}

/// The fault of giving a setting again.
pub(super) fn twice(name: &str, second: &Location, first: &Location) -> Fault {
    Fault::at(second, format!("{name} a second time, first at {first}")).hint("keep one")
}
