//! Options of devpi's programs that are not typed: `DEVPISERVER_…` in the environment, and `--configfile`,
//! a YAML file with options under the top key `devpi-server` (docs/protocol/devpi.md §20). What is typed
//! wins over the environment, and the environment over the file.
//!
//! One file serves all programs, so an option that one of them lacks is skipped with a message, as there.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::{Arg, Command};

use crate::cli::devpi::ServerOptions;
use crate::cli::devpi_programs::SPELLED;
use crate::cli::output::say_error;
use crate::cli::sources::environment;
use crate::config::{DEVPI_OPTIONS, devpi_file_faults};
use crate::language::{Node, Value};
use crate::model::Fault;

/// The key under which the options stand.
const SECTION: &str = DEVPI_OPTIONS;

/// The option that names the file.
const CONFIGFILE: &str = "configfile";

/// Inserts the options from the environment, and from the file if one is named, before the typed ones.
///
/// # Errors
/// A file that cannot be read or has the wrong shape; a switch that is neither on nor off.
pub(super) fn put_in(arguments: Vec<OsString>, whole: &Command) -> anyhow::Result<Vec<OsString>> {
    let program = arguments
        .get(1)
        .and_then(|program| program.to_str())
        .filter(|program| SPELLED.contains(program));
    let Some(program) = program.and_then(|program| whole.find_subcommand(program)) else {
        return Ok(arguments);
    };
    let mut options = Vec::new();
    if let Some(path) = named(&arguments) {
        let text =
            fs::read_to_string(&path).with_context(|| format!("read --configfile {path}"))?;
        let name = program.get_name();
        options = of_file(program, &path, &text, &mut |key| {
            say_error(&format!(
                "{path}: {name} has no option --{key}, it is passed over"
            ));
        })?;
    }
    options.extend(of_environment(program)?);
    let (before, after) = arguments.split_at(2);
    let options = options.into_iter().map(OsString::from);
    Ok(before
        .iter()
        .cloned()
        .chain(options)
        .chain(after.iter().cloned())
        .collect())
}

/// Whether a file is a devpi configuration file: only those have this key.
pub(super) fn is_one(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let root = Node::parse(&path.display().to_string().into(), &text);
    let value = root.map(|node| node.value);
    matches!(value, Ok(Value::Mapping(top)) if top.iter().any(|entry| entry.key == SECTION))
}

/// What `devpi-server` would object to in a file, as much as can be told in one pass.
pub(super) fn faults(path: &Path) -> Vec<Fault> {
    let file = path.display().to_string();
    let mut unknown = Vec::new();
    let refused = fs::read_to_string(path)
        .map_err(anyhow::Error::from)
        .and_then(|text| {
            let program = ServerOptions::program();
            let options = of_file(&program, &file, &text, &mut |key| {
                unknown.push(key.to_owned())
            })?;
            ServerOptions::check_said(program, &options)
        });
    let unknown = unknown
        .iter()
        .map(|key| format!("{SECTION} has no option --{key}"));
    let refused = refused.err().map(|error| format!("{error:#}"));
    let faults = unknown.chain(refused);
    faults
        .map(|why| Fault::nowhere(format!("{file}: {why}")))
        .chain(devpi_file_faults(path, &environment).0)
        .collect()
}

/// The environment's options, except those that clap reads from there itself.
fn of_environment(program: &Command) -> anyhow::Result<Vec<String>> {
    let mut options = Vec::new();
    for option in program
        .get_arguments()
        .filter(|option| option.get_env().is_none())
    {
        let Some(name) = option.get_long().filter(|name| *name != CONFIGFILE) else {
            continue;
        };
        let variable = variable(name);
        if let Some(text) = environment(&variable).filter(|text| !text.is_empty()) {
            let words = words(option, &text);
            options.extend(words.with_context(|| format!("{variable} is {text}"))?);
        }
    }
    Ok(options)
}

/// The option of that name.
fn known<'a>(program: &'a Command, name: &str) -> Option<&'a Arg> {
    let has_name = |option: &&Arg| {
        let aliases = option.get_all_aliases().unwrap_or_default();
        option.get_long() == Some(name) || aliases.contains(&name)
    };
    program.get_arguments().find(has_name)
}

/// An option as it is typed; `None` for a switch that is off.
fn words(option: &Arg, text: &str) -> anyhow::Result<Option<String>> {
    let name = option.get_long().unwrap_or_default();
    if option.get_action().takes_values() {
        return Ok(Some(format!("--{name}={text}")));
    }
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Ok(Some(format!("--{name}"))),
        "n" | "no" | "f" | "false" | "off" | "0" => Ok(None),
        _ => anyhow::bail!("--{name} takes no value: say true or false"),
    }
}

fn variable(name: &str) -> String {
    format!("DEVPISERVER_{}", name.replace('-', "_").to_uppercase())
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

/// What a file says; `unknown` is called for options that the program does not have.
fn of_file(
    program: &Command,
    path: &str,
    text: &str,
    unknown: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<String>> {
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
        let Some(option) = known(program, &entry.key) else {
            unknown(&entry.key);
            continue;
        };
        if environment(&variable(&entry.key)).is_some_and(|value| !value.is_empty()) {
            continue;
        }
        let at = || entry.value.location.to_string();
        match &entry.value.value {
            Value::Scalar(text) => options.extend(words(option, text).with_context(at)?),
            Value::Nothing => {}
            Value::Sequence(items) => {
                for item in items {
                    let Value::Scalar(text) = &item.value else {
                        anyhow::bail!("{}: a list of words is expected", item.location);
                    };
                    options.extend(words(option, text).with_context(at)?);
                }
            }
            Value::Mapping(_) => anyhow::bail!("{}: a word is expected", entry.value.location),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::arguments::Arguments;

    #[test]
    fn a_file_becomes_options_before_those_that_were_typed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devpi.yml");
        let text = "devpi-server:\n  host: 0.0.0.0\n  port: 4000\n  debug: yes\n  offline-mode: false\n  theme:\n  skip-import-type: mirror\n  listen: [a:1, b:2]\n";
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
            let typed_words = typed.iter().map(OsString::from).collect();
            let words = put_in(typed_words, &Arguments::command()).unwrap();
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
        assert_eq!(
            put_in(others.clone(), &Arguments::command()).unwrap(),
            others
        );
    }

    #[test]
    fn a_file_of_another_make_is_refused() {
        for text in [
            "",
            "serverdir: x",
            "devpi-server: 1",
            "devpi-server: {port: {a: 1}}",
            "devpi-server: {debug: perhaps}",
        ] {
            assert!(
                of_file(&ServerOptions::program(), "devpi.yml", text, &mut |_| ()).is_err(),
                "{text}"
            );
        }
    }
}
