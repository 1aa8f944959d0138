//! What a store holds, counted by kind; and the copies of what mirrors say, which have paths and no digests.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::model::IndexName;
use crate::store::error::StoreError;
use crate::store::fs::FsStore;
use crate::store::key::{EVICTABLE_FOLDER, Key, LISTS_FOLDER, PAGES_FOLDER, PRIVATE_FOLDER};
use crate::store::quota::Usage;
use crate::store::seal::{self, Opened};
use crate::store::tree::{TEMPORARY, is_absence};
use crate::store::walk::Walk;

/// Files and bytes of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Files of mirrors.
    pub mirror_files: Usage,
    /// The metadata of mirrors' wheels.
    pub mirror_sidecars: Usage,
    /// Files that stages hold.
    pub private_files: Usage,
    /// The metadata of their wheels.
    pub private_sidecars: Usage,
    /// Copies of mirrors' project pages, and what was learned about their files.
    pub page_copies: Usage,
    /// Copies of project lists.
    pub lists: Usage,
    /// What is arriving, or was when a process died.
    pub unfinished: Usage,
}

impl Holdings {
    /// Each kind by its name, in a fixed order.
    #[must_use]
    pub fn kinds(&self) -> [(&'static str, Usage); 7] {
        [
            ("mirror_files", self.mirror_files),
            ("mirror_sidecars", self.mirror_sidecars),
            ("private_files", self.private_files),
            ("private_sidecars", self.private_sidecars),
            ("page_copies", self.page_copies),
            ("lists", self.lists),
            ("unfinished", self.unfinished),
        ]
    }

    fn kind(&mut self, relative: &Path) -> Option<&mut Usage> {
        match Key::of_content(relative) {
            Some(Key::MirrorFile(_)) => return Some(&mut self.mirror_files),
            Some(Key::MirrorMetadata(_)) => return Some(&mut self.mirror_sidecars),
            Some(Key::PrivateFile(_)) => return Some(&mut self.private_files),
            Some(Key::PrivateMetadata(_)) => return Some(&mut self.private_sidecars),
            // Only content is recognised by its path.
            Some(_) | None => {}
        }
        match relative.iter().next()?.to_str()? {
            PAGES_FOLDER => Some(&mut self.page_copies),
            LISTS_FOLDER => Some(&mut self.lists),
            TEMPORARY => Some(&mut self.unfinished),
            _ => None,
        }
    }
}

/// A copy of what a mirror says, below the store's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPath {
    /// Its path below the root.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

impl FsStore {
    /// Counts everything.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn holdings(&self) -> Result<Holdings, StoreError> {
        let mut holdings = Holdings::default();
        for folder in [
            EVICTABLE_FOLDER,
            PRIVATE_FOLDER,
            PAGES_FOLDER,
            LISTS_FOLDER,
            TEMPORARY,
        ] {
            for met in self.below(Path::new(folder))? {
                let CopyPath { path, bytes } = met?;
                if let Some(kind) = holdings.kind(&path) {
                    kind.files += 1;
                    kind.bytes += bytes;
                }
            }
        }
        Ok(holdings)
    }

    /// Goes through the copies of pages, of what was learned, and of lists; lazily, in no order.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn copies(
        &self,
    ) -> Result<impl Iterator<Item = Result<CopyPath, StoreError>> + use<>, StoreError> {
        let pages = self.below(Path::new(PAGES_FOLDER))?;
        Ok(pages.chain(self.below(Path::new(LISTS_FOLDER))?))
    }

    /// Goes through the copies of one mirror's project pages; lazily, in no order.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn page_copies(
        &self,
        index: &IndexName,
    ) -> Result<impl Iterator<Item = Result<CopyPath, StoreError>> + use<>, StoreError> {
        let [pages, _] = Key::folders_of(index);
        let is_page = |copy: &Result<CopyPath, StoreError>| {
            let copy = copy.as_ref();
            copy.map_or(true, |copy| {
                copy.path.extension().is_some_and(|ending| ending == "json")
            })
        };
        Ok(self.below(&pages)?.filter(is_page))
    }

    /// A copy without its seal; `None` if it is gone.
    ///
    /// # Errors
    /// `Damaged` if it is not what was kept, others when the disk fails.
    pub fn read_copy(&self, copy: &CopyPath) -> Result<Option<Bytes>, StoreError> {
        let what = || copy.path.display().to_string();
        let content = match std::fs::read(self.tree().root.join(&copy.path)) {
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(StoreError::io(format!("read {}", what()), error)),
            Ok(content) => Bytes::from(content),
        };
        match seal::open(&content) {
            Opened::Right(content) | Opened::Bare(content) => Ok(Some(content)),
            Opened::Broken => {
                let why = "its digest is another".to_owned();
                Err(StoreError::Damaged { what: what(), why })
            }
        }
    }

    /// Removes a copy, which is made again when it is next needed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove_copy(&self, copy: &CopyPath) -> Result<(), StoreError> {
        match std::fs::remove_file(self.tree().root.join(&copy.path)) {
            Err(error) if !is_absence(&error) => {
                let doing = format!("remove {}", copy.path.display());
                Err(StoreError::io(doing, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn below(
        &self,
        folder: &Path,
    ) -> Result<impl Iterator<Item = Result<CopyPath, StoreError>> + use<>, StoreError> {
        let root = self.tree().root.clone();
        let doing = format!("list {}", root.join(folder).display());
        let walk = Walk::new(&root.join(folder));
        let walk = walk.map_err(|error| StoreError::io(doing.clone(), error))?;
        Ok(walk.map(move |met| {
            let (path, metadata) = met.map_err(|error| StoreError::io(doing.clone(), error))?;
            let path = path.strip_prefix(&root).unwrap_or(&path).to_owned();
            let bytes = metadata.len();
            Ok(CopyPath { path, bytes })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IndexName, ProjectName, Sha256};

    #[test]
    fn every_kind_is_counted_by_itself_and_a_damaged_copy_is_told_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let digest = Sha256::of(b"wheel");
        let index = IndexName::parse("root/dairy").unwrap();
        let project = ProjectName::parse("sieve").unwrap();
        let page = Key::page(&index, &project);
        let keys = [
            Key::MirrorFile(digest),
            Key::MirrorMetadata(digest),
            Key::PrivateFile(digest),
            Key::PrivateMetadata(digest),
            page.clone(),
            Key::learned(&index, &project),
            Key::ProjectList {
                index: index.clone(),
            },
        ];
        for key in &keys {
            store.put_small(key, b"wheel").unwrap();
        }
        std::fs::write(folder.path().join("tmp/half"), b"half").unwrap();
        std::fs::write(folder.path().join("files/README"), b"not ours").unwrap();
        let holdings = store.holdings().unwrap();
        let counts = holdings.kinds().map(|(_, usage)| usage.files);
        assert_eq!(counts, [1, 1, 1, 1, 2, 1, 1]);
        assert_eq!(holdings.mirror_files.bytes, 5);

        let copies: Vec<_> = store.copies().unwrap().map(Result::unwrap).collect();
        assert_eq!(copies.len(), 3);
        assert_eq!(store.page_copies(&index).unwrap().count(), 1);
        assert!(
            copies
                .iter()
                .all(|copy| store.read_copy(copy).unwrap().unwrap() == "wheel")
        );
        let path = folder.path().join(page.path());
        let mut content = std::fs::read(&path).unwrap();
        *content.last_mut().unwrap() ^= 1;
        std::fs::write(&path, content).unwrap();
        let broken = copies.iter().find(|copy| copy.path == page.path()).unwrap();
        let told = store.read_copy(broken);
        assert!(matches!(told, Err(StoreError::Damaged { .. })), "{told:?}");
        store.remove_copy(broken).unwrap();
        store.remove_copy(broken).unwrap();
        assert_eq!(store.read_copy(broken).unwrap(), None);
    }
}
