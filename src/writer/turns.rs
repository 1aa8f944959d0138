//! How many uploads are taken in at once. Each holds a thread that writes and a temporary file for as
//! long as its client takes to send, so they have places of their own; who finds none waits a while
//! and is then told to come back. Reads need no place.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::devpi::Refusal;

/// When somebody who found no place should try again: uploads under way end in such a time.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The places.
#[derive(Debug)]
pub struct Turns {
    places: Arc<Semaphore>,
    most: usize,
    patience: Duration,
}

/// A place, free again when dropped.
#[derive(Debug)]
pub struct Turn {
    _place: OwnedSemaphorePermit,
}

impl Turns {
    pub fn new(most: usize, patience: Duration) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(most)),
            most,
            patience,
        }
    }

    /// Takes a place, waiting for one if need be.
    pub async fn take(&self) -> Result<Turn, Refusal> {
        let place = Arc::clone(&self.places).acquire_owned();
        match timeout(self.patience, place).await {
            Ok(Ok(place)) => Ok(Turn { _place: place }),
            // Never closed; too late is the only way to fail.
            Ok(Err(_)) | Err(_) => {
                let words = format!(
                    "{} uploads are being taken in (limits.uploads); try again later",
                    self.most
                );
                let refusal = Refusal::exception(StatusCode::SERVICE_UNAVAILABLE, words);
                Err(refusal.after(RETRY_AFTER))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::refusal::refusal_reply;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_waits_a_while_and_is_told_when_to_come_back() {
        let turns = Turns::new(1, Duration::from_secs(5));
        let first = turns.take().await.unwrap();
        let refused = turns.take().await.unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        let reply = refusal_reply(refused, &http::HeaderMap::new(), false);
        assert!(reply.head.contains_key(http::header::RETRY_AFTER));
        let (second, ()) = tokio::join!(turns.take(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        });
        second.unwrap();
    }
}
