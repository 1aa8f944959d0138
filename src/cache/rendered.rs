//! Pages as they are sent to clients: one per index, project and variant, for one generation.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::grouped::Grouped;
use crate::cache::in_flight::InFlight;
use crate::cache::weighed::Mark;
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::protocol::{ETag, Head};
use crate::telemetry::Staleness;

/// What an entry takes besides its body.
const ENTRY_BYTES: usize = 1_500;

/// Which rendering of which page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RenderedKey {
    /// The asked index.
    pub index: IndexName,
    /// The project.
    pub project: ProjectName,
    /// Form, format and encoding, as the flow numbers them.
    pub variant: u8,
}

/// A page, ready to be written.
#[derive(Debug)]
pub struct RenderedPage {
    /// The headers of a 200.
    pub head: Arc<Head>,
    /// The headers of a 304.
    pub head_not_modified: Arc<Head>,
    /// The encoded body.
    pub body: Bytes,
    /// The strong entity tag of this encoding.
    pub etag: ETag,
    /// The generation whose policies filtered it.
    pub generation: u64,
    /// Until when no source and no rule changes it.
    pub valid_until: Timestamp,
    /// Until when it may be served while its sources are asked again: never beyond what a rule says.
    pub stale_until: Timestamp,
    /// Why it did not match its sources when it was made, if it did not.
    pub stale: Option<Staleness>,
    /// What its upstreams were being asked for when it was made of what was held.
    pub awaits: Vec<InFlight>,
}

impl RenderedPage {
    /// Whether an upstream that was being asked when it was made has answered since, or failed.
    #[must_use]
    pub fn is_overtaken(&self) -> bool {
        self.awaits.iter().any(InFlight::is_over)
    }
}

/// The rendered pages.
#[derive(Debug)]
pub struct RenderedPages {
    pages: Grouped<RenderedKey, Arc<RenderedPage>>,
}

impl RenderedPages {
    /// A cache of at most `bytes_max`.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let weigh = |_: &RenderedKey, page: &Arc<RenderedPage>| page.body.len() + ENTRY_BYTES;
        let project = |key: &RenderedKey| vec![key.project.as_str().to_owned()];
        Self {
            pages: Grouped::new(bytes_max, weigh, project),
        }
    }

    /// Returns the page, if it was rendered for this generation and still holds.
    #[must_use]
    pub fn get(
        &self,
        key: &RenderedKey,
        generation: u64,
        now: Timestamp,
    ) -> Option<Arc<RenderedPage>> {
        let page = self.pages.get(key)?;
        let holds = page.generation == generation && now < page.valid_until;
        (holds && !page.is_overtaken()).then_some(page)
    }

    /// Returns the page, if it was rendered for this generation and may be served while it is renewed.
    #[must_use]
    pub fn get_stale(
        &self,
        key: &RenderedKey,
        generation: u64,
        now: Timestamp,
    ) -> Option<Arc<RenderedPage>> {
        let page = self.pages.get(key)?;
        let holds = page.generation == generation && now < page.stale_until;
        (holds && !page.is_overtaken()).then_some(page)
    }

    /// Forgets one rendering, with the others of its project.
    pub fn remove(&self, key: &RenderedKey) {
        self.pages.remove(key);
    }

    /// The mark to take before reading what a page is rendered from: an upload may change that meanwhile.
    #[must_use]
    pub fn mark(&self, key: &RenderedKey) -> Mark {
        self.pages.mark(key)
    }

    /// Remembers a page, unless it was forgotten since the mark.
    pub fn insert_since(&self, mark: Mark, key: RenderedKey, page: Arc<RenderedPage>) {
        self.pages.insert_since(mark, key, page);
    }

    /// Forgets every rendering of a project, in every index.
    pub fn forget(&self, project: &ProjectName) {
        self.pages.forget(project.as_str());
    }

    /// Forgets every rendering.
    pub fn forget_all(&self) {
        self.pages.forget_all();
    }

    /// Bytes remembered, roughly.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.pages.weight_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(generation: u64, valid_until: i64) -> Arc<RenderedPage> {
        Arc::new(RenderedPage {
            head: Arc::default(),
            head_not_modified: Arc::default(),
            body: Bytes::from_static(b"x"),
            etag: ETag::parse("x").unwrap(),
            generation,
            valid_until: Timestamp::from_second(valid_until).unwrap(),
            stale_until: Timestamp::from_second(valid_until + 5).unwrap(),
            stale: None,
            awaits: Vec::new(),
        })
    }

    #[test]
    fn an_old_page_is_at_hand_for_its_time_unless_anything_else_changed() {
        let pages = RenderedPages::new(100_000);
        let key = RenderedKey {
            index: IndexName::parse("root/pypi").unwrap(),
            project: ProjectName::parse("six").unwrap(),
            variant: 0,
        };
        pages.insert_since(pages.mark(&key), key.clone(), page(1, 10));
        let stale = |generation, second| {
            let now = Timestamp::from_second(second).unwrap();
            pages.get_stale(&key, generation, now).is_some()
        };
        assert!(stale(1, 10) && stale(1, 14));
        assert!(!stale(1, 15) && !stale(2, 10));
        pages.forget(&key.project);
        assert!(!stale(1, 10));
    }

    #[test]
    fn a_page_holds_for_its_generation_and_its_time() {
        let pages = RenderedPages::new(100_000);
        let key = RenderedKey {
            index: IndexName::parse("a/b").unwrap(),
            project: ProjectName::parse("six").unwrap(),
            variant: 0,
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        pages.insert_since(pages.mark(&key), key.clone(), page(1, 10));
        assert!(pages.get(&key, 1, at(9)).is_some());
        assert!(pages.get(&key, 1, at(10)).is_none());
        assert!(pages.get(&key, 2, at(9)).is_none());
        pages.forget(&key.project);
        assert!(pages.get(&key, 1, at(9)).is_none());
    }
}
