//! Which version an installer takes of the files that it may have.
//!
//! What pip, uv and poetry have in common (PEP 440, PEP 592): the newest; yanked files only for who pins their
//! version; pre-releases only where nothing else fits or the specifier names one. Which of the files fits
//! the client's Python and platform is for the client to know.

use crate::model::{File, Version, VersionMatch, VersionSpecifiers};

/// The version that an installer takes.
#[must_use]
pub fn taken<'a>(
    files: impl IntoIterator<Item = &'a File>,
    versions: Option<&VersionSpecifiers>,
) -> Option<Version> {
    let contain = |version: &Version| match versions {
        Some(versions) => versions.contains(version) == VersionMatch::Yes,
        None => !version.is_legacy(),
    };
    let is_pinned = versions.is_some_and(|versions| versions.exact().is_some());
    let files = files.into_iter();
    let files = files.filter(|file| is_pinned || !file.yanked.is_yanked());
    let fitting: Vec<Version> = files
        .map(|file| file.filename.version())
        .filter(contain)
        .collect();
    let takes_any = versions.is_some_and(VersionSpecifiers::names_prerelease);
    let is_final = |version: &&Version| takes_any || !version.is_prerelease();
    let newest = fitting.iter().filter(is_final).max();
    newest.or_else(|| fitting.iter().max()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Yanked;
    use crate::policy::sample::file;

    #[test]
    fn the_newest_that_fits_is_taken() {
        let file = |version: &str| {
            let mut file = file(&format!("six-{}.zip", version.trim_end_matches('!')), "six");
            if version.ends_with('!') {
                file.yanked = Yanked::Yes(None);
            }
            file
        };
        // Versions, yanked ones with a mark; the specifier; what is taken.
        let table: [(&[&str], &str, Option<&str>); 10] = [
            (&["1.9", "1.10", "1.2"], "", Some("1.10")),
            (&["1.9", "1.10", "1.2"], "<1.10", Some("1.9")),
            (&["1.0", "2.0rc1", "2.0.dev1"], "", Some("1.0")),
            (&["1.0", "2.0rc1"], ">=2.0rc1", Some("2.0rc1")),
            (&["1.0", "2.0rc1"], ">1, !=2.0b1", Some("2.0rc1")),
            (&["1.0", "2.0!"], "", Some("1.0")),
            (&["1.0", "2.0!"], "==2.0", Some("2.0")),
            (&["2.0!"], ">=2", None),
            (&["2004d"], "", None),
            (&["2004d", "1"], "===2004d", Some("2004d")),
        ];
        for (listed, versions, expected) in table {
            let files: Vec<File> = listed.iter().map(|version| file(version)).collect();
            let versions: VersionSpecifiers = versions.parse().unwrap();
            let versions = (!versions.is_empty()).then_some(versions);
            let found = taken(&files, versions.as_ref());
            assert_eq!(found.as_ref().map(Version::as_str), expected, "{listed:?}");
        }
    }
}
