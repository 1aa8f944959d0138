//! The metrics of a directory of users.

use std::sync::Arc;

use crate::telemetry::declared::Declared;
use crate::telemetry::label::{Label, WaitFor};
use crate::telemetry::waits::WaitMeter;

/// The metrics of a directory of users. The default ones show nowhere: they are for commands without a
/// metrics door.
#[derive(Debug, Clone, Default)]
pub struct DirectoryMetrics {
    all: Option<Arc<Declared>>,
}

impl DirectoryMetrics {
    pub(super) fn of(all: &Arc<Declared>) -> Self {
        let all = Some(Arc::clone(all));
        Self { all }
    }

    /// States whether it answers as it should.
    pub fn is_reachable(&self, is_reachable: bool) {
        if let Some(all) = &self.all {
            all.directory_reachable.set(i64::from(is_reachable));
        }
    }

    /// The meter of waits for a turn to ask it.
    #[must_use]
    pub fn waits(&self) -> WaitMeter {
        let labels = [WaitFor::Directory.label()];
        let seconds = self.all.as_ref();
        seconds.map_or_else(WaitMeter::default, |all| {
            WaitMeter::of(all.wait_seconds.with_label_values(&labels))
        })
    }
}
