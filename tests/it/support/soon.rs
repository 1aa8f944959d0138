//! Waiting for what happens after an answer.

use std::time::Duration;

/// The longest wait; generous, for a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Waits for something that happens soon.
///
/// # Panics
/// When it does not happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(SOON, what).await;
    came.unwrap_or_else(|_| panic!("not within {SOON:?}"))
}
