//! A disk in trouble: full, or with errors, for the files that a test names and as long as it says.
//!
//! The program runs with a library loaded before the system's own (`disk_trouble.c`, compiled here
//! by the C compiler that SQLite needs anyway). The library reads its rules from a file at each
//! call, so a test can change them while the program runs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

const SOURCE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/support/disk_trouble.c"
);

/// The error of a failing disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskError {
    /// `ENOSPC`
    Full,
    /// `EIO`
    Broken,
}

/// Which calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Writing to a file, or changing its length.
    Write,
    /// Making written data durable.
    Sync,
    /// Creating or renaming files and folders.
    Make,
    /// Reading a file, except by `sendfile`.
    Read,
}

/// What goes wrong with files whose path contains a text.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    error: DiskError,
    calls: Calls,
    text: String,
    room: u64,
}

impl Rule {
    /// `text` may be any part of the path, such as `records.sqlite` or `/private/`, but without
    /// spaces.
    pub(crate) fn new(error: DiskError, calls: Calls, text: &str) -> Self {
        Self {
            error,
            calls,
            text: text.to_owned(),
            room: 0,
        }
    }

    /// Fails only after this many bytes, counted over all these files.
    pub(crate) fn after(mut self, bytes: u64) -> Self {
        self.room = bytes;
        self
    }
}

/// The disk under a program; sound until a test says otherwise.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// A disk on which nothing fails yet.
    pub(crate) fn sound() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// From now on exactly this goes wrong; the first rule that matches applies.
    pub(crate) fn suffers(&self, rules: &[Rule]) {
        let mut text = String::new();
        for rule in rules {
            let error = match rule.error {
                DiskError::Full => "ENOSPC",
                DiskError::Broken => "EIO",
            };
            let calls = match rule.calls {
                Calls::Write => "write",
                Calls::Sync => "sync",
                Calls::Make => "make",
                Calls::Read => "read",
            };
            writeln!(text, "{error} {calls} {} {}", rule.text, rule.room).unwrap();
        }
        let draft = self.folder.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.rules()).unwrap();
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heals(&self) {
        self.suffers(&[]);
    }

    /// The environment of a program on this disk.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("LD_PRELOAD", library().display().to_string()),
            ("DISK_TROUBLE", self.rules().display().to_string()),
        ]
    }

    fn rules(&self) -> PathBuf {
        self.folder.path().join("rules")
    }
}

/// The compiled library, built once per test run.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let draft = folder.join(format!("disk-trouble-{}.so", std::process::id()));
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]);
        let output = compile.arg("-o").arg(&draft).arg(SOURCE).output();
        let output = output.unwrap_or_else(|error| panic!("cc: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cc:\n{said}");
        // Another test run may be loading it right now, so it is replaced atomically.
        let library = folder.join("disk-trouble.so");
        fs::rename(draft, &library).unwrap();
        library
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::python;

    /// What a small program observes on a disk: the error number, or `fine`.
    fn said(disk: &Disk, lines: &str) -> String {
        let script = format!(
            "import os\ntry:\n {}\n print('fine')\nexcept OSError as error:\n print(error.errno)",
            lines.replace('\n', "\n ")
        );
        let mut python = Command::new(python());
        python.args(["-c", &script]).envs(disk.environment());
        let output = python.current_dir(disk.folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    const WRITE: &str =
        "file = os.open('kept', os.O_CREAT | os.O_WRONLY)\nos.write(file, b'12345')";

    #[test]
    fn what_a_test_names_fails_and_heals() {
        let disk = Disk::sound();
        let sync = format!("{WRITE}\nos.fsync(file)");
        let rename = "os.rename('kept', 'moved'); os.rename('moved', 'kept')";
        let read = "os.read(os.open('kept', os.O_RDONLY), 1)";
        // Which calls fail, what is attempted, and what the program observes.
        let table = [
            (DiskError::Full, Calls::Write, "kept", WRITE, "28"),
            (DiskError::Broken, Calls::Write, "kept", WRITE, "5"),
            (DiskError::Full, Calls::Write, "other", WRITE, "fine"),
            (DiskError::Full, Calls::Sync, "kept", WRITE, "fine"),
            (DiskError::Broken, Calls::Sync, "kept", &sync, "5"),
            (DiskError::Full, Calls::Make, "kept", WRITE, "28"),
            (DiskError::Full, Calls::Make, "moved", rename, "28"),
            (DiskError::Broken, Calls::Read, "kept", read, "5"),
        ];
        for (error, calls, text, tried, expected) in table {
            assert_eq!(said(&disk, WRITE), "fine", "before {calls:?} {text}");
            disk.suffers(&[Rule::new(error, calls, text)]);
            assert_eq!(said(&disk, tried), expected, "{error:?} {calls:?} {text}");
            disk.heals();
            assert_eq!(said(&disk, tried), "fine", "healed {calls:?} {text}");
        }
    }

    #[test]
    fn a_disk_takes_what_it_has_room_for() {
        let disk = Disk::sound();
        let room = Rule::new(DiskError::Full, Calls::Write, "kept").after(8);
        disk.suffers(&[room]);
        // Each program has its own library and so its own count.
        let three = format!("{WRITE}\nassert os.write(file, b'67890') == 3");
        assert_eq!(said(&disk, &three), "fine");
        assert_eq!(said(&disk, &format!("{three}\nos.write(file, b'x')")), "28");
    }
}
