//! The real pip, uv and poetry against the real program.
//!
//! First against the index that this machine's pip uses, since only real projects have real pages;
//! then once more without any upstream, for which what each client fetched has to be enough.

use std::path::Path;

use super::support::{Client, Program, Tool, poetry_project};

/// The metric that the second run must not change.
const UPSTREAM_REQUESTS: &str = "cheesecloth_upstream_requests_total";

/// A web framework with its extras, an application of a hundred projects, a very frequent releaser.
const REAL: [&str; 3] = ["fastapi[standard]", "jupyterlab", "boto3"];

/// Runs `install` with two programs on the same data: one that may ask upstream, and one that may
/// not.
fn online_and_again_offline(install: impl Fn(&Program)) {
    let data = tempfile::tempdir().unwrap();
    let online = Program::without_policies().data(data.path()).start();
    install(&online);
    let asked = online.metric(UPSTREAM_REQUESTS);
    assert!(
        asked > Some(0.0),
        "{asked:?} upstream requests counted while online"
    );
    online.kill();

    let offline = Program::without_policies()
        .data(data.path())
        .offline()
        .start();
    install(&offline);
    let asked = offline.metric(UPSTREAM_REQUESTS).unwrap_or(0.0);
    assert!(asked == 0.0, "{asked} upstream requests while offline");
    let status = offline.stop();
    assert!(status.success(), "{status}");
}

#[track_caller]
fn assert_installed(folder: &Path) {
    for module in [
        "fastapi",
        "uvicorn",
        "jupyterlab",
        "notebook_shim",
        "boto3",
        "botocore",
    ] {
        assert!(folder.join(module).is_dir(), "{module} is not installed");
    }
}

#[test]
fn pip_installs_real_projects_and_again_with_the_upstream_gone() {
    online_and_again_offline(|program| {
        let pip = Client::fresh(Tool::Pip);
        // As deployment D1 spells it: neither `+simple` nor a slash at the end.
        let index = format!("{}root/pypi", program.public_url());
        pip.install(&index, &REAL).succeeds();
        assert_installed(&pip.folder().join("out"));
    });
}

#[test]
fn uv_installs_real_projects_and_again_with_the_upstream_gone() {
    online_and_again_offline(|program| {
        let uv = Client::fresh(Tool::Uv);
        uv.install(&program.index_url("root/pypi"), &REAL)
            .succeeds();
        assert_installed(&uv.folder().join("out"));
    });
}

#[test]
fn poetry_locks_a_real_project_and_again_with_the_upstream_gone() {
    online_and_again_offline(|program| {
        let poetry = Client::fresh(Tool::Poetry);
        let index = format!("{}simple/", program.public_url());
        let dependencies = "fastapi = { version = \"*\", extras = [\"standard\"] }";
        poetry.write("pyproject.toml", &poetry_project(&index, dependencies));
        poetry.run(&["lock"]).succeeds();
        let lock = poetry.read("poetry.lock");
        for name in ["fastapi", "uvicorn", "pydantic-core"] {
            assert!(
                lock.contains(&format!("name = \"{name}\"\n")),
                "{name} is not locked"
            );
        }
    });
}
