//! The program started as people start devpi-server: `devpi-init`, then `devpi-server`, one door.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::process::command;

/// Options that make password hashes cheap, as devpi's own suites pass them.
const CHEAP: [&str; 6] = [
    "--argon2-memory-cost",
    "64",
    "--argon2-parallelism",
    "1",
    "--argon2-time-cost",
    "1",
];

/// A running server with root; dropping it kills it.
pub(crate) struct DevpiServer {
    child: Child,
    url: String,
    folder: TempDir,
}

/// A server not yet started: the options of `devpi-init` and `devpi-server`, and the environment.
#[derive(Debug, Default, Clone)]
pub(crate) struct DevpiLaunch {
    init: Vec<&'static str>,
    server: Vec<&'static str>,
    environment: Vec<(&'static str, String)>,
}

impl DevpiServer {
    /// Creates a server directory with root (no password) and no index, and serves it on a port
    /// that the system chooses.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start() -> Self {
        Self::with().init(&["--no-root-pypi"]).start()
    }

    /// A server with other options.
    pub(crate) fn with() -> DevpiLaunch {
        DevpiLaunch::default()
    }

    /// `http://127.0.0.1:PORT/`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The port alone.
    pub(crate) fn port(&self) -> &str {
        self.url
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .unwrap_or_default()
    }

    /// Its data directory.
    pub(crate) fn serverdir(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    /// Kills it, and starts it again at the same address with these additional options.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn restart(&mut self, launch: &DevpiLaunch) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let port = self.port().to_owned();
        (self.child, self.url) = launch.spawn(&self.serverdir(), &port);
    }
}

impl DevpiLaunch {
    /// Adds options of `devpi-init`.
    pub(crate) fn init(mut self, options: &[&'static str]) -> Self {
        self.init.extend(options);
        self
    }

    /// Adds options of `devpi-server`.
    pub(crate) fn server(mut self, options: &[&'static str]) -> Self {
        self.server.extend(options);
        self
    }

    /// Sets an environment variable for both.
    pub(crate) fn environment(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Creates a server directory and serves it on a port that the system chooses.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start(&self) -> DevpiServer {
        let folder = tempfile::tempdir().unwrap();
        let serverdir = folder.path().join("server");
        let mut init = command();
        init.args(["devpi-init", "--serverdir"])
            .arg(&serverdir)
            .args(CHEAP)
            .args(&self.init)
            .envs(self.environment.iter().cloned());
        let init = init.output().unwrap();
        assert!(
            init.status.success(),
            "{}",
            String::from_utf8_lossy(&init.stderr)
        );
        let (child, url) = self.spawn(&serverdir, "0");
        DevpiServer { child, url, folder }
    }

    fn spawn(&self, serverdir: &Path, port: &str) -> (Child, String) {
        let mut server = command();
        let policies = serverdir.with_file_name("policies.yaml");
        if !self.server.contains(&"--policies") {
            // Every index that a test mirrors is on this machine.
            std::fs::write(&policies, "manage: { mirrors_to: [127.0.0.0/8, '::1'] }\n").unwrap();
            server.env("CHEESECLOTH_POLICIES", &policies);
        }
        server.args(["devpi-server", "--host", "localhost", "--port", port]);
        server
            .arg("--serverdir")
            .arg(serverdir)
            .args(CHEAP)
            .args(&self.server)
            .envs(self.environment.iter().cloned());
        server
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = server.spawn().expect("start the program");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("management ").map(str::to_owned));
        (child, url.expect("the server says where it listens"))
    }
}

impl Drop for DevpiServer {
    fn drop(&mut self) {
        // Fails if it has ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
