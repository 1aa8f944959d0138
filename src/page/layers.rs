//! The pages of a stack's members in their order, not yet combined: enough to look one file up.
//!
//! Which members of the stack may speak for the project at all is decided in `policy`; only their pages
//! arrive here. The first that lists a name speaks for it, as on the [`merge`](fn@merge)d page, so a file
//! is found here exactly when it is listed there.

use std::sync::Arc;

use crate::model::{File, ProjectName, ProjectState};
use crate::page::links::FilePlace;
use crate::page::merge::{Merged, merge};
use crate::page::project_page::ProjectPage;
use crate::policy::ListedFiles;

/// What a stack says about a project, before any policy.
#[derive(Debug, Clone)]
pub struct Layers {
    project: ProjectName,
    /// Each with its member's position in the stack.
    pages: Vec<(usize, Arc<ProjectPage>)>,
}

/// One file of a stack and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The position in the stack of the index that lists the file.
    pub member: usize,
    /// What that index says about the project (PEP 792); the page as a whole may say something else.
    pub state: ProjectState,
    /// The file.
    pub file: &'a File,
}

/// The order of a page's files by name: what it takes to find one of them. It is of no use to any other
/// page.
#[derive(Debug)]
pub struct NameOrder(Box<[u32]>);

impl NameOrder {
    /// Works it out.
    #[must_use]
    pub fn of(page: &ProjectPage) -> Self {
        let name = |at: u32| at_position(page, at).map(|file| file.filename.as_str());
        let count = u32::try_from(page.files.len()).unwrap_or(u32::MAX);
        let mut order: Box<[u32]> = (0..count).collect();
        order.sort_unstable_by(|&left, &right| (name(left), left).cmp(&(name(right), right)));
        Self(order)
    }

    /// The file of this name; of several the first.
    #[must_use]
    pub fn find<'a>(&self, page: &'a ProjectPage, filename: &str) -> Option<&'a File> {
        let name = |at: u32| at_position(page, at).map(|file| file.filename.as_str());
        let first = self.0.partition_point(|&at| name(at) < Some(filename));
        let file = at_position(page, *self.0.get(first)?)?;
        (file.filename.as_str() == filename).then_some(file)
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

pub(super) fn listing((member, page): &(usize, Arc<ProjectPage>)) -> ListedFiles<'_> {
    ListedFiles {
        member: *member,
        status: page.status.state,
        files: &page.files,
    }
}

fn at_position(page: &ProjectPage, at: u32) -> Option<&File> {
    page.files.get(usize::try_from(at).ok()?)
}

impl Layers {
    /// The pages of a stack's members, in the given order (docs/protocol/devpi.md §8.3).
    ///
    /// Each comes with its member's position in the stack, which [`Entry::member`] repeats.
    #[must_use]
    pub fn new(project: ProjectName, pages: Vec<(usize, Arc<ProjectPage>)>) -> Self {
        Self { project, pages }
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// Roughly how many bytes of memory the pages take.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.pages.iter().map(|(_, page)| page.weight_bytes()).sum()
    }

    /// The file of this name, if it is also at the given place: a URL with another digest means a file
    /// that is no longer the one listed. Given each page's order, this hardly costs more where there are
    /// more files.
    #[must_use]
    pub fn find(
        &self,
        filename: &str,
        place: Option<&FilePlace>,
        order_of: &dyn Fn(usize, &Arc<ProjectPage>) -> Arc<NameOrder>,
    ) -> Option<Entry<'_>> {
        let (member, page, file) = self.pages.iter().find_map(|(member, page)| {
            let file = order_of(*member, page).find(page, filename)?;
            Some((*member, page, file))
        })?;
        let is_there = place.is_none_or(|place| place.holds(file));
        is_there.then_some(Entry {
            member,
            state: page.status.state,
            file,
        })
    }

    /// What each member lists, for rules that ask how a file stands to others.
    pub fn listings(&self) -> impl Iterator<Item = ListedFiles<'_>> {
        self.pages.iter().map(listing)
    }

    /// The pages themselves.
    pub fn pages(&self) -> impl Iterator<Item = &Arc<ProjectPage>> {
        self.pages.iter().map(|(_, page)| page)
    }

    /// The page of them all.
    #[must_use]
    pub fn merged(&self) -> Merged {
        merge(self.project.clone(), self.pages.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page::samples;

    fn layers(names: &[Vec<String>]) -> Layers {
        let pages = names.iter().enumerate().map(|(member, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            (member, Arc::new(samples::page("six", &names)))
        });
        Layers::new(ProjectName::parse("six").unwrap(), pages.collect())
    }

    fn find<'a>(layers: &'a Layers, name: &str, place: Option<&FilePlace>) -> Option<Entry<'a>> {
        layers.find(name, place, &|_, page| Arc::new(NameOrder::of(page)))
    }

    #[test]
    fn a_file_is_found_only_at_its_place() {
        let layers = layers(&[vec!["six-1.zip".to_owned()]]);
        let file = layers.pages[0].1.files[0].clone();
        assert!(find(&layers, "six-1.zip", Some(&FilePlace::of(&file))).is_some());
        let elsewhere = FilePlace::Digest("0".repeat(16));
        assert!(find(&layers, "six-1.zip", Some(&elsewhere)).is_none());
        assert!(find(&layers, "six-2.zip", None).is_none());
    }

    proptest! {
        #[test]
        fn a_file_is_found_exactly_as_the_merged_page_lists_it(
            versions in prop::collection::vec(prop::collection::vec(0..6_u8, 0..6), 0..4),
        ) {
            let names = versions.iter().map(|versions| {
                let mut versions = versions.clone();
                versions.sort_unstable();
                versions.dedup();
                // No order by name.
                versions.reverse();
                versions.iter().map(|version| format!("six-{version}.zip")).collect()
            });
            let layers = layers(&names.collect::<Vec<_>>());
            let merged = layers.merged();
            for version in 0..6_u8 {
                let name = format!("six-{version}.zip");
                let listed = merged.entries().find(|entry| entry.file.filename.as_str() == name);
                let found = find(&layers, &name, None);
                prop_assert_eq!(
                    found.map(|entry| (entry.member, entry.file)),
                    listed.map(|entry| (entry.member, entry.file))
                );
            }
        }
    }
}
