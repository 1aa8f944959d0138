//! A door: the accept loop that all three share.
//!
//! It binds before the server starts, so that a taken port is a plain error and port 0 a known number;
//! an upgraded process takes the sockets over instead. Each connection gets a slot, perhaps TLS, and
//! is handed to the door's application.

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
use crate::listen::http1::Wire;
use crate::listen::limits::DoorLimits;
use crate::listen::listener::{Accepted, BindError, Bound, Listener};
use crate::listen::presence::Presence;
use crate::listen::proxies::TrustedProxies;
use crate::listen::proxy_protocol::{ProxyFault, read_header};
use crate::listen::slots::{Slot, Slots};
use crate::listen::socket::Socket;
use crate::listen::stop::{REST_MAX, Stop};
use crate::listen::stream_watch::StreamWatch;
use crate::telemetry::{DoorName, Label, Metrics, TurnedAway};

/// Pause after a failed accept. Out of file descriptors, the next call would fail at once, and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a door that closes still accepts who has come before: they are there, it only takes them.
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
    /// What a client may take.
    pub limits: DoorLimits,
    /// Peers that speak for many clients and so have no share of their own.
    pub proxies: TrustedProxies,
    /// Threads of its runtime.
    pub threads: usize,
}

/// What a door hands its connections to.
pub(super) trait DoorApp: Send + Sync + 'static {
    /// Serves a connection to its end.
    fn serve<S: Wire>(
        self: &Arc<Self>,
        connection: Connection<S>,
        stopping: &ShutdownWatch,
    ) -> impl Future<Output = ()> + Send;

    /// Gives up connections that rest.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// A connection, after its handshake if it has one.
pub(super) struct Connection<S> {
    pub(super) stream: S,
    limits: Arc<DoorLimits>,
    presence: Presence,
    pub(super) on_refusal: OnRefusal,
}

impl<S: Wire> Connection<S> {
    /// Watched over while a request's head is awaited, for HTTP/1.1. HTTP/2 reads heads of many
    /// requests at once and has limits of its own.
    pub(super) fn guarded(self) -> HeadGuard<S> {
        HeadGuard::new(self.stream, self.limits, self.on_refusal).seeing(self.presence)
    }
}

/// An open door and its application.
pub(super) struct Door<A> {
    options: DoorOptions,
    bound: Vec<Bound>,
    shared: Arc<Shared<A>>,
    stop: Stop,
}

/// What every connection needs.
struct Shared<A> {
    app: Arc<A>,
    acceptor: Option<Acceptor>,
    is_behind_proxies: bool,
    limits: Arc<DoorLimits>,
    slots: Arc<Slots>,
    proxies: TrustedProxies,
    connections: IntGauge,
    on_refusal: OnRefusal,
    stop: Stop,
}

impl<A: DoorApp> Door<A> {
    pub(super) fn new(
        options: DoorOptions,
        app: A,
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
            app: Arc::new(app),
            acceptor,
            is_behind_proxies: options.is_behind_proxies,
            slots: Slots::new(limits.connections, limits.connections_per_address),
            limits,
            proxies: options.proxies.clone(),
            connections: metrics.connections(name),
            on_refusal: Arc::new(move |reason| counted.connection_refused(name, reason)),
            stop: stop.clone(),
        };
        Ok(Self {
            options,
            bound: Vec::new(),
            shared: Arc::new(shared),
            stop,
        })
    }

    /// Opens every address, by the socket that the process before has left or by a new one; says
    /// where the door really listens.
    pub(super) fn bind(
        &mut self,
        inherited: &mut Inherited,
        offered: &Offered,
    ) -> Result<Vec<ListenAddress>, BindError> {
        let mut real = Vec::new();
        for address in &self.options.addresses {
            let name = self.socket_name(address);
            let bound = match Bound::inherit(&name, address, inherited) {
                Some(bound) => bound,
                None => Bound::bind(address)?,
            };
            let failed = |source| BindError {
                address: address.clone(),
                source,
            };
            bound.offer(name, offered).map_err(failed)?;
            real.push(bound.address.clone());
            self.bound.push(bound);
        }
        Ok(real)
    }

    /// The name under which a socket is handed over to the next process.
    fn socket_name(&self, address: &ListenAddress) -> String {
        format!("{}={address}", self.options.name.label())
    }

    /// The sockets on this runtime.
    fn listeners(&mut self) -> Result<Vec<Listener>, BindError> {
        let bound = std::mem::take(&mut self.bound);
        let addresses = self.options.addresses.iter();
        let listeners = bound.into_iter().zip(addresses).map(|(bound, address)| {
            bound.listen().map_err(|source| BindError {
                address: address.clone(),
                source,
            })
        });
        listeners.collect()
    }

    /// Lets connections end by themselves, first those that are used. Each answer says that it is the
    /// last; who rests is sent away only after a moment, since its next request may be on its way.
    async fn empty(&self) {
        if timeout(REST_MAX, self.shared.slots.empty()).await.is_err() {
            self.shared.app.close().await;
            self.shared.slots.empty().await;
        }
    }
}

#[async_trait]
impl<A: DoorApp> Service for Door<A> {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let _open = self.stop.enter();
        let listeners = match self.listeners() {
            Ok(listeners) => listeners,
            Err(error) => {
                let cause = &error.source;
                tracing::error!(door = self.options.name.label(), %error, %cause, "cannot open a door");
                self.stop.request();
                return;
            }
        };
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(accept_all(Arc::clone(&self.shared), listener));
        }
        let stop = self.stop.clone();
        let follower = tokio::spawn(async move {
            // Fails only when the server is gone, and this task with it.
            if shutdown.wait_for(|is_stopping| *is_stopping).await.is_ok() {
                stop.request();
            }
        });
        while loops.join_next().await.is_some() {}
        follower.abort();
        self.empty().await;
    }

    fn name(&self) -> &str {
        self.options.name.label()
    }

    fn threads(&self) -> Option<usize> {
        Some(self.options.threads.max(1))
    }
}

/// Accepts until the server is to stop, and then whoever stands before the door already: the kernel
/// has connected them, and would reset them with the socket.
async fn accept_all<A: DoorApp>(shared: Arc<Shared<A>>, listener: Listener) {
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
    // Over when the time is.
    let _ = timeout(LAST_CALL, accepting()).await;
}

/// Lets the next one in. While all slots are taken, one connection per listener waits here and the
/// others in the kernel.
async fn accept_one<A: DoorApp>(shared: &Arc<Shared<A>>, listener: &Listener) {
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

/// Whether the connection broke before it was accepted; the next one may be sound.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// One connection, from the handshake to its end.
async fn serve<A: DoorApp>(shared: Arc<Shared<A>>, mut accepted: Accepted, mut slot: Slot) {
    shared.connections.inc();
    let _gauge = Counted(&shared.connections);
    let client = match shared.client(&mut accepted, &mut slot).await {
        Ok(client) => client,
        Err(Some(refusal)) => return (shared.on_refusal)(refusal),
        Err(None) => return,
    };
    let socket = Socket::new(accepted, client, shared.limits.send_timeout);
    let presence = socket.presence();
    let stopping = shared.stop.watch();
    let Some(acceptor) = &shared.acceptor else {
        let connection = shared.connection(socket, presence);
        return shared.app.serve(connection, &stopping).await;
    };
    let handshake = acceptor.tls_handshake(socket);
    match timeout(shared.limits.head_timeout, handshake).await {
        Ok(Ok(tls)) if tls.selected_alpn_proto() == Some(ALPN::H2) => {
            serve_streams(&shared, tls, presence).await;
        }
        Ok(Ok(tls)) => {
            let connection = shared.connection(tls, presence);
            shared.app.serve(connection, &stopping).await;
        }
        Ok(Err(_)) | Err(_) => (shared.on_refusal)(TurnedAway::Handshake),
    }
}

/// An HTTP/2 connection: it ends with the server, or when it has had its requests.
async fn serve_streams<A: DoorApp>(
    shared: &Shared<A>,
    inner: TlsStream<Socket>,
    presence: Presence,
) {
    let watch = StreamWatch::new(&shared.limits);
    watch.see(presence.clone());
    let (limits, on_refusal) = (Arc::clone(&shared.limits), Arc::clone(&shared.on_refusal));
    let stream = HeadGuard::over_streams(inner, limits, Arc::clone(&watch), on_refusal);
    let ending = watch.ending();
    let follow = async {
        shared.stop.requested().await;
        watch.end();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = shared.app.serve(shared.connection(stream, presence), &ending) => {}
        () = follow => {}
    }
}

impl<A> Shared<A> {
    /// Room for a connection, or nothing when it is turned away.
    async fn admit(&self, accepted: &Accepted) -> Option<Slot> {
        let peer = accepted.peer().map(|peer| peer.ip());
        // A proxy's share is its clients', who are not known yet.
        let own = peer.filter(|_| !self.proxies.trusts(peer));
        let (slot, refusal) = if self.is_behind_proxies && own.is_some() {
            (None, TurnedAway::Untrusted)
        } else {
            (self.slots.take(own).await, TurnedAway::Address)
        };
        if slot.is_none() {
            (self.on_refusal)(refusal);
        }
        slot
    }

    /// Whose requests come on a connection: its peer's, or whom a proxy says. On failure, why it is
    /// turned away, where that is worth a word.
    async fn client(
        &self,
        accepted: &mut Accepted,
        slot: &mut Slot,
    ) -> Result<Option<SocketAddr>, Option<TurnedAway>> {
        let peer = accepted.peer();
        if !self.is_behind_proxies {
            return Ok(peer);
        }
        let bytes_max = self.limits.proxy_header;
        let reading = async {
            match accepted {
                Accepted::Tcp(stream, _) => read_header(stream, bytes_max).await,
                Accepted::Unix(stream) => read_header(stream, bytes_max).await,
            }
        };
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

    fn connection<S>(&self, stream: S, presence: Presence) -> Connection<S> {
        Connection {
            stream,
            presence,
            limits: Arc::clone(&self.limits),
            on_refusal: Arc::clone(&self.on_refusal),
        }
    }
}

/// Takes a connection off the gauge, also when its task panics.
struct Counted<'a>(&'a IntGauge);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
