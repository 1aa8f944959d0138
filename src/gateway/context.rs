//! What every flow shares, and what one request pins: a policy generation and an instant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::cache::{Budget, Flights, RenderedPages, SourcePages, Weighed};
use crate::clock::Clock;
use crate::db::Db;
use crate::gateway::changes::Changes;
use crate::gateway::fill::Fills;
use crate::gateway::garbage::Garbage;
use crate::gateway::held::Checks;
use crate::gateway::list::Lists;
use crate::gateway::page::Renderings;
use crate::gateway::sidecar::{PlacedSidecars, Sidecars};
use crate::gateway::source::{CLOCK_SLACK, Fetches, later};
use crate::gateway::tickets::{Renewals, Tickets};
use crate::gateway::{sidecar, tickets};
use crate::model::{IndexName, Sha256, Timestamp};
use crate::policy::Policies;
use crate::protocol::ETag;
use crate::store::{FsStore, Key};
use crate::telemetry::{Metrics, Tier};
use crate::upstream::{Decoding, Upstream};

/// What a small file takes in memory besides its bytes.
const SMALL_ENTRY_BYTES: usize = 200;

/// A small file or a sidecar, whole in memory.
#[derive(Debug, Clone)]
pub struct Small {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its digest as a tag: working it out costs more than everything else about an answer.
    pub etag: ETag,
}

impl Small {
    pub fn new(bytes: Bytes) -> Self {
        let etag = ETag::of_digest(&Sha256::of(&bytes));
        Self { bytes, etag }
    }
}

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
    /// How long a page that has grown old is still answered while it is made anew.
    pub stale_while_revalidate: Duration,
    /// Never ask an upstream.
    pub offline: bool,
    /// Whether nobody is asked because this is only to explain what a server would do.
    pub is_explaining: bool,
    /// `cache.memory`, in bytes.
    pub memory_bytes_max: u64,
    /// Largest source page, in bytes.
    pub page_bytes_max: u64,
    /// Largest project list, in bytes.
    pub project_list_bytes_max: u64,
    /// Largest sidecar, in bytes.
    pub metadata_bytes_max: u64,
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
    /// What is being unpacked and read at one time; the same budget as that of every upstream.
    pub decoding: Decoding,
    /// Largest held file that is checked before its first byte goes out, in bytes.
    pub checked_first_max: u64,
    /// Most fills at one time.
    pub fills_max: usize,
    /// How long one fill more waits for its turn.
    pub fill_wait: Duration,
    /// Bytes a second below which a fill that nobody reads gives its place to one that waits.
    pub fill_rate_min: u64,
    /// Most different misses of one kind at one time.
    pub flights_max: usize,
}

/// What `app` hands over.
#[derive(Debug)]
pub struct Parts {
    /// Tells the time.
    pub clock: Clock,
    /// The first generation.
    pub generation: Generation,
    /// What does not change.
    pub settings: Settings,
    /// Keeps bytes.
    pub store: Arc<FsStore>,
    /// Keeps records.
    pub records: Arc<dyn Db>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The runtime on which work goes on when its client has left.
    pub work: tokio::runtime::Handle,
}

/// Everything the flows share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub generation: ArcSwap<Generation>,
    pub settings: Settings,
    pub store: Arc<FsStore>,
    pub records: Arc<dyn Db>,
    pub sources: SourcePages,
    pub rendered: RenderedPages,
    pub small: Weighed<Key, Small>,
    pub tickets: Tickets,
    pub fetches: Fetches,
    pub renderings: Renderings,
    pub renewals: Renewals,
    pub sidecars: Sidecars,
    pub placed_sidecars: PlacedSidecars,
    pub fills: Fills,
    pub lists: Lists,
    pub changes: Changes,
    pub garbage: Garbage,
    pub checks: Checks,
    /// Held while the learned facts of one project are read, changed and written.
    pub learning: Mutex<()>,
    /// What the clock said when it was last looked at.
    clock_said: Mutex<Timestamp>,
    pub metrics: Arc<Metrics>,
    pub work: tokio::runtime::Handle,
}

/// One request's view: whatever is reloaded meanwhile, it sees one generation and one instant.
#[derive(Debug, Clone)]
pub struct Context {
    pub generation: Arc<Generation>,
    pub now: Timestamp,
}

impl Shared {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            clock,
            generation,
            settings,
            store,
            records,
            metrics,
            work,
        } = parts;
        let budget = Budget::split(settings.memory_bytes_max);
        let flights_max = settings.flights_max;
        Self {
            clock,
            generation: ArcSwap::from_pointee(generation),
            sources: SourcePages::new(budget.sources),
            rendered: RenderedPages::new(budget.rendered),
            small: Weighed::new(budget.small_files, |_, small| {
                small.bytes.len() + SMALL_ENTRY_BYTES
            }),
            tickets: Weighed::new(budget.tickets, tickets::weight_bytes),
            fetches: Flights::new(work.clone(), flights_max),
            renderings: Flights::new(work.clone(), flights_max),
            renewals: Flights::new(work.clone(), flights_max),
            sidecars: Flights::new(work.clone(), flights_max),
            placed_sidecars: Weighed::new(budget.placed_sidecars, sidecar::weight_bytes),
            fills: Fills::new(work.clone(), &settings),
            lists: Lists::new(work.clone()),
            changes: Changes::default(),
            garbage: Garbage::default(),
            checks: Checks::default(),
            learning: Mutex::default(),
            clock_said: Mutex::new(Timestamp::MIN),
            store,
            records,
            settings,
            metrics,
            work,
        }
    }

    /// Pins the generation in force and the current instant.
    #[must_use]
    pub fn context(&self) -> Context {
        Context {
            generation: self.generation.load_full(),
            now: self.clock.now(),
        }
    }

    /// Forgets what is remembered when the clock was put back since the last call: all of it says until
    /// when it holds, by a clock that was ahead. What is on disk says when it was made.
    pub fn heed_clock(&self) {
        let now = self.clock.now();
        let mut said = self
            .clock_said
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *said, now);
        drop(said);
        if before <= later(now, CLOCK_SLACK) {
            return;
        }
        tracing::warn!(%before, %now, "the clock was put back: what was remembered is asked for again");
        self.sources.forget_all();
        self.lists.forget_all();
        self.tickets.remove_if(|_| true);
        self.rendered.forget_all();
    }

    /// States what the caches hold, and how the records are.
    pub fn report_state(&self) {
        self.metrics.records_writable(self.records.is_writable());
        let memory = self.rendered.weight_bytes()
            + self.sources.weight_bytes()
            + self.small.weight_bytes()
            + self.placed_sidecars.weight_bytes()
            + self.tickets.weight_bytes();
        self.metrics.cache_holds(Tier::Memory, memory);
        self.metrics.files_damaged(self.store.damaged());
        self.metrics
            .cache_holds(Tier::Store, self.store.quota().used_bytes());
    }

    /// States that what was read could not be put in force.
    pub fn reload_failed(&self) {
        self.metrics.reload_failed();
    }

    /// The budget for what is being unpacked and read.
    #[must_use]
    pub fn decoding(&self) -> Decoding {
        self.settings.decoding.clone()
    }

    /// The generation in force.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Puts a new generation in force. Nothing is flushed: what was rendered or decided knows the
    /// generation that made it.
    pub fn install(&self, generation: Generation) {
        self.metrics.policies_changed(generation.number);
        self.generation.store(Arc::new(generation));
    }
}
