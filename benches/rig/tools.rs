//! nginx, wrk and uv: those of the machine where it has them, else fetched into `target/tools`.
//!
//! Debian's packages are downloaded and unpacked, not installed: no service starts, nothing outside
//! the checkout changes, and no right beyond that to ask the machine's package mirror is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::process::Cores;

#[path = "../../tests/it/support/debian.rs"]
mod debian;

pub(crate) use debian::run;

/// What is unpacked: the two programs, and the one library of theirs that is not on every machine.
const PACKAGES: [&str; 3] = ["nginx", "wrk", "libluajit-5.1-2"];

/// What to do where fetching does not work.
const ADVICE: &str = "install nginx and wrk so that they are on PATH (their services need not run)";

/// The installer of the closure scenario; the version the tests use.
const UV: &str = "uv==0.13.8";

/// The target directory.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Ok(scratch.parent().context("the target directory")?.to_owned())
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) nginx: PathBuf,
    pub(crate) wrk: PathBuf,
    libraries: Option<PathBuf>,
    folder: PathBuf,
}

impl Tools {
    /// Finds or fetches them, and runs each once to be sure.
    pub(crate) fn find(target: &Path) -> anyhow::Result<Self> {
        let folder = target.join("tools");
        let tools = match (on_path("nginx"), on_path("wrk")) {
            (Some(nginx), Some(wrk)) => Self {
                nginx,
                wrk,
                libraries: None,
                folder,
            },
            (_, _) => Self::unpacked(&folder)?,
        };
        tools.nginx_version()?;
        tools.wrk_runs()?;
        Ok(tools)
    }

    fn unpacked(folder: &Path) -> anyhow::Result<Self> {
        eprintln!("nginx and wrk come from {}", PACKAGES.join(", "));
        let root = debian::unpacked(&PACKAGES).context(ADVICE)?;
        Ok(Self {
            nginx: root.join("usr/sbin/nginx"),
            wrk: root.join("usr/bin/wrk"),
            libraries: Some(debian::libraries(&root)),
            folder: folder.to_owned(),
        })
    }

    /// A command of wrk: on the core of this program, or on both of these.
    pub(crate) fn wrk(&self, both: Option<Cores>) -> Command {
        let mut command = match both {
            Some(cores) => cores.both(&self.wrk),
            None => Command::new(&self.wrk),
        };
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// What nginx calls itself.
    pub(crate) fn nginx_version(&self) -> anyhow::Result<String> {
        let output = run(Command::new(&self.nginx).arg("-v")).context(ADVICE)?;
        let told = String::from_utf8_lossy(&output.stderr);
        let version = told.trim().rsplit(": ").next().unwrap_or_default();
        Ok(version.to_owned())
    }

    fn wrk_runs(&self) -> anyhow::Result<()> {
        // It ends with 1 after telling its version.
        let output = self.wrk(None).arg("-v").output().context(ADVICE)?;
        let told = [output.stdout, output.stderr].concat();
        if !String::from_utf8_lossy(&told).contains("wrk") {
            bail!(
                "wrk does not run: {}; {ADVICE}",
                String::from_utf8_lossy(&told).trim()
            );
        }
        Ok(())
    }

    /// uv: the machine's, else installed with pip's own settings into a venv of its own.
    pub(crate) fn uv(&self) -> anyhow::Result<PathBuf> {
        if let Some(uv) = on_path("uv") {
            return Ok(uv);
        }
        let venv = self.folder.join("side-by-side-uv");
        let uv = venv.join("bin/uv");
        if uv.exists() {
            return Ok(uv);
        }
        let advice =
            "the closure scenario needs uv: put it on PATH, or have python3 with venv and pip";
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context(advice)?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            UV,
        ];
        run(Command::new(venv.join("bin/python")).args(pip)).context(advice)?;
        Ok(uv)
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps nginx where only root's PATH leads.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_says_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo no mirror >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("no mirror") && text.contains("sh"), "{text}");
        assert!(run(&mut Command::new("/nonexistent/program")).is_err());
    }
}
