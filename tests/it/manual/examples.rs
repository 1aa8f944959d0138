//! Configurations compile, and the tests beside them pass.

use std::fs;
use std::path::Path;

use super::super::support::{command, tls};
use super::{Page, none, pages, read};

/// What was run of a page.
#[derive(Default)]
struct Ran {
    configurations: usize,
    tests: usize,
    wrong: Vec<String>,
}

/// Files that configurations name, besides those that a page shows.
fn named_files(folder: &Path) {
    tls::self_signed(folder, "localhost");
    fs::create_dir(folder.join("osv")).unwrap();
    fs::write(folder.join("osv/all.json"), "[]").unwrap();
    fs::write(folder.join("upstream.password"), "s3cret\n").unwrap();
}

/// Runs the program; returns what it said, if it failed.
fn failure(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = command();
    command.env("CHEESECLOTH_MIRROR_URL", "https://upstream.example/simple/");
    // What `password_env` names in an example.
    command.env("UPSTREAM_PASSWORD", "s3cret");
    // What `secret_env` does.
    command.env("HOOK_SECRET", "sixteen bytes or more");
    let output = command.current_dir(folder).args(arguments).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (!output.status.success()).then(|| said.into_owned())
}

fn is_tests(yaml: &str) -> bool {
    yaml.lines().any(|line| line == "tests:")
}

fn run(page: &Page) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    named_files(folder);
    let mut ran = Ran::default();
    for block in page.blocks() {
        let first = block.text.lines().next().unwrap_or_default();
        let arguments: &[&str] = match (block.language, first.strip_prefix("# ")) {
            ("text", Some(name)) if name.contains('.') && !name.contains(' ') => {
                fs::write(folder.join(name), &block.text).unwrap();
                continue;
            }
            ("yaml", _) if is_tests(&block.text) => {
                fs::write(folder.join("tests.yaml"), &block.text).unwrap();
                ran.tests += 1;
                &["test", "tests.yaml", "--policies", "cheesecloth.yaml"]
            }
            ("yaml", _) => {
                fs::write(folder.join("cheesecloth.yaml"), &block.text).unwrap();
                ran.configurations += 1;
                &["check"]
            }
            _ => continue,
        };
        if let Some(said) = failure(folder, arguments) {
            let wrong = format!("docs/{}:{}: {said}", page.path, block.line);
            ran.wrong.push(wrong);
        }
    }
    ran
}

#[test]
fn every_configuration_compiles_and_every_test_passes() {
    let mut all = Ran::default();
    for page in pages() {
        let ran = run(&page);
        all.configurations += ran.configurations;
        all.tests += ran.tests;
        all.wrong.extend(ran.wrong);
    }
    none(&all.wrong);
    assert!(all.configurations > 30, "{}", all.configurations);
    assert!(all.tests > 20, "{}", all.tests);
}

/// A page of recipes, cut at its headings.
fn recipes(page: &Page) -> Vec<(&str, Page)> {
    let parts = page.text.split("\n## ").skip(1);
    let recipe = |part| {
        let (title, text) = str::split_once(part, '\n').unwrap();
        let (path, text) = (format!("{}, {title}", page.path), text.to_owned());
        (title, Page { path, text })
    };
    parts.map(recipe).collect()
}

#[test]
fn the_cookbook_lists_its_recipes_and_each_has_tests() {
    let list = read("manual/cookbook.md");
    let mut wrong = Vec::new();
    let mut count = 0;
    let pages = pages();
    let cooked = |page: &&Page| page.path.starts_with("manual/cookbook/");
    // The company's page is one recipe as a whole.
    let several = |page: &&Page| !page.path.ends_with("/company.md");
    for page in pages.iter().filter(cooked).filter(several) {
        for (title, recipe) in recipes(page) {
            count += 1;
            let yaml = recipe.blocks();
            let yaml: Vec<_> = yaml.iter().filter(|one| one.language == "yaml").collect();
            let tests = yaml.iter().filter(|one| is_tests(&one.text)).count();
            if tests == 0 || tests == yaml.len() {
                wrong.push(format!("docs/{}: no configuration with tests", recipe.path));
            }
            let name = page.path.strip_prefix("manual/").unwrap();
            let link = format!("]({name}#{})", super::links::anchor(title));
            if !list.contains(&link) {
                wrong.push(format!("docs/manual/cookbook.md: no link {link}"));
            }
        }
    }
    none(&wrong);
    assert!(count >= 20, "{count} recipes");
}
