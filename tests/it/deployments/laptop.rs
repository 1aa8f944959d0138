//! D3: a laptop with one port that does everything, and the two doors beside it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::publishing::flit_project;
use super::table::Table;
use super::{localhost, upstream, write_at_home};
use crate::support::{Client, DevpiServer, Program, Tool, command};

pub(super) fn rows(table: &Table) {
    let index = upstream();
    table.elsewhere(
        "D3.1",
        "deploy: systemd and supervisor take the files as they are",
    );
    table.row("D3.2", "serve", host_and_port);
    let server = DevpiServer::with()
        .environment("CHEESECLOTH_MIRROR_URL", index.url().as_str())
        .start();
    let url = localhost(server.url());
    let devpi = Client::fresh(Tool::Devpi);
    table.row("D3.3", "devpi", || {
        devpi.run(&["use", &url]).succeeds();
        devpi.run(&["user", "-c", "me", "password=pw"]).succeeds();
        devpi.run(&["login", "me", "--password=pw"]).succeeds();
        devpi
            .run(&["index", "-c", "dev", "bases=root/pypi"])
            .succeeds();
        devpi
            .run(&["use", "me/dev"])
            .succeeds()
            .says(&format!("{url}/me/dev (logged in as me)"));
    });
    table.row("D3.4", "flit publish", || {
        let flit = flit_project();
        let pypirc = format!(
            "[distutils]\nindex-servers =\n    x\n\n[x]\nrepository = {url}/me/dev\nusername = me\n"
        );
        write_at_home(&flit, ".pypirc", &pypirc);
        flit.run(&["publish", "--repository", "x", "--no-use-vcs"])
            .succeeds();
    });
    table.row("D3.5", "pip (M)", || install(&format!("{url}/me/dev")));
    table.row("D3.5", "pip (P)", || {
        // The public door of a gateway that mirrors the laptop's index.
        let mirror = format!("{url}/me/dev/+simple/");
        let public = Program::without_policies().mirroring(&mirror).start();
        install(&format!("{}root/pypi", public.public_url()));
    });
}

fn install(index: &str) {
    let pip = Client::fresh(Tool::Pip);
    pip.run(&[
        "install",
        "--target",
        "out",
        "-i",
        index,
        "acme_tool",
        "simplejson",
    ])
    .succeeds();
}

/// `serve --host=… --port=…`: the public door's address, spelled as for devpi-server.
fn host_and_port() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command();
    serve
        .args([
            "serve",
            "--host=127.0.0.1",
            "--port=0",
            "--manage=off",
            "--metrics=off",
        ])
        .current_dir(folder.path())
        .env("CHEESECLOTH_MIRROR_URL", "https://upstream.example/simple/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = serve.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.map_while(Result::ok).next();
    child.kill().unwrap();
    child.wait().unwrap();
    let first = first.unwrap_or_default();
    assert!(first.starts_with("public http://127.0.0.1:"), "{first}");
}
