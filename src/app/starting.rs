//! The time before the server runs, in which a signal ends the program as cleanly as afterwards.
//!
//! Nothing is served yet and nothing half-written counts, so there is nothing to finish.

use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use crate::app::work::hear;

/// Ends the program at SIGTERM or SIGINT until it is dropped; whoever has heard the signals by then
/// heeds those that come just before.
pub(super) struct Starting(AbortHandle);

impl Starting {
    pub(super) fn begin(work: &Runtime) -> anyhow::Result<Self> {
        let mut signals = hear(work)?;
        let ended = work.spawn(async move {
            signals.end().await;
            tracing::info!("stopped before it served");
            std::process::exit(0);
        });
        Ok(Self(ended.abort_handle()))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.abort();
    }
}
