//! A file of lines that is replaced by a new one when it is full; a number of full ones are kept.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::telemetry::torn::mend;

/// When a file is full and how many full ones are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    /// Bytes after which a new file is started.
    pub(super) size_max: u64,
    /// Full files kept: `audit.jsonl.1` is the newest.
    pub(super) kept: u32,
}

/// The current file, and those before it.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    rotation: Rotation,
}

impl Rotating {
    /// Opens or continues the file, after its last complete line.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let file = append_to(path)?;
        mend(&file, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            rotation,
        })
    }

    /// Writes one line through to the system.
    pub(super) fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        // Asked of the file, not counted: during an upgrade two processes append to it.
        let mut length = self.file.metadata()?.len();
        if length > 0 && length + line.len() as u64 > self.rotation.size_max {
            self.rotate()?;
            length = 0;
        }
        append(&mut self.file, length, &line)
    }

    /// Syncs what was written to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.rotation.kept).rev() {
            let older = self.numbered(number + 1);
            match std::fs::rename(self.numbered(number), older) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        std::fs::rename(&self.path, self.numbered(1))?;
        self.file = append_to(&self.path)?;
        mend(&self.file, &self.path)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Appends a whole line to a file of this length, or nothing: a full disk takes only what fits.
fn append(mut file: impl Append, length: u64, line: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < line.len() {
        match file.write(&line[written..]) {
            Ok(0) => {
                let error = io::ErrorKind::WriteZero.into();
                return Err(take_back(&file, length, written, error));
            }
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(take_back(&file, length, written, error)),
        }
    }
    Ok(())
}

/// Removes the part of a line that was written. It has to stay if another process has written after it,
/// which may happen during an upgrade.
fn take_back(file: &impl Append, length: u64, written: usize, error: io::Error) -> io::Error {
    let end = length + written as u64;
    if written > 0 && file.length().is_ok_and(|now| now == end) {
        // If that fails it stays; the first error is the one to report.
        let _ = file.cut(length);
    }
    error
}

/// A file that lines are appended to.
trait Append: Write {
    fn length(&self) -> io::Result<u64>;
    fn cut(&self, length: u64) -> io::Result<()>;
}

impl Append for &mut File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Readable by the operator only: events name clients and users.
fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for `room` bytes.
    struct Nearly {
        file: File,
        room: usize,
    }

    impl Write for &mut Nearly {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = self.file.write(&bytes[..bytes.len().min(self.room)])?;
            self.room -= written;
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Append for &mut Nearly {
        fn length(&self) -> io::Result<u64> {
            Ok(self.file.metadata()?.len())
        }

        fn cut(&self, length: u64) -> io::Result<()> {
            self.file.set_len(length)
        }
    }

    #[test]
    fn a_line_on_a_full_disk_is_whole_or_absent() {
        for room in 0..12 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("lines");
            let file = append_to(&path).unwrap();
            let mut disk = Nearly { file, room };
            for line in [b"12345\n", b"67890\n"] {
                let length = disk.file.metadata().unwrap().len();
                let _ = append(&mut disk, length, line);
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(["", "12345\n"].contains(&text.as_str()), "{room}: {text:?}");
        }
    }

    fn numbers(path: &Path) -> Vec<u64> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn full_files_move_on_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let rotation = Rotation {
            size_max: 4,
            kept: 2,
        };
        let mut file = Rotating::open(&path, rotation).unwrap();
        for number in 0..9_u64 {
            file.write(&number).unwrap();
        }
        assert_eq!(numbers(&path), [8]);
        assert_eq!(numbers(&folder.path().join("audit.jsonl.1")), [6, 7]);
        assert_eq!(numbers(&folder.path().join("audit.jsonl.2")), [4, 5]);
        assert!(!folder.path().join("audit.jsonl.3").exists());
    }
}
