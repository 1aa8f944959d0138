//! The stylesheet of the web pages, part of the binary: `/+static/style.css`.

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderValue, StatusCode};

use crate::gateway::{Ask, Body, Record, Reply, etag, reply_head};
use crate::protocol::{Encoding, is_not_modified};

/// Its name in pages.
pub const STYLE: &str = "style.css";

/// An hour: long enough for a visit, short enough that an upgrade shows the same day.
const CACHING: &str = "public, max-age=3600";

const STYLE_TEXT: &str = include_str!("style.css");

/// Answers a static file; `None` if there is none of that name.
pub fn static_file(ask: &Ask<'_>, name: &str, record: Record) -> Option<Reply> {
    if name != STYLE {
        return None;
    }
    let body = Bytes::from_static(STYLE_TEXT.as_bytes());
    let tag = etag(&body, Encoding::Identity);
    let mut head = reply_head("text/css; charset=utf-8", body.len(), CACHING);
    head.insert(ETAG, tag.to_header());
    let (status, body) = if is_not_modified(ask.headers, Some(&tag), None) {
        head.remove(http::header::CONTENT_LENGTH);
        (StatusCode::NOT_MODIFIED, Body::Empty)
    } else if ask.head {
        (StatusCode::OK, Body::Empty)
    } else {
        (StatusCode::OK, Body::Bytes(body))
    };
    head.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    Some(Reply::new(status, head, body, record))
}

#[cfg(test)]
mod tests {
    use crate::reader::api::{House, text_of};

    #[tokio::test]
    async fn pages_find_their_stylesheet() {
        let house = House::new().await;
        let style = house.browse("/+static/style.css").await;
        assert_eq!(style.status, 200);
        assert_eq!(style.head["content-type"], "text/css; charset=utf-8");
        assert!(text_of(&style).contains("prefers-color-scheme"));
        assert_eq!(house.browse("/+static/other.css").await.status, 404);
        let page = text_of(&house.browse("/").await);
        assert!(
            page.contains(r#"<link rel="stylesheet" href="./+static/style.css">"#),
            "{page}"
        );
    }
}
