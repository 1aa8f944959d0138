//! `pip search` at a public door: its question is read, bounded by `limits.search_body`, and changes nothing.

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

use crate::exchange::{Reply, inside_path};
use crate::listen::handler::{DoorRequest, RequestHandler};
use crate::listen::incoming::{Incoming, IncomingError, drain};
use crate::listen::refusal;
use crate::protocol::ManageRoute;
use crate::reader::Reader;

/// Answers XML-RPC posted to an index.
#[derive(Debug)]
pub struct SearchDoor {
    reader: Reader,
    body_max: usize,
}

impl SearchDoor {
    /// A door for questions of at most so many bytes.
    #[must_use]
    pub fn new(reader: Reader, body_max: usize) -> Self {
        Self { reader, body_max }
    }
}

/// Whether a request is a question in XML.
pub(super) fn is_search(method: &Method, headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().trim_start().to_ascii_lowercase();
    method == Method::POST
        && ["text/xml", "application/xml"]
            .iter()
            .any(|xml| kind.starts_with(xml))
}

#[async_trait]
impl RequestHandler for SearchDoor {
    async fn handle(&self, request: DoorRequest<'_>, mut body: Incoming) -> Reply {
        let head = request.head;
        let path = inside_path(head.uri.path(), request.arrival, &head.headers);
        let route = ManageRoute::parse(&head.method, path, head.uri.query(), &head.headers);
        let is_tls = request.arrival.is_tls;
        let Ok(ManageRoute::XmlSearch(index)) = route else {
            drain(&mut body, self.body_max, super::osv::DRAIN_FOR).await;
            return refusal::search(&head.headers, is_tls);
        };
        match body.whole(self.body_max).await {
            Ok(body) => {
                let asked = (&index, request.arrival.is_manage);
                self.reader.pip_search(asked, &body).await
            }
            Err(IncomingError::Long) => {
                drain(&mut body, self.body_max, super::osv::DRAIN_FOR).await;
                refusal::large_search(self.body_max)
            }
            Err(IncomingError::Broken(_) | IncomingError::Slow) => {
                refusal::search(&head.headers, is_tls)
            }
        }
    }
}
