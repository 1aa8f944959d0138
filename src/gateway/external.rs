//! Files of a mirror with `mirror_use_external_urls`: clients fetch them from upstream themselves.
//!
//! The policies have let the file pass before the client is redirected, and the page carries its
//! digest, which installers compare. Nothing of it is kept here, and its bytes are not seen here. A
//! file that is already held is served, as in devpi; unlike there, no login of the mirror is put into
//! the address.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use url::Url;

use crate::exchange::{Body, Context, Record, Reply, reply_head};
use crate::gateway::tickets::Grant;

/// Where a client is to fetch a file itself, if the mirror is set up for that.
pub fn external_place(cx: &Context, grant: &Grant) -> Option<HeaderValue> {
    if !cx.mirror(&grant.owner)?.mirror_use_external_urls() {
        return None;
    }
    let mut url = Url::parse(grant.file.item().url.as_deref()?).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    // A file's address may repeat the login of the mirror's.
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    HeaderValue::from_str(url.as_str()).ok()
}

/// 302: to be requested again next time, since a policy may change.
pub fn sent_there(place: &HeaderValue, record: Record) -> Reply {
    let mut head = reply_head("text/plain", 0, "no-store");
    head.insert(LOCATION, place.clone());
    Reply::new(StatusCode::FOUND, head, Body::Bytes(Bytes::new()), record)
}
