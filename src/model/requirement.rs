//! What an installer is asked for: a project, and which of its versions will do (PEP 508).

use crate::model::project::{InvalidProjectName, ProjectName};
use crate::model::specifier::{InvalidSpecifier, VersionSpecifiers};

/// A project, and the versions of it that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The project.
    pub project: ProjectName,
    /// The versions; `None` for any.
    pub versions: Option<VersionSpecifiers>,
}

/// The text is no requirement that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequirement {
    /// It begins with no name.
    #[error(transparent)]
    Name(#[from] InvalidProjectName),
    /// What follows the name is no specifier.
    #[error(transparent)]
    Versions(#[from] InvalidSpecifier),
}

impl Requirement {
    /// Parses `name[extra]>=1,<2; marker`. Extras and markers do not affect which files pass, and are
    /// dropped.
    ///
    /// # Errors
    /// See [`InvalidRequirement`].
    pub fn parse(text: &str) -> Result<Self, InvalidRequirement> {
        let end = text.find(|next: char| !(next.is_ascii_alphanumeric() || "._-".contains(next)));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        let rest = rest.trim();
        let rest = match rest.strip_prefix('[') {
            Some(extras) => extras.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let versions = rest.split(';').next().unwrap_or("").trim();
        Ok(Self {
            project: ProjectName::parse(name.trim())?,
            versions: match versions {
                "" => None,
                text => Some(text.parse()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_a_name_and_what_follows_it() {
        for (text, project, versions) in [
            ("six", "six", None),
            ("Six == 1.16.0", "six", Some("==1.16.0")),
            (
                "fastapi[standard] >=0.1, <2; python_version<'4'",
                "fastapi",
                Some(">=0.1, <2"),
            ),
        ] {
            let read = Requirement::parse(text).unwrap();
            assert_eq!(read.project.as_str(), project, "{text}");
            let found = read.versions.map(|versions| versions.to_string());
            assert_eq!(found.as_deref(), versions, "{text}");
        }
        for text in ["", "==1", "six ~ 1", "six ==="] {
            assert!(Requirement::parse(text).is_err(), "{text}");
        }
    }
}
