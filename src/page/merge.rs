//! The pages of a stack as one: overlaid in order, the first file of a name wins.
//!
//! Which members of the stack may speak for the project at all is decided in `policy`; only their pages
//! arrive here. Nothing is copied: a [`Merged`] holds its layers and says where each file is in them.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{ProjectName, ProjectState, ProjectStatus};
use crate::page::layers::{Entry, listing};
use crate::page::project_page::ProjectPage;
use crate::policy::ListedFiles;

/// What a stack says about a project, before any policy.
#[derive(Debug, Clone)]
pub struct Merged {
    project: ProjectName,
    status: ProjectStatus,
    layers: Vec<(usize, Arc<ProjectPage>)>,
    /// The files listed, in order.
    places: Vec<Place>,
}

/// Which file of which layer.
#[derive(Debug, Clone, Copy)]
struct Place {
    layer: usize,
    file: usize,
}

/// What a page says besides its files.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// Its status.
    pub status: &'a ProjectStatus,
    /// The upstream's serial, if the page comes from one upstream alone.
    pub serial: Option<u64>,
}

/// Overlays the pages of a stack's members, in the given order (docs/protocol/devpi.md §8.3).
///
/// Each layer comes with its member's position in the stack, which [`Entry::member`] repeats.
#[must_use]
pub fn merge(project: ProjectName, layers: Vec<(usize, Arc<ProjectPage>)>) -> Merged {
    let count = layers.iter().map(|(_, page)| page.files.len()).sum();
    let mut places = Vec::with_capacity(count);
    let mut seen: HashSet<&str> = HashSet::with_capacity(count);
    for (layer, (_, page)) in layers.iter().enumerate() {
        for (file, listed) in page.files.iter().enumerate() {
            if seen.insert(listed.filename.as_str()) {
                places.push(Place { layer, file });
            }
        }
    }
    let status = status(&layers, places.is_empty());
    Merged {
        project,
        status,
        layers,
        places,
    }
}

/// The first status that is not `active`.
///
/// `quarantined` counts only when no member has a file: PEP 792 forbids an index to offer files of a
/// quarantined project, and what a mirror's upstream quarantines must not take our own files away.
fn status(layers: &[(usize, Arc<ProjectPage>)], is_empty: bool) -> ProjectStatus {
    let speaks = |status: &&ProjectStatus| match status.state {
        ProjectState::Active => false,
        ProjectState::Archived | ProjectState::Deprecated => true,
        ProjectState::Quarantined => is_empty,
    };
    layers
        .iter()
        .map(|(_, page)| &page.status)
        .find(speaks)
        .cloned()
        .unwrap_or_default()
}

impl Merged {
    /// What it says besides its files.
    #[must_use]
    pub fn heading(&self) -> Heading<'_> {
        Heading {
            project: &self.project,
            status: &self.status,
            serial: self.serial(),
        }
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// The first layer's status that is not `active`; `quarantined` only if there are no files.
    #[must_use]
    pub fn status(&self) -> &ProjectStatus {
        &self.status
    }

    /// The upstream's serial, if the page comes from one upstream alone.
    #[must_use]
    pub fn serial(&self) -> Option<u64> {
        match &self.layers[..] {
            [(_, page)] => page.serial,
            _ => None,
        }
    }

    /// What each member lists, for rules that ask how a file stands to others.
    pub fn listings(&self) -> impl Iterator<Item = ListedFiles<'_>> {
        self.layers.iter().map(listing)
    }

    /// How many files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Every file, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.places.iter().map(|place| self.entry(*place))
    }

    fn entry(&self, place: Place) -> Entry<'_> {
        let (member, page) = &self.layers[place.layer];
        Entry {
            member: *member,
            state: page.status.state,
            file: &page.files[place.file],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::page::samples;

    fn layer(member: usize, names: &[&str]) -> (usize, Arc<ProjectPage>) {
        (member, Arc::new(samples::page("six", names)))
    }

    fn merged(layers: Vec<(usize, Arc<ProjectPage>)>) -> Merged {
        merge(ProjectName::parse("six").unwrap(), layers)
    }

    fn listed(merged: &Merged) -> Vec<(usize, &str)> {
        merged
            .entries()
            .map(|entry| (entry.member, entry.file.filename.as_str()))
            .collect()
    }

    #[test]
    fn layers_are_concatenated_and_the_first_of_a_name_wins() {
        let page = merged(vec![
            layer(0, &["six-3.zip", "six-1.zip"]),
            layer(2, &["six-0.zip", "six-1.zip", "six-2.zip"]),
            layer(5, &["six-2.zip", "six-3.zip"]),
        ]);
        let expected = [
            (0, "six-3.zip"),
            (0, "six-1.zip"),
            (2, "six-0.zip"),
            (2, "six-2.zip"),
        ];
        assert_eq!(listed(&page), expected);
    }

    #[test]
    fn the_first_status_that_says_something_is_the_page_s() {
        use ProjectState::{Active, Archived, Deprecated, Quarantined};
        let table = [
            (vec![], Active),
            (
                vec![(Active, true), (Deprecated, true), (Archived, true)],
                Deprecated,
            ),
            (vec![(Active, true), (Quarantined, false)], Active),
            (
                vec![(Active, true), (Quarantined, false), (Archived, false)],
                Archived,
            ),
            (vec![(Active, false), (Quarantined, false)], Quarantined),
            (vec![(Quarantined, true)], Active),
        ];
        for (layers, expected) in table {
            let pages = layers
                .iter()
                .enumerate()
                .map(|(member, (state, has_file))| {
                    let names: &[&str] = if *has_file { &["six-1.zip"] } else { &[] };
                    let mut page = samples::page("six", names);
                    page.status.state = *state;
                    (member, Arc::new(page))
                });
            assert_eq!(
                merged(pages.collect()).status().state,
                expected,
                "{layers:?}"
            );
        }
    }

    #[test]
    fn each_entry_carries_its_own_layer_s_state_and_only_a_lone_page_its_serial() {
        let mut mirror = samples::page("six", &["six-1.zip"]);
        mirror.status.state = ProjectState::Quarantined;
        mirror.serial = Some(7);
        let mirror = (1, Arc::new(mirror));
        let alone = merged(vec![mirror.clone()]);
        assert_eq!(
            (alone.serial(), alone.status().state),
            (Some(7), ProjectState::Active)
        );
        assert_eq!(
            alone.entries().next().unwrap().state,
            ProjectState::Quarantined
        );
        assert_eq!(merged(vec![layer(0, &[]), mirror]).serial(), None);
    }

    proptest! {
        #[test]
        fn merging_invents_nothing_and_loses_no_name(
            layers in prop::collection::vec(prop::collection::vec(0..6_u8, 0..6), 0..4),
        ) {
            let pages = layers.iter().enumerate().map(|(member, versions)| {
                let mut names: Vec<String> = versions.iter().map(|v| format!("six-{v}.zip")).collect();
                names.sort();
                names.dedup();
                layer(member, &names.iter().map(String::as_str).collect::<Vec<_>>())
            });
            let page = merged(pages.collect());
            for version in 0..6_u8 {
                let owner = layers.iter().position(|versions| versions.contains(&version));
                let name = format!("six-{version}.zip");
                let mut entries = page.entries();
                let found = entries.find(|entry| entry.file.filename.as_str() == name);
                let found = found.map(|entry| entry.member);
                prop_assert_eq!(found, owner);
            }
            let members: Vec<usize> = page.entries().map(|entry| entry.member).collect();
            prop_assert!(members.is_sorted());
            let names: BTreeSet<&str> = page.entries().map(|e| e.file.filename.as_str()).collect();
            prop_assert_eq!(names.len(), page.len());
        }
    }
}
