//! The operator's files as the generations see them: read again when asked, kept when they are good.

use std::path::PathBuf;

use crate::config::Found;
use crate::config::Loaded;
use crate::config::discover;
use crate::config::load;
use crate::gateway::Configuration;
use crate::gateway::Generation;
use crate::model::Faults;
use crate::policy::Document;
use crate::policy::IndexDocument;
use crate::policy::check_orphans;

use super::Environment;
use super::Start;
use super::generation::Maker;

/// What was read last, and how to read it again.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) start: Start,
    pub(super) env: Environment,
    pub(super) maker: Maker,
    /// The upstream that pip named at the start; it stays.
    pub(super) found: Option<Found>,
    pub(super) loaded: Loaded,
}

impl Files {
    /// Gives the mirror without a `mirror_url` its upstream; one that is new asks pip now.
    fn give_upstream(&mut self, loaded: &mut Loaded) -> Result<(), Faults> {
        if loaded.pip_mirror().is_none() {
            return Ok(());
        }
        if self.found.is_none() {
            let found = discover(&loaded.config, &self.env);
            self.found = Some(found.map_err(|fault| Faults(vec![fault]))?);
        }
        if let Some(found) = &self.found {
            loaded.set_upstream(found);
        }
        Ok(())
    }
}

impl Configuration for Files {
    fn documents(&self) -> &[Document] {
        &self.loaded.documents
    }

    fn watched(&self) -> &[PathBuf] {
        &self.loaded.files
    }

    fn make(&mut self, number: u64, stored: &[IndexDocument]) -> Result<Generation, Faults> {
        self.maker.next(number, &self.loaded, stored)
    }

    fn read_again(&mut self, number: u64, stored: &[IndexDocument]) -> Result<Generation, Faults> {
        let mut loaded = load(&self.start.policies, &self.start.overrides, &self.env)?;
        self.give_upstream(&mut loaded)?;
        check_orphans(&self.loaded.documents, &loaded.documents, stored)?;
        let generation = self.maker.next(number, &loaded, stored)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.loaded = loaded;
        Ok(generation)
    }
}
