//! What `completions` and `man` print, read by the programs that it is for.

use std::fs;
use std::process::{Command, Output};

use super::support::command;

fn run(words: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    command()
        .args(words)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn said(words: &[&str]) -> String {
    let output = run(words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The words of the commands that help lists.
fn commands() -> Vec<String> {
    let help = said(&["--help"]);
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let listed = listed.split("\n\n").next().unwrap();
    let lines = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn bash_completes_every_command_and_the_options_of_nested_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cheesecloth.bash");
    fs::write(&file, said(&["completions", "bash"])).unwrap();
    let complete = |typed: &[&str]| -> Vec<String> {
        let words = typed.join(" ");
        let script = format!(
            "source \"$0\" || exit 3; COMP_WORDS=(cheesecloth {words} ''); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _cheesecloth cheesecloth '' \"${{COMP_WORDS[-2]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash")
            .args(["-euc", &script])
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let offered = complete(&[]);
    for name in commands() {
        assert!(offered.contains(&name), "{name} is not in {offered:?}");
    }
    assert!(
        !offered.iter().any(|word| word.starts_with("devpi-")),
        "{offered:?}"
    );
    let offered = complete(&["cache", "verify"]);
    assert!(offered.iter().any(|word| word == "--rate"), "{offered:?}");
}

#[test]
fn every_shell_has_its_own() {
    for (shell, mark) in [
        ("zsh", "#compdef cheesecloth"),
        ("fish", "complete -c cheesecloth"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[cheesecloth]"),
    ] {
        let text = said(&["completions", shell]);
        assert!(text.contains(mark), "{shell}: {text:.200}");
        assert!(text.contains("password-env"), "{shell}");
    }
    assert_eq!(run(&["completions", "tcsh"]).status.code(), Some(2));
}

/// What is wrong with a manual page: a line that begins with a dot is a request that man knows.
fn misread(page: &str) -> Vec<&str> {
    let known = [
        ".ie", ".el", ".TH", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".br", ".IP", ".nf", ".fi",
    ];
    let requests = page.lines().filter(|line| line.starts_with('.'));
    requests
        .filter(|line| {
            let request = line.split_whitespace().next().unwrap_or_default();
            !known.contains(&request) && !request.starts_with(".\\\"")
        })
        .collect()
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    said(&["man", "--into", pages.to_str().unwrap()]);
    for name in commands().into_iter().filter(|name| name != "help") {
        let page = fs::read_to_string(pages.join(format!("cheesecloth-{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(misread(&page), Vec::<&str>::new(), "{name}");
        for part in [".TH", ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
            assert!(page.contains(part), "{name} lacks {part}");
        }
    }
    assert!(pages.join("cheesecloth-cache-verify.1").exists());
    assert!(!pages.join("cheesecloth-devpi-server.1").exists());
    let page = said(&["man", "cache", "verify"]);
    assert!(page.contains("\\-\\-rate"), "{page}");
    assert!(page.contains(".TH cheesecloth-cache-verify"), "{page:.300}");
    assert_eq!(run(&["man", "nothing"]).status.code(), Some(2));
}

#[test]
fn a_word_that_man_does_not_know_is_noticed() {
    assert_eq!(misread(".TH a\n.XX b\ntext .YY\n"), [".XX b"]);
}
