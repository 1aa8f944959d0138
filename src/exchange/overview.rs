//! What is found out behind the scenes for people's pages, and only looked up by a request.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::model::{IndexName, Timestamp};

/// What is known now; whoever finds out more replaces it.
#[derive(Debug, Default)]
pub struct Overview {
    refused: ArcSwapOption<RefusedLately>,
    listed: ArcSwap<HashMap<IndexName, u64>>,
}

/// What was refused in the last days. It says nothing about who asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RefusedLately {
    /// The beginning of the first of these days.
    pub since: Timestamp,
    /// The most often refused of each index, the most often first.
    pub often: Vec<RefusedOften>,
}

/// A project that one rule refused at one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedOften {
    /// The index asked.
    pub index: IndexName,
    /// The project.
    pub project: Arc<str>,
    /// The rule, by its name.
    pub rule: Arc<str>,
    /// How often.
    pub times: u64,
}

impl Overview {
    /// What was refused; `None` while that is not known.
    pub fn refused(&self) -> Option<Arc<RefusedLately>> {
        self.refused.load_full()
    }

    /// States what was refused.
    pub fn tell_refused(&self, refused: RefusedLately) {
        self.refused.store(Some(Arc::new(refused)));
    }

    /// How many names the held list of a mirror has; `None` while none is held.
    pub fn listed(&self, mirror: &IndexName) -> Option<u64> {
        self.listed.load().get(mirror).copied()
    }

    /// States how many names the lists of mirrors have.
    pub fn tell_listed(&self, listed: HashMap<IndexName, u64>) {
        self.listed.store(Arc::new(listed));
    }
}
