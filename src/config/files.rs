//! Reads files: the configuration's own, and those that its keys name.
//!
//! Everything is read whole and bounded: a path that leads to a device or a database by mistake is a
//! fault instead of filling the memory.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::advisory::{Advisories, Collector};
use crate::config::named::{Named, Reach};
use crate::language::{Files, NamedKind, TextFile, read_osv};
use crate::model::{Fault, Location, format_bytes};

/// Largest file of configuration, lock file or advisory, in bytes: 100,000 pinned projects take half.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Most bytes of all advisories together: the whole OSV export for Python takes a fifth.
const ADVISORY_BYTES_MAX: usize = 512 << 20;

/// Most entries of a folder of advisories, all levels together.
const ADVISORY_ENTRIES_MAX: usize = 500_000;

/// Deepest level below the named folder.
const ADVISORY_DEPTH_MAX: usize = 8;

/// Most files of configuration in one folder.
const CONFIGURATION_FILES_MAX: usize = 1000;

/// A path named by a file: absolute, or relative to that file.
pub(super) fn beside(location: &Location, path: &Path) -> PathBuf {
    match Path::new(location.file.as_ref()).parent() {
        Some(folder) => folder.join(path),
        None => path.to_owned(),
    }
}

/// The text of a file.
///
/// # Errors
/// Why it cannot be read, in words that follow the path.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let metadata = fs::metadata(path).map_err(|error| plain(&error))?;
    if !metadata.is_file() {
        return Err("not a file".into());
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| plain(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("larger than {}", format_bytes(FILE_BYTES_MAX)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        format!("not UTF-8 at byte {position}")
    })
}

/// The configuration files at a path: itself, or the `*.yaml` and `*.yml` of a folder, sorted.
///
/// # Errors
/// Why there are none.
pub fn configuration_files(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    let cannot = |why: &str| Fault::nowhere(format!("cannot read {}: {why}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| cannot(&plain(&error)))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let files = yaml_files(path).map_err(|error| cannot(&plain(&error)))?;
    if files.is_empty() {
        return Err(cannot("no *.yaml in it").hint("name a file, or a folder of them"));
    }
    if files.len() > CONFIGURATION_FILES_MAX {
        return Err(cannot(&format!(
            "more than {CONFIGURATION_FILES_MAX} files"
        )));
    }
    Ok(files)
}

/// The `*.yaml` and `*.yml` of a folder, sorted.
pub(super) fn yaml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        let is_yaml = file
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml");
        // Kubernetes mounts `..data` next to the files, editors leave `.name.swp`.
        if is_yaml && !is_hidden(&file) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the files that keys name. Each is noted first, so that changes can be watched for.
#[derive(Debug)]
pub(super) struct NamedFiles<'a> {
    pub(super) named: &'a mut Named,
    advisory_bytes: usize,
}

impl<'a> NamedFiles<'a> {
    pub(super) fn new(named: &'a mut Named) -> Self {
        Self {
            named,
            advisory_bytes: 0,
        }
    }
}

impl Files for NamedFiles<'_> {
    fn open(
        &mut self,
        named: NamedKind,
        location: &Location,
        path: &Path,
    ) -> Result<Vec<TextFile>, Fault> {
        let path = beside(location, path);
        let reach = match named {
            NamedKind::Whitelist => Reach::File,
            NamedKind::Advisories => Reach::Json,
        };
        self.named.note(&path, reach);
        match named {
            NamedKind::Whitelist => read_named(path, location).map(|file| vec![file]),
            NamedKind::Advisories => {
                let files = advisory_files(&path, location)?.into_iter();
                files.map(|path| read_named(path, location)).collect()
            }
        }
    }

    /// One file after the other: together they may be larger than the memory.
    fn advisories(&mut self, location: &Location, path: &Path) -> Result<Advisories, Fault> {
        let path = beside(location, path);
        self.named.note(&path, Reach::Json);
        let mut collector = Collector::default();
        for path in advisory_files(&path, location)? {
            let file = read_named(path, location)?;
            self.advisory_bytes += file.text.len();
            if self.advisory_bytes > ADVISORY_BYTES_MAX {
                let size = format_bytes(ADVISORY_BYTES_MAX as u64);
                let what = format!("the advisories take more than {size} together");
                return Err(Fault::at(location, what).hint("name a smaller folder"));
            }
            read_osv(&file, &mut collector)?;
        }
        Ok(collector.finish())
    }
}

fn read_named(path: PathBuf, location: &Location) -> Result<TextFile, Fault> {
    match read_text(&path) {
        Ok(text) => Ok(TextFile {
            location: location.clone(),
            path,
            text: text.into(),
        }),
        Err(why) => Err(Fault::at(
            location,
            format!("cannot read {}: {why}", path.display()),
        )),
    }
}

/// A file, or every `*.json` below a folder, sorted.
fn advisory_files(path: &Path, location: &Location) -> Result<Vec<PathBuf>, Fault> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let cannot = |folder: &Path, why: &str| {
        Fault::at(location, format!("cannot read {}: {why}", folder.display()))
    };
    let tree = advisory_tree(path).map_err(|(folder, why)| cannot(&folder, &why))?;
    if tree.files.is_empty() {
        // An export that is being exchanged, or the wrong folder: either way nothing would be denied.
        return Err(cannot(path, "no *.json in it").hint("name a file, or a folder of them"));
    }
    Ok(tree.files)
}

/// The files to read below a folder, and all folders that may contain some.
#[derive(Debug, Default)]
pub(super) struct FolderTree {
    pub(super) files: Vec<PathBuf>,
    pub(super) folders: Vec<PathBuf>,
}

/// Walks a folder of advisories: both lists sorted, or the folder that cannot be read, with the reason.
pub(super) fn advisory_tree(path: &Path) -> Result<FolderTree, (PathBuf, String)> {
    let mut tree = FolderTree::default();
    let mut folders = vec![(path.to_owned(), 0)];
    let mut entries = 0;
    while let Some((folder, depth)) = folders.pop() {
        let cannot = |error: io::Error| (folder.clone(), plain(&error));
        for entry in fs::read_dir(&folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            entries += 1;
            if entries > ADVISORY_ENTRIES_MAX {
                return Err((folder, format!("more than {ADVISORY_ENTRIES_MAX} files")));
            }
            let (path, kind) = (entry.path(), entry.file_type());
            // Links to folders are not followed, so that the walk ends.
            let is_folder = kind.is_ok_and(|kind| kind.is_dir());
            if is_hidden(&path) {
                continue;
            } else if is_folder && depth < ADVISORY_DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if !is_folder && path.extension().is_some_and(|end| end == "json") {
                tree.files.push(path);
            }
        }
        tree.folders.push(folder);
    }
    tree.files.sort();
    tree.folders.sort();
    Ok(tree)
}

pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// An I/O error in the words of a fault.
pub(super) fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "not found".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[&str]) {
        for name in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, *name).unwrap();
        }
    }

    fn names(files: &[PathBuf], folder: &Path) -> Vec<String> {
        let name = |file: &PathBuf| file.strip_prefix(folder).unwrap().display().to_string();
        files.iter().map(name).collect()
    }

    #[test]
    fn a_folder_gives_its_yaml_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let empty = configuration_files(path).unwrap_err().to_string();
        assert!(empty.contains("no *.yaml in it"), "{empty}");
        write(
            path,
            &[
                "b.yml",
                "a.yaml",
                ".a.yaml",
                "README.md",
                "sub/c.yaml",
                "d.yaml~",
            ],
        );
        assert_eq!(
            names(&configuration_files(path).unwrap(), path),
            ["a.yaml", "b.yml"]
        );
        assert_eq!(configuration_files(&path.join("a.yaml")).unwrap().len(), 1);
        let missing = configuration_files(&path.join("no.yaml"))
            .unwrap_err()
            .to_string();
        assert!(missing.ends_with("no.yaml: not found"), "{missing}");
    }

    #[test]
    fn a_named_file_is_found_beside_the_file_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &[
                "uv.lock",
                "osv/b/2.json",
                "osv/1.json",
                "osv/.git/x.json",
                "osv/readme",
            ],
        );
        let location = Location {
            file: folder
                .path()
                .join("policies.yaml")
                .display()
                .to_string()
                .into(),
            line: 3,
            column: 7,
        };
        let mut noted = Named::default();
        let mut files = NamedFiles::new(&mut noted);
        let mut open =
            |named, path: &str| Files::open(&mut files, named, &location, Path::new(path));
        assert_eq!(
            open(NamedKind::Whitelist, "uv.lock").unwrap()[0]
                .text
                .as_ref(),
            "uv.lock"
        );
        let advisories = open(NamedKind::Advisories, "osv").unwrap();
        let texts: Vec<_> = advisories.iter().map(|file| file.text.as_ref()).collect();
        assert_eq!(texts, ["osv/1.json", "osv/b/2.json"]);
        let fault = open(NamedKind::Whitelist, "no.lock")
            .unwrap_err()
            .to_string();
        assert!(fault.contains("policies.yaml:3:7: cannot read "), "{fault}");
        assert!(fault.ends_with("no.lock: not found"), "{fault}");
        assert!(
            open(NamedKind::Whitelist, "osv")
                .unwrap_err()
                .to_string()
                .ends_with("not a file")
        );
        fs::create_dir(folder.path().join("empty")).unwrap();
        let empty = open(NamedKind::Advisories, "empty").unwrap_err();
        assert!(empty.to_string().contains("empty: no *.json in it"));
        let watched: Vec<_> = noted.folders().into_keys().collect();
        assert_eq!(
            names(&watched, folder.path()),
            ["", "empty", "osv", "osv/b"]
        );
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, b"abc\xff").unwrap();
        assert_eq!(read_text(&path).unwrap_err(), "not UTF-8 at byte 3");
        fs::File::create(&path)
            .unwrap()
            .set_len(FILE_BYTES_MAX + 1)
            .unwrap();
        assert_eq!(read_text(&path).unwrap_err(), "larger than 64MiB");
        assert_eq!(read_text(Path::new("/dev/null")).unwrap_err(), "not a file");
    }
}
