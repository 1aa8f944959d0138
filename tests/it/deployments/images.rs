//! D5: images of server and client, and what their users type.

use super::table::Table;
use super::{localhost, upstream, write_at_home};
use crate::support::{Client, DevpiServer, Tool, Wheel};

const PASSWORD: &str = "from-the-environment";

pub(super) fn rows(table: &Table) {
    let index = upstream();
    // Like the image's start script: the folder is created, then served with the extra arguments.
    let launch = DevpiServer::with()
        .environment("DEVPI_PASSWORD", PASSWORD)
        .environment("CHEESECLOTH_MIRROR_URL", index.url().as_str())
        .server(&["--threads", "4", "--debug"]);
    let mut server = launch.start();
    let url = localhost(server.url());
    let devpi = Client::fresh(Tool::Devpi);
    table.row("D5.1", "devpi", || {
        devpi.run(&["use", &url]).succeeds();
        devpi.run(&["login", "root", "--password", ""]).fails();
        devpi
            .run(&["login", "root", "--password", PASSWORD])
            .succeeds();
    });
    table.row("D5.3", "devpi", || {
        // What the client's image does with DEVPI_URL, DEVPI_USER and DEVPI_PASSWORD.
        let client = Client::fresh(Tool::Devpi).with("DEVPI_USER", "root");
        client.run(&["use", &format!("{url}/root/pypi")]).succeeds();
        client
            .run(&["login", "root", &format!("--password={PASSWORD}")])
            .succeeds();
        client.run(&["use"]).succeeds().says("(logged in as root)");
    });
    table.row("D5.4", "pip", || from_the_mirror(&url));
    table.row("D5.5", "devpi, pip", || private_package(&devpi, &url));
    table.row("D5.2", "devpi, pip", || {
        server.restart(&launch);
        devpi
            .run(&["use", "local/stable"])
            .succeeds()
            .says("(logged in as local)");
        devpi.run(&["list"]).succeeds().says("private-package");
        from_the_mirror(&url);
        installs_private(&url);
    });
    table.elsewhere("D5.6", "the tests of import and export");
    table.elsewhere("D5.7", "deploy: the images' stages debian and alpine");
}

fn from_the_mirror(url: &str) {
    let pip = Client::fresh(Tool::Pip);
    let index = format!("{url}/root/pypi");
    pip.run(&["install", "--target", "out", "-i", &index, "simplejson"])
        .succeeds();
    let pip = Client::fresh(Tool::Pip);
    let conf = format!("[global]\nindex-url = {url}/root/pypi\n");
    write_at_home(&pip, ".config/pip/pip.conf", &conf);
    let home = pip.home().to_owned();
    let pip = pip.at_home_in(&home);
    pip.run(&["install", "--target", "out", "simplejson"])
        .succeeds();
}

fn private_package(devpi: &Client, url: &str) {
    devpi
        .run(&["user", "-c", "local", "password=pw"])
        .succeeds();
    devpi.run(&["login", "local", "--password=pw"]).succeeds();
    let create = [
        "index",
        "-c",
        "local/stable",
        "bases=root/pypi",
        "volatile=False",
    ];
    devpi.run(&create).succeeds();
    devpi.run(&["use", "local/stable"]).succeeds();
    let wheel = Wheel::new("private_package", "0.1.0");
    assert_eq!(wheel.filename(), "private_package-0.1.0-py3-none-any.whl");
    std::fs::write(devpi.folder().join(wheel.filename()), wheel.build()).unwrap();
    devpi
        .run(&["upload", "private_package-0.1.0-py3-none-any.whl"])
        .succeeds();
    installs_private(url);
}

fn installs_private(url: &str) {
    let pip = Client::fresh(Tool::Pip);
    let index = format!("{url}/local/stable");
    pip.run(&[
        "install",
        "--target",
        "out",
        "-i",
        &index,
        "private_package",
    ])
    .succeeds();
}
