//! What a mirror's file tells about itself as it, or its sidecar, passes through, noted for its page.

use std::sync::{Arc, Mutex};

use crate::gateway::core::Core;
use crate::gateway::decide::Tickets;
use crate::gateway::page::Pages;
use crate::gateway::page_copies::{keep_learned, learned};
use crate::gateway::source::Mirrors;
use crate::gateway::tickets::Grant;
use crate::page::Learned;
use crate::telemetry::WaitFor;

/// Notes what is learned, and has whatever shows it made again.
#[derive(Debug)]
pub struct Learning {
    pub(super) core: Arc<Core>,
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) pages: Arc<Pages>,
    pub(super) tickets: Arc<Tickets>,
    /// Held while the learned facts of one project are read, changed and written.
    pub(super) one_at_a_time: Mutex<()>,
}

impl Learning {
    /// Notes something that was found out about a file; blocking. If it is shown (`is_shown`), the
    /// pages that show it, and the decision on its URL, are made again.
    pub fn learn(&self, grant: &Grant, is_shown: bool, change: impl FnOnce(Learned) -> Learned) {
        let (index, file) = (&grant.owner, grant.file.item());
        let (name, project) = (file.filename.as_str(), file.filename.project());
        let waits = self.core.metrics.waits(WaitFor::Facts);
        let _one_at_a_time = waits.lock(&self.one_at_a_time);
        let mut facts = learned(&self.core, index, project);
        let known = facts.get(name).filter(|known| known.is_about(file));
        let known = known.cloned().unwrap_or_else(|| Learned::of(file));
        facts.insert(name, change(known));
        keep_learned(&self.core, index, project, &facts);
        if is_shown {
            self.mirrors.forget(index, project);
            self.pages.forget(project);
            self.tickets.forget_file(name);
        }
    }
}
