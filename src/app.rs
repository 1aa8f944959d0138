//! Puts everything together and runs it; the only room that knows every type.
//!
//! The order of a start: read the configuration, find what pip mirrors, open records and store,
//! compile the first generation, open the doors, say where they are. After the doors are closed the
//! logs are flushed and the program ends.

mod accounts;
mod backup;
mod chores;
mod data;
mod descriptors;
mod doors;
mod files;
mod generation;
mod initialise;
mod lock;
mod moving;
mod neighbours;
mod notify;
mod open_records;
mod presence;
mod reload;
mod succession;
mod tokens;
mod watch;
mod words;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::account::Accounts;
pub use crate::app::accounts::AccountOptions;
pub use crate::app::backup::{backup, restore};
use crate::app::doors::Doorway;
pub use crate::app::doors::door_limits;
use crate::app::files::{Files, Reading};
pub use crate::app::generation::{decoding, upstream_limits};
pub use crate::app::initialise::initialise;
use crate::app::lock::DataLock;
pub use crate::app::moving::{ImportStart, export, import};
use crate::app::neighbours::Neighbours;
use crate::app::notify::Notify;
use crate::app::open_records::OpenRecords;
use crate::app::reload::Reloader;
pub use crate::app::tokens::TokenDrawer;
use crate::app::words::{FirstRun, say_found, warn_of};
use crate::clock::Clock;
use crate::config::{
    AsksPip, Config, Loaded, LogStyle, Named, Overrides, PoliciesPath, Secret, discover, load,
    load_noting,
};
use crate::db::{Db, Sqlite};
use crate::gateway::{Core, Flows, Generations, Settings};
use crate::listen::{QUIET_LOGS, ServerOptions, Stop, StopOn};
use crate::model::IndexName;
use crate::policy::IndexDocument;
use crate::reader::{Explanation, Question, explain_verdicts};
use crate::store::FsStore;
use crate::telemetry::{AccessLog, AuditLimits, AuditLog, LogFormat, Metrics, init_logging};
use crate::upstream::{Decoding, Fleet, FleetOptions, OwnDoors};
use crate::writer::{HouseLimits, Writer, WriterParts};

/// Threads for work that outlives its request: fetches, fills, renderings. They mostly wait.
const WORK_THREADS: usize = 2;

/// How long work that outlived its request may take to end when the program does.
const WORK_ENDS_WITHIN: Duration = Duration::from_secs(1);

/// What `serve` was asked for.
#[derive(Debug, Clone)]
pub struct Start {
    /// Where the configuration is.
    pub policies: PoliciesPath,
    /// What flags say.
    pub overrides: Overrides,
    /// What is decided about accounts.
    pub accounts: AccountOptions,
    /// Take the sockets over from the running process.
    pub is_upgrade: bool,
    /// Whether standard error is a terminal.
    pub is_terminal: bool,
}

/// Reads the environment; `config` decides which names count.
pub type Environment = fn(&str) -> Option<String>;

/// Gives what asks pip's index its upstream, once it is known what the records hold.
type FindUpstream<'a> = &'a mut dyn FnMut(&mut Loaded, &[IndexDocument]) -> anyhow::Result<()>;

/// Everything below the doors.
struct House {
    /// Before the runtime: fields go in this order.
    open: OpenRecords,
    work: Runtime,
    clock: Clock,
    metrics: Metrics,
    store: Arc<FsStore>,
    records: Arc<dyn Db>,
    fleet: Option<Arc<Fleet>>,
    flows: Arc<Flows>,
    maker: generation::Maker,
    /// Told where the doors are once they are open.
    doors: OwnDoors,
}

impl House {
    /// Opens records and store, has `find` give what asks pip's index its upstream, and compiles the
    /// first generation.
    fn build(loaded: &mut Loaded, find: FindUpstream<'_>) -> anyhow::Result<Self> {
        Self::counted_by(metrics()?, loaded, find)
    }

    fn counted_by(
        metrics: Metrics,
        loaded: &mut Loaded,
        find: FindUpstream<'_>,
    ) -> anyhow::Result<Self> {
        Self::with(metrics, loaded, find, false)
    }

    fn with(
        metrics: Metrics,
        loaded: &mut Loaded,
        find: FindUpstream<'_>,
        is_explaining: bool,
    ) -> anyhow::Result<Self> {
        let data = loaded.config.data.clone();
        data::own(&data)?;
        let work = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORK_THREADS)
            .thread_name("work")
            .enable_all()
            .build()
            .context("start the work runtime")?;
        let clock = Clock::system();
        let store = Arc::new(FsStore::open(&data, loaded.config.cache.disk)?);
        let records = work.block_on(Sqlite::open(&data.join(initialise::RECORDS), clock.now()))?;
        let records: Arc<dyn Db> = Arc::new(records);
        let open = OpenRecords::new(work.handle(), &records);
        let stored = Generations::stored(&work.block_on(records.directory())?);
        find(loaded, &stored)?;
        let fleet = fleet_of(&loaded.config, &metrics)?;
        let found = loaded.found.as_ref().map(|found| &found.url);
        let neighbours = Neighbours::of(&loaded.config).beside(found);
        for words in neighbours.strangers(&stored) {
            tracing::warn!("{words}");
        }
        let (doors, decoding) = (neighbours.doors.clone(), decoding(&loaded.config.limits));
        let maker = generation::Maker::before(fleet.clone(), decoding.clone(), neighbours);
        let first = maker.make(1, loaded, &stored)?;
        let flows = Arc::new(Flows::new(Core {
            clock: clock.clone(),
            in_force: Arc::new(first.generation).into(),
            settings: Settings {
                is_explaining,
                ..settings(&loaded.config, decoding)
            },
            store: Arc::clone(&store),
            records: Arc::clone(&records),
            metrics: Arc::new(metrics.clone()),
            work: work.handle().clone(),
        }));
        metrics.policies_changed(1);
        let maker = first.maker;
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
            doors,
        })
    }

    /// What every door writes down, and with what.
    fn doorway(&self, access: &Arc<AccessLog>, audit: &Arc<AuditLog>) -> Doorway {
        Doorway {
            access: Arc::clone(access),
            audit: Arc::clone(audit),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            records: Arc::clone(&self.records),
            fleet: self.fleet.clone(),
            doors: self.doors.clone(),
        }
    }

    /// Starts what has to be done now and then until the server stops.
    fn start_chores(&self, accounts: Arc<Accounts>, config: &Config, stop: &Stop) -> Chores {
        let (flows, store) = (Arc::clone(&self.flows), Arc::clone(&self.store));
        let every = config.limits.collect_after();
        let rounds = chores::Rounds {
            flows: Arc::clone(&flows),
            store,
            accounts,
            records: Arc::clone(&self.records),
            disk_reserve: config.limits.disk_reserve(),
        };
        let records = Arc::clone(&self.records);
        let (verified, pace) = (Arc::clone(&flows), config.limits.verify_pace());
        Chores([
            self.work
                .spawn(chores::verify(verified, pace, stop.clone())),
            self.work.spawn(chores::collect(flows, every, stop.clone())),
            self.work
                .spawn(chores::watch_records(records, stop.clone())),
            self.work.spawn(rounds.run(stop.clone())),
        ])
    }

    /// Ends what is below the doors, which are closed: chores do their last round, then the records
    /// are closed, then whatever still runs is given up.
    fn end(self, chores: Chores) {
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

    /// Sees whether records and files belong together before either changes.
    fn compare_records(&self) {
        if let Err(error) = self.work.block_on(self.flows.belonging.compare_records()) {
            // Tried again before anything is collected.
            tracing::error!(%error, "records and private files are not compared");
        }
    }

    /// Finds healthy devpi-servers before the first request, and watches them from then on.
    fn watch_fleet(&self) {
        if let Some(fleet) = self.fleet.clone() {
            self.work.block_on(fleet.check());
            self.work.spawn(async move { fleet.watch().await });
        }
    }
}

/// What is done now and then, as long as it is done.
struct Chores([tokio::task::JoinHandle<()>; 4]);

/// Serves until a signal ends it. `announce` gets one line for each door and a hint.
///
/// # Errors
/// Faults in the configuration, an address in use, a data directory that cannot be written.
pub fn serve(start: Start, env: Environment, announce: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let mut named = Named::default();
    let mut loaded = load_noting(&start.policies, &start.overrides, &env, &mut named)?;
    let log = log_format(&loaded.config, start.is_terminal);
    let (metrics, filter) = (metrics()?, env("RUST_LOG"));
    let _log = init_logging(log, QUIET_LOGS, filter.as_deref(), metrics.log_dropped())?;
    warn_of(&loaded);
    let first_run = FirstRun::of(&loaded, &start.policies, start.overrides.bare, env);
    prepare(&loaded.config)?;
    let _lock = DataLock::to_serve(&loaded.config.data, start.is_upgrade)?;
    let house = House::counted_by(metrics, &mut loaded, &mut |loaded, stored| {
        find_upstream(loaded, stored, env)
    })?;
    let (config, is_upgrade) = (loaded.config.clone(), start.is_upgrade);
    house.compare_records();
    let accounts = open_accounts(&house, &config, &start.accounts)?;
    let access = AccessLog::start(log, std::io::stderr(), house.metrics.access_dropped());
    let access = Arc::new(access.context("start the access log")?);
    let audit = audit_log(&config.data, &house.metrics)?;
    let rules = accounts::rules(&start.accounts, &config);
    let House { work, flows, .. } = &house;
    let doorway = house.doorway(&access, &audit);
    let reading = Reading::of(named, &config);
    let files = Files {
        start,
        env,
        maker: house.maker.clone(),
        loaded,
        at_start: config.clone(),
        reading: Arc::clone(&reading),
    };
    let generations = Arc::new(Generations::new(
        Arc::clone(&flows.core),
        Arc::clone(&flows.mirrors),
        Arc::clone(&flows.names),
        Box::new(files),
    ));
    let writer = Writer::new(WriterParts {
        flows: Arc::clone(flows),
        accounts: Arc::clone(&accounts),
        generations: Arc::clone(&generations),
        rules,
        limits: house_limits(&config, flows),
        audit: Arc::clone(&audit),
        doors: house.doors.clone(),
    });
    let mut opened = doorway.open(server_options(&config, is_upgrade), &config, flows, writer)?;
    opened.lines.extend(first_run.lines());
    opened.lines.iter().for_each(|line| announce(line));
    let notify = Notify::to(env("NOTIFY_SOCKET").as_deref());
    let reloader = Reloader::new(flows, &generations, &opened, reading);
    let stop = opened.server.stop();
    work.spawn(reloader.run(config.limits.clone(), stop.clone(), notify.clone()));
    work.spawn(notify.clone().announce_stop(stop.clone()));
    let chores = house.start_chores(accounts, &config, &stop);
    work.spawn(notify.clone().live(env("WATCHDOG_USEC")));
    house.watch_fleet();
    opened.ready.set(true);
    succession::take_over(&mut opened, &house, &generations)?;
    notify.ready(is_upgrade);
    opened.server.run(StopOn::Signals);
    house.end(chores);
    access.stop();
    audit.stop();
    Ok(())
}

/// Sees to what the process has, before anything is written.
fn prepare(config: &Config) -> anyhow::Result<()> {
    descriptors::raise(config.limits.connections());
    data::own(&config.data)?;
    Ok(())
}

fn open_accounts(
    house: &House,
    config: &Config,
    options: &AccountOptions,
) -> anyhow::Result<Arc<Accounts>> {
    let password = config
        .root_password
        .as_ref()
        .map(Secret::expose)
        .unwrap_or_default();
    let now = house.clock.now();
    let accounts = accounts::open(&house.work, &house.records, options, password, now)?;
    accounts::check_root(&house.work, &accounts, config)?;
    Ok(Arc::new(accounts))
}

fn server_options(config: &Config, is_upgrade: bool) -> ServerOptions {
    ServerOptions {
        run_folder: config.data.join("run"),
        grace: config.limits.grace_period(),
        is_upgrade,
    }
}

/// Explains what a stack makes of a project, from what the data directory holds.
///
/// # Errors
/// Faults in the configuration, or a data directory that cannot be read.
pub fn explain(
    policies: &PoliciesPath,
    overrides: &Overrides,
    env: Environment,
    index: &IndexName,
    question: &Question,
) -> anyhow::Result<Explanation> {
    let mut loaded = load(policies, overrides, &env)?;
    let nowhere = tempfile::tempdir().context("make a temporary directory")?;
    if !loaded.config.data.exists() {
        if let Some(named) = &overrides.data {
            anyhow::bail!("{}: not found", named.display());
        }
        // Nothing is held yet; rules on names alone are explained all the same, and nothing is made.
        nowhere.path().clone_into(&mut loaded.config.data);
    }
    // No upstream is asked either way; which of the two it is decides the words.
    let is_offline = std::mem::replace(&mut loaded.config.offline, true);
    let mut find = |loaded: &mut Loaded, stored: &_| find_upstream(loaded, stored, env);
    let house = House::with(metrics()?, &mut loaded, &mut find, !is_offline)?;
    let cx = house.flows.core.context();
    let explained = house
        .work
        .block_on(explain_verdicts(&house.flows, &cx, index, question));
    explained.map_err(|error| anyhow::anyhow!("{error}"))
}

/// Finds what a mirror without a `mirror_url` mirrors: the index that pip on this machine uses. One of
/// the records can do without, and says so to those who ask it.
fn find_upstream(
    loaded: &mut Loaded,
    stored: &[IndexDocument],
    env: Environment,
) -> anyhow::Result<()> {
    let asks = loaded.asks_pip(stored);
    if asks == AsksPip::No || loaded.found.is_some() {
        return Ok(());
    }
    match discover(&loaded.config, &env) {
        Ok(found) => {
            say_found(&found);
            loaded.set_upstream(found);
        }
        Err(fault) if asks == AsksPip::IfAny => {
            tracing::warn!("root/pypi of the records has no upstream: {fault}");
        }
        Err(fault) => anyhow::bail!("{fault}"),
    }
    Ok(())
}

fn metrics() -> anyhow::Result<Metrics> {
    let registry = prometheus::Registry::new();
    Ok(Metrics::register(registry, env!("CARGO_PKG_VERSION"))?)
}

fn log_format(config: &Config, is_terminal: bool) -> LogFormat {
    match config.log {
        LogStyle::Auto => LogFormat::for_terminal(is_terminal),
        LogStyle::Text => LogFormat::Text,
        LogStyle::Json => LogFormat::Json,
    }
}

/// The devpi-servers to stand in front of, if there are any.
fn fleet_of(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<Arc<Fleet>>> {
    let servers = config.devpi.as_ref().map(|devpi| &devpi.servers);
    let options = FleetOptions {
        requests_max: config.limits.devpi_requests(),
        connect_timeout: config.limits.devpi_connect_timeout(),
        read_timeout: config.limits.upstream_read_timeout(),
        metrics: metrics.clone(),
    };
    let fleet = servers.map(|servers| Fleet::new(servers, &options));
    let fleet = fleet.transpose()?;
    Ok(fleet.map(Arc::new))
}

fn audit_log(data: &Path, metrics: &Metrics) -> anyhow::Result<Arc<AuditLog>> {
    let log = AuditLog::open(data, AuditLimits::default(), metrics.audit_failed());
    Ok(Arc::new(log.with_context(|| {
        format!("open the audit log in {}", data.display())
    })?))
}

fn house_limits(config: &Config, flows: &Flows) -> HouseLimits {
    HouseLimits {
        upload_bytes_max: config.limits.upload(),
        uploads_max: config.limits.uploads(),
        upload_wait: config.limits.upload_wait(),
        anonymous_results_max: config.limits.anonymous_results(),
        anonymous_results_bytes_max: config.limits.anonymous_results_size(),
        outside: upstream_limits(&config.limits, &flows.core.settings.decoding),
    }
}

fn settings(config: &Config, decoding: Decoding) -> Settings {
    let limits = &config.limits;
    Settings {
        stale_if_error: config.cache.stale_if_error,
        stale_while_revalidate: config.cache.stale_while_revalidate,
        offline: config.offline,
        is_explaining: false,
        memory_bytes_max: config.cache.memory,
        page_bytes_max: limits.page(),
        project_list_bytes_max: limits.project_list(),
        metadata_bytes_max: limits.metadata(),
        file_bytes_max: limits.file(),
        decoding,
        checked_first_max: limits.checked_first(),
        fills_max: limits.fills(),
        fill_wait: limits.fill_wait(),
        fill_rate_min: limits.fill_rate(),
        flights_max: limits.flights(),
    }
}
