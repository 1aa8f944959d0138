//! Stopping: asked for once, followed by every door, and known when all have closed.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// How long a connection may be idle before it is closed when the door closes. A client in the middle
/// of something sends its next request within that time, and is told with the answer to open a new
/// connection.
pub(super) const REST_MAX: Duration = Duration::from_secs(1);

/// The request that the server stop, shared by everything that must know.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: watch::Sender<bool>,
    open: watch::Sender<usize>,
}

/// An open door; closed when dropped.
#[derive(Debug)]
pub(super) struct OpenDoor(watch::Sender<usize>);

impl Default for Stop {
    fn default() -> Self {
        Self {
            asked: watch::Sender::new(false),
            open: watch::Sender::new(0),
        }
    }
}

impl Stop {
    /// Asks the server to stop: doors close, requests under way are finished within the grace period.
    pub fn request(&self) {
        self.asked.send_replace(true);
    }

    /// Turns to `true` when the server is to stop.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.asked.subscribe()
    }

    /// Waits until the server is to stop.
    pub async fn requested(&self) {
        // Fails only when no sender is left, and `self` is one.
        let _ = self.watch().wait_for(|asked| *asked).await;
    }

    pub(super) fn enter(&self) -> OpenDoor {
        self.open.send_modify(|open| *open += 1);
        OpenDoor(self.open.clone())
    }

    /// Waits until no door is open.
    pub(super) async fn closed(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Resolves when the server is to stop and clients have had the time to send a next request.
pub(super) async fn rested(mut stopping: watch::Receiver<bool>) {
    // Fails only if the sender is gone, which is a stop as well.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
    sleep(REST_MAX).await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_stop_is_over_when_the_last_door_closes() {
        let stop = Stop::default();
        let (first, second) = (stop.enter(), stop.enter());
        assert!(stop.requested().now_or_never().is_none());
        stop.request();
        assert!(stop.requested().now_or_never().is_some());
        assert!(*stop.watch().borrow());
        drop(first);
        assert!(stop.closed().now_or_never().is_none());
        drop(second);
        assert!(stop.closed().now_or_never().is_some());
    }
}
