//! What the management door answers in addition to the public one, without writing.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::devpi::Refusal;
use crate::exchange::{Ask, Reply};
use crate::model::IndexName;
use crate::reader::Asker;
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;
use crate::writer::refusal::{managed, refusal_reply};

impl Writer {
    /// Reading, for a caller that may be logged in.
    pub async fn read(&self, ask: &Ask<'_>, caller: &Caller) -> Reply {
        let asker = Asker::Management(&caller.principal);
        self.reader.answer_to(ask, asker).await
    }

    /// `/+authcheck`: 200 lets a proxy in front pass the request on, 401 asks for credentials
    /// (docs/protocol/devpi.md §19). As long as reading needs no permission everybody passes, except
    /// with wrong credentials.
    #[must_use]
    pub fn auth_check(&self, caller: &Caller, (path, headers): (&str, &HeaderMap)) -> Reply {
        if caller.refused.is_some() {
            let refusal =
                Refusal::exception(StatusCode::UNAUTHORIZED, "these credentials are not valid");
            return refusal_reply(refusal, (path, headers), false);
        }
        managed(StatusCode::OK, "text/plain", Bytes::new())
    }

    /// The answer to `pip search`, which reads.
    pub async fn pip_search(&self, asked: (&IndexName, bool), body: &[u8]) -> Reply {
        self.reader.pip_search(asked, body).await
    }
}
