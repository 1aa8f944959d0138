//! What every flow shares, and what one request pins: a policy generation and an instant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::fill::Fills;
use super::list::Lists;
use super::source::Fetches;
use super::tickets::Tickets;
use crate::cache::RenderedPages;
use crate::cache::SmallFiles;
use crate::cache::SourcePages;
use crate::clock::Clock;
use crate::db::Db;
use crate::model::IndexName;
use crate::model::Timestamp;
use crate::page::ProjectPage;
use crate::policy::Policies;
use crate::store::FsStore;
use crate::telemetry::Audit;
use crate::telemetry::Metrics;
use crate::upstream::Upstream;

/// One policy snapshot with the upstreams that belong to it: immutable, numbered, swapped in whole.
#[derive(Debug)]
pub struct Generation {
    /// Counts reloads, from 1.
    pub number: u64,
    /// Indexes, stacks and rules.
    pub policies: Policies,
    /// The upstream of every mirror that has one.
    pub upstreams: HashMap<IndexName, Arc<Upstream>>,
}

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a page that cannot be refreshed is still answered.
    pub stale_if_error: Duration,
    /// Never ask an upstream.
    pub offline: bool,
    /// Largest source page, in bytes.
    pub page_bytes_max: u64,
    /// Largest sidecar, in bytes.
    pub metadata_bytes_max: u64,
    /// Most fills at one time.
    pub fills_max: usize,
    /// Most distinct upstream page requests at one time.
    pub fetches_max: usize,
}

/// Everything the flows share; built once by `app`.
#[derive(Debug)]
pub struct Shared {
    pub(crate) clock: Clock,
    pub(crate) generation: ArcSwap<Generation>,
    pub(crate) settings: Settings,
    pub(crate) store: Arc<FsStore>,
    pub(crate) records: Arc<dyn Db>,
    pub(crate) sources: SourcePages<ProjectPage>,
    pub(crate) rendered: RenderedPages,
    pub(crate) small: SmallFiles,
    pub(crate) tickets: Tickets,
    pub(crate) fetches: Fetches,
    pub(crate) fills: Fills,
    pub(crate) lists: Lists,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audit: Audit,
    /// The runtime on which work goes on when its client has left.
    pub(crate) work: tokio::runtime::Handle,
}

/// One request's view: whatever is reloaded meanwhile, it sees one generation and one instant.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) generation: Arc<Generation>,
    pub(crate) now: Timestamp,
}

impl Shared {
    /// Pins the generation in force and the current instant.
    #[must_use]
    pub fn context(&self) -> Context {
        Context { generation: self.generation.load_full(), now: self.clock.now() }
    }
}
