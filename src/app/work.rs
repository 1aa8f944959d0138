//! The threads on which everything below the doors is done.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

/// Threads for work that outlives its request: fetches, fills, renderings. They mostly wait.
const WORK_THREADS: usize = 2;

/// Not of the current thread alone: records are closed from outside of it.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORK_THREADS)
        .thread_name("work")
        .enable_all()
        .build()
        .context("start the work runtime")
}
