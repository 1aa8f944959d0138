//! What may be said once: slots that the keys of all files fill, each with its place.

use crate::model::{Fault, Location};
use crate::policy::{Fields, Notes, Placed, Word};

/// The keys of one section of one file.
pub(super) struct Section<'a, 'n> {
    /// What stands before each key in the words of a fault.
    path: &'static str,
    fields: &'a Fields<'n>,
    notes: &'a mut Notes,
}

impl<'a, 'n> Section<'a, 'n> {
    /// A section whose keys are told with this before them.
    pub(super) fn new(path: &'static str, fields: &'a Fields<'n>, notes: &'a mut Notes) -> Self {
        Self {
            path,
            fields,
            notes,
        }
    }

    /// Fills a slot with the one word of a key.
    pub(super) fn one<T: Word>(&mut self, slot: &mut Option<Placed<T>>, key: &str) {
        let said = self.fields.placed(key, self.notes);
        self.put(slot, key, said);
    }

    /// Fills a slot with the words of a key.
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

/// Fills a slot once. The same in two files is a fault, since neither is more right than the other.
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

/// The fault of saying something again.
pub(super) fn twice(name: &str, second: &Location, first: &Location) -> Fault {
    Fault::at(second, format!("{name} a second time, first at {first}")).hint("keep one")
}
