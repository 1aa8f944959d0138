//! What a comment cites exists: a page of this repository with that section, or a decision.

use std::fs;

use super::source::{files_below, none, root};

/// A page under another name is not in the repository, so it cannot be cited.
#[test]
fn every_page_that_is_cited_is_here_and_has_that_section() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for folder in ["src", "tests", "benches"] {
        for path in files_below(folder, &["rs"]) {
            let text = fs::read_to_string(&path).unwrap();
            let own = path.strip_prefix(root()).unwrap().display().to_string();
            for (number, line) in text.lines().enumerate() {
                let Some(comment) = comment_of(line) else {
                    continue;
                };
                for (page, sections) in cited(comment) {
                    seen += 1;
                    let file = root().join(page);
                    let Ok(content) = fs::read_to_string(&file) else {
                        wrong.push(format!("{own}:{}: {page} is not here", number + 1));
                        continue;
                    };
                    for section in sections
                        .iter()
                        .filter(|section| !has_section(&content, section))
                    {
                        wrong.push(format!(
                            "{own}:{}: {page} has no section {section}",
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} citations were found");
    none(&wrong);
}

#[test]
fn every_decision_that_is_cited_is_here() {
    let decisions: Vec<String> = files_below("docs/adr", &["md"])
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy()[..4].to_owned())
        .collect();
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches", "docs"] {
        for path in files_below(folder, &["rs", "md"]) {
            let text = fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("ADR ") {
                let digits: String = text[at + 4..]
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect();
                if digits.len() == 4 && !decisions.contains(&digits) {
                    wrong.push(format!("{}: ADR {digits} is not here", path.display()));
                }
            }
        }
    }
    none(&wrong);
}

fn comment_of(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//")
}

/// The pages that a comment names by a path into `docs/`, with the sections that follow each.
fn cited(comment: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    for (at, _) in comment.match_indices(".md") {
        let begin = comment[..at]
            .rfind(|sign: char| !(sign.is_alphanumeric() || "-_./".contains(sign)))
            .map_or(0, |before| {
                before + comment[before..].chars().next().unwrap().len_utf8()
            });
        let page = &comment[begin..at + 3];
        // A file that a test creates, or an example of a name, is not a citation.
        if !(page.contains('/') || page.chars().next().is_some_and(char::is_uppercase))
            || page.starts_with('.')
        {
            continue;
        }
        let mut sections = Vec::new();
        let mut rest = &comment[at + 3..];
        while let Some(after) = rest
            .strip_prefix(" §")
            .or_else(|| rest.strip_prefix(", §"))
            .or_else(|| rest.strip_prefix(" and §"))
        {
            let end = after
                .find(|sign: char| !(sign.is_ascii_digit() || sign == '.'))
                .unwrap_or(after.len());
            sections.push(after[..end].trim_end_matches('.'));
            rest = &after[end..];
        }
        found.push((page, sections));
    }
    found
}

/// Whether a heading begins with that number.
fn has_section(page: &str, number: &str) -> bool {
    page.lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| {
            let title = line.trim_start_matches('#').trim_start();
            let first = title.split(' ').next().unwrap_or_default();
            first.trim_end_matches('.') == number
        })
}

#[test]
fn a_citation_is_read_with_its_sections() {
    let comment = " As docs/protocol/devpi.md §7.2, §8 and §12.1. Also README.md; not file.md.";
    let expected = [
        ("docs/protocol/devpi.md", vec!["7.2", "8", "12.1"]),
        ("README.md", vec![]),
    ];
    assert_eq!(cited(comment), expected);
    let page = "# A book\n## 7. Seven\n### 7.2 Of it\n";
    assert!(has_section(page, "7") && has_section(page, "7.2"));
    assert!(!has_section(page, "7.1") && !has_section(page, "2"));
}
