//! How a page or a style leaves: compressed as the client likes it, with a tag, and not at all if the client
//! has it.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::exchange::{Ask, Body, Error, Record, Reply, failed_reply, reply_head};
use crate::gateway::{GZIP_LEVEL, etag, pack};
use crate::protocol::is_not_modified;

/// From this length on a text is compressed apart from the threads that answer.
const LARGE_BYTES: usize = 32 << 10;

/// A text to be sent.
pub struct Sent {
    pub status: StatusCode,
    pub content_type: &'static str,
    /// `Cache-Control`.
    pub caching: &'static str,
    pub body: Bytes,
    /// Headers besides the usual ones.
    pub more: HeaderMap,
}

impl Sent {
    /// The reply. Only a success has a tag.
    pub async fn reply(self, ask: &Ask<'_>, record: Record) -> Reply {
        let encoding = ask.preferences.encoding;
        let tag = etag(&self.body, encoding);
        let mut head = reply_head(self.content_type, 0, self.caching);
        head.extend(self.more);
        // One URL is a page for people, an object for programs and a simple page for installers.
        let vary = HeaderValue::from_static("Accept, User-Agent, Accept-Encoding");
        head.insert(VARY, vary);
        let is_tagged = self.status == StatusCode::OK;
        if is_tagged {
            head.insert(ETAG, tag.to_header());
        }
        if is_tagged && is_not_modified(ask.headers, Some(&tag), None) {
            head.remove(CONTENT_LENGTH);
            return Reply::new(StatusCode::NOT_MODIFIED, head, Body::Empty, record);
        }
        if let Some(name) = encoding.content_encoding() {
            head.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        let plain = Vec::from(self.body);
        let packed = if plain.len() < LARGE_BYTES {
            pack(plain, encoding, GZIP_LEVEL)
        } else {
            let work = move || pack(plain, encoding, GZIP_LEVEL);
            match tokio::task::spawn_blocking(work).await {
                Ok(packed) => packed,
                Err(error) => {
                    let error = Error::internal("compress a page", error);
                    return failed_reply(&error, ask.path, record);
                }
            }
        };
        head.insert(CONTENT_LENGTH, HeaderValue::from(packed.len()));
        let body = match ask.head {
            true => Body::Empty,
            false => Body::Bytes(packed.into()),
        };
        Reply::new(self.status, head, body, record)
    }
}
