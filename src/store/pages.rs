//! Which projects' pages are held.

use std::path::Path;

use crate::model::{IndexName, ProjectName};
use crate::store::error::StoreError;
use crate::store::fs::FsStore;
use crate::store::key::Key;
use crate::store::tree::is_absence;

impl FsStore {
    /// Removes the pages, lists and learned facts of a mirror that has another upstream now; blocking.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove_pages(&self, index: &IndexName) -> Result<(), StoreError> {
        for folder in Key::folders_of(index) {
            match std::fs::remove_dir_all(self.tree.root.join(&folder)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let doing = format!("remove {}", folder.display());
                    return Err(StoreError::io(doing, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// The projects of a mirror whose pages are held; blocking. One whose name is too long for a file's is
    /// left out.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn held_pages(&self, index: &IndexName) -> Result<Vec<ProjectName>, StoreError> {
        let [pages, _] = Key::folders_of(index);
        let mut projects = Vec::new();
        for spread in names_in(&self.tree.root.join(&pages))? {
            let folder = pages.join(&spread);
            for name in names_in(&self.tree.root.join(&folder))? {
                let stem = name.strip_suffix(".json");
                let project = stem.and_then(|stem| ProjectName::parse(stem).ok());
                let Some(project) = project else { continue };
                if Key::page(index, &project).path() == folder.join(&name) {
                    projects.push(project);
                }
            }
        }
        Ok(projects)
    }
}

/// The names in a folder, if it exists.
fn names_in(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |error| StoreError::io(format!("read {}", folder.display()), error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // What is not text is not ours.
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_that_are_held_are_told_by_mirror() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 20).unwrap();
        let index = |name: &str| IndexName::parse(name).unwrap();
        let project = |name: &str| ProjectName::parse(name).unwrap();
        let (one, two) = (index("root/pypi"), index("Root/Pypi"));
        for name in ["six", "zope-interface", "a1"] {
            store
                .put_small(&Key::page(&one, &project(name)), b"{}")
                .unwrap();
        }
        store
            .put_small(&Key::page(&two, &project("other")), b"{}")
            .unwrap();
        store
            .put_small(&Key::learned(&one, &project("learnt")), b"{}")
            .unwrap();
        let mut held = store.held_pages(&one).unwrap();
        held.sort();
        assert_eq!(held, ["a1", "six", "zope-interface"].map(project));
        assert_eq!(store.held_pages(&two).unwrap(), [project("other")]);
        assert_eq!(store.held_pages(&index("no/body")).unwrap(), []);
    }
}
