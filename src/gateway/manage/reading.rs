//! What the management door answers beside the public one's, and without writing.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::caller::Caller;
use super::refusal::Refusal;
use super::writer::Writer;
use crate::gateway::api::Asker;
use crate::gateway::ask::Ask;
use crate::gateway::refusal::head;
use crate::gateway::reply::Body;
use crate::gateway::reply::Record;
use crate::gateway::reply::Reply;
use crate::gateway::reply::Route;

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
        if caller.was_refused {
            let refusal =
                Refusal::exception(StatusCode::UNAUTHORIZED, "these credentials are not valid");
            return refusal.into_reply(&http::HeaderMap::new());
        }
        plain(StatusCode::OK, "text/plain", Bytes::new())
    }

    /// What `pip search` is told: a fault in its own language.
    #[must_use]
    pub fn search_fault(&self) -> Reply {
        plain(
            StatusCode::OK,
            "text/xml",
            Bytes::from_static(SEARCH_FAULT.as_bytes()),
        )
    }
}

const SEARCH_FAULT: &str = "<?xml version=\"1.0\"?>\n<methodResponse><fault><value><struct>\
<member><name>faultCode</name><value><int>-32601</int></value></member>\
<member><name>faultString</name><value><string>pip search is not supported here: \
search by name in a browser at /+search</string></value></member>\
</struct></value></fault></methodResponse>\n";

fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    Reply {
        status,
        reason: None,
        head: Arc::new(head(content_type, body.len(), "no-store")),
        body: Body::Bytes(body),
        record: Record {
            route: Route::Manage,
            ..Record::default()
        },
    }
}
