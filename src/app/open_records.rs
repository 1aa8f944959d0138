//! Records in use: closed when this goes, however it goes, so that a clean end leaves everything in the
//! one file that people copy.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::db::Db;

/// Closes records when it is dropped. Goes before the runtime that it closes them on, which has threads
/// of its own.
#[derive(Debug)]
pub(super) struct OpenRecords {
    work: Handle,
    records: Arc<dyn Db>,
}

impl OpenRecords {
    pub(super) fn new(work: &Handle, records: &Arc<dyn Db>) -> Self {
        Self {
            work: work.clone(),
            records: Arc::clone(records),
        }
    }
}

impl Drop for OpenRecords {
    fn drop(&mut self) {
        self.work.block_on(self.records.close());
    }
}
