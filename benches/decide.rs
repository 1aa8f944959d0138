//! `cargo bench --bench decide`: what a policy costs, per file of a page and per compilation.
//!
//! A page is decided on when it is rendered, not when it is asked for: this is the price of a page
//! after it changed. On a hot page a policy costs nothing, which `side_by_side` shows.

mod micro;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cheesecloth::testing::language::{Document, Files, NamedKind, TextFile, read_text};
use cheesecloth::testing::model::{Fault, IndexName, Location, ProjectState, Timestamp};
use cheesecloth::testing::page::parse_json;
use cheesecloth::testing::policy::{Candidate, Policies};

use micro::{PAGE_URL, PAGES, json_page, measure, project};

/// Entries of the large whitelist.
const WHITELISTED: usize = 100_000;

/// Rules of the long policy.
const RULES: usize = 50;

/// The one file that a key names.
struct Whitelist(String);

impl Files for Whitelist {
    fn open(
        &mut self,
        _named: NamedKind,
        location: &Location,
        path: &Path,
    ) -> Result<Vec<TextFile>, Fault> {
        let (location, path, text) = (
            location.clone(),
            PathBuf::from(path),
            self.0.as_str().into(),
        );
        Ok(vec![TextFile {
            location,
            path,
            text,
        }])
    }
}

fn main() -> anyhow::Result<()> {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse()?;
    let index = IndexName::parse("root/asked")?;
    let mirror =
        "indexes:\n  root/pypi: { type: mirror, mirror_url: https://upstream.example/simple/ }\n";
    let asked = |keys: &str| format!("{mirror}  root/asked: {{ bases: [root/pypi]{keys} }}\n");
    let rules = rules();
    let cases = [
        ("no policy", asked("")),
        ("50 rules", asked(", policy: long") + &rules),
        (
            "100,000 whitelisted",
            asked(", whitelist_files: [requirements.txt]"),
        ),
        (
            "100,000 whitelisted, 50 rules",
            asked(", policy: long, whitelist_files: [requirements.txt]") + &rules,
        ),
    ];
    for (name, text) in cases {
        let documents = [document(&text)?];
        let compile =
            || Policies::compile(&documents, &[]).map_err(|faults| anyhow::anyhow!("{faults}"));
        measure(&format!("compile, {name}"), 1, compile);
        let policies = compile()?;
        let stack = policies
            .stack(&index)
            .ok_or_else(|| anyhow::anyhow!("no {index}"))?;
        let member = stack.members.len() - 1;
        let project = project();
        measure(&format!("decide on the name, {name}"), 1, || {
            stack.decide_project(&project, now, &|_| false)
        });
        for (size, files) in PAGES {
            let page = parse_json(&json_page(files), PAGE_URL, &project)?;
            let decide = || {
                let view = stack.view(&project);
                let candidate = |file| Candidate {
                    file,
                    member,
                    status: ProjectState::Active,
                };
                let verdicts = page
                    .files
                    .iter()
                    .map(|file| view.decide_file(&candidate(file), now));
                verdicts
                    .filter(|verdict| verdict.denial().is_none())
                    .count()
            };
            anyhow::ensure!(decide() == files, "{name}: a file is refused");
            measure(
                &format!("decide on a page of {size}, {name}"),
                files,
                decide,
            );
        }
    }
    Ok(())
}

fn document(text: &str) -> anyhow::Result<Document> {
    let mut whitelist = String::from("sample\n");
    for number in 0..WHITELISTED {
        let _ = writeln!(whitelist, "project-{number}");
    }
    let read = read_text("policies.yaml", text, &mut Whitelist(whitelist));
    let (document, _) = read.map_err(|faults| anyhow::anyhow!("{faults}"))?;
    Ok(document)
}

/// Rules of every usual kind; none refuses a file here, so that all are looked at.
fn rules() -> String {
    let mut text = String::from("policies:\n  long:\n    rules:\n");
    for number in 0..RULES {
        let matcher = match number % 5 {
            0 => format!("project: [bad-{number}, \"bad-{number}-*\"]"),
            1 => format!("project: sample, versions: \"<0.{number}\""),
            2 => format!("project: \"/^evil-?{number}-.*$/\""),
            3 => "kind: egg".to_owned(),
            _ => "younger_than: 7d".to_owned(),
        };
        let _ = writeln!(
            text,
            "      - deny: {{ {matcher}, reason: \"rule {number}\" }}"
        );
    }
    text
}
