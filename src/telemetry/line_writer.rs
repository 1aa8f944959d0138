//! A thread that writes lines, so that who has something to say need not wait for a disk.
//!
//! The queue is bounded: when it is full, [`LineWriter::push`] waits. What may be left out instead is
//! [gathered](super::gathered).

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use prometheus::IntCounter;

/// Where lines end up.
pub(super) trait Sink<T>: Send + 'static {
    /// Writes one line.
    fn write(&mut self, line: &T) -> io::Result<()>;
    /// Sees to it that what was written is out of this process.
    fn flush(&mut self) -> io::Result<()>;
}

#[derive(Debug)]
enum Message<T> {
    Line(T),
    Stop,
}

/// The near end of the thread. Dropping it does not wait; [`LineWriter::stop`] does.
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

    /// Hands a line over, waiting for room; says whether the thread still runs.
    pub(super) fn push(&self, line: T) -> bool {
        self.queue.send(Message::Line(line)).is_ok()
    }

    /// Waits until every line handed over is written. Later ones are refused.
    pub(super) fn stop(&self) {
        let thread = self.thread.lock().map_or(None, |mut thread| thread.take());
        if let Some(thread) = thread {
            // Both fail only when the thread is gone already.
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
        let Ok(first) = lines.recv() else {
            break;
        };
        // Whatever queued up meanwhile goes out with one flush.
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => note(sink.write(&line)),
                Message::Stop => is_stopping = true,
            }
            next = lines.try_recv().ok();
        }
        note(sink.flush());
    }
}
