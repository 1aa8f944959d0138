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

use super::head_guard::{HeadGuard, OnRefusal};
use super::listener::{Accepted, BindError, Bound, Listener};
use super::proxies::TrustedProxies;
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
    /// Peers that speak for many clients and so have no share of their own.
    pub proxies: TrustedProxies,
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
    proxies: TrustedProxies,
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

    /// Binds every address; says where the door really listens.
    pub(super) fn bind(&mut self) -> Result<Vec<ListenAddress>, BindError> {
        for address in &self.options.addresses {
            self.bound.push(Bound::bind(address)?);
        }
        Ok(self
            .bound
            .iter()
            .map(|bound| bound.address.clone())
            .collect())
    }

    /// The name under which a socket is handed over to the next process. It has no blanks, which part
    /// names there.
    fn socket_name(&self, address: &ListenAddress) -> String {
        format!("{}={address}", self.options.name.label()).replace(char::is_whitespace, "_")
    }

    /// The sockets to listen on: bound already, left by the process before, or bound now.
    fn listeners(&mut self, fds: Option<&ListenFds>) -> Result<Vec<Listener>, BindError> {
        let mut bound = std::mem::take(&mut self.bound);
        if bound.is_empty() {
            for address in &self.options.addresses {
                let name = self.socket_name(address);
                let inherited = fds.and_then(|fds| Bound::inherit(&name, address, fds));
                match inherited {
                    Some(inherited) => bound.push(inherited),
                    None => bound.push(Bound::bind(address)?),
                }
            }
        }
        let mut listeners = Vec::new();
        for (bound, address) in bound.into_iter().zip(&self.options.addresses) {
            if let Some(fds) = fds {
                bound.publish(self.socket_name(address), fds);
            }
            let listener = bound.listen();
            let failed = |source| BindError {
                address: address.clone(),
                source,
            };
            listeners.push(listener.map_err(failed)?);
        }
        Ok(listeners)
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Service for Door<A> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let _open = self.stop.enter();
        let listeners = match self.listeners(fds.as_ref()) {
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
            // An upgrade ends the old process without asking `stop`. Fails only when the server is
            // gone, and this task with it.
            if shutdown.wait_for(|is_stopping| *is_stopping).await.is_ok() {
                stop.request();
            }
        });
        while loops.join_next().await.is_some() {}
        follower.abort();
        self.shared.app.cleanup().await;
        self.shared.slots.empty().await;
    }

    fn name(&self) -> &str {
        self.options.name.label()
    }

    fn threads(&self) -> Option<usize> {
        Some(self.options.threads.max(1))
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        let addresses = self.options.addresses.iter();
        Some(addresses.map(|address| self.socket_name(address)).collect())
    }
}

/// Accepts until the server is to stop. While all slots are taken, one connection per listener waits
/// here and the others in the kernel.
async fn accept_all<A>(shared: Arc<Shared<A>>, listener: Listener)
where
    A: ServerApp + Send + Sync + 'static,
{
    let stop = shared.stop.clone();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    let peer = match &accepted {
                        Accepted::Tcp(_, peer) => Some(peer.ip()),
                        Accepted::Unix(_) => None,
                    };
                    let peer = peer.filter(|peer| !shared.proxies.trusts(Some(*peer)));
                    match shared.slots.take(peer).await {
                        Some(slot) => {
                            drop(tokio::spawn(serve(Arc::clone(&shared), accepted, slot)))
                        }
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
    };
    tokio::select! {
        () = accepting => {}
        () = stop.requested() => {}
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
