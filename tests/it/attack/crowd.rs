//! Hostile clients in large numbers, over plaintext HTTP/1.1.
//!
//! They connect from several addresses of this machine, so that the limit per address is not what
//! ends them.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::super::support::Program;
use super::{INDEX, REQUESTS_MAX};

/// Time between two bytes of a head.
const DRIP: Duration = Duration::from_secs(5);

/// How long anything here may take; only a door that hangs reaches it.
const SAFETY_NET: Duration = Duration::from_secs(120);

/// Clients on one address: half of what an address may have.
const PER_ADDRESS: usize = 500;

/// Connections that are being opened at one time: fewer than a door's backlog.
const CONNECTING: usize = 200;

/// What a client reads before it stops reading.
const READ_FIRST: usize = 64 << 10;

/// A client's receive buffer, so small that what it does not read stays with the server.
const SMALL_BUFFER: u32 = 16 << 10;

#[derive(Clone)]
pub(super) struct Crowd {
    door: SocketAddr,
    connecting: Arc<Semaphore>,
    /// Becomes true when the clients that stopped reading go on.
    reading: watch::Sender<bool>,
    begun: watch::Sender<usize>,
}

/// Everything that a client received.
pub(super) type Answer = Vec<u8>;

#[track_caller]
pub(super) fn ended_with(start: &str, answer: &Answer) {
    let said = String::from_utf8_lossy(&answer[..answer.len().min(200)]);
    let is_as_wanted = if start.is_empty() {
        said.is_empty()
    } else {
        said.starts_with(start)
    };
    assert!(is_as_wanted, "{start:?} wanted: {said}");
}

impl Crowd {
    pub(super) fn against(shop: &Program) -> Self {
        let url = shop.public_url().trim_start_matches("http://");
        Self {
            door: url.trim_end_matches('/').parse().unwrap(),
            connecting: Arc::new(Semaphore::new(CONNECTING)),
            reading: watch::Sender::new(false),
            begun: watch::Sender::new(0),
        }
    }

    /// Starts `count` clients; returns their answers, and a future for when all have begun.
    pub(super) fn send<F>(
        &self,
        count: usize,
        client: impl Fn(usize) -> F,
    ) -> (impl Future<Output = Vec<Answer>>, impl Future<Output = ()>)
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let all = *self.begun.borrow() + count;
        let sent: Vec<_> = (0..count).map(|at| tokio::spawn(client(at))).collect();
        let answers = async {
            let answers = timeout(SAFETY_NET, join_all(sent)).await;
            let answers = answers.expect("every client's connection ends");
            answers.into_iter().map(Result::unwrap).collect()
        };
        let mut begun = self.begun.subscribe();
        let have_begun = async move {
            let waited = timeout(SAFETY_NET, begun.wait_for(|begun| *begun >= all)).await;
            drop(waited.expect("every client begins").unwrap());
        };
        (answers, have_begun)
    }

    /// Lets the clients that stopped reading read what is left.
    pub(super) fn read_on(&self) {
        self.reading.send_replace(true);
    }

    async fn connect(&self, at: usize, buffer: Option<u32>) -> TcpStream {
        let _turn = self.connecting.acquire().await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let own = Ipv4Addr::new(127, 0, 2, 1 + (at / PER_ADDRESS) as u8);
        socket.bind(SocketAddr::new(IpAddr::V4(own), 0)).unwrap();
        if let Some(size) = buffer {
            socket.set_recv_buffer_size(size).unwrap();
        }
        socket.connect(self.door).await.unwrap()
    }

    fn note_begun(&self) {
        self.begun.send_modify(|begun| *begun += 1);
    }

    /// Sends one byte of a head now and then, forever.
    pub(super) fn drip(&self, at: usize) -> impl Future<Output = Answer> + Send + use<> {
        let crowd = self.clone();
        async move {
            let mut stream = crowd.connect(at, None).await;
            stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
            crowd.note_begun();
            let (mut reader, mut writer) = stream.split();
            let dripping = async {
                loop {
                    tokio::time::sleep(DRIP).await;
                    // The reader sees how it ends.
                    let _ = writer.write_all(b"x").await;
                }
            };
            tokio::select! {
                answer = read_to_close(&mut reader) => answer,
                () = dripping => unreachable!("it never ends"),
            }
        }
    }

    /// Requests a file and stops reading in the middle.
    pub(super) fn stall(
        &self,
        at: usize,
        url: &str,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let (crowd, path) = (self.clone(), path_of(url));
        async move {
            // From other addresses than the clients that drip at the same time.
            let mut stream = crowd
                .connect(at + 100 * PER_ADDRESS, Some(SMALL_BUFFER))
                .await;
            stream.write_all(&get(&path)).await.unwrap();
            let mut answer = vec![0; READ_FIRST];
            stream.read_exact(&mut answer).await.unwrap();
            crowd.note_begun();
            let mut reading = crowd.reading.subscribe();
            reading.wait_for(|reading| *reading).await.unwrap();
            answer.extend(read_to_close(&mut stream).await);
            answer
        }
    }

    /// Connects and sends nothing.
    pub(super) fn say_nothing(&self, at: usize) -> impl Future<Output = Answer> + Send + use<> {
        let crowd = self.clone();
        async move {
            let mut stream = crowd.connect(at, None).await;
            crowd.note_begun();
            read_to_close(&mut stream).await
        }
    }

    /// Sends one request and then nothing more.
    pub(super) fn ask_and_rest(&self, at: usize) -> impl Future<Output = Answer> + Send + use<> {
        let crowd = self.clone();
        async move {
            let mut stream = crowd.connect(at, None).await;
            stream.write_all(&get(&page_path())).await.unwrap();
            crowd.note_begun();
            read_to_close(&mut stream).await
        }
    }

    /// Sends a head that exceeds every limit.
    pub(super) fn head_of_a_mebibyte(
        &self,
        at: usize,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let crowd = self.clone();
        async move {
            let mut stream = crowd.connect(at, None).await;
            crowd.note_begun();
            let (mut reader, mut writer) = stream.split();
            let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
            let (_, answer) = tokio::join!(
                writer.write_all(head.as_bytes()),
                read_to_close(&mut reader)
            );
            answer
        }
    }

    /// Sends requests one after another until the connection is closed; returns how many were
    /// answered.
    pub(super) async fn ask_one_after_another(&self) -> usize {
        let mut stream = BufReader::new(self.connect(0, None).await);
        let request = get(&page_path());
        for answered in 0..=REQUESTS_MAX {
            if stream.write_all(&request).await.is_err() || !read_answer(&mut stream).await {
                return answered;
            }
        }
        panic!("more than {REQUESTS_MAX} requests were answered");
    }

    /// Pipelines all requests and counts the answers.
    pub(super) async fn ask_all_at_once(&self) -> usize {
        let (reader, mut writer) = self.connect(0, None).await.into_split();
        let requests = get(&page_path()).repeat(REQUESTS_MAX + 1);
        let sending = tokio::spawn(async move {
            // The door may close before everything is sent.
            let _ = writer.write_all(&requests).await;
            writer
        });
        let mut reader = BufReader::new(reader);
        let mut answered = 0;
        while read_answer(&mut reader).await {
            answered += 1;
        }
        drop(sending.await.unwrap());
        answered
    }
}

fn page_path() -> String {
    format!("/{INDEX}/+simple/brie/")
}

fn path_of(url: &str) -> String {
    url::Url::parse(url).unwrap().path().to_owned()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}

/// Everything until the connection is closed, in whatever way.
async fn read_to_close(stream: &mut (impl AsyncReadExt + Unpin)) -> Answer {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// Reads one answer; false if the connection is closed instead.
async fn read_answer(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match timeout(SAFETY_NET, stream.read_u8()).await {
            Ok(Ok(byte)) => head.push(byte),
            Ok(Err(_)) => {
                assert_eq!(String::from_utf8_lossy(&head), "", "a head was cut off");
                return false;
            }
            Err(_) => panic!("neither an answer nor an end"),
        }
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    true
}
