//! Files: the configuration's own, and those that its keys name.
//!
//! Everything is read whole and bounded: a path that leads to a device or a database by mistake is a
//! fault, not a full memory.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::model::Fault;
use crate::model::Location;
use crate::model::format_bytes;
use crate::policy::TextFile;
use crate::policy::read::{Files, Named};

/// Largest file of configuration, lock file or advisory, in bytes: 100,000 pinned projects take half.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Most bytes of all advisories together: the whole OSV export for Python takes a fifth.
const ADVISORY_BYTES_MAX: usize = 512 << 20;

/// Most entries of a folder of advisories, all levels together.
const ADVISORY_ENTRIES_MAX: usize = 500_000;

/// Deepest folder below the named one.
const ADVISORY_DEPTH_MAX: usize = 8;

/// Most files of configuration in one folder.
const CONFIGURATION_FILES_MAX: usize = 1000;

/// A path that a file names: absolute, or beside that file.
pub(super) fn beside(location: &Location, path: &Path) -> PathBuf {
    match Path::new(location.file.as_ref()).parent() {
        Some(folder) => folder.join(path),
        None => path.to_owned(),
    }
}

/// The text of a file.
///
/// # Errors
/// Why it has none, to stand after the path.
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

/// The files of configuration at a path: itself, or the `*.yaml` and `*.yml` of a folder, sorted.
///
/// # Errors
/// Why there are none.
pub(super) fn configuration_files(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    let cannot = |why: &str| Fault::nowhere(format!("cannot read {}: {why}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| cannot(&plain(&error)))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| cannot(&plain(&error)))? {
        let file = entry.map_err(|error| cannot(&plain(&error)))?.path();
        let is_yaml = file
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml");
        // Kubernetes mounts `..data` beside the files, editors leave `.name.swp`.
        if is_yaml && !is_hidden(&file) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(cannot("no *.yaml in it").hint("name a file, or a folder of them"));
    }
    if files.len() > CONFIGURATION_FILES_MAX {
        return Err(cannot(&format!(
            "more than {CONFIGURATION_FILES_MAX} files"
        )));
    }
    files.sort();
    Ok(files)
}

/// The files that keys name, read from disk; remembers which, so that changes can be watched for.
#[derive(Debug, Default)]
pub(super) struct NamedFiles {
    pub(super) watched: Vec<PathBuf>,
    advisory_bytes: usize,
}

impl Files for NamedFiles {
    fn open(
        &mut self,
        named: Named,
        location: &Location,
        path: &Path,
    ) -> Result<Vec<TextFile>, Fault> {
        let path = beside(location, path);
        self.watched.push(path.clone());
        let read = |path: PathBuf| match read_text(&path) {
            Ok(text) => Ok(TextFile {
                location: location.clone(),
                path,
                text: text.into(),
            }),
            Err(why) => Err(Fault::at(
                location,
                format!("cannot read {}: {why}", path.display()),
            )),
        };
        match named {
            Named::Whitelist => read(path).map(|file| vec![file]),
            Named::Advisories => {
                let mut files = Vec::new();
                for path in advisory_files(&path, location)? {
                    let file = read(path)?;
                    self.advisory_bytes += file.text.len();
                    if self.advisory_bytes > ADVISORY_BYTES_MAX {
                        let size = format_bytes(ADVISORY_BYTES_MAX as u64);
                        let what = format!("the advisories take more than {size} together");
                        return Err(Fault::at(location, what).hint("name a smaller folder"));
                    }
                    files.push(file);
                }
                Ok(files)
            }
        }
    }
}

/// A file, or every `*.json` below a folder, sorted.
fn advisory_files(path: &Path, location: &Location) -> Result<Vec<PathBuf>, Fault> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![(path.to_owned(), 0)];
    let mut entries = 0;
    while let Some((folder, depth)) = folders.pop() {
        let cannot =
            |why: String| Fault::at(location, format!("cannot read {}: {why}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(|error| cannot(plain(&error)))? {
            let entry = entry.map_err(|error| cannot(plain(&error)))?;
            entries += 1;
            if entries > ADVISORY_ENTRIES_MAX {
                return Err(cannot(format!("more than {ADVISORY_ENTRIES_MAX} files")));
            }
            let (path, kind) = (entry.path(), entry.file_type());
            // Links to folders are not followed, so that the walk ends.
            let is_folder = kind.is_ok_and(|kind| kind.is_dir());
            if is_hidden(&path) {
                continue;
            } else if is_folder && depth < ADVISORY_DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if !is_folder && path.extension().is_some_and(|end| end == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// An I/O error in the words of a fault.
fn plain(error: &std::io::Error) -> String {
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
        let mut files = NamedFiles::default();
        let mut open = |named, path: &str| files.open(named, &location, Path::new(path));
        assert_eq!(
            open(Named::Whitelist, "uv.lock").unwrap()[0].text.as_ref(),
            "uv.lock"
        );
        let advisories = open(Named::Advisories, "osv").unwrap();
        let texts: Vec<_> = advisories.iter().map(|file| file.text.as_ref()).collect();
        assert_eq!(texts, ["osv/1.json", "osv/b/2.json"]);
        let fault = open(Named::Whitelist, "no.lock").unwrap_err().to_string();
        assert!(fault.contains("policies.yaml:3:7: cannot read "), "{fault}");
        assert!(fault.ends_with("no.lock: not found"), "{fault}");
        assert!(
            open(Named::Whitelist, "osv")
                .unwrap_err()
                .to_string()
                .ends_with("not a file")
        );
        assert_eq!(
            names(&files.watched, folder.path())[..2],
            ["uv.lock", "osv"]
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
