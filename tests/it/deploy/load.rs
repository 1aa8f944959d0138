//! People at work: clients that keep their connection, and real installers, until they are told to
//! stop. Anything that goes wrong for one of them is a failure of the load.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::managed::PATIENCE;
use crate::support::{Client, Tool, tls};

/// Time between two checks of how far the others are.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A door's address, and the certificate it has to show.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) address: String,
    pub(super) certificate: Option<PathBuf>,
}

/// A connection that is kept for as long as the server allows.
pub(super) struct Connection(BufReader<Box<dyn Wire>>);

/// An answer, read completely.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// When the request was started.
    pub(super) began: Instant,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    is_last: bool,
}

impl Place {
    pub(super) fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let wire: Box<dyn Wire> = match &self.certificate {
            None => Box::new(stream),
            Some(path) => {
                let config = tls::trusting(&[&std::fs::read_to_string(path)?], &[]);
                Box::new(tls::try_to_agree(&config, "localhost", stream)?)
            }
        };
        Ok(Connection(BufReader::new(wire)))
    }
}

impl Connection {
    pub(super) fn get(&mut self, path: &str) -> io::Result<Told> {
        let began = Instant::now();
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        self.answer(began)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.0.get_mut().flush()
    }

    /// The head of an answer, and the length of its body.
    pub(super) fn head(&mut self, began: Instant) -> io::Result<(Told, u64)> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no answer: {line:?}")))?;
        let mut told = Told {
            began,
            status,
            body: Vec::new(),
            is_last: false,
        };
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(io::Error::other)?,
                "connection" => told.is_last = value == "close",
                _ => {}
            }
        }
        Ok((told, length))
    }

    pub(super) fn answer(&mut self, began: Instant) -> io::Result<Told> {
        let (mut told, length) = self.head(began)?;
        told.body = self.body(length)?;
        Ok(told)
    }

    pub(super) fn body(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut body = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut body)?;
        Ok(body)
    }
}

/// What may end a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Only being told to; everything else is a failure.
    Told,
    /// Also a refused connection.
    Refused,
}

/// A worker's result: its answers, or what went wrong.
type Tale = Result<Vec<Told>, String>;

struct Worker {
    name: String,
    done: Arc<AtomicUsize>,
    thread: JoinHandle<Tale>,
}

/// The load; it stops when dropped.
pub(super) struct Load {
    ends: Arc<AtomicBool>,
    workers: Vec<Worker>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Load {
    pub(super) fn new() -> Self {
        Self {
            ends: Arc::default(),
            workers: Vec::new(),
            failures: Arc::default(),
        }
    }

    fn add(&mut self, name: String, work: impl Fn(&Turns) -> Tale + Send + 'static) {
        let turns = Turns {
            ends: Arc::clone(&self.ends),
            done: Arc::default(),
        };
        let done = Arc::clone(&turns.done);
        let (failures, who) = (Arc::clone(&self.failures), name.clone());
        let thread = thread::spawn(move || {
            let tale = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&turns)));
            let tale = tale.unwrap_or_else(|_| Err("it panicked, see above".to_owned()));
            if let Err(why) = &tale {
                failures.lock().unwrap().push(format!("{who}: {why}"));
            }
            tale
        });
        self.workers.push(Worker { name, done, thread });
    }

    /// Adds a client that requests these paths in turn, as fast as answers come.
    pub(super) fn asks(&mut self, place: &Place, paths: &[&str], until: Until) {
        let (place, paths) = (place.clone(), paths.join(" "));
        let name = format!("GET {paths} at {}", place.address);
        self.add(name, move |turns| {
            let mut told = Vec::new();
            let mut kept: Option<Connection> = None;
            for path in paths.split(' ').cycle() {
                if turns.is_over() {
                    break;
                }
                let is_new = kept.is_none();
                let opened = kept.take().map_or_else(|| place.connect(), Ok);
                let answered = opened.and_then(|mut kept| Ok((kept.get(path)?, kept)));
                match answered {
                    Ok((answer, same)) => {
                        kept = (!answer.is_last).then_some(same);
                        told.push(answer);
                        turns.one_more();
                    }
                    Err(_) if is_new && until == Until::Refused => break,
                    Err(error) => {
                        let way = if is_new { "new" } else { "kept" };
                        let asked = told.len();
                        return Err(format!(
                            "request {asked}, on a {way} connection: {path}: {error}"
                        ));
                    }
                }
            }
            Ok(told)
        });
    }

    /// Adds a user who installs this over and over, each time from an empty cache.
    pub(super) fn installs(
        &mut self,
        tool: Tool,
        index: &str,
        what: &str,
        trust: Option<&PathBuf>,
    ) {
        let (index, what, trust) = (index.to_owned(), what.to_owned(), trust.cloned());
        self.add(format!("{} {what}", tool.name()), move |turns| {
            while !turns.is_over() {
                let mut client = Client::fresh(tool);
                if let Some(path) = &trust {
                    let path = path.display().to_string();
                    client = client
                        .with("PIP_CERT", path.clone())
                        .with("SSL_CERT_FILE", path);
                }
                client.install(&index, &[&what]).succeeds();
                turns.one_more();
            }
            Ok(Vec::new())
        });
    }

    /// Waits until each worker has done this many more rounds.
    #[track_caller]
    pub(super) fn goes_on(&self, more: usize) {
        let done = |worker: &Worker| worker.done.load(Ordering::Relaxed);
        let goals: Vec<_> = self.workers.iter().map(|one| done(one) + more).collect();
        let deadline = Instant::now() + 3 * PATIENCE;
        for (worker, goal) in self.workers.iter().zip(goals) {
            while done(worker) < goal {
                self.has_no_failures();
                assert!(Instant::now() < deadline, "{} is stuck", worker.name);
                thread::sleep(LOOK_AGAIN);
            }
        }
    }

    #[track_caller]
    fn has_no_failures(&self) {
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    /// Tells all workers to stop, and waits for them; returns each one's answers.
    #[track_caller]
    pub(super) fn ends(mut self) -> Vec<Vec<Told>> {
        self.ends.store(true, Ordering::Relaxed);
        self.joined()
    }

    /// Waits until all workers have stopped by themselves.
    #[track_caller]
    pub(super) fn until_refused(mut self) -> Vec<Vec<Told>> {
        self.joined()
    }

    #[track_caller]
    fn joined(&mut self) -> Vec<Vec<Told>> {
        let workers = std::mem::take(&mut self.workers);
        let tales = workers.into_iter().map(|one| one.thread.join().unwrap());
        let tales: Vec<Tale> = tales.collect();
        self.has_no_failures();
        tales.into_iter().map(Result::unwrap_or_default).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// What a worker knows of the others.
struct Turns {
    ends: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
}

impl Turns {
    fn is_over(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    fn one_more(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}
