//! All webhooks, and the thread that posts to them: apart from the threads that answer requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{fmt, io};

use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::task;
use tokio::time::timeout;

use crate::model::{NotifyLimits, Webhook};
use crate::notify::line::{Line, Now};
use crate::notify::notice::Notice;
use crate::telemetry::{AuditEvent, NotifyMetrics};

/// What a notifier is made of.
pub struct NotifierParts {
    /// Limits on what is told.
    pub limits: NotifyLimits,
    /// What operators see.
    pub metrics: NotifyMetrics,
    /// Tells the time.
    pub now: Now,
}

/// Tells webhooks.
pub struct Notifier {
    parts: NotifierParts,
    lines: Mutex<Vec<(Arc<Line>, task::JoinHandle<()>)>>,
    runtime: Handle,
    stopping: watch::Sender<bool>,
    /// The thread, which ends when the sender is dropped.
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Notifier {
    /// Starts the thread, with no webhooks yet.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(parts: NotifierParts) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stopping, _) = watch::channel(false);
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("notify".to_owned());
        let thread = thread.spawn(move || {
            // An error means that the sender was dropped, which is how it ends.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self {
            parts,
            lines: Mutex::default(),
            runtime: handle,
            stopping,
            thread: Mutex::new(Some((end, thread))),
        })
    }

    fn lines(&self) -> MutexGuard<'_, Vec<(Arc<Line>, task::JoinHandle<()>)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells these webhooks from now on, and no others. What waits for one that stays as it is waits on.
    pub fn adopt(&self, webhooks: &[Webhook]) {
        let mut lines = self.lines();
        let (kept, gone): (Vec<_>, Vec<_>) = lines
            .drain(..)
            .partition(|(line, _)| webhooks.contains(line.webhook()));
        *lines = kept;
        for webhook in webhooks {
            if lines.iter().any(|(line, _)| line.webhook() == webhook) {
                continue;
            }
            let NotifierParts {
                limits,
                metrics,
                now,
            } = &self.parts;
            let line = Line::new(webhook, limits, metrics, now);
            let run = Arc::clone(&line).run(self.stopping.subscribe());
            lines.push((line, self.runtime.spawn(run)));
        }
        drop(lines);
        for (line, task) in gone {
            task.abort();
            line.give_up();
        }
    }

    /// Hears an event, and has it wait for the webhooks that are told of such. Never waits itself.
    pub fn hear(&self, event: &AuditEvent) {
        let lines = self.lines();
        if lines.is_empty() {
            return;
        }
        if let Some(notice) = Notice::of(event) {
            lines.iter().for_each(|(line, _)| line.hear(&notice));
        }
    }

    /// Tells what waits, for as long as `limits.notify_stop` lets it, and ends the thread.
    pub fn stop(&self) {
        let thread = self.thread.lock().map_or(None, |mut thread| thread.take());
        let Some((end, thread)) = thread else { return };
        let lines = std::mem::take(&mut *self.lines());
        let (lines, tasks): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
        self.stopping.send_replace(true);
        let bound = self.parts.limits.notify_stop;
        let (done, is_done) = std::sync::mpsc::channel();
        let aborts: Vec<_> = tasks.iter().map(task::JoinHandle::abort_handle).collect();
        self.runtime.spawn(async move {
            let ended = futures_util::future::join_all(tasks);
            // Whether in time or not, what is left is counted below.
            let _ = timeout(bound, ended).await;
            aborts.iter().for_each(task::AbortHandle::abort);
            let _ = done.send(());
        });
        // Fails only if the thread is gone already.
        let _ = is_done.recv();
        lines.iter().for_each(|line| line.give_up());
        drop(end);
        let _ = thread.join();
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Notifier").finish_non_exhaustive()
    }
}
