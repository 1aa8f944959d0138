//! What the management door answers beside the public one's, and without writing.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::caller::Caller;
use super::refusal::Refusal;
use super::writer::Writer;
use crate::gateway::Asker;
use crate::gateway::FAULT_CONTENT_TYPE;
use crate::gateway::ask::Ask;
use crate::gateway::refusal::reply_head;
use crate::gateway::reply::Body;
use crate::gateway::reply::Record;
use crate::gateway::reply::Reply;
use crate::gateway::reply::Route;
use crate::gateway::search_fault;

impl Writer {
    /// Reading, for somebody who may have said who they are.
    pub async fn read(&self, ask: &Ask<'_>, caller: &Caller) -> Reply {
        let asker = Asker::Management(&caller.principal);
        self.reader.answer_to(ask, asker).await
    }

    /// `/+authcheck`: 200 lets a proxy in front pass the request on, 401 asks for credentials
    /// (devpi-protocol.md §19). Without a lock on the house everybody passes; wrong credentials do
    /// not.
    #[must_use]
    pub fn auth_check(&self, caller: &Caller) -> Reply {
        if caller.refused.is_some() {
            let refusal =
                Refusal::exception(StatusCode::UNAUTHORIZED, "these credentials are not valid");
            return refusal.into_reply(&http::HeaderMap::new());
        }
        plain(StatusCode::OK, "text/plain", Bytes::new())
    }

    /// What `pip search` is told: a fault in its own language.
    #[must_use]
    pub fn search_fault(&self, host: Option<&str>) -> Reply {
        let gateway = format!("http://{}", host.unwrap_or("localhost"));
        plain(StatusCode::OK, FAULT_CONTENT_TYPE, search_fault(&gateway))
    }
}

fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    Reply {
        status,
        reason: None,
        head: Arc::new(reply_head(content_type, body.len(), "no-store").into()),
        body: Body::Bytes(body),
        record: Record {
            route: Route::Manage,
            ..Record::default()
        },
    }
}
