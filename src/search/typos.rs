//! How far a text may be from what was typed, and what is that near.
//!
//! A slip is a letter more, less or other, or two neighbours that changed places. Short words have too many
//! neighbours that mean something else, so they are taken as they are.

use std::fmt;

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder};

/// From this length on, in characters, one slip is forgiven.
const ONE_SLIP_FROM: usize = 4;

/// From this length on two are.
const TWO_SLIPS_FROM: usize = 8;

/// How many slips are forgiven in a text.
#[must_use]
pub fn slips_allowed(text: &str) -> u8 {
    match text.chars().count() {
        TWO_SLIPS_FROM.. => 2,
        ONE_SLIP_FROM.. => 1,
        _ => 0,
    }
}

/// Makes automata that recognise what is near. Making it costs milliseconds, using it microseconds.
pub struct Typos {
    one: LevenshteinAutomatonBuilder,
    two: LevenshteinAutomatonBuilder,
}

impl fmt::Debug for Typos {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Typos")
    }
}

impl Default for Typos {
    fn default() -> Self {
        Self {
            one: LevenshteinAutomatonBuilder::new(1, true),
            two: LevenshteinAutomatonBuilder::new(2, true),
        }
    }
}

impl Typos {
    /// What recognises texts near this one; `None` where no slip is forgiven.
    pub fn near(&self, text: &str) -> Option<DFA> {
        match slips_allowed(text) {
            0 => None,
            1 => Some(self.one.build_dfa(text)),
            _ => Some(self.two.build_dfa(text)),
        }
    }
}

/// The slips between what an automaton was made of and a text that it recognises.
pub fn slips(near: &DFA, text: &[u8]) -> u8 {
    match near.eval(text) {
        Distance::Exact(slips) | Distance::AtLeast(slips) => slips,
    }
}
