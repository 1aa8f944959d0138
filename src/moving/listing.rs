//! What is held, by name: files of mirrors as the page copies name them, and files of stages as the records do.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::db::Snapshot;
use crate::model::{IndexName, ProjectName, Sha256};
use crate::moving::report::MovingError;
use crate::page::read_stored;
use crate::store::{CopyPath, FsStore, Key, StoreError};

/// One file that is held, under one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFile {
    /// The mirror or stage; `None` for a file whose page copy is gone.
    pub index: Option<IndexName>,
    /// The project, likewise.
    pub project: Option<ProjectName>,
    /// The file's name, likewise.
    pub filename: Option<String>,
    /// Its digest.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last requested, as far as that was written down.
    pub used_at: SystemTime,
    /// Whether it was uploaded here.
    pub is_private: bool,
}

/// What the store has of a file.
#[derive(Debug, Clone, Copy)]
struct OnDisk {
    bytes: u64,
    used_at: SystemTime,
    is_named: bool,
}

type Kept = HashMap<(Sha256, bool), OnDisk>;

/// Lists everything by index, project and name; what has no name comes last. `indexes` are the mirrors,
/// each with the folder of its copies.
///
/// # Errors
/// When the disk fails.
pub fn list_held(
    store: &FsStore,
    mirrors: &[IndexName],
    records: &Snapshot,
) -> Result<Vec<HeldFile>, MovingError> {
    let mut kept = Kept::new();
    for one in store.contents() {
        let one = one?;
        if let Some(sha256) = one.key.sha256() {
            let (bytes, used_at) = (one.bytes, one.used_at);
            let is_named = false;
            kept.insert(
                (sha256, one.key.is_private()),
                OnDisk {
                    bytes,
                    used_at,
                    is_named,
                },
            );
        }
    }
    let mut rows = Vec::new();
    for index in mirrors {
        of_mirror(store, index, &mut kept, &mut rows)?;
    }
    of_stages(store, records, &mut kept, &mut rows);
    let key = |row: &HeldFile| {
        let project = row
            .project
            .as_ref()
            .map(|project| project.as_str().to_owned());
        (
            row.index.clone().map(|index| index.as_str().to_owned()),
            project,
            row.filename.clone(),
        )
    };
    rows.sort_by_cached_key(key);
    let mut unnamed: Vec<_> = kept
        .into_iter()
        .filter(|(_, on_disk)| !on_disk.is_named)
        .collect();
    unnamed.sort_by_key(|((sha256, is_private), _)| (*is_private, sha256.to_hex()));
    rows.extend(
        unnamed
            .into_iter()
            .map(|((sha256, is_private), on_disk)| HeldFile {
                index: None,
                project: None,
                filename: None,
                sha256,
                bytes: on_disk.bytes,
                used_at: on_disk.used_at,
                is_private,
            }),
    );
    Ok(rows)
}

/// The files of a mirror that its page copies name. A damaged copy names none.
fn of_mirror(
    store: &FsStore,
    index: &IndexName,
    kept: &mut Kept,
    rows: &mut Vec<HeldFile>,
) -> Result<(), StoreError> {
    for copy in store.page_copies(index)? {
        let copy: CopyPath = copy?;
        let Ok(Some(content)) = store.read_copy(&copy) else {
            continue;
        };
        let Ok((page, _)) = read_stored(&content) else {
            continue;
        };
        for file in &page.files {
            let digest = file.hashes.sha256();
            let Some((sha256, on_disk)) =
                digest.and_then(|sha256| Some((sha256, kept.get_mut(&(sha256, false))?)))
            else {
                continue;
            };
            on_disk.is_named = true;
            rows.push(HeldFile {
                index: Some(index.clone()),
                project: Some(page.project.clone()),
                filename: Some(file.filename.as_str().to_owned()),
                sha256,
                bytes: on_disk.bytes,
                used_at: on_disk.used_at,
                is_private: false,
            });
        }
    }
    Ok(())
}

/// The files of stages, test results and documentation included.
fn of_stages(store: &FsStore, records: &Snapshot, kept: &mut Kept, rows: &mut Vec<HeldFile>) {
    for content in &records.contents {
        for project in &content.projects {
            for file in &project.record.files {
                let sha256 = file.facts.sha256;
                // Before a depot it may lie among what can be evicted.
                let is_cached = store.cached(&Key::PrivateFile(sha256)).is_some()
                    && !kept.contains_key(&(sha256, true));
                let Some(on_disk) = kept.get_mut(&(sha256, !is_cached)) else {
                    continue;
                };
                on_disk.is_named = true;
                rows.push(HeldFile {
                    index: Some(content.index.clone()),
                    project: Some(project.name.clone()),
                    filename: Some(file.facts.filename.clone()),
                    sha256,
                    bytes: on_disk.bytes,
                    used_at: on_disk.used_at,
                    is_private: true,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_page_names_is_listed_by_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let digest = Sha256::of(b"wheel");
        store.put_small(&Key::MirrorFile(digest), b"wheel").unwrap();
        let index = IndexName::parse("root/dairy").unwrap();
        let rows = list_held(&store, &[index], &Snapshot::default()).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].sha256, rows[0].bytes), (digest, 5));
        assert_eq!(rows[0].filename, None);
    }
}
