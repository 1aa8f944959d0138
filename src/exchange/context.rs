//! What one request pins: a policy generation and an instant; and what never changes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::CacheConfig;
use crate::exchange::error::Error;
use crate::language::Mirror;
use crate::model::{IndexName, Limits, Timestamp};
use crate::policy::{Index, Policies};
use crate::upstream::{Decoding, Upstream};

/// One policy snapshot with the upstreams that belong to it: immutable, numbered, swapped in whole.
#[derive(Debug)]
pub struct Generation {
    /// Counts reloads, from 1.
    pub number: u64,
    /// Indexes, stacks and rules.
    pub policies: Policies,
    /// The upstream of every mirror that has one.
    pub upstreams: HashMap<IndexName, Arc<Upstream>>,
}

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How mirrors are cached.
    pub cache: CacheConfig,
    /// Never ask an upstream.
    pub offline: bool,
    /// Whether no upstream is asked because this only explains what a server would do.
    pub is_explaining: bool,
    /// The limits.
    pub limits: Limits,
    /// The budget for unpacking and reading; shared with every upstream.
    pub decoding: Decoding,
}

/// One request's view: whatever is reloaded meanwhile, it sees one generation and one instant.
#[derive(Debug, Clone)]
pub struct Context {
    pub generation: Arc<Generation>,
    pub now: Timestamp,
}

impl Context {
    /// The mirror of this name, if there is one.
    #[must_use]
    pub fn mirror(&self, name: &IndexName) -> Option<&Mirror> {
        self.generation.policies.index(name)?.mirror()
    }

    /// The upstream of a mirror.
    ///
    /// # Errors
    /// When the mirror has none.
    pub fn upstream_of<'a>(
        &'a self,
        index: &'a Index,
    ) -> Result<(&'a Arc<Upstream>, &'a Mirror), Error> {
        let upstream = self.generation.upstreams.get(&index.name);
        upstream.zip(index.mirror()).ok_or_else(|| {
            let name = &index.name;
            Error::bad_gateway(format!(
                "{name} is a mirror and no upstream is set: give it one, \
                 `devpi index {name} mirror_url=URL`"
            ))
        })
    }
}
