//! The operator's files as the generations see them: read again when asked, kept when they are good.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::{Config, Doors, Found, Loaded, Named, discover, load_noting};
use crate::gateway::{Configuration, Generation};
use crate::model::{Fault, Faults};
use crate::policy::{Document, IndexDocument, check_orphans};

use super::generation::Maker;
use super::{Environment, Start};

/// What the last reading came upon, for those who watch it.
#[derive(Debug)]
pub(super) struct Reading {
    /// The files that it read or would have: those of a reading with faults too.
    pub(super) named: Named,
    /// The doors as the last good reading has them: with which certificates.
    pub(super) doors: Doors,
}

impl Reading {
    /// What the start came upon.
    pub(super) fn of(named: Named, config: &Config) -> Arc<ArcSwap<Self>> {
        let doors = config.listen.clone();
        Arc::new(ArcSwap::from_pointee(Self { named, doors }))
    }
}

/// What was read last, and how to read it again.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) start: Start,
    pub(super) env: Environment,
    pub(super) maker: Maker,
    /// The upstream that pip named at the start; it stays.
    pub(super) found: Option<Found>,
    pub(super) loaded: Loaded,
    /// The settings of the start, most of which stay until the next one.
    pub(super) at_start: Config,
    pub(super) reading: Arc<ArcSwap<Reading>>,
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

    fn note(&self, named: Named, doors: Option<&Doors>) {
        let doors = match doors {
            Some(doors) => doors.clone(),
            None => self.reading.load().doors.clone(),
        };
        self.reading.store(Arc::new(Reading { named, doors }));
    }

    /// Says what changed that only a restart puts in force.
    fn say_what_waits(&self, loaded: &Loaded) {
        let waiting = self.at_start.waiting_for_restart(&loaded.config);
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!(keys, "these have changed, and are in force after a restart");
        }
    }
}

impl Configuration for Files {
    fn documents(&self) -> &[Document] {
        &self.loaded.documents
    }

    fn make(&mut self, number: u64, stored: &[IndexDocument]) -> Result<Generation, Faults> {
        self.maker.next(number, &self.loaded, stored)
    }

    fn read_again(&mut self, number: u64, stored: &[IndexDocument]) -> Result<Generation, Faults> {
        let (policies, overrides) = (&self.start.policies, &self.start.overrides);
        let mut named = Named::default();
        let loaded = load_noting(policies, overrides, &self.env, &mut named);
        self.note(
            named,
            loaded.as_ref().ok().map(|loaded| &loaded.config.listen),
        );
        let mut loaded = loaded?;
        note_vanished(&self.loaded, &loaded)?;
        self.give_upstream(&mut loaded)?;
        check_orphans(&self.loaded.documents, &loaded.documents, stored)?;
        let generation = self.maker.next(number, &loaded, stored)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.say_what_waits(&loaded);
        self.loaded = loaded;
        Ok(generation)
    }
}

/// A file that nobody named and is gone, or one that is empty all at once, is being written or was lost:
/// nothing would be forbidden any more. Who means that starts the server again.
fn note_vanished(before: &Loaded, after: &Loaded) -> Result<(), Faults> {
    let mut faults = Faults::default();
    let mut note = |file: &PathBuf, what: &str| {
        let fault = Fault::nowhere(format!("{} {what}", file.display()));
        faults.push(
            fault.hint("what it said stays in force until it is back or the server restarts"),
        );
    };
    if after.files.is_empty() {
        before.files.iter().for_each(|file| note(file, "is gone"));
    }
    for file in &after.blank {
        if before.files.contains(file) && !before.blank.contains(file) {
            note(file, "is empty");
        }
    }
    faults.or(())
}
