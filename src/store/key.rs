//! What is kept: one enum that knows each thing's path and whether it may be evicted.

use std::path::{Path, PathBuf};

use crate::model::{IndexName, ProjectName, Sha256};

/// Longest path segment made of a name. File systems take 255 bytes; a temporary suffix must fit too.
const SEGMENT_MAX: usize = 180;

/// The key of something kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A file that came from an upstream.
    MirrorFile(Sha256),
    /// The metadata of a wheel according to one mirror, by a digest of the wheel's digest and the
    /// mirror's name.
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
    /// What was learned about a project's files as they passed through.
    Learned {
        /// The mirror.
        index: IndexName,
        /// The project.
        project: ProjectName,
    },
    /// What a release of a mirror's project says about itself, as far as it is searched.
    Described {
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
    /// A project list as it is served.
    RenderedList {
        /// The asked index.
        index: IndexName,
        /// Which form of it.
        variant: &'static str,
    },
    /// Which records were last seen with the files of stages: it stands next to them and goes where
    /// they go.
    RecordsSeen,
    /// Why no file of a stage is collected, for as long as it exists.
    Quarantine,
}

impl Key {
    /// The key of the last good page of a project.
    #[must_use]
    pub fn page(index: &IndexName, project: &ProjectName) -> Self {
        let (index, project) = (index.clone(), project.clone());
        Self::Page { index, project }
    }

    /// The key of what was learned about a project's files.
    #[must_use]
    pub fn learned(index: &IndexName, project: &ProjectName) -> Self {
        let (index, project) = (index.clone(), project.clone());
        Self::Learned { index, project }
    }

    /// The key of what a release of a project says about itself.
    #[must_use]
    pub fn described(index: &IndexName, project: &ProjectName) -> Self {
        let (index, project) = (index.clone(), project.clone());
        Self::Described { index, project }
    }

    /// The path below the store's root: ASCII, lower case, without names that a file system might change.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Self::MirrorFile(digest) => content_path(EVICTABLE_FOLDER, digest, ""),
            Self::MirrorMetadata(wheel) => content_path(EVICTABLE_FOLDER, wheel, METADATA_ENDING),
            Self::PrivateFile(digest) => content_path(PRIVATE_FOLDER, digest, ""),
            Self::PrivateMetadata(wheel) => content_path(PRIVATE_FOLDER, wheel, METADATA_ENDING),
            Self::Page { index, project } => page_path(index, project, "json"),
            Self::Learned { index, project } => page_path(index, project, "learned"),
            Self::Described { index, project } => page_path(index, project, "about"),
            Self::ProjectList { index } => of_index(LISTS_FOLDER, index).join("projects.txt"),
            Self::RenderedList { index, variant } => of_index(LISTS_FOLDER, index).join(variant),
            Self::RecordsSeen => Path::new(PRIVATE_FOLDER).join("records.json"),
            Self::Quarantine => PathBuf::from("quarantine.json"),
        }
    }

    /// The folders that hold one index's pages and lists.
    pub(super) fn folders_of(index: &IndexName) -> [PathBuf; 2] {
        [of_index(PAGES_FOLDER, index), of_index(LISTS_FOLDER, index)]
    }

    /// The digest under which content is kept, and whether it is the content's own.
    fn content(&self) -> Option<(Sha256, bool)> {
        match *self {
            Self::MirrorFile(digest) | Self::PrivateFile(digest) => Some((digest, true)),
            Self::MirrorMetadata(digest) | Self::PrivateMetadata(digest) => Some((digest, false)),
            Self::Page { .. }
            | Self::Learned { .. }
            | Self::Described { .. }
            | Self::ProjectList { .. }
            | Self::RenderedList { .. }
            | Self::RecordsSeen
            | Self::Quarantine => None,
        }
    }

    /// Whether the bytes were uploaded and must survive a power cut once that was acknowledged.
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(
            self,
            Self::PrivateFile(_) | Self::PrivateMetadata(_) | Self::Quarantine
        )
    }

    /// Whether `cache.disk` counts it and may evict it: files of mirrors and their sidecars.
    #[must_use]
    pub fn is_evictable(&self) -> bool {
        matches!(self, Self::MirrorFile(_) | Self::MirrorMetadata(_))
    }

    /// Whether it has to be on the disk before it gets its name. What a power cut makes of anything else
    /// is noticed by its seal or its form, and it is obtained again.
    pub(super) fn is_synced(&self) -> bool {
        self.is_private() || matches!(self, Self::MirrorFile(_))
    }

    /// The digest that the kept bytes must have; `None` if the key does not say.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256> {
        let (digest, is_own) = self.content()?;
        is_own.then_some(digest)
    }

    /// The digest under which content is kept, for a stage's sidecar that of its wheel; `None` for
    /// anything else.
    #[must_use]
    pub fn kept_under(&self) -> Option<Sha256> {
        self.content().map(|(digest, _)| digest)
    }

    /// The key of content at a path below the root; `None` for any other path.
    pub(super) fn of_content(path: &Path) -> Option<Self> {
        let mut parts = path.iter().map(|part| part.to_str());
        let (folder, spread, name) = (parts.next()??, parts.next()??, parts.next()??);
        let (rest, is_metadata) = match name.strip_suffix(METADATA_ENDING) {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        let digest = Sha256::parse(&format!("{spread}{rest}")).ok()?;
        let key = match (folder, is_metadata) {
            (EVICTABLE_FOLDER, false) => Self::MirrorFile(digest),
            (EVICTABLE_FOLDER, true) => Self::MirrorMetadata(digest),
            (PRIVATE_FOLDER, false) => Self::PrivateFile(digest),
            (PRIVATE_FOLDER, true) => Self::PrivateMetadata(digest),
            _ => return None,
        };
        // One spelling only: no upper case, no other distribution over folders, nothing below.
        (key.path() == path).then_some(key)
    }
}

/// Folder of everything that `cache.disk` counts.
pub(super) const EVICTABLE_FOLDER: &str = "files";

/// Folder of what stages hold.
pub(super) const PRIVATE_FOLDER: &str = "private";

/// Folder of copies of mirrors' project pages, and of what was learned about their files.
pub(super) const PAGES_FOLDER: &str = "pages";

/// Folder of project lists.
pub(super) const LISTS_FOLDER: &str = "lists";

/// What follows the wheel's digest in a sidecar's name.
const METADATA_ENDING: &str = ".metadata";

fn content_path(folder: &str, digest: &Sha256, ending: &str) -> PathBuf {
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

fn page_path(index: &IndexName, project: &ProjectName, ending: &str) -> PathBuf {
    let name = segment(project.as_str());
    let spread = &Sha256::of(project.as_str().as_bytes()).to_hex()[..2];
    of_index(PAGES_FOLDER, index)
        .join(spread)
        .join(format!("{name}.{ending}"))
}

/// A name as one path segment. Anything except a lower-case letter, a digit, `-` or `_` is written as
/// `%` and two digits, so that names that differ in case stay apart on any file system.
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
    fn what_cannot_be_told_from_what_a_power_cut_left_is_synced() {
        let digest = Sha256::of(b"");
        let table = [
            (Key::MirrorFile(digest), true),
            (Key::PrivateFile(digest), true),
            (Key::PrivateMetadata(digest), true),
            (Key::Quarantine, true),
            // It has a seal.
            (Key::MirrorMetadata(digest), false),
        ];
        for (key, is_synced) in table {
            assert_eq!(key.is_synced(), is_synced, "{key:?}");
        }
    }

    #[test]
    fn what_differs_in_case_or_length_stays_apart() {
        assert_ne!(segment("Dev"), segment("dev"));
        let (long, longer) = ("é".repeat(100), "é".repeat(101));
        assert_ne!(segment(&long), segment(&longer));
        assert!(segment(&long).len() <= SEGMENT_MAX);
    }

    #[test]
    fn content_is_recognised_by_its_path_and_nothing_else_is() {
        let digest = Sha256::of(b"");
        let keys = [
            Key::MirrorFile(digest),
            Key::MirrorMetadata(digest),
            Key::PrivateFile(digest),
            Key::PrivateMetadata(digest),
        ];
        for key in keys {
            assert_eq!(Key::of_content(&key.path()), Some(key));
        }
        let hex = digest.to_hex();
        let odd = [
            "files".to_owned(),
            format!("files/{hex}"),
            format!("pages/{}/{}", &hex[..2], &hex[2..]),
            format!("files/{}/{}", &hex[..4], &hex[4..]),
            format!("files/{}/{}", &hex[..2], hex[2..].to_uppercase()),
            format!("files/{}/{}/below", &hex[..2], &hex[2..]),
            format!("files/{}/{}.part", &hex[..2], &hex[2..]),
        ];
        for path in odd {
            assert_eq!(Key::of_content(Path::new(&path)), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_segment_never_leaves_its_folder(name in "\\PC{1,80}") {
            let text = segment(&name);
            prop_assert!(!text.contains('/') && text != "." && text != ".." && !text.is_empty());
        }
    }
}
