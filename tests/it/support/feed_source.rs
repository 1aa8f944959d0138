//! A source of advisories: one body with validators, which a test exchanges or spoils while it is asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// How it answers.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// With this body, which may be longer than what it sends of it.
    Body { body: Vec<u8>, sent: usize },
    /// With this status.
    Status(u16),
    /// Not at all.
    Silent,
}

/// A source on a port of its own.
pub(crate) struct FeedSource {
    mood: Arc<Mutex<(Mood, u64)>>,
    heads: Arc<Mutex<Vec<String>>>,
    port: u16,
    moods: AtomicU64,
}

impl FeedSource {
    /// One with this body.
    pub(crate) fn with(body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = Self {
            mood: Arc::new(Mutex::new((Mood::Silent, 0))),
            heads: Arc::default(),
            port: listener.local_addr().unwrap().port(),
            moods: AtomicU64::new(0),
        };
        source.sends(body);
        let (mood, heads) = (Arc::clone(&source.mood), Arc::clone(&source.heads));
        // Ends with the tests.
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let (mood, number) = mood.lock().unwrap().clone();
                let head = read_head(&stream);
                heads.lock().unwrap().push(head.clone());
                match mood {
                    Mood::Silent => silent.push(stream),
                    mood => answer(stream, &mood, number, &head),
                }
            }
        });
        source
    }

    /// Where the zip is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/PyPI/all.zip", self.port)
    }

    /// From now on it has this body.
    pub(crate) fn sends(&self, body: Vec<u8>) {
        let sent = body.len();
        self.is(Mood::Body { body, sent });
    }

    /// From now on it is like this.
    pub(crate) fn is(&self, mood: Mood) {
        let number = self.moods.fetch_add(1, Ordering::SeqCst);
        *self.mood.lock().unwrap() = (mood, number);
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn read_head(stream: &TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
    head.to_lowercase()
}

fn answer(mut stream: TcpStream, mood: &Mood, number: u64, head: &str) {
    let date = "Thu, 01 Jan 2026 00:00:00 GMT";
    let answer = match mood {
        Mood::Body { .. } if head.contains(&format!("if-none-match: \"v{number}\"")) => {
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_owned()
        }
        Mood::Body { body, .. } => format!(
            "HTTP/1.1 200 OK\r\nETag: \"v{number}\"\r\nLast-Modified: {date}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        ),
        Mood::Status(status) => {
            format!("HTTP/1.1 {status} Nothing\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Mood::Silent => return,
    };
    // A client that is gone is no fault of the test.
    let _ = stream.write_all(answer.as_bytes());
    if let Mood::Body { body, sent } = mood
        && answer.contains("200 OK")
    {
        let _ = stream.write_all(&body[..*sent]);
    }
}
