//! The real installers, at the versions named here, each in its own venv under `target/tools`.
//!
//! The machine must have `python3` with venv and pip, and an index that this pip can reach;
//! everything else is installed by the first test that needs it, with the machine's own settings.
//! Tests run in parallel, and so may test runs: a lock file lets one of them install while the
//! others wait. A venv is complete once it has its marker, which is written last and names the
//! interpreter too: an install that broke off, and one whose Python is gone, are done again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The last file written into a venv.
const MARKER: &str = "complete";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Pip,
    Uv,
    Poetry,
    Devpi,
    Twine,
    Flit,
    Hatch,
    /// A Python whose setuptools still has `register`, `upload` and `easy_install`.
    Setuptools,
    /// A Python that has devpi's own test suite.
    DevpiSuite,
    /// The real server, from the same environment.
    DevpiServer,
    /// A Python that drives a browser, and has the script that looks for barriers.
    Playwright,
    /// A Python that serves S3 from memory.
    S3,
    /// A Python that reads provenances as auditors do.
    Attestations,
}

impl Tool {
    /// What is installed; versions are raised here deliberately, one at a time.
    const fn requirement(self) -> &'static str {
        match self {
            Self::Pip => "pip==26.3",
            Self::Uv => "uv==0.13.8",
            Self::Poetry => "poetry==2.5.1",
            Self::Devpi => "devpi-client==7.3.0",
            Self::Twine => "twine==7.0.0",
            Self::Flit => "flit==4.2.0",
            Self::Hatch => "hatch==1.18.2",
            Self::Setuptools => "setuptools==70.3.0",
            Self::DevpiSuite | Self::DevpiServer => "devpi-server==6.20.3",
            Self::Playwright => "playwright==1.65.2",
            Self::S3 => "moto==5.2.5",
            Self::Attestations => "pypi-attestations==0.0.30",
        }
    }

    /// What is installed beside it.
    const fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Pip
            | Self::Uv
            | Self::Poetry
            | Self::Devpi
            | Self::Twine
            | Self::Flit
            | Self::Hatch
            | Self::Setuptools
            | Self::Attestations => &[],
            // The suite's own requirements, which the server's wheel does not state.
            Self::DevpiSuite | Self::DevpiServer => {
                &["beautifulsoup4", "py", "pytest", "requests", "webtest"]
            }
            // What its server needs of its many requirements.
            Self::S3 => &["py-partiql-parser", "PyYAML", "flask", "flask-cors"],
            // It contains axe-core, and is used for nothing else.
            Self::Playwright => &["axe-playwright-python==0.1.8"],
        }
    }

    /// Its command.
    fn command(self) -> &'static str {
        match self {
            Self::Pip | Self::Uv | Self::Poetry | Self::Twine | Self::Flit | Self::Hatch => {
                self.name()
            }
            Self::Devpi => "devpi",
            Self::DevpiSuite
            | Self::Setuptools
            | Self::Playwright
            | Self::S3
            | Self::Attestations => "python",
            Self::DevpiServer => "devpi-server",
        }
    }

    /// Its project, which is also the name of most commands.
    pub(crate) fn name(self) -> &'static str {
        let requirement = self.requirement();
        requirement
            .split_once("==")
            .map_or(requirement, |(name, _)| name)
    }

    /// The command, after installing it if necessary.
    ///
    /// # Panics
    /// When it cannot be installed, with what to do about it.
    pub(crate) fn program(self) -> PathBuf {
        let folder = tools_folder();
        fs::create_dir_all(&folder).unwrap();
        let requirement = self.requirement();
        let venv = folder.join(requirement.replace("==", "-"));
        let lock = fs::File::create(folder.join(format!("{}.lock", self.name()))).unwrap();
        lock.lock().unwrap();
        install(&venv, requirement, self.companions());
        venv.join("bin").join(self.command())
    }
}

/// `target/tools`, wherever the target directory is.
fn tools_folder() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().unwrap_or(scratch).join("tools")
}

/// The interpreter behind `python3`; the choice of a shim is asked once and then kept.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let mut ask = Command::new("python3");
        ask.args(["-c", "import sys, venv, pip; print(sys.executable)"]);
        let found = output_of(
            ask,
            "the installers' tests need python3 with its venv and pip modules",
        );
        PathBuf::from(found.trim())
    })
}

/// Installs `requirement` into `venv` unless it is already there. The caller holds the lock.
fn install(venv: &Path, requirement: &str, companions: &[&str]) {
    let marker = venv.join(MARKER);
    let complete = format!("{requirement} on {}\n", python().display());
    if fs::read_to_string(&marker).is_ok_and(|found| found == complete) {
        return;
    }
    if venv.exists() {
        fs::remove_dir_all(venv).unwrap();
    }
    let mut make = Command::new(python());
    make.args(["-m", "venv"]).arg(venv);
    output_of(
        make,
        "python3 cannot make a venv: install its venv module (python3-venv)",
    );
    let mut fetch = Command::new(venv.join("bin/python"));
    fetch.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        requirement,
    ]);
    fetch.args(companions);
    let advice = format!(
        "{requirement} cannot be installed: the installers' tests need the index that \
         `python3 -m pip download {requirement}` asks"
    );
    output_of(fetch, &advice);
    fs::write(marker, complete).unwrap();
}

/// The standard output of a command that has to succeed.
fn output_of(mut command: Command, advice: &str) -> String {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{advice}\n{command:?}: {error}"),
    };
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{advice}\n{command:?}: {}\n{told}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_that_broke_off_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let venv = folder.path().join("venv");
        fs::create_dir_all(venv.join("bin")).unwrap();
        fs::write(venv.join("bin/half"), "").unwrap();
        // Every venv's pip already satisfies this requirement, so no index is asked.
        install(&venv, "pip", &[]);
        assert!(venv.join("bin/pip").exists());
        assert!(
            !venv.join("bin/half").exists(),
            "the broken install is still there"
        );

        fs::write(venv.join("bin/kept"), "").unwrap();
        install(&venv, "pip", &[]);
        assert!(
            venv.join("bin/kept").exists(),
            "a complete install was made again"
        );
    }

    #[test]
    fn a_command_that_fails_says_what_to_do() {
        let panic = std::panic::catch_unwind(|| {
            let mut wrong = Command::new(python());
            wrong.args(["-c", "import sys; sys.exit('no such wheel')"]);
            output_of(wrong, "install the wheel")
        });
        let message = *panic.unwrap_err().downcast::<String>().unwrap();
        assert!(message.starts_with("install the wheel\n"), "{message}");
        assert!(message.contains("no such wheel"), "{message}");
    }
}
