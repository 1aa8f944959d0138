//! Every tool that publishes, each to its own index, and pip installing from there.

use std::fs;

use super::table::Table;
use super::{legacy_project, localhost, release, typed, with_release, write_at_home};
use crate::support::{Client, DevpiServer, Tool};

/// The same project for every tool that builds by itself.
const PROJECT: &str = r#"
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"

[project]
name = "acme_tool"
version = "1.0"
description = "A tool."
"#;

/// The index, the client, and how the client publishes to a repository.
type Publishing = (&'static str, &'static str, fn(&str));

pub(super) fn rows(table: &Table) {
    let server = DevpiServer::start();
    let url = localhost(server.url());
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", &url]).succeeds();
    devpi.run(&["user", "-c", "me", "password=pw"]).succeeds();
    devpi.run(&["login", "me", "--password", "pw"]).succeeds();
    let tools: [Publishing; 6] = [
        ("twine", "twine upload", by_twine),
        ("uv", "uv publish", by_uv),
        ("flit", "flit publish", by_flit),
        ("poetry", "poetry publish", by_poetry),
        ("hatch", "hatch publish", by_hatch),
        ("setuptools", "setup.py upload", by_setuptools),
    ];
    for (index, client, publish) in tools {
        devpi
            .run(&["index", "-c", index, "volatile=False"])
            .succeeds();
        let repository = format!("{url}/me/{index}");
        table.row("D1.4", client, || {
            publish(&repository);
            let pip = Client::fresh(Tool::Pip);
            pip.install(&repository, &["acme-tool==1.0"]).succeeds();
        });
    }
}

fn by_twine(repository: &str) {
    let twine = with_release(Tool::Twine);
    let files = release(&twine);
    let words = [
        "upload",
        "--non-interactive",
        "-u",
        "me",
        "-p",
        "pw",
        "--repository-url",
    ];
    // The second upload finds identical files, and succeeds.
    for repository in [repository.to_owned(), format!("{repository}/")] {
        twine
            .run(&typed(&[&words[..], &[&repository]].concat(), &files))
            .succeeds();
    }
}

fn by_uv(repository: &str) {
    let uv = with_release(Tool::Uv)
        .with("UV_PUBLISH_USERNAME", "me")
        .with("UV_PUBLISH_PASSWORD", "pw");
    let files = release(&uv);
    uv.run(&typed(&["publish", "--publish-url", repository], &files))
        .succeeds();
    let page = format!("{repository}/+simple/");
    let again = ["publish", "--publish-url", repository, "--check-url", &page];
    uv.run(&typed(&again, &files))
        .succeeds()
        .says("already exists");
}

pub(super) fn flit_project() -> Client {
    let flit = Client::fresh(Tool::Flit).with("FLIT_PASSWORD", "pw");
    flit.write(
        "acme_tool.py",
        "\"\"\"A tool.\"\"\"\n__version__ = \"1.0\"\n",
    );
    flit.write("pyproject.toml", PROJECT);
    flit
}

fn by_flit(repository: &str) {
    let flit = flit_project();
    let pypirc = format!(
        "[distutils]\nindex-servers =\n    acme\n\n[acme]\nrepository = {repository}\nusername = me\n"
    );
    flit.write("pypirc", &pypirc);
    let publish = [
        "publish",
        "--pypirc",
        "pypirc",
        "--repository",
        "acme",
        "--no-use-vcs",
    ];
    flit.run(&publish).succeeds();
}

fn by_poetry(repository: &str) {
    let poetry = with_release(Tool::Poetry);
    poetry.write("pyproject.toml", PROJECT);
    fs::create_dir(poetry.folder().join("dist")).unwrap();
    for file in release(&poetry) {
        fs::rename(
            poetry.folder().join(&file),
            poetry.folder().join("dist").join(&file),
        )
        .unwrap();
    }
    poetry
        .run(&["config", "repositories.acme", repository])
        .succeeds();
    poetry
        .run(&["publish", "-r", "acme", "-u", "me", "-p", "pw"])
        .succeeds();
}

fn by_hatch(repository: &str) {
    let hatch = with_release(Tool::Hatch);
    hatch.write("pyproject.toml", PROJECT);
    let files = release(&hatch);
    let publish = ["publish", "-n", "-r", repository, "-u", "me", "-a", "pw"];
    hatch.run(&typed(&publish, &files)).succeeds();
}

fn by_setuptools(repository: &str) {
    let project = legacy_project("acme-tool");
    let pypirc = format!(
        "[distutils]\nindex-servers = acme\n\n[acme]\nrepository = {repository}\nusername = me\npassword = pw\n"
    );
    write_at_home(&project, ".pypirc", &pypirc);
    let upload = ["setup.py", "sdist", "bdist_wheel", "upload", "-r", "acme"];
    project
        .run(&upload)
        .succeeds()
        .says("Server response (200)");
}
