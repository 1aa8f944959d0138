//! A feed of advisories, as operators write it, and what is held of it.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::advisory::{Advisories, Freshness};
use crate::language::document::Placed;
use crate::model::Timestamp;

/// `stale`: what rules about advisories do once a feed is older than its `max_age`, or not there yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenStale {
    /// They refuse what they cannot judge.
    #[default]
    Deny,
    /// They judge by what is held.
    Allow,
}

/// An entry of `advisories:` that is fetched.
#[derive(Debug, Clone)]
pub struct Feed {
    /// What metrics and logs call it.
    pub name: Placed<Arc<str>>,
    /// `url`.
    pub url: Url,
    /// `every`: how often it is asked for.
    pub every: Duration,
    /// `max_age`: for how long its last answer is relied on.
    pub max_age: Duration,
    /// `stale`.
    pub stale: WhenStale,
    /// `may_shrink`: whether half of it may vanish at once.
    pub may_shrink: bool,
    /// What is held of it; filled in by whoever keeps it.
    pub held: Option<HeldFeed>,
}

/// What is held of a feed.
#[derive(Debug, Clone)]
pub struct HeldFeed {
    /// Its advisories.
    pub advisories: Arc<Advisories>,
    /// When its source last confirmed them.
    pub checked: Timestamp,
}

impl Feed {
    /// How far it may be relied on.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        Freshness {
            feed: Arc::clone(&self.name.value),
            checked: self.held.as_ref().map(|held| held.checked),
            max_age: self.max_age,
            denies: self.stale == WhenStale::Deny,
        }
    }
}
