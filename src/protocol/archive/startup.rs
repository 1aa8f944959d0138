//! Files of a wheel that every start of Python runs: `.pth` and `.start` where `site` looks (PEP 829).
//!
//! Installers put the top of a wheel, and `purelib` and `platlib` of its `.data` folder, into
//! site-packages (PEP 427); what `data` holds lands below the prefix, so a path through `site-packages`
//! leads there too. Names are read as leniently as installers on any system may.

use std::io::{Read, Seek};

use crate::protocol::archive::bounded::{ArchiveBounds, Bounded};
use crate::protocol::archive::directory::agreed_names;
use crate::protocol::archive::zipped::ZipFault;

/// Endings of files that `site` runs.
const ENDINGS: [&str; 2] = [".pth", ".start"];

/// Folders that `site` looks into, by their own names.
const SITE_FOLDERS: [&str; 2] = ["site-packages", "dist-packages"];

/// Whether a wheel has such a file. Only its directory is read.
///
/// # Errors
/// When it cannot be read within the bounds, or readers may differ about what is in it.
pub fn has_startup_files(wheel: impl Read + Seek, bounds: ArchiveBounds) -> Result<bool, ZipFault> {
    let names = agreed_names(&mut Bounded::new(wheel, bounds.directory_bytes_max))?;
    Ok(names.iter().any(|name| is_startup_file(name)))
}

fn is_startup_file(raw: &[u8]) -> bool {
    let path = String::from_utf8_lossy(raw).to_ascii_lowercase();
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let Some((name, folders)) = parts.split_last() else {
        return false;
    };
    // Windows keeps no dots and spaces at the end of a name, and what follows a colon names a stream of it.
    let streamless = name.split(':').next().unwrap_or(name);
    let names = [*name, streamless].map(|name| name.trim_end_matches(['.', ' ']));
    let ends = |ending: &&str| names.iter().any(|name| name.ends_with(ending));
    if !ENDINGS.iter().any(ends) {
        return false;
    }
    match folders {
        [] => true,
        [data, "purelib" | "platlib"] => data.ends_with(".data"),
        [data, "data", .., last] => data.ends_with(".data") && SITE_FOLDERS.contains(last),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;

    const BOUNDS: ArchiveBounds = ArchiveBounds::with_metadata(1 << 20);

    fn wheel(names: &[&str]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in names {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(b"import os").unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn startup_files_are_those_that_land_where_site_looks() {
        let table = [
            ("curd.pth", true),
            ("curd.START", true),
            (".pth", true),
            ("./curd.pth", true),
            ("curd/../curd.pth", true),
            ("curd-1.0.data/purelib/curd.pth", true),
            ("curd-1.0.data\\platlib\\curd.pth", true),
            (
                "curd-1.0.data/data/lib/python3.13/site-packages/curd.pth",
                true,
            ),
            ("curd.pth.", true),
            ("curd.pth. .", true),
            ("curd.pth::$DATA", true),
            ("curd/curd.pth", false),
            ("curd-1.0.data/purelib/curd/curd.pth", false),
            ("curd-1.0.data/data/share/curd.pth", false),
            ("curd-1.0.data/scripts/curd.start", false),
            ("curd.pth/__init__.py", false),
            ("curd.pth.txt", false),
        ];
        for (name, expected) in table {
            let wheel = wheel(&["curd/__init__.py", name, "curd-1.0.dist-info/METADATA"]);
            let found = has_startup_files(Cursor::new(wheel), BOUNDS);
            assert_eq!(found.unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_within_bounds_has_no_answer() {
        assert!(has_startup_files(Cursor::new(b"no zip"), BOUNDS).is_err());
        let names: Vec<String> = (0..1000)
            .map(|number| format!("curd/{number}.py"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let narrow = ArchiveBounds {
            directory_bytes_max: 10_000,
            ..BOUNDS
        };
        let found = has_startup_files(Cursor::new(wheel(&names)), narrow);
        assert!(
            matches!(found, Err(ZipFault::DirectoryTooLong)),
            "{found:?}"
        );
    }
}
