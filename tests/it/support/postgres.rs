//! A real PostgreSQL: one cluster in a temporary folder, on a Unix socket, ended when it is dropped. It
//! keeps nothing through a power cut, and so is quick; a gateway cannot tell.
//!
//! Also the database under the unit tests of `src/db/postgres`, which include this file.

use std::fmt::Display;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;

use super::debian::{libraries, run, unpack};

/// What has the programs, and what those are linked with beside what every machine has.
const PACKAGES: [&str; 5] = [
    "postgresql-15",
    "libpq5",
    "libicu72",
    "libxml2",
    "libldap-2.5-0",
];

/// Where Debian puts the programs, in a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// `nobody` of every Linux: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;

/// The longest start; generous, for a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// The cluster of all tests that ask for one at the same time.
static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

/// A running PostgreSQL.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
    programs: Programs,
    server: Mutex<Option<Child>>,
    schemas: AtomicU32,
}

/// The server's programs.
#[derive(Debug)]
struct Programs {
    folder: PathBuf,
    /// Where their libraries are, if not where the machine's are.
    libraries: Option<PathBuf>,
}

impl Programs {
    /// The machine's own, or else those in the packages.
    fn find() -> Self {
        let versions = fs::read_dir(VERSIONS).into_iter().flatten();
        let folders = versions.map(|version| version.unwrap().path().join("bin"));
        let mut there: Vec<_> = folders
            .filter(|folder| folder.join("initdb").exists())
            .collect();
        there.sort();
        if let Some(folder) = there.pop() {
            let libraries = None;
            return Self { folder, libraries };
        }
        let root = unpack(&PACKAGES);
        Self {
            folder: root.join("usr/lib/postgresql/15/bin"),
            libraries: Some(libraries(&root)),
        }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.env("LC_ALL", "C.UTF-8").current_dir("/");
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Cluster {
    /// Starts a cluster.
    ///
    /// # Panics
    /// When PostgreSQL cannot be had or does not start, with its words.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        if geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let programs = Programs::find();
        let mut made = programs.command("initdb");
        made.args(["--username=cheesecloth", "--auth=trust", "--encoding=UTF8"]);
        made.args(["--no-sync", "--no-instructions", "--pgdata"]);
        run(made.arg(folder.path().join("data"))).expect("a cluster is made");
        let cluster = Self {
            folder,
            programs,
            server: Mutex::new(None),
            schemas: AtomicU32::new(0),
        };
        cluster.go_on();
        cluster
    }

    /// A cluster that other tests of this process may use at the same time.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// The folder of the socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// A URL of everything in the cluster.
    pub(crate) fn url(&self) -> String {
        let socket = self.socket().display();
        format!("postgres://cheesecloth@localhost/postgres?host={socket}")
    }

    /// The URL of a new, empty schema.
    pub(crate) async fn schema(&self) -> String {
        let number = self.schemas.fetch_add(1, Ordering::Relaxed);
        self.run(format!("CREATE SCHEMA s{number}")).await;
        format!("{}&options=-csearch_path%3Ds{number}", self.url())
    }

    /// Runs statements, as nobody but an operator would.
    pub(crate) async fn run(&self, sql: impl Display) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        let sql = sqlx::AssertSqlSafe(sql.to_string());
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Stops the server: connections end in the middle of whatever they do.
    pub(crate) fn stop(&self) {
        self.end(Signal::INT);
    }

    /// Kills the server, as a machine that goes down does.
    pub(crate) fn kill(&self) {
        self.end(Signal::QUIT);
    }

    fn end(&self, signal: Signal) {
        let server = self
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut server) = server {
            kill_process(Pid::from_child(&server), signal).unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts the server again after it was stopped.
    pub(crate) fn go_on(&self) {
        let mut server = self.programs.command("postgres");
        server.arg("-D").arg(self.folder.path().join("data"));
        server.arg("-k").arg(self.folder.path());
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=400",
            "shared_buffers=32MB",
            "jit=off",
            "log_destination=stderr",
            "logging_collector=off",
        ] {
            server.args(["-c", setting]);
        }
        server.stdin(Stdio::null()).stdout(Stdio::null());
        let mut started = server.stderr(Stdio::piped()).spawn().unwrap();
        let told = BufReader::new(started.stderr.take().unwrap());
        let (tell, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut so_far = String::new();
            for line in told.lines().map_while(Result::ok) {
                if line.contains("database system is ready to accept connections") {
                    let _ = tell.send(Ok(()));
                }
                so_far.push_str(&line);
                so_far.push('\n');
            }
            let _ = tell.send(Err(so_far));
        });
        match ready.recv_timeout(STARTS_WITHIN) {
            Ok(Ok(())) => {}
            other => {
                let _ = started.kill();
                panic!("PostgreSQL does not start: {other:?}");
            }
        }
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}
