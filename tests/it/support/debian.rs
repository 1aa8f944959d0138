//! Programs from Debian packages, unpacked into `target/` if the machine does not have them; for
//! the tests and for `benches/side_by_side`.
//!
//! Nothing is installed and no service is started. A package that cannot be downloaded fails the
//! test with a message.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context as _;

/// A command for `program`: the machine's own, or else the one in these packages.
///
/// # Panics
/// When neither can be had, with what to do about it.
pub(crate) fn debian(program: &str, packages: &[&str]) -> Command {
    if Command::new(program).arg("--version").output().is_ok() {
        return Command::new(program);
    }
    let root = unpack(packages);
    let places = ["usr/bin", "usr/sbin"].map(|folder| root.join(folder).join(program));
    let found = places.iter().find(|place| place.exists());
    let mut command = Command::new(found.unwrap_or(&places[0]));
    let libraries = libraries(&root);
    let paths = std::env::join_paths([libraries.clone(), libraries.join("systemd")]);
    command.env("LD_LIBRARY_PATH", paths.expect("no path has a colon"));
    command
}

/// The folder into which these packages were downloaded and unpacked.
///
/// # Panics
/// When they cannot be downloaded, with what to do about it.
pub(crate) fn unpack(packages: &[&str]) -> PathBuf {
    unpacked(packages).unwrap_or_else(|error| {
        panic!("this test needs {packages:?}: install them, or run `apt-get update`; {error:#}")
    })
}

/// The same, with an error instead of a panic.
///
/// # Errors
/// When they cannot be downloaded.
pub(crate) fn unpacked(packages: &[&str]) -> anyhow::Result<PathBuf> {
    let own = |packages: &[&str]| packages.iter().map(|&name| name.to_owned()).collect();
    unpacked_as(&packages.join("-"), || Ok(own(packages)))
}

/// The folder into which a package was unpacked together with everything that it needs and this machine
/// lacks.
///
/// # Errors
/// When they cannot be downloaded.
pub(crate) fn unpacked_with_needs(package: &str) -> anyhow::Result<PathBuf> {
    unpacked_as(package, || {
        let mut plan = Command::new("apt-get");
        plan.args(["install", "--simulate", "--no-install-recommends", package]);
        let plan = match run(&mut plan) {
            Ok(plan) => plan,
            Err(_) => {
                run(Command::new("apt-get").arg("update"))?;
                run(&mut plan)?
            }
        };
        let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
        let needed = plan.lines().filter_map(|line| line.strip_prefix("Inst "));
        let names = needed.filter_map(|line| line.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    })
}

fn unpacked_as(
    name: &str,
    packages: impl FnOnce() -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let root = folder.join(format!("debian-{name}"));
    let marker = root.join("complete");
    fs::create_dir_all(&root)?;
    let lock = fs::File::create(folder.join("debian.lock"))?;
    lock.lock()?;
    if marker.exists() {
        return Ok(root);
    }
    let mut download = Command::new("apt-get");
    let packages = packages().context("find out what is needed")?;
    download.arg("download").args(packages).current_dir(&root);
    if run(&mut download).is_err() {
        // The package lists may be missing, as in a fresh container.
        run(Command::new("apt-get").arg("update")).context("refresh the lists of packages")?;
        run(&mut download)?;
    }
    for entry in fs::read_dir(&root)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").args([&path, &root]))?;
        }
    }
    fs::write(marker, "")?;
    Ok(root)
}

/// Where unpacked packages have their libraries.
pub(crate) fn libraries(root: &Path) -> PathBuf {
    root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("{command:?} failed ({}): {}", output.status, told.trim());
    }
    Ok(output)
}
