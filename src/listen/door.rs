//! A door: the accept loop that all three share.
//!
//! It binds before the server starts, so that a taken port is a plain error and port 0 a known number;
//! an upgraded process takes the sockets over instead. Each connection gets a slot, perhaps TLS, and
//! is handed to the door's application.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use prometheus::IntGauge;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::handover::{Inherited, Offered};
use super::head_guard::{HeadGuard, OnRefusal};
use super::listener::{Accepted, BindError, Bound, Listener};
use super::slots::{Slot, Slots};
use super::socket::Socket;
use super::stop::Stop;
use super::{Certificates, Limits, ListenAddress, TlsError};
use crate::telemetry::DoorName;
use crate::telemetry::Label;
use crate::telemetry::Metrics;
use crate::telemetry::Refusal;

/// Pause after a failed accept. Out of file descriptors, the next call would fail at once, and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a door that closes still accepts who has come before: they are there, it only takes them.
const LAST_CALL: Duration = Duration::from_millis(20);

/// How long a connection may rest before it is closed when the door closes. A client in the midst of
/// something asks again within it, and is told with the answer to come back by a new connection.
pub(super) const REST_MAX: Duration = Duration::from_secs(1);

/// How a door is opened.
#[derive(Debug, Clone)]
pub struct DoorOptions {
    /// Which door.
    pub name: DoorName,
    /// Where it listens; every place leads to the same application.
    pub addresses: Vec<ListenAddress>,
    /// TLS on all of them, or none.
    pub tls: Option<Arc<Certificates>>,
    /// What a client may take.
    pub limits: Limits,
    /// Threads of its runtime.
    pub threads: usize,
}

/// Who watches over request heads: the door, or the application itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    Guarded,
    AppsOwn,
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
    heads: Heads,
    acceptor: Option<Acceptor>,
    limits: Arc<Limits>,
    slots: Arc<Slots>,
    connections: IntGauge,
    on_refusal: OnRefusal,
    stop: Stop,
}

impl<A: ServerApp + Send + Sync + 'static> Door<A> {
    pub(super) fn new(
        options: DoorOptions,
        heads: Heads,
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
            heads,
            acceptor,
            slots: Slots::new(limits.connections, limits.connections_per_address),
            limits,
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
            self.shared.app.cleanup().await;
            self.shared.slots.empty().await;
        }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Service for Door<A> {
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
async fn accept_all<A>(shared: Arc<Shared<A>>, listener: Listener)
where
    A: ServerApp + Send + Sync + 'static,
{
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
async fn accept_one<A>(shared: &Arc<Shared<A>>, listener: &Listener)
where
    A: ServerApp + Send + Sync + 'static,
{
    match listener.accept().await {
        Ok(accepted) => {
            let peer = match &accepted {
                Accepted::Tcp(_, peer) => Some(peer.ip()),
                Accepted::Unix(_) => None,
            };
            match shared.slots.take(peer).await {
                Some(slot) => drop(tokio::spawn(serve(Arc::clone(shared), accepted, slot))),
                None => (shared.on_refusal)(Refusal::Address),
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
async fn serve<A>(shared: Arc<Shared<A>>, accepted: Accepted, slot: Slot)
where
    A: ServerApp + Send + Sync + 'static,
{
    let _slot = slot;
    shared.connections.inc();
    let _gauge = Counted(&shared.connections);
    let socket = Socket::new(accepted, shared.limits.idle_timeout);
    let guard_heads = shared.heads == Heads::Guarded;
    let stream: Stream = match &shared.acceptor {
        None if guard_heads => Box::new(shared.guard(socket)),
        None => Box::new(socket),
        Some(acceptor) => {
            let handshake = acceptor.tls_handshake(socket);
            let Ok(Ok(tls)) = timeout(shared.limits.head_timeout, handshake).await else {
                (shared.on_refusal)(Refusal::Handshake);
                return;
            };
            // HTTP/2 reads heads of many requests at once and has limits of its own.
            let is_http1 = tls.selected_alpn_proto() != Some(ALPN::H2);
            if is_http1 && guard_heads {
                Box::new(shared.guard(tls))
            } else {
                Box::new(tls)
            }
        }
    };
    let stopping = shared.stop.watch();
    let mut next = shared.app.process_new(stream, &stopping).await;
    while let Some(stream) = next {
        next = shared.app.process_new(stream, &stopping).await;
    }
}

impl<A> Shared<A> {
    fn guard<S: pingora::protocols::IO>(&self, inner: S) -> HeadGuard<S> {
        HeadGuard::new(
            inner,
            Arc::clone(&self.limits),
            Arc::clone(&self.on_refusal),
        )
    }
}

/// Takes a connection off the gauge, also when its task panics.
struct Counted<'a>(&'a IntGauge);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
