//! Requests at the management door that are for the devpi-servers behind it.
//!
//! The door's own checks apply to them too: which classes of operations it allows, how long a body may
//! be and how long it may take. Who sends them is for devpi to find out.

use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};

use crate::exchange::FleetBody;
use crate::front::{Errand, Front};
use crate::listen::handler::DoorRequest;
use crate::listen::incoming::{Incoming, IncomingError, drain};
use crate::listen::manage::{ManageDoor, Outcome};
use crate::listen::refusal::redirect;
use crate::protocol::{ManageRoute, PublicRoute};
use crate::telemetry::{AuditEvent, AuditKind};
use crate::writer::{Credentials, Refusal};

impl ManageDoor {
    /// Has it answered by the servers behind.
    pub(super) async fn pass(
        &self,
        front: &Front,
        route: ManageRoute,
        request: DoorRequest<'_>,
        mut body: Incoming,
    ) -> Outcome {
        let DoorRequest { head, arrival, id } = request;
        if let ManageRoute::Read(route) = route {
            let most = self.options.writes.api_body;
            drain(&mut body, most, self.options.limits.head_timeout).await;
            if let PublicRoute::Redirect { to, is_permanent } = &route {
                return Ok(redirect(to, *is_permanent));
            }
            return Ok(front.answer_with_login(&request.ask(route)).await);
        }
        let errand = Errand {
            head,
            arrival,
            route: &route,
        };
        let broken = Arc::new(OnceLock::new());
        let is_empty = body.is_empty();
        let body = bounded(body, self.body_bytes_max(), Arc::clone(&broken));
        let reply = front.carry(&errand, (!is_empty).then_some(body)).await;
        match broken.get() {
            // devpi's answer to half a body is no answer to the client that sent it.
            Some(IncomingError::Long) => return Err(self.too_long()),
            Some(slow @ IncomingError::Slow) => {
                return Err(Refusal::api(StatusCode::REQUEST_TIMEOUT, slow.to_string()));
            }
            Some(IncomingError::Broken(_)) | None => {}
        }
        if let Some(kind) = kind_of(&route)
            && reply.status.is_success()
        {
            let mut event = AuditEvent::new((self.recorder.now)(), kind);
            event.request_id = Some(Arc::clone(id));
            event.client = arrival.client;
            // devpi accepted the credentials, or it would not have done it.
            event.user = claimed_user(&head.headers);
            event.index = route.index().cloned();
            event.detail = Some(format!("{} {}, by devpi", head.method, head.uri.path()).into());
            self.recorder.audit.record(event);
        }
        Ok(reply)
    }
}

/// Whose credentials a request claims to carry.
fn claimed_user(headers: &HeaderMap) -> Option<Arc<str>> {
    let bytes = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let credentials = Credentials::from_headers(bytes("x-devpi-auth"), bytes("authorization"));
    credentials.ok()?.map(|credentials| credentials.user.into())
}

/// The audit event of a passed operation.
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
        | ManageRoute::Cache(_)
        | ManageRoute::Recall(_)
        | ManageRoute::XmlSearch(_)
        | ManageRoute::Refresh(..)
        | ManageRoute::NotAllowed(_)
        | ManageRoute::NotFound => return None,
    })
}

/// A body up to a length, which records why it broke off.
fn bounded(body: Incoming, bytes_max: u64, broken: Arc<OnceLock<IncomingError>>) -> FleetBody {
    let mut left = Some(bytes_max);
    let bounded = body.map(move |piece| {
        let piece = piece.and_then(|piece| {
            left = left.and_then(|left| left.checked_sub(piece.len() as u64));
            left.map(|_| piece).ok_or(IncomingError::Long)
        });
        piece.map_err(|error| {
            let words = error.to_string();
            // Once is enough: nothing comes after it.
            let _ = broken.set(error);
            words.into()
        })
    });
    Box::pin(bounded)
}
