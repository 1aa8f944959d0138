//! Waiting for what is behind an answer.

use std::time::Duration;

/// Most time that it takes; generous, for a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Waits for what comes soon.
///
/// # Panics
/// When it does not come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(SOON, what).await;
    came.unwrap_or_else(|_| panic!("not within {SOON:?}"))
}
