//! Files that keys name, opened on behalf of the code that reads the keys.

use std::path::{Path, PathBuf};

use crate::advisory::{Advisories, Collector, Place};
use crate::language::document::{Placed, TextFile};
use crate::language::read::fields::Notes;
use crate::model::{Fault, Location};

/// For what purpose a key names a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedKind {
    /// `whitelist_files`: lock files and requirements.
    Whitelist,
    /// `advisories`: OSV files, or folders of them.
    Advisories,
}

/// Reads the files that keys name. `config` does it with real files, a test with texts.
pub trait Files {
    /// The file at `path`, or all files of the folder there; relative to the file of `location`.
    ///
    /// # Errors
    /// Why it cannot be read, at `location`.
    fn open(
        &mut self,
        named: NamedKind,
        location: &Location,
        path: &Path,
    ) -> Result<Vec<TextFile>, Fault>;

    /// What the OSV file at `path` says, or all of those below the folder there.
    ///
    /// # Errors
    /// Why one cannot be read, at `location`.
    fn advisories(&mut self, location: &Location, path: &Path) -> Result<Advisories, Fault> {
        let mut collector = Collector::default();
        for file in self.open(NamedKind::Advisories, location, path)? {
            read_osv(&file, &mut collector)?;
        }
        Ok(collector.finish())
    }
}

/// Adds what an OSV file says.
///
/// # Errors
/// It is no such file.
pub fn read_osv(file: &TextFile, into: &mut Collector) -> Result<(), Fault> {
    let place = Place {
        file: into.begin(&file.path),
        ..Place::default()
    };
    into.read(&file.text, place).map_err(|error| {
        let path = file.path.display();
        Fault::at(
            &file.location,
            format!("{path} is not an OSV file: {error}"),
        )
    })
}

/// Everything that the paths lead to.
pub fn open_all(
    paths: &[Placed<PathBuf>],
    named: NamedKind,
    files: &mut dyn Files,
    notes: &mut Notes,
) -> Vec<TextFile> {
    let mut opened = Vec::new();
    for path in paths {
        match files.open(named, &path.location, &path.value) {
            Ok(texts) => opened.extend(texts),
            Err(fault) => notes.note(fault),
        }
    }
    opened
}
