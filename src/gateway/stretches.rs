//! Long pages in stretches, which are kept: after an upload only what stands near the new file is decided
//! on, written and compressed again, however long the page is.
//!
//! A stretch is used again only where it is certain to be what would be made now: by the same policies,
//! with the same upstreams silent, of files that are the same in everything that is known of them, and
//! before the first instant at which time alone may change a decision on one of them.

use std::sync::Arc;

use crate::cache::Weighed;
use crate::gateway::page_text::{Begun, PageText, Rules};
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::{Cut, Decided, Entry, FileLinks, Markup, Merged, PageForm, PageWriter};
use crate::protocol::{ETag, Encoding};

/// The texts of long pages, as they were last written.
#[derive(Debug)]
pub struct Stretches {
    kept: Weighed<TextKey, Arc<PageText>>,
    cut: Cut,
}

/// Which text of which page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextKey {
    pub index: IndexName,
    pub project: ProjectName,
    pub form: PageForm,
    pub markup: Markup,
}

/// A page, written and encoded.
#[derive(Debug)]
pub struct Rendering {
    pub body: Vec<u8>,
    pub etag: ETag,
    /// When time alone changes a decision on one of its files.
    pub next_change: Option<Timestamp>,
}

impl Stretches {
    /// At most so many bytes are kept.
    pub fn new(bytes_max: u64) -> Self {
        Self {
            kept: Weighed::new(bytes_max, |_, text| text.weight_bytes()),
            cut: Cut::OF_PAGES,
        }
    }

    /// Writes a page, of which `decide` says what becomes of each file as of `now`; a long one that is not
    /// known is passed to `begun` while it is written.
    pub fn render<'a>(
        &self,
        key: TextKey,
        rules: Rules,
        merged: &'a Merged,
        decide: &mut dyn FnMut(&Entry<'a>) -> Decided,
        (encoding, now): (Encoding, Timestamp),
        begun: Option<Begun>,
    ) -> Rendering {
        let before = self.kept.get(&key);
        let writer = PageWriter::new(key.markup, FileLinks::new(key.form, &key.index));
        let entries: Vec<_> = merged.entries().collect();
        let (text, body) = PageText::write(
            before.as_deref(),
            rules,
            (&writer, &merged.heading()),
            self.cut.cut(&entries),
            decide,
            (encoding, now),
            begun,
        );
        let rendering = Rendering {
            body,
            etag: text.etag(encoding),
            next_change: text.next_change(),
        };
        // Of a short page there is nothing to use again. Kept after it was encoded, which adds weight.
        if text.stretches() > 1 {
            self.kept.insert(key, Arc::new(text));
        }
        rendering
    }

    pub fn forget_all(&self) {
        self.kept.remove_if(|_| true);
    }

    pub fn weight_bytes(&self) -> u64 {
        self.kept.weight_bytes()
    }
}

#[cfg(test)]
mod tests;
