//! Text that many threads gather and one writes, so that a thread with a line to log neither waits for a
//! disk nor wakes another thread.
//!
//! Each thread writes into a buffer that it shares with few others. One thread empties all of them, some
//! milliseconds after the first line came. A line that finds its buffer full is dropped. A pipe that nobody
//! reads holds up only that thread, and not even the end of the program.

use std::cell::Cell;
use std::io;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use prometheus::IntCounter;

/// Number of buffers. As many threads as a machine usually has write without contention.
const BUFFERS: usize = 16;

/// Most bytes that wait in one buffer: several times what a core can log within [`GATHER`], and 32 MiB in
/// all if nothing is written at all.
const WAITING_MAX: usize = 2 << 20;

/// How long lines are gathered before they are written; people do not notice it.
const GATHER: Duration = Duration::from_millis(10);

/// How long the last lines may take to be written. A reader takes them immediately; a pipe that is still
/// full by then has no reader.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// The sending end. Dropping it does not wait; [`Gathered::stop`] does.
#[derive(Debug)]
pub(super) struct Gathered {
    shared: Arc<Shared>,
    writer: Thread,
    /// Signals the thread's end by being closed.
    ended: Mutex<Option<Receiver<()>>>,
}

#[derive(Debug)]
struct Shared {
    buffers: [Mutex<Buffer>; BUFFERS],
    waiting_max: usize,
    /// Something waits to be written, and the thread knows.
    is_due: AtomicBool,
    is_stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Buffer {
    text: Vec<u8>,
    is_closed: bool,
}

impl Gathered {
    /// Starts the thread. `lost` counts lines that `sink` refused.
    pub(super) fn start(
        name: &str,
        sink: impl Write + Send + 'static,
        lost: IntCounter,
    ) -> io::Result<Self> {
        Self::with_room(WAITING_MAX, name, sink, lost)
    }

    /// The same with buffers of another size.
    pub(super) fn with_room(
        waiting_max: usize,
        name: &str,
        sink: impl Write + Send + 'static,
        lost: IntCounter,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            buffers: Default::default(),
            waiting_max,
            is_due: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let (running, ended) = channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                run(&of_thread, sink, &lost);
                drop(running);
            })?;
        Ok(Self {
            shared,
            writer: thread.thread().clone(),
            ended: Mutex::new(Some(ended)),
        })
    }

    /// Lets `write` append one line; returns whether there was room.
    pub(super) fn line(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let buffer = &self.shared.buffers[thread_number() % BUFFERS];
        {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.is_closed || buffer.text.len() >= self.shared.waiting_max {
                return false;
            }
            write(&mut buffer.text);
        }
        // Read first: writing it with each line would move the cache line from core to core.
        if !self.shared.is_due.load(Ordering::SeqCst)
            && !self.shared.is_due.swap(true, Ordering::SeqCst)
        {
            self.writer.unpark();
        }
        true
    }

    /// Waits until every line is written, or nobody reads them. Later ones are refused.
    pub(super) fn stop(&self) {
        self.stop_within(LAST_LINES_WITHIN);
    }

    fn stop_within(&self, patience: Duration) {
        let ended = self.ended.lock();
        let ended = ended.map_or(None, |mut ended| ended.take());
        if let Some(ended) = ended {
            self.shared.is_stopping.store(true, Ordering::SeqCst);
            self.writer.unpark();
            // Nothing is ever sent: either the thread has ended, or it is left behind.
            let _ = ended.recv_timeout(patience);
        }
    }
}

/// A small number for each thread, so that threads started together write into different buffers.
#[must_use]
pub fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    OWN.get()
}

fn run(shared: &Shared, mut sink: impl Write, lost: &IntCounter) {
    let mut was_failing = false;
    let mut spare = Vec::new();
    loop {
        while !shared.is_due.load(Ordering::SeqCst) && !shared.is_stopping.load(Ordering::SeqCst) {
            std::thread::park();
        }
        let is_stopping = shared.is_stopping.load(Ordering::SeqCst);
        if !is_stopping {
            std::thread::sleep(GATHER);
        }
        // Before the buffers are emptied: a line that comes after that is due again.
        shared.is_due.store(false, Ordering::SeqCst);
        for buffer in &shared.buffers {
            {
                let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut buffer.text, &mut spare);
                buffer.is_closed = is_stopping;
            }
            if let Err(error) = sink.write_all(&spare).and_then(|()| sink.flush()) {
                let lines = spare.iter().filter(|byte| **byte == b'\n').count();
                lost.inc_by(lines as u64);
                if !was_failing {
                    tracing::error!(%error, "cannot write log lines");
                }
                was_failing = true;
            } else if !spare.is_empty() {
                was_failing = false;
            }
            spare.clear();
        }
        if is_stopping {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::telemetry::kept::Written;

    fn lost() -> IntCounter {
        IntCounter::new("lost", "lost").unwrap()
    }

    #[test]
    fn all_threads_lines_come_whole_and_in_their_order() {
        let kept = Written::default();
        let gathered = Gathered::start("test", kept.clone(), lost()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let gathered = &gathered;
                scope.spawn(move || {
                    for number in 0..1_000 {
                        let line = format!("{thread} {number}\n");
                        assert!(gathered.line(|text| text.extend_from_slice(line.as_bytes())));
                    }
                });
            }
        });
        gathered.stop();
        let text = kept.text();
        for thread in 0..4 {
            let own = format!("{thread} ");
            let numbers = text.lines().filter_map(|line| line.strip_prefix(&own));
            let expected = (0..1_000).map(|number| number.to_string());
            assert!(numbers.eq(expected), "{thread}");
        }
        assert!(!gathered.line(|text| text.push(b'\n')));
        assert_eq!(kept.text(), text);
    }

    /// A disk that blocks until it is told to continue.
    struct Stuck {
        arrived: Sender<()>,
        go_on: Receiver<()>,
        kept: Written,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.arrived.send(());
            let _ = self.go_on.recv();
            self.kept.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_writer_costs_lines_but_never_a_wait() {
        let (arrived, arrives) = channel();
        let (go, go_on) = channel();
        let kept = Written::default();
        let stuck = Stuck {
            arrived,
            go_on,
            kept: kept.clone(),
        };
        let gathered = Gathered::with_room(8, "test", stuck, lost()).unwrap();
        let line = || gathered.line(|text| text.extend_from_slice(b"12\n"));
        assert!(line());
        arrives.recv().unwrap(); // The first line is being written, the buffer is empty.
        let taken = (0..10).filter(|_| line()).count();
        assert_eq!(taken, 3);
        drop(go); // From now on the disk is quick.
        gathered.stop_within(Duration::MAX);
        assert_eq!(kept.text(), "12\n12\n12\n12\n");
    }

    #[test]
    fn nobody_waits_for_the_last_lines_when_nobody_takes_them() {
        let (arrived, arrives) = channel();
        let (_never, go_on) = channel();
        let kept = Written::default();
        let stuck = Stuck {
            arrived,
            go_on,
            kept: kept.clone(),
        };
        let gathered = Gathered::start("test", stuck, lost()).unwrap();
        assert!(gathered.line(|text| text.extend_from_slice(b"12\n")));
        arrives.recv().unwrap();
        gathered.stop_within(Duration::ZERO);
        assert_eq!(kept.text(), "");
    }

    #[test]
    fn what_the_sink_refuses_is_counted() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lost = lost();
        let gathered = Gathered::start("test", Full, lost.clone()).unwrap();
        assert!(gathered.line(|text| text.extend_from_slice(b"one\n")));
        gathered.stop();
        assert_eq!(lost.get(), 1);
    }
}
