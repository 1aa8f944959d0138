//! What a door asks the flows: one read-only request, already routed.
//!
//! The doors know the flows only through [`Answer`], so that a test can stand in for a gateway, and so
//! that the public door cannot reach anything that writes.

use async_trait::async_trait;
use http::HeaderMap;

use super::Reply;
use crate::protocol::PublicRoute;

/// One read-only request. It borrows from the connection; nothing of it outlives the answer.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The path as it was asked for, for messages.
    pub path: &'a str,
    /// Where it leads.
    pub route: PublicRoute,
    /// HEAD: the answer has the head of the GET and an empty body.
    pub head: bool,
    /// The request's headers: negotiation, conditions, ranges.
    pub headers: &'a HeaderMap,
    /// The query, still percent-encoded, without the question mark.
    pub query: Option<&'a str>,
    /// The request's id, for log lines below the door.
    pub request_id: &'a str,
}

/// Whoever answers what the doors are asked for reading.
#[async_trait]
pub trait Answer: Send + Sync {
    /// Answers one request. It never fails: trouble is a reply too.
    async fn answer(&self, ask: &Ask<'_>) -> Reply;
}
