//! What flows have noticed since the catalogue was brought up to date: noted in passing, worked off later.
//!
//! It is bounded. What does not fit is not searched until it is noticed again, or everything is gathered
//! again.

use std::collections::HashMap;
use std::mem::take;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{IndexName, ProjectName};
use crate::search::about::ReleaseAbout;

/// Most projects that wait: some megabytes with what they say; a second brings few.
const PROJECTS_MAX: usize = 2_000;

/// What was noticed.
#[derive(Debug, Default)]
pub struct Noticed {
    /// Projects that were asked for, with what a release says, if that was read.
    pub projects: HashMap<(IndexName, ProjectName), Option<ReleaseAbout>>,
    /// Whether a mirror's list was kept.
    pub is_list_new: bool,
}

/// Notes what flows notice.
#[derive(Debug, Default)]
pub struct CatalogueNotices(Mutex<Noticed>);

impl CatalogueNotices {
    /// Notes that a project was asked for on a mirror.
    pub fn asked_for(&self, index: &IndexName, project: &ProjectName) {
        let mut heard = self.noticed();
        if heard.projects.len() < PROJECTS_MAX {
            let key = (index.clone(), project.clone());
            heard.projects.entry(key).or_default();
        }
    }

    /// Notes what a release of a mirror's project says.
    pub fn described(&self, index: &IndexName, project: &ProjectName, about: ReleaseAbout) {
        let mut heard = self.noticed();
        if heard.projects.len() >= PROJECTS_MAX {
            return;
        }
        let key = (index.clone(), project.clone());
        let known = heard.projects.entry(key).or_default();
        if known
            .as_ref()
            .is_none_or(|known| about.is_newer_than(known))
        {
            *known = Some(about);
        }
    }

    /// Notes that a mirror's list was kept.
    pub fn listed(&self) {
        self.noticed().is_list_new = true;
    }

    /// What was noticed since the last call.
    pub fn take(&self) -> Noticed {
        take(&mut self.noticed())
    }

    fn noticed(&self) -> MutexGuard<'_, Noticed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
