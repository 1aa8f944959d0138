//! Programs out of Debian's packages, unpacked into `target/` where the machine does not have them.
//!
//! Nothing is installed and no service is started. What cannot be had fails the test, loudly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command for `program`: the machine's own, else the one that these packages hold.
///
/// # Panics
/// When neither is to be had, with what to do about it.
pub(crate) fn debian(program: &str, packages: &[&str]) -> Command {
    if Command::new(program).arg("--version").output().is_ok() {
        return Command::new(program);
    }
    let root = unpack(packages);
    let places = ["usr/bin", "usr/sbin"].map(|folder| root.join(folder).join(program));
    let found = places.iter().find(|place| place.exists());
    let mut command = Command::new(found.unwrap_or(&places[0]));
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let paths = [libraries.clone(), libraries.join("systemd")];
    command.env("LD_LIBRARY_PATH", std::env::join_paths(paths).unwrap());
    command
}

/// The folder into which these packages were downloaded and unpacked.
///
/// # Panics
/// When they are not to be had, with what to do about it.
pub(crate) fn unpack(packages: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let root = folder.join(format!("debian-{}", packages.join("-")));
    let marker = root.join("complete");
    fs::create_dir_all(&root).unwrap();
    let lock = fs::File::create(folder.join("debian.lock")).unwrap();
    lock.lock().unwrap();
    if marker.exists() {
        return root;
    }
    let mut download = Command::new("apt-get");
    download.arg("download").args(packages).current_dir(&root);
    must(&mut download, packages);
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            must(
                Command::new("dpkg-deb").arg("-x").args([&path, &root]),
                packages,
            );
        }
    }
    fs::write(marker, "").unwrap();
    root
}

fn must(command: &mut Command, packages: &[&str]) {
    let output = command.output();
    let done = output.as_ref().is_ok_and(|output| output.status.success());
    assert!(
        done,
        "this test needs {packages:?}, which {command:?} did not bring: install them, or run \
         `apt-get update` first; {output:?}"
    );
}
