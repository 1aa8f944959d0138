//! What people of five installations type, with the real clients, against one door (deployments in
//! docs: stable, staging and develop; a company index; promotion; publishing tools).
//!
//! Each row is one thing typed and what has to come of it. The rows of a table run in order, since
//! later ones need what earlier ones made; the table is printed with the outcome of each.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::support::{Client, DevpiServer, Tool, Wheel, sdist};

/// Rows and how each came out.
#[derive(Default)]
struct Table {
    rows: Vec<(&'static str, &'static str, bool)>,
}

impl Table {
    fn row(&mut self, row: &'static str, client: &'static str, work: impl FnOnce()) {
        let held = catch_unwind(AssertUnwindSafe(work)).is_ok();
        self.rows.push((row, client, held));
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for (row, client, held) in &self.rows {
            println!(
                "{row:<6} {client:<14} {}",
                if *held { "works" } else { "FAILS" }
            );
        }
        let failed = self.rows.iter().filter(|(_, _, held)| !held).count();
        assert!(failed == 0, "{failed} rows fail");
    }
}

/// A client of its own for each tool, with the two files of a release in its folder.
fn client(tool: Tool) -> Client {
    let client = Client::fresh(tool);
    let wheel = Wheel::new("acme-tool", "1.0");
    fs::write(client.folder().join(wheel.filename()), wheel.build()).unwrap();
    let (name, content) = sdist("acme-tool", "1.0");
    fs::write(client.folder().join(name), content).unwrap();
    client
}

fn files(client: &Client) -> Vec<String> {
    let entries = fs::read_dir(client.folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| name.ends_with(".whl") || name.ends_with(".gz"))
        .collect();
    names.sort();
    names
}

#[test]
fn stable_staging_and_develop_as_their_people_type_it() {
    let server = DevpiServer::start();
    let devpi = client(Tool::Devpi);
    let release = files(&devpi);
    let upload: Vec<&str> = ["upload"]
        .into_iter()
        .chain(release.iter().map(String::as_str))
        .collect();
    let url = server.url().trim_end_matches('/');
    let mut table = Table::default();
    table.row("D1.1", "devpi", || {
        devpi.run(&["use", url]).succeeds();
        devpi
            .run(&["login", "root", "--password", ""])
            .succeeds()
            .says("logged in 'root'");
    });
    table.row("D1.2", "devpi", || {
        let user = [
            "user",
            "-c",
            "packages",
            "email=p@acme.example",
            "password=pw",
        ];
        devpi.run(&user).succeeds().says("user created: packages");
        devpi.run(&["user", "-l"]).succeeds().says("packages");
        devpi
            .run(&["login", "packages", "--password", "pw"])
            .succeeds();
    });
    table.row("D1.3", "devpi", || {
        devpi
            .run(&["index", "-c", "packages/stable", "volatile=False"])
            .succeeds();
        for name in ["packages/staging", "packages/develop"] {
            let index = [
                "index",
                "-c",
                name,
                "bases=packages/stable",
                "volatile=True",
            ];
            devpi.run(&index).succeeds().says("bases=packages/stable");
        }
    });
    table.row("D1.6", "devpi", || {
        devpi
            .run(&["use", "packages/staging"])
            .succeeds()
            .says("packages/staging");
        devpi.run(&upload).succeeds();
        devpi
            .run(&["list", "acme-tool"])
            .succeeds()
            .says("acme_tool-1.0");
    });
    table.row("D4.3", "devpi", || {
        let push = ["push", "acme-tool==1.0", "packages/stable"];
        devpi.run(&push).succeeds().says("store_releasefile");
        // Identical files on a non-volatile target count as done.
        devpi.run(&push).succeeds();
    });
    table.row("D1.7", "devpi", || {
        devpi.run(&["remove", "-y", "acme-tool==1.0"]).succeeds();
        devpi.run(&["use", "packages/stable"]).succeeds();
        devpi
            .run(&["remove", "-y", "acme-tool"])
            .says("is on non-volatile index packages/stable");
    });
    table.row("D1.8", "devpi", || {
        devpi
            .run(&["index", "--list"])
            .succeeds()
            .says("packages/develop");
        devpi
            .run(&["getjson", "/packages/develop"])
            .succeeds()
            .says("indexconfig");
    });
    table.row("D2.7", "devpi", || {
        devpi
            .run(&["index", "packages/stable", "acl_upload=packages,u1"])
            .succeeds();
        let more = ["index", "/packages/stable", "acl_upload+=u2"];
        devpi
            .run(&more)
            .succeeds()
            .says("acl_upload=packages,u1,u2");
        let less = ["index", "packages/stable", "acl_upload-=u1"];
        devpi.run(&less).succeeds().says("acl_upload=packages,u2");
    });
    table.row("D2.5", "devpi", || {
        devpi.run(&["login", "root", "--password", ""]).succeeds();
        devpi
            .run(&["user", "-c", "guest", "password=guest"])
            .succeeds();
        devpi
            .run(&["getjson", "/guest"])
            .succeeds()
            .says("userconfig");
        devpi
            .run(&["user", "guest", "-y", "--delete"])
            .succeeds()
            .says("user deleted: guest");
    });
    table.row("D2.4", "devpi", || {
        devpi
            .run(&["user", "-m", "root", "password=123"])
            .succeeds();
        devpi
            .run(&["login", "root", "--password", "123"])
            .succeeds();
    });
    table.row("D1.5", "pip", || {
        let pip = Client::fresh(Tool::Pip);
        pip.install(&format!("{url}/packages/stable"), &["acme-tool==1.0"])
            .succeeds();
    });
    table.row("D1.5", "uv", || {
        let uv = Client::fresh(Tool::Uv);
        uv.install(
            &format!("{url}/packages/stable/+simple/"),
            &["acme-tool==1.0"],
        )
        .succeeds();
    });
}

#[test]
fn every_publishing_tool_brings_its_files() {
    let server = DevpiServer::start();
    let url = server.url().trim_end_matches('/');
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", url]).succeeds();
    devpi.run(&["user", "-c", "me", "password=pw"]).succeeds();
    devpi.run(&["login", "me", "--password", "pw"]).succeeds();
    let mut table = Table::default();
    for name in ["twine", "uv", "flit"] {
        devpi
            .run(&["index", "-c", name, "volatile=False"])
            .succeeds();
    }
    table.row("D1.4", "twine", || {
        let twine = client(Tool::Twine);
        let release = files(&twine);
        for repository in [format!("{url}/me/twine"), format!("{url}/me/twine/")] {
            let mut upload = vec!["upload", "--non-interactive", "-u", "me", "-p", "pw"];
            upload.extend(["--repository-url", &repository]);
            upload.extend(release.iter().map(String::as_str));
            // The second time the files are there, and are the same.
            twine.run(&upload).succeeds();
        }
    });
    table.row("D1.4", "uv publish", || {
        let uv = client(Tool::Uv)
            .with("UV_PUBLISH_USERNAME", "me")
            .with("UV_PUBLISH_PASSWORD", "pw");
        let release = files(&uv);
        let repository = format!("{url}/me/uv/");
        let mut publish = vec!["publish", "--publish-url", &repository];
        publish.extend(release.iter().map(String::as_str));
        uv.run(&publish).succeeds();
    });
    table.row("D3.4", "flit publish", || {
        let flit = Client::fresh(Tool::Flit).with("FLIT_PASSWORD", "pw");
        flit.write("acme_tool.py", "\"\"\"A tool.\"\"\"\n__version__ = \"1.0\"\n");
        flit.write("pyproject.toml", FLIT_PROJECT);
        let pypirc = format!(
            "[distutils]\nindex-servers =\n    acme\n\n[acme]\nrepository = {url}/me/flit\nusername = me\n"
        );
        flit.write("pypirc", &pypirc);
        let publish =
            ["publish", "--pypirc", "pypirc", "--repository", "acme", "--no-use-vcs"];
        flit.run(&publish).succeeds();
    });
    for (index, client) in [("twine", "pip"), ("uv", "pip"), ("flit", "pip")] {
        table.row("D3.5", client, || {
            let pip = Client::fresh(Tool::Pip);
            pip.install(&format!("{url}/me/{index}"), &["acme-tool"])
                .succeeds();
        });
    }
}

const FLIT_PROJECT: &str = r#"
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"

[project]
name = "acme_tool"
dynamic = ["version", "description"]
"#;
