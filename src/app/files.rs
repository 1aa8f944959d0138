//! The operator's files as the generations see them: read again on request, kept when they are good.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::account::Accounts;
use crate::app::generation::Maker;
use crate::app::setup::Setup;
use crate::config::{Config, Doors, Loaded, Named};
use crate::exchange::Generation;
use crate::feed::Keeper;
use crate::gateway::Configuration;
use crate::language::IndexDocument;
use crate::model::{Fault, Faults};
use crate::notify::Notifier;
use crate::policy::check_orphans;

/// What the last reading came across, for the watcher.
#[derive(Debug)]
pub(super) struct Reading {
    /// The files that it read or would have read, including those of a reading with faults.
    pub(super) named: Named,
    /// The doors, with their certificates, as of the last good reading.
    pub(super) doors: Doors,
}

impl Reading {
    /// What the start came across.
    pub(super) fn of(named: Named, config: &Config) -> Arc<ArcSwap<Self>> {
        let doors = config.listen.clone();
        Arc::new(ArcSwap::from_pointee(Self { named, doors }))
    }
}

/// What was read last, and how to read it again.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) setup: Setup,
    pub(super) maker: Maker,
    /// What is held of feeds.
    pub(super) feeds: Arc<Keeper>,
    /// Who is told of what happens.
    pub(super) notifier: Arc<Notifier>,
    /// Who is in which group.
    pub(super) accounts: Arc<Accounts>,
    /// Includes the upstream that pip named when it was first needed; it stays.
    pub(super) loaded: Loaded,
    /// The settings at the start, most of which stay until the next one.
    pub(super) at_start: Config,
    pub(super) reading: Arc<ArcSwap<Reading>>,
}

impl Files {
    fn note(&self, named: Named, doors: Option<&Doors>) {
        let doors = match doors {
            Some(doors) => doors.clone(),
            None => self.reading.load().doors.clone(),
        };
        self.reading.store(Arc::new(Reading { named, doors }));
    }

    /// Logs which changes take effect only at a restart.
    fn say_what_waits(&self, loaded: &Loaded) {
        let waiting = self.at_start.waiting_for_restart(&loaded.config);
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!(keys, "these have changed, and are in force after a restart");
        }
    }
}

impl Configuration for Files {
    fn make(&mut self, number: u64, stored: &[IndexDocument]) -> Result<Generation, Faults> {
        // From the files as last read. The records may hold other indexes by now, and no change of those is
        // refused for lack of an upstream.
        let given = self.setup.give_upstream(&mut self.loaded, stored, None);
        if let Err(faults) = given {
            tracing::warn!("root/pypi has no upstream: {faults}");
        }
        self.feeds.give(&mut self.loaded.documents);
        self.maker.next(number, &self.loaded, stored)
    }

    fn read_again(&mut self, number: u64, stored: &[IndexDocument]) -> Result<Generation, Faults> {
        let mut named = Named::default();
        let (mut loaded, read) = self.setup.load_what_can_be(&mut named);
        let is_good = read.0.is_empty();
        self.note(named, is_good.then_some(&loaded.config.listen));
        if !is_good {
            loaded.all_faults(read, stored).or(())?;
        }
        note_vanished(&self.loaded, &loaded)?;
        let known = self.loaded.found.as_ref();
        self.setup.give_upstream(&mut loaded, stored, known)?;
        check_orphans(&self.loaded.documents, &loaded.documents, stored)?;
        self.feeds.give(&mut loaded.documents);
        let generation = self.maker.next(number, &loaded, stored)?;
        self.feeds.adopt(&loaded.documents);
        self.notifier.adopt(&loaded.config.notify);
        self.accounts.adopt_groups(&loaded.config.groups);
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.say_what_waits(&loaded);
        self.loaded = loaded;
        Ok(generation)
    }
}

/// Refuses a reload when a file that nothing names has gone, or a file is suddenly empty: it is being
/// written or was lost, and nothing would be forbidden any more. An operator who means it restarts the
/// server.
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
