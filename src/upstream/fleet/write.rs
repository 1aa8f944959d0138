//! One write passed on: to the primary, once.
//!
//! A write whose answer was lost may have been carried out, so nothing is ever sent twice, and only the
//! primary is sent anything. Bodies are forwarded as they come in.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method};
use reqwest::{Body, Response};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::telemetry::ServerResult;
use crate::upstream::fleet::send::{FleetAnswer, FleetError};
use crate::upstream::fleet::servers::Fleet;
use crate::upstream::words;

/// Time allowed from the last byte of the body to the head of the answer. devpi answers a push to another
/// index once it has uploaded every file there, which takes minutes; a client that leaves earlier never
/// learns the outcome.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);

/// A body that is coming in.
pub type FleetBody =
    Pin<Box<dyn Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

/// One write.
pub struct FleetWrite<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Begins with a slash; sent as it is.
    pub path_and_query: &'a str,
    /// With `Content-Length` if the client stated it; otherwise the body is sent in chunks.
    pub headers: HeaderMap,
    /// Its body, if it has one.
    pub body: Option<FleetBody>,
}

impl Fleet {
    /// Passes a write on to the primary. A body that breaks off aborts the request.
    ///
    /// # Errors
    /// [`FleetError`] if there is no primary, or it gave no answer. It is then unknown whether the
    /// write was carried out.
    pub async fn write(&self, write: FleetWrite<'_>) -> Result<FleetAnswer, FleetError> {
        let failed = |reason: &str| FleetError(reason.to_owned());
        let position = self.writable();
        let position = position.ok_or_else(|| failed("none of them is a primary"))?;
        let server = &self.servers[position];
        let underway = server.load.wait().await;
        let underway = underway.ok_or_else(|| failed("the primary is busy"))?;
        if !server.load.lets_through() {
            let reason = "the primary failed repeatedly and is being left alone";
            return Err(failed(reason));
        }
        let url = self.url_of(write.path_and_query)?;
        let url = crate::upstream::fleet::send::moved(&url, self.url(), &server.url);
        let (moved, moves) = watch::channel(Instant::now());
        let is_broken = Arc::new(AtomicBool::new(false));
        let broken = Arc::clone(&is_broken);
        let body = write.body.map(|body| {
            Body::wrap_stream(body.inspect(move |piece| {
                moved.send_replace(Instant::now());
                broken.fetch_or(piece.is_err(), Ordering::Relaxed);
            }))
        });
        let request = self.writing.request(write.method.clone(), url);
        let request = request.headers(write.headers);
        let request = request.body(body.unwrap_or_else(|| Body::from("")));
        match answer(request.send(), moves).await {
            Ok(mut response) => {
                self.heard(server, &response);
                self.wrote(response.headers());
                response.extensions_mut().insert(underway);
                Ok(self.answer(response))
            }
            Err((reason, result)) => {
                if is_broken.load(Ordering::Relaxed) {
                    server.load.ended(ServerResult::Abandoned);
                } else {
                    server.load.ended(result);
                    self.failed(server, &reason);
                }
                Err(FleetError(reason))
            }
        }
    }
}

/// The answer, awaited for as long as the body moves, and for a time after it ended.
async fn answer(
    sending: impl Future<Output = reqwest::Result<Response>>,
    moves: watch::Receiver<Instant>,
) -> Result<Response, (String, ServerResult)> {
    let mut sending = pin!(sending);
    loop {
        let due = *moves.borrow() + ANSWER_TIMEOUT;
        tokio::select! {
            sent = &mut sending => {
                return sent.map_err(|error| (words::causes(error), ServerResult::Unreachable));
            }
            () = sleep_until(due) => {
                if *moves.borrow() + ANSWER_TIMEOUT <= due {
                    let reason = format!("no answer within {ANSWER_TIMEOUT:?}");
                    return Err((reason, ServerResult::Timeout));
                }
            }
        }
    }
}
