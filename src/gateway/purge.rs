//! What becomes of the bytes of what was recalled.
//!
//! A mirror's are removed, or set aside if somebody wants to examine them; they can be fetched again when the
//! recall is withdrawn. What a stage holds stays: nobody else has it, and a recall that names the wrong thing
//! must not be the end of it. It is refused like everything else, and whoever wants it gone deletes it.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use crate::db::FileRole;
use crate::exchange::Core;
use crate::gateway::flows::Flows;
use crate::gateway::tickets::mirror_metadata_key;
use crate::model::{IndexName, ProjectName, Recall, RecallSubject, Recalled, Sha256};
use crate::store::{FsStore, Key, StoreError};

/// Private files that are named one by one.
const NAMED_MAX: usize = 100;

/// What was found of something that was recalled, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// Mirror files and sidecars that were removed or set aside.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where they were set aside.
    pub kept_in: Option<String>,
    /// Files of it that pages of mirrors list, as far as these are held here.
    pub listed: u64,
    /// Files of it that stages hold and go on holding.
    pub private: u64,
    /// Some of them: name and index.
    pub private_files: Vec<String>,
    /// What could not be done.
    pub failed: Vec<String>,
}

impl Flows {
    /// Removes the bytes of what was recalled from memory and, of mirrors, from the disk. `delivered` are
    /// digests that are known otherwise. Whoever serves refuses it already.
    pub async fn purge(&self, recall: &Recall, delivered: &[Sha256]) -> Purged {
        let mut purged = Purged::default();
        let mut digests: HashSet<Sha256> = delivered.iter().copied().collect();
        if let RecallSubject::Sha256(digest) = recall.subject {
            digests.insert(digest);
            match self.core.records.is_referenced(&digest).await {
                Ok(is_private) => purged.private += u64::from(is_private),
                Err(error) => purged.failed.push(error.to_string()),
            }
        }
        let policies = self.core.generation();
        let policies = &policies.policies;
        for project in recall.subject.projects() {
            for index in policies.indexes().filter(|index| index.is_mirror()) {
                let Some(page) = self.mirrors.held_page(index, &project).await else {
                    continue;
                };
                let files = page.files.iter();
                for file in files.filter(|file| recall.subject.covers(file) == Recalled::Yes) {
                    purged.listed += 1;
                    digests.extend(file.hashes.sha256());
                }
            }
            for index in policies.indexes().filter(|index| !index.is_mirror()) {
                self.find_private(recall, (&index.name, &project), &mut purged)
                    .await;
            }
            self.forget_project(&project);
        }
        let mirrors = policies.indexes().filter(|index| index.is_mirror());
        let mirrors: Vec<IndexName> = mirrors.map(|index| index.name.clone()).collect();
        for digest in digests {
            self.purge_digest(recall, &digest, &mirrors, &mut purged)
                .await;
        }
        if recall.is_kept && purged.files > 0 {
            let kept_in = self.core.store.aside(recall.id);
            purged.kept_in = Some(kept_in.display().to_string());
        }
        purged
    }

    /// Puts back what was set aside for a recall that is withdrawn; returns how many files that were.
    ///
    /// # Errors
    /// What failed, in words.
    pub async fn bring_back(&self, recall: u64) -> Result<u64, String> {
        on_store(&self.core, move |store| store.bring_back(recall)).await
    }

    async fn find_private(
        &self,
        recall: &Recall,
        (index, project): (&IndexName, &ProjectName),
        purged: &mut Purged,
    ) {
        let held = match self.core.records.project(index, project).await {
            Ok(held) => held,
            Err(error) => {
                let what = format!("what {index} holds of {project} is not known: {error}");
                purged.failed.push(what);
                return;
            }
        };
        let files = held.into_iter().flat_map(|held| held.files);
        for file in files.filter(|file| file.facts.role == FileRole::ReleaseFile) {
            let (name, digest) = (&file.facts.filename, file.facts.sha256);
            let version = Some(&*file.version);
            let covers = recall
                .subject
                .covers_named(project, version, name, Some(digest));
            if covers != Recalled::Yes {
                continue;
            }
            purged.private += 1;
            if purged.private_files.len() < NAMED_MAX {
                purged.private_files.push(format!("{name} of {index}"));
            }
            for key in [Key::PrivateFile(digest), Key::PrivateMetadata(digest)] {
                self.small.forget(&key);
            }
        }
    }

    async fn purge_digest(
        &self,
        recall: &Recall,
        digest: &Sha256,
        mirrors: &[IndexName],
        purged: &mut Purged,
    ) {
        let sidecars = mirrors.iter().map(|name| mirror_metadata_key(name, digest));
        for key in sidecars.chain([Key::MirrorFile(*digest)]) {
            let recall = recall.is_kept.then_some(recall.id);
            let gone = key.clone();
            let taken = on_store(&self.core, move |store| match recall {
                Some(id) => store.set_aside(&gone, id),
                None => {
                    let length = store.length(&gone);
                    Ok(store.remove(&gone)?.then_some(length))
                }
            });
            match taken.await {
                Ok(Some(length)) => {
                    purged.files += 1;
                    purged.bytes += length;
                }
                Ok(None) => {}
                Err(error) => purged.failed.push(error),
            }
            self.small.forget(&key);
        }
        for key in [Key::PrivateFile(*digest), Key::PrivateMetadata(*digest)] {
            self.small.forget(&key);
        }
    }
}

/// Does blocking work on the store.
async fn on_store<T: Send + 'static>(
    core: &Core,
    work: impl FnOnce(&FsStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    let store = Arc::clone(&core.store);
    match tokio::task::spawn_blocking(move || work(&store)).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(format!("work on the disk broke off: {error}")),
    }
}
