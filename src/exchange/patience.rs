//! How long an answer is reused, and when something that failed is tried again.

use std::time::Duration;

use crate::model::Timestamp;

/// How long a stale answer is used before upstream is tried again: short, so that a recovered upstream
/// is noticed soon; not zero, so that an outage does not cost every request a time-out.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How far in the future a statement may have been made: requests read the clock at their start, and
/// use what others have fetched since.
pub const CLOCK_SLACK: Duration = Duration::from_mins(5);

/// How old an answer the asker accepts when upstream cannot be asked, and how long upstream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A page: within `stale_if_error`, once upstream has had `cache.patience`.
    Page,
    /// A page as upstream has it, where upstream can be asked at all: within `stale_if_error` else.
    LatestPage,
    /// A file that is here: any age, since what is cached is always served, and without waiting.
    File,
    /// A file as upstream lists it, where upstream can be asked at all: any age else.
    LatestFile,
}

impl Patience {
    /// How long upstream may take while there is something to answer with; `None` if it may take as
    /// long as it likes.
    #[must_use]
    pub fn wait(self, for_a_page: Duration) -> Option<Duration> {
        match self {
            Self::Page => Some(for_a_page),
            Self::File => Some(Duration::ZERO),
            Self::LatestPage | Self::LatestFile => None,
        }
    }
}

/// `at` plus `by`, or the end of time.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
