//! What was called back, looked up by what is asked for: above every rule and waiver, at every index.
//!
//! Recalls are not written by operators into files but recorded, so a running server can be told one
//! without reading anything again. They become a part of every stack, and `decide` sees them there.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{File, IndexName, ProjectName, Recall, RecallSubject, Recalled, Sha256};
use crate::policy::verdict::{Denial, Missing, Reason, RuleId, Subject};

/// Stands in place of a policy's name.
pub(super) const RECALL: &str = "recall";

/// The recalls in force.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recalls {
    all: Vec<Arc<Recall>>,
    /// Of whole projects and of releases, by project.
    projects: HashMap<ProjectName, Vec<usize>>,
    /// Of files, by their name in lower case.
    files: HashMap<String, usize>,
    digests: HashMap<Sha256, usize>,
}

/// Those of them that may be about a project or its files.
#[derive(Debug, Clone)]
pub(super) struct RecallsAbout<'a> {
    recalls: &'a Recalls,
    named: &'a [usize],
}

/// A recall that covers something, and what it would have to know to be sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CalledBack<'a> {
    pub(super) recall: &'a Arc<Recall>,
    pub(super) missing: Option<Missing>,
}

impl Recalls {
    /// Puts recorded recalls in order.
    #[must_use]
    pub fn of(recalls: Vec<Recall>) -> Self {
        let mut made = Self::default();
        for (position, recall) in recalls.into_iter().enumerate() {
            match &recall.subject {
                RecallSubject::Project(project) | RecallSubject::Releases(project, _) => {
                    let of_project = made.projects.entry(project.clone());
                    of_project.or_default().push(position);
                }
                RecallSubject::File(name) => {
                    made.files
                        .entry(name.to_ascii_lowercase())
                        .or_insert(position);
                }
                RecallSubject::Sha256(digest) => {
                    made.digests.entry(*digest).or_insert(position);
                }
            }
            made.all.push(Arc::new(recall));
        }
        made
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn all(&self) -> &[Arc<Recall>] {
        &self.all
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether one names this project.
    pub(super) fn name(&self, project: &str) -> bool {
        self.projects.contains_key(project)
    }

    pub(super) fn about(&self, project: &ProjectName) -> RecallsAbout<'_> {
        let named = self.projects.get(project);
        RecallsAbout {
            recalls: self,
            named: named.map(Vec::as_slice).unwrap_or_default(),
        }
    }
}

impl<'a> RecallsAbout<'a> {
    /// The recalls of releases of the project.
    pub(super) fn of_releases(&self) -> impl Iterator<Item = &'a Arc<Recall>> + use<'a> {
        let recalls = self.recalls;
        let named = self.named.iter().map(|at| &recalls.all[*at]);
        named.filter(|one| matches!(one.subject, RecallSubject::Releases(..)))
    }

    /// The recall of the whole project.
    pub(super) fn of_project(&self) -> Option<CalledBack<'a>> {
        let mut named = self.named.iter().map(|at| &self.recalls.all[*at]);
        let recall = named.find(|one| matches!(one.subject, RecallSubject::Project(_)))?;
        Some(CalledBack {
            recall,
            missing: None,
        })
    }

    /// The recall that covers a file; one that is sure of it, if there is one.
    pub(super) fn of_file(&self, file: &File) -> Option<CalledBack<'a>> {
        let recalls = self.recalls;
        if recalls.all.is_empty() {
            return None;
        }
        let by_name = || {
            recalls
                .files
                .get(&file.filename.as_str().to_ascii_lowercase())
        };
        let by_name = if recalls.files.is_empty() {
            None
        } else {
            by_name()
        };
        // Of a file without a digest none can say that it is another.
        let by_digest = match file.hashes.sha256() {
            Some(digest) => recalls.digests.get(&digest),
            None => recalls.digests.values().min(),
        };
        let found = self.named.iter().chain(by_name).chain(by_digest);
        let mut unsure = None;
        for recall in found.map(|at| &recalls.all[*at]) {
            let missing = match recall.subject.covers(file) {
                Recalled::No => continue,
                Recalled::Yes => {
                    return Some(CalledBack {
                        recall,
                        missing: None,
                    });
                }
                Recalled::UnreadableVersion => Missing::Version,
                Recalled::Respelled => Missing::Spelling,
                Recalled::NoDigest => Missing::Digest,
            };
            unsure = unsure.or(Some(CalledBack {
                recall,
                missing: Some(missing),
            }));
        }
        unsure
    }
}

impl CalledBack<'_> {
    /// The refusal of something that is asked for through an index.
    pub(super) fn denial(self, subject: Subject, asked: &IndexName) -> Denial {
        let rule = RuleId {
            name: self.recall.name(),
            location: None,
            policy: RECALL.into(),
            index: asked.clone(),
        };
        let reason = Reason::Recalled {
            id: self.recall.id,
            words: Arc::clone(&self.recall.reason),
            missing: self.missing,
        };
        Denial::new(subject, reason, rule)
    }
}
