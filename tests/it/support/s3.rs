//! A real S3 server in memory, behind a line that can be cut; ended when it is dropped.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{Tool, ask};

/// The bucket that is there.
const BUCKET: &str = "wheels";

/// A running server.
#[derive(Debug)]
pub(crate) struct S3 {
    child: Child,
    /// Where it listens itself.
    address: SocketAddr,
    line: Line,
}

impl S3 {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot be installed or does not start.
    pub(crate) fn start() -> Self {
        Self::started(&[])
    }

    /// One that passes over conditions on writes.
    pub(crate) fn without_conditions() -> Self {
        Self::started(&["--blind"])
    }

    fn started(arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/s3_server.py");
        let mut command = Command::new(Tool::S3.program());
        command.arg(script).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start the S3 server");
        let mut port = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("the S3 server names its port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let line = Line::to(address);
        Self {
            child,
            address,
            line,
        }
    }

    /// The URL of the line to it.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.line.address)
    }

    /// The place in the bucket below a prefix, as a configuration names it.
    pub(crate) fn place(&self, prefix: &str) -> String {
        let endpoint = self.endpoint();
        format!("{{ bucket: {BUCKET}, endpoint: \"{endpoint}\", prefix: {prefix} }}")
    }

    /// A configuration with its uploaded files there.
    pub(crate) fn yaml(&self, prefix: &str, rest: &str) -> String {
        format!("depot: {{ s3: {} }}\n{rest}", self.place(prefix))
    }

    /// Every object and its length.
    pub(crate) fn objects(&self) -> BTreeMap<String, u64> {
        self.side_door("GET", "", b"")
    }

    /// The keys of the objects with uploaded bytes.
    pub(crate) fn deposited(&self) -> Vec<String> {
        let names = self.objects().into_keys();
        names.filter(|name| name.contains("/p/")).collect()
    }

    /// Puts other bytes under a key, as nobody but an operator would.
    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        self.side_door("PUT", key, content);
    }

    /// Loses an object, as nobody but an operator would.
    pub(crate) fn lose(&self, key: &str) {
        self.side_door("DELETE", key, b"");
    }

    fn side_door(&self, method: &str, key: &str, content: &[u8]) -> BTreeMap<String, u64> {
        let url = format!("http://{}/+side/{key}", self.address);
        let answer = ask::send(method, &url, &[], content).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_value(answer.json()).unwrap()
    }

    /// Makes it unreachable: what is under way breaks off, and whoever comes is turned away.
    pub(crate) fn cut(&self) {
        self.line.end(State::Cut);
    }

    /// Makes it reachable again, at the same address.
    pub(crate) fn mend(&self) {
        self.line.open();
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line to an address. Its own address stays taken while it is cut, or another server could be there.
#[derive(Debug)]
struct Line {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// Both ends of everything that goes over a line.
#[derive(Debug)]
enum State {
    Open(Vec<TcpStream>),
    /// Whoever comes is turned away.
    Cut,
    /// Nobody comes any more.
    Gone,
}

impl Line {
    fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::Open(Vec::new())));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                match &mut *lock(&shared) {
                    State::Open(ends) => connect(client, to, ends),
                    State::Cut => {}
                    State::Gone => return,
                }
            }
        });
        Self { address, state }
    }

    fn open(&self) {
        *lock(&self.state) = State::Open(Vec::new());
    }

    fn end(&self, as_it_is_then: State) {
        let before = std::mem::replace(&mut *lock(&self.state), as_it_is_then);
        if let State::Open(ends) = before {
            for end in ends {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.end(State::Gone);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

/// Passes on what goes between a client and the server, as long as that is there.
fn connect(client: TcpStream, to: SocketAddr, ends: &mut Vec<TcpStream>) {
    let Ok(server) = TcpStream::connect(to) else {
        return;
    };
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || pass(from, to));
    }
    ends.extend([client, server]);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what comes until either end is gone.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
