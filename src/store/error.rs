//! Store errors, classified by what the caller does about them.

use std::io;

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bytes are not what they claim to be; nothing was kept.
    #[error("{what} is not what it claims to be: {why}; nothing was kept")]
    Integrity {
        /// Which bytes.
        what: String,
        /// What was promised and what came.
        why: String,
    },
    /// Kept bytes have changed.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// Which bytes.
        what: String,
        /// What they are now.
        why: String,
    },
    /// The disk is full; nothing was kept.
    #[error("no room on the disk to {doing}, and no mirror file left to make some; free some")]
    Full {
        /// What was being done.
        doing: String,
    },
    /// The writer went away before the end; nothing was kept.
    #[error("{what} was left unfinished: {why}; nothing was kept")]
    Abandoned {
        /// Which bytes.
        what: String,
        /// The writer's reason.
        why: String,
    },
    /// The disk or its permissions failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl StoreError {
    /// An I/O failure, distinguishing a full disk.
    pub(super) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        let doing = doing.into();
        if is_full(&source) {
            return Self::Full { doing };
        }
        Self::Io { doing, source }
    }
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            insta::allow_duplicates! {
                insta::assert_snapshot!(
                    StoreError::io("write six.whl", kind.into()),
                    @"no room on the disk to write six.whl, and no mirror file left to make some; free some"
                );
            }
        }
        insta::assert_snapshot!(
            StoreError::io("write six.whl", io::ErrorKind::ReadOnlyFilesystem.into()),
            @"write six.whl: read-only filesystem or storage medium"
        );
    }
}
