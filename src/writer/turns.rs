//! How many uploads are received at the same time. Each holds a thread that writes and a temporary file
//! for as long as its client takes to send, so there is a limited number of places; an upload that
//! finds none waits a while and is then told to come back. Reads need no place.

use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use crate::devpi::Refusal;
use crate::telemetry::{HeldPermits, Permits, WaitMeter};

/// When a client that found no place should try again: an upload under way has usually ended by then.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The places.
#[derive(Debug)]
pub struct Turns {
    places: Permits,
    patience: Duration,
}

/// A place, free again when dropped.
#[derive(Debug)]
pub struct Turn {
    _place: HeldPermits,
}

impl Turns {
    pub fn new(most: usize, patience: Duration, meter: WaitMeter) -> Self {
        Self {
            places: Permits::new(most, meter),
            patience,
        }
    }

    /// Takes a place, waiting for one if need be.
    pub async fn take(&self) -> Result<Turn, Refusal> {
        match timeout(self.patience, self.places.take()).await {
            Ok(place) => Ok(Turn { _place: place }),
            Err(_) => {
                let words = format!(
                    "{} uploads are being taken in (limits.uploads); try again later",
                    self.places.size()
                );
                let refusal = Refusal::exception(StatusCode::SERVICE_UNAVAILABLE, words);
                Err(refusal.after(RETRY_AFTER))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::telemetry::{Metrics, WaitFor};
    use crate::writer::refusal::refusal_reply;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_waits_a_while_and_is_told_when_to_come_back() {
        let metrics = Metrics::register(Registry::new(), "0").unwrap();
        let waits = metrics.waits(WaitFor::Uploads);
        let turns = Turns::new(1, Duration::from_secs(5), waits);
        let first = turns.take().await.unwrap();
        let refused = turns.take().await.unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        let reply = refusal_reply(refused, ("/", &http::HeaderMap::new()), false);
        assert!(reply.head.contains_key(http::header::RETRY_AFTER));
        let (second, ()) = tokio::join!(turns.take(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        });
        second.unwrap();
        let counted = "cheesecloth_wait_duration_seconds_count{what=\"uploads\"} 2";
        let shown = metrics.render().unwrap();
        assert!(shown.contains(counted), "{shown}");
    }
}
