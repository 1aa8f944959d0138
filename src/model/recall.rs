//! What was called back: nobody may have it any longer, through whichever index.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::model::Timestamp;
use crate::model::digest::Sha256;
use crate::model::file::File;
use crate::model::filename::Filename;
use crate::model::project::ProjectName;
use crate::model::requirement::{InvalidRequirement, Requirement};
use crate::model::specifier::{VersionMatch, VersionSpecifiers};
use crate::model::version::Version;

/// Longest reason, in bytes: it stands in a status line, which has room for a hundred, and on pages.
pub const RECALL_REASON_MAX: usize = 1_000;

/// How a digest is told from a name.
const DIGEST: &str = "sha256:";

/// A recall, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Its number, which no other recall ever had.
    pub id: u64,
    /// What was recalled.
    pub subject: RecallSubject,
    /// Why, in the words of who did it.
    pub reason: Arc<str>,
    /// Who did it; `None` for somebody at the command line.
    pub who: Option<Arc<str>>,
    /// When.
    pub at: Timestamp,
    /// Whether bytes that were fetched are set aside instead of removed.
    pub is_kept: bool,
}

impl Recall {
    /// What it is called, as a rule is.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        format!("recall/{}", self.id).into()
    }
}

/// What can be recalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecallSubject {
    /// Everything of a project, now and later.
    Project(ProjectName),
    /// The releases that these contain.
    Releases(ProjectName, VersionSpecifiers),
    /// Every file of this name, in whatever case.
    File(Arc<str>),
    /// Every file with this digest.
    Sha256(Sha256),
}

/// Whether something was recalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recalled {
    /// It was.
    Yes,
    /// It was not.
    No,
    /// PEP 440 cannot read its version.
    UnreadableVersion,
    /// `===` names this version, spelled otherwise.
    Respelled,
    /// Nothing states its digest.
    NoDigest,
}

/// The text names nothing that can be recalled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecall {
    /// It is no digest.
    #[error("{0:?} is no sha256: that has 64 hexadecimal digits")]
    Digest(String),
    /// It is nothing else either.
    #[error(
        "{text:?} names nothing that can be recalled ({why}): write name==1.2.3, name, name<2, the name of \
         a file, or sha256:…"
    )]
    Requirement {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: InvalidRequirement,
    },
    /// Extras and markers are about installations.
    #[error("{0:?} has extras or a marker, which no release has: leave them out")]
    Installation(String),
}

impl RecallSubject {
    /// The projects that it may be about, likeliest first; none for a digest.
    #[must_use]
    pub fn projects(&self) -> Vec<ProjectName> {
        match self {
            Self::Project(project) | Self::Releases(project, _) => vec![project.clone()],
            Self::File(name) => Filename::projects(name),
            Self::Sha256(_) => Vec::new(),
        }
    }

    /// Whether it covers a file.
    #[must_use]
    pub fn covers(&self, file: &File) -> Recalled {
        let (filename, sha256) = (&file.filename, file.hashes.sha256());
        self.covers_named(
            filename.project(),
            Some(filename.version_text()),
            filename.as_str(),
            sha256,
        )
    }

    /// The same for a file of which only this is known.
    #[must_use]
    pub fn covers_named(
        &self,
        project: &ProjectName,
        version: Option<&str>,
        filename: &str,
        sha256: Option<Sha256>,
    ) -> Recalled {
        let is_covered = |is_covered| {
            if is_covered {
                Recalled::Yes
            } else {
                Recalled::No
            }
        };
        match self {
            Self::Project(recalled) => is_covered(recalled == project),
            Self::Releases(recalled, _) if recalled != project => Recalled::No,
            Self::Releases(_, versions) => match version {
                None => Recalled::UnreadableVersion,
                Some(version) => match versions.contains(&Version::parse(version)) {
                    VersionMatch::Yes => Recalled::Yes,
                    VersionMatch::No => Recalled::No,
                    VersionMatch::Unreadable => Recalled::UnreadableVersion,
                    VersionMatch::Respelled => Recalled::Respelled,
                },
            },
            Self::File(name) => is_covered(name.eq_ignore_ascii_case(filename)),
            Self::Sha256(recalled) => match sha256 {
                Some(sha256) => is_covered(sha256 == *recalled),
                None => Recalled::NoDigest,
            },
        }
    }
}

impl FromStr for RecallSubject {
    type Err = InvalidRecall;

    /// Reads `name`, `name==1.2.3`, `name<2`, the name or the URL of a file, or a digest.
    fn from_str(text: &str) -> Result<Self, InvalidRecall> {
        let text = text.trim();
        if let Some(hex) = text.strip_prefix(DIGEST) {
            let digest = Sha256::parse(hex.trim());
            return digest
                .map(Self::Sha256)
                .map_err(|_| InvalidRecall::Digest(hex.to_owned()));
        }
        if let Ok(digest) = Sha256::parse(text) {
            return Ok(Self::Sha256(digest));
        }
        let plain = text.split(['#', '?']).next().unwrap_or(text);
        let last = plain.rsplit('/').next().unwrap_or(plain);
        if Filename::is_archive(last) && !Filename::projects(last).is_empty() {
            return Ok(Self::File(last.into()));
        }
        if text.contains(['[', ';']) {
            return Err(InvalidRecall::Installation(text.to_owned()));
        }
        let requirement = Requirement::parse(text);
        let Requirement { project, versions } =
            requirement.map_err(|why| InvalidRecall::Requirement {
                text: text.to_owned(),
                why,
            })?;
        Ok(match versions.filter(|versions| !versions.is_empty()) {
            Some(versions) => Self::Releases(project, versions),
            None => Self::Project(project),
        })
    }
}

impl fmt::Display for RecallSubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(project) => project.fmt(formatter),
            Self::Releases(project, versions) => write!(formatter, "{project}{versions}"),
            Self::File(name) => formatter.write_str(name),
            Self::Sha256(digest) => write!(formatter, "{DIGEST}{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_is_read_is_written_the_same_way() {
        for (text, written) in [
            ("Six == 1.16.0", "six==1.16.0"),
            ("six", "six"),
            ("six<2,!=1.5", "six<2, !=1.5"),
            ("six===2004d", "six===2004d"),
            ("Six-1.16.0.tar.gz", "Six-1.16.0.tar.gz"),
            (
                "http://h/u/i/+f/abc/0123456789abc/a_b-1-py3-none-any.whl#sha256=00",
                "a_b-1-py3-none-any.whl",
            ),
            (
                HEX,
                "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
        ] {
            let subject: RecallSubject = text.parse().unwrap();
            assert_eq!(subject.to_string(), written);
            assert_eq!(written.parse(), Ok(subject), "{written}");
        }
    }

    #[test]
    fn nonsense_says_what_to_write() {
        let told = |text: &str| text.parse::<RecallSubject>().unwrap_err().to_string();
        for text in ["", "==1", "six ~ 1", "six==", "a b", "/"] {
            assert!(
                told(text).contains("write name==1.2.3"),
                "{text}: {}",
                told(text)
            );
        }
        assert!(told("sha256:12").contains("64 hexadecimal digits"));
        assert!(told("six[extra]==1").contains("extras or a marker"));
    }

    #[test]
    fn a_subject_covers_what_it_names_and_tells_what_it_cannot_know() {
        let project = ProjectName::parse("acme-x").unwrap();
        let digest = Sha256::parse(HEX).unwrap();
        let (sdist, wheel) = ("acme_x-1.0.tar.gz", "acme_x-2004d-py3-none-any.whl");
        let other = Sha256::of(b"other");
        for (subject, filename, version, sha256, expected) in [
            ("acme.X", sdist, "1.0", None, Recalled::Yes),
            ("acme", sdist, "1.0", None, Recalled::No),
            ("acme-x==1", sdist, "1.0", None, Recalled::Yes),
            ("acme-x<1", sdist, "1.0", None, Recalled::No),
            (
                "acme-x<1",
                wheel,
                "2004d",
                None,
                Recalled::UnreadableVersion,
            ),
            ("acme-x===1", sdist, "1.0", None, Recalled::Respelled),
            ("ACME_X-1.0.tar.gz", sdist, "1.0", None, Recalled::Yes),
            ("acme_x-1.0.tar.gz", wheel, "2004d", None, Recalled::No),
            (HEX, sdist, "1.0", Some(digest), Recalled::Yes),
            (HEX, sdist, "1.0", Some(other), Recalled::No),
            (HEX, sdist, "1.0", None, Recalled::NoDigest),
        ] {
            let subject: RecallSubject = subject.parse().unwrap();
            let found = subject.covers_named(&project, Some(version), filename, sha256);
            assert_eq!(found, expected, "{subject} {filename}");
        }
    }
}
