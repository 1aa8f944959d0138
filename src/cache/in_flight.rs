//! How far a flight is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// How far a flight is, for whoever does not wait for its result.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Stage>);

#[derive(Debug, Default)]
struct Stage {
    is_over: AtomicBool,
    is_set_back: AtomicBool,
    set_back: Notify,
}

impl InFlight {
    /// Whether it has ended, however. What its work has remembered is there by then.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }

    /// Says that the result will take longer than hoped: the work has failed once and tries again.
    pub fn set_back(&self) {
        self.0.is_set_back.store(true, Ordering::Release);
        self.0.set_back.notify_waiters();
    }

    /// Whether the work has failed once.
    #[must_use]
    pub fn is_set_back(&self) -> bool {
        self.0.is_set_back.load(Ordering::Acquire)
    }

    /// It has ended.
    pub(super) fn end(&self) {
        self.0.is_over.store(true, Ordering::Release);
    }

    pub(super) async fn until_set_back(&self) {
        let told = self.0.set_back.notified();
        tokio::pin!(told);
        // Before looking, so that what is said in between is heard.
        told.as_mut().enable();
        if !self.is_set_back() {
            told.await;
        }
    }
}
