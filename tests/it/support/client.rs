//! An installer as it runs on the machine of somebody who knows no index but the one under test.
//!
//! Nothing from the environment of `cargo test` is passed on except where certificates are kept: no
//! `PIP_*`, no `UV_*`, no configuration files, no caches. Every other host is cut off by a proxy
//! address where nobody listens, so a client that goes elsewhere fails the test instead of passing
//! it.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::process::wait;
use super::{Tool, python};

/// Where the machine keeps certificates: the only variables that are passed on.
const PASSING: [&str; 5] = [
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// The discard port, where nobody answers.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Longer than the largest install takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(240);

/// One installer with its own home, caches and working directory.
pub(crate) struct Client {
    tool: Tool,
    program: PathBuf,
    home: TempDir,
    own: Vec<(&'static str, String)>,
}

impl Client {
    /// A client that has never run before.
    pub(crate) fn fresh(tool: Tool) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("work")).unwrap();
        Self {
            tool,
            program: tool.program(),
            home,
            own: Vec::new(),
        }
    }

    /// Sets a variable for it; this overrides every other setting.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.own.push((name, value.into()));
        self
    }

    /// Makes it read the user's configuration files in this home directory.
    pub(crate) fn at_home_in(mut self, home: &Path) -> Self {
        let home = home.display().to_string();
        for name in ["HOME", "XDG_CONFIG_HOME"] {
            let below = if name == "HOME" { "" } else { "/.config" };
            self.own.push((name, format!("{home}{below}")));
        }
        match self.tool {
            Tool::Pip => self.own.push(("PIP_CONFIG_FILE", String::new())),
            Tool::Uv => self.own.push(("UV_NO_CONFIG", "0".to_owned())),
            Tool::Poetry
            | Tool::Devpi
            | Tool::Twine
            | Tool::Flit
            | Tool::Hatch
            | Tool::Setuptools
            | Tool::DevpiSuite
            | Tool::DevpiServer
            | Tool::Playwright
            | Tool::S3
            | Tool::Attestations => {}
        }
        self
    }

    /// Its home directory, for the user's configuration files.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its working directory; files written here are its project.
    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// Writes a file into its project.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).unwrap();
    }

    /// Reads a file of its project.
    ///
    /// # Panics
    /// When it does not exist.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.folder().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Runs it in its folder and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let record = self.home.path().join("output");
        let output = File::create(&record).unwrap();
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let line = format!("{} {}", self.tool.name(), arguments.join(" "));
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let status = wait(&mut child, PATIENCE);
        let output = String::from_utf8_lossy(&fs::read(&record).unwrap()).into_owned();
        let Some(status) = status else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{line}\nhas not ended after {PATIENCE:?}\n{output}");
        };
        Run {
            line,
            succeeded: status.success(),
            output,
        }
    }

    /// Installs into `out`, from this index and no other.
    ///
    /// # Panics
    /// With poetry, which installs only what a project has locked.
    #[track_caller]
    pub(crate) fn install(&self, index: &str, requirements: &[&str]) -> Run {
        let install: &[&str] = match self.tool {
            Tool::Pip => &["install", "--no-compile"],
            Tool::Uv => &["pip", "install"],
            Tool::Poetry
            | Tool::Devpi
            | Tool::Twine
            | Tool::Flit
            | Tool::Hatch
            | Tool::Setuptools
            | Tool::DevpiSuite
            | Tool::DevpiServer
            | Tool::Playwright
            | Tool::S3
            | Tool::Attestations => {
                panic!("{} has no install of single requirements", self.tool.name())
            }
        };
        let place = ["--target", "out", "--index-url", index];
        self.run(&[install, &place, requirements].concat())
    }

    fn command(&self) -> Command {
        let home = self.home.path();
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .current_dir(self.folder())
            .env("PATH", search_path(&self.program));
        command.envs(env::vars_os().filter(|(name, _)| PASSING.iter().any(|kept| name == kept)));
        command.env("XDG_CONFIG_HOME", home.join(".config"));
        for name in ["HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR"] {
            command.env(name, home);
        }
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(name, NOWHERE);
        }
        command
            .env("no_proxy", "127.0.0.1,localhost")
            .env("NO_PROXY", "127.0.0.1,localhost");
        command
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("PYTHONNOUSERSITE", "1");
        match self.tool {
            Tool::Pip => {
                command
                    .env("PIP_CONFIG_FILE", "/dev/null")
                    .env("PIP_NO_INPUT", "1");
                // Otherwise it asks the index under test, and the request is counted.
                command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
            }
            Tool::Uv => {
                command.env("UV_NO_CONFIG", "1").env("UV_NO_PROGRESS", "1");
                command
                    .env("UV_PYTHON", python())
                    .env("UV_PYTHON_DOWNLOADS", "never");
            }
            Tool::Poetry => {
                command
                    .env("POETRY_NO_INTERACTION", "1")
                    .env("POETRY_KEYRING_ENABLED", "false");
                command.env("POETRY_VIRTUALENVS_CREATE", "false");
            }
            Tool::Devpi => {
                command.env("DEVPI_CLIENTDIR", home.join("devpi"));
            }
            Tool::Twine
            | Tool::Flit
            | Tool::Hatch
            | Tool::Setuptools
            | Tool::DevpiSuite
            | Tool::DevpiServer
            | Tool::Playwright
            | Tool::S3
            | Tool::Attestations => {}
        }
        command.envs(self.own.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The tool's own commands, then the system's, which builds of sdists need for a shell.
fn search_path(program: &Path) -> String {
    let own = program.parent().unwrap_or(program);
    format!("{}:/usr/local/bin:/usr/bin:/bin", own.display())
}

/// A `pyproject.toml` for poetry that names only one index.
pub(crate) fn poetry_project(index: &str, dependencies: &str) -> String {
    format!(
        r#"[tool.poetry]
name = "larder"
version = "1"
package-mode = false

[tool.poetry.dependencies]
python = "^3.10"
{dependencies}

[[tool.poetry.source]]
name = "cheesecloth"
url = "{index}"
priority = "primary"
"#
    )
}

/// The outcome and output of a run.
pub(crate) struct Run {
    line: String,
    succeeded: bool,
    output: String,
}

impl Run {
    /// Checks that the run succeeded.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert!(
            self.succeeded,
            "this failed:\n$ {}\n{}",
            self.line, self.output
        );
        self
    }

    /// Checks that the run failed.
    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert!(
            !self.succeeded,
            "this succeeded:\n$ {}\n{}",
            self.line, self.output
        );
        self
    }

    /// Checks that the run did not print `words`.
    #[track_caller]
    pub(crate) fn never_says(self, words: &str) -> Self {
        let is_said = self.output.contains(words);
        assert!(
            !is_said,
            "{words:?} is in:\n$ {}\n{}",
            self.line, self.output
        );
        self
    }

    /// Checks that the run printed `words`, wherever its lines were broken.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        let (said, words) = (unwrapped(&self.output), unwrapped(words));
        assert!(
            said.contains(&words),
            "{words:?} is not in:\n$ {}\n{}",
            self.line,
            self.output
        );
        self
    }
}

/// `text` on one line, without the frames, arrows and line breaks that installers draw.
fn unwrapped(text: &str) -> String {
    let drawn = |character: char| "│├╰─▶".contains(character) || character.is_whitespace();
    text.split(drawn)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(tool: Tool) -> Vec<String> {
        let client = Client {
            tool,
            program: python().to_owned(),
            home: tempfile::tempdir().unwrap(),
            own: Vec::new(),
        };
        fs::create_dir(client.folder()).unwrap();
        let run = client
            .run(&["-c", "import os; print('\\n'.join(sorted(os.environ)))"])
            .succeeds();
        run.output.lines().map(str::to_owned).collect()
    }

    #[test]
    fn only_our_own_variables_and_the_certificates_reach_a_client() {
        let ours = |tool, names: &[&str]| {
            for name in variables(tool) {
                let shared = [
                    "HOME",
                    "LANG",
                    "LC_CTYPE",
                    "NO_COLOR",
                    "PATH",
                    "PYTHONNOUSERSITE",
                    "TMPDIR",
                ];
                let proxies = name.to_lowercase().ends_with("_proxy");
                let known = shared.contains(&&*name) || name.starts_with("XDG_") || proxies;
                let passes = PASSING.contains(&&*name) || names.contains(&&*name);
                assert!(known || passes, "{name} has leaked to {tool:?}");
            }
        };
        ours(
            Tool::Pip,
            &[
                "PIP_CONFIG_FILE",
                "PIP_DISABLE_PIP_VERSION_CHECK",
                "PIP_NO_INPUT",
            ],
        );
        ours(
            Tool::Uv,
            &[
                "UV_NO_CONFIG",
                "UV_NO_PROGRESS",
                "UV_PYTHON",
                "UV_PYTHON_DOWNLOADS",
            ],
        );
    }

    #[test]
    fn a_client_reaches_no_other_host() {
        let elsewhere = "https://upstream.example/simple/";
        let pip = Client::fresh(Tool::Pip);
        pip.run(&[
            "download",
            "--retries",
            "1",
            "--index-url",
            elsewhere,
            "six",
        ])
        .fails()
        .says("port=9");
        let uv = Client::fresh(Tool::Uv);
        let resolve = [
            "pip",
            "install",
            "--target",
            "out",
            "--index-url",
            elsewhere,
            "six",
        ];
        uv.run(&resolve).fails().says("Connection refused");
    }

    #[test]
    fn words_are_found_across_an_installers_line_breaks() {
        let output = "error: not allowed\n  │ by the\n  ╰─▶ house rules".to_owned();
        Run {
            line: String::new(),
            succeeded: false,
            output,
        }
        .fails()
        .says("allowed by the house rules");
    }
}
