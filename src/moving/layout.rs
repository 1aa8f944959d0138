//! Where things are in an export, and whether a path stays inside it.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Everything except the contents of files; written last, so that it is there only once all else is.
pub const DATA_INDEX: &str = "dataindex.json";

/// Exists while an export is being written; an export that broke off keeps it.
pub const INCOMPLETE: &str = "export-incomplete";

/// The form that is written, and the newest that is read.
pub const DUMP_VERSION: u64 = 2;

/// The forms that are read.
pub const DUMP_VERSIONS: [u64; 2] = [1, DUMP_VERSION];

/// The file at a path below an export.
///
/// # Errors
/// In words: the path leads out, perhaps through a link, or there is no file.
pub fn file_below(root: &Path, relative: &str) -> Result<PathBuf, String> {
    let path = Path::new(relative);
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if relative.is_empty() || !is_plain {
        return Err("the path leads out of the export".to_owned());
    }
    let real = match root.join(path).canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err("the file is missing".to_owned());
        }
        Err(error) => return Err(format!("the file cannot be found: {error}")),
    };
    if !real.starts_with(root) {
        return Err("the path leads out of the export, through a link".to_owned());
    }
    if real.is_file() {
        Ok(real)
    } else {
        Err("it is not a file".to_owned())
    }
}

/// A text as one component of a path: what a file system would take for more is replaced.
pub fn part(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|character| match character {
            '/' | '\\' => '_',
            character if character.is_control() => '_',
            character => character,
        })
        .collect();
    if plain.is_empty() || plain.starts_with('.') {
        return format!("_{plain}");
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_inside_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("export");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/file"), "x").unwrap();
        std::fs::write(root.parent().unwrap().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("../../secret", root.join("a/link")).unwrap();
        std::os::unix::fs::symlink("b/file", root.join("a/inner")).unwrap();
        assert_eq!(file_below(&root, "a/b/file"), Ok(root.join("a/b/file")));
        assert_eq!(file_below(&root, "a/inner"), Ok(root.join("a/b/file")));
        for (path, words) in [
            ("", "leads out"),
            ("../secret", "leads out"),
            ("a/../../secret", "leads out"),
            ("a/b/../b/file", "leads out"),
            ("/etc/hostname", "leads out"),
            ("a/link", "through a link"),
            ("a/none", "is missing"),
            ("a/b", "not a file"),
        ] {
            let told = file_below(&root, path).unwrap_err();
            assert!(told.contains(words), "{path}: {told}");
        }
    }

    #[test]
    fn a_part_is_one_part() {
        for (text, expected) in [
            ("1.0", "1.0"),
            ("1/0", "1_0"),
            ("..", "_.."),
            ("", "_"),
            ("a\\b\n", "a_b_"),
        ] {
            assert_eq!(part(text), expected);
        }
    }
}
