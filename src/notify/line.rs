//! The way to one webhook: rows gather, go in batches, and are tried again until they are taken or too old.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use crate::model::{NotifyLimits, Timestamp, Webhook};
use crate::notify::notice::Notice;
use crate::notify::post::{Posted, client, post};
use crate::notify::waiting::{Batch, Waiting};
use crate::telemetry::{NotifyMetrics, PostResult};

/// How much shorter or longer than its time a pause is, as a part of it: gateways that saw the same webhook
/// fail should not come back together.
const JITTER: f64 = 0.1;

/// Tells the time.
pub(super) type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The way to one webhook.
pub(super) struct Line {
    webhook: Webhook,
    /// How logs and metrics call it.
    host: String,
    limits: NotifyLimits,
    metrics: NotifyMetrics,
    now: Now,
    waiting: Mutex<Waiting>,
    /// Events in the batch that is on its way.
    on_its_way: Mutex<u64>,
    due: Notify,
}

impl Line {
    pub(super) fn new(
        webhook: &Webhook,
        limits: &NotifyLimits,
        metrics: &NotifyMetrics,
        now: &Now,
    ) -> Arc<Self> {
        let host = webhook.host();
        metrics.has(&host);
        Arc::new(Self {
            webhook: webhook.clone(),
            host,
            limits: limits.clone(),
            metrics: metrics.clone(),
            now: Arc::clone(now),
            waiting: Mutex::default(),
            on_its_way: Mutex::default(),
            due: Notify::new(),
        })
    }

    pub(super) fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_its_way(&self) -> MutexGuard<'_, u64> {
        self.on_its_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an event wait, if it is told there. Never waits itself.
    pub(super) fn hear(&self, notice: &Notice) {
        if !self.webhook.kinds.contains(&notice.kind()) {
            return;
        }
        let mut waiting = self.waiting();
        if !waiting.add(notice, self.limits.notify_waiting) {
            self.metrics.dropped(&self.host, notice.count());
        }
        self.metrics.waiting(&self.host, waiting.len());
        drop(waiting);
        self.due.notify_one();
    }

    /// Takes what waits to the webhook until the server stops, and then what still waits, without a pause.
    pub(super) async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let client = match client(&self.webhook, self.limits.notify_timeout) {
            Ok(client) => client,
            Err(error) => {
                let (webhook, error) = (&self.host, error.without_url());
                return tracing::error!(webhook, %error, "a webhook cannot be posted to");
            }
        };
        loop {
            if self.waiting().len() == 0 {
                if *stopping.borrow() {
                    return;
                }
                tokio::select! {
                    () = self.due.notified() => {}
                    _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
                }
                continue;
            }
            pause(self.limits.notify_gather, &mut stopping).await;
            while let Some(batch) = self.take() {
                self.deliver(&client, &batch, &mut stopping).await;
                *self.on_its_way() = 0;
            }
        }
    }

    fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting();
        let batch = waiting.take(self.limits.notify_batch, new_id)?;
        *self.on_its_way() = batch.events();
        self.metrics.waiting(&self.host, waiting.len());
        Some(batch)
    }

    /// Posts a batch until it is taken, refused or too old; once the server stops, one last time.
    async fn deliver(&self, client: &Client, batch: &Batch, stopping: &mut watch::Receiver<bool>) {
        let began = Instant::now();
        let mut wait = self.limits.notify_retry;
        loop {
            let is_last = *stopping.borrow();
            let posted = post(client, &self.webhook, batch, (self.now)()).await;
            let (result, after) = match &posted {
                Posted::Delivered => (PostResult::Delivered, None),
                Posted::Failed { after, .. } => (PostResult::Failed, *after),
                Posted::Refused(_) => (PostResult::Refused, None),
            };
            self.metrics.posted(&self.host, result);
            let (webhook, events) = (&self.host, batch.events());
            match posted {
                Posted::Delivered => return,
                Posted::Refused(status) => {
                    let status = status.as_u16();
                    tracing::error!(webhook, status, events, "a webhook refuses what it is told");
                    return self.metrics.dropped(&self.host, events);
                }
                Posted::Failed { why, .. }
                    if is_last || began.elapsed() >= self.limits.notify_keep =>
                {
                    tracing::error!(webhook, events, "a webhook is not told: {why}");
                    return self.metrics.dropped(&self.host, events);
                }
                Posted::Failed { why, .. } => {
                    tracing::warn!(webhook, events, "a webhook cannot be told now: {why}");
                }
            }
            let wished = after.unwrap_or_default().max(wait);
            pause(jittered(wished.min(self.limits.notify_retry_max)), stopping).await;
            wait = wait.saturating_mul(2).min(self.limits.notify_retry_max);
        }
    }

    /// Counts what it will not be told of any more, and says so.
    pub(super) fn give_up(&self) {
        let mut waiting = self.waiting();
        let events = waiting.events() + std::mem::take(&mut *self.on_its_way());
        *waiting = Waiting::default();
        self.metrics.waiting(&self.host, 0);
        if events > 0 {
            self.metrics.dropped(&self.host, events);
            let webhook = &self.host;
            tracing::warn!(
                webhook,
                events,
                "a webhook is not told of what waited for it"
            );
        }
    }
}

/// Waits, unless the server stops.
async fn pause(time: Duration, stopping: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = sleep(time) => {}
        _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
    }
}

fn jittered(pause: Duration) -> Duration {
    let drawn = getrandom::u32().unwrap_or_default();
    let part = f64::from(drawn) / f64::from(u32::MAX);
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * part)
}

/// An id that no other batch has.
fn new_id() -> String {
    let drawn = [(); 2].map(|()| getrandom::u64().unwrap_or_default());
    format!("msg_{:016x}{:016x}", drawn[0], drawn[1])
}
