//! The end of a file of lines after a power cut: part of a line, or zeros that were never written.
//!
//! Appending to such a file would attach the first line to that part, and neither could be read.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// How much is read at a time, from the end.
const READ_BYTES: u64 = 64 << 10;

/// Removes whatever follows the last complete line, and marks the file as being written. While another
/// process writes to it, which may happen during an upgrade, its lines are complete or on their way, and
/// nothing is removed.
pub(super) fn mend(file: &File, path: &Path) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => cut_back(file, path)?,
        Err(TryLockError::WouldBlock) => {}
        // No locks on this system: a second process is refused by other means.
        Err(TryLockError::Error(_)) => return cut_back(file, path),
    }
    match file.try_lock_shared() {
        // Another process is repairing it at this moment.
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn cut_back(file: &File, path: &Path) -> io::Result<()> {
    let length = file.metadata()?.len();
    // Read through another handle: this one may only append.
    let whole = whole_lines(&File::open(path)?, length)?;
    if whole < length {
        let (path, bytes) = (path.display(), length - whole);
        tracing::warn!(%path, bytes, "the last line was torn, as by a power cut: it is cut off");
        file.set_len(whole)?;
        file.sync_data()?;
    }
    Ok(())
}

/// The length of all complete lines.
fn whole_lines(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(READ_BYTES);
        let mut piece = vec![0; usize::try_from(end - start).unwrap_or_default()];
        file.read_exact_at(&mut piece, start)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(content: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, content).unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        mend(&file, &path).unwrap();
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn what_stands_behind_the_last_whole_line_is_cut_off() {
        let long = [b"1\n".as_slice(), &[b'x'; 200_000]].concat();
        for (content, expected) in [
            (b"".as_slice(), b"".as_slice()),
            (b"1\n2\n", b"1\n2\n"),
            (b"1\n2", b"1\n"),
            (b"1\n2\n\0\0\0", b"1\n2\n"),
            (b"1", b""),
            (&long, b"1\n"),
        ] {
            assert_eq!(mended(content), expected, "{content:?}");
        }
    }

    #[test]
    fn a_line_that_another_process_is_writing_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let open = || {
            let mut options = File::options();
            options.create(true).append(true).open(&path).unwrap()
        };
        let first = open();
        mend(&first, &path).unwrap();
        std::fs::write(&path, b"1\nhal").unwrap();
        let second = open();
        mend(&second, &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1\nhal");
        drop((first, second));
        mend(&open(), &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n");
    }
}
