//! The files below a folder, one after another; files that vanish meanwhile are left out.

use std::fs::{Metadata, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

/// Deepest nesting entered. The store itself uses one level.
const DEPTH_MAX: usize = 4;

/// Walks through the files below a folder lazily, in no order.
pub(super) struct Walk {
    folders: Vec<ReadDir>,
}

impl Walk {
    /// Starts; a missing folder has no files.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folders: open(folder)?.into_iter().collect(),
        })
    }
}

impl Iterator for Walk {
    type Item = io::Result<(PathBuf, Metadata)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(entry) = self.folders.last_mut()?.next() else {
                self.folders.pop();
                continue;
            };
            let looked = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)));
            let (path, metadata) = match looked {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Some(Err(error)),
            };
            if !metadata.is_dir() {
                return Some(Ok((path, metadata)));
            }
            if self.folders.len() < DEPTH_MAX {
                match open(&path) {
                    Ok(folder) => self.folders.extend(folder),
                    Err(error) => return Some(Err(error)),
                }
            }
        }
    }
}

fn open(folder: &Path) -> io::Result<Option<ReadDir>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_met_once() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ab/1", "ab/2", "cd/3", "4"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        let met = Walk::new(folder.path()).unwrap().map(|met| met.unwrap().0);
        let mut met: Vec<_> = met
            .map(|path| path.strip_prefix(folder.path()).unwrap().to_owned())
            .collect();
        met.sort();
        assert_eq!(met, ["4", "ab/1", "ab/2", "cd/3"].map(PathBuf::from));
        assert_eq!(Walk::new(&folder.path().join("absent")).unwrap().count(), 0);
    }
}
