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

use crate::config::Found;
use crate::config::Loaded;
use crate::config::load;
use crate::gateway::Shared;
use crate::listen::Certificates;
use crate::listen::Stop;
use crate::model::Fault;
use crate::model::Faults;
use crate::policy::diff;

use super::Environment;
use super::Start;
use super::doors::Opened;
use super::generation::Maker;

/// Editors write a file in several steps; what changes within this time is one change.
const SETTLE: Duration = Duration::from_millis(300);

/// Reads the configuration again and puts it in force.
pub(super) struct Reloader {
    start: Start,
    env: Environment,
    maker: Maker,
    found: Option<Found>,
    shared: Arc<Shared>,
    certificates: Vec<Arc<Certificates>>,
}

impl Reloader {
    pub(super) fn new(
        start: Start,
        env: Environment,
        maker: Maker,
        found: Option<Found>,
        shared: &Arc<Shared>,
        opened: &Opened,
    ) -> Self {
        let certificates = opened.certificates.clone();
        Self { start, env, maker, found, shared: Arc::clone(shared), certificates }
    }

    /// Waits for reasons to reload until the server stops.
    pub(super) async fn run(mut self, files: Vec<PathBuf>, stop: Stop) {
        let (changes, mut changed) = mpsc::channel(1);
        let mut watched = watch(&files, changes.clone());
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
            match self.reload() {
                Ok(files) => watched = watch(&files, changes.clone()),
                Err(faults) => self.refuse(&faults),
            }
            // Kept until here: a watcher that is dropped watches no more.
            let _ = &watched;
        }
    }

    fn reload(&mut self) -> Result<Vec<PathBuf>, Faults> {
        let mut loaded = load(&self.start.policies, &self.start.overrides, &self.env)?;
        self.give_upstream(&mut loaded)?;
        let before = self.shared.generation();
        let number = before.number + 1;
        let next = self.maker.next(number, &loaded, &[])?;
        for certificates in &self.certificates {
            certificates.reload().map_err(|error| Faults(vec![Fault::nowhere(error.to_string())]))?;
        }
        let changes = diff(&before.policies, &next.policies);
        for change in &changes {
            tracing::info!(generation = number, %change, "policy change");
        }
        self.shared.install(next);
        tracing::info!(generation = number, changes = changes.len(), "configuration reloaded");
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        Ok(loaded.files)
    }

    /// The upstream that pip named at the start stays; one that is new asks pip now.
    fn give_upstream(&mut self, loaded: &mut Loaded) -> Result<(), Faults> {
        if loaded.pip_mirror().is_none() {
            return Ok(());
        }
        if self.found.is_none() {
            let found = crate::config::discover(&loaded.config, &self.env);
            self.found = Some(found.map_err(|fault| Faults(vec![fault]))?);
        }
        if let Some(found) = &self.found {
            loaded.set_upstream(found);
        }
        Ok(())
    }

    fn refuse(&self, faults: &Faults) {
        self.shared.reload_failed();
        let generation = self.shared.generation().number;
        for fault in &faults.0 {
            tracing::error!(generation, "configuration not reloaded: {fault}");
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
        changed.starts_with(file) || (named && changed.ends_with(file)) || (named && !file.is_absolute())
    };
    files.iter().any(same)
}
