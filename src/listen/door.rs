//! A door: the accept loop that all three share.
//!
//! It binds before the server starts, so that a taken port is a plain error and port 0 a known number;
//! an upgraded process takes the sockets over instead. Each connection gets a slot, perhaps TLS, and is
//! handed to the door's application.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::tls::TlsStream;
use pingora::protocols::{ALPN, Ssl};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use prometheus::IntGauge;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::listen::address::ListenAddress;
use crate::listen::certificates::{Certificates, TlsError};
use crate::listen::handover::{Inherited, Offered};
use crate::listen::head_guard::{HeadGuard, OnRefusal};
use crate::listen::http_door::HttpDoor;
use crate::listen::http1::Wire;
use crate::listen::listener::{Accepted, BindError, Bound, Listener};
use crate::listen::presence::Presence;
use crate::listen::proxies::TrustedProxies;
use crate::listen::proxy_protocol::{ProxyFault, read_header};
use crate::listen::slots::{Slot, Slots};
use crate::listen::socket::Socket;
use crate::listen::stop::{REST_MAX, Stop};
use crate::listen::stream_watch::StreamWatch;
use crate::model::{DoorLimits, DoorName};
use crate::telemetry::{Label, Metrics, TurnedAway, WaitFor};

/// Pause after a failed accept. Without file descriptors the next call would fail immediately, over and
/// over.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a closing door still accepts connections that came before: the kernel has them, they only
/// need taking.
const LAST_CALL: Duration = Duration::from_millis(20);

/// How a door is opened.
#[derive(Debug, Clone)]
pub struct DoorOptions {
    /// Which door.
    pub name: DoorName,
    /// Where it listens; every place leads to the same application.
    pub addresses: Vec<ListenAddress>,
    /// TLS on all of them, or none.
    pub tls: Option<Arc<Certificates>>,
    /// Whether each connection begins with a header of the PROXY protocol.
    pub is_behind_proxies: bool,
    /// Limits on its clients.
    pub limits: DoorLimits,
    /// Peers that speak for many clients and so have no share of their own.
    pub proxies: TrustedProxies,
    /// Threads of its runtime.
    pub threads: usize,
}

/// An open door and its application.
pub(super) struct Door {
    bound: Vec<Bound>,
    shared: Arc<Shared>,
}

/// What every connection needs.
struct Shared {
    options: DoorOptions,
    app: HttpDoor,
    acceptor: Option<Acceptor>,
    limits: Arc<DoorLimits>,
    slots: Arc<Slots>,
    connections: IntGauge,
    on_refusal: OnRefusal,
    stop: Stop,
}

impl Door {
    pub(super) fn new(
        options: DoorOptions,
        app: HttpDoor,
        metrics: &Metrics,
        stop: Stop,
    ) -> Result<Self, TlsError> {
        let acceptor = match &options.tls {
            Some(certificates) => {
                let config = certificates.server_config(&[b"h2", b"http/1.1"])?;
                Some(Acceptor::from_server_config(Arc::new(config)))
            }
            None => None,
        };
        let limits = Arc::new(options.limits.clone());
        let (name, counted) = (options.name, metrics.clone());
        let shared = Shared {
            app,
            acceptor,
            slots: Slots::new(
                limits.connections,
                limits.connections_per_address,
                metrics.waits(WaitFor::Connections),
            ),
            limits,
            connections: metrics.connections(name),
            on_refusal: Arc::new(move |reason| counted.connection_refused(name, reason)),
            options,
            stop,
        };
        Ok(Self {
            bound: Vec::new(),
            shared: Arc::new(shared),
        })
    }

    /// Opens every address, with the socket that the previous process left or with a new one; returns
    /// where the door really listens.
    pub(super) fn bind(
        &mut self,
        inherited: &mut Inherited,
        offered: &Offered,
    ) -> Result<Vec<ListenAddress>, BindError> {
        let mut real = Vec::new();
        for address in &self.shared.options.addresses {
            // Under this name the socket is handed over to the next process.
            let name = format!("{}={address}", self.name());
            let bound = match Bound::inherit(&name, address, inherited) {
                Some(bound) => bound,
                None => Bound::bind(address)?,
            };
            let again = bound.socket.try_clone();
            offered.add(name, again.map_err(BindError::at(address))?);
            real.push(bound.address.clone());
            self.bound.push(bound);
        }
        Ok(real)
    }

    /// Lets connections end by themselves, busy ones first. Each answer says that it is the last; idle
    /// connections are closed after a short delay, since a next request may be on its way.
    async fn empty(&self) {
        if timeout(REST_MAX, self.shared.slots.empty()).await.is_err() {
            self.shared.app.close().await;
            self.shared.slots.empty().await;
        }
    }
}

#[async_trait]
impl Service for Door {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let stop = self.shared.stop.clone();
        let _open = stop.enter();
        // Registered on this runtime.
        let listeners = std::mem::take(&mut self.bound)
            .into_iter()
            .map(Bound::listen);
        let listeners = match listeners.collect::<Result<Vec<_>, _>>() {
            Ok(listeners) => listeners,
            Err(error) => {
                let cause = &error.source;
                tracing::error!(door = self.name(), %error, %cause, "cannot open a door");
                stop.request();
                return;
            }
        };
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(accept_all(Arc::clone(&self.shared), listener));
        }
        let follower = tokio::spawn(async move {
            // Fails only when the server is gone, and then this task too.
            if shutdown.wait_for(|is_stopping| *is_stopping).await.is_ok() {
                stop.request();
            }
        });
        while loops.join_next().await.is_some() {}
        follower.abort();
        self.empty().await;
    }

    fn name(&self) -> &str {
        self.shared.options.name.label()
    }

    fn threads(&self) -> Option<usize> {
        Some(self.shared.options.threads.max(1))
    }
}

/// Accepts until the server is to stop, and then takes the connections that are already waiting: the
/// kernel has established them, and would reset them with the socket.
async fn accept_all(shared: Arc<Shared>, listener: Listener) {
    let stop = shared.stop.clone();
    let accepting = async || {
        loop {
            accept_one(&shared, &listener).await;
        }
    };
    tokio::select! {
        () = accepting() => {}
        () = stop.requested() => {}
    }
    // Ends when the time is up.
    let _ = timeout(LAST_CALL, accepting()).await;
}

/// Accepts the next connection. While all slots are taken, one connection per listener waits here and
/// the others in the kernel.
async fn accept_one(shared: &Arc<Shared>, listener: &Listener) {
    match listener.accept().await {
        Ok(accepted) => {
            if let Some(slot) = shared.admit(&accepted).await {
                drop(tokio::spawn(serve(Arc::clone(shared), accepted, slot)));
            }
        }
        Err(error) if is_about_one_connection(&error) => {}
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Whether only this connection broke before it was accepted; the next one may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// One connection, from the handshake to its end.
async fn serve(shared: Arc<Shared>, mut accepted: Accepted, mut slot: Slot) {
    shared.connections.inc();
    let _gauge = Counted(&shared.connections);
    let client = match shared.client(&mut accepted, &mut slot).await {
        Ok(client) => client,
        Err(Some(refusal)) => return (shared.on_refusal)(refusal),
        Err(None) => return,
    };
    let socket = Socket::new(accepted, client, shared.limits.send_timeout);
    let presence = socket.presence();
    let Some(acceptor) = &shared.acceptor else {
        return shared.serve(socket, presence).await;
    };
    let handshake = acceptor.tls_handshake(socket);
    match timeout(shared.limits.head_timeout, handshake).await {
        Ok(Ok(tls)) if tls.selected_alpn_proto() == Some(ALPN::H2) => {
            shared.serve_streams(tls, presence).await;
        }
        Ok(Ok(tls)) => shared.serve(tls, presence).await,
        Ok(Err(_)) | Err(_) => (shared.on_refusal)(TurnedAway::Handshake),
    }
}

impl Shared {
    /// Room for a connection, or `None` if it is turned away.
    async fn admit(&self, accepted: &Accepted) -> Option<Slot> {
        let peer = accepted.peer.map(|peer| peer.ip());
        // A proxy's share is that of its clients, who are not known yet.
        let own = peer.filter(|_| !self.options.proxies.trusts(peer));
        let (slot, refusal) = if self.options.is_behind_proxies && own.is_some() {
            (None, TurnedAway::Untrusted)
        } else {
            (self.slots.take(own).await, TurnedAway::Address)
        };
        if slot.is_none() {
            (self.on_refusal)(refusal);
        }
        slot
    }

    /// Whose requests come on a connection: the peer's, or those of the client that a proxy names. On
    /// failure, why it is turned away, if that is worth reporting.
    async fn client(
        &self,
        accepted: &mut Accepted,
        slot: &mut Slot,
    ) -> Result<Option<SocketAddr>, Option<TurnedAway>> {
        let peer = accepted.peer;
        if !self.options.is_behind_proxies {
            return Ok(peer);
        }
        let reading = read_header(&mut accepted.stream, self.limits.proxy_header);
        match timeout(self.limits.head_timeout, reading).await {
            Ok(Ok(Some(client))) if slot.is_for(client.ip()) => Ok(Some(client)),
            Ok(Ok(Some(_))) => Err(Some(TurnedAway::Address)),
            Ok(Ok(None)) => Ok(peer),
            Ok(Err(ProxyFault::Nothing)) => Err(None),
            Ok(Err(fault)) => {
                tracing::debug!(?peer, %fault, "a proxy did not say for whom it speaks");
                Err(Some(TurnedAway::Proxy))
            }
            Err(_) => Err(Some(TurnedAway::Proxy)),
        }
    }

    /// Serves HTTP/1.1, guarded while a request's head is awaited.
    async fn serve<S: Wire>(&self, stream: S, presence: Presence) {
        let (limits, on_refusal) = (Arc::clone(&self.limits), Arc::clone(&self.on_refusal));
        let guard = HeadGuard::new(stream, limits, presence, on_refusal);
        self.app.serve(guard, &self.stop.watch()).await;
    }

    /// Serves HTTP/2, which reads the heads of many requests together and has its own limits: the connection
    /// ends with the server, or when it has had its requests.
    async fn serve_streams(&self, stream: TlsStream<Socket>, presence: Presence) {
        let watch = StreamWatch::new(&self.limits, presence);
        let (limits, on_refusal) = (Arc::clone(&self.limits), Arc::clone(&self.on_refusal));
        let guard = HeadGuard::over_streams(stream, limits, Arc::clone(&watch), on_refusal);
        let ending = watch.ending();
        let follow = async {
            self.stop.requested().await;
            watch.end();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.app.serve_streams(guard, &ending) => {}
            () = follow => {}
        }
    }
}

/// Decrements the gauge of connections, even when the connection's task panics.
struct Counted<'a>(&'a IntGauge);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
