//! Ways to misbehave, for all requests below a path.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Longest wait of a test at a gate. A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What goes wrong; the parts can be combined.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fault {
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) latency: Option<Duration>,
    pub(super) silent: bool,
    pub(super) reset: bool,
    pub(super) cut_after: Option<u64>,
    pub(super) wrong_digest: bool,
    pub(super) drip: Option<(u64, Duration)>,
    pub(super) gate: Option<Arc<Held>>,
    pub(super) encoding: Option<String>,
    pub(super) lengthless: bool,
    pub(super) times: Option<usize>,
    pub(super) ranges_only: bool,
}

impl Fault {
    /// Nothing wrong yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers with this status and a short text.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds or replaces a header of the answer.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body that goes with a status.
    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// Waits before the head.
    pub(crate) fn latency(mut self, millis: u64) -> Self {
        self.latency = Some(Duration::from_millis(millis));
        self
    }

    /// Accepts the request and never answers.
    pub(crate) fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Closes the connection instead of answering.
    pub(crate) fn reset(mut self) -> Self {
        self.reset = true;
        self
    }

    /// Closes the connection after this many bytes of the body.
    pub(crate) fn cut_after(mut self, bytes: u64) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// Sends a body of the right length with its last byte changed.
    pub(crate) fn wrong_digest(mut self) -> Self {
        self.wrong_digest = true;
        self
    }

    /// Sends this many bytes at a time, with a pause before each piece.
    pub(crate) fn drip(mut self, bytes: u64, every: Duration) -> Self {
        self.drip = Some((bytes, every));
        self
    }

    /// States this content encoding; for `gzip`, in any spelling, the body really is compressed.
    pub(crate) fn encoding(mut self, encoding: &str) -> Self {
        self.encoding = Some(encoding.to_owned());
        self
    }

    /// Does not state the length of the body.
    pub(crate) fn without_length(mut self) -> Self {
        self.lengthless = true;
        self
    }

    /// Applies to this many requests only.
    pub(crate) fn times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }

    /// Applies to range requests only.
    pub(crate) fn ranges_only(mut self) -> Self {
        self.ranges_only = true;
        self
    }

    pub(super) fn gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(Arc::clone(&gate.held));
        self
    }
}

/// Holds bodies back after some bytes until the test releases them. Dropping it releases them too.
#[derive(Debug)]
pub(crate) struct Gate {
    held: Arc<Held>,
}

/// The server's side of a gate.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) after: u64,
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    pub(super) fn after(bytes: u64) -> Self {
        Self {
            held: Arc::new(Held {
                after: bytes,
                open: watch::Sender::new(false),
                waiting: watch::Sender::new(0),
            }),
        }
    }

    /// Waits until this many bodies are held.
    pub(crate) async fn reached(&self, count: usize) {
        let mut waiting = self.held.waiting.subscribe();
        let reached = waiting.wait_for(|waiting| *waiting >= count);
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        assert!(waited.is_ok(), "no {count} bodies came to the gate");
    }

    /// Lets all bodies pass, now and later.
    pub(crate) fn release(&self) {
        self.held.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

impl Held {
    pub(super) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits until the test releases the gate.
    pub(super) async fn pass(&self) {
        let mut open = self.open.subscribe();
        self.waiting.send_modify(|waiting| *waiting += 1);
        // An error means that the gate is gone, which lets everything pass.
        let _ = open.wait_for(|open| *open).await;
    }
}
