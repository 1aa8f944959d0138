//! The folders of the configuration in which the system reports changes (inotify).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::config::Watched;

/// What receives events.
pub(super) type Hearer = Box<dyn Fn(notify::Result<Event>) + Send>;

/// Makes the watcher; a test makes one that cannot watch.
pub(super) type Make = fn(Hearer) -> notify::Result<Box<dyn Watcher + Send + Sync>>;

/// The folders in which changes are reported, as long as this lives.
pub(super) struct Reported {
    pub(super) folders: Arc<BTreeMap<PathBuf, Watched>>,
    /// One of the folders itself has gone or come, so its reports may have stopped.
    is_worn: Arc<AtomicBool>,
    /// Why not everything is reported.
    pub(super) trouble: Option<String>,
    _watcher: Option<Box<dyn Watcher + Send + Sync>>,
}

impl Reported {
    /// Watches these folders, or as many of them as allowed; `nudge` is told when something has to be
    /// looked at.
    pub(super) fn new(
        folders: BTreeMap<PathBuf, Watched>,
        folders_max: usize,
        make: Make,
        nudge: mpsc::Sender<()>,
    ) -> Self {
        let (folders, is_worn) = (Arc::new(folders), Arc::new(AtomicBool::new(false)));
        let mut reported = Self {
            folders: Arc::clone(&folders),
            is_worn: Arc::clone(&is_worn),
            trouble: None,
            _watcher: None,
        };
        let hear = move |event: notify::Result<Event>| {
            if concerns(&event, &folders, &is_worn) {
                let _ = nudge.try_send(());
            }
        };
        let mut watcher = match make(Box::new(hear)) {
            Ok(watcher) => watcher,
            Err(error) => {
                reported.trouble = Some(error.to_string());
                return reported;
            }
        };
        for folder in reported.folders.keys().take(folders_max) {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                // It has gone meanwhile; the next look notices.
                Err(error) if !folder.exists() => tracing::debug!(%error, "a folder has gone"),
                Err(error) => {
                    reported.trouble = Some(error.to_string());
                    break;
                }
            }
        }
        let count = reported.folders.len();
        if count > folders_max && reported.trouble.is_none() {
            reported.trouble = Some(format!(
                "{count} folders, and limits.watches is {folders_max}"
            ));
        }
        reported._watcher = Some(watcher);
        reported
    }

    /// Whether these are its folders, and all of them still report.
    pub(super) fn covers(&self, folders: &BTreeMap<PathBuf, Watched>) -> bool {
        !self.is_worn.load(Ordering::Acquire) && *self.folders == *folders
    }
}

/// Whether an event may mean that something that was read has changed.
fn concerns(
    event: &notify::Result<Event>,
    folders: &BTreeMap<PathBuf, Watched>,
    is_worn: &AtomicBool,
) -> bool {
    let Ok(event) = event else {
        is_worn.store(true, Ordering::Release);
        return true;
    };
    let is_reading = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        kind => kind.is_access(),
    };
    if is_reading {
        return false;
    }
    let concerns = |path: &Path| {
        if folders.contains_key(path)
            && !matches!(event.kind, EventKind::Modify(ModifyKind::Metadata(_)))
        {
            is_worn.store(true, Ordering::Release);
            return true;
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return false;
        };
        folders
            .get(folder)
            .is_some_and(|watched| watched.concerns(name))
    };
    let mut concerned = event.need_rescan();
    for path in &event.paths {
        concerned |= concerns(path);
    }
    concerned
}

pub(super) fn inotify(hear: Hearer) -> notify::Result<Box<dyn Watcher + Send + Sync>> {
    Ok(Box::new(notify::recommended_watcher(hear)?))
}
