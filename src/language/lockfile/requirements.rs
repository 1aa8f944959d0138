//! pip's requirements files, as `pip freeze`, `pip-compile` and `uv export` write them.
//!
//! Options that name no project are skipped; an included file is a fault, because a list that silently
//! lacks half of its names is worse than none.

use crate::language::lockfile::pin::{Lockfile, LockfileFormat, Pin, PinnedFile, sha256_of};
use crate::model::{
    Fault, Faults, InvalidSpecifier, Location, ProjectName, Version, VersionSpecifiers,
};

/// Reads a requirements file.
pub(super) fn parse(path: &str, text: &str) -> Result<Lockfile, Faults> {
    let mut faults = Faults::default();
    let mut pins = Vec::new();
    // Editors on Windows start files with a byte order mark; pip skips it as well.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, text) in logical_lines(text) {
        let location = Location {
            file: path.into(),
            line,
            column: 1,
        };
        match parse_line(&text, &location) {
            Ok(pin) => pins.extend(pin),
            Err(fault) => faults.push(fault),
        }
    }
    faults.or(Lockfile {
        format: LockfileFormat::Requirements,
        pins,
    })
}

/// Lines with their continuations joined and comments dropped, with the number of their first line.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, raw) in (1..).zip(text.lines()) {
        let is_comment = raw.trim_start().starts_with('#');
        let continued = raw.trim_end().strip_suffix('\\').filter(|_| !is_comment);
        let (start, mut joined) = open.take().unwrap_or((number, String::new()));
        joined.push(' ');
        let text = continued.unwrap_or_else(|| without_comment(raw));
        joined.push_str(&text.replace('\t', " "));
        if continued.is_some() {
            open = Some((start, joined));
        } else {
            lines.push((start, joined));
        }
    }
    lines.extend(open);
    lines
}

/// A `#` starts a comment at the start of a line or after a blank; elsewhere it belongs to a URL.
fn without_comment(line: &str) -> &str {
    let mut previous = ' ';
    for (at, character) in line.char_indices() {
        if character == '#' && previous.is_whitespace() {
            return &line[..at];
        }
        previous = character;
    }
    line
}

fn parse_line(line: &str, location: &Location) -> Result<Option<Pin>, Fault> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    if line.starts_with('-') {
        return parse_option(line, location).map(|()| None);
    }
    let name_end = line
        .find(|character: char| {
            !(character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.'))
        })
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let is_path = name.starts_with('.') || rest.starts_with(['/', '\\', ':', '+']);
    let rest = without_extras(rest.trim_start());
    if is_path || rest.starts_with('@') {
        return Ok(None);
    }
    let project =
        ProjectName::parse(name).map_err(|error| Fault::at(location, error.to_string()))?;
    let options_start = match rest.strip_prefix("--") {
        Some(_) => 0,
        None => rest.find(" --").unwrap_or(rest.len()),
    };
    let (requirement, options) = rest.split_at(options_start);
    let specifiers = requirement.split(';').next().unwrap_or("").trim();
    let version = exact_version(specifiers)
        .map_err(|invalid| Fault::at(location, invalid.to_string()).hint(invalid.hint))?;
    let (files, has_digests) = hashes(options).map_err(|what| Fault::at(location, what))?;
    Ok(Some(Pin {
        project,
        version,
        files,
        has_digests,
        location: location.clone(),
    }))
}

fn parse_option(line: &str, location: &Location) -> Result<(), Fault> {
    let option = line.split(['=', ' ']).next().unwrap_or(line);
    let includes = option.starts_with("-r") || option == "--requirement";
    if includes {
        let what = format!("{line:?} includes another file");
        return Err(Fault::at(location, what).hint("name that file itself beside this one"));
    }
    Ok(())
}

fn without_extras(rest: &str) -> &str {
    let inner = rest
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'));
    inner.map_or(rest, |(_, after)| after.trim_start())
}

/// The version in `==1.0` or `===1.0`; `None` for wider specifiers.
fn exact_version(specifiers: &str) -> Result<Option<Version>, InvalidSpecifier> {
    let text = specifiers
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
        .unwrap_or(specifiers);
    let parsed: VersionSpecifiers = text.parse()?;
    Ok(parsed.exact())
}

fn hashes(options: &str) -> Result<(Vec<PinnedFile>, bool), String> {
    let mut files = Vec::new();
    let mut has_digests = false;
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let digest = match word.strip_prefix("--hash") {
            Some("") => words.next().unwrap_or(""),
            Some(rest) => rest.trim_start_matches('='),
            None => continue,
        };
        has_digests = true;
        if let Some(sha256) = sha256_of(digest)? {
            files.push(PinnedFile {
                sha256: Some(sha256),
                ..PinnedFile::default()
            });
        }
    }
    Ok((files, has_digests))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;

    /// `project version files digests line` of each pin.
    fn summary(text: &str) -> Vec<String> {
        let lockfile = parse("requirements.txt", text).unwrap();
        let line = |pin: &Pin| {
            let version = pin.version.as_ref().map_or("any", Version::as_str);
            let (files, digests) = (pin.files.len(), pin.has_digests);
            format!(
                "{} {version} {files} {digests} {}",
                pin.project, pin.location.line
            )
        };
        lockfile.pins.iter().map(line).collect()
    }

    #[test]
    fn lines_of_every_kind_are_read() {
        let hex = Sha256::of(b"x").to_hex();
        let table = [
            ("Requests==2.31.0".to_owned(), "requests 2.31.0 0 false 1"),
            ("\u{feff}six".to_owned(), "six any 0 false 1"),
            (
                "zope.interface >= 5, <6  # why".to_owned(),
                "zope-interface any 0 false 1",
            ),
            ("a[b,c]==1.*".to_owned(), "a any 0 false 1"),
            ("a (==1.0)".to_owned(), "a 1.0 0 false 1"),
            (
                "a===1.0; python_version < '3' and os_name == \"nt\"".to_owned(),
                "a 1.0 0 false 1",
            ),
            (
                format!("a==1 \\\n  --hash=sha256:{hex} \\\n  --hash sha256:{hex}\n  # via b"),
                "a 1 2 true 1",
            ),
            (
                "\u{a}\u{a}a==1 --hash=sha512:abcd".to_owned(),
                "a 1 0 true 3",
            ),
            ("# x\\\na==1 \\".to_owned(), "a 1 0 false 2"),
            ("pytz === 2004d".to_owned(), "pytz 2004d 0 false 1"),
            ("a==1.0-rc1".to_owned(), "a 1.0-rc1 0 false 1"),
        ];
        for (text, expected) in table {
            assert_eq!(summary(&text), [expected], "{text}");
        }
    }

    #[test]
    fn what_comes_from_no_index_is_passed_over() {
        let text = "--index-url https://upstream.example/simple/\n-e .\n-c limits.txt\n./wheels/a-1-py3-none-any.whl\n\
                    https://files.example/a-1.tar.gz#sha256=00\na @ https://files.example/a.zip\n\
                    git+https://files.example/a.git\n--require-hashes\nC:\\wheels\\a.whl\n";
        let faults = parse("requirements.txt", text);
        assert_eq!(faults.unwrap().pins, []);
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_on_its_line() {
        let text = "six\n-r other.txt\na==x y\n--requirement=more.txt\n-b\n_a==1\na --hash=sha256:12\na --hash=12\na --hash";
        insta::assert_snapshot!(parse("requirements.txt", text).unwrap_err(), @r#"
        requirements.txt:2:1: "-r other.txt" includes another file, name that file itself beside this one
        requirements.txt:3:1: "==x y" is not a version specifier (PEP 440), write one such as "<2.31" or ">=1.0, <2"
        requirements.txt:4:1: "--requirement=more.txt" includes another file, name that file itself beside this one
        requirements.txt:6:1: "_a" is not a project name
        requirements.txt:7:1: "12" is not a sha256 digest
        requirements.txt:8:1: "12" is not a digest such as sha256:…
        requirements.txt:9:1: "" is not a digest such as sha256:…
        "#);
    }
}
