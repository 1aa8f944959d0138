//! The lists of all mirrors as one table: which names there are, and which mirrors list each.

use std::collections::HashMap;

use crate::page::ProjectNames;
use crate::search::names::{NameTable, NameTableBuilder};

/// Names that upstreams list.
#[derive(Debug, Default)]
pub struct ListedNames {
    pub(super) names: NameTable,
    /// For each name which set of mirrors lists it. There are few different sets.
    sets_of: Vec<u16>,
    sets: Vec<Vec<u16>>,
    is_full: bool,
}

impl ListedNames {
    /// Joins lists, each with the number of its mirror, as far as they fit into so many bytes.
    pub fn join(lists: &[(u16, ProjectNames)], bytes_max: usize) -> Self {
        let mut builder = NameTableBuilder::default();
        let mut joined = Self::default();
        let mut known: HashMap<Vec<u16>, u16> = HashMap::new();
        let mut heads: Vec<_> = lists
            .iter()
            .map(|(index, names)| (*index, names.iter().peekable()))
            .collect();
        loop {
            let next = heads
                .iter_mut()
                .filter_map(|(_, names)| names.peek().copied());
            let Some(name) = next.min() else { break };
            let mut set = Vec::new();
            for (index, names) in &mut heads {
                if names.next_if(|head| *head == name).is_some() {
                    set.push(*index);
                }
            }
            let next = u16::try_from(known.len()).unwrap_or(u16::MAX);
            let number = known.get(&set).copied().unwrap_or(next);
            if builder.bytes() + 2 * joined.sets_of.len() > bytes_max || number == u16::MAX {
                joined.is_full = true;
                break;
            }
            if number == next {
                known.insert(set.clone(), next);
                joined.sets.push(set);
            }
            if builder.push(name).is_some() {
                joined.sets_of.push(number);
            }
        }
        joined.names = builder.finish();
        joined
    }

    /// Whether names were left out.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        self.names.bytes() + 2 * self.sets_of.len()
    }

    /// The mirrors that list a name.
    pub fn mirrors_of(&self, name: u32) -> &[u16] {
        &self.sets[usize::from(self.sets_of[name as usize])]
    }

    /// For each set of mirrors whether one of them is shown.
    pub fn shown(&self, is_shown: impl Fn(u16) -> bool) -> ShownSets<'_> {
        let sets = self.sets.iter();
        let shown = sets.map(|set| set.iter().any(|index| is_shown(*index)));
        ShownSets {
            lists: self,
            shown: shown.collect(),
        }
    }
}

/// Which names are shown.
#[derive(Debug)]
pub struct ShownSets<'a> {
    lists: &'a ListedNames,
    shown: Vec<bool>,
}

impl ShownSets<'_> {
    /// Whether a name is.
    pub fn has(&self, name: u32) -> bool {
        self.shown[usize::from(self.lists.sets_of[name as usize])]
    }
}
