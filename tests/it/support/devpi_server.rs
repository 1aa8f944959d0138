//! The program started as people start devpi-server: `devpi-init`, then `devpi-server`, one door.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::program::command;

/// Options that make password hashes cheap, as devpi's own suites pass them.
const CHEAP: [&str; 6] = [
    "--argon2-memory-cost",
    "64",
    "--argon2-parallelism",
    "1",
    "--argon2-time-cost",
    "1",
];

/// Its server directory, below a folder of its own.
const SERVERDIR: &str = "server";

/// A running server with root (no password) and no index; dropping it kills it.
pub(crate) struct DevpiServer {
    child: Child,
    url: String,
    folder: TempDir,
}

impl DevpiServer {
    /// Makes a server directory and serves it on a port that the system picks.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let serverdir = folder.path().join(SERVERDIR);
        let mut init = command();
        init.args(["devpi-init", "--no-root-pypi", "--serverdir"])
            .arg(&serverdir)
            .args(CHEAP);
        let init = init.output().unwrap();
        assert!(
            init.status.success(),
            "{}",
            String::from_utf8_lossy(&init.stderr)
        );
        let mut child = spawn(&serverdir);
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("management ").map(str::to_owned));
        let url = url.expect("the server says where it listens");
        Self { child, url, folder }
    }

    /// `http://127.0.0.1:PORT/`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where it keeps everything.
    pub(crate) fn serverdir(&self) -> PathBuf {
        self.folder.path().join(SERVERDIR)
    }

    /// The port alone.
    pub(crate) fn port(&self) -> &str {
        self.url
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .unwrap_or_default()
    }
}

fn spawn(serverdir: &Path) -> Child {
    let mut server = command();
    server.args([
        "devpi-server",
        "--host",
        "localhost",
        "--port",
        "0",
        "--debug",
        "--serverdir",
    ]);
    server.arg(serverdir).args(CHEAP);
    server
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    server.spawn().expect("start the program")
}

impl Drop for DevpiServer {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
