//! A folder that holds secrets belongs to its owner alone.
//!
//! One that is found open is closed, without looking at every file: nobody can reach a file below a
//! closed folder, and a cache may hold hundreds of thousands.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::store::hold::FOLDER;

/// What only the owner may do.
const OTHERS: u32 = 0o077;

/// Entries of one folder that are looked at: it has a dozen.
const ENTRIES_MAX: usize = 1000;

/// Closes a folder to everybody except its owner, and what is in it: one level deep, and the locks.
/// Returns in words what was open.
///
/// # Errors
/// When it cannot be read.
pub fn close_to_others(folder: &Path) -> io::Result<Vec<String>> {
    let mut words = Vec::new();
    words.extend(close_one(folder)?);
    let mut opened = close_entries(folder)?;
    let locks = folder.join(FOLDER);
    if locks.is_dir() && !close_entries(&locks)?.is_empty() {
        opened.push(format!("{FOLDER}/*"));
    }
    if !opened.is_empty() {
        opened.sort();
        let (names, place) = (opened.join(", "), folder.display());
        words.push(format!(
            "others could read in {place}: {names}; now only the owner can"
        ));
    }
    Ok(words)
}

/// The names of what was open in a folder.
fn close_entries(folder: &Path) -> io::Result<Vec<String>> {
    let mut opened = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let kind = entry.file_type()?;
        // A socket is a door with its own mode; a link leads to something that is not ours to change.
        if !kind.is_file() && !kind.is_dir() {
            continue;
        }
        match close_one(&entry.path()) {
            Ok(Some(_)) => opened.push(entry.file_name().to_string_lossy().into_owned()),
            // Already gone: a server may be running here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(None) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(opened)
}

/// Removes others' permissions on one file or folder; returns what they were, if there were any.
fn close_one(path: &Path) -> io::Result<Option<String>> {
    // The folder itself may be behind a link; what lies in it is never followed.
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    let place = path.display();
    let closed = mode & !OTHERS;
    Ok(Some(
        match std::fs::set_permissions(path, Permissions::from_mode(closed)) {
            Ok(()) => format!("{place} was open to others ({mode:04o}); it is {closed:04o} now"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(error) => format!(
                "{place} is open to others ({mode:04o}) and cannot be closed: {error}; \
                 give it to the user that runs this, or chmod it to {closed:04o}"
            ),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn put(path: &Path, mode: u32) {
        std::fs::write(path, "x").unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_was_open_is_closed_and_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("private/ab")).unwrap();
        for below in ["", "private", "private/ab"] {
            let path = data.join(below);
            std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        put(&data.join("records.sqlite"), 0o644);
        put(&data.join("records.sqlite-wal"), 0o660);
        put(&data.join("lock"), 0o600);
        put(&data.join("private/ab/wheel"), 0o644);
        std::fs::create_dir(data.join("holds")).unwrap();
        std::fs::set_permissions(data.join("holds"), Permissions::from_mode(0o700)).unwrap();
        put(&data.join("holds/00"), 0o644);
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), data.join("link")).unwrap();
        let told = close_to_others(&data).unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].ends_with("data was open to others (0755); it is 0700 now"));
        assert!(
            told[1].contains("holds/*, private, records.sqlite, records.sqlite-wal;"),
            "{told:?}"
        );
        for (path, expected) in [
            ("", 0o700),
            ("private", 0o700),
            ("records.sqlite", 0o600),
            ("records.sqlite-wal", 0o600),
            ("lock", 0o600),
            ("holds/00", 0o600),
        ] {
            assert_eq!(mode(&data.join(path)), expected, "{path}");
        }
        let link = folder.path().join("by-link");
        std::os::unix::fs::symlink(&data, &link).unwrap();
        assert_eq!(
            close_to_others(&link).unwrap(),
            [""; 0],
            "a link has no mode of its own"
        );
        // Nobody can get there any more, and a start does not take longer with what is below.
        assert_eq!(mode(&data.join("private/ab")), 0o755);
        assert_eq!(close_to_others(&data).unwrap(), [""; 0]);
    }
}
