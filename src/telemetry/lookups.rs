//! Cache look-ups are counted on nearly every request, so each counter is found by its position, and
//! counting is one addition.

use std::array::from_fn;
use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec};

use crate::telemetry::label::{CacheKind, Label, LabelSet, LookUp, Tier};

const TIERS: usize = Tier::ALL.len();
const KINDS: usize = CacheKind::ALL.len();
const RESULTS: usize = LookUp::ALL.len();

/// A counter for every tier, kind and result. All exist from the start, so that the first look-up of a kind
/// shows as a rise.
#[derive(Debug, Clone)]
pub(super) struct LookUps(Arc<[[[IntCounter; RESULTS]; KINDS]; TIERS]>);

impl LookUps {
    /// The counters of a metric with these labels in this order.
    pub(super) fn new(counters: &IntCounterVec) -> Self {
        let counter = |tier: usize, kind: usize, result: usize| {
            counters.with_label_values(&[
                Tier::ALL[tier].label(),
                CacheKind::ALL[kind].label(),
                LookUp::ALL[result].label(),
            ])
        };
        Self(Arc::new(from_fn(|tier| {
            from_fn(|kind| from_fn(|result| counter(tier, kind, result)))
        })))
    }

    pub(super) fn count(&self, tier: Tier, kind: CacheKind, result: LookUp) {
        self.0[tier as usize][kind as usize][result as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    #[test]
    fn each_look_up_is_counted_under_its_own_labels() {
        let labels = ["tier", "kind", "result"];
        let counters = IntCounterVec::new(Opts::new("looked", "x"), &labels).unwrap();
        let look_ups = LookUps::new(&counters);
        for tier in Tier::ALL {
            for kind in CacheKind::ALL {
                for result in LookUp::ALL {
                    look_ups.count(*tier, *kind, *result);
                    let labels = [tier.label(), kind.label(), result.label()];
                    assert_eq!(counters.with_label_values(&labels).get(), 1, "{labels:?}");
                }
            }
        }
    }
}
