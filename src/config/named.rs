//! The files and folders that a configuration consists of and names, and whether they have changed.
//!
//! What is at a path is identified by its device, inode, length and times, taken before it is read. So a
//! change is noticed however and whenever it was made: a file overwritten or replaced, a link above it
//! that leads elsewhere now, a file that has gone or appeared. Nothing is missed between reading and
//! watching, since the comparison is with what was read, not with what was there when watching began.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::config::files::{FolderTree, advisory_tree, is_hidden, yaml_files};

/// Most links on the way to one file; the kernel follows as many.
const LINKS_MAX: usize = 40;

/// How much at a path is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Reach {
    /// A file.
    File,
    /// A file, or the YAML files of a folder.
    Yaml,
    /// A file, or every JSON file below a folder.
    Json,
}

/// What was at a path, in 64 bits.
type Sight = u64;

/// The files and folders, and how they looked before they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    seen: BTreeMap<(PathBuf, Reach), Sight>,
}

/// A folder to watch, and which of its entries matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    names: BTreeSet<OsString>,
    is_whole: bool,
}

impl Watched {
    /// Whether a change of this entry may change what is read.
    #[must_use]
    pub fn concerns(&self, name: &OsStr) -> bool {
        self.names.contains(name) || (self.is_whole && !is_hidden(Path::new(name)))
    }
}

impl Named {
    /// Looks at a path that is about to be read. The first look counts: a later change is a change, even if
    /// it was read before it was noticed.
    pub(super) fn note(&mut self, path: &Path, reach: Reach) {
        // Relative to the working directory, which never changes.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if let Entry::Vacant(free) = self.seen.entry((path, reach)) {
            let sight = sight(&free.key().0, reach);
            free.insert(sight);
        }
    }

    /// The files and folders, including those of the configuration itself.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.seen.keys().map(|(path, _)| path.as_path())
    }

    /// The files that exist now, listed one by one; for a folder, those that are read from it.
    #[must_use]
    pub fn there(&self) -> BTreeSet<PathBuf> {
        let mut there = BTreeSet::new();
        for (path, reach) in self.seen.keys() {
            match tree_of(path, *reach) {
                Some(tree) => there.extend(tree.files),
                None if path.is_file() => drop(there.insert(path.clone())),
                None => {}
            }
        }
        there
    }

    /// The paths at which something has changed since they were read.
    #[must_use]
    pub fn changed(&self) -> BTreeSet<PathBuf> {
        let is_other =
            |((path, reach), seen): &(&(PathBuf, Reach), &Sight)| sight(path, *reach) != **seen;
        let changed = self.seen.iter().filter(is_other);
        changed.map(|((path, _), _)| path.clone()).collect()
    }

    /// How everything looks now, to be compared with a later look.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut now = Self::default();
        for (path, reach) in self.seen.keys() {
            now.note(path, *reach);
        }
        now
    }

    /// Counts these files as read again just now; call before reading them.
    pub fn renew<'a>(&mut self, files: impl Iterator<Item = &'a Path>) {
        for file in files {
            let key = (file.to_owned(), Reach::File);
            if let Some(seen) = self.seen.get_mut(&key) {
                *seen = sight(&key.0, Reach::File);
            }
        }
    }

    /// The folders to watch, without their subfolders. For a file it is the folder that contains it; for
    /// each link on the way, the folder that contains the link; for a missing path, its deepest existing
    /// ancestor.
    #[must_use]
    pub fn folders(&self) -> BTreeMap<PathBuf, Watched> {
        let mut folders = BTreeMap::new();
        for (path, reach) in self.seen.keys() {
            let found = trace(path, &mut folders);
            let Some(tree) = tree_of(&found, *reach) else {
                continue;
            };
            for file in tree.files.iter().filter(|file| file.is_symlink()) {
                trace(file, &mut folders);
            }
            for folder in tree.folders {
                folders.entry(folder).or_default().is_whole = true;
            }
        }
        folders
    }
}

/// Notes every entry that decides what is at a path: each link on the way, and the last component.
/// Returns where the path leads.
fn trace(path: &Path, folders: &mut BTreeMap<PathBuf, Watched>) -> PathBuf {
    let mut note = |folder: &Path, name: OsString| {
        let watched = folders.entry(folder.to_owned()).or_default();
        watched.names.insert(name);
    };
    let (mut at, mut links) = (PathBuf::new(), 0);
    let mut rest: Vec<OsString> = parts(path);
    while let Some(name) = rest.pop() {
        match Path::new(&name).components().next() {
            Some(Component::ParentDir) => drop(at.pop()),
            Some(Component::Normal(_)) => {
                let here = at.join(&name);
                let metadata = fs::symlink_metadata(&here);
                if metadata.as_ref().is_ok_and(fs::Metadata::is_symlink) && links < LINKS_MAX {
                    links += 1;
                    note(&at, name);
                    // A link that is gone meanwhile is noticed by the watch.
                    let target = fs::read_link(&here).unwrap_or_default();
                    rest.extend(parts(&target));
                } else if metadata.is_ok_and(|metadata| metadata.is_dir()) && !rest.is_empty() {
                    at = here;
                } else {
                    note(&at, name);
                    return here;
                }
            }
            Some(Component::RootDir | Component::Prefix(_)) => at = PathBuf::from(&name),
            Some(Component::CurDir) | None => {}
        }
    }
    at
}

/// The components of a path, last first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev();
    parts.map(|part| part.as_os_str().to_owned()).collect()
}

/// What is read of a folder; `None` if it is no folder. For an unreadable one it is just the folder.
fn tree_of(path: &Path, reach: Reach) -> Option<FolderTree> {
    let only_itself = || FolderTree {
        files: Vec::new(),
        folders: vec![path.to_owned()],
    };
    match reach {
        Reach::Yaml if path.is_dir() => Some(FolderTree {
            files: yaml_files(path).unwrap_or_default(),
            ..only_itself()
        }),
        Reach::Json if path.is_dir() => Some(advisory_tree(path).unwrap_or_else(|_| only_itself())),
        Reach::File | Reach::Yaml | Reach::Json => None,
    }
}

fn sight(path: &Path, reach: Reach) -> Sight {
    let mut hasher = DefaultHasher::new();
    match tree_of(path, reach) {
        // A folder's own times change whenever anything in it does, so only its files count.
        Some(tree) => {
            for file in &tree.files {
                file.hash(&mut hasher);
                look_at(file, &mut hasher);
            }
        }
        None => look_at(path, &mut hasher),
    }
    hasher.finish()
}

fn look_at(path: &Path, hasher: &mut DefaultHasher) {
    match fs::metadata(path) {
        Ok(metadata) => (
            (metadata.dev(), metadata.ino(), metadata.len()),
            (metadata.mtime(), metadata.mtime_nsec()),
            (metadata.ctime(), metadata.ctime_nsec()),
        )
            .hash(hasher),
        Err(error) => error.raw_os_error().hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const ALL: [Reach; 3] = [Reach::File, Reach::Yaml, Reach::Json];

    /// A folder in which `kept` is what the test names, with its real path.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    fn noted(path: &Path, reach: Reach) -> Named {
        let mut named = Named::default();
        named.note(path, reach);
        named
    }

    fn told(named: &Named, below: &Path) -> Vec<String> {
        let told = |(folder, watched): (PathBuf, Watched)| {
            let folder = folder.strip_prefix(below).unwrap().display().to_string();
            let names: Vec<_> = watched
                .names
                .iter()
                .map(|name| name.display().to_string())
                .collect();
            format!(
                "{folder}: {} {}",
                names.join(" "),
                if watched.is_whole { "all" } else { "" }
            )
        };
        named.folders().into_iter().map(told).collect()
    }

    #[test]
    fn only_the_folder_of_a_file_is_watched_and_only_for_that_file() {
        let (_folder, path) = folder();
        fs::create_dir_all(path.join("data/deep")).unwrap();
        fs::write(path.join("c.yaml"), "").unwrap();
        for reach in ALL {
            let named = noted(&path.join("c.yaml"), reach);
            assert_eq!(told(&named, &path), [": c.yaml "]);
        }
        let here = &noted(&path.join("c.yaml"), Reach::File).folders()[&path];
        assert!(here.concerns(OsStr::new("c.yaml")));
        assert!(!here.concerns(OsStr::new("data")) && !here.concerns(OsStr::new("c.yaml~")));
    }

    #[test]
    fn a_folder_is_watched_for_what_is_read_of_it() {
        let (_folder, path) = folder();
        for inner in ["pol/data", "pol/osv/b", "pol/.git"] {
            fs::create_dir_all(path.join(inner)).unwrap();
        }
        let named = noted(&path.join("pol"), Reach::Yaml);
        assert_eq!(told(&named, &path), [": pol ", "pol:  all"]);
        let here = &named.folders()[&path.join("pol")];
        assert!(here.concerns(OsStr::new("new.yaml")) && !here.concerns(OsStr::new(".x.swp")));
        let named = noted(&path.join("pol/osv"), Reach::Json);
        assert_eq!(
            told(&named, &path),
            ["pol: osv ", "pol/osv:  all", "pol/osv/b:  all"]
        );
    }

    #[test]
    fn each_link_on_the_way_is_watched_where_it_lies() {
        let (_folder, path) = folder();
        fs::create_dir_all(path.join("map/..2026")).unwrap();
        fs::write(path.join("map/..2026/c.yaml"), "").unwrap();
        symlink("..2026", path.join("map/..data")).unwrap();
        symlink("..data/c.yaml", path.join("map/c.yaml")).unwrap();
        symlink(path.join("map"), path.join("link")).unwrap();
        let wanted = ["map: ..data c.yaml ", "map/..2026: c.yaml "];
        let named = noted(&path.join("map/../map/c.yaml"), Reach::File);
        assert_eq!(told(&named, &path), wanted);
        let named = noted(&path.join("link"), Reach::Yaml);
        assert_eq!(
            told(&named, &path),
            [
                ": link map ",
                "map: ..data c.yaml all",
                "map/..2026: c.yaml "
            ]
        );
    }

    #[test]
    fn what_is_not_there_is_watched_for_where_it_would_begin() {
        let (_folder, path) = folder();
        let deep = path.join("osv/b/1.json");
        let named = noted(&deep, Reach::Json);
        assert_eq!(told(&named, &path), [": osv "]);
        fs::create_dir_all(path.join("osv/b")).unwrap();
        assert_eq!(told(&named, &path), ["osv/b: 1.json "]);
        assert!(named.changed().is_empty());
        fs::write(&deep, "{}").unwrap();
        assert_eq!(named.changed().into_iter().collect::<Vec<_>>(), [deep]);
    }

    #[test]
    fn a_folder_is_watched_however_its_path_is_written() {
        let (_folder, path) = folder();
        fs::create_dir_all(path.join("osv/b")).unwrap();
        fs::create_dir(path.join("beside")).unwrap();
        symlink("osv", path.join("link")).unwrap();
        let here = std::env::current_dir().unwrap();
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let relative = up.join(path.strip_prefix("/").unwrap());
        let spelled = [
            "osv",
            "osv/",
            "./osv",
            "osv/.",
            "beside/../osv/",
            "link",
            "link/",
            "link/../osv",
        ];
        for (number, spelled) in spelled.into_iter().enumerate() {
            for root in [&path, &relative] {
                let named = noted(&root.join(spelled), Reach::Json);
                let folders = named.folders();
                for whole in ["osv", "osv/b"] {
                    assert!(
                        folders[&path.join(whole)].is_whole,
                        "{spelled}: {folders:?}"
                    );
                }
                assert!(named.changed().is_empty(), "{spelled}");
                fs::write(path.join(format!("osv/b/{number}.json")), spelled).unwrap();
                assert_eq!(named.changed().len(), 1, "{spelled}");
                fs::remove_file(path.join(format!("osv/b/{number}.json"))).unwrap();
            }
        }
        for spelled in ["new/osv/", "beside/../new/osv"] {
            let named = noted(&path.join(spelled), Reach::Json);
            assert!(
                named.folders()[&path].concerns(OsStr::new("new")),
                "{spelled}"
            );
            fs::create_dir_all(path.join("new/osv")).unwrap();
            fs::write(path.join("new/osv/1.json"), "").unwrap();
            assert_eq!(named.changed().len(), 1, "{spelled}");
            assert!(named.folders()[&path.join("new/osv")].is_whole);
            fs::remove_dir_all(path.join("new")).unwrap();
        }
    }

    #[test]
    fn a_circle_of_links_ends() {
        let (_folder, path) = folder();
        symlink("b", path.join("a")).unwrap();
        symlink("a", path.join("b")).unwrap();
        let named = noted(&path.join("a"), Reach::File);
        assert_eq!(told(&named, &path), [": a b "]);
    }

    #[test]
    fn whatever_changes_at_a_path_it_looks_different_and_after_that_no_more() {
        let (_folder, path) = folder();
        let at = |name: &str| path.join(name);
        for inner in ["pol", "osv/b", "map/one", "map/two"] {
            fs::create_dir_all(at(inner)).unwrap();
        }
        for file in [
            "f",
            "pol/a.yaml",
            "osv/b/1.json",
            "map/one/c",
            "map/two/c",
            "other",
        ] {
            fs::write(at(file), "12").unwrap();
        }
        symlink("one", at("map/data")).unwrap();
        let swap = |to: &str| {
            symlink(to, at("map/new")).unwrap();
            fs::rename(at("map/new"), at("map/data")).unwrap();
        };
        let mut named = Named::default();
        for (name, reach) in [
            ("f", Reach::File),
            ("pol", Reach::Yaml),
            ("osv", Reach::Json),
            ("map/data/c", Reach::File),
            ("absent", Reach::File),
        ] {
            named.note(&at(name), reach);
        }
        let none: [&str; 0] = [];
        let changes: [(&dyn Fn(), &[&str]); 10] = [
            (&|| fs::write(at("f"), "34").unwrap(), &["f"]),
            (&|| fs::rename(at("other"), at("f")).unwrap(), &["f"]),
            (&|| fs::remove_file(at("f")).unwrap(), &["f"]),
            (&|| fs::write(at("absent"), "").unwrap(), &["absent"]),
            (&|| fs::write(at("pol/b.yml"), "").unwrap(), &["pol"]),
            (&|| fs::write(at("pol/a.yaml"), "5").unwrap(), &["pol"]),
            (&|| fs::write(at("pol/data.sqlite"), "").unwrap(), &none),
            (&|| fs::write(at("osv/2.json"), "").unwrap(), &["osv"]),
            (&|| swap("two"), &["map/data/c"]),
            (&|| fs::create_dir(at("osv/c")).unwrap(), &none),
        ];
        for (number, (change, wanted)) in changes.into_iter().enumerate() {
            change();
            let wanted: BTreeSet<_> = wanted.iter().map(|name| at(name)).collect();
            assert_eq!(named.changed(), wanted, "change {number}");
            named = named.again();
            assert!(named.changed().is_empty(), "change {number}");
        }
        fs::write(at("absent"), "now").unwrap();
        let files = [at("absent")];
        named.renew(files.iter().map(PathBuf::as_path));
        assert!(named.changed().is_empty());
    }
}
