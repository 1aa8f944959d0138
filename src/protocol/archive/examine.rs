//! Examines an uploaded file: is it what its name says, and does it belong to the release?
//!
//! A wheel has to be a zip with METADATA, since installers and the sidecar depend on it. For other kinds,
//! whatever can be read has to agree; what cannot is kept, as in devpi: placeholders and old archives are
//! uploaded as sdists, and an installer that builds one will find out.

use std::io;
use std::io::{Read, Seek};

use crate::model::{Filename, Kind, ProjectName};
use crate::protocol::archive::bounded::ArchiveBounds;
use crate::protocol::archive::fault::ArchiveFault;
use crate::protocol::archive::fields::CoreMetadataFields;
use crate::protocol::archive::metadata::metadata_of;

/// What a file says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// A wheel's METADATA: its sidecar (PEP 658).
    pub sidecar: Option<Vec<u8>>,
    /// `Requires-Python`, which counts more than the form's.
    pub requires_python: Option<String>,
}

/// Why a file is refused.
#[derive(Debug)]
pub enum Unfit {
    /// It is not what it should be; why, in words for its sender.
    Fault(String),
    /// Its directory or metadata exceeds the bounds; in words for its sender.
    Beyond(String),
    /// It could not be read back from our own disk.
    Unreadable(Unreadable),
}

/// A file could not be read back from our own disk.
#[derive(Debug, thiserror::Error)]
#[error("read {filename}")]
pub struct Unreadable {
    filename: Filename,
    source: io::Error,
}

impl Unfit {
    /// Whether it exceeds the bounds within which it was read.
    #[must_use]
    pub fn is_beyond(&self) -> bool {
        matches!(self, Self::Beyond(_))
    }
}

/// Reads the metadata inside, within bounds, and compares it with the release; blocking.
///
/// # Errors
/// As [`Unfit`] says.
pub fn examine<R: Read + Seek>(
    content: R,
    filename: &Filename,
    (project, version): (&ProjectName, &str),
    bounds: ArchiveBounds,
) -> Result<Examined, Unfit> {
    let is_wheel = filename.kind() == Kind::Wheel;
    let told = |fault: ArchiveFault| format!("{filename} {fault}");
    let metadata = match metadata_of(content, filename, bounds) {
        Ok(metadata) => metadata,
        Err(ArchiveFault::Io(source)) => {
            let filename = filename.clone();
            return Err(Unfit::Unreadable(Unreadable { filename, source }));
        }
        Err(fault @ (ArchiveFault::Directory(_) | ArchiveFault::Metadata(_))) => {
            return Err(Unfit::Beyond(told(fault)));
        }
        Err(ArchiveFault::NotAnArchive(_)) if !is_wheel => None,
        Err(
            fault @ (ArchiveFault::NotAnArchive(_)
            | ArchiveFault::NoMetadata(_)
            | ArchiveFault::TrailingBytes
            | ArchiveFault::LeadingBytes
            | ArchiveFault::Differing(_)
            | ArchiveFault::Unpacked(_)),
        ) => return Err(Unfit::Fault(told(fault))),
    };
    let Some(metadata) = metadata else {
        return Ok(Examined::default());
    };
    let read = CoreMetadataFields::parse(&metadata).and_then(|fields| {
        fields.agrees_with(project, version)?;
        Ok(fields)
    });
    let fields = read.map_err(|fault| Unfit::Fault(format!("'{filename}': {fault}")))?;
    let sidecar = is_wheel.then_some(metadata);
    Ok(Examined {
        sidecar,
        requires_python: fields.requires_python,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    fn zip(entries: &[(&str, &str)]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = zip::ZipWriter::new(&mut file);
        for (name, content) in entries {
            writer
                .start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        file
    }

    fn text(content: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    fn look(file: &File, name: &str) -> Result<Examined, String> {
        let project = ProjectName::parse("six").unwrap();
        let filename = Filename::parse(name, &project).unwrap();
        let bounds = ArchiveBounds::with_metadata(1 << 20);
        let examined = examine(file, &filename, (&project, "1.0"), bounds);
        examined.map_err(|unfit| match unfit {
            Unfit::Fault(words) | Unfit::Beyond(words) => words,
            Unfit::Unreadable(fault) => panic!("{fault}"),
        })
    }

    const WHEEL: &str = "six-1.0-py3-none-any.whl";

    #[test]
    fn a_wheel_gives_its_sidecar_and_its_own_requirement() {
        let metadata = "Metadata-Version: 2.1\nName: Six\nVersion: 1.0\nRequires-Python: >=3.8\n";
        let wheel = zip(&[("six-1.0.dist-info/METADATA", metadata)]);
        let examined = look(&wheel, WHEEL).unwrap();
        assert_eq!(examined.sidecar.as_deref(), Some(metadata.as_bytes()));
        assert_eq!(examined.requires_python.as_deref(), Some(">=3.8"));
    }

    #[test]
    fn what_is_not_the_wheel_it_says_is_refused() {
        let of = |name: &str, version: &str| {
            let metadata = format!("Name: {name}\nVersion: {version}\n");
            zip(&[("six-1.0.dist-info/METADATA", &metadata)])
        };
        let table = [
            (text("no zip"), "is not a readable zip archive"),
            (zip(&[("six.py", "")]), "holds 0 .dist-info/METADATA files"),
            (
                of("seven", "1.0"),
                "is of project \"seven\", not of \"six\"",
            ),
            (of("six", "1.1"), "is of version \"1.1\", not of \"1.0\""),
        ];
        for (wheel, expected) in table {
            let words = look(&wheel, WHEEL).unwrap_err();
            assert!(words.contains(expected), "{words}");
        }
    }

    #[test]
    fn an_sdist_may_be_unreadable_but_not_of_another_release() {
        assert_eq!(
            look(&text("placeholder"), "six-1.0.tar.gz"),
            Ok(Examined::default())
        );
        let sdist = zip(&[("six-1.0/PKG-INFO", "Name: seven\nVersion: 1.0\n")]);
        let words = look(&sdist, "six-1.0.zip").unwrap_err();
        assert!(words.contains("seven"), "{words}");
    }
}
