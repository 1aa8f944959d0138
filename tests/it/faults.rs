//! What goes wrong with the machine × what clients see × whether it heals without a restart.
//!
//! Each part is a table: bytes in `files` and `room`, records in `records`, data that the disk has
//! changed in `damage`, `copies` and `verified`.

mod belonging;
mod copies;
mod damage;
mod files;
mod records;
mod room;
mod verified;

use crate::support::{Disk, Form, Program, ask};

/// One index that takes uploads from everybody.
const POLICIES: &str = "
indexes:
  packages/stable: { volatile: false, acl_upload: [':ANONYMOUS:'] }
";

/// A gateway on this disk.
fn gateway(disk: &Disk) -> Program {
    Program::with_policies(POLICIES).on(disk).start()
}

/// Uploads a release of `hello-pkg` to packages/stable.
fn upload(gateway: &Program, version: &str) -> ask::Answer {
    Form::of_wheel("hello-pkg", version)
        .post(&format!("{}packages/stable/", gateway.manage_url()))
        .unwrap()
}

/// How many files of `hello-pkg` the public door lists.
fn listed(gateway: &Program) -> usize {
    let page = format!("{}hello-pkg/", gateway.index_url("packages/stable"));
    let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
    let page = ask::send("GET", &page, &accept, b"").unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    page.json()["files"].as_array().unwrap().len()
}
