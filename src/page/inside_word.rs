//! What was found inside a file as one word of the learned facts: `SHA256/LICENSE/STARTUP`.

use std::sync::Arc;

use crate::model::{Inside, License, LicenseExpression, Sha256, StartupFiles};

/// Stands for what nobody has looked for; `NOTHING` for what is not there or cannot be read.
const UNREAD: &str = "?";
const NOTHING: &str = "!";

/// Words for startup files.
const STARTUP: [(&str, StartupFiles); 4] = [
    (UNREAD, StartupFiles::Unread),
    (NOTHING, StartupFiles::Unreadable),
    ("0", StartupFiles::Absent),
    ("1", StartupFiles::Present),
];

pub(super) fn inside_word(inside: Option<&(Sha256, Inside)>) -> String {
    let Some((sha256, inside)) = inside else {
        return "-".to_owned();
    };
    let license = match &inside.license {
        License::Unread => UNREAD.to_owned(),
        License::Unknown => NOTHING.to_owned(),
        // No id has an underscore.
        License::Stated(expression) => expression.as_str().replace(' ', "_"),
    };
    let mut startup = STARTUP.iter();
    let startup = startup.find(|(_, startup)| *startup == inside.startup_files);
    let startup = startup.map_or(UNREAD, |(word, _)| word);
    format!("{sha256}/{license}/{startup}")
}

/// Reads the word; `None` if it is damaged.
pub(super) fn inside_of_word(word: &str) -> Option<Option<(Sha256, Inside)>> {
    if word == "-" {
        return Some(None);
    }
    let (sha256, rest) = word.split_once('/')?;
    let (license, startup) = rest.split_once('/')?;
    let license = match license {
        UNREAD => License::Unread,
        NOTHING => License::Unknown,
        text => {
            // An id that a later list of SPDX's no longer has is looked up again.
            let read = LicenseExpression::parse(&text.replace('_', " "));
            read.map_or(License::Unread, |read| License::Stated(Arc::new(read)))
        }
    };
    let (_, startup_files) = *STARTUP.iter().find(|(word, _)| *word == startup)?;
    let inside = Inside {
        license,
        startup_files,
    };
    Some(Some((Sha256::parse(sha256).ok()?, inside)))
}
