//! A new generation on SIGHUP or when a watched file changes. A faulty one never replaces a good one.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher as _;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;

use crate::gateway::Generations;
use crate::gateway::NotInstalled;
use crate::gateway::Shared;
use crate::listen::Certificates;
use crate::listen::Stop;
use crate::model::Fault;
use crate::model::Faults;
use crate::policy::diff;

use super::doors::Opened;
use super::notify::Notify;

/// Editors write a file in several steps; what changes within this time is one change.
const SETTLE: Duration = Duration::from_millis(300);

/// Has the configuration read again and put in force.
pub(super) struct Reloader {
    shared: Arc<Shared>,
    generations: Arc<Generations>,
    certificates: Vec<Arc<Certificates>>,
}

impl Reloader {
    pub(super) fn new(
        shared: &Arc<Shared>,
        generations: &Arc<Generations>,
        opened: &Opened,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            generations: Arc::clone(generations),
            certificates: opened.certificates.clone(),
        }
    }

    /// Waits for reasons to reload until the server stops.
    pub(super) async fn run(self, stop: Stop, notify: Notify) {
        let (changes, mut changed) = mpsc::channel(1);
        let mut watched = watch(&self.generations.watched(), changes.clone());
        let Ok(mut hangups) = signal(SignalKind::hangup()) else {
            tracing::error!("cannot listen for SIGHUP; reload by restart");
            return;
        };
        loop {
            tokio::select! {
                () = stop.requested() => return,
                _ = hangups.recv() => {}
                _ = changed.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while changed.try_recv().is_ok() {}
                }
            }
            notify.reloading();
            let reloaded = self.reload().await;
            match &reloaded {
                Ok(()) => watched = watch(&self.generations.watched(), changes.clone()),
                Err(why) => self.refuse(why),
            }
            notify.reloaded(self.shared.generation().number, reloaded.is_ok());
            // Kept until here: a watcher that is dropped watches no more.
            let _ = &watched;
        }
    }

    async fn reload(&self) -> Result<(), NotInstalled> {
        let before = self.shared.generation();
        for certificates in &self.certificates {
            certificates
                .reload()
                .map_err(|error| Faults(vec![Fault::nowhere(error.to_string())]))?;
        }
        let number = self.generations.reload().await?;
        let changes = diff(&before.policies, &self.shared.generation().policies);
        for change in &changes {
            tracing::info!(generation = number, %change, "policy change");
        }
        tracing::info!(
            generation = number,
            changes = changes.len(),
            "configuration reloaded"
        );
        Ok(())
    }

    fn refuse(&self, why: &NotInstalled) {
        self.shared.reload_failed();
        let generation = self.shared.generation().number;
        for line in why.to_string().lines() {
            tracing::error!(generation, "configuration not reloaded: {line}");
        }
    }
}

/// Watches files by their folders, since editors replace files rather than change them.
fn watch(files: &[PathBuf], changes: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let names = files.to_vec();
    let on_event = move |event: notify::Result<notify::Event>| {
        let concerns = event.is_ok_and(|event| {
            !event.kind.is_access() && event.paths.iter().any(|path| is_watched(path, &names))
        });
        if concerns {
            // Full means that a reload is due anyway.
            let _ = changes.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(on_event)
        .map_err(|error| tracing::error!(%error, "files cannot be watched; reload by SIGHUP"))
        .ok()?;
    let mut folders: Vec<&Path> = files.iter().map(|file| folder_of(file)).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        if let Err(error) = watcher.watch(folder, RecursiveMode::Recursive) {
            tracing::warn!(folder = %folder.display(), %error, "not watched; reload by SIGHUP");
        }
    }
    Some(watcher)
}

fn folder_of(file: &Path) -> &Path {
    if file.is_dir() {
        return file;
    }
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn is_watched(changed: &Path, files: &[PathBuf]) -> bool {
    let same = |file: &PathBuf| {
        let named = changed.file_name() == file.file_name();
        changed.starts_with(file)
            || (named && changed.ends_with(file))
            || (named && !file.is_absolute())
    };
    files.iter().any(same)
}
