//! What came to an index last, without what its rules refuse.
//!
//! Each file is looked up on the same page as when it is fetched, and judged by the same function. What cannot
//! be judged in time is left out: a list may lack a file, and names none that is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::catalog::{Resolution, Stacks};
use crate::db::{ArrivedFile, Serial};
use crate::exchange::{Context, Core, Flow, Patience, records_failed};
use crate::gateway::page::decide;
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::Ruling;

/// Files that are looked at: of these the latest that pass are shown.
const WINDOW: u32 = 100;

/// Most files that are shown.
const SHOWN_MAX: usize = 20;

/// Most indexes of which what was found is kept.
const KEPT_MAX: usize = 256;

/// What came to indexes last.
#[derive(Debug)]
pub struct Uploads {
    core: Arc<Core>,
    stacks: Arc<Stacks>,
    kept: Mutex<HashMap<IndexName, Kept>>,
}

/// What was found, and for which state of the world.
#[derive(Debug, Clone)]
struct Kept {
    generation: u64,
    serial: Serial,
    until: Timestamp,
    found: Arc<[ArrivedFile]>,
}

/// The files of one project with the instant at which that may change.
type Judged = (Vec<ArrivedFile>, Timestamp);

impl Uploads {
    pub fn new(core: Arc<Core>, stacks: Arc<Stacks>) -> Self {
        Self {
            core,
            stacks,
            kept: Mutex::default(),
        }
    }

    /// The files that came to an index last and pass now, the latest first.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub async fn latest(&self, cx: &Context, index: &IndexName) -> Flow<Arc<[ArrivedFile]>> {
        let failed = |error| records_failed("read what was uploaded last", error);
        let serial = self.core.records.serial().await.map_err(failed)?;
        let generation = cx.generation.number;
        let known = self.kept().get(index).cloned();
        if let Some(known) = known
            && (known.generation, known.serial) == (generation, serial)
            && cx.now < known.until
        {
            return Ok(known.found);
        }
        let latest = self.core.records.latest_files(index, WINDOW).await;
        let mut by_project: BTreeMap<ProjectName, Vec<ArrivedFile>> = BTreeMap::new();
        for one in latest.map_err(failed)? {
            let project = one.file.project.clone();
            by_project.entry(project).or_default().push(one);
        }
        let judging = by_project
            .into_iter()
            .map(|(project, files)| self.passing(cx, index, project, files));
        let mut found = Vec::new();
        let mut until = Timestamp::MAX;
        for (files, holds_until) in join_all(judging).await {
            found.extend(files);
            until = until.min(holds_until);
        }
        found.sort_by(|one, other| {
            let name = |one: &ArrivedFile| one.file.facts.filename.clone();
            (other.at, name(one)).cmp(&(one.at, name(other)))
        });
        found.truncate(SHOWN_MAX);
        let found: Arc<[ArrivedFile]> = found.into();
        let mut kept = self.kept();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let now_known = Kept {
            generation,
            serial,
            until,
            found: Arc::clone(&found),
        };
        kept.insert(index.clone(), now_known);
        Ok(found)
    }

    /// Those of a project's files that pass.
    async fn passing(
        &self,
        cx: &Context,
        index: &IndexName,
        project: ProjectName,
        files: Vec<ArrivedFile>,
    ) -> Judged {
        let wait = self.core.settings.cache.patience;
        let resolving = self.stacks.resolve(cx, index, &project, Patience::File);
        let resolved = match timeout(wait, resolving).await {
            Ok(Ok(Resolution::Known(resolved))) => resolved,
            Ok(Ok(Resolution::Refused(_) | Resolution::Unknown)) => {
                let stack = cx.generation.policies.stack(index);
                let change = stack.and_then(|stack| stack.next_rule_change(cx.now));
                return (Vec::new(), change.unwrap_or(Timestamp::MAX));
            }
            // Looked for again by the next request.
            Ok(Err(_)) | Err(_) => return (Vec::new(), cx.now),
        };
        let view = resolved.view();
        let mut until = resolved.until(None, cx.now).0;
        let passing = files.into_iter().filter(|one| {
            let facts = &one.file.facts;
            let Some(entry) = resolved.find(&facts.filename, None) else {
                return false;
            };
            // Another layer may have a file of the same name in front of it.
            let is_it = entry.file.hashes.sha256() == Some(facts.sha256);
            let decided = decide(&view, &entry, cx.now);
            until = until.min(decided.next_change.unwrap_or(Timestamp::MAX));
            is_it && decided.ruling == Ruling::List
        });
        (passing.collect(), until)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<IndexName, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
