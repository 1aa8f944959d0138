//! The words for what a reply records, as metrics and access lines write them.

use crate::gateway::reply::{CacheResult, Decision, Route};
use crate::telemetry::{Label, Staleness};

impl Label for Route {
    fn label(self) -> &'static str {
        match self {
            Self::ProjectList => "project_list",
            Self::ProjectPage => "project_page",
            Self::File => "file",
            Self::Sidecar => "sidecar",
            Self::Api => "api",
            Self::Web => "web",
            Self::Manage => "manage",
            Self::Other => "other",
        }
    }
}

impl Label for CacheResult {
    fn label(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Hit => "hit",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Stale(Staleness::Updating) => "updating",
            Self::Stale(Staleness::Error) => "stale",
            Self::Stale(Staleness::Offline) => "stale-offline",
            Self::Stale(Staleness::Vanished) => "stale-vanished",
            Self::Stale(Staleness::Partial) => "stale-partial",
        }
    }
}

impl Label for Decision {
    fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Allow => "allow",
            Self::Audit => "audit",
            Self::Deny => "deny",
        }
    }
}
