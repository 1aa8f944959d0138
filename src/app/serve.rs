//! `serve`, from its start to its end.
//!
//! The order of a start: hear signals, read the configuration, find what pip mirrors, open records and store,
//! compile the first generation, open the doors, say where they are. After the doors are closed the
//! logs are flushed and the program ends.

use std::sync::Arc;

use crate::account::Accounts;
use crate::app::accounts::{AccountOptions, Others};
use crate::app::files::{Files, Reading};
use crate::app::house::House;
use crate::app::lock::DataLock;
use crate::app::notices::Notices;
use crate::app::notify::Notify;
use crate::app::recalls::JournalTells;
use crate::app::reload::Reloader;
use crate::app::setup::Setup;
use crate::app::starting::Starting;
use crate::app::streams::{access_log, log_format, metrics};
use crate::app::words::{FirstRun, warn_of};
use crate::app::work::{hear, runtime};
use crate::app::{accounts, data, descriptors, feeds, gateway_id, journal, succession};
use crate::config::{Config, Named};
use crate::gateway::{Flows, Generations};
use crate::listen::{QUIET_LOGS, ServerOptions};
use crate::model::Secret;
use crate::telemetry::init_logging;
use crate::writer::{Writer, WriterParts};

/// What `serve` was asked for.
#[derive(Debug, Clone)]
pub struct Start {
    /// Where the configuration is.
    pub setup: Setup,
    /// What the command line decides about accounts.
    pub accounts: AccountOptions,
    /// Whether to take the sockets over from the running process.
    pub is_upgrade: bool,
    /// Whether standard error is a terminal.
    pub is_terminal: bool,
}

/// Serves until a signal ends it. `announce` is given one line for each door, and a hint.
///
/// # Errors
/// Faults in the configuration, an address in use, a data directory that cannot be written.
pub fn serve(start: Start, announce: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let Start {
        setup,
        accounts: options,
        is_upgrade,
        is_terminal,
    } = start;
    let work = runtime()?;
    let starting = Starting::begin(&work)?;
    // Each hears what comes from here on.
    let [of_server, of_reloader, of_notice] = [hear(&work)?, hear(&work)?, hear(&work)?];
    let mut named = Named::default();
    let mut loaded = setup.load_noting(&mut named)?;
    let log = log_format(&loaded.config, is_terminal);
    let (metrics, filter) = (metrics()?, (setup.env)("RUST_LOG"));
    let _log = init_logging(log, QUIET_LOGS, filter.as_deref(), metrics.log_dropped())?;
    warn_of(&loaded);
    let first_run = FirstRun::of(&loaded, &setup);
    let _lock = prepare(&loaded.config, is_upgrade)?;
    let mut find = |loaded: &mut _, stored: &_| Ok(setup.give_upstream(loaded, stored, None)?);
    let house = House::build(work, metrics, &mut loaded, false, &mut find)?;
    let config = loaded.config.clone();
    house.take_records(&config, is_upgrade)?;
    let accounts = open_accounts(&house, &config, &options)?;
    let access = access_log(log, &house.metrics)?;
    let notices = Notices::start(&house, &config)?;
    let House { work, flows, .. } = &house;
    let journal = journal::start(&house, &config);
    let doorway = house.doorway(&access, &notices.audit, &journal);
    let reading = Reading::of(named, &config);
    let files = Files {
        setup: setup.clone(),
        maker: house.maker.clone(),
        feeds: Arc::clone(&house.feeds),
        notifier: Arc::clone(&notices.notifier),
        accounts: Arc::clone(&accounts),
        loaded,
        at_start: config.clone(),
        reading: Arc::clone(&reading),
    };
    let generations = Arc::new(generations_of(flows, files));
    let writer = Writer::new(WriterParts {
        flows: Arc::clone(flows),
        accounts: Arc::clone(&accounts),
        generations: Arc::clone(&generations),
        rules: accounts::rules(&options, &config),
        audit: Arc::clone(&notices.audit),
        doors: house.doors.clone(),
        deliveries: Arc::new(JournalTells::of(&config.data, Some(&journal))),
    });
    let mut opened = doorway.open(server_options(&config, is_upgrade), &config, flows, writer)?;
    opened.lines.extend(first_run.lines());
    let reloader = Reloader::new(flows, &generations, &opened, reading);
    opened.lines.iter().for_each(|line| announce(line));
    let notify = Notify::to((setup.env)("NOTIFY_SOCKET").as_deref());
    let (stop, limits) = (opened.server.stop(), config.limits.own.clone());
    work.spawn(reloader.run(limits, of_reloader, stop.clone(), notify.clone()));
    work.spawn(notify.clone().announce_stop(of_notice));
    let chores = house.start_chores(accounts, Arc::clone(&generations), &config, &stop);
    feeds::start(&house, &generations, &notices.audit, stop.clone());
    work.spawn(notify.clone().live((setup.env)("WATCHDOG_USEC")));
    house.watch_fleet();
    drop(starting);
    opened.ready.set(true);
    succession::take_over(&mut opened, &house, &generations)?;
    notify.ready(is_upgrade);
    opened.server.run(Some(of_server));
    house.work.block_on(journal.stop());
    house.end(chores);
    access.stop();
    notices.stop();
    Ok(())
}

/// Prepares the process, and takes the data directory, before anything is written.
fn prepare(config: &Config, is_upgrade: bool) -> anyhow::Result<DataLock> {
    descriptors::raise(config.limits.door.connections);
    data::own(&config.data)?;
    let lock = DataLock::to_serve(&config.data, is_upgrade)?;
    if config.records.is_some() {
        gateway_id::settle(&config.data)?;
    }
    Ok(lock)
}

/// What puts changed files in force.
fn generations_of(flows: &Flows, files: Files) -> Generations {
    Generations::new(
        Arc::clone(&flows.core),
        Arc::clone(&flows.mirrors),
        Arc::clone(&flows.names),
        Box::new(files),
    )
}

fn open_accounts(
    house: &House,
    config: &Config,
    options: &AccountOptions,
) -> anyhow::Result<Arc<Accounts>> {
    let password = config.root_password.as_ref();
    let password = password.map(Secret::expose).unwrap_or_default();
    let now = house.clock.now();
    let others = Others::of(config, &house.metrics)?;
    let accounts = accounts::open(&house.work, &house.records, options, password, now)?;
    let accounts = others.beside(accounts);
    accounts.adopt_groups(&config.groups);
    accounts::check_root(&house.work, &accounts, config)?;
    Ok(Arc::new(accounts.metered(&house.metrics)))
}

fn server_options(config: &Config, is_upgrade: bool) -> ServerOptions {
    ServerOptions {
        run_folder: config.data.join("run"),
        grace: config.limits.own.grace_period,
        is_upgrade,
    }
}
