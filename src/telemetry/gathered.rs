//! Text that many threads gather and one writes, so that who has a line to say neither waits for a
//! disk nor wakes anybody.
//!
//! Each thread writes into a buffer that it shares with few others. A thread of its own empties all of
//! them, some milliseconds after the first line came. What finds its buffer full is left out. A pipe
//! that nobody reads holds up that thread and nobody else, not even the end of the program.

use std::cell::Cell;
use std::io;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use prometheus::IntCounter;

/// Buffers. As many threads as a machine usually has write without meeting.
const BUFFERS: usize = 16;

/// Most bytes that wait in one buffer: several times what a core can say within [`GATHER`], and 32 MiB
/// in all when nothing is taken off at all.
const WAITING_MAX: usize = 2 << 20;

/// How long lines are gathered before they are written: people do not notice it.
const GATHER: Duration = Duration::from_millis(10);

/// How long the last lines may take to be written. Whoever reads them takes them at once; a pipe that is
/// full by then has no reader.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// The near end. Dropping it does not wait; [`Gathered::stop`] does.
#[derive(Debug)]
pub(super) struct Gathered {
    shared: Arc<Shared>,
    writer: Thread,
    /// Tells of the thread's end by being closed.
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

    /// The same with other buffers.
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

    /// Lets `write` put one line at the end of the text; says whether there was room.
    pub(super) fn line(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let buffer = &self.shared.buffers[own_number() % BUFFERS];
        {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.is_closed || buffer.text.len() >= self.shared.waiting_max {
                return false;
            }
            write(&mut buffer.text);
        }
        // Looked at first: writing it with each line would move it from core to core.
        if !self.shared.is_due.load(Ordering::SeqCst)
            && !self.shared.is_due.swap(true, Ordering::SeqCst)
        {
            self.writer.unpark();
        }
        true
    }

    /// Waits until every line is written, or nobody takes them. Later ones are refused.
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

/// A small number for each thread, so that those beside each other write into different buffers.
fn own_number() -> usize {
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
        // Before the buffers are looked at: a line that comes after that is due again.
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

    /// A disk that stands still until it is told to go on.
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
