//! The data folder: no other user of the machine may read what would make them root of the gateway.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use super::super::support::{DevpiServer, Door, Form, Program, command};

const POLICIES: &str = "indexes: { root/acme: { bases: [], acl_upload: [':ANONYMOUS:'] } }\n";

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// Everything below a folder that others than its owner may access. Sockets have modes of their
/// own.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut open = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if mode(&folder) & 0o077 != 0 {
            open.push(format!("{} {:o}", folder.display(), mode(&folder)));
        }
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && mode(&entry.path()) & 0o077 != 0 {
                open.push(format!(
                    "{} {:o}",
                    entry.path().display(),
                    mode(&entry.path())
                ));
            }
        }
    }
    open
}

#[tokio::test]
async fn all_that_a_server_makes_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::with_policies(POLICIES).data(&data).start();
    let stored =
        Form::of_wheel("acme-tool", "1.0").post(&format!("{}root/acme/", program.manage_url()));
    assert_eq!(stored.unwrap().status, 200);
    let door = Door::at(program.manage_url());
    let made = door.ask("PUT", "/ci", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201);
    for name in [
        "records.sqlite",
        "records.sqlite-wal",
        "private",
        "audit.jsonl",
        "refusals.jsonl",
    ] {
        assert!(data.join(name).exists(), "{name}");
    }
    assert_eq!(open_to_others(&data), [""; 0]);
    assert!(program.stop().success());
    assert_eq!(open_to_others(&data), [""; 0]);

    let export = folder.path().join("export");
    let mut exporting = command();
    exporting
        .arg("export")
        .arg(&export)
        .arg("--data")
        .arg(&data);
    assert!(exporting.output().unwrap().status.success());
    assert_eq!(
        open_to_others(&export),
        [""; 0],
        "it holds the password hashes"
    );
}

/// The output of a command that succeeded.
fn run(arguments: &[&str], folders: &[&Path]) -> String {
    let mut command = command();
    for (word, folder) in arguments.iter().zip(folders.iter().map(Some).chain([None])) {
        command.arg(word).args(folder);
    }
    let done = command.output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(done.status.success(), "{said}");
    said
}

#[test]
fn a_backup_and_what_comes_back_from_it_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (data, kept, back) = (path("data"), path("kept"), path("back"));
    let program = Program::with_policies(POLICIES).data(&data).start();
    let stored =
        Form::of_wheel("acme-tool", "1.0").post(&format!("{}root/acme/", program.manage_url()));
    assert_eq!(stored.unwrap().status, 200);
    assert!(program.stop().success());
    fs::create_dir(&kept).unwrap();
    fs::set_permissions(&kept, Permissions::from_mode(0o755)).unwrap();
    let said = run(&["backup", "--data"], &[&kept, &data]);
    assert!(said.contains("was open to others (0755)"), "{said}");
    assert_eq!(open_to_others(&kept), [""; 0]);
    let said = run(&["backup", "--data"], &[&kept, &data]);
    assert!(!said.contains("open to others"), "{said}");

    // With the modes that older versions gave it.
    for entry in fs::read_dir(&kept).unwrap() {
        let entry = entry.unwrap();
        let mode = if entry.path().is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(entry.path(), Permissions::from_mode(mode)).unwrap();
    }
    run(&["restore", "--data"], &[&kept, &back]);
    assert_eq!(open_to_others(&back), [""; 0]);
}

#[test]
fn an_export_into_an_open_folder_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, export) = (folder.path().join("data"), folder.path().join("export"));
    let program = Program::with_policies(POLICIES).data(&data).start();
    assert!(program.stop().success());
    fs::create_dir(&export).unwrap();
    fs::set_permissions(&export, Permissions::from_mode(0o755)).unwrap();
    let said = run(&["export", "--data"], &[&export, &data]);
    assert!(said.contains("was open to others (0755)"), "{said}");
    assert_eq!(open_to_others(&export), [""; 0]);
}

#[test]
fn a_folder_of_an_older_server_is_mended_at_the_start_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::with_policies(POLICIES).data(&data).start();
    assert!(program.stop().success());
    for (path, mode) in [("", 0o755), ("private", 0o755), ("records.sqlite", 0o644)] {
        fs::create_dir_all(data.join("private")).unwrap();
        fs::set_permissions(data.join(path), Permissions::from_mode(mode)).unwrap();
    }
    let program = Program::with_policies(POLICIES).data(&data).start();
    assert_eq!(open_to_others(&data), [""; 0]);
    let said = program.wait_until_it_says("was open to others (0755)");
    assert!(said.contains("private, records.sqlite"), "{said}");
}

#[test]
fn the_folder_of_the_devpi_spelling_is_closed_too() {
    let server = DevpiServer::start();
    assert_eq!(open_to_others(&server.serverdir()), [""; 0]);
}
