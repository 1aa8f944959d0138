//! Real devpi-servers on loopback: a primary, and replicas that follow it.
//!
//! Each is a separate process with its own folder, on a port that was free a moment ago: it has to
//! keep its port over a restart, so the system cannot choose one each time.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Tool, ask, paths_below};

/// How long a start may take. Python and its plugins need most of a minute on a busy machine.
const START: Duration = Duration::from_secs(180);

/// Time between two checks of what gives no event to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// devpi requires a secret file of at least 32 bytes that only its owner may read.
const SECRET: &str = "not-a-secret-not-a-secret-not-a-secret-not-a-secret-not-a-secret";

/// A devpi-server; dropping it kills it.
pub(crate) struct Devpi {
    folder: TempDir,
    port: u16,
    primary: Option<String>,
    plugin: Option<PathBuf>,
    process: Option<Child>,
}

/// Gives files of every index with the title `private` to logins only. Deployments use such plugins
/// to make an index private; devpi itself has no setting for it.
const PLUGIN: &str = "
from pluggy import HookimplMarker

@HookimplMarker('devpiserver')
def devpiserver_stage_get_principals_for_pkg_read(ixconfig):
    if ixconfig.get('title') == 'private':
        return [':AUTHENTICATED:']
";

impl Devpi {
    /// An empty primary, serving.
    pub(crate) fn primary() -> Self {
        Self::made(None, None, false)
    }

    /// A primary that starts with the content of an export.
    pub(crate) fn importing(folder: &Path) -> Self {
        Self::made(None, Some(folder), false)
    }

    /// An empty primary that gives files of an index with the title `private` to logins only.
    pub(crate) fn primary_with_private_indexes() -> Self {
        Self::made(None, None, true)
    }

    /// A replica of `primary`, serving and up to date.
    pub(crate) fn replica_of(primary: &Self) -> Self {
        let replica = Self::made(Some(primary.url()), None, primary.plugin.is_some());
        replica.catch_up_with(primary);
        replica
    }

    fn made(primary: Option<String>, export: Option<&Path>, has_plugin: bool) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            port: port.unwrap().port(),
            primary,
            plugin: None,
            process: None,
        };
        if has_plugin {
            server.install_plugin();
        }
        let secret = server.secret();
        fs::write(&secret, SECRET).unwrap();
        match export {
            Some(export) => {
                let mut import = server.command("devpi-import");
                import.arg("--no-root-pypi").arg(export);
                succeeds(import);
            }
            // What a replica is made of names its primary.
            None if server.primary.is_some() => {
                let mut init = server.command("devpi-init");
                init.arg("--no-root-pypi");
                succeeds(init);
            }
            None => copy_folder(empty_server(), &server.folder.path().join("server")),
        }
        let mut permissions = fs::metadata(&secret).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        fs::set_permissions(&secret, permissions).unwrap();
        server.start();
        server
    }

    /// `http://127.0.0.1:PORT/`
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Exports everything into a folder with `devpi-export`.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub(crate) fn export_to(&self, folder: &Path) {
        let mut export = self.command("devpi-export");
        export.arg(folder);
        succeeds(export);
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again at the same address, with the same data, and waits until it serves.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let log = File::create(self.folder.path().join("log")).unwrap();
        let mut command = self.command("devpi-server");
        command.arg("--secretfile").arg(self.secret());
        command.args(["--host", "127.0.0.1", "--port", &self.port.to_string()]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.stdin(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + START;
        while self.status().is_none() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "devpi-server has not started\n{}",
                log()
            );
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until its serial equals the primary's.
    #[track_caller]
    pub(crate) fn catch_up_with(&self, primary: &Self) {
        let deadline = Instant::now() + START;
        while self.status() != primary.status() {
            assert!(Instant::now() < deadline, "the replica does not catch up");
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Its serial, once it serves.
    fn status(&self) -> Option<i64> {
        let answer = ask::get(&format!("{}+status", self.url())).ok()?;
        let body: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
        body["result"]["serial"].as_i64()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program_of_server(program));
        command
            .arg("--serverdir")
            .arg(self.folder.path().join("server"));
        if let Some(plugin) = &self.plugin {
            command.env("PYTHONPATH", plugin);
        }
        if let Some(primary) = &self.primary {
            command.args(["--role", "replica", "--primary-url", primary]);
        } else if program == "devpi-server" {
            command.args(["--role", "primary"]);
        }
        command
    }

    /// The nginx site that its own `devpi-gen-config` generates in `folder`.
    pub(crate) fn nginx_configuration(&self, folder: &Path) -> String {
        let mut generate = Command::new(program_of_server("devpi-gen-config"));
        generate
            .arg("--serverdir")
            .arg(self.folder.path().join("server"));
        generate.args(["--port", &self.port.to_string()]);
        let done = generate.current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        fs::read_to_string(folder.join("gen-config/nginx-devpi.conf")).unwrap()
    }

    fn install_plugin(&mut self) {
        let folder = self.folder.path().join("plugins");
        let facts = folder.join("private_indexes-1.0.dist-info");
        fs::create_dir_all(&facts).unwrap();
        fs::write(folder.join("private_indexes.py"), PLUGIN).unwrap();
        let name = "Metadata-Version: 2.1\nName: private-indexes\nVersion: 1.0\n";
        fs::write(facts.join("METADATA"), name).unwrap();
        let entry = "[devpi_server]\nprivate-indexes = private_indexes\n";
        fs::write(facts.join("entry_points.txt"), entry).unwrap();
        self.plugin = Some(folder);
    }

    fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }
}

impl Drop for Devpi {
    fn drop(&mut self) {
        self.kill();
    }
}

#[track_caller]
fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        said(&output.stdout),
        said(&output.stderr)
    );
}

/// The folder of a primary that has nothing: made once, since that takes seconds and always ends the same.
fn empty_server() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let program = program_of_server("devpi-init");
        let tool = program.ancestors().nth(2).and_then(Path::file_name);
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = scratch.join("empty").join(tool.unwrap_or_default());
        if !made.exists() {
            fs::create_dir_all(made.parent().unwrap()).unwrap();
            let folder = tempfile::tempdir_in(scratch).unwrap();
            let server = folder.path().join("server");
            let mut init = Command::new(program);
            init.arg("--serverdir").arg(&server).arg("--no-root-pypi");
            succeeds(init);
            // Of two runs at once either may have made it.
            let moved = fs::rename(&server, &made);
            assert!(moved.is_ok() || made.exists(), "{moved:?}");
        }
        made
    })
}

fn copy_folder(from: &Path, to: &Path) {
    for path in paths_below(from) {
        let copy = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&path, &copy).unwrap();
    }
}

fn program_of_server(name: &str) -> PathBuf {
    let server = Tool::DevpiServer.program();
    server.parent().unwrap_or(Path::new("")).join(name)
}
