//! OSV's API at a door: the one place where a public door reads a body.
//!
//! The body is a question, bounded by `limits.osv_body`, and changes nothing. What cannot be answered is
//! said in OSV's own form, whoever asks.

use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};

use crate::exchange::{Body, Reply, inside_path};
use crate::listen::handler::{DoorRequest, RequestHandler};
use crate::listen::incoming::{Incoming, IncomingError, drain};
use crate::reader::{OsvError, OsvQuestion, Reader};

/// What the paths begin with.
const BASE: &str = "/+osv/";

/// How long the rest of a body that is of no use may take to come.
pub(super) const DRAIN_FOR: Duration = Duration::from_secs(2);

/// Answers what is below `/+osv/`.
#[derive(Debug)]
pub struct OsvDoor {
    reader: Reader,
    body_max: usize,
}

/// Whether a path is answered here.
pub(super) fn is_osv(path: &str) -> bool {
    path.starts_with(BASE)
}

impl OsvDoor {
    /// A door for questions of at most so many bytes.
    #[must_use]
    pub fn new(reader: Reader, body_max: usize) -> Self {
        Self { reader, body_max }
    }

    async fn question(
        &self,
        request: DoorRequest<'_>,
        body: &mut Incoming,
    ) -> Result<OsvQuestion, OsvError> {
        let head = request.head;
        let path = inside_path(head.uri.path(), request.arrival, &head.headers);
        let is_reading = matches!(head.method, Method::GET | Method::HEAD);
        let below = path.strip_prefix(BASE).unwrap_or_default();
        match (below, below.strip_prefix("v1/vulns/")) {
            ("v1/querybatch" | "v1/query", _) => {
                if head.method != Method::POST {
                    return Err(OsvError::not_allowed("POST"));
                }
                let body = body.whole(self.body_max).await;
                let body = body.map_err(|error| self.unread(&error))?;
                Ok(match below {
                    "v1/query" => OsvQuestion::Query(body),
                    _ => OsvQuestion::Batch(body),
                })
            }
            (_, Some(id)) if !id.is_empty() && !id.contains('/') => {
                if !is_reading {
                    return Err(OsvError::not_allowed("GET, HEAD"));
                }
                let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
                Ok(OsvQuestion::Document(id.into_owned()))
            }
            (_, _) => {
                let words = "no such part of OSV's API: there are v1/querybatch, v1/query and v1/vulns/{id}";
                Err(OsvError::new(StatusCode::NOT_FOUND, words))
            }
        }
    }

    fn unread(&self, error: &IncomingError) -> OsvError {
        match error {
            IncomingError::Long => {
                let most = self.body_max;
                let words = format!("the body is longer than {most} bytes, see limits.osv_body");
                OsvError::new(StatusCode::PAYLOAD_TOO_LARGE, words)
            }
            other @ (IncomingError::Slow | IncomingError::Broken(_)) => OsvError::new(
                StatusCode::BAD_REQUEST,
                format!("the body did not come: {other}"),
            ),
        }
    }
}

#[async_trait]
impl RequestHandler for OsvDoor {
    async fn handle(&self, request: DoorRequest<'_>, mut body: Incoming) -> Reply {
        let mut reply = match self.question(request, &mut body).await {
            Ok(question) => self.reader.osv(question).await,
            Err(error) => {
                // A client that is still sending would not read the answer.
                drain(&mut body, self.body_max, DRAIN_FOR).await;
                error.reply()
            }
        };
        if request.head.method == Method::HEAD {
            reply.body = Body::Empty;
        }
        reply
    }
}
