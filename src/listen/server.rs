//! Puts doors on a server, runs it, and ends it in order.
//!
//! A stop closes the doors first, and lets requests under way finish within the grace period and not a
//! moment longer: Pingora alone would sleep through all of it even when nothing is open. SIGQUIT hands
//! the listening sockets to a process that waits for them; when that one serves, this one stops in the
//! same way. Pingora's own hand-over ends the old process even if no new one came, and is not used.

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use tokio::time::timeout;

use crate::listen::address::ListenAddress;
use crate::listen::certificates::TlsError;
use crate::listen::door::{Door, DoorOptions};
use crate::listen::handover::{Inherited, Offered, Predecessor, await_sockets};
use crate::listen::http_door::HttpDoor;
use crate::listen::listener::BindError;
use crate::listen::service::HttpService;
use crate::listen::signals::{End, Signals};
use crate::listen::stop::Stop;
use crate::telemetry::Metrics;

/// What the log should not repeat, in `RUST_LOG`'s language.
///
/// Pingora reports every client that breaks off or sends nonsense as an error. Such clients show as
/// access lines and in `connections_refused_total`; as errors they would drown real ones. The depot's
/// client tells of each request that it repeats; whether the depot can be reached is said once, elsewhere.
pub const QUIET_LOGS: &str =
    "pingora_core=warn,pingora_core::apps=off,pingora_proxy=off,object_store=warn";

/// How the server is run.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// A folder of its own for the socket of upgrades; made with mode 0700.
    pub run_folder: PathBuf,
    /// How long requests under way may take after a stop is asked for.
    pub grace: Duration,
    /// Whether to take the listening sockets over from a running process that gets SIGQUIT.
    pub is_upgrade: bool,
}

/// The server or a door could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The run folder.
    #[error("make the folder {}", path.display())]
    RunFolder {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The process to replace.
    #[error(
        "take the doors over: no running process has sent them to {} (it does on SIGQUIT)",
        path.display()
    )]
    TakeOver {
        /// Where they were waited for.
        path: PathBuf,
        /// Why they did not come.
        source: io::Error,
    },
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A server with doors.
pub struct DoorServer {
    server: Server,
    conf: Arc<ServerConf>,
    metrics: Metrics,
    options: ServerOptions,
    inherited: Inherited,
    offered: Offered,
    predecessor: Option<Predecessor>,
    stop: Stop,
}

impl DoorServer {
    /// A server without doors yet. For an upgrade it waits for those of the previous process.
    ///
    /// # Errors
    /// When the run folder cannot be made, or no process hands its doors over.
    pub fn new(options: ServerOptions, metrics: Metrics) -> Result<Self, ServerError> {
        let folder = &options.run_folder;
        make_private(folder).map_err(|source| ServerError::RunFolder {
            path: folder.clone(),
            source,
        })?;
        let (inherited, predecessor) = if options.is_upgrade {
            let path = options.meeting();
            let (inherited, before) =
                await_sockets(&path).map_err(|source| ServerError::TakeOver { path, source })?;
            (inherited, Some(before))
        } else {
            (Inherited::default(), None)
        };
        let conf = ServerConf {
            // Never waited for: a stop is over as soon as the doors are closed.
            grace_period_seconds: Some(1),
            graceful_shutdown_timeout_seconds: Some(1),
            ..ServerConf::default()
        };
        let mut server = Server::new_with_opt_and_conf(Opt::default(), conf);
        server.bootstrap();
        let conf = Arc::clone(&server.configuration);
        Ok(Self {
            server,
            conf,
            metrics,
            options,
            inherited,
            offered: Offered::default(),
            predecessor,
            stop: Stop::default(),
        })
    }

    /// Opens a door to a service; returns where it really listens.
    ///
    /// # Errors
    /// When an address cannot be bound or TLS not be set up.
    pub fn add(
        &mut self,
        door: DoorOptions,
        service: HttpService,
    ) -> Result<Vec<ListenAddress>, ServerError> {
        let app = HttpDoor::new(service, &self.conf);
        let mut door = Door::new(door, app, &self.metrics, self.stop.clone())?;
        let bound = door.bind(&mut self.inherited, &self.offered)?;
        self.server.add_service(door);
        Ok(bound)
    }

    /// The previous process, to be told that it may leave; sockets of it that this one does not use are
    /// closed.
    pub fn predecessor(&mut self) -> Option<Predecessor> {
        self.inherited = Inherited::default();
        self.predecessor.take()
    }

    /// Stops the server and observes the stop.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs until its [`Stop`] or, of the signals that it is to heed, SIGTERM (finish what is under way),
    /// SIGINT (immediately) or SIGQUIT (hand over, then as SIGTERM); blocks the calling thread. Afterwards
    /// all doors are closed and nothing is under way, so logs can be flushed.
    pub fn run(self, signals: Option<Signals>) {
        let watch = Watch {
            signals: Mutex::new(signals),
            stop: self.stop,
            grace: self.options.grace,
            meeting: self.options.meeting(),
            offered: self.offered,
        };
        self.server.run(RunArgs {
            shutdown_signal: Box::new(watch),
        });
    }
}

impl ServerOptions {
    /// Where an old process and a new one meet.
    fn meeting(&self) -> PathBuf {
        self.run_folder.join("upgrade.sock")
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

struct Watch {
    /// Taken by the one who waits for them.
    signals: Mutex<Option<Signals>>,
    stop: Stop,
    grace: Duration,
    meeting: PathBuf,
    offered: Offered,
}

impl Watch {
    /// Waits for what ends the server: a signal, or its [`Stop`].
    async fn ended(&self) -> End {
        let signals = self
            .signals
            .lock()
            .ok()
            .and_then(|mut signals| signals.take());
        let Some(mut signals) = signals else {
            self.stop.requested().await;
            return End::InOrder;
        };
        loop {
            let end = tokio::select! {
                end = signals.end_or_quit() => end,
                () = self.stop.requested() => Some(End::InOrder),
            };
            if let Some(end) = end {
                return end;
            }
            let handed_over = tokio::select! {
                end = signals.end() => return end,
                () = self.stop.requested() => return End::InOrder,
                outcome = self.offered.hand_over(&self.meeting) => outcome,
            };
            match handed_over {
                Ok(()) => {
                    tracing::info!("a new process serves");
                    return End::InOrder;
                }
                Err(error) => {
                    let meeting = self.meeting.display();
                    tracing::error!(
                        %meeting, %error,
                        "no new process has taken the doors over; this one goes on serving"
                    );
                }
            }
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Watch {
    async fn recv(&self) -> ShutdownSignal {
        if self.ended().await == End::Immediate {
            self.stop.request();
            return ShutdownSignal::FastShutdown;
        }
        tracing::info!("stopping");
        self.offered.withdraw();
        self.stop.request();
        if timeout(self.grace, self.stop.closed()).await.is_err() {
            tracing::warn!(grace = ?self.grace, "requests still under way are cut off");
        }
        // Nothing is left to wait for.
        ShutdownSignal::FastShutdown
    }
}
