//! What a file of a mirror tells of itself as it, or its sidecar, passes through, noted for its page.

use std::sync::PoisonError;

use crate::gateway::context::Shared;
use crate::gateway::tickets::Grant;
use crate::page::Learned;
use crate::store::Key;

impl Shared {
    /// Notes something that was found out of a file; blocking. What is shown of it (`is_shown`) is made
    /// again: pages, and the decision on its URL.
    pub fn learn(&self, grant: &Grant, is_shown: bool, change: impl FnOnce(Learned) -> Learned) {
        let (index, file) = (&grant.owner, grant.file.item());
        let (name, project) = (file.filename.as_str(), file.filename.project());
        let one_at_a_time = self.learning.lock();
        let _one_at_a_time = one_at_a_time.unwrap_or_else(PoisonError::into_inner);
        let mut learned = self.learned(index, project);
        let known = learned.get(name).filter(|known| known.is_about(file));
        let known = known.cloned().unwrap_or_else(|| Learned::of(file));
        learned.insert(name, change(known));
        let key = Key::Learned {
            index: index.clone(),
            project: project.clone(),
        };
        if let Err(error) = self.store.put_small(&key, &learned.to_stored()) {
            tracing::error!(%index, %project, %error, "what was learned of a file is not kept");
        }
        if is_shown {
            self.sources.forget(index, project);
            self.rendered.forget(project);
            let ending = format!("/{name}");
            self.tickets
                .remove_if(move |(_, path)| path.ends_with(&ending));
        }
    }
}
