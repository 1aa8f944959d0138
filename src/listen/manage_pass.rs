//! Requests at the management door that are for the devpi-servers behind it.
//!
//! The door's own checks hold for them too: which class of operation it allows, how long a body may be,
//! how long it may take to come. Who sends them is devpi's to find out.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use crate::front::{Errand, Front};
use crate::gateway::{Arrival, FleetBody};
use crate::listen::incoming::{Incoming, IncomingError, drain};
use crate::listen::manage::{ManageDoor, Outcome, ask};
use crate::protocol::{ManageRoute, PublicRoute};
use crate::telemetry::{AuditEvent, AuditKind};
use crate::writer::{Credentials, Refusal};

/// Bytes of a body that comes with a read, which nobody wants.
const READ_BODY_MAX: usize = 1 << 20;

impl ManageDoor {
    /// Has it answered by the servers behind.
    pub(super) async fn pass(
        &self,
        front: &Front,
        route: ManageRoute,
        request: (&Parts, Arrival<'_>, &Arc<str>),
        mut body: Incoming,
    ) -> Outcome {
        let (head, arrival, id) = request;
        if let ManageRoute::Read(route) = route {
            drain(&mut body, READ_BODY_MAX, self.options.limits.head_timeout).await;
            if let PublicRoute::Redirect { to, is_permanent } = &route {
                return Ok(crate::listen::refusal::redirect(to, *is_permanent));
            }
            let ask = ask(route, request);
            return Ok(front.answer_with_login(&ask).await);
        }
        let errand = Errand {
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query(),
            headers: &head.headers,
            arrival,
            route: &route,
        };
        let ended = Arc::new(OnceLock::new());
        let body = (!body.is_empty()).then(|| {
            let bounded = Bounded {
                body,
                left: self.body_bytes_max(),
                ended: Arc::clone(&ended),
            };
            Box::pin(bounded) as FleetBody
        });
        let reply = front.carry(&errand, body).await;
        match ended.get() {
            // What devpi made of half a body is no answer to the client that sent it.
            Some(Ended::Long) => return Err(self.too_long()),
            Some(Ended::Slow) => {
                let words = IncomingError::Slow.to_string();
                return Err(Refusal::api(StatusCode::REQUEST_TIMEOUT, words));
            }
            Some(Ended::Broken) | None => {}
        }
        if let Some(kind) = kind_of(&route)
            && reply.status.is_success()
        {
            let mut event = AuditEvent::new((self.recorder.now)(), kind);
            event.request_id = Some(Arc::clone(id));
            event.client = arrival.client;
            // devpi found them to be right, or would not have done it.
            event.user = claimed_user(&head.headers);
            event.index = route.index().cloned();
            event.detail = Some(format!("{} {}, by devpi", head.method, errand.path).into());
            self.recorder.audit.record(event);
        }
        Ok(reply)
    }
}

/// Whose credentials a request carries, by their own word.
fn claimed_user(headers: &HeaderMap) -> Option<Arc<str>> {
    let bytes = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let credentials = Credentials::from_headers(bytes("x-devpi-auth"), bytes("authorization"));
    credentials.ok()?.map(|credentials| credentials.user.into())
}

/// What a passed operation is accounted for as.
fn kind_of(route: &ManageRoute) -> Option<AuditKind> {
    Some(match route {
        ManageRoute::LogIn => AuditKind::Login,
        ManageRoute::User(..) => AuditKind::User,
        ManageRoute::Index(..) | ManageRoute::CreateMisnamed { .. } => AuditKind::Index,
        ManageRoute::Upload(_) | ManageRoute::ToxResult(..) => AuditKind::Upload,
        ManageRoute::Push(_) => AuditKind::Push,
        ManageRoute::Delete { .. } => AuditKind::Delete,
        ManageRoute::Read(_)
        | ManageRoute::AuthCheck
        | ManageRoute::Reload
        | ManageRoute::XmlSearch
        | ManageRoute::Refresh(..)
        | ManageRoute::NotAllowed(_)
        | ManageRoute::NotFound => return None,
    })
}

/// How a body ended that did not end well.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Broken,
    Slow,
    Long,
}

/// A body up to a length, which leaves word of how it ended.
struct Bounded {
    body: Incoming,
    left: u64,
    ended: Arc<OnceLock<Ended>>,
}

impl Stream for Bounded {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(self.body.poll_next_unpin(context));
        let error = match next {
            None => return Poll::Ready(None),
            Some(Ok(piece)) => match self.left.checked_sub(piece.len() as u64) {
                Some(left) => {
                    self.left = left;
                    return Poll::Ready(Some(Ok(piece)));
                }
                None => IncomingError::Long,
            },
            Some(Err(error)) => error,
        };
        let ended = match error {
            IncomingError::Broken(_) => Ended::Broken,
            IncomingError::Slow => Ended::Slow,
            IncomingError::Long => Ended::Long,
        };
        // Once is enough: nothing comes after it.
        let _ = self.ended.set(ended);
        Poll::Ready(Some(Err(error.into())))
    }
}
