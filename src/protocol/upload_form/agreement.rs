//! Whether a file's name agrees with the project and version it is uploaded for, and whether those are
//! valid names.

use crate::model::{Filename, InvalidFilename, Kind, ProjectName, Version};
use crate::protocol::upload_form::fault::{FormFault, quoted};

/// Longest version accepted, in bytes: it is a path segment and a part of file names.
const VERSION_MAX: usize = 200;

/// Endings that devpi accepts for upload; `model` knows more, for what mirrors list.
const ENDINGS: [&str; 11] = [
    "exe", "tar.gz", "bz2", "rpm", "deb", "zip", "tgz", "egg", "dmg", "msi", "whl",
];

/// Refuses a name without an ending that may be uploaded, and one that some reader of URLs, shells or file
/// systems would take for something other than a name.
pub(super) fn check_archive(raw: &str) -> Result<(), FormFault> {
    let is_plain =
        |character: char| character.is_ascii_graphic() && !"%?#<>\"'\\/:;*|&".contains(character);
    if !raw.chars().all(is_plain) {
        return Err(not_an_archive(raw));
    }
    let has_ending = |ending: &&str| {
        raw.strip_suffix(*ending)
            .is_some_and(|stem| stem.len() > 1 && stem.ends_with('.'))
    };
    ENDINGS
        .iter()
        .any(has_ending)
        .then_some(())
        .ok_or_else(|| not_an_archive(raw))
}

/// The name of a file of this release.
pub(super) fn filename_of(
    raw: &str,
    project: &ProjectName,
    spelling: &str,
    version: &str,
) -> Result<Filename, FormFault> {
    let filename = Filename::parse(raw, project).map_err(|invalid| match invalid {
        InvalidFilename::Unsafe(_) | InvalidFilename::Ending(_) => not_an_archive(raw),
        InvalidFilename::Project { .. } => FormFault(format!(
            "filename '{}' does not match project name '{}'",
            quoted(raw),
            quoted(spelling)
        )),
    })?;
    if names_version(&filename, version) {
        return Ok(filename);
    }
    Err(FormFault(format!(
        "filename '{}' does not contain version '{}'",
        quoted(raw),
        quoted(version)
    )))
}

/// Whether the version in a file name is the form's: equal under PEP 440, or letter by letter apart from
/// what packaging tools replace. An old name may continue after the version
/// (`a-1.0.linux-x86_64.tar.gz`), unless all of it reads as another version.
#[must_use]
pub fn names_version(filename: &Filename, version: &str) -> bool {
    let named = filename.version();
    let stated = Version::parse(version);
    if !named.is_legacy() && !stated.is_legacy() {
        return named == stated;
    }
    let (named, stated) = (packed(filename.version_text()), packed(version));
    if named == stated {
        return true;
    }
    let goes_on = named
        .strip_prefix(&stated)
        .is_some_and(|rest| rest.starts_with(['.', '_']));
    filename.kind() != Kind::Wheel && filename.version().is_legacy() && goes_on
}

/// devpi's comparison form: every run of other characters than letters, digits and `.` is one `_`.
fn packed(version: &str) -> String {
    let mut text = String::with_capacity(version.len());
    for character in version.chars() {
        if character.is_alphanumeric() || character == '.' {
            text.push(character);
        } else if !text.ends_with('_') {
            text.push('_');
        }
    }
    text
}

/// Whether a version can be a path segment and a part of a file name; legacy versions are allowed.
#[must_use]
pub fn is_version(version: &str) -> bool {
    let blocked = |character: char| {
        character.is_control()
            || matches!(character, '/' | '\\' | '<' | '>' | '%' | '#' | '"' | '?')
    };
    version.len() <= VERSION_MAX
        && version.trim() == version
        && !version.starts_with('.')
        && !version.contains(blocked)
}

/// What is wrong with a project's name, in devpi's words.
pub(super) fn name_fault(spelling: &str) -> &'static str {
    let allowed =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let edge = |character: Option<char>| character.is_some_and(|one| one.is_ascii_alphanumeric());
    if !spelling.chars().all(allowed) {
        "Invalid package name. Names must contain only ASCII letters, digits, underscores, hyphens, \
         and periods"
    } else if !edge(spelling.chars().next()) {
        "Invalid package name. Names must start with an ASCII letter or digit"
    } else if !edge(spelling.chars().next_back()) {
        "Invalid package name. Names must end with an ASCII letter or digit"
    } else {
        "Invalid package name. Names must not be longer than 255 characters"
    }
}

fn not_an_archive(raw: &str) -> FormFault {
    FormFault(format!("'{}' is not a valid archive name", quoted(raw)))
}
