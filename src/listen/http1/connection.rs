//! One connection, request by request.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::BytesMut;
use http::Method;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::{GetSocketDigest, Shutdown, Ssl, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::exchange::{Arrival, Body, Record, Reply};
use crate::listen::head_guard::HeadGuard;
use crate::listen::http1::head::{Known, Line, Parsed, parse};
use crate::listen::http1::wire::Wire;
use crate::listen::http1::writer::{Framing, Writer};
use crate::listen::recorder::Finished;
use crate::listen::refusal;
use crate::listen::reply::Broken;
use crate::listen::response_head::ReplyContext;
use crate::listen::service::{Asked, HttpService, UNREAD};
use crate::listen::stop::rested;
use crate::protocol::BadHead;

/// Room for a head: several times what installers send.
const READ_BYTES: usize = 2 << 10;

/// Room for the head of an answer.
const HEAD_BYTES: usize = 1 << 10;

/// Serves a connection to its end.
pub async fn serve<S: Wire>(
    app: &HttpService,
    machinery: &Arc<HttpProxy<HttpService>>,
    guard: HeadGuard<S>,
    stopping: &ShutdownWatch,
) {
    let mut connection = Connection::new(app, guard);
    let mut stop = pin!(rested(stopping.clone()));
    loop {
        match parse(&mut connection.bytes, &mut connection.known) {
            Parsed::Incomplete => {
                if !connection.read(stop.as_mut()).await {
                    break;
                }
            }
            Parsed::Plain(line) => {
                let is_last = *stopping.borrow() || connection.is_used_up();
                if !connection.answer(&line, is_last).await {
                    break;
                }
            }
            Parsed::Bad(bad) => {
                connection.refuse(bad).await;
                break;
            }
            Parsed::Other(length) => {
                let returned = connection.hand_over(machinery, length, stopping).await;
                let Some(returned) = returned else {
                    return;
                };
                connection = returned;
            }
        }
    }
    Shutdown::shutdown(&mut *connection.guard).await;
}

struct Connection<'a, S> {
    app: &'a HttpService,
    guard: Box<HeadGuard<S>>,
    /// Read and not yet answered.
    bytes: BytesMut,
    known: Option<Known>,
    /// Memory for the head of an answer.
    text: Vec<u8>,
    /// The other end; `None` on a Unix socket.
    peer: Option<IpAddr>,
    arrival: Arrival<'a>,
    /// Requests so far.
    requests: u32,
}

impl<'a, S: Wire> Connection<'a, S> {
    fn new(app: &'a HttpService, guard: HeadGuard<S>) -> Self {
        let digest = guard.get_socket_digest();
        let peer = digest.as_ref().and_then(|digest| digest.peer_addr());
        let peer = peer.and_then(SocketAddr::as_inet);
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let arrival = app.arrival(peer, guard.get_ssl_digest().is_some(), None, None);
        Self {
            app,
            guard: Box::new(guard),
            bytes: BytesMut::new(),
            known: None,
            text: Vec::with_capacity(HEAD_BYTES),
            peer,
            arrival,
            requests: 0,
        }
    }

    /// Whether the next request is the last that this connection may send.
    fn is_used_up(&self) -> bool {
        self.requests + 1 >= self.app.limits().requests_per_connection
    }

    /// Reads on; returns whether anything came. A request that is only half here when the server stops
    /// is abandoned.
    async fn read(&mut self, stop: Pin<&mut impl Future<Output = ()>>) -> bool {
        self.bytes.reserve(READ_BYTES);
        tokio::select! {
            biased;
            outcome = self.guard.read_buf(&mut self.bytes) => outcome.is_ok_and(|count| count > 0),
            () = stop => false,
        }
    }

    /// Answers; returns whether the connection continues.
    async fn answer(&mut self, line: &Line, is_last: bool) -> bool {
        let Some(known) = self.known.take() else {
            return false;
        };
        self.guard.watch().head_read();
        self.requests += 1;
        let app = self.app;
        let started = app.recorder().start();
        let id = app.request_id(known.has_id.then_some(&known.headers));
        let asked = self.asked(line, &known);
        let finished = Finished {
            started,
            request_id: &id,
            client: asked.arrival.client,
            method: asked.method,
            path: asked.path,
            user_agent: known.user_agent.as_deref(),
            status: None,
            bytes: 0,
            record: Record::default(),
        };
        let reply = {
            let mut replying = pin!(app.reply(&asked, &id));
            let presence = self.guard.watch().presence();
            presence.unless_gone(replying.as_mut()).await
        };
        let Some(reply) = reply else {
            app.recorder().finish(finished);
            app.broken(Broken::Gone, &id);
            return false;
        };
        let framing = Framing {
            is_head: line.is_head,
            keeps_alive: known.keeps_alive && !is_last,
        };
        let goes_on = self.reply(reply, framing, finished).await;
        self.guard.watch().answered();
        self.known = Some(known);
        goes_on
    }

    /// Answers a head that is refused as a whole. Nothing is known about what follows it, so it is the
    /// last.
    async fn refuse(&mut self, bad: BadHead) {
        self.guard.watch().head_read();
        let id = self.app.request_id(None);
        let finished = Finished {
            started: self.app.recorder().start(),
            request_id: &id,
            client: self.peer,
            method: &Method::from_bytes(UNREAD.as_bytes()).unwrap_or_default(),
            path: UNREAD,
            user_agent: None,
            status: None,
            bytes: 0,
            record: Record::default(),
        };
        let framing = Framing {
            is_head: false,
            keeps_alive: false,
        };
        let reply = refusal::bad_request(bad.status, bad.why, UNREAD);
        self.reply(reply, framing, finished).await;
    }

    /// Writes a reply and records the outcome; returns whether the connection continues.
    async fn reply(
        &mut self,
        mut reply: Reply,
        framing: Framing,
        mut finished: Finished<'_>,
    ) -> bool {
        let (app, id) = (self.app, finished.request_id);
        finished.status = Some(reply.status);
        let record = std::mem::take(&mut reply.record);
        let elapsed = finished.started.at.elapsed();
        let context = ReplyContext {
            request_id: id,
            record: &record,
            elapsed,
        };
        let limits = app.limits();
        let writer = Writer {
            guard: &mut self.guard,
            limits,
            text: &mut self.text,
        };
        let is_at_hand = matches!(reply.body, Body::Empty | Body::Bytes(_));
        let writing = writer.write(reply, context, framing, &mut finished.bytes);
        let written = if is_at_hand {
            // Bounded by the rate at which it has to be taken.
            writing.await
        } else {
            let left = limits.request_timeout.saturating_sub(elapsed);
            timeout(left, writing).await.unwrap_or(Err(Broken::Slow))
        };
        finished.record = record;
        app.recorder().finish(finished);
        match written {
            Ok(()) => framing.keeps_alive,
            Err(broken) => {
                app.broken(broken, id);
                false
            }
        }
    }

    /// A plain request as the door reads it.
    fn asked<'r>(&self, line: &'r Line, known: &'r Known) -> Asked<'r>
    where
        'a: 'r,
    {
        let target = line.target();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Asked {
            method: if line.is_head {
                &Method::HEAD
            } else {
                &Method::GET
            },
            target,
            path,
            query,
            headers: &known.headers,
            preferences: known.preferences,
            arrival: Arrival {
                client: self.app.proxies().client_of(self.peer, &known.headers),
                ..self.arrival
            },
        }
    }

    /// Gives the connection to Pingora for one request; returns it if it can be used again. `length` is
    /// how many of the bytes read belong to that request, if known.
    async fn hand_over(
        mut self,
        machinery: &Arc<HttpProxy<HttpService>>,
        length: Option<usize>,
        stopping: &ShutdownWatch,
    ) -> Option<Self> {
        let mut guard = self.guard;
        let shown = length.unwrap_or(self.bytes.len());
        guard.unread(std::mem::take(&mut self.bytes), shown);
        self.requests += 1;
        let stream: Stream = guard;
        let mut session = ServerSession::new_http1(stream);
        let is_stopping = *stopping.borrow();
        let limits = self.app.limits();
        // For Pingora's own wait; the guard's is the one that counts.
        let keepalive = limits.idle_timeout.as_secs().max(1);
        session.set_keepalive((!is_stopping).then_some(keepalive));
        let most = limits.requests_per_connection;
        session.set_keepalive_reuses_remaining(Some(most.saturating_sub(self.requests)));
        let returned = machinery.process_new_http(session, stopping).await?;
        let (stream, _) = returned.consume();
        self.guard = stream.into_any().downcast().ok()?;
        self.bytes = self.guard.take_ahead();
        // The next answer from here must not overtake what Pingora wrote.
        self.guard.flush().await.ok()?;
        Some(self)
    }
}
