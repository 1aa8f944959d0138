//! `--configfile` of devpi's programs: a YAML file whose top key `devpi-server` holds options
//! (devpi-protocol.md §20). What the command line or the environment says wins over it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::arguments::Arguments;
use super::serve::environment;
use crate::model::Fault;
use crate::policy::read::Node;
use crate::policy::read::Value;

/// The key below which the options stand.
const SECTION: &str = "devpi-server";

/// The programs that have the option.
const PROGRAMS: [&str; 2] = ["devpi-init", "devpi-server"];

/// Puts the options of the file, if one is named, before those of the command line.
///
/// # Errors
/// A file that cannot be read, or is not made as described.
pub(super) fn put_in(arguments: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    let program = arguments
        .get(1)
        .and_then(|program| program.to_str())
        .unwrap_or_default();
    let Some(path) = PROGRAMS
        .contains(&program)
        .then(|| named(&arguments))
        .flatten()
    else {
        return Ok(arguments);
    };
    let text = fs::read_to_string(&path).with_context(|| format!("read --configfile {path}"))?;
    let options = options(&path, &text)?;
    let (before, after) = arguments.split_at(2);
    let options = options.into_iter().map(OsString::from);
    Ok(before
        .iter()
        .cloned()
        .chain(options)
        .chain(after.iter().cloned())
        .collect())
}

/// Whether a file is one of these: only they have this key.
pub(super) fn is_one(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let root = Node::parse(&path.display().to_string().into(), &text);
    let value = root.map(|node| node.value);
    matches!(value, Ok(Value::Mapping(top)) if top.iter().any(|entry| entry.key == SECTION))
}

/// What `devpi-server` would say against a file; all of it that it can tell at once.
pub(super) fn faults(path: &Path) -> Vec<Fault> {
    let file = path.display().to_string();
    let refused = fs::read_to_string(path)
        .map_err(anyhow::Error::from)
        .and_then(|text| options(&file, &text))
        .and_then(|options| Arguments::check_devpi_server(&options));
    match refused {
        Ok(()) => Vec::new(),
        Err(error) => vec![Fault::nowhere(format!("{file}: {error:#}"))],
    }
}

/// The file that the command line names.
fn named(arguments: &[OsString]) -> Option<String> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let at = words.iter().position(|word| {
        matches!(*word, "-c" | "--configfile") || word.starts_with("--configfile=")
    })?;
    match words[at].split_once('=') {
        Some((_, path)) => Some(path.to_owned()),
        None => words.get(at + 1).map(|path| (*path).to_owned()),
    }
}

fn options(path: &str, text: &str) -> anyhow::Result<Vec<String>> {
    let node = Node::parse(&path.into(), text).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let Value::Mapping(top) = &node.value else {
        anyhow::bail!("{path} has no key devpi-server at its top");
    };
    let section = top.iter().find(|entry| entry.key == SECTION);
    let section = section.with_context(|| format!("{path} has no key devpi-server at its top"))?;
    let entries = match &section.value.value {
        Value::Mapping(entries) => entries.as_slice(),
        Value::Nothing => &[],
        Value::Scalar(_) | Value::Sequence(_) => {
            anyhow::bail!(
                "{}: options, such as port: 3141, are expected",
                section.value.location
            );
        }
    };
    let mut options = Vec::new();
    for entry in entries {
        let variable = format!("DEVPISERVER_{}", entry.key.replace('-', "_").to_uppercase());
        if environment(&variable).is_some_and(|value| !value.is_empty()) {
            continue;
        }
        let option = format!("--{}", entry.key);
        match &entry.value.value {
            Value::Scalar(text) if text == "true" => options.push(option),
            Value::Scalar(text) if text == "false" => {}
            Value::Scalar(text) => options.push(format!("{option}={text}")),
            Value::Nothing => {}
            Value::Sequence(items) => {
                for item in items {
                    let Value::Scalar(text) = &item.value else {
                        anyhow::bail!("{}: a list of words is expected", item.location);
                    };
                    options.push(format!("{option}={text}"));
                }
            }
            Value::Mapping(_) => anyhow::bail!("{}: a word is expected", entry.value.location),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_options_before_those_that_were_typed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devpi.yml");
        let text = "devpi-server:\n  host: 0.0.0.0\n  port: 4000\n  debug: true\n  offline-mode: false\n  listen: [a:1, b:2]\n";
        fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        let typed: [&[&str]; 3] = [
            &["cheesecloth", "devpi-server", "-c", &path, "--port", "5000"],
            &["cheesecloth", "devpi-server", "--configfile", &path],
            &[
                "cheesecloth",
                "devpi-server",
                &format!("--configfile={path}"),
            ],
        ];
        for typed in typed {
            let words = put_in(typed.iter().map(OsString::from).collect()).unwrap();
            let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
            let file = [
                "--host=0.0.0.0",
                "--port=4000",
                "--debug",
                "--listen=a:1",
                "--listen=b:2",
            ];
            assert_eq!(words[2..7], file);
            assert_eq!(words[7..], typed[2..]);
        }
        let others: Vec<OsString> = ["cheesecloth", "serve", "-c", "x"]
            .map(OsString::from)
            .into();
        assert_eq!(put_in(others.clone()).unwrap(), others);
    }

    #[test]
    fn a_file_of_another_make_is_refused() {
        for text in [
            "",
            "serverdir: x",
            "devpi-server: 1",
            "devpi-server: {port: {a: 1}}",
        ] {
            assert!(options("devpi.yml", text).is_err(), "{text}");
        }
    }
}
