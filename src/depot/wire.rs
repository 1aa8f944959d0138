//! The way to the server and back: requests go where the configuration says and nowhere else, and an answer
//! is bounded before anybody reads it.
//!
//! `object_store`'s own client follows redirects to any host, and its requests carry a session's token. It
//! takes as much memory for an answer as the server announces, repeats all of an error's text, and gives up
//! a listing for one key that it cannot read.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, StatusCode};
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, Error};

use crate::depot::answers::{Redirected, error_words, readable};
use crate::depot::place::{CONNECT_WITHIN, SILENCE_MAX};
use crate::depot::strangers::Strangers;

/// Longest answer that is no object: a listing has a thousand keys of 1024 bytes at most, each byte of
/// which may be written as `&quot;`.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What is read of an error's text, in which its code and message come first.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Makes the clients of one depot.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) strangers: Arc<Strangers>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient, Error> {
        let is_plain = options.get_config_value(&ClientConfigKey::AllowHttp);
        let client = reqwest::Client::builder()
            .user_agent(concat!("cheesecloth/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENCE_MAX)
            .https_only(is_plain.as_deref() != Some("true"))
            .build();
        let client = client.map_err(|error| Error::Generic {
            store: "S3",
            source: error.into(),
        })?;
        Ok(HttpClient::new(Wire {
            client: HttpClient::new(client),
            strangers: Arc::clone(&self.strangers),
        }))
    }
}

#[derive(Debug)]
struct Wire {
    client: HttpClient,
    strangers: Arc<Strangers>,
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_object = *request.method() == Method::GET && request.uri().query().is_none();
        let query = request.uri().query().unwrap_or_default();
        let is_listing = query.split('&').any(|part| part == "list-type=2");
        let secrets = secrets(request.headers());
        let (parts, body) = self.client.execute(request).await?.into_parts();
        let status = parts.status;
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let why = Redirected::of(status, &parts.headers);
            return Err(HttpError::new(HttpErrorKind::Unknown, why));
        }
        if !status.is_success() {
            let read = beginning(body).await;
            let words = error_words(&String::from_utf8_lossy(&read), &secrets);
            return Ok(HttpResponse::from_parts(parts, words.into()));
        }
        if is_object {
            return Ok(HttpResponse::from_parts(parts, body));
        }
        let mut answer = whole(body).await?;
        if is_listing {
            let (text, passed_over) = readable(&String::from_utf8_lossy(&answer));
            self.strangers.seen(passed_over);
            answer = text.into();
        }
        Ok(HttpResponse::from_parts(parts, answer.into()))
    }
}

/// All of an answer that is no object.
async fn whole(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let (mut pieces, mut read) = (body.bytes_stream(), BytesMut::new());
    while let Some(piece) = pieces.next().await.transpose()? {
        if read.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(HttpError::new(HttpErrorKind::Decode, TooLong));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

/// As much of an error's text as is looked at, and as comes.
async fn beginning(body: HttpResponseBody) -> Bytes {
    let (mut pieces, mut read) = (body.bytes_stream(), BytesMut::new());
    while let Some(Ok(piece)) = pieces.next().await {
        let room = ERROR_BYTES_MAX - read.len();
        read.extend_from_slice(&piece[..piece.len().min(room)]);
        if read.len() == ERROR_BYTES_MAX {
            break;
        }
    }
    read.freeze()
}

#[derive(Debug, thiserror::Error)]
#[error("the server's answer is longer than {ANSWER_BYTES_MAX} bytes, and no object")]
struct TooLong;

/// What a request says that must not be repeated: keys, signatures and tokens.
fn secrets(headers: &HeaderMap) -> Vec<String> {
    let told = ["x-amz-security-token", "x-aws-ec2-metadata-token"];
    let told = told.iter().filter_map(|name| headers.get(*name));
    let mut secrets: Vec<String> = told.filter_map(text).map(str::to_owned).collect();
    let authorization = headers.get(http::header::AUTHORIZATION).and_then(text);
    let authorization = authorization.unwrap_or_default();
    secrets.push(authorization.to_owned());
    for (name, end) in [("Credential=", '/'), ("Signature=", ',')] {
        if let Some((_, rest)) = authorization.split_once(name) {
            secrets.extend(rest.split(end).next().map(str::to_owned));
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    // The longest first, which may contain another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

fn text(value: &http::HeaderValue) -> Option<&str> {
    value.to_str().ok()
}
