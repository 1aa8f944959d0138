//! The names of devpi's programs: those that this one stands in for when started under their name, and
//! those it refuses, with what to do instead (docs/protocol/devpi.md §20).

use std::ffi::OsString;
use std::path::Path;

/// Programs whose command line is understood.
pub(super) const SPELLED: [&str; 4] =
    ["devpi-init", "devpi-server", "devpi-import", "devpi-export"];

/// Programs that have no counterpart here.
#[rustfmt::skip] // a table reads by rows
const GONE: [(&str, &str); 5] = [
    ("devpi-passwd", "change it with `devpi user -m NAME password=…`"),
    ("devpi-gen-config", "units, images and proxies are ready made in deploy/"),
    ("devpi-gen-secret", "the secret is kept in the records, and made at the first start"),
    ("devpi-fsck", "a digest is checked before a file is kept"),
    ("devpi-clear-search-index", "there is no search index: names are looked through as they are"),
];

/// When the program is started under the name of one it replaces, that name is the command.
///
/// # Errors
/// When only the name of the program is known.
pub(super) fn spelled(
    mut arguments: impl Iterator<Item = OsString>,
) -> anyhow::Result<Vec<OsString>> {
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let gone = GONE.iter().map(|(name, _)| *name);
    let command = SPELLED.into_iter().chain(gone).find(|one| name == *one);
    let command = command.map(OsString::from);
    let typed: Vec<OsString> = [program]
        .into_iter()
        .chain(command)
        .chain(arguments)
        .collect();
    let asked = typed.get(1);
    match GONE
        .iter()
        .find(|(name, _)| asked.is_some_and(|asked| asked == name))
    {
        Some((name, instead)) => anyhow::bail!("{name} is not supported here: {instead}"),
        None => Ok(typed),
    }
}
