//! Everything below the doors: built from a configuration, kept going, and ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::account::Accounts;
use crate::app::doors::Doorway;
use crate::app::generation::Maker;
use crate::app::neighbours::Neighbours;
use crate::app::open_records::OpenRecords;
use crate::app::overview::keep_overview;
use crate::app::{catalogued, chores, data};
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::db::Db;
use crate::depot::{Depot, DepotError};
use crate::exchange::{Core, ErrorKind, Generation, Overview, Settings};
use crate::feed::{Keeper, KeeperParts};
use crate::gateway::{Flows, Generations};
use crate::journal::{JOURNAL_FILE, Journal};
use crate::language::IndexDocument;
use crate::listen::Stop;
use crate::policy::Recalls;
use crate::search::Catalogue;
use crate::store::FsStore;
use crate::telemetry::{AccessLog, AuditLog, Metrics, WaitFor};
use crate::upstream::{Decoding, Fleet, OwnDoors};

/// How long work that outlived its request may take to end when the program does.
const WORK_ENDS_WITHIN: Duration = Duration::from_secs(1);

/// Gives mirrors without a URL their upstream, once it is known what the records hold.
type FindUpstream<'a> = &'a mut dyn FnMut(&mut Loaded, &[IndexDocument]) -> anyhow::Result<()>;

/// Everything below the doors.
pub(super) struct House {
    /// Before the runtime: fields go in this order.
    open: OpenRecords,
    pub(super) work: Runtime,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) store: Arc<FsStore>,
    pub(super) records: Arc<dyn Db>,
    pub(super) fleet: Option<Arc<Fleet>>,
    pub(super) flows: Arc<Flows>,
    pub(super) maker: Maker,
    pub(super) feeds: Arc<Keeper>,
    /// Told where the doors are once they are open.
    pub(super) doors: OwnDoors,
}

impl House {
    /// Opens records and store, lets `find` give mirrors without a URL their upstream, and compiles the
    /// first generation.
    pub(super) fn build(
        work: Runtime,
        metrics: Metrics,
        loaded: &mut Loaded,
        is_explaining: bool,
        find: FindUpstream<'_>,
    ) -> anyhow::Result<Self> {
        let data = loaded.config.data.clone();
        data::own(&data)?;
        let clock = Clock::system();
        let depot = open_depot(&loaded.config, &metrics)?;
        let (disk, waits) = (loaded.config.cache.disk, metrics.waits(WaitFor::Store));
        let mut store = FsStore::open_metered(&data, disk, waits)?;
        if depot.is_some() {
            store = store.before_a_depot();
        }
        let store = Arc::new(store);
        let open = OpenRecords::open(&work, &loaded.config, clock.now(), Some(&metrics))?;
        let records = Arc::clone(&open.records);
        let stored = Generations::stored(&work.block_on(records.directory())?);
        find(loaded, &stored)?;
        let fleet = fleet_of(&loaded.config, &metrics)?;
        let found = loaded.found.as_ref().map(|found| &found.url);
        let neighbours = Neighbours::of(&loaded.config).beside(found);
        for words in neighbours.strangers(&stored) {
            tracing::warn!("{words}");
        }
        let (doors, decoding) = (
            neighbours.doors.clone(),
            Decoding::of(&loaded.config.limits.work, metrics.waits(WaitFor::Decoding)),
        );
        let feeds = Arc::new(Keeper::new(KeeperParts {
            data: data.clone(),
            limits: loaded.config.limits.feed.clone(),
            upstream: loaded.config.limits.upstream.clone(),
            offline: loaded.config.offline || is_explaining,
            decoding: decoding.clone(),
            doors: doors.clone(),
            clock: clock.clone(),
            metrics: metrics.feeds(),
        }));
        feeds.give(&mut loaded.documents);
        feeds.adopt(&loaded.documents);
        let mut maker = Maker::before(fleet.clone(), decoding.clone(), neighbours);
        let mut generation = maker.next(1, loaded, &stored)?;
        // Without them what was recalled would pass.
        let recalls = Recalls::of(work.block_on(records.recalls())?);
        generation.policies = generation.policies.under(Arc::new(recalls));
        let flows = Arc::new(Flows::new(Core {
            clock: clock.clone(),
            in_force: Arc::new(generation).into(),
            settings: settings(&loaded.config, decoding, is_explaining),
            store: Arc::clone(&store),
            depot,
            records: Arc::clone(&records),
            catalogue: Arc::new(Catalogue::new(&loaded.config.limits.search)),
            overview: Overview::default(),
            metrics: Arc::new(metrics.clone()),
            work: work.handle().clone(),
        }));
        metrics.policies_changed(1);
        Ok(Self {
            open,
            work,
            clock,
            metrics,
            store,
            records,
            fleet,
            flows,
            maker,
            feeds,
            doors,
        })
    }

    /// Takes records that other gateways reach too, so that no other serves from them or changes them.
    pub(super) fn hold_records(&self, config: &Config, is_upgrade: bool) -> anyhow::Result<()> {
        self.open.hold(&config.data, is_upgrade)
    }

    /// A generation of another configuration over the same data, for comparison; never in force.
    pub(super) fn other_generation(&self, loaded: &Loaded) -> anyhow::Result<Generation> {
        let stored = Generations::stored(&self.work.block_on(self.records.directory())?);
        let fleet = fleet_of(&loaded.config, &self.metrics)?;
        let decoding = self.flows.core.settings.decoding.clone();
        let mut maker = Maker::before(fleet, decoding, Neighbours::of(&loaded.config));
        Ok(maker.next(2, loaded, &stored)?)
    }

    /// What every door logs, and where.
    pub(super) fn doorway(
        &self,
        access: &Arc<AccessLog>,
        audit: &Arc<AuditLog>,
        journal: &Arc<Journal>,
    ) -> Doorway {
        Doorway {
            access: Arc::clone(access),
            audit: Arc::clone(audit),
            journal: Arc::clone(journal),
            feeds: Arc::clone(&self.feeds),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            records: Arc::clone(&self.records),
            fleet: self.fleet.clone(),
            doors: self.doors.clone(),
        }
    }

    /// Starts what has to be done now and then until the server stops.
    pub(super) fn start_chores(
        &self,
        accounts: Arc<Accounts>,
        generations: Arc<Generations>,
        config: &Config,
        stop: &Stop,
    ) -> Chores {
        let (flows, store) = (Arc::clone(&self.flows), Arc::clone(&self.store));
        let age = config.limits.own.collect_after;
        let depot = config.depot.as_ref();
        let every = depot.map_or(age, |depot| depot.collect_every);
        let rounds = chores::Rounds {
            flows: Arc::clone(&flows),
            store,
            accounts,
            records: Arc::clone(&self.records),
            disk_reserve: config.limits.own.disk_reserve,
        };
        let records = Arc::clone(&self.records);
        let (verified, pace) = (Arc::clone(&flows), config.limits.own.verify_pace);
        let journal = config.data.join(JOURNAL_FILE);
        let overview = keep_overview(Arc::clone(&flows), journal, stop.clone());
        let cataloguing = catalogued::keep_catalogue(Arc::clone(&flows), stop.clone());
        let recalling = chores::follow_recalls(Arc::clone(&flows), generations, stop.clone());
        Chores([
            self.work
                .spawn(chores::verify(verified, pace, stop.clone())),
            self.work
                .spawn(chores::watch_depot(Arc::clone(&flows), stop.clone())),
            self.work
                .spawn(chores::collect(flows, (age, every), stop.clone())),
            self.work
                .spawn(chores::watch_records(records, stop.clone())),
            self.work.spawn(rounds.run(stop.clone())),
            self.work.spawn(recalling),
            self.work.spawn(cataloguing),
            self.work.spawn(overview),
        ])
    }

    /// Ends what is below the doors, which are closed: chores do their last round, the records are closed,
    /// and whatever still runs is abandoned.
    pub(super) fn end(self, chores: Chores) {
        let last_rounds = futures_util::future::join_all(chores.0);
        let ended = self
            .work
            .block_on(async { tokio::time::timeout(WORK_ENDS_WITHIN, last_rounds).await });
        if ended.is_err() {
            tracing::warn!("the last round of chores is given up");
        }
        drop(self.open);
        self.work.shutdown_timeout(WORK_ENDS_WITHIN);
    }

    /// Takes the records to serve from them, and checks that they, the files and the depot belong together
    /// before any of them changes.
    pub(super) fn take_records(&self, config: &Config, is_upgrade: bool) -> anyhow::Result<()> {
        self.hold_records(config, is_upgrade)?;
        if let Err(error) = self.work.block_on(self.flows.belonging.compare_records()) {
            // Tried again before anything is collected.
            tracing::error!(%error, "records and private files are not compared");
        }
        self.take_depot()
    }

    /// Tries the depot out, and sees whose it is, before anything is served. One that cannot be reached now
    /// does not keep the gateway from serving what is here; it is tried again until it can.
    pub(super) fn take_depot(&self) -> anyhow::Result<()> {
        let Some(depot) = &self.flows.core.depot else {
            return Ok(());
        };
        match self.work.block_on(depot.try_out()) {
            Err(error @ DepotError::Unavailable { .. }) => {
                tracing::error!("{error}; what is on the disk is served meanwhile");
                return Ok(());
            }
            tried => tried?,
        }
        match self.work.block_on(self.flows.deposits.compare_records()) {
            Err(error) if matches!(error.kind, ErrorKind::Unavailable(_)) => Ok(()),
            compared => Ok(compared?),
        }
    }

    /// Finds healthy devpi-servers before the first request, and watches them from then on.
    pub(super) fn watch_fleet(&self) {
        if let Some(fleet) = self.fleet.clone() {
            self.work.block_on(fleet.check());
            self.work.spawn(async move { fleet.watch().await });
        }
    }
}

/// The periodic tasks, for as long as they run.
pub(super) struct Chores([JoinHandle<()>; 8]);

/// The bucket that holds uploaded files, if there is one; nothing is asked of it yet.
pub(super) fn open_depot(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<Arc<Depot>>> {
    let Some(depot) = &config.depot else {
        return Ok(None);
    };
    let opened = Depot::open(&depot.place, depot.grace, metrics.depot())?;
    Ok(Some(Arc::new(opened)))
}

/// The existing store of a configuration, to be read beside a server.
pub(super) fn store_of(config: &Config) -> FsStore {
    let store = FsStore::existing(&config.data);
    match config.depot {
        Some(_) => store.before_a_depot(),
        None => store,
    }
}

/// The devpi-servers behind this gateway, if there are any.
fn fleet_of(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<Arc<Fleet>>> {
    let servers = config.devpi.as_ref().map(|devpi| &devpi.servers);
    let fleet = servers.map(|servers| Fleet::new(servers, &config.limits, metrics));
    let fleet = fleet.transpose()?;
    Ok(fleet.map(Arc::new))
}

fn settings(config: &Config, decoding: Decoding, is_explaining: bool) -> Settings {
    Settings {
        cache: config.cache.clone(),
        offline: config.offline,
        is_explaining,
        limits: config.limits.clone(),
        decoding,
    }
}
