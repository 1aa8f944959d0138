//! Doors opened on port 0 over a stand-in for the flows, and a client that speaks raw HTTP/1.1.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cheesecloth::testing::exchange::{
    Answers, Ask, Body, CacheResult, Growing, Readable, Record, Reply, Route, StoredFile,
};
use cheesecloth::testing::listen::{
    Certificates, DoorOptions, DoorServer, HttpService, ListenAddress, MetricsDoor, Ready,
    Recorder, ServerOptions, Stop, TrustedProxies,
};
use cheesecloth::testing::model::{AuditLimits, DoorLimits, DoorName, Timestamp};
use cheesecloth::testing::protocol::{Problem, PublicRoute};
use cheesecloth::testing::telemetry::{AccessLog, AuditLog, LogFormat, Metrics};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use prometheus::Registry;
use tokio::sync::{Notify, watch};

use super::super::support::tls;

/// How long a test waits for an event; only a door that hangs reaches it.
pub(super) const SAFETY_NET: Duration = Duration::from_secs(30);

/// Size of the project `huge`, in bytes: more than any socket buffer takes.
pub(super) const HUGE: u64 = 96 << 20;

/// Answers project pages by the project's name.
#[derive(Default)]
pub(super) struct Flows {
    /// Notified when somebody requests `waiting`.
    pub(super) asked: Notify,
    /// Lets `waiting` be answered.
    pub(super) go_on: Notify,
    /// Senders of the fills that `growing` and `growing-unknown` follow.
    hands: Mutex<Vec<watch::Sender<Readable>>>,
}

impl Flows {
    /// Fails every fill that is being followed.
    pub(super) fn fail_fills(&self) {
        for hand in self.hands.lock().unwrap().drain(..) {
            hand.send_replace(Readable::Failed("wrong digest".to_owned().into()));
        }
    }

    /// A file of which half has arrived.
    fn growing(&self) -> Arc<Growing> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[b'g'; 50_000], 0).unwrap();
        let (growing, hand) = Growing::new(file);
        hand.send_replace(Readable::Until(50_000));
        self.hands.lock().unwrap().push(hand);
        Arc::new(growing)
    }
}

fn problem() -> Bytes {
    let problem = Problem {
        kind: "about:blank",
        title: "refused by policy",
        status: 403,
        detail: "cool-down: wait 7d",
        instance: "/simple/refused/",
        rule: None,
        ask: None,
    };
    problem.to_body()
}

fn huge() -> Arc<StoredFile> {
    let file: File = tempfile::tempfile().unwrap();
    file.set_len(HUGE).unwrap();
    Arc::new(StoredFile::new(file).unwrap())
}

#[async_trait]
impl Answers for Flows {
    async fn answer(&self, ask: &Ask<'_>) -> Reply {
        let mut head = HeaderMap::new();
        head.insert(ETAG, HeaderValue::from_static("\"x\""));
        let mut reply = Reply {
            status: StatusCode::OK,
            reason: None,
            head: Arc::new(head.clone().into()),
            body: Body::Empty,
            record: Record {
                route: Route::ProjectPage,
                cache: CacheResult::Hit,
                ..Record::default()
            },
        };
        let PublicRoute::ProjectPage { project, .. } = &ask.route else {
            reply.status = StatusCode::NOT_FOUND;
            head.insert(CONTENT_LENGTH, HeaderValue::from(0));
            reply.head = Arc::new(head.into());
            return reply;
        };
        reply.record.project = Some(project.clone());
        match project.as_str() {
            "waiting" => {
                self.asked.notify_one();
                self.go_on.notified().await;
                reply.body = Body::Bytes(Bytes::from_static(b"at last"));
            }
            "refused" => {
                reply.status = StatusCode::FORBIDDEN;
                // People write the rules, so whatever is in the reason must stay on one line.
                reply.reason = Some("cool-down:\r\n wait 7d".into());
                head.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static(Problem::CONTENT_TYPE),
                );
                reply.head = Arc::new(head.into());
                reply.body = Body::Bytes(problem());
            }
            "unchanged" => reply.status = StatusCode::NOT_MODIFIED,
            "huge" => {
                reply.body = Body::File {
                    file: huge(),
                    start: 0,
                    length: HUGE,
                }
            }
            "growing" => {
                reply.body = Body::Growing {
                    growing: self.growing(),
                    start: 0,
                    length: Some(100_000),
                };
            }
            "growing-unknown" => {
                reply.body = Body::Growing {
                    growing: self.growing(),
                    start: 0,
                    length: None,
                };
            }
            name => match super::writers::answer(name) {
                Some((status, body)) => (reply.status, reply.body) = (status, body),
                None => reply.body = Body::Bytes(Bytes::from(format!("page of {name}"))),
            },
        }
        reply
    }
}

/// What an access log or the like has written.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A running server with all its doors; closed when dropped.
pub(super) struct Doors {
    pub(super) public: SocketAddr,
    pub(super) unix: PathBuf,
    pub(super) metrics: SocketAddr,
    pub(super) ready: Ready,
    pub(super) flows: Arc<Flows>,
    pub(super) stop: Stop,
    pub(super) lines: Written,
    /// The certificate in PEM form, if the door has one.
    pub(super) certificate: Option<String>,
    certificates: Option<Arc<Certificates>>,
    access: Arc<AccessLog>,
    running: Option<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

pub(super) fn open(limits: DoorLimits) -> Doors {
    open_with(limits, false)
}

/// A certificate for this machine, as PEM and as the door takes it.
fn self_signed(folder: &Path) -> (Option<String>, Option<Arc<Certificates>>) {
    let pem = tls::self_signed(folder, "localhost");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    (Some(pem), Some(Certificates::load(&cert, &key).unwrap()))
}

pub(super) fn open_with(limits: DoorLimits, is_tls: bool) -> Doors {
    open_behind(limits, is_tls, None)
}

/// Records requests in memory, and refusals below the folder.
fn recorder(folder: &Path, metrics: &Metrics, lines: &Written) -> Recorder {
    let access = AccessLog::start(LogFormat::Json, lines.clone(), metrics.access_dropped());
    let audit = AuditLog::open(
        folder,
        &AuditLimits::default(),
        metrics.audit_failed(),
        None,
    );
    Recorder {
        door: DoorName::Public,
        metrics: metrics.clone(),
        access: Arc::new(access.unwrap()),
        audit: Arc::new(audit.unwrap()),
        journal: None,
        now: Arc::new(|| Timestamp::UNIX_EPOCH),
    }
}

/// Doors behind proxies, if any are given; the metrics door is never behind one.
pub(super) fn open_behind(
    limits: DoorLimits,
    is_tls: bool,
    proxies: Option<TrustedProxies>,
) -> Doors {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::register(Registry::new(), "0").unwrap();
    let lines = Written::default();
    let recorder = recorder(folder.path(), &metrics, &lines);
    let access = Arc::clone(&recorder.access);
    let options = ServerOptions {
        run_folder: folder.path().join("run"),
        grace: Duration::from_secs(10),
        is_upgrade: false,
    };
    let mut server = DoorServer::new(options, metrics.clone()).unwrap();
    let (certificate, tls) = if is_tls {
        self_signed(folder.path())
    } else {
        (None, None)
    };
    let certificates = tls.clone();
    let flows = Arc::new(Flows::default());
    let of_metrics = Recorder {
        door: DoorName::Metrics,
        ..recorder.clone()
    };
    let service = HttpService::new(
        Arc::clone(&flows) as Arc<dyn Answers>,
        recorder,
        limits.clone(),
    );
    let any = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
    let unix = folder.path().join("public.sock");
    let socket = ListenAddress::Unix {
        path: unix.clone(),
        mode: 0o600,
    };
    let door = |name, addresses, tls, proxies: Option<TrustedProxies>| DoorOptions {
        name,
        addresses,
        tls,
        is_behind_proxies: proxies.is_some(),
        proxies: proxies.unwrap_or_default(),
        limits: limits.clone(),
        threads: 1,
    };
    let public = door(DoorName::Public, vec![any.clone(), socket], tls, proxies);
    let public = tcp(&server.add(public, service).unwrap());
    let ready = Ready::default();
    let handler = MetricsDoor {
        metrics,
        ready: ready.clone(),
        lacking: || None,
        measure: || (),
    };
    let service = HttpService::handled_by(Arc::new(handler), of_metrics, limits.clone());
    let numbers = door(DoorName::Metrics, vec![any], None, None);
    let numbers = tcp(&server.add(numbers, service).unwrap());
    let stop = server.stop();
    let running = std::thread::spawn(move || server.run(None));
    Doors {
        public,
        unix,
        metrics: numbers,
        ready,
        flows,
        stop,
        lines,
        certificate,
        certificates,
        access,
        running: Some(running),
        folder,
    }
}

fn tcp(bound: &[ListenAddress]) -> SocketAddr {
    let ListenAddress::Tcp(address) = &bound[0] else {
        panic!("the first address is TCP")
    };
    *address
}

impl Doors {
    pub(super) fn connect(&self) -> Client {
        Client::to(self.public)
    }

    /// Sends a request to the metrics door.
    pub(super) fn numbers(&self, path: &str) -> Answered {
        Client::to(self.metrics).get(path)
    }

    /// Waits until the metrics door shows this text.
    pub(super) fn wait_for_number(&self, text: &str) {
        let started = Instant::now();
        while !self.numbers("/metrics").text().contains(text) {
            assert!(started.elapsed() < SAFETY_NET, "never counted: {text}");
        }
    }

    /// Puts another certificate in force; returns its PEM form.
    pub(super) fn renew_certificate(&self) -> String {
        let pem = tls::self_signed(self.folder.path(), "localhost");
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| self.folder.path().join(name));
        let renewed = self.certificates.as_ref().unwrap().reload(&cert, &key);
        assert!(renewed.unwrap());
        pem
    }

    /// Stops the server and waits until everything has been written to the logs.
    pub(super) fn close(&mut self) {
        self.stop.request();
        if let Some(running) = self.running.take() {
            running.join().unwrap();
        }
        self.access.stop();
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.close();
    }
}

pub(super) struct Client {
    pub(super) stream: TcpStream,
}

/// An answer as received.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status_line: String,
    /// The head exactly as received.
    pub(super) head: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
        stream.set_write_timeout(Some(SAFETY_NET)).unwrap();
        Self { stream }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub(super) fn get(&mut self, path: &str) -> Answered {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.read_answer()
    }

    /// Reads one answer of known length.
    pub(super) fn read_answer(&mut self) -> Answered {
        let mut answered = self.read_head();
        let length = answered.headers.get("content-length");
        let length = length.map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        answered.body = vec![0; length];
        self.stream.read_exact(&mut answered.body).unwrap();
        answered
    }

    pub(super) fn read_head(&mut self) -> Answered {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            let read = self.stream.read(&mut byte).unwrap();
            assert_ne!(
                read,
                0,
                "the door closed after {:?}",
                String::from_utf8_lossy(&head)
            );
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status_line = lines.next().unwrap().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| {
                (
                    name.parse::<http::HeaderName>().unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            });
        Answered {
            status_line,
            headers: headers.collect(),
            head: head.clone(),
            body: Vec::new(),
        }
    }

    /// Everything until the door closes the connection, in whatever way.
    pub(super) fn read_to_close(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.stream.read_to_end(&mut all) {
            Ok(_) => all,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => all,
            Err(error) => panic!("the door did not close: {error}"),
        }
    }
}

impl Answered {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
