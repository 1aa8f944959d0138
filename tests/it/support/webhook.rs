//! A webhook that notes what it is told, and misbehaves when a test wants it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Until it is told something; generous, for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it answers.
#[derive(Debug, Clone)]
pub(crate) enum Answering {
    /// With this status.
    Status(u16),
    /// Somewhere else.
    Redirect(String),
    /// Not at all.
    Silent,
}

/// A post that it was sent, whatever it answered.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// The status with which it was answered; 0 for none.
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// Its rows.
    pub(crate) fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["events"].as_array().unwrap().clone()
    }
}

struct State {
    answering: Answering,
    told: Vec<Told>,
}

/// A webhook on a port of its own.
pub(crate) struct Receiver {
    state: Arc<(Mutex<State>, Condvar)>,
    port: u16,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            answering: Answering::Status(204),
            told: Vec::new(),
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = Arc::clone(&state);
        // Ends with the tests.
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                silent.extend(serve(stream, &shared));
            }
        });
        Self { state, port }
    }

    /// Its URL, with something in it that nobody else should read.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/T0-s3cret", self.port)
    }

    /// How logs and metrics call it.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on it answers like this.
    pub(crate) fn answers(&self, answering: Answering) {
        self.state.0.lock().unwrap().answering = answering;
    }

    /// What it was told so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.state.0.lock().unwrap().told.clone()
    }

    /// Waits until what it was told is as wanted, and returns that.
    #[track_caller]
    pub(crate) fn wait_until(&self, is_wanted: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let (state, changed) = &*self.state;
        let state = state.lock().unwrap();
        let waited = changed.wait_timeout_while(state, PATIENCE, |state| !is_wanted(&state.told));
        let (state, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "told only {:#?}", state.told);
        state.told.clone()
    }
}

/// Answers a request; what is not answered is kept open.
fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) -> Option<TcpStream> {
    let (headers, body) = read(&stream)?;
    let (state, changed) = shared;
    let mut state = state.lock().unwrap();
    let (status, more) = match &state.answering {
        Answering::Status(status) => (*status, String::new()),
        Answering::Redirect(to) => (302, format!("Location: {to}\r\n")),
        Answering::Silent => (0, String::new()),
    };
    state.told.push(Told {
        status,
        headers,
        body,
    });
    changed.notify_all();
    drop(state);
    if status == 0 {
        return Some(stream);
    }
    let head = format!(
        "HTTP/1.1 {status} As asked\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    // A client that is gone is no fault of the test.
    let _ = stream.write_all(head.as_bytes());
    None
}

fn read(stream: &TcpStream) -> Option<(Vec<(String, String)>, String)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    assert!(line.starts_with("POST /hooks/T0-s3cret "), "{line}");
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?;
    let mut body = vec![0; length.1.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).ok()?))
}
