//! Waits for configuration files to change.
//!
//! The system reports that something happened in a folder (inotify); whether that concerns anything that
//! was read is found out by looking at it again. So it does not matter how a change was made, and a
//! superfluous report costs a few looks and no reload. Where the system reports nothing, for example a
//! file written by another machine, or beyond its number of watches, a periodic look finds the change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::app::files::Reading;
use crate::app::reported::{Make, Reported, inotify};
use crate::config::Named;
use crate::model::OwnLimits;

/// Editors write a file in several steps; what changes within this time is one change.
const SETTLE: Duration = Duration::from_millis(300);

/// Longest wait for files that keep changing: after that they are read as they are.
const SETTLE_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Options {
    /// Most folders to have watched.
    folders_max: usize,
    /// Time between two looks without a report.
    interval: Duration,
    /// See [`SETTLE`].
    settle: Duration,
    make: Make,
}

/// Waits for changes.
pub(super) struct Watch {
    reading: Arc<ArcSwap<Reading>>,
    options: Options,
    reported: Option<Reported>,
    nudge: mpsc::Sender<()>,
    nudged: mpsc::Receiver<()>,
    /// The trouble that was reported last.
    told: Option<String>,
}

impl Watch {
    pub(super) fn new(reading: Arc<ArcSwap<Reading>>, limits: &OwnLimits) -> Self {
        let options = Options {
            folders_max: limits.watches,
            interval: limits.watch_interval,
            settle: SETTLE,
            make: inotify,
        };
        Self::with(reading, options)
    }

    fn with(reading: Arc<ArcSwap<Reading>>, options: Options) -> Self {
        // Full means that a look is due anyway.
        let (nudge, nudged) = mpsc::channel(1);
        Self {
            reading,
            options,
            reported: None,
            nudge,
            nudged,
            told: None,
        }
    }

    /// Waits until something differs from when it was read and has stayed the same for a moment;
    /// returns the paths. Cancel-safe.
    pub(super) async fn change(&mut self) -> BTreeSet<PathBuf> {
        loop {
            // Armed before looking, so that no change slips in between.
            self.arm().await;
            let changed = self.changed().await;
            if !changed.is_empty() {
                self.settle().await;
                let changed = self.changed().await;
                if !changed.is_empty() {
                    return changed;
                }
            }
            tokio::select! {
                _ = self.nudged.recv() => {}
                () = tokio::time::sleep(self.options.interval) => {}
            }
        }
    }

    async fn changed(&self) -> BTreeSet<PathBuf> {
        let reading = self.reading.load_full();
        look(move || reading.named.changed()).await
    }

    /// Waits until two looks in a row see the same.
    async fn settle(&self) {
        let mut waited = Duration::ZERO;
        let mut seen: Option<Named> = None;
        while waited < SETTLE_MAX {
            let reading = self.reading.load_full();
            let now = look(move || Some(reading.named.again())).await;
            if now == seen {
                return;
            }
            seen = now;
            tokio::time::sleep(self.options.settle).await;
            waited += self.options.settle;
        }
    }

    /// Watches the folders that matter now.
    async fn arm(&mut self) {
        let (reading, before) = (self.reading.load_full(), self.reported.take());
        let (options, nudge) = (self.options, self.nudge.clone());
        let work = move || {
            let folders = reading.named.folders();
            match before {
                Some(before) if before.covers(&folders) => before,
                // The old watcher is dropped only now, so that there is no gap.
                _ => Reported::new(folders, options.folders_max, options.make, nudge),
            }
        };
        let Ok(reported) = tokio::task::spawn_blocking(work).await else {
            return;
        };
        self.tell(reported.trouble.as_deref());
        self.reported = Some(reported);
    }

    /// Reports trouble once.
    fn tell(&mut self, trouble: Option<&str>) {
        if self.told.as_deref() == trouble {
            return;
        }
        let every = format!("{:?}", self.options.interval);
        match trouble {
            Some(why) => tracing::error!(
                every,
                "changes of configuration are not reported by the system ({why}): they are looked for now and then"
            ),
            None => tracing::info!("changes of configuration are reported by the system again"),
        }
        self.told = trouble.map(str::to_owned);
    }
}

/// Looks off the threads that answer requests; a look that panicked has seen nothing.
async fn look<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use notify::{RecursiveMode, Watcher};
    use tempfile::TempDir;

    use super::*;
    use crate::config::{Overrides, PoliciesPath, load_noting};

    /// A change that is not noticed within this time never will be.
    const PATIENCE: Duration = Duration::from_secs(30);

    const HOUR: Duration = Duration::from_hours(1);

    const YAML: &str = "\
advisories: [osv, lone.json]
indexes:
  a/mirror: { type: mirror, mirror_url: 'https://upstream.example/simple/', username: u, password_file: secret }
  a/stage: { bases: [a/mirror], whitelist_files: [uv.lock] }
listen:
  manage: { address: '127.0.0.1:0', tls: { cert: tls/cert.pem, key: tls/key.pem } }
";

    /// A file of each kind, and the path that is reported as changed with it.
    const KINDS: [(&str, &str); 7] = [
        ("c.yaml", ""),
        ("osv/b/1.json", "osv"),
        ("lone.json", "lone.json"),
        ("secret", "secret"),
        ("uv.lock", "uv.lock"),
        ("tls/cert.pem", "tls/cert.pem"),
        ("tls/key.pem", "tls/key.pem"),
    ];

    /// A folder of configuration that names a file of each kind, at its real path.
    struct Shop {
        _folder: TempDir,
        path: PathBuf,
        source: PoliciesPath,
        reading: Arc<ArcSwap<Reading>>,
    }

    impl Shop {
        /// `prepare` may move files about before they are read; `is_relative` is how they are named.
        fn new(is_relative: bool, prepare: impl Fn(&Path)) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().canonicalize().unwrap();
            fs::create_dir_all(path.join("osv/b")).unwrap();
            fs::create_dir_all(path.join("tls")).unwrap();
            for (name, _) in KINDS {
                fs::write(path.join(name), content(name, 0)).unwrap();
            }
            prepare(&path);
            let named = if is_relative {
                relative(&path)
            } else {
                path.clone()
            };
            let source = PoliciesPath::Named(named);
            let reading = Arc::new(ArcSwap::from_pointee(read(&source)));
            Self {
                _folder: folder,
                path,
                source,
                reading,
            }
        }

        fn watch(&self, folders_max: usize, interval: Duration, make: Make) -> Watch {
            let settle = Duration::from_millis(20);
            let options = Options {
                folders_max,
                interval,
                settle,
                make,
            };
            Watch::with(Arc::clone(&self.reading), options)
        }

        /// Makes a change, and waits until the path of this file is reported as changed; then
        /// everything is read again.
        async fn noticed(&self, watch: &mut Watch, kind: (&str, &str), change: impl FnOnce(&Path)) {
            watch.arm().await;
            while watch.nudged.try_recv().is_ok() {}
            change(&self.path.join(kind.0));
            if watch.options.interval == HOUR {
                let reported = tokio::time::timeout(PATIENCE, watch.nudged.recv()).await;
                assert!(reported.is_ok(), "not reported: {kind:?}");
            }
            let told = tokio::time::timeout(PATIENCE, watch.change()).await;
            let told = told.unwrap_or_else(|_| panic!("not noticed: {kind:?}"));
            let wanted = self.path.join(kind.1);
            let is_told = told
                .iter()
                .any(|path| path.canonicalize().is_ok_and(|path| path == wanted));
            assert!(is_told || !wanted.exists(), "{kind:?}: {told:?}");
            self.reading.store(Arc::new(read(&self.source)));
        }
    }

    fn content(name: &str, number: usize) -> String {
        match name {
            "c.yaml" => format!("{YAML}# {number}\n"),
            name if name.ends_with(".json") => format!("{{\"id\": \"MAL-{number}\"}}"),
            "uv.lock" => format!("version = 1\n# {number}\n"),
            name => format!("{name} {number}"),
        }
    }

    /// The same place, named from the working directory.
    fn relative(path: &Path) -> PathBuf {
        let here = std::env::current_dir().unwrap();
        let up = here.components().skip(1).map(|_| "..");
        up.collect::<PathBuf>()
            .join(path.strip_prefix("/").unwrap())
    }

    fn read(source: &PoliciesPath) -> Reading {
        let mut named = Named::default();
        let nothing: fn(&str) -> Option<String> = |_| None;
        // A file that is gone for a while is a fault, and noted all the same.
        let loaded = load_noting(source, &Overrides::default(), &nothing, &mut named);
        let doors = match loaded {
            Ok(loaded) => loaded.config.listen,
            Err(_) => {
                let empty = PoliciesPath::Default {
                    folder: PathBuf::from("/nowhere"),
                };
                let loaded = load_noting(
                    &empty,
                    &Overrides::default(),
                    &nothing,
                    &mut Named::default(),
                );
                loaded.unwrap().config.listen
            }
        };
        Reading { named, doors }
    }

    fn rename_over(file: &Path, text: &str) {
        let draft = file.with_file_name(".draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, file).unwrap();
    }

    fn swap_link(link: &Path, target: &str) {
        let draft = link.with_file_name(".link");
        symlink(target, &draft).unwrap();
        fs::rename(draft, link).unwrap();
    }

    #[tokio::test]
    async fn a_file_of_each_kind_may_be_renamed_over_overwritten_removed_and_made_again() {
        for is_relative in [false, true] {
            let shop = Shop::new(is_relative, |_| {});
            let mut watch = shop.watch(100, HOUR, inotify);
            for kind in KINDS {
                let text = |number| content(kind.0, number);
                let over = |file: &Path| rename_over(file, &text(1));
                shop.noticed(&mut watch, kind, over).await;
                // As long as before, so that only its times differ.
                let in_place = |file: &Path| fs::write(file, text(2)).unwrap();
                shop.noticed(&mut watch, kind, in_place).await;
                shop.noticed(&mut watch, kind, |file| fs::remove_file(file).unwrap())
                    .await;
                shop.noticed(&mut watch, kind, |file| fs::write(file, text(3)).unwrap())
                    .await;
                let folder = |file: &Path| {
                    let (here, there) = (
                        file.parent().unwrap(),
                        file.parent().unwrap().with_extension("new"),
                    );
                    fs::rename(here, &there).unwrap();
                    fs::create_dir(here).unwrap();
                    for entry in fs::read_dir(&there).unwrap() {
                        let entry = entry.unwrap();
                        fs::rename(entry.path(), here.join(entry.file_name())).unwrap();
                    }
                    rename_over(file, &text(4));
                };
                shop.noticed(&mut watch, kind, folder).await;
            }
        }
    }

    #[tokio::test]
    async fn a_file_of_each_kind_may_change_by_a_link_above_it() {
        for is_relative in [false, true] {
            for kind in KINDS {
                // As Kubernetes mounts a ConfigMap: the file leads through `..data`.
                let shop = Shop::new(is_relative, |path| {
                    let file = path.join(kind.0);
                    let (folder, name) = (file.parent().unwrap(), file.file_name().unwrap());
                    for number in 1..=3 {
                        let into = folder.join(format!("..{number}"));
                        fs::create_dir(&into).unwrap();
                        fs::write(into.join(name), content(kind.0, number)).unwrap();
                    }
                    symlink("..1", folder.join("..data")).unwrap();
                    fs::remove_file(&file).unwrap();
                    symlink(Path::new("..data").join(name), &file).unwrap();
                });
                let mut watch = shop.watch(100, HOUR, inotify);
                for number in [2, 3] {
                    let swap = |file: &Path| {
                        swap_link(&file.with_file_name("..data"), &format!("..{number}"));
                    };
                    shop.noticed(&mut watch, (kind.0, "absent"), swap).await;
                }
                // And as a link of its own.
                let own = |file: &Path| {
                    let name = file.file_name().unwrap().to_str().unwrap();
                    swap_link(file, &format!("..1/{name}"));
                };
                shop.noticed(&mut watch, (kind.0, "absent"), own).await;
            }
        }
    }

    #[tokio::test]
    async fn without_reports_changes_are_looked_for() {
        let none: [(usize, Make); 3] = [
            (0, inotify),
            (100, |_| {
                Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
            }),
            (100, |_| Ok(Box::new(Full))),
        ];
        for (folders_max, make) in none {
            let shop = Shop::new(false, |_| {});
            let mut watch = shop.watch(folders_max, Duration::from_millis(50), make);
            for kind in KINDS {
                let change = |file: &Path| rename_over(file, &content(kind.0, 1));
                shop.noticed(&mut watch, kind, change).await;
            }
            let told = watch.told.clone().unwrap();
            assert!(
                told.contains("limit") || told.contains("limits.watches is 0"),
                "{told}"
            );
        }
    }

    /// Like inotify when no watches are left.
    #[derive(Debug)]
    struct Full;

    impl Watcher for Full {
        fn new<F: notify::EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
            Ok(Self)
        }

        fn watch(&mut self, path: &Path, _: RecursiveMode) -> notify::Result<()> {
            Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch).add_path(path.to_owned()))
        }

        fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
            Ok(())
        }

        fn kind() -> notify::WatcherKind {
            notify::WatcherKind::NullWatcher
        }
    }

    /// Whatever is written next to the files: nothing is read again, and few folders are watched.
    #[tokio::test]
    async fn what_lies_beside_is_none_of_it() {
        let shop = Shop::new(false, |path| {
            for number in 0..50 {
                fs::create_dir_all(path.join(format!("data/{number}"))).unwrap();
            }
        });
        let mut watch = shop.watch(100, HOUR, inotify);
        watch.arm().await;
        let reported = watch.reported.as_ref().unwrap();
        let folders: Vec<_> = reported.folders.keys().cloned().collect();
        let above = shop.path.parent().unwrap().to_owned();
        let wanted = ["", "osv", "osv/b", "tls"].map(|name| shop.path.join(name));
        let wanted: Vec<_> = [above]
            .into_iter()
            .chain(wanted.map(|path| path.components().collect()))
            .collect();
        assert_eq!(folders, wanted);
        for name in [
            "data/1/x",
            "data/audit.jsonl",
            "osv/b/.git",
            "tls/other.pem",
            ".c.yaml.swp",
        ] {
            fs::write(shop.path.join(name), "x").unwrap();
        }
        // The last change is noticed, and those before it are not reported with it.
        let last = |file: &Path| fs::write(file, "new").unwrap();
        watch.arm().await;
        last(&shop.path.join("secret"));
        let told = tokio::time::timeout(PATIENCE, watch.change())
            .await
            .unwrap();
        assert_eq!(
            told.into_iter().collect::<Vec<_>>(),
            [shop.path.join("secret")]
        );
    }

    #[tokio::test]
    async fn what_changed_while_nobody_watched_is_noticed() {
        let shop = Shop::new(false, |_| {});
        fs::write(shop.path.join("uv.lock"), "version = 1\n").unwrap();
        let mut watch = shop.watch(100, HOUR, inotify);
        let told = tokio::time::timeout(PATIENCE, watch.change())
            .await
            .unwrap();
        assert_eq!(
            told.into_iter().collect::<Vec<_>>(),
            [shop.path.join("uv.lock")]
        );
    }
}
