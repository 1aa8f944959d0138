//! File names of wheels, sdists, eggs and older archives.
//!
//! A name is parsed *for a project*: `python-dateutil-2.8.tar.gz` shows where the version starts only
//! together with `python-dateutil`. A file route has no project in its path, so [`Filename::projects`]
//! lists which ones a name could belong to, likeliest first; every name that [`Filename::parse`] accepts
//! for a project has that project in its list.

use std::fmt;
use std::sync::Arc;

use crate::model::project::ProjectName;
use crate::model::version::Version;

/// Longest file name, in bytes: what file systems accept for one path segment.
const LENGTH_MAX: usize = 255;

/// Most projects that one file name is tried for.
const PROJECTS_MAX: usize = 12;

/// Most names that one file name is split into; wheels for many platforms have about twenty parts.
const NAMES_MAX: usize = 64;

/// Parts of a wheel's name after the project's, without a build number: version and tags.
const WHEEL_PARTS: usize = 4;

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `.whl` (PEP 427).
    Wheel,
    /// `.tar.gz`, `.zip` and the older source archives.
    Sdist,
    /// `.egg`.
    Egg,
    /// Obsolete installers and system packages: `.exe`, `.msi`, `.rpm`, `.deb`, `.dmg`.
    Other,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Wheel, Self::Sdist, Self::Egg, Self::Other];

    /// The word for it in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wheel => "wheel",
            Self::Sdist => "sdist",
            Self::Egg => "egg",
            Self::Other => "other",
        }
    }
}

/// Endings and what they mean; longer ones first.
const ENDINGS: [(&str, Kind); 20] = [
    (".whl", Kind::Wheel),
    (".tar.gz", Kind::Sdist),
    (".tar.bz2", Kind::Sdist),
    (".tar.xz", Kind::Sdist),
    (".tar.lzma", Kind::Sdist),
    (".tar.lz", Kind::Sdist),
    (".tar.Z", Kind::Sdist),
    (".doc.zip", Kind::Other),
    (".zip", Kind::Sdist),
    (".tgz", Kind::Sdist),
    (".tbz", Kind::Sdist),
    (".txz", Kind::Sdist),
    (".tlz", Kind::Sdist),
    (".tar", Kind::Sdist),
    (".egg", Kind::Egg),
    (".exe", Kind::Other),
    (".msi", Kind::Other),
    (".rpm", Kind::Other),
    (".deb", Kind::Other),
    (".dmg", Kind::Other),
];

/// A file name that belongs to a project.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filename {
    raw: Arc<str>,
    project: ProjectName,
    version: Arc<str>,
    kind: Kind,
}

/// The text is not a file name of this project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilename {
    /// Empty, too long, or with a slash, a backslash, a control character or a leading dot.
    #[error("{0:?} is not a file name")]
    Unsafe(String),
    /// No known ending.
    #[error("{0:?} does not end like a wheel, an sdist or another known archive")]
    Ending(String),
    /// The name does not start with the project's, or has no version after it.
    #[error("{filename:?} does not name a file of {project}")]
    Project {
        /// The file name.
        filename: String,
        /// The project it was parsed for.
        project: ProjectName,
    },
}

impl Filename {
    /// Parses a file name for a project.
    ///
    /// # Errors
    /// See [`InvalidFilename`].
    pub fn parse(raw: &str, project: &ProjectName) -> Result<Self, InvalidFilename> {
        let (stem, kind) = split_ending(raw)?;
        let mut cuts = cuts(stem, kind).filter(|(name, _)| is_name_of(name, project));
        let version = cuts.find_map(|(_, rest)| {
            let version = version_of(rest, kind)?;
            (!version.is_empty()).then_some(version)
        });
        let is_whole = kind != Kind::Wheel || WheelTags::parse(stem).is_some();
        let Some(version) = version.filter(|_| is_whole) else {
            return Err(InvalidFilename::Project {
                filename: raw.to_owned(),
                project: project.clone(),
            });
        };
        Ok(Self {
            raw: raw.into(),
            project: project.clone(),
            version: version.into(),
            kind,
        })
    }

    /// The plainest name that a file of this version and kind can have.
    ///
    /// # Errors
    /// When no file name can state the version.
    pub fn plain(
        project: &ProjectName,
        version: &str,
        kind: Kind,
    ) -> Result<Self, InvalidFilename> {
        let ending = match kind {
            Kind::Wheel => "-py3-none-any.whl",
            Kind::Sdist => ".tar.gz",
            Kind::Egg => "-py3.egg",
            Kind::Other => ".exe",
        };
        let name = project.as_str().replace('-', "_");
        Self::parse(&format!("{name}-{version}{ending}"), project)
    }

    /// Whether a name ends like an archive that installers accept, whatever its project.
    #[must_use]
    pub fn is_archive(raw: &str) -> bool {
        split_ending(raw).is_ok_and(|(_, kind)| kind != Kind::Other)
    }

    /// The projects that a file of this name may belong to, likeliest first.
    ///
    /// A wheel or egg has exactly one. For an sdist the longest prefix whose rest is a PEP 440 version
    /// comes first, then prefixes whose rest starts with a digit, then all others.
    #[must_use]
    pub fn projects(raw: &str) -> Vec<ProjectName> {
        let Ok((stem, kind)) = split_ending(raw) else {
            return Vec::new();
        };
        let mut found: Vec<(u8, ProjectName)> = Vec::new();
        for (name, rest) in cuts(stem, kind).collect::<Vec<_>>().into_iter().rev() {
            let Ok(project) = ProjectName::parse(name) else {
                continue;
            };
            let Some(version) = version_of(rest, kind) else {
                continue;
            };
            let rank = if !Version::parse(version).is_legacy() {
                0
            } else if version.starts_with(|first: char| first.is_ascii_digit()) {
                1
            } else {
                2
            };
            if !version.is_empty() && !found.iter().any(|(_, known)| *known == project) {
                found.push((rank, project));
            }
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.truncate(PROJECTS_MAX);
        found.into_iter().map(|(_, project)| project).collect()
    }

    /// Whether a file of this name can only be a release of the project, judging by its form: a version
    /// follows, and for a wheel its three tags.
    #[must_use]
    pub fn is_plainly_of(raw: &str, project: &ProjectName) -> bool {
        let Ok((stem, kind)) = split_ending(raw) else {
            return false;
        };
        let rest = cuts(stem, kind)
            .filter(|(name, _)| is_name_of(name, project))
            .find_map(|(_, rest)| version_of(rest, kind).map(|version| (rest, version)));
        rest.is_some_and(|(rest, version)| {
            let is_whole = kind != Kind::Wheel || rest.split('-').count() == WHEEL_PARTS;
            is_whole && !Version::parse(version).is_legacy()
        })
    }

    /// Every project name that a file name begins with, or equals except for its ending; longest first.
    /// `None` if it has more parts than any file has.
    #[must_use]
    pub fn names_within(raw: &str) -> Option<Vec<ProjectName>> {
        let (stem, _) = split_ending(raw).ok()?;
        let ends: Vec<usize> = stem
            .match_indices(['-', '_', '.'])
            .map(|(at, _)| at)
            .chain([stem.len()])
            .collect();
        if ends.len() > NAMES_MAX {
            return None;
        }
        let names = ends.into_iter().rev().map(|end| &stem[..end]);
        let mut names: Vec<_> = names
            .filter_map(|name| ProjectName::parse(name).ok())
            .collect();
        names.dedup();
        Some(names)
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The project it belongs to.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// The version in the name, as written there.
    #[must_use]
    pub fn version_text(&self) -> &str {
        &self.version
    }

    /// The version in the name.
    #[must_use]
    pub fn version(&self) -> Version {
        Version::parse(&self.version)
    }

    /// What the file is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The tags of a wheel; `None` for other kinds.
    #[must_use]
    pub fn tags(&self) -> Option<WheelTags<'_>> {
        let stem = self.raw.strip_suffix(".whl")?;
        WheelTags::parse(stem)
    }
}

impl fmt::Display for Filename {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.raw)
    }
}

impl fmt::Debug for Filename {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Filename({})", self.raw)
    }
}

/// The compatibility tags of a wheel (PEP 425), each part as its compressed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WheelTags<'a> {
    python: &'a str,
    platform: &'a str,
}

impl<'a> WheelTags<'a> {
    fn parse(stem: &'a str) -> Option<Self> {
        let count = stem.split('-').count();
        if !(count == 5 || count == 6) || stem.split('-').any(str::is_empty) {
            return None;
        }
        let mut parts = stem.rsplit('-');
        let (platform, _abi, python) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { python, platform })
    }

    /// Python tags, such as `py3` or `cp312`.
    pub fn python(self) -> impl Iterator<Item = &'a str> {
        self.python.split('.')
    }

    /// Platform tags, such as `any` or `manylinux_2_17_x86_64`.
    pub fn platform(self) -> impl Iterator<Item = &'a str> {
        self.platform.split('.')
    }
}

fn split_ending(raw: &str) -> Result<(&str, Kind), InvalidFilename> {
    let bad = |character: char| character.is_control() || matches!(character, '/' | '\\');
    if raw.is_empty() || raw.len() > LENGTH_MAX || raw.starts_with('.') || raw.contains(bad) {
        let shown = raw.chars().take(LENGTH_MAX).collect();
        return Err(InvalidFilename::Unsafe(shown));
    }
    let mut stems = ENDINGS
        .iter()
        .filter_map(|(ending, kind)| Some((raw.strip_suffix(ending)?, *kind)));
    let known = stems.next();
    known.ok_or_else(|| InvalidFilename::Ending(raw.to_owned()))
}

/// Every way to split a stem into a project's name and the rest, shortest name first.
fn cuts(stem: &str, kind: Kind) -> impl Iterator<Item = (&str, &str)> {
    let limit = match kind {
        Kind::Wheel => 1,
        Kind::Sdist | Kind::Egg | Kind::Other => usize::MAX,
    };
    let separators = stem.match_indices(move |character: char| match kind {
        Kind::Other => matches!(character, '-' | '_'),
        Kind::Wheel | Kind::Sdist | Kind::Egg => character == '-',
    });
    separators
        .take(limit)
        .map(|(at, _)| (&stem[..at], &stem[at + 1..]))
}

fn is_name_of(text: &str, project: &ProjectName) -> bool {
    project.is_spelled(text) || ProjectName::parse(text).is_ok_and(|name| name == *project)
}

/// The version at the start of what follows the project's name.
fn version_of(rest: &str, kind: Kind) -> Option<&str> {
    match kind {
        Kind::Wheel => rest.split('-').next(),
        Kind::Sdist => Some(rest),
        Kind::Egg => {
            let tag = rest
                .strip_prefix("py")
                .is_some_and(|rest| rest.starts_with(is_digit));
            let end = rest.find("-py").unwrap_or(rest.len());
            (!tag).then_some(&rest[..end])
        }
        Kind::Other => {
            const MARKS: [&str; 6] = [".win", ".linux", ".macosx", "-py", "-1.noarch", "-1.src"];
            let end = MARKS.iter().filter_map(|mark| rest.find(mark)).min();
            Some(end.map_or(rest, |at| &rest[..at]))
        }
    }
}

fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &str, project: &str) -> Result<Filename, InvalidFilename> {
        Filename::parse(raw, &ProjectName::parse(project).unwrap())
    }

    #[test]
    fn names_met_in_the_field() {
        let table = [
            (
                "Hello.Pkg-1.0-py3-none-any.whl",
                "hello-pkg",
                "1.0",
                Kind::Wheel,
            ),
            (
                "torch-2.1.0+cu121-cp311-cp311-linux_x86_64.whl",
                "torch",
                "2.1.0+cu121",
                Kind::Wheel,
            ),
            ("a-1-2-py3-none-any.whl", "a", "1", Kind::Wheel),
            (
                "python-dateutil-2.8.2.tar.gz",
                "python-dateutil",
                "2.8.2",
                Kind::Sdist,
            ),
            ("pytz-2004d.tar.bz2", "pytz", "2004d", Kind::Sdist),
            (
                "pkg-1!2017.4+devpi.zip",
                "pkg",
                "1!2017.4+devpi",
                Kind::Sdist,
            ),
            (
                "setuptools-0.6c11-py2.7.egg",
                "setuptools",
                "0.6c11",
                Kind::Egg,
            ),
            ("lxml-2.3.win32-py2.7.exe", "lxml", "2.3", Kind::Other),
            ("foo-2-1.0.tar.gz", "foo-2", "1.0", Kind::Sdist),
            ("foo-2-1.0.tar.gz", "foo", "2-1.0", Kind::Sdist),
            (
                "zope.interface-5.4.0.tgz",
                "zope-interface",
                "5.4.0",
                Kind::Sdist,
            ),
            ("foo-1.0.dmg", "foo", "1.0", Kind::Other),
            ("foo-1.0.txz", "foo", "1.0", Kind::Sdist),
            ("foo-1.0.tlz", "foo", "1.0", Kind::Sdist),
            ("foo-1.0.tar.lz", "foo", "1.0", Kind::Sdist),
        ];
        for (raw, project, version, kind) in table {
            let filename = parse(raw, project).unwrap();
            assert_eq!(
                (filename.version_text(), filename.kind()),
                (version, kind),
                "{raw}"
            );
        }
    }

    #[test]
    fn what_is_no_file_of_the_project_is_refused() {
        let table = [
            ("", "a"),
            ("../a-1.zip", "a"),
            ("a-1.zip\n", "a"),
            (".a-1.zip", "a"),
            ("a-1.txt", "a"),
            ("b-1.zip", "a"),
            ("a-.zip", "a"),
            ("a.zip", "a"),
            ("a-1-any.whl", "a"),
            ("a-1-py3--any.whl", "a"),
            ("a\\b-1.zip", "a"),
        ];
        for (raw, project) in table {
            assert!(parse(raw, project).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn the_likeliest_project_comes_first() {
        let names = |raw| {
            Filename::projects(raw)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("python-dateutil-2.8.2.tar.gz")[0], "python-dateutil");
        assert_eq!(names("a_b-1.0-py3-none-any.whl"), ["a-b"]);
        assert_eq!(names("foo-2-1.0.tar.gz")[0], "foo-2");
        assert_eq!(names("pytz-2004d.tar.gz"), ["pytz"]);
        assert_eq!(names("six-1.0_final_2-py2.7.egg"), ["six"]);
        assert!(names("nothing").is_empty());
    }

    #[test]
    fn tags_are_expanded() {
        let filename = parse("a-1-py2.py3-none-any.whl", "a").unwrap();
        let tags = filename.tags().unwrap();
        assert_eq!(tags.python().collect::<Vec<_>>(), ["py2", "py3"]);
        assert_eq!(tags.platform().collect::<Vec<_>>(), ["any"]);
        assert!(parse("a-1.zip", "a").unwrap().tags().is_none());
    }

    proptest! {
        #[test]
        fn a_file_of_a_project_is_found_by_its_name(
            name in "[a-z]{1,4}(-[a-z0-9]{1,3}){0,2}",
            version in "[0-9]{1,2}(\\.[0-9]{1,2}){0,2}(-[0-9]|d|rc1|\\+l)?",
            ending in prop::sample::select(vec!["-py3-none-any.whl", ".tar.gz", ".zip", "-py2.7.egg", ".exe"]),
        ) {
            let stem = if ending.ends_with("whl") { name.replace('-', "_") } else { name.clone() };
            let version = if ending.ends_with("whl") { version.replace('-', ".") } else { version };
            let raw = format!("{stem}-{version}{ending}");
            let project = ProjectName::parse(&name).unwrap();
            prop_assert!(Filename::parse(&raw, &project).is_ok());
            prop_assert!(Filename::projects(&raw).contains(&project), "{}", raw);
        }
    }
}
