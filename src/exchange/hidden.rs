//! Indexes that public doors do not show (`public: false`).
//!
//! Such an index is a base like any other, and shown at the management door. At a public door, requests
//! about it go through the same flows with nothing behind them, so that the answers cannot be
//! distinguished from those about an index that does not exist.

use std::collections::HashMap;
use std::sync::Arc;

use crate::exchange::{Ask, Context, Generation};
use crate::model::IndexName;
use crate::policy::Policies;
use crate::protocol::{ApiOf, AskedIndex, PublicRoute};

/// The number of a generation without any index: no reload gets that far, so nothing remembered for a
/// real generation is taken for an answer of this one.
const NOTHING: u64 = u64::MAX;

impl Context {
    /// What a request may see: nothing at all if it is about an index that its door does not show.
    pub fn shown_to(self, ask: &Ask<'_>) -> Self {
        let policies = &self.generation.policies;
        let asked = asked_index(&ask.route, policies);
        if asked.is_none_or(|index| self.shows(ask, index)) {
            return self;
        }
        Self {
            generation: Arc::new(Generation {
                number: NOTHING,
                policies: Policies::default(),
                upstreams: HashMap::new(),
            }),
            now: self.now,
        }
    }

    /// Whether a request's door shows an index.
    pub fn shows(&self, ask: &Ask<'_>, index: &IndexName) -> bool {
        ask.arrival.is_manage || !self.generation.policies.is_hidden(index)
    }
}

/// The index that a request is about.
pub fn asked_index<'a>(route: &'a PublicRoute, policies: &'a Policies) -> Option<&'a IndexName> {
    match route {
        PublicRoute::ProjectList { index, .. }
        | PublicRoute::ProjectPage { index, .. }
        | PublicRoute::Doctor(index) => match index {
            AskedIndex::Named(index) => Some(index),
            AskedIndex::Default => policies.default_index(),
        },
        PublicRoute::File { index, .. }
        | PublicRoute::Api(ApiOf::Index(index))
        | PublicRoute::Index { index, .. }
        | PublicRoute::Project { index, .. }
        | PublicRoute::Release { index, .. }
        | PublicRoute::Documentation { index, .. }
        | PublicRoute::Uploads { index } => Some(index),
        PublicRoute::Api(ApiOf::Root | ApiOf::User(_))
        | PublicRoute::Status
        | PublicRoute::Users(_)
        | PublicRoute::User { .. }
        | PublicRoute::Search
        | PublicRoute::Static { .. }
        | PublicRoute::Redirect { .. }
        | PublicRoute::NotFound => None,
    }
}
