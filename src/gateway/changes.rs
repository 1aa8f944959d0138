//! How writes reach what is remembered: at once, and also what is just being made from before them.
//!
//! A page that is rendered while a file is published may have been read before the publication and
//! remembered after it. So whoever makes something from the records notes the count of writes first,
//! and forgets what it made if the count has moved: either the writer finds it and forgets it, or its
//! maker sees that there was a writer.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::gateway::context::Shared;
use crate::model::{Filename, ProjectName};

/// Counts the writes of this process to what stages hold.
#[derive(Debug, Default)]
pub struct Changes(AtomicU64);

impl Changes {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Forgets everything that was made from what stages held of a project, in every stack above.
    pub fn forget_project(&self, project: &ProjectName) {
        self.changes.0.fetch_add(1, Ordering::SeqCst);
        self.rendered.forget(project);
        self.forget_tickets(project);
        self.lists.forget();
    }

    /// Forgets everything that was made from what devpi-servers said. That they said it before a write
    /// is seen by its tag (`Upstream::is_outdated`).
    pub fn devpi_changed(&self) {
        self.changes.0.fetch_add(1, Ordering::SeqCst);
        self.sources.forget_all();
        self.rendered.forget_all();
        self.tickets.remove_if(|_| true);
        self.lists.forget();
    }

    /// Forgets the decisions on all files of a project.
    pub fn forget_tickets(&self, project: &ProjectName) {
        let project = project.clone();
        self.tickets.remove_if(move |(_, path)| {
            let filename = path.rsplit('/').next().unwrap_or_default();
            Filename::projects(filename).contains(&project)
        });
    }
}
