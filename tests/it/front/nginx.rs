//! A real nginx in front of a real devpi-server, with the configuration that `devpi-gen-config`
//! writes.
//!
//! Only the port it listens on and the address of the server are changed.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Devpi, debian};

/// How long nginx may take to accept connections.
const START: Duration = Duration::from_secs(30);

/// Time between two attempts to connect.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running nginx; dropping it kills it.
pub(super) struct Nginx {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx where deployments have it.
    ///
    /// # Panics
    /// When it does not start, with its log.
    pub(super) fn before(primary: &Devpi) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.unwrap().port();
        let program = debian("nginx", &["nginx", "nginx-common"]);
        let site = primary.nginx_configuration(folder.path());
        let listens = format!("listen 127.0.0.1:{port};");
        let site = replaced(&site, "listen 80;", &listens);
        let passes = format!("proxy_pass {};", primary.url().trim_end_matches('/'));
        let old = site
            .lines()
            .find(|line| line.trim().starts_with("proxy_pass "));
        let old = old.expect("it passes requests on").trim().to_owned();
        let site = replaced(&site, &old, &passes);
        fs::write(folder.path().join("site.conf"), site).unwrap();
        let whole = configuration(folder.path(), &types(&program));
        fs::write(folder.path().join("nginx.conf"), whole).unwrap();
        let process = start(program, folder.path());
        let mut nginx = Self {
            process,
            port,
            _folder: folder,
        };
        nginx.wait_until_it_listens();
        nginx
    }

    /// `http://127.0.0.1:PORT/`
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = fs::read_to_string(self._folder.path().join("error.log"));
            let ended = self.process.try_wait().unwrap().is_some();
            assert!(!ended && Instant::now() < deadline, "nginx: {log:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Fails if it has ended already, which is just as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(mut program: Command, folder: &Path) -> Child {
    let log = fs::File::create(folder.join("error.log")).unwrap();
    program
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"));
    program.arg("-e").arg(folder.join("error.log"));
    program
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    program.spawn().expect("start nginx")
}

/// What Debian's own main file puts around a site, in one process and in the test's folder.
fn configuration(folder: &Path, types: &str) -> String {
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
        .concat();
    format!(
        "{user} daemon off; master_process off; pid {folder}/pid;\nevents {{}}\nhttp {{\n\
         access_log off;\nsendfile on;\ntcp_nopush on;\ntypes_hash_max_size 2048;\n{types}\n\
         default_type application/octet-stream;\n{kept}include {folder}/site.conf;\n}}\n",
        folder = folder.display()
    )
}

/// Debian's list of content types.
fn types(program: &Command) -> String {
    let root = Path::new(program.get_program()).ancestors().nth(3);
    let root = root
        .filter(|root| root.is_absolute())
        .unwrap_or(Path::new("/"));
    fs::read_to_string(root.join("etc/nginx/mime.types")).expect("nginx-common has mime.types")
}

#[track_caller]
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?} in {text}");
    text.replace(old, new)
}
