//! The bytes that a file is answered with: in memory, on disk or still arriving, with the head that
//! fits.
//!
//! While a file is still arriving, the end of the answer is held back until the file's digest has
//! been verified (`store::Growing`): the last stretch of the whole file, or the last byte of a
//! range. So no answer is complete if the file turns out to be wrong. Only `verify: before-serving`
//! promises that a client has seen none of its bytes.

use std::mem::take;
use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::exchange::{Ask, Body, Record, Reply, reply_head};
use crate::gateway::small::Small;
use crate::gateway::tickets::{Grant, KeptHead, Told, Unchanged};
use crate::model::{AskedPart, Timestamp};
use crate::protocol::{
    ETag, Head, PROVENANCE_TYPE, Selected, content_range, content_range_unsatisfied, http_date,
    is_not_modified, select_range,
};
use crate::store::{Growing, StoredFile};

/// A file never changes, so it may be cached forever; a refusal never carries this header.
const IMMUTABLE: &str = "max-age=365000000, immutable, public";

/// Bytes that can be answered, and where they are.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Memory(Small),
    /// On disk.
    Stored(Arc<StoredFile>),
    /// Still arriving.
    Growing(Arc<Growing>),
}

impl Content {
    /// The length, if it is known yet.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Memory(small) => Some(small.bytes.len() as u64),
            Self::Stored(file) => Some(file.len()),
            Self::Growing(growing) => growing.declared_length(),
        }
    }
}

/// What a head says about content, apart from its length.
#[derive(Debug)]
pub struct Claims {
    pub content_type: &'static str,
    pub etag: Option<ETag>,
    pub last_modified: Option<Timestamp>,
    /// Whether the page states the tag's digest, so that the tag is valid as long as the ticket.
    pub is_stated: bool,
}

/// The head for a request of the whole file without conditions, which is nearly every request. It
/// is written once per ticket, by the first request that has the bytes, whichever part of them it
/// asks for.
pub fn whole_head(
    ask: &Ask<'_>,
    content: &Content,
    kept: &KeptHead,
    claims: impl FnOnce() -> Claims,
) -> Option<Arc<Head>> {
    let length = match content {
        Content::Memory(small) => small.bytes.len() as u64,
        Content::Stored(file) => file.len(),
        Content::Growing(_) => return None,
    };
    let told = kept.get_or_init(|| told(claims(), length));
    let asks_more = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE];
    if asks_more.iter().any(|name| ask.headers.contains_key(name)) {
        return None;
    }
    (told.length == length).then(|| Arc::clone(&told.head))
}

fn told(claims: Claims, length: u64) -> Told {
    let mut head = file_head(&claims);
    let not_modified = head.clone();
    head.insert(CONTENT_TYPE, HeaderValue::from_static(claims.content_type));
    head.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let etag = claims.etag.filter(|_| claims.is_stated);
    Told {
        length,
        head: Arc::new(head.into()),
        unchanged: etag.map(|etag| Unchanged {
            etag,
            last_modified: claims.last_modified,
            head: Arc::new(not_modified.into()),
        }),
    }
}

/// The 304 from the ticket, for a client that already has the file; nothing is opened for it.
///
/// The tag is the sha256 that the page states, and the bytes were verified under this ticket. So
/// the client's copy is right, whatever has happened to ours on disk since.
pub fn unchanged_reply(ask: &Ask<'_>, told: &Told, record: &mut Record) -> Option<Reply> {
    let unchanged = told.unchanged.as_ref()?;
    let (etag, last_modified) = (Some(&unchanged.etag), unchanged.last_modified);
    is_not_modified(ask.headers, etag, last_modified).then(|| Reply {
        status: StatusCode::NOT_MODIFIED,
        reason: None,
        head: Arc::clone(&unchanged.head),
        body: Body::Empty,
        record: take(record),
    })
}

pub fn whole_reply(ask: &Ask<'_>, content: Content, head: Arc<Head>, record: Record) -> Reply {
    Reply {
        status: StatusCode::OK,
        reason: None,
        head,
        body: if ask.head {
            Body::Empty
        } else {
            body(content, 0, None)
        },
        record,
    }
}

pub fn claims_of(grant: &Grant, content: &Content, part: AskedPart) -> Claims {
    let beside = match part {
        AskedPart::Whole => None,
        AskedPart::Metadata => Some("application/octet-stream"),
        AskedPart::Provenance => Some(PROVENANCE_TYPE),
    };
    if let (Some(content_type), Content::Memory(small)) = (beside, content) {
        return Claims {
            content_type,
            etag: Some(small.etag.clone()),
            last_modified: None,
            is_stated: false,
        };
    }
    let file = grant.file.item();
    Claims {
        content_type: content_type(file.filename.as_str()),
        etag: file.hashes.sha256().map(|digest| ETag::of_digest(&digest)),
        last_modified: file.upload_time.map(|time| time.at),
        is_stated: beside.is_none(),
    }
}

/// Chosen by the file name's suffix, and never with a content encoding: pip hashes the raw bytes.
fn content_type(filename: &str) -> &'static str {
    if filename.ends_with(".tar.gz") || filename.ends_with(".tgz") {
        "application/gzip"
    } else if filename.ends_with(".zip") {
        "application/zip"
    } else {
        "application/octet-stream"
    }
}

/// The answer to a request for content: 200, 206, 304 or 416, and HEAD like GET.
pub fn content_reply(ask: &Ask<'_>, content: Content, claims: Claims, record: Record) -> Reply {
    let total = content.length();
    let mut head = file_head(&claims);
    if is_not_modified(ask.headers, claims.etag.as_ref(), claims.last_modified) {
        return Reply::new(StatusCode::NOT_MODIFIED, head, Body::Empty, record);
    }
    head.insert(CONTENT_TYPE, HeaderValue::from_static(claims.content_type));
    let selected = match total {
        Some(total) if !ask.head => select_range(
            ask.headers,
            total,
            claims.etag.as_ref(),
            claims.last_modified,
        ),
        _ => Selected::Whole,
    };
    let (status, start, length) = match (selected, total) {
        (Selected::Unsatisfiable, total) => {
            return unsatisfiable(total.unwrap_or(0), record);
        }
        (Selected::Part { start, length }, Some(total)) => {
            insert(
                &mut head,
                CONTENT_RANGE,
                &content_range(start, length, total),
            );
            (StatusCode::PARTIAL_CONTENT, start, Some(length))
        }
        (Selected::Part { .. } | Selected::Whole, total) => (StatusCode::OK, 0, total),
    };
    if let Some(length) = length {
        head.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let body = if ask.head {
        Body::Empty
    } else {
        body(content, start, length)
    };
    Reply::new(status, head, body, record)
}

fn body(content: Content, start: u64, length: Option<u64>) -> Body {
    match content {
        Content::Memory(Small { bytes, .. }) => {
            let at = |position: u64| {
                usize::try_from(position)
                    .unwrap_or(bytes.len())
                    .min(bytes.len())
            };
            let end = at(start.saturating_add(length.unwrap_or(u64::MAX)));
            Body::Bytes(bytes.slice(at(start)..end))
        }
        Content::Stored(file) => {
            let length = length.unwrap_or_else(|| file.len().saturating_sub(start));
            Body::File {
                file,
                start,
                length,
            }
        }
        Content::Growing(growing) => Body::Growing {
            growing,
            start,
            length,
        },
    }
}

fn file_head(claims: &Claims) -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert(CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(etag) = &claims.etag {
        head.insert(ETAG, etag.to_header());
    }
    if let Some(at) = claims.last_modified {
        insert(&mut head, LAST_MODIFIED, &http_date(at));
    }
    head
}

fn unsatisfiable(total: u64, record: Record) -> Reply {
    let mut head = reply_head("text/plain", 0, "no-store");
    insert(&mut head, CONTENT_RANGE, &content_range_unsatisfied(total));
    Reply::new(StatusCode::RANGE_NOT_SATISFIABLE, head, Body::Empty, record)
}

fn insert(head: &mut HeaderMap, name: http::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        head.insert(name, value);
    }
}
