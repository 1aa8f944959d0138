//! A reply as an axum response, for doors that are routers.

use axum::body::Body as AxumBody;
use axum::response::Response;
use futures_util::stream::try_unfold;
use http::{Method, StatusCode};
use hyper::ext::ReasonPhrase;

use crate::gateway::{Body, Reply};
use crate::listen::pieces::Pieces;
use crate::listen::response_head::{ReplyContext, response_head, status_words};

/// Turns a reply into a response. Content that ends too early breaks the connection, as at the public
/// door.
#[must_use]
pub fn into_response(reply: Reply, method: &Method, context: ReplyContext<'_>) -> Response {
    let mut parts = response_head(&reply, context);
    let words = status_words(&reply).map(String::into_bytes);
    if let Some(reason) = words.and_then(|words| ReasonPhrase::try_from(words).ok()) {
        parts.extensions.insert(reason);
    }
    let is_bare = matches!(
        reply.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let body = match reply.body {
        _ if *method == Method::HEAD || is_bare => AxumBody::empty(),
        Body::Empty => AxumBody::empty(),
        Body::Bytes(bytes) => AxumBody::from(bytes),
        body @ (Body::File { .. } | Body::Growing { .. }) => {
            let pieces = try_unfold(Pieces::of(body), |mut pieces| async move {
                let next = pieces.next().await?;
                Ok::<_, crate::listen::pieces::Cut>(next.map(|piece| (piece, pieces)))
            });
            AxumBody::from_stream(pieces)
        }
    };
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::BodyExt;

    use super::*;
    use crate::gateway::{Record, StoredFile};

    fn reply(body: Body) -> Reply {
        Reply {
            status: StatusCode::FORBIDDEN,
            reason: Some("cool-down: 7d".into()),
            head: Arc::default(),
            body,
            record: Record::default(),
        }
    }

    fn context() -> ReplyContext<'static> {
        ReplyContext {
            request_id: "abc",
            elapsed: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn content_and_reason_arrive() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let file = Arc::new(StoredFile::new(file).unwrap());
        for (body, expected) in [
            (Body::Empty, &b""[..]),
            (Body::Bytes(Bytes::from_static(b"page")), b"page"),
            (
                Body::File {
                    file,
                    start: 2,
                    length: 3,
                },
                b"234",
            ),
        ] {
            let response = into_response(reply(body), &Method::GET, context());
            let reason = response.extensions().get::<ReasonPhrase>().unwrap();
            assert_eq!(reason.as_bytes(), b"cool-down: 7d");
            assert_eq!(
                response.into_body().collect().await.unwrap().to_bytes(),
                expected
            );
        }
    }

    #[tokio::test]
    async fn head_has_the_length_and_no_content() {
        let page = Body::Bytes(Bytes::from_static(b"page"));
        let response = into_response(reply(page), &Method::HEAD, context());
        assert_eq!(response.headers()[http::header::CONTENT_LENGTH], "4");
        assert!(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }
}
