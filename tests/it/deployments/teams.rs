//! D4: one or two indexes per team over a shared pool, QA between them, and other departments
//! beside them.

use super::table::Table;
use super::{localhost, release, typed, upstream, with_release};
use crate::support::{
    Client, Devpi, DevpiServer, FakeIndex, Program, Project, Setup, Tool, Wheel, command,
};

const IN_YAML: &str = include_str!("../../../policies/teams.yaml");

pub(super) fn rows(table: &Table) {
    let index = upstream();
    let launch = DevpiServer::with().environment("CHEESECLOTH_MIRROR_URL", index.url().as_str());
    let mut server = launch.start();
    let url = localhost(server.url());
    let devpi = with_release(Tool::Devpi);
    table.row("D4.1", "devpi", || pool(&devpi, &url));
    table.row("D4.1", "devpi (YAML)", || in_yaml(&index));
    table.row("D4.2", "devpi, pip", || kept_whitelist(&devpi, &url));
    table.row("D4.3", "devpi push", || through_qa(&devpi));
    table.row("D4.4", "devpi, pip", || {
        log_in(&devpi, "team");
        devpi.run(&["use", "shared/reviewed"]).succeeds();
        let upload = devpi.run(&typed(&["upload"], &release(&devpi)));
        upload.fails().says("no permission to submit");
        let elsewhere = Setup::default()
            .project(Project::new("acme-parts").wheel("2.0"))
            .start();
        let mirror = format!("mirror_url={}", elsewhere.url());
        devpi
            .run(&["index", "-c", "team/elsewhere", "type=mirror", &mirror])
            .succeeds();
        installs(&format!("{url}/team/elsewhere"), &["acme-parts"]);
    });
    table.row("D4.6", "pip (cheesecloth)", || {
        let other = Program::with_policies(IN_YAML)
            .mirroring(index.url().as_str())
            .start();
        let mirror = format!("mirror_url={}shared/stable/+simple/", other.public_url());
        devpi
            .run(&["index", "-c", "team/department", "type=mirror", &mirror])
            .succeeds();
        devpi
            .run(&["index", "-c", "team/both", "bases=team/dev,team/department"])
            .succeeds();
        installs(&format!("{url}/team/both"), &["acme-tool", "simplejson"]);
    });
    table.row("D4.6", "pip (devpi-server)", || another_devpi(&devpi, &url));
    table.row("D4.5", "warm, pip (offline)", || {
        devpi.write("requirements.txt", "flask==3.1\n");
        let mut warm = command();
        warm.args([
            "warm",
            "requirements.txt",
            "--index",
            "team/dev",
            "--url",
            &url,
        ]);
        let warmed = warm.current_dir(devpi.folder()).output().unwrap();
        assert!(warmed.status.success(), "{warmed:?}");
        server.restart(&launch.clone().server(&["--offline-mode"]));
        installs(&format!("{url}/team/dev"), &["acme-tool", "flask==3.1"]);
    });
}

fn log_in(devpi: &Client, user: &str) {
    devpi.run(&["login", user, "--password", "pw"]).succeeds();
}

fn installs(index: &str, requirements: &[&str]) {
    Client::fresh(Tool::Pip)
        .install(index, requirements)
        .succeeds();
}

/// The pool and one team, created through the API.
fn pool(devpi: &Client, url: &str) {
    devpi.run(&["use", url]).succeeds();
    for user in ["shared", "team", "qa"] {
        devpi.run(&["user", "-c", user, "password=pw"]).succeeds();
    }
    log_in(devpi, "shared");
    for line in [
        &["thirdparty-local", "bases=root/pypi"][..],
        &["reviewed", "acl_upload=qa"],
        &[
            "stable",
            "bases=shared/reviewed,shared/thirdparty-local",
            "acl_upload=",
        ],
    ] {
        devpi
            .run(&[&["index", "-c"], line, &["volatile=False"]].concat())
            .succeeds();
    }
    log_in(devpi, "team");
    devpi
        .run(&[
            "index",
            "-c",
            "stable",
            "bases=shared/stable",
            "volatile=False",
        ])
        .succeeds();
    devpi
        .run(&["index", "-c", "dev", "bases=team/stable", "volatile=True"])
        .succeeds();
    devpi.run(&["use", "team/dev"]).succeeds();
    devpi.run(&typed(&["upload"], &release(devpi))).succeeds();
    installs(&format!("{url}/team/dev"), &["acme-tool", "simplejson"]);
}

fn in_yaml(index: &FakeIndex) {
    let program = Program::with_policies(IN_YAML)
        .mirroring(index.url().as_str())
        .start();
    let devpi = Client::fresh(Tool::Devpi);
    devpi
        .run(&["use", &localhost(program.manage_url())])
        .succeeds();
    let list = devpi.run(&["index", "--list", "shared"]).succeeds();
    list.says("shared/reviewed shared/stable shared/thirdparty-local");
    installs(
        &format!("{}team/dev", program.public_url()),
        &["simplejson"],
    );
}

/// A patched project with the name of an upstream one, and the setting that shows both, under its
/// current name and its former one.
fn kept_whitelist(devpi: &Client, url: &str) {
    log_in(devpi, "shared");
    devpi.run(&["use", "shared/thirdparty-local"]).succeeds();
    let patched = Wheel::new("lxml", "5.0");
    let path = devpi.home().join(patched.filename());
    std::fs::write(&path, patched.build()).unwrap();
    devpi
        .run(&["upload", &path.display().to_string()])
        .succeeds();
    let sees = |version: &str| {
        let pip = Client::fresh(Tool::Pip);
        let index = format!("{url}/shared/thirdparty-local");
        pip.install(&index, &["lxml"])
            .succeeds()
            .says(&format!("lxml-{version}"));
    };
    sees("5.0");
    for key in ["mirror_whitelist", "pypi_whitelist"] {
        for (value, version) in [("lxml", "6.0"), ("*", "6.0"), ("", "5.0")] {
            let change = format!("{key}={value}");
            devpi
                .run(&["index", "shared/thirdparty-local", &change])
                .succeeds();
            sees(version);
        }
    }
}

fn through_qa(devpi: &Client) {
    let push = ["push", "acme-tool==1.0", "shared/reviewed"];
    log_in(devpi, "team");
    devpi.run(&["use", "team/dev"]).succeeds();
    devpi
        .run(&push)
        .fails()
        .says("user 'team' cannot upload to 'shared/reviewed'");
    log_in(devpi, "qa");
    devpi.run(&["use", "team/dev"]).succeeds();
    // Pushing identical files to a non-volatile target succeeds.
    for _ in 0..2 {
        devpi.run(&push).succeeds().says("store_releasefile");
    }
    devpi.run(&["use", "shared/stable"]).succeeds();
    devpi
        .run(&["list", "acme-tool"])
        .succeeds()
        .says("shared/reviewed/+f/");
}

/// Another department's devpi-server, used as a mirror.
fn another_devpi(devpi: &Client, url: &str) {
    let department = Devpi::primary();
    let theirs = with_release(Tool::Devpi);
    theirs.run(&["use", &department.url()]).succeeds();
    theirs.run(&["login", "root", "--password", ""]).succeeds();
    theirs.run(&["index", "-c", "root/theirs"]).succeeds();
    theirs.run(&["use", "root/theirs"]).succeeds();
    let wheel = Wheel::new("acme-theirs", "1.0");
    theirs.write(&wheel.filename(), "");
    std::fs::write(theirs.folder().join(wheel.filename()), wheel.build()).unwrap();
    theirs.run(&["upload", &wheel.filename()]).succeeds();
    log_in(devpi, "team");
    let mirror = format!("mirror_url={}root/theirs/+simple/", department.url());
    devpi
        .run(&["index", "-c", "team/theirs", "type=mirror", &mirror])
        .succeeds();
    devpi
        .run(&["index", "-c", "team/all", "bases=team/dev,team/theirs"])
        .succeeds();
    installs(&format!("{url}/team/all"), &["acme-theirs", "acme-tool"]);
}
