//! The program under a service manager that the test plays, with doors that a successor can take
//! over.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::load::Place;
use super::root;
use crate::support::{command, free_address, get};

/// Longer than a debug build takes to start on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// root's password in every managed program.
pub(super) const PASSWORD: &str = "Emmental";

/// The program under test.
pub(super) const OURS: &str = env!("CARGO_BIN_EXE_cheesecloth");

/// Folder, ports and manager; processes come and go. Those still running at the end are killed.
pub(super) struct Managed {
    pub(super) folder: TempDir,
    manager: UnixDatagram,
    pub(super) public: Place,
    pub(super) manage: Place,
    pub(super) metrics: Place,
}

impl Managed {
    /// For a configuration without `listen:`; that is added, with ports that both processes share.
    pub(super) fn new(policies: &str) -> Self {
        Self::made(tempfile::tempdir().unwrap(), policies, None)
    }

    /// The same, with TLS at the public and the management door.
    pub(super) fn with_tls(policies: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        let (cert, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        fs::write(&cert, pair.cert.pem()).unwrap();
        fs::write(key, pair.signing_key.serialize_pem()).unwrap();
        Self::made(folder, policies, Some(cert))
    }

    fn made(folder: TempDir, policies: &str, certificate: Option<PathBuf>) -> Self {
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let place = |certificate| Place {
            address: free_address(),
            certificate,
        };
        let managed = Self {
            public: place(certificate.clone()),
            manage: place(certificate),
            metrics: place(None),
            folder,
            manager,
        };
        managed.configure(policies);
        managed
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.folder.path().join("p.yaml")
    }

    /// Replaces the configuration file atomically.
    pub(super) fn configure(&self, policies: &str) {
        let draft = self.folder.path().join("draft");
        let door = |place: &Place| match &place.certificate {
            None => format!("\"{}\"", place.address),
            Some(_) => format!(
                "{{ address: \"{}\", tls: {{ cert: cert.pem, key: key.pem }} }}",
                place.address
            ),
        };
        let doors = [&self.public, &self.manage, &self.metrics].map(door);
        let [public, manage, metrics] = doors;
        let listen =
            format!("listen: {{ public: {public}, manage: {manage}, metrics: {metrics} }}\n");
        fs::write(&draft, listen + policies).unwrap();
        fs::rename(draft, self.configuration()).unwrap();
    }

    /// Arguments and environment of every process of this service.
    fn prepare(&self, command: &mut Command) {
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        command
            .arg("--policies")
            .arg(self.configuration())
            .current_dir(self.folder.path())
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .env("CHEESECLOTH_DATA", self.data())
            .env("CHEESECLOTH_MIRROR_URL", "http://127.0.0.1:9/simple/")
            .env("CHEESECLOTH_ROOT_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything that the processes have logged so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Starts the service and waits until it is ready.
    #[track_caller]
    pub(super) fn start(&self) -> Running {
        let mut serve = command();
        serve.arg("serve");
        self.prepare(&mut serve);
        let running = Running(serve.spawn().unwrap());
        assert_eq!(self.hears(), "READY=1", "{}", self.log());
        running
    }

    /// The next notification from the program, apart from the watchdog's.
    #[track_caller]
    pub(super) fn hears(&self) -> String {
        loop {
            let mut part = [0; 256];
            let heard = self.manager.recv(&mut part);
            let length =
                heard.unwrap_or_else(|error| panic!("nothing is heard: {error}\n{}", self.log()));
            if &part[..length] != b"WATCHDOG=1" {
                return String::from_utf8_lossy(&part[..length]).into_owned();
            }
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        let answer = get(&format!("http://{}/readyz", self.metrics.address));
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// Does what `systemctl reload` does, with `program` as the binary on disk.
    pub(super) fn reload(&self, main: &Running, program: &Path) -> Output {
        let mut reload = Command::new(root().join("deploy/systemd/reload"));
        self.prepare(&mut reload);
        let errors = self.folder.path().join("reload");
        reload.stderr(File::create(&errors).unwrap());
        reload
            .env("MAINPID", main.id().to_string())
            .env("CHEESECLOTH_PROGRAM", program);
        let status = reload.status().unwrap();
        let stderr = fs::read(errors).unwrap();
        let said = String::from_utf8_lossy(&stderr).into_owned();
        File::options()
            .append(true)
            .open(self.folder.path().join("log"))
            .and_then(|mut log| std::io::Write::write_all(&mut log, said.as_bytes()))
            .unwrap();
        Output {
            status,
            stdout: Vec::new(),
            stderr,
        }
    }

    /// The process that next announces itself as the main one.
    #[track_caller]
    pub(super) fn successor(&self) -> Successor {
        let said = self.hears();
        let (main, rest) = said.split_once('\n').unwrap();
        assert_eq!(rest, "READY=1");
        Successor(main.strip_prefix("MAINPID=").unwrap().parse().unwrap())
    }

    /// A copy of the binary, which counts as another program.
    pub(super) fn replaced(&self) -> PathBuf {
        let replaced = self.folder.path().join("cheesecloth");
        fs::copy(OURS, &replaced).unwrap();
        replaced
    }
}

/// A process that this test has started.
pub(super) struct Running(pub(super) Child);

impl Running {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits for the process to end, within a limit; true if it succeeded.
    pub(super) fn ends_well(&mut self) -> bool {
        crate::support::wait(&mut self.0, PATIENCE).is_some_and(|status| status.success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that the script under test has started, so it is not our child.
pub(super) struct Successor(pub(super) i32);

impl Successor {
    pub(super) fn signal(&self, signal: Signal) {
        // It may be gone already.
        let _ = kill_process(Pid::from_raw(self.0).unwrap(), signal);
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
