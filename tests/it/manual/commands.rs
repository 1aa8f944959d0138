//! Command lines, variables and metrics that the manual names exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;

use super::super::support::command;
use super::{Page, none, pages};

/// The flags of every command, by its words: `token create`. That of no words has the commands.
type Help = BTreeMap<String, BTreeSet<String>>;

fn help_of(words: &[&str]) -> String {
    let output = command().args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.trim().is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

fn flags(help: &str) -> BTreeSet<String> {
    let flag = Regex::new(r"(?m)^\s+(?:-\w, )?(--[a-z][a-z0-9-]*)").unwrap();
    let found = flag.captures_iter(help).map(|found| found[1].to_owned());
    found.collect()
}

fn help() -> Help {
    let mut found = Help::new();
    let top = commands(&help_of(&[]));
    assert!(top.len() > 8, "{top:?}");
    for command in top.iter().filter(|command| *command != "help") {
        let text = help_of(&[command]);
        found.insert(command.clone(), flags(&text));
        for inner in commands(&text).iter().filter(|inner| *inner != "help") {
            let flags = flags(&help_of(&[command, inner]));
            found.insert(format!("{command} {inner}"), flags);
        }
    }
    found
}

/// Whether a line of a shell, without its comment, is one of the program's.
fn is_ours(line: &str) -> bool {
    line.starts_with("cheesecloth ")
}

/// The command lines of a page: in blocks of `sh`, and between backticks in its prose.
fn lines_of(page: &Page) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for block in page.blocks().iter().filter(|block| block.language == "sh") {
        let joined = block.text.replace("\\\n", " ");
        let lines = joined
            .lines()
            .map(|line| line.strip_prefix("sudo -u cheesecloth ").unwrap_or(line));
        found.extend(
            lines
                .filter(|line| is_ours(line))
                .map(|line| (block.line, line.to_owned())),
        );
    }
    for (number, line) in page.prose() {
        let inline = line.split('`').skip(1).step_by(2);
        found.extend(
            inline
                .filter(|code| is_ours(code))
                .map(|code| (number, code.to_owned())),
        );
    }
    found
}

/// What is wrong with a command line.
fn fault(line: &str, help: &Help) -> Option<String> {
    let ends = [" # ", " | ", " > ", " && ", "; "];
    let end = ends.iter().filter_map(|sign| line.find(sign)).min();
    let line = &line[..end.unwrap_or(line.len())];
    let mut words = line.split_whitespace().skip(1).peekable();
    let command = words.next()?;
    if command.starts_with("--") {
        return (!["--version", "--help"].contains(&command)).then(|| command.to_owned());
    }
    let inner = words.peek().map(|inner| format!("{command} {inner}"));
    let inner = inner.filter(|inner| help.contains_key(inner));
    let command = inner.unwrap_or_else(|| command.to_owned());
    let Some(flags) = help.get(&command) else {
        return Some(format!("there is no command {command}"));
    };
    let mut asked = words.filter(|word| word.starts_with("--"));
    let unknown = asked.find(|word| {
        let name = word.split('=').next().unwrap_or(word);
        !flags.contains(name)
    })?;
    Some(format!("{command} has no {unknown}"))
}

#[test]
fn every_command_line_names_a_command_and_flags_that_exist() {
    let help = help();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (number, line) in lines_of(&page) {
            seen += 1;
            if let Some(fault) = fault(&line, &help) {
                wrong.push(format!("docs/{}:{number}: {line}: {fault}", page.path));
            }
        }
    }
    none(&wrong);
    assert!(seen > 40, "only {seen} command lines were found");
}

#[test]
fn a_wrong_command_line_is_seen() {
    let flags = BTreeSet::from(["--index".to_owned()]);
    let help = Help::from([("warm".to_owned(), flags), ("token".to_owned(), [].into())]);
    for (line, wrong) in [
        ("cheesecloth warm uv.lock --index a/b  # comment --no", None),
        ("cheesecloth warm --indx a/b", Some("warm has no --indx")),
        ("cheesecloth wram", Some("there is no command wram")),
        ("cheesecloth token --all | less", Some("token has no --all")),
    ] {
        assert_eq!(fault(line, &help).as_deref(), wrong, "{line}");
    }
}

/// All of the sources, where names of variables and metrics stand.
fn sources() -> String {
    let mut text = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

#[test]
fn every_metric_that_is_named_is_in_the_sources() {
    let sources = sources();
    let name = Regex::new(r"\bcheesecloth_([a-z_]+)").unwrap();
    let mut wrong = Vec::new();
    for page in pages() {
        for found in name.captures_iter(&page.text) {
            let metric = found[1].trim_end_matches("_bucket");
            if !sources.contains(&format!("\"{metric}\"")) && !sources.contains(&found[0]) {
                wrong.push(format!("docs/{}: {}", page.path, &found[0]));
            }
        }
    }
    none(&wrong);
}
