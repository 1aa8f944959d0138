//! The threads that do everything below the doors.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use crate::listen::Signals;

/// Threads for work that outlives its request: fetches, fills, renderings. They mostly wait.
const WORK_THREADS: usize = 2;

/// Multi-threaded: records are closed from outside the runtime.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORK_THREADS)
        .thread_name("work")
        .enable_all()
        .build()
        .context("start the work runtime")
}

/// Hears the signals from now on.
pub(super) fn hear(work: &Runtime) -> anyhow::Result<Signals> {
    let _within = work.enter();
    Signals::hear().context("listen for signals")
}
