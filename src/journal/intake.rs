//! Entries that wait to be written, in memory.
//!
//! Each thread leaves them in a part that it shares with few others, so that requests do not wait for each
//! other. What repeats within the second is only counted: a page that everybody asks for, and a file that
//! one client asks for without end, cost a comparison. A part that is full loses what comes next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::journal::entry::{JournalAnswer, Repeated};
use crate::telemetry::thread_number;

/// As many threads as a machine usually has leave entries without contention.
const PARTS: usize = 16;

/// Different answers of one thread whose repetitions are counted.
const SLOTS: usize = 64;

#[derive(Debug)]
pub(super) struct Intake {
    parts: [Mutex<Part>; PARTS],
    waiting_max: usize,
    /// Something waits, and the writer knows.
    is_due: AtomicBool,
    is_closed: AtomicBool,
    due: Notify,
    /// A part is half full, or the end has come: the second is not waited for.
    hurry: Notify,
}

#[derive(Debug)]
struct Part {
    waiting: Vec<Repeated>,
    /// The latest of those that may repeat, by their [`mixed`](JournalAnswer::mixed) number.
    latest: [Option<Repeated>; SLOTS],
    is_closed: bool,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            latest: [const { None }; SLOTS],
            is_closed: false,
        }
    }
}

impl Intake {
    /// With room for so many entries in each part.
    pub(super) fn new(waiting_max: usize) -> Self {
        Self {
            parts: Default::default(),
            waiting_max,
            is_due: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            due: Notify::new(),
            hurry: Notify::new(),
        }
    }

    /// Takes an answer; returns whether there was room.
    pub(super) fn take(&self, answer: &JournalAnswer<'_>) -> bool {
        let slot = answer.mixed() % SLOTS;
        let mut part = self.own_part();
        if let Some(latest) = &mut part.latest[slot]
            && answer.repeats(&latest.entry)
        {
            latest.times = latest.times.saturating_add(1);
            // Of something counted already, the writer has been told.
            return !part.is_closed;
        }
        if part.is_closed || part.waiting.len() >= self.waiting_max {
            return false;
        }
        let entry = answer.to_entry();
        let repeated = Repeated { entry, times: 1 };
        if let Some(before) = part.latest[slot].replace(repeated) {
            part.waiting.push(before);
        }
        let is_half_full = part.waiting.len() == self.waiting_max.div_ceil(2);
        drop(part);
        if is_half_full {
            self.hurry.notify_one();
        }
        // Read first: writing it with each entry would move the cache line from core to core.
        if !self.is_due.load(Ordering::SeqCst) && !self.is_due.swap(true, Ordering::SeqCst) {
            self.due.notify_one();
        }
        true
    }

    fn own_part(&self) -> std::sync::MutexGuard<'_, Part> {
        let part = &self.parts[thread_number() % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this thread's part has no room.
    pub(super) fn is_full(&self) -> bool {
        self.own_part().waiting.len() >= self.waiting_max
    }

    /// Waits until there is something to write.
    pub(super) async fn due(&self) {
        while !self.is_due.load(Ordering::SeqCst) && !self.is_closed() {
            self.due.notified().await;
        }
    }

    /// Waits until it has to be written soon.
    pub(super) async fn hurry(&self) {
        if !self.is_closed() {
            self.hurry.notified().await;
        }
    }

    /// Moves everything that waits to `all`.
    pub(super) fn empty_into(&self, all: &mut Vec<Repeated>) {
        let is_closed = self.is_closed();
        // Before the parts are emptied: an entry that comes after that is due again.
        self.is_due.store(false, Ordering::SeqCst);
        let mut spare = Vec::new();
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            // The threads keep the room that they have.
            spare.reserve(part.waiting.len());
            std::mem::swap(&mut part.waiting, &mut spare);
            let latest = part.latest.iter_mut().filter_map(Option::take);
            all.extend(latest);
            part.is_closed = is_closed;
            drop(part);
            all.append(&mut spare);
        }
    }

    /// Has everything written soon.
    pub(super) fn press(&self) {
        self.is_due.store(true, Ordering::SeqCst);
        self.due.notify_one();
        self.hurry.notify_one();
    }

    /// Takes nothing from the next emptying on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.due.notify_one();
        self.hurry.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}
