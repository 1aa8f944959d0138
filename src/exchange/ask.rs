//! What a door asks the flows: one read-only request, already routed.
//!
//! The doors know the flows only through [`Answers`], so that a test can stand in for a gateway, and so
//! that the public door cannot reach anything that writes.

use std::net::IpAddr;

use async_trait::async_trait;
use http::HeaderMap;

use crate::exchange::error::{Error, ErrorKind, Flow};
use crate::exchange::reply::Reply;
use crate::protocol::{Format, Preferences, PublicRoute};

/// One read-only request. It borrows from the connection; nothing of it outlives the answer.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The path as requested, for messages.
    pub path: &'a str,
    /// Where it leads.
    pub route: PublicRoute,
    /// HEAD: the answer has the head of the GET and an empty body.
    pub head: bool,
    /// The request's headers: negotiation, conditions, ranges.
    pub headers: &'a HeaderMap,
    /// What they state about the client.
    pub preferences: Preferences,
    /// The query, still percent-encoded, without the question mark.
    pub query: Option<&'a str>,
    /// How it came to the door.
    pub arrival: Arrival<'a>,
}

impl Ask<'_> {
    /// The form of a page that its client prefers.
    ///
    /// # Errors
    /// `NotAcceptable` when it takes none.
    pub fn format(&self) -> Flow<Format> {
        let format = self.preferences.format(self.query);
        format.map_err(|error| Error::new(ErrorKind::NotAcceptable, error.to_string()))
    }
}

/// How a request came to its door, which decides what absolute URLs look like. The default is the
/// cautious one: a stranger's request without TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// Whether the peer is believed when it says under which URL clients see us: it is on this machine
    /// or a proxy that the operator named.
    pub is_trusted: bool,
    /// Whether the peer is believed when it says who a user is: it is a proxy that the operator named.
    pub is_proxy: bool,
    /// Whether the door speaks TLS.
    pub is_tls: bool,
    /// The authority of the request target: HTTP/2 has it there instead of in `Host`.
    pub authority: Option<&'a str>,
    /// The URL under which clients see the door, according to the operator.
    pub outside: Option<&'a str>,
    /// The client's address, as far as the door can tell; `None` on a Unix socket.
    pub client: Option<IpAddr>,
    /// Whether it came by the management door, which shows indexes that public doors do not.
    pub is_manage: bool,
}

/// Answers read-only requests from the doors.
#[async_trait]
pub trait Answers: Send + Sync {
    /// Answers one request. It never fails: trouble is a reply too.
    async fn answer(&self, ask: &Ask<'_>) -> Reply;
}
