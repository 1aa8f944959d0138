//! Parsed source pages in memory: what each mirror said about each project.

use std::sync::Arc;

use crate::cache::weighed::{Mark, Weighed};
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::ProjectPage;

/// What an entry takes besides its page.
const ENTRY_BYTES: usize = 400;

/// When a statement was made, and the validators to have it confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// When upstream last made or confirmed it.
    pub confirmed_at: Timestamp,
    /// Until when it need not be asked again.
    pub fresh_until: Timestamp,
    /// `ETag`, as sent.
    pub etag: Option<String>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<String>,
}

/// A mirror's statement on a project.
#[derive(Debug, Clone)]
pub struct SourcePage {
    /// Its page; `None` if it does not know the project.
    pub page: Option<Arc<ProjectPage>>,
    /// How long it holds.
    pub validity: Validity,
    /// Since when upstream no longer has what the page still lists (`keep_last_good`).
    pub vanished_at: Option<Timestamp>,
    /// Before which instant its upstream is not asked again, since it could not be asked.
    pub retry_at: Option<Timestamp>,
}

/// The source pages, by mirror and project.
#[derive(Debug)]
pub struct SourcePages {
    pages: Weighed<(IndexName, ProjectName), Arc<SourcePage>>,
}

impl SourcePages {
    /// A cache of at most `bytes_max`.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            pages: Weighed::new(bytes_max, |_, source| {
                ENTRY_BYTES + source.page.as_ref().map_or(0, |page| page.weight_bytes())
            }),
        }
    }

    /// What is remembered, however old.
    #[must_use]
    pub fn get(&self, index: &IndexName, project: &ProjectName) -> Option<Arc<SourcePage>> {
        self.pages.get(&(index.clone(), project.clone()))
    }

    /// The mark to take before reading what a statement is made from: an older one, its copy on disk, what
    /// is known of its files.
    #[must_use]
    pub fn mark(&self, index: &IndexName, project: &ProjectName) -> Mark {
        self.pages.mark(&(index.clone(), project.clone()))
    }

    /// Remembers a statement, unless it was forgotten since the mark.
    pub fn insert_since(
        &self,
        mark: Mark,
        (index, project): (&IndexName, &ProjectName),
        page: Arc<SourcePage>,
    ) {
        let key = (index.clone(), project.clone());
        self.pages.insert_since(mark, key, page);
    }

    /// Forgets a statement; its copy on disk stays.
    pub fn forget(&self, index: &IndexName, project: &ProjectName) {
        self.pages.remove(&(index.clone(), project.clone()));
    }

    /// Forgets everything a mirror said: it has another upstream now.
    pub fn forget_index(&self, index: &IndexName) {
        self.pages.remove_if(|(mirror, _)| mirror == index);
    }

    /// Forgets everything; the copies on disk stay.
    pub fn forget_all(&self) {
        self.pages.remove_if(|_| true);
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

    #[test]
    fn a_mirror_is_forgotten_without_the_others() {
        let pages = SourcePages::new(100_000);
        let project = ProjectName::parse("six").unwrap();
        let index = |name| IndexName::parse(name).unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let validity = Validity {
            confirmed_at: at,
            fresh_until: at,
            etag: None,
            last_modified: None,
        };
        let unknown = Arc::new(SourcePage {
            page: None,
            validity,
            vanished_at: None,
            retry_at: None,
        });
        for name in ["a/one", "a/two"] {
            let (index, page) = (index(name), Arc::clone(&unknown));
            pages.insert_since(pages.mark(&index, &project), (&index, &project), page);
        }
        pages.forget_index(&index("a/one"));
        assert!(pages.get(&index("a/one"), &project).is_none());
        assert!(pages.get(&index("a/two"), &project).is_some());
        pages.forget(&index("a/two"), &project);
        assert!(pages.get(&index("a/two"), &project).is_none());
    }
}
