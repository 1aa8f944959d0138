//! Whether a connection is between requests or answering one; the guard over it learns of it from here.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::proxy::Session;

use crate::listen::presence::Presence;

/// Where a connection is: even while a request is awaited, odd while one is answered.
#[derive(Debug)]
pub(super) struct HeadWatch {
    state: AtomicU32,
    presence: Presence,
}

impl HeadWatch {
    /// The watch of a new connection; `presence` is the client's.
    pub(super) fn new(presence: Presence) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU32::new(0),
            presence,
        })
    }

    /// The watch of the connection that a session came in by, if it has one.
    pub(super) fn of(session: &Session) -> Option<Arc<Self>> {
        travelling_with(session)
    }

    /// Where the connection is.
    pub(super) fn state(&self) -> u32 {
        self.state.load(Ordering::Relaxed)
    }

    /// The head is complete.
    pub(super) fn head_read(&self) {
        self.state.fetch_or(1, Ordering::Relaxed);
    }

    /// Tells whether the client is still there.
    pub(super) fn presence(&self) -> &Presence {
        &self.presence
    }

    /// The answer is complete; the next request is awaited.
    pub(super) fn answered(&self) {
        let next = (self.state() | 1).wrapping_add(1);
        self.state.store(next, Ordering::Relaxed);
    }
}

/// A value that Pingora passes unchanged from a connection to each of its sessions. The type is meant
/// for an answer to CONNECT, hence the header.
pub(super) fn travelling(value: Box<dyn Any + Send + Sync>) -> Option<Arc<ProxyDigest>> {
    let header = ResponseHeader::build_no_case(200, None).ok()?;
    Some(Arc::new(ProxyDigest::new(Box::new(header), Some(value))))
}

/// The value that travels with a session's connection, if it is one of these.
pub(super) fn travelling_with<T: Any + Clone>(session: &Session) -> Option<T> {
    let digest = session.digest()?.proxy_digest.as_deref()?;
    digest.user_data.as_ref()?.downcast_ref::<T>().cloned()
}
