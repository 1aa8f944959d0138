//! The store on a local disk: `files/`, `private/`, `pages/`, `lists/`, and `tmp/` for what is not
//! whole yet.
//!
//! Two processes may work on one store while one replaces the other, so temporary names carry the
//! process's id and leftovers are removed only when their process is gone.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::draft::Draft;
use super::draft::Plan;
use super::draft::place;
use super::draft::sync_folder;
use super::error::StoreError;
use super::key::Key;
use super::quota::Quota;
use crate::model::Hashes;
use crate::model::IndexName;

/// Folder of what is not whole yet.
const TEMPORARY: &str = "tmp";

/// A store below one folder.
#[derive(Debug)]
pub struct FsStore {
    root: PathBuf,
    quota: Arc<Quota>,
    counter: AtomicU64,
}

/// A file that is held whole.
#[derive(Debug)]
pub struct StoredFile {
    file: File,
    length: u64,
}

impl StoredFile {
    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl FsStore {
    /// Opens a store, making its folders where they are missing, and removes what dead processes
    /// left unfinished. `disk_bytes_max` is the quota of evictable content.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(root: &Path, disk_bytes_max: u64) -> Result<Self, StoreError> {
        let temporary = root.join(TEMPORARY);
        let failed = |error| StoreError::io(format!("open the store in {}", root.display()), error);
        std::fs::create_dir_all(&temporary).map_err(failed)?;
        remove_leftovers(&temporary).map_err(failed)?;
        let quota = Arc::new(Quota::new(root.to_owned(), disk_bytes_max));
        Ok(Self {
            root: root.to_owned(),
            quota,
            counter: AtomicU64::new(0),
        })
    }

    /// What counts and evicts.
    #[must_use]
    pub fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// Opens what is kept under a key. A local open is a few microseconds, so it is done in place.
    ///
    /// # Errors
    /// When the disk fails; absence is `None`.
    pub fn open_file(&self, key: &Key) -> Result<Option<StoredFile>, StoreError> {
        let failed = |error| StoreError::io(format!("open {}", key.path().display()), error);
        let file = match File::open(self.root.join(key.path())) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let length = file.metadata().map_err(failed)?.len();
        if key.is_evictable() {
            self.quota.touch(key);
        }
        Ok(Some(StoredFile { file, length }))
    }

    /// Reads something small whole; longer than `bytes_max` is an error.
    ///
    /// # Errors
    /// When the disk fails or it is too long; absence is `None`.
    pub fn read_small(&self, key: &Key, bytes_max: u64) -> Result<Option<Bytes>, StoreError> {
        let Some(stored) = self.open_file(key)? else {
            return Ok(None);
        };
        let failed = |error| StoreError::io(format!("read {}", key.path().display()), error);
        if stored.len() > bytes_max {
            let why = format!("it is longer than {bytes_max} bytes");
            return Err(StoreError::Integrity {
                what: key.path().display().to_string(),
                why,
            });
        }
        let mut content = Vec::with_capacity(usize::try_from(stored.len()).unwrap_or(0));
        stored
            .file()
            .take(bytes_max)
            .read_to_end(&mut content)
            .map_err(failed)?;
        Ok(Some(content.into()))
    }

    /// Keeps something small under a key, in the place of what was there; never half of it.
    ///
    /// # Errors
    /// When the disk fails or is full; what was there stays.
    pub fn put_small(&self, key: &Key, content: &[u8]) -> Result<(), StoreError> {
        let failed = |error| StoreError::io(format!("write {}", key.path().display()), error);
        let (temporary, mut file) = self.temporary()?;
        let path = self.root.join(key.path());
        let written = file.write_all(content).and_then(|()| {
            if key.is_private() {
                file.sync_data()?;
            }
            place(&temporary, &path)?;
            if key.is_private() {
                sync_folder(&path)
            } else {
                Ok(())
            }
        });
        if let Err(error) = written {
            let _ = std::fs::remove_file(&temporary);
            return Err(failed(error));
        }
        if key.is_evictable() {
            self.quota.added(content.len() as u64);
        }
        Ok(())
    }

    /// Keeps a file that is on disk already under a second key, without copying where it can.
    ///
    /// # Errors
    /// When the disk fails; `false` when there is nothing under `from`.
    pub fn link(&self, from: &Key, to: &Key) -> Result<bool, StoreError> {
        let failed = |error| StoreError::io(format!("keep {}", to.path().display()), error);
        let (source, path) = (self.root.join(from.path()), self.root.join(to.path()));
        if path.exists() {
            return Ok(true);
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        match std::fs::hard_link(&source, &path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if is_absence(&error) => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
        if to.is_private() {
            sync_folder(&path).map_err(failed)?;
        }
        Ok(true)
    }

    /// Removes what is kept under a key; readers that have it open keep it. `false`: nothing was there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, key: &Key) -> Result<bool, StoreError> {
        match std::fs::remove_file(self.root.join(key.path())) {
            Ok(()) => Ok(true),
            Err(error) if is_absence(&error) => Ok(false),
            Err(error) => Err(StoreError::io(
                format!("remove {}", key.path().display()),
                error,
            )),
        }
    }

    /// Starts a file whose content is still to come; needs a runtime to write on.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn draft(
        &self,
        what: &str,
        promised: Hashes,
        declared: Option<u64>,
        bytes_max: u64,
    ) -> Result<Draft, StoreError> {
        let (temporary, file) = self.temporary()?;
        let reader = File::open(&temporary)
            .map_err(|error| StoreError::io(format!("read {} while it grows", what), error))?;
        let quota = Arc::clone(&self.quota);
        let published = Box::new(move |key: &Key, size: u64| {
            if key.is_evictable() {
                quota.added(size);
            }
        });
        let (root, what) = (self.root.clone(), what.to_owned());
        let is_upload = false;
        let plan = Plan {
            root,
            temporary,
            what,
            promised,
            declared,
            bytes_max,
            is_upload,
            published,
        };
        Ok(Draft::start(plan, file, reader))
    }

    /// Starts a file that somebody uploads: what it should be is known only when it is here, so
    /// [`Draft::digests`] tells everything that may be compared.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn upload_draft(&self, what: &str, bytes_max: u64) -> Result<Draft, StoreError> {
        let (temporary, file) = self.temporary()?;
        let reader = File::open(&temporary)
            .map_err(|error| StoreError::io(format!("read {what} while it grows"), error))?;
        let (root, what) = (self.root.clone(), what.to_owned());
        let (promised, declared, published) = (Hashes::default(), None, Box::new(|_: &Key, _| {}));
        let is_upload = true;
        let plan = Plan {
            root,
            temporary,
            what,
            promised,
            declared,
            bytes_max,
            is_upload,
            published,
        };
        Ok(Draft::start(plan, file, reader))
    }

    /// Removes the pages, lists and learned facts of a mirror, whose upstream is another one now;
    /// blocking.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove_pages(&self, index: &IndexName) -> Result<(), StoreError> {
        for folder in Key::folders_of(index) {
            match std::fs::remove_dir_all(self.root.join(&folder)) {
                Err(error) if !is_absence(&error) => {
                    return Err(StoreError::io(
                        format!("remove {}", folder.display()),
                        error,
                    ));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn temporary(&self) -> Result<(PathBuf, File), StoreError> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let unique = self.quota.unique();
        let name = format!("{}-{unique:x}-{number}", std::process::id());
        let path = self.root.join(TEMPORARY).join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| StoreError::io("make a temporary file", error))?;
        Ok((path, file))
    }
}

/// Whether an error says that there is no such file.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Removes the temporary files of processes that are gone.
fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let process = name
            .to_string_lossy()
            .split('-')
            .next()
            .and_then(|id| id.parse::<u32>().ok());
        let lives = process.is_some_and(|id| {
            id != std::process::id() && Path::new("/proc").join(id.to_string()).exists()
        });
        if !lives {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
