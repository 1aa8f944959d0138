//! `diff`: another configuration tried on what installers asked for, on lock files, and on what is held.

use std::fs;
use std::path::Path;

use cheesecloth::testing::model::Sha256;
use serde_json::Value;
use tempfile::TempDir;

use super::support::{Client, FakeIndex, Program, Project, Setup, Tool, Wheel, command};

/// What somebody who runs the program in a folder sees.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let output = command().current_dir(folder).args(arguments).output();
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

fn dairy() -> FakeIndex {
    let sieve = Project::new("sieve")
        .wheel("1.0")
        .wheel("1.10")
        .wheel("2.0");
    Setup::default()
        .project(sieve)
        .project(Project::new("whey").wheel("1.0"))
        .project(Project::new("curd").wheel("1.0"))
        .project(Project::new("rennet").wheel("1.0"))
        .start()
}

fn policies(dairy: &str, rules: &str) -> String {
    format!(
        "default_index: shop/all\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: '{dairy}' }}\n  \
         shop/all: {{ bases: [root/dairy], policy: house }}\n\
         policies:\n  house:\n    rules:\n{rules}"
    )
}

const OLD: &str = "      - deny: { id: sour, project: curd, versions: '>=1', reason: 'sour' }\n      \
                   - deny: { id: calf, project: rennet, reason: 'not for us' }\n";

const NEW: &str =
    "      - deny: { id: holes, project: sieve, versions: '>=2', reason: 'too large | holes' }\n";

/// A data directory after some installations, and the two configurations beside it.
struct Shop {
    folder: TempDir,
    lock: String,
}

impl Shop {
    fn visited(journal: &str) -> Self {
        let dairy = dairy();
        let folder = tempfile::tempdir().unwrap();
        let url = dairy.url().to_string();
        let (old, new) = (policies(&url, OLD), policies(&url, NEW));
        fs::write(folder.path().join("old.yaml"), &old).unwrap();
        fs::write(folder.path().join("new.yaml"), &new).unwrap();
        let data = folder.path().join("data");
        let shop = Program::with_policies(&format!("{old}{journal}"))
            .data(&data)
            .start();
        let index = shop.index_url("shop/all");
        let pip = Client::fresh(Tool::Pip);
        pip.install(&index, &["sieve"]).succeeds();
        pip.install(&index, &["curd"]).fails();
        pip.install(&index, &["rennet"]).fails();
        Client::fresh(Tool::Uv)
            .install(&index, &["whey", "sieve==1.0"])
            .succeeds();
        let uv = Client::fresh(Tool::Uv);
        uv.write(
            "pyproject.toml",
            "[project]\nname = \"larder\"\nversion = \"1\"\nrequires-python = \">=3.10\"\n\
             dependencies = [\"sieve\"]\n",
        );
        uv.run(&["lock", "--default-index", &index]).succeeds();
        let lock = uv.read("uv.lock");
        assert!(shop.stop().success());
        Self { folder, lock }
    }

    fn diff(&self, options: &[&str]) -> Ran {
        let all = ["diff", "old.yaml", "new.yaml", "--data", "data"];
        run(self.folder.path(), &[&all, options].concat())
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }
}

#[test]
fn what_is_held_of_a_mirror_without_a_url_is_replayed() {
    let (dairy, folder) = (dairy(), tempfile::tempdir().unwrap());
    let url = dairy.url().to_string();
    let without = |rules| policies("", rules).replace(", mirror_url: ''", "");
    fs::write(folder.path().join("old.yaml"), without(OLD)).unwrap();
    fs::write(folder.path().join("new.yaml"), without(NEW)).unwrap();
    let shop = Program::with_policies(&without(OLD)).with("CHEESECLOTH_MIRROR_URL", &url);
    let shop = shop.data(&folder.path().join("data")).start();
    let index = shop.index_url("shop/all");
    Client::fresh(Tool::Pip)
        .install(&index, &["sieve"])
        .succeeds();
    assert!(shop.stop().success());
    let mut diff = command();
    diff.current_dir(folder.path())
        .env("CHEESECLOTH_MIRROR_URL", &url);
    let ran = diff.args(["diff", "old.yaml", "new.yaml", "--data", "data"]);
    let ran = ran.output().unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{told}");
    assert!(told.contains("sieve 2.0"), "{told}");
    assert!(!told.contains("is not held here"), "{told}");
}

/// Lock files of each kind that pin sieve 2.0, by name.
fn locks(uv: &str) -> [(&'static str, String); 5] {
    let wheel = Wheel::new("sieve", "2.0");
    let (name, digest) = (wheel.filename(), Sha256::of(&wheel.build()).to_hex());
    [
        ("uv.lock", uv.to_owned()),
        ("plain.txt", "sieve==2.0\n".to_owned()),
        ("hashed.txt", format!("sieve==2.0 --hash=sha256:{digest}\n")),
        (
            "pylock.toml",
            format!(
                "lock-version = \"1.0\"\n[[packages]]\nname = \"sieve\"\nversion = \"2.0\"\n\
                 wheels = [{{ name = \"{name}\", hashes = {{ sha256 = \"{digest}\" }} }}]\n"
            ),
        ),
        (
            "poetry.lock",
            format!(
                "[[package]]\nname = \"sieve\"\nversion = \"2.0\"\n\
                 files = [{{ file = \"{name}\", hash = \"sha256:{digest}\" }}]\n\
                 [metadata]\nlock-version = \"2.1\"\n"
            ),
        ),
    ]
}

/// The text without what differs from one machine or version of uv to another.
fn steady(text: &str) -> String {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.starts_with("replayed: "));
    let text = lines.collect::<Vec<_>>().join("\n");
    match text.split_once("uv.lock:") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|one: char| one.is_ascii_digit());
            format!("{before}uv.lock:N{after}")
        }
        None => text,
    }
}

#[test]
fn another_configuration_is_tried_on_what_installers_asked_for() {
    let shop = Shop::visited("");
    let ran = shop.diff(&[]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    insta::assert_snapshot!(steady(&ran.out), @"
    newly refused:
      shop/all: sieve 2.0: refused by policy house: too large | holes (new.yaml:8)
        asked for once by 127.0.0.1
        sieve-2.0-py3-none-any.whl
        an installer takes 1.10 then, not 2.0
    newly allowed:
      shop/all: curd: was refused by policy house: sour (old.yaml:8)
        asked for once by 127.0.0.1
        an installer takes 1.0 then, and had nothing
      shop/all: curd 1.0, which nobody asked for: was refused by policy house: sour (old.yaml:8)
        an installer takes 1.0 then, and had nothing
    cannot be judged:
      shop/all: rennet: cannot be judged: a page of rennet from root/dairy is not held here: it was not asked for yet, or could not be had
        asked for once and refused by 127.0.0.1
    1 release is newly refused, 2 newly allowed, 1 cannot be judged
    ");
    let replayed = ran.out.lines().last().unwrap();
    assert!(
        replayed.contains("rows of the journal of the last 30d"),
        "{replayed}"
    );
    // The other way round, what was refused passes: nothing is newly refused but what was allowed.
    let back = run(
        shop.folder.path(),
        &["diff", "new.yaml", "old.yaml", "--data", "data", "--json"],
    );
    let told: Value = serde_json::from_str(&back.out).unwrap();
    let names = |kind: &str| -> Vec<String> {
        let all = told[kind].as_array().unwrap().iter();
        all.map(|one| format!("{} {}", one["project"], one["version"]))
            .collect()
    };
    assert_eq!(names("newly_allowed"), [r#""sieve" "2.0""#], "{told:#}");
    assert_eq!(back.code, Some(1), "rennet and curd: {told:#}");
    let same = run(
        shop.folder.path(),
        &["diff", "new.yaml", "new.yaml", "--data", "data"],
    );
    assert_eq!(same.code, Some(0), "{}", same.out);
    let nothing = "0 releases are newly refused, 0 newly allowed";
    assert!(same.out.contains(nothing), "{}", same.out);
}

#[test]
fn a_merge_request_gets_a_table_and_programs_get_an_object() {
    let shop = Shop::visited("");
    let mut options = Vec::new();
    for (name, text) in locks(&shop.lock) {
        shop.write(name, &text);
        options.extend(["--lock", name]);
    }
    let ran = shop.diff(&[&options, &["--markdown"][..]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    insta::assert_snapshot!(steady(&ran.out), @r"
    ### 1 release is newly refused, 2 newly allowed, 1 cannot be judged

    **newly refused**

    | release | index | why | asked by | then |
    |---|---|---|---|---|
    | sieve 2.0 | shop/all | refused by policy house: too large \| holes (new.yaml:8) | asked for once by 127.0.0.1; pinned at uv.lock:N, plain.txt:1, hashed.txt:1, pylock.toml:3, poetry.lock:2 | an installer takes 1.10 then, not 2.0 |

    **newly allowed**

    | release | index | why | asked by | then |
    |---|---|---|---|---|
    | curd | shop/all | was refused by policy house: sour (old.yaml:8) | asked for once by 127.0.0.1 | an installer takes 1.0 then, and had nothing |
    | curd 1.0 | shop/all | was refused by policy house: sour (old.yaml:8) | nobody | an installer takes 1.0 then, and had nothing |

    **cannot be judged**

    | release | index | why | asked by | then |
    |---|---|---|---|---|
    | rennet | shop/all | cannot be judged: a page of rennet from root/dairy is not held here: it was not asked for yet, or could not be had | asked for once and refused by 127.0.0.1 |  |
    ");
    let ran = shop.diff(&[&options, &["--json"][..]].concat());
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let sieve = &told["newly_refused"][0];
    let expected = [
        ("project", "sieve"),
        ("version", "2.0"),
        ("index", "shop/all"),
        ("rule", "house/holes"),
        ("location", "new.yaml:8"),
        ("taken_before", "2.0"),
        ("taken_after", "1.10"),
    ];
    for (key, value) in expected {
        assert_eq!(sieve[key], value, "{key} of {told:#}");
    }
    assert_eq!(sieve["clients"][0]["client"], "127.0.0.1");
    let of = |one: &Value| one["file"].as_str().unwrap().to_owned();
    let named = sieve["lockfiles"].as_array().unwrap().iter().map(of);
    let mut named: Vec<String> = named.collect();
    named.sort();
    assert_eq!(
        named,
        [
            "hashed.txt",
            "plain.txt",
            "poetry.lock",
            "pylock.toml",
            "uv.lock"
        ]
    );
    assert!(
        told["replayed"]["journal_rows"].as_u64() >= Some(5),
        "{told:#}"
    );
}

#[test]
fn addresses_that_are_not_kept_are_not_told() {
    let shop = Shop::visited("journal: { clients: none }\n");
    let ran = shop.diff(&[]);
    assert!(
        ran.out.contains("by clients whose addresses are not kept"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("127.0.0.1"), "{}", ran.out);
}

#[test]
fn what_is_not_held_is_not_judged_and_never_counts_as_allowed() {
    let dairy = "https://upstream.example/simple/";
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "open.yaml",
        &policies(dairy, "      - allow: { project: sieve }\n"),
    );
    write(
        "fresh.yaml",
        &policies(dairy, "      - deny: { younger_than: 7d }\n"),
    );
    write("holes.yaml", &policies(dairy, NEW));
    write("r.txt", "sieve==2.0\nwhey\n");
    let diff = |new: &str, more: &[&str]| {
        let all = ["diff", "open.yaml", new, "--data", ".", "--lock", "r.txt"];
        run(folder.path(), &[&all, more].concat())
    };
    let fresh = diff("fresh.yaml", &[]);
    assert_eq!(fresh.code, Some(0), "{}{}", fresh.out, fresh.err);
    assert!(fresh.out.contains("cannot be judged:\n  shop/all: sieve 2.0: cannot be judged: a page of sieve from root/dairy is not held here"), "{}", fresh.out);
    assert!(
        fresh.out.contains("0 newly allowed, 2 cannot be judged"),
        "{}",
        fresh.out
    );
    assert!(
        fresh.out.contains("no journal, since there is none"),
        "{}",
        fresh.out
    );
    assert_eq!(diff("fresh.yaml", &["--strict"]).code, Some(1));
    // What its name and version tell is certain without any page.
    let holes = diff("holes.yaml", &[]);
    assert_eq!(holes.code, Some(1), "{}", holes.out);
    assert!(
        holes
            .out
            .contains("shop/all: sieve 2.0: refused by policy house: too large | holes"),
        "{}",
        holes.out
    );
}

#[test]
fn everything_that_cannot_be_replayed_is_said_and_is_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "ok.yaml",
        &policies("https://upstream.example/simple/", NEW),
    );
    write("bad.yaml", "indexes: { shop/all: { bases: root/no } }\n");
    write("r.txt", "sieve==2.0\n");
    write("bad.lock", "version = [\n");
    write("other.lock", "[[thing]]\nname = \"x\"\n");
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("damaged")).unwrap();
    write("damaged/journal.sqlite", &"no database at all ".repeat(100));
    let table: [(&[&str], &str); 8] = [
        (
            &["ok.yaml", "ok.yaml", "--data", "empty"],
            "there is no journal at empty/journal.sqlite",
        ),
        (
            &["ok.yaml", "ok.yaml", "--data", "nowhere"],
            "nowhere: not found",
        ),
        (&["ok.yaml", "ok.yaml", "--data", "damaged"], "journal"),
        (
            &["bad.yaml", "ok.yaml", "--data", "empty", "--lock", "r.txt"],
            "unknown base \"root/no\"",
        ),
        (
            &["ok.yaml", "none.yaml", "--data", "empty", "--lock", "r.txt"],
            "none.yaml",
        ),
        (
            &[
                "ok.yaml", "ok.yaml", "--data", "empty", "--lock", "bad.lock",
            ],
            "bad.lock:",
        ),
        (
            &[
                "ok.yaml",
                "ok.yaml",
                "--data",
                "empty",
                "--lock",
                "other.lock",
            ],
            "other.lock",
        ),
        (
            &[
                "ok.yaml", "ok.yaml", "--data", "empty", "--lock", "r.txt", "--index", "shop/no",
            ],
            "there is no index shop/no",
        ),
    ];
    for (arguments, words) in table {
        let ran = run(folder.path(), &[&["diff"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
    }
}
