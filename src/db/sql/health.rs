//! Whether the records can be written, judging by the last attempt. It is logged when that changes, not
//! for each request that was refused meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::db::error::DbError;

/// Shared by everything that writes.
#[derive(Debug, Clone, Default)]
pub struct Health {
    is_failing: Arc<AtomicBool>,
}

impl Health {
    pub(in crate::db) fn is_writable(&self) -> bool {
        !self.is_failing.load(Ordering::Acquire)
    }

    /// A write was committed.
    pub(super) fn succeeded(&self) {
        if self.is_failing.swap(false, Ordering::AcqRel) {
            tracing::info!("the records can be written again");
        }
    }

    /// A write failed. If another write overtook it, that says nothing about the disk.
    pub(in crate::db) fn failed(&self, error: &DbError) {
        let is_about_the_disk = match error {
            DbError::Full { .. }
            | DbError::Unavailable { .. }
            | DbError::Corrupt { .. }
            | DbError::Open { .. } => true,
            DbError::Conflict { .. } | DbError::Unstorable { .. } | DbError::Occupied { .. } => {
                false
            }
        };
        if is_about_the_disk && !self.is_failing.swap(true, Ordering::AcqRel) {
            tracing::error!(
                %error,
                "the records cannot be written: uploads and changes are refused until they can"
            );
        }
    }
}
