//! The journal of a running server: entries in, rows out, by a task of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::journal::entry::{JournalAnswer, Repeated};
use crate::journal::error::JournalError;
use crate::journal::intake::Intake;
use crate::journal::ledger::Ledger;
use crate::journal::open::{JournalRules, bytes_of, forget_set_aside, set_aside};
use crate::model::Timestamp;
use crate::telemetry::JournalMetrics;

/// The clock, provided by the application.
pub type JournalClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Why something that would be journalled is not delivered.
const REFUSAL: &str = "what is delivered here has to be journalled, and the journal cannot be written: \
                       its disk is full or fails; try again later";

/// The journal, for everything that delivers.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    is_required: bool,
    last_write: Duration,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    intake: Intake,
    is_failing: AtomicBool,
    /// Microseconds since 1970; `i64::MAX` for an empty journal.
    oldest: AtomicI64,
    /// How often somebody asked to have everything written.
    asked: AtomicU64,
    /// Up to which of them everything is.
    written: watch::Sender<u64>,
    metrics: JournalMetrics,
}

impl Journal {
    /// Opens the file, and writes from now on what is noted. If it cannot be opened, that is tried again
    /// and again; nothing else waits for it.
    pub async fn start(
        path: PathBuf,
        rules: JournalRules,
        clock: JournalClock,
        metrics: JournalMetrics,
    ) -> Self {
        let (is_required, last_write) = (rules.is_required, rules.limits.journal_last_write);
        let shared = Arc::new(Shared {
            intake: Intake::new(rules.limits.journal_waiting),
            is_failing: AtomicBool::new(false),
            oldest: AtomicI64::new(i64::MAX),
            asked: AtomicU64::new(0),
            written: watch::Sender::new(0),
            metrics,
        });
        let mut keeper = Keeper {
            shared: Arc::clone(&shared),
            path,
            rules,
            clock,
            ledger: None,
            pending: Vec::new(),
            is_behind: false,
        };
        shared.metrics.is_writable(true);
        keeper.write(false).await;
        Self {
            shared,
            is_required,
            last_write,
            task: Mutex::new(Some(tokio::spawn(keeper.run()))),
        }
    }

    /// Leaves an answer to be written; it is lost, and counted, if too many wait.
    pub fn note(&self, answer: &JournalAnswer<'_>) {
        if !self.shared.intake.take(answer) {
            self.shared.metrics.lost(1);
        }
    }

    /// Waits until everything that was noted so far is written; returns whether it is.
    pub async fn flush(&self) -> bool {
        let mut written = self.shared.written.subscribe();
        let asked = self.shared.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.intake.press();
        let is_written = written.wait_for(|written| *written >= asked);
        matches!(timeout(self.last_write, is_written).await, Ok(Ok(_)))
    }

    /// Why nothing may be delivered now; `None` if it may.
    #[must_use]
    pub fn refusal(&self) -> Option<&'static str> {
        let shared = &self.shared;
        let is_stuck = self.is_required
            && (shared.is_failing.load(Ordering::Acquire) || shared.intake.is_full());
        is_stuck.then_some(REFUSAL)
    }

    /// Measures what changes by itself.
    pub fn report(&self, now: Timestamp) {
        let oldest = Timestamp::from_microsecond(self.shared.oldest.load(Ordering::Relaxed));
        let age = oldest.ok().map(|oldest| now.duration_since(oldest));
        let age = age.and_then(|age| Duration::try_from(age).ok());
        self.shared.metrics.oldest(age.unwrap_or_default());
    }

    /// Writes everything that waits, and closes the file. Later entries are lost.
    pub async fn stop(&self) {
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.shared.intake.close();
        if let Some(task) = task
            && timeout(self.last_write, task).await.is_err()
        {
            tracing::error!(
                "the last entries of the journal are not written: its disk takes too long"
            );
        }
    }
}

/// The task that writes.
struct Keeper {
    shared: Arc<Shared>,
    path: PathBuf,
    rules: JournalRules,
    clock: JournalClock,
    ledger: Option<Ledger>,
    /// What could not be written yet.
    pending: Vec<Repeated>,
    /// More rows are to be removed than one round does.
    is_behind: bool,
}

impl Keeper {
    async fn run(mut self) {
        let mut next_round = Instant::now();
        loop {
            self.wait(next_round).await;
            let is_last = self.shared.intake.is_closed();
            let asked = self.shared.asked.load(Ordering::SeqCst);
            // What waits longer waits where its number is bounded.
            let is_all = self.pending.is_empty();
            if is_all {
                self.shared.intake.empty_into(&mut self.pending);
            }
            let is_round = Instant::now() >= next_round;
            self.write(is_round).await;
            if is_all && self.pending.is_empty() && self.ledger.is_some() {
                self.shared.written.send_replace(asked);
            }
            if is_round {
                next_round = Instant::now() + self.rules.limits.journal_round;
            }
            if is_last {
                self.end().await;
                return;
            }
        }
    }

    /// Waits until there is something to do.
    async fn wait(&self, next_round: Instant) {
        let (limits, intake) = (&self.rules.limits, &self.shared.intake);
        if self.ledger.is_none() || self.is_behind {
            tokio::select! {
                () = sleep(limits.journal_retry) => {}
                () = closed(intake) => {}
            }
            return;
        }
        tokio::select! {
            () = intake.due() => {}
            () = tokio::time::sleep_until(next_round) => return,
        }
        tokio::select! {
            () = sleep(limits.journal_batch) => {}
            () = intake.hurry() => {}
        }
    }

    /// The last entries, which came while others could not be written.
    async fn end(&mut self) {
        if self.ledger.is_some() {
            self.shared.intake.empty_into(&mut self.pending);
            self.write(false).await;
        }
        let lost: u64 = self.pending.iter().map(|one| u64::from(one.times)).sum();
        if lost > 0 {
            self.shared.metrics.lost(lost);
            tracing::error!(lost, "the last entries of the journal cannot be written");
        }
        if let Some(ledger) = self.ledger.take() {
            ledger.close().await;
        }
    }

    /// Writes what is pending, and removes what has to go. A damaged file is replaced, once.
    async fn write(&mut self, is_round: bool) {
        let mut written = self.try_to_write(is_round).await;
        if let Err(error @ JournalError::Damaged { .. }) = &written {
            self.ledger = None;
            written = self.replace(error);
            if written.is_ok() {
                written = self.try_to_write(is_round).await;
            }
        }
        let metrics = &self.shared.metrics;
        let was_failing = self
            .shared
            .is_failing
            .swap(written.is_err(), Ordering::AcqRel);
        metrics.is_writable(written.is_ok());
        metrics.takes(bytes_of(&self.path));
        match written {
            Ok(()) if was_failing => tracing::info!("the journal can be written again"),
            Ok(()) => {}
            Err(error) => {
                self.ledger = None;
                metrics.failed();
                if !was_failing {
                    let so = if self.rules.is_required {
                        "nothing that belongs into it is delivered until it can"
                    } else {
                        "deliveries go on, and are lost to it unless it soon can"
                    };
                    tracing::error!(%error, "the journal cannot be written: {so}");
                }
            }
        }
    }

    async fn try_to_write(&mut self, is_round: bool) -> Result<(), JournalError> {
        let ledger = match &mut self.ledger {
            Some(ledger) => ledger,
            None => self
                .ledger
                .insert(Ledger::open(&self.path, &self.rules).await?),
        };
        ledger.check_place()?;
        if !self.pending.is_empty() {
            let rows = ledger.append(&mut self.pending, &self.rules).await?;
            self.shared.metrics.written(rows);
            self.pending.clear();
        }
        let now = (self.clock)();
        let mut is_done = ledger.make_room(now, &self.rules).await?;
        if is_round || self.is_behind {
            let cutoff = cutoff(now, self.rules.keep);
            is_done &= ledger.remove_old((cutoff, now), &self.rules).await?;
            is_done &= ledger.shrink(&self.rules).await?;
            if !self.rules.has_clients {
                ledger.remove_addresses().await?;
            }
            forget(&self.path, cutoff, &self.rules);
        }
        self.is_behind = !is_done;
        let oldest = ledger.oldest().await?;
        let oldest = oldest.map_or(i64::MAX, Timestamp::as_microsecond);
        self.shared.oldest.store(oldest, Ordering::Relaxed);
        Ok(())
    }

    /// Sets the damaged file aside, so that a new one can be begun.
    fn replace(&self, error: &JournalError) -> Result<(), JournalError> {
        self.shared.metrics.set_aside();
        let aside = set_aside(&self.path, (self.clock)());
        match aside {
            Ok(aside) => {
                tracing::error!(
                    %error,
                    aside = %aside.display(),
                    "the journal is damaged: it is set aside, and a new one begun"
                );
                Ok(())
            }
            Err(cause) => Err(JournalError::Unavailable {
                doing: "set the damaged journal aside",
                path: self.path.display().to_string(),
                cause: cause.into(),
            }),
        }
    }
}

async fn closed(intake: &Intake) {
    while !intake.is_closed() {
        intake.hurry().await;
    }
}

/// Rows from before this are too old.
fn cutoff(now: Timestamp, keep: Duration) -> Timestamp {
    now.checked_sub(keep).unwrap_or(Timestamp::MIN)
}

fn forget(path: &Path, cutoff: Timestamp, rules: &JournalRules) {
    if let Err(error) = forget_set_aside(path, cutoff, rules.limits.journal_set_aside) {
        tracing::warn!(%error, "damaged journals that were set aside cannot be removed");
    }
}
