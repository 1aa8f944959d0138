//! Entries of each kind of lock file against rules.

use super::*;
use crate::language::{NoFiles, at, index, read_text};
use crate::model::Sha256;

const LEAK: &str = "deny: { id: leak, project: requests, versions: '<2.31', reason: 'leaks' }";

/// What an index with one more rule says about a lock file.
fn said(rule: &str, path: &str, text: &str) -> String {
    let policies = format!(
        "indexes: {{ m/one: {{ type: mirror }}, a/top: {{ bases: m/one, policy: house, owns: 'acme-*' }} }}\n\
         policies: {{ house: {{ rules: [\n{LEAK},\n{rule} ] }} }}\n"
    );
    let (document, _) = read_text("p.yaml", &policies, &mut NoFiles).unwrap();
    let policies = Policies::compile(&[document], &[]).unwrap();
    let text = text.replace("HEX", &Sha256::of(b"x").to_hex());
    let lockfile = Lockfile::parse(path, &text).unwrap();
    let now = at("2026-01-20T00:00:00Z");
    let found = refused_entries(&policies, &index("a/top"), &lockfile, now);
    let found = found.unwrap().into_iter().map(|found| found.to_string());
    found.collect::<Vec<_>>().join("\n")
}

const PLAIN: &str = "requests==2.30.0\nsix==1.17.0\nacme-tools==1\nrequests\n";

const HASHED: &str = "six==1.17.0 --hash=sha256:HEX\nrequests==2.30.0 --hash=sha256:HEX\n";

const UV: &str = r#"
version = 1
[[package]]
name = "requests"
version = "2.30.0"
source = { registry = "https://upstream.example/simple" }
wheels = [{ url = "https://upstream.example/requests-2.30.0-py3-none-any.whl", hash = "sha256:HEX" }]
[[package]]
name = "six"
version = "1.17.0"
source = { registry = "https://upstream.example/simple" }
sdist = { url = "https://upstream.example/six-1.17.0.tar.gz", hash = "sha256:HEX", size = 12, upload-time = "2026-01-01T00:00:00Z" }
"#;

const PYLOCK: &str = r#"
lock-version = "1.0"
[[packages]]
name = "requests"
version = "2.30.0"
sdist = { name = "requests-2.30.0.tar.gz", hashes = { sha256 = "HEX" } }
[[packages]]
name = "six"
version = "1.17.0"
wheels = [{ name = "six-1.17.0-py3-none-any.whl", upload-time = 2026-01-19T00:00:00Z, hashes = { sha256 = "HEX" } }]
"#;

const POETRY: &str = r#"
[[package]]
name = "requests"
version = "2.30.0"
files = [{ file = "requests-2.30.0.tar.gz", hash = "sha256:HEX" }]
[[package]]
name = "six"
version = "1.17.0"
files = [{ file = "six-1.17.0.tar.gz", hash = "sha256:HEX" }, { file = "six-1.17.0-py3-none-any.whl", hash = "sha256:HEX" }]
[metadata]
lock-version = "2.1"
"#;

#[test]
fn every_kind_of_lock_file_is_checked_entry_by_entry() {
    let rule = " is refused through a/top by house/leak (p.yaml:3): leaks";
    for (path, text, line) in [
        ("requirements.txt", PLAIN, 1),
        ("hashed.txt", HASHED, 2),
        ("uv.lock", UV, 4),
        ("pylock.toml", PYLOCK, 4),
        ("poetry.lock", POETRY, 3),
    ] {
        let expected = format!("{path}:{line}: requests 2.30.0{rule}");
        assert_eq!(said("", path, text), expected);
    }
}

#[test]
fn what_the_file_does_not_state_is_no_certain_refusal() {
    // Rules, a lock file, and whether six is refused for certain, perhaps, or not at all.
    let table = [
        ("deny: { younger_than: 7d }", ("r.txt", PLAIN), Some(false)),
        ("deny: { younger_than: 7d }", ("uv.lock", UV), None),
        (
            "deny: { younger_than: 7d }",
            ("pylock.toml", PYLOCK),
            Some(true),
        ),
        ("deny: { size_over: 1KiB }", ("uv.lock", UV), None),
        ("deny: { size_over: 1B }", ("uv.lock", UV), Some(true)),
        (
            "deny: { size_over: 1KiB }",
            ("pylock.toml", PYLOCK),
            Some(false),
        ),
        ("deny: { yanked: true }", ("uv.lock", UV), Some(false)),
        (
            "deny: { provenance: missing }",
            ("uv.lock", UV),
            Some(false),
        ),
        ("deny: { kind: sdist }", ("uv.lock", UV), Some(true)),
        ("deny: { kind: sdist }", ("poetry.lock", POETRY), None),
        ("deny: { kind: sdist }", ("r.txt", PLAIN), None),
        (
            "deny: { kind: [wheel, sdist] }",
            ("hashed.txt", HASHED),
            Some(true),
        ),
    ];
    for (rule, (path, text), expected) in table {
        let said = said(rule, path, text);
        let mut lines = said.lines().filter(|line| line.contains(": six "));
        let found = lines.next().map(|line| line.contains(" is refused "));
        assert_eq!(found, expected, "{rule} {path}: {said}");
    }
}

#[test]
fn what_an_allow_needs_and_the_file_does_not_state_is_no_certain_refusal_either() {
    let policies = "indexes: { m/one: { type: mirror, policy: p } }\n\
         policies: { p: { default: deny, rules: [{ allow: { older_than: 7d } }] } }\n";
    let (document, _) = read_text("p.yaml", policies, &mut NoFiles).unwrap();
    let policies = Policies::compile(&[document], &[]).unwrap();
    let now = at("2026-01-20T00:00:00Z");
    let certain = |text: &str| {
        let lockfile = Lockfile::parse("r.txt", text).unwrap();
        let found = refused_entries(&policies, &index("m/one"), &lockfile, now);
        found.unwrap()[0].is_certain
    };
    assert!(!certain("six==1.17.0\n"));
}

#[test]
fn a_fate_is_certain_only_if_it_is_the_same_at_every_mirror_and_in_every_state() {
    let fate = |rules: &str, name: &str| {
        let policies = format!(
            "indexes: {{ m/one: {{ type: mirror }}, m/two: {{ type: mirror }}, a/top: {{ bases: [m/one, m/two], policy: p }} }}\n\
             policies: {{ p: {{ rules: [{rules}] }} }}\n"
        );
        let (document, _) = read_text("p.yaml", &policies, &mut NoFiles).unwrap();
        let policies = Policies::compile(&[document], &[]).unwrap();
        let lockfile = Lockfile::parse("r.txt", &format!("{name}\n")).unwrap();
        let now = at("2026-01-20T00:00:00Z");
        certain_fate(&policies, &index("a/top"), &lockfile.pins[0], now)
    };
    let table = [
        ("deny: { project: six }", "six==1", "refused"),
        (
            "deny: { project: six, versions: '<2' }",
            "six==1",
            "refused",
        ),
        ("deny: { project: six, versions: '<2' }", "six==2", "passes"),
        (
            "deny: { project: six, upstream: m/one }",
            "six==1",
            "depends",
        ),
        ("deny: { status: archived }", "six==1", "depends"),
        ("deny: { younger_than: 7d }", "six==1", "depends"),
    ];
    for (rules, name, expected) in table {
        let found = match fate(rules, name).unwrap() {
            Fate::Passes => "passes",
            Fate::Depends(_) => "depends",
            Fate::Refused(_) => "refused",
        };
        assert_eq!(found, expected, "{rules} for {name}");
    }
}

#[test]
fn a_name_alone_is_refused_by_rules_on_names_and_reserved_ones_are_ours() {
    let rule = "deny: { id: gone, project: [six, 'evil-*'] }";
    insta::assert_snapshot!(
        said(rule, "r.txt", "six>1\nevil-x\nacme-tools==1\nwhey\n"),
        @"
    r.txt:1: six is refused through a/top by house/gone (p.yaml:4): project: [six, evil-*]
    r.txt:2: evil-x is refused through a/top by house/gone (p.yaml:4): project: [six, evil-*]
    "
    );
}

#[test]
fn the_digests_that_a_whitelist_pins_bind_lock_files_too() {
    let stack = "indexes: { m/one: { type: mirror }, a/top: { bases: m/one, whitelist: [six] } }";
    let (document, _) = read_text("p.yaml", stack, &mut NoFiles).unwrap();
    let policies = Policies::compile(&[document], &[]).unwrap();
    let lockfile = Lockfile::parse("r.txt", PLAIN).unwrap();
    let now = at("2026-01-20T00:00:00Z");
    let found = refused_entries(&policies, &index("a/top"), &lockfile, now).unwrap();
    let entries: Vec<&str> = found.iter().map(|found| found.entry.as_str()).collect();
    assert_eq!(entries, ["requests 2.30.0", "acme-tools 1", "requests"]);
    assert!(
        found
            .iter()
            .all(|found| found.is_certain && &*found.rule == "whitelist")
    );
    assert_eq!(
        refused_entries(&policies, &index("a/no"), &lockfile, now),
        None
    );
}
