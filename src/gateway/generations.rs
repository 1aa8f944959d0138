//! How a generation is made: from the operator's files and the indexes created through the API,
//! compiled as a whole before anything is written or put in force.
//!
//! Files and API change the same thing, so there is one turn for both: its holder compiles the result,
//! commits it, and installs it; the next one starts from there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::catalog::{Mirrors, Names};
use crate::db::{DbError, Directory};
use crate::devpi::{CheckIndexes, DeclaredIndex, IndexSettings};
use crate::exchange::{Core, Generation};
use crate::language::IndexDocument;
use crate::model::{Faults, IndexName};
use crate::policy::{Policies, Recalls};
use crate::telemetry::{HeldPermits, Permits, WaitFor};

/// The operator's files, read; and whatever else a generation is made of.
pub trait Configuration: Send + fmt::Debug {
    /// Makes a generation of the documents in force and these indexes; changes nothing.
    ///
    /// # Errors
    /// Every fault in them together.
    fn make(&mut self, number: u64, stored: &[IndexDocument]) -> Result<Generation, Faults>;

    /// Reads the files again and makes a generation of them; on faults the documents in force stay.
    ///
    /// # Errors
    /// Every fault in them.
    fn read_again(&mut self, number: u64, stored: &[IndexDocument]) -> Result<Generation, Faults>;
}

/// The indexes that files declare, by name.
pub type Declared = BTreeMap<IndexName, DeclaredIndex>;

/// Makes generations and puts them in force, one at a time.
#[derive(Debug)]
pub struct Generations {
    core: Arc<Core>,
    mirrors: Arc<Mirrors>,
    names: Arc<Names>,
    configuration: Mutex<Box<dyn Configuration>>,
    declared: ArcSwap<Declared>,
    turn: Permits,
}

/// Why a generation was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum NotInstalled {
    /// The documents have faults.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// The records, which hold part of the indexes, cannot be asked.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Generations {
    /// Starts from the generation already in force.
    #[must_use]
    pub fn new(
        core: Arc<Core>,
        mirrors: Arc<Mirrors>,
        names: Arc<Names>,
        configuration: Box<dyn Configuration>,
    ) -> Self {
        let declared = DeclaredIndex::all(&core.generation().policies);
        let declared = ArcSwap::from_pointee(declared);
        let turn = Permits::one(core.metrics.waits(WaitFor::Indexes));
        Self {
            core,
            mirrors,
            names,
            configuration: Mutex::new(configuration),
            declared,
            turn,
        }
    }

    /// The documents to compile policies from, for the indexes in the records.
    #[must_use]
    pub fn stored(directory: &Directory) -> Vec<IndexDocument> {
        // Settings not written by this program are ignored.
        let settings = directory.indexes.iter();
        let settings = settings.filter_map(IndexSettings::of_record);
        settings.map(|settings| settings.to_document()).collect()
    }

    /// The indexes that files declare now.
    #[must_use]
    pub fn declared(&self) -> Arc<Declared> {
        self.declared.load_full()
    }

    /// Waits for the turn to change indexes.
    pub async fn turn(&self) -> HeldPermits {
        self.turn.take().await
    }

    /// Puts the recorded indexes in force as they are now. The caller holds the turn, and has had the
    /// change compiled before it was committed.
    pub async fn follow(&self) -> Result<u64, NotInstalled> {
        let stored = Self::stored(&self.core.records.directory().await?);
        let recalls = self.recorded_recalls().await?;
        let number = self.core.generation().number + 1;
        let generation = self.with(|configuration| configuration.make(number, &stored))?;
        self.install(under(generation, recalls)).await;
        Ok(number)
    }

    /// Puts the recorded recalls in force, if they differ from those that are; returns the number of the
    /// generation. Nothing is compiled for it, and no request waits.
    ///
    /// # Errors
    /// When they cannot be read; those in force stay.
    pub async fn follow_recalls(&self) -> Result<u64, DbError> {
        if **self.core.generation().policies.recalls() == *self.recorded_recalls().await? {
            return Ok(self.core.generation().number);
        }
        let _turn = self.turn().await;
        self.install_recalls().await
    }

    /// The same for a caller that holds the turn.
    ///
    /// # Errors
    /// When they cannot be read; those in force stay.
    pub async fn install_recalls(&self) -> Result<u64, DbError> {
        let recalls = self.recorded_recalls().await?;
        let before = self.core.generation();
        if *before.policies.recalls() == recalls {
            return Ok(before.number);
        }
        let number = before.number + 1;
        self.core.install(Generation {
            number,
            policies: before.policies.under(recalls),
            upstreams: before.upstreams.clone(),
        });
        Ok(number)
    }

    async fn recorded_recalls(&self) -> Result<Arc<Recalls>, DbError> {
        let recalls = self.core.records.recalls().await?;
        Ok(Arc::new(Recalls::of(recalls)))
    }

    /// Reads the operator's files again and puts them in force; returns the number of the generation.
    ///
    /// # Errors
    /// Faults; the generation in force stays.
    pub async fn reload(&self) -> Result<u64, NotInstalled> {
        let _turn = self.turn().await;
        let stored = Self::stored(&self.core.records.directory().await?);
        let recalls = self.recorded_recalls().await?;
        let number = self.core.generation().number + 1;
        let generation = self.with(|configuration| configuration.read_again(number, &stored))?;
        self.install(under(generation, recalls)).await;
        Ok(number)
    }

    /// Compiling takes milliseconds; with lists of a hundred thousand names a little more.
    fn with<T>(&self, work: impl FnOnce(&mut dyn Configuration) -> T) -> T {
        let mut configuration = self
            .configuration
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&mut **configuration)
    }

    async fn install(&self, next: Generation) {
        let before = self.core.generation();
        let changed = changed_upstreams(&before.policies, &next.policies);
        let declared = DeclaredIndex::all(&next.policies);
        self.core.install(next);
        self.declared.store(Arc::new(declared));
        for index in changed {
            self.mirrors.forget_index(&index);
            self.names.forget(&index);
            let (store, name) = (Arc::clone(&self.core.store), index.clone());
            let removed = tokio::task::spawn_blocking(move || store.remove_pages(&name)).await;
            if let Ok(Err(error)) = removed {
                tracing::error!(%index, %error, "pages of its former upstream remain");
            }
        }
    }
}

impl CheckIndexes for Generations {
    fn check(&self, would_be: &Directory) -> Result<(), Faults> {
        let number = self.core.generation().number + 1;
        let stored = Self::stored(would_be);
        self.with(|configuration| configuration.make(number, &stored))
            .map(drop)
    }
}

/// The generation under these recalls.
fn under(generation: Generation, recalls: Arc<Recalls>) -> Generation {
    Generation {
        policies: generation.policies.under(recalls),
        ..generation
    }
}

/// The earlier mirrors that are gone or have another upstream now.
fn changed_upstreams(before: &Policies, after: &Policies) -> Vec<IndexName> {
    let url = |policies: &Policies, name: &IndexName| {
        policies
            .index(name)
            .and_then(|index| index.mirror()?.mirror_url().map(str::to_owned))
    };
    let mirrors = before.indexes().filter(|index| index.is_mirror());
    let changed = mirrors.filter(|index| url(before, &index.name) != url(after, &index.name));
    changed.map(|index| index.name.clone()).collect()
}
