//! Pages as they are written to clients: once per index, project and variant, for one generation.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::weighed::Weighed;
use crate::model::IndexName;
use crate::model::ProjectName;
use crate::model::Timestamp;
use crate::protocol::ETag;

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
    pub head: Arc<HeaderMap>,
    /// The headers of a 304.
    pub head_not_modified: Arc<HeaderMap>,
    /// The encoded body.
    pub body: Bytes,
    /// The strong entity tag of this encoding.
    pub etag: ETag,
    /// The generation whose policies filtered it.
    pub generation: u64,
    /// Until when no source and no rule has anything else to say.
    pub valid_until: Timestamp,
}

/// The rendered pages.
#[derive(Debug)]
pub struct RenderedPages {
    pages: Weighed<RenderedKey, Arc<RenderedPage>>,
}

impl RenderedPages {
    /// At most so many bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { pages: Weighed::new(bytes_max, |_, page| page.body.len() + ENTRY_BYTES) }
    }

    /// The page, if it was rendered for this generation and still holds.
    #[must_use]
    pub fn get(
        &self,
        key: &RenderedKey,
        generation: u64,
        now: Timestamp,
    ) -> Option<Arc<RenderedPage>> {
        let page = self.pages.get(key)?;
        (page.generation == generation && now < page.valid_until).then_some(page)
    }

    /// Remembers a page.
    pub fn insert(&self, key: RenderedKey, page: Arc<RenderedPage>) {
        self.pages.insert(key, page);
    }

    /// Forgets every rendering of a project, in every index.
    pub fn forget(&self, project: &ProjectName) {
        let project = project.clone();
        self.pages.remove_if(move |key| key.project == project);
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
        })
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
        pages.insert(key.clone(), page(1, 10));
        assert!(pages.get(&key, 1, at(9)).is_some());
        assert!(pages.get(&key, 1, at(10)).is_none());
        assert!(pages.get(&key, 2, at(9)).is_none());
        pages.forget(&key.project);
        assert!(pages.get(&key, 1, at(9)).is_none());
    }
}
