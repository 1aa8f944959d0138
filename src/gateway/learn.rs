//! What a file tells about itself as it, or its sidecar, passes through or is looked into, noted for its page.
//!
//! What is known of a project's files is kept as a whole. So what many of them tell while one note is
//! written is written with the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::catalog::{Mirrors, StagePages, keep_learned, learned};
use crate::exchange::Core;
use crate::gateway::decide::Tickets;
use crate::gateway::page::Pages;
use crate::gateway::tickets::Grant;
use crate::model::{File, IndexName, Inside, ProjectName, Sha256};
use crate::page::{Learned, LearnedMetadata};
use crate::telemetry::WaitFor;

/// Whose files: a project on a mirror.
type Place = (IndexName, ProjectName);

/// What is still to be noted, in the order in which it came.
type Told = HashMap<Place, Vec<(Arc<File>, Fact)>>;

/// Notes what is learned, and has whatever shows it made again.
#[derive(Debug)]
pub struct Learning {
    core: Arc<Core>,
    mirrors: Arc<Mirrors>,
    stages: Arc<StagePages>,
    pages: Arc<Pages>,
    tickets: Arc<Tickets>,
    told: Mutex<Told>,
    /// Held while what is known of one project's files is read, changed and written.
    one_at_a_time: Mutex<()>,
}

/// Something that was found out about a file and that its page does not state.
#[derive(Debug, Clone)]
pub enum Fact {
    /// Its digest and length.
    Content(Sha256, u64),
    /// It has no metadata that could be served.
    NoSidecar,
    /// What stands in it, of the bytes of this digest.
    Inside(Sha256, Inside),
}

impl Learning {
    pub fn new(
        core: Arc<Core>,
        (mirrors, stages): (Arc<Mirrors>, Arc<StagePages>),
        pages: Arc<Pages>,
        tickets: Arc<Tickets>,
    ) -> Self {
        Self {
            core,
            mirrors,
            stages,
            pages,
            tickets,
            told: Mutex::default(),
            one_at_a_time: Mutex::default(),
        }
    }

    /// Notes a fact, and has the pages that show it and the decision on the file's URL made again;
    /// blocking.
    pub fn learn(&self, grant: &Grant, fact: Fact) {
        let place = self.hear(grant, fact);
        let waits = self.core.metrics.waits(WaitFor::Facts);
        let _one_at_a_time = waits.lock(&self.one_at_a_time);
        self.note(&place);
    }

    fn hear(&self, grant: &Grant, fact: Fact) -> Place {
        let file = grant.file.item();
        let place = (grant.owner.clone(), file.filename.project().clone());
        let mut told = self.told();
        let of_project = told.entry(place.clone()).or_default();
        of_project.push((Arc::clone(file), fact));
        place
    }

    /// Notes all that was told of a project's files; returns how much, which is nothing where another
    /// has noted it.
    fn note(&self, place: &Place) -> usize {
        let Some(told) = self.told().remove(place) else {
            return 0;
        };
        let (index, project) = place;
        let mut facts = learned(&self.core, index, project);
        for (file, fact) in &told {
            let name = file.filename.as_str();
            let before = facts.get(name);
            let known = before.filter(|known| known.is_about(file));
            let known = known.cloned().unwrap_or_else(|| Learned::of(file));
            let known = known.with_inside_of(before);
            let known = match fact.clone() {
                Fact::Content(sha256, size) => known.content(sha256, size),
                Fact::NoSidecar => known.metadata(LearnedMetadata::Unobtainable),
                Fact::Inside(sha256, found) => known.inside(sha256, found),
            };
            facts.insert(name, known);
        }
        keep_learned(&self.core, index, project, &facts);
        self.mirrors.forget(index, project);
        self.stages.forget(index, project);
        self.pages.forget(project);
        for (file, _) in &told {
            self.tickets.forget_file(file.filename.as_str());
        }
        told.len()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sample::one_file;

    #[tokio::test]
    async fn what_many_tell_meanwhile_is_noted_with_one_note() {
        let folder = tempfile::tempdir().unwrap();
        let (flows, _, grant) = one_file(folder.path()).await;
        let learning = &flows.files.fills.learning;
        let digest = Sha256::of(b"six");
        let place = learning.hear(&grant, Fact::Content(digest, 3));
        for _ in 0..9 {
            learning.hear(&grant, Fact::NoSidecar);
        }
        assert_eq!(learning.note(&place), 10);
        assert_eq!(learning.note(&place), 0);
        let facts = learned(&flows.core, &place.0, &place.1);
        let known = facts.get(grant.file.item().filename.as_str()).unwrap();
        assert_eq!(known.content, Some((digest, 3)));
        assert_eq!(known.metadata, LearnedMetadata::Unobtainable);
    }
}
