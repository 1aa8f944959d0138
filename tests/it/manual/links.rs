//! The summary lists every page, pages are short, and links lead somewhere inside the book.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Page, docs, none, pages, read};

const LINES_MAX: usize = 400;

/// A heading's anchor, as mdBook and others make it.
pub(super) fn anchor(title: &str) -> String {
    let signs = title.trim().chars().filter_map(|sign| match sign {
        ' ' => Some('-'),
        '-' | '_' => Some(sign),
        _ if sign.is_alphanumeric() => Some(sign.to_ascii_lowercase()),
        _ => None,
    });
    signs.collect()
}

/// The anchors of a page: where a heading stands twice, the second has a number.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    let headings = page.prose().filter(|(_, line)| line.starts_with('#'));
    let named = headings.map(|(_, line)| {
        let name = anchor(line.trim_start_matches('#'));
        let times = met.entry(name.clone()).or_default();
        *times += 1;
        match *times {
            1 => name,
            times => format!("{name}-{}", times - 1),
        }
    });
    named.collect()
}

/// What a line of prose links to, without what leads out of the repository.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let after = line.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://"))
}

/// A path relative to a page, as a path below `docs`; `None` if it leads out of there.
fn below_docs(page: &str, target: &str) -> Option<PathBuf> {
    let mut path = Path::new(page).parent()?.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir if !path.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            part => path.push(part),
        }
    }
    Some(path)
}

fn wrong_link(page: &Page, target: &str) -> Option<String> {
    let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        page.path.clone()
    } else {
        let Some(path) = below_docs(&page.path, file) else {
            return Some("leads out of the book".to_owned());
        };
        path.display().to_string()
    };
    if !docs().join(&path).is_file() {
        return Some("is not there".to_owned());
    }
    let text = match fragment {
        "" => return None,
        _ => fs::read_to_string(docs().join(&path)).unwrap(),
    };
    let is_there = anchors(&Page { path, text }).contains(fragment);
    (!is_there).then(|| "has no such heading".to_owned())
}

#[test]
fn links_lead_to_pages_of_the_book_and_to_headings_in_them() {
    let mut all = pages();
    let path = "SUMMARY.md".to_owned();
    let text = read(&path);
    all.push(Page { path, text });
    let mut wrong = Vec::new();
    let mut followed = 0;
    for page in &all {
        for (number, line) in page.prose() {
            for target in targets(line) {
                followed += 1;
                if let Some(why) = wrong_link(page, target) {
                    wrong.push(format!("docs/{}:{number}: {target} {why}", page.path));
                }
            }
        }
    }
    none(&wrong);
    assert!(followed > 100, "only {followed} links were found");
}

#[test]
fn the_summary_lists_every_page_of_the_manual_once() {
    let summary = read("SUMMARY.md");
    let listed: Vec<&str> = summary.lines().flat_map(targets).collect();
    let unique: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(unique.len(), listed.len(), "a page is listed twice");
    let pages = pages();
    let missing: Vec<String> = pages
        .iter()
        .filter(|page| !unique.contains(page.path.as_str()))
        .map(|page| format!("docs/SUMMARY.md does not list {}", page.path))
        .collect();
    none(&missing);
}

#[test]
fn pages_are_short_and_begin_with_their_title() {
    let mut wrong = Vec::new();
    for page in pages() {
        let lines = page.text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!(
                "docs/{}: {lines} lines, at most {LINES_MAX}",
                page.path
            ));
        }
        if !page.text.starts_with("# ") {
            wrong.push(format!("docs/{}: no title", page.path));
        }
    }
    none(&wrong);
}

#[test]
fn a_heading_makes_an_anchor() {
    assert_eq!(anchor(" What it is, and isn't "), "what-it-is-and-isnt");
    assert_eq!(anchor("`journal: {}` on 2 disks"), "journal--on-2-disks");
    let (path, text) = ("p.md".to_owned(), "# A\n## B\n```\n# c\n```\n## B\n");
    let text = text.to_owned();
    let found = anchors(&Page { path, text });
    assert_eq!(Vec::from_iter(found), ["a", "b", "b-1"]);
}
