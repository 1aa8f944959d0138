//! When a file was published, as far as rules may rely on it.

use crate::language::Undated;
use crate::model::{File, IndexName, Timestamp, UploadTimeSource};

/// When a file was published.
pub(super) enum PublishedAt {
    Time(Timestamp),
    BeforeAnything,
    Unknown,
}

impl PublishedAt {
    /// Of a file of this mirror, which says what undated files are, or with `None` of a stage.
    pub(super) fn of(file: &File, mirror: Option<(&IndexName, Undated)>) -> Self {
        let stated = file.upload_time;
        let undated = match (stated.map(|time| time.source), mirror) {
            // Our own records count as a date, however a private file got it.
            (Some(UploadTimeSource::Index), _) | (_, None) => None,
            (Some(UploadTimeSource::FirstSeen) | None, Some((_, undated))) => Some(undated),
        };
        match undated {
            None | Some(Undated::FirstSeen) => {
                stated.map_or(Self::Unknown, |time| Self::Time(time.at))
            }
            Some(Undated::Deny) => Self::Unknown,
            Some(Undated::Old) => Self::BeforeAnything,
        }
    }
}
