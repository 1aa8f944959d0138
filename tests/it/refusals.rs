//! What a policy looks like to the real pip, uv and poetry: which version they choose, what they
//! print.
//!
//! The program's clock is the real one, so upload times are relative to now.

use std::time::{Duration, SystemTime};

use cheesecloth::testing::model::Sha256;

use super::support::{
    Client, FakeIndex, Listed, Program, Project, Setup, Tool, Wheel, poetry_project,
};

const TOOLS: [Tool; 3] = [Tool::Pip, Tool::Uv, Tool::Poetry];

/// The reason of the rule that denies.
const REASON: &str = "its holes are too large, ask the dairy";

/// A page with two versions of `sieve`: one a month old, and one from yesterday.
fn dairy() -> FakeIndex {
    let sieve = |version, days| {
        Listed::wheel(&Wheel::new("sieve", version), version).uploaded(&days_ago(days))
    };
    let sieves = Project::new("sieve")
        .file(sieve("1.0", 30))
        .file(sieve("2.0", 1));
    Setup::default()
        .project(sieves)
        .project(Project::new("mould").wheel("1.0"))
        .start()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test goes by the real clock too"
)]
fn days_ago(days: u64) -> String {
    let at = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    jiff::Timestamp::try_from(at).unwrap().to_string()
}

/// `shop/all` over a mirror of `upstream`, with one rule.
fn shop(upstream: &FakeIndex, on_block: &str, rule: &str) -> String {
    format!(
        r#"
indexes:
  root/dairy: {{ type: mirror, mirror_url: "{}" }}
  shop/all: {{ bases: [root/dairy], policy: house }}
policies:
  house:
    on_block: {on_block}
    rules:
      - {rule}
"#,
        upstream.url()
    )
}

fn no_large_holes() -> String {
    format!("deny: {{ project: sieve, versions: '>=2', reason: '{REASON}' }}")
}

/// The version of `sieve` that a fresh client chooses when it is free to.
#[track_caller]
fn choice(tool: Tool, index: &str) -> String {
    let client = Client::fresh(tool);
    let (written, before, after) = match tool {
        Tool::Pip | Tool::Uv => {
            client.install(index, &["sieve"]).succeeds();
            (
                client.read("out/sieve/__init__.py"),
                "__version__ = \"",
                "\"",
            )
        }
        Tool::Poetry => {
            client.write("pyproject.toml", &poetry_project(index, "sieve = \"*\""));
            client.run(&["lock"]).succeeds();
            (
                client.read("poetry.lock"),
                "name = \"sieve\"\nversion = \"",
                "\"",
            )
        }
        Tool::Devpi
        | Tool::Twine
        | Tool::Flit
        | Tool::Hatch
        | Tool::Setuptools
        | Tool::DevpiSuite
        | Tool::DevpiServer
        | Tool::Playwright
        | Tool::S3
        | Tool::Attestations => {
            panic!("{} chooses no versions", tool.name())
        }
    };
    let version = written
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(after));
    let (version, _) = version.unwrap_or_else(|| panic!("no version in {written}"));
    version.to_owned()
}

#[test]
fn without_a_policy_every_client_takes_the_newest_version() {
    let dairy = dairy();
    for tool in TOOLS {
        assert_eq!(choice(tool, dairy.url().as_str()), "2.0", "{tool:?}");
    }
}

#[test]
fn pip_and_uv_say_why_a_pinned_version_is_denied() {
    let dairy = dairy();
    let shop = Program::with_policies(&shop(&dairy, "yank", &no_large_holes())).start();
    for tool in [Tool::Pip, Tool::Uv] {
        let pinned = Client::fresh(tool).install(&shop.index_url("shop/all"), &["sieve==2.0"]);
        pinned.fails().says(REASON);
    }
}

#[test]
fn an_unpinned_requirement_falls_back_to_an_allowed_version() {
    let dairy = dairy();
    for on_block in ["hide", "yank"] {
        let shop = Program::with_policies(&shop(&dairy, on_block, &no_large_holes())).start();
        for tool in TOOLS {
            let allowed = choice(tool, &shop.index_url("shop/all"));
            assert_eq!(allowed, "1.0", "{tool:?}, on_block: {on_block}");
        }
    }
}

#[test]
fn a_cool_down_of_seven_days_holds_for_every_client() {
    let dairy = dairy();
    let rule = format!("deny: {{ younger_than: 7d, reason: '{REASON}' }}");
    let shop = Program::with_policies(&shop(&dairy, "hide", &rule)).start();
    for tool in TOOLS {
        assert_eq!(choice(tool, &shop.index_url("shop/all")), "1.0", "{tool:?}");
    }
    // Six days are not enough, eight are: the rule counts from the upload.
    dairy.change(|setup| {
        let of_age = |version, days| {
            let wheel = Wheel::new("rind", version);
            Listed::wheel(&wheel, version).uploaded(&days_ago(days))
        };
        setup.project(
            Project::new("rind")
                .file(of_age("1.0", 8))
                .file(of_age("2.0", 6)),
        )
    });
    let pip = Client::fresh(Tool::Pip);
    pip.install(&shop.index_url("shop/all"), &["rind"])
        .succeeds();
    assert!(pip.read("out/rind/__init__.py").contains("\"1.0\""));
}

#[test]
fn uv_shows_the_reason_of_a_yank_by_policy() {
    let dairy = dairy();
    let rule = format!("deny: {{ project: sieve, size_over: 1B, reason: '{REASON}' }}");
    let shop = Program::with_policies(&shop(&dairy, "yank", &rule)).start();
    // Nothing is pinned, so no file is requested: the reason comes from the page.
    let uv = Client::fresh(Tool::Uv);
    uv.install(&shop.index_url("shop/all"), &["sieve"])
        .fails()
        .says(REASON);
    assert_eq!(dairy.journal().count("/files/"), 0);
}

#[test]
fn uv_says_why_a_whole_project_is_denied_and_its_name_goes_nowhere() {
    let dairy = dairy();
    let rule = format!("deny: {{ project: mould, reason: '{REASON}' }}");
    let shop = Program::with_policies(&shop(&dairy, "hide", &rule)).start();
    let index = shop.index_url("shop/all");
    Client::fresh(Tool::Uv)
        .install(&index, &["mould"])
        .fails()
        .says(REASON);
    Client::fresh(Tool::Pip).install(&index, &["mould"]).fails();
    assert_eq!(dairy.journal().count("/simple/mould"), 0);
}

#[test]
fn a_uv_lock_that_names_a_denied_file_is_refused_with_the_reason() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let project = "[project]\nname = \"larder\"\nversion = \"1\"\nrequires-python = \">=3.10\"\n\
                   dependencies = [\"sieve\"]\n";
    let everything = "allow: { project: sieve }";
    let open = Program::with_policies(&shop(&dairy, "hide", everything))
        .data(data.path())
        .start();
    let index = open.index_url("shop/all");
    let uv = Client::fresh(Tool::Uv);
    uv.write("pyproject.toml", project);
    uv.run(&["lock", "--default-index", &index]).succeeds();
    let lock = uv.read("uv.lock");
    assert!(lock.contains("sieve-2.0-py3-none-any.whl"), "{lock}");

    let strict = Program::with_policies(&shop(&dairy, "hide", &no_large_holes()));
    let strict = strict.data(data.path()).in_place_of(&open);
    let status = open.stop();
    assert!(status.success(), "{status}");
    let strict = strict.start();
    assert_eq!(
        strict.index_url("shop/all"),
        index,
        "the lock's URLs lead elsewhere"
    );
    let uv = Client::fresh(Tool::Uv);
    uv.write("pyproject.toml", project);
    uv.write("uv.lock", &lock);
    uv.run(&["sync", "--frozen", "--default-index", &index])
        .fails()
        .says(REASON);
}

#[test]
fn requirements_with_hashes_that_name_a_denied_file_are_refused_with_the_reason() {
    let dairy = dairy();
    let wheel = Wheel::new("sieve", "2.0");
    let digest = Sha256::of(&wheel.build()).to_hex();
    for on_block in ["hide", "yank"] {
        let shop = Program::with_policies(&shop(&dairy, on_block, &no_large_holes())).start();
        let (folder, rest) = (&digest[..3], &digest[3..16]);
        let file = format!(
            "{}shop/all/+f/{folder}/{rest}/{}",
            shop.public_url(),
            wheel.filename()
        );
        let by_url = format!("sieve @ {file} --hash=sha256:{digest}\n");
        let by_name = format!("sieve==2.0 --hash=sha256:{digest}\n");
        // Nobody can explain to pip a hidden version that is named without its URL.
        let explained = if on_block == "yank" {
            vec![by_url, by_name]
        } else {
            vec![by_url]
        };
        for requirements in explained {
            let pip = Client::fresh(Tool::Pip);
            pip.write("requirements.txt", &requirements);
            let locked = ["--require-hashes", "--requirement", "requirements.txt"];
            pip.install(&shop.index_url("shop/all"), &locked)
                .fails()
                .says(REASON);
        }
    }
}
