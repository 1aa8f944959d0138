//! What people do in a day, with their own tools.

use std::fs;

use super::{gateway, in_postgres, schema};
use crate::support::ask;
use crate::support::{Client, Cluster, Tool, Wheel};

#[test]
fn a_day_of_devpi_twine_and_pip_is_still_there_after_a_restart() {
    let cluster = Cluster::shared();
    let yaml = in_postgres(&schema(&cluster), "manage: { create_users: everyone }\n");
    let data = tempfile::tempdir().unwrap();
    let before = gateway(&yaml, data.path()).start();
    let url = before.manage_url().trim_end_matches('/').to_owned();
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", &url]).succeeds();
    devpi.run(&["user", "-c", "me", "password=pw"]).succeeds();
    devpi.run(&["login", "me", "--password", "pw"]).succeeds();
    devpi
        .run(&["index", "-c", "dev", "volatile=True"])
        .succeeds();
    devpi
        .run(&["index", "-c", "stable", "volatile=False"])
        .succeeds();
    let twine = Client::fresh(Tool::Twine);
    for version in ["1.0", "2.0"] {
        let wheel = Wheel::new("acme-tool", version);
        fs::write(twine.folder().join(wheel.filename()), wheel.build()).unwrap();
        let repository = format!("{url}/me/dev/");
        let name = wheel.filename();
        let words = ["upload", "--non-interactive", "-u", "me", "-p", "pw"];
        let place = ["--repository-url", &repository, &name];
        twine.run(&[&words[..], &place].concat()).succeeds();
    }
    let pip = Client::fresh(Tool::Pip);
    let from = before.index_url("me/dev");
    pip.install(&from, &["acme-tool==2.0"]).succeeds();
    devpi.run(&["use", "me/dev"]).succeeds();
    devpi
        .run(&["push", "acme-tool==1.0", "me/stable"])
        .succeeds();
    devpi.run(&["remove", "-y", "acme-tool==2.0"]).succeeds();
    let gone = format!("{url}/me/dev/acme-tool/2.0");
    assert_eq!(ask::get(&gone).unwrap().status, 404);
    assert!(!data.path().join("records.sqlite").exists());
    assert!(before.stop().success());

    let after = gateway(&yaml, data.path()).start();
    for index in ["me/stable", "me/dev"] {
        let pip = Client::fresh(Tool::Pip);
        let from = after.index_url(index);
        pip.install(&from, &["acme-tool==1.0"]).succeeds();
    }
    let url = after.manage_url().trim_end_matches('/').to_owned();
    assert_eq!(
        ask::get(&format!("{url}/me/dev/acme-tool/2.0"))
            .unwrap()
            .status,
        404
    );
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", &url]).succeeds();
    devpi.run(&["login", "me", "--password", "pw"]).succeeds();
    devpi.run(&["index", "-c", "later"]).succeeds();
}
