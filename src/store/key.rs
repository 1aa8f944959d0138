//! What is kept: one enum that knows each thing's path and whether it may be evicted.

use std::path::PathBuf;

use crate::model::IndexName;
use crate::model::ProjectName;
use crate::model::Sha256;

/// Longest path segment made of a name. File systems take 255 bytes; a temporary suffix must fit too.
const SEGMENT_MAX: usize = 180;

/// The key of something kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A file that came from an upstream.
    MirrorFile(Sha256),
    /// The metadata of a wheel that an upstream lists, by the wheel's digest.
    MirrorMetadata(Sha256),
    /// A file that a stage holds.
    PrivateFile(Sha256),
    /// The metadata of a wheel that a stage holds, by the wheel's digest.
    PrivateMetadata(Sha256),
    /// The last good page of a project on a mirror.
    Page {
        /// The mirror.
        index: IndexName,
        /// The project.
        project: ProjectName,
    },
    /// What was learned of a project's files as they passed through.
    Learned {
        /// The mirror.
        index: IndexName,
        /// The project.
        project: ProjectName,
    },
    /// The last good project list of a mirror.
    ProjectList {
        /// The mirror.
        index: IndexName,
    },
    /// A project list as it is answered.
    RenderedList {
        /// The asked index.
        index: IndexName,
        /// Which form of it.
        variant: &'static str,
    },
}

impl Key {
    /// The path below the store's root: ASCII, lower case, without a name that a file system changes.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Self::MirrorFile(digest) => content("files", digest, ""),
            Self::MirrorMetadata(wheel) => content("files", wheel, ".metadata"),
            Self::PrivateFile(digest) => content("private", digest, ""),
            Self::PrivateMetadata(wheel) => content("private", wheel, ".metadata"),
            Self::Page { index, project } => page(index, project, "json"),
            Self::Learned { index, project } => page(index, project, "learned"),
            Self::ProjectList { index } => of_index("lists", index).join("projects.txt"),
            Self::RenderedList { index, variant } => of_index("lists", index).join(variant),
        }
    }

    /// The folders of everything that is kept of one index's pages and lists.
    pub(super) fn folders_of(index: &IndexName) -> [PathBuf; 2] {
        [of_index("pages", index), of_index("lists", index)]
    }

    /// Whether the bytes belong to people and must survive a power cut once answered for.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self {
            Self::PrivateFile(_) | Self::PrivateMetadata(_) => true,
            Self::MirrorFile(_)
            | Self::MirrorMetadata(_)
            | Self::Page { .. }
            | Self::Learned { .. }
            | Self::ProjectList { .. }
            | Self::RenderedList { .. } => false,
        }
    }

    /// Whether `cache.disk` counts it and may evict it: files of mirrors and their sidecars.
    #[must_use]
    pub fn is_evictable(&self) -> bool {
        match self {
            Self::MirrorFile(_) | Self::MirrorMetadata(_) => true,
            Self::PrivateFile(_)
            | Self::PrivateMetadata(_)
            | Self::Page { .. }
            | Self::Learned { .. }
            | Self::ProjectList { .. }
            | Self::RenderedList { .. } => false,
        }
    }
}

/// Folder of everything that `cache.disk` counts.
pub(super) const EVICTABLE_FOLDER: &str = "files";

fn content(folder: &str, digest: &Sha256, ending: &str) -> PathBuf {
    let hex = digest.to_hex();
    PathBuf::from(folder)
        .join(&hex[..2])
        .join(format!("{}{ending}", &hex[2..]))
}

fn of_index(folder: &str, index: &IndexName) -> PathBuf {
    PathBuf::from(folder)
        .join(segment(index.user()))
        .join(segment(index.index()))
}

fn page(index: &IndexName, project: &ProjectName, ending: &str) -> PathBuf {
    let name = segment(project.as_str());
    let spread = &Sha256::of(project.as_str().as_bytes()).to_hex()[..2];
    of_index("pages", index)
        .join(spread)
        .join(format!("{name}.{ending}"))
}

/// A name as one path segment. Whatever is not a lower-case letter, a digit, `-` or `_` is written
/// as `%` and two digits, so that names differing in case stay apart on any file system.
fn segment(name: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
    }
    if text.len() > SEGMENT_MAX {
        let digest = Sha256::of(name.as_bytes()).to_hex();
        text.truncate(SEGMENT_MAX - digest.len() - 1);
        text.push('~');
        text.push_str(&digest);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_plain() {
        let index = IndexName::parse("Me@x.org/Dév").unwrap();
        let project = ProjectName::parse("six").unwrap();
        let path = Key::Page { index, project }.path();
        assert!(
            path.starts_with("pages/%4de%40x%2eorg/%44%c3%a9v"),
            "{path:?}"
        );
        let digest = Sha256::of(b"");
        assert!(
            Key::MirrorMetadata(digest)
                .path()
                .to_str()
                .unwrap()
                .starts_with("files/e3/b0c4")
        );
    }

    #[test]
    fn what_differs_in_case_or_length_stays_apart() {
        assert_ne!(segment("Dev"), segment("dev"));
        let (long, longer) = ("é".repeat(100), "é".repeat(101));
        assert_ne!(segment(&long), segment(&longer));
        assert!(segment(&long).len() <= SEGMENT_MAX);
    }

    proptest! {
        #[test]
        fn a_segment_never_leaves_its_folder(name in "\\PC{1,80}") {
            let text = segment(&name);
            prop_assert!(!text.contains('/') && text != "." && text != ".." && !text.is_empty());
        }
    }
}
