//! A new generation on SIGHUP or when a configuration file changes, and renewed certificates for every
//! door. A faulty file never replaces a good one, and does not hold anything else back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::app::doors::Opened;
use crate::app::files::Reading;
use crate::app::notify::Notify;
use crate::app::presence::{Occasion, Presence};
use crate::app::watch::Watch;
use crate::config::Doors;
use crate::gateway::{Flows, Generations};
use crate::listen::{Certificates, Signals, Stop};
use crate::model::{DoorName, OwnLimits};
use crate::policy::diff;

/// Reads the configuration again and puts it in force.
pub(super) struct Reloader {
    flows: Arc<Flows>,
    generations: Arc<Generations>,
    certificates: Vec<(DoorName, Arc<Certificates>)>,
    reading: Arc<ArcSwap<Reading>>,
    /// What was there before the doors were announced: from then on a file may go.
    presence: Presence,
}

impl Reloader {
    pub(super) fn new(
        flows: &Arc<Flows>,
        generations: &Arc<Generations>,
        opened: &Opened,
        reading: Arc<ArcSwap<Reading>>,
    ) -> Self {
        Self {
            flows: Arc::clone(flows),
            generations: Arc::clone(generations),
            certificates: opened.certificates.clone(),
            presence: Presence::of(&reading.load().named),
            reading,
        }
    }

    /// Waits for reasons to reload until the server stops.
    pub(super) async fn run(
        mut self,
        limits: OwnLimits,
        mut signals: Signals,
        stop: Stop,
        notify: Notify,
    ) {
        let mut watch = Watch::new(Arc::clone(&self.reading), &limits);
        let mut presence = std::mem::take(&mut self.presence);
        loop {
            let changed = tokio::select! {
                () = stop.requested() => return,
                () = signals.hangup() => None,
                changed = watch.change() => Some(changed),
            };
            if let Some(changed) = &changed {
                let files = listed(changed);
                tracing::info!(files, "configuration has changed");
            }
            presence = self.look(presence, Occasion::Change).await;
            notify.reloading();
            let is_good = match changed {
                Some(changed) if self.are_certificates(&changed) => self.renew(&changed),
                Some(_) | None => {
                    // Policies and certificates do not wait for each other to be in order.
                    let is_read = self.reload().await;
                    self.renew(&BTreeSet::new()) && is_read
                }
            };
            presence = self.look(presence, Occasion::Read { is_good }).await;
            if !is_good {
                self.flows.core.metrics.reload_failed();
            }
            notify.reloaded(self.flows.core.generation().number, is_good);
        }
    }

    /// Looks at the files that are named now, off the threads that answer requests.
    async fn look(&self, mut presence: Presence, occasion: Occasion) -> Presence {
        let reading = self.reading.load_full();
        let look = move || {
            presence.tell(&reading.named, occasion);
            presence
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Puts what is written in force; returns whether that went well.
    async fn reload(&self) -> bool {
        let before = self.flows.core.generation();
        let number = match self.generations.reload().await {
            Ok(number) => number,
            Err(why) => {
                let generation = before.number;
                for line in why.to_string().lines() {
                    tracing::error!(generation, "configuration not reloaded: {line}");
                }
                return false;
            }
        };
        let changes = diff(&before.policies, &self.flows.core.generation().policies);
        for change in &changes {
            tracing::info!(generation = number, %change, "policy change");
        }
        tracing::info!(
            generation = number,
            changes = changes.len(),
            "configuration reloaded"
        );
        true
    }

    /// Whether all of these are certificates and keys, for which no policy has to be read again.
    fn are_certificates(&self, files: &BTreeSet<PathBuf>) -> bool {
        let reading = self.reading.load();
        let known = certificate_files(&reading.doors);
        files.iter().all(|file| known.contains(file))
    }

    /// Makes every door read its certificate again, counting these files as read; returns whether that
    /// went well.
    fn renew(&self, changed: &BTreeSet<PathBuf>) -> bool {
        self.reading.rcu(|reading| {
            let mut named = reading.named.clone();
            named.renew(changed.iter().map(PathBuf::as_path));
            let doors = reading.doors.clone();
            Reading { named, doors }
        });
        let reading = self.reading.load_full();
        let mut is_good = true;
        for (door, certificates) in &self.certificates {
            // A door that has no TLS from the next start on keeps what it has until then.
            let Some(files) = reading.doors.at(*door).place.tls() else {
                continue;
            };
            let door = door.as_str();
            match certificates.reload(&files.cert, &files.key) {
                Ok(true) => tracing::info!(door, "certificate renewed"),
                Ok(false) => {}
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::error!(door, error, "certificate not renewed, the one before stays");
                    is_good = false;
                }
            }
        }
        is_good
    }
}

fn certificate_files(doors: &Doors) -> BTreeSet<PathBuf> {
    let tls = DoorName::ALL
        .into_iter()
        .filter_map(|door| doors.at(door).place.tls());
    let files = tls.flat_map(|tls| [&tls.cert, &tls.key]);
    // In the form in which they are noted.
    let noted = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
    files.map(noted).collect()
}

fn listed(files: &BTreeSet<PathBuf>) -> String {
    let files: Vec<_> = files
        .iter()
        .map(|file| Path::display(file).to_string())
        .collect();
    files.join(", ")
}
