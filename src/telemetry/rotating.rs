//! A file of lines that is exchanged for a new one when it is full; so many full ones are kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// When a file is full and how many full ones are kept.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Bytes after which a new file is begun.
    pub size_max: u64,
    /// Full files kept: `audit.jsonl.1` is the youngest.
    pub kept: u32,
}

/// The file that is written to, and those before it.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    rotation: Rotation,
}

impl Rotating {
    /// Opens or continues the file.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: append_to(path)?,
            rotation,
        })
    }

    /// Writes one line through to the system.
    pub(super) fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        // Asked of the file, not counted: during an upgrade two processes append to it.
        let length = self.file.metadata()?.len();
        if length > 0 && length + line.len() as u64 > self.rotation.size_max {
            self.rotate()?;
        }
        self.file.write_all(&line)
    }

    /// Has the disk keep what was written.
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
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
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
