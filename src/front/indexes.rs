//! The fleet's indexes that no file declares: each becomes a mirror of its own, without rules.
//!
//! Such a mirror is made when its index is first asked for and devpi has it. It is not part of the
//! policies, so it gets its own generation, which the flows treat like any other.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use moka::sync::Cache;

use crate::exchange::Generation;
use crate::language::{IndexDocument, IndexKindDocument, MirrorDocument, Placed, Undated};
use crate::model::{IndexName, Location, UpstreamLimits};
use crate::policy::{Policies, Recalls};
use crate::upstream::{Decoding, Fleet};

/// Most indexes remembered; more than any devpi in the field has. A forgotten one is made again when it
/// is asked for: what it caches is not kept here.
const INDEXES_MAX: u64 = 4096;

/// Generations of declared indexes count from 1, so that nothing rendered for one kind is ever taken for
/// the other. Those under recalls count down from the end.
const UNDECLARED: u64 = 0;

/// The undeclared indexes that were asked for.
#[derive(Debug)]
pub struct Indexes {
    fleet: Arc<Fleet>,
    limits: UpstreamLimits,
    decoding: Decoding,
    known: Cache<IndexName, Arc<Generation>>,
}

impl Indexes {
    pub fn new(fleet: Arc<Fleet>, limits: UpstreamLimits, decoding: Decoding) -> Self {
        Self {
            fleet,
            limits,
            decoding,
            known: Cache::new(INDEXES_MAX),
        }
    }

    /// The generation of one index; `None` if devpi says that it has no such index. If no server can
    /// say, the index is tried, since its pages and files may be held.
    pub async fn generation(
        &self,
        index: &IndexName,
        offline: bool,
        in_force: &Generation,
    ) -> Option<Arc<Generation>> {
        let recalls = in_force.policies.recalls();
        if let Some(known) = self.known.get(index) {
            if known.policies.recalls() == recalls {
                return Some(known);
            }
            let known = Arc::new(under(&known, recalls, in_force.number));
            self.known.insert(index.clone(), Arc::clone(&known));
            return Some(known);
        }
        if !offline && self.is_unknown(index).await {
            return None;
        }
        let made = self.make(index)?;
        let made = Arc::new(under(&made, recalls, in_force.number));
        self.known.insert(index.clone(), Arc::clone(&made));
        Some(made)
    }

    /// Whether devpi says that it has no such index.
    async fn is_unknown(&self, index: &IndexName) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let asked = format!("/{index}?no_projects=");
        let answer = self.fleet.read(&Method::GET, &asked, &headers).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::NOT_FOUND)
    }

    fn make(&self, index: &IndexName) -> Option<Generation> {
        let policies = Policies::compile(&[], &[document(index)]);
        let (limits, decoding) = (self.limits.clone(), self.decoding.clone());
        let upstream = self.fleet.upstream(index, limits, decoding);
        match (policies, upstream) {
            (Ok(policies), Ok(upstream)) => Some(Generation {
                number: UNDECLARED,
                policies,
                upstreams: HashMap::from([(index.clone(), Arc::new(upstream))]),
            }),
            (Err(faults), _) => {
                tracing::error!(%index, %faults, "an index of devpi cannot be mirrored");
                None
            }
            (_, Err(error)) => {
                tracing::error!(%index, %error, "an index of devpi cannot be mirrored");
                None
            }
        }
    }
}

/// A generation under other recalls. Its number is one that no other of these has had under others.
fn under(of: &Generation, recalls: &Arc<Recalls>, in_force: u64) -> Generation {
    Generation {
        number: match recalls.is_empty() {
            true => UNDECLARED,
            false => u64::MAX - in_force,
        },
        policies: of.policies.under(Arc::clone(recalls)),
        upstreams: of.upstreams.clone(),
    }
}

/// A plain mirror of an index of the fleet.
fn document(index: &IndexName) -> IndexDocument {
    let name = Placed {
        value: index.clone(),
        location: Location {
            file: "devpi".into(),
            line: 1,
            column: 1,
        },
    };
    let mirror = MirrorDocument {
        undated: Some(Undated::Old),
        ..MirrorDocument::default()
    };
    let mirror = mirror.of_devpi(name.location.clone());
    IndexDocument::bare(name, IndexKindDocument::Mirror(mirror))
}
