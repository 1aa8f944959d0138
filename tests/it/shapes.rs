//! Rules that see an attack's shape, through the program and a fake index, as pip and uv meet them.

use std::time::{Duration, SystemTime};

use super::support::{
    Client, Content, FakeIndex, Launch, Listed, Program, Project, Setup, Tool, Wheel, sdist,
};

/// The reason of the rule that denies.
const REASON: &str = "ask the dairy before you eat this";

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test goes by the real clock too"
)]
fn days_ago(days: u64) -> String {
    let at = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    jiff::Timestamp::try_from(at).unwrap().to_string()
}

fn wheel(version: &str, days: u64) -> Listed {
    Listed::wheel(&Wheel::new("sieve", version), version).uploaded(&days_ago(days))
}

fn dairy(files: impl IntoIterator<Item = Listed>) -> FakeIndex {
    let sieve = files.into_iter().fold(Project::new("sieve"), Project::file);
    Setup::default().project(sieve).start()
}

/// `shop/all` over a mirror of the dairy, with these rules.
fn shop(dairy: &FakeIndex, on_block: &str, rules: &str) -> Launch {
    let yaml = format!(
        "advisories: [osv.json]\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: '{}' }}\n  \
         shop/all: {{ bases: [root/dairy], policy: house }}\n\
         policies:\n  house:\n    on_block: {on_block}\n    rules:\n{rules}",
        dairy.url()
    );
    let launch = Program::with_policies(&yaml);
    std::fs::write(launch.folder().join("osv.json"), ADVISORY).unwrap();
    launch
}

/// Something is wrong with `sieve` before 2.0.
const ADVISORY: &str = r#"{"id": "GHSA-holes", "affected": [{
    "package": {"ecosystem": "PyPI", "name": "sieve"},
    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}]}"#;

/// The version that a fresh client installs.
#[track_caller]
fn installed(tool: Tool, index: &str) -> String {
    let client = Client::fresh(tool);
    client.install(index, &["sieve"]).succeeds();
    let module = client.read("out/sieve/__init__.py");
    let version = module.split('"').nth(1);
    version.expect("a version in the module").to_owned()
}

#[test]
fn a_late_file_is_refused_to_pip_and_uv_and_its_release_goes_on() {
    let (name, bytes) = sdist("sieve", "1.0");
    let sdist = Listed::new(&name, "1.0", Content::Bytes(bytes.into())).uploaded(&days_ago(400));
    let dairy = dairy([wheel("0.9", 900), sdist, wheel("1.0", 2)]);
    let rule = format!("      - deny: {{ late: 14d, reason: '{REASON}' }}\n");
    for tool in [Tool::Pip, Tool::Uv] {
        let shop = shop(&dairy, "yank", &rule).start();
        let index = shop.index_url("shop/all");
        let pinned = ["sieve==1.0", "--only-binary=:all:"];
        let client = Client::fresh(tool);
        client.install(&index, &pinned).fails().says(REASON);
        let free = Client::fresh(tool);
        free.install(&index, &["sieve", "--only-binary=:all:"])
            .succeeds();
        assert!(free.read("out/sieve/__init__.py").contains("\"0.9\""));
    }
    assert_eq!(dairy.journal().count("/files/sieve/sieve-1.0-py3"), 0);
}

#[test]
fn a_fix_is_taken_at_once_and_what_is_merely_new_cools_down() {
    let rule = "      - deny: { younger_than: 7d, unless: fixes_advisory }\n";
    for tool in [Tool::Pip, Tool::Uv] {
        let mending = dairy([wheel("1.0", 90), wheel("1.1", 1), wheel("2.0", 1)]);
        let open = shop(&mending, "hide", rule).start();
        assert_eq!(
            installed(tool, &open.index_url("shop/all")),
            "2.0",
            "{tool:?}"
        );
        let mended = dairy([wheel("2.0", 90), wheel("2.1", 1)]);
        let open = shop(&mended, "hide", rule).start();
        assert_eq!(
            installed(tool, &open.index_url("shop/all")),
            "2.0",
            "{tool:?}"
        );
    }
}
