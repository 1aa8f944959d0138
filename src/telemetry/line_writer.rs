//! A thread that writes lines, so that the sender need not wait for a disk.
//!
//! The queue is bounded: when it is full, [`LineWriter::push`] waits and [`LineWriter::offer`] does not.
//! What is written for every request is [gathered](crate::telemetry::gathered) instead.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;

/// Where lines end up.
pub(super) trait Sink<T>: Send + 'static {
    /// Writes one line.
    fn write(&mut self, line: &T) -> io::Result<()>;
    /// Makes sure that what was written has left this process.
    fn flush(&mut self) -> io::Result<()>;
    /// How long after the last line it has something to add itself, if ever.
    fn settles_after(&self) -> Option<Duration> {
        None
    }
    /// Adds it: that time has passed, or the end has come.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
enum Message<T> {
    Line(T),
    Stop,
}

/// The sending end of the thread. Dropping it does not wait; [`LineWriter::stop`] does.
#[derive(Debug)]
pub(super) struct LineWriter<T> {
    queue: SyncSender<Message<T>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<T: Send + 'static> LineWriter<T> {
    /// Starts the thread. `failed` counts lines that the sink refused.
    pub(super) fn start(
        name: &str,
        capacity: usize,
        sink: impl Sink<T>,
        failed: IntCounter,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(capacity);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || run(&lines, sink, &failed))?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands a line over, waiting for room; returns whether the thread still runs.
    pub(super) fn push(&self, line: T) -> bool {
        self.queue.send(Message::Line(line)).is_ok()
    }

    /// Hands a line over if there is room; returns whether it was taken.
    pub(super) fn offer(&self, line: T) -> bool {
        self.queue.try_send(Message::Line(line)).is_ok()
    }

    /// Waits until every line handed over is written. Later ones are refused.
    pub(super) fn stop(&self) {
        let thread = self.thread.lock().map_or(None, |mut thread| thread.take());
        if let Some(thread) = thread {
            // Both fail only if the thread is already gone.
            let _ = self.queue.send(Message::Stop);
            let _ = thread.join();
        }
    }
}

fn run<T>(lines: &Receiver<Message<T>>, mut sink: impl Sink<T>, failed: &IntCounter) {
    let mut was_failing = false;
    let mut note = |outcome: io::Result<()>| match outcome {
        Ok(()) => was_failing = false,
        Err(error) => {
            failed.inc();
            if !was_failing {
                tracing::error!(%error, "cannot write log lines");
            }
            was_failing = true;
        }
    };
    let mut is_stopping = false;
    while !is_stopping {
        let first = match next_message(lines, sink.settles_after()) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                note(sink.settle());
                note(sink.flush());
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        // Everything that queued up meanwhile goes out with one flush.
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => note(sink.write(&line)),
                Message::Stop => is_stopping = true,
            }
            next = lines.try_recv().ok();
        }
        if is_stopping {
            note(sink.settle());
        }
        note(sink.flush());
    }
}

fn next_message<T>(
    lines: &Receiver<Message<T>>,
    patience: Option<Duration>,
) -> Result<Message<T>, RecvTimeoutError> {
    match patience {
        Some(patience) => lines.recv_timeout(patience),
        None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}
